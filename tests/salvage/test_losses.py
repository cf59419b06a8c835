"""What a report of salvage lists is kept in few bytes, and comes out as it went in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from salvage_tools import broken, piece, rescued, whole_archive
from sweeps import examples

from tokar import names
from tokar.salvage import losses
from tokar.salvage.entry import EntryState, MissingContent
from tokar.salvage.losses import DamagedFile, DamagedFiles

if TYPE_CHECKING:
    import pytest

WHOLE = whole_archive()
SIZES = st.integers(0, (1 << 64) - 2)
MISSING = st.builds(MissingContent, SIZES, st.none() | SIZES)


@st.composite
def damaged_files(draw: st.DrawFn) -> DamagedFile:
    """Draw a file with a name, or one that was written under a name that was made up, or neither."""
    raw = draw(st.none() | st.binary(min_size=1, max_size=300))
    encoding = draw(st.sampled_from((0, 1252, 1200, 65001)))
    shown = None if raw is None else names.display(raw, encoding)
    return DamagedFile(
        draw(st.integers(0, (1 << 32) - 1)),
        draw(st.sampled_from((EntryState.INCOMPLETE, EntryState.LOST))),
        draw(st.sampled_from(("", "a reason", "another one"))),
        shown,
        raw,
        0 if raw is None else encoding,
        None if raw is None else draw(st.integers(0, 255)),
        draw(st.none() | SIZES),
        tuple(draw(st.lists(MISSING, max_size=3))),
        draw(st.sampled_from((None, "lost-name-00000003" if shown is None else shown))),
    )


@examples(100)
@given(st.lists(damaged_files(), max_size=5))
def test_files_that_are_not_whole_come_out_as_they_went_in(files: list[DamagedFile]) -> None:
    kept = DamagedFiles()
    for one in files:
        kept.append(one)
    assert [*kept] == kept[:] == files


def test_ranges_beyond_those_that_are_listed_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    data = broken(WHOLE, piece(WHOLE, b"DATA", 1), piece(WHOLE, b"PROC", 0))
    all_of_them = rescued(data).report
    monkeypatch.setattr(losses, "MAX_LISTED", 1)
    report = rescued(data).report
    assert report.range_count == all_of_them.range_count == len(all_of_them.ranges) == 2
    assert report.ranges == all_of_them.ranges[:1]
