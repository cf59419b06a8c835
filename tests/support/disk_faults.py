"""Makes one call of the file system fail, be cut short, be interrupted, or be the last that the process makes."""

from __future__ import annotations

import errno
import os
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from tokar.cli.signals import Stopped
from tokar.storage import directory, durable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

assert hasattr(os, "fork") == directory.HAS_DESCRIPTORS, "it is loaded before calls are replaced"

KILLED = 9  # the exit code of a process that died

FAULTS: dict[str, int | str] = {
    "EIO": errno.EIO,
    "ENOSPC": errno.ENOSPC,
    "EDQUOT": errno.EDQUOT,
    "EROFS": errno.EROFS,
    "short": "short",
    "signal": "signal",
    "killed before": "before",
    "killed after": "after",
}


def blows(stride: int) -> list[Any]:
    """Return parameters of a test: each fault with every point, and a sample of faults with a step between points."""
    sample = ("EIO", "signal", "killed after")
    return [
        *(pytest.param((FAULTS[one], stride), id=f"sample {one}") for one in sample),
        *(pytest.param((how, 1), marks=pytest.mark.torture, id=name) for name, how in FAULTS.items()),
    ]


class Strike:
    """Counts the calls that change something, and strikes one.

    Args:
        at: The number of the call to strike, from 1 on.
        how: An errno; `short` for a write that writes half; `signal`; `before` or `after`: the process dies there.
        sticky: Whether every later call of the same name fails as well.
    """

    def __init__(self, at: int, how: int | str, *, sticky: bool = False) -> None:
        self.at = at
        self.how = how
        self.sticky = sticky
        self.count = 0
        self.paused = False  # Whether calls are another process's, and are not counted
        self.struck = ""  # The call that was struck

    def around(self, name: str, original: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Make a call, or strike it."""
        if self.paused or (name == "open" and not arguments[1] & os.O_CREAT):
            return original(*arguments, **options)
        self.count += 1
        if self.count != self.at and not (self.sticky and name == self.struck):
            return original(*arguments, **options)
        self.struck = name
        if self.how == "before":
            os._exit(KILLED)
        if self.how == "signal":
            raise Stopped(15)
        if self.how == "short" and name == "write":
            return original(arguments[0], memoryview(arguments[1])[: max(1, len(arguments[1]) // 2)])
        if isinstance(self.how, int):
            raise OSError(self.how, os.strerror(self.how))
        try:
            return original(*arguments, **options)
        finally:
            if self.how == "after":
                os._exit(KILLED)

    def rename(self, original: Callable[..., int], *arguments: Any) -> int:
        """Make the exclusive rename, or strike it: it returns what others raise."""
        try:
            code: int = self.around("rename", original, *arguments)
        except OSError as error:
            return error.errno or 5
        return code


@contextmanager
def struck(strike: Strike) -> Iterator[None]:
    """Strike in the block."""
    with pytest.MonkeyPatch.context() as patch:
        for name in (
            "open",
            "write",
            "writev",
            "fsync",
            "unlink",
            "mkdir",
            "rmdir",
            "replace",
            "rename",
            "link",
            "ftruncate",
        ):
            original = getattr(os, name)
            patch.setattr(os, name, lambda *a, _n=name, _o=original, **k: strike.around(_n, _o, *a, **k))
        original_rename = durable._rename_exclusively
        patch.setattr(durable, "_rename_exclusively", lambda *a: strike.rename(original_rename, *a))
        yield


def dies(strike: Strike, work: Callable[[], object]) -> bool:
    """Return whether a copy of this process died at its strike while it did some work."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads that the copy does not have
        child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED
    try:
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
    return strike.count >= strike.at
