"""Builds small, honest ESE files: what the engine writes, with right checksums."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

from tokar.ese.database import DatabaseHeader
from tokar.ese.log import SEGMENT_SIZE, LogHeader
from tokar.ese.logcheck import SHORT_NOT_USED, SHORT_USED, ChecksumRecord, LogChecker
from tokar.ese.page import NEW_FORMAT, PageHeader, seal_page, seal_segment
from tokar.ese.pages import BUFFER_SIZE, PageChecker
from tokar.ese.values import LogPosition, LogTime, Signature

if TYPE_CHECKING:
    from tokar.ese.content_facts import LogReport, PageReport
    from tokar.storage.bytesource import ByteSource

STREAM = Signature(random=2, created=LogTime(year=122, month=2, day=5, low=1))
FILL = b"".join(bytes([(0xDA + 16 * line) & 0xFF]) + b"\xda" * 15 for line in range(16))


def header_for(page_size: int = 4096, **fields: object) -> DatabaseHeader:
    header = DatabaseHeader(raw_page_size=page_size, revision=20, signature=Signature(random=1), log_signature=STREAM)
    return replace(header, **fields)  # type: ignore[arg-type] # the caller names fields of the header


def page_bytes(page_size: int, number: int, *, ecc: bool = True) -> bytes:
    """A sealed page of random content."""
    head = PageHeader(dbtime=1000 + number, object_id=3, flags=(NEW_FORMAT if ecc else 0) | 2).pack()
    return seal_page(head + random.Random(number).randbytes(page_size - len(head)), number)


def database_bytes(
    header: DatabaseHeader, pages: int, *, ecc: bool = True, empty: frozenset[int] = frozenset()
) -> bytearray:
    """A whole database; the pages named in `empty` are zeros."""
    size = header.page_size
    body = [bytes(size) if number in empty else page_bytes(size, number, ecc=ecc) for number in range(1, pages + 1)]
    return bytearray(header.build() * 2 + b"".join(body))


def page_offset(page_size: int, number: int) -> int:
    return (number + 1) * page_size


def flip(data: bytearray, offset: int, bit: int) -> None:
    """Flip a bit, counted from an offset."""
    data[offset + bit // 8] ^= 1 << bit % 8


def log_header(generation: int = 5, sectors: int = 16, **fields: object) -> LogHeader:
    header = LogHeader(generation=generation, sectors=sectors, signature=STREAM)
    return replace(header, **fields)  # type: ignore[arg-type] # the caller names fields of the header


def segment_bytes(generation: int, sector: int, seed: int = 0) -> bytes:
    """A sealed segment of a log of format 8."""
    head = bytes(8) + LogPosition(generation=generation, sector=sector).pack() + bytes(20) + b"\x00\x20\0\0"
    body = random.Random(seed or sector).randbytes(SEGMENT_SIZE - len(head))
    return seal_segment(head + body, sector)


def log_bytes(header: LogHeader, filled: int) -> bytearray:
    """A log of format 8 with so many filled segments, and zeros to its end."""
    body = b"".join(segment_bytes(header.generation, sector) for sector in range(1, filled + 1))
    return bytearray((header.build() + body).ljust(header.file_size, b"\0"))


def old_log_header(generation: int = 5, sectors: int = 64) -> LogHeader:
    return log_header(
        generation,
        sectors,
        major=7,
        minor=3704,
        update=6,
        update_minor=0,
        sector_size=512,
        header_sectors=8,
    )


def old_log_bytes(header: LogHeader, flushes: list[tuple[int, int]]) -> bytearray:
    """A log of format 7. Of a flush: bytes repeated from the sector's start, bytes of records. Ranges tile the log."""
    data = bytearray(FILL * (header.file_size // len(FILL)))
    data[:4096] = header.build()
    size = ChecksumRecord.layout_size()
    places = []
    start = 4096
    for back, forward in flushes:
        places.append((start + back, back, forward))
        data[start : start + back + size + forward] = random.Random(start).randbytes(back + size + forward)
        start += back + size + forward
    for index, (at, back, forward) in enumerate(places):
        after = places[index + 1][0] - at - size if index + 1 < len(places) else 0
        record = ChecksumRecord(
            back=back, forward=forward, next=after, use=SHORT_USED if forward > 512 else SHORT_NOT_USED
        )
        sector_end = (at // 512 + 1) * 512
        checksum, short = record.sums(
            bytes(data[at - back : at]),
            bytes(data[at + size : at + size + forward]),
            bytes(data[at + size : sector_end]),
            header.generation,
        )
        record = replace(record, checksum=checksum, short=short if record.use == SHORT_USED else 0)
        data[at : at + size] = record.pack()
    return data


def check_pages(source: ByteSource, header: DatabaseHeader | None = None) -> PageReport:
    """Check all pages of a database."""
    checker = PageChecker(header or DatabaseHeader.read(source).header, source.size)
    for offset in range(0, source.size, BUFFER_SIZE):
        checker.update(source.read(offset, BUFFER_SIZE))
    return checker.finish()


def check_log(source: ByteSource) -> LogReport:
    """Check the whole content of a log."""
    checker = LogChecker(LogHeader.read(source))
    for offset in range(0, source.size, BUFFER_SIZE):
        checker.update(source.read(offset, BUFFER_SIZE))
    return checker.finish()
