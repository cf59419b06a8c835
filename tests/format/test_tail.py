from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokar.errors import FormatError
from tokar.format import bodies
from tokar.format.bodies import Tail

U64 = st.integers(0, (1 << 64) - 1)


@given(U64, st.binary(min_size=32, max_size=32), U64)
def test_a_tail_comes_back(root_position: int, root: bytes, total_size: int) -> None:
    built = Tail(root_position, root, total_size)
    assert Tail.parse(built.build(), position=0) == built


def test_a_tail_takes_the_last_120_bytes() -> None:
    assert bodies.TAIL_SIZE == 120
    assert len(Tail(0, bytes(32), 0).build()) == bodies.TAIL_BODY_SIZE == 56
    assert Tail(0, bytes(32), 0).build()[-8:] == bytes.fromhex("0a1a0a0d524b5489")


@pytest.mark.parametrize("place", range(48, 56))
def test_another_end_magic_is_refused(place: int) -> None:
    body = bytearray(Tail(1, bytes(32), 2).build())
    body[place] ^= 1
    with pytest.raises(FormatError) as caught:
        Tail.parse(bytes(body), position=99)
    assert (caught.value.rule, caught.value.offset) == ("TAIL-1", 99)


def test_a_tail_in_its_place_is_accepted() -> None:
    Tail(500, bytes(32), 1000).demand_place(1000, position=880)


@pytest.mark.parametrize(
    ("root_position", "total_size"), [(500, 999), (500, 1001), (0, 1000), (880, 1000), (881, 1000), (1 << 63, 1000)]
)
def test_a_tail_that_cannot_be_of_this_archive_is_refused(root_position: int, total_size: int) -> None:
    with pytest.raises(FormatError) as caught:
        Tail(root_position, bytes(32), total_size).demand_place(1000, position=880)
    assert (caught.value.rule, caught.value.offset) == ("TAIL-2", 880)
