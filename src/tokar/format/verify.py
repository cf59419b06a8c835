"""Checking every record of an archive, on all cores (the rung "intact" of the design; spec/format.md section 13).

The quick check proves every byte of the archive by its record's check. With content, every chunk is decoded as well and
every digest compared. Faults are collected, not only the first: whoever has a damaged archive wants to know which files
are still good.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, Protocol

from tokar.errors import ArchiveError, FormatError
from tokar.format import records
from tokar.format.archive import Archive
from tokar.format.entry_reader import Chunk, EntryReader, EntryRecords, content_of
from tokar.format.index import Entry
from tokar.format.records import HEAD_SIZE, TrailingRecord

_BATCH_SIZE: Final = 8 << 20  # bytes of records in one unit of work
_LARGE_SIZE: Final = 4 << 20  # bytes of an entry from which on its chunks are spread over the threads
_TINY_SIZE: Final = 16 << 10  # bytes of an entry, on average, below which a batch is not worth a thread
_MAX_FAULTS: Final = 1000


@dataclass(frozen=True, slots=True)
class VerifyFault:
    """Something that is wrong."""

    error: ArchiveError  # What
    entry: Entry | None = None  # The entry it is in, None outside entries
    is_spare: bool = False  # Whether it is in a record that no file needs: there is a copy, or the index says the same


@dataclass(slots=True)
class VerifyReport:
    """What was checked, and what was found."""

    content_decoded: bool  # Whether content was decoded and digests compared
    entries: int = 0  # Entries that were looked at
    bytes_checked: int = 0  # Bytes of records that were looked at
    faults: list[VerifyFault] = field(default_factory=list)  # What is wrong, at most 1,000
    fault_count: int = 0  # How many faults there are
    spare_count: int = 0  # How many of them are in records that no file needs
    trailing: Sequence[TrailingRecord] = ()  # The records after ROOT: they are whole, and no root covers them

    @property
    def are_files_whole(self) -> bool:
        """Whether every file can be read, whatever else is damaged."""
        return self.fault_count == self.spare_count

    def demand_files(self) -> None:
        """Raise the first fault that keeps a file from being read, if there is one.

        Raises:
            ArchiveError: The fault.
        """
        if not self.are_files_whole:
            raise next((one for one in self.faults if not one.is_spare), self.faults[0]).error

    def demand(self) -> None:
        """Raise the first fault, if there is one.

        Raises:
            ArchiveError: The fault.
        """
        if self.faults:
            raise self.faults[0].error


class Watcher(Protocol):
    """Takes the content of one entry while it is verified, in order; in one thread at a time."""

    def __call__(self, content: memoryview, /) -> None:
        """Take the next bytes, proven by the check of their chunk. They may be changed afterwards."""

    def finish(self) -> object:
        """Note that all of it came, and has its digest; it is not called where anything is wrong."""


Watch = Callable[[Entry], Watcher | None]
"""Returns who takes the content of an entry; None where nobody wants it. Called from several threads."""


def verify(
    archive: Archive,
    *,
    content: bool = False,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
    watch: Watch | None = None,
) -> VerifyReport:
    """Check every record of an archive.

    Args:
        archive: The archive; opening it has checked TAIL, ROOT, SUMM and the HEAD after it.
        content: Whether to decode the content and compare digests (DONE-5).
        threads: The number of processors by default.
        progress: Called with numbers of bytes as they are done, from several threads but never at once.
        watch: Who else takes the content that is decoded, so that nobody reads it a second time.

    Returns:
        The report; `demand` raises if there is a fault.

    Raises:
        FormatError: The index cannot be read, so that there is nothing to go by.
        LockedError: Content is to be decoded, it is encrypted, and the key is not there.
    """
    if content:
        archive.demand_key()
    return _Verifier(archive, content=content, threads=threads, progress=progress, watch=watch).run()


def spare_damage(archive: Archive) -> Iterator[FormatError]:
    """Yield what is wrong with records outside entries that no file needs: the first HEAD, PROC, lower-case ones."""
    for row in archive.rows:
        if row.kind not in (records.SUMM, records.INDX):
            try:
                archive.demand_row(row)
            except FormatError as error:
                error.path = error.path or archive.path
                yield error


class _Verifier:
    def __init__(
        self,
        archive: Archive,
        *,
        content: bool,
        threads: int | None,
        progress: Callable[[int], None] | None,
        watch: Watch | None,
    ) -> None:
        self._archive = archive
        self._tag = archive.id[:8]
        self._content = content
        self._threads = threads or os.cpu_count() or 1
        self._progress = progress
        self._watch = watch
        self._report = VerifyReport(content, trailing=archive.trailing)
        self._lock = threading.Lock()
        self._local = threading.local()
        self._failure: BaseException | None = None

    def run(self) -> VerifyReport:
        self._outside()
        units = self._units()
        if (first := next(units, None)) is not None:  # else nothing but tiny entries, which were checked on the way
            self._in_threads(chain((first,), units))
        if self._failure is not None:
            raise self._failure
        self._report.faults.sort(key=lambda fault: fault.error.offset or 0)
        return self._report

    def _in_threads(self, units: Iterable[Callable[[], None]]) -> None:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - start-up time: small archives need none

        slots = threading.BoundedSemaphore(4 * self._threads)
        with ThreadPoolExecutor(self._threads, "tokar-verify") as pool:
            for unit in units:
                slots.acquire()
                pool.submit(unit).add_done_callback(lambda future: self._finished(future, slots))

    def _finished(self, future: Future[None], slots: threading.BoundedSemaphore) -> None:
        """Keep what a unit did not expect: an archive is not good because its check fell over."""
        slots.release()
        if self._failure is None:
            self._failure = future.exception()

    def _outside(self) -> None:
        """Check the records outside entries that opening did not read, and that no entry comes twice."""
        archive = self._archive
        try:
            archive.demand_unique()
        except FormatError as error:
            self._fault(error, None)
        for damage in spare_damage(archive):
            self._fault(damage, None, is_spare=True)
        self._done(sum(HEAD_SIZE + row.length for row in archive.rows))
        self._done(archive.size - archive.root_head.position + 32)

    def _units(self) -> Iterator[Callable[[], None]]:
        """Yield units of work: batches of small entries, and parts of large ones."""
        archive = self._archive
        batch: list[tuple[Entry, int]] = []
        batch_size = 0
        for entry, end in archive.entries_with_ends():
            size = end - entry.file_position
            if size >= _LARGE_SIZE:
                yield from self._large(entry, end)
                continue
            batch.append((entry, end))
            batch_size += size
            if batch_size >= _BATCH_SIZE:
                yield from self._spread(batch, batch_size)
                batch, batch_size = [], 0
        yield from self._spread(batch, batch_size)

    def _spread(self, batch: list[tuple[Entry, int]], size: int) -> Iterator[Callable[[], None]]:
        """Yield a batch as a unit of work; one of tiny entries is done at once: it never lets go of the interpreter."""
        if size < _TINY_SIZE * len(batch):
            self._batch(batch)
        elif batch:
            yield lambda: self._batch(batch)

    def _batch(self, batch: list[tuple[Entry, int]]) -> None:
        reader = self._reader()
        for entry, end in batch:
            try:
                found = reader.small(entry, end, decode=self._content)
                if found is None:
                    self._one(reader, entry, end)
                elif self._content:
                    self._show(entry, [Chunk(entry.size, found.content, found.codec)])
            except ArchiveError as error:
                self._fault(error, entry)
        with self._lock:
            self._report.entries += len(batch)
        self._done(sum(end - entry.file_position for entry, end in batch))

    def _one(self, reader: EntryReader, entry: Entry, end: int) -> None:
        found = self._records(reader, entry, end)
        if self._content:
            self._show(entry, reader.chunks(found))
        else:
            self._demand_chunks(reader, found, 0, found.done.chunk_count)

    def _records(self, reader: EntryReader, entry: Entry, end: int) -> EntryRecords:
        """Return FILE and DONE of an entry, both read. What FILE says, the index says too."""
        found = reader.records(entry, end)
        try:
            reader.demand_file(entry, found)
        except FormatError as error:
            self._fault(error, entry, is_spare=True)
        return found

    def _large(self, entry: Entry, end: int) -> Iterator[Callable[[], None]]:
        """Yield units for parts of one entry; its digest, which needs them in order, is one unit."""
        try:
            found = self._records(self._reader(), entry, end)
        except ArchiveError as error:
            self._fault(error, entry)
            self._done(end - entry.file_position)
            return
        with self._lock:
            self._report.entries += 1
        if self._content:
            yield lambda: self._digest(entry, found)
        else:
            step = max(1, _BATCH_SIZE // (1 << found.file.chunk_log2))
            for start in range(0, found.done.chunk_count, step):
                yield lambda start=start: self._part(entry, found, start, step)  # type: ignore[misc]
        self._done(end - entry.file_position - (found.data_positions[-1] - found.data_positions[0]))

    def _part(self, entry: Entry, found: EntryRecords, start: int, step: int) -> None:
        stop = min(start + step, found.done.chunk_count)
        try:
            self._demand_chunks(self._reader(), found, start, stop)
        except ArchiveError as error:
            self._fault(error, entry)
        self._done(found.data_positions[stop] - found.data_positions[start])

    def _demand_chunks(self, reader: EntryReader, found: EntryRecords, start: int, stop: int) -> None:
        positions = found.data_positions
        for number in range(start, stop):
            reader.demand_chunk(found, number, self._buffer(positions[number + 1] - positions[number]))

    def _digest(self, entry: Entry, found: EntryRecords) -> None:
        try:
            self._show(entry, self._counted(found))
        except ArchiveError as error:
            self._fault(error, entry)

    def _counted(self, found: EntryRecords) -> Iterator[Chunk]:
        positions = found.data_positions
        for number, chunk in enumerate(self._reader().chunks(found)):
            yield chunk
            self._done(positions[number + 1] - positions[number])

    def _show(self, entry: Entry, chunks: Iterable[Chunk]) -> None:
        """Go through the content of an entry, and hand it to who wants it."""
        watcher = None if self._watch is None else self._watch(entry)
        for chunk in chunks:
            if watcher is not None:
                for piece in content_of(chunk):
                    watcher(piece)
        if watcher is not None:
            watcher.finish()

    def _reader(self) -> EntryReader:
        if not hasattr(self._local, "reader"):
            self._local.reader = EntryReader(self._archive.source, self._tag, self._archive.key)
        reader: EntryReader = self._local.reader
        return reader

    def _buffer(self, size: int) -> bytearray:
        buffer: bytearray = getattr(self._local, "buffer", bytearray())
        if len(buffer) < size:
            buffer = self._local.buffer = bytearray(size)
        return buffer

    def _fault(self, error: ArchiveError, entry: Entry | None, *, is_spare: bool = False) -> None:
        if error.path is None:
            error.path = self._archive.path
        with self._lock:
            self._report.fault_count += 1
            self._report.spare_count += is_spare
            if len(self._report.faults) < _MAX_FAULTS:
                self._report.faults.append(VerifyFault(error, entry, is_spare))

    def _done(self, size: int) -> None:
        with self._lock:
            self._report.bytes_checked += size
            if self._progress is not None:
                self._progress(size)
