"""Finding records again: where they stand, whose they are, which of two copies counts, and at what price (SALV-1)."""

from __future__ import annotations

import itertools
import os
from functools import cache
from typing import TYPE_CHECKING

import pytest
from blake3 import blake3
from format_tools import OTHER_ID, Forge, MemorySink, begun, new_writer, pattern
from hypothesis import given
from hypothesis import strategies as st
from salvage_tools import OLD_ID, TAG, broken, entry_pieces, piece, pieces, rescued, whole_archive, without
from sweeps import examples

from tokar.errors import BadMagicError, FormatError, SourceChangedError, UnsupportedError
from tokar.format import records
from tokar.salvage import find as salvage_find
from tokar.salvage import runs as salvage_runs
from tokar.salvage.damage import DamageMap, map_damage
from tokar.salvage.find import InputWindow, RecordFinder, RecordReader
from tokar.salvage.rebuild import parts
from tokar.storage.bytesource import BytesSource, FileSource

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.salvage.runs import RecordRun

WHOLE = whole_archive()


def mapped(data: bytes) -> DamageMap:
    return map_damage(BytesSource(data))


def record(kind: bytes, body: bytes, position: int, *, tag: bytes = TAG, check: bytes | None = None) -> bytes:
    """Return a record that stands anywhere."""
    start = records.checked_part(kind, len(body), tag, position)
    return records.finish_head(start, blake3(body + start).digest() if check is None else check) + body


def runs_of(found: DamageMap) -> list[RecordRun]:
    return list(found.runs)


