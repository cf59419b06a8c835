"""Makes one call of the file system fail, be cut short, be interrupted, or be the last that the process makes."""

from __future__ import annotations

import builtins
import ctypes
import errno
import io
import mmap
import os
import signal
import stat
import sys
import threading
import time
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from command_line import Result, tokar

import tokar as library
from tokar.format import zstd_frame
from tokar.signals import Stopped
from tokar.storage import directory, durable
from tokar.storage.bytesource import MediumSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from types import FrameType

assert hasattr(os, "fork") == directory.HAS_DESCRIPTORS, "it is loaded before calls are replaced"

_OURS = library.__path__[0] + os.sep
KILLED = -9  # how a process that died ends
CHANGES = ("open", "write", "writev", "fsync", "unlink", "mkdir", "rmdir", "replace", "rename", "link", "ftruncate")
READS = ("read", "pread", "preadv")
# Whatever else may be refused: by the system, by memory, by the library that compresses. Struck one name at a time.
LOOKS = ("fstat", "stat", "lstat", "listdir", "scandir", "readlink", "access", "utime", "lseek", "chmod", "fchmod")
OTHERS: dict[str, tuple[Any, str]] = {
    "io.open": (io, "open"),
    "builtins.open": (builtins, "open"),
    "start": (threading.Thread, "start"),
    "_compressor": (zstd_frame, "_compressor"),
    "_decompressor": (zstd_frame, "_decompressor"),
}
if sys.platform != "win32":
    import fcntl

    OTHERS |= {name: (fcntl, name) for name in ("flock", "ioctl")}
    OTHERS |= {name: (os, name) for name in ("fchown", "statvfs", "sync", "pipe", "fork")}
if hasattr(os, "posix_fadvise"):
    OTHERS |= {name: (os, name) for name in ("posix_fadvise", "sched_getaffinity")}
EVERY = {name: (os, name) for name in (*CHANGES, *READS, *LOOKS)} | OTHERS
# Those of the C library, which return an errno or keep one.
NATIVE = ("syncfs", "renameat2")
_NAMES = (*EVERY, *NATIVE)

FAULTS: dict[str, int | str] = {
    "EIO": errno.EIO,
    "ENOSPC": errno.ENOSPC,
    "EDQUOT": errno.EDQUOT,
    "EROFS": errno.EROFS,
    "short": "short",
    "signal": "signal",
    "signal after": "signal after",
    "killed before": "before",
    "killed after": "after",
    "unreadable": "unreadable",
}


def struck_cases(jobs: Iterable[str], stride: int) -> list[Any]:
    """Return parameters of a test: each job with each fault at every point, and with one fault as a sample.

    Args:
        jobs: The jobs.
        stride: The step between the points of a sample.
    """
    found: list[Any] = []
    for number, job in enumerate(jobs):
        one = ("EIO", "killed after", "signal")[number % 3]
        found.append(pytest.param(job, (FAULTS[one], stride), id=f"{job}, sample {one}"))
        torture = {"marks": pytest.mark.torture}
        found += [pytest.param(job, (how, 1), id=f"{job}, {name}", **torture) for name, how in FAULTS.items()]
    return found


