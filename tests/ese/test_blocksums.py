from __future__ import annotations

import random

import numpy as np
import pytest

from tokar.ese.blocksums import BlockSums, aligned_words
from tokar.ese.checksum import ecc_checksum, xor_words


@pytest.mark.parametrize("block_size", [2048, 4096, 8192])
@pytest.mark.parametrize("count", [1, 2, 7, 16])
def test_sums_agree_with_the_plain_rule(block_size: int, count: int) -> None:
    data = random.Random(count).randbytes(block_size * count)
    blocks = aligned_words(memoryview(data), block_size // 8)
    sums = BlockSums(block_size, 16)
    pieces = [data[start : start + block_size] for start in range(0, len(data), block_size)]

    _, first = sums.sums(blocks, blocks[:, 0])
    assert first.tolist() == [ecc_checksum(piece, 0) for piece in pieces]
    _, other = sums.sums(blocks)
    assert other.tolist() == [ecc_checksum(piece, 0, first=False) for piece in pieces]


def test_one_object_serves_batches_of_any_size_in_any_order() -> None:
    sums = BlockSums(4096, 8)
    for count in (8, 1, 5, 8):
        data = random.Random(count).randbytes(4096 * count)
        _, computed = sums.sums(aligned_words(memoryview(data), 512))
        assert computed.tolist() == [
            ecc_checksum(data[start : start + 4096], 0, first=False) for start in range(0, len(data), 4096)
        ]


def test_folding_alone_gives_the_xor_of_all_words() -> None:
    data = random.Random(1).randbytes(4096)
    (total,) = BlockSums(4096, 1).fold(aligned_words(memoryview(data), 512)).tolist()
    assert total >> 32 ^ total & 0xFFFFFFFF == xor_words(data)


@pytest.mark.parametrize("position", [0, 1, 5, 63, 64, 301, 511, 4096, 32767])
def test_each_single_bit_gives_its_own_position(position: int) -> None:
    block = bytearray(4096)
    block[position // 8] = 1 << position % 8
    (computed,) = BlockSums(4096, 1).sums(aligned_words(memoryview(block), 512))[1].tolist()
    assert computed >> 32 & 0xFFFF == position
    assert computed >> 48 == position ^ 0x7FFF


def test_aligned_bytes_are_not_copied() -> None:
    words = np.zeros(1024, np.uint64)
    assert np.shares_memory(aligned_words(words.data.cast("B"), 512), words)


def test_unaligned_bytes_are_copied_and_equal() -> None:
    data = bytearray(random.Random(2).randbytes(8200))
    rows = aligned_words(memoryview(data)[3:8195], 512)
    assert rows.flags.aligned
    assert rows.tobytes() == data[3:8195]
