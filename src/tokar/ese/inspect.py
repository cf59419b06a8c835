"""What one ESE file says of itself, as `esentutl /mh`, `/ml`, `/mk` and `/k` do, and what checking its content finds.

It is read from any seekable bytes, or while it goes by.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Protocol

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
from tokar.ese.identify import FileKind, Identity, has_pages, has_segments, identify
from tokar.ese.log import LogHeader
from tokar.ese.trailer import BackupTrailer, patch_trailer
from tokar.storage.bytesource import ByteSource, parts_of
from tokar.words import count_text

_LARGEST_PAGE: Final = 32768
_START_SIZE: Final = 3 * _LARGEST_PAGE  # the first bytes of a file: both copies of any header lie in them, and a page
_END_SIZE: Final = _START_SIZE  # the last bytes of a file: a trailer, and the page before it
_UNSURE: Final = "begins like a log that was never written"
_HEADLESS: Final = "its headers are gone, and pages of a database follow"
_HEADLESS_LOG: Final = "its header is gone, and segments of a log follow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What one file says of itself."""

    size: int  # Its bytes
    identity: Identity  # What it is, with its header
    trailer: BackupTrailer | None = None  # The backup trailer of a streaming copy, or in a patch file
    trailer_fault: str = ""  # Why a streaming copy has none that fits; empty for any other file
    trailer_code: int | None = None  # The error the engine gives for that
    report: PageReport | LogReport | None = None  # What checking its content found; None where nobody checked it
    is_sure: bool = True  # False where only a second look at all of its bytes can tell what it is

    @property
    def is_ese(self) -> bool:
        """Whether it is an ESE file of a kind that is known."""
        return self.identity.kind is not FileKind.UNKNOWN


def inspect_file(source: ByteSource, *, examine: bool = False) -> Inspection:
    """Return what a file says of itself. Never fails because of what is in the file.

    Args:
        source: Its content.
        examine: Whether to check its pages or segments, which reads all of it; else a bounded part is read.

    Raises:
        FormatError: It lies in an archive, and that is damaged there.
        StorageError: It cannot be read.
    """
    identity = identify(source)
    checker = checker_for(identity, source.size) if examine else None
    if checker is None:
        return _inspection(identity, source)
    _hand_over(parts_of(source), checker)
    return _inspection(identity, source, checker.finish())


def _hand_over(parts: Iterable[bytes | bytearray | memoryview | int], taker: Taker) -> None:
    """Hand over all bytes of a file, of zeros only how many they are."""
    for one in parts:
        if isinstance(one, int):
            taker.zeros(one)
        else:
            taker.update(one)


def _inspection(identity: Identity, source: ByteSource, report: PageReport | LogReport | None = None) -> Inspection:
    if identity.kind is FileKind.UNKNOWN and has_pages(source, at_ends=_START_SIZE):
        identity = Identity(kind=FileKind.DATABASE, damaged=True, note=_HEADLESS)
    elif identity.kind is FileKind.UNKNOWN and has_segments(source, at_ends=_START_SIZE):
        identity = Identity(kind=FileKind.LOG, damaged=True, note=_HEADLESS_LOG)
    found, header = Inspection(size=source.size, identity=identity, report=report), identity.header
    if not isinstance(header, DatabaseHeader):
        return replace(found, trailer=patch_trailer(source))
    if not header.has_trailer_page:
        return found
    try:
        return replace(found, trailer=BackupTrailer.read(source, header))
    except HeaderError as error:
        return replace(found, trailer_fault=error.message, trailer_code=error.code)


