"""Carries out a plan. It decides nothing; and whatever happens, no half file ever has a final name.

What the disk looks like, step by step, also if the machine dies in the middle of one:

1. **Open.** Every path must still lead to the directory that the plan was made for. Each target directory is locked
   (`.tokar-restore-lock`, removed at the end), so that one restore is at work in it. In each a private staging folder
   `.tokar-restore-KEY-N` is made; for one that is missing, beside its final place, after the directories above it (all
   0700). KEY follows from the plan, so that a rerun finds it. *Dies here: empty directories and locks that nobody holds
   are left.*
2. **Stage.** Every file is written into the staging directory of its target, under its final name, exclusively,
   readable by its owner alone. The archive proves every chunk, and the digest of the whole, while it is read. *Dies
   here: files in the staging directories are left. Nothing that was there has been touched. A rerun of the same restore
   reads them again, and keeps those whose digest is right.*
3. **Sync.** All contents are made durable. *As before.*
4. **Journal.** `.tokar-restore-KEY.journal-1` is written beside the first staging directory, and made durable:
   everything is staged, and these files are going to be set aside. *Dies here: as before.*
5. **Look again.** What the plan was made from is looked at once more: a directory that is another one, a file of the
   engine that appeared or one that went away refuses the restore, and all is undone.
6. **Set aside.** Old files are renamed: checkpoints first, then databases, then the rest. *Dies here: some of what was
   there has its new name `NAME.tokar-aside-...`. Nothing new has a final name. A rerun sets the rest aside, if it is
   allowed to.*
7. **Commit.** Logs and patch files are renamed to their final names, then the databases; a directory that was missing
   is renamed once, with all that is in it. Each rename is atomic and replaces nothing; directories are synced between
   the two, so no database can be there durably while a log is not, and looked at again; at the end once more, and every
   file by its path. *Dies here: every file with a final name is whole, the rest is still staged. As long as something
   is missing, a database is. Because there is a journal, a rerun takes a file under a final name that has exactly the
   right digest for one that is in place, and goes on with the others.* With a server it is made set by set.
8. **Clear.** The staging directories are removed, the locks, and last of all the journal. *Dies here: the set is whole;
   a rerun only clears.*

An error or an interrupt before step 6 undoes everything, but what an interrupted run before this one had put in place.
Afterwards nothing is undone: what is in place stays, and so do the staged rest and the journal, as after a crash. The
error says exactly which files are in place, read anew, and which were set aside; the same restore goes on from there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final, Self

from tokar.errors import ArchiveError, PartialError, RestoreError, SourceError, StorageError, reason_of
from tokar.format.index import Entry
from tokar.restore.ahead import ContentReader
from tokar.restore.inventory import AT_WORK, LOCK_NAME, TargetState, lock_beside
from tokar.restore.journal import DRAFT, holds, is_whole, journal_name, numbered, staging_name, write_journal
from tokar.restore.plan import Aside, Plan
from tokar.restore.stager import Stager, is_own
from tokar.restore.staging import SecondLook, Stage, demand_ancestor, disturbed, whole_directories
from tokar.restore.workers import Tally
from tokar.storage import durable, windows
from tokar.storage.directory import Directory, Lock
from tokar.tokens import DATABASE_DIRECTORY

IN_PLACE: Final = "in place: "  # how a note begins that names a file


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
        RestoreError: The plan has problems, or does not fit what is there any more; nothing was written.
        FormatError: The archive is damaged; nothing is left but what was there.
        StorageError: The operating system refused before anything had a final name; as above.
        PlacingStoppedError: It stopped after that. An interrupt then passes through, with the same report as notes.
    """
    plan.raise_for_problems()
    with Placing(plan, reader, progress=progress, processes=processes) as work:
        work.stage()
        work.commit()
        return work.report()


