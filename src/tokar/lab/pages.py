"""A leaf page of the engine: records by key behind a real ESE page header, sealed with the checksum of its era.

The leaves of a database form one chain from page 1 by their `next_page`; each knows the lowest key it may hold. Body,
behind the 40 bytes of header: u16 length and bytes of the low key; then, for each record, u16 and u16 lengths, key,
value. There is no tree above the leaves: the engine keeps their order in memory and finds it again by walking the
chain.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from tokar.ese.page import NEW_FORMAT, PageHeader, page_is_sealed, seal_page
from tokar.lab.engine import EngineError

HEADER_SIZE: Final = 40
ROOT_PAGE: Final = 1
_ROOT, _LEAF, _EMPTY = 1, 2, 8
_OBJECT: Final = 2
_PAIR: Final = struct.Struct("<HH")
_SHORT: Final = struct.Struct("<H")


@dataclass(slots=True)
class Page:
    """One page in memory."""

    number: int  # The page number, from 1
    dbtime: int = 0  # Of the last change; 0: never used
    next_page: int = 0  # The next leaf; 0 ends the chain
    low: bytes = b""  # The lowest key that the page may hold
    items: dict[bytes, bytes] = field(default_factory=dict)  # The records
    free: bool = True  # Whether the page is out of the chain

    @property
    def used(self) -> int:
        """The bytes that low key and records take."""
        return (
            _SHORT.size + len(self.low) + sum(_PAIR.size + len(key) + len(value) for key, value in self.items.items())
        )

    def fits(self, key: bytes, value: bytes, page_size: int) -> bool:
        """Tell whether the page has room for a record, in place of the one of that key where there is one."""
        old = self.items.get(key)
        released = _PAIR.size + len(key) + len(old) if old is not None else 0
        return self.used - released + _PAIR.size + len(key) + len(value) <= page_size - HEADER_SIZE

    def to_bytes(self, page_size: int, *, ecc: bool) -> bytes:
        """Return the page as it lies on disk, sealed.

        Raises:
            EngineError: The records do not fit (-1206): they were redone onto a page in another state.
        """
        body = _SHORT.pack(len(self.low)) + self.low + pack_items(self.items)
        room = page_size - HEADER_SIZE - len(body)
        if room < 0:
            raise EngineError(-1206, f"page {self.number} overflows")
        flags = _LEAF | (_ROOT if self.number == ROOT_PAGE else 0) | (_EMPTY if self.free else 0)
        header = PageHeader(
            dbtime=self.dbtime,
            next_page=self.next_page,
            object_id=_OBJECT,
            free_size=room,
            uncommitted_size=room,
            first_free=len(body),
            tag_count=len(self.items),
            flags=flags | (NEW_FORMAT if ecc else 0),
        )
        return seal_page((header.pack() + body).ljust(page_size, b"\0"), self.number)

    @classmethod
    def from_bytes(cls, data: bytes, number: int) -> Page:
        """Return the page with that number; an all-zero page is a free one that was never used.

        Raises:
            EngineError: A checksum is wrong (-1018).
        """
        if not any(data):
            return cls(number)
        if not page_is_sealed(data, number):
            raise EngineError(-1018, f"page {number} failed verification")
        header = PageHeader.unpack(data)
        body = data[HEADER_SIZE : HEADER_SIZE + header.first_free]
        (size,) = _SHORT.unpack_from(body)
        start = _SHORT.size + size
        return cls(
            number,
            header.dbtime,
            header.next_page,
            body[_SHORT.size : start],
            unpack_items(body[start:]),
            bool(header.flags & _EMPTY),
        )


def pack_items(items: dict[bytes, bytes]) -> bytes:
    """Return records as bytes, in the order of their keys."""
    return b"".join(_PAIR.pack(len(key), len(items[key])) + key + items[key] for key in sorted(items))


def unpack_items(data: bytes) -> dict[bytes, bytes]:
    """Return the records in bytes that `pack_items` made."""
    items = {}
    offset = 0
    while offset < len(data):
        key_size, value_size = _PAIR.unpack_from(data, offset)
        middle = offset + _PAIR.size + key_size
        end = middle + value_size
        items[data[offset + _PAIR.size : middle]] = data[middle:end]
        offset = end
    return items
