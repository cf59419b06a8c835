"""Everything that can go wrong goes wrong once: each call of the server, each step of writing the archive.

After every run three things hold: logs were truncated only after a seal that was proven; End was called, where Prepare
gave a session and the process lived; and under the final name is a whole archive or nothing.
"""

from __future__ import annotations

import errno
import os
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from backup_files import fill
from sweeps import sampled

import tokar
from tokar.errors import ArchiveError, SourceError
from tokar.format.verify import verify
from tokar.server.contract import DIALECTS, BackupKind, Outcome
from tokar.server.prior import load_prior
from tokar.server.run_backup import BackupOptions, run_backup
from tokar.sets.receipt import Truncation, read_receipt, receipt_path
from tokar.storage import durable, sink
from tokar.testing.scripted_server import CallFault, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tokar.server.licence import PriorSet

PROFILES = ("edbbcli", "certadm", "ese")
KINDS = list(BackupKind)


@pytest.fixture(scope="module")
def prior(tmp_path_factory: pytest.TempPathFactory) -> PriorSet:
    path = tmp_path_factory.mktemp("prior") / "full.tokar"
    run_backup(fill(ScriptedServer(), 3, 4), path, BackupKind.FULL)
    return load_prior(path)


def options(kind: BackupKind, prior: PriorSet) -> BackupOptions:
    return BackupOptions(prior=prior if kind in {BackupKind.INCREMENTAL, BackupKind.DIFFERENTIAL} else None)


def server(profile: str) -> ScriptedServer:
    return fill(ScriptedServer(dialect=DIALECTS[profile], dynamic=("a.crl",)), 5, 6)


def run(server: ScriptedServer, out: Path, kind: BackupKind, prior: PriorSet) -> BaseException | None:
    try:
        run_backup(server, out, kind, options(kind, prior))
    except (ArchiveError, KeyboardInterrupt) as error:
        return error
    return None


def calls_of(profile: str, kind: BackupKind, prior: PriorSet, folder: Path) -> list[str]:
    clean = server(profile)
    assert run(clean, folder / "clean.tokar", kind, prior) is None
    return [call.split(maxsplit=1)[0] for call in clean.history]


def demand_invariants(server: ScriptedServer, out: Path, kind: BackupKind, error: BaseException | None) -> None:
    history = [call.split(maxsplit=1)[0] for call in server.history]
    sealed = out.exists()
    if sealed:
        with tokar.open(out) as archive:
            verify(archive, content=True).demand()
            assert archive.entry_count == len(server.logs) + (2 if kind.backup_type == "full" else 0)
    if "truncate_logs" in history:
        assert sealed
        assert kind.truncates
        assert read_receipt(receipt_path(out)).truncation in {Truncation.DONE, Truncation.FAILED, Truncation.UNKNOWN}
        assert history.index("truncate_logs") > max(at for at, call in enumerate(history) if call in {"read", "close"})
    if len(history) > 1 or server.busy or server.ended:
        assert history.count("end") == 1
        assert history[-1] == "end"
    if error is not None and server.ended and "truncate_logs" not in history:
        assert server.ended == [Outcome.ABORT]
    if error is None:
        assert server.ended == [Outcome.SUCCESS]
        assert server.truncated is kind.truncates
    assert server.leaks == 0
    leftovers = {path.name for path in out.parent.iterdir()} - {out.name, receipt_path(out).name}
    assert not {name for name in leftovers if name != "clean.tokar" and not name.startswith("clean.tokar")}


def is_in_every_run(profile: str, kind: BackupKind, fault: CallFault) -> bool:
    """Whether it is a pair that meets each profile, kind and fault once; the torture has all three together."""
    return (PROFILES.index(profile) + KINDS.index(kind) + [*CallFault].index(fault)) % 3 == 0


@pytest.mark.parametrize(
    ("profile", "kind", "fault"),
    sampled(product(PROFILES, KINDS, [CallFault.FAIL, CallFault.HANG, CallFault.INTERRUPT]), is_in_every_run),
)
def test_each_call_in_turn_breaks(
    profile: str, kind: BackupKind, fault: CallFault, prior: PriorSet, tmp_path: Path
) -> None:
    calls = calls_of(profile, kind, prior, tmp_path)
    for number, call in enumerate(calls):
        folder = tmp_path / str(number)
        folder.mkdir()
        broken = server(profile)
        broken.fault = lambda at, _, number=number: fault if at == number else None
        error = run(broken, folder / "a.tokar", kind, prior)
        assert error is not None, call
        kept = call in {"truncate_logs", "end"}
        assert (folder / "a.tokar").exists() is kept, call
        demand_invariants(broken, folder / "a.tokar", kind, error)


