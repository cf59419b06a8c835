"""What the tests of salvage share: an archive with everything in it, and a salvage that is checked by both readers."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from format_tools import HEAD, MemorySink, from_the_front, from_the_tail, pattern

from tokar.format import records
from tokar.format.archive import Archive
from tokar.format.compression import Compression
from tokar.format.metadata import Summary
from tokar.salvage.copy import SalvageWriter
from tokar.salvage.salvage import salvage
from tokar.storage.bytesource import BytesSource

if TYPE_CHECKING:
    from tokar.salvage.losses import SalvageReport

CHUNK = 1 << 16
OLD_ID = bytes(range(16))
NEW_ID = b"a new archive id"
NOW = datetime(2026, 5, 6, 7, 8, 9, 10, tzinfo=UTC)
TAG = OLD_ID[:8]


@dataclass(frozen=True)
class Rescued:
    """A salvage, and what it wrote."""

    report: SalvageReport
    data: bytes
    archive: Archive

    @property
    def contents(self) -> dict[str, bytes]:
        return {entry.name: self.archive.read(entry) for entry in self.archive}

    @property
    def states(self) -> dict[str | None, str]:
        return {file.name: file.state.value for file in self.report.files}


@dataclass(frozen=True)
class Piece:
    """A record of a good archive, or its preamble (which has no kind)."""

    kind: bytes
    start: int
    data: bytes

    @property
    def end(self) -> int:
        return self.start + len(self.data)


def rescued(data: bytes, **options: Any) -> Rescued:
    """Salvage, and demand that both readers find the result good; of an encrypted one as far as its checks tell."""
    sinks: list[MemorySink] = []

    def sink() -> MemorySink:
        assert all(earlier.discarded for earlier in sinks)
        sinks.append(MemorySink())
        return sinks[-1]

    report = salvage(BytesSource(data), sink, **{"clock": lambda: NOW, "new_id": lambda: NEW_ID, **options})
    result = bytes(sinks[-1].data)
    assert sinks[-1].committed
    archive = Archive(BytesSource(result))
    decode = not archive.is_locked
    assert from_the_front(result, decode=decode).answer == "sealed"
    assert from_the_tail(result, content=decode).answer == "sealed"
    assert (archive.id, archive.root, archive.size) == (report.result.id, report.result.root, report.result.size)
    assert len(archive) == report.result.entries
    return Rescued(report, result, archive)


def pieces(data: bytes) -> list[Piece]:
    """Return the records of a good archive, the preamble first."""
    found = [Piece(b"", 0, data[:32])]
    at = 32
    while at < len(data):
        size = records.HEAD_SIZE + int.from_bytes(data[at + 4 : at + 8], "little")
        found.append(Piece(data[at : at + 4], at, data[at : at + size]))
        at += size
    return found


def piece(data: bytes, kind: bytes, number: int = 0) -> Piece:
    """Return one record of a good archive: of those of a kind the one with this number, from 0."""
    return [found for found in pieces(data) if found.kind == kind][number]


def broken(data: bytes, *places: Piece | int) -> bytes:
    """Return an archive with one byte changed in each place."""
    spoilt = bytearray(data)
    for place in places:
        at = place if isinstance(place, int) else (place.start + place.end) // 2
        spoilt[at] ^= 0xFF
    return bytes(spoilt)


def without(data: bytes, *gone: Piece) -> bytes:
    """Return an archive from which records have vanished."""
    kept, at = [], 0
    for found in sorted(gone, key=lambda found: found.start):
        kept.append(data[at : found.start])
        at = found.end
    return b"".join([*kept, data[at:]])


def lines(size: int) -> bytes:
    """Return content of which no two chunks are equal, and which takes few bytes when it is compressed."""
    chunks = (b"chunk %d of %d\n" % (at, size) * (CHUNK // 12) for at in range(-(-size // CHUNK)))
    return b"".join(chunk[:CHUNK] for chunk in chunks)[:size]


FILES: dict[str, bytes] = {
    "DB.EDB": lines(2 * CHUNK) + bytes(CHUNK) + lines(1000),
    "A.LOG": b"a log of one chunk",
    "EMPTY.LOG": b"",
    "B.LOG": lines(2 * CHUNK),
    "ZEROS.LOG": bytes(CHUNK + 1),
    "C.LOG": pattern(300),
}


@cache
def whole_archive() -> bytes:
    """Return an archive with files of all kinds, a transcript, lower-case records before SUMM and after ROOT."""
    sink = MemorySink()
    with SalvageWriter(
        sink, HEAD, archive_id=OLD_ID, compression=Compression(1, threads=1), chunk_log2=16, clock=lambda: NOW
    ) as writer:
        writer.add_calls([{"call": "Prepare"}])
        for number, (name, content) in enumerate(FILES.items()):
            announced = None if number % 3 == 2 else len(content)
            modified = 1_700_000_000_000_000_000 + number if number % 2 else None
            writer.add(0x21, name, io.BytesIO(content), announced_size=announced, modified=modified)
            writer.add_calls([{"call": "CloseFile", "number": number}])
        writer.add_extra(b"note", b"for a newer reader")

        summary = Summary(
            writer.entry_count,
            writer.content_size,
            "2026-01-02T03:04:06.000007Z",
            "complete",
            {"generations": {"high": 9, "low": 3}, "later": {"key": 1}, "notes": ["first"]},
        )
        writer.seal_as(summary, trailing=[(b"sign", b"a signature over the root")])
    return bytes(sink.data)


def entry_pieces(data: bytes) -> list[list[Piece]]:
    """Return the records of each entry of a good archive."""
    entries: list[list[Piece]] = []
    for found in pieces(data):
        if found.kind == records.FILE:
            entries.append([found])
        elif found.kind in records.ENTRY_KINDS:
            entries[-1].append(found)
    return entries
