"""What is wrong with a page that did not verify: which bit, or which page it is instead.

A changed bit at position p changes L of the ECC by p and H by the complement of p, and the XOR part by that bit of its
word: three witnesses for one flipped bit. A page written to the wrong place differs only in the XOR part, by its
number.

Sources: Microsoft, Extensible Storage Engine, checksum.cxx and checksumu.cxx.
"""

from __future__ import annotations

from typing import Final

from tokar.ese.checksum import HEADER_SEED, ecc_checksum, xor_words
from tokar.ese.page import (
    FLAGS_OFFSET,
    LARGE_CHECKSUMS_OFFSET,
    LARGE_NUMBER_OFFSET,
    LARGE_PAGE_SIZE,
    NEW_FORMAT,
    block_size_of,
    page_is_sealed,
)
from tokar.ese.pagereport import PageFault, PageFaultKind

_FORMAT_BIT: Final = FLAGS_OFFSET * 8 + NEW_FORMAT.bit_length() - 1
_LOW_HALF: Final = 0xFFFFFFFF
_HIGHEST_NUMBER: Final = 0x7FFFFFFF


def flipped_bit(difference: int, block_size: int) -> int | None:
    """Return the position of the one flipped bit of a block that explains a difference of checksums; None where none does.

    Args:
        difference: Stored checksum XOR computed checksum.
        block_size: Bytes in the block.
    """
    ecc, words = difference >> 32, difference & _LOW_HALF
    mask = block_size * 8 - 1
    position = ecc & 0xFFFF
    complementary = (ecc >> 16) ^ position == mask
    return position if complementary and words == 1 << (position % 32) else None


def diagnose(page: bytes, number: int, last_page: int) -> PageFault:
    """Return what is wrong with a page that is neither empty nor verified.

    Args:
        page: The whole page.
        number: The number its place calls for.
        last_page: The highest page number of the file.
    """
    if len(page) >= LARGE_PAGE_SIZE:
        kind, bits, belongs_to = _diagnose_large(page, number)
    elif int.from_bytes(page[FLAGS_OFFSET : FLAGS_OFFSET + 4], "little") & NEW_FORMAT:
        kind, bits, belongs_to = _diagnose_new(page, number, last_page)
    else:
        kind, bits, belongs_to = _diagnose_old(page)
    if kind is PageFaultKind.BAD and len(page) < LARGE_PAGE_SIZE and page_is_sealed(_flip(page, _FORMAT_BIT), number):
        kind, bits = PageFaultKind.CHECKSUM_BIT, (_FORMAT_BIT,)
    return PageFault(kind, number, (number + 1) * len(page), bits, belongs_to)


_Finding = tuple[PageFaultKind, tuple[int, ...], int | None]
_BAD: Final[_Finding] = (PageFaultKind.BAD, (), None)


def _diagnose_old(page: bytes) -> _Finding:
    """The old XOR covers the stored number, so a right XOR with another number is a page from elsewhere."""
    found = int.from_bytes(page[4:8], "little")
    if xor_words(page) == HEADER_SEED and 1 <= found <= _HIGHEST_NUMBER:
        return PageFaultKind.MISPLACED, (), found
    return _BAD


def _diagnose_new(page: bytes, number: int, last_page: int) -> _Finding:
    difference = int.from_bytes(page[:8], "little") ^ ecc_checksum(page, number)
    if (position := flipped_bit(difference, len(page))) is not None:
        return PageFaultKind.CORRECTABLE, (position,), None
    single = difference.bit_count() == 1
    if difference <= _LOW_HALF:
        found = number ^ difference
        # One differing bit is a page from elsewhere, or a flipped bit in the stored checksum: the file's own range
        # decides.
        if 1 <= found <= (last_page if single else _HIGHEST_NUMBER):
            return PageFaultKind.MISPLACED, (), found
    if single:
        return PageFaultKind.CHECKSUM_BIT, (difference.bit_length() - 1,), None
    return _BAD


def _diagnose_large(page: bytes, number: int) -> _Finding:
    differences = [_block_difference(page, block, number) for block in range(4)]
    if not any(differences):
        return PageFaultKind.WRONG_NUMBER, (), int.from_bytes(_stored_number(page), "little")
    if len(set(differences)) == 1 and differences[0] <= _LOW_HALF:
        return PageFaultKind.MISPLACED, (), number ^ differences[0]
    return _locate_in_large(page, number, differences[0])


def _locate_in_large(page: bytes, number: int, first_difference: int) -> _Finding:
    """Correct the first block before looking at the others: it holds their checksums."""
    size = block_size_of(len(page))
    kind = PageFaultKind.CORRECTABLE
    bits = []
    if first_difference:
        position = flipped_bit(first_difference, size)
        if position is None and first_difference.bit_count() == 1:
            kind, position = PageFaultKind.CHECKSUM_BIT, first_difference.bit_length() - 1
        if position is None:
            return _BAD
        bits.append(position)
        page = _flip(page, position)
    for block in range(1, 4):
        if difference := _block_difference(page, block, number):
            position = flipped_bit(difference, size)
            if position is None:
                return _BAD
            bits.append(block * size * 8 + position)
    if int.from_bytes(_stored_number(page), "little") != number:
        return _BAD
    return kind, tuple(bits), None


def _block_difference(page: bytes, block: int, number: int) -> int:
    size = block_size_of(len(page))
    at = LARGE_CHECKSUMS_OFFSET + 8 * (block - 1) if block else 0
    stored = int.from_bytes(page[at : at + 8], "little")
    return stored ^ ecc_checksum(page[block * size : (block + 1) * size], number, first=block == 0)


def _stored_number(page: bytes) -> bytes:
    return page[LARGE_NUMBER_OFFSET : LARGE_NUMBER_OFFSET + 4]


def _flip(page: bytes, position: int) -> bytes:
    changed = bytearray(page)
    changed[position // 8] ^= 1 << (position % 8)
    return bytes(changed)
