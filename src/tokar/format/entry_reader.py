"""One entry read with proof: DONE against the index, every chunk against DONE (STATE-3 and STATE-4).

FILE is built from the index; it is read where DONE names another one, to say what is wrong, and to name damage of it.
Of the chunks only those that are asked for are read. Whole files are read and hashed ahead by a second thread.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from queue import SimpleQueue
from typing import Final, NamedTuple

from blake3 import blake3

from tokar.errors import FormatError
from tokar.format import bodies, compression, records
from tokar.format.bodies import DataRecord, DoneRecord, FileRecord
from tokar.format.encryption import TAG_SIZE, ContentKey, StreamCipher
from tokar.format.index import Entry
from tokar.format.records import HEAD_SIZE, LENGTHS, SEALED_LENGTHS, Lengths, RecordHead
from tokar.format.small_entry import ProvenContent, prove_small_entry
from tokar.storage.bytesource import Buffer, ByteSource

_SMALL_SIZE: Final = 1 << 18  # bytes; entries and records up to this size are read with what follows them
_ONE_PIECE: Final = (1 << 20) + (1 << 13)  # bytes; entries of one chunk up to this size are proven in one go
_WINDOW_SIZE: Final = 1 << 20


class Chunk(NamedTuple):
    """A piece of content, valid until the next one is asked for."""

    size: int  # Bytes of content
    data: Buffer | None  # The bytes, or None for zeros
    codec: int  # How the chunk is stored


class EntryRecords(NamedTuple):
    """FILE and DONE of an entry, both proven."""

    file: FileRecord  # The FILE record, built from the index
    done: DoneRecord  # The DONE record
    data_positions: Sequence[int]  # Where the DATA records stand, and after them where DONE stands
    cipher: StreamCipher | None = None  # What opens the content; None without encryption

    def hasher(self) -> blake3:
        """Return a new hasher for the digest of the content.

        Raises:
            LockedError: It is encrypted, and the key is not there.
        """
        return blake3() if self.cipher is None else self.cipher.hasher()


class Window:
    """Reads ranges of a source; neighbouring small ranges are read together. For one thread."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._start = 0
        self._data = memoryview(b"")
        self._next = -1

    def read(self, position: int, size: int) -> memoryview:
        """Return the bytes of a range.

        Raises:
            FormatError: The source ends before it.
        """
        at = position - self._start
        if at < 0 or at + size > len(self._data):
            ahead = position == self._next and size < _WINDOW_SIZE
            wanted = min(_WINDOW_SIZE if ahead else size, max(self._source.size - position, 0))
            self._data = memoryview(self._source.read(position, max(wanted, size)))
            self._start, at = position, 0
        self._next = position + size
        piece = self._data[at : at + size]
        if len(piece) < size:
            raise FormatError("the archive ends inside a record", rule="STATE-1", offset=position)
        return piece


def read_record(
    data: memoryview, tag: bytes, position: int, kind: bytes, lengths: Lengths = LENGTHS
) -> tuple[RecordHead, memoryview]:
    """Return head and body of the record of a certain kind at `position`, whose bytes `data` begins with.

    Raises:
        FormatError: A rule from REC-1 to REC-8, or SEQ-1 for another kind.
    """
    head, body = _take_apart(data, tag, position, kind, lengths)
    records.demand_check(head, tag, body)
    return head, body


def _take_apart(
    data: memoryview, tag: bytes, position: int, kind: bytes, lengths: Lengths
) -> tuple[RecordHead, memoryview]:
    """Return the same, but for REC-8: nobody has looked at the check yet."""
    if len(data) < HEAD_SIZE:
        raise FormatError("there is no room for a record head", rule="STATE-4", offset=position)
    head = records.parse_head(data, tag, position, lengths=lengths)
    if head.kind != kind:
        message = f"{head.kind.decode()} where {kind.decode('ascii', 'replace')} must stand"
        raise FormatError(message, rule="SEQ-1", offset=position)
    body = data[HEAD_SIZE : HEAD_SIZE + head.length]
    if len(body) < head.length:
        raise FormatError("a record reaches into the next one", rule="STATE-4", offset=position)
    return head, body


