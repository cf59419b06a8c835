from __future__ import annotations

import random
from itertools import pairwise

import pytest
from ese_files import flip, page_bytes
from hypothesis import given, settings
from hypothesis import strategies as st

from tokar.ese.checksum import with_header_checksum
from tokar.ese.page import page_is_sealed, seal_page
from tokar.ese.pagefaults import diagnose, flipped_bit
from tokar.ese.pagereport import PageFaultKind

SIZES = [2048, 4096, 8192, 16384, 32768]
LAST = 100


def with_flips(page_size: int, *bits: int, ecc: bool = True) -> bytes:
    page = bytearray(page_bytes(page_size, 10, ecc=ecc))
    for bit in bits:
        flip(page, 0, bit)
    return bytes(page)


@pytest.mark.parametrize("page_size", SIZES)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_any_single_flipped_bit_is_located(page_size: int, data: st.DataObject) -> None:
    bit = data.draw(st.integers(64, page_size * 8 - 1))
    fault = diagnose(with_flips(page_size, bit), 10, LAST)
    # Bit 301 names the format of a small page: the engine then reads it as an old one, and corrects nothing.
    engine_corrects = bit != 301 or page_size >= 16384
    assert fault.kind is (PageFaultKind.CORRECTABLE if engine_corrects else PageFaultKind.CHECKSUM_BIT)
    assert fault.bits == (bit,)
    assert fault.code == (None if engine_corrects else -1018)


@pytest.mark.parametrize("bit", [7, 31, 32, 47, 63])
def test_a_flipped_bit_of_the_checksum_itself_is_located_and_refused_by_the_engine(bit: int) -> None:
    fault = diagnose(with_flips(4096, bit), 10, LAST)
    assert fault.kind is PageFaultKind.CHECKSUM_BIT
    assert fault.bits == (bit,)
    assert fault.code == -1018


def test_a_checksum_bit_that_names_another_page_of_the_file_may_be_a_misplaced_page() -> None:
    fault = diagnose(with_flips(4096, 0), 10, LAST)
    assert fault.kind is PageFaultKind.MISPLACED
    assert fault.belongs_to == 11


@pytest.mark.parametrize("bit", [0, 20, 40])
def test_a_large_page_tells_a_flipped_checksum_bit_from_a_misplaced_page(bit: int) -> None:
    fault = diagnose(with_flips(32768, bit), 10, LAST)
    assert fault.kind is PageFaultKind.CHECKSUM_BIT
    assert fault.bits == (bit,)


@pytest.mark.parametrize("page_size", SIZES)
def test_a_page_in_the_wrong_place_names_its_own(page_size: int) -> None:
    fault = diagnose(page_bytes(page_size, 77), 10, LAST)
    assert fault.kind is PageFaultKind.MISPLACED
    assert fault.belongs_to == 77
    assert fault.code == -1018


def test_an_old_page_in_the_wrong_place_names_its_own() -> None:
    fault = diagnose(page_bytes(4096, 77, ecc=False), 10, LAST)
    assert fault.kind is PageFaultKind.MISPLACED
    assert fault.belongs_to == 77


def test_a_page_of_a_larger_file_is_misplaced_too() -> None:
    fault = diagnose(page_bytes(4096, 0x1234), 10, LAST)
    assert (fault.kind, fault.belongs_to) == (PageFaultKind.MISPLACED, 0x1234)


@pytest.mark.parametrize("page_size", SIZES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rubbish_is_bad_and_nothing_is_claimed_about_it(page_size: int, seed: int) -> None:
    page = random.Random(seed).randbytes(page_size)
    fault = diagnose(page, 10, LAST)
    assert fault.kind is PageFaultKind.BAD
    assert (fault.bits, fault.belongs_to, fault.code) == ((), None, -1018)
    assert fault.offset == 11 * page_size


@pytest.mark.parametrize("page_size", SIZES)
def test_two_flipped_bits_in_one_block_are_bad(page_size: int) -> None:
    assert diagnose(with_flips(page_size, 700, 900), 10, LAST).kind is PageFaultKind.BAD


@pytest.mark.parametrize("page_size", [16384, 32768])
def test_flipped_bits_in_different_blocks_are_all_located(page_size: int) -> None:
    bits = tuple(block * page_size * 2 + 1000 + block for block in range(4))
    fault = diagnose(with_flips(page_size, *bits), 10, LAST)
    assert fault.kind is PageFaultKind.CORRECTABLE
    assert fault.bits == bits


@pytest.mark.parametrize("offset", [40, 48, 56, 64])
def test_flipped_bits_in_the_stored_checksums_and_number_of_a_large_page_are_located(offset: int) -> None:
    fault = diagnose(with_flips(32768, offset * 8 + 3), 10, LAST)
    assert fault.kind is PageFaultKind.CORRECTABLE
    assert fault.bits == (offset * 8 + 3,)


def test_a_large_page_with_one_block_of_rubbish_is_bad() -> None:
    page = bytearray(page_bytes(32768, 10))
    page[20000:20100] = random.Random(5).randbytes(100)
    assert diagnose(bytes(page), 10, LAST).kind is PageFaultKind.BAD


def test_a_large_page_whose_number_alone_is_wrong_gives_its_own_error() -> None:
    page = bytearray(page_bytes(32768, 10))
    page[64:68] = (11).to_bytes(4, "little")
    block = seal_page(bytes(page[:8192]), 10)  # an 8 KiB page has the checksum of the first block
    fault = diagnose(block + bytes(page[8192:]), 10, LAST)
    assert fault.kind is PageFaultKind.WRONG_NUMBER
    assert fault.belongs_to == 11
    assert fault.code == -1118


def test_a_flipped_format_bit_on_an_old_page_is_located() -> None:
    fault = diagnose(with_flips(4096, 301, ecc=False), 10, LAST)
    assert fault.kind is PageFaultKind.CHECKSUM_BIT
    assert fault.bits == (301,)


def test_an_old_page_with_a_flipped_bit_is_bad() -> None:
    assert diagnose(with_flips(4096, 5000, ecc=False), 10, LAST).kind is PageFaultKind.BAD


def test_a_sealed_block_without_page_number_is_bad() -> None:
    assert diagnose(with_header_checksum(bytes(4096)), 10, LAST).kind is PageFaultKind.BAD


@pytest.mark.parametrize("ecc", [True, False])
@pytest.mark.parametrize("cut", [512, 2048, 3584])
def test_a_page_written_in_part_is_bad(ecc: bool, cut: int) -> None:
    page = page_bytes(4096, 10, ecc=ecc)[:cut] + page_bytes(4096, 11, ecc=ecc)[cut:]
    assert not page_is_sealed(page, 10)
    assert diagnose(page, 10, LAST).kind is PageFaultKind.BAD


@given(st.integers(0, (1 << 64) - 1), st.sampled_from([2048, 4096, 8192]))
def test_a_located_bit_always_explains_the_difference(difference: int, block_size: int) -> None:
    position = flipped_bit(difference, block_size)
    if position is not None:
        assert 0 <= position < block_size * 8
        assert difference & 0xFFFFFFFF == 1 << position % 32


def test_differences_of_single_bits_are_their_own() -> None:
    mask = 4096 * 8 - 1
    differences = [((position ^ mask) << 16 | position) << 32 | 1 << position % 32 for position in range(0, 32768, 97)]
    assert all(flipped_bit(value, 4096) == 97 * index for index, value in enumerate(differences))
    assert all(flipped_bit(left ^ right, 4096) is None for left, right in pairwise(differences))
