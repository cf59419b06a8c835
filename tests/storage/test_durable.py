from __future__ import annotations

import ctypes
import errno
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tokar.errors import ExistingFileError, StorageError
from tokar.storage import durable


@pytest.fixture(params=["one call", "hard links", "neither"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Rename in each of the ways that file systems allow."""
    if request.param != "one call":
        monkeypatch.setattr(durable, "_renameat2", lambda *_: -1)
        monkeypatch.setattr(ctypes, "get_errno", lambda: errno.EINVAL)
    if request.param == "neither":

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(errno.EPERM, "no hard links")

        monkeypatch.setattr(os, "link", refuse)
    return str(request.param)


@pytest.mark.usefixtures("way")
def test_a_rename_gives_the_new_name_and_takes_the_old(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    durable.rename_no_replace(tmp_path / "a", tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert (tmp_path / "b").read_bytes() == b"content"


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("there", ["file", "directory", "link"])
def test_a_rename_never_replaces_what_is_there(tmp_path: Path, there: str) -> None:
    target = tmp_path / "b"
    (tmp_path / "a").write_bytes(b"new")
    if there == "file":
        target.write_bytes(b"old")
    elif there == "directory":
        target.mkdir()
    else:
        target.symlink_to("nowhere")
    with pytest.raises(ExistingFileError) as caught:
        durable.rename_no_replace(tmp_path / "a", target)
    assert caught.value.path == target
    assert (tmp_path / "a").read_bytes() == b"new"
    assert there != "file" or target.read_bytes() == b"old"


@pytest.mark.usefixtures("way")
def test_a_rename_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot rename a to this"):
        durable.rename_no_replace(tmp_path / "a", tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("way")
def test_a_link_is_renamed_itself(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("nowhere")
    durable.rename_no_replace(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").is_symlink()
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.usefixtures("way")
def test_a_rename_can_be_relative_to_open_directories(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "one" / "a").write_bytes(b"content")
    one, two = (os.open(tmp_path / name, os.O_RDONLY) for name in ("one", "two"))
    try:
        durable.rename_at("a", "b", source_directory=one, target_directory=two)
        with pytest.raises((StorageError, ExistingFileError)):
            durable.rename_at("a", "b", source_directory=one, target_directory=two)
    finally:
        os.close(one)
        os.close(two)
    assert (tmp_path / "two" / "b").read_bytes() == b"content"
    assert not (tmp_path / "one" / "a").exists()


def test_only_a_rename_in_one_step_promises_that_nothing_was_replaced(tmp_path: Path, way: str) -> None:
    (tmp_path / "a").write_bytes(b"content")
    assert durable.rename_no_replace(tmp_path / "a", tmp_path / "b") is (way != "neither")


def test_a_rename_that_dies_leaves_nothing_empty_under_the_new_name(
    tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "a").write_bytes(b"content")
    for step in ("rename", "unlink"):
        monkeypatch.setattr(os, step, die)
    if way == "one call":
        monkeypatch.setattr(durable, "_renameat2", die)
    with pytest.raises(KeyboardInterrupt):
        durable.rename_no_replace(tmp_path / "a", tmp_path / "b")
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"content"}


def test_windows_renames_write_through_and_replace_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def move(source: str, target: str, flags: int) -> int:
        calls.append(flags)
        if os.path.lexists(target) and not flags & 1:
            return errno.EEXIST
        os.replace(source, target)  # noqa: PTH105 - as the call takes them
        return 0

    monkeypatch.setattr(durable, "_move_by_windows", move)
    (tmp_path / "a").write_bytes(b"new")
    (tmp_path / "b").write_bytes(b"old")
    with pytest.raises(ExistingFileError):
        durable.rename_no_replace(tmp_path / "a", tmp_path / "b")
    assert durable.rename_no_replace(tmp_path / "a", tmp_path / "c")
    durable.replace(tmp_path / "c", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"new"
    assert calls == [8, 8, 9], "MOVEFILE_WRITE_THROUGH, and MOVEFILE_REPLACE_EXISTING only to replace"
    assert durable.sync_directory(tmp_path), "the rename wrote through"


def test_a_lock_keeps_others_out_until_it_is_closed(tmp_path: Path) -> None:
    first, second = (os.open(tmp_path / "a", os.O_CREAT | os.O_RDWR) for _ in range(2))
    try:
        assert durable.lock(first)
        assert not durable.lock(second)
    finally:
        os.close(first)
    assert durable.lock(second)
    os.close(second)


@pytest.mark.skipif(sys.platform != "linux", reason="the table of mounts is Linux's")
def test_the_kind_of_a_file_system_is_known(tmp_path: Path) -> None:
    assert durable.file_system_kind(Path("/proc")) == "proc"
    assert durable.file_system_kind(tmp_path) not in {"", "proc"}
    assert durable.file_system_kind(tmp_path / "none") == ""


def test_replacing_is_a_call_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"new")
    (tmp_path / "b").write_bytes(b"old")
    durable.replace(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"new"


def test_replacing_with_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot rename"):
        durable.replace(tmp_path / "a", tmp_path / "b")


def test_a_directory_that_is_not_there_cannot_be_synced(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot make the directory durable"):
        durable.sync_directory(tmp_path / "none")


def test_a_closed_file_cannot_be_synced(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    os.close(descriptor)
    with pytest.raises(StorageError, match="cannot make it durable"):
        durable.sync_descriptor(descriptor, tmp_path)


def test_without_a_call_for_it_no_file_system_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "_syncfs", None)
    assert durable.sync_file_system(0, tmp_path) is False


def test_a_sync_of_a_file_system_that_fails_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "_syncfs", lambda _: -1)
    with pytest.raises(StorageError, match="cannot make it durable"):
        durable.sync_file_system(0, tmp_path)


class Synced:
    """Stands for the call that makes a file system durable, and says how it ended."""

    def __init__(self, answer: int) -> None:
        self.answer = answer
        self.calls: list[int] = []
        self.came = threading.Event()

    def __call__(self, descriptor: int) -> int:
        self.calls.append(descriptor)
        if len(self.calls) > 1 or self.answer:
            self.came.set()
        return self.answer


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int | None, Path]]]:
    """Return open directories of one file system, among them one without a descriptor; syncs come at once."""
    monkeypatch.setattr(durable, "_SYNC_BEHIND", 0.001)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield [(descriptor, tmp_path), (None, tmp_path), (descriptor, tmp_path)]
    os.close(descriptor)


def test_a_file_system_is_made_durable_again_and_again_once_for_all_its_directories(
    opened: list[tuple[int | None, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "_syncfs", synced := Synced(0))
    with durable.SyncBehind(opened):
        assert synced.came.wait(60)
    assert set(synced.calls) == {opened[0][0]}
    assert "tokar-sync" not in {one.name for one in threading.enumerate()}


def test_what_a_sync_on_the_way_could_not_write_is_an_error_at_the_end(
    opened: list[tuple[int | None, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "_syncfs", synced := Synced(-1))
    with pytest.raises(StorageError, match="cannot make it durable"), durable.SyncBehind(opened):
        assert synced.came.wait(60)
    assert len(synced.calls) == 1


def test_the_error_of_the_work_itself_comes_first(
    opened: list[tuple[int | None, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "_syncfs", synced := Synced(-1))

    def interrupted() -> None:
        with durable.SyncBehind(opened):
            assert synced.came.wait(60)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()


def test_without_a_thread_all_is_left_to_the_sync_at_the_end(
    opened: list[tuple[int | None, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    with durable.SyncBehind(opened) as behind:
        assert behind._thread.ident is None


def test_where_no_call_syncs_a_file_system_the_thread_ends(
    opened: list[tuple[int | None, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "_syncfs", None)
    with durable.SyncBehind(opened) as behind:
        behind._thread.join(60)
        assert not behind._thread.is_alive()


# --- writing out, which is not yet durable ----------------------------------------------------------------------------


@pytest.mark.parametrize("call", [None, lambda *_: -1])
def test_where_a_file_cannot_be_written_out_alone_it_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[..., int] | None
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(durable, "_sync_range", call)
    monkeypatch.setattr(os, "fsync", synced.append)
    with (tmp_path / "a").open("wb") as file:
        durable.write_back(file.fileno())
        assert synced == [file.fileno()]


def test_a_file_that_cannot_be_written_out_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "_sync_range", None)
    with pytest.raises(OSError, match="Bad file"):
        durable.write_back(1 << 20)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_hint_to_write_behind_never_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_there: bool) -> None:
    monkeypatch.setattr(os, "posix_fadvise", refuse_advice, raising=False)
    if not is_there:
        monkeypatch.delattr(os, "posix_fadvise")
    with (tmp_path / "a").open("wb") as file:
        durable.write_behind(file.fileno(), 0, 1)


def refuse_advice(*_: object) -> None:
    raise OSError(errno.EINVAL, "no advice")


def test_what_was_written_before_a_part_is_forgotten_with_it_once_it_had_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    advised: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _, offset, size, __: advised.append((offset, size)), raising=False)
    monkeypatch.setattr(os, "POSIX_FADV_DONTNEED", 4, raising=False)
    with (tmp_path / "a").open("wb") as file:
        for number in range(8):
            durable.write_behind(file.fileno(), number << 23, 1 << 23)
    assert advised[0] == (0, 1 << 23)
    assert advised[7] == (3 << 23, 5 << 23)
