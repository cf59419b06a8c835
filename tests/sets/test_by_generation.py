"""Logs in order, however they came."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokar.sets import by_generation
from tokar.sets.by_generation import LogsByGeneration, logs_in_order
from tokar.sets.facts import LogFacts


def log(generation: int | None, name: str = "") -> LogFacts:
    return LogFacts(name=name or f"edb{generation or 0:08x}.log", generation=generation)


@pytest.mark.parametrize("few", [0, 16])
@given(st.lists(st.tuples(st.none() | st.integers(1, 9), st.sampled_from("abc"))))
def test_logs_are_by_generation_and_name_however_they_came(few: int, found: list[tuple[int | None, str]]) -> None:
    logs = [log(*one) for one in found]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(by_generation, "_FEW_RUNS", few)
        ordered = logs_in_order([*logs])
    assert [(one.generation or 0, one.name) for one in ordered] == sorted((one or 0, name) for one, name in found)


def test_logs_of_two_folders_are_put_in_order_in_little_room() -> None:
    logs = [log(number, f"{folder}edb{number:08x}.log") for folder in ("", "x/") for number in range(300, 2300)]
    logs_in_order([*logs])
    tracemalloc.start()
    try:
        assert len(logs_in_order(logs)) == 4000
        assert tracemalloc.get_traced_memory()[1] < 20 * 4000  # the list is eight for each
    finally:
        tracemalloc.stop()


def test_a_generation_that_no_engine_writes_is_found_too() -> None:
    table = LogsByGeneration()
    for number in (1 << 40, 5):
        table.add(replace(log(1), generation=number), number, 0)
    table.sort()
    assert [one.facts.generation for one in table.copies(1 << 40)] == [1 << 40]
    assert [*table.present(1, 1 << 50)] == [5, 1 << 40]
