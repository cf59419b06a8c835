"""The two doors to the format itself: an archive is created, or opened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokar._version import SOFTWARE
from tokar.format import canonical_json
from tokar.format.archive import Archive
from tokar.format.compression import Compression
from tokar.format.metadata import Head
from tokar.format.writer import ArchiveWriter, system_clock
from tokar.storage.bytesource import ByteSource
from tokar.storage.sink import FileSink

if TYPE_CHECKING:
    from tokar.trust.recipients import Identities, Recipients


def create(
    path: Path | str,
    *,
    profile: str,
    kind: str = "collected",
    compress: str = "zstd",
    replace: bool = False,
    archive_id: bytes | None = None,
    recipients: Recipients | None = None,
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
        recipients: For whom content is encrypted; None for an archive that anyone can read.
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
        return ArchiveWriter(sink, made, archive_id=archive_id, compression=compression, keys=recipients)
    except BaseException:
        sink.discard()
        raise


def open(  # noqa: A001 - as in gzip.open and tarfile.open
    source: ByteSource | Path | str, keyring: Identities | None = None
) -> Archive:
    """Open a sealed archive for reading.

    Args:
        source: A path, or anything with `size` and `read(offset, size)`.
        keyring: What opens encrypted content; without it, everything else can be read.

    Raises:
        StorageError: The file cannot be read.
        BadMagicError: It is not an archive.
        UnsupportedError: It needs a newer reader.
        UnsealedError: Its end is missing.
        FormatError: It is damaged.
        LockedError: It is encrypted, and nothing in the ring opens it.
    """
    return Archive(source, keyring)
