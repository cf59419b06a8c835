"""Small sets of engine files, a few kilobytes each, with right headers and checksums, for tests with whole files."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tokar.ese.checkpoint import Checkpoint
from tokar.ese.database import DatabaseHeader, DatabaseState
from tokar.ese.flushmap import FlushMap
from tokar.ese.log import SEGMENT_SIZE, LogHeader
from tokar.ese.page import NEW_FORMAT, PageHeader, seal_page, seal_segment
from tokar.ese.values import LogPosition, LogTime, Signature

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

STREAM = Signature(random=21, created=LogTime(year=110, month=3, day=2, low=1))


def database(number: int = 1, *, pages: int = 2, state: DatabaseState = DatabaseState.CLEAN_SHUTDOWN) -> bytes:
    """A database that differs from those with other numbers; its pages are of random bytes."""
    signature = Signature(random=number, created=LogTime(year=110, month=1, day=1))
    header = DatabaseHeader(
        raw_page_size=4096, revision=20, raw_state=state, signature=signature, log_signature=STREAM
    ).build()
    content = random.Random(number)
    start = PageHeader(dbtime=1000, object_id=3, flags=NEW_FORMAT | 2).pack()
    body = [seal_page(start + content.randbytes(4096 - len(start)), page) for page in range(1, pages + 1)]
    return header * 2 + b"".join(body)


def temporary_database() -> bytes:
    header = DatabaseHeader(raw_page_size=4096, revision=20, raw_state=DatabaseState.JUST_CREATED).build()
    return header * 2 + bytes(8192)


def streaming_file() -> bytes:
    return DatabaseHeader(raw_page_size=4096, revision=20, attribute=1, file_type=2).build() * 2 + bytes(4096)


def log(generation: int, *, stream: Signature = STREAM) -> bytes:
    """A log with one segment of records, which knows the checksum of the segment in the log before."""
    before = int.from_bytes(_segment(generation - 1)[:8], "little") if generation > 1 else 0
    header = LogHeader(generation=generation, sectors=3, signature=stream, previous_segments_xor=before)
    return (header.build() + _segment(generation)).ljust(header.file_size, b"\0")


def _segment(generation: int) -> bytes:
    start = bytes(8) + LogPosition(generation=generation, sector=1).pack() + bytes(20) + b"\x00\x20\0\0"
    return seal_segment(start + random.Random(generation).randbytes(SEGMENT_SIZE - len(start)), 1)


def checkpoint() -> bytes:
    return Checkpoint(signature=STREAM).build() * 2


def flush_map() -> bytes:
    return FlushMap().build()


def reserve() -> bytes:
    return bytes(8192)


def damaged(data: bytes, at: int = 100) -> bytes:
    """The same with one byte changed, by default inside the header."""
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def instance() -> dict[str, bytes]:
    """What the folder of a stopped instance holds, by name."""
    return {
        "db.edb": database(),
        "db.pat": b"",
        "edb00001.log": log(1),
        "edb00002.log": log(2),
        "edb.log": log(3),
        "edb.chk": checkpoint(),
        "db.jfm": flush_map(),
        "edbres00001.jrs": reserve(),
        "edbtmp.log": log(4),
        "tmp.edb": temporary_database(),
        "readme.txt": b"not of the engine",
    }


TAKEN = ("db.edb", "edb00001.log", "edb00002.log", "edb.log", "db.pat")
"""The names of `instance` that belong to a set, in the order of the archive."""


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files by name, with the folders that they need; return the folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Everything in a folder and its subfolders, by name: the bytes of all files."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
