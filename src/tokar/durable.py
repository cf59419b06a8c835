"""What it takes for a file to be there after a power cut: sync, rename that replaces nothing, sync of the directory.

Every function raises StorageError with the path where the operating system refuses.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tokar.errors import ExistingFileError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCL = 4
_NOT_SUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}


def _library_function(name: str) -> ctypes._FuncPointer | None:
    """Return a function of the C library, or None where there is none of that name."""
    if os.name == "nt":
        return None
    try:
        return getattr(ctypes.CDLL(None, use_errno=True), name, None)
    except OSError:
        return None


_renameat2 = _library_function("renameat2") if sys.platform.startswith("linux") else None
_renamex_np = _library_function("renamex_np") if sys.platform == "darwin" else None
_syncfs = _library_function("syncfs") if sys.platform.startswith("linux") else None


def _rename_exclusively(source: Path, target: Path) -> int:
    """Rename with the call that refuses to replace; return an errno, ENOSYS where there is no such call."""
    if _renameat2 is not None:
        failed = _renameat2(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), _RENAME_NOREPLACE)
    elif _renamex_np is not None:
        failed = _renamex_np(os.fsencode(source), os.fsencode(target), _RENAME_EXCL)
    else:
        return errno.ENOSYS
    return ctypes.get_errno() if failed else 0


def rename_no_replace(source: Path, target: Path) -> None:
    """Rename `source` to `target`, atomically, and never over something that is there.

    If it dies half-way, either the old or the new name exists; with the fallback for file systems without an exclusive
    rename (a hard link, then removal of the old name) for a moment both do.

    Raises:
        ExistingFileError: Something is at `target`.
        StorageError: The operating system refused.
    """
    code = _rename_exclusively(source, target)
    if code in _NOT_SUPPORTED:
        try:
            if os.name == "nt":
                source.rename(target)  # Windows refuses by itself when the target exists
            else:
                os.link(source, target)
                source.unlink()
        except OSError as error:
            code = error.errno or errno.EIO
        else:
            return
    if code == errno.EEXIST:
        raise ExistingFileError("something is there already", path=target)
    if code:
        raise StorageError(f"cannot rename {source.name} to this: {os.strerror(code)}", path=target)


def replace(source: Path, target: Path) -> None:
    """Rename `source` to `target`, replacing what is there."""
    try:
        source.replace(target)
    except OSError as error:
        raise StorageError(f"cannot rename {source.name} to this: {error.strerror}", path=target) from error


def sync_descriptor(descriptor: int, path: Path | str) -> None:
    """Make the content of an open file durable."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise StorageError(f"cannot make it durable: {error.strerror}", path=path) from error


def sync_directory(directory: Path) -> None:
    """Make renames in a directory durable. Does nothing on Windows, where directories cannot be synced."""
    if os.name == "nt":
        return
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise StorageError(f"cannot make the directory durable: {error.strerror}", path=directory) from error


def sync_files(paths: Iterable[Path], *, batch: int = 256) -> None:
    """Make the content of many files durable.

    Few files are synced one by one. Many files are synced with one call a file system where the platform has it (Linux
    `syncfs`, which reports write errors since kernel 5.8), because a sync each would wait for the disk once a file.

    Args:
        paths: The files; they are closed.
        batch: From how many files on the whole file system is synced instead.
    """
    files = list(paths)
    if len(files) >= batch and _syncfs is not None:
        for directory in {path.parent for path in files}:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                if _syncfs(descriptor):
                    raise StorageError(f"cannot make it durable: {os.strerror(ctypes.get_errno())}", path=directory)
            finally:
                os.close(descriptor)
        return
    for path in files:
        try:
            descriptor = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        except OSError as error:
            raise StorageError(f"cannot make it durable: {error.strerror}", path=path) from error
        try:
            sync_descriptor(descriptor, path)
        finally:
            os.close(descriptor)
