"""A database on disk: two copies of a real ESE header, then leaf pages. And the checkpoint, which lags on purpose."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from tokar.errors import HeaderError, StorageError
from tokar.ese.checkpoint import Checkpoint
from tokar.ese.checksum import ecc_checksum, flipped_bit
from tokar.ese.database import DatabaseHeader, DatabaseState
from tokar.ese.page import FORMAT_BIT, NEW_FORMAT, PageHeader, has_ecc, page_is_sealed, seal_page
from tokar.ese.values import NO_POSITION, NO_TIME, LogPosition, LogTime, Signature
from tokar.lab.change_records import Free, Put, Split
from tokar.lab.engine import EngineError, Era
from tokar.storage.bytesource import FileSource

FIRST_PAGES: Final = 24
"""Pages of a new database: most are free, so that splits find targets below and above."""


def page_offset(number: int, page_size: int) -> int:
    """Return where a page lies: page 1 follows the two header pages."""
    return (number + 1) * page_size


class DatabaseFile:
    """The file of one database.

    Args:
        path: Where it lies.
        era: The engine that owns it.

    Raises:
        EngineError: There is no such file (-1811), its header is not readable (-1018), or its pages are of another size
            (-1213).
    """

    def __init__(self, path: Path, era: Era) -> None:
        self.path = path
        self.era = era
        try:
            with FileSource(path) as source:
                self.header = DatabaseHeader.read(source).header
        except StorageError as error:
            raise EngineError(-1811, "there is no such database", path=path) from error
        except HeaderError as error:
            raise EngineError(-1018, "the database header is not readable", path=path) from error
        if self.header.page_size != era.page_size:
            raise EngineError(-1213, f"its pages have {self.header.page_size} bytes", path=path)

    @property
    def size(self) -> int:
        """The bytes of the file."""
        return self.path.stat().st_size

    @property
    def page_count(self) -> int:
        """The pages of the file, without its headers and without a backup trailer."""
        return self.header.page_count(self.size)

    def change_header(self, **changes: Any) -> None:
        """Write the header with other values: the first copy, then the second."""
        self.header = replace(self.header, **changes)
        page = self.header.build()
        with self.path.open("r+b") as file:
            file.write(page)
            file.flush()
            file.write(page)

    def read_raw(self, number: int, count: int = 1) -> bytes:
        """Return pages as they lie on disk; pages past the end of the file are zero."""
        size = self.era.page_size
        with self.path.open("rb") as file:
            file.seek(page_offset(number, size))
            return file.read(count * size).ljust(count * size, b"\0")

    def read_page(self, number: int) -> Page:
        """Return one page.

        Raises:
            EngineError: A checksum is wrong (-1018).
        """
        return Page.from_bytes(self.read_raw(number), number)

    def write_page(self, page: Page) -> None:
        """Write one page; the file grows where it lies past the end."""
        self.write_raw(page.number, page.to_bytes(self.era.page_size, ecc=self.header.uses_ecc))

    def write_raw(self, number: int, data: bytes) -> None:
        """Write the bytes of a page."""
        with self.path.open("r+b") as file:
            file.seek(page_offset(number, self.era.page_size))
            file.write(data)

    def grow(self, pages: int) -> None:
        """Add zero pages at the end."""
        with self.path.open("r+b") as file:
            file.truncate(self.size + pages * self.era.page_size)

    def mark_clean(self, position: LogPosition, time: LogTime) -> None:
        """Say that the database needs no logs any more."""
        self.change_header(
            raw_state=int(DatabaseState.CLEAN_SHUTDOWN),
            consistent_position=position,
            consistent_time=time,
            detach_position=position,
            detach_time=time,
            required_low=0,
            required_high=0,
            committed_high=0,
            last_log_time=NO_TIME,
        )

    def mark_dirty(self, position: LogPosition, time: LogTime, log_signature: Signature) -> None:
        """Say that the database is attached and needs logs."""
        self.change_header(
            raw_state=int(DatabaseState.DIRTY_SHUTDOWN),
            attach_position=position,
            attach_time=time,
            detach_position=NO_POSITION,
            detach_time=NO_TIME,
            log_signature=log_signature,
        )


def create_database(
    path: Path, era: Era, signature: Signature, dbid: int, *, pages: Sequence[Page] = (), dbtime: int = 1
) -> None:
    """Write a clean database that belongs to no log stream yet.

    Args:
        path: Where it is to lie; what is there is replaced.
        era: The engine that owns it.
        signature: Its signature.
        dbid: Its number inside the instance.
        pages: The pages it begins with, in order; the rest is free.
        dbtime: Its counter of modifications.
    """
    header = DatabaseHeader(
        signature=signature,
        dbtime=dbtime,
        dbid=dbid,
        revision=era.revision,
        raw_page_size=era.page_size,
        created_version=0x620,
        created_revision=era.revision,
        file_type=era.file_type(1),
    )
    ecc = header.uses_ecc
    first = pages or [Page(ROOT_PAGE, dbtime=dbtime, free=False)]
    body = b"".join(page.to_bytes(era.page_size, ecc=ecc) for page in first)
    count = max(FIRST_PAGES, len(first) + 4)
    path.write_bytes(header.build() * 2 + body.ljust(count * era.page_size, b"\0"))


def checkpoint_path(folder: Path, base: str) -> Path:
    """Return where the checkpoint of a log stream lies."""
    return folder / f"{base}.chk"


def write_checkpoint(path: Path, position: LogPosition, signature: Signature, era: Era) -> None:
    """Write both copies of a checkpoint, one after the other."""
    copy = Checkpoint(checkpoint=position, signature=signature, file_type=era.file_type(4)).build()
    if not path.exists():
        path.write_bytes(copy * 2)
        return
    with path.open("r+b") as file:
        file.write(copy)
        file.flush()
        file.write(copy)


def read_checkpoint(path: Path) -> Checkpoint | None:
    """Return the checkpoint, None where there is none.

    Raises:
        EngineError: Neither copy is readable (-533).
    """
    if not path.exists():
        return None
    try:
        with FileSource(path) as source:
            return Checkpoint.read(source).header
    except HeaderError as error:
        raise EngineError(-533, "the checkpoint is not readable", path=path) from error


HEADER_SIZE: Final = 40
ROOT_PAGE: Final = 1
_ROOT, _LEAF, _EMPTY = 1, 2, 8
_OBJECT: Final = 2
_PAIR: Final = struct.Struct("<HH")
_SHORT: Final = struct.Struct("<H")


@dataclass(slots=True)
class Page:
    """A leaf page in memory; on disk it is sealed with the checksum of its era, behind a real ESE page header.

    The leaves of a database form one chain from page 1 by their `next_page`, and back by their `previous_page`; each
    knows the lowest key it may hold.
    Body, behind the 40 bytes of header: u16 length and bytes of the low key; then, for each record, u16 and u16
    lengths, key, value. There is no tree above the leaves: the engine keeps their order in memory and finds it again by
    walking the chain.

    What a log record does to pages (`apply_*`) is used when the change is made and again when it is redone, so that the
    two cannot differ. Redo by page dbtime: a page at `after` or later has the change already. Otherwise it must be at
    `before`; an engine that checks this answers -566 for an older page (a log or a patch is missing, or redo began too
    late), an early one changes what it finds and loses data silently.
    """

    number: int  # The page number, from 1
    dbtime: int = 0  # Of the last change; 0: never used
    next_page: int = 0  # The next leaf; 0 ends the chain
    previous_page: int = 0  # The leaf before it; 0 on page 1
    low: bytes = b""  # The lowest key that the page may hold
    items: dict[bytes, bytes] = field(default_factory=dict)  # The records
    free: bool = True  # Whether the page is out of the chain

    @property
    def used(self) -> int:
        """The bytes that low key and records take."""
        content = sum(map(len, self.items)) + sum(map(len, self.items.values()))
        return _SHORT.size + len(self.low) + _PAIR.size * len(self.items) + content

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
            previous_page=self.previous_page,
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
            EngineError: A checksum is wrong (-1018) and no single flipped bit explains it, or it is no leaf of this
                engine (-1206).
        """
        if not any(data):
            return cls(number)
        if not page_is_sealed(data, number):
            data = _corrected(data, number)
        header = PageHeader.unpack(data)
        body = data[HEADER_SIZE : HEADER_SIZE + header.first_free]
        start = _SHORT.size + int.from_bytes(body[: _SHORT.size], "little")
        if start > len(body):
            raise EngineError(-1206, f"page {number} is no leaf of this engine")
        return cls(
            number,
            header.dbtime,
            header.next_page,
            header.previous_page,
            body[_SHORT.size : start],
            unpack_items(body[start:]),
            bool(header.flags & _EMPTY),
        )


