"""A server whose files lie on this machine keeps the contract, whatever its engine says."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tokar import codes, tokens
from tokar.errors import StorageError
from tokar.server.contract import DIALECTS, BackupType, Outcome, ServerError
from tokar.server.file_server import FileServer
from tokar.testing.server_contract import LogsOnlyContract, fails

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path


class Shelf(FileServer):
    """A folder with a database and two logs."""

    dialect = replace(DIALECTS["ese"], profile="shelf", log_numbers=r"(\d+)\.log")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        for name in ("a.db", "1.log", "2.log"):
            (folder / name).write_bytes(name.encode() * 20_000)

    def begin(self, backup_type: BackupType) -> None:
        self.said.append(f"begin {backup_type}")

    def find_databases(self) -> Iterable[Path]:
        return [self.folder / "a.db"]

    def find_logs(self) -> Iterable[Path]:
        self.said.append("logs")
        return sorted(self.folder.glob("*.log"))

    def locations(self) -> Mapping[int, Path]:
        return {tokens.LOG_DIR: self.folder}

    def remove(self, logs: Sequence[Path]) -> None:
        logs[0].unlink()

    def finish(self, outcome: Outcome) -> None:
        self.said.append(f"finish {outcome}")


class TestShelf(LogsOnlyContract):
    def make_server(self, folder: Path) -> Shelf:
        return Shelf(folder)


def test_the_engine_is_told_of_begin_and_end_once(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    context = shelf.prepare_backup(BackupType.FULL)
    context.database_names()
    context.backup_logs()
    context.backup_logs()
    context.end(Outcome.ABORT)
    fails(context.end, Outcome.SUCCESS)
    assert shelf.said == ["begin full", "logs", "finish abort"]


def test_a_log_that_grows_is_read_to_its_announced_size(tmp_path: Path) -> None:
    context = Shelf(tmp_path).prepare_backup(BackupType.FULL)
    name = context.backup_logs().entries[0].raw_name
    size = context.open(name)
    with (tmp_path / "1.log").open("ab") as log:
        log.write(b"more")
    buffer = memoryview(bytearray(1 << 20))
    assert context.read(buffer) == size
    assert context.read(buffer) == 0
    context.end(Outcome.ABORT)


def test_an_empty_file_is_read_when_it_was_opened(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    for name in ("a.db", "1.log", "2.log"):
        (tmp_path / name).write_bytes(b"")
    context = shelf.prepare_backup(BackupType.FULL)
    for entry in (*context.database_names().entries, *context.backup_logs().entries):
        if entry.token == tokens.LOG:
            assert context.open(entry.raw_name) == 0
            context.close()
    assert fails(context.truncate_logs) == codes.LOG_FILE_NOT_COPIED  # the database was never opened
    context.end(Outcome.ABORT)


def test_a_file_that_is_gone_is_an_error_and_the_backup_can_be_ended(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    context = shelf.prepare_backup(BackupType.FULL)
    name = context.database_names().entries[0].raw_name
    (tmp_path / "a.db").unlink()
    with pytest.raises(StorageError, match="cannot open"):
        context.open(name)
    context.end(Outcome.ABORT)
    shelf.prepare_backup(BackupType.FULL).end(Outcome.ABORT)


def test_a_backup_that_the_engine_refuses_leaves_room_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = Shelf(tmp_path)

    def refuse(_type: BackupType) -> None:
        raise ServerError(codes.FULL_BACKUP_NOT_TAKEN, call="prepare_backup")

    with monkeypatch.context() as patch:
        patch.setattr(shelf, "begin", refuse)
        assert fails(shelf.prepare_backup, BackupType.LOGS_ONLY) == codes.FULL_BACKUP_NOT_TAKEN
    shelf.prepare_backup(BackupType.FULL).end(Outcome.ABORT)


def test_a_restore_is_refused_with_the_way_that_there_is(tmp_path: Path) -> None:
    with pytest.raises(ServerError) as caught:
        Shelf(tmp_path).prepare_restore()
    assert "--to" in str(caught.value.hint)