class CountingSource:
    """Counts the bytes that are read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)
        self.read_size = 0

    def read(self, offset: int, size: int) -> bytes:
        piece = self._data[offset : offset + size]
        self.read_size += len(piece)
        return piece


# --- what is found ----------------------------------------------------------------------------------------------------


def test_a_good_archive_is_one_run_for_each_entry_and_record_outside() -> None:
    found = mapped(WHOLE)
    assert found.record_count == len(pieces(WHOLE)) - 1
    assert [run.is_proven for run in runs_of(found) if not run.is_outside] == [True] * 6
    assert sum(run.size for run in runs_of(found)) == len(WHOLE) - 32
    assert (found.id, found.preamble_is_good, found.moved_size) == (OLD_ID, True, 0)
    assert found.known_root == piece(WHOLE, b"ROOT").data[24:56]


def test_the_damage_map_shows_what_is_left_of_an_entry() -> None:
    found = mapped(broken(WHOLE, piece(WHOLE, b"DATA", 1)))
    first, second = [run for run in runs_of(found) if run.entry == 0 and not run.is_outside]
    assert (first.has_file, first.has_done, first.chunk_count, first.next_chunk) == (True, False, 1, 1)
    assert (second.has_file, second.has_done, second.first_chunk, second.chunk_count) == (False, True, 2, 2)
    assert not first.is_proven
    assert not second.is_proven


def test_moved_records_are_counted() -> None:
    part = piece(WHOLE, b"PROC", 1)
    assert mapped(without(WHOLE, part)).moved_size == len(WHOLE) - part.end


@pytest.mark.parametrize("at", [0, 5, 31, 32, 33])
def test_records_are_found_at_any_offset(at: int) -> None:
    assert mapped(b"x" * at + WHOLE[32:]).record_count == len(pieces(WHOLE)) - 1


@examples(60)
@given(st.integers(0, 9000), st.binary(min_size=1, max_size=50))
def test_records_are_found_across_the_borders_of_windows(size: int, filler: bytes) -> None:
    between = (filler * (size // len(filler) + 1))[:size]
    small = bytes(begun().entry().finish().data)
    joined = between.join(part.data for part in pieces(small)[1:])
    assert len(list(RecordFinder(BytesSource(joined), small[16:24]))) == len(pieces(small)) - 1


def test_a_record_of_another_archive_is_not_looked_at() -> None:
    foreign = record(b"PROC", b'{"calls":[]}', 32, tag=b"another!")
    assert mapped(WHOLE + foreign).record_count == len(pieces(WHOLE)) - 1


def test_a_record_inside_a_good_record_is_content() -> None:
    inside = record(b"PROC", b'{"calls":[]}', 1 << 30, tag=begun().tag)
    data = bytes(begun().entry(inside).finish().data)
    assert mapped(data).record_count == len(pieces(data)) - 1


@pytest.mark.parametrize(
    "fake",
    [
        record(b"PROC", b'{"calls":[]}', 1 << 30, check=bytes(32)),
        record(b"PROC", b'{"calls":[]}', 5),
        record(b"PROC", b'{"calls":[]}', (1 << 63) - 70),
        record(b"PrOC", b"", 1 << 30),
        record(b"TAIL", b"", 1 << 30),
        record(b"DATA", b"", 1 << 30),
        record(b"PROC", b'{"calls":[]}', 1 << 30)[:-1],
    ],
)
def test_a_record_that_breaks_a_rule_of_records_is_not_accepted(fake: bytes) -> None:
    assert mapped(WHOLE + fake).record_count == len(pieces(WHOLE)) - 1


@pytest.mark.parametrize(
    ("kind", "body", "rule"),
    [
        (b"FILE", bytes(40), "FILE-3"),
        (b"FILE", b"\xff" * 40, "LIM-1"),
        (b"DATA", bytes(16), "DATA-2"),
        (b"DATA", bytes(4) + b"\xff" * 12, "LIM-2"),
        (b"DATA", b"frame" + bytes(8) + b"\x05\0\0\0\x01\0\0\0", "DATA-6"),
        (b"DONE", bytes(81), "DONE-1"),
        (b"HEAD", b"{}", "HEAD-2"),
        (b"PROC", b"{}", "PROC-1"),
        (b"SUMM", b"{}", "SUMM-1"),
        (b"INDX", bytes(128), "INDX-1"),
        (b"ROOT", bytes(185), "ROOT-1"),
        (b"TAIL", bytes(48), "TAIL-1"),
    ],
)
def test_a_good_record_that_says_nonsense_is_a_fault(kind: bytes, body: bytes, rule: str) -> None:
    found = mapped(WHOLE + record(kind, body, 1 << 30))
    assert rule in found.faults[len(WHOLE)]
    assert len(found.runs) == len(mapped(WHOLE).runs)


def test_of_two_heads_the_first_in_the_original_counts() -> None:
    other = record(b"HEAD", piece(WHOLE, b"HEAD").data[64:].replace(b'"ese"', b'"edb"'), 1 << 30)
    found = mapped(other + WHOLE)
    assert found.head is not None
    assert (found.head.profile, found.named[b"HEAD"].position) == ("ese", 32)
    found = mapped(other + broken(WHOLE, piece(WHOLE, b"HEAD", 0), piece(WHOLE, b"HEAD", 1)))
    assert found.head is not None
    assert found.head.profile == "edb"


@pytest.mark.parametrize("gone", [(), (b"ROOT",), (b"TAIL",), (b"ROOT", b"TAIL")])
def test_the_root_is_told_by_root_and_by_tail(gone: tuple[bytes, ...]) -> None:
    root = piece(WHOLE, b"ROOT").data[24:56]
    found = mapped(without(WHOLE, *(piece(WHOLE, kind) for kind in gone)))
    assert found.known_roots == ([] if len(gone) == 2 else [root])
    assert found.known_root == (None if len(gone) == 2 else root)


# --- whose records they are -------------------------------------------------------------------------------------------


def test_the_tag_is_told_by_tail() -> None:
    data = bytes(100) + WHOLE[100:]
    found = mapped(data)
    assert found.tag == TAG
    assert found.id == OLD_ID


def test_the_tag_is_told_by_head() -> None:
    assert mapped(bytes(32) + WHOLE[32:-500]).tag == TAG


def test_the_tag_is_told_by_most_bytes_in_place() -> None:
    inner = Forge(OTHER_ID).head()
    for number in range(50):
        inner.entry(b"", name=f"{number}".encode())
    outer = begun().file(b"OUTER").chunk(bytes(inner.finish().data)).chunk(b"", codec=2, content_size=1)
    outer.file(b"SECOND").chunk(pattern(60_000)).finish()
    data = bytearray(outer.data)
    data[:32] = bytes(32)
    data[-1] ^= 1
    data[40] ^= 1
    data[piece(bytes(outer.data), b"DATA").start] ^= 1  # now the records of the inner archive are in sight
    assert mapped(bytes(data)).tag == outer.tag


def test_the_tag_is_told_by_most_bytes_where_all_was_moved() -> None:
    inner = bytes(Forge(OTHER_ID).head().entry().finish().data)
    moved = WHOLE[300:-1]
    assert mapped(inner[5:-5] + moved).tag == TAG


def test_of_very_many_tags_the_first_are_weighed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(salvage_find, "_MAX_TAGS", 1)
    other = record(b"PROC", b'{"calls":[]}', 1 << 30, tag=b"another!")
    assert mapped(other + WHOLE[100:-500]).tag == b"another!"


def test_a_preamble_without_records_does_not_hide_the_others() -> None:
    start = bytes(Forge(OTHER_ID).data)
    assert mapped(start + WHOLE[32:]).tag == TAG


def test_a_moved_preamble_is_found() -> None:
    found = mapped(b"garbage" * 99 + WHOLE[: piece(WHOLE, b"ROOT").start])
    assert found.id == OLD_ID
    assert not found.preamble_is_good


def test_a_moved_preamble_of_another_archive_is_not_believed() -> None:
    other = bytes(Forge(OTHER_ID).data)
    assert mapped(b"garbage" + other + WHOLE[32 : piece(WHOLE, b"ROOT").start]).id is None


def test_without_any_record_it_is_no_archive() -> None:
    with pytest.raises(BadMagicError):
        mapped(bytes(10_000))


def test_a_preamble_alone_has_no_record() -> None:
    with pytest.raises(FormatError, match="no record") as caught:
        mapped(WHOLE[:32] + bytes(10_000))
    assert caught.value.rule == "SALV-1"


def test_an_unknown_kind_counts_only_where_the_tag_is_known() -> None:
    with pytest.raises(UnsupportedError, match="PLUS"):
        mapped(WHOLE + record(b"PLUS", b"?", 1 << 30))
    mapped(WHOLE + record(b"PLUS", b"?", 1 << 30, tag=b"another!"))
    mapped(WHOLE + record(b"PLUS", b"?", 1 << 30, check=bytes(32)))


# --- copies -----------------------------------------------------------------------------------------------------------


def test_second_copies_are_left_aside() -> None:
    found = mapped(WHOLE + WHOLE[32:])
    assert [run.at for run in runs_of(found)] == [run.at for run in runs_of(mapped(WHOLE))]
    assert len(found.ignored) == len(found.runs)


def test_of_two_different_records_for_one_place_the_first_counts() -> None:
    first = begun().entry(b"first!").proc("One").data
    second = begun().entry(b"second").proc("Two").data
    start = len(begun().data)
    result = rescued(bytes(first) + bytes(second[start:]))
    assert result.contents == {"E.LOG": b"first!"}
    assert [call["call"] for call in result.archive.calls()] == ["One"]


def test_a_long_run_gives_what_the_short_ones_before_it_lack() -> None:
    entry = entry_pieces(WHOLE)[0]
    whole_entry = b"".join(part.data for part in entry)
    data = broken(WHOLE, entry[2]) + whole_entry
    found = mapped(data)
    assert rescued(data).data == WHOLE
    assert sum(run.size for run in runs_of(found)) == len(WHOLE) - 32


def test_overlapping_records_keep_the_first_in_the_input() -> None:
    position = len(WHOLE) + 1000
    early = record(b"note", bytes(500), position + 100)
    late = record(b"note", bytes(500), position)
    found = mapped(WHOLE + early + late)
    assert [run.position for run in runs_of(found)][-1] == position + 100
    assert len(found.ignored) == 1


# --- hostile input ----------------------------------------------------------------------------------------------------


def test_heads_that_claim_much_cost_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(salvage_find, "_SPARE_PATIENCE", 0)
    starts = [records.checked_part(b"DATA", 1 << 20, TAG, 5000 + number) for number in range(20_000)]
    fakes = b"".join(records.finish_head(start, bytes(32)) for start in starts)
    source = CountingSource(WHOLE + fakes + bytes(1 << 20))
    assert map_damage(source).record_count == len(pieces(WHOLE)) - 1
    assert source.read_size < 20 * source.size  # not 20,000 MiB


def test_a_file_full_of_tags_is_read_once() -> None:
    source = CountingSource(WHOLE + TAG * 100_000)
    map_damage(source)
    assert source.read_size < 3 * source.size


def test_scattered_records_are_read_in_small_pieces() -> None:
    note = [record(b"note", b"", 1 << 40 | (number * 7919 % 3000) * 100) for number in range(3000)]
    source = CountingSource(WHOLE + b"?".join(note))
    assert map_damage(source).record_count == len(pieces(WHOLE)) - 1 + 3000
    assert source.read_size < 100 * source.size


def test_more_records_than_an_archive_may_hold_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(salvage_runs, "_MAX_OUTSIDE", 5)
    found = mapped(WHOLE)
    assert found.overflow
    assert len(found.outside) == 5
    result = rescued(WHOLE)
    assert not result.report.same
    assert any("more records than" in note for note in result.report.notes)


def test_more_runs_than_an_archive_may_hold_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(salvage_runs, "_MAX_RUNS", 5)
    found = mapped(WHOLE)
    assert found.overflow
    assert len(found.runs) == 5


def test_the_memory_for_an_entry_is_small() -> None:
    row = sum(array.itemsize for array in mapped(WHOLE).runs._columns)
    assert row <= 48  # bytes


# --- parts and pages --------------------------------------------------------------------------------------------------


def test_runs_of_one_entry_make_one_part() -> None:
    found = mapped(broken(WHOLE, piece(WHOLE, b"DATA", 1)))
    sizes = [len(part) for part, run in parts(found.runs) if not run.is_outside]
    assert sizes == [2, 1, 1, 1, 1, 1]


@cache
def many_pages() -> bytes:
    """Return an archive whose index has more than one page, because the names are long."""
    sink = MemorySink()
    with new_writer(sink) as writer:
        for number in range(300):
            writer.add_bytes(0x21, b"%04d" % number + b"n" * 65_000, b"%d" % number)
    return bytes(sink.data)


def test_an_index_of_several_pages_is_rebuilt_and_used() -> None:
    data = many_pages()
    assert sum(part.kind == b"INDX" for part in pieces(data)) == 2
    assert rescued(broken(data, piece(data, b"INDX", 0), piece(data, b"INDX", 1))).data == data
    gone = [part for entry in entry_pieces(data)[100:290] for part in entry]
    result = rescued(without(data, *gone))
    assert result.report.lost_count == 190
    assert [file.number for file in result.report.files] == list(range(100, 290))
    assert {file.raw_name[:4] for file in result.report.files if file.raw_name} == {
        b"%04d" % number for number in range(100, 290)
    }


# --- reading again ----------------------------------------------------------------------------------------------------


def test_a_record_that_is_not_there_any_more_is_a_change_of_the_source() -> None:
    reader = RecordReader(BytesSource(WHOLE), TAG)
    with pytest.raises(SourceChangedError):
        reader.record(33)
    with pytest.raises(SourceChangedError):
        list(reader.ends(33, 100))
    with pytest.raises(SourceChangedError):
        list(reader.walk(len(WHOLE) - 10, 100))


def test_an_archive_that_became_shorter_while_it_was_read_changed() -> None:
    data = piece(WHOLE, b"DATA")
    for size in (1, 16, 17, len(data.data) - 1):
        reader = RecordReader(BytesSource(WHOLE[: data.end - size]), TAG)
        with pytest.raises(SourceChangedError):
            list(reader.ends(data.start, len(data.data)))


def test_a_window_gives_fewer_bytes_only_at_the_end() -> None:
    window = InputWindow(BytesSource(b"0123456789"))
    assert bytes(window.view(2, 3)) == b"234"
    assert bytes(window.view(8, 5)) == b"89"
    assert bytes(window.view(20, 5)) == b""
    assert bytes(window.view(0, 10)) == b"0123456789"


def test_limits_of_the_format_bound_the_damage_map() -> None:
    assert salvage_runs._MAX_RUNS >= records.MAX_ENTRIES
    assert salvage_runs._MAX_OUTSIDE >= records.MAX_OUTSIDE_RECORDS


# --- files with holes -------------------------------------------------------------------------------------------------


def sparse(path: Path, *parts: tuple[int, bytes], size: int) -> Path:
    """A file of bytes at their places, with holes between."""
    with path.open("wb") as file:
        for at, data in parts:
            file.seek(at)
            file.write(data)
        file.truncate(size)
    return path


@pytest.mark.skipif(not hasattr(os, "SEEK_DATA"), reason="the system tells of no holes")
def test_a_hole_of_a_terabyte_is_passed_over(tmp_path: Path) -> None:
    path = sparse(tmp_path / "a", (0, b"junk"), (1 << 35, WHOLE[:-60]), (1 << 39, WHOLE[-60:]), size=1 << 40)
    reports: list[int] = []
    with FileSource(path) as source:
        found = map_damage(source, progress=reports.append)
    assert found.id == OLD_ID
    assert found.root is not None
    assert found.moved_size
    assert sum(reports) == 1 << 40


@examples(30)
@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=4, unique=True),
    st.lists(st.integers(1, len(WHOLE) - 1), max_size=3, unique=True),
    st.integers(-90, 90),
    st.booleans(),
)
def test_holes_make_no_other_find(
    tmp_path_factory: pytest.TempPathFactory, places: list[int], cuts: list[int], shift: int, whole: bool
) -> None:
    """Wherever records stand in or beside holes, the same is found as in the same bytes without a hole."""
    bounds = [0, *sorted(cuts), len(WHOLE)]
    cut = [WHOLE[one:other] for one, other in itertools.pairwise(bounds)]
    at = [max((place << 16) + (shift if number else 0), 0) for number, place in enumerate(sorted(places))]
    parts = [(one, part) for one, part in zip(at, cut[: len(at)], strict=False)]
    parts += [(at[0], WHOLE)] if whole else []
    path = sparse(tmp_path_factory.mktemp("holes") / "a", *parts, size=3 << 20)
    with FileSource(path) as source:
        assert _told(source) == _told(BytesSource(path.read_bytes()))


def _told(source: BytesSource | FileSource) -> object:
    try:
        found = map_damage(source)
    except FormatError as error:
        return str(error)
    return found.id, found.tag, runs_of(found), found.named, found.moved_size, found.preamble_is_good


def test_where_the_system_tells_of_no_holes_all_bytes_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sparse(tmp_path / "a", (1 << 20, b"x"), size=2 << 20)
    with FileSource(path) as source:
        assert source.next_data(0) in {0, 1 << 20}  # as the file system has it
        assert source.next_data(2 << 20) == 2 << 20
        monkeypatch.delattr(os, "SEEK_DATA", raising=False)
        assert source.next_data(5) == 5
