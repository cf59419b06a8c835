"""What a plan was made from, looked at again: staging takes hours, and the disk does not stand still."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tokar import names
from tokar.errors import ExistingFileError, RestoreError, StorageError
from tokar.restore.inventory import (
    STAGING_PREFIX,
    TargetDirectory,
    TargetState,
    engine_file,
    engine_of,
    is_aside,
    kind_of,
)
from tokar.restore.plan import Plan
from tokar.restore.staging import Stage
from tokar.storage.directory import Directory, inode_of
from tokar.words import some


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
        if seen.path in self._stages and not self._stages[seen.path].whole:
            return self._stages[seen.path].holder.identity()
        return None

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
        needed = {(one.directory, one.name) for one in self._plan.asides} | self._plan.stays
        for seen in self._plan.seen:
            identity = self._identity(seen)
            if seen.state is TargetState.MISSING:
                demand_ancestor(seen)
            if identity is None:
                self._demand_missing(seen.path)
                continue
            gone, new = _look_again(seen, identity, engine_file)
            if lost := [name for name in gone if (seen.path, name) in needed]:
                raise ExistingFileError(f"gone since the plan was made: {some(sorted(lost))}", path=seen.path)
            self._demand_nothing_new(seen.path, new, self._keys_in(seen.path) if new else set())
        for stage in self._stages.values():
            stage.demand_unmoved()
        for directory, name, identity in journals:
            with Directory(directory) as holder:
                if identity and holder.identity_of(name) not in {identity, None}:
                    raise StorageError("the journal of this restore was moved or replaced", path=holder.path_of(name))

    def before_databases(self) -> None:
        """Look for files of the engine that appeared while the others were placed.

        Raises:
            RestoreError: There are some, or a path leads elsewhere.
        """
        for seen in self._plan.seen:
            identity = self._identity(seen)
            if identity is None:
                continue
            _, new = _look_again(seen, identity, None)
            engine = {name: kind for name, kind in new.items() if kind is not None}
            if engine:
                own = self._keys_in(seen.path)
                engine = {name: kind for name, kind in engine.items() if names.collision_key(name) not in own}
                self._demand_nothing_new(seen.path, engine, set())

    @staticmethod
    def _demand_missing(path: str) -> None:
        if Path(path).is_symlink() or Path(path).exists():
            raise ExistingFileError("it was missing when the plan was made, and is there now", path=path)

    @staticmethod
    def _demand_nothing_new(path: str, new: Mapping[str, str | None], keys: set[str]) -> None:
        """Refuse files that appeared and are of the engine, or have a name that is going to be placed."""
        bad = sorted(name for name, kind in new.items() if kind or names.collision_key(name) in keys)
        if bad:
            listed = some(f"{names.printable(name)} ({new[name] or 'same name'})" for name in bad)
            raise ExistingFileError(f"appeared since the plan was made: {listed}", path=path)

    def _keys_in(self, path: str) -> set[str]:
        """Return the keys of the names that are placed in a directory, under whatever path."""
        own = self._directories[path].identity if path in self._directories else None
        paths = {one.path for one in self._directories.values() if one.identity == own}
        extras = [one.name for one in self._plan.extras if one.directory in paths]
        placed = [name for directory, name, _ in self._plan.steps.placements() if directory in paths]
        return {names.collision_key(name) for name in (*extras, *placed)}


def _look_again(
    seen: TargetDirectory, identity: str, identify: Callable[[Path], str | None] | None
) -> tuple[set[str], dict[str, str | None]]:
    """Hold a directory against what was seen of it when the plan was made.

    Args:
        seen: What was seen.
        identity: The identity that it must have now.
        identify: As in `take_inventory`.

    Returns:
        The names that are gone, and those that are new, each with what it is to the engine; names of tokar's own work
        and files that were set aside are no news.

    Raises:
        RestoreError: The path leads elsewhere now.
    """
    try:
        info = os.lstat(seen.path)
        if not stat.S_ISDIR(info.st_mode) or inode_of(info) != identity:
            raise MovedError(seen.path)
        before = {one.name for one in seen.found}
        gone, new = set(before), {}
        with os.scandir(seen.path) as entries:
            for entry in entries:
                gone.discard(name := entry.name)
                if name in before or name.startswith(STAGING_PREFIX) or is_aside(name):
                    continue
                new[name] = engine_of(entry, kind_of(entry), identify)
    except OSError as error:
        raise MovedError(seen.path) from error
    return gone, new


def demand_ancestor(seen: TargetDirectory) -> None:
    """Check that what is above a missing directory is still what was seen there.

    Raises:
        RestoreError: It is not.
    """
    above, *missing = seen.identity.split("/")
    try:
        same = inode_of(os.stat(Path(seen.path).parents[len(missing) - 1])) == above  # noqa: PTH116 - as `_missing`
    except OSError:
        same = False
    if not same:
        raise MovedError(seen.path)
