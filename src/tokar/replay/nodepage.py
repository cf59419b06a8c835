"""One page of a tree as replay changes it: tags, nodes, key prefix, space; byte for byte where the engine puts things.

Where a node comes to lie on its page follows from the history of the page alone, by a few rules: a node is put at the
first free byte; where the rest behind that is too small, all bytes are moved down in the order in which they lie; what
shrinks stays where it is, what grows goes to the end. A page with the same history so has the same bytes, but for
gaps, and what is not logged: the version bit of nodes, the flush type, checksums.

Source: Microsoft, Extensible Storage Engine, cpage.hxx, cpage.cxx and node.cxx.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from tokar.errors import FormatError
from tokar.ese.page import LARGE_PAGE_SIZE, NEW_FORMAT, PageHeader
from tokar.ese.record import packer

VERSION: Final = 1
DELETED: Final = 2
COMPRESSED: Final = 4
"""Flags of a node."""
ROOT: Final = 1
LEAF: Final = 2
EMPTY: Final = 8
SPACE: Final = 0x20
NOT_UNIQUE: Final = 0x400
NEW_RECORDS: Final = 0x800
SCRUBBED: Final = 0x4000
PRE_INITIALISED: Final = 0x20000
"""Flags of a page."""
_FLUSH_TYPE: Final = 0x18000
_HEADER: Final = packer(PageHeader)
_LARGE_HEADER: Final = 80
_LARGE_NUMBER: Final = 64
_TAG: Final = struct.Struct("<HH")
_SHORT: Final = struct.Struct("<H")
_TAG_SIZE: Final = 4
_COUNT: Final = 0xFFF
_SPACE_SIZE: Final = 16
_LEAST_PREFIX: Final = 3
"""A shorter prefix would save no more than its own length field."""

Node = tuple[int, bytes, bytes, int]
"""Bytes of the key that come from the prefix of the page, the rest of the key, data, flags."""


class PageError(FormatError):
    """A page is not as it must be for a change, or for anything."""

    hint_text = "the database and these logs do not belong together, or one of them is damaged"


UNFIT: Final = (PageError, struct.error, IndexError)
"""What a record raises whose numbers do not fit a page: nothing on the page is to be believed then."""


def unfit_text(error: Exception) -> str:
    """Return what one of these says."""
    return error.message if isinstance(error, PageError) else f"a number in the record does not fit: {error}"


class NodePage:
    """A page in memory. Header fields are attributes; `build` puts them back.

    Args:
        data: All bytes of the page.
        number: Its number.

    Raises:
        PageError: Its tags lead beyond it, or its free space is not what they leave.
    """

    __slots__ = (
        *("data", "number", "size", "head", "small", "dbtime", "previous", "next", "object_id"),
        *("free", "uncommitted", "first_free", "tags", "flags"),
    )

    size: int
    head: int
    first_free: int
    tags: int

    def __init__(self, data: bytes | bytearray, number: int) -> None:
        self.data = bytearray(data)
        self.number = number
        self.size = len(data)
        self.small = self.size < LARGE_PAGE_SIZE
        self.head = _HEADER.size if self.small else _LARGE_HEADER
        fields = _HEADER.unpack_from(data)
        _, _, self.dbtime, self.previous, self.next, self.object_id = fields[:6]
        self.free, self.uncommitted, self.first_free, self.tags, self.flags = fields[6:]
        self._demand_sound()

    def _demand_sound(self) -> None:
        if self.tags > _COUNT:
            raise PageError(f"page {self.number} has reserved tags, which no file at hand had")
        room = self.size - self.head - _TAG_SIZE * self.tags
        found = [self.tag(at) for at in range(self.tags)] if room >= 0 else []
        reach = max((offset + length for length, offset, _ in found), default=0)
        free = room - sum(length for length, _, _ in found)
        if room < 0 or reach > self.first_free or self.first_free > room or free != self.free:
            raise PageError(f"the tags of page {self.number} do not fit it")

    @classmethod
    def new(cls, size: int, number: int, object_id: int, dbtime: int) -> NodePage:
        """Return a page without any content, as the engine makes it before it is used."""
        page = cls.__new__(cls)
        page.data, page.number, page.size = bytearray(size), number, size
        page.small = size < LARGE_PAGE_SIZE
        page.head = _HEADER.size if page.small else _LARGE_HEADER
        page.dbtime, page.previous, page.next, page.object_id = dbtime, 0, 0, object_id
        page.free, page.uncommitted, page.first_free, page.tags = size - page.head, 0, 0, 0
        page.flags = PRE_INITIALISED | NEW_RECORDS
        return page

    def consume(self, flags: int) -> None:
        """Take a page without content into use: with an empty external header, and these flags."""
        self.tags = 1
        self.free -= _TAG_SIZE
        self._set_tag(0, 0, 0, 0)
        self.flags = (flags | NEW_RECORDS) & ~PRE_INITIALISED

    def build(self) -> bytes:
        """Return the bytes of the page, whose checksums are still to be made."""
        links = (self.dbtime, self.previous, self.next, self.object_id)
        space = (self.free, self.uncommitted & 0xFFFF, self.first_free, self.tags, self.flags | NEW_FORMAT)
        _HEADER.pack_into(self.data, 0, 0, 0, *links, *space)
        if not self.small:
            self.data[_LARGE_NUMBER : _LARGE_NUMBER + 4] = self.number.to_bytes(4, "little")
        return bytes(self.data)

    def copy(self, number: int | None = None) -> NodePage:
        """Return the same page again, to be changed apart."""
        page = NodePage.__new__(NodePage)
        for name in NodePage.__slots__:
            setattr(page, name, getattr(self, name))
        page.data = bytearray(self.data)
        page.number = self.number if number is None else number
        return page

    @property
    def lines(self) -> int:
        """How many nodes there are: tag 0 is none."""
        return self.tags - 1 if self.tags else 0

    def tag(self, at: int) -> tuple[int, int, int]:
        """Return length, offset in the data area, and flags."""
        length, word = _TAG.unpack_from(self.data, self.size - _TAG_SIZE * (at + 1))
        if self.small:
            return length & 0x1FFF, word & 0x1FFF, word >> 13
        length, word = length & 0x7FFF, word & 0x7FFF
        start = self.head + word
        return length, word, self.data[start + 1] >> 5 if at and length >= 2 and start + 1 < self.size else 0

    def _set_tag(self, at: int, length: int, offset: int, flags: int) -> None:
        if self.small:
            _TAG.pack_into(self.data, self.size - _TAG_SIZE * (at + 1), length, offset | flags << 13)
            return
        _TAG.pack_into(self.data, self.size - _TAG_SIZE * (at + 1), length, offset)
        if at and length >= 2:
            place = self.head + offset + 1
            self.data[place] = self.data[place] & 0x1F | flags << 5

    def raw(self, at: int) -> bytes:
        """Return the bytes of a tag, of large pages without the flags that lie in them."""
        length, offset, _ = self.tag(at)
        start = self.head + offset
        found = bytes(self.data[start : start + length])
        if self.small or not at or length < 2:
            return found
        return bytes((found[0], found[1] & 0x1F)) + found[2:]

    def _behind(self) -> int:
        """Return how many bytes are free in one piece."""
        return self.size - self.head - self.first_free - _TAG_SIZE * self.tags

    def _compact(self) -> None:
        """Move the bytes of all tags down, in the order in which they lie."""
        data, head = self.data, self.head
        at = 0
        for tag in sorted(range(self.tags), key=lambda one: self.tag(one)[1]):
            length, offset, flags = self.tag(tag)
            if offset != at:
                data[head + at : head + at + length] = data[head + offset : head + offset + length]
            self._set_tag(tag, length, at, flags)
            at += length
        self.first_free = at

    def _make_room(self, size: int) -> None:
        if size > self.free:
            raise PageError(f"{size} bytes are to go into page {self.number}, and {self.free} are free")
        if self._behind() < size:
            self._compact()

    def insert_tag(self, at: int, data: bytes, flags: int) -> None:
        """Put bytes in as a tag."""
        tags, length = self.tags, len(data)
        if not 0 <= at <= tags:
            raise PageError(f"tag {at} is to come into page {self.number}, which has {tags}")
        self._make_room(length + _TAG_SIZE)
        if at < tags:
            low, high = self.size - _TAG_SIZE * tags, self.size - _TAG_SIZE * at
            self.data[low - _TAG_SIZE : high - _TAG_SIZE] = self.data[low:high]
        self.tags = tags + 1
        offset = self.first_free
        start = self.head + offset
        self.data[start : start + length] = data
        self.first_free = offset + length
        self.free -= length + _TAG_SIZE
        self._set_tag(at, length, offset, flags)

    def replace_tag(self, at: int, data: bytes, flags: int) -> None:
        """Give a tag other bytes."""
        length, offset, _ = self.tag(at)
        grows = len(data) - length
        is_last = offset + length == self.first_free
        if grows > self.free:
            raise PageError(f"{grows} more bytes are to go into page {self.number}, and {self.free} are free")
        if grows <= 0 or (is_last and self._behind() >= grows):
            self.first_free += grows if is_last else 0
            self.free -= grows
        else:
            self.free += length
            self._set_tag(at, 0, 0, 0)
            self._make_room(len(data))
            offset = self.first_free
            self.first_free += len(data)
            self.free -= len(data)
        start = self.head + offset
        self.data[start : start + len(data)] = data
        self._set_tag(at, len(data), offset, flags)

    def delete_tag(self, at: int) -> None:
        """Take a tag away."""
        if not 0 < at < self.tags:
            raise PageError(f"tag {at} is to go from page {self.number}, which has {self.tags}")
        length, offset, _ = self.tag(at)
        if offset + length == self.first_free:
            self.first_free -= length
        self.free += length + _TAG_SIZE
        low, high = self.size - _TAG_SIZE * self.tags, self.size - _TAG_SIZE * (at + 1)
        self.data[low + _TAG_SIZE : high + _TAG_SIZE] = self.data[low:high]
        self.tags -= 1
        if self.free + _TAG_SIZE + self.head == self.size:
            self.first_free = 0

    @property
    def external_header(self) -> bytes:
        """The bytes of tag 0."""
        return self.raw(0) if self.tags else b""

    @property
    def prefix(self) -> bytes:
        """What the keys of nodes may begin with; root pages keep the space header in its place."""
        if not self.flags & ROOT:
            return self.external_header
        return self.external_header[_SPACE_SIZE:] if self.flags & SPACE else b""

    def set_prefix(self, key: bytes) -> None:
        """Set it, where that is possible."""
        if not self.flags & ROOT:
            self.replace_tag(0, key, 0)
        elif key:
            raise PageError(f"page {self.number} is a root and can have no prefix")

    def set_space_header(self, header: bytes) -> None:
        """Set the space header of a root, and keep what else its external header has."""
        have = self.external_header
        if len(have) in (0, _SPACE_SIZE):
            self.replace_tag(0, header, 0)
        elif have[0] & 1 and len(have) > _SPACE_SIZE:
            self.replace_tag(0, have[:1] + header + have[1 + _SPACE_SIZE :], 0)
        else:
            raise PageError(f"page {self.number} has no space header")

    def node(self, line: int) -> Node:
        """Return a node.

        Raises:
            PageError: There is none there, or its lengths do not fit.
        """
        at = line + 1
        if not 0 < at < self.tags:
            raise PageError(f"page {self.number} has no line {line}: it has {self.lines}")
        length, offset, flags = self.tag(at)
        start = self.head + offset
        end = start + length
        shared = 0
        data = self.data
        if flags & COMPRESSED:
            shared = (data[start] | data[start + 1] << 8) & 0x1FFF
            start += 2
        split = start + 2 + ((data[start] | data[start + 1] << 8) & 0x1FFF) if start + 2 <= end else end + 1
        if split > end:
            raise PageError(f"line {line} of page {self.number} has a key that is longer than the node")
        return shared, bytes(data[start + 2 : split]), bytes(data[split:end]), flags

    def key(self, line: int) -> bytes:
        """Return the whole key of a node."""
        shared, suffix, _, _ = self.node(line)
        if not shared:
            return suffix
        prefix = self.prefix
        if shared > len(prefix):
            raise PageError(f"line {line} of page {self.number} shares more than the prefix of the page has")
        return prefix[:shared] + suffix

    def insert_node(self, line: int, shared: int, suffix: bytes, data: bytes, flags: int = 0) -> None:
        """Put a node in."""
        self.insert_tag(line + 1, _pack(shared, suffix, data), flags | COMPRESSED if shared else flags & ~COMPRESSED)

    def insert_key(self, line: int, shared: int, key: bytes, data: bytes, flags: int = 0) -> None:
        """Put a node in by its whole key, of which so much is shared with the prefix of the page."""
        self.insert_node(line, shared, key[shared:], data, flags)

    def replace_data(self, line: int, data: bytes, flags: int | None = None) -> None:
        """Give a node other data, and other flags where they are given."""
        shared, suffix, _, found = self.node(line)
        self.replace_tag(line + 1, _pack(shared, suffix, data), found if flags is None else flags)

    def share(self, line: int, shared: int, key: bytes) -> None:
        """Let a node share another part of its key with the prefix of the page."""
        _, _, data, flags = self.node(line)
        flags = flags | COMPRESSED if shared else flags & ~COMPRESSED
        self.replace_tag(line + 1, _pack(shared, key[shared:], data), flags)

    def delete_node(self, line: int) -> None:
        """Take a node away."""
        self.delete_tag(line + 1)

    def mark(self, line: int, *, add: int = 0, drop: int = 0) -> None:
        """Change the flags of a node."""
        if not 0 <= line < self.lines:
            raise PageError(f"page {self.number} has no line {line}: it has {self.lines}")
        length, offset, flags = self.tag(line + 1)
        self._set_tag(line + 1, length, offset, (flags | add) & ~drop)

    def clear(self) -> None:
        """Take all nodes away, from the last on: the page leaves its tree."""
        self.set_prefix(b"")
        for line in range(self.lines - 1, -1, -1):
            self.delete_node(line)
        self.flags |= EMPTY

    def content(self) -> dict[str, Any]:
        """Return what is equal in two pages with one history, whatever was not logged."""
        nodes = tuple((self.tag(at)[2] & ~VERSION, self.raw(at)) for at in range(self.tags))
        places = tuple(self.tag(at)[:2] for at in range(self.tags))
        flags = self.flags & ~(_FLUSH_TYPE | NEW_FORMAT)
        links = {"dbtime": self.dbtime, "previous": self.previous, "next": self.next, "object_id": self.object_id}
        return {**links, "flags": flags, "free": self.free, "nodes": nodes, "layout": (places, self.first_free)}


def _pack(shared: int, suffix: bytes, data: bytes) -> bytes:
    start = _SHORT.pack(shared) if shared else b""
    return start + _SHORT.pack(len(suffix)) + suffix + data


def shared_with(prefix: bytes, key: bytes) -> int:
    """Return how much of a key is taken from a prefix: nothing where that would save nothing."""
    count = 0
    for one, other in zip(prefix, key, strict=False):
        if one != other:
            break
        count += 1
    return count if count >= _LEAST_PREFIX else 0
