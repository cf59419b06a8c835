"""The content of a log of format 7: a chain of checksum records, each covering the bytes before and after it.

A flush begins with such a record, except that it first repeats the beginning of its sector, which the range "back"
covers. The records name their ranges and the place of the next record; nothing else in the log is needed to check it.

Source: Microsoft, Extensible Storage Engine, logapi.hxx and logread_legacy.cxx.
"""

# Records: no `from __future__ import annotations` (see tokar.ese.record).

from dataclasses import dataclass
from typing import Final

from tokar.ese.checksum import xor_words
from tokar.ese.log import LogHeader
from tokar.ese.logreport import FAULT_LIMIT, LogFault, LogFaultKind, LogReport
from tokar.ese.record import U8, U32, Record

LARGEST_FILE: Final = 64 << 20
"""Such a log is held in memory to be checked; Exchange used 5 MiB, Active Directory 10 MiB."""
CHECKSUM_RECORD: Final = 42
SHORT_USED: Final = 0x9A
SHORT_NOT_USED: Final = 0xD1
_SEED: Final = 0xFEEDBEAF
_SHORT_SEED: Final = 0xDEADC0DE
_UNUSED: Final = (0x00, 0xDA)  # the first byte of zeros, and of the fill pattern of unused sectors
# Sound ranges tile the log, so together they are no longer than it. Overlapping ones in a hostile log would take
# forever to sum up.
_WORK_FACTOR: Final = 4


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
    """Checks the checksum records of one log; for use by `tokar.ese.logcheck`."""

    def __init__(self, header: LogHeader) -> None:
        self._header = header
        self._data = bytearray()
        self._valid = 0
        self._faults: list[LogFault] = []
        self._work = 0

    def update(self, view: memoryview) -> None:
        """Take the next bytes of the log."""
        if len(self._data) <= LARGEST_FILE:
            self._data += view

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
            expected_size=self._header.file_size,
            size=size,
            not_verified=f"a log of format 7 with more than {LARGEST_FILE} bytes" if too_large else "",
        )

    def _walk(self) -> None:
        """Follow the chain. A range that does not fit is torn when nothing sound follows it, else bad."""
        offset = self._header.header_sectors * self._header.sector_size
        if offset >= len(self._data) or (self._data[offset] in _UNUSED):
            return
        suspect: int | None = None
        while True:
            record = self._record_at(offset)
            if record is None or self._work > _WORK_FACTOR * len(self._data):
                self._add(LogFaultKind.TORN, suspect if suspect is not None else offset)
                return
            if self._is_right(record, offset):
                self._valid += 1
                if suspect is not None:
                    self._add(LogFaultKind.BAD, suspect)
                    suspect = None
            else:
                if suspect is not None:
                    self._add(LogFaultKind.BAD, suspect)
                suspect = offset
            if not record.next:
                break
            offset += ChecksumRecord.layout_size() + record.next
        if suspect is not None:
            self._add(LogFaultKind.TORN, suspect)

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
        end = offset + ChecksumRecord.layout_size()
        sector_size = self._header.sector_size
        sector_end = (offset // sector_size + 1) * sector_size
        self._work += record.back + record.forward + sector_size
        checksum, short = record.sums(
            bytes(self._data[offset - record.back : offset]),
            bytes(self._data[end : end + record.forward]),
            bytes(self._data[end:sector_end]),
            self._header.generation,
        )
        return record.checksum == checksum and (record.use != SHORT_USED or record.short == short)
