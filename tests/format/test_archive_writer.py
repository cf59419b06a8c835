from __future__ import annotations

import contextlib
import io
import threading
import tracemalloc
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from blake3 import blake3
from format_tools import (
    ARCHIVE_ID,
    CHUNK,
    HEAD,
    MemorySink,
    Shreds,
    begun,
    from_the_front,
    from_the_tail,
    new_writer,
    opened,
    pattern,
    written,
)
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

from tokar.errors import ArchiveError, FormatError, InputError, SourceChangedError, StorageError
from tokar.format.bodies import Codec, FileList
from tokar.format.compression import Compression
from tokar.format.metadata import Head
from tokar.format.pipeline import WatchedStream
from tokar.format.records import TrailingRecord
from tokar.format.writer import ArchiveWriter
from tokar.storage.bytesource import BytesSource

BORDERS = [0, 1, 63, 64, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 1, 5 * CHUNK]


def codecs_of(data: bytes, number: int = 0) -> list[int]:
    archive = opened(data)
    return [chunk.codec for chunk in archive.chunks(archive.entry(number))]


# --- what goes in comes out -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [None, 1])
@pytest.mark.parametrize("size", BORDERS)
def test_content_comes_back_at_every_border(size: int, level: int | None) -> None:
    data = written((0x44, b"x", pattern(size)), level=level)
    archive = opened(data)
    assert archive.read(archive.entry(0)) == pattern(size)
    assert archive.entry(0).digest == blake3(pattern(size)).digest()
    assert from_the_front(data).answer == from_the_tail(data).answer == "sealed"


