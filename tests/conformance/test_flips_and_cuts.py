"""A reference archive with every byte flipped, removed or doubled, and cut at every length."""

from __future__ import annotations

import pytest
from conformance_cases import from_the_front, from_the_tail, reference_archive
from sweeps import sampled

REFERENCE = bytes(reference_archive().data)
# Every place is tried by the torture, and always some of them, from all over: a prime is in step with no field.
STRIPES = 17
STRIPE = sampled(range(STRIPES), lambda number: number % 8 == 3)


def stripe(number: int) -> range:
    return range(number, len(REFERENCE), STRIPES)


def test_the_reference_archive_is_good_and_has_a_record_of_every_kind() -> None:
    assert from_the_front(REFERENCE).answer == from_the_tail(REFERENCE).answer == "sealed"
    kinds = {b"HEAD", b"PROC", b"FILE", b"DATA", b"DONE", b"note", b"SUMM", b"INDX", b"ROOT", b"sign", b"TAIL"}
    assert set(reference_archive().starts) == kinds
    assert len(REFERENCE) < 4096


@pytest.mark.parametrize("mask", [0x01, 0x80])
@pytest.mark.parametrize("number", STRIPE)
def test_no_flipped_byte_is_accepted(number: int, mask: int) -> None:
    spoilt = bytearray(REFERENCE)
    for position in stripe(number):
        spoilt[position] ^= mask
        front, tail = from_the_front(bytes(spoilt)), from_the_tail(bytes(spoilt))
        spoilt[position] ^= mask
        expected = "not-an-archive" if position < 8 else "unsupported" if position < 10 else "damaged"
        assert (front.answer, tail.answer) == (expected, expected), position
        assert front.position is not None
        assert front.position <= position


@pytest.mark.parametrize("number", STRIPE)
def test_no_flipped_byte_is_accepted_without_content(number: int) -> None:
    spoilt = bytearray(REFERENCE)
    for position in stripe(number):
        spoilt[position] ^= 0x10
        data = bytes(spoilt)
        spoilt[position] ^= 0x10
        assert from_the_front(data, decode=False).answer != "sealed"
        assert from_the_tail(data, content=False).answer != "sealed"


@pytest.mark.parametrize("number", STRIPE)
def test_no_lost_byte_is_accepted(number: int) -> None:
    for position in stripe(number):
        data = REFERENCE[:position] + REFERENCE[position + 1 :]
        assert from_the_front(data).answer != "sealed"
        assert from_the_tail(data).answer != "sealed"


@pytest.mark.parametrize("number", STRIPE)
def test_no_doubled_byte_is_accepted(number: int) -> None:
    for position in stripe(number):
        data = REFERENCE[:position] + REFERENCE[position : position + 1] + REFERENCE[position:]
        assert from_the_front(data).answer != "sealed"
        assert from_the_tail(data).answer != "sealed"


@pytest.mark.parametrize("number", STRIPE)
def test_a_cut_archive_is_unsealed_wherever_it_is_cut(number: int) -> None:
    starts = sorted({0, *(start for starts in reference_archive().starts.values() for start in starts)})
    for size in stripe(number):
        expected = "not-an-archive" if size < 8 else "unsealed"
        front, tail = from_the_front(REFERENCE[:size]), from_the_tail(REFERENCE[:size])
        assert (front.answer, tail.answer) == (expected, expected), size
        if size >= 8:
            assert (
                front.position == tail.position == (0 if size < 32 else max(start for start in starts if start <= size))
            )


@pytest.mark.parametrize("number", STRIPE)
def test_an_archive_that_lost_its_beginning_is_refused(number: int) -> None:
    # Where ROOT repeats the preamble a new beginning is found, with nonsense after it.
    for size in stripe(number):
        if size:
            front, tail = from_the_front(REFERENCE[size:]), from_the_tail(REFERENCE[size:])
            assert front.answer == tail.answer
            assert front.answer in {"not-an-archive", "damaged"}
