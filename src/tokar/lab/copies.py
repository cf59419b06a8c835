"""Files as a backup reads them: a database page by page while work goes on, a log, a patch file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from tokar.lab.leaf_pages import Page
from tokar.lab.log_formats import read_log
from tokar.lab.patch import build_patch, build_trailer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tokar.ese.values import BackupInfo
    from tokar.lab.database_file import DatabaseFile

PAGES_AT_ONCE: Final = 2
"""Pages that the engine reads from disk in one go: little, so that much can change behind and before the copy."""


class OpenCopy(Protocol):
    """A file that is being read."""

    size: int

    def read(self, size: int) -> bytes:
        """Return the next bytes, fewer than asked only at the end."""


class BytesCopy:
    """A file whose content is fixed when it is opened.

    Args:
        content: All of it.
    """

    def __init__(self, content: bytes) -> None:
        self.size = len(content)
        self._content = content
        self._offset = 0

    def read(self, size: int) -> bytes:
        """Return the next bytes, fewer than asked only at the end."""
        piece = self._content[self._offset : self._offset + size]
        self._offset += len(piece)
        return piece


def open_log_copy(path: Path) -> BytesCopy:
    """Open a closed log.

    Raises:
        EngineError: It is damaged (-612).
    """
    read_log(path, damaged=-612)
    return BytesCopy(path.read_bytes())


class DatabaseCopy:
    """A database that is being copied.

    It begins with a header as of now, twice; then comes each page as it lies on disk when its turn comes, and in later
    eras a trailer.

    Args:
        file: The database.
        started: Mark, time and lowest log of the backup.
        generation: Returns the number of the current log.
    """

    def __init__(self, file: DatabaseFile, started: BackupInfo, generation: Callable[[], int]) -> None:
        self._file = file
        self._generation = generation
        self._started = started
        self._has_trailer = file.era.full_splits
        # The early era has no trailer to complete the range: its header names the log that was current when the copy
        # began.
        high = 0 if self._has_trailer else generation()
        self.header = replace(file.header, current_full=replace(started, generation_high=high))
        self.page_count = file.page_count
        self.size = (2 + self.page_count + self._has_trailer) * file.era.page_size
        self.patches: dict[int, bytes] = {}
        self.collects = not self._has_trailer
        self._read_ahead = bytearray(self.header.build() * 2)
        self._cursor = 0
        self._given = 0

    @property
    def is_read(self) -> bool:
        """Whether every byte has been given out."""
        return self._given == self.size

    def read(self, size: int) -> bytes:
        """Return the next bytes, fewer than asked only at the end.

        Raises:
            EngineError: A page failed verification (-1018).
        """
        while len(self._read_ahead) < size and self._given + len(self._read_ahead) < self.size:
            self._read_on()
        piece = bytes(self._read_ahead[:size])
        del self._read_ahead[: len(piece)]
        self._given += len(piece)
        return piece

    def page_written(self, page: Page) -> None:
        """Take a page that received the records of a split into the patch file, if the copy has gone past it or will not reach it.

        The copy of the page that lost those records may still be ahead and then lacks them. Whether it is does not
        matter here: a page that is in both copies is in neither harm nor way.
        """
        if self.collects and not self.is_read and not self._cursor < page.number <= self.page_count:
            self.patches[page.number] = page.to_bytes(self._file.era.page_size, ecc=False)

    def patch(self, high: int) -> bytes:
        """Return the patch file, complete up to the log `high`; nothing is collected after that."""
        self.collects = False
        return build_patch(self.header, replace(self._started, generation_high=high), self.patches)

    def _read_on(self) -> None:
        page_size = self._file.era.page_size
        count = min(PAGES_AT_ONCE, self.page_count - self._cursor)
        if count:
            data = self._file.read_raw(self._cursor + 1, count)
            for index in range(count):
                Page.from_bytes(data[index * page_size : (index + 1) * page_size], self._cursor + 1 + index)
            self._cursor += count
            self._read_ahead += data
        else:
            ended = replace(self._started, generation_high=self._generation())
            self._read_ahead += build_trailer(self.header, ended, page_size)
