"""Log records: what the engine writes down before it changes a page.

Framing: kind u8, body size u32, body; a kind of 0 ends the records of a run. The body is the fields in order, each with
a tag of its own: 0 nothing, 1 a u64, 2 bytes behind a u32 length. The real engine's records are denser and many more;
these are the ones that its rules for backup and recovery turn on. Kind 42 is left free: there it is a checksum record
(`tokar.lab.log_formats`).

Every change of a page carries the page's dbtime before and after it. Redo compares: a page at `after` or later has the
change; a page at `before` gets it; an older page misses something (-566).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from itertools import product
from typing import Final

from tokar.lab.engine import EngineError

_FRAME: Final = struct.Struct("<BI")
_NUMBER: Final = struct.Struct("<BQ")
_LENGTH: Final = struct.Struct("<BI")


class LogRecord:
    """The base of all records."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Opened(LogRecord):
    """The first record of every log, so that no log is empty."""

    generation: int


@dataclass(frozen=True, slots=True)
class Begin(LogRecord):
    """A transaction begins."""

    transaction: int


@dataclass(frozen=True, slots=True)
class Commit(LogRecord):
    """A transaction is committed: durable as soon as this record is on disk."""

    transaction: int


@dataclass(frozen=True, slots=True)
class Rollback(LogRecord):
    """A transaction has been undone; its compensating changes stand before this as ordinary ones."""

    transaction: int


@dataclass(frozen=True, slots=True)
class Put(LogRecord):
    """One record on one page is set, replaced or deleted."""

    transaction: int  # Whose change it is
    dbid: int  # The database
    page: int  # The page number
    before: int  # dbtime of the page before the change
    after: int  # dbtime of the page after it
    key: bytes  # The key
    value: bytes | None  # The new value; None deletes
    old: bytes | None  # The old value, for undo; None: there was none


@dataclass(frozen=True, slots=True)
class Split(LogRecord):
    """The upper part of a page moves to another page."""

    dbid: int  # The database
    source: int  # The page that was full
    target: int  # The free page that takes the records from `key` on
    before: int  # dbtime of the source before
    after: int  # dbtime of both after
    key: bytes  # The first key that moves
    next_page: int  # What followed the source, and now follows the target
    # The records that move, packed; None in the era that does not log them and reads them from the source again.
    moved: bytes | None
    next_before: int  # dbtime of the page that followed before, which now names the target; 0 where there is none


@dataclass(frozen=True, slots=True)
class Free(LogRecord):
    """An empty page leaves the chain."""

    dbid: int  # The database
    previous: int  # The page before it, which now points past it
    page: int  # The page that becomes free
    before: int  # dbtime of `previous` before
    page_before: int  # dbtime of the page before
    after: int  # dbtime of both after
    next_page: int  # What followed the page
    next_before: int  # dbtime of that before, which now names `previous`; 0 where there is none


@dataclass(frozen=True, slots=True)
class Attach(LogRecord):
    """A database joins the log stream."""

    dbid: int  # Its number from here on
    path: bytes  # Where it lies, in the server's own terms, as UTF-8
    signature: bytes  # Its signature, 28 bytes: another one after a defragmentation
    consistent: bytes  # The position at which it was shut down last, 8 bytes


@dataclass(frozen=True, slots=True)
class Detach(LogRecord):
    """A database leaves the log stream in a consistent state."""

    dbid: int


@dataclass(frozen=True, slots=True)
class BackupMark(LogRecord):
    """A backup begins here; its position is the mark in the headers of the copies."""

    full: int  # 1 for a full, 0 for logs only


# The kind of a record is its place here, from 1.
_RECORDS: Final = (Opened, Begin, Commit, Rollback, Put, Split, Free, Attach, Detach, BackupMark)
_BY_KIND: Final[dict[int, Callable[..., LogRecord]]] = dict(enumerate(_RECORDS, 1))
_KINDS: Final[dict[type[LogRecord], int]] = {record: kind for kind, record in enumerate(_RECORDS, 1)}
_FIELDS: Final[dict[type[LogRecord], tuple[str, ...]]] = {
    record: tuple(field.name for field in fields(record)) for record in _RECORDS
}
_TAGS: Final = {"int": {1}, "bytes": {2}, "bytes | None": {0, 2}}  # that a field may have, by its annotation
# For each kind, the tags that its fields may have together.
_FORMS: Final = {
    number: {bytes(tags) for tags in product(*(_TAGS[str(field.type)] for field in fields(record)))}
    for number, record in enumerate(_RECORDS, 1)
}
_BAD_TAG: Final = 255  # one that there is not, or of a value that is not all there


def encode_record(record: LogRecord) -> bytes:
    """Return the bytes of a record with its frame."""
    body = b"".join([_encode_value(getattr(record, name)) for name in _FIELDS[type(record)]])
    return _FRAME.pack(_KINDS[type(record)], len(body)) + body


def decode_records(data: bytes) -> Iterator[tuple[int, LogRecord]]:
    """Yield the records of a run with the offset of each, up to a kind of 0 or a record that is not all there.

    Raises:
        EngineError: One is all there, and has not the fields of its kind (-501).
    """
    offset = 0
    while offset + _FRAME.size <= len(data):
        kind, size = _FRAME.unpack_from(data, offset)
        end = offset + _FRAME.size + size
        if kind not in _BY_KIND or end > len(data):
            return
        tags, values = _decode_values(data[offset + _FRAME.size : end])
        if tags not in _FORMS[kind]:
            raise EngineError(-501, f"a log record has not the fields of its kind, {kind}")
        yield offset, _BY_KIND[kind](*values)
        offset = end


def record_size(data: bytes, offset: int) -> int:
    """Return how many bytes the record at an offset takes."""
    return _FRAME.size + int(_FRAME.unpack_from(data, offset)[1])


def _encode_value(value: int | bytes | None) -> bytes:
    if isinstance(value, int):
        return _NUMBER.pack(1, value)
    return b"\0" if value is None else _LENGTH.pack(2, len(value)) + value


def _decode_values(body: bytes) -> tuple[bytes, list[int | bytes | None]]:
    """Return the tag and the value of each field, up to a tag that there is not or a value that is not all there."""
    tags, values = bytearray(), list[int | bytes | None]()
    offset, size = 0, len(body)
    while offset < size:
        tag = body[offset]
        value: int | bytes | None = None
        if tag == 1 and (start := offset + _NUMBER.size) <= size:
            _, value = _NUMBER.unpack_from(body, offset)
            offset = start
        elif tag == 2 and (start := offset + _LENGTH.size) <= size:
            offset = start + int(_LENGTH.unpack_from(body, offset)[1])
            value = body[start:offset]
            tag = tag if offset <= size else _BAD_TAG
        elif tag:
            tag, offset = _BAD_TAG, size
        else:
            offset += 1
        tags.append(tag)
        values.append(value)
    return bytes(tags), values
