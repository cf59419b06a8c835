"""Whatever is done to a good archive: typed errors only, and the two readers never disagree about what is good."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conformance_cases import Expectation, from_the_front, from_the_tail, join, names, reference_archive, split, spoil
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

if TYPE_CHECKING:
    from random import Random

GOOD = [name for name in names("good-") if "longest" not in name and "largest" not in name and "chunk" not in name]


def demand_agreement(data: bytes) -> None:
    front, tail = from_the_front(data), from_the_tail(data)
    assert (front.answer == "sealed") == (tail.answer == "sealed")
    if front.answer == "sealed":
        assert front.entries == tail.entries
    else:
        assert front.rule is not None
        assert front.position is not None
        assert 0 <= front.position <= len(data)


@examples(300)
@given(st.sampled_from(GOOD), st.sampled_from(names()), st.randoms(use_true_random=False))
def test_a_spoilt_archive_gives_typed_errors_and_one_verdict(name: str, other: str, random: Random) -> None:
    demand_agreement(spoil(Expectation.load(name).data, Expectation.load(other).data, random))


@examples(150)
@given(st.binary(max_size=3000))
def test_any_bytes_after_a_preamble_give_typed_errors(data: bytes) -> None:
    demand_agreement(bytes(reference_archive().data[:32]) + data)


@examples(100)
@given(st.binary(max_size=200))
def test_any_bytes_are_no_archive(data: bytes) -> None:
    expected = "not-an-archive" if data[:8] != bytes.fromhex("89544b520d0a1a0a") else None
    assert from_the_front(data).answer == expected or expected is None
    assert from_the_tail(data).answer == expected or expected is None


@examples(200)
@given(st.data())
def test_a_record_with_any_body_and_a_right_check_gives_typed_errors(data: st.DataObject) -> None:
    whole = bytes(reference_archive().data)
    parts = split(whole)
    part = data.draw(st.sampled_from(parts))
    part.body[:] = data.draw(st.binary(max_size=300))
    demand_agreement(join(whole[:32], parts, derive=data.draw(st.booleans())))


@examples(200)
@given(st.data())
def test_records_in_any_order_give_one_verdict(data: st.DataObject) -> None:
    whole = bytes(reference_archive().data)
    parts = data.draw(st.permutations(split(whole)))
    demand_agreement(join(whole[:32], parts, derive=True))


def test_an_archive_that_is_taken_apart_and_joined_is_the_same() -> None:
    for name in names("good-"):
        data = Expectation.load(name).data
        assert join(data[:32], split(data), derive=False) == data, name
        assert join(data[:32], split(data), derive=True) == data, name