@pytest.mark.parametrize(
    ("profile", "kind", "fault"),
    sampled(
        product(PROFILES, KINDS, [CallFault.SHORT, CallFault.EARLY_END, CallFault.WRONG_SIZE, CallFault.TOO_SMALL]),
        is_in_every_run,
    ),
)
def test_each_read_and_open_in_turn_lies(
    profile: str, kind: BackupKind, fault: CallFault, prior: PriorSet, tmp_path: Path
) -> None:
    calls = calls_of(profile, kind, prior, tmp_path)
    struck = "read" if fault in {CallFault.SHORT, CallFault.EARLY_END} else "open"
    for number in [at for at, call in enumerate(calls) if call == struck]:
        folder = tmp_path / str(number)
        folder.mkdir()
        broken = server(profile)
        broken.fault = lambda at, _, number=number: fault if at == number else None
        error = run(broken, folder / "a.tokar", kind, prior)
        harmless = fault is CallFault.SHORT and profile != "certadm"
        assert (error is None) is harmless
        if fault is not CallFault.TOO_SMALL:
            assert (folder / "a.tokar").exists() is harmless
        assert not broken.truncated or harmless
        demand_invariants(broken, folder / "a.tokar", kind, error)


def breaking(function: Callable[..., Any], counter: list[int], at: int, code: int) -> Callable[..., Any]:
    """Return a function that fails the `at`-th time, counted together with others that share the counter."""

    def broken(*arguments: Any, **named: Any) -> Any:
        counter[0] += 1
        if counter[0] == at:
            raise OSError(code, os.strerror(code))
        return function(*arguments, **named)

    return broken


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_each_write_sync_and_rename_of_the_archive_in_turn_fails(
    kind: BackupKind, code: int, prior: PriorSet, tmp_path: Path
) -> None:
    runs = 0
    for number in range(1, 200):
        folder = tmp_path / str(number)
        folder.mkdir()
        counter = [0]
        struck = server("ese")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sink, "write_all", breaking(sink.write_all, counter, number, code))
            patch.setattr(os, "fsync", breaking(os.fsync, counter, number, code))
            patch.setattr(durable, "_rename_exclusively", renaming(counter, number, code))
            error = run(struck, folder / "a.tokar", kind, prior)
        if counter[0] < number:
            break
        runs += 1
        assert error is not None
        demand_after_disk_fault(struck, folder / "a.tokar", kind)
    assert runs >= 4, "it writes, syncs, renames and syncs the directory"


def renaming(counter: list[int], at: int, code: int) -> Callable[..., int]:
    original = durable._rename_exclusively

    def broken(*arguments: Any) -> int:
        counter[0] += 1
        return code if counter[0] == at else original(*arguments)

    return broken


def demand_after_disk_fault(server: ScriptedServer, out: Path, kind: BackupKind) -> None:
    history = [call.split(maxsplit=1)[0] for call in server.history]
    assert history[-1] == "end"
    if out.exists():  # only the receipt failed
        with tokar.open(out) as archive:
            verify(archive, content=True).demand()
    if server.truncated:
        assert kind.truncates
        assert out.exists()
        assert read_receipt(receipt_path(out)).truncation in {Truncation.TRUNCATING, Truncation.DONE}


def test_a_directory_that_cannot_be_synced_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    def refuse(directory: Path) -> None:
        raise tokar.errors.StorageError("cannot make the directory durable", path=directory)

    struck = server("ese")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(durable, "sync_directory", refuse)
        with pytest.raises(tokar.errors.StorageError):
            run_backup(struck, tmp_path / "a.tokar", BackupKind.FULL)
    assert not (tmp_path / "a.tokar").exists()
    assert not struck.truncated
    assert struck.ended == [Outcome.ABORT]


def test_a_name_that_no_archive_can_take_is_a_fault_of_the_source(tmp_path: Path) -> None:
    source = server("certadm")
    source.databases = {"a" * 40000: next(iter(source.databases.values()))}
    with pytest.raises(SourceError, match="lists what no archive can take: a name of 80000 bytes"):
        run_backup(source, tmp_path / "a.tokar", BackupKind.COPY)
    assert not (tmp_path / "a.tokar").exists()
