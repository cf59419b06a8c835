"""FILE: what is known of a file before its content (spec/format.md section 7)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from tokar.errors import FormatError
from tokar.format.records import (
    ALL_FLAGS,
    FILE_BODY,
    FLAG_ANNOUNCED,
    FLAG_INCOMPLETE,
    FLAG_MODIFIED,
    MAX_CHUNK_LOG2,
    MIN_CHUNK_LOG2,
    Packer,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer

PACKER: Final = Packer(FILE_BODY)


class FileList(IntEnum):
    """The list of the backup procedure that a file came from (spec/format.md, FILE, field `list`)."""

    BY_HAND = 0
    DATABASE_NAMES = 1
    BACKUP_LOGS = 2
    DYNAMIC_FILES = 3


_LISTS: Final = tuple(FileList)


@dataclass(frozen=True, slots=True)
class FileRecord:
    """The body of FILE."""

    entry: int  # Number of the entry, from 0
    encoding: int  # Windows code page of the name, 0 unknown
    token: int  # The token byte as delivered
    file_list: FileList  # Where the file was listed
    announced_size: int | None  # Bytes, as announced when the file was opened, or None
    modified: int | None  # Modification time, nanoseconds since 1970 in UTC, or None
    incomplete: bool  # Whether the content is known to be incomplete
    chunk_log2: int  # Size of a chunk as a power of two
    name: bytes  # The name as delivered, 1 to 65,535 bytes

    def build(self) -> bytes:
        """Return the bytes of the body."""
        flags = (
            (FLAG_MODIFIED if self.modified is not None else 0)
            | (FLAG_ANNOUNCED if self.announced_size is not None else 0)
            | (FLAG_INCOMPLETE if self.incomplete else 0)
        )
        fixed = PACKER.pack(
            self.entry,
            self.encoding,
            self.token,
            self.file_list,
            self.announced_size or 0,
            self.modified or 0,
            flags,
            self.chunk_log2,
            0,
            len(self.name),
            0,
        )
        return fixed + self.name

    @classmethod
    def parse(cls, body: Buffer, *, entry: int, position: int) -> FileRecord:
        """Read the body of the FILE record at `position`, which must be that of entry number `entry`.

        Raises:
            FormatError: FILE-1 to FILE-4.
        """
        number, encoding, token, listed, announced, modified, flags, log2, zero_1, length, zero_2 = PACKER.unpack(body)
        if number != entry:
            raise FormatError(f"entry {number} where entry {entry} must be", rule="FILE-1", offset=position)
        view = memoryview(body)
        if not length or view.nbytes != PACKER.size + length:
            raise FormatError("the name does not fill the FILE record", rule="FILE-2", offset=position)
        if listed >= len(_LISTS) or not MIN_CHUNK_LOG2 <= log2 <= MAX_CHUNK_LOG2 or flags & ~ALL_FLAGS:
            raise FormatError("a field of FILE is out of range", rule="FILE-3", offset=position)
        has_modified, has_announced = flags & FLAG_MODIFIED, flags & FLAG_ANNOUNCED
        if zero_1 or zero_2 or (announced and not has_announced) or (modified and not has_modified):
            raise FormatError("a field of FILE that must be zero is not", rule="FILE-4", offset=position)
        return cls(
            number,
            encoding,
            token,
            _LISTS[listed],
            announced if has_announced else None,
            modified if has_modified else None,
            bool(flags & FLAG_INCOMPLETE),
            log2,
            bytes(view[PACKER.size :]),
        )
