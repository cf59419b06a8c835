"""A log of format 7 while it is being written: records in ranges, each behind a checksum record.

Every flush writes one range. Its checksum record says how far the range reaches and where the next checksum record is;
so a flush ends with a rewrite of the checksum record before, which until then said that nothing follows. A checksum
record never lies astride two sectors.

Source: Microsoft, Extensible Storage Engine, logapi.hxx and logread_legacy.cxx.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from tokar.ese.checksum import xor_words
from tokar.ese.log import HEADER_SIZE, LogHeader
from tokar.ese.values import LogPosition
from tokar.lab.records import decode_records

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.lab.records import LogRecord

_CHECKSUM: Final = struct.Struct(
    "<BIIIIIB"
)  # kind 42, back, forward, next, checksum, short checksum, use of the short one
_KIND: Final = 42
_SEED, _SHORT_SEED = 0xFEEDBEAF, 0xDEADC0DE
_SHORT_USED, _SHORT_UNUSED = 0x9A, 0xD1
# What unused sectors hold: 16 lines of 16 bytes, the first byte of line n is 0xDA + 16 n.
_FILL: Final = b"".join(bytes([(0xDA + 16 * line) & 0xFF]) + b"\xda" * 15 for line in range(16))


class RangeLog:
    """The current log of an engine that writes format 7.

    Args:
        path: Where it lies.
        header: Its header.
        image: The whole file.
        end: Where the last range ends.
        last: Where its checksum record begins; None: there is none yet.
    """

    def __init__(
        self, path: Path, header: LogHeader, image: bytes, end: int = HEADER_SIZE, last: int | None = None
    ) -> None:
        self.path = path
        self.header = header
        self._image = bytearray(image)
        self._end = end
        self._last = last
        self._pending = bytearray()

    @classmethod
    def create(cls, path: Path, header: LogHeader) -> RangeLog:
        """Write an empty log: its header, and the fill pattern."""
        head = header.build()
        image = head + _FILL * ((header.file_size - len(head)) // len(_FILL))
        path.write_bytes(image)
        return cls(path, header, image)

    @property
    def position(self) -> LogPosition:
        """Where the next record will begin."""
        return _position(self.header, self._end + _CHECKSUM.size + len(self._pending))

    def has_room(self, size: int) -> bool:
        """Tell whether a record of that size fits, with the padding that may follow it."""
        return self._end + 2 * _CHECKSUM.size + len(self._pending) + size <= self.header.file_size

    def append(self, data: bytes) -> LogPosition:
        """Add a record to what will be flushed."""
        position = self.position
        self._pending += data
        return position

    def flush(self) -> None:
        """Bring all records to disk as one range, then link it to the one before."""
        if not self._pending:
            return
        start, body = self._end, self._end + _CHECKSUM.size
        end = body + len(self._pending)
        if 0 < (left := -end % self.header.sector_size) < _CHECKSUM.size:
            end += left
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
        self._pending.clear()
        self._last, self._end = start, end

    def segments_xor(self) -> int:
        """Return 0: format 7 has no accumulated checksum."""
        return 0

    def _seal(self, start: int, forward: int, following: int) -> None:
        record = _checksum_record(self._image, self.header, start, forward, following)
        self._image[start : start + _CHECKSUM.size] = record


def read_ranges(data: bytes, header: LogHeader) -> tuple[int, int | None, list[tuple[LogPosition, LogRecord]], bool]:
    """Return where the last range ends, where its checksum record begins, the records, and whether every range is sound."""
    records: list[tuple[LogPosition, LogRecord]] = []
    start, end, last = HEADER_SIZE, HEADER_SIZE, None
    while start + _CHECKSUM.size <= len(data) and data[start] == _KIND:
        _, _, forward, following, *_ = _CHECKSUM.unpack_from(data, start)
        body = start + _CHECKSUM.size
        stored = data[start:body]
        if body + forward > len(data) or stored != _checksum_record(data, header, start, forward, following):
            return end, last, records, False
        run = data[body : body + forward]
        records += [(_position(header, body + offset), record) for offset, record in decode_records(run)]
        last, end = start, body + forward
        if not following:
            break
        start = body + following
    return end, last, records, last is not None


def _checksum_record(image: bytes | bytearray, header: LogHeader, start: int, forward: int, following: int) -> bytes:
    body = start + _CHECKSUM.size
    sector_end = (start // header.sector_size + 1) * header.sector_size
    use = _SHORT_USED if body + forward > sector_end else _SHORT_UNUSED
    common = forward ^ following ^ use ^ header.generation
    checksum = _SEED ^ xor_words(image[body : body + forward]) ^ common
    short = _SHORT_SEED ^ xor_words(image[body:sector_end]) ^ common if use == _SHORT_USED else 0
    return _CHECKSUM.pack(_KIND, 0, forward, following, checksum, short, use)


def _position(header: LogHeader, offset: int) -> LogPosition:
    sector, byte = divmod(offset, header.sector_size)
    return LogPosition(generation=header.generation, sector=sector, byte=byte)
