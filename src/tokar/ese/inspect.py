"""What one ESE file says of itself, read from any seekable bytes: as `esentutl /mh`, `/ml`, `/mk` and `/k` do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from tokar.errors import HeaderError
from tokar.ese.checksum import ecc_checksum
from tokar.ese.content_facts import (
    CHECKED_KINDS,
    ContentVerdict,
    LogReport,
    PageFault,
    PageFaultKind,
    PageReport,
    judge_content,
)
from tokar.ese.database import DatabaseHeader
from tokar.ese.flushmap import HEADER_SIZE, FlushMap
from tokar.ese.identify import FileKind, Identity, identify
from tokar.ese.log import LogHeader
from tokar.ese.trailer import BackupTrailer, patch_trailer
from tokar.storage.bytesource import ByteSource
from tokar.words import count_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What one file says of itself."""

    size: int  # Its bytes
    identity: Identity  # What it is, with its header
    trailer: BackupTrailer | None = None  # The backup trailer of a streaming copy, or in a patch file
    trailer_fault: str = ""  # Why a streaming copy has none that fits; empty for any other file

    @property
    def is_ese(self) -> bool:
        """Whether it is an ESE file of a kind that is known."""
        return self.identity.kind is not FileKind.UNKNOWN


def inspect_file(source: ByteSource) -> Inspection:
    """Return what a file says of itself. Never fails because of what is in the file, and reads a bounded part of it.

    Raises:
        StorageError: The source cannot be read.
    """
    identity = identify(source)
    header = identity.header
    if not isinstance(header, DatabaseHeader) or not header.has_trailer_page:
        trailer = patch_trailer(source) if identity.kind is FileKind.UNKNOWN else None
        return Inspection(size=source.size, identity=identity, trailer=trailer)
    try:
        return Inspection(size=source.size, identity=identity, trailer=BackupTrailer.read(source, header))
    except HeaderError as error:
        return Inspection(size=source.size, identity=identity, trailer_fault=f"{error.message} ({error.code})")


class Checker(Protocol):
    """What `PageChecker` and `LogChecker` have in common."""

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes of the file, which may be changed afterwards."""

    def finish(self) -> PageReport | LogReport:
        """Return what was found. Nothing may follow."""


def checker_for(identity: Identity, size: int) -> Checker | None:
    """Return what checks the content of such a file; None where its content carries no checksums known here.

    Args:
        identity: What the file is.
        size: The bytes that will come.
    """
    if identity.header is None or identity.kind not in CHECKED_KINDS:
        return None
    if identity.kind is FileKind.LOG:
        from tokar.ese.logcheck import LogChecker  # noqa: PLC0415 - loads numpy

        return LogChecker(identity.header) if isinstance(identity.header, LogHeader) else None
    from tokar.ese.pages import PageChecker  # noqa: PLC0415 - loads numpy

    return PageChecker(identity.header, size) if isinstance(identity.header, DatabaseHeader) else None


def check_content(inspection: Inspection, pieces: Iterable[bytes | bytearray | memoryview]) -> ContentVerdict:
    """Return what checking the whole content of a file comes to.

    Args:
        inspection: What the file says of itself.
        pieces: Its bytes from the first to the last, in pieces of any size.
    """
    if isinstance(inspection.identity.header, FlushMap):
        return check_flush_map(pieces)
    checker = checker_for(inspection.identity, inspection.size)
    if checker is None:
        return judge_content(inspection.identity, None)
    for piece in pieces:
        checker.update(piece)
    return judge_content(inspection.identity, checker.finish())


def check_flush_map(pieces: Iterable[bytes | bytearray | memoryview]) -> ContentVerdict:
    """Return what checking the pages of a flush map comes to; its header was checked when it was read.

    Args:
        pieces: Its bytes from the first to the last, in pieces of any size.
    """
    data, at, faults, pages = bytearray(), 0, [], 0
    for piece in pieces:
        data += piece
        while len(data) >= HEADER_SIZE:
            page = bytes(data[:HEADER_SIZE])
            del data[:HEADER_SIZE]
            if at:
                pages += 1
                if any(page) and int.from_bytes(page[:8], "little") != ecc_checksum(page, at - 1):
                    faults.append(PageFault(PageFaultKind.BAD, at - 1, at * HEADER_SIZE))
            at += 1
    problems = [f"has {count_text(len(faults), 'damaged page')}; the engine makes a new one"] if faults else []
    problems += [f"has {count_text(len(data), 'byte')} after its last page; the engine makes a new one"] if data else []
    return ContentVerdict(unit="pages", units=pages, bad=len(faults), faults=tuple(faults), problems=tuple(problems))
