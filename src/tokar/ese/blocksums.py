"""XOR and ECC of many blocks at once, with numpy.

What is wanted of each block is the XOR of its words, and for each k the parity of those bits whose position has bit k
set (see `tokar.ese.checksum.ecc_checksum`). All of it is a sum without carry of one contribution for each bit that is
set, so bits may be added up before their places are looked at. A block is laid out as a few long rows of words: the XOR
along each row, and the XOR down each column, is all that is read of it. Whether a row or column has an odd number of
bits is one bit each; these, and the words that everything comes to, are few bytes for each block, and a table has the
contribution of every byte. So the whole costs about as much as reading each block twice, in runs that numpy does with
vector instructions.

Everything works in scratch memory that stays in the second-level cache. `numpy` releases the interpreter lock in these
runs, so a checker in a thread of its own costs the others little.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from tokar.ese.arrays import np

if TYPE_CHECKING:
    import numpy.typing as npt

    Words = npt.NDArray[np.uint64]

_LEAST_COLUMNS: Final = 64
_MOST_ROWS: Final = 8


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

    def zeros(self, count: int) -> None:
        """Take so many zeros as the next bytes of the file."""
        missing = min((self._size - len(self._rest)) % self._size, count)
        self.update(bytes(missing))
        whole, rest = divmod(count - missing, self._size)
        self._take_zeros(whole)
        self.update(bytes(rest))

    def _take_zeros(self, count: int) -> None:
        """Take so many blocks of zeros."""
        while count > 0:
            part = min(count, self._most // self._size)
            self._take(memoryview(bytes(part * self._size)))
            count -= part

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
        words = block_size // 8
        self._columns = max(words // _MOST_ROWS, _LEAST_COLUMNS)
        self._rows = words // self._columns
        width = self._columns + _MOST_ROWS
        # Of each block the XOR down each column, then along each row; unused ones stay zero.
        self._sides = np.zeros((capacity, width), np.uint64)
        self._odd = np.empty((capacity, width), np.uint8)
        self._table = _contributions(block_size, self._columns).ravel()
        self._places = np.arange(0, len(self._table), 256)
        self._bytes = np.empty((capacity, len(self._places)), np.intp)

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
        count, columns = len(blocks), self._columns
        laid_out = blocks.reshape(count, self._rows, columns)
        sides, odd, places = self._sides[:count], self._odd[:count], self._bytes[:count]
        np.bitwise_xor.reduce(laid_out, axis=2, out=sides[:, columns : columns + self._rows])
        np.bitwise_xor.reduce(laid_out, axis=1, out=sides[:, :columns])
        totals: Words = np.bitwise_xor.reduce(sides[:, columns:], axis=1)
        # Position 0 adds nothing to rows and columns, so an ignored word is missed only here.
        counted = totals if ignored is None else totals ^ ignored
        np.bitwise_count(sides, out=odd)
        np.bitwise_and(odd, 1, out=odd)
        packed = np.packbits(odd.reshape(-1), bitorder="little").reshape(count, -1)
        np.add(counted.astype("<u8", copy=False).view(np.uint8).reshape(count, 8), self._places[:8], out=places[:, :8])
        np.add(packed, self._places[8:], out=places[:, 8:])
        return totals, np.bitwise_xor.reduce(self._table[places], axis=1)


def _contributions(block_size: int, columns: int) -> Words:
    """Return what each value of each byte adds to a checksum.

    The bytes are those of the word that a block comes to, then one bit for each column and each row of it.
    """
    bits = np.arange(64, dtype=np.uint64)
    along = np.arange(columns, dtype=np.uint64) * np.uint64(64)
    down = np.arange(_MOST_ROWS, dtype=np.uint64) * np.uint64(64 * columns) % np.uint64(block_size * 8)
    low = np.concatenate([bits, along, down])
    high = low.copy()
    high[:64] ^= np.uint64(block_size * 8 - 1)  # an odd number of bits has the complement there
    single = high << np.uint64(48) | low << np.uint64(32)
    single[:64] |= np.uint64(1) << bits % np.uint64(32)
    single = single.reshape(-1, 8)
    table = np.zeros((len(single), 256), np.uint64)
    for bit in range(8):
        table[:, 1 << bit : 2 << bit] = table[:, : 1 << bit] ^ single[:, bit, None]
    return table
