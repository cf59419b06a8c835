"""What is left of one file of a damaged archive: all of it, a part, or nothing (SALV-2).

An entry that is one proven run needs none of this. For all others the records that are left are held against each
other by their checks. FILE or DONE that is lost is built again from the row of the index, and counts if it has the
check that DONE or the row names.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from blake3 import blake3

from tokar.format import bodies, records
from tokar.format.bodies import DoneRecord, FileList, FileRecord
from tokar.format.index import Entry
from tokar.format.records import HEAD_SIZE, RecordHead
from tokar.salvage.find import RecordReader
from tokar.salvage.runs import RecordRun, chunk_of, fits_file

_MAX_RANGES: Final = 1000
_UNKNOWN_TOKEN: Final = 0x0F  # spec/tokens.md: no role is known
_UTF_8: Final = 65001
_LOG2S: Final = range(records.MIN_CHUNK_LOG2, records.MAX_CHUNK_LOG2 + 1)
_NO_STREAM: Final = "its FILE record is lost, and with it what its content is opened by"
_NOTHING_LEFT: Final = "nothing is left of its content"


class EntryState(Enum):
    """What is left of a file."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class MissingContent:
    """A range of a file's content that is lost."""

    offset: int  # Where it begins in the content
    size: int | None  # Its bytes; None if it is not known how far it goes


@dataclass(frozen=True, slots=True)
class FoundEntry:
    """What is left of one file."""

    number: int  # Of the entry in the damaged archive
    state: EntryState  # Complete, incomplete or lost
    reason: str  # Why it is not complete, empty if it is
    # FILE as it is or will be written, apart from its number; None where not even a name is known.
    file: FileRecord | None = None
    is_named: bool = False  # Whether token and name are those of the original
    size: int | None = None  # Bytes of content of the original, None if that is not known
    digest: bytes | None = None  # Of the whole content, None if DONE is lost
    chunk_size: int = 1  # Bytes of a full chunk
    chunk_count: int = 0  # Number of chunks as far as they are known, lost ones included
    numbers: Sequence[int] = ()  # Numbers of the chunks that are there, rising
    places: Sequence[int] = ()  # Where these are in the input
    position: int = -1  # Where the entry begins in the original, -1 if that is not known
    extent: int = 0  # Bytes of the entry in the original, if it is complete

    @property
    def filler_count(self) -> int:
        """Number of chunks that are lost."""
        return self.chunk_count - len(self.numbers)

    @property
    def filler_size(self) -> int:
        """Bytes of zeros that stand for them, at most."""
        return self.filler_count * self.chunk_size

    @property
    def missing(self) -> tuple[MissingContent, ...]:
        """The ranges of content that are lost, at most 1,000; the last of these then stands for all that follow."""
        return tuple(self._missing())

    def _missing(self) -> Iterator[MissingContent]:
        if self.state is EntryState.COMPLETE:
            return
        expected = count = 0
        for number in self.numbers:
            if number > expected:
                count += 1
                if count == _MAX_RANGES:
                    break
                yield MissingContent(expected * self.chunk_size, (number - expected) * self.chunk_size)
            expected = number + 1
        offset = expected * self.chunk_size
        if self.size is None:
            yield MissingContent(offset, None)
        elif self.size > offset:
            yield MissingContent(offset, self.size - offset)

    def content_size_of(self, number: int) -> int:
        """Return the bytes of content that a chunk has."""
        return self.chunk_size if self.size is None else min(self.chunk_size, self.size - number * self.chunk_size)


def lost_entry(row: Entry) -> FoundEntry:
    """Return what is known of an entry of which there is nothing but a row of the index."""
    reason = "all of its records are lost"
    return FoundEntry(row.number, EntryState.LOST, reason, row.file, is_named=True, size=row.size)


def find_entry(reader: RecordReader, tag: bytes, runs: Iterable[RecordRun], row: Entry | None) -> FoundEntry:
    """Return what is left of an entry.

    Args:
        reader: For the records.
        tag: Of the archive.
        runs: The runs of the entry, in order; none for an empty file of which the index alone is left.
        row: What the index says of the entry, if a page of it is there.

    Raises:
        SourceChangedError: The input is not what it was.
        StorageError: It cannot be read.
    """
    return _EntryFinder(reader, tag, runs, row).found_entry()


