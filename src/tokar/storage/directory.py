"""An open directory: everything that is done in it happens relative to it, so that no link can lead it elsewhere.

On POSIX a directory is opened once, without following a link, and files are made, renamed and removed relative to its
descriptor: whoever swaps the path for a link afterwards changes nothing. Windows cannot do that; there the directory is
looked at when it is opened, and paths are used.

Every method raises StorageError with the path where the operating system refuses.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from tokar.errors import ExistingFileError, StorageError, reason_of, storage_errors
from tokar.storage import durable, windows

HAS_DESCRIPTORS: Final = os.open in os.supports_dir_fd and hasattr(os, "O_DIRECTORY")

_FLAGS: Final = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_CREATE: Final = os.O_CREAT | os.O_EXCL | os.O_WRONLY | _FLAGS


def inode_of(info: os.stat_result) -> str:
    """Return device and inode as text: the same for two names of one file or directory."""
    return f"{info.st_dev}:{info.st_ino}"


class Directory:
    """A directory that is there and is no link.

    Args:
        path: Its path.
        within: The open directory that it is in, if it is opened by name.
        by_path: Whether to use paths even where descriptors are at hand.

    Raises:
        StorageError: It is not there, is a link, or is no directory.
    """

    def __init__(self, path: str, *, within: Directory | None = None, by_path: bool = not HAS_DESCRIPTORS) -> None:
        self.path = path
        self.descriptor: int | None = None
        above = within.descriptor if within is not None else None
        with storage_errors("open the directory", path):
            if by_path:
                if not stat.S_ISDIR(os.lstat(windows.long_path(path)).st_mode):
                    raise NotADirectoryError(20, "it is a link or no directory")
            else:
                name = path if above is None else os.path.basename(path)  # noqa: PTH119 - relative to a descriptor
                self.descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | _FLAGS, dir_fd=above)

    def at(self, name: str) -> str:
        """Return a name as the calls below need it: relative to the descriptor, or as a path."""
        return name if self.descriptor is not None else windows.long_path(self.path_of(name))

    def path_of(self, name: str) -> str:
        """Return the path of a name, for messages."""
        return os.path.join(self.path, name)  # noqa: PTH118 - called once a file

    def create(self, name: str) -> int:
        """Make a file that must not be there and return its descriptor; only its owner may read it."""
        try:
            descriptor = os.open(self.at(name), _CREATE, 0o600, dir_fd=self.descriptor)
        except OSError as error:
            raise self._refused("make the file", name, error) from error
        if self.descriptor is None:
            self._make_private(name)
        return descriptor

    def open(self, name: str) -> int:
        """Open a file that is there, to make it durable."""
        with storage_errors("open the file", self.path_of(name)):
            return os.open(self.at(name), os.O_RDWR | _FLAGS, dir_fd=self.descriptor)

    def open_or_create(self, name: str) -> int:
        """Open a file, and make it if it is not there; no link is followed."""
        with storage_errors("open the file", self.path_of(name)):
            return os.open(self.at(name), os.O_CREAT | os.O_RDWR | _FLAGS, 0o600, dir_fd=self.descriptor)

    def make(self, name: str) -> Directory:
        """Make a directory in it that must not be there, private to its owner, and open it."""
        with storage_errors("make the directory", self.path_of(name)):
            os.mkdir(self.at(name), 0o700, dir_fd=self.descriptor)
        if self.descriptor is None:
            self._make_private(name)
        return Directory(self.path_of(name), within=self, by_path=self.descriptor is None)

    def _make_private(self, name: str) -> None:
        with storage_errors("set the rights", self.path_of(name)):
            windows.make_private(self.path_of(name))

    def rename(self, name: str, target: Directory, new_name: str) -> None:
        """Rename a file into another directory, atomically, and never over something that is there.

        Raises:
            ExistingFileError: Something has the new name.
        """
        try:
            durable.rename_at(
                self.at(name),
                target.at(new_name),
                source_directory=self.descriptor,
                target_directory=target.descriptor,
            )
        except (ExistingFileError, StorageError) as error:
            error.path = target.path_of(new_name)
            raise

    def has(self, name: str) -> bool:
        """Return whether something has this name."""
        try:
            os.stat(self.at(name), dir_fd=self.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._refused("look at the file", name, error) from error
        return True

    def size_of(self, name: str) -> int | None:
        """Return the size of a file, without following a link; None where no file has this name."""
        try:
            info = os.stat(self.at(name), dir_fd=self.descriptor, follow_symlinks=False)
        except OSError:
            return None
        return info.st_size if stat.S_ISREG(info.st_mode) else None

    def identity(self) -> str:
        """Return what no other directory of this machine has, in the form of `inode_of`."""
        return inode_of(Path(self.path).stat() if self.descriptor is None else os.fstat(self.descriptor))

    def identity_of(self, name: str) -> str | None:
        """Return the identity of what has this name, without following a link; None where nothing has."""
        try:
            return inode_of(os.stat(self.at(name), dir_fd=self.descriptor, follow_symlinks=False))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._refused("look at the file", name, error) from error

    def is_same(self, name: str, descriptor: int) -> bool:
        """Return whether a name still stands for an open file."""
        return self.identity_of(name) == inode_of(os.fstat(descriptor))

    def names(self, beginning: str = "") -> list[str]:
        """Return all names in it that begin so: those of tokar are few, beside very many others."""
        with storage_errors("list the directory", self.path):
            place = windows.long_path(self.path) if self.descriptor is None else self.descriptor
            with os.scandir(place) as entries:
                return [one.name for one in entries if one.name.startswith(beginning)]

    def remove(self, name: str) -> None:
        """Remove a file."""
        with storage_errors("remove the file", self.path_of(name)):
            os.unlink(self.at(name), dir_fd=self.descriptor)

    def remove_directory(self, name: str) -> None:
        """Remove an empty directory."""
        with storage_errors("remove the directory", self.path_of(name)):
            os.rmdir(self.at(name), dir_fd=self.descriptor)

    def demand_private(self, message: str) -> None:
        """Check that it belongs to this user and that nobody else can write in it. `message`: what the error says.

        Raises:
            StorageError: It does not, or somebody can.
        """
        if self.descriptor is None:  # Windows: rights are not in the mode
            with storage_errors("see whose it is", self.path):
                if windows.is_foreign(self.path):
                    raise StorageError(message, path=self.path)
            return
        info = os.fstat(self.descriptor)
        if info.st_uid != os.geteuid() or info.st_mode & 0o077:
            raise StorageError(message, path=self.path)

    def lock(self, message: str) -> None:
        """Keep others out until it is closed, or the process ends; nothing on Windows. `message`: what the error says.

        Raises:
            StorageError: Another one is at work in it.
        """
        if self.descriptor is not None and not durable.lock(self.descriptor):
            raise StorageError(message, path=self.path, hint="wait until that has ended, and run again")

    def sync(self) -> None:
        """Make the renames in it durable."""
        if self.descriptor is not None:
            durable.sync_descriptor(self.descriptor, self.path)

    def _refused(self, what: str, name: str, error: OSError) -> StorageError:
        return StorageError(f"cannot {what}: {reason_of(error)}", path=self.path_of(name))

    def close(self) -> None:
        """Close it; a second call does nothing."""
        if self.descriptor is not None:
            descriptor, self.descriptor = self.descriptor, None
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_TRIES: Final = 4  # somebody may only be looking whether it is held
_PAUSE: Final = 0.02
_LOCKED: Final = "see that no other run is at work here, and run again; leave files of a lock alone"


class Lock:
    """A lock on a directory: a file in it that is held until it is released, or the process ends.

    What holds the lock is the open file, not its name: where the process is gone the lock is free, whatever is left
    there. Elsewhere than on Windows it is `flock`, which network file systems keep among machines where they can.

    Args:
        directory: The directory that its file is in; it stays open as long as the lock is held.
        name: The name of its file.
        message: What the error says if another process holds it.

    Raises:
        StorageError: Another process holds it, or its file cannot be made.
    """

    def __init__(self, directory: Directory, name: str, message: str) -> None:
        self._directory = directory
        self._name = name
        self._descriptor = self._take(message)

    def _take(self, message: str) -> int:
        for number in range(_TRIES):
            if number:
                time.sleep(_PAUSE)
            descriptor = self._directory.open_or_create(self._name)
            if durable.lock(descriptor) and self._directory.is_same(self._name, descriptor):
                return descriptor
            os.close(descriptor)  # held, or removed by who held it just before
        raise StorageError(message, path=self._directory.path)

    def demand_held(self) -> None:
        """Check that its file was not removed by hand: another process may have made its own then.

        Raises:
            StorageError: It was.
        """
        if not self._directory.is_same(self._name, self._descriptor):
            message, hint = "the lock was removed or replaced, so that another process may be at work here", _LOCKED
            raise StorageError(message, path=self._directory.path_of(self._name), hint=hint)

    def release(self) -> None:
        """Remove its file and give it back, as far as that can be done; a second call does nothing."""
        if self._descriptor < 0:
            return
        is_own = False
        with suppress(StorageError):
            is_own = self._directory.is_same(self._name, self._descriptor)
        if os.name == "nt":
            self._close()  # an open file cannot be removed there
        try:
            with suppress(StorageError):
                if is_own:
                    self._directory.remove(self._name)
        finally:
            self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def is_held(directory: str, name: str) -> bool:
    """Return whether a process holds the lock of this name now; nothing is changed."""
    try:
        with Directory(directory) as holder:
            if not holder.has(name):
                return False
            descriptor = holder.open(name)
    except StorageError:
        return False
    try:
        return not durable.lock(descriptor)
    finally:
        os.close(descriptor)
