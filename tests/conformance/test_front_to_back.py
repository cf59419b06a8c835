"""Every fixture, read from the front: exactly the answer, the rule, the position and the entries that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from conformance_cases import IDENTITY, NEEDS_CONTENT, Expectation, case_of, from_the_front, names
from sweeps import each

from tokar.errors import LockedError
from tokar.format.scanner import ChunkRead, EntryBegun, EntryEnded, RecordRead
from tokar.trust.recipients import Identities

if TYPE_CHECKING:
    from pathlib import Path

OPENING = [name for name in names() if Expectation.load(name).opens]


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


@each(OPENING)
def test_the_reader_gives_the_answer_of_the_fixture(name: str) -> None:
    case = case_of(name)
    outcome = from_the_front(case.data)
    answers = [(case.answer, case.position, case.rule, case.also)]
    answers += [(one["answer"], one["position"], one["rule"], one.get("also", ())) for one in case.permitted]
    assert any(
        (outcome.answer, outcome.position) == (answer, position) and (outcome.rule == rule or outcome.rule in also)
        for answer, position, rule, also in answers
    )


@each(OPENING)
def test_the_reader_releases_the_entries_of_the_fixture_and_no_more(name: str) -> None:
    case = case_of(name)
    expected = [{key: value for key, value in entry.items() if key != "codecs"} for entry in case.entries]
    outcome = from_the_front(case.data)
    if outcome.answer != case.answer:
        expected = expected[: next(one["released"] for one in case.permitted if one["answer"] == outcome.answer)]
    assert outcome.entries == expected


def test_without_content_the_reader_misses_only_what_needs_content() -> None:
    cases = [case_of(name) for name in OPENING]
    missed = {case.name for case in cases if from_the_front(case.data, decode=False).answer != case.answer}
    assert missed == NEEDS_CONTENT


def test_without_the_key_the_reader_misses_only_what_needs_content() -> None:
    cases = [case_of(name) for name in names()]
    missed = {
        case.name for case in cases if from_the_front(case.data, decode=False, keyring=None).answer != case.answer
    }
    assert missed == NEEDS_CONTENT


@pytest.mark.parametrize("name", [name for name in names() if Expectation.load(name).encryption])
def test_without_the_key_no_content_is_released(name: str) -> None:
    case = case_of(name)
    if case.rule not in {"ENC-1", "HEAD-2"}:
        with pytest.raises(LockedError):
            from_the_front(case.data, keyring=None)


@pytest.mark.parametrize("name", names("enc-4-"))
def test_another_key_is_refused_before_any_content(name: str, tmp_path: Path) -> None:
    case = case_of(name)
    assert not case.opens
    (tmp_path / "identity").write_text(IDENTITY)
    with pytest.raises(LockedError, match="not the key of this archive"):
        from_the_front(case.data, keyring=Identities([tmp_path / "identity"]))


def test_a_pipe_that_trickles_changes_nothing() -> None:
    for name in OPENING:
        data = case_of(name).data
        assert from_the_front(data, stream=Trickle(data, 61)) == from_the_front(data), name


def test_every_event_comes_in_its_place() -> None:
    events = from_the_front(case_of("good-codecs-mixed").data).events
    assert events == [RecordRead, EntryBegun, *[ChunkRead] * 4, EntryEnded, *[RecordRead] * 5]
