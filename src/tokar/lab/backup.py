"""A backup in the engine's own terms: begin, open, read, close, list the logs, truncate, end.

The rules, with the JET numbers that break them (Extensible Storage Engine documentation, "Backup and Restore
Functions"; Microsoft Extensible Storage Engine, backup.cxx, behaviour only):

* One backup at a time (-505). Logs only: not under circular logging (-526), not without a full of every database
  (-560), not with a gap in the logs or a lowest log above what the last set covers (-569).
* At the beginning of a full the checkpoint's generation is noted: the lowest log of the set.
* At the first listing of the logs the current log is closed; the set ends with it. The current log is never listed. The
  list is fixed.
* Databases are listed in a full only, and not opened after the logs are listed (-521). Listing logs while a database is
  open: -521, but accepted in the early era, where the set is then worthless (Q256347).
* Truncation asks whether the sum of the generations read to their end reaches the sum that is due (-616). That is the
  real engine's own test, with its hole: a log read twice can hide one that was never read.
* Truncation deletes below the checkpoint, what was copied, and what the last full of a database not in this backup
  still needs.
* A backup that ends without having listed and read its logs is not remembered (-800).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from io import BytesIO
from pathlib import Path
from typing import Final

from tokar.errors import HeaderError
from tokar.ese.database import DatabaseHeader
from tokar.ese.trailer import BackupTrailer
from tokar.ese.values import NO_BACKUP, BackupInfo
from tokar.lab.change_records import BackupMark
from tokar.lab.database_file import DatabaseFile, Page
from tokar.lab.engine import EngineError
from tokar.lab.instance import Instance
from tokar.lab.log_formats import read_log
from tokar.storage.bytesource import FileSource


class FileRole(Enum):
    """What a file of a backup is."""

    DATABASE = "database"
    LOG = "log"
    PATCH = "patch"


@dataclass(frozen=True, slots=True)
class BackupFile:
    """One file of a backup."""

    role: FileRole  # What it is
    number: int  # The dbid of a database or patch file, the generation of a log
    name: str  # Its leaf name


class Backup:
    """A running backup of an instance.

    Args:
        instance: The engine.
        full: Whether databases are copied, else logs only.

    Raises:
        EngineError: See above; -1811: a patch file was left over (Q297172).
    """

    def __init__(self, instance: Instance, *, full: bool) -> None:
        if instance.backup is not None:
            raise EngineError(-505, "a backup is running")
        self._instance = instance
        self.full = full
        self._refuse_leftovers() if full else self._refuse_logs_only()
        closed = instance.log.closed()
        low = instance.checkpoint.generation if full else min(closed, default=instance.log.generation)
        mark = instance.log.append(BackupMark(full))
        instance.log.flush()
        self.info = BackupInfo(mark=mark, time=instance.clock.now(), generation_low=low)
        self.generation_low = low
        self.logs: list[BackupFile] | None = None
        self._log_paths: dict[int, Path] = {}  # By generation, of the logs that were listed
        self._copies: dict[int, DatabaseCopy] = {}
        self._open: DatabaseCopy | BytesIO | None = None
        self._open_file: BackupFile | None = None
        self._left = 0
        self._read_sum = 0
        self._truncated = False
        instance.backup = self

    def databases(self) -> list[BackupFile]:
        """Return the databases to copy.

        Raises:
            EngineError: This is no full (-521).
        """
        if not self.full:
            raise EngineError(-521, "databases are listed in a full backup only")
        paths = self._instance.place.databases
        return [BackupFile(FileRole.DATABASE, dbid, paths[dbid].name) for dbid in sorted(self._instance.tables)]

    def open(self, file: BackupFile) -> int:
        """Open a file of the backup and return its size in bytes.

        Raises:
            EngineError: A file is open (-521), it is a database and the logs are listed (-521), it is gone (-1811),
                damaged (-612).
        """
        if self._open is not None:
            raise EngineError(-521, "a file is open already")
        if file.role is FileRole.DATABASE:
            self._open = self._open_database(file.number)
        elif file.role is FileRole.PATCH:
            self._open = BytesIO(self.patch_path(file.number).read_bytes() if not self._has_trailer else b"")
        else:
            path = self._log_paths.get(file.number)
            if path is None or not path.is_file():
                raise EngineError(-1811, f"log {file.name} is gone")
            read_log(path, damaged=-612)
            self._open = BytesIO(path.read_bytes())
        self._open_file = file
        self._left = self._open.size if isinstance(self._open, DatabaseCopy) else len(self._open.getbuffer())
        return self._left

    def read(self, size: int) -> bytes:
        """Return the next bytes of the open file; none at its end.

        Raises:
            EngineError: No file is open (-521), or a page failed verification (-1018).
        """
        if self._open is None or self._open_file is None:
            raise EngineError(-521, "no file is open")
        piece = self._open.read(size)
        self._left -= len(piece)
        if piece and not self._left and self._open_file.role is FileRole.LOG:
            self._read_sum += self._open_file.number
        return piece

    def close(self) -> None:
        """Close the open file.

        Raises:
            EngineError: No file is open (-521).
        """
        if self._open is None:
            raise EngineError(-521, "no file is open")
        self._open = self._open_file = None

    def list_logs(self) -> list[BackupFile]:
        """Return the logs and patch files of the backup; the first call closes the current log and fixes the list.

        Raises:
            EngineError: A file is open (-521), except in the early era.
        """
        if self.logs is None:
            if self._open is not None and self._has_trailer:
                raise EngineError(-521, "a file is open")
            patches = self._seal_patches()
            high = self._instance.log.roll()
            self.info = replace(self.info, generation_high=high)
            closed = self._log_paths = self._instance.log.closed()
            self.logs = [
                BackupFile(FileRole.LOG, number, path.name)
                for number, path in closed.items()
                if self.info.generation_low <= number <= high
            ]
            self.logs += patches
        return self.logs

    def truncate(self) -> list[int]:
        """Delete logs that are not needed any more and return their generations: often none at all.

        Raises:
            EngineError: Logs are not listed (-521), or were not all read (-616); in later eras also a database that was
                not.
        """
        if self.logs is None or self._open is not None:
            raise EngineError(-521, "the logs are not listed, or a file is open")
        if not self._logs_are_read() or (
            self._has_trailer and self.full and not all(map(self._is_copied, self._instance.tables))
        ):
            raise EngineError(-616, "not every file was read to its end")
        self._truncated = True
        limits = [self._instance.checkpoint.generation, self.info.generation_high + 1]
        for dbid, file in self._instance.files.items():
            if self.full and not self._is_copied(dbid):
                limits.append(file.header.previous_full.generation_high + 1 if file.header.previous_full.is_set else 0)
        return self._instance.log.delete_below(min(limits))

    def end(self, *, success: bool = True) -> None:
        """End the backup and, where it was whole, remember it in the headers of the databases.

        Raises:
            EngineError: The backup ends early (-800). It is over nevertheless.
        """
        self._open = None
        self._instance.backup = None
        for dbid in self._copies:
            self.patch_path(dbid).unlink(missing_ok=True)
        if not success or self.logs is None or not self._logs_are_read():
            raise EngineError(-800, "the backup was ended before it was whole")
        for dbid in sorted(self._instance.tables):
            if not self.full or self._is_copied(dbid):
                self._remember(dbid)

    def patch_path(self, dbid: int) -> Path:
        """Return where the patch file of a database lies while the backup runs: in the system folder."""
        return self._instance.place.system / patch_name(self._instance.place.databases[dbid].name)

    def page_written(self, dbid: int, page: Page, *, is_target: bool) -> None:
        """Note that the engine wrote a page; `is_target`: a split has moved records to it since it was last on disk."""
        if is_target and dbid in self._copies:
            self._copies[dbid].page_written(page)

    @property
    def _has_trailer(self) -> bool:
        return self._instance.era.full_splits

    def _open_database(self, dbid: int) -> DatabaseCopy:
        if not self.full or self.logs is not None:
            raise EngineError(-521, "databases are opened in a full backup, before the logs are listed")
        instance = self._instance
        copy = DatabaseCopy(instance.files[dbid], self.info, lambda: instance.log.generation)
        self._copies[dbid] = copy
        if not self._has_trailer:
            self.patch_path(dbid).write_bytes(b"")
        return copy

    def _seal_patches(self) -> list[BackupFile]:
        """Close the patch files; in later eras these have no bytes and no meaning, but are listed all the same."""
        found = []
        for dbid, copy in sorted(self._copies.items()):
            path = self.patch_path(dbid)
            if not self._has_trailer:
                path.write_bytes(copy.patch(self._instance.log.generation))
            found.append(BackupFile(FileRole.PATCH, dbid, path.name))
        return found

    def _is_copied(self, dbid: int) -> bool:
        return dbid in self._copies and self._copies[dbid].is_read

    def _logs_are_read(self) -> bool:
        due = sum(file.number for file in self.logs or () if file.role is FileRole.LOG)
        return self._read_sum >= due

    def _remember(self, dbid: int) -> None:
        """Enter the backup into a header; in later eras one without truncation counts as a copy or a differential."""
        file = self._instance.files[dbid]
        apart = self._instance.era.copy_apart and not self._truncated
        if self.full and apart:
            file.change_header(previous_copy=self.info)
        elif self.full:
            file.change_header(previous_full=self.info, previous_incremental=NO_BACKUP, previous_differential=NO_BACKUP)
        elif apart:
            file.change_header(previous_differential=self.info)
        else:
            file.change_header(previous_incremental=self.info)

    def _refuse_leftovers(self) -> None:
        for dbid in self._instance.tables:
            if not self._has_trailer and self.patch_path(dbid).exists():
                raise EngineError(-1811, "a patch file was left over from a backup", path=self.patch_path(dbid))

    def _refuse_logs_only(self) -> None:
        instance = self._instance
        if instance.log.circular:
            raise EngineError(-526, "circular logging is on")
        numbers = [*instance.log.closed(), instance.log.generation]
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            raise EngineError(-569, "there is a gap in the logs")
        for file in instance.files.values():
            header = file.header
            if not header.previous_full.is_set:
                raise EngineError(-560, "there was no full backup", path=file.path)
            covered = max(header.previous_full.generation_high, header.previous_incremental.generation_high)
            if numbers[0] > covered + 1:
                raise EngineError(-569, f"logs {covered + 1} to {numbers[0] - 1} are gone", path=file.path)


PAGES_AT_ONCE: Final = 2
"""Pages that the engine reads from disk in one go: little, so that much can change behind and before the copy."""


class DatabaseCopy:
    """A database that is being copied.

    It begins with a header as of now, twice; then comes each page as it lies on disk when its turn comes.

    What the log cannot say about a copy made while work went on is in its trailer page (`tokar.ese.trailer`), and in
    the early era in a patch file, `NAME.PAT`: two copies of a database header, whose "current full backup" holds the
    whole range of logs, then whole pages. Size and header are as Microsoft Knowledge Base Q200941 describes them (8 KiB
    when empty, `eseutil /mh` shows the range); its real layout is not public, and this is the simulated engine's own. A
    page in it replaces the page of the copy when it is newer.

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