class Strike:
    """Counts the calls that change something, of this process and those that it forks, and strikes one.

    Args:
        at: The number of the call to strike, from 1 on.
        how: An errno, or an exception; `short` for a write that writes half; `signal` in its place or `signal after`
            it; `before` or `after`: all processes die there;
            `unreadable`: reads are counted, and one fails; `worker`: the calls of forked processes are counted, of each
            by itself, and one dies.
        sticky: Whether every later call of the same name fails as well.
        only: The one name in EVERY or NATIVE that is counted, whatever the call is about, with the lines of ours that
            call it.
    """

    def __init__(self, at: int, how: int | str | Exception, *, sticky: bool = False, only: str | None = None) -> None:
        self.at = at
        self.how = how
        self.sticky = sticky
        self.paused = False  # Whether calls are another process's, and are not counted
        self.calls = (only,) if only else READS if how == "unreadable" else CHANGES
        self.places: list[str] | None = [] if only else None  # The lines that made the calls
        self._home = os.getpid()
        self._shared = mmap.mmap(-1, 8)
        self._alone = 0

    @property
    def count(self) -> int:
        """How many calls there were."""
        return int.from_bytes(self._shared[:4], "little")

    @property
    def struck(self) -> str:
        """The call that was struck, empty where none was."""
        number = self._shared[4]
        return _NAMES[number - 1] if number else ""

    def _is_counted(self, name: str, arguments: tuple[Any, ...]) -> bool:
        if self.places is None:
            is_for_reading = name == "open" and not arguments[1] & os.O_CREAT
            return not (self.paused or is_for_reading or _is_of_pipe(name, arguments))
        if place := _line_of_ours():
            self.places.append(place)
        return bool(place)

    def _counted(self) -> int:
        if self.how == "worker":
            self._alone += os.getpid() != self._home
            return self._alone
        self._shared[:4] = (number := self.count + 1).to_bytes(4, "little")
        return number

    def around(self, name: str, original: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Make a call, or strike it."""
        if not self._is_counted(name, arguments):
            return original(*arguments, **options)
        if self._counted() != self.at and not (self.sticky and name == self.struck):
            return original(*arguments, **options)
        self._shared[4] = _NAMES.index(name) + 1
        if self.how in {"before", "worker"}:
            self._die()
        if self.how == "signal":
            raise Stopped(15)
        if self.how == "short" and name == "write":
            return original(arguments[0], memoryview(arguments[1])[: max(1, len(arguments[1]) // 2)])
        if isinstance(self.how, Exception):
            raise self.how
        if self.how == "unreadable" or isinstance(self.how, int):
            code = self.how if isinstance(self.how, int) else errno.EIO
            raise OSError(code, os.strerror(code))
        try:
            return original(*arguments, **options)
        finally:
            if self.how == "after":
                self._die()
            if self.how == "signal after":
                raise Stopped(15)

    def _die(self) -> None:
        os.kill(os.getpid() if self.how == "worker" else 0, signal.SIGKILL)

    def returned(self, name: str, original: Callable[..., int], *arguments: Any) -> int:
        """Make a call that returns an errno, or strike it."""
        try:
            code: int = self.around(name, original, *arguments)
        except OSError as error:
            return error.errno or errno.EIO
        return code

    def sync_file_system(self, original: Callable[[int], int], descriptor: int) -> int:
        """Make the call that syncs all, or strike it: it returns -1 and keeps the errno."""
        if code := self.returned("syncfs", original, descriptor):
            ctypes.set_errno(code)
        return -1 if code else 0


def _line_of_ours() -> str:
    """Return the line of ours that makes a call; empty where a test makes it."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_name != "_execute_child":  # which leaves its child behind
        path = frame.f_code.co_filename
        if path.startswith(_OURS):
            return f"{path.removeprefix(_OURS)}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def _is_of_pipe(name: str, arguments: tuple[Any, ...]) -> bool:
    """Whether a call is about a pipe to another program, which is no storage."""
    return name in {"read", "write"} and stat.S_ISFIFO(os.fstat(arguments[0]).st_mode)


@contextmanager
def struck(strike: Strike) -> Iterator[None]:
    """Strike in the block."""
    with pytest.MonkeyPatch.context() as patch:
        for name in strike.calls:
            if name in NATIVE:
                continue
            owner, key = EVERY[name]
            original = getattr(owner, key)
            patch.setattr(owner, key, lambda *a, _n=name, _o=original, **k: strike.around(_n, _o, *a, **k))
        rename, sync = durable._rename_exclusively, durable._syncfs
        if strike.calls in {CHANGES, ("renameat2",)}:
            name = "rename" if strike.calls is CHANGES else "renameat2"
            patch.setattr(durable, "_rename_exclusively", lambda *a: strike.returned(name, rename, *a))
        if sync is not None and strike.calls in {CHANGES, ("syncfs",)}:
            patch.setattr(durable, "_syncfs", lambda descriptor: strike.sync_file_system(sync, descriptor))
        if strike.calls is READS:
            direct = MediumSource._read_direct
            patch.setattr(MediumSource, "_read_direct", lambda *a: strike.around("pread", direct, *a))
        yield


def dies(strike: Strike, work: Callable[[], object]) -> bool:
    """Return whether a copy of this process, with all that it forks, died while it did some work."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads that the copy does not have
        child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with suppress(ProcessLookupError, PermissionError):
            while True:  # what it forked holds its locks until it is gone too
                os.killpg(child, 0)
                time.sleep(0.001)
        return code == KILLED
    try:
        os.setpgid(0, 0)
        with struck(strike):
            work()
    finally:
        os._exit(0)


def hit(strike: Strike, work: Callable[[], object], *expected: type[BaseException]) -> bool:
    """Do some work, in a copy of this process where it is to die; return whether it came to its strike.

    Args:
        strike: What to strike.
        work: The work.
        expected: What it may raise.
    """
    if strike.how in {"before", "after"}:
        return dies(strike, work)
    with suppress(*expected), struck(strike):
        work()
    return bool(strike.struck)


def run_again(*arguments: str | Path) -> Result:
    """Run a command that was struck again: it succeeds, or refuses with one command that does.

    Returns the result of the plain rerun.
    """
    result = tokar(*arguments)
    if result.exit_code == 0:
        return result
    ways = [words for words in ("--force", "--existing set-aside", "--take-over") if words in result.hint]
    assert ways, result.stderr
    again = tokar(*arguments, *ways[0].split())
    assert again.exit_code == 0, again.stderr
    return result


class WindowsMoves:
    """Stands in for the calls of Windows that make files and names durable, and notes them.

    Args:
        patch: For the calls.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.noted: list[tuple[str, int]] = []  # `flush` with the inode, or the new name with the flags of the move
        sync = os.fsync

        def flush(descriptor: int) -> None:
            sync(descriptor)
            assert not stat.S_ISDIR(os.fstat(descriptor).st_mode), "directories cannot be synced there"
            self.noted.append(("flush", os.fstat(descriptor).st_ino))

        patch.setattr(os, "fsync", flush)
        patch.setattr(durable, "_move_by_windows", self._move)

    def _move(self, source: str, target: str, flags: int) -> int:
        inode, is_file = os.lstat(source).st_ino, os.path.isfile(source)  # noqa: PTH113 - text
        if not flags & durable._WINDOWS_REPLACE and os.path.lexists(target):
            return errno.EEXIST
        assert flags & durable._WINDOWS_WRITE_THROUGH
        assert not is_file or ("flush", inode) in self.noted, f"{target} was not flushed before"
        os.replace(source, target)  # noqa: PTH105 - text
        self.noted.append((os.path.basename(target), flags))  # noqa: PTH119 - text
        return 0
