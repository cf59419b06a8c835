"""What it takes for a file to be there after a power cut: sync, rename that replaces nothing, sync of the directory.

Every function raises StorageError with the path where the operating system refuses.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from tokar.errors import ExistingFileError, StorageError, storage_errors
from tokar.storage import windows
from tokar.storage.windows import long_path


class Capability(StrEnum):
    """What a place can promise of a file that was written there."""

    SYNC = "sync"  # Its content is on the medium
    NO_REPLACE = "no-replace"  # It got its name in one step that cannot have replaced anything
    NAME_SYNC = "name-sync"  # Its name is on the medium: the directory was synced, or the rename written through


# From how many files on one sync of the file system is quicker than a sync of each.
SYNC_BATCH: Final = 256
WRITE_BEHIND: Final = 1 << 23
"""Bytes after which `write_behind` is worth a call."""
_SYNC_BEHIND: Final = 0.5  # seconds from one sync of a file system to the next while files are written there
_ON_ITS_WAY: Final = 1 << 25  # bytes before a part that may not have been on the medium when it was asked for

_WINDOWS_REPLACE: Final = 1  # MOVEFILE_REPLACE_EXISTING
_WINDOWS_WRITE_THROUGH: Final = 8  # MOVEFILE_WRITE_THROUGH: returns when the new name is on the disk

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
_RANGE_ARGUMENTS = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
_sync_range = _library_function("sync_file_range", *_RANGE_ARGUMENTS) if sys.platform.startswith("linux") else None
_AND_WAIT = 7  # SYNC_FILE_RANGE_WAIT_BEFORE, _WRITE and _WAIT_AFTER


_move_by_windows: Callable[[str, str, int], int] | None = None
"""Renames on Windows, where directories cannot be synced: returns an errno, 0 when it is done."""
if sys.platform == "win32":

    def _move_file(source: str, target: str, flags: int) -> int:
        library = ctypes.WinDLL("kernel32", use_last_error=True)
        if library.MoveFileExW(ctypes.c_wchar_p(source), ctypes.c_wchar_p(target), ctypes.c_uint(flags)):
            return 0
        return ctypes.WinError(ctypes.get_last_error()).errno or errno.EIO

    _move_by_windows = _move_file


def _rename_exclusively(source: str, target: str, source_directory: int | None, target_directory: int | None) -> int:
    """Rename with the call that refuses to replace; return an errno, ENOSYS where there is no such call."""
    if _move_by_windows is not None:
        return _move_by_windows(long_path(source), long_path(target), _WINDOWS_WRITE_THROUGH)
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


def _rename_in_two_steps(source: str, target: str, source_directory: int | None, target_directory: int | None) -> bool:
    """Rename where no single call refuses to replace; return whether nothing can have been replaced even so.

    A hard link is as good. Where there are none either (exFAT), or for a directory, the name is looked at just before
    the rename: claiming it with something empty would leave that behind if it died in between.

    Raises:
        OSError: The operating system refused; EEXIST if something is at `target`.
    """
    try:
        os.link(source, target, src_dir_fd=source_directory, dst_dir_fd=target_directory, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
    else:
        os.unlink(source, dir_fd=source_directory)
        return True
    try:
        os.stat(target, dir_fd=target_directory, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(source, target, src_dir_fd=source_directory, dst_dir_fd=target_directory)
        return False
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def rename_at(
    source: str, target: str, *, source_directory: int | None = None, target_directory: int | None = None
) -> bool:
    """Rename within or between open directories, atomically, and never over something that is there.

    If it dies half-way, either the old or the new name exists; on file systems without an exclusive rename, for a
    moment both do (a hard link). Nothing that is not whole ever has the new name.

    Args:
        source: The name in `source_directory`.
        target: The name in `target_directory`.
        source_directory: A descriptor; None if `source` is a path.
        target_directory: A descriptor; None if `target` is a path.

    Returns:
        Whether nothing can have been replaced. False where the file system has neither an exclusive rename nor hard
        links, so that what somebody put there in the last moment may be lost.

    Raises:
        ExistingFileError: Something is at `target`.
        StorageError: The operating system refused.
    """
    code = _rename_exclusively(source, target, source_directory, target_directory)
    if code in _NOT_SUPPORTED:
        try:
            return _rename_in_two_steps(source, target, source_directory, target_directory)
        except OSError as error:
            code = error.errno or errno.EIO
    if code == errno.EEXIST:
        raise ExistingFileError("something is there already", path=target)
    if code:
        name = os.path.basename(source)  # noqa: PTH119 - text
        message = f"cannot rename {name} to this: {os.strerror(code)}"
        raise StorageError(message, path=target) from OSError(code, message)
    return True


def rename_no_replace(source: Path, target: Path) -> bool:
    """Rename `source` to `target`, atomically, and never over something that is there.

    If it dies half-way, and what it returns: as `rename_at`.

    Raises:
        ExistingFileError: Something is at `target`.
        StorageError: The operating system refused.
    """
    try:
        return rename_at(str(source), str(target))
    except (ExistingFileError, StorageError) as error:
        error.path = target
        raise


def replace(source: Path, target: Path) -> None:
    """Rename `source` to `target`, replacing what is there."""
    code = 0
    if _move_by_windows is not None:
        flags = _WINDOWS_REPLACE | _WINDOWS_WRITE_THROUGH
        code = _move_by_windows(long_path(str(source)), long_path(str(target)), flags)
    else:
        try:
            source.replace(target)
        except OSError as error:
            code = error.errno or errno.EIO
    if code:
        message = f"cannot rename {source.name} to this: {os.strerror(code)}"
        raise StorageError(message, path=target) from OSError(code, message)


def sync_descriptor(descriptor: int, path: Path | str) -> None:
    """Make the content of an open file durable (on Windows: FlushFileBuffers)."""
    with storage_errors("make it durable", path):
        os.fsync(descriptor)


def write_behind(descriptor: int, offset: int, size: int) -> None:
    """Ask the system to take a part of an open file to the medium, and to forget what it took there of that before.

    So the sync at the end finds little to do, and a file of any size keeps little else out of memory. It is a hint: it
    waits for nothing and reports no error, so that the sync does.
    """
    if hasattr(os, "posix_fadvise"):
        start = max(offset - _ON_ITS_WAY, 0)
        with suppress(OSError):
            os.posix_fadvise(descriptor, start, offset + size - start, os.POSIX_FADV_DONTNEED)


def write_back(descriptor: int) -> None:
    """Write out what is in memory of an open file, as the system likes, and wait: durable is something else.

    A sync does that too, and waits for the medium: some milliseconds, also where there is nothing to write.

    Raises:
        OSError: The operating system refused.
    """
    if _sync_range is None or _sync_range(descriptor, 0, 0, _AND_WAIT):
        os.fsync(descriptor)


def sync_directory(directory: Path) -> bool:
    """Make renames in a directory durable.

    One that may be written to and not read (a drop box) cannot be opened for that: there all file systems are synced,
    on Linux, where that call waits until it is done.

    Returns:
        Whether they are. On Windows nothing is to be done: directories cannot be synced, and the renames here write
        through. False where the file system has no sync of directories.
    """
    if _move_by_windows is not None:
        return True
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno == errno.EACCES and sys.platform.startswith("linux"):
            os.sync()
            return True
        if error.errno in {*_NOT_SUPPORTED, errno.EACCES}:
            return False
        raise StorageError(f"cannot make the directory durable: {error.strerror}", path=directory) from error
    return True


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
    with storage_errors("make it durable", path):
        if _syncfs(descriptor):
            raise OSError(code := ctypes.get_errno(), os.strerror(code))
    return True


class SyncBehind:
    """Makes file systems durable again and again while many files are written there, so that the last sync has less.

    Use it as a context manager. It has a thread, so nothing may be forked meanwhile. Leaving it raises StorageError
    where the system refused: it tells of what could not be written only once.

    Args:
        directories: Open directories, with their paths for messages; those without a descriptor are left alone.
    """

    def __init__(self, directories: Iterable[tuple[int | None, Path | str]]) -> None:
        opened = [(descriptor, path) for descriptor, path in directories if descriptor is not None]
        self._systems = {os.fstat(descriptor).st_dev: (descriptor, path) for descriptor, path in opened}
        self._ending = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="tokar-sync", daemon=True)

    def _work(self) -> None:
        try:
            while not self._ending.wait(_SYNC_BEHIND):
                if not all(sync_file_system(*system) for system in self._systems.values()):
                    return
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that asked for this
            self._error = error

    def __enter__(self) -> Self:
        with suppress(RuntimeError):  # no thread can be started: it is done at the end alone
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._error is not None and error is None:
            raise self._error


def try_lock(descriptor: int) -> bool | None:
    """Keep others out of an open file or directory until it is closed or the process ends, however it ends.

    Returns:
        Whether that is so; False if somebody else has it, None where the file system has no locks.
    """
    try:
        if windows.system is not None:
            return windows.system.lock(descriptor)
        import fcntl  # noqa: PLC0415 - not there on Windows

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in {errno.EAGAIN, errno.EACCES, errno.EDEADLK} else None
    return True


def lock(descriptor: int) -> bool:
    """Lock as `try_lock` does; return whether nobody else has it. Where there are no locks, nobody has."""
    return try_lock(descriptor) is not False


def file_system_kind(path: Path) -> str:
    """Return the kind of the file system that something is on, such as `ext4`; empty where it is not known."""
    try:
        device = path.stat().st_dev
        wanted = f"{os.major(device)}:{os.minor(device)}"
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as table:  # noqa: PTH123 - of Linux
            for row in table:
                place, _, rest = row.partition(" - ")
                if place.split()[2] == wanted:
                    return rest.split()[0]
    except (OSError, AttributeError, IndexError):
        pass  # another system
    return ""


def place_notes(path: Path, others: Iterable[str]) -> Iterator[str]:
    """Yield what a person should know of the place of a file: what it does not survive.

    Args:
        path: The file.
        others: Places of what it must outlive.
    """
    kind = file_system_kind(path.parent)
    if kind in {"tmpfs", "ramfs"}:
        yield f"{path.parent} is in memory ({kind}): the archive is gone with the next start of this machine"
        return
    with suppress(OSError):
        own = path.parent.stat().st_dev
        if any(os.stat(place).st_dev == own for place in others if os.path.exists(place)):  # noqa: PTH110, PTH116
            yield "the archive lies on the disk of the server's own files: what takes that disk takes both"


def names_aside(path: Path, why: str) -> Iterator[Path]:
    """Yield names beside a path for what must not have its name: `NAME.WHY`, then `NAME.WHY-N`."""
    for number in itertools.count(1):
        yield path.with_name(f"{path.name}.{why}" + (f"-{number}" if number > 1 else ""))


def rename_aside(path: Path) -> Path:
    """Rename an archive that was not proven to `NAME.unverified`, or the first free `NAME.unverified-N`; return that.

    Raises:
        StorageError: The operating system refused.
    """
    for aside in names_aside(path, "unverified"):
        with suppress(ExistingFileError):
            rename_no_replace(path, aside)
            break
    with suppress(StorageError):
        sync_directory(path.parent)
    return aside
