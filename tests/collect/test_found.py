"""Files that are found are kept in little room, and come out as they went in."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokar.collect import found
from tokar.collect.found import Candidate, Candidates, FileState, Names, Notes

NUMBERS = st.integers(-(1 << 70), 1 << 70)
STATES = st.builds(FileState, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
TEXTS = st.text(st.characters(codec=None), max_size=8)
FILES = st.builds(
    Candidate,
    path=TEXTS,
    name=TEXTS,
    token=st.integers(0, 255),
    kind=st.sampled_from(["log", "database"]),
    state=STATES,
    generation=st.none() | NUMBERS,
    base=st.none() | TEXTS,
)


@given(st.lists(FILES, max_size=8))
def test_files_come_out_as_they_went_in(files: list[Candidate]) -> None:
    kept = Candidates(files)
    assert [*kept] == files
    assert kept[1:3] == tuple(files[1:3])
    assert [*kept.sorted(lambda one: one.name)] == sorted(files, key=lambda one: one.name)


def test_beyond_the_last_file_there_is_none() -> None:
    with pytest.raises(IndexError):
        Candidates()[0]


@given(st.sets(TEXTS, max_size=8), TEXTS)
def test_a_name_is_among_those_that_were_added(given_names: set[str], other: str) -> None:
    names = Names()
    for one in given_names:
        names.add(one)
    assert all(one in names for one in given_names)
    assert (other in names) == (other in given_names)


def test_notes_beyond_what_anybody_reads_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(found, "MOST_NOTES", 2)
    notes = Notes()
    for number in range(1002):
        notes.append(f"{number}")
    assert [*notes] == ["0", "1", "... and 1,000 more"]


def test_a_log_takes_little_room() -> None:
    def held(count: int) -> int:
        tracemalloc.start()
        try:
            kept = Candidates(
                Candidate(
                    f"/in/edb{at:08X}.log", f"edb{at:08X}.log", 0x21, "log", FileState(1 << 20, at, at, at, 7), at
                )
                for at in range(count)
            )
            assert len(kept) == count
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    assert (held(3000) - held(1000)) / 2000 < 100


@pytest.mark.parametrize("nanoseconds", [-(1 << 63) - 1, 1 << 63, -(10**23), 10**23])
def test_a_time_that_64_bits_cannot_hold_is_not_kept(nanoseconds: int) -> None:
    assert FileState(1, nanoseconds, 0, 1, 1).kept_time is None
    assert FileState(1, max(min(nanoseconds, (1 << 63) - 1), -(1 << 63)), 0, 1, 1).kept_time is not None
