"""Staging: where files of one target directory are written before they have their final names.

A directory that is there gets a private staging directory inside, on the same file system, and every file is renamed
out of it. A directory that has yet to be made is staged as a whole, beside its final place, and gets its name with all
its files in one rename: that is quicker, and there is no moment at which it is half full.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from pathlib import PurePath

from tokar.errors import StorageError
from tokar.restore.inventory import LOCK_NAME, lock_beside
from tokar.restore.plan import Plan
from tokar.storage.directory import Directory


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
        self.left: set[str] = set()  # The names that an interrupted run left in it
        self.lock_name = lock_beside(path) if whole else LOCK_NAME  # In the holder

    def open(self) -> None:
        """Make the staging directory, or take over the one that an interrupted run of the same plan left.

        Raises:
            StorageError: It cannot be made, it is not private to this user, or another run is at work in it.
        """
        if self.holder.has(self._name):
            self._opened = Directory(self.holder.path_of(self._name), within=self.holder, by_path=self._by_path)
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
            raise StorageError("the staging directory was moved or replaced", path=self.holder.path_of(self._name))

    @property
    def _by_path(self) -> bool:
        return self.holder.descriptor is None

    @property
    def opened(self) -> Directory:
        """The staging directory."""
        assert self._opened is not None
        return self._opened

    def commit(self, name: str) -> None:
        """Give a file its final name."""
        self.opened.rename(name, self.holder, name)

    def commit_whole(self) -> None:
        """Give the directory its final name, and so all its files theirs."""
        self.holder.rename(self._name, self.holder, self._last)

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
