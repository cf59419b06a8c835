"""Checks the content of a log, in one pass over bytes that come in buffers of any size. Needs numpy (`pip install "tokar[ese]"`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokar.ese.log import SEGMENT_SIZE, LogHeader
from tokar.ese.logreport import LogReport
from tokar.ese.ranges import RangeChecker
from tokar.ese.segments import SegmentChecker

if TYPE_CHECKING:
    from tokar.storage.bytesource import ByteSource

_BUFFER_SIZE: Final = 1 << 20
_RANGES_SINCE: Final = 3704


def why_not_verified(header: LogHeader) -> str:
    """Return why the content of such a log carries no checksums known here; empty when it does."""
    if header.major == 8:
        right = header.sector_size == SEGMENT_SIZE
        return "" if right else f"a log of format 8 with sectors of {header.sector_size} bytes"
    if header.minor < _RANGES_SINCE:
        return f"the records of format {header.format} are not known"
    return "" if header.sector_size >= 512 else f"a log with sectors of {header.sector_size} bytes"


def check_log(source: ByteSource, header: LogHeader | None = None) -> LogReport:
    """Check the content of a log.

    Args:
        source: The whole file.
        header: Its header, where it has been read already.

    Raises:
        HeaderError: The header cannot be read.
        StorageError: The source cannot be read.
    """
    checker = LogChecker(header or LogHeader.read(source))
    for offset in range(0, source.size, _BUFFER_SIZE):
        checker.update(source.read(offset, _BUFFER_SIZE))
    return checker.finish()


class LogChecker:
    """Checks the content of one log while its bytes go by, the header among them.

    Args:
        header: The header of the log.
    """

    def __init__(self, header: LogHeader) -> None:
        self._header = header
        self._why_not = why_not_verified(header)
        self._checker = SegmentChecker(header) if header.major == 8 else RangeChecker(header)
        self._size = 0

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes of the file. They are not kept, and may be changed afterwards."""
        self._size += len(memoryview(data).cast("B"))
        if not self._why_not:
            self._checker.update(memoryview(data).cast("B"))

    def finish(self) -> LogReport:
        """Return what was found. Nothing may follow."""
        if not self._why_not:
            return self._checker.finish(self._size)
        return LogReport(
            unit="segments" if self._header.major == 8 else "ranges",
            expected_size=self._header.file_size,
            size=self._size,
            not_verified=self._why_not,
        )
