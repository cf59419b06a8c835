"""Checks the content of a log, in one pass over bytes that come in buffers of any size.

Format 7 is a chain of checksum records, each covering the bytes before and after it. A flush begins with such a record,
except that it first repeats the beginning of its sector, which the range "back" covers. The records name their ranges
and the place of the next record; nothing else in the log is needed to check it.

Format 8 is segments of 4096 bytes, each with a checksum, its own position, and its generation. The log ends at the
first segment that is empty, stale (left over from the file's former life as an older generation) or a shadow (a second
copy of the segment before it, which is only partly filled). A valid segment behind such an end means that a write was
lost.

Sources: Microsoft, Extensible Storage Engine, logapi.hxx, logread_legacy.cxx, logread.cxx and logwrite.cxx.
"""

# Records: no `from __future__ import annotations` (see tokar.ese.record).

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache, reduce
from itertools import takewhile
from operator import xor
from typing import TYPE_CHECKING, Final

from tokar.ese.arrays import np
from tokar.ese.blocksums import BlockSums, WholeBlocks, aligned_words
from tokar.ese.checksum import flipped_bit, xor_words
from tokar.ese.content_facts import FAULT_LIMIT, RECORDS_AT, LogFault, LogFaultKind, LogReport
from tokar.ese.log import SEGMENT_SIZE, LogHeader
from tokar.ese.record import U8, U32, Record

if TYPE_CHECKING:
    import numpy.typing as npt

_RANGES_SINCE: Final = 3704
LARGEST_FILE: Final = 64 << 20
"""Such a log is held in memory to be checked; Exchange used 5 MiB, Active Directory 10 MiB."""
CHECKSUM_RECORD: Final = 42
SHORT_USED: Final = 0x9A
SHORT_NOT_USED: Final = 0xD1
_SEED: Final = 0xFEEDBEAF
_SHORT_SEED: Final = 0xDEADC0DE
_UNUSED: Final = (0x00, 0xDA)  # the first byte of zeros, and of the fill pattern of unused sectors
_FILL: Final = b"".join(bytes([(0xDA + 16 * line) & 0xFF]) + b"\xda" * 15 for line in range(16))
# Sound ranges tile the log, so together they are no longer than it. Overlapping ones in a hostile log would take
# forever to sum up.
_WORK_FACTOR: Final = 4
BATCH: Final = 256
"""Segments that are checked at a time: 1 MiB."""
MOST_SEGMENTS: Final = 65536
"""A position counts its sectors in 16 bits, so nothing beyond can belong to the log."""
_WEIGHT: Final = 0x9E3779B97F4A7C15  # odd, and its powers modulo 2^64 look like chance


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecksumRecord(Record):
    """A checksum record, 22 bytes; sizes are in bytes."""

    # fmt: off
    type:     U8  = CHECKSUM_RECORD  # 0
    back:     U32 = 0                # 1   covered before this record
    forward:  U32 = 0                # 5   covered after this record
    next:     U32 = 0                # 9   from the end of this record to the next one; 0 = last
    checksum: U32 = 0                # 13  of both ranges
    short:    U32 = 0                # 17  of its own sector, where `use` says so
    use:      U8  = SHORT_NOT_USED   # 21  0x9A: short checksum used
    # fmt: on

    def sums(self, before: bytes, after: bytes, rest_of_sector: bytes, generation: int) -> tuple[int, int]:
        """Return the checksum and the short checksum of the bytes that this record covers."""
        common = xor_words(before) ^ self.back ^ self.forward ^ self.next ^ self.use ^ (generation & 0xFFFFFFFF)
        return _SEED ^ common ^ xor_words(after), _SHORT_SEED ^ common ^ xor_words(rest_of_sector)


