"""The two doors to the format itself: an archive is created, or opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokar._version import SOFTWARE
from tokar.format import canonical_json
from tokar.format.archive import Archive
from tokar.format.compression import Compression
from tokar.format.metadata import Head
from tokar.format.writer import ArchiveWriter, system_clock
from tokar.storage.bytesource import ByteSource
from tokar.storage.sink import FileSink


def create(
    path: Path | str,
    *,
    profile: str,
    kind: str = "collected",
    compress: str = "zstd",
    replace: bool = False,
    archive_id: bytes | None = None,
    **head: Any,
) -> ArchiveWriter:
    """Begin an archive at a path.

    Use the writer as a context manager: it seals at the end, and leaves nothing behind after an error.

    Args:
        path: Where the archive appears, once it is sealed.
        profile: Name of the token profile.
        kind: `full`, `logs` or `collected`.
        compress: `none`, `zstd` or `zstd:LEVEL`.
        replace: Whether an archive of that name may be replaced at the end.
        archive_id: 16 bytes; random by default.
        head: Further keys of HEAD (spec/format.md section 6.1), such as `server` or `annotation`.

    Raises:
        ExistingFileError: The name is taken.
        StorageError: Nothing can be written there.
        InputError: An argument is out of range.
        FormatError: A key of HEAD cannot be written.
    """
    compression = Compression.parse(compress)
    made = Head(canonical_json.to_time(system_clock()), kind, profile, SOFTWARE, extra=head)
    sink = FileSink(path, replace=replace)
    try:
        return ArchiveWriter(sink, made, archive_id=archive_id, compression=compression)
    except BaseException:
        sink.discard()
        raise


def open(source: ByteSource | Path | str) -> Archive:  # noqa: A001 - as in gzip.open and tarfile.open
    """Open a sealed archive for reading.

    Args:
        source: A path, or anything with `size` and `read(offset, size)`.

    Raises:
        StorageError: The file cannot be read.
        BadMagicError: It is not an archive.
        UnsupportedError: It needs a newer reader.
        UnsealedError: Its end is missing.
        FormatError: It is damaged.
    """
    return Archive(source)
