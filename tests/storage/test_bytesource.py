from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokar.errors import InputError, StorageError
from tokar.storage import bytesource
from tokar.storage.bytesource import PIECE, ByteSource, BytesSource, FileSource, MediumSource, Reread, parts_of

DATA = bytes(range(256)) * 40


@pytest.fixture
def source(tmp_path: Path) -> FileSource:
    (tmp_path / "file").write_bytes(DATA)
    return FileSource(tmp_path / "file")


def open_descriptors() -> list[str]:
    """The descriptors of this process, where the platform tells them."""
    try:
        return [path.name for path in Path("/proc/self/fd").iterdir()]
    except OSError:
        return []


def test_both_are_byte_sources(source: FileSource) -> None:
    assert isinstance(source, ByteSource)
    assert isinstance(BytesSource(b""), ByteSource)
    source.close()


@given(offset=st.integers(0, len(DATA) + 10), size=st.integers(0, len(DATA) + 10))
def test_bytes_are_read_anywhere_and_fewer_only_at_the_end(offset: int, size: int) -> None:
    assert BytesSource(DATA).read(offset, size) == DATA[offset : offset + size]


@pytest.mark.parametrize(
    ("offset", "size"), [(0, 10), (100, 5000), (len(DATA) - 3, 10), (len(DATA), 1), (len(DATA) + 5, 1), (7, 0)]
)
def test_a_file_is_read_as_its_bytes_would_be(source: FileSource, offset: int, size: int) -> None:
    with source:
        assert source.size == len(DATA)
        assert source.read(offset, size) == DATA[offset : offset + size]
        buffer = bytearray(size)
        count = source.readinto(offset, memoryview(buffer))
        assert bytes(buffer[:count]) == DATA[offset : offset + size]


