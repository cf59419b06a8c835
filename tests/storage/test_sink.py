from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from disk_faults import Strike, dies
from format_tools import CHUNK, from_the_front, new_writer, pattern, written
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

from tokar.errors import ExistingFileError, InputError, StorageError
from tokar.format.archive import Archive
from tokar.format.compression import Compression
from tokar.restore.leftovers import Owner, find_leftovers, remove_leftover
from tokar.storage import durable
from tokar.storage.durable import Capability
from tokar.storage.sink import FileSink, PipeSink, spooled, write_all

if TYPE_CHECKING:
    from pathlib import Path

posix = pytest.mark.skipif(os.name == "nt", reason="modes, pipes and limits of POSIX")


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_archive_appears_under_its_name_only_when_it_is_sealed(tmp_path: Path) -> None:
    with new_writer(FileSink(tmp_path / "set.tokar")) as writer:
        writer.add(0x44, b"x", io.BytesIO(pattern(3 * CHUNK)), encoding=65001)
        assert not (tmp_path / "set.tokar").exists()
        (temporary,) = names_in(tmp_path)
        assert temporary.startswith(".set.tokar.")
        assert temporary.endswith(".part")
    assert names_in(tmp_path) == ["set.tokar"]
    assert from_the_front((tmp_path / "set.tokar").read_bytes()).answer == "sealed"


def test_a_file_holds_what_memory_would_hold(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "set.tokar")
    sink.write([b"one", memoryview(b"two"), bytearray(b"three"), b""])
    sink.write([b"four"])
    sink.commit()
    assert (tmp_path / "set.tokar").read_bytes() == b"onetwothreefour"


@posix
def test_an_archive_is_private_whatever_the_mask(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        sink = FileSink(tmp_path / "set.tokar")
        (temporary,) = tmp_path.iterdir()
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
        sink.commit()
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "set.tokar").stat().st_mode) == 0o600


def test_a_name_that_is_taken_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "set.tokar").write_bytes(b"old")
    with pytest.raises(ExistingFileError, match="there already") as caught:
        FileSink(tmp_path / "set.tokar")
    assert caught.value.path == tmp_path / "set.tokar"
    assert "--force" in (caught.value.hint or "")
    assert names_in(tmp_path) == ["set.tokar"]


@posix
def test_a_link_that_leads_nowhere_is_a_name_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "set.tokar").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ExistingFileError):
        FileSink(tmp_path / "set.tokar")


def test_a_name_that_is_taken_in_the_meantime_is_not_replaced(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "set.tokar")
    sink.write([b"new"])
    (tmp_path / "set.tokar").write_bytes(b"old")
    with pytest.raises(ExistingFileError) as caught:
        sink.commit()
    assert "--force" in (caught.value.hint or "")
    assert (tmp_path / "set.tokar").read_bytes() == b"old"
    assert names_in(tmp_path) == ["set.tokar"]


def test_a_file_is_replaced_when_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "set.tokar").write_bytes(b"old")
    sink = FileSink(tmp_path / "set.tokar", replace=True)
    sink.write([b"new"])
    assert (tmp_path / "set.tokar").read_bytes() == b"old"
    sink.commit()
    assert (tmp_path / "set.tokar").read_bytes() == b"new"
    assert names_in(tmp_path) == ["set.tokar"]


@posix
@pytest.mark.parametrize("there", ["pipe", "socket", "link to a pipe"])
@pytest.mark.parametrize("replace", [True, False])
def test_what_is_no_file_is_never_replaced(tmp_path: Path, there: str, replace: bool) -> None:
    target = tmp_path / "set.tokar"
    if there == "socket":
        os.mknod(target, stat.S_IFSOCK | 0o600)
    else:
        os.mkfifo(tmp_path / "pipe" if there.startswith("link") else target)
    if there.startswith("link"):
        target.symlink_to("pipe")
    before = names_in(tmp_path)
    with pytest.raises(ExistingFileError, match=r"a (pipe|socket) has this name") as caught:
        FileSink(target, replace=replace)
    assert "name - as the output" in (caught.value.hint or "")
    assert names_in(tmp_path) == before