@examples(60)
@given(
    st.sampled_from(BORDERS),
    st.integers(-2, 2),
    st.integers(0, 255),
    st.binary(min_size=1, max_size=30),
    st.integers(0, 0xFFFF),
    st.lists(st.integers(1, 3 * CHUNK), max_size=8),
    st.sampled_from([None, 1, 3]),
    st.sampled_from([b"\0", b"a", b"tokar\n", bytes(range(256))]),
)
def test_any_file_comes_back_however_its_source_delivers_it(  # noqa: PLR0917 - one argument for each strategy
    size: int, shift: int, token: int, name: bytes, encoding: int, shreds: list[int], level: int | None, unit: bytes
) -> None:
    size = max(0, size + shift)
    content = (unit * (size // len(unit) + 1))[:size]
    sink = MemorySink()
    with new_writer(sink, compression=Compression(level)) as writer:
        writer.add(token, name, Shreds(content, shreds), encoding=encoding)
    archive = opened(bytes(sink.data))
    entry = archive.entry(0)
    assert (entry.token, entry.raw_name, entry.encoding, entry.size) == (token, name, encoding, size)
    assert archive.read(entry) == content
    assert bytes(sink.data) == written_with(token, name, encoding, content, level)


def written_with(token: int, name: bytes, encoding: int, content: bytes, level: int | None) -> bytes:
    sink = MemorySink()
    with new_writer(sink, compression=Compression(level)) as writer:
        writer.add(token, name, io.BytesIO(content), encoding=encoding)
    return bytes(sink.data)


@pytest.mark.parametrize("level", [None, 1])
def test_the_number_of_threads_does_not_show(level: int | None) -> None:
    files = [(0x44, b"%d" % size, pattern(size) + b"z" * 50_000 + bytes(CHUNK)) for size in BORDERS]
    one, four = (written(*files, level=level, threads=threads) for threads in (1, 4))
    assert one == four


@pytest.mark.parametrize("level", [None, 1])
def test_files_of_one_chunk_make_the_same_bytes_from_a_stream_and_from_memory(level: int | None) -> None:
    files = [(0x44, b"%d" % at, pattern(size)) for at, size in enumerate([10, CHUNK, 40_000, 5, 0, CHUNK, CHUNK - 1])]
    with new_writer(quick := MemorySink(), compression=Compression(level)) as writer:
        for token, name, content in files:
            writer.add_bytes(token, name, content, encoding=65001)
    with new_writer(streamed := MemorySink(), compression=Compression(level)) as writer:
        for token, name, content in files:
            writer.add(token, name, io.BytesIO(content), encoding=65001, announced_size=len(content))
    assert from_the_tail(bytes(quick.data)).answer == "sealed"
    assert streamed.data == quick.data


def test_the_writer_makes_the_worked_example() -> None:
    assert written((0x21, b"E.LOG", b"tokar\n")) == bytes(begun().entry().finish().data)


def test_the_writer_makes_what_is_built_by_hand() -> None:
    sink = MemorySink()
    with new_writer(sink, compression=Compression(None)) as writer:
        writer.add_calls([{"call": "Prepare"}])
        writer.add(
            0x44,
            b"x.edb",
            io.BytesIO(pattern(CHUNK) + bytes(CHUNK) + b"end"),
            encoding=932,
            file_list=FileList.DATABASE_NAMES,
            announced_size=2 * CHUNK + 3,
            modified=-7,
        )
        writer.add_extra(b"note", b"for a newer reader")
        writer.add_bytes(0x21, "E.LOG", b"")
        writer.add_calls([{"call": "End"}])
    archive = begun().proc("Prepare")
    archive.file(b"x.edb", token=0x44, encoding=932, list=1, announced_size=2 * CHUNK + 3, modified=-7, flags=3)
    archive.chunk(pattern(CHUNK)).chunk(bytes(CHUNK), codec=Codec.ZEROS).chunk(b"end").done().lower_case()
    archive.entry(b"", announced_size=0, flags=2).proc("End")
    assert bytes(sink.data) == bytes(archive.finish().data)


def test_text_is_stored_as_utf8() -> None:
    with new_writer(sink := MemorySink()) as writer:
        writer.add_bytes(0x21, "Ünï\\€.log", b"")
    entry = opened(bytes(sink.data)).entry(0)
    assert (entry.raw_name, entry.encoding, entry.name) == ("Ünï\\€.log".encode(), 65001, "Ünï\\€.log")


def test_the_longest_name_is_taken() -> None:
    archive = opened(written((0x21, b"n" * 0xFFFF, b"x")))
    assert archive.entry(0).raw_name == b"n" * 0xFFFF


@pytest.mark.parametrize("modified", [None, 0, -(1 << 63), (1 << 63) - 1])
@pytest.mark.parametrize("quick", [False, True])
def test_modification_times_come_back(modified: int | None, *, quick: bool) -> None:
    with new_writer(sink := MemorySink()) as writer:
        if quick:
            writer.add_bytes(0x21, "x", b"", modified=modified)
        else:
            writer.add(0x21, "x", io.BytesIO(), modified=modified)
    archive = opened(bytes(sink.data))
    assert archive.entry(0).modified == modified


def test_the_entry_that_is_returned_is_the_one_that_is_read() -> None:
    with new_writer(sink := MemorySink()) as writer:
        entries = [writer.add(0x44, "large", io.BytesIO(pattern(3 * CHUNK))), writer.add_bytes(0x21, "small", b"x")]
        assert (writer.entry_count, writer.content_size) == (2, 3 * CHUNK + 1)
    assert list(opened(bytes(sink.data))) == entries


@pytest.mark.parametrize("size", [0, 7, CHUNK, 3 * CHUNK + 5])
def test_what_is_stored_is_read_back_before_the_end(size: int) -> None:
    writer = new_writer(sink := MemorySink())
    entries = [writer.add(0x44, name, io.BytesIO(pattern(size))) for name in ("first", "last")]
    writer.flush()
    for entry in entries:
        stored = writer.stored(BytesSource(bytes(sink.data)), entry)
        assert (stored.size, stored.read(0, size), stored.read(3, 9)) == (size, pattern(size), pattern(size)[3:12])
    writer.add_bytes(0x21, "more", b"")
    writer.seal()
    assert len(opened(bytes(sink.data))) == 3


@pytest.mark.parametrize("keep", [0, 40, -1])
def test_what_is_not_there_is_not_read_back(keep: int) -> None:
    writer = new_writer(sink := MemorySink())
    entry = writer.add(0x44, "x", io.BytesIO(pattern(CHUNK)))
    writer.flush()
    with pytest.raises(FormatError):
        writer.stored(BytesSource(bytes(sink.data[:keep])), entry)


def test_what_is_sealed_is_told() -> None:
    writer = new_writer(sink := MemorySink())
    writer.add_bytes(0x21, "x", b"tokar\n")
    sealed = writer.seal()
    archive = opened(bytes(sink.data))
    assert (sealed.id, sealed.root, sealed.size) == (ARCHIVE_ID, archive.root, len(sink.data))
    assert (sealed.entries, sealed.content_size) == (1, 6)


def test_what_is_known_at_the_end_is_in_the_summary() -> None:
    writer = new_writer(sink := MemorySink(), compression=Compression(None))
    writer.seal(outcome="partial", notes=["one"], generations={"low": 1, "high": 2})
    summary = opened(bytes(sink.data)).summary
    assert (summary.outcome, summary.finished) == ("partial", "2026-01-02T03:04:06.000007Z")
    assert summary.extra == {"notes": ["one"], "generations": {"low": 1, "high": 2}}


def test_the_version_of_the_compressor_is_kept_where_it_matters() -> None:
    assert "zstd" in opened(written(level=1)).summary.extra
    assert "zstd" not in opened(written(level=None)).summary.extra


def test_ids_are_random_and_times_are_now() -> None:
    one, other = MemorySink(), MemorySink()
    for sink in (one, other):
        with ArchiveWriter(sink, HEAD):
            pass
    assert opened(bytes(one.data)).id != opened(bytes(other.data)).id
    finished = datetime.fromisoformat(opened(bytes(one.data)).summary.finished)
    assert abs((datetime.now(UTC) - finished).total_seconds()) < 60


# --- how chunks are stored --------------------------------------------------------------------------------------------


def test_chunks_are_stored_as_it_suits_them() -> None:
    noise = blake3(b"noise").digest(length=CHUNK)
    data = written((0x44, b"x", b"a" * CHUNK + bytes(CHUNK) + noise + b"short"), level=1)
    assert codecs_of(data) == [Codec.ZSTD, Codec.ZEROS, Codec.STORED, Codec.STORED]


def test_without_compression_only_zeros_are_recognised() -> None:
    assert codecs_of(written((0x44, b"x", b"a" * CHUNK + bytes(CHUNK)), level=None)) == [Codec.STORED, Codec.ZEROS]


def test_chunk_sizes_change_from_file_to_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokar.format.records.MAX_CHUNKS", 4)
    with new_writer(sink := MemorySink()) as writer:
        for number, chunks in enumerate((4, 5, 1, 9)):
            content = pattern(chunks * CHUNK)
            writer.add(0x44, f"{number}", io.BytesIO(content), announced_size=len(content))
    archive = opened(bytes(sink.data))
    assert [archive.records(entry).file.chunk_log2 for entry in archive] == [16, 17, 16, 18]
    assert from_the_tail(bytes(sink.data)).answer == "sealed"


def test_watchers_see_all_content_in_order() -> None:
    seen, counted = bytearray(), list[int]()
    content = pattern(3 * CHUNK + 5)
    with new_writer() as writer:
        for number, size in enumerate((len(content), 100, 0, CHUNK)):
            watchers = (seen.extend, lambda part: counted.append(len(part)))
            writer.add(0x44, f"{number}", WatchedStream(Shreds(content[:size], [3000]), *watchers))
    assert bytes(seen) == content + content[:100] + content[:CHUNK]
    assert counted == [CHUNK, CHUNK, CHUNK, 5, 100, CHUNK]


def test_a_watched_stream_is_not_read_after_its_end() -> None:
    class Once(io.BytesIO):
        def readinto(self, buffer: Any, /) -> int:
            assert not self.closed
            count = super().readinto(buffer)
            if not count:
                self.close()
            return count

    with new_writer() as writer:
        assert writer.add(0x44, "x", WatchedStream(Once(b"tokar"))).size == 5


# --- memory -----------------------------------------------------------------------------------------------------------


class Pouring:
    """A source of so many bytes that are never in memory at once."""

    def __init__(self, size: int, unit: bytes) -> None:
        self._left = size
        self._unit = unit

    def readinto(self, buffer: Any, /) -> int:
        size = min(len(buffer), self._left, len(self._unit))
        buffer[:size] = self._unit[:size]
        self._left -= size
        return size


class CountingSink(MemorySink):
    """Forgets what it is given."""

    size = 0

    def write(self, parts: Any) -> None:
        self.size += sum(memoryview(part).nbytes for part in parts)


@pytest.mark.parametrize(
    "unit", [bytes(1 << 20), b"tokar\n" * 170_000, pattern(1 << 20)], ids=["zeros", "text", "numbers"]
)
def test_memory_is_a_few_chunks_whatever_the_size_of_a_file(unit: bytes) -> None:
    sink = CountingSink()
    size = 256 << 20 if not unit[0] else 64 << 20
    tracemalloc.start()
    try:
        with new_writer(sink, compression=Compression(1), chunk_log2=20, threads=2) as writer:
            assert writer.add(0x44, "large", Pouring(size, unit)).size == size
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 24 << 20


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize(
    ("token", "name", "options"),
    [
        (-1, "x", {}),
        (256, "x", {}),
        (1, "", {}),
        (1, b"", {}),
        (1, b"n" * 65_536, {}),
        (1, b"x", {"encoding": -1}),
        (1, b"x", {"encoding": 65_536}),
        (1, "x", {"modified": 1 << 63}),
        (1, "x", {"modified": -(1 << 63) - 1}),
    ],
)
def test_arguments_out_of_range_are_refused_and_the_writer_goes_on(
    token: int, name: str | bytes, options: dict[str, Any], *, quick: bool
) -> None:
    with new_writer(sink := MemorySink()) as writer:
        quickly, slowly = partial(writer.add_bytes, token, name, b""), partial(writer.add, token, name, io.BytesIO())
        with pytest.raises(InputError):
            (quickly if quick else slowly)(**options)
        writer.add_bytes(0x21, "good", b"")
    assert from_the_front(bytes(sink.data)).answer == "sealed"


@pytest.mark.parametrize("announced", [-1, 1 << 63])
def test_an_announced_size_out_of_range_is_refused(announced: int) -> None:
    with new_writer() as writer, pytest.raises(InputError):
        writer.add(1, "x", io.BytesIO(), announced_size=announced)


def test_content_that_is_too_large_for_the_quick_way_is_refused_and_the_writer_goes_on() -> None:
    with new_writer(sink := MemorySink()) as writer:
        with pytest.raises(InputError):
            writer.add_bytes(1, "x", bytes(CHUNK + 1))
        writer.add_bytes(1, "x", bytes(CHUNK))
    assert from_the_front(bytes(sink.data)).answer == "sealed"


@pytest.mark.parametrize(
    ("kind", "body"),
    [(b"NOTE", b""), (b"noTe", b""), (b"not", b""), (b"notes", b""), (b"no7e", b""), (b"n\xf6te", b"")],
)
def test_a_kind_that_is_not_lower_case_is_refused(kind: bytes, body: bytes) -> None:
    with new_writer() as writer, pytest.raises(InputError):
        writer.add_extra(kind, body)


@pytest.mark.parametrize("chunk_log2", [15, 25])
def test_a_chunk_size_out_of_range_is_refused(chunk_log2: int) -> None:
    with pytest.raises(InputError):
        new_writer(chunk_log2=chunk_log2)


@pytest.mark.parametrize("size", [0, 8, 15, 17])
def test_an_id_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(InputError):
        new_writer(archive_id=bytes(size))


def test_a_head_that_readers_would_refuse_is_refused_before_anything_is_written() -> None:
    sink = MemorySink()
    with pytest.raises(FormatError):
        ArchiveWriter(sink, Head("today", "full", "ese", "x"))
    assert not sink.data


def test_calls_without_names_are_refused_and_the_writer_goes_on() -> None:
    with new_writer(sink := MemorySink()) as writer:
        with pytest.raises(FormatError):
            writer.add_calls([{}])
        writer.add_calls([{"call": "End"}])
    assert from_the_front(bytes(sink.data)).answer == "sealed"


# --- failures ---------------------------------------------------------------------------------------------------------


def failing_steps() -> dict[str, tuple[type[ArchiveError], Any]]:
    def duplicate(writer: ArchiveWriter) -> None:
        writer.add_bytes(0x21, "first", b"")

    def slow_duplicate(writer: ArchiveWriter) -> None:
        writer.add(0x21, "first", io.BytesIO())

    def changed(writer: ArchiveWriter) -> None:
        writer.add(0x21, "changed", io.BytesIO(b"12345"), announced_size=6)

    def changed_large(writer: ArchiveWriter) -> None:
        writer.add(0x21, "changed", io.BytesIO(pattern(3 * CHUNK)), announced_size=3 * CHUNK + 1)

    return {
        "duplicate": (FormatError, duplicate),
        "slow duplicate": (FormatError, slow_duplicate),
        "changed": (SourceChangedError, changed),
        "changed large": (SourceChangedError, changed_large),
    }


@pytest.mark.parametrize("step", failing_steps())
def test_after_a_failed_step_nothing_more_is_taken_and_nothing_is_sealed(step: str) -> None:
    error, act = failing_steps()[step]
    writer = new_writer(sink := MemorySink())
    writer.add_bytes(0x21, "first", b"")
    with pytest.raises(error):
        act(writer)
    for again in (
        lambda: writer.add(0x21, "x", io.BytesIO()),
        lambda: writer.add_bytes(0x21, "x", b""),
        lambda: writer.add_calls([{"call": "End"}]),
        lambda: writer.add_extra(b"note", b""),
        writer.seal,
    ):
        with pytest.raises(InputError, match="broken"):
            again()
    writer.discard()
    assert (sink.committed, sink.discarded) == (False, True)


@pytest.mark.parametrize("step", failing_steps())
def test_a_failed_step_inside_a_with_block_leaves_nothing(step: str) -> None:
    error, act = failing_steps()[step]
    sink = MemorySink()

    def write() -> None:
        with new_writer(sink) as writer:
            writer.add_bytes(0x21, "first", b"")
            act(writer)

    with pytest.raises(error):
        write()
    assert (sink.committed, sink.discarded) == (False, True)


@pytest.mark.parametrize("step", failing_steps())
def test_a_failed_step_that_is_swallowed_is_not_taken_for_a_seal(step: str) -> None:
    error, act = failing_steps()[step]
    sink = MemorySink()

    def write() -> None:
        with new_writer(sink) as writer:
            writer.add_bytes(0x21, "first", b"")
            with contextlib.suppress(error):
                act(writer)

    with pytest.raises(InputError, match="broken"):
        write()
    assert (sink.committed, sink.discarded) == (False, True)


def test_what_happens_in_the_block_comes_out_of_it() -> None:
    sink = MemorySink()
    with pytest.raises(KeyboardInterrupt), new_writer(sink):
        raise KeyboardInterrupt
    assert (sink.committed, sink.discarded) == (False, True)


def test_after_the_seal_nothing_more_is_taken() -> None:
    writer = new_writer(sink := MemorySink())
    writer.seal()
    size = len(sink.data)
    with pytest.raises(InputError, match="sealed"):
        writer.add_bytes(0x21, "x", b"")
    with pytest.raises(InputError, match="sealed"):
        writer.seal()
    writer.discard()
    assert (sink.committed, sink.discarded, len(sink.data)) == (True, False, size)


def test_after_giving_up_nothing_more_is_taken() -> None:
    writer = new_writer()
    writer.discard()
    with pytest.raises(InputError, match="discarded"):
        writer.add_bytes(0x21, "x", b"")


class Breaking:
    """A source that fails after some chunks."""

    def __init__(self, good: int) -> None:
        self._good = good

    def readinto(self, buffer: Any, /) -> int:
        if not self._good:
            raise OSError(5, "Input/output error")
        self._good -= 1
        buffer[:] = pattern(len(buffer))
        return len(buffer)


@pytest.mark.parametrize("good", [0, 1, 3, 30])
@pytest.mark.parametrize("level", [None, 1])
def test_a_source_that_fails_leaves_no_thread_and_no_archive(good: int, level: int | None) -> None:
    before = threading.active_count()
    sink = MemorySink()
    with (
        pytest.raises(OSError, match="Input/output"),
        new_writer(sink, compression=Compression(level), threads=3) as writer,
    ):
        writer.add(0x44, "x", Breaking(good))
    assert (sink.committed, sink.discarded) == (False, True)
    assert threading.active_count() == before


@pytest.mark.parametrize("room", [0, 5 * CHUNK, 20 * CHUNK])
@pytest.mark.parametrize("level", [None, 1])
def test_a_full_disk_surfaces_from_the_thread_that_writes(room: int, level: int | None) -> None:
    before = threading.active_count()
    sink = MemorySink(room=room)
    with (
        pytest.raises(StorageError, match="No space"),
        new_writer(sink, compression=Compression(level), threads=2) as writer,
    ):
        writer.add(0x44, "x", io.BytesIO(blake3(b"noise").digest(length=40 * CHUNK)))
    assert (sink.committed, sink.discarded) == (False, True)
    assert threading.active_count() == before


@pytest.mark.parametrize("room", [0, 5 * CHUNK, 39 * CHUNK])
def test_a_full_disk_surfaces_where_every_file_is_one_chunk(room: int) -> None:
    before = threading.active_count()
    sink = MemorySink(room=room)
    files = [(0x44, b"%d" % number, pattern(CHUNK)) for number in range(40)]

    def write() -> None:
        with new_writer(sink, compression=Compression(None)) as writer:
            for token, name, content in files:
                writer.add(token, name, io.BytesIO(content))

    with pytest.raises(StorageError, match="No space"):
        write()
    assert (sink.committed, sink.discarded) == (False, True)
    assert threading.active_count() == before


def test_what_was_flushed_is_written_although_another_thread_writes() -> None:
    sink = MemorySink()
    with new_writer(sink, compression=Compression(None)) as writer:
        for number in range(20):
            writer.add(0x44, f"{number}", io.BytesIO(pattern(CHUNK)))
            writer.flush()
            assert len(sink.data) > (number + 1) * CHUNK


def test_a_full_disk_at_the_very_end_is_no_seal() -> None:
    size = len(written((0x21, b"x", b"tokar\n")))
    sink = MemorySink(room=size - 1)
    with pytest.raises(StorageError), new_writer(sink) as writer:
        writer.add(0x21, b"x", io.BytesIO(b"tokar\n"), encoding=65001)
    assert (sink.committed, sink.discarded) == (False, True)


def test_a_compressor_that_fails_surfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    def fall_over(_: Any, __: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(Compression, "encode", fall_over)
    sink = MemorySink()
    with pytest.raises(MemoryError), new_writer(sink, compression=Compression(1), threads=2) as writer:
        writer.add(0x44, "x", io.BytesIO(pattern(5 * CHUNK)))
    assert sink.discarded


def test_what_an_examiner_raises_comes_out() -> None:
    def refuse(_: memoryview) -> None:
        raise ZeroDivisionError

    for size in (10, 3 * CHUNK):
        sink = MemorySink()
        with pytest.raises(ZeroDivisionError), new_writer(sink) as writer:
            writer.add(0x44, "x", WatchedStream(io.BytesIO(pattern(size)), refuse))
        assert sink.discarded


def test_a_commit_that_fails_is_no_seal() -> None:
    class Refusing(MemorySink):
        def commit(self) -> None:
            raise StorageError("cannot rename")

    sink = Refusing()
    with pytest.raises(StorageError), new_writer(sink):
        pass
    assert sink.discarded


def test_an_archive_that_was_not_finished_is_unsealed() -> None:
    writer = new_writer(sink := MemorySink(), compression=Compression(None))
    writer.add(0x44, "x", io.BytesIO(pattern(40 * CHUNK)))
    writer.discard()
    assert from_the_front(bytes(sink.data)).answer == "unsealed"


@pytest.mark.parametrize(
    ("trailing", "rule"),
    [([b""] * 17, "LOW-1"), ([bytes(65_537)], "REC-7")],
    ids=["too many", "too large"],
)
def test_what_no_reader_takes_after_the_root_is_not_written(trailing: list[bytes], rule: str) -> None:
    sink = MemorySink()
    writer = new_writer(sink)
    writer.after_root = lambda _: [TrailingRecord(b"sign", body) for body in trailing]
    with pytest.raises(FormatError) as caught:
        writer.seal()
    assert (caught.value.rule, sink.committed) == (rule, False)


def test_what_stands_after_the_root_is_asked_for_when_the_root_is_known() -> None:
    sink, asked = MemorySink(), []

    def after_root(root: bytes) -> list[TrailingRecord]:
        asked.append(root)
        return [TrailingRecord(b"sign", root)]

    writer = new_writer(sink)
    writer.after_root = after_root
    sealed = writer.seal()
    assert asked == [sealed.root]
    assert opened(bytes(sink.data)).trailing == [(b"sign", sealed.root)]
