from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

from tokar.ese.checksum import (
    ecc_checksum,
    flipped_bit,
    header_checksum,
    header_is_valid,
    stored_checksum,
    with_header_checksum,
    xor_words,
)


def plain_xor(data: bytes) -> int:
    padded = data.ljust(-(-len(data) // 4) * 4, b"\0")
    result = 0
    for offset in range(0, len(padded), 4):
        result ^= int.from_bytes(padded[offset : offset + 4], "little")
    return result


def plain_ecc(block: bytes, number: int, *, first: bool) -> int:
    """The rule as written: number the bits, XOR the positions of those that are set."""
    block = bytes(8) + block[8:] if first else block
    positions = [8 * offset + bit for offset, byte in enumerate(block) for bit in range(8) if byte >> bit & 1]
    low = 0
    for position in positions:
        low ^= position
    high = low ^ (len(block) * 8 - 1) if len(positions) % 2 else low
    return (high << 16 | low) << 32 | (plain_xor(block) ^ number)


@given(st.binary(max_size=200))
def test_xor_words_is_the_xor_of_little_endian_words(data: bytes) -> None:
    assert xor_words(data) == plain_xor(data)


@pytest.mark.parametrize(
    ("size", "expected"),
    [(2048, 0x3ED2012D00002007), (4096, 0x7ED2012D00002007), (8192, 0xFED2012D00002007)],
)
def test_ecc_of_one_set_bit_is_the_published_vector(size: int, expected: int) -> None:
    block = bytearray(size)
    block[36:40] = (0x2000).to_bytes(4, "little")
    assert ecc_checksum(block, 7) == expected


@pytest.mark.parametrize("size", [2048, 4096, 8192])
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("seed", [1, 2])
def test_ecc_equals_the_rule_written_out_bit_by_bit(size: int, first: bool, seed: int) -> None:
    block = random.Random(seed).randbytes(size)
    assert ecc_checksum(block, 0x12345678, first=first) == plain_ecc(block, 0x12345678, first=first)


@examples(40)
@given(st.integers(0, 4096 * 8 - 1), st.integers(0, 1000))
def test_flipping_one_bit_changes_the_ecc_by_its_position_and_complement(position: int, seed: int) -> None:
    block = bytearray(random.Random(seed).randbytes(4096))
    before = ecc_checksum(block, 3, first=False)
    block[position // 8] ^= 1 << position % 8
    difference = (before ^ ecc_checksum(block, 3, first=False)) >> 32
    assert difference & 0xFFFF == position
    assert difference >> 16 == position ^ 0x7FFF


def test_ecc_of_a_zero_block_is_its_page_number() -> None:
    assert ecc_checksum(bytes(8192), 99, first=False) == 99


def test_a_sealed_header_is_valid() -> None:
    block = with_header_checksum(b"????" + random.Random(3).randbytes(4092))
    assert header_is_valid(block)
    assert stored_checksum(block) == header_checksum(block)


def test_a_zero_block_is_no_valid_header() -> None:
    assert not header_is_valid(bytes(4096))


@pytest.mark.parametrize("size", [0, 1, 4])
def test_a_block_without_content_is_no_valid_header(size: int) -> None:
    assert not header_is_valid(b"\xef\xcd\xab\x89"[:size])


@given(st.integers(0, 4095), st.integers(0, 7))
def test_a_flipped_bit_makes_a_header_invalid(offset: int, bit: int) -> None:
    block = bytearray(with_header_checksum(bytes(range(256)) * 16))
    block[offset] ^= 1 << bit
    assert not header_is_valid(block)


@pytest.mark.parametrize("size", [2048, 4096])
def test_no_flipped_bit_lies_past_the_end_of_a_block(size: int) -> None:
    def located(position: int) -> int | None:
        return flipped_bit(((position ^ size * 8 - 1) << 48) | position << 32 | 1 << position % 32, size)

    assert [located(position) for position in (size * 8 - 1, size * 8, 0xFFFF)] == [size * 8 - 1, None, None]