@dataclass(slots=True)
class _Chunks:
    """The DATA records that are there, in columns."""

    numbers: array[int] = field(default_factory=lambda: array("I"))
    places: array[int] = field(default_factory=lambda: array("Q"))
    sizes: array[int] = field(default_factory=lambda: array("I"))
    lengths: array[int] = field(default_factory=lambda: array("I"))
    checks: bytearray = field(default_factory=bytearray)

    def __len__(self) -> int:
        return len(self.numbers)

    def add(self, head: RecordHead, place: int, end: bytes) -> None:
        (_, number, size, _), _ = bodies.data_fields(end)
        self.numbers.append(number)
        self.places.append(place)
        self.sizes.append(size)
        self.lengths.append(head.length)
        self.checks += head.check

    def check(self, at: int) -> bytes:
        return bytes(self.checks[32 * at : 32 * at + 32])

    def keep(self, kept: list[int]) -> None:
        """Forget all but some."""
        if len(kept) == len(self):
            return
        checks = b"".join(map(self.check, kept))
        for column in (self.numbers, self.places, self.sizes, self.lengths):
            column[:] = array(column.typecode, [column[at] for at in kept])
        self.checks = bytearray(checks)


class _EntryFinder:
    def __init__(self, reader: RecordReader, tag: bytes, runs: Iterable[RecordRun], row: Entry | None) -> None:
        self._reader = reader
        self._tag = tag
        self._row = row
        self._file: FileRecord | None = None
        self._file_head: RecordHead | None = None
        self._done: DoneRecord | None = None
        self._done_head: RecordHead | None = None
        self._chunks = _Chunks()
        self._number = -1 if row is None else row.number
        self._first, self._end = records.MAX_ARCHIVE_SIZE, -1
        for run in runs:
            self._collect(run)

    def _collect(self, run: RecordRun) -> None:
        if self._end < 0:
            self._number, self._first = run.entry, run.position
        self._end = run.end
        for head, place, end in self._reader.ends(run.at, run.size):
            if head.kind == records.DATA:
                self._chunks.add(head, place, end)
                continue
            body = self._reader.record(place).body
            if head.kind == records.FILE:
                self._file_head = head
                after = 0 if self._reader.encrypted else None
                self._file = FileRecord.parse(body, entry=self._number, position=head.position, after=after)
            else:
                self._done_head = head
                self._done = DoneRecord.parse(body, entry=self._number, position=head.position)

    def found_entry(self) -> FoundEntry:
        self._drop_wrong_done()
        self._drop_wrong_row()
        if self._file is None:
            self._rebuild_file()
        file, numbers = self._file, self._chunks.numbers
        if file is None and self._reader.encrypted:
            return FoundEntry(self._number, EntryState.LOST, _NO_STREAM)
        log2 = self._chunk_log2() if file is None else file.chunk_log2
        if log2 is None:
            reason = "its FILE record is lost, and where its chunks belong cannot be told"
            return FoundEntry(self._number, EntryState.LOST, reason if numbers else _NOTHING_LEFT)
        self._drop_wrong_chunks(1 << log2)
        size = self._content_size(1 << log2)
        known_count = numbers[-1] + 1 if numbers else 0
        count = known_count if size is None else -(-size >> log2)
        if not numbers and (file is None or size != 0):
            return FoundEntry(self._number, EntryState.LOST, _NOTHING_LEFT, file, is_named=file is not None, size=size)
        if self._done is None and len(numbers) == count:
            self._rebuild_done()
        reason = self._why_incomplete(count)
        done, file_head, done_head = self._done, self._file_head, self._done_head
        return FoundEntry(
            self._number,
            EntryState.INCOMPLETE if reason else EntryState.COMPLETE,
            reason,
            file or _made_up_file(self._number, log2),
            is_named=file is not None,
            size=size,
            digest=None if done is None else done.digest,
            chunk_size=1 << log2,
            chunk_count=count,
            numbers=numbers,
            places=self._chunks.places,
            position=-1 if file_head is None else file_head.position,
            extent=0 if file_head is None or done_head is None else done_head.end - file_head.position,
        )

    def _told_size(self) -> int | None:
        """Return the size of the content from DONE, else from the row of the index."""
        if self._done is not None:
            return self._done.content_size
        return None if self._row is None else self._row.size

    def _drop_wrong_done(self) -> None:
        """Forget DONE if it cannot be that of FILE."""
        file, head, done, done_head = self._file, self._file_head, self._done, self._done_head
        if file is None or head is None or done is None or done_head is None:
            return
        reach = head.end + sum(done.data_lengths) + HEAD_SIZE * done.chunk_count
        if not fits_file(done, file) or done.file_check != head.check or reach != done_head.position:
            self._done = None

    def _drop_wrong_row(self) -> None:
        """Forget the row of the index if it cannot be that of this entry."""
        row, file = self._row, self._file
        if row is None:
            return
        reach = self._end if self._done_head is None else self._done_head.position
        fits = row.file_position <= self._first and reach <= row.done_position
        fits &= row.size <= records.MAX_CHUNKS << row.chunk_log2
        if file is not None and self._file_head is not None:
            fits &= (file, self._file_head.position) == (row.file, row.file_position)
        if self._done is not None and self._done_head is not None:
            own_done = (self._done.content_size, self._done.digest, self._done_head.position, self._done_head.check)
            fits &= own_done == (row.size, row.digest, row.done_position, row.done_check)
        if not fits:
            self._row = None

    def _rebuild_file(self) -> None:
        """Build FILE again from the index, which is forgotten if DONE is there and names another check."""
        row, done = self._row, self._done
        if row is None:
            return
        body = row.file.build()
        _, check = records.build_head(records.FILE, self._tag, row.file_position, body)
        if done is not None and done.file_check != check:
            self._row = None
            return
        self._file, self._file_head = row.file, RecordHead(records.FILE, len(body), row.file_position, check)
        self._drop_wrong_done()

    def _rebuild_done(self) -> None:
        """Build DONE again from FILE, all DATA and the index, which must name the check that comes out."""
        row, head, chunks = self._row, self._file_head, self._chunks
        if row is None or head is None:
            return
        position = head.end + sum(chunks.lengths) + HEAD_SIZE * len(chunks)
        done = DoneRecord(self._number, row.size, row.digest, head.check, chunks.lengths, bytes(chunks.checks))
        body = done.build()
        _, check = records.build_head(records.DONE, self._tag, position, body)
        if (check, position) == (row.done_check, row.done_position) and self._file and fits_file(done, self._file):
            self._done, self._done_head = done, RecordHead(records.DONE, len(body), position, check)

    def _chunk_log2(self) -> int | None:
        """Return the size of a chunk as a power of two from the chunks alone, None if they do not tell."""
        sizes, numbers = self._chunks.sizes, self._chunks.numbers
        if not sizes:
            return None
        full = set(sizes[:-1])
        fitting = [log2 for log2 in _LOG2S if full <= {1 << log2} and sizes[-1] <= 1 << log2]
        if self._done is not None:
            total, count = self._done.content_size, self._done.chunk_count
            fitting = [log2 for log2 in fitting if -(-total >> log2) == count]
        if len(fitting) > 1 and numbers[-1] > 0:
            fitting = [log2 for log2 in fitting if sizes[-1] == 1 << log2]
        return fitting[0] if fitting else None

    def _drop_wrong_chunks(self, chunk_size: int) -> None:
        """Forget chunks that DONE does not name, or that have another size than their place calls for."""
        chunks, done = self._chunks, self._done
        sizes, last = chunks.sizes, len(chunks) - 1
        size = self._told_size()
        kept = []
        for at, number in enumerate(chunks.numbers):
            if size is not None:
                fits = sizes[at] == min(chunk_size, size - number * chunk_size)
            else:
                fits = sizes[at] == chunk_size or (at == last and sizes[at] < chunk_size)
            if done is not None and fits:
                fits = chunks.lengths[at] == done.data_lengths[number]
                fits &= chunks.check(at) == done.data_checks[32 * number : 32 * number + 32]
            if fits:
                kept.append(at)
        chunks.keep(kept)

    def _content_size(self, chunk_size: int) -> int | None:
        """Return the size of the content of the original, if something tells it."""
        size = self._told_size()
        if size is not None or self._file is None or self._file.incomplete:
            return size
        announced = self._file.announced_size
        numbers, sizes = self._chunks.numbers, self._chunks.sizes
        if announced is None or announced > records.MAX_CHUNKS * chunk_size:
            return None
        fits = not numbers or sizes[-1] == min(chunk_size, announced - numbers[-1] * chunk_size)
        return announced if fits else None

    def _why_incomplete(self, count: int) -> str:
        """Return why a file of which something is left is not complete; nothing if it is."""
        there = len(self._chunks)
        if there < count:
            lost = count - there
            return f"{lost} of {count} chunks {'is' if lost == 1 else 'are'} lost"
        if self._done is None:
            return "its DONE record is lost or does not fit, so nothing proves that it is whole"
        if not self._reader.encrypted and self._digest() != self._done.digest:
            return "the digest of its content is wrong"
        return "" if self._file is not None else "its FILE record is lost, and with it what was known of the file"

    def _digest(self) -> bytes:
        content = blake3()
        for place in self._chunks.places:
            content.update(chunk_of(self._reader.record(place), encrypted=False)[1])
        return content.digest()


def _made_up_file(number: int, log2: int) -> FileRecord:
    """Return a FILE record for content whose own is lost."""
    name = f"lost-name-{number:08}".encode()
    return FileRecord(number, _UTF_8, _UNKNOWN_TOKEN, FileList.BY_HAND, None, None, True, log2, name)
