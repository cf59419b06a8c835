"""What the tests of the format share: archives made by hand and by the writer, and readers in the fixtures' words."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fixtures.forge import ARCHIVE_ID, OTHER_ID, STORED, ZEROS, ZSTD, Forge, begun
from fixtures.readers import from_the_front, from_the_tail
from fixtures.zstd_frames import raw_block, rle_block, zstd_frame

from tokar.errors import StorageError
from tokar.format.archive import Archive
from tokar.format.compression import Compression
from tokar.format.metadata import Head
from tokar.format.writer import ArchiveWriter
from tokar.storage.bytesource import BytesSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from typing_extensions import Buffer

    from tokar.storage.sink import Sink

__all__ = [
    "ARCHIVE_ID",
    "CHUNK",
    "HEAD",
    "OTHER_ID",
    "STORED",
    "ZEROS",
    "ZSTD",
    "Forge",
    "MemorySink",
    "Shreds",
    "begun",
    "from_the_front",
    "from_the_tail",
    "new_writer",
    "opened",
    "pattern",
    "raw_block",
    "rle_block",
    "written",
    "zstd_frame",
]

CHUNK = 1 << 16  # the smallest chunk: tests of borders need little content
HEAD = Head("2026-01-02T03:04:05.000006Z", "full", "ese", "tokar fixtures")
FINISHED = datetime(2026, 1, 2, 3, 4, 6, 7, tzinfo=UTC)


class MemorySink:
    """Keeps an archive in memory; refuses to take more than `room` bytes, as a full disk does."""

    def __init__(self, *, room: int | None = None) -> None:
        self.data = bytearray()
        self.room = room
        self.committed = False
        self.discarded = False

    def write(self, parts: Sequence[Buffer]) -> None:
        for part in parts:
            self.data += part
        if self.room is not None and len(self.data) > self.room:
            raise StorageError("cannot write: No space left on device")

    def commit(self) -> None:
        self.committed = True

    def discard(self) -> None:
        self.discarded = True


class Shreds:
    """A source that delivers its bytes in pieces of its own choosing."""

    def __init__(self, data: bytes, sizes: Iterable[int]) -> None:
        self._stream = io.BytesIO(data)
        self._sizes = iter(sizes)

    def readinto(self, buffer: Any, /) -> int:
        return self._stream.readinto(memoryview(buffer)[: next(self._sizes, None)])


def new_writer(sink: Sink | None = None, **options: Any) -> ArchiveWriter:
    """Return a writer with everything fixed that could differ from run to run."""
    settings: dict[str, Any] = {"archive_id": ARCHIVE_ID, "chunk_log2": 16, "clock": lambda: FINISHED}
    threads = options.pop("threads", 1)
    compression = replace(options.pop("compression", None) or Compression(), threads=threads)
    return ArchiveWriter(
        MemorySink() if sink is None else sink, HEAD, compression=compression, **{**settings, **options}
    )


def written(*files: tuple[int, bytes, bytes], level: int | None = None, **options: Any) -> bytes:
    """Return the archive of files given as token, name and content."""
    sink = MemorySink()
    with new_writer(sink, compression=Compression(level), **options) as writer:
        for token, name, content in files:
            writer.add(token, name, io.BytesIO(content), encoding=65001)
    return bytes(sink.data)


def opened(archive: Forge | bytes) -> Archive:
    """Return an archive open for reading."""
    return Archive(BytesSource(archive.data if isinstance(archive, Forge) else archive))


def pattern(size: int) -> bytes:
    """Return bytes that are neither zero nor repeat within a chunk in a way that hides misplaced pieces."""
    numbers = range(1, size // 4 + 2)
    return struct.pack(f"<{len(numbers)}I", *numbers)[:size]