class EntryReader:
    """Reads entries of one archive. An object for each thread.

    Args:
        source: The archive.
        tag: Its tag.
        key: What opens its content; None without encryption.
    """

    def __init__(self, source: ByteSource, tag: bytes, key: ContentKey | None = None) -> None:
        self._source = source
        self._tag = tag
        self._key = key
        self._lengths = LENGTHS if key is None else SEALED_LENGTHS
        self._tag_size = 0 if key is None else TAG_SIZE
        self._window = Window(source)

    def small(self, entry: Entry, end: int, *, decode: bool = True) -> ProvenContent | None:
        """Return a small entry, proven in one go, or None where only the long way can tell what it is.

        Args:
            entry: From the index.
            end: Where the next record after the entry stands.
            decode: Whether its content is decoded and its digest demanded.

        Raises:
            FormatError: The archive ends inside it.
        """
        size = end - entry.file_position
        if size > _ONE_PIECE or entry.size > _ONE_PIECE:
            return None
        data = self._window.read(entry.file_position, size)
        return prove_small_entry(data, entry, self._tag, decode=decode, cipher=self.cipher(entry.stream))

    def cipher(self, stream: int) -> StreamCipher | None:
        """Return what opens the content of an entry; None without encryption."""
        return None if self._key is None else self._key.cipher(stream)

    def records(self, entry: Entry, end: int) -> EntryRecords:
        """Return FILE and DONE of an entry, proven against its row of the index; FILE is built from that, not read.

        Args:
            entry: From the index.
            end: Where the next record after the entry stands.

        Raises:
            FormatError: A rule is broken; INDX-2 where entry and index disagree.
        """
        position, file = entry.done_position, entry.file
        if position + HEAD_SIZE > end:
            raise FormatError("there is no room for DONE", rule="STATE-4", offset=position)
        size = min(end - position, HEAD_SIZE + records.MAX_DONE_SIZE)
        data = (
            self._window.read(position, size)
            if end - entry.file_position <= _SMALL_SIZE
            else memoryview(self._source.read(position, size))
        )
        head, body = read_record(data, self._tag, position, records.DONE)
        done = DoneRecord.parse(body, entry=entry.number, position=position)
        if head.end != end:
            raise FormatError("something stands between entries", rule="STATE-4", offset=head.end)
        file_body = file.build()
        _, file_check = records.build_head(records.FILE, self._tag, entry.file_position, file_body)
        if done.file_check != file_check:
            raise self._why_other_file(entry, done.file_check)
        done.demand_shape(file, position=position)
        if (entry.size, entry.digest, entry.done_check) != (done.content_size, done.digest, head.check):
            raise _says_other(entry)
        if max(done.data_lengths, default=0) > self._lengths[records.DATA][1]:  # before buffers of this size are made
            raise FormatError("DONE names a chunk that is too long", rule="DONE-2", offset=position)
        start = entry.file_position + HEAD_SIZE + len(file_body)
        positions = list(accumulate((HEAD_SIZE + length for length in done.data_lengths), initial=start))
        if positions[-1] != position:
            raise FormatError("the chunks do not reach from FILE to DONE", rule="DONE-2", offset=position)
        return EntryRecords(file, done, positions, self.cipher(entry.stream))

    def demand_file(self, entry: Entry, found: EntryRecords) -> None:
        """Read FILE, and demand that it is the one that the index has.

        Raises:
            FormatError: A rule is broken.
        """
        start, body = entry.file_position, found.file.build()
        head, _ = records.build_head(records.FILE, self._tag, start, body)
        source = self._window if entry.done_position - start <= _SMALL_SIZE else self._source
        if source.read(start, found.data_positions[0] - start) != head + body:
            raise self._why_other_file(entry, found.done.file_check)

    def _why_other_file(self, entry: Entry, file_check: bytes) -> FormatError:
        """Return what is wrong with an entry whose FILE is not the one that the index has.

        Raises:
            FormatError: FILE itself breaks a rule.
        """
        position = entry.file_position
        size = min(entry.done_position - position, HEAD_SIZE + 32 + records.MAX_NAME_SIZE)
        head, body = read_record(self._window.read(position, max(size, 0)), self._tag, position, records.FILE)
        FileRecord.parse(body, entry=entry.number, position=position)
        if head.check != file_check:
            return FormatError("DONE names another FILE record", rule="DONE-2", offset=entry.done_position)
        return _says_other(entry)

    def chunk_record(self, found: EntryRecords, number: int, buffer: bytearray | None = None) -> Chunk:
        """Read and prove one DATA record.

        Args:
            found: FILE and DONE of the entry.
            number: Of the chunk.
            buffer: Where to read it to, if the source can read into buffers; else new memory is used.

        Raises:
            FormatError: A rule is broken.
        """
        return self.prove_chunk(found, number, self.data_of(found, number, buffer))

    def data_of(self, found: EntryRecords, number: int, buffer: bytearray | None = None) -> memoryview:
        """Read the bytes of one DATA record, and prove nothing.

        Raises:
            FormatError: The archive ends inside it.
        """
        position = found.data_positions[number]
        return self._read(position, found.data_positions[number + 1] - position, buffer)

    def prove_chunk(self, found: EntryRecords, number: int, data: memoryview) -> Chunk:
        """Return the content of one DATA record whose bytes are `data`.

        Raises:
            FormatError: A rule is broken.
        """
        head, body = read_record(data, self._tag, found.data_positions[number], records.DATA, self._lengths)
        record = self._parse_data(found, number, head, body)
        content = compression.decode_content(record, body, position=head.position, cipher=found.cipher)
        return Chunk(record.content_size, content, record.codec)

    def chunk_to_check(self, found: EntryRecords, number: int, data: memoryview) -> tuple[Chunk, Callable[[], None]]:
        """Return a chunk, and a function to call before it is used: that demands the check of the record.

        So the two passes over content, for check and digest, can be in two threads. Only chunks that are stored as they
        are can wait; others are proven here.

        Raises:
            FormatError: A rule is broken.
        """
        try:
            head, body = _take_apart(data, self._tag, found.data_positions[number], records.DATA, self._lengths)
            record = self._parse_data(found, number, head, body)
        except FormatError:
            return self.prove_chunk(found, number, data), nothing  # it finds what is broken first
        if record.codec != bodies.Codec.STORED or found.cipher is not None:
            return self.prove_chunk(found, number, data), nothing
        return (
            Chunk(record.content_size, bodies.stored_bytes(body), record.codec),
            partial(records.demand_check, head, self._tag, body),
        )

    def demand_chunk(self, found: EntryRecords, number: int, buffer: bytearray) -> None:
        """Prove one DATA record without decoding its content.

        Raises:
            FormatError: A rule is broken.
        """
        data = self.data_of(found, number, buffer)
        head, body = read_record(data, self._tag, found.data_positions[number], records.DATA, self._lengths)
        record, encrypted = self._parse_data(found, number, head, body), found.cipher is not None
        compression.check_frame(record, body, position=head.position, encrypted=encrypted)

    def _parse_data(self, found: EntryRecords, number: int, head: RecordHead, body: memoryview) -> DataRecord:
        position = head.position
        if found.data_positions[number + 1] != head.end:
            raise FormatError("DONE names another length", rule="DONE-2", offset=position)
        expected = found.done.data_checks[32 * number : 32 * number + 32]
        message = "DONE names another check for a chunk"
        records.demand_named_check(message, expected, head.check, rule="DONE-2", offset=position)
        chunk_size = 1 << found.file.chunk_log2
        record = bodies.parse_data(
            body,
            entry=found.file.entry,
            chunk=number,
            chunk_size=chunk_size,
            position=position,
            tag_size=self._tag_size,
        )
        if record.content_size != min(chunk_size, found.done.content_size - number * chunk_size):
            raise FormatError("a chunk has another size than its place calls for", rule="DATA-2", offset=position)
        return record

    def _read(self, position: int, size: int, buffer: bytearray | None) -> memoryview:
        readinto = getattr(self._source, "readinto", None)
        if size <= _SMALL_SIZE:
            return self._window.read(position, size)
        if buffer is None or readinto is None:
            data = memoryview(self._source.read(position, size))
        else:
            view = memoryview(buffer)[:size]
            data = view[: readinto(position, view)]
        if len(data) < size:
            raise FormatError("the archive ends inside a record", rule="STATE-1", offset=position)
        return data

    def read(self, found: EntryRecords, start: int, stop: int) -> bytes:
        """Return content from `start` to `stop`, from the chunks that hold it and no others.

        Raises:
            FormatError: A rule is broken.
        """
        stop = min(stop, found.done.content_size)
        log2 = found.file.chunk_log2
        pieces = []
        for number in range(start >> log2, -(-stop >> log2) if stop > start else start >> log2):
            size, data, _ = self.chunk_record(found, number)
            low, high = max(start - (number << log2), 0), min(stop - (number << log2), size)
            pieces.append(bytes(high - low) if data is None else bytes(memoryview(data)[low:high]))
        return b"".join(pieces)

    def chunks(self, found: EntryRecords) -> Iterator[Chunk]:
        """Yield the whole content, chunk by chunk; the data of a chunk is valid until the next step.

        Raises:
            FormatError: A rule is broken.
            DigestMismatchError: After the last chunk, DONE-5.
        """
        count = found.done.chunk_count
        digest = found.hasher()
        if count > 1:
            source = ReadAhead(self, found, digest)
            try:
                yield from source
            finally:
                source.close()
        elif count:
            chunk = self.chunk_record(found, 0)
            absorb(digest, chunk)
            yield chunk
        records.demand_digest(found.done.digest, digest.digest(), offset=found.data_positions[-1])


