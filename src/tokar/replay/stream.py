"""The records of one log, in their order, and the proof that they and nothing else fill it.

Format 8: records lie in segments, one behind the other; a zero where a type should be is filler up to the end of the
segment. A record that does not fit is cut into pieces: a first one with the whole size, and one for each further
segment. No record goes on in the next log. Format 7 is one stream of bytes over all sectors, and a checksum record at
the start of each flush; filler stands only before those. Either way every byte up to the end of the log belongs to
something, and the account of that is the tiling.

Nothing is read twice but the bytes: what is valid of a log is known from checking its content (`ese.logcheck`).

Source: Microsoft, Extensible Storage Engine, logread.cxx and logread_legacy.cxx.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tokar.errors import FormatError
from tokar.ese.content_facts import LOG_CORRUPT, LogFaultKind, LogReport
from tokar.ese.log import SEGMENT_SIZE, LogHeader
from tokar.ese.logcheck import CHECKSUM_RECORD, ChecksumRecord, LogChecker
from tokar.ese.logrecords import FRAGMENT, FRAGMENT_BEGIN, TYPES
from tokar.ese.pagerecords import EseRecord
from tokar.ese.record import assemble, is_flat, lengths, packer
from tokar.ese.values import LogPosition
from tokar.storage.bytesource import ByteSource

if TYPE_CHECKING:
    Tile = tuple[int, bytes, int]
    """Position of a record, bytes in which it lies whole, and where in them."""

SEGMENT_HEAD: Final = 40
_BATCH: Final = 64 * SEGMENT_SIZE
_INITS: Final = (1, 49)
_PIECES: Final = frozenset({FRAGMENT_BEGIN, FRAGMENT})
_BEGIN_SIZE: Final = 7
_PIECE_SIZE: Final = 3
_PIECE: Final = struct.Struct("<xIH")
_UNDO_BEGINS: Final = (17, 51, 36)
"""What a torn record may be followed by: recovery begins to undo in the next segment."""
_LARGEST_RECORD: Final = 1 << 20
NOT_RECORDS: Final = "not ESE log records"
_NOT_RECORDS: Final = "the records of another engine, or of a later one, cannot be replayed"
SIMULATED: Final = b"tokar lab"
"""What the remark says that begins a log of the simulated server (`tokar lab`)."""


class RecordsError(FormatError):
    """The bytes of a log are not the records that they should be."""

    hint_text = "take another copy of this log; its headers alone are shown by: tokar inspect LOG"

    code: int = LOG_CORRUPT
    position: int | None = None
    """Where bytes are no records, in a log of which that is sure: of format 8, and none newer than those at hand."""


@dataclass(slots=True)
class Tiling:
    """What the bytes of a log belong to. In whole logs the parts come to `size`."""

    size: int = 0  # Bytes from the end of the header to the end of the log
    heads: int = 0  # Bytes of segment headers, or of checksum records
    record_bytes: int = 0  # Bytes of records, of those in pieces without their frames
    frames: int = 0  # Bytes of frames around pieces
    filler: int = 0
    records: int = 0
    in_pieces: int = 0  # Records that were cut
    torn: str = ""  # What the log ends in, where that is no whole record; empty where it ends well

    @property
    def is_exact(self) -> bool:
        """Whether every byte belongs to something, with nothing left over."""
        return self.size == self.heads + self.record_bytes + self.frames + self.filler


class RecordStream:
    """The records of one log. Memory does not grow with the log, but for format 7, which is read whole.

    Args:
        source: The file.
        header: Its header.
        report: What checking its content found; it is checked where that is not at hand.
    """

    def __init__(self, source: ByteSource, header: LogHeader, report: LogReport | None = None) -> None:
        self.header = header
        self.report = check_log(source, header) if report is None else report
        self.tiling = Tiling()  # Complete once all records were taken
        self._source = source
        self._base = header.generation << 32
        self._pending: tuple[int, int, bytearray] | None = None

    def __iter__(self) -> Iterator[tuple[int, EseRecord]]:
        """Yield the position of each record, and what it holds.

        Raises:
            RecordsError: See `tiles`.
        """
        for position, data, at in self.tiles():
            yield position, decode(data, at)

    def tiles(self) -> Iterator[Tile]:
        """Yield the place of each record.

        Raises:
            RecordsError: The log is damaged before its end, or its bytes are no records of this engine.
            StorageError: It cannot be read.
        """
        report = self.report
        if report.not_verified:
            raise RecordsError(f"{NOT_RECORDS}: {report.not_verified}", hint=_NOT_RECORDS)
        damage = [one for one in report.faults if one.kind is not LogFaultKind.TORN]
        if damage:
            raise RecordsError(f"the log is damaged inside: {damage[0].kind}", offset=damage[0].offset)
        if self._source.size != self.header.file_size:
            self.tiling.torn = f"a file of {self._source.size:,} bytes, where its header says {self.header.file_size:,}"
        if report.is_torn:
            self.tiling.torn = f"a torn write at 0x{report.faults[0].offset:X}"
        if report.end:
            yield from self._in_segments() if self.header.major == 8 else self._in_stream()

    def _in_segments(self) -> Iterator[Tile]:
        """Yield the records of format 8."""
        for number, segment in self._segments():
            self.tiling.size += SEGMENT_SIZE
            self.tiling.heads += SEGMENT_HEAD
            yield from self._in_segment(self._base | number << 16, segment)
        if self._pending is not None:
            _, total, data = self._pending
            self._tear(f"{len(data)} of the {total} bytes of a record{f' of type {data[0]}' if data else ''}")

    def _segments(self) -> Iterator[tuple[int, bytes]]:
        """Yield number and bytes of each valid segment: of a damaged last one, its shadow."""
        first, end = self.header.header_sectors * SEGMENT_SIZE, self.report.end
        shadow = end - SEGMENT_SIZE if self.report.rescued else -1
        for start in range(first, end, _BATCH):
            batch = self._source.read(start, min(_BATCH, end - start))
            for at in range(0, len(batch), SEGMENT_SIZE):
                offset = start + at
                if offset + SEGMENT_SIZE != shadow:
                    yield (offset - (offset == shadow)) // SEGMENT_SIZE, batch[at : at + SEGMENT_SIZE]

    def _in_segment(self, base: int, segment: bytes) -> Iterator[Tile]:
        at, tiling = SEGMENT_HEAD, self.tiling
        while at < SEGMENT_SIZE:
            kind = segment[at]
            size = _FIXED[kind]
            if not size or at + size > SEGMENT_SIZE:
                if kind or any(segment[at:]):
                    raise self._foreign(base | at, kind)
                tiling.filler += SEGMENT_SIZE - at
                break
            tail = _TAILS[kind]
            if tail is not None:
                size += tail(segment, at)
                if at + size > SEGMENT_SIZE:
                    raise self._foreign(base | at, kind)
            if kind in _PIECES:
                yield from self._piece(base | at, segment[at : at + size])
            else:
                if self._pending is not None:
                    self._drop_torn(base | at, kind)
                if kind in _INITS and 0 < segment[at + 1] < 0x20:
                    raise self._foreign(base | at, kind)
                tiling.records += 1
                tiling.record_bytes += size
                yield base | at, segment, at
            at += size

    def _piece(self, position: int, piece: bytes) -> Iterator[Tile]:
        """Take a piece of a record, and yield the record once it is whole."""
        if piece[0] == FRAGMENT_BEGIN:
            total, _ = _PIECE.unpack_from(piece)
            if self._pending is not None or not 0 < total <= _LARGEST_RECORD:
                raise self._foreign(position, piece[0])
            self._pending = position, total, bytearray(piece[_BEGIN_SIZE:])
            frame = _BEGIN_SIZE
        elif self._pending is None:
            raise self._foreign(position, piece[0])
        else:
            self._pending[2].extend(piece[_PIECE_SIZE:])
            frame = _PIECE_SIZE
        self.tiling.frames += frame
        self.tiling.record_bytes += len(piece) - frame
        first, total, joined = self._pending
        if len(joined) < total:
            return
        data = bytes(joined)
        if not data or size_at(data, 0) != len(data) or len(data) != total or data[0] in _PIECES:
            raise self._foreign(first, data[0] if data else FRAGMENT)
        self._pending = None
        self.tiling.records += 1
        self.tiling.in_pieces += 1
        yield first, data, 0

    def _drop_torn(self, position: int, kind: int) -> None:
        """Drop the pieces of a record that was never finished, where recovery went on after them."""
        if kind not in _UNDO_BEGINS or position & 0xFFFF != SEGMENT_HEAD:
            raise self._foreign(position, kind)
        self._pending = None

    def _in_stream(self) -> Iterator[Tile]:
        """Yield the records of format 7, without checksum records and filler."""
        tiling, sector, end = self.tiling, self.header.sector_size, self.report.end
        data = self._source.read(0, end)
        at = self.header.header_sectors * sector
        tiling.size = end - at
        while at < end:
            kind = data[at]
            position = self._base | at // sector << 16 | at % sector
            if not kind:
                at = self._pass_filler(data, at)
                continue
            size = ChecksumRecord.layout_size() if kind == CHECKSUM_RECORD else size_at(data, at)
            if not size or kind in _PIECES or (kind in _INITS and 0 < data[at + 1] < 0x20):
                raise self._foreign(position, kind)
            if at + size > end:
                self._tear(f"{end - at} of the {size} bytes of a record of type {kind}")
                tiling.record_bytes += end - at
                return
            if kind == CHECKSUM_RECORD:
                tiling.heads += size
            else:
                tiling.record_bytes += size
                tiling.records += 1
                yield position, data, at
            at += size

    def _pass_filler(self, data: bytes, at: int) -> int:
        """Return where a checksum record begins behind filler, which never reaches beyond its sector."""
        sector = self.header.sector_size
        border = (at // sector + 1) * sector
        stop = at
        while stop < len(data) and not data[stop]:
            stop += 1
        if stop < len(data) and (stop > border or data[stop] != CHECKSUM_RECORD):
            raise self._foreign(self._base | at // sector << 16 | at % sector, 0)
        self.tiling.filler += stop - at
        return stop

    def _tear(self, what: str) -> None:
        self.tiling.torn = self.tiling.torn or what

    def _foreign(self, position: int, kind: int) -> RecordsError:
        """Return the error for bytes that are no record: of another world where not even the first is one."""
        known = TYPES.get(kind)
        what = f"{known.name} does not fit there" if known else f"there is no record of type {kind}"
        place = f"{what}, at {position_of(position)}"
        sector, byte = position >> 16 & 0xFFFF, position & 0xFFFF
        offset = sector * self.header.sector_size + byte
        if not self.tiling.records:
            error = RecordsError(f"{NOT_RECORDS}: {place}", offset=offset, hint=_NOT_RECORDS)
        else:
            error = RecordsError(f"the records of the log do not fill it: {place}", offset=offset)
        error.position = position if self.header.major == 8 and not self.header.is_newer else None
        return error


def check_log(source: ByteSource, header: LogHeader) -> LogReport:
    """Return what checking the content of a log finds."""
    checker = LogChecker(header)
    for offset in range(0, source.size, 1 << 20):
        checker.update(source.read(offset, 1 << 20))
    return checker.finish()


def position_of(position: int) -> LogPosition:
    """Return the position that a number stands for: generation, sector and byte, from the highest bits down."""
    return LogPosition(generation=position >> 32, sector=position >> 16 & 0xFFFF, byte=position & 0xFFFF)


def number_of(position: LogPosition) -> int:
    """Return a position as a number, as they are compared a hundred thousand times a second."""
    return position.generation << 32 | position.sector << 16 | position.byte


def size_at(data: bytes, at: int) -> int:
    """Return the bytes of the record at an offset, which may go beyond what is there; 0 where there is none."""
    kind = data[at]
    fixed = _FIXED[kind]
    if not fixed or at + fixed > len(data):
        return fixed
    tail = _TAILS[kind]
    return fixed + tail(data, at) if tail is not None else fixed


def decode(data: bytes, at: int = 0) -> EseRecord:
    """Return the record at an offset, which must lie there whole."""
    return _DECODERS[data[at]](data, at)


def _tail_of(record: type[EseRecord]) -> Callable[[bytes, int], int] | None:
    """Return what sums up the lengths of a record's last fields; None where it has none."""
    found = lengths(record)
    if not found:
        return None
    reads = [(struct.Struct("<" + one.code).unpack_from, one.offset, one.mask) for one in found]
    if len(reads) == 1:
        ((read, offset, mask),) = reads
        return lambda data, at: int(read(data, at + offset)[0] & mask)
    together = sorted(one.offset for one in found)
    if all(one.code == "H" and one.mask > 0xFFFF for one in found) and together[-1] - together[0] == 2 * len(found) - 2:
        unpack, first = struct.Struct(f"<{len(found)}H").unpack_from, together[0]
        return lambda data, at: sum(unpack(data, at + first))
    return lambda data, at: sum(read(data, at + offset)[0] & mask for read, offset, mask in reads)