@posix
@pytest.mark.skipif(getattr(os, "geteuid", int)() != 0, reason="making a device needs root")
def test_a_device_is_never_replaced(tmp_path: Path) -> None:
    target = tmp_path / "null"
    os.mknod(target, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    with pytest.raises(ExistingFileError, match="a device has this name"):
        FileSink(target, replace=True)
    assert stat.S_ISCHR(target.stat().st_mode)


@posix
def test_a_pipe_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "set.tokar", replace=True)
    os.mkfifo(tmp_path / "set.tokar")
    with pytest.raises(ExistingFileError, match="a pipe has this name"):
        sink.commit()
    assert names_in(tmp_path) == ["set.tokar"]
    assert stat.S_ISFIFO((tmp_path / "set.tokar").stat().st_mode)


@pytest.mark.parametrize("name", ["set.tokar", "link", "other-name", "../set/set.tokar"])
def test_what_is_being_read_is_not_replaced_by_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "set.tokar").write_bytes(b"old")
    (folder / "link").symlink_to("set.tokar")
    (folder / "other-name").hardlink_to(folder / "set.tokar")
    with pytest.raises(InputError, match="would replace the file that is being read"):
        FileSink(folder / name, replace=True, reads=[folder / "set.tokar"])
    assert names_in(folder) == ["link", "other-name", "set.tokar"]
    assert (folder / "set.tokar").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("replace", "links", "said", "there"),
    [
        (True, True, "what was there has its name again", b"old"),
        (True, False, "what was there is replaced", b"new"),
        (False, True, "the file is whole", b"new"),
    ],
)
def test_a_directory_that_cannot_be_synced_says_what_has_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, replace: bool, links: bool, said: str, there: bytes
) -> None:
    def refuse(*_: Any) -> None:
        raise StorageError("cannot make the directory durable")

    def no_links(*_: Any, **__: Any) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(durable, "sync_directory", refuse)
    if not links:
        monkeypatch.setattr("os.link", no_links)
    if replace:
        (tmp_path / "set.tokar").write_bytes(b"old")
    sink = FileSink(tmp_path / "set.tokar", replace=replace)
    sink.write([b"new"])
    with pytest.raises(StorageError) as caught:
        sink.commit()
    assert said in caught.value.__notes__[0]
    assert names_in(tmp_path) == ["set.tokar"]
    assert (tmp_path / "set.tokar").read_bytes() == there


@posix
def test_an_interrupt_after_the_rename_leaves_no_second_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: Path) -> None:
        raise KeyboardInterrupt

    (tmp_path / "set.tokar").write_bytes(b"old")
    monkeypatch.setattr(durable, "sync_directory", interrupt)
    sink = FileSink(tmp_path / "set.tokar", replace=True)
    sink.write([b"new"])
    with pytest.raises(KeyboardInterrupt):
        sink.commit()
    assert names_in(tmp_path) == ["set.tokar"]
    assert (tmp_path / "set.tokar").read_bytes() == b"new"


def test_giving_up_leaves_nothing_and_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "set.tokar").write_bytes(b"old")
    sink = FileSink(tmp_path / "set.tokar", replace=True)
    sink.write([b"new"])
    sink.discard()
    sink.discard()
    assert names_in(tmp_path) == ["set.tokar"]
    assert (tmp_path / "set.tokar").read_bytes() == b"old"


def test_an_error_while_writing_leaves_nothing(tmp_path: Path) -> None:
    def write() -> None:
        with new_writer(FileSink(tmp_path / "set.tokar")) as writer:
            writer.add_bytes(0x21, "x", b"")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert names_in(tmp_path) == []


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write here") as caught:
        FileSink(tmp_path / "nowhere" / "set.tokar")
    assert caught.value.path == tmp_path / "nowhere" / "set.tokar"


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127, "表" * 85, "\U0001f5c4" * 63])
def test_the_longest_names_can_be_written(tmp_path: Path, name: str) -> None:
    sink = FileSink(tmp_path / name)
    sink.write([b"new"])
    sink.commit()
    assert (tmp_path / name).read_bytes() == b"new"


def test_two_writers_do_not_share_a_temporary_file(tmp_path: Path) -> None:
    one, other = FileSink(tmp_path / "set.tokar"), FileSink(tmp_path / "set.tokar")
    one.write([b"one"])
    other.write([b"other"])
    one.commit()
    with pytest.raises(ExistingFileError):
        other.commit()
    assert (tmp_path / "set.tokar").read_bytes() == b"one"


