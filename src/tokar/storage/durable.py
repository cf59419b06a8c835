"""What it takes for a file to be there after a power cut: sync, rename that replaces nothing, sync of the directory.

Every function raises StorageError with the path where the operating system refuses.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import sys
from typing import TYPE_CHECKING, Final

from tokar.errors import ExistingFileError, StorageError

if TYPE_CHECKING:
    from pathlib import Path

# From how many files on one sync of the file system is quicker than a sync of each.
SYNC_BATCH: Final = 256

_AT_FDCWD = -2 if sys.platform == "darwin" else -100
_RENAME_NOREPLACE = 1
_RENAME_EXCL = 4
_NOT_SUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}
_NO_HARD_LINKS = {*_NOT_SUPPORTED, errno.EPERM, errno.EMLINK}


def _library_function(name: str, *arguments: type) -> ctypes._FuncPointer | None:
    """Return a function of the C library that returns an int, or None where there is none of that name."""
    if os.name == "nt":
        return None
    try:
        function = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    except OSError:
        return None
    if function is not None:
        function.argtypes = arguments
    return function


_RENAME_ARGUMENTS = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
_renameat2 = _library_function("renameat2", *_RENAME_ARGUMENTS) if sys.platform.startswith("linux") else None
_renameatx_np = _library_function("renameatx_np", *_RENAME_ARGUMENTS) if sys.platform == "darwin" else None
_syncfs = _library_function("syncfs", ctypes.c_int) if sys.platform.startswith("linux") else None


def _rename_exclusively(source: str, target: str, source_directory: int | None, target_directory: int | None) -> int:
    """Rename with the call that refuses to replace; return an errno, ENOSYS where there is no such call."""
    call, flag = (_renameat2, _RENAME_NOREPLACE) if _renameat2 is not None else (_renameatx_np, _RENAME_EXCL)
    if call is None:
        return errno.ENOSYS
    failed = call(
        _AT_FDCWD if source_directory is None else source_directory,
        os.fsencode(source),
        _AT_FDCWD if target_directory is None else target_directory,
        os.fsencode(target),
        flag,
    )
    return ctypes.get_errno() if failed else 0


def _rename_in_two_steps(source: str, target: str, source_directory: int | None, target_directory: int | None) -> None:
    """Rename without replacing where no single call does it: claim the new name, then give up the old one.

    Raises:
        OSError: The operating system refused; EEXIST if something is at `target`.
    """
    if os.name == "nt":
        os.rename(source, target)  # noqa: PTH104 - Windows refuses by itself when the target exists
        return
    try:
        os.link(source, target, src_dir_fd=source_directory, dst_dir_fd=target_directory, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
    else:
        os.unlink(source, dir_fd=source_directory)
        return
    # No hard links either (exFAT), or a directory: something empty made exclusively claims the name, and only that is
    # replaced.
    is_directory = stat.S_ISDIR(os.stat(source, dir_fd=source_directory, follow_symlinks=False).st_mode)
    if is_directory:
        os.mkdir(target, 0o700, dir_fd=target_directory)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=target_directory))
    try:
        os.rename(source, target, src_dir_fd=source_directory, dst_dir_fd=target_directory)
    except OSError:
        (os.rmdir if is_directory else os.unlink)(target, dir_fd=target_directory)
        raise


def rename_at(
    source: str, target: str, *, source_directory: int | None = None, target_directory: int | None = None
) -> None:
    """Rename within or between open directories, atomically, and never over something that is there.

    If it dies half-way, either the old or the new name exists. On file systems without an exclusive rename, for a
    moment both do (a hard link), or the new one is an empty file (where there are no hard links).

    Args:
        source: The name in `source_directory`.
        target: The name in `target_directory`.
        source_directory: A descriptor; None if `source` is a path.
        target_directory: A descriptor; None if `target` is a path.

    Raises:
        ExistingFileError: Something is at `target`.
        StorageError: The operating system refused.
    """
    code = _rename_exclusively(source, target, source_directory, target_directory)
    if code in _NOT_SUPPORTED:
        try:
            _rename_in_two_steps(source, target, source_directory, target_directory)
        except OSError as error:
            code = error.errno or errno.EIO
        else:
            return
    if code == errno.EEXIST:
        raise ExistingFileError("something is there already", path=target)
    if code:
        raise StorageError(f"cannot rename {os.path.basename(source)} to this: {os.strerror(code)}", path=target)  # noqa: PTH119 - text


def rename_no_replace(source: Path, target: Path) -> None:
    """Rename `source` to `target`, atomically, and never over something that is there.

    If it dies half-way: as `rename_at`.

    Raises:
        ExistingFileError: Something is at `target`.
        StorageError: The operating system refused.
    """
    try:
        rename_at(str(source), str(target))
    except (ExistingFileError, StorageError) as error:
        error.path = target
        raise


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


def sync_file_system(descriptor: int, path: Path | str) -> bool:
    """Make everything on the file system of an open file or directory durable, with one call.

    Open the descriptor before anything is written: Linux reports the write errors since then (from kernel 5.8 on).

    Args:
        descriptor: An open file or directory.
        path: Its path, for the message.

    Returns:
        Whether it was done; False where the platform has no such call.
    """
    if _syncfs is None:
        return False
    if _syncfs(descriptor):
        raise StorageError(f"cannot make it durable: {os.strerror(ctypes.get_errno())}", path=path)
    return True