class RangeChecker:
    """Checks the checksum records of one log."""

    def __init__(self, header: LogHeader) -> None:
        self._header = header
        self._data = bytearray()
        self._valid = 0
        self._faults: list[LogFault] = []
        self._work = self._end = 0

    def update(self, view: memoryview) -> None:
        """Take the next bytes of the log."""
        if len(self._data) <= LARGEST_FILE:
            self._data += view

    def zeros(self, count: int) -> None:
        """Take so many zeros."""
        self.update(memoryview(bytes(min(count, LARGEST_FILE + 1))))

    def finish(self, size: int) -> LogReport:
        """Return what was found in a file of that many bytes."""
        too_large = len(self._data) > LARGEST_FILE
        if not too_large:
            self._walk()
        return LogReport(
            unit="ranges",
            valid=self._valid,
            bad=len(self._faults),
            faults=tuple(self._faults[:FAULT_LIMIT]),
            end=self._end,
            expected_size=self._header.file_size,
            size=size,
            not_verified=f"a log of format 7 with more than {LARGEST_FILE} bytes" if too_large else "",
        )

    def without_records(self) -> bytes:
        """Return the log with zeros for its checksum records: the last one is written again when a range follows."""
        found, size = bytearray(self._data), ChecksumRecord.layout_size()
        offset = self._header.header_sectors * self._header.sector_size
        while (record := self._record_at(offset)) is not None:
            found[offset : offset + size] = bytes(size)
            if not record.next:
                break
            offset += size + record.next
        return bytes(found)

    def _walk(self) -> None:
        """Follow the chain. A range that does not fit is torn where it was written in part and nothing follows it."""
        offset = self._header.header_sectors * self._header.sector_size
        if offset >= len(self._data) or self._data[offset] in _UNUSED:
            if self._data.count(0, offset) < len(self._data) - offset and not self._is_unused(offset):
                self._add(LogFaultKind.BAD, offset)  # it does not begin where it must
            return
        suspect: int | None = None
        while True:
            record = self._record_at(offset)
            if record is None or self._work > _WORK_FACTOR * len(self._data):
                if suspect is None:
                    self._add(LogFaultKind.TORN if self._is_unused(offset) else LogFaultKind.BAD, offset)
                else:
                    self._add_last(suspect)
                return
            if suspect is not None:
                self._add(LogFaultKind.BAD, suspect)
            is_right = self._is_right(record, offset)
            self._valid += is_right
            if is_right:
                self._end = offset + ChecksumRecord.layout_size() + record.forward
            suspect = None if is_right else offset
            if not record.next:
                break
            offset += ChecksumRecord.layout_size() + record.next
        if suspect is not None:
            self._add_last(suspect)

    def _add_last(self, offset: int) -> None:
        """Note the last range, which does not fit: torn where its first sector was written and another one was not."""
        record = self._record_at(offset)
        assert record is not None
        size, start = self._header.sector_size, offset + ChecksumRecord.layout_size()
        first, end = (offset // size + 1) * size, start + record.forward
        _, short = self._sums(record, offset)
        holes = any(self._is_unused(at, at + size) for at in range(first, end, size))
        is_torn = record.use == SHORT_USED and record.short == short and holes and self._is_unused(end)
        self._add(LogFaultKind.TORN if is_torn else LogFaultKind.BAD, offset)

    def _is_unused(self, start: int, end: int | None = None) -> bool:
        """Return whether sectors hold the fill pattern: from the one with an offset in it on, or up to an end."""
        start -= start % self._header.sector_size
        found = bytes(self._data[start:end])
        return found == (_FILL * (len(found) // len(_FILL) + 1))[: len(found)]

    def _add(self, kind: LogFaultKind, offset: int) -> None:
        self._faults.append(LogFault(kind, offset))

    def _record_at(self, offset: int) -> ChecksumRecord | None:
        """Return the checksum record at an offset; None where there is none, or its ranges leave the file."""
        if offset + ChecksumRecord.layout_size() > len(self._data):
            return None
        record = ChecksumRecord.unpack(memoryview(self._data), offset)
        end = offset + ChecksumRecord.layout_size()
        if record.type != CHECKSUM_RECORD or record.back > offset or end + record.forward > len(self._data):
            return None
        return record

    def _is_right(self, record: ChecksumRecord, offset: int) -> bool:
        self._work += record.back + record.forward + self._header.sector_size
        checksum, short = self._sums(record, offset)
        return record.checksum == checksum and (record.use != SHORT_USED or record.short == short)

    def _sums(self, record: ChecksumRecord, offset: int) -> tuple[int, int]:
        end = offset + ChecksumRecord.layout_size()
        sector_end = (offset // self._header.sector_size + 1) * self._header.sector_size
        return record.sums(
            bytes(self._data[offset - record.back : offset]),
            bytes(self._data[end : end + record.forward]),
            bytes(self._data[end:sector_end]),
            self._header.generation,
        )


def tail_marks(before: int, segment: bytes) -> tuple[int, bytes]:
    """Return how many bytes of the last segment are in use, and a bit for each one from the first record on.

    The bit is the highest one of a sum over all that goes before, with the byte: of two states of a log the bits of the
    later one begin with those of the earlier one. Where they parted before, half of the bits from there on differ.

    Args:
        before: The accumulated checksum of the segments before.
        segment: The segment.
    """
    used = max(len(segment.rstrip(b"\0")), RECORDS_AT)
    count = used - RECORDS_AT
    if not count:
        return used, b""
    weights = _weights()[:count]
    sums = np.cumsum(np.frombuffer(segment, np.uint8, count, RECORDS_AT).astype(np.uint64) * weights)
    bits = (sums + np.uint64(before)) * weights >> np.uint64(63)
    return used, np.packbits(bits.astype(np.uint8), bitorder="little").tobytes()


@cache
def _weights() -> "npt.NDArray[np.uint64]":
    """Return the powers of an odd number, modulo 2^64, from the first one on."""
    powers: npt.NDArray[np.uint64] = np.cumprod(np.full(SEGMENT_SIZE, _WEIGHT, np.uint64), dtype=np.uint64)
    return powers


class _Class(Enum):
    VALID = "valid"
    STALE = "stale"
    SHADOW = "shadow"
    EMPTY = "empty"
    BAD = "bad"


class SegmentChecker(WholeBlocks):
    """Checks the segments of one log while its bytes go by."""

    def __init__(self, header: LogHeader) -> None:
        super().__init__(SEGMENT_SIZE, BATCH)
        self._header = header
        self._sums = BlockSums(SEGMENT_SIZE, BATCH)
        # Of each segment: the stored checksum, what the computed one differs by, the position, whether all is zero.
        self._seen: list[tuple[int, int, int, bool]] = []
        self._last = self._shadow = (0, b"")  # The last valid segment so far, and the shadow behind it, by their places

    def _take(self, view: memoryview) -> None:
        if len(self._seen) >= MOST_SEGMENTS:
            return
        segments = aligned_words(view, SEGMENT_SIZE // 8)
        stored = segments[:, 0].copy()
        _, computed = self._sums.sums(segments, stored)
        # Nothing but zeros sums up to zero as well, but so could content: only the words themselves can tell.
        empty = np.bitwise_or.reduce(segments, axis=1) == 0
        columns = (stored, stored ^ computed, segments[:, 1], empty)
        self._seen += zip(*(column.tolist() for column in columns), strict=True)
        self._keep_end(view, len(self._seen) - len(segments))

    def _take_zeros(self, count: int) -> None:
        super()._take_zeros(min(count, MOST_SEGMENTS - len(self._seen)))

    def _keep_end(self, view: memoryview, start: int) -> None:
        """Keep the last valid segment of a batch, and what may stand for it; `start` is the number of the first one."""
        for number in range(len(self._seen) - 1, max(start, self._header.header_sectors) - 1, -1):
            kind = self._classify(number)
            if kind in {_Class.VALID, _Class.SHADOW}:
                at = (number - start) * SEGMENT_SIZE
                kept = number, bytes(view[at : at + SEGMENT_SIZE])
                if kind is _Class.VALID:
                    self._last = kept
                    return
                self._shadow = kept

    def finish(self, size: int) -> LogReport:
        """Return what was found in a file of that many bytes."""
        first = self._header.header_sectors
        count = min(len(self._seen), MOST_SEGMENTS)
        classes = [self._classify(number) for number in range(first, count)]
        if self._header.sectors == len(self._seen) and classes and classes[-1] is _Class.BAD:
            classes[-1] = _Class.EMPTY  # it is kept for a shadow, and nothing else in it is read
        end = max((index for index, kind in enumerate(classes) if kind is _Class.VALID), default=-1) + 1
        for index in self._risen(first, classes, end):
            classes[index] = _Class.BAD
        faults = [
            self._fault(first + index, kind) for index, kind in enumerate(classes[:end]) if kind is not _Class.VALID
        ]
        counted = [index for index, kind in enumerate(classes) if kind is _Class.VALID]
        # The engine looks for a shadow where a checksum is wrong, and nowhere else.
        rescued = classes[end : end + 2] == [_Class.BAD, _Class.SHADOW] and not self._is_of_its_place(first + end)
        if rescued:
            counted.append(end + 1)
        else:
            faults += self._torn(first, classes, end)
        total = reduce(xor, (self._seen[first + index][0] for index in counted), 0)
        used, marks = self._marks(first + counted[-1], total) if counted else (0, b"")
        return LogReport(
            unit="segments",
            valid=classes.count(_Class.VALID),
            shadow=classes.count(_Class.SHADOW),
            stale=classes.count(_Class.STALE),
            empty=classes.count(_Class.EMPTY),
            rescued=int(rescued),
            bad=len(faults),
            faults=tuple(faults[:FAULT_LIMIT]),
            segments_xor=total,
            end=(first + counted[-1] + 1) * SEGMENT_SIZE if counted else 0,
            used=used,
            marks=marks,
            expected_size=self._header.file_size,
            size=size,
        )

    def _marks(self, number: int, total: int) -> tuple[int, bytes]:
        """Return what the last segment that counts holds, where it is at hand."""
        kept = dict((self._shadow, self._last)).get(number)
        return (0, b"") if kept is None else tail_marks(total ^ self._seen[number][0], kept)

    def _risen(self, first: int, classes: list[_Class], end: int) -> Iterator[int]:
        """Yield the segments behind the end that are of a later life of the file than one before, or than zeros."""
        lowest = self._header.generation
        is_whole = self._header.sectors == len(self._seen)
        for index in range(end, len(classes) - is_whole):  # the last one is kept for a shadow
            if classes[index] is _Class.BAD:
                continue
            generation = 0 if classes[index] is _Class.EMPTY else self._seen[first + index][2] >> 32
            if generation > lowest:
                yield index
            lowest = min(lowest, generation)

    def _torn(self, first: int, classes: list[_Class], end: int) -> list[LogFault]:
        """Return the damaged segments behind the last valid one: right behind it the log is torn, later on damaged."""
        damaged = [index for index in range(end, len(classes)) if classes[index] is _Class.BAD]
        torn = {*takewhile(lambda index: classes[index] is _Class.BAD, range(end, len(classes)))}
        torn -= {index for index in torn if self._is_of_its_place(first + index)}  # that came from elsewhere
        kinds = [LogFaultKind.TORN if index in torn else LogFaultKind.BAD for index in damaged]
        return [self._fault(first + index, _Class.BAD, kind) for index, kind in zip(damaged, kinds, strict=True)]

    def _classify(self, number: int) -> _Class:
        """Say what a segment is. A checksum is right for the number by which it differs from the one for number 0."""
        _, difference, position, empty = self._seen[number]
        if empty:
            return _Class.EMPTY
        byte, sector, generation = position & 0xFFFF, position >> 16 & 0xFFFF, position >> 32
        if difference != sector or byte or sector not in {number, number - 1}:
            return _Class.BAD
        if generation < self._header.generation:
            return _Class.STALE
        if generation > self._header.generation:
            return _Class.BAD
        return _Class.VALID if sector == number else _Class.SHADOW

    def _is_of_its_place(self, number: int) -> bool:
        """Return whether the checksum of a segment is right for its number, or for that of a shadow there."""
        return self._seen[number][1] in {number, number - 1}

    def _fault(self, number: int, kind: _Class, as_kind: LogFaultKind = LogFaultKind.BAD) -> LogFault:
        offset = number * SEGMENT_SIZE
        if kind is not _Class.BAD:
            return LogFault(LogFaultKind.LOST, offset, number)
        position = flipped_bit(self._seen[number][1] ^ number, SEGMENT_SIZE)
        return LogFault(as_kind, offset, number, () if position is None else (position,))


def why_not_verified(header: LogHeader) -> str:
    """Return why the content of such a log carries no checksums known here; empty when it does."""
    if header.major == 8:
        right = header.sector_size == SEGMENT_SIZE
        return "" if right else f"a log of format 8 with sectors of {header.sector_size} bytes"
    if header.minor < _RANGES_SINCE:
        return f"the records of format {header.format} are not known"
    return "" if header.sector_size >= 512 else f"a log with sectors of {header.sector_size} bytes"


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
        view = memoryview(data).cast("B")
        self._size += len(view)
        if not self._why_not:
            self._checker.update(view)

    def zeros(self, count: int) -> None:
        """Take so many zeros as the next bytes of the file."""
        self._size += count
        if not self._why_not:
            self._checker.zeros(count)

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
