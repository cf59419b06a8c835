"""Carries out a plan. It decides nothing; and whatever happens, no half file ever has a final name.

What the disk looks like, step by step, also if the machine dies in the middle of one:

1. **Open.** In each target directory a private staging directory `.tokar-restore-KEY-N` is made; for one that is
   missing, beside its final place, after the directories above it (all 0700). KEY follows from the plan, so that a
   rerun finds it; it is locked as long as the run lives. *Dies here: empty directories are left.*
2. **Stage.** Every file is written into the staging directory of its target, under its final name, exclusively,
   readable by its owner alone. The archive proves every chunk, and the digest of the whole, while it is read. *Dies
   here: files in the staging directories are left. Nothing that was there has been touched. A rerun of the same restore
   reads them again, and keeps those whose digest is right.*
3. **Sync.** All contents are made durable. *As before.*
4. **Journal.** `.tokar-restore-KEY.journal-1` is written beside the first staging directory, and made durable:
   everything is staged, and these files are going to be set aside. *Dies here: as before; half a journal says nothing.*
5. **Set aside.** Old files are renamed: checkpoints first, then databases, then the rest. *Dies here: some of what was
   there has its new name `NAME.tokar-aside-...`. Nothing new has a final name. A rerun sets the rest aside, if it is
   allowed to.*
6. **Commit.** Logs and patch files are renamed to their final names, then the databases; a directory that was missing
   is renamed once, with all that is in it. Each rename is atomic and replaces nothing; directories are synced between
   the two, so no database can be there durably while a log is not. *Dies here: every file with a final name is whole,
   the rest is still staged. As long as something is missing, a database is. Because there is a journal, a rerun takes
   a file under a final name that has exactly the right digest for one that is in place, and goes on with the others.*
7. **Clear.** The staging directories are removed, and last of all the journal. *Dies here: the set is whole; a rerun
   only clears.*

An error or an interrupt before step 5 undoes everything, but what an interrupted run before this one had put in place.
Afterwards nothing is undone: what is in place stays, the staged rest and the journal are removed, and the error says
exactly which files are in place and which were set aside.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from tokar.errors import ArchiveError, PartialError, StorageError
from tokar.restore.journal import journal_name, numbered, staging_name, write_journal
from tokar.restore.stager import Stager
from tokar.restore.staging import Stage, whole_directories
from tokar.restore.workers import Tally
from tokar.storage import durable
from tokar.storage.directory import Directory
from tokar.tokens import DATABASE_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokar.restore.plan import Aside, Plan
    from tokar.restore.stager import ContentReader


def place(
    plan: Plan, reader: ContentReader, *, progress: Callable[[int], None] | None = None, processes: int = 1
) -> Report:
    """Put the files of a plan where it says.

    What the disk looks like if it dies half-way is said at the top of this module.

    Args:
        plan: The plan; it must have no problems.
        reader: Where content comes from.
        progress: Called with the number of bytes that were written since the last call.
        processes: How many processes may stage many small files. All but one are forked, so a program with threads of
            its own should leave it at one.

    Raises:
        RestoreError: The plan has problems; nothing was written.
        FormatError: The archive is damaged; nothing is left but what was there.
        StorageError: The operating system refused before anything had a final name; as above.
        PlacingStoppedError: It stopped after that. An interrupt then passes through, with the same report as notes.
    """
    plan.raise_for_problems()
    work = _Placing(plan, reader, progress, processes)
    try:
        work.prepare()
    except BaseException:
        work.clear()
        raise
    try:
        work.commit()
    except BaseException as error:
        try:
            stopped = work.stopped(error)
        finally:
            work.clear()
        if stopped is None:
            raise
        if isinstance(error, Exception):
            raise stopped from error
        for note in (str(stopped), *stopped.__notes__):
            error.add_note(note)
        raise
    work.clear()
    return work.report()


class _Placing:
    """The state of carrying out one plan."""

    def __init__(
        self, plan: Plan, reader: ContentReader, progress: Callable[[int], None] | None, processes: int
    ) -> None:
        self._plan = plan
        self._reader = reader
        self._progress = progress
        self._processes = processes
        self._directories = {directory.path: directory for directory in plan.directories}
        self._whole = whole_directories(plan)
        self._stages: dict[str, Stage] = {}
        self._others: dict[str, Directory] = {}
        self._made: list[Path] = []
        self._staged = Tally(0, 0, 0)
        self._began_renaming = False
        self._name = staging_name(plan)
        self._journals = list(plan.interrupted.journals) if plan.interrupted else []
        self._done = plan.interrupted.placed if plan.interrupted else frozenset()

    def prepare(self) -> None:
        """Make directories, write and sync all files under staging names (steps 1 to 3)."""
        for path, directory in self._directories.items():
            if directory.make:
                self._make(Path(path).parent if path in self._whole else Path(path))
        for made in self._made:
            durable.sync_directory(made.parent)
        for number, path in enumerate(self._directories):
            stage = self._stages[path] = Stage(path, whole=path in self._whole, name=numbered(self._name, number))
            stage.open()
        stager = Stager(self._plan, self._reader, self._stages, self._progress)
        self._staged = stager.stage(self._processes)
        stager.sync()

    def _make(self, path: Path) -> None:
        """Make a directory and what is missing above it, and remember what was made."""
        missing = [path, *path.parents]
        for directory in reversed(missing):
            try:
                directory.mkdir(mode=0o700)
            except FileExistsError:
                continue
            except OSError as error:
                if directory.is_dir():
                    continue  # such as the root of a read-only file system
                raise StorageError(f"cannot make the directory: {error.strerror}", path=directory) from error
            self._made.append(directory)

    def commit(self) -> None:
        """Rename: old files aside, then logs and patch files into place, then databases (steps 4 to 6)."""
        if self._stages:
            self._write_journal()
        self._began_renaming = True
        for aside in self._plan.asides:
            directory = self._directory(aside.directory)
            directory.rename(aside.name, directory, aside.new_name)
        self._sync_directories()
        databases = self._commit_others()
        self._sync_directories()
        for path in self._whole_with(databases=True, others=True):
            self._stages[path].commit_whole()
            self._sync_directories()
        for path in self._whole_with(databases=True, others=False):
            self._stages[path].commit_whole()
        for stage, name in databases:
            stage.commit(name)
        self._sync_directories()

    def _write_journal(self) -> None:
        """Write down that everything is staged, and what is set aside, before the first rename."""
        holder = next(iter(self._stages.values())).holder
        earlier = self._plan.interrupted.asides if self._plan.interrupted else ()
        own = journal_name(holder, self._name)
        self._journals.append((holder.path, own))  # before it is written, so that half of one is removed too
        write_journal(holder, own, (*earlier, *self._plan.asides))

    def _commit_others(self) -> list[tuple[Stage, str]]:
        """Rename everything but databases; return the databases that are to be renamed one by one."""
        databases: list[tuple[Stage, str]] = []
        for path in self._whole_with(databases=False):
            self._stages[path].commit_whole()
        for extra in self._plan.extras:
            if extra.directory not in self._whole and (extra.directory, extra.name) not in self._done:
                self._stages[extra.directory].commit(extra.name)
        if len(self._whole) == len(self._stages):
            return databases
        for path, name, entry in self._plan.steps.placements():
            stage = self._stages[path]
            if stage.whole:
                continue
            if (path, name) in self._done:
                self._demand_there(stage, name)
                continue
            if entry.token & DATABASE_DIRECTORY:  # last, because a database makes a restore look finished
                databases.append((stage, name))
            else:
                stage.commit(name)
        return databases

    @staticmethod
    def _demand_there(stage: Stage, name: str) -> None:
        """Check that a file that an interrupted run has put in place is there still."""
        if not stage.holder.has(name):
            raise StorageError("it was in place when the plan was made, and is gone", path=stage.final_path(name))

    def _whole_with(self, *, databases: bool, others: bool | None = None) -> list[str]:
        """Return the directories that are staged as a whole and do or do not get databases, and other files."""
        chosen = (directory for path, directory in self._directories.items() if path in self._whole)
        return [
            one.path
            for one in chosen
            if bool(one.databases) is databases and others in {None, one.files > one.databases}
        ]

    def _directory(self, path: str) -> Directory:
        """Return an open directory, also one that gets no file but has something to be set aside."""
        if path in self._stages:
            return self._stages[path].holder
        if path not in self._others:
            self._others[path] = Directory(path)
        return self._others[path]

    def _sync_directories(self) -> None:
        for stage in self._stages.values():
            stage.sync()
        for directory in self._others.values():
            directory.sync()

    def clear(self) -> None:
        """Remove the staging directories; where nothing was renamed, also the directories that were made."""
        for stage in self._stages.values():
            stage.clear()
        for directory in self._others.values():
            directory.close()
        if self._began_renaming or self._plan.interrupted is None:
            self._remove_journals()
        if not self._began_renaming:
            for made in reversed(self._made):
                with suppress(OSError):
                    made.rmdir()

    def _remove_journals(self) -> None:
        """Remove the journals, last of all: as long as one is there, a rerun knows what was begun."""
        for directory, name in self._journals:
            with suppress(StorageError), Directory(directory) as holder:
                holder.remove(name)

    def report(self) -> Report:
        """Return what was done, after all went well."""
        earlier = self._plan.interrupted.asides if self._plan.interrupted else ()
        files, size, without_time = self._staged
        return Report(files, size, (*earlier, *self._plan.asides), without_time)

    def stopped(self, error: BaseException) -> PlacingStoppedError | None:
        """Return the report of what is in place; None where nothing was renamed, so that all can be undone.

        It is told from the disk, since an interrupt can come after any rename and before anything could be noted.
        """
        staged = {path: stage.staged() for path, stage in self._stages.items()}
        placed: list[str] = []
        missing = 0
        extras = ((extra.directory, extra.name) for extra in self._plan.extras)
        for directory_path, name in chain(extras, (placement[:2] for placement in self._plan.steps.placements())):
            if name in staged[directory_path]:
                missing += 1
            else:
                placed.append(self._stages[directory_path].final_path(name))
        new = set(placed)
        asides = tuple(aside for aside in self._plan.asides if self._is_done(aside, new))
        if not placed and not asides:
            self._began_renaming = False
            return None
        why = error.message if isinstance(error, ArchiveError) else str(error) or type(error).__name__
        result = PlacingStoppedError(
            f"{len(placed)} of {len(placed) + missing} files are in place, then it stopped: {why}",
            placed=tuple(placed),
            asides=asides,
            missing=missing,
            path=getattr(error, "path", None),
        )
        for path in placed:
            result.add_note(f"in place: {path}")
        for aside in asides:
            result.add_note(f"set aside in {aside.directory}: {aside.name} is now {aside.new_name}")
        return result

    def _is_done(self, aside: Aside, placed: set[str]) -> bool:
        """Return whether a file was set aside: it has its new name, and its old one is free or has a new file."""
        directory = self._directory(aside.directory)
        if not directory.has(aside.new_name):
            return False
        return not directory.has(aside.name) or directory.path_of(aside.name) in placed


@dataclass(frozen=True, slots=True)
class Report:
    """What placing has done."""

    files: int  # How many files are in place
    size: int  # Their bytes
    asides: tuple[Aside, ...]  # The files that were set aside
    without_time: int  # How many files could not be given their modification time


class PlacingStoppedError(PartialError):
    """Placing stopped after the first rename: some files are in place, others are not.

    Args:
        message: What stopped it, in one line.
        placed: The paths of the files that are in place, each of them whole.
        asides: The renames of old files that were done.
        missing: How many files are not in place.
        path: The file at which it stopped.
    """

    hint_text = "run it again with --existing set-aside; nothing was deleted"

    def __init__(
        self,
        message: str,
        *,
        placed: tuple[str, ...],
        asides: tuple[Aside, ...],
        missing: int,
        path: Path | str | None = None,
    ) -> None:
        super().__init__(message, path=path)
        self.placed = placed
        self.asides = asides
        self.missing = missing
