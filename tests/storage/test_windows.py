r"""What Windows keeps in calls of its own: everywhere by a stand-in that makes them, there by the system too."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tokar.cli.progress import Log
from tokar.errors import StorageError, reason_of
from tokar.storage import durable, windows
from tokar.storage.directory import Directory
from tokar.storage.sink import FileSink

if TYPE_CHECKING:
    from pathlib import Path

on_windows = pytest.mark.skipif(os.name != "nt", reason="the calls of Windows itself")


class StandIn:
    """Makes the calls, and notes them."""

    def __init__(self, *, own: bool = True, refusal: OSError | None = None) -> None:
        self.private: list[str] = []
        self.sparse: list[int] = []
        self._own, self._refusal = own, refusal

    def user(self) -> str:
        return "S-1-5-21-7"

    def set_access(self, path: str, descriptor: str) -> None:
        if self._refusal:
            raise self._refusal
        assert descriptor == "D:P(A;OICI;FA;;;S-1-5-21-7)(A;OICI;FA;;;SY)"
        self.private.append(path)

    def is_own(self, path: str) -> bool:
        assert path
        return self._own

    def set_sparse(self, descriptor: int) -> None:
        if self._refusal:
            raise self._refusal
        self.sparse.append(descriptor)

    def read_at(self, descriptor: int, size: int, offset: int) -> bytes:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, size)

    def lock(self, descriptor: int) -> bool:
        assert descriptor >= 0
        return self._own


def refused(code: int) -> OSError:
    error = OSError(13, "Permission denied")
    setattr(error, "winerror", code)  # noqa: B010 - only there on Windows
    return error


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn()
    monkeypatch.setattr(windows, "system", stand_in)
    return stand_in


def test_what_is_written_is_private_before_it_has_content(tmp_path: Path, calls: StandIn) -> None:
    sink = FileSink(tmp_path / "a.tokar")
    assert calls.private == [str(sink.temporary)]
    sink.discard()


def test_what_a_restore_makes_is_private(tmp_path: Path, calls: StandIn) -> None:
    with Directory(str(tmp_path), by_path=True) as directory:
        os.close(directory.create("file"))
        directory.make("folder").close()
    assert calls.private == [str(tmp_path / "file"), str(tmp_path / "folder")]


def test_a_log_is_private_from_the_start_and_one_that_is_there_keeps_its_rights(tmp_path: Path, calls: StandIn) -> None:
    for _ in range(2):
        Log(tmp_path / "a.log").write("x")
    assert calls.private == [str(tmp_path / "a.log")]


@pytest.mark.parametrize("code", [1, 50])
def test_a_file_system_without_access_lists_takes_files_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(windows, "system", StandIn(refusal=refused(code)))
    windows.make_private(str(tmp_path))
    windows.make_sparse(0)


def test_rights_that_cannot_be_set_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "system", StandIn(refusal=refused(5)))
    with Directory(str(tmp_path), by_path=True) as directory, pytest.raises(StorageError, match="set the rights"):
        directory.make("folder")


@pytest.mark.parametrize("own", [True, False])
def test_a_staging_folder_of_somebody_else_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, own: bool
) -> None:
    monkeypatch.setattr(windows, "system", StandIn(own=own))
    with Directory(str(tmp_path), by_path=True) as directory:
        if own:
            directory.demand_private("not ours")
            return
        with pytest.raises(StorageError, match="not ours"):
            directory.demand_private("not ours")


@pytest.mark.parametrize("own", [True, False])
def test_windows_locks_by_a_call_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, own: bool) -> None:
    monkeypatch.setattr(windows, "system", StandIn(own=own))
    with (tmp_path / "file").open("wb") as file:
        assert durable.try_lock(file.fileno()) is own


@on_windows
def test_windows_itself_locks_a_file_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    with path.open("rb") as one, path.open("rb") as other:
        assert durable.try_lock(one.fileno()) is True
        assert durable.try_lock(other.fileno()) is False
        assert other.read() == b"content"
    with path.open("rb") as again:
        assert durable.try_lock(again.fileno()) is True


def test_a_file_is_told_that_it_may_have_holes(calls: StandIn) -> None:
    windows.make_sparse(7)
    assert calls.sparse == [7]


@pytest.mark.parametrize(
    ("code", "said"), [(32, "another program holds it open"), (33, "another program has locked a part"), (5, "Permiss")]
)
def test_a_file_that_a_service_holds_is_called_that(code: int, said: str) -> None:
    assert reason_of(refused(code)).startswith(said)


@pytest.mark.parametrize(
    ("path", "long"),
    [
        (r"C:\short", r"C:\short"),
        ("C:\\" + "x" * 300, "\\\\?\\C:\\" + "x" * 300),
        ("C:\\a/" + "x" * 300, "\\\\?\\C:\\a\\" + "x" * 300),
        ("\\\\CA1\\C$\\" + "x" * 300, "\\\\?\\UNC\\CA1\\C$\\" + "x" * 300),
        ("\\\\?\\C:\\" + "x" * 300, "\\\\?\\C:\\" + "x" * 300),
        ("x" * 300, "x" * 300),
    ],
)
def test_a_path_that_is_too_long_for_a_call_is_spelled_so_that_it_is_taken(path: str, long: str) -> None:
    assert windows.long_path(path, windows=True) == long
    assert windows.long_path(path, windows=False) == path


@on_windows
def test_windows_itself_takes_an_access_list_and_knows_whose_it_is(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    windows.make_private(str(path))
    assert path.read_bytes() == b"content"
    assert not windows.is_foreign(str(path))


@on_windows
def test_windows_itself_reads_at_a_place_and_keeps_holes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_BINARY", 0))
    windows.make_sparse(descriptor)
    os.lseek(descriptor, 1 << 20, os.SEEK_SET)
    os.write(descriptor, b"end")
    assert windows.system is not None
    assert windows.system.read_at(descriptor, 10, 1 << 20) == b"end"
    assert windows.system.read_at(descriptor, 4, 0) == bytes(4)
    assert windows.system.read_at(descriptor, 10, 1 << 21) == b""
    os.close(descriptor)


@on_windows
def test_windows_itself_takes_a_long_path(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    path = windows.long_path(str(folder / ("y" * 150)))
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    assert [one.name for one in folder.iterdir()] == ["y" * 150]