def test_short_reads_of_the_system_are_put_together(source: FileSource, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.pread
    monkeypatch.setattr(os, "pread", lambda descriptor, size, offset: whole(descriptor, min(size, 7), offset))
    with source:
        assert source.read(1, 100) == DATA[1:101]


def test_several_threads_may_read_at_once(source: FileSource) -> None:
    wrong: list[int] = []

    def read(offset: int) -> None:
        wrong.extend(at for at in range(offset, offset + 200) if source.read(at, 9) != DATA[at : at + 9])

    threads = [threading.Thread(target=read, args=(offset,)) for offset in (0, 1000, 5000)]
    with source:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_the_bytes_may_be_any_buffer() -> None:
    assert BytesSource(memoryview(bytearray(DATA))).read(3, 4) == DATA[3:7]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot open: No such file or directory") as caught:
        FileSource(tmp_path / "gone")
    assert caught.value.path == tmp_path / "gone"


def test_a_directory_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot read: it is a directory"):
        FileSource(tmp_path)


def test_a_pipe_is_no_source(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", os.devnull):
        with pytest.raises(StorageError, match="and a file is wanted"):
            FileSource(path)


def test_a_closed_source_cannot_be_read(source: FileSource) -> None:
    source.close()
    source.close()
    with pytest.raises(StorageError, match="cannot read: Bad file descriptor") as caught:
        source.read(5, 1)
    assert caught.value.offset == 5
    with pytest.raises(StorageError):
        source.readinto(0, memoryview(bytearray(1)))


def test_a_refused_open_leaves_no_descriptor_behind(tmp_path: Path) -> None:
    before = len(open_descriptors())
    with pytest.raises(StorageError):
        FileSource(tmp_path)
    assert len(open_descriptors()) == before


@pytest.mark.parametrize("without", [(), ("O_DIRECT",), ("O_DIRECT", "posix_fadvise")])
def test_a_file_is_read_from_the_medium_as_it_is(
    tmp_path: Path, without: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in without:
        monkeypatch.delattr(os, name, raising=False)
    content = os.urandom(3 * 4096 + 17)
    (tmp_path / "file").write_bytes(content)
    with MediumSource(tmp_path / "file") as source:
        for offset, size in ((0, 1), (0, len(content)), (4095, 2), (5000, 9000), (len(content) - 1, 10), (1 << 20, 5)):
            buffer = bytearray(size)
            count = source.readinto(offset, memoryview(buffer))
            assert source.read(offset, size) == buffer[:count] == content[offset : offset + size]
        if len(without) == 2:
            assert source.reread is Reread.CACHE
        elif without:
            assert source.reread in {Reread.EVICTED, Reread.CACHE}
    source.close()


def test_a_medium_that_cannot_be_read_is_a_typed_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    (tmp_path / "file").write_bytes(b"content")
    monkeypatch.setattr(MediumSource, "_read_direct", fail)
    monkeypatch.setattr("tokar.storage.bytesource._pread", fail)
    with MediumSource(tmp_path / "file") as source, pytest.raises(StorageError, match="Input/output error"):
        source.read(0, 1)


def test_a_file_system_without_reads_past_the_cache_is_read_after_it_was_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise OSError(22, "Invalid argument")

    (tmp_path / "file").write_bytes(b"content")
    monkeypatch.setattr(MediumSource, "_read_direct", fail)
    with MediumSource(tmp_path / "file") as source:
        assert source.read(0, 7) == b"content"
        assert source.reread is not Reread.DIRECT


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs pipes that are not waited for")
def test_a_file_that_has_nothing_yet_begins_with_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    monkeypatch.setattr(bytesource, "open_file", lambda _: reading)
    try:
        assert bytesource.read_start("kmsg", 5) == b""
    finally:
        os.close(writing)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs pipes that are not waited for")
def test_a_file_that_has_nothing_yet_is_not_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    monkeypatch.setattr(bytesource, "open_file", lambda _: reading)
    try:
        with pytest.raises(StorageError, match="nothing can be read of it yet"):
            bytesource.read_whole("kmsg", 5)
    finally:
        os.close(writing)


def test_what_is_small_by_nature_is_read_whole_or_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert bytesource.read_whole(tmp_path / "file", 5) == b"12345"
    with pytest.raises(InputError, match="it has more than 4 bytes") as caught:
        bytesource.read_whole(tmp_path / "file", 4)
    assert caught.value.path == tmp_path / "file"


def test_what_is_too_large_to_be_small_by_nature_has_a_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"123456")
    with pytest.raises(InputError) as caught:
        bytesource.read_whole(tmp_path / "file", 5)
    assert caught.value.hint == "was another file meant? name a shorter one"


def sparse(path: Path) -> Path:
    """Data, a hole, zeros that take room, data in the middle of a piece, and a hole to the end."""
    with path.open("wb") as file:
        for at, data in ((0, b"a" * 100), (3 * PIECE, bytes(PIECE)), (6 * PIECE + 5, b"b")):
            file.seek(at)
            file.write(data)
        file.truncate(9 * PIECE + 7)
    return path


@pytest.mark.parametrize("has_holes", [True, False])
def test_zeros_are_counted_whether_they_lie_there_or_are_a_hole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_holes: bool
) -> None:
    if not has_holes:
        monkeypatch.delattr(os, "SEEK_DATA", raising=False)
    with FileSource(sparse(tmp_path / "a")) as source:
        parts = [*parts_of(source)]
        whole = source.read(0, source.size)
    assert b"".join(bytes(one) if isinstance(one, int) else one for one in parts) == whole
    assert [len(one) for one in parts if isinstance(one, bytes)] == [PIECE, PIECE]
    assert [*parts_of(BytesSource(bytes(PIECE + 5) + b"x"))] == [PIECE, bytes(5) + b"x"]
    assert not [*parts_of(BytesSource(b""))]


def test_a_file_that_was_cut_has_no_hole_where_it_ended(tmp_path: Path) -> None:
    path = sparse(tmp_path / "a")
    with FileSource(path) as source:
        os.truncate(path, PIECE)
        assert sum(one if isinstance(one, int) else len(one) for one in parts_of(source)) == PIECE
