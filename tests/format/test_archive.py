from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from format_tools import (
    ARCHIVE_ID,
    CHUNK,
    ZEROS,
    ZSTD,
    Forge,
    begun,
    from_the_tail,
    opened,
    pattern,
    rle_block,
    written,
    zstd_frame,
)
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

from tokar.errors import BadMagicError, FormatError, NoSuchEntryError, StorageError, UnsealedError
from tokar.format import index, records
from tokar.format.archive import Archive, chosen_of, tokens_of
from tokar.format.bodies import FileList
from tokar.storage.bytesource import BytesSource

if TYPE_CHECKING:
    from pathlib import Path

FRAME = zstd_frame(CHUNK, rle_block(b"z", CHUNK))
CONTENT = pattern(CHUNK) + b"z" * CHUNK + bytes(CHUNK) + pattern(1000)


class Recording:
    """A byte source that remembers which ranges were read."""

    def __init__(self, data: bytes) -> None:
        self._source = BytesSource(data)
        self.ranges: list[tuple[int, int]] = []

    @property
    def size(self) -> int:
        return self._source.size

    def read(self, offset: int, size: int) -> bytes:
        self.ranges.append((offset, offset + size))
        return self._source.read(offset, size)

    def touched(self, start: int, end: int) -> bool:
        return any(low < end and start < high for low, high in self.ranges)


def mixed() -> Forge:
    """Three entries; the one in the middle has a chunk of every codec."""
    archive = begun().proc().entry(b"first", b"1.log")
    archive.file(b"2.edb", token=0x44, list=1, modified=12345, flags=1).chunk(pattern(CHUNK))
    archive.chunk(b"z" * CHUNK, codec=ZSTD, stored=FRAME).chunk(bytes(CHUNK), codec=ZEROS).chunk(pattern(1000)).done()
    return archive.lower_case().entry(b"", b"3.log").finish()


MIXED = bytes(mixed().data)


def test_an_archive_says_what_it_is() -> None:
    archive = opened(mixed())
    assert (archive.id, archive.root, archive.size) == (ARCHIVE_ID, mixed().root_digest, len(MIXED))
    assert (archive.head.profile, archive.summary.entries, archive.entry_count, len(archive)) == ("ese", 3, 3, 3)
    assert [row.kind for row in archive.rows] == [b"HEAD", b"PROC", b"note", b"SUMM", b"HEAD", b"INDX"]


def test_entries_come_in_order_with_what_their_records_say() -> None:
    first, second, third = opened(MIXED)
    assert (first.name, second.name, third.name) == ("1.log", "2.edb", "3.log")
    assert (second.number, second.token, second.file_list, second.size) == (
        1,
        0x44,
        FileList.DATABASE_NAMES,
        len(CONTENT),
    )
    assert (second.encoding, second.raw_name) == (65001, b"2.edb")


@examples(120)
@given(st.integers(0, len(CONTENT) + 10), st.integers(0, len(CONTENT) + 10))
def test_any_range_is_what_a_slice_would_be(start: int, stop: int) -> None:
    archive = opened(MIXED)
    assert archive.read(archive.entry(1), start, stop) == CONTENT[start:stop]


@pytest.mark.parametrize("start", [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 999, 3 * CHUNK + 1000, 1 << 60])
def test_ranges_at_the_borders_of_chunks(start: int) -> None:
    archive = opened(MIXED)
    for size in (0, 1, CHUNK, CHUNK + 1):
        assert archive.read(archive.entry(1), start, start + size) == CONTENT[start : start + size]


def test_without_bounds_the_whole_content_is_read() -> None:
    archive = opened(MIXED)
    assert [archive.read(entry) for entry in archive] == [b"first", CONTENT, b""]


def test_chunks_give_the_whole_content() -> None:
    archive = opened(MIXED)
    pieces = [
        bytes(chunk.size) if chunk.data is None else bytes(chunk.data) for chunk in archive.chunks(archive.entry(1))
    ]
    assert b"".join(pieces) == CONTENT


def test_an_entry_is_a_byte_source() -> None:
    archive = opened(MIXED)
    source = archive.entry_source(archive.entry(1))
    assert source.size == len(CONTENT)
    assert source.read(CHUNK - 2, 5) == CONTENT[CHUNK - 2 : CHUNK + 3]
    assert source.read(len(CONTENT) - 2, 5) == CONTENT[-2:]


def test_an_archive_inside_an_archive_is_read_without_unpacking() -> None:
    outer = opened(written((0x0F, b"inner.tokar", MIXED)))
    inner = Archive(outer.entry_source(outer.entry(0)))
    assert inner.read(inner.entry(1)) == CONTENT


def test_opening_reads_neither_entries_nor_the_index() -> None:
    archive, source = mixed(), Recording(MIXED)
    Archive(source)
    assert not source.touched(archive.starts[b"PROC"][0], archive.starts[b"SUMM"][0])
    assert not source.touched(archive.starts[b"INDX"][0], archive.starts[b"ROOT"][0])


