"""The writer: files in, a sealed archive out (spec/format.md).

Small files are handled in the caller's thread, since handing them to another costs more than they do; large ones go
through the pipeline. Nothing is written under the final name before `seal`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain, islice
from typing import Any, Final, Self

import zstandard

from tokar import names
from tokar.errors import CheckMismatchError, FormatError, InputError, SourceChangedError
from tokar.format import bodies, canonical_json, metadata, records, zstd_frame
from tokar.format.bodies import FileList, FileRecord, Preamble, Tail
from tokar.format.compression import Compression
from tokar.format.encryption import FEATURE, ContentKey, KeyMaker, StreamCipher
from tokar.format.entry_reader import EntryReader, EntrySource, read_record
from tokar.format.entry_writer import EncodedChunk, EntryWriter
from tokar.format.index import Entry
from tokar.format.ledger import Ledger, PackedRun, RunSizes, RunStart
from tokar.format.metadata import Head, Summary
from tokar.format.pipeline import ChunkTarget, InputStream, Pipeline
from tokar.format.records import HEAD_SIZE, RecordHead, TrailingRecord
from tokar.format.small_entry import build_small_entry
from tokar.format.small_run import Run
from tokar.storage.bytesource import Buffer, ByteSource
from tokar.storage.sink import Sink

DEFAULT_CHUNK_LOG2: Final = 20  # 1 MiB: a buffer stays in the second-level cache of a core
_ID_SIZE: Final = 16
_COPIED_SIZE: Final = 1 << 15  # bytes of content up to which a file waits, copied, until there is more to write
_FLUSH_SIZE: Final = 1 << 20
_FLUSH_PARTS: Final = 1000  # below the number of parts that one writev takes everywhere


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed archive."""

    id: bytes  # Archive id, 16 bytes
    root: bytes  # The root, 32 bytes
    size: int  # Bytes of the archive
    entries: int  # Number of entries
    content_size: int  # Bytes of content of all entries
    key: ContentKey | None = field(default=None, repr=False, compare=False)  # What content is encrypted with


def system_clock() -> datetime:
    """Return the time now."""
    return datetime.now(UTC)


