"""What runs that died left in a folder: temporary files of archives, and what restores had staged.

An owner is alive if its lock is held, never by its process number, which another process may have by now. Where the
file system has no locks it is not known, and nothing is removed.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import Final

from tokar.errors import StorageError
from tokar.names import STAGING_PREFIX
from tokar.restore.inventory import LOCK_NAME
from tokar.storage import durable
from tokar.storage.directory import Directory, Lock, is_held
from tokar.storage.sink import OLD_SUFFIX, temporary_files

_STAGED: Final = re.compile(re.escape(STAGING_PREFIX) + r"[0-9a-f]+-\d+")
_OPEN: Final = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_AT_WORK: Final = "a restore is at work here"
_ENDED: Final = "run this again when it has ended"
_MOVED: Final = "it was replaced meanwhile"


class Owner(StrEnum):
    """Whether whoever made something is still at work with it."""

    GONE = "gone"
    AT_WORK = "at work"
    UNKNOWN = "not known"  # the file system has no locks, or it belongs to somebody else


_OWNERS: Final = {True: Owner.GONE, False: Owner.AT_WORK, None: Owner.UNKNOWN}  # by whether its lock could be taken


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something temporary in a folder."""

    path: Path  # Where it is
    what: str  # What it is, in words
    size: int  # Bytes of its content
    owner: Owner  # Whether it is still needed


def find_leftovers(folder: Path) -> list[Leftover]:
    """Return what is temporary in a folder, without subfolders. Nothing is changed.

    Raises:
        StorageError: The folder cannot be listed.
    """
    parts = [_of_temporary(folder / name) for name in temporary_files(folder)]
    with Directory(os.path.realpath(folder)) as holder:
        listed = sorted(holder.names(STAGING_PREFIX))
    busy = _is_busy(folder)
    restores = [_of_restore(folder / name, busy=busy) for name in listed]
    return [one for one in (*parts, *restores) if one is not None]


def remove_leftover(one: Leftover) -> None:
    """Remove something whose owner is gone; that is looked at again, under its lock.

    Raises:
        StorageError: Its owner is at work, or it cannot be removed.
    """
    for _, error in remove_leftovers([one]):
        if error is not None:
            raise error


def remove_leftovers(found: Iterable[Leftover]) -> Iterator[tuple[Leftover, StorageError | None]]:
    """Remove what has no owner any more, and yield each with the reason where it cannot be removed.

    Owners are looked at again, under their locks: that of a folder is held once for all that restores left in it.
    """
    for (folder, is_of_restore), group in groupby(found, lambda one: (one.path.parent, _is_of_restore(one.path.name))):
        with ExitStack() as held:
            try:
                holder = held.enter_context(Directory(os.path.realpath(folder)))
                if is_of_restore:
                    held.enter_context(_locked(holder, folder))
            except StorageError as error:
                yield from ((one, error) for one in group)
                continue
            for one in group:
                yield one, _error_of_removing(holder, one.path)


def _locked(holder: Directory, folder: Path) -> Lock:
    """Take the lock of a folder where no restore is at work."""
    if _is_busy(folder):
        raise StorageError(_AT_WORK, path=folder, hint=_ENDED)
    return Lock(holder, LOCK_NAME, _AT_WORK)


def _is_of_restore(name: str) -> bool:
    """Return whether a restore staged it, or noted how far it came: not its lock."""
    return name.startswith(STAGING_PREFIX) and not name.startswith(LOCK_NAME)


def _error_of_removing(holder: Directory, path: Path) -> StorageError | None:
    """Remove something, and return the error where that fails."""
    try:
        _remove(holder, path)
    except StorageError as error:
        return error
    return None


def _remove(holder: Directory, path: Path) -> None:
    name = path.name
    if name.startswith(STAGING_PREFIX) and not holder.has(name):
        return  # a lock that was removed with what it was for
    if _STAGED.fullmatch(name):
        _remove_staged(holder, name)
        return
    descriptor = holder.open(name)
    try:
        if durable.try_lock(descriptor) is not True:
            hint = "run this again when it has ended, or remove it by hand"
            raise StorageError("its owner is at work, or the file system has no locks", path=path, hint=hint)
        if not holder.is_same(name, descriptor):
            raise StorageError(_MOVED, path=path, hint="run this again")
        if os.name != "nt":
            holder.remove(name)
    finally:
        os.close(descriptor)
    if os.name == "nt":  # an open file cannot be removed there
        holder.remove(name)


def _is_busy(folder: Path) -> bool:
    """Return whether a restore holds a lock in a folder."""
    place = os.path.realpath(folder)
    with Directory(place) as holder:
        locks = holder.names(LOCK_NAME)
    return any(is_held(place, name) for name in locks)


def _remove_staged(holder: Directory, name: str) -> None:
    """Remove a staging directory with the files in it; there are no directories in one."""
    with Directory(holder.path_of(name), within=holder, by_path=holder.descriptor is None) as staging:
        staging.demand_private("others may have written in it; remove it by hand")
        staging.lock(_AT_WORK)
        for file in staging.names():
            staging.remove(file)
        holder.remove_directory(name)


def _of_temporary(path: Path) -> Leftover | None:
    """Return what is known of a temporary file of a sink."""
    if not path.name.endswith(OLD_SUFFIX):
        return _of_file(path, "an archive or file that was being written")
    found = _of_file(path, "what was going to be replaced, under a second name")
    of = _of_file(path.with_name(path.name.removesuffix(OLD_SUFFIX) + ".part"), "")
    return replace(found, owner=of.owner) if found is not None and of is not None else found


def _of_file(path: Path, what: str) -> Leftover | None:
    """Return what is known of a file; None if it is none, or just went away."""
    try:
        info = path.lstat()
        if not stat.S_ISREG(info.st_mode):
            return None
        descriptor = os.open(path, _OPEN)
    except FileNotFoundError:
        return None
    except OSError:
        return Leftover(path, what, 0, Owner.UNKNOWN)
    try:
        free = durable.try_lock(descriptor)
    finally:
        os.close(descriptor)
    return Leftover(path, what, info.st_size, _OWNERS[free])


def _of_restore(path: Path, *, busy: bool) -> Leftover | None:
    """Return what is known of something that a restore made.

    Args:
        path: Where it is.
        busy: Whether a restore is at work in the folder.
    """
    if not _STAGED.fullmatch(path.name):
        what = "a lock of a restore" if path.name.startswith(LOCK_NAME) else "how far a restore came"
        found = _of_file(path, what)
        return Leftover(path, what, found.size, Owner.AT_WORK) if found is not None and busy else found
    what = "files that a restore had staged; the same restore goes on with them"
    try:
        with Directory(os.path.realpath(path.parent)) as holder, Directory(str(path), within=holder) as staging:
            free = not busy and (staging.descriptor is None or durable.try_lock(staging.descriptor))
            return Leftover(path, what, sum(_sizes(path, staging.names())), _OWNERS[free])
    except StorageError:
        return Leftover(path, what, 0, Owner.UNKNOWN)


def _sizes(folder: Path, found: list[str]) -> Iterator[int]:
    for name in found:
        with suppress(OSError):
            yield (folder / name).lstat().st_size