@pytest.mark.parametrize("step", ["sync_descriptor", "rename_no_replace"])
def test_a_commit_that_fails_leaves_nothing(tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise StorageError("cannot make it durable")

    monkeypatch.setattr(durable, step, refuse)
    sink = FileSink(tmp_path / "set.tokar")
    with pytest.raises(StorageError):
        sink.commit()
    assert names_in(tmp_path) == []


def test_a_commit_is_durable_in_the_right_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []

    def noting(step: str, act: Any, *args: Any) -> None:
        steps.append(step)
        act(*args)

    for step in ("sync_descriptor", "rename_no_replace", "sync_directory"):
        monkeypatch.setattr(durable, step, partial(noting, step, getattr(durable, step)))
    FileSink(tmp_path / "set.tokar").commit()
    assert steps == ["sync_descriptor", "rename_no_replace", "sync_directory"]


def test_a_commit_says_what_it_could_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = FileSink(tmp_path / "set.tokar")
    assert not sink.has_its_name()
    sink.commit()
    assert sink.has_its_name()
    assert sink.capabilities == set(Capability)
    monkeypatch.setattr(durable, "sync_directory", lambda _: False)
    sink = FileSink(tmp_path / "set.tokar", replace=True)
    sink.commit()
    assert sink.capabilities == {Capability.SYNC}


def test_what_somebody_else_put_there_is_not_the_file_of_the_sink(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "set.tokar")
    sink.commit()
    (tmp_path / "set.tokar").rename(tmp_path / "elsewhere")
    assert not sink.has_its_name()
    (tmp_path / "set.tokar").write_bytes(b"")
    assert not sink.has_its_name()


@posix
def test_the_temporary_file_is_locked_as_long_as_its_owner_lives(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "set.tokar")
    (temporary,) = tmp_path.iterdir()
    descriptor = os.open(temporary, os.O_RDWR)
    try:
        assert not durable.lock(descriptor)
        sink.discard()
        assert durable.lock(descriptor)
    finally:
        os.close(descriptor)


FULL_DISK = """
import io, resource, signal, sys
from tokar.errors import StorageError
from tokar.format.metadata import Head
from tokar.storage.sink import FileSink
from tokar.format.writer import ArchiveWriter
from tokar.format.compression import Compression
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
head = Head("2026-01-02T03:04:05.000006Z", "full", "ese", "test")
try:
    with ArchiveWriter(FileSink(sys.argv[1]), head, compression=Compression(None)) as writer:
        writer.add(0x44, "x", io.BytesIO(b"tokar" * 2_000_000))
except StorageError as error:
    print(type(error).__name__, error)
"""


@posix
@pytest.mark.parametrize("limit", [0, 1000, 5_000_000, 10_000_500])
def test_a_file_that_cannot_grow_leaves_nothing(tmp_path: Path, limit: int) -> None:
    target = tmp_path / "set.tokar"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(target), str(limit)], check=True, capture_output=True, text=True
    )
    assert done.stdout.startswith("StorageError cannot write: File too large")
    assert names_in(tmp_path) == []


# --- pipes ------------------------------------------------------------------------------------------------------------


@posix
def test_a_pipe_gets_the_bytes_of_a_file() -> None:
    expected = written((0x44, b"x", pattern(20 * CHUNK)))
    reading, writing = os.pipe()
    taken = bytearray()

    def take() -> None:
        with os.fdopen(reading, "rb", buffering=0) as stream:
            while piece := stream.read(4097):
                taken.extend(piece)

    reader = threading.Thread(target=take)
    reader.start()
    try:
        with new_writer(PipeSink(writing), compression=Compression(None)) as writer:
            writer.add(0x44, b"x", io.BytesIO(pattern(20 * CHUNK)), encoding=65001)
    finally:
        os.close(writing)
    reader.join(10)
    assert bytes(taken) == expected


@posix
def test_a_pipe_without_a_reader_is_a_typed_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        with pytest.raises(StorageError, match="Broken pipe"):
            PipeSink(writing).write([b"x", b"y"])
    finally:
        os.close(writing)


@posix
def test_giving_up_on_a_pipe_leaves_an_unsealed_archive() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream:
        writer = new_writer(PipeSink(writing))
        writer.add(0x21, "x", io.BytesIO(bytes(CHUNK)))
        writer.discard()
        os.close(writing)
        assert from_the_front(stream.read()).answer == "unsealed"


