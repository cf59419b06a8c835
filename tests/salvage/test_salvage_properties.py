"""Salvage after damage of any kind, held against an oracle: a record survives if its bytes are still there."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from salvage_tools import CHUNK, FILES, NEW_ID, OLD_ID, Piece, Rescued, entry_pieces, pieces, rescued, whole_archive
from sweeps import each, examples

from tokar.errors import BadMagicError, FormatError, InputError
from tokar.salvage.entry import EntryState
from tokar.salvage.salvage import salvage
from tokar.storage.bytesource import BytesSource

WHOLE = whole_archive()
PIECES = pieces(WHOLE)
ENTRIES = entry_pieces(WHOLE)
NAMES = list(FILES)
UNDERIVED = (b"PROC", b"SUMM", b"note")
EDGES = sorted({found.start for found in PIECES} | {len(WHOLE)})


class Accident(NamedTuple):
    """What happens to an archive."""

    kind: str
    at: int
    size: int
    start: int
    to: int
    filler: bytes

    def befall(self, data: bytearray) -> None:
        """Do it."""
        kind, at, size, start, to, filler = self
        if kind == "flip" and at < len(data):
            data[at] ^= 1 << size % 8
        elif kind == "zero":
            data[at : at + size] = bytes(len(data[at : at + size]))
        elif kind == "cut out":
            del data[at : at + size]
        elif kind == "insert":
            data[at:at] = filler * size
        elif kind == "truncate":
            del data[max(at, len(data) // 8) :]
        elif kind in ("copy", "swap"):
            start, stop = sorted((start, at))
            region = data[start:stop]
            if kind == "swap":
                del data[start:stop]
            data[to:to] = region


@dataclass
class Oracle:
    """What of the whole archive is left after accidents."""

    accidents: list[Accident]
    data: bytes = field(default=WHOLE, repr=False)
    there: set[int] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        data = bytearray(self.data)
        for accident in self.accidents:
            accident.befall(data)
        self.data = bytes(data)
        self.there = {found.start for found in PIECES[1:] if found.data in self.data}

    def has(self, *found: Piece) -> bool:
        return all(part.start in self.there for part in found)

    def kinds(self, *kinds: bytes) -> bool:
        return self.has(*(found for found in PIECES if found.kind in kinds))

    @property
    def preamble(self) -> bool:
        return self.data[:32] == WHOLE[:32]

    def is_complete(self, number: int) -> bool:
        file, *chunks, done = ENTRIES[number]
        if not self.has(*chunks):
            return False
        return self.kinds(b"INDX") or self.has(file, done)

    @property
    def complete(self) -> dict[str, bytes]:
        return {name: FILES[name] for number, name in enumerate(NAMES) if self.is_complete(number)}

    @property
    def is_whole(self) -> bool:
        has_head = any(self.has(found) for found in PIECES if found.kind == b"HEAD")
        return has_head and self.kinds(*UNDERIVED) and all(map(self.is_complete, range(len(NAMES))))


# --- damage -----------------------------------------------------------------------------------------------------------

# Places near the borders of records are where mistakes hide.
places = st.one_of(
    st.integers(0, len(WHOLE)),
    st.tuples(st.sampled_from(EDGES), st.integers(-70, 70)).map(lambda pair: max(0, min(len(WHOLE), sum(pair)))),
    st.sampled_from(EDGES),
)
sizes = st.one_of(st.integers(1, 200), st.sampled_from([32, 64, 512, 2000]))
kinds = st.sampled_from(["flip", "zero", "cut out", "insert", "truncate", "copy", "swap"])
accidents = st.builds(Accident, kinds, places, sizes, st.sampled_from(EDGES), places, st.binary(max_size=20))
oracles = st.lists(accidents, min_size=1, max_size=4).map(Oracle)


def attempt(oracle: Oracle, *, partial: bool) -> Rescued | None:
    """Salvage; where that refuses, demand that the oracle agrees."""
    try:
        return rescued(oracle.data, partial=partial)
    except InputError:
        assert oracle.data == WHOLE
    except BadMagicError:
        assert not oracle.there
    except FormatError:
        assert not oracle.complete
    return None


# --- properties -------------------------------------------------------------------------------------------------------


@examples(80)
@given(oracles)
def test_exactly_the_complete_files_are_kept(oracle: Oracle) -> None:
    result = attempt(oracle, partial=False)
    if result is not None:
        assert result.contents == oracle.complete
        assert result.report.complete_count == len(oracle.complete)


@examples(80)
@given(oracles)
def test_the_original_comes_back_if_and_only_if_all_of_it_is_there(oracle: Oracle) -> None:
    result = attempt(oracle, partial=False)
    if result is None:
        return
    if oracle.is_whole and (oracle.preamble or oracle.kinds(b"ROOT")):
        assert result.report.same
    if result.report.same:
        assert oracle.is_whole
        assert (result.report.result.id, result.report.result.root) == (OLD_ID, PIECES[-3].data[24:56])
        assert result.report.trailing_is_lost or not oracle.kinds(b"sign") or result.data == WHOLE
    else:
        assert result.archive.id == NEW_ID
        assert result.report.lost
        assert result.archive.head.extra["origin"].get("id", OLD_ID.hex()) == OLD_ID.hex()
        assert (result.archive.summary.outcome == "partial") or oracle.is_whole


@examples(60)
@given(oracles)
def test_incomplete_files_hold_what_is_left_and_zeros(oracle: Oracle) -> None:
    result = attempt(oracle, partial=True)
    if result is None:
        return
    written = {file.written_as: file for file in result.report.files if file.written_as is not None}
    assert set(result.contents) == set(oracle.complete) | set(written)
    for name, file in written.items():
        content, entry = FILES[NAMES[file.number]], result.archive.find(str(name))
        assert result.archive.records(entry).file.incomplete
        assert file.state is EntryState.INCOMPLETE
        for at in range(0, entry.size, CHUNK):
            piece = result.archive.read(entry, at, at + CHUNK)
            is_there = oracle.has(ENTRIES[file.number][1 + at // CHUNK])
            assert piece == (content[at : at + CHUNK] if is_there else bytes(len(piece)))


@examples(60)
@given(oracles, st.booleans())
def test_no_file_is_lost_in_silence(oracle: Oracle, partial: bool) -> None:
    result = attempt(oracle, partial=partial)
    if result is None:
        return
    report = result.report
    unknown = {number for first, count in report.unknown for number in range(first, first + count)}
    told = unknown | {file.number for file in report.files}
    for number, name in enumerate(NAMES):
        seen_later = any(oracle.has(found) for entry in ENTRIES[number:] for found in entry)
        if name not in oracle.complete and (seen_later or report.end_is_known):
            assert number in told
    assert report.lost_count == len(unknown) + sum(file.state is EntryState.LOST for file in report.files)
    assert report.incomplete_count == sum(file.state is EntryState.INCOMPLETE for file in report.files)
    assert report.lost or len(oracle.complete) == len(NAMES)


@examples(60)
@given(oracles)
def test_every_byte_is_either_used_or_in_a_lost_range(oracle: Oracle) -> None:
    result = attempt(oracle, partial=False)
    if result is None:
        return
    used = sum(len(found.data) for found in PIECES[1:] if oracle.has(found))
    ranges = result.report.ranges
    covered = sum(found.size for found in ranges)
    assert used + covered + (32 if oracle.preamble else 0) == len(oracle.data)
    assert len(ranges) == result.report.range_count
    assert all(before.offset + before.size <= after.offset for before, after in pairwise(ranges))
    assert all(found.what for found in ranges)


@examples(20)
@given(oracles, st.booleans())
def test_salvage_is_deterministic(oracle: Oracle, partial: bool) -> None:
    first, second = attempt(oracle, partial=partial), attempt(oracle, partial=partial)
    assert (first is None) == (second is None)
    if first is not None and second is not None:
        assert (first.data, first.report) == (second.data, second.report)


@examples(60)
@given(oracles)
def test_salvaging_what_was_salvaged_is_refused_as_undamaged(oracle: Oracle) -> None:
    result = attempt(oracle, partial=True)
    if result is not None:
        with pytest.raises(InputError, match="undamaged"):
            rescued(result.data)


@each([*(edge + step for edge in EDGES[2:-1] for step in (-1, 0, 1, 63, 64))])
def test_a_cut_at_any_border_keeps_what_is_before_it(size: int) -> None:
    oracle = Oracle([], WHOLE[:size])
    result = attempt(oracle, partial=False)
    assert (result is None) == (not oracle.complete)
    if result is not None:
        assert result.contents == oracle.complete


@each(range(0, 700, 7))
def test_a_flip_in_the_last_records_is_always_undone(at: int) -> None:
    index = next(found for found in PIECES if found.kind == b"INDX")
    place = index.start + at * (len(WHOLE) - index.start) // 700
    spoilt = bytearray(WHOLE)
    spoilt[place] ^= 0x10
    result = rescued(bytes(spoilt))
    assert result.report.same


@examples(60)
@given(st.binary(max_size=2000))
def test_any_bytes_give_typed_errors(data: bytes) -> None:
    with pytest.raises(BadMagicError):
        salvage(BytesSource(data), pytest.fail)


@pytest.mark.torture
@pytest.mark.parametrize("inputs", [(oracles,), (oracles, st.booleans())], ids=["damaged", "damaged, partial or not"])
def test_many_more_accidents_keep_each_of_the_rules(inputs: tuple[st.SearchStrategy[object], ...]) -> None:
    rules = [rule for name, rule in globals().items() if name.startswith("test_") and hasattr(rule, "hypothesis")]
    tried = [rule for rule in rules if len(inspect.signature(rule.hypothesis.inner_test).parameters) == len(inputs)]
    tried = [rule for rule in tried if "oracle" in inspect.signature(rule.hypothesis.inner_test).parameters]
    assert len(tried) > 1
    for rule in tried:
        settings(deadline=None, max_examples=400)(given(*inputs)(rule.hypothesis.inner_test))()