def _decoder_of(record: type[EseRecord]) -> Callable[[bytes, int], EseRecord]:
    """Return what makes a record of bytes."""
    made: Any = record
    found, unpack, fixed = lengths(record), packer(record).unpack_from, packer(record).size

    def parts(data: bytes, at: int) -> Iterator[Any]:
        values = unpack(data, at)
        yield from values
        at += fixed
        for one in found:
            end = at + (values[one.place] & one.mask)
            yield data[at:end]
            at = end

    if not is_flat(record):
        return lambda data, at: assemble(record, parts(data, at))
    if not found:
        return lambda data, at: made(*unpack(data, at))
    if len(found) == 1:
        return _decoder_of_one(made, fixed, found[0].place, found[0].mask)
    return lambda data, at: made(*parts(data, at))


def _decoder_of_one(made: Any, fixed: int, index: int, mask: int) -> Callable[[bytes, int], EseRecord]:
    unpack = packer(made).unpack_from

    def decode_one(data: bytes, at: int) -> EseRecord:
        values = unpack(data, at)
        start = at + fixed
        return made(*values, data[start : start + (values[index] & mask)])  # type: ignore[no-any-return] # any record

    return decode_one


_FIXED: Final = [packer(TYPES[kind].record).size if kind in TYPES else 0 for kind in range(256)]
_TAILS: Final = [_tail_of(TYPES[kind].record) if kind in TYPES else None for kind in range(256)]
_DECODERS: Final = {kind: _decoder_of(one.record) for kind, one in TYPES.items()}
