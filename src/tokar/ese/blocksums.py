"""XOR and ECC of many blocks at once, with numpy.

What is wanted of each block is the XOR of its words, and for each k the parity of those bits whose position has bit k
set (see `tokar.ese.checksum.ecc_checksum`). Folding gives both: cut every block into halves; the parity of the upper
halves is the highest bit of L; lay the upper half on the lower, and the next bit comes from a problem of half the size.
The whole costs about as much as reading each block twice, in long runs that numpy does with vector instructions;
counting set bits, which is slow, is left to a few words for each block. Once 64 words are left the remainder is turned,
so that the runs stay long: they then go across blocks.

Everything works in scratch buffers that stay in the second-level cache. `numpy` releases the interpreter lock in these
runs, so a checker in a thread of its own costs the others little.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from tokar.ese.arrays import np

if TYPE_CHECKING:
    import numpy.typing as npt

    Words = npt.NDArray[np.uint64]

_TURNED: Final = 64
"""How many words of each block are left when the remainder is turned; a power of two."""
# Bit k of L below 6 comes from inside the words: the parity of those bits of the folded word whose number has bit k
# set.
_INNER_MASKS: Final = np.array(
    [
        0xAAAAAAAAAAAAAAAA,
        0xCCCCCCCCCCCCCCCC,
        0xF0F0F0F0F0F0F0F0,
        0xFF00FF00FF00FF00,
        0xFFFF0000FFFF0000,
        0xFFFFFFFF00000000,
    ],
    dtype=np.uint64,
)
_INNER: Final = len(_INNER_MASKS)


def aligned_words(view: memoryview, width: int) -> Words:
    """Return bytes as rows of `width` u64 words: in place where aligned, else copied, for unaligned sums are slow."""
    words: Words = np.frombuffer(view, "<u8").reshape(-1, width)
    return words if words.flags.aligned else words.copy()


class WholeBlocks(ABC):
    """Cuts bytes that come in pieces of any size into whole blocks, and keeps what is left over for the next piece.

    Args:
        size: Bytes in a block.
        batch: How many blocks `_take` is given at most.
    """

    def __init__(self, size: int, batch: int) -> None:
        self._size = size
        self._most = size * batch
        self._rest = bytearray()

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes of the file. They are not kept, and may be changed afterwards."""
        view = memoryview(data).cast("B")
        if self._rest:
            missing = self._size - len(self._rest)
            self._rest += view[:missing]
            view = view[missing:]
            if len(self._rest) < self._size:
                return
            self._take(memoryview(bytes(self._rest)))
            self._rest.clear()
        whole = len(view) - len(view) % self._size
        for start in range(0, whole, self._most):
            self._take(view[start : min(start + self._most, whole)])
        self._rest += view[whole:]

    @abstractmethod
    def _take(self, view: memoryview) -> None:
        """Take whole blocks, as many as a batch has or fewer."""


class BlockSums:
    """Computes the checksums of blocks of one size. Not for use by two threads at once: it owns scratch memory.

    Args:
        block_size: Bytes in a block: 2, 4 or 8 KiB.
        capacity: How many blocks one call may bring.
    """

    def __init__(self, block_size: int, capacity: int) -> None:
        self._words = block_size // 8
        self._last_bit = np.uint32(block_size * 8 - 1)
        # One array for each fold: writing them densely takes two thirds of the time of folding in place.
        self._folded: dict[int, Words] = {}
        width = self._words
        while width > _TURNED:
            width //= 2
            self._folded[width] = np.empty((capacity, width), np.uint64)
        self._turned = np.empty((_TURNED, capacity), np.uint64)
        self._parities = np.zeros((16, capacity), np.uint64)

    def fold(self, blocks: Words) -> Words:
        """Return the XOR of the u64 words of each block alone, which is all that the old XOR needs."""
        totals: Words = np.bitwise_xor.reduce(blocks, axis=1)
        return totals

    def sums(self, blocks: Words, ignored: Words | None = None) -> tuple[Words, Words]:
        """Return for each block the XOR of its u64 words, and its checksum for page number 0.

        Args:
            blocks: One row of words for each block.
            ignored: For each block a word that stands at its start and does not count: the stored checksum.
        """
        count = len(blocks)
        parities = self._parities[:, :count]
        totals = self._fold_all(blocks, parities)
        counted = totals if ignored is None else totals ^ ignored
        np.bitwise_and(counted, _INNER_MASKS[:, None], out=parities[:_INNER])
        bits = np.bitwise_count(parities)
        bits &= np.uint8(1)
        packed = np.packbits(bits, axis=0, bitorder="little").astype(np.uint32)
        low = packed[0] | packed[1] << np.uint32(8)
        odd = (np.bitwise_count(counted) & np.uint8(1)).astype(np.uint32)
        ecc = (low ^ self._last_bit * odd) << np.uint32(16) | low
        words = (counted ^ counted >> np.uint64(32)) & np.uint64(0xFFFFFFFF)
        return totals, ecc.astype(np.uint64) << np.uint64(32) | words

    def _fold_all(self, blocks: Words, parities: Words) -> Words:
        """Fold each block down to one word, leaving in `parities` one word for each fold whose parity is a bit of L."""
        current = blocks
        width = self._words
        level = _INNER + width.bit_length() - 2
        while width > _TURNED:
            width //= 2
            upper = current[:, width:]
            folded = self._folded[width][: len(blocks)]
            np.bitwise_xor(current[:, :width], upper, out=folded)
            np.bitwise_xor.reduce(upper, axis=1, out=parities[level])
            current = folded
            level -= 1
        turned = self._turned[:, : len(blocks)]
        np.copyto(turned, current.T)
        while width > 1:
            width //= 2
            np.bitwise_xor.reduce(turned[width : 2 * width], axis=0, out=parities[level])
            np.bitwise_xor(turned[:width], turned[width : 2 * width], out=turned[:width])
            level -= 1
        totals: Words = turned[0].copy()
        return totals