def test_a_range_is_read_from_its_chunks_alone() -> None:
    big = written((0x44, b"big", pattern(40 * CHUNK)))
    source = Recording(big)
    archive = Archive(source)
    entry = archive.entry(0)
    positions = archive.records(entry).data_positions
    source.ranges.clear()
    assert archive.read(entry, 20 * CHUNK + 5, 20 * CHUNK + 9) == pattern(40 * CHUNK)[20 * CHUNK + 5 : 20 * CHUNK + 9]
    assert source.touched(positions[20], positions[21])
    assert not source.touched(positions[2], positions[20])  # FILE is read with room for the longest name
    assert not source.touched(positions[21], positions[40])


def test_damage_in_another_chunk_does_not_matter_to_a_range() -> None:
    spoilt = mixed().flip(b"DATA", 90, number=2).data
    archive = opened(bytes(spoilt))
    entry = archive.entry(1)
    assert archive.read(entry, 0, 10) == CONTENT[:10]
    with pytest.raises(FormatError) as caught:
        archive.read(entry, 0, CHUNK + 1)
    assert (caught.value.rule, caught.value.offset) == ("REC-8", mixed().starts[b"DATA"][2])


def test_damage_in_another_entry_does_not_matter() -> None:
    archive = opened(bytes(mixed().flip(b"DONE", 70, number=0).data))
    assert archive.read(archive.entry(1)) == CONTENT
    with pytest.raises(FormatError):
        archive.read(archive.entry(0))


def test_content_is_read_without_file_which_the_index_has() -> None:
    archive = opened(bytes(mixed().flip(b"FILE", 70, number=1).data))
    assert archive.read(archive.entry(1)) == CONTENT
    assert b"".join(bytes(chunk.data or chunk.size) for chunk in archive.chunks(archive.entry(1))) == CONTENT
    assert archive.entry(1).modified == 12345


def test_of_two_heads_the_near_one_is_read() -> None:
    archive = opened(bytes(mixed().flip(b"HEAD", 70).data))
    assert archive.head.profile == "ese"
    with pytest.raises(FormatError) as caught:
        opened(bytes(mixed().flip(b"HEAD", 70, number=1).data))
    assert caught.value.rule == "REC-8"


def test_the_transcript_comes_call_by_call() -> None:
    archive = opened(begun().proc("Prepare", "Read").entry().proc("End").finish())
    assert [call["call"] for call in archive.calls()] == ["Prepare", "Read", "End"]


def test_a_damaged_transcript_is_refused_when_it_is_read() -> None:
    archive = opened(bytes(mixed().flip(b"PROC", 70).data))
    with pytest.raises(FormatError) as caught:
        list(archive.calls())
    assert caught.value.rule == "REC-8"


def test_an_entry_knows_when_it_was_modified() -> None:
    archive = opened(MIXED)
    assert [entry.modified for entry in archive] == [None, 12345, None]


def test_an_entry_knows_how_much_room_it_takes() -> None:
    forged, archive = mixed(), opened(MIXED)
    assert archive.stored_size(archive.entry(0)) == forged.starts[b"FILE"][1] - forged.starts[b"FILE"][0]
    assert archive.stored_size(archive.entry(1)) == forged.starts[b"note"][0] - forged.starts[b"FILE"][1]
    assert archive.stored_size(archive.entry(2)) == forged.starts[b"SUMM"][0] - forged.starts[b"FILE"][2]


@pytest.mark.parametrize("number", [-1, 3, 1 << 40])
def test_a_number_without_an_entry_is_refused(number: int) -> None:
    with pytest.raises(NoSuchEntryError):
        opened(MIXED).entry(number)


def test_a_name_is_found() -> None:
    assert opened(MIXED).find("2.edb").number == 1
    assert opened(MIXED).find("2.edb", 0x44).number == 1


@pytest.mark.parametrize(("name", "token"), [("4.log", None), ("2.edb.old", None), ("2.edb", 0x45)])
def test_a_name_that_no_entry_has_is_refused(name: str, token: int | None) -> None:
    with pytest.raises(NoSuchEntryError, match="no entry"):
        opened(MIXED).find(name, token)


def test_a_name_that_two_entries_have_needs_a_token() -> None:
    archive = opened(written((1, b"x", b"one"), (2, b"x", b"two")))
    with pytest.raises(NoSuchEntryError, match="2 entries"):
        archive.find("x")
    assert archive.find("x", 2).number == 1


def test_an_archive_is_opened_by_path_and_closed(tmp_path: Path) -> None:
    path = tmp_path / "set.tokar"
    path.write_bytes(MIXED)
    with Archive(path) as archive:
        assert archive.path == path
        assert archive.read(archive.entry(0)) == b"first"
    with pytest.raises(StorageError):
        archive.read(archive.entry(0))


