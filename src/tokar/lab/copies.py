"""A database as a backup reads it, page by page while work goes on, and what completes the copy.

What the log cannot say about a copy made while work went on is in its trailer page (`tokar.ese.trailer`), and in the
early era in a patch file, `NAME.PAT`: two copies of a database header, whose "current full backup" holds the whole
range of logs, then whole pages. Size and header are as Microsoft Knowledge Base Q200941 describes them (8 KiB when
empty, `eseutil /mh` shows the range); its real layout is not public, and this is the simulated engine's own. A page in
it replaces the page of the copy when it is newer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from tokar.errors import HeaderError
from tokar.ese.database import DatabaseHeader
from tokar.ese.trailer import BackupTrailer
from tokar.ese.values import BackupInfo
from tokar.lab.database_file import DatabaseFile
from tokar.lab.engine import EngineError
from tokar.lab.leaf_pages import Page
from tokar.storage.bytesource import FileSource

PAGES_AT_ONCE: Final = 2
"""Pages that the engine reads from disk in one go: little, so that much can change behind and before the copy."""


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
        """Take a page that received the records of a split into the patch file, unless the copy will still reach it.

        The copy of the page that lost those records may still be ahead and then lacks them. Whether it is does not
        matter here: a page that is in both copies is in neither harm nor way.
        """
        if self.collects and not self.is_read and not self._cursor < page.number <= self.page_count:
            self.patches[page.number] = page.to_bytes(self._file.era.page_size, ecc=False)

    def patch(self, high: int) -> bytes:
        """Return the patch file, complete up to the log `high`; nothing is collected after that."""
        self.collects = False
        header = replace(self.header, current_full=replace(self._started, generation_high=high))
        return header.build() * _HEADER_PAGES + b"".join(self.patches[number] for number in sorted(self.patches))

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
            header = self.header
            trailer = BackupTrailer(backup=ended, signature=header.signature, log_signature=header.log_signature)
            self._read_ahead += trailer.build(page_size)


_HEADER_PAGES: Final = 2


def patch_name(database: str) -> str:
    """Return the name of the patch file of a database."""
    return database.rpartition(".")[0] + (".PAT" if database.isupper() else ".pat")


def apply_patch(path: Path, file: DatabaseFile) -> int:
    """Put the pages of a patch file into a copy, and return the highest log generation that it asks for.

    Raises:
        EngineError: It is missing (-538), damaged (-535), or of another backup (-552).
    """
    if not path.is_file():
        raise EngineError(-538, "the patch file is missing", path=path)
    try:
        with FileSource(path) as source:
            header = DatabaseHeader.read(source).header
    except HeaderError as error:
        raise EngineError(-535, "the patch file is not readable", path=path) from error
    ours = file.header
    belongs = header.signature == ours.signature and header.log_signature == ours.log_signature
    if not belongs or header.current_full.mark != ours.current_full.mark:
        raise EngineError(-552, "the patch file is of another backup", path=path)
    for number, data in _patch_pages(path, file.era.page_size):
        if Page.from_bytes(data, number).dbtime > file.read_page(number).dbtime:
            file.write_raw(number, data)
    return header.current_full.generation_high


def _patch_pages(path: Path, page_size: int) -> list[tuple[int, bytes]]:
    data = path.read_bytes()[_HEADER_PAGES * page_size :]
    if len(data) % page_size:
        raise EngineError(-535, "the patch file is cut short", path=path)
    pages = [data[start : start + page_size] for start in range(0, len(data), page_size)]
    # Pages of that era carry their number behind the checksum.
    return [(int.from_bytes(page[4:8], "little"), page) for page in pages]


def take_over_trailer(file: DatabaseFile) -> int:
    """Move the trailer of a copy into its header, wipe it, and return the highest log generation that it asks for.

    Raises:
        EngineError: It is missing (-534), damaged (-535), or of another backup (-552).
    """
    if file.header.current_full.generation_high:
        return file.header.current_full.generation_high
    try:
        with FileSource(file.path) as source:
            trailer = BackupTrailer.read(source, file.header)
            place = source.size - file.era.page_size
    except HeaderError as error:
        raise EngineError(error.code or -535, "the copy has no good trailer", path=file.path) from error
    high = trailer.backup.generation_high
    file.change_header(current_full=trailer.backup, required_high=max(file.header.required_high, high))
    with file.path.open("r+b") as target:
        target.seek(place)
        target.write(bytes(file.era.page_size))
    return high