class EntrySource:
    """The content of an entry as a byte source: every read is proven by the checks of the chunks it touches.

    Args:
        reader: Of its archive, for this alone.
        entry: The entry.
        end: Where the next record after it stands.
    """

    def __init__(self, reader: EntryReader, entry: Entry, end: int) -> None:
        self._reader = reader
        self._found = reader.records(entry, end)
        self.size = entry.size  # Bytes of content

    def read(self, offset: int, size: int) -> bytes:
        """Return content at `offset`, fewer than `size` bytes only at the end.

        Raises:
            FormatError: The entry is damaged there.
        """
        return self._reader.read(self._found, offset, offset + size)


def _says_other(entry: Entry) -> FormatError:
    return FormatError("the index says other than the entry", rule="INDX-2", offset=entry.file_position)


def end_of(number: int, next_file: int | None, outside: Sequence[int], done_position: int) -> int:
    """Return where the record after an entry stands: the next entry or the next record outside entries.

    Args:
        number: Of the entry, for the error.
        next_file: Where the next entry stands, None after the last.
        outside: Where the records outside entries stand, in order, with ROOT as the last.
        done_position: Where DONE of this entry stands.

    Raises:
        FormatError: STATE-4, there is nothing after it.
    """
    at = bisect_right(outside, done_position)
    if at == len(outside):
        raise FormatError(f"entry {number} lies after ROOT", rule="STATE-4", offset=done_position)
    return outside[at] if next_file is None else min(next_file, outside[at])


