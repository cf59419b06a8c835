"""A reader written from the specification alone and the reader of the project give the same answers."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from conformance_cases import FIXTURES, KEY, Expectation, from_the_front, names, reference_archive, spoil
from independent_reader import Verdict, judge
from sweeps import each

if TYPE_CHECKING:
    from pathlib import Path

# ANS-1: where a body breaks several rules a reader may name any of them.
SAME_BODY = [
    {"INDX-1", "INDX-2", "INDX-3"},
    {"DATA-6", "DATA-7"},
    {"DATA-4", "DATA-5", "DATA-6", "ENC-3"},
    {f"JSON-{number}" for number in range(1, 8)},
]


def same_rule(first: str | None, second: str | None) -> bool:
    return first == second or any({first, second} <= group for group in SAME_BODY)


def demand_agreement(data: bytes, *, keyed: bool = True) -> Verdict:
    ours = from_the_front(data) if keyed else from_the_front(data, decode=False, keyring=None)
    theirs = judge(data, KEY if keyed else None)
    assert ours.answer == theirs.answer
    assert same_rule(ours.rule, theirs.rule)
    assert ours.position == theirs.position
    released = [(one["token"], one["name_hex"], one["digest"]) for one in ours.entries]
    assert released == [(one.token, one.name.hex(), one.digest.hex()) for one in theirs.entries]
    return theirs


@each([name for name in names() if not name.startswith(("may-", "enc-4-"))])
def test_both_readers_agree_about_a_fixture(name: str) -> None:
    folder: Path = FIXTURES / name
    demand_agreement((folder / "archive.tokar").read_bytes())


@pytest.mark.parametrize("name", [name for name in names() if Expectation.load(name).encryption])
def test_both_readers_agree_about_an_encrypted_fixture_without_the_key(name: str) -> None:
    demand_agreement((FIXTURES / name / "archive.tokar").read_bytes(), keyed=False)


def test_the_reference_archive_is_sealed_for_both() -> None:
    assert demand_agreement(bytes(reference_archive().data)).answer == "sealed"


def test_both_readers_agree_about_random_damage() -> None:
    data, dice = bytes(reference_archive().data), random.Random(20)
    for _ in range(400):
        spoiled = bytearray(data)
        for _ in range(dice.randint(1, 3)):
            spoiled[dice.randrange(len(spoiled))] = dice.randrange(256)
        answer = demand_agreement(bytes(spoiled)).answer
        assert answer != "sealed" or spoiled == data


def test_both_readers_give_one_answer_at_one_place_about_records_that_were_repaired() -> None:
    small = [data for name in names() if len(data := (FIXTURES / name / "archive.tokar").read_bytes()) < 4096]
    dice = random.Random(8)
    for _ in range(1000):
        data = spoil(dice.choice(small), dice.choice(small), dice)
        ours, theirs = from_the_front(data), judge(data, KEY)
        assert (ours.answer, ours.position) == (theirs.answer, theirs.position)
