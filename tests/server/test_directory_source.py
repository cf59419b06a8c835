"""Sets at rest: only copies, nothing deleted, nothing that changes."""

from __future__ import annotations

import os
import shlex
import shutil
from typing import TYPE_CHECKING

import pytest
from backup_files import database_file, log_file

import tokar
from tokar.collect.found import FileState
from tokar.errors import InputError, ProcedureError, SourceChangedError, SourceError, StorageError
from tokar.server.contract import BackupKind, BackupType, Outcome, ServerError
from tokar.server.directory_source import DirectoryServer
from tokar.server.run_backup import run_backup
from tokar.sets.receipt import Truncation

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.server.contract import BackupContext


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "priv.edb").write_bytes(database_file(5, 6))
    (folder / "edb00005.log").write_bytes(log_file(5))
    (folder / "edb.log").write_bytes(log_file(6))
    (folder / "notes.txt").write_text("not part of the set")
    return folder


def test_a_copy_holds_the_set_and_deletes_nothing(folder: Path, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    result = run_backup(DirectoryServer(folder), tmp_path / "a.tokar", BackupKind.COPY)
    assert result.truncation is Truncation.NOT_INTENDED
    assert result.generations == (5, 6)
    with tokar.open(result.path) as archive:
        assert {entry.name: archive.read(entry) for entry in archive} == {
            name: data for name, data in before.items() if name != "notes.txt"
        }
        assert {row["token"]: row["path"] for row in archive.head.extra["locations"]} == {
            0x44: str(folder),
            0x82: str(folder),
        }
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("kind", [BackupKind.FULL, BackupKind.INCREMENTAL, BackupKind.DIFFERENTIAL])
def test_only_copies_are_taken(folder: Path, tmp_path: Path, kind: BackupKind) -> None:
    with pytest.raises(ProcedureError):
        run_backup(DirectoryServer(folder), tmp_path / "a.tokar", kind)
    assert not (tmp_path / "a.tokar").exists()


def test_truncation_is_refused_by_the_source_too(folder: Path) -> None:
    context = DirectoryServer(folder).prepare_backup(BackupType.FULL)
    with pytest.raises(ServerError, match="nothing is deleted"):
        context.truncate_logs()
    context.end(Outcome.ABORT)


def test_restore_takes_no_server(folder: Path) -> None:
    with pytest.raises(ServerError, match="without a server"):
        DirectoryServer(folder).prepare_restore()


@pytest.mark.parametrize("victim", ["priv.edb", "edb00005.log", "edb.log"])
@pytest.mark.parametrize("call", ["database_names", "backup_logs"])
def test_a_file_that_changes_is_refused(folder: Path, tmp_path: Path, victim: str, call: str) -> None:
    class Touching(DirectoryServer):
        def prepare_backup(self, backup_type: BackupType) -> BackupContext:
            context = super().prepare_backup(backup_type)
            listed = getattr(context, call)

            def touch() -> object:
                os.utime(folder / victim, ns=(1, 1))
                return listed()

            setattr(context, call, touch)
            return context

    with pytest.raises(SourceChangedError, match=victim):
        run_backup(Touching(folder), tmp_path / "a.tokar", BackupKind.COPY)
    assert not (tmp_path / "a.tokar").exists()


@pytest.mark.parametrize("whole", [True, False])
def test_where_times_tell_nothing_what_was_read_is_read_a_second_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    monkeypatch.setattr("tokar.server.directory_source.hides_changes", lambda *_: True)
    monkeypatch.setattr(FileState, "__ne__", lambda *_: False)
    context = DirectoryServer(folder).prepare_backup(BackupType.FULL)
    size = context.open(context.database_names().entries[0].raw_name)
    assert context.read(memoryview(bytearray(size if whole else 10))) > 0
    with (folder / "priv.edb").open("r+b") as file:
        file.write(b"changed")
    if whole:
        with pytest.raises(SourceChangedError, match=r"priv\.edb"):
            context.close()
    else:
        context.close()  # it was given up
    context.end(Outcome.ABORT)


def test_a_database_that_changes_while_the_logs_are_read_is_refused(folder: Path) -> None:
    context = DirectoryServer(folder).prepare_backup(BackupType.FULL)
    context.database_names().free()
    names = context.backup_logs().entries
    os.utime(folder / "priv.edb", ns=(1, 1))
    for name in names[:-1]:
        context.open(name.raw_name)
        context.close()
    context.open(names[-1].raw_name)
    with pytest.raises(SourceChangedError, match=r"priv\.edb"):
        context.close()
    context.end(Outcome.ABORT)


def test_a_file_that_goes_away_is_refused(folder: Path) -> None:
    context = DirectoryServer(folder).prepare_backup(BackupType.FULL)
    name = context.database_names().entries[0]
    (folder / "priv.edb").unlink()
    with pytest.raises(StorageError, match="cannot open"):
        context.open(name.raw_name)
    with pytest.raises(SourceChangedError, match="it was there"):
        context.backup_logs()
    context.end(Outcome.ABORT)


def test_a_directory_without_a_set_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises((SourceError, ProcedureError)):
        run_backup(DirectoryServer(tmp_path / "empty"), tmp_path / "a.tokar", BackupKind.COPY)


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        run_backup(DirectoryServer(tmp_path / "nowhere"), tmp_path / "a.tokar", BackupKind.COPY)


def test_several_folders_of_certutil_are_no_set(folder: Path, tmp_path: Path) -> None:
    for name in ("one", "two of them"):
        inner = tmp_path / "all" / name / "DataBase"
        shutil.copytree(folder, inner)
        (inner / "certbkxp.dat").write_bytes(b"\0\0")
    with pytest.raises(InputError, match="2 folders that certutil wrote are in it") as caught:
        DirectoryServer(tmp_path / "all").prepare_backup(BackupType.FULL)
    first, second = f"dir:{tmp_path}/all/one", shlex.quote(f"dir:{tmp_path}/all/two of them")
    assert caught.value.hint == (
        f"make a backup of each: tokar backup {first} OUT1 --type copy; tokar backup {second} OUT2 --type copy"
    )
    shutil.rmtree(tmp_path / "all" / "one")
    run_backup(DirectoryServer(tmp_path / "all"), tmp_path / "a.tokar", BackupKind.COPY)
