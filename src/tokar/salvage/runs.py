"""Runs: good records that follow each other without a fault, kept in columns of a few bytes.

An entry that is whole is one run, from its FILE to its DONE; damage cuts it into several. A record outside entries is a
run of its own. So the memory that salvage needs follows the number of entries, not that of records, and content is
never kept.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from blake3 import blake3

from tokar.errors import FormatError, UnsupportedError
from tokar.format import bodies, compression, records
from tokar.format.bodies import DataRecord, DoneRecord, FileRecord, Root, Tail
from tokar.format.encryption import TAG_SIZE
from tokar.format.index import IndexPage
from tokar.format.metadata import Head, Summary, parse_calls
from tokar.format.records import HEAD_SIZE, RecordHead
from tokar.salvage.find import FoundRecord
from tokar.storage.bytesource import Buffer

_CODES: Final = "QQQIIIIIBBBB"
_MAX_RUNS: Final = records.MAX_ENTRIES + (1 << 20)
_MAX_OUTSIDE: Final = records.MAX_OUTSIDE_RECORDS + records.MAX_TRAILING_RECORDS + 2
_MAX_FAULTS: Final = 1 << 16
_MAX_CHUNK_SIZE: Final = 1 << records.MAX_CHUNK_LOG2
_PARSERS: Final[Mapping[bytes, Callable[..., object]]] = {
    records.HEAD: Head.parse,
    records.PROC: parse_calls,
    records.SUMM: Summary.parse,
    records.ROOT: Root.parse,
    records.TAIL: Tail.parse,
}


class RecordRun(NamedTuple):
    """Records of one entry that follow each other, or one record outside entries."""

    at: int  # Where the run begins in the input
    position: int  # Where its records say that it belongs
    size: int  # Its bytes
    entry: int  # Number of the entry; for a record outside entries its place in `RunBuilder.outside`
    first_chunk: int  # Number of the first chunk
    chunk_count: int  # Number of chunks, which follow each other in number too
    first_size: int  # Bytes of content of the first chunk; the others have as many, but for the last
    last_size: int  # Bytes of content of the last chunk
    has_file: bool = False  # Whether it begins with FILE
    has_done: bool = False  # Whether it ends with DONE
    is_proven: bool = False  # Whether it is a complete entry, with every rule kept and the digest of its content right
    is_outside: bool = False  # Whether it is a record outside entries

    @property
    def end(self) -> int:
        """Where the record after it belongs."""
        return self.position + self.size

    @property
    def next_chunk(self) -> int:
        """Number of the chunk that would follow."""
        return self.first_chunk + self.chunk_count

    def continues(self, before: RecordRun) -> bool:
        """Whether it is of the same entry as the run before it."""
        if before.is_outside or self.is_outside or before.entry != self.entry or self.has_file or before.has_done:
            return False
        return not self.chunk_count or self.first_chunk >= before.next_chunk

    @property
    def content_size(self) -> int:
        """Bytes of content in its chunks."""
        return (self.chunk_count - 1) * self.first_size + self.last_size if self.chunk_count else 0


class Outside(NamedTuple):
    """A record outside entries: its head, and where it is in the input."""

    head: RecordHead
    at: int


class Columns:
    """Many runs in little memory: 48 bytes each."""

    def __init__(self) -> None:
        self._columns = [array(code) for code in _CODES]
        # Where the runs begin in the input; where they say that they belong; their bytes.
        self.places, self.positions, self.sizes, *_ = self._columns

    def __len__(self) -> int:
        return len(self._columns[0])

    def __getitem__(self, place: int) -> RecordRun:
        return RecordRun._make(column[place] for column in self._columns)

    def __iter__(self) -> Iterator[RecordRun]:
        return map(RecordRun._make, zip(*self._columns, strict=True))

    def append(self, run: RecordRun) -> None:
        """Add a run."""
        for column, value in zip(self._columns, run, strict=True):
            column.append(value)

    @property
    def are_tidy(self) -> bool:
        """Whether each run belongs after the one before it."""
        ends = map(int.__add__, self.positions, self.sizes)
        return all(map(int.__le__, ends, self.positions[1:]))

    def picked(self, order: Iterable[int]) -> Columns:
        """Return some of the runs, in an order."""
        chosen = Columns()
        for place in order:
            chosen.append(self[place])
        return chosen


class RunBuilder:
    """Makes runs out of records as they are found, and keeps everything good.

    Args:
        single: Whether each record becomes a run of its own.
        encrypted: Whether content is encrypted: then files are proven by checks alone (SALV-2).
    """

    def __init__(self, *, single: bool = False, encrypted: bool = False) -> None:
        self.encrypted = encrypted  # As it is taken to be; HEAD says whether that is right
        self.head: Head | None = None  # The first HEAD
        self.runs = Columns()  # In the order of the input
        self.outside: list[Outside] = []  # The records outside entries that runs refer to
        # What is wrong with records whose check is right but which cannot be used, by where they are in the input.
        self.faults: dict[int, str] = {}
        self.record_count = 0  # Good records that were found
        self.overflow = False  # Whether there was more than any archive may hold, and the rest was left
        self._single = single
        self._open: _OpenRun | None = None

    def take(self, record: FoundRecord) -> None:
        """Add a record.

        Raises:
            UnsupportedError: HEAD names a required feature that is not known.
        """
        self.record_count += 1
        try:
            if record.head.kind in records.ENTRY_KINDS:
                self._take_entry_record(record)
            else:
                self._take_outside(record)
        except UnsupportedError:
            raise
        except FormatError as error:
            if len(self.faults) < _MAX_FAULTS:
                kind = record.head.kind.decode()
                self.faults[record.at] = f"a {kind} record that breaks {error.rule}: {error.message}"
        if self._single:
            self.close()

    def close(self) -> None:
        """End the run that is open."""
        if self._open is not None:
            self._add(self._open.run())
            self._open = None

    def _add(self, run: RecordRun) -> None:
        if len(self.runs) < _MAX_RUNS:
            self.runs.append(run)
        else:
            self.overflow = True

    def _take_entry_record(self, record: FoundRecord) -> None:
        """Continue the open run, or begin another; only a record that keeps its own rules gets that far."""
        kind, body, position = record.head.kind, record.body, record.head.position
        number = bodies.data_fields(body)[0].entry if kind == records.DATA else int.from_bytes(body[:4], "little")
        if number >= records.MAX_ENTRIES:
            raise FormatError(f"entry {number}", rule="LIM-1", offset=position)
        if kind == records.FILE:
            after = 0 if self.encrypted else None
            self._begin(record, number, FileRecord.parse(body, entry=number, position=position, after=after))
        elif kind == records.DATA:
            data, content = chunk_of(record, encrypted=self.encrypted)
            self._continued(record, number, data.chunk, data.content_size).add_data(record, data, content)
        else:
            done = DoneRecord.parse(body, entry=number, position=position)
            self._continued(record, number).add_done(record, done)
            self.close()

    def _continued(self, record: FoundRecord, number: int, chunk: int | None = None, size: int = 0) -> _OpenRun:
        """Return the open run if the record, with a chunk of this size, continues it; else a new one."""
        run = self._open
        if run is None or not run.is_followed_by(record, number) or not (chunk is None or run.takes(chunk, size)):
            return self._begin(record, number)
        return run

    def _begin(self, record: FoundRecord, number: int, file: FileRecord | None = None) -> _OpenRun:
        self.close()
        self._open = _OpenRun(record, number, file)
        return self._open

    def _take_outside(self, record: FoundRecord) -> None:
        parsed = _parsed(record, encrypted=self.encrypted)
        self.close()
        if self.head is None and isinstance(parsed, Head):
            self.head = parsed
        outside = self.outside
        if len(outside) >= _MAX_OUTSIDE:
            self.overflow = True
            return
        size = HEAD_SIZE + record.head.length
        self._add(RecordRun(record.at, record.head.position, size, len(outside), 0, 0, 0, 0, is_outside=True))
        outside.append(Outside(record.head, record.at))


class _OpenRun:
    """A run that still grows, with what it takes to prove it if it began with FILE."""

    def __init__(self, record: FoundRecord, number: int, file: FileRecord | None) -> None:
        self._at = record.at
        self._end_at = record.at if file is None else record.end
        self._position = record.head.position
        self._entry = number
        self._file = file
        self._file_check = record.head.check
        self._first_chunk = self._chunk_count = self._first_size = self._last_size = self._content_size = 0
        self._chunk_size = 0 if file is None else 1 << file.chunk_log2
        self._lengths = array("I")
        self._checks = bytearray()
        self._digest = blake3()
        self._has_done = self._is_proven = False

    def is_followed_by(self, record: FoundRecord, number: int) -> bool:
        """Whether a record follows directly, in the input as well as by its position, and is of the same entry."""
        position = self._position + self._end_at - self._at
        return record.at == self._end_at and record.head.position == position and number == self._entry

    def takes(self, chunk: int, size: int) -> bool:
        """Whether a chunk can be the next one."""
        if not self._chunk_count:
            return self._file is None or (chunk == 0 and size <= self._chunk_size)
        is_full = self._last_size == self._chunk_size
        return is_full and chunk == self._first_chunk + self._chunk_count and size <= self._chunk_size

    def add_data(self, record: FoundRecord, data: DataRecord, content: Buffer) -> None:
        """Add a chunk."""
        size = data.content_size
        if not self._chunk_count:
            self._first_chunk, self._first_size = data.chunk, size
            self._chunk_size = self._chunk_size or size
        self._chunk_count += 1
        self._last_size = size
        self._content_size += size
        self._end_at = record.end
        if self._file is not None:
            self._lengths.append(record.head.length)
            self._checks += record.head.check
            self._digest.update(content)

    def add_done(self, record: FoundRecord, done: DoneRecord) -> None:
        """Add DONE, and see whether it proves the entry."""
        self._end_at = record.end
        self._has_done = True
        if self._file is not None and fits_file(done, self._file):
            named = (done.file_check, array("I", done.data_lengths), done.data_checks, done.content_size, done.digest)
            size = self._content_size
            digest = done.digest if self._file.stream else self._digest.digest()
            there = (self._file_check, self._lengths, bytes(self._checks), size, digest)
            self._is_proven = named == there

    def run(self) -> RecordRun:
        """Return the run."""
        size, has_file = self._end_at - self._at, self._file is not None
        chunks = (self._first_chunk, self._chunk_count, self._first_size, self._last_size)
        return RecordRun(
            self._at, self._position, size, self._entry, *chunks, has_file, self._has_done, self._is_proven
        )


def chunk_of(record: FoundRecord, *, encrypted: bool) -> tuple[DataRecord, Buffer]:
    """Return the fields of a DATA record, and its content; nothing where that is encrypted.

    Raises:
        FormatError: The rule that the record breaks.
    """
    position = record.head.position
    (entry, chunk, *_), _ = bodies.data_fields(record.body)
    if chunk >= records.MAX_CHUNKS:
        raise FormatError(f"chunk {chunk}", rule="LIM-2", offset=position)
    data = bodies.parse_data(
        record.body,
        entry=entry,
        chunk=chunk,
        chunk_size=_MAX_CHUNK_SIZE,
        position=position,
        tag_size=TAG_SIZE if encrypted else 0,
    )
    if encrypted:
        compression.check_frame(data, record.body, position=position, encrypted=True)
        return data, b""
    content = compression.decode_content(data, record.body, position=position)
    return data, bytes(data.content_size) if content is None else content


def fits_file(done: DoneRecord, file: FileRecord) -> bool:
    """Whether the sizes in DONE can be those of a file (DONE-3 and DONE-4)."""
    try:
        done.demand_shape(file, position=0)
    except FormatError:
        return False
    return True


def _parsed(record: FoundRecord, *, encrypted: bool) -> object:
    """Return what a record outside entries says, as far as it can be read alone; None where nobody reads it.

    Raises:
        UnsupportedError: HEAD-1, the first HEAD names a required feature that is not known.
        FormatError: The rule that it breaks.
    """
    kind, position = record.head.kind, record.head.position
    body = bytes(record.body)
    if kind == records.INDX:
        return IndexPage.parse(body, first=int.from_bytes(body[:4], "little"), position=position, encrypted=encrypted)
    if kind in _PARSERS:
        try:
            return _PARSERS[kind](body, position=position)
        except UnsupportedError:
            if position == bodies.PREAMBLE_SIZE:  # another HEAD is read only where the first one is lost
                raise
    return None
