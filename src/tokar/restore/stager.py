"""Writes the contents of a plan into staging directories, and makes them durable (steps 2 and 3 of `place`).

Many small files are shared among the processors (`workers`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Final

from tokar.errors import IntegrityError, StorageError, reason_of, storage_errors
from tokar.format.entry_reader import Chunk
from tokar.format.index import Entry
from tokar.restore.ahead import ContentReader, with_content
from tokar.restore.journal import is_whole
from tokar.restore.plan import Extra, Plan
from tokar.restore.staging import Stage, disturbed
from tokar.restore.workers import Tally, WorkerPool
from tokar.storage import durable, windows
from tokar.storage.directory import Directory
from tokar.storage.sink import write_all

_PROGRESS_STEP: Final = 1 << 20  # bytes between two calls of the progress callback
_TIMES_BY_DESCRIPTOR: Final = os.utime in os.supports_fd
_MANY_FILES: Final = 2000  # from how many on a pool is worth forking
_SMALL_SIZE: Final = 1 << 16  # bytes; larger files are read and written by threads, so one process is enough
# Bytes of one write. A larger one, where so many pages begin, Linux wants to keep in one piece of memory of its size,
# and looks for that several times as long as all else takes.
_AT_ONCE: Final = 1 << 16
_BLOCK: Final = 256  # neighbouring files that one process stages, since they are read together


def is_own(share: int, shares: int, at: int, size: int) -> bool:
    """Whether the file at a place falls to a share: blocks of small ones in turn, and the first has the large ones."""
    return (at // _BLOCK % shares if size <= _SMALL_SIZE else 0) == share


class Stager:
    """The contents of a plan on their way into staging directories.

    Args:
        plan: The plan.
        reader: Where content comes from.
        stages: The staging directories, open, by target directory.
        progress: Called with the number of bytes that were written since the last call.
    """

    def __init__(
        self,
        plan: Plan,
        reader: ContentReader,
        stages: Mapping[str, Stage],
        progress: Callable[[int], None] | None,
    ) -> None:
        self._plan = plan
        self._reader = reader
        self._stages = stages
        self._progress = progress
        self.processes = 1  # How many were worth having
        self._done = plan.interrupted.placed if plan.interrupted else ()
        self._unreported = 0
        self._without_time = 0
        self._files = 0
        self._size = 0

    def stage(self, processes: int = 1) -> Tally:
        """Stage what is not in place or staged already, and remove what an interrupted run has left of no file.

        Args:
            processes: How many processes may stage many small files.

        Returns:
            What is staged or was in place already.

        Raises:
            FormatError: The archive is damaged.
            IntegrityError: A file has another size than the index says.
            StorageError: The operating system refused.
        """
        for extra in self._plan.extras:
            self._stage_extra(extra)
        fresh = not self._done and not any(stage.left for stage in self._stages.values())
        if fresh and processes > 1 and len(self._plan.steps) >= _MANY_FILES:
            self.processes = processes
            self._stage_with_workers(processes)
        elif fresh:
            for _ in self._stage_share(0, 1):
                pass
        else:
            self._go_on()
        self._tell(0)
        return self._tally()

    def _go_on(self) -> None:
        """Stage what an interrupted run has not."""
        for directory_path, name, entry in self._plan.steps.placements():
            if (directory_path, name) in self._done:
                self._count(entry.size)
            elif not self._is_staged(self._stages[directory_path], name, entry):
                self._stage(self._stages[directory_path].opened, name, entry, self._reader.chunks(entry))
        for stage in self._stages.values():
            for name in stage.left:
                stage.opened.remove(name)

    def _stage_with_workers(self, processes: int) -> None:
        """Stage everything, the small files in several processes."""
        pool = WorkerPool(processes - 1, lambda share: self._stage_elsewhere(share, processes))
        staged = [(stage.opened.descriptor, stage.opened.path) for stage in self._stages.values()]
        try:
            with durable.SyncBehind(staged):
                for _ in self._stage_share(0, processes):
                    self._take(pool.tallies(wait=False))
                self._take(pool.tallies(wait=True))
        finally:
            pool.end()
        for share, counted in pool.undone():
            self._files -= counted.files
            self._size -= counted.size
            self._without_time -= counted.without_time
            for _ in self._stage_share(share, processes, again=True):
                pass
        expected = sum(one.files for one in self._plan.directories)
        if self._files != expected:  # a directory is renamed as a whole, and would not show it
            raise disturbed(f"only {self._files} of {expected} files were staged")

    def _stage_elsewhere(self, share: int, shares: int) -> Iterator[Tally]:
        """Stage a share in a copy of this process, which tells no progress: its lock may be held for ever here."""
        self._progress = None
        return self._stage_share(share, shares)

    def _take(self, tallies: Iterator[Tally]) -> None:
        """Account for what the pool has done."""
        for tally in tallies:
            self._files += tally.files
            self._size += tally.size
            self._without_time += tally.without_time
            self._unreported += tally.size
            if self._unreported >= _PROGRESS_STEP:
                self._tell(_PROGRESS_STEP)

    def _stage_share(self, share: int, shares: int, *, again: bool = False) -> Iterator[Tally]:
        """Stage the blocks of small files that fall to a share; the first has the large files too; yields after each.

        Args:
            share: Which.
            shares: How many there are.
            again: Whether part of it may be staged, by a process that failed. It is staged anew.
        """
        before = self._tally()
        own = self._plan.steps.placements(partial(is_own, share, shares))
        for path, name, entry, content in with_content(self._reader, own):
            staging = self._stages[path].opened
            if again and staging.has(name):
                staging.remove(name)
            self._stage(staging, name, entry, content)
            if self._files - before.files >= _BLOCK:
                yield self._tally() - before
                before = self._tally()
        yield self._tally() - before

    def _tally(self) -> Tally:
        return Tally(self._files, self._size, self._without_time)

    def _is_staged(self, stage: Stage, name: str, entry: Entry) -> bool:
        """Return whether an interrupted run has staged this file, whole; what it left of it otherwise is removed."""
        if name not in stage.left:
            return False
        stage.left.remove(name)
        if not is_whole(stage.opened, name, entry, sync=True):
            stage.opened.remove(name)
            return False
        if entry.modified is not None:
            descriptor = stage.opened.open(name)
            try:
                self._set_time(descriptor, stage.opened, name, entry.modified)
            finally:
                os.close(descriptor)
        self._count(entry.size)
        return True

    def _count(self, size: int) -> None:
        """Count a file that need not be written again."""
        self._files += 1
        self._size += size
        self._unreported += size
        self._tell(_PROGRESS_STEP)

    def _stage_extra(self, extra: Extra) -> None:
        """Write a file that is no entry into its staging directory."""
        stage = self._stages[extra.directory]
        if (extra.directory, extra.name) in self._done:
            self._count(len(extra.data))
            return
        staging = stage.opened
        if extra.name in stage.left:
            stage.left.remove(extra.name)
            staging.remove(extra.name)
        descriptor = staging.create(extra.name)
        try:
            with storage_errors("write", staging.path_of(extra.name)):
                write_all(descriptor, [extra.data])
        finally:
            os.close(descriptor)
        self._files += 1
        self._size += len(extra.data)

    def _stage(self, staging: Directory, name: str, entry: Entry, content: Iterable[Chunk]) -> None:
        """Write an entry into its staging directory. If it dies half-way, part of the file is there, in staging."""
        descriptor = staging.create(name)
        try:
            size = self._write_chunks(descriptor, content)
            if size != entry.size:
                raise IntegrityError(f"{entry.name} has {size} bytes of content, the index says {entry.size}")
            if entry.modified is not None:
                self._set_time(descriptor, staging, name, entry.modified)
        except OSError as error:
            raise StorageError(f"cannot write: {reason_of(error)}", path=staging.path_of(name)) from error
        finally:
            os.close(descriptor)
            close = getattr(content, "close", None)
            if close is not None:
                close()
        self._files += 1
        self._size += size

    def _write_chunks(self, descriptor: int, chunks: Iterable[Chunk]) -> int:
        """Write content, leaving holes for zeros; return its size."""
        size = begun = 0
        hole = False
        for chunk in chunks:
            data = chunk.data
            if data is None:
                if not hole:
                    windows.make_sparse(descriptor)
                hole = True
            elif chunk.size:
                if hole:
                    os.lseek(descriptor, size, os.SEEK_SET)
                    hole = False
                _write(descriptor, memoryview(data))
            size += chunk.size
            if size - begun >= durable.WRITE_BEHIND:
                durable.write_behind(descriptor, begun, size - begun)
                begun = size
            self._unreported += chunk.size
            if self._unreported >= _PROGRESS_STEP:
                self._tell(_PROGRESS_STEP)
        if hole:
            os.ftruncate(descriptor, size)
        if size - begun >= _SMALL_SIZE:
            durable.write_behind(descriptor, begun, size - begun)
        return size

    def _tell(self, least: int) -> None:
        """Report progress, if there is enough of it."""
        if self._progress is not None and self._unreported > 0 and self._unreported >= least:
            self._progress(self._unreported)
        self._unreported = 0

    def _set_time(self, descriptor: int, staging: Directory, name: str, modified: int) -> None:
        """Give a file its modification time. One that the file system cannot hold is counted, not fatal."""
        try:
            os.utime(descriptor if _TIMES_BY_DESCRIPTOR else staging.path_of(name), ns=(modified, modified))
        except (OSError, OverflowError):
            self._without_time += 1

    def sync(self) -> None:
        """Make all staged files durable: a sync for each, or from many files on one for each file system."""
        stages = [stage.opened for stage in self._stages.values()]
        if self._files >= durable.SYNC_BATCH and all(
            staging.descriptor is not None and durable.sync_file_system(staging.descriptor, staging.path)
            for staging in stages
        ):
            return
        for staging in stages:
            for name in staging.names():
                descriptor = staging.open(name)
                try:
                    durable.sync_descriptor(descriptor, staging.path_of(name))
                finally:
                    os.close(descriptor)
            staging.sync()


def _write(descriptor: int, data: memoryview) -> None:
    for start in range(0, len(data), _AT_ONCE):
        piece = data[start : start + _AT_ONCE]
        if (written := os.write(descriptor, piece)) < len(piece):
            write_all(descriptor, [piece[written:]])