class Placing:
    """Carrying out one plan: `stage`, then `commit`. Use it as a context manager: leaving it clears up.

    Args:
        plan: The plan; it must have no problems.
        reader: Where content comes from.
        progress: Called with the number of bytes that were written since the last call.
        processes: How many processes may stage many small files.
        group_of: For a chain that is registered with a server set by set, the number of the set that an entry is of.
    """

    def __init__(
        self,
        plan: Plan,
        reader: ContentReader,
        *,
        progress: Callable[[int], None] | None = None,
        processes: int = 1,
        group_of: Callable[[Entry], int] | None = None,
    ) -> None:
        if any(seen.state is TargetState.ELSEWHERE for seen in plan.seen):
            raise RestoreError("the plan is for another machine, and can only be shown here", hint="restore it there")
        self._plan = plan
        self._reader = reader
        self._progress = progress
        self._processes = processes
        self._group_of = group_of
        self._directories = {directory.path: directory for directory in plan.directories}
        self._whole = whole_directories(plan) if group_of is None else set()
        self._stages: dict[str, Stage] = {}
        self._look = SecondLook(plan, self._stages)
        self._others: dict[str, Directory] = {}
        self._locks: dict[tuple[str, str], Lock] = {}
        self._made: list[Path] = []
        self._staged = Tally(0, 0, 0)
        self._began_renaming = False
        self._name = staging_name(plan)
        self._journals = list(plan.interrupted.journals) if plan.interrupted else []
        self._done = plan.interrupted.placed if plan.interrupted else ()

    def stage(self) -> None:
        """Make directories, write and sync all files under staging names, and write the journal (steps 1 to 4).

        Raises:
            RestoreError: What is there is not what the plan was made for.
            FormatError: The archive is damaged.
            StorageError: The operating system refused, or another restore is at work here.
        """
        self._open()
        stager = Stager(self._plan, self._reader, self._stages, self._progress)
        self._staged, self._processes = stager.stage(self._processes), stager.processes
        stager.sync()
        if self._stages:
            self._write_journal(registered=self._group_of is not None)
        if self._group_of is not None:
            self._look.before_renaming(self._journals)  # before anything is registered, and later again

    def _open(self) -> None:
        """Make what is missing, open and lock the directories, and make the staging directories (step 1)."""
        for seen in self._plan.seen:
            if seen.state is TargetState.MISSING:
                demand_ancestor(seen)
        for path, directory in self._directories.items():
            if directory.make:
                self._make(Path(path).parent if path in self._whole else Path(path))
        for made in self._made:
            durable.sync_directory(made.parent)
        for number, path in enumerate(self._directories):
            stage = self._stages[path] = Stage(path, whole=path in self._whole, name=numbered(self._name, number))
            self._lock(stage.holder, stage.lock_name)
            self._lock_beside(path)
        for aside in self._plan.asides:
            self._lock(self._directory(aside.directory), LOCK_NAME)
        self._look.demand_unmoved(self._others)
        for stage in self._stages.values():
            stage.open()

    def _make(self, path: Path) -> None:
        """Make a directory and what is missing above it, and remember what was made."""
        missing = [path, *path.parents]
        for directory in reversed(missing):
            try:
                directory.mkdir(mode=0o700)
                windows.make_private(str(directory))
            except FileExistsError:
                continue
            except OSError as error:
                if directory.is_dir():
                    continue  # such as the root of a read-only file system
                raise StorageError(f"cannot make the directory: {reason_of(error)}", path=directory) from error
            self._made.append(directory)

    def _lock(self, holder: Directory, name: str) -> None:
        """Keep other restores out of a directory, which two paths of the plan may mean."""
        key = holder.identity(), name
        if key not in self._locks:
            self._locks[key] = Lock(holder, name, AT_WORK)

    def _lock_beside(self, path: str) -> None:
        """Take a lock from when the directory was not there yet: another restore holds it still, or died with it."""
        above = os.path.realpath(os.path.dirname(path))  # noqa: PTH120 - text, as everywhere in a plan
        if os.path.lexists(os.path.join(above, lock_beside(path))):  # noqa: PTH118 - as above
            self._lock(self._directory(above), lock_beside(path))

    def commit(self, group: int = 0) -> None:
        """Rename: old files aside, then logs and patch files into place, then databases (steps 5 to 7).

        Args:
            group: The set whose files get their names, where sets are registered one by one; 0 comes first.

        Raises:
            RestoreError: What is there is not what the plan was made for.
            StorageError: The operating system refused.
        """
        if not self._began_renaming:
            for lock in self._locks.values():
                lock.demand_held()
            self._look.before_renaming(self._journals)
            self._began_renaming = True
            for aside in self._plan.asides:
                directory = self._directory(aside.directory)
                directory.rename(aside.name, directory, aside.new_name)
            self._sync_directories()
        databases = self._commit_others(group)
        self._sync_directories()
        if databases:
            self._look.before_databases()
        for path in self._whole_with(databases=True, others=True):
            self._stages[path].commit_whole()
            self._sync_directories()
        for path in self._whole_with(databases=True, others=False):
            self._stages[path].commit_whole()
        for stage, name in databases:
            stage.commit(name)
        self._sync_directories()
        self._look.after_placing(partial(self._files_of, group), self._processes)

    def _files_of(self, group: int, share: int, shares: int) -> Iterator[tuple[str, str, int]]:
        """Yield directory, name and size of the files of a set that fall to a share."""
        for extra in self._plan.extras if group == share == 0 else ():
            yield extra.directory, extra.name, len(extra.data)
        for path, name, entry in self._plan.steps.placements(partial(is_own, share, shares)):
            if self._group_of is None or self._group_of(entry) == group:
                yield path, name, entry.size

    def forget_registration(self) -> None:
        """Write down that nothing of this restore is registered with the server after all: it refused."""
        before = list(self._journals)
        self._write_journal(registered=False)
        del self._journals[: len(before)]
        _remove_journals(before)

    def _write_journal(self, *, registered: bool) -> None:
        """Write down that everything is staged, and what is set aside, before the first rename."""
        holder = next(iter(self._stages.values())).holder
        earlier = self._plan.interrupted.asides if self._plan.interrupted else ()
        own = journal_name(holder, self._name)
        self._journals.append((holder.path, own, ""))  # before it is written, so that it is removed after an error too
        write_journal(holder, own, chain(earlier, self._plan.asides), registered=registered)
        self._journals[-1] = holder.path, own, holder.identity_of(own) or ""

    def _commit_others(self, group: int) -> list[tuple[Stage, str]]:
        """Rename everything but databases; return the databases that are to be renamed one by one."""
        databases: list[tuple[Stage, str]] = []
        for path in self._whole_with(databases=False):
            self._stages[path].commit_whole()
        for extra in self._plan.extras if group == 0 else ():
            if extra.directory not in self._whole and (extra.directory, extra.name) not in self._done:
                self._stages[extra.directory].commit(extra.name)
        if len(self._whole) == len(self._stages):
            return databases
        for path, name, entry in self._plan.steps.placements():
            stage = self._stages[path]
            if stage.whole or (self._group_of is not None and self._group_of(entry) != group):
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
            raise disturbed("it was in place when the plan was made, and is gone", stage.final_path(name))

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
        if path in self._stages and not self._stages[path].whole:
            return self._stages[path].holder
        if path not in self._others:
            self._others[path] = Directory(path)
        return self._others[path]

    def _sync_directories(self) -> None:
        for stage in self._stages.values():
            stage.sync()
        for directory in self._others.values():
            directory.sync()

    def _clear(self) -> None:
        """Remove what is staged, and give back the locks; the journals last, so that a rerun knows what was begun."""
        for stage in self._stages.values():
            stage.clear()
            with suppress(StorageError):
                if stage.holder.has(self._name + DRAFT):
                    stage.holder.remove(self._name + DRAFT)
        self._release()
        _remove_journals(self._journals)

    def _release(self) -> None:
        for lock in self._locks.values():
            lock.release()

    def _close(self) -> None:
        """Give back the locks, and close everything."""
        self._release()
        for stage in self._stages.values():
            stage.close()
        for directory in self._others.values():
            directory.close()

    def _undo(self) -> None:
        """Remove what was staged, and the directories that were made; what an earlier run has begun to place stays."""
        if self._plan.interrupted is None or not self._plan.interrupted.journals:
            self._clear()
        self._close()
        for made in reversed(self._made):
            with suppress(OSError):
                made.rmdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if not self._began_renaming:
            self._undo()
            return
        if error is not None:
            self._report(error)
            return
        try:
            self._clear()
        except BaseException as interrupt:
            self._report(interrupt)
            raise
        self._close()

    def _report(self, error: BaseException) -> None:
        """Say with an error what is in place; what is staged and the journal stay.

        Raises:
            PlacingStoppedError: It is no interrupt.
        """
        try:
            stopped = self._stopped(error)
        except BaseException:
            self._close()
            raise
        if stopped is None:
            self._undo()
            return
        self._close()
        if isinstance(error, Exception):
            raise stopped from error
        for note in (str(stopped), *stopped.__notes__):
            error.add_note(note)

    def report(self) -> Report:
        """Return what was done, after all went well."""
        earlier = self._plan.interrupted.asides if self._plan.interrupted else ()
        asides = (*earlier, *self._plan.asides) if earlier else self._plan.asides
        return Report(self._staged.files, self._staged.size, asides, self._staged.without_time, len(self._done))

    def _stopped(self, error: BaseException) -> PlacingStoppedError | None:
        """Return the report of what is in place; None where nothing was renamed, so that all can be undone.

        It is told from the disk, since an interrupt can come after any rename and before anything could be noted.
        """
        staged = {path: stage.staged() for path, stage in self._stages.items()}
        placed: list[str] = []
        lost: list[str] = []
        missing = 0
        contents: Iterator[tuple[str, str, Entry | bytes]] = chain(
            ((extra.directory, extra.name, extra.data) for extra in self._plan.extras),
            self._plan.steps.placements(),
        )
        for path, name, content in contents:
            if name in staged[path]:
                missing += 1
                continue
            final = self._stages[path].final_path(name)
            (placed if self._is_in_place(path, name, content) else lost).append(final)
        new = set(placed)
        asides = tuple(aside for aside in self._plan.asides if self._is_done(aside, new))
        if not placed and not asides and not lost:
            return None
        why = error.message if isinstance(error, ArchiveError) else str(error) or type(error).__name__
        result = PlacingStoppedError(
            f"{len(placed)} of {len(placed) + len(lost) + missing} files are in place, then it stopped: {why}",
            placed=tuple(placed),
            asides=asides,
            missing=missing + len(lost),
            path=getattr(error, "path", None),
            hint=error.hint if isinstance(error, SourceError) else None,
        )
        for final in placed:
            result.add_note(f"{IN_PLACE}{final}")
        for final in lost:
            result.add_note(f"neither staged nor whole in its place: {final}")
        for aside in asides:
            result.add_note(f"set aside in {aside.directory}: {aside.name} is now {aside.new_name}")
        return result

    def _is_in_place(self, path: str, name: str, content: Entry | bytes) -> bool:
        """Return whether a file, read anew by its path, is there and whole."""
        try:
            with Directory(path) as directory:
                if isinstance(content, bytes):
                    return holds(Path(path, name), content)
                return is_whole(directory, name, content)
        except (OSError, StorageError):
            return False

    def _is_done(self, aside: Aside, placed: set[str]) -> bool:
        """Return whether a file was set aside: it has its new name, and its old one is free or has a new file."""
        directory = self._directory(aside.directory)
        is_free = not directory.has(aside.name) or directory.path_of(aside.name) in placed
        return is_free and directory.has(aside.new_name)


