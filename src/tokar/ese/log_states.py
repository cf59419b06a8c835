"""Two states of one log: whether the earlier one is the beginning of the later one, by all that is in both.

A log that is written on keeps what is in it. In format 8 its last segment is filled up, and sealed anew; all segments
before stay as they are. In format 7 the last checksum record is written anew, for more may follow it then.

Sources: Microsoft, Extensible Storage Engine, logwrite.cxx and logread_legacy.cxx.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokar.ese.content_facts import RECORDS_AT, LogReport
from tokar.ese.log import HEADER_SIZE, SEGMENT_SIZE, LogHeader
from tokar.ese.logcheck import CHECKSUM_RECORD, LARGEST_FILE, ChecksumRecord

if TYPE_CHECKING:
    from tokar.storage.bytesource import ByteSource

_PIECE: Final = 256 * SEGMENT_SIZE


def is_beginning(report: LogReport, earlier: ByteSource, later: ByteSource) -> bool:
    """Return whether a state of a log is the beginning of one that holds more.

    Args:
        report: What checking the content of the shorter one found.
        earlier: The shorter one.
        later: The other one, which is whole as far as the shorter one goes.

    Raises:
        HeaderError: The header of the shorter one is not what it was.
        FormatError: One lies in an archive, and that is damaged there.
        StorageError: One cannot be read.
    """
    header = LogHeader.parse(earlier.read(0, HEADER_SIZE))
    start = header.header_sectors * header.sector_size
    if report.unit == "segments":
        return _is_beginning_in_segments(start, report, earlier, later)
    return _is_beginning_in_ranges(start, report, earlier, later)


def _is_beginning_in_segments(start: int, report: LogReport, earlier: ByteSource, later: ByteSource) -> bool:
    last = report.end - SEGMENT_SIZE  # of a damaged one it is the shadow behind it
    its_place = last - SEGMENT_SIZE * report.rescued
    if not _are_alike(earlier, later, start, its_place):
        return False
    records = earlier.read(last, SEGMENT_SIZE).rstrip(b"\0")[RECORDS_AT:]
    return later.read(its_place + RECORDS_AT, len(records)) == records


def _is_beginning_in_ranges(start: int, report: LogReport, earlier: ByteSource, later: ByteSource) -> bool:
    if report.end > min(earlier.size, later.size, LARGEST_FILE):
        return False
    last = _last_record(earlier, start, report.end)
    behind = last + ChecksumRecord.layout_size()
    return _are_alike(earlier, later, start, last) and _are_alike(earlier, later, behind, report.end)


def _last_record(log: ByteSource, start: int, end: int) -> int:
    """Return where the last checksum record before an end begins."""
    last, at, size = start, start, ChecksumRecord.layout_size()
    while at + size <= end:
        record = ChecksumRecord.unpack(log.read(at, size))
        if record.type != CHECKSUM_RECORD:
            break
        last = at
        if not record.next:
            break
        at += size + record.next
    return last


def has_what_is_whole(report: LogReport, damaged: ByteSource, whole: ByteSource) -> bool:
    """Return whether all that is whole in a damaged log of format 7 is in another copy of it.

    Histories that parted inside a log have nothing in common from there on, so then it is that log, damaged later.
    Where so much is damaged that nobody knows where all of that is, what is before the last known place counts.

    Args:
        report: What checking the content of the damaged one found.
        damaged: The damaged one.
        whole: The other one, in which everything is in order.

    Raises:
        FormatError: One lies in an archive, and that is damaged there.
        StorageError: One cannot be read.
    """
    header = LogHeader.parse(whole.read(0, HEADER_SIZE))
    at, size = header.header_sectors * header.sector_size, ChecksumRecord.layout_size()
    end = report.end if len(report.faults) == report.bad else report.faults[-1].offset
    if end > min(damaged.size, whole.size, LARGEST_FILE):
        return False
    for offset in (fault.offset for fault in report.faults if fault.offset + size <= end):
        record = ChecksumRecord.unpack(whole.read(offset, size))
        if not _are_alike(damaged, whole, at, offset - record.back):
            return False
        at = max(at, offset + size + record.forward)
    return _are_alike(damaged, whole, at, end)


def _are_alike(one: ByteSource, other: ByteSource, start: int, end: int) -> bool:
    pieces = ((at, min(_PIECE, end - at)) for at in range(start, end, _PIECE))
    return all(one.read(*piece) == other.read(*piece) for piece in pieces)
