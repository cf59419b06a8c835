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

from dataclasses import dataclass, replace
from enum import Enum
from io import BytesIO
from pathlib import Path

from tokar.ese.values import NO_BACKUP, BackupInfo
from tokar.lab.change_records import BackupMark
from tokar.lab.copies import DatabaseCopy, patch_name
from tokar.lab.engine import EngineError
from tokar.lab.instance import Instance
from tokar.lab.leaf_pages import Page
from tokar.lab.log_formats import read_log


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
        mark = instance.log.append(BackupMark(int(full)))
        instance.log.flush()
        self.info = BackupInfo(mark=mark, time=instance.clock.now(), generation_low=low)
        self.generation_low = low
        self.logs: list[BackupFile] | None = None
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
            path = self._instance.log.closed().get(file.number)
            if path is None:
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
            closed = self._instance.log.closed()
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
        if not self._logs_are_read() or (self._has_trailer and self.full and not self._databases_are_read()):
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

    def _databases_are_read(self) -> bool:
        return all(self._is_copied(dbid) for dbid in self._instance.tables)

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
