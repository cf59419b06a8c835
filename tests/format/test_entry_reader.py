from __future__ import annotations

import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from format_tools import ARCHIVE_ID, CHUNK, ZEROS, Forge, begun, opened, pattern, written

from tokar.errors import CheckMismatchError, DigestMismatchError, FormatError, UnsupportedError
from tokar.format import records
from tokar.format.archive import Archive
from tokar.format.bodies import DoneRecord, FileList, FileRecord
from tokar.format.entry_reader import EntryReader, Window, end_of, read_record
from tokar.format.index import Entry
from tokar.format.records import build_head
from tokar.format.scanner import Scan
from tokar.format.verify import verify
from tokar.storage.bytesource import BytesSource

if TYPE_CHECKING:
    from pathlib import Path

TAG = ARCHIVE_ID[:8]
DATA = bytes(range(256)) * 64


class Watched:
    """A byte source with pieces at any position and zeros between them, that remembers what was asked for."""

    def __init__(self, size: int, pieces: dict[int, bytes]) -> None:
        self.size = size
        self.asked: list[int] = []
        self._pieces = pieces

    def read(self, offset: int, size: int) -> bytes:
        self.asked.append(size)
        out = bytearray(min(size, 1 << 22))
        for start, piece in self._pieces.items():
            low, high = max(start, offset), min(start + len(piece), offset + len(out))
            if low < high:
                out[low - offset : high - offset] = piece[low - start : high - start]
        return bytes(out)


# --- the window -------------------------------------------------------------------------------------------------------


def test_neighbouring_reads_are_served_from_one() -> None:
    source = Watched(len(DATA), {0: DATA})
    window = Window(source)
    pieces = [bytes(window.read(at, 16)) for at in range(0, 4096, 16)]
    assert b"".join(pieces) == DATA[:4096]
    assert len(source.asked) == 2


def test_far_reads_take_no_more_than_they_need() -> None:
    source = Watched(1 << 30, {1 << 29: DATA})
    window = Window(source)
    window.read(0, 100)
    assert bytes(window.read(1 << 29, 100)) == DATA[:100]
    assert source.asked == [100, 100]


def test_a_read_backwards_is_right() -> None:
    window = Window(BytesSource(DATA))
    assert [bytes(window.read(at, 10)) for at in (500, 100, 505, 0)] == [
        DATA[at : at + 10] for at in (500, 100, 505, 0)
    ]


def test_a_read_past_the_end_is_refused() -> None:
    with pytest.raises(FormatError) as caught:
        Window(BytesSource(DATA)).read(len(DATA) - 5, 6)
    assert caught.value.rule == "STATE-1"


# --- one record -------------------------------------------------------------------------------------------------------


def record(kind: bytes = b"PROC", body: bytes = b'{"calls":[]}', position: int = 0) -> bytes:
    return build_head(kind, TAG, position, body)[0] + body


def test_a_record_is_taken_from_the_front_of_its_bytes() -> None:
    head, body = read_record(memoryview(record() + b"more"), TAG, 0, b"PROC")
    assert (head.kind, bytes(body)) == (b"PROC", b'{"calls":[]}')


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (record()[:63], "STATE-4"),
        (record()[:-1], "STATE-4"),
        (record(b"note"), "SEQ-1"),
        (record(position=1), "REC-5"),
        (record()[:-1] + b"!", "REC-8"),
        (b"", "STATE-4"),
    ],
)
def test_what_is_not_the_record_is_refused(data: bytes, rule: str) -> None:
    with pytest.raises(FormatError) as caught:
        read_record(memoryview(data), TAG, 0, b"PROC")
    assert (caught.value.rule, caught.value.offset) == (rule, 0)


def test_a_record_of_an_unknown_kind_is_unsupported() -> None:
    with pytest.raises(UnsupportedError):
        read_record(memoryview(record(b"PLUS")), TAG, 0, b"PROC")


def test_a_kind_that_is_asked_for_and_is_no_text_gives_a_typed_error() -> None:
    with pytest.raises(FormatError):
        read_record(memoryview(record()), TAG, 0, b"n\xff\xff\xff")


# --- entries ----------------------------------------------------------------------------------------------------------


def reader_of(archive: Forge) -> tuple[EntryReader, Entry, int]:
    source = BytesSource(bytes(archive.data))
    found = opened(archive)
    entry = found.entry(len(found) - 1)
    return EntryReader(source, TAG), entry, found.end_of(entry)


