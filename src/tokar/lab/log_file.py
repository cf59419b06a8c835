"""One log on disk, of either format: reading it back whole, and going on where it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokar.ese.errors import HeaderError
from tokar.ese.log import LogHeader
from tokar.lab.engine import EngineError
from tokar.lab.range_log import RangeLog, read_ranges
from tokar.lab.segment_log import SegmentLog, accumulate, read_segments
from tokar.storage.bytesource import BytesSource

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.ese.values import LogPosition
    from tokar.lab.records import LogRecord

WritableLog = SegmentLog | RangeLog


@dataclass(frozen=True, slots=True)
class LogContent:
    """A log as read back."""

    path: Path  # The file
    header: LogHeader  # Its header
    records: tuple[tuple[LogPosition, LogRecord], ...]  # Its records with their positions
    segments_xor: int  # Its accumulated segment checksum; 0 in format 7


def read_header(path: Path, damaged: int = -501) -> LogHeader:
    """Return the header of a log.

    Raises:
        EngineError: It is not readable (`damaged`), or the file is of another size than it says (-541).
    """
    try:
        with path.open("rb") as file:
            header = LogHeader.read(BytesSource(file.read(4096)))
    except HeaderError as error:
        raise EngineError(damaged, "the log header is not readable", path=path) from error
    if path.stat().st_size != header.file_size:
        raise EngineError(-541, "the log has another size than its header says", path=path)
    return header


def read_log(path: Path, damaged: int = -501) -> LogContent:
    """Return a log with all its records.

    Args:
        path: The file.
        damaged: What to answer where a checksum is wrong: -501, -573 in a restore, -612 in a backup.

    Raises:
        EngineError: A checksum is wrong, or the size (-541).
    """
    header = read_header(path, damaged)
    data = path.read_bytes()
    if header.major == 8:
        _, records, sound = read_segments(data, header)
        segments_xor = accumulate(data, header.generation)
    else:
        _, _, records, sound = read_ranges(data, header)
        segments_xor = 0
    if not sound:
        raise EngineError(damaged, "the log is damaged", path=path)
    return LogContent(path, header, tuple(records), segments_xor)


def create_log(path: Path, header: LogHeader) -> WritableLog:
    """Write an empty log and return it for writing."""
    return SegmentLog.create(path, header) if header.major == 8 else RangeLog.create(path, header)


def resume_log(path: Path) -> WritableLog:
    """Return the current log for writing on where its last whole record ends."""
    header = read_header(path)
    data = path.read_bytes()
    if header.major == 8:
        stream, _, _ = read_segments(data, header)
        return SegmentLog(path, header, stream)
    end, last, _, _ = read_ranges(data, header)
    return RangeLog(path, header, data, end, last)
