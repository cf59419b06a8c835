"""tokar: restore-aware archives for the files that a database engine hands out through its backup procedure.

with tokar.create("set.tokar", profile="certadm") as writer:
    writer.add(0x44, name, stream)
with tokar.open("set.tokar") as archive:
    for entry in archive:
        print(entry.token, entry.name, entry.size, entry.digest)
    data = archive.read(archive.entry(0), 0, 4096)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tokar._version import __version__
from tokar.errors import ArchiveError

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.format.archive import Archive
    from tokar.format.writer import ArchiveWriter
    from tokar.storage.bytesource import ByteSource

__all__ = ["ArchiveError", "__version__", "create", "open"]


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
    """Begin an archive at a path. Use the writer as a context manager: it seals at the end, and leaves nothing behind after an error.

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
    from tokar.format import canonical_json  # noqa: PLC0415 - `import tokar` alone stays cheap
    from tokar.format.compression import Compression  # noqa: PLC0415
    from tokar.format.metadata import Head  # noqa: PLC0415
    from tokar.format.writer import ArchiveWriter, system_clock  # noqa: PLC0415
    from tokar.storage.sink import FileSink  # noqa: PLC0415

    compression = Compression.parse(compress)
    made = Head(canonical_json.to_time(system_clock()), kind, profile, f"tokar {__version__}", extra=head)
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
    from tokar.format.archive import Archive  # noqa: PLC0415 - `import tokar` alone stays cheap

    return Archive(source)
