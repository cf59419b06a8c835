"""The content of one listed file, as a stream that cannot end early unnoticed.

Three conventions for the end of a file exist (DsBackupRead, CertSrvBackupRead, MS-CSRA 3.1.4.1.25). The reader that is
right under all of them stops at the announced size, or at the end that the server shows, and then demands that both
agree. It never asks for more than was announced: servers hung on reads past the end (Q264102, Q260695).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tokar import codes, names
from tokar.errors import SourceChangedError, SourceError
from tokar.server.contract import Dialect, EndOfFile, ServerError


class ListKind(StrEnum):
    """The list that a file came from."""

    DATABASE_NAMES = "database-names"
    BACKUP_LOGS = "backup-logs"


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file that is being backed up."""

    token: int  # The token as delivered
    raw_name: bytes  # The name as delivered, without its token
    encoding: int  # Windows code page of the name; 0 unknown
    origin: ListKind  # The list it came from
    announced_size: int  # Bytes, as announced when it was opened

    @property
    def name(self) -> str:
        """The name as text that is safe to print."""
        return names.display(self.raw_name, self.encoding)


class ContentStream:
    """Reads a file to its announced size. Has `readinto`, so that a writer can take it as it is.

    Args:
        file: The file; it is open.
        read: The server's read.
        dialect: How the end shows, and how much to ask for.
    """

    def __init__(self, file: ListedFile, read: Callable[[memoryview], int], dialect: Dialect) -> None:
        self._file = file
        self._read = read
        self._dialect = dialect
        self._ended = False
        self.size = 0  # Bytes that came
        self.reads = 0  # Calls that were made

    def readinto(self, buffer: Any, /) -> int:
        """Fill `buffer` as far as one read goes; 0 at the end.

        Raises:
            ServerError: The read failed.
            NoAnswerError: The read was not answered.
            SourceError: The server returned more than was asked for.
        """
        left = self._file.announced_size - self.size
        view = memoryview(buffer).cast("B")[: min(left, self._dialect.read_size)]
        if self._ended or not len(view):
            return 0
        self.reads += 1
        try:
            count = self._read(view)
        except ServerError as error:
            if self._dialect.end_of_file is EndOfFile.HANDLE_EOF and codes.is_end_of_file(error.code):
                self._ended = True
                return 0
            raise
        if not 0 <= count <= len(view):
            raise SourceError(f"a read of {len(view)} bytes returned {count}", path=self._file.name)
        # For the CA's library a short read is the end; elsewhere it is normal, and only 0 bytes are.
        self._ended = not count or (self._dialect.end_of_file is EndOfFile.SHORT_READ and count < len(view))
        self.size += count
        return count

    def demand_whole(self) -> None:
        """Check that all of the file came, neither less than was announced nor left unread.

        Raises:
            SourceChangedError: It did not.
        """
        if self.size != self._file.announced_size:
            raise SourceChangedError(
                f"{self.size} bytes came, {self._file.announced_size} were announced",
                path=self._file.name,
                hint="the backup was given up; try again, and look at the server's event log if it comes back",
            )
