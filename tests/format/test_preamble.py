from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokar.errors import BadMagicError, FormatError, UnsealedError, UnsupportedError
from tokar.format import bodies
from tokar.format.bodies import Preamble

ID = bytes(range(16))
BUILT = Preamble(ID).build()


@given(st.binary(min_size=16, max_size=16))
def test_an_id_comes_back(archive_id: bytes) -> None:
    assert Preamble.parse(Preamble(archive_id).build()) == Preamble(archive_id)


def test_the_bytes_are_those_of_the_specification() -> None:
    assert len(BUILT) == bodies.PREAMBLE_SIZE == 32
    assert BUILT[:12] == bytes.fromhex("89544b520d0a1a0a 0100 0000")
    assert BUILT[16:] == ID


def test_the_tag_is_the_first_half_of_the_id() -> None:
    assert Preamble(ID).tag == ID[:8]


@pytest.mark.parametrize("size", range(8))
def test_less_than_the_magic_is_no_archive(size: int) -> None:
    with pytest.raises(BadMagicError):
        Preamble.parse(BUILT[:size])


@pytest.mark.parametrize("size", range(8, 32))
def test_a_cut_preamble_is_unsealed(size: int) -> None:
    with pytest.raises(UnsealedError) as caught:
        Preamble.parse(BUILT[:size])
    assert (caught.value.rule, caught.value.offset) == ("STATE-1", 0)


@pytest.mark.parametrize("major", [0, 2, 0x100, 0xFFFF])
@pytest.mark.parametrize("size", [10, 20, 32])
def test_another_major_version_is_unsupported_whatever_follows(major: int, size: int) -> None:
    with pytest.raises(UnsupportedError, match=str(major)) as caught:
        Preamble.parse((BUILT[:8] + major.to_bytes(2, "little") + b"\xff" * 22)[:size])
    assert caught.value.rule == "PRE-2"


@pytest.mark.parametrize("position", range(32))
def test_every_flipped_bit_is_found(position: int) -> None:
    for bit in range(8):
        spoilt = bytearray(BUILT)
        spoilt[position] ^= 1 << bit
        with pytest.raises(FormatError) as caught:
            Preamble.parse(bytes(spoilt))
        expected = (
            {"PRE-1"} if position < 8 else {"PRE-2"} if position < 10 else {"PRE-3"} if position < 12 else {"PRE-4"}
        )
        assert caught.value.rule in expected


def test_a_reserved_byte_is_judged_when_the_field_is_complete() -> None:
    with pytest.raises(UnsealedError):
        Preamble.parse(BUILT[:10] + b"\x01")
    with pytest.raises(FormatError, match="reserved"):
        Preamble.parse(BUILT[:10] + b"\x01\x00")


@settings(max_examples=100)
@given(st.binary(max_size=40))
def test_any_bytes_give_a_typed_error_or_an_id(data: bytes) -> None:
    for start in (b"", BUILT[:8], BUILT[:10], BUILT[:12]):
        with pytest.raises(FormatError):
            Preamble.parse(start + data)