def note_sets(error: BaseException, sets: Iterable[tuple[str, Sequence[str]]]) -> bool:
    """Note with an error that stopped placing what is in place of each set of a chain.

    Args:
        error: The error; one that says nothing of placing stays as it is.
        sets: What each set is called, and the paths of its files, in the order of the chain.

    Returns:
        Whether it says anything of placing.
    """
    notes = getattr(error, "__notes__", ())
    placed = {note.removeprefix(IN_PLACE) for note in notes if note.startswith(IN_PLACE)}
    if not placed and not isinstance(error, PlacingStoppedError):
        return False
    for number, (label, paths) in enumerate(sets, 1):
        there = sum(path in placed for path in paths)
        error.add_note(f"set {number}, {label}; {there} of {len(paths)} files are in place")
    return True


def _remove_journals(journals: Iterable[tuple[str, str, str]]) -> None:
    """Remove journals by directory, name and identity, as far as that can be done."""
    for directory, name, identity in journals:
        with suppress(StorageError), Directory(directory) as holder:
            if identity in {"", holder.identity_of(name)}:
                holder.remove(name)


@dataclass(frozen=True, slots=True)
class Report:
    """What placing has done."""

    files: int  # How many files are in place
    size: int  # Their bytes
    asides: Collection[Aside]  # The files that were set aside
    without_time: int  # How many files could not be given their modification time
    found: int = 0  # How many of the files were in place already, from an earlier run of the same restore


class PlacingStoppedError(PartialError):
    """Placing stopped after the first rename: some files are in place, others are not.

    Args:
        message: What stopped it, in one line.
        placed: The paths of the files that are in place, each of them whole.
        asides: The renames of old files that were done.
        missing: How many files are not in place.
        path: The file at which it stopped.
        hint: What to do next, where it is not only to run the same restore again.
    """

    hint_text = "run the same restore again: it goes on from here; nothing was deleted"

    def __init__(
        self,
        message: str,
        *,
        placed: tuple[str, ...],
        asides: tuple[Aside, ...],
        missing: int,
        path: Path | str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, path=path, hint=hint)
        self.placed = placed
        self.asides = asides
        self.missing = missing
