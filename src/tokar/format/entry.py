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
    """One stored file. A named tuple, because archives have up to sixteen million of them and it is the cheapest thing that cannot change."""

    number: int  # Position in the archive, from 0
    token: int  # The token byte as delivered, 0x00-0xFF. Its name comes from the profile of the archive
    file_list: FileList  # Where the file was listed
    encoding: int  # Windows code page of `raw_name`: 1200 UTF-16LE, 65001 UTF-8, 932 and so on; 0 unknown
    raw_name: bytes  # The name as delivered, without its token
    size: int  # Bytes of content
    digest: bytes  # BLAKE3-256 of the content, 32 bytes
    file_position: int  # Where the FILE record starts, bytes from the start of the archive
    done_position: int  # Where the DONE record starts
    done_check: bytes  # The check of the DONE record, 32 bytes

    @property
    def name(self) -> str:
        """The name as text that is safe to print; where it cannot be decoded, its bytes are shown escaped."""
        return names.display(self.raw_name, self.encoding)
