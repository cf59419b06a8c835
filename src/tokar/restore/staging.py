"""Staging: where files of one target directory are written before they have their final names.

A directory that is there gets a private staging directory inside, on the same file system, and every file is renamed
out of it. A directory that has yet to be made is staged as a whole, beside its final place, and gets its name with all
its files in one rename: that is quicker, and there is no moment at which it is half full.

And a second look at what a plan was made from: staging takes hours, and the disk does not stand still.
"""

from __future__ import annotations

import os
import stat
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from itertools import chain
from pathlib import Path, PurePath

from tokar import names
from tokar.errors import ExistingFileError, RestoreError, StorageError, storage_errors
from tokar.restore.inventory import (
    LOCK_NAME,
    TargetDirectory,
    TargetState,
    engine_file,
    engine_of,
    kind_of,
    lock_beside,
)
from tokar.restore.plan import Plan
from tokar.restore.workers import Tally, WorkerPool
from tokar.storage.directory import Directory, inode_of
from tokar.words import some


def disturbed(message: str, path: str | None = None) -> StorageError:
    """Return the error where somebody else works in the same folders: a plan that is made anew sees what is there."""
    return StorageError(message, path=path, hint="run again, and let nobody else work in these folders meanwhile")


class Stage:
    """The staging directory of one target directory.

    Args:
        path: The target directory. If it is staged as a whole, it is missing and the directory above it is there.
        whole: Whether it is staged as a whole.
        name: The name of the staging directory.

    Raises:
        StorageError: The holder cannot be opened.
    """

    def __init__(self, path: str, *, whole: bool, name: str) -> None:
        self.path = path  # The target directory
        self.whole = whole  # Whether it is staged as a whole
        above, self._last = os.path.split(path)
        # Links above the target are followed (spec/tokens.md, PLC-2), so the directory above may be one.
        # The directory that the staging directory is in: the target directory, or the one above it.
        self.holder = Directory(os.path.realpath(above) if whole else path)
        self._name = name
        self._opened: Directory | None = None
        self._is_own = False
        self.is_placed = False  # Whether it has its final name, where it is staged as a whole
        self.left: set[str] = set()  # The names that an interrupted run left in it
        self.lock_name = lock_beside(path) if whole else LOCK_NAME  # In the holder

    def open(self) -> None:
        """Make the staging directory, or take over the one that an interrupted run of the same plan left.

        Raises:
            StorageError: It cannot be made, it is not private to this user, or another run is at work in it.
        """
        if self.holder.has(self._name):
            self._opened = Directory(
                self.holder.path_of(self._name), within=self.holder, by_path=self.holder.descriptor is None
            )
            self._opened.demand_private("this is left of a restore, and others may have written in it; remove it")
            self.left = set(self._opened.names())
        else:
            self._opened = self.holder.make(self._name)
        self._opened.lock("another run of this restore is at work")
        self._is_own = True

    def demand_unmoved(self) -> None:
        """Check that the staging directory still has its name: a directory is renamed as a whole by it.

        Raises:
            StorageError: Something else has.
        """
        if self._opened is not None and self.holder.identity_of(self._name) != self._opened.identity():
            raise disturbed("the staging directory was moved or replaced", self.holder.path_of(self._name))

    @property
    def opened(self) -> Directory:
        """The staging directory."""
        assert self._opened is not None
        return self._opened

    @property
    def target(self) -> Directory:
        """The directory that files have their final names in: where it is staged as a whole, that one."""
        return self.opened if self.whole else self.holder

    def commit(self, name: str) -> None:
        """Give a file its final name."""
        self.opened.rename(name, self.holder, name)

    def commit_whole(self) -> None:
        """Give the directory its final name, and so all its files theirs."""
        self.holder.rename(self._name, self.holder, self._last)
        self.opened.path, self.is_placed = self.path, True

    def sync(self) -> None:
        """Make the renames durable."""
        self.holder.sync()

    def final_path(self, name: str) -> str:
        """Return the path of a file in its final place."""
        return os.path.join(self.path, name)  # noqa: PTH118 - text, for a report

    def staged(self) -> set[str]:
        """Return the names of the files that are still staged.

        The staging directory is opened by its name again: after a rename as a whole that name is gone, while the
        descriptor from before would show files in their final place.
        """
        if not self.holder.has(self._name):
            return set()
        with Directory(self.holder.path_of(self._name), within=self.holder) as staging:
            return set(staging.names())

    def clear(self) -> None:
        """Remove what is still staged, as far as that can be done."""
        with suppress(StorageError):
            if self._is_own and self.holder.has(self._name):  # by name, for the reason above
                with Directory(self.holder.path_of(self._name), within=self.holder) as staging:
                    for name in staging.names():
                        staging.remove(name)
                self.holder.remove_directory(self._name)

    def close(self) -> None:
        """Close everything; what is staged stays."""
        if self._opened is not None:
            self._opened.close()
        self.holder.close()


