"""A log of format 8 while it is being written: a stream of records laid into checksummed segments of 4096 bytes.

Segment 0 is the header, the last one stays free (the real engine keeps it for a shadow). A flush seals and writes every
segment that has grown; the accumulated checksum of all of them links the log to the next one.

Source: Microsoft, Extensible Storage Engine, _logstream.hxx and logwrite.cxx.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokar.ese.log import HEADER_SIZE, SEGMENT_SIZE, LogHeader
from tokar.ese.page import NEW_FORMAT, seal_segment, segment_is_sealed
from tokar.ese.values import LogPosition
from tokar.lab.records import decode_records, record_size

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.lab.records import LogRecord

_HEAD_SIZE: Final = 40
PAYLOAD_SIZE: Final = SEGMENT_SIZE - _HEAD_SIZE


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
    """

    def __init__(self, path: Path, header: LogHeader, stream: bytes = b"") -> None:
        self.path = path
        self.header = header
        self._stream = bytearray(stream)
        self._flushed = len(stream)
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

    def has_room(self, size: int) -> bool:
        """Tell whether a record of that size fits."""
        return len(self._stream) + size <= self._capacity

    def append(self, data: bytes) -> LogPosition:
        """Add a record to what will be flushed."""
        position = self.position
        self._stream += data
        return position

    def flush(self) -> None:
        """Bring all records to disk."""
        if self._flushed == len(self._stream):
            return
        first, last = self._flushed // PAYLOAD_SIZE, (len(self._stream) - 1) // PAYLOAD_SIZE
        with self.path.open("r+b") as file:
            for index in range(first, last + 1):
                file.seek((1 + index) * SEGMENT_SIZE)
                file.write(self._segment(index))
                file.flush()
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
    value = 0
    for number, segment in _valid_segments(data, generation):
        assert number
        value ^= int.from_bytes(segment[:8], "little")
    return value


def read_segments(data: bytes, header: LogHeader) -> tuple[bytes, list[tuple[LogPosition, LogRecord]], bool]:
    """Return the stream of whole records, the records with their positions, and whether the file is sound.

    A log that is not sound has a segment, or bytes after its end, that are neither valid nor zero.
    """
    segments = list(_valid_segments(data, header.generation))
    rest = data[HEADER_SIZE + len(segments) * SEGMENT_SIZE :]
    stream = b"".join(segment[_HEAD_SIZE:] for _, segment in segments)
    records = list(decode_records(stream))
    end = records[-1][0] + record_size(stream, records[-1][0]) if records else 0
    placed = [(position_in(header.generation, offset), record) for offset, record in records]
    return stream[:end], placed, not any(rest)


def _valid_segments(data: bytes, generation: int) -> list[tuple[int, bytes]]:
    found = []
    for number in range(1, len(data) // SEGMENT_SIZE):
        segment = data[number * SEGMENT_SIZE : (number + 1) * SEGMENT_SIZE]
        if not segment_is_sealed(segment, number) or LogPosition.unpack(segment, 8).generation != generation:
            break
        found.append((number, segment))
    return found