class ArchiveWriter:
    """Writes one archive. Use it as a context manager: it seals at the end, and leaves nothing behind after an error.

    The same input, id, clock and compression give the same bytes, whatever the number of threads.

    Args:
        sink: Where the bytes go.
        head: What is known now (section 6.1).
        archive_id: 16 bytes; random by default.
        compression: How chunks are stored, and by how many threads.
        chunk_log2: Size of a chunk as a power of two, 16 to 24; raised by itself for files that would have too many.
        clock: For the time of the end.
        keys: Makes the key that content is encrypted with; None for an archive that anyone can read.

    Raises:
        InputError: The id or the size of a chunk is out of range.
        FormatError: A value in `head` cannot be written.
    """

    def __init__(
        self,
        sink: Sink,
        head: Head,
        *,
        archive_id: bytes | None = None,
        compression: Compression | None = None,
        chunk_log2: int = DEFAULT_CHUNK_LOG2,
        clock: Callable[[], datetime] = system_clock,
        keys: KeyMaker | None = None,
    ) -> None:
        if not records.MIN_CHUNK_LOG2 <= chunk_log2 <= records.MAX_CHUNK_LOG2:
            raise InputError(f"a chunk of 2^{chunk_log2} bytes is out of range")
        if archive_id is not None and len(archive_id) != _ID_SIZE:
            raise InputError(f"an archive id has {_ID_SIZE} bytes, not {len(archive_id)}")
        self.id = secrets.token_bytes(_ID_SIZE) if archive_id is None else archive_id
        self.key: ContentKey | None = None  # What content is encrypted with
        if keys is not None:
            self.key, encryption = keys.make()
            features = sorted({*head.extra.get("features", ()), FEATURE})
            head = replace(head, extra={**head.extra, "features": features, FEATURE: encryption.to_json()})
        self.head = head
        self.compression = Compression() if compression is None else compression
        # Called with the root before the archive ends: returns what stands behind it.
        self.after_root: Callable[[bytes], Iterable[TrailingRecord]] = lambda _: ()
        self._sink = sink
        self._clock = clock
        self._chunk_log2 = chunk_log2
        self._pipeline: Pipeline | None = None
        self._tag = self.id[:8]
        self._pending: list[Buffer] = []
        self._pending_size = 0
        self._state = "open"
        start = Preamble(self.id).build()
        self._ledger = Ledger(start, keep=zstandard.compress)  # pages of many small files are half as large so
        self._position = bodies.PREAMBLE_SIZE
        self._head_body = head.build()
        self._push(start)
        self._put_outside(records.HEAD, self._head_body)

    @property
    def entry_count(self) -> int:
        """Entries that are done."""
        return self._ledger.entry_count

    @property
    def content_size(self) -> int:
        """Bytes of content of the entries that are done."""
        return self._ledger.content_size

    def add(
        self,
        token: int,
        name: str | bytes,
        stream: InputStream,
        *,
        encoding: int = 0,
        file_list: FileList = FileList.BY_HAND,
        announced_size: int | None = None,
        modified: int | None = None,
    ) -> Entry:
        """Add a file.

        Args:
            token: The token byte as delivered, 0x00-0xFF.
            name: The name as delivered; text is stored as UTF-8.
            stream: The content, read to its end; a `WatchedStream` where somebody else wants to see it.
            encoding: Windows code page of a name given as bytes; 0 unknown.
            file_list: Where the file was listed.
            announced_size: Bytes, as announced when the file was opened.
            modified: Modification time, nanoseconds since 1970 in UTC.

        Raises:
            InputError: The token, the name or another argument is out of range.
            FormatError: An entry with this token and name is there (FILE-5), or a limit is reached.
            SourceChangedError: The content has another size than was announced.
            StorageError: The archive cannot be written.
        """
        file = self.file_record(
            token, name, encoding, file_list=file_list, announced_size=announced_size, modified=modified
        )
        with self._step():
            self._open_account(file)
            pipeline = self._ready_pipeline(file)
            chunks = pipeline.chunks(stream)
            first = [*islice(chunks, 2)]
            if len(first) > 1:
                return self._add_large(file, chain(first, chunks), pipeline)
            if not first:
                return self._add_small(file, b"")
            ((buffer, size),) = first
            if size > _COPIED_SIZE:
                return self._add_small(file, memoryview(buffer)[:size], buffer)
            # The buffer is used again while the records may still wait to be written.
            entry = self._add_small(file, bytes(memoryview(buffer)[:size]))
            pipeline.give_back(buffer)
            return entry

    def add_bytes(
        self,
        token: int,
        name: str | bytes,
        content: bytes,
        *,
        encoding: int = 0,
        file_list: FileList = FileList.BY_HAND,
        modified: int | None = None,
    ) -> Entry:
        """Add a file that is in memory and fits one chunk: the quick way for many small files. As `add` otherwise.

        Raises:
            InputError: The content is too large for this, or as for `add`.
        """
        self._demand_open()
        if len(content) > 1 << self._chunk_log2:
            raise InputError(f"{len(content)} bytes of content are too many for one chunk")
        file = self.file_record(
            token, name, encoding, file_list=file_list, announced_size=len(content), modified=modified
        )
        self._state = "broken"  # until everything is in place
        self._open_account(file)
        entry = self._add_small(file, content)
        self._state = "open"
        return entry

    def new_run(self, first: int) -> Run:
        """Return a run to fill with small files, from entry number `first` on; it does not change the writer."""
        return Run(self._tag, self.compression, self.key, first)

    @property
    def run_start(self) -> RunStart:
        """Where a run begins that is taken next."""
        return RunStart(self._ledger.entry_count, self._position, self._ledger.names_size)

    def takes_run(self, start: RunStart, sizes: RunSizes) -> bool:
        """Whether a run may begin there, once all before it are taken."""
        return self._ledger.takes_run(start, sizes)

    def add_run(self, run: PackedRun) -> int:
        """Add a run that was packed for `run_start`; return how many are new: if not all, nothing can follow."""
        self._demand_open()
        self._state = "broken"  # until everything is in place
        new = self._ledger.end_run(run)
        if new == run.sizes.entries:
            self._flush()
            self._write([run.records])
            self._drain()  # its memory is used again
            self._position += run.sizes.records
            self._state = "open"
        return new

    def add_calls(self, calls: list[dict[str, Any]]) -> None:
        """Add a part of the transcript of the procedure as a PROC record (section 6.3).

        Raises:
            FormatError: The calls do not have the form of the specification.
        """
        body = metadata.build_calls(calls)
        records.demand_length(records.PROC, len(body), self._position)  # while the writer can still go on
        with self._step():
            self._put_before_seal(records.PROC, body)

    def add_extra(self, kind: bytes, body: bytes) -> None:
        """Add a lower-case record, which readers check and then ignore (section 4.2).

        Raises:
            InputError: The kind is not four lower-case letters, or the body is too large.
        """
        if len(kind) != 4 or not (kind.isalpha() and kind.islower()) or len(body) > records.MAX_EXTRA_SIZE:
            raise InputError(f"not a lower-case record: {kind!r} of {len(body)} bytes")
        with self._step():
            self._put_before_seal(kind, body)

    def flush(self) -> None:
        """Write all that is kept until there is enough to write. Raises StorageError."""
        with self._step():
            self._flush()
            self._drain()

    def stored(self, source: ByteSource, entry: Entry) -> EntrySource:
        """Return the content of an entry that is done, as it stands where it was written to.

        Args:
            source: What the sink was given, from its first byte, once that was flushed.
            entry: The entry.

        Raises:
            FormatError: Something else stands there.
            StorageError: It cannot be read.
        """
        at = entry.done_position
        data = memoryview(source.read(at, HEAD_SIZE + records.MAX_DONE_SIZE))
        done, _ = read_record(data, self._tag, at, records.DONE)
        return EntrySource(EntryReader(source, self._tag, self.key), entry, done.end)

    def seal(self, *, outcome: str = "complete", **extra: Any) -> Sealed:
        """Write SUMM, HEAD again, the index, ROOT and TAIL, and make the archive durable and visible.

        Args:
            outcome: `complete` or `partial`.
            extra: Further keys of SUMM (section 6.2).

        Raises:
            InputError: The archive is sealed or discarded already, or an `add` failed.
            FormatError: A key of SUMM cannot be written.
            ExistingFileError: The final name was taken in the meantime.
            ArchiveError: It cannot be written, or what `after_root` raises; nothing is under the final name then.
        """
        with self._step():
            if self.compression.level is not None:
                extra.setdefault("zstd", zstd_frame.version())
            finished = canonical_json.to_time(self._clock())
            return self._seal(Summary(self.entry_count, self.content_size, finished, outcome, extra))

    def discard(self) -> None:
        """Give up; nothing is left under the final name. Does nothing after `seal`."""
        if self._state != "sealed":
            self._state = "discarded"
            self._stop()
            self._sink.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.discard()
        elif self._state in ("open", "broken"):  # a broken one refuses, so that nobody takes it for sealed
            try:
                self.seal()
            except BaseException:
                self.discard()
                raise

    def file_record(
        self,
        token: int,
        name: str | bytes,
        encoding: int = 0,
        *,
        file_list: FileList = FileList.BY_HAND,
        announced_size: int | None,
        modified: int | None,
        number: int | None = None,
    ) -> FileRecord:
        """Return FILE of an entry, by default of the one that is added next. Raises InputError as `add` does."""
        if isinstance(name, str):
            name, encoding = names.encode(name)
        if self.key is None and FEATURE in self.head.extra:
            raise InputError("the archive is encrypted, and its key is not here")
        bodies.demand_in_range(token, name, encoding, announced_size=announced_size, modified=modified)
        log2 = self._chunk_log2
        while announced_size and announced_size > records.MAX_CHUNKS << log2 and log2 < records.MAX_CHUNK_LOG2:
            log2 += 1
        number = self._ledger.entry_count if number is None else number
        stream = 0 if self.key is None else number + 1
        return FileRecord(number, encoding, token, file_list, announced_size, modified, False, log2, name, stream)

    def _cipher(self, file: FileRecord) -> StreamCipher | None:
        return None if self.key is None else self.key.cipher(file.stream)

    def _add_small(self, file: FileRecord, content: Buffer, buffer: bytearray | None = None) -> Entry:
        """Add a file of at most one chunk; with the buffer that it lies in where it is not to be copied."""
        _demand_announced(file, len(content))
        entry, parts = build_small_entry(
            file,
            content,
            self.compression.encode(content),
            tag=self._tag,
            position=self._position,
            cipher=self._cipher(file),
        )
        self._position += sum(map(len, parts))
        if buffer is None:
            self._push(*parts)
        else:
            before, stored, after = parts
            self._pending.append(before)
            self._write([b"".join(self._pending), stored], buffer)
            self._pending, self._pending_size = [after], len(after)
        self._ledger.end(entry)
        return entry if self.key is None else entry._replace(key=self.key)

    def _add_large(self, file: FileRecord, chunks: Iterable[tuple[bytearray, int]], pipeline: Pipeline) -> Entry:
        cipher = self._cipher(file)
        writer = self._begin(file, cipher)
        self._flush()

        def write(encoded: EncodedChunk) -> None:
            self._sink.write(writer.add(encoded, absorbed=True))

        target = ChunkTarget(file.entry, cipher, write)
        for chunk, (buffer, size) in enumerate(chunks):
            if chunk >= records.MAX_CHUNKS:
                raise FormatError(f"more than {records.MAX_CHUNKS} chunks", rule="LIM-2", offset=writer.position)
            writer.absorb(memoryview(buffer)[:size])
            pipeline.put(target, chunk, buffer, size)
        pipeline.drain()
        return self._end(writer)

    def _ready_pipeline(self, file: FileRecord) -> Pipeline:
        chunk_size = 1 << file.chunk_log2
        if self._pipeline is None or self._pipeline.chunk_size != chunk_size:
            self._drain()
            self._stop()
            self._pipeline = Pipeline(self.compression, chunk_size, threads=self.compression.threads)
        return self._pipeline

    @contextmanager
    def _step(self) -> Iterator[None]:
        """Refuse work on a writer that is not open, and make sure that a failed step is never sealed."""
        self._demand_open()
        try:
            yield
        except BaseException:
            self._state = "broken"
            raise

    def _demand_open(self) -> None:
        if self._state != "open":
            raise InputError(f"the archive is {self._state}")

    def _seal(
        self, summary: Summary, trailing: Iterable[tuple[bytes, bytes]] = (), root: bytes | None = None
    ) -> Sealed:
        """Write all from SUMM to TAIL, with records after ROOT; `root`: the one that must come out."""
        self._put_outside(records.SUMM, summary.build())
        self._put_outside(records.HEAD, self._head_body)
        self._ledger.end_entries()
        while self._ledger.pages:
            self._put_outside(records.INDX, zstandard.decompress(self._ledger.pages.popleft().kept))
        position = self._position
        own_root = self._put(records.ROOT, self._ledger.root_body()).check
        if root not in (None, own_root):
            message = "the records do not make the archive that ROOT names"
            raise CheckMismatchError(message, expected=root, actual=own_root, rule="ROOT-2", offset=position)
        for number, (kind, body) in enumerate((*trailing, *self.after_root(own_root))):
            records.demand_trailing(len(body), self._position, before=number)
            self._put(kind, body)
        size = self._position + bodies.TAIL_SIZE
        self._put(records.TAIL, Tail(position, own_root).build())
        self._flush()
        self._drain()
        self._stop()
        self._sink.commit()
        self._state = "sealed"
        return Sealed(self.id, own_root, size, self.entry_count, self.content_size, self.key)

    def _open_account(self, file: FileRecord) -> None:
        self._ledger.demand_room(records.FILE, position=self._position, end=self._position)
        self._ledger.demand_room_to_seal(file.name, position=self._position)
        self._ledger.begin(file.token, file.name, position=self._position)

    def _begin(self, file: FileRecord, cipher: StreamCipher | None = None) -> EntryWriter:
        writer = EntryWriter(file, self._tag, self._position, cipher)
        self._push(*writer.begin())
        return writer

    def _end(self, writer: EntryWriter, digest: bytes | None = None) -> Entry:
        _demand_announced(writer.file, writer.content_size)
        entry, done = writer.end(digest)
        self._push(done)
        self._position = writer.position
        self._ledger.end(entry)
        return entry if self.key is None else entry._replace(key=self.key)

    def _put_before_seal(self, kind: bytes, body: bytes) -> None:
        self._ledger.demand_room_to_seal(None, position=self._position)
        self._put_outside(kind, body)

    def _put_outside(self, kind: bytes, body: bytes) -> None:
        self._ledger.demand_room(kind, position=self._position, end=self._position)
        self._ledger.rows.append(self._put(kind, body))

    def _put(self, kind: bytes, body: bytes) -> RecordHead:
        position = self._position
        records.demand_length(kind, len(body), position)
        head, check = records.build_head(kind, self._tag, position, body)
        self._push(head, body)
        self._position += len(head) + len(body)
        return RecordHead(kind, len(body), position, check)

    def _push(self, *parts: Buffer) -> None:
        """Keep parts until there is enough to write."""
        self._pending += parts
        for part in parts:
            self._pending_size += len(part) if isinstance(part, bytes) else memoryview(part).nbytes
        if self._pending_size >= _FLUSH_SIZE or len(self._pending) >= _FLUSH_PARTS:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            self._write([b"".join(self._pending)])
            self._pending, self._pending_size = [], 0

    def _write(self, parts: Sequence[Buffer], buffer: bytearray | None = None) -> None:
        """Write parts, by the output thread where there is one; it frees the buffer that they lie in."""
        if self._pipeline is None:
            self._sink.write(parts)
        else:  # a buffer in any case: their number bounds what waits to be written
            self._pipeline.put_write(partial(self._sink.write, parts), buffer or self._pipeline.buffer())

    def _drain(self) -> None:
        """Wait until all that was handed to the output thread is written."""
        if self._pipeline is not None:
            self._pipeline.drain()

    def _stop(self) -> None:
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None


def _demand_announced(file: FileRecord, size: int) -> None:
    if file.announced_size not in (None, size) and not file.incomplete:
        message = f"{size} bytes came, {file.announced_size} were announced"
        raise SourceChangedError(message, path=names.display(file.name, file.encoding))
