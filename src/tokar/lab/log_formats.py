"""One log on disk, of either format: writing it record by record, reading it back whole, going on where it ends.

Format 7: records in ranges, each behind a checksum record. Every flush writes one range. Its checksum record says how
far the range reaches and where the next checksum record is; so a flush ends with a rewrite of the checksum record
before, which until then said that nothing follows. A checksum record never lies astride two sectors.

Format 8: records in checksummed segments of 4096 bytes. One that does not fit in what is left of its segment is cut
into pieces, each in a segment; where too little is left for a piece, zeros fill it. Segment 0 is the header, the last
one stays free for a shadow. A flush seals and writes every segment that has grown, and the last one once more behind
itself, where it has room left; the accumulated checksum of all of them links the log to the next one.

Sources: Microsoft, Extensible Storage Engine, logapi.hxx, logread_legacy.cxx, _logstream.hxx and logwrite.cxx.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Final, NamedTuple

from tokar.errors import HeaderError
from tokar.ese.checksum import xor_words
from tokar.ese.identify import FILL_PATTERN
from tokar.ese.log import HEADER_SIZE, SEGMENT_SIZE, LogHeader
from tokar.ese.logrecords import FRAGMENT, FRAGMENT_BEGIN
from tokar.ese.page import NEW_FORMAT, seal_segment, segment_is_sealed
from tokar.ese.values import LogPosition
from tokar.lab.change_records import LogRecord, decode_record, decode_records, weight_of
from tokar.lab.engine import EngineError
from tokar.replay.stream import size_at
from tokar.storage.bytesource import BytesSource

_HEAD_SIZE: Final = 40
PAYLOAD_SIZE: Final = SEGMENT_SIZE - _HEAD_SIZE
_FIRST_PIECE: Final = struct.Struct("<BIH")  # type, size of the record, bytes of it here
_PIECE: Final = struct.Struct("<BH")  # type, bytes here
_LEAST_PIECE: Final = 32


def position_in(generation: int, offset: int) -> LogPosition:
    """Return where an offset in the stream of records lies in the file."""
    sector, rest = divmod(offset, PAYLOAD_SIZE)
    return LogPosition(generation=generation, sector=1 + sector, byte=_HEAD_SIZE + rest)


class SegmentLog:
    """The current log of an engine that writes format 8.

    Args:
        path: Where it lies.
        header: Its header.
        stream: The records that are in it already.
        weight: How much of it these take up.
    """

    def __init__(self, path: Path, header: LogHeader, stream: bytes = b"", weight: int = 0) -> None:
        self.path = path
        self.header = header
        self._stream = bytearray(stream)
        self._flushed = len(stream)
        self._weight = weight
        self._capacity = (header.sectors - 2) * PAYLOAD_SIZE

    @classmethod
    def create(cls, path: Path, header: LogHeader) -> SegmentLog:
        """Write an empty log: its header, and zeros."""
        path.write_bytes(header.build().ljust(header.file_size, b"\0"))
        return cls(path, header)

    @property
    def position(self) -> LogPosition:
        """Where the next record will begin."""
        return position_in(self.header.generation, len(self._stream))

    def has_room(self, size: int, weight: int) -> bool:
        """Tell whether a record of that size and weight fits, in pieces where it must be."""
        pieces = 1 + size // (PAYLOAD_SIZE - _FIRST_PIECE.size)
        most = size + _LEAST_PIECE + _FIRST_PIECE.size + pieces * _PIECE.size
        return max(len(self._stream) + most, self._weight + weight) <= self._capacity

    def append(self, data: bytes, weight: int) -> LogPosition:
        """Add a record to what will be flushed."""
        self._weight += weight
        left = self._left
        if len(data) > left and left < _LEAST_PIECE:
            self._stream += bytes(left)
            left = self._left
        position = self.position
        if len(data) <= left:
            self._stream += data
            return position
        size = left - _FIRST_PIECE.size
        self._stream += _FIRST_PIECE.pack(FRAGMENT_BEGIN, len(data), size) + data[:size]
        while data := data[size:]:
            size = min(len(data), PAYLOAD_SIZE - _PIECE.size)
            self._stream += _PIECE.pack(FRAGMENT, size) + data[:size]
        return position

    @property
    def _left(self) -> int:
        """The bytes that are left of a segment."""
        return PAYLOAD_SIZE - len(self._stream) % PAYLOAD_SIZE

    def flush(self) -> None:
        """Bring all records to disk."""
        if self._flushed == len(self._stream):
            return
        first, last = self._flushed // PAYLOAD_SIZE, (len(self._stream) - 1) // PAYLOAD_SIZE
        with self.path.open("r+b") as file:
            for index in range(first, last + 1):
                file.seek((1 + index) * SEGMENT_SIZE)
                segment = self._segment(index)
                file.write(segment)
                file.flush()
            if len(self._stream) % PAYLOAD_SIZE:
                file.write(segment)  # its shadow, which tells that nothing follows
        self._flushed = len(self._stream)

    def segments_xor(self) -> int:
        """Return the accumulated checksum of all segments."""
        return accumulate(self.path.read_bytes(), self.header.generation)

    def _segment(self, index: int) -> bytes:
        head = bytes(8) + LogPosition(generation=self.header.generation, sector=1 + index).pack()
        head += self.header.created.pack() + bytes(12) + NEW_FORMAT.to_bytes(4, "little")
        payload = bytes(self._stream[index * PAYLOAD_SIZE : (index + 1) * PAYLOAD_SIZE])
        return seal_segment(head + payload.ljust(PAYLOAD_SIZE, b"\0"), 1 + index)


def accumulate(data: bytes, generation: int) -> int:
    """Return the XOR of the checksums of all valid segments of a log."""
    checksums = (int.from_bytes(segment[:8], "little") for segment in _valid_segments(data, generation)[0])
    return reduce(xor, checksums, 0)


class End(Enum):
    """How a log ends."""

    SOUND = "sound"
    TORN = "torn"  # The last write was not finished, and what is left tells so
    DAMAGED = "damaged"


def read_segments(data: bytes, header: LogHeader) -> tuple[bytes, list[tuple[LogPosition, LogRecord]], End]:
    """Return the stream of whole records, the records with their positions, and how the file ends."""
    segments, end = _valid_segments(data, header.generation)
    stream = b"".join(segment[_HEAD_SIZE:] for segment in segments)
    found = list(_records_in(stream))
    placed = [(position_in(header.generation, offset), record) for offset, _, record in found]
    return stream[: found[-1][1] if found else 0], placed, end


def _records_in(stream: bytes) -> Iterator[tuple[int, int, LogRecord]]:
    """Yield where each record of the segments of a log begins and ends, and the record, up to what is not all there.

    Raises:
        EngineError: This engine writes no such record (-501).
    """
    at, first, total, cut = 0, -1, 0, b""
    while at < len(stream):
        border = (at // PAYLOAD_SIZE + 1) * PAYLOAD_SIZE
        if not stream[at]:
            at = border
            continue
        size = size_at(stream, at)
        start, at = at, at + size
        if not size or at > border:
            return
        if stream[start] not in {FRAGMENT_BEGIN, FRAGMENT}:
            yield start, at, decode_record(stream, start)
            continue
        if stream[start] == FRAGMENT_BEGIN:
            first, (_, total, _), cut = start, _FIRST_PIECE.unpack_from(stream, start), b""
        cut += stream[start + (_FIRST_PIECE if start == first else _PIECE).size : at]
        if total and len(cut) == total:
            if size_at(cut, 0) != total:
                raise EngineError(-501, "the pieces of a log record come to another size than it has")
            yield first, at, decode_record(cut)


def _valid_segments(data: bytes, generation: int) -> tuple[list[bytes], End]:
    """Return the segments that hold records, and how they end.

    Zeros, segments of an older generation (the file had another life) and the shadow of the segment before mean that
    nothing follows; anything after them that is neither is damage, and so is one of a later life than one before it.
    A segment with a wrong checksum is read from its shadow, which stands in the place of the next one. The last segment
    of the file is only ever a shadow.
    """
    found: list[bytes] = []
    is_over, end, lowest = False, End.SOUND, generation
    count = len(data) // SEGMENT_SIZE
    for number in range(1, count - 1):
        segment, after = _segment_at(data, number), _segment_at(data, number + 1)
        at, own = LogPosition.unpack(segment, 8), LogPosition(generation=generation, sector=number)
        is_behind = not any(segment) or (segment_is_sealed(segment, number - 1) and number > 1)
        if is_behind or (segment_is_sealed(segment, number) and at < own):
            if at.generation > lowest:
                return found, End.DAMAGED
            is_over, lowest = True, at.generation
        elif not segment_is_sealed(segment, number):
            shadow = segment_is_sealed(after, number) and LogPosition.unpack(after, 8) == own
            if is_over or not shadow:
                return found, End.DAMAGED
            found.append(after)
            end = End.TORN
        elif is_over or at != own:
            return found, End.DAMAGED
        else:
            found.append(segment)
    return found, end


def _segment_at(data: bytes, number: int) -> bytes:
    return data[number * SEGMENT_SIZE : (number + 1) * SEGMENT_SIZE]


_CHECKSUM: Final = struct.Struct(
    "<BIIIIIB"
)  # kind 42, back, forward, next, checksum, short checksum, use of the short one
_KIND: Final = 42
_SEED, _SHORT_SEED = 0xFEEDBEAF, 0xDEADC0DE
_SHORT_USED, _SHORT_UNUSED = 0x9A, 0xD1


class RangeLog:
    """The current log of an engine that writes format 7.

    Args:
        path: Where it lies.
        header: Its header.
        image: The whole file.
        end: Where the last range ends.
        last: Where its checksum record begins; None: there is none yet.
        weight: Where the last range would end if records took up as much as they weigh.
    """

    def __init__(
        self,
        path: Path,
        header: LogHeader,
        image: bytes,
        end: int = HEADER_SIZE,
        last: int | None = None,
        *,
        weight: int = HEADER_SIZE,
    ) -> None:
        self.path = path
        self.header = header
        self._image = bytearray(image)
        self._end = end
        self._last = last
        self._pending = bytearray()
        self._weight, self._pending_weight = weight, 0

    @classmethod
    def create(cls, path: Path, header: LogHeader) -> RangeLog:
        """Write an empty log: its header, and the fill pattern."""
        head = header.build()
        image = head + FILL_PATTERN * ((header.file_size - len(head)) // len(FILL_PATTERN))
        path.write_bytes(image)
        return cls(path, header, image)

    @property
    def position(self) -> LogPosition:
        """Where the next record will begin."""
        return _position(self.header, self._end + _CHECKSUM.size + len(self._pending))

    def has_room(self, size: int, weight: int) -> bool:
        """Tell whether a record of that size and weight fits, with the padding that may follow it."""
        end = max(self._end + len(self._pending) + size, self._weight + self._pending_weight + weight)
        return end + 2 * _CHECKSUM.size <= self.header.file_size

    def append(self, data: bytes, weight: int) -> LogPosition:
        """Add a record to what will be flushed."""
        position = self.position
        self._pending_weight += weight
        self._pending += data
        return position

    def flush(self) -> None:
        """Bring all records to disk as one range, then link it to the one before."""
        if not self._pending:
            return
        start, body = self._end, self._end + _CHECKSUM.size
        end = _end_of_range(start, len(self._pending), self.header)
        self._image[body:end] = self._pending.ljust(end - body, b"\0")
        self._seal(start, end - body, 0)
        with self.path.open("r+b") as file:
            file.seek(start)
            file.write(self._image[start:end])
            if self._last is not None:
                distance = start - self._last - _CHECKSUM.size
                self._seal(self._last, distance, distance)
                file.flush()
                file.seek(self._last)
                file.write(self._image[self._last : self._last + _CHECKSUM.size])
        self._weight, self._pending_weight = _end_of_range(self._weight, self._pending_weight, self.header), 0
        self._pending.clear()
        self._last, self._end = start, end

    def segments_xor(self) -> int:
        """Return 0: format 7 has no accumulated checksum."""
        return 0

    def _seal(self, start: int, forward: int, following: int) -> None:
        record = _checksum_record(self._image, self.header, start, forward, following)
        self._image[start : start + _CHECKSUM.size] = record


def _end_of_range(start: int, size: int, header: LogHeader) -> int:
    """Return where a range ends: padded, where the next checksum record would lie astride two sectors."""
    end = start + _CHECKSUM.size + size
    left = -end % header.sector_size
    return end + left if left < _CHECKSUM.size else end


class Ranges(NamedTuple):
    """What a log of format 7 holds."""

    end: int  # Where the last range ends
    last: int | None  # Where its checksum record begins; None where there is none
    records: list[tuple[LogPosition, LogRecord]]  # With their positions
    how: End  # How the file ends
    weight: int  # Where the last range would end if records took up as much as they weigh


def read_ranges(data: bytes, header: LogHeader) -> Ranges:
    """Return what a log of format 7 holds.

    Raises:
        EngineError: This engine writes no such record (-501).
    """
    records: list[tuple[LogPosition, LogRecord]] = []
    start, end, last, weight = HEADER_SIZE, HEADER_SIZE, None, HEADER_SIZE
    while start + _CHECKSUM.size <= len(data) and data[start] == _KIND:
        _, _, forward, following, *_ = _CHECKSUM.unpack_from(data, start)
        body = start + _CHECKSUM.size
        if body + forward > len(data) or not _is_right(data, header, start, forward, following):
            is_torn = body + forward <= len(data) and _is_torn(data, header, start, body + forward)
            return Ranges(end, last, records, End.TORN if is_torn else End.DAMAGED, weight)
        found = list(decode_records(data[body : body + forward]))
        records += [(_position(header, body + offset), record) for offset, record in found]
        weight = _end_of_range(weight, sum(weight_of(record) for _, record in found), header)
        last, end = start, body + forward
        if not following:
            return Ranges(end, last, records, End.SOUND, weight)
        start = body + following
    is_torn = _is_unused(data, start, header.sector_size)
    return Ranges(end, last, records, End.TORN if is_torn else End.DAMAGED, weight)


def _is_torn(data: bytes, header: LogHeader, start: int, end: int) -> bool:
    """Tell whether only some sectors of the last range were written: its first one, and nothing follows the range."""
    size = header.sector_size
    first = (start // size + 1) * size
    holes = [at for at in range(first, end, size) if _is_unused(data[: at + size], at, size)]
    record = data[start : start + _CHECKSUM.size]
    rest = start + _CHECKSUM.size
    short = int.from_bytes(record[17:21], "little")
    common = xor_words(record[5:9]) ^ xor_words(record[9:13]) ^ record[21] ^ header.generation
    return (
        bool(holes)
        and _is_unused(data, end, size)
        and record[21] == _SHORT_USED
        and short == _SHORT_SEED ^ xor_words(data[rest:first]) ^ common
    )


def _is_unused(data: bytes, start: int, sector_size: int) -> bool:
    """Tell whether all sectors from an offset on hold the fill pattern."""
    begin = start // sector_size * sector_size
    return data[begin:] == (FILL_PATTERN * ((len(data) - begin) // len(FILL_PATTERN) + 1))[: len(data) - begin]


def _checksum_record(image: bytes | bytearray, header: LogHeader, start: int, forward: int, following: int) -> bytes:
    body = start + _CHECKSUM.size
    sector_end = (start // header.sector_size + 1) * header.sector_size
    use = _SHORT_USED if body + forward > sector_end else _SHORT_UNUSED
    common = forward ^ following ^ use ^ header.generation
    checksum = _SEED ^ xor_words(image[body : body + forward]) ^ common
    short = _SHORT_SEED ^ xor_words(image[body:sector_end]) ^ common if use == _SHORT_USED else 0
    return _CHECKSUM.pack(_KIND, 0, forward, following, checksum, short, use)


def _is_right(data: bytes, header: LogHeader, start: int, forward: int, following: int) -> bool:
    """Tell whether a checksum record is the one that belongs there; a short checksum that is not used is not read."""
    right, stored = _checksum_record(data, header, start, forward, following), data[start : start + _CHECKSUM.size]
    is_read = right[-1] == _SHORT_USED
    return stored == right if is_read else (stored[:17], stored[-1:]) == (right[:17], right[-1:])


def _position(header: LogHeader, offset: int) -> LogPosition:
    sector, byte = divmod(offset, header.sector_size)
    return LogPosition(generation=header.generation, sector=sector, byte=byte)


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


def read_log(path: Path, damaged: int = -501, torn: int | None = None, *, is_current: bool = True) -> LogContent:
    """Return a log with all its records.

    Args:
        path: The file.
        damaged: What to answer where a checksum is wrong: -501, -573 in a restore, -612 in a backup.
        torn: What to answer to a torn end; None: it is patched.
        is_current: Whether it is the current log: of the older format no other one is patched.

    Raises:
        EngineError: A checksum is wrong, or the size (-541).
    """
    header = read_header(path, damaged)
    data = path.read_bytes()
    try:
        if header.major == 8:
            _, records, end = read_segments(data, header)
            segments_xor = accumulate(data, header.generation)
        else:
            _, _, records, end, _ = read_ranges(data, header)
            segments_xor = 0
    except EngineError as error:
        raise EngineError(damaged, "the log is damaged", path=path) from error
    if end is End.TORN and torn is not None:
        raise EngineError(torn, "the log ends in a torn write", path=path)
    if end is End.DAMAGED or (end is End.TORN and header.major != 8 and not is_current):
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
        stream, records, _ = read_segments(data, header)
        return SegmentLog(path, header, stream, sum(weight_of(record) for _, record in records))
    found = read_ranges(data, header)
    return RangeLog(path, header, data, found.end, found.last, weight=found.weight)
