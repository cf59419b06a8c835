"""Backups over the wire: a chain with truncation, restored elsewhere, recovered, and held against every commit."""

from __future__ import annotations

import threading
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from backup_files import DATABASE_NAME, fill
from ca_double import CaDouble
from ca_parts import authority, server_of
from chain_stories import Kept, keep, new_story, outcome_of, restore, target_for

from tokar import codes
from tokar.errors import ProcedureError
from tokar.lab.server import SimulatedServer
from tokar.live.ca import DIALECT
from tokar.server.backup_steps import LogsOnlyRefusedError
from tokar.server.contract import BackupKind, BackupType, Outcome
from tokar.server.prior import load_prior
from tokar.server.run_backup import BackupOptions, run_backup
from tokar.sets.receipt import Truncation, read_receipt, receipt_path
from tokar.testing.scripted_server import ScriptedServer

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.slow
def test_a_chain_over_the_wire_comes_back_elsewhere(tmp_path: Path) -> None:
    story = new_story(tmp_path / "lab", "certadm", work=20)
    kept: list[Kept] = []
    deleted = set()
    with CaDouble(SimulatedServer(story.lab)) as double:
        server = server_of(double)
        kinds = (BackupKind.FULL, BackupKind.INCREMENTAL, BackupKind.INCREMENTAL, BackupKind.DIFFERENTIAL)
        for number, kind in enumerate(kinds):
            path = tmp_path / f"{number}.tokar"
            before = {one.name for one in story.lab.place.logs.iterdir()}
            options = BackupOptions(prior=load_prior(kept[-1].path) if kept else None, threads=1)
            result = run_backup(server, path, kind, options)
            gone = before - {one.name for one in story.lab.place.logs.iterdir()}
            deleted |= gone
            assert result.truncation is (Truncation.DONE if kind.truncates else Truncation.NOT_INTENDED)
            assert kind.truncates or not gone
            assert read_receipt(receipt_path(path)).backup["seen_against"] == "doubles"
            kept.append(keep(story, path, kind, before=tuple(kept)))
            story.lab.work(25)
        assert deleted
        assert not double.objects, "each is released"
        assert double.log.count("END") == len(kinds)
    target = target_for(story, tmp_path / "target")
    restore(target, kept)
    assert outcome_of(target) == kept[-1].expected
    assert not [one for one in threading.enumerate() if one.name == "tokar-pings"]


def test_logs_only_before_any_full_is_refused_and_a_full_stands_in(tmp_path: Path) -> None:
    with authority(tmp_path) as double:
        with pytest.raises(LogsOnlyRefusedError) as caught:
            run_backup(server_of(double), tmp_path / "a.tokar", BackupKind.DIFFERENTIAL)
        assert caught.value.code == codes.FULL_BACKUP_NOT_TAKEN
        assert not double.objects
        options = BackupOptions(or_full=True, threads=1)
        result = run_backup(server_of(double), tmp_path / "a.tokar", BackupKind.DIFFERENTIAL, options)
        assert result.took is BackupKind.COPY


def test_truncation_is_off_unless_it_was_asked_for(tmp_path: Path) -> None:
    with authority(tmp_path) as double:
        server = server_of(double, truncates=False)
        with pytest.raises(ProcedureError, match="experimental") as caught:
            run_backup(server, tmp_path / "full.tokar", BackupKind.FULL)
        assert "--truncate" in str(caught.value.hint)
        assert not double.log, "it is refused before anything is sent"
        run_backup(server, tmp_path / "copy.tokar", BackupKind.COPY)
        assert "TRUNCATE" not in double.log


def test_the_next_read_is_in_flight_while_the_last_one_is_stored(tmp_path: Path) -> None:
    with authority(tmp_path) as double:
        context = server_of(double).prepare_backup(BackupType.FULL)
        assert context.open(context.database_names().entries[0].raw_name) > 1 << 16
        context.read(memoryview(bytearray(4096)))
        pause = threading.Event()
        for _ in range(1000):  # it comes without being asked for
            if double.log.count("READ") == 2:
                break
            pause.wait(0.01)
        assert double.log.count("READ") == 2
        context.close()
        context.end(Outcome.ABORT)
        assert double.calls[-3:] == ["CLOSE", "END", "released"]


@pytest.mark.slow
def test_a_large_file_takes_no_more_memory_than_a_small_one() -> None:
    scripted = fill(ScriptedServer())
    scripted.dialect, size = DIALECT, 4 << 20
    scripted.databases[DATABASE_NAME] = bytes(size)
    with CaDouble(scripted) as double:
        context = server_of(double).prepare_backup(BackupType.FULL)
        left = context.open(next(one.raw_name for one in context.database_names().entries))
        assert left == size
        tracemalloc.start()
        buffer = memoryview(bytearray(65536))
        while left:
            left -= context.read(buffer)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        context.end(Outcome.ABORT)
    assert peak < 1 << 20, "of client and double together"