def whole_directories(plan: Plan) -> set[str]:
    """Return the target directories of a plan that can be staged as a whole.

    Such a directory has to be made, no other path means it too, and no other directory of the plan is below it. Of
    those that get databases and other files there may be only one: with two, the first would show a database before the
    second shows its logs.
    """
    used = {directory.path for directory in plan.directories} | {aside.directory for aside in plan.asides}
    above = {str(parent) for path in used for parent in PurePath(path).parents}
    alike = Counter(directory.identity for directory in plan.directories)
    fresh = [one for one in plan.directories if one.make and one.path not in above and alike[one.identity] == 1]
    mixed = [one.path for one in plan.directories if 0 < one.databases < one.files]
    return {one.path for one in fresh if len(mixed) == 1 or one.path not in mixed}


class MovedError(RestoreError):
    """A path does not lead to the directory that the plan was made for."""

    hint_text = "see who moves directories or links there, and restore again"

    def __init__(self, path: str) -> None:
        super().__init__("the directory is not the one that the plan was made for", path=path)


class SecondLook:
    """Holds what is there against what the plan was made from.

    Args:
        plan: The plan.
        stages: The staging directories by target directory, as they are opened.
    """

    def __init__(self, plan: Plan, stages: Mapping[str, Stage]) -> None:
        self._plan = plan
        self._stages = stages
        self._directories = {one.path: one for one in plan.directories}

    def _identity(self, seen: TargetDirectory) -> str | None:
        """Return the identity that a path must have now; None where nothing may be there."""
        if seen.state is TargetState.DIRECTORY:
            return seen.identity
        stage = self._stages.get(seen.path)
        if stage is None or (stage.whole and not stage.is_placed):
            return None
        return stage.target.identity()

    def demand_unmoved(self, others: Mapping[str, Directory]) -> None:
        """Check that what was opened is what the plan was made for.

        Args:
            others: The open directories that get no file.

        Raises:
            RestoreError: It is not.
        """
        opened = {**others, **{path: stage.holder for path, stage in self._stages.items() if not stage.whole}}
        for seen in self._plan.seen:
            holder = opened.get(seen.path) if seen.state is TargetState.DIRECTORY else None
            if holder is not None and holder.identity() != seen.identity:
                raise MovedError(seen.path)

    def before_renaming(self, journals: Iterable[tuple[str, str, str]]) -> None:
        """Hold what is there against what the plan was made from, just before the first rename.

        Args:
            journals: Directory, name and identity of the journals; an empty identity is not known.

        Raises:
            RestoreError: A path leads elsewhere, a file of the engine or of a name to be placed appeared, or a file
                that is to be set aside or to stay went away.
            StorageError: A staging directory was moved.
        """
        for seen in self._plan.seen:
            identity = self._identity(seen)
            if seen.state is TargetState.MISSING:
                demand_ancestor(seen)
            if identity is None:
                self._demand_missing(seen.path)
                continue
            known = names.NameHashes(one.name for one in seen.found)
            new = dict(_look_again(seen, identity, engine_file, known))
            if lost := sorted(self._lost(seen.path)):
                raise ExistingFileError(f"gone since the plan was made: {some(lost)}", path=seen.path)
            self._demand_nothing_new(seen.path, new, self._keys_in(seen.path) if new else names.NameHashes())
        for stage in self._stages.values():
            stage.demand_unmoved()
        for directory, name, identity in journals:
            with Directory(directory) as holder:
                if identity and holder.identity_of(name) not in {identity, None}:
                    raise disturbed("the journal of this restore was moved or replaced", holder.path_of(name))

    def before_databases(self) -> None:
        """Look for files of the engine that appeared while the others were placed.

        Raises:
            RestoreError: There are some, or a path leads elsewhere.
        """
        for seen in self._plan.seen:
            identity = self._identity(seen)
            if identity is None:
                continue
            aside = names.NameHashes(self._plan.asides.names_in(seen.path))
            known = names.NameHashes(one.name for one in seen.found if one.name not in aside)
            own: names.NameHashes | None = None
            engine: dict[str, str | None] = {}
            for name, kind in _look_again(seen, identity, None, known):
                if kind is None:
                    continue
                own = self._keys_in(seen.path) if own is None else own
                if names.collision_key(name) not in own:
                    engine[name] = kind
            self._demand_nothing_new(seen.path, engine, names.NameHashes())

    def after_placing(self, placed: Callable[[int, int], Iterable[tuple[str, str, int]]], processes: int) -> None:
        """Check by their paths that files are where they were placed, and that nothing is beside them that must not be.

        Args:
            placed: Returns directory, name and size of the files of a share, of so many.
            processes: How many processes look.

        Raises:
            RestoreError: A path leads elsewhere, or a file of the engine appeared.
            StorageError: A file is gone, or is another one.
        """

        def look(share: int) -> Iterator[Tally]:
            yield self._demand_placed(placed(share, processes))

        pool = WorkerPool(processes - 1, look)
        try:
            self._demand_placed(placed(0, processes))
            self.before_databases()
            deque(pool.tallies(wait=True), maxlen=0)
        finally:
            pool.end()
        for share, _ in pool.undone():
            self._demand_placed(placed(share, processes))

    def _demand_placed(self, placed: Iterable[tuple[str, str, int]]) -> Tally:
        """Check that files are where they were placed, of their size; return how many they are.

        Raises:
            RestoreError: A path leads elsewhere.
            StorageError: A file is gone, or is another one.
        """
        files = 0
        with ExitStack() as opened:
            directories: dict[str, Directory] = {}
            for path, name, size in placed:
                directory = directories.get(path)
                if directory is None:
                    directory = directories[path] = opened.enter_context(Directory(path))
                    if directory.identity() != self._stages[path].target.identity():
                        raise MovedError(path)
                if directory.size_of(name) != size:
                    raise disturbed("it was placed, and is gone or replaced", directory.path_of(name))
                files += 1
        return Tally(files, 0, 0)

    def _lost(self, path: str) -> list[str]:
        """Return the names of a directory that are to be set aside or to stay, and are not there any more."""
        with storage_errors("list the directory", path), os.scandir(path) as entries:
            there = names.NameHashes(one.name for one in entries)
        stays = (name for directory, name in self._plan.stays if directory == path)
        return [name for name in chain(stays, self._plan.asides.names_in(path)) if name not in there]

    @staticmethod
    def _demand_missing(path: str) -> None:
        if Path(path).is_symlink() or Path(path).exists():
            raise ExistingFileError("it was missing when the plan was made, and is there now", path=path)

    @staticmethod
    def _demand_nothing_new(path: str, new: Mapping[str, str | None], keys: names.NameHashes) -> None:
        """Refuse files that appeared and are of the engine, or have a name that is going to be placed."""
        bad = sorted(name for name, kind in new.items() if kind or names.collision_key(name) in keys)
        if bad:
            listed = some(f"{names.printable(name)} ({new[name] or 'same name'})" for name in bad)
            raise ExistingFileError(f"appeared since the plan was made: {listed}", path=path)

    def _keys_in(self, path: str) -> names.NameHashes:
        """Return the hashes of the keys of the names that are placed in a directory, under whatever path."""
        own = self._directories[path].identity if path in self._directories else None
        paths = {one.path for one in self._directories.values() if one.identity == own}
        extras = (one.name for one in self._plan.extras if one.directory in paths)
        placed = (name for directory, name, _ in self._plan.steps.placements() if directory in paths)
        return names.NameHashes(map(names.collision_key, chain(extras, placed)))


