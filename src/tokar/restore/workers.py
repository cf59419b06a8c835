"""A pool of workers: forked copies of this process that each do a share of work which touches nothing but files.

Making a small file is a dozen microseconds of system calls and twice as many of proof; with a hundred thousand of them
a second processor is worth having. Where processes cannot be forked safely (anywhere but on Linux) there is no pool.

A copy that fails says nothing but that it failed. Its share is then done by the process that it was copied from, which
meets the same error, with all that belongs to it, or none. It never outlives that process for long: it looks after
every step whether its parent is there.
"""

from __future__ import annotations

import operator
import os
import select
import struct
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, NamedTuple

from tokar import signals
from tokar.processes import ForkedCopy, fork

_TALLY: Final = struct.Struct("<QQQ")
_READ_SIZE: Final = _TALLY.size * 256


class Tally(NamedTuple):
    """What one step of work came to."""

    files: int  # Files written
    size: int  # Bytes written
    without_time: int  # Files that could not get their modification time

    def __sub__(self, other: Tally) -> Tally:
        """Return what was done since another."""
        return Tally(self.files - other.files, self.size - other.size, self.without_time - other.without_time)


class Worker(ForkedCopy):
    """A copy that does a share."""

    def __init__(self, share: int, process: int, pipe: int) -> None:
        super().__init__(process, pipe)
        self.share = share
        self.counted = Tally(0, 0, 0)

    def read(self) -> Iterator[Tally]:
        """Yield what came since the last time, waiting until something does. At the end there is a status."""
        # Every step is one short write, which a pipe keeps whole.
        data = os.read(self.pipe, _READ_SIZE)
        if not data:
            os.close(self.pipe)
            self.wait()
        for values in _TALLY.iter_unpack(data[: len(data) - len(data) % _TALLY.size]):  # a copy that fails may end so
            tally = Tally(*values)
            self.counted = Tally(*map(operator.add, self.counted, tally))
            yield tally


class WorkerPool:
    """Forked copies of this process at work.

    Args:
        count: How many copies; fewer if the system refuses.
        work: Does share `n`, from 1 on, step by step. It runs in the copy.
    """

    def __init__(self, count: int, work: Callable[[int], Iterator[Tally]]) -> None:
        self._workers: list[Worker] = []
        self._refused: list[int] = []
        try:
            for share in range(1, count + 1):
                try:
                    with signals.held():
                        self._workers.append(_fork(share, work))
                except OSError:
                    self._refused.append(share)
        except BaseException:
            self.end()
            raise

    def tallies(self, *, wait: bool) -> Iterator[Tally]:
        """Yield what was done since the last time; with `wait`, everything up to the end."""
        while at_work := {worker.pipe: worker for worker in self._workers if worker.status is None}:
            poll = select.poll()
            for pipe in at_work:
                poll.register(pipe, select.POLLIN)
            ready = poll.poll(None if wait else 0)
            if not ready:
                return
            for pipe, _ in ready:
                yield from at_work[pipe].read()

    def undone(self) -> list[tuple[int, Tally]]:
        """Return the shares that are not done, each with what `tallies`, now at its end, has yielded of it."""
        failed = [(worker.share, worker.counted) for worker in self._workers if not worker.is_done]
        return [*((share, Tally(0, 0, 0)) for share in self._refused), *failed]

    def end(self) -> None:
        """End those that are still at work, and wait until they are gone."""
        for worker in self._workers:
            worker.end()


def _fork(share: int, work: Callable[[int], Iterator[Tally]]) -> Worker:
    """Fork a copy that does a share.

    Raises:
        OSError: The system refuses.
    """
    reading, writing = os.pipe()
    try:
        process = fork(partial(_tell, share, work, writing, os.getpid()))
    except OSError:
        os.close(reading)
        os.close(writing)
        raise
    os.close(writing)
    return Worker(share, process, reading)


def _tell(share: int, work: Callable[[int], Iterator[Tally]], pipe: int, parent: int) -> None:
    """Do a share, and tell of each step."""
    for tally in work(share):
        if os.write(pipe, _TALLY.pack(*tally)) != _TALLY.size or os.getppid() != parent:
            os._exit(1)
