"""Whose records to look for in a damaged archive: its id from the preamble, or its tag from the records themselves.

An archive may hold other archives as content, so records of several tags may be in sight. Those that stand where they
say that they belong are those of the outermost archive, unless bytes were lost or inserted before all of them.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from tokar.errors import BadMagicError, FormatError, UnsupportedError
from tokar.format import preamble, records, tail
from tokar.format.layouts import MAGIC
from tokar.format.preamble import Preamble
from tokar.format.records import HEAD_SIZE
from tokar.salvage.find import RecordFinder, Window

if TYPE_CHECKING:
    from tokar.storage.bytesource import ByteSource

_CRC: Final = slice(12, 16)
_ID: Final = slice(16, 32)
_MAX_TAGS: Final = 1 << 16


class Identity(NamedTuple):
    """What is known of the archive before its records are read."""

    tag: bytes  # The tag of its records, 8 bytes
    id: bytes | None  # Its id, 16 bytes, if the preamble tells it
    preamble_is_good: bool  # Whether the first 32 bytes are the preamble, without a fault


def from_preamble(source: ByteSource) -> Identity | None:
    """Return what the first 32 bytes say, also where only their constant part is damaged.

    Raises:
        UnsupportedError: An archive of another version.
    """
    data = source.read(0, preamble.SIZE)
    if len(data) < preamble.SIZE:
        return None
    repaired = Preamble(data[_ID])
    crc_is_right = repaired.build()[_CRC] == data[_CRC]
    try:
        return Identity(Preamble.parse(data).tag, data[_ID], preamble_is_good=True)
    except UnsupportedError:
        if zlib.crc32(data[_ID], zlib.crc32(data[:12])) == int.from_bytes(data[_CRC], "little"):
            raise
    except FormatError:
        pass
    return Identity(repaired.tag, repaired.id, preamble_is_good=False) if crc_is_right else None


def from_records(source: ByteSource) -> Identity | None:
    """Return the tag that the records tell: from TAIL or HEAD where they stand, else that of most bytes."""
    for at, kind in ((source.size - tail.RECORD_SIZE, records.TAIL), (preamble.SIZE, records.HEAD)):
        tag = _tag_at(source, at, kind)
        if tag is not None:
            return Identity(tag, None, preamble_is_good=False)
    tag = _tag_of_most(source)
    return None if tag is None else Identity(tag, None, preamble_is_good=False)


def moved_preamble(source: ByteSource, tag: bytes, stop: int) -> bytes | None:
    """Return the id from a preamble of this tag that stands somewhere before `stop`."""
    window = Window(source)
    at = 0
    while at + preamble.SIZE <= min(stop, source.size):
        offset = window.load(at, preamble.SIZE)
        found = window.data.find(MAGIC, offset)
        while found >= 0:
            data = window.data[found : found + preamble.SIZE]
            if data[16:24] == tag and len(data) == preamble.SIZE and data == Preamble(data[_ID]).build():
                return data[_ID]
            found = window.data.find(MAGIC, found + 1)
        at = window.end - preamble.SIZE + 1
    return None


def nothing_found(source: ByteSource) -> FormatError:
    """Return the error for an input without a single good record."""
    data = source.read(0, preamble.SIZE)
    try:
        Preamble.parse(data)
    except (BadMagicError, UnsupportedError) as error:
        return error
    except FormatError:
        pass
    return FormatError("no record of the archive is left", rule="SALV-1", offset=0, hint="there is nothing to salvage")


def _tag_at(source: ByteSource, at: int, kind: bytes) -> bytes | None:
    """Return the tag of the good record of a kind at a place, if there is one and it belongs there."""
    data = source.read(at, HEAD_SIZE) if at >= preamble.SIZE else b""
    if len(data) < HEAD_SIZE or data[:4] != kind:
        return None
    tag = data[8:16]
    try:
        head = records.parse_head(data, tag, at)
        records.demand_check(head, tag, source.read(head.body_position, head.length))
    except FormatError:
        return None
    return tag


def _tag_of_most(source: ByteSource) -> bytes | None:
    """Return the tag with most bytes in good records; bytes that stand where they belong come first."""
    weights: dict[bytes, list[int]] = {}
    for record in RecordFinder(source, None):
        size = HEAD_SIZE + record.head.length
        if len(weights) >= _MAX_TAGS and record.tag not in weights:
            continue
        weight = weights.setdefault(record.tag, [0, 0])
        weight[0] += size if record.at == record.head.position else 0
        weight[1] += size
        if weight[0] > source.size // 2:
            return record.tag
    return max(weights, key=lambda tag: (weights[tag], tag), default=None)