def _corrected(data: bytes, number: int) -> bytes:
    """Return a page without the one bit in it that was flipped, which its ECC locates.

    Raises:
        EngineError: It is not one bit (-1018).
    """
    if has_ecc(data):
        stored = int.from_bytes(data[:8], "little")
        bit = flipped_bit(stored ^ ecc_checksum(data, number), len(data))
        if bit is not None and bit not in {FORMAT_BIT, *range(64)}:
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            return bytes(changed)
    raise EngineError(-1018, f"page {number} failed verification")


def pack_items(items: dict[bytes, bytes]) -> bytes:
    """Return records as bytes, in the order of their keys."""
    return b"".join(_PAIR.pack(len(key), len(items[key])) + key + items[key] for key in sorted(items))


def unpack_items(data: bytes) -> dict[bytes, bytes]:
    """Return the records in bytes that `pack_items` made.

    Raises:
        EngineError: It made no such bytes (-1206).
    """
    items = {}
    offset = 0
    while offset < len(data):
        start = offset + _PAIR.size
        key_size, value_size = _PAIR.unpack(data[offset:start].ljust(_PAIR.size, b"\xff"))
        middle, end = start + key_size, start + key_size + value_size
        if end > len(data):
            raise EngineError(-1206, "the records of a page run past its end")
        items[data[start:middle]] = data[middle:end]
        offset = end
    return items