_READ_AHEAD: Final = 8  # buffers; each holds one record
_READ_AHEAD_SIZE: Final = 1 << 26  # bytes of all buffers together, as far as there are more than it takes
_BEHIND: Final = 3  # chunks that wait for the consumer, from which on it has enough to do
_ZEROS: Final = bytes(1 << 20)


def absorb(digest: blake3, chunk: Chunk) -> None:
    """Hash the content of the next chunk."""
    for piece in content_of(chunk):
        digest.update(piece)


def content_of(chunk: Chunk) -> Iterator[memoryview]:
    """Yield the content of a chunk: in one piece, but for zeros."""
    size, data, _ = chunk
    if data is not None:
        yield memoryview(data)
        return
    while size:
        yield memoryview(_ZEROS)[:size]
        size -= min(size, len(_ZEROS))


class ReadAhead:
    """Reads and hashes chunks in a thread of its own while the consumer works on earlier ones.

    Each chunk is hashed twice, in order for the digest of the file and by itself for its check. The first is done in
    the thread that reads; the second too if the consumer has enough to do, else by the consumer, before it sees the
    chunk.
    """

    def __init__(self, reader: EntryReader, found: EntryRecords, digest: blake3) -> None:
        self._digest = digest
        self._reader = reader
        self._found = found
        self._ready: SimpleQueue[_Ahead | BaseException | None] = SimpleQueue()
        self._free: SimpleQueue[bytearray | None] = SimpleQueue()
        size = HEAD_SIZE + max(found.done.data_lengths)
        count = min(_READ_AHEAD, max(_READ_AHEAD_SIZE // size, _BEHIND + 1))
        for _ in range(min(count, found.done.chunk_count)):
            self._free.put(bytearray(size))
        self._thread = threading.Thread(target=self._run, name="tokar-read", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        reader, found = self._reader, self._found
        try:
            for number in range(found.done.chunk_count):
                buffer = self._free.get()
                if buffer is None:
                    return
                data = reader.data_of(found, number, buffer)
                if self._ready.qsize() < _BEHIND:
                    chunk, check = reader.chunk_to_check(found, number, data)
                else:
                    chunk, check = reader.prove_chunk(found, number, data), nothing
                absorb(self._digest, chunk)
                self._ready.put(_Ahead(chunk, check, buffer))
            self._ready.put(None)
        except BaseException as error:  # noqa: BLE001 - raised again in the consumer's thread
            self._ready.put(error)

    def __iter__(self) -> Iterator[Chunk]:
        while (item := self._ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            item.check()
            yield item.chunk
            self._free.put(item.buffer)

    def close(self) -> None:
        """End the thread."""
        self._free.put(None)
        self._thread.join()


class _Ahead(NamedTuple):
    """A chunk that was read ahead, and what must be called before it is used."""

    chunk: Chunk
    check: Callable[[], None]
    buffer: bytearray


def nothing() -> None:
    """Stand for a check that was demanded already."""
