"""An entry: one stored file, as the index of an archive describes it (spec/format.md, INDX)."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from tokar import names


class FileList(IntEnum):
    """The list of the backup procedure that a file came from (spec/format.md, FILE, field `list`)."""

    BY_HAND = 0
    DATABASE_NAMES = 1
    BACKUP_LOGS = 2
    DYNAMIC_FILES = 3


class Entry(NamedTuple):
    """One stored file. A named tuple, because archives have up to sixteen million of them and it is the cheapest thing that cannot change.

    Attributes:
        number: Position in the archive, from 0.
        token: The token byte as delivered, 0x00-0xFF. Its name comes from the profile of the archive.
        file_list: Where the file was listed.
        encoding: Windows code page of `raw_name`: 1200 UTF-16LE, 65001 UTF-8, 932 and so on; 0 unknown.
        raw_name: The name as delivered, without its token.
        size: Bytes of content.
        digest: BLAKE3-256 of the content, 32 bytes.
        file_position: Where the FILE record starts, bytes from the start of the archive.
        done_position: Where the DONE record starts.
        done_check: The check of the DONE record, 32 bytes.
    """

    number: int
    token: int
    file_list: FileList
    encoding: int
    raw_name: bytes
    size: int
    digest: bytes
    file_position: int
    done_position: int
    done_check: bytes

    @property
    def name(self) -> str:
        """The name as text that is safe to print; where it cannot be decoded, its bytes are shown escaped."""
        return names.display(self.raw_name, self.encoding)