class Taker(Protocol):
    """Who takes all bytes of a file in their order."""

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes of the file, which may be changed afterwards."""

    def zeros(self, count: int) -> None:
        """Take so many zeros as the next bytes of the file."""


class Checker(Taker, Protocol):
    """What `PageChecker` and `LogChecker` have in common."""

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


def check_content(inspection: Inspection, parts: Iterable[bytes | bytearray | memoryview | int]) -> ContentVerdict:
    """Return what checking the whole content of a file comes to.

    Args:
        inspection: What the file says of itself.
        parts: Its bytes from the first to the last, in pieces of any size; of zeros only how many they are.
    """
    if isinstance(inspection.identity.header, FlushMap):
        return check_flush_map(parts)
    checker = checker_for(inspection.identity, inspection.size)
    if checker is None:
        return judge_content(inspection.identity, None)
    _hand_over(parts, checker)
    return judge_content(inspection.identity, checker.finish())


def check_flush_map(parts: Iterable[bytes | bytearray | memoryview | int]) -> ContentVerdict:
    """Return what checking the pages of a flush map comes to; its header was checked when it was read.

    Args:
        parts: As `check_content`.
    """
    pages = _FlushMapPages()
    _hand_over(parts, pages)
    faults, rest = pages.faults, len(pages.rest)
    problems = [f"has {count_text(len(faults), 'damaged page')}; the engine makes a new one"] if faults else []
    problems += [f"has {count_text(rest, 'byte')} after its last page; the engine makes a new one"] if rest else []
    units = max(pages.count - 1, 0)  # without the header
    return ContentVerdict(unit="pages", units=units, bad=len(faults), faults=tuple(faults), problems=tuple(problems))


class _FlushMapPages:
    """Checks the pages of a flush map, of which the first one is its header."""

    def __init__(self) -> None:
        self.rest = bytearray()
        self.faults: list[PageFault] = []
        self.count = 0

    def update(self, data: bytes | bytearray | memoryview) -> None:
        self.rest += data
        while len(self.rest) >= HEADER_SIZE:
            page = bytes(self.rest[:HEADER_SIZE])
            del self.rest[:HEADER_SIZE]
            if self.count and any(page) and int.from_bytes(page[:8], "little") != ecc_checksum(page, self.count - 1):
                self.faults.append(PageFault(PageFaultKind.BAD, self.count - 1, self.count * HEADER_SIZE))
            self.count += 1

    def zeros(self, count: int) -> None:
        missing = min(-len(self.rest) % HEADER_SIZE, count)
        self.update(bytes(missing))
        whole, rest = divmod(count - missing, HEADER_SIZE)
        self.count += whole
        self.update(bytes(rest))


class PassingFile:
    """Reads a file that goes by once. Call it with all of its bytes in their order, then `finish`.

    Args:
        size: Bytes that will come.
    """

    def __init__(self, size: int) -> None:
        self._kept = _Kept(size)
        self._identity: Identity | None = None
        self._checker: Checker | None = None

    def __call__(self, chunk: memoryview) -> None:
        """Take the next bytes. They may be changed afterwards."""
        self._kept.add(chunk)
        if self._identity is not None:
            if self._checker is not None:
                self._checker.update(chunk)
        elif self._kept.has_start:
            self._begin(chunk)

    def zeros(self, count: int) -> None:
        """Take so many zeros as the next bytes."""
        if self._identity is None:
            start = min(count, _START_SIZE)
            self(memoryview(bytes(start)))
            count -= start
        self._kept.add_zeros(count)
        if self._checker is not None:
            self._checker.zeros(count)

    def _begin(self, chunk: memoryview) -> Identity:
        """Recognise the file by its start, of which this chunk is the end; what came before it was only kept."""
        self._identity = identity = self._kept.identify()
        self._checker = checker_for(identity, self._kept.size)
        if self._checker is not None:
            self._checker.update(self._kept.read(0, self._kept.received - len(chunk)))
            self._checker.update(chunk)
        return identity

    def finish(self) -> Inspection:
        """Return what was read. Nothing may follow."""
        identity = self._identity or self._begin(memoryview(b""))
        report = self._checker.finish() if self._checker is not None else None
        self._kept.size = self._kept.received
        found = _inspection(identity, self._kept, report)
        return replace(found, is_sure=found.identity.note != _UNSURE)


class _Kept:
    """The first and last bytes of a file that went by, as a byte source: no header and no trailer lies elsewhere."""

    def __init__(self, size: int) -> None:
        self.size = size  # Bytes that were announced
        self.received = 0  # Bytes that came
        self._start = bytearray()
        self._end = bytearray()

    def add(self, chunk: memoryview) -> None:
        if len(self._start) < _START_SIZE:
            self._start += chunk[: _START_SIZE - len(self._start)]
        self.received += len(chunk)
        if self.received > self.size - _END_SIZE:
            self._end += chunk[-_END_SIZE:]
            del self._end[:-_END_SIZE]

    def add_zeros(self, count: int) -> None:
        self._start += bytes(min(count, _START_SIZE - len(self._start)))
        self.received += count
        if self.received > self.size - _END_SIZE:
            self._end += bytes(min(count, _END_SIZE))
            del self._end[:-_END_SIZE]

    @property
    def has_start(self) -> bool:
        return len(self._start) >= min(_START_SIZE, self.size)

    def read(self, offset: int, size: int) -> bytes:
        start_of_end = self.received - len(self._end)
        if offset >= start_of_end:
            return bytes(self._end[offset - start_of_end :][:size])
        return bytes(self._start[offset : offset + size])

    def identify(self) -> Identity:
        identity = identify(self)
        if identity.kind is FileKind.RESERVE and self.size > _START_SIZE:  # which only all of its bytes can tell
            return Identity(kind=FileKind.UNKNOWN, note=_UNSURE)
        return identity
