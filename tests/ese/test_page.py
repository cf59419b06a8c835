from __future__ import annotations

import random

import pytest

from tokar.ese.checksum import ecc_checksum
from tokar.ese.page import (
    NEW_FORMAT,
    PageHeader,
    block_size_of,
    page_is_sealed,
    seal_page,
    seal_segment,
    segment_is_sealed,
)


def page(size: int, flags: int = NEW_FORMAT, seed: int = 1) -> bytes:
    header = PageHeader(dbtime=5, object_id=2, flags=flags).pack()
    return header + random.Random(seed).randbytes(size - len(header))


@pytest.mark.parametrize("size", [2048, 4096, 8192, 16384, 32768])
def test_a_sealed_page_holds_at_its_number_only(size: int) -> None:
    sealed = seal_page(page(size), 10)
    assert len(sealed) == size
    assert page_is_sealed(sealed, 10)
    assert not page_is_sealed(sealed, 11)


@pytest.mark.parametrize("size", [2048, 4096, 8192])
def test_an_old_page_stores_its_number(size: int) -> None:
    sealed = seal_page(page(size, flags=2), 10)
    assert sealed[4:8] == (10).to_bytes(4, "little")
    assert page_is_sealed(sealed, 10)
    assert not page_is_sealed(sealed, 11)


@pytest.mark.parametrize("size", [16384, 32768])
def test_a_large_page_stores_its_number_and_three_more_checksums(size: int) -> None:
    sealed = seal_page(page(size), 10)
    block = size // 4
    assert sealed[64:68] == (10).to_bytes(4, "little")
    for number in (1, 2, 3):
        stored = int.from_bytes(sealed[32 + 8 * number : 40 + 8 * number], "little")
        assert stored == ecc_checksum(sealed[number * block : (number + 1) * block], 10, first=False)


def test_an_empty_block_of_a_large_page_stores_just_the_page_number() -> None:
    sealed = seal_page(page(32768)[:8192] + bytes(24576), 10)
    assert sealed[40:64] == (10).to_bytes(8, "little") * 3


def test_only_large_pages_are_cut_into_blocks() -> None:
    assert [block_size_of(size) for size in (2048, 4096, 8192, 16384, 32768)] == [2048, 4096, 8192, 4096, 8192]


@pytest.mark.parametrize("size", [4096, 32768])
@pytest.mark.parametrize("offset", [0, 8, 36, 70, 4000])
def test_a_changed_byte_breaks_the_seal(size: int, offset: int) -> None:
    sealed = bytearray(seal_page(page(size), 10))
    sealed[offset] ^= 1
    assert not page_is_sealed(bytes(sealed), 10)


def test_a_zero_page_is_not_sealed() -> None:
    assert not page_is_sealed(bytes(4096), 10)


def test_a_sealed_segment_holds_at_its_place_only() -> None:
    sealed = seal_segment(page(4096), 3)
    assert segment_is_sealed(sealed, 3)
    assert not segment_is_sealed(sealed, 2)


def test_a_zero_segment_is_not_sealed() -> None:
    assert not segment_is_sealed(bytes(4096), 0)


@pytest.mark.samples
@pytest.mark.parametrize(
    ("path", "size", "number"),
    [
        ("dissect/basic.edb", 4096, 1),
        ("dsinternals/adamntds.dit", 8192, 1),
        ("dissect/large.edb", 32768, 1),
        ("dissect/large.edb", 32768, 10),
        ("xp64-catroot2/F750E6C3/catdb", 4096, 1),
    ],
)
def test_real_pages_are_sealed(samples: object, path: str, size: int, number: int) -> None:
    with open(f"{samples}/{path}", "rb") as file:  # noqa: PTH123 - one seek and one read
        file.seek((number + 1) * size)
        assert page_is_sealed(file.read(size), number)


@pytest.mark.samples
def test_a_real_segment_is_sealed(samples: object) -> None:
    with open(f"{samples}/win10-srum-rathbun/SRU00003.log", "rb") as file:  # noqa: PTH123 - one seek and one read
        file.seek(4096)
        segment = file.read(4096)
    assert segment[:8].hex() == "d78f6273e55ee55e"
    assert segment_is_sealed(segment, 1)
