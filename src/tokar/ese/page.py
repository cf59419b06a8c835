"""One page of a database, or one segment of a log: its header, and the checksums that go into it.

This is the slow, plain statement of the rules, without numpy: what builds pages uses it, and what checks whole files
(`tokar.ese.pages`) is tested against it.

Sources: Microsoft, Extensible Storage Engine, checksum.cxx and cpage.hxx; libesedb, "Extensible Storage Engine (ESE)
Database File (EDB) format specification".
"""

# Records: no `from __future__ import annotations` (see tokar.ese.record).

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tokar.ese.checksum import HEADER_SEED, ecc_checksum, xor_words
from tokar.ese.record import U16, U32, U64, Record

NEW_FORMAT: Final = 0x2000
"""The flag of a page that carries XOR and ECC; without it, the old XOR and its page number."""
FORMAT_BIT: Final = 36 * 8 + NEW_FORMAT.bit_length() - 1
"""The position of that flag in a page."""
_FLAGS_OFFSET: Final = 36
LARGE_PAGE_SIZE: Final = 16384
"""From this size on a page is cut into blocks, each with a checksum of its own."""
LARGE_HEADER_SIZE: Final = 80
_LARGE_CHECKSUMS_OFFSET: Final = 40
_LARGE_NUMBER_OFFSET: Final = 64
SYSTEM_OBJECT: Final = 1
"""The object that page 1 belongs to: the root of the whole database."""
EMPTY_PAGE: Final = 8
"""The flag of a page that is out of its tree: its links mean nothing."""
ROOT_PAGE: Final = 1
LEAF_PAGE: Final = 2
SPACE_PAGE: Final = 0x20
CATALOG_OBJECT: Final = 2
"""The object of the catalog, which names the root of every table, index and tree of long values."""
_CATALOG_ROW: Final = struct.Struct("<8xHII")  # behind the head of a record: its table, its kind, its number, its root
_WITH_ROOT: Final = {1, 3, 4}  # a table, an index, long values
_SPACE_HEAD: Final = struct.Struct("<8xII")  # flags, and the root of the owned extents; the available ones are next
_SPACE_HEADS: Final = {16, 25}  # without and with a counter before it
_MANY_EXTENTS: Final = 1
TREE_FLAGS: Final = 0x27
"""What a page is to its tree: a root, a leaf, a parent of leaves, of a space tree."""
_SPACE_ROOT: Final = 0x23  # root, leaf, space tree, and no parent of leaves
_EXTENT: Final = struct.Struct("<HII")
DELETED_NODE: Final = 2
COMPRESSED_NODE: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class PageHeader(Record):
    """The first 40 bytes of a page, as the new format names them.

    Pages of 16 and 32 KiB go on with three more checksums (40, 48, 56), the page number (64) and 12 zero bytes.
    """

    # fmt: off
    checksum:         U32 = 0           # 0   XOR part; old format: the old XOR
    ecc:              U32 = 0           # 4   ECC part; old format: the page number
    dbtime:           U64 = 0           # 8   of the last change
    previous_page:    U32 = 0           # 16
    next_page:        U32 = 0           # 20
    object_id:        U32 = 0           # 24
    free_size:        U16 = 0           # 28
    uncommitted_size: U16 = 0           # 30
    first_free:       U16 = 0           # 32
    tag_count:        U16 = 0           # 34
    flags:            U32 = NEW_FORMAT  # 36
    # fmt: on


def last_owned(page: bytes) -> int:
    """Return the last page that a database owns, going by page 2, the root of its space tree; 0 where that is in doubt.

    Each node is an extent: the last page of it as a key of four bytes, and how many pages it has. All of them together
    tile the database from its first page on. A tree of more than this page is not followed.
    """
    header = PageHeader.unpack(page)
    links = header.previous_page or header.next_page
    if header.flags & TREE_FLAGS != _SPACE_ROOT or header.object_id != SYSTEM_OBJECT or links:
        return 0
    end = 0
    for flags, node in _nodes(page, header):
        if len(node) != _EXTENT.size:
            return 0
        key_size, last, count = _EXTENT.unpack(node[:2] + node[5:1:-1] + node[6:])
        if flags & DELETED_NODE:
            continue
        if flags & COMPRESSED_NODE or key_size & 0x1FFF != 4 or last - count != end:
            return 0
        end = last
    return end