@pytest.mark.parametrize(
    ("data", "error"), [(b"PK\3\4", BadMagicError), (MIXED[:-1], UnsealedError), (MIXED + b"\0", FormatError)]
)
def test_an_archive_that_is_refused_says_which_file(tmp_path: Path, data: bytes, error: type[FormatError]) -> None:
    path = tmp_path / "set.tokar"
    path.write_bytes(data)
    with pytest.raises(error) as caught:
        Archive(path)
    assert caught.value.path == path


def test_what_is_not_there_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        Archive(tmp_path / "nothing")


def test_an_archive_without_an_end_is_judged_from_the_front() -> None:
    spoilt = mixed().flip(b"DATA", 100, number=1)
    del spoilt.data[-1]
    with pytest.raises(FormatError) as caught:
        opened(bytes(spoilt.data))
    assert (caught.value.rule, caught.value.offset) == ("REC-8", spoilt.fault_position)


def test_the_index_is_proven_when_an_entry_is_asked_for() -> None:
    archive = opened(bytes(mixed().flip(b"INDX", 80).data))
    with pytest.raises(FormatError) as caught:
        archive.entry(0)
    assert caught.value.rule == "REC-8"


# --- bytes that no record owns ----------------------------------------------------------------------------------------


def with_gap(where: str) -> Forge:
    """An archive that is right but for bytes in a gap that its index and ROOT do not speak of."""
    archive = begun()
    if where == "before":
        archive.append(b"gap!")
    archive.entry(name=b"1")
    if where == "between":
        archive.append(b"gap!")
    archive.entry(name=b"2")
    if where == "after":
        archive.append(b"gap!")
    return archive.finish()


@pytest.mark.parametrize("where", ["before", "between", "after"])
def test_bytes_between_entries_are_refused(where: str) -> None:
    outcome = from_the_tail(bytes(with_gap(where).data))
    assert (outcome.answer, outcome.rule) == ("damaged", "STATE-4")


def test_an_entry_that_the_index_does_not_know_is_refused() -> None:
    archive = begun().entry(name=b"1").entry(name=b"2")
    second = archive.entries.pop()
    outcome = from_the_tail(bytes(archive.finish().data))
    assert second.name == b"2"
    assert outcome.answer == "damaged"


def test_bytes_before_root_are_refused() -> None:
    archive = begun().entry().summ().page().append(b"gap!").root().tail()
    with pytest.raises(FormatError) as caught:
        opened(archive)
    assert caught.value.rule == "ROOT-2"


def test_bytes_after_root_are_refused() -> None:
    archive = begun().entry().summ().page().root().append(b"gap!").tail()
    with pytest.raises(FormatError):
        opened(archive)


def test_records_that_overlap_are_refused() -> None:
    archive = begun().entry(name=b"1").summ().page()
    head, summ, page = archive.rows
    rows = [head, summ._replace(length=summ.length + 1), page]
    with pytest.raises(FormatError):
        opened(archive.root(rows=rows).finish())


def test_a_row_of_root_that_is_no_kind_gives_a_typed_error() -> None:
    archive = begun().lower_case().entry().summ().page()
    rows = [row._replace(kind=b"n\xff\xff\xff") if row.kind == b"note" else row for row in archive.rows]
    assert from_the_tail(bytes(archive.root(rows=rows).finish().data)).answer == "damaged"


def test_an_unknown_upper_case_record_is_unsupported() -> None:
    archive = begun().entry().outside(b"PLUS", b"new").finish()
    assert from_the_tail(bytes(archive.data)).rule == "REC-6"


def test_the_record_kinds_of_this_test_are_those_of_the_format() -> None:
    assert {row.kind for row in opened(MIXED).rows} <= {records.HEAD, records.PROC, records.SUMM, records.INDX, b"note"}


def test_what_a_column_of_the_index_says_makes_no_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = opened(MIXED)
    archive.demand_unique()
    monkeypatch.setattr(index, "_entry", None)
    assert tokens_of(archive.entries) == {0x21, 0x44}
    assert not archive.has_incomplete


def test_entries_are_chosen_by_place_and_size_and_no_other_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = opened(MIXED)
    listed = list(archive)
    wanted = listed[2].size
    assert [*chosen_of(listed, lambda at, size: at == 1 or size == wanted)] == [*enumerate(listed)][1:]
    monkeypatch.setattr(index, "_entry", lambda number, *_: listed[number] if number else pytest.fail("it is made"))
    assert [*chosen_of(archive.entries, lambda at, size: at == 1 or size == wanted)] == [*enumerate(listed)][1:]


def test_an_incomplete_entry_is_found_without_a_look_at_all() -> None:
    archive = begun().entry(b"whole", b"1")
    archive.file(b"2", flags=records.FLAG_INCOMPLETE).chunk(b"part").done()
    assert opened(archive.entry(b"more", b"3").finish()).has_incomplete