def test_the_records_of_an_entry_are_proven() -> None:
    archive = begun().file().chunk(bytes(CHUNK), codec=ZEROS).chunk(b"x").finish()
    reader, entry, end = reader_of(archive)
    found = reader.records(entry, end)
    assert found.file.name == b"E.LOG"
    assert list(found.data_positions) == [*archive.starts[b"DATA"], archive.starts[b"DONE"][0]]


@pytest.mark.parametrize("field", ["token", "file_list", "encoding", "raw_name", "size", "digest", "done_check"])
def test_a_row_of_the_index_that_disagrees_is_refused(field: str) -> None:
    reader, entry, end = reader_of(begun().entry().finish())
    other: dict[str, Any] = {
        "token": 0x22,
        "file_list": FileList.DYNAMIC_FILES,
        "encoding": 932,
        "raw_name": b"e.log",
        "size": 7,
        "digest": bytes(32),
        "done_check": bytes(32),
    }
    with pytest.raises(FormatError) as caught:
        reader.records(entry._replace(**{field: other[field]}), end)
    assert caught.value.rule == "INDX-2"


@pytest.mark.parametrize("change", [-1, 1])
def test_an_end_that_is_not_that_of_done_is_refused(change: int) -> None:
    reader, entry, end = reader_of(begun().entry().finish())
    with pytest.raises(FormatError):
        reader.records(entry, end + change)


def test_a_chunk_that_done_does_not_name_is_refused() -> None:
    archive = begun().file().chunk()
    one = archive.open.data_heads[0]
    reader, entry, end = reader_of(archive.done(data_checks=[bytes(32)]).finish())
    found = reader.records(entry, end)
    with pytest.raises(CheckMismatchError) as caught:
        reader.read(found, 0, 1)
    assert (caught.value.rule, caught.value.offset) == ("DONE-2", one.position)


def test_a_wrong_digest_is_found_after_the_last_chunk() -> None:
    reader, entry, end = reader_of(begun().file().chunk(pattern(CHUNK)).chunk(b"x").done(digest=bytes(32)).finish())
    chunks = reader.chunks(reader.records(entry, end))
    assert bytes(next(chunks).data or b"") == pattern(CHUNK)
    assert bytes(next(chunks).data or b"") == b"x"
    with pytest.raises(DigestMismatchError) as caught:
        next(chunks)
    assert caught.value.rule == "DONE-5"


def test_a_range_of_a_file_with_a_wrong_digest_is_still_proven_by_its_checks() -> None:
    reader, entry, end = reader_of(begun().file().chunk(b"tokar\n").done(digest=bytes(32)).finish())
    assert reader.read(reader.records(entry, end), 2, 4) == b"ka"


def test_chunks_that_nobody_takes_leave_no_thread_behind() -> None:
    archive = opened(written((0x44, b"large", pattern(30 * CHUNK))))
    chunks = archive.chunks(archive.entry(0))
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    assert archive.read(archive.entry(0), 0, 4) == pattern(4)


def test_damage_found_by_the_thread_that_reads_ahead_comes_out() -> None:
    data = bytearray(written((0x44, b"large", pattern(30 * CHUNK))))
    archive = opened(bytes(data))
    at = archive.records(archive.entry(0)).data_positions[17]
    data[at + 100] ^= 1
    archive = opened(bytes(data))
    with pytest.raises(FormatError) as caught:
        for _ in archive.chunks(archive.entry(0)):
            pass
    assert (caught.value.rule, caught.value.offset) == ("REC-8", at)


@pytest.mark.parametrize("hungry", [True, False])
@pytest.mark.parametrize("level", [None, 1])
@pytest.mark.parametrize(("at", "rule"), [(10, "REC-1"), (64, "REC-8"), (76, "REC-8"), (80, "REC-8"), (-1, "REC-8")])
def test_no_byte_of_a_damaged_chunk_comes_out_whoever_demands_its_check(
    *, hungry: bool, level: int | None, at: int, rule: str
) -> None:
    content = pattern(20 * CHUNK)
    data = bytearray(written((0x44, b"large", content), level=level))
    archive = opened(bytes(data))
    positions = archive.records(archive.entry(0)).data_positions
    data[positions[12] + at if at >= 0 else positions[13] + at] ^= 1
    archive = opened(bytes(data))
    came = bytearray()

    def take() -> None:
        for chunk in archive.chunks(archive.entry(0)):
            came.extend(bytes(chunk.data or b""))
            if not hungry:
                time.sleep(0.01)  # so that the thread that reads is ahead

    with pytest.raises(FormatError) as caught:
        take()
    assert (caught.value.rule, caught.value.offset) == (rule, positions[12])
    assert bytes(came) == content[: 12 * CHUNK]


