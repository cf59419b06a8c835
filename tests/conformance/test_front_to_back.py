"""Every fixture, read from the front: exactly the answer, the rule, the position and the entries that it names."""

from __future__ import annotations

import pytest
from conformance_cases import NEEDS_CONTENT, Expectation, from_the_front, names

from tokar.format.scanner import ChunkRead, EntryBegun, EntryEnded, RecordRead


class Trickle:
    """A pipe that gives a few bytes at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        self._data = data
        self._at = 0
        self._step = step

    def read(self, size: int, /) -> bytes:
        piece = self._data[self._at : self._at + min(size, self._step)]
        self._at += len(piece)
        return piece


@pytest.mark.parametrize("name", names())
def test_the_reader_gives_the_answer_of_the_fixture(name: str) -> None:
    case = Expectation.load(name)
    outcome = from_the_front(case.data)
    answers = [(case.answer, case.position, case.rule, case.also)]
    answers += [(one["answer"], one["position"], one["rule"], one.get("also", ())) for one in case.permitted]
    assert any(
        (outcome.answer, outcome.position) == (answer, position) and (outcome.rule == rule or outcome.rule in also)
        for answer, position, rule, also in answers
    )


@pytest.mark.parametrize("name", names())
def test_the_reader_releases_the_entries_of_the_fixture_and_no_more(name: str) -> None:
    case = Expectation.load(name)
    expected = [{key: value for key, value in entry.items() if key != "codecs"} for entry in case.entries]
    outcome = from_the_front(case.data)
    if outcome.answer != case.answer:
        expected = expected[: next(one["released"] for one in case.permitted if one["answer"] == outcome.answer)]
    assert outcome.entries == expected


def test_without_content_the_reader_misses_only_what_needs_content() -> None:
    cases = [Expectation.load(name) for name in names()]
    missed = {case.name for case in cases if from_the_front(case.data, decode=False).answer != case.answer}
    assert missed == NEEDS_CONTENT


def test_a_pipe_that_trickles_changes_nothing() -> None:
    for name in names():
        data = Expectation.load(name).data
        assert from_the_front(data, stream=Trickle(data, 61)) == from_the_front(data), name


def test_every_event_comes_in_its_place() -> None:
    events = from_the_front(Expectation.load("good-codecs-mixed").data).events
    assert events == [RecordRead, EntryBegun, *[ChunkRead] * 4, EntryEnded, *[RecordRead] * 5]
