"""Logs in order, however they came."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokar.ese.values import LogTime, Signature
from tokar.sets import by_generation
from tokar.sets.by_generation import LogsByGeneration, log_at, logs_in_order
from tokar.sets.facts import LogFacts
from tokar.sets.logs import LogTable


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


@pytest.mark.parametrize("generations", [[5, 6, 7], [5, 7, 8, 11], [7], []], ids=str)
def test_a_log_of_a_run_is_found_behind_holes_too(generations: list[int]) -> None:
    run = [*map(log, generations)]
    found = [log_at(run, generation) for generation in range(13)]
    assert [one and one.generation for one in found] == [one if one in generations else None for one in range(13)]


def states_of(generation: int) -> list[LogFacts]:
    """Two copies of a log, of which one is too short, and one of another history."""
    named = replace(log(generation), signature=Signature(random=1), named_generation=generation, base="edb")
    named = replace(named, created=LogTime(year=generation), previous_created=LogTime(year=generation - 1))
    copies = (replace(named, number=number, size=generation % 2 == number) for number in (0, 1))
    return [*copies, replace(named, created=LogTime(month=3))]


def test_what_is_asked_of_a_generation_again_is_answered_alike() -> None:
    table = LogTable([one for generation in range(5, 45) for one in states_of(generation)])
    stream = Signature(random=1).pack()
    first = {generation: table.versions(stream, generation) for generation in range(5, 45)}
    again = {generation: table.versions(stream, generation) for generation in range(5, 45)}
    assert first == again
    for generation, (one, other) in again.items():
        assert [copy.facts.number for copy in (*one.copies, *other.copies)] == [
            1 - generation % 2,
            generation % 2,
            None,
        ]
    assert all(table.version_of(copy.facts) is one for found in table.alike() for one in found for copy in one.copies)


def test_a_generation_that_no_engine_writes_is_found_too() -> None:
    table = LogsByGeneration()
    for number in (1 << 40, 5):
        table.add(replace(log(1), generation=number), number, 0)
    table.sort()
    assert [one.facts.generation for one in table.copies(1 << 40)] == [1 << 40]
    assert [*table.present(1, 1 << 50)] == [5, 1 << 40]
