"""Builds small sets of ESE files with right checksums and links, as an engine leaves them, and archives of them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ese_files import check_log

import tokar
from tokar.ese.attachment import Attachment, build_attachments
from tokar.ese.checkpoint import Checkpoint
from tokar.ese.database import DatabaseHeader, DatabaseState
from tokar.ese.filenames import log_file_name
from tokar.ese.inspect import inspect_file
from tokar.ese.log import SEGMENT_SIZE, LogHeader
from tokar.ese.page import NEW_FORMAT, PageHeader, seal_page, seal_segment
from tokar.ese.trailer import BackupTrailer
from tokar.ese.values import NO_POSITION, NO_TIME, BackupInfo, LogPosition, LogTime, Signature
from tokar.sets.read import SetFile, SetReader
from tokar.storage.bytesource import BytesSource

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.sets.facts import LogFacts
    from tokar.storage.bytesource import ByteSource

PAGE_SIZE = 4096
DATABASE = "main.edb"
STREAM = Signature(random=2, created=LogTime(year=122, month=2, day=5, low=1))
OTHER_STREAM = Signature(random=77, created=LogTime(year=119, month=1, day=1, low=1))
DATABASE_SIGNATURE = Signature(random=1, created=LogTime(year=122, month=2, day=5, second=9, low=1))


def moment(number: int) -> LogTime:
    """The creation time of a log; each number has its own."""
    return LogTime.from_datetime(datetime.fromtimestamp(1_600_000_000 + number, UTC))


def page(number: int, size: int = PAGE_SIZE) -> bytes:
    head = PageHeader(dbtime=1000 + number, object_id=3, flags=NEW_FORMAT | 2).pack()
    return seal_page(head + random.Random(number).randbytes(size - len(head)), number)


def database(pages: int = 4, **fields: Any) -> bytearray:
    header = DatabaseHeader(
        raw_page_size=PAGE_SIZE,
        revision=20,
        signature=DATABASE_SIGNATURE,
        log_signature=STREAM,
        consistent_position=LogPosition(generation=5, sector=1),
    )
    header = replace(header, **fields)
    size = header.page_size
    return bytearray(header.build() * 2 + b"".join(page(number, size) for number in range(1, pages + 1)))


def dirty(low: int, high: int, committed: int = 0, *, branch: int = 0, **fields: Any) -> bytearray:
    """A database that was not shut down."""
    top = max(high, committed)
    fields = {"consistent_position": LogPosition(generation=min(low, 5), sector=1), **fields}
    return database(
        raw_state=int(DatabaseState.DIRTY_SHUTDOWN),
        required_low=low,
        required_high=high,
        committed_high=committed or high,
        last_log_time=moment(branch + top),
        **fields,
    )


def streaming(low: int, high: int, **trailer_fields: Any) -> bytearray:
    """A copy made by a streaming backup, with its trailer."""
    mark = BackupInfo(mark=LogPosition(generation=low, sector=2), time=moment(500), generation_low=low)
    trailer = BackupTrailer(
        backup=replace(mark, generation_high=high), signature=DATABASE_SIGNATURE, log_signature=STREAM
    )
    return dirty(low, high, current_full=mark) + replace(trailer, **trailer_fields).build(PAGE_SIZE)


def segment(generation: int, sector: int, seed: int) -> bytes:
    head = bytes(8) + LogPosition(generation=generation, sector=sector).pack() + bytes(20) + b"\x00\x20\0\0"
    return seal_segment(head + random.Random(seed).randbytes(SEGMENT_SIZE - len(head)), sector)


def logs(
    low: int,
    high: int,
    *,
    stream: Signature = STREAM,
    after: bytes | None = None,
    branch: int = 0,
    filled: int = 3,
    attached: tuple[tuple[str, Signature], ...] = ((r"C:\db\main.edb", DATABASE_SIGNATURE),),
    base: str = "edb",
    shut_down: LogPosition = NO_POSITION,
    attached_at: LogPosition = NO_POSITION,
    **fields: Any,
) -> dict[str, bytes]:
    """Logs that continue each other, and the log before them where that is given.

    Args:
        low: First generation.
        high: Last one.
        stream: Signature of the stream.
        after: The log that the first one continues.
        branch: Another number makes other logs of the same generations: history after a restore.
        filled: Segments with records; each log has five, the header included.
        attached: Paths and signatures of the databases.
        base: Base name.
        shut_down: Where the databases had been shut down when they were attached.
        attached_at: Where they were attached.
        fields: Further fields of the headers.
    """
    result: dict[str, bytes] = {}
    before = LogHeader.parse(after) if after is not None else None
    xor = check_log(BytesSource(after)).segments_xor if after is not None else 0
    created = before.created if before else (moment(branch + low - 1) if low > 1 else NO_TIME)
    area = build_attachments(
        Attachment(dbid=at, path=path, signature=one, consistent_position=shut_down, attach_position=attached_at)
        for at, (path, one) in enumerate(attached, 1)
    )
    for generation in range(low, high + 1):
        header = LogHeader(
            generation=generation,
            sectors=6,
            signature=stream,
            created=moment(branch + generation),
            previous_created=created,
            previous_segments_xor=xor or 0,
            attachment_area=area,
        )
        header = replace(header, **fields)
        body = b"".join(segment(generation, sector, branch + sector) for sector in range(1, filled + 1))
        body += body[-SEGMENT_SIZE:] * (filled < header.sectors - 1)  # the shadow of the last one
        data = (header.build() + body).ljust(header.file_size, b"\0")
        result[log_file_name(base, generation)] = data
        created, xor = header.created, check_log(BytesSource(data)).segments_xor
    return result


def checkpoint(generation: int, signature: Signature = STREAM) -> bytes:
    return Checkpoint(checkpoint=LogPosition(generation=generation, sector=3), signature=signature).build() * 2


def flip(data: bytes | bytearray, offset: int, bit: int = 0) -> bytes:
    changed = bytearray(data)
    changed[offset] ^= 1 << bit
    return bytes(changed)


def write(folder: Path, files: dict[str, bytes] | dict[str, bytearray]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


TOKENS = {"edb": 0x44, "dit": 0x44, "dat": 0x44, "mdb": 0x44, "log": 0x21, "jtx": 0x21, "pat": 0x25}


@dataclass
class Made:
    """An archive that a test made."""

    path: Path
    id: bytes = b""
    root: bytes = b""
    names: list[str] = field(default_factory=list)


def archive(
    path: Path,
    files: dict[str, bytes],
    *,
    kind: str = "full",
    profile: str = "ese",
    tokens: dict[str, int] | None = None,
    **head: Any,
) -> Made:
    """Write an archive of files, with tokens by their suffixes."""
    made = Made(path, names=list(files))
    with tokar.create(path, profile=profile, kind=kind, compress="none", **head) as writer:
        for name, data in files.items():
            token = (tokens or {}).get(name, TOKENS.get(name.rpartition(".")[2].lower(), 0x0F))
            writer.add_bytes(token, name, bytes(data))
    with tokar.open(path) as opened:
        made.id, made.root = opened.id, opened.root
    return made


def prior_of(made: Made) -> dict[str, str]:
    return {"id": made.id.hex(), "root": made.root.hex()}


def log_facts(source: ByteSource, name: str = "edb00005.log") -> LogFacts:
    """What a log says of itself, with its content examined."""
    reader = SetReader(examine=True)
    reader.add(SetFile(name=name, size=source.size), inspect_file(source, examine=True))
    (facts,) = reader.facts().logs
    return facts
