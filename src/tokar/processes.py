"""Copies of this process that share its work: forked where that is safe, on Linux, and never outliving it for long.

A copy hears no signals: the process that it was copied from does, and ends it.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from tokar import signals

_MOST: Final = 4  # more only wait for each other at the one directory that they fill
DONE: Final = 75
"""The status of a copy that has done its work: not 0, which whatever ends a process early may use too."""


def useful_processes() -> int:
    """Return how many processes are worth having: one a processor, up to a few; one where nothing can be forked."""
    return min(len(os.sched_getaffinity(0)), _MOST) if sys.platform == "linux" else 1


def fork(work: Callable[[], object]) -> int:
    """Fork a copy of this process that does some work and ends; return its number. Call it where signals are held.

    Raises:
        OSError: The system refuses.
    """
    with warnings.catch_warnings():
        # Of other threads here, such as that of a progress bar, the copy has none, nor anything that they may hold: it
        # reads, hashes and writes.
        warnings.simplefilter("ignore", DeprecationWarning)
        process = os.fork()
    if process:
        return process
    try:  # without what else the end of a program does: that is for the process that this one copies
        gc.freeze()  # what is there belongs to that process: looking through it would only copy it
        signals.ignore()  # the other process hears them too, and ends this one
        work()
    except BaseException:  # noqa: BLE001 - said by the status
        os._exit(1)
    os._exit(DONE)


class ForkedCopy:
    """A copy, seen from where it was forked.

    Args:
        process: Its number.
        pipe: What it writes to can be read here.
    """

    def __init__(self, process: int, pipe: int) -> None:
        self.process = process
        self.pipe = pipe
        self.status: int | None = None

    @property
    def is_done(self) -> bool:
        """Whether its work is done."""
        return self.status is not None and os.WIFEXITED(self.status) and os.WEXITSTATUS(self.status) == DONE

    def wait(self) -> None:
        """Wait until it is gone, and keep how it ended; not done where nobody knows (SIGCHLD is ignored)."""
        try:
            self.status = os.waitpid(self.process, 0)[1]
        except ChildProcessError:
            self.status = 0

    def end(self) -> None:
        """End it if it is still at work, and wait until it is gone."""
        if self.status is None:
            with suppress(ProcessLookupError):
                os.kill(self.process, signal.SIGKILL)
            self.wait()
            os.close(self.pipe)