def _nodes(page: bytes, header: PageHeader, first: int = 1) -> Iterator[tuple[int, bytes]]:
    """Yield flags and bytes of each node of a page; the one with number 0 is the page's own."""
    large = len(page) >= LARGE_PAGE_SIZE
    start, mask = (LARGE_HEADER_SIZE, 0x7FFF) if large else (PageHeader.layout_size(), 0x1FFF)
    for tag in range(first, min(header.tag_count & 0xFFF, (len(page) - start) // 4)):
        size, offset = struct.unpack_from("<HH", page, len(page) - 4 * (tag + 1))
        node = page[start + (offset & mask) :][: size & mask]
        yield (int.from_bytes(node[:2], "little") if large else offset) >> 13, node


def space_pages(page: bytes, header: PageHeader) -> tuple[int, ...]:
    """Return the roots of the space of a tree of many extents, which its own root names."""
    if not header.flags & ROOT_PAGE:
        return ()
    _, own = next(_nodes(page, header, 0), (0, b""))
    flags, space = _SPACE_HEAD.unpack_from(own, len(own) - _SPACE_HEAD.size) if len(own) in _SPACE_HEADS else (0, 0)
    return (space, space + 1) if flags & _MANY_EXTENTS else ()


def named_pages(page: bytes) -> Iterator[tuple[int, int | None]]:
    """Yield the pages that a page in use names: children of an inner page, space of a root, roots in the catalog.

    With a root comes the object that it is of; the others are of the object of the page itself.
    """
    header = PageHeader.unpack(page)
    if header.tag_count >> 12:  # reserved tags: what line is what is not known here
        return
    is_leaf = bool(header.flags & LEAF_PAGE)
    yield from ((named, None) for named in space_pages(page, header))
    if is_leaf and header.object_id != CATALOG_OBJECT:
        return
    for flags, node in _nodes(page, header):
        sizes = 2 if flags & COMPRESSED_NODE else 1
        key_end = 2 * sizes + (int.from_bytes(node[2 * sizes - 2 : 2 * sizes], "little") & 0x1FFF)
        data = node[key_end:]
        if flags & DELETED_NODE:
            continue
        if is_leaf and len(data) >= _CATALOG_ROW.size:
            kind, owner, root = _CATALOG_ROW.unpack_from(data)
            if kind in _WITH_ROOT:
                yield root, owner
        elif not is_leaf and len(data) == 4:
            yield int.from_bytes(data, "little"), None


def block_size_of(page_size: int) -> int:
    """Return how many bytes of a page one checksum covers: the whole page, or a quarter of a large one."""
    return page_size if page_size < LARGE_PAGE_SIZE else page_size // 4


def has_ecc(page: bytes) -> bool:
    """Tell whether a page calls for XOR and ECC: all large ones do, and of others those with the flag."""
    return len(page) >= LARGE_PAGE_SIZE or bool(_word(page, _FLAGS_OFFSET) & NEW_FORMAT)


def number_in(page: bytes) -> int:
    """Return the page number that is stored in a large page."""
    return _word(page, _LARGE_NUMBER_OFFSET)


def block_difference(page: bytes, block: int, number: int) -> int:
    """Return stored XOR computed checksum of one of the four blocks of a large page."""
    size = block_size_of(len(page))
    at = _LARGE_CHECKSUMS_OFFSET + 8 * (block - 1) if block else 0
    stored = int.from_bytes(page[at : at + 8], "little")
    return stored ^ ecc_checksum(page[block * size : (block + 1) * size], number, first=block == 0)


def _word(page: bytes, offset: int) -> int:
    return int.from_bytes(page[offset : offset + 4], "little")


def seal_page(page: bytes, number: int) -> bytes:
    """Return a page with the checksums its flags call for; large pages also get their page number.

    Args:
        page: A whole page whose checksum fields may hold anything.
        number: The page number; page 1 lies at twice the page size.
    """
    if not has_ecc(page):
        body = number.to_bytes(4, "little") + page[8:]
        return (xor_words(body) ^ HEADER_SEED).to_bytes(4, "little") + body
    if len(page) < LARGE_PAGE_SIZE:
        return ecc_checksum(page, number).to_bytes(8, "little") + page[8:]
    return _seal_large_page(page, number)


def seal_segment(segment: bytes, number: int) -> bytes:
    """Return a segment of a format 8 log with its checksum; `number` counts from the start of the log file."""
    return ecc_checksum(segment, number).to_bytes(8, "little") + segment[8:]


def page_is_sealed(page: bytes, number: int) -> bool:
    """Tell whether all checksums of a page, and the page number where it is stored, are right."""
    return any(page) and seal_page(page, number) == page


def segment_is_sealed(segment: bytes, number: int) -> bool:
    """Tell whether the checksum of a log segment is right."""
    return any(segment) and seal_segment(segment, number) == segment


def _seal_large_page(page: bytes, number: int) -> bytes:
    """Blocks 1 to 3 first: block 0 covers their checksums, which lie in it."""
    size = block_size_of(len(page))
    sums = b"".join(
        ecc_checksum(page[start : start + size], number, first=False).to_bytes(8, "little")
        for start in range(size, len(page), size)
    )
    head = (
        page[:_LARGE_CHECKSUMS_OFFSET]
        + sums
        + number.to_bytes(4, "little")
        + bytes(LARGE_HEADER_SIZE - _LARGE_NUMBER_OFFSET - 4)
        + page[LARGE_HEADER_SIZE:size]
    )
    return ecc_checksum(head, number).to_bytes(8, "little") + head[8:] + page[size:]