@pytest.mark.parametrize("use", ["chunks", "verify", "scan"])
def test_memory_is_a_few_chunks_whatever_the_size_of_a_file(tmp_path: Path, use: str) -> None:
    path = tmp_path / "large.tokar"
    path.write_bytes(written((0x44, b"large", pattern(1 << 20) * 40), chunk_log2=20))
    tracemalloc.start()
    try:
        with Archive(path) as archive, path.open("rb") as stream:
            if use == "chunks":
                assert sum(chunk.size for chunk in archive.chunks(archive.entry(0))) == 40 << 20
            elif use == "verify":
                verify(archive, content=True, threads=2).demand()
            else:
                assert len(list(map(type, Scan(stream, decode=True)))) == 48
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 << 20


# --- what a hostile archive can make it read --------------------------------------------------------------------------


def huge_entry(data_lengths: list[int], *, gap: int = 0) -> tuple[Watched, Entry, int]:
    """An entry that is right, whose chunks are said to have these lengths; `gap` bytes follow DONE."""
    file = FileRecord(0, 0, 0x44, FileList.BY_HAND, None, None, False, 16, b"x")
    body = file.build()
    head, file_check = build_head(b"FILE", TAG, 0, body)
    pieces = {0: head + body}
    at = len(head + body) + sum(64 + length for length in data_lengths)
    size = CHUNK * len(data_lengths)
    done_body = DoneRecord(0, size, bytes(32), file_check, data_lengths, bytes(32) * len(data_lengths)).build()
    head, done_check = build_head(b"DONE", TAG, at, done_body)
    pieces[at] = head + done_body
    end = at + len(head + done_body) + gap
    entry = Entry(0, 0x44, FileList.BY_HAND, 0, b"x", size, bytes(32), 0, at, done_check)
    return Watched(end, pieces), entry, end


def test_lengths_within_the_limit_are_believed() -> None:
    source, entry, end = huge_entry([100, 16_777_232])
    assert len(EntryReader(source, TAG).records(entry, end).data_positions) == 3


@pytest.mark.parametrize("lengths", [[16_777_233], [0xFFFFFFFF], [16, 0xFFFFFFFF, 16]])
def test_a_chunk_that_is_said_to_be_too_long_is_refused_before_memory_is_taken(lengths: list[int]) -> None:
    source, entry, end = huge_entry(lengths)
    with pytest.raises(FormatError) as caught:
        EntryReader(source, TAG).records(entry, end)
    assert caught.value.rule == "DONE-2"
    assert max(source.asked) < 1 << 20


def test_room_after_done_is_not_read() -> None:
    source, entry, end = huge_entry([16_000_000], gap=1 << 40)
    with pytest.raises(FormatError) as caught:
        EntryReader(source, TAG).records(entry, end)
    assert caught.value.rule == "STATE-4"
    assert max(source.asked) <= 64 + 80 + 36 * (1 << 20)


@pytest.mark.parametrize("distance", [0, 1, 10, 63, 64, 96])
def test_a_done_that_is_said_to_stand_too_close_is_refused(distance: int) -> None:
    source, entry, end = huge_entry([16_000_000])
    with pytest.raises(FormatError):
        EntryReader(source, TAG).records(entry._replace(done_position=distance), end)
    small, row, small_end = reader_of(begun().entry().finish())
    with pytest.raises(FormatError):
        small.records(row._replace(done_position=row.file_position + distance), small_end)


# --- where an entry ends ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("next_file", "outside", "end"),
    [(None, [32, 500], 500), (400, [32, 500], 400), (700, [32, 500, 900], 500), (None, [32, 301, 500], 301)],
)
def test_an_entry_ends_where_the_next_record_begins(next_file: int | None, outside: list[int], end: int) -> None:
    assert end_of(0, next_file, outside, 300) == end


def test_an_entry_after_root_has_no_end() -> None:
    with pytest.raises(FormatError) as caught:
        end_of(7, None, [32, 100], 300)
    assert (caught.value.rule, caught.value.offset) == ("STATE-4", 300)


def test_the_size_of_a_head_is_that_of_the_specification() -> None:
    assert records.HEAD_SIZE == 64
