"""Every page of the real sets: made from the logs alone, taken back and played again, and after random crashes."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replay_history import Trusting, crashed, histories_of, wrong_after
from replay_sets import (
    EVERYTHING_MAY_BE_AHEAD,
    PlayedSet,
    RealSet,
    after,
    before,
    belkasoft,
    catroot,
    pages_of,
    rathbun,
    unequal,
)

from tokar.ese.logrecords import TYPES
from tokar.ese.page import seal_page
from tokar.replay.redo import Bounds
from tokar.replay.support import Support, support_rows

pytestmark = pytest.mark.samples


def whole() -> RealSet:
    return after(whole=True)


SETS = [rathbun, belkasoft, catroot, after, whole, before]
# Pages that the logs change; of these, made from the logs alone, and taken back from the file by at least one step.
FIGURES = {
    rathbun: (90, 72, 18),
    belkasoft: (94, 37, 57),
    catroot: (512, 0, 512),
    after: (65, 48, 17),
    whole: (73, 73, 0),
    before: (30, 30, 0),
}


@pytest.mark.parametrize("make", SETS, ids=lambda one: one.__name__)
def test_pages_made_from_the_logs_alone_are_those_of_the_file(make: Any) -> None:
    real = make()
    with (
        PlayedSet(None, real, Bounds(-1, EVERYTHING_MAY_BE_AHEAD), Trusting) as played,
        pages_of(real.database) as store,
    ):
        for records in real.records():
            played.feed(records)
        known = [number for number in played.store.touched if played.store.get(number) is not None]
        assert list(unequal(played.store, store, known)) == []
    found = histories_of(make)
    assert (len(found.pages), len(found.made), len(found.rewound)) == FIGURES[make]


@pytest.mark.parametrize("make", SETS, ids=lambda one: one.__name__)
def test_pages_taken_back_as_far_as_the_logs_tell_come_forward_to_the_file(make: Any) -> None:
    found = histories_of(make)
    data = bytearray(make().database.read_bytes())
    for number in found.pages:
        data[(number + 1) * 4096 : (number + 2) * 4096] = seal_page(found.states(number)[0], number)
    pages, wrong = wrong_after(make, bytes(data))
    assert (pages, wrong) == (FIGURES[make][0], [])


@pytest.mark.parametrize("make", SETS, ids=lambda one: one.__name__)
def test_a_crash_with_pages_in_any_state_is_recovered(make: Any) -> None:
    assert wrong_after(make, crashed(make, random.Random(4711)))[1] == []


@pytest.mark.torture
@pytest.mark.parametrize("make", SETS, ids=lambda one: one.__name__)
def test_60_crashes_are_recovered(make: Any) -> None:
    @settings(max_examples=60, deadline=None, database=None)
    @given(st.integers(0, 1 << 64))
    def crash(seed: int) -> None:
        assert wrong_after(make, crashed(make, random.Random(seed)))[1] == []

    crash()


def test_all_that_is_called_proved_was_played_on_pages_that_came_to_the_file() -> None:
    """Each type in the table of what is proved changes a page that is compared here."""
    played: set[str] = set()
    for make in SETS:
        with PlayedSet(make().database.read_bytes(), make(), Bounds(-1, EVERYTHING_MAY_BE_AHEAD), Trusting) as one:
            found = histories_of(make)
            data = bytearray(make().database.read_bytes())
            for number in found.pages:
                blank = number in found.born
                state = bytes(4096) if blank else seal_page(found.states(number)[0], number)
                data[(number + 1) * 4096 : (number + 2) * 4096] = state
        with PlayedSet(bytes(data), make(), Bounds(-1, EVERYTHING_MAY_BE_AHEAD), Trusting) as one:
            for records in make().records():
                one.feed(records)
            assert one.redo.clash_count == 0
            played |= {TYPES[kind].name for kind in one.redo.applied}
    assert {row.name for row in support_rows() if row.support is Support.PROVED} <= played