@examples(60)
@given(st.lists(st.binary(max_size=40), max_size=6), st.lists(st.integers(1, 30), max_size=40))
def test_all_parts_are_written_however_the_system_cuts_them(parts: list[bytes], cuts: list[int]) -> None:
    out = bytearray()
    allowed = iter(cuts)

    def fake_write(_: int, data: Any) -> int:
        piece = bytes(data)[: next(allowed, 1 << 30)]
        out.extend(piece)
        return len(piece)

    def fake_writev(descriptor: int, pieces: Any) -> int:
        return fake_write(descriptor, b"".join(bytes(piece) for piece in pieces))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", fake_write)
        patch.setattr(os, "writev", fake_writev, raising=False)
        write_all(1, parts)
    assert bytes(out) == b"".join(parts)


def test_what_is_written_is_on_its_way_before_the_sync_once_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[int, int]] = []
    monkeypatch.setattr(durable, "write_behind", lambda _, offset, size: begun.append((offset, size)))
    sink = FileSink(tmp_path / "a")
    for _ in range(40):
        sink.write([bytes(100), bytes(1 << 20)])
    sink.commit()
    assert sum(size for _, size in begun) > 32 << 20
    assert [offset for offset, _ in begun[1:]] == [sum(pair) for pair in begun[:-1]]


def test_an_archive_that_was_written_to_disk_is_read_from_disk(tmp_path: Path) -> None:
    path = tmp_path / "set.tokar"
    content = pattern(9 * CHUNK + 1)
    with new_writer(FileSink(path)) as writer:
        writer.add(0x44, "x", io.BytesIO(content))
    with Archive(path) as archive:
        assert archive.read(archive.find("x")) == content


# --- what `clean` could take for dead ---------------------------------------------------------------------------------


@posix
def test_a_temporary_file_that_is_taken_for_dead_before_it_is_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = durable.lock
    removed: list[Path] = []

    def late(descriptor: int) -> bool:
        if not removed:
            (found,) = find_leftovers(tmp_path)
            remove_leftover(found)
            removed.append(found.path)
        return lock(descriptor)

    monkeypatch.setattr(durable, "lock", late)
    sink = FileSink(tmp_path / "set.tokar")
    assert [one.owner for one in find_leftovers(tmp_path)] == [Owner.AT_WORK]
    sink.write([b"all"])
    sink.commit()
    assert removed
    assert (tmp_path / "set.tokar").read_bytes() == b"all"


@posix
def test_a_temporary_file_that_somebody_locks_first_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, refused = durable.lock, iter([False, False])
    monkeypatch.setattr(durable, "lock", lambda descriptor: next(refused, None) is not False and lock(descriptor))
    sink = FileSink(tmp_path / "set.tokar")
    assert len(names_in(tmp_path)) == 1
    sink.discard()
    assert names_in(tmp_path) == []


def test_a_place_where_everything_is_locked_at_once_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "lock", lambda _: False)
    with pytest.raises(StorageError, match="removed or locked at once by somebody else"):
        FileSink(tmp_path / "set.tokar")
    assert names_in(tmp_path) == []


@posix
def test_what_is_going_to_be_replaced_is_at_work_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set.tokar").write_bytes(b"old")
    sync, seen = durable.sync_directory, []

    def look(folder: Path) -> bool:
        seen.extend(find_leftovers(folder))
        return sync(folder)

    monkeypatch.setattr(durable, "sync_directory", look)
    sink = FileSink(tmp_path / "set.tokar", replace=True)
    sink.commit()
    assert [one.owner for one in seen] == [Owner.AT_WORK]
    assert names_in(tmp_path) == ["set.tokar"]


# --- spools -----------------------------------------------------------------------------------------------------------


def test_a_spool_is_at_work_and_then_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with spooled(io.BytesIO(pattern(3 * CHUNK))) as path:
        assert path.read_bytes() == pattern(3 * CHUNK)
        assert [one.owner for one in find_leftovers(tmp_path)] == [Owner.AT_WORK]
    assert names_in(tmp_path) == []


@posix
def test_the_spool_of_a_process_that_died_is_found_by_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def die() -> None:
        with spooled(io.BytesIO(b"half")):
            os._exit(9)

    assert not dies(Strike(0, "before"), die)
    (found,) = find_leftovers(tmp_path)
    assert found.owner is Owner.GONE
    remove_leftover(found)
    assert names_in(tmp_path) == []


def test_a_spool_that_has_no_place_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with (
        pytest.raises(StorageError, match="cannot keep what comes from standard input") as caught,
        spooled(io.BytesIO()),
    ):
        pass
    assert "TMPDIR" in str(caught.value.hint)
