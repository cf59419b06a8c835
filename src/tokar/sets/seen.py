"""Reads one file, whole or while it goes by: what it is, its header and trailer, what checking its content finds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from tokar.errors import HeaderError
from tokar.ese.content_facts import LogReport, PageReport
from tokar.ese.database import DatabaseHeader
from tokar.ese.identify import FileKind, Identity, identify
from tokar.ese.inspect import Checker, checker_for
from tokar.ese.trailer import BackupTrailer, patch_trailer
from tokar.storage.bytesource import ByteSource

_CHUNK_SIZE: Final = 1 << 20
_LARGEST_PAGE: Final = 32768
_START_SIZE: Final = 2 * _LARGEST_PAGE  # the first bytes of a file: both copies of any header lie in them
_UNSURE: Final = "begins like a log that was never written"


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read of one file: from it, or from an archive that keeps what was read when it was made."""

    identity: Identity  # What it is, with its header
    size: int  # Bytes of its content
    report: PageReport | LogReport | None = None  # What checking its content found; None where nobody checked it
    trailer: BackupTrailer | None = None  # The backup trailer of a streaming copy or in a patch file, if in order
    trailer_fault: str = ""  # Why the trailer of a streaming copy is not in order; empty for any other file
    trailer_code: int | None = None  # The error the engine gives for that
    is_sure: bool = True  # False where only a second look at all of its bytes can tell what it is


def look(source: ByteSource, *, examine: bool = False) -> Seen:
    """Read a file that is all there.

    Args:
        source: Its content.
        examine: Whether to check its pages or segments, which reads all of it.

    Raises:
        FormatError: It lies in an archive, and that is damaged there.
        StorageError: It cannot be read.
    """
    identity = identify(source)
    checker = checker_for(identity, source.size) if examine else None
    if checker is None:
        return _seen(identity, source)
    for offset in range(0, source.size, _CHUNK_SIZE):
        checker.update(source.read(offset, _CHUNK_SIZE))
    return _seen(identity, source, checker.finish())


def _seen(identity: Identity, source: ByteSource, report: PageReport | LogReport | None = None) -> Seen:
    seen, header = Seen(identity, source.size, report), identity.header
    if not isinstance(header, DatabaseHeader):
        return replace(seen, trailer=patch_trailer(source))
    if not header.has_trailer_page:
        return seen
    try:
        return replace(seen, trailer=BackupTrailer.read(source, header))
    except HeaderError as error:
        return replace(seen, trailer_fault=error.message, trailer_code=error.code)


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

    def _begin(self, chunk: memoryview) -> Identity:
        """Recognise the file by its start, of which this chunk is the end; what came before it was only kept."""
        self._identity = identity = self._kept.identify()
        self._checker = checker_for(identity, self._kept.size)
        if self._checker is not None:
            self._checker.update(self._kept.read(0, self._kept.received - len(chunk)))
            self._checker.update(chunk)
        return identity

    def finish(self) -> Seen:
        """Return what was read. Nothing may follow."""
        identity = self._identity or self._begin(memoryview(b""))
        report = self._checker.finish() if self._checker is not None else None
        self._kept.size = self._kept.received
        return replace(_seen(identity, self._kept, report), is_sure=identity.note != _UNSURE)


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
        if self.received > self.size - _LARGEST_PAGE:
            self._end += chunk[-_LARGEST_PAGE:]
            del self._end[:-_LARGEST_PAGE]

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
        if identity.kind is FileKind.RESERVE and self.received < self.size:  # which only all of its bytes can tell
            return Identity(kind=FileKind.UNKNOWN, note=_UNSURE)
        return identity
