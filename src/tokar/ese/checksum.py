"""The two checksum algorithms of ESE over one block, in pure Python.

* The *old XOR* guards every file header, the backup trailer, and pages written before Exchange 2003 SP1 and Windows
  Vista.
* *XOR and ECC* guards newer pages and the segments of newer logs, and can locate one flipped bit.

Both are sums without carry, so a block is taken as one big integer and folded in half until a word is left: the folds
run in C at several hundred MB/s. `tokar.ese.pages` does whole files at once with numpy; the two are tested against each
other.

Sources: Microsoft, Extensible Storage Engine, checksum.cxx; libesedb, "Extensible Storage Engine (ESE) Database File
(EDB) format specification".
"""

from __future__ import annotations

from tokar.errors import HeaderError

WORD_SIZE = 4
HEADER_SEED = 0x89ABCDEF
"""What the old XOR starts from; also the magic number of a database, but for another reason."""


def xor_words(data: bytes | bytearray | memoryview) -> int:
    """Return the XOR of the little-endian u32 words of `data`; the last word is padded with zeros."""
    value = int.from_bytes(data, "little")
    width = 32
    while width < len(data) * 8:
        width *= 2
    while width > 32:
        width //= 2
        value = (value >> width) ^ (value & ((1 << width) - 1))
    return value


def header_checksum(block: bytes | bytearray | memoryview) -> int:
    """Return the old XOR of a block whose first word holds the stored checksum."""
    return xor_words(memoryview(block)[WORD_SIZE:]) ^ HEADER_SEED


def stored_checksum(block: bytes | bytearray | memoryview) -> int:
    """Return the u32 at the start of a block."""
    return int.from_bytes(block[:WORD_SIZE], "little")


def header_is_valid(block: bytes | bytearray | memoryview) -> bool:
    """Tell whether the old XOR stored in a block is right. An all-zero block is not valid."""
    return len(block) > WORD_SIZE and stored_checksum(block) == header_checksum(block)


def demand_header_checksum(block: bytes, what: str, *, code: int) -> None:
    """Refuse a header whose checksum is wrong.

    Raises:
        HeaderError: It is, with this code.
    """
    if not header_is_valid(block):
        stored, computed = stored_checksum(block), header_checksum(block)
        problem = f"is damaged: checksum 0x{stored:08x} stored, 0x{computed:08x} computed"
        raise HeaderError(f"{what} {problem}", code=code, offset=0)


def with_header_checksum(block: bytes) -> bytes:
    """Return `block` with its old XOR written into the first word."""
    return header_checksum(block).to_bytes(WORD_SIZE, "little") + block[WORD_SIZE:]


def ecc_checksum(block: bytes | bytearray | memoryview, number: int, *, first: bool = True) -> int:
    """Return XOR and ECC of one block: the XOR part in the low 32 bits, the ECC part in the high 32.

    Number the bits of the block from 0. L is the XOR of the positions of all set bits; H is L when their count is even,
    else the complement of L within the block; the ECC part is H above L. Bit k of L is the parity of the upper half
    when the block is cut into halves of 2^k bits and everything above has been folded down, so one pass of foldings
    gives all of it.

    Args:
        block: 2, 4 or 8 KiB.
        number: The page number, or the segment number inside a log.
        first: This is the first block of its page, whose two checksum words count as zero.
    """
    value = int.from_bytes(block, "little")
    if first:
        value = value >> 64 << 64
    mask = len(block) * 8 - 1
    width = len(block) * 8
    low = words = 0
    while width > 1:
        if width == 32:
            words = value
        width //= 2
        upper = value >> width
        low |= (upper.bit_count() & 1) << (width.bit_length() - 1)
        value = upper ^ (value & ((1 << width) - 1))
    high = low ^ mask if value else low
    return (((high << 16) | low) << 32) | (words ^ (number & 0xFFFFFFFF))


def flipped_bit(difference: int, block_size: int) -> int | None:
    """Return the position of the one flipped bit that explains a difference of checksums; None where none does.

    Args:
        difference: Stored checksum XOR computed checksum.
        block_size: Bytes in the block.
    """
    ecc, words = difference >> 32, difference & 0xFFFFFFFF
    mask = block_size * 8 - 1
    position = ecc & 0xFFFF
    complementary = (ecc >> 16) ^ position == mask
    return position if position <= mask and complementary and words == 1 << (position % 32) else None
