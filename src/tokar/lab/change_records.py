"""Log records: what the engine writes down before it changes a page.

On disk they are records of the real engine (`tokar.ese.logrecords`): transactions, attachments, splits and merges are
what their types say. So whoever follows pages through logs (`tokar.replay.chains`) follows those of this engine too. To
play them it takes this engine: its pages have a layout of their own, and so has what a record brings onto them. The
first record of every log is a remark that says so.

Every change of a page carries the page's dbtime before and after it. Redo compares: a page at `after` or later has the
change; a page at `before` gets it; an older page misses something (-566).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, Final

from tokar.ese import logrecords, pagerecords
from tokar.ese.attachment import split_names
from tokar.ese.pagerecords import NIL_DBTIME, EseRecord
from tokar.ese.record import Record
from tokar.ese.values import BackupInfo, LogPosition, Signature
from tokar.lab.engine import EngineError
from tokar.replay.stream import SIMULATED, decode, size_at


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

    transaction: int  # Whose change it is, from 1 to 0xFFFF
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

    transaction: int  # For whose change there was no room
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

    transaction: int  # Whose change left it empty
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
    path: str  # Where it lies, in the server's own terms
    signature: Signature  # Its signature: another one after a defragmentation
    consistent: LogPosition  # The position at which it was shut down last
    stream: Signature  # The log stream that it was in then


@dataclass(frozen=True, slots=True)
class Detach(LogRecord):
    """A database leaves the log stream in a consistent state."""

    dbid: int


@dataclass(frozen=True, slots=True)
class BackupMark(LogRecord):
    """A backup begins here; its position is the mark in the headers of the copies."""

    full: bool  # Whether databases are copied, else logs only


MOST_TRANSACTIONS: Final = 0xFFFF
"""The highest number of a transaction: it is that of its session too."""
_MARK: Final = struct.Struct(f"<{len(SIMULATED)}sI")
_ONE_LEVEL: Final = 0x10  # begins, on none
_ROOT, _OBJECT = 1, 2
_TO_THE_RIGHT, _EMPTY_PAGE = 1, 1  # kinds of splits and merges
_BEGINS, _FULL, _LOGS_ONLY = 1, 1, 2  # phase and scopes of a backup
# What a split says of a parent page, and of lines and prefixes, which pages of this engine do not have.
_NOTHING: Final = (
    *("parent", "operation", "operation_line", "split_line", "lines", "new_flags", "split_flags"),
    *("uncommitted", "new_uncommitted", "old_prefix_size", "new_prefix_size"),
)
_THERE: Final = b"\1"
"""Stands before a value that is there, which may be empty; one that is not there has no bytes."""


def _opened(record: Opened) -> EseRecord:
    data = _MARK.pack(SIMULATED, record.generation)
    return logrecords.TextRecord(22, 0, len(data), data)


def _begin(record: Begin) -> EseRecord:
    return logrecords.OutermostBeginRecord(8, record.transaction, _ONE_LEVEL, record.transaction)


def _commit(record: Commit) -> EseRecord:
    return logrecords.OutermostCommitRecord(9, record.transaction, 0, record.transaction)


def _rollback(record: Rollback) -> EseRecord:
    return logrecords.RollbackRecord(7, record.transaction, 1)


def _change(record: Put | Split | Free, page: int, before: int) -> dict[str, int]:
    """Return the head of what changes pages, but for its type."""
    own = {"session": record.transaction, "transaction": record.transaction, "level": 1, "line": 0, "flags": 0}
    return {**own, "dbid": record.dbid, "page": page, "dbtime": record.after, "before": before}


def _put(record: Put) -> EseRecord:
    old, value = _optional(record.old), _optional(record.value)
    return pagerecords.InsertRecord(
        type=29,
        **_change(record, record.page, record.before),
        rceid=0,
        root=_ROOT,
        object_id=_OBJECT,
        suffix_size=len(record.key),
        prefix_size=len(old),
        data_size=len(value),
        prefix=old,
        suffix=record.key,
        data=value,
    )


def _split(record: Split) -> EseRecord:
    head: dict[str, Any] = {
        **_change(record, record.source, record.before),
        "new_page": record.target,
        "right": record.next_page,
        "right_before": record.next_before,
        "parent_before": NIL_DBTIME,
        "root": _ROOT,
        "object_id": _OBJECT,
        "kind": _TO_THE_RIGHT,
        "prefix_line": -1,
        "new_prefix_line": -1,
        "key_size": len(record.key),
        "key": record.key,
        "old_prefix": b"",
        "new_prefix": b"",
        **dict.fromkeys(_NOTHING, 0),
    }
    if record.moved is None:
        return pagerecords.SplitRecord(type=27, **head)
    return pagerecords.Split2Record(type=62, **head, image_flags=0, image_size=len(record.moved), image=record.moved)


def _free(record: Free) -> EseRecord:
    return pagerecords.Merge2Record(
        type=63,
        **_change(record, record.page, record.page_before),
        right=record.next_page,
        right_before=record.next_before,
        left=record.previous,
        left_before=record.before,
        parent=0,
        parent_before=NIL_DBTIME,
        root=_ROOT,
        object_id=_OBJECT,
        moved_size=0,
        largest_size=0,
        uncommitted=0,
        merge_line=0,
        merge_flags=0,
        kind=_EMPTY_PAGE,
        key_size=0,
        image_flags=0,
        image_size=0,
        key=b"",
        image=b"",
    )


def _attach(record: Attach) -> EseRecord:
    path = (record.path + "\0").encode("utf-16-le", "surrogatepass")
    signatures = {"signature": record.signature, "log_signature": record.stream}
    return logrecords.AttachRecord(
        type=15,
        session=0,
        dbid=record.dbid,
        maximum_pages=0,
        consistent_position=record.consistent,
        **signatures,
        path_size=len(path),
        flags=logrecords.UTF16_PATH,
        path=path,
    )


def _detach(record: Detach) -> EseRecord:
    return logrecords.DetachRecord(16, 0, record.dbid, 0, 0, b"")


def _backup(record: BackupMark) -> EseRecord:
    scope = _FULL if record.full else _LOGS_ONLY
    return logrecords.BackupRecord(60, _BEGINS, 0, scope, 0, BackupInfo(), 0, 0, b"")


_ENCODED: Final[dict[type[LogRecord], Callable[[Any], EseRecord]]] = {
    Opened: _opened,
    Begin: _begin,
    Commit: _commit,
    Rollback: _rollback,
    Put: _put,
    Split: _split,
    Free: _free,
    Attach: _attach,
    Detach: _detach,
    BackupMark: _backup,
}


_NOT_WEIGHED: Final = {(Split, "transaction"), (Free, "transaction"), (Attach, "stream")}
_WEIGHED: Final = {
    kind: tuple(one.name for one in fields(kind) if (kind, one.name) not in _NOT_WEIGHED)  # type: ignore[arg-type]
    for kind in _ENCODED
}


def encode_record(record: LogRecord) -> bytes:
    """Return the bytes of a record.

    Raises:
        InputError: A value does not fit its field.
    """
    return _ENCODED[type(record)](record).pack()


def weight_of(record: LogRecord) -> int:
    """Return how much of a log a record takes up.

    That goes by what it says, not by the bytes of its layout: in which log something is belongs to what a seed gives.
    """
    return 5 + sum(_weight(getattr(record, name)) for name in _WEIGHED[type(record)])


def _weight(value: int | str | bytes | Record | None) -> int:
    if value is None:
        return 1
    if isinstance(value, int):
        return 9
    if isinstance(value, Record):
        return 5 + value.layout_size()
    return 5 + len(value.encode() if isinstance(value, str) else value)


def decode_record(data: bytes, at: int = 0) -> LogRecord:
    """Return the record at an offset, which must lie there whole.

    Raises:
        EngineError: This engine writes no such record (-501).
    """
    found = _DECODED.get(data[at])
    if found is None:
        raise EngineError(-501, f"this engine writes no log records of type {data[at]}")
    return found(decode(data, at))


def decode_records(data: bytes) -> Iterator[tuple[int, LogRecord]]:
    """Yield the records of a run with the offset of each, up to what is no record, or not all there.

    Raises:
        EngineError: This engine writes no such record (-501).
    """
    at = 0
    while at < len(data) and (size := size_at(data, at)) and at + size <= len(data):
        yield at, decode_record(data, at)
        at += size


def _as_opened(record: logrecords.TextRecord) -> LogRecord:
    if len(record.data) != _MARK.size or not record.data.startswith(SIMULATED):
        raise EngineError(-501, "the log is of another engine")
    return Opened(_MARK.unpack(record.data)[1])


def _as_put(record: pagerecords.InsertRecord) -> LogRecord:
    numbers = record.transaction, record.dbid, record.page, record.before, record.dbtime
    return Put(*numbers, record.suffix, _value(record.data), _value(record.prefix))


def _as_split(record: pagerecords.SplitRecord | pagerecords.Split2Record) -> LogRecord:
    numbers = record.transaction, record.dbid, record.page, record.new_page, record.before, record.dbtime
    moved = record.image if isinstance(record, pagerecords.Split2Record) else None
    return Split(*numbers, record.key, record.right, moved, record.right_before)


def _as_free(record: pagerecords.Merge2Record) -> LogRecord:
    numbers = record.transaction, record.dbid, record.left, record.page, record.left_before, record.before
    return Free(*numbers, record.dbtime, record.right, record.right_before)


def _as_attach(record: logrecords.AttachRecord) -> LogRecord:
    path, _ = split_names(record.path, wide=bool(record.flags & logrecords.UTF16_PATH))
    return Attach(record.dbid, path, record.signature, record.consistent_position, record.log_signature)


_DECODED: Final[dict[int, Callable[[Any], LogRecord]]] = {
    22: _as_opened,
    8: lambda record: Begin(record.transaction),
    9: lambda record: Commit(record.transaction),
    7: lambda record: Rollback(record.session),
    29: _as_put,
    27: _as_split,
    62: _as_split,
    63: _as_free,
    15: _as_attach,
    16: lambda record: Detach(record.dbid),
    60: lambda record: BackupMark(record.scope == _FULL),
}


def _optional(value: bytes | None) -> bytes:
    return b"" if value is None else _THERE + value


def _value(data: bytes) -> bytes | None:
    """Return a value that may not be there.

    Raises:
        EngineError: This engine writes no such value (-501).
    """
    if data and not data.startswith(_THERE):
        raise EngineError(-501, "a log record has a value that this engine does not write")
    return data[1:] if data else None