def _look_again(
    seen: TargetDirectory, identity: str, identify: Callable[[Path], str | None] | None, known: names.NameHashes
) -> Iterator[tuple[str, str | None]]:
    """Yield the names that are new in a directory, each with what it is to the engine.

    Names of tokar's own work and files that were set aside are no news.

    Args:
        seen: What was seen of it when the plan was made.
        identity: The identity that it must have now.
        identify: As in `take_inventory`.
        known: The names that are no news.

    Raises:
        RestoreError: The path leads elsewhere now.
    """
    try:
        info = os.lstat(seen.path)
        if not stat.S_ISDIR(info.st_mode) or inode_of(info) != identity:
            raise MovedError(seen.path)
        with os.scandir(seen.path) as entries:
            for entry in entries:
                name = entry.name
                if name not in known and not name.startswith(names.STAGING_PREFIX) and not names.is_aside(name):
                    yield name, engine_of(entry, kind_of(entry), identify)
    except OSError as error:
        raise MovedError(seen.path) from error


def demand_ancestor(seen: TargetDirectory) -> None:
    """Check that what is above a missing directory is still what was seen there.

    Raises:
        RestoreError: It is not.
        StorageError: The system does not say.
    """
    above, *missing = seen.identity.split("/")
    try:
        with storage_errors("look at the directory", seen.path):
            same = inode_of(os.stat(Path(seen.path).parents[len(missing) - 1])) == above  # noqa: PTH116 - as `_missing`
    except StorageError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        same = False
    if not same:
        raise MovedError(seen.path)