def is_due(page: Page, before: int, after: int, *, checked: bool) -> bool:
    """Tell whether a change is still to be made to a page.

    Raises:
        EngineError: The page is not in the state that the change was made to (-566 older, -567 newer), where that is
            checked.
    """
    if page.dbtime >= after:
        return False
    if checked and page.dbtime != before:
        code = -566 if page.dbtime < before else -567
        raise EngineError(code, f"page {page.number} has dbtime {page.dbtime}, the log expects {before}")
    return True


def apply_put(page: Page, change: Put) -> None:
    """Set, replace or delete one record."""
    page.free = False
    page.dbtime = change.after
    if change.value is None:
        page.items.pop(change.key, None)
    else:
        page.items[change.key] = change.value


def apply_split_to_target(source: Page, target: Page, change: Split) -> None:
    """Fill the target, from the record where it says what moves, else from the source, which must still hold it.

    Where the source has been split already and the record does not say what moved, the data is lost: what a patch file
    is there for.
    """
    if change.moved is not None:
        target.items = unpack_items(change.moved)
    elif source.dbtime < change.after:
        target.items = {key: value for key, value in source.items.items() if key >= change.key}
    else:
        target.items = {}
    target.low = change.key
    target.previous_page, target.next_page = change.source, change.next_page
    target.free = False
    target.dbtime = change.after


def apply_split_to_source(source: Page, change: Split) -> None:
    """Take from the source what has moved."""
    source.items = {key: value for key, value in source.items.items() if key < change.key}
    source.next_page = change.target
    source.free = False
    source.dbtime = change.after


def apply_to_next(page: Page, previous: int, after: int) -> None:
    """Let the page that follows name another one before it."""
    page.previous_page = previous
    page.dbtime = after


def apply_free_to_previous(previous: Page, change: Free) -> None:
    """Point past the page that becomes free."""
    previous.next_page = change.next_page
    previous.dbtime = change.after


def apply_free_to_page(page: Page, change: Free) -> None:
    """Empty the page that becomes free."""
    page.items = {}
    page.low = b""
    page.previous_page = page.next_page = 0
    page.free = True
    page.dbtime = change.after
