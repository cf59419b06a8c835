"""A database on disk: two copies of a real ESE header, then pages. And the checkpoint, which lags behind on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from tokar.errors import HeaderError, StorageError
from tokar.ese.checkpoint import Checkpoint
from tokar.ese.database import DatabaseHeader, DatabaseState
from tokar.ese.values import NO_POSITION, NO_TIME, LogPosition, LogTime, Signature
from tokar.lab.engine import EngineError, Era
from tokar.lab.leaf_pages import ROOT_PAGE, Page
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
        EngineError: There is no such file (-1811), or its header is not readable (-1018).
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
