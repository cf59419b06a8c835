"""The grammar of an archive, read from the front (spec/format.md sections 2 and 13).

`Scanner` is fed one record after the other and holds each against every rule. It reads nothing by itself, so that the
same judge serves a pipe, a file without a valid end, and the tests. `scan` drives it over a stream.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from blake3 import blake3

from tokar.errors import FormatError, LockedError, UnsealedError
from tokar.format import bodies, compression, records
from tokar.format.bodies import DoneRecord, FileRecord, Preamble, Root, Tail
from tokar.format.encryption import NO_KEY, TAG_SIZE, ContentKey, Keyring, StreamCipher
from tokar.format.index import Entry, IndexPage
from tokar.format.ledger import KeptPage, Ledger
from tokar.format.metadata import Head, Summary, demand_same_head, parse_calls
from tokar.format.records import RecordHead, TrailingRecord
from tokar.storage.bytesource import Buffer


class Phase(Enum):
    """Where in the grammar the scanner stands."""

    START = auto()
    BETWEEN = auto()
    ENTRY = auto()
    SUMMED = auto()
    INDEXED = auto()
    ROOTED = auto()
    SEALED = auto()


_EXTRA: Final = b"extra"  # stands for every lower-case kind
# Section 2: what may come in each phase, and the phase that follows.
_GRAMMAR: Final = {
    Phase.START: {records.HEAD: Phase.BETWEEN},
    Phase.BETWEEN: {
        records.FILE: Phase.ENTRY,
        records.PROC: Phase.BETWEEN,
        _EXTRA: Phase.BETWEEN,
        records.SUMM: Phase.SUMMED,
    },
    Phase.ENTRY: {records.DATA: Phase.ENTRY, records.DONE: Phase.BETWEEN},
    Phase.SUMMED: {records.HEAD: Phase.INDEXED},
    Phase.INDEXED: {records.INDX: Phase.INDEXED, records.ROOT: Phase.ROOTED},
    Phase.ROOTED: {_EXTRA: Phase.ROOTED, records.TAIL: Phase.SEALED},
    Phase.SEALED: {},
}


@dataclass(frozen=True, slots=True)
class EntryBegun:
    """A FILE record has passed."""

    file: FileRecord


@dataclass(frozen=True, slots=True)
class ChunkRead:
    """A DATA record has passed; `content` is None for zeros, and None where content is not decoded."""

    size: int  # Bytes of content
    content: Buffer | None  # The content, valid until the next event


@dataclass(frozen=True, slots=True)
class EntryEnded:
    """A DONE record has passed: the entry is complete (and provisional until the archive is sealed)."""

    entry: Entry
    file: FileRecord


@dataclass(frozen=True, slots=True)
class RecordRead:
    """A record outside entries has passed."""

    head: RecordHead
    body: Buffer


Event = EntryBegun | ChunkRead | EntryEnded | RecordRead


class Scanner:
    """The judge. Feed it `admit(head)` and then `accept(head, body)` for each record.

    Args:
        start: The 32 bytes of the preamble.
        decode: Whether content is decoded, its frames checked and its digest demanded (DONE-5).
        keyring: What opens encrypted content.
    """

    def __init__(self, start: bytes, *, decode: bool, keyring: Keyring | None = None) -> None:
        self.tag = Preamble.parse(start).tag
        self.decode = decode
        self.phase = Phase.START  # Where in the grammar it stands
        # What was counted so far; of a page of the index its hash is enough.
        self.ledger = Ledger(start, keep=lambda body: blake3(body).digest())
        self.head: Head | None = None  # HEAD, once it has passed
        self.summary: Summary | None = None  # SUMM, once it has passed
        self.root: bytes | None = None  # The root, once ROOT has passed
        self._head_body = b""
        self._root_position = 0
        self.trailing: list[TrailingRecord] = []  # The records after ROOT, which are outside the root
        self._open: _OpenEntry | None = None
        self._keyring = keyring
        self._key: ContentKey | None = None
        self._stream: int | None = None  # With encryption, the stream of the last entry
        self.lengths = records.LENGTHS  # What bodies may have

    def admit(self, head: RecordHead) -> None:
        """Decide from its head alone whether a record may stand here.

        Raises:
            FormatError: SEQ-1, SEQ-2, LOW-1, LIM-1 to LIM-4, or REC-7 for a record after ROOT.
        """
        if self.phase is Phase.SEALED:
            raise FormatError("something follows after TAIL", rule="SEQ-2", offset=head.position)
        if (_EXTRA if head.is_extra else head.kind) not in _GRAMMAR[self.phase]:
            message = f"{head.kind.decode()} cannot stand here ({self.phase.name.lower()})"
            raise FormatError(message, rule="SEQ-1", offset=head.position)
        if self.phase is Phase.ROOTED:
            if head.is_extra:
                records.demand_trailing(head.length, head.position, before=len(self.trailing))
        else:
            self.ledger.demand_room(head.kind, position=head.position, end=head.end)
        if self._open is not None and len(self._open.lengths) >= records.MAX_CHUNKS and head.kind == records.DATA:
            raise FormatError(f"more than {records.MAX_CHUNKS} chunks", rule="LIM-2", offset=head.position)

    def accept(self, head: RecordHead, body: Buffer) -> Event:
        """Hold an admitted record and its body against all rules.

        Raises:
            FormatError: The first rule that is broken.
        """
        records.demand_check(head, self.tag, body)
        if head.kind == records.DATA:
            assert self._open is not None
            event: Event = self._open.add(head, body)
            self.ledger.demand_content(self._open.content_size, position=head.position)
        elif head.kind == records.FILE:
            event = self._accept_file(head, body)
        elif head.kind == records.DONE:
            event = self._accept_done(head, body)
        else:
            self._accept_outside(head, bytes(body))
            event = RecordRead(head, body)
        self.phase = _GRAMMAR[self.phase][_EXTRA if head.is_extra else head.kind]
        return event

    def _accept_file(self, head: RecordHead, body: Buffer) -> EntryBegun:
        number = self.ledger.entry_count
        file = FileRecord.parse(body, entry=number, position=head.position, after=self._stream)
        self.ledger.begin(file.token, file.name, position=head.position)
        cipher = None if self._key is None else self._key.cipher(file.stream)
        self._stream = None if cipher is None else file.stream
        hasher = None
        if self.decode:
            hasher = blake3() if cipher is None else cipher.hasher()
        self._open = _OpenEntry(file, head, hasher, cipher)
        return EntryBegun(file)

    def _accept_done(self, head: RecordHead, body: Buffer) -> EntryEnded:
        entry = self._open
        assert entry is not None
        done = DoneRecord.parse(body, entry=entry.file.entry, position=head.position)
        entry.demand(done, head.position)
        self._open = None
        places = (entry.head.position, head.position)
        ended = Entry.of(entry.file, done.content_size, done.digest, places, head.check)
        self.ledger.end(ended)
        return EntryEnded(ended, entry.file)

    def _accept_outside(self, head: RecordHead, body: bytes) -> None:
        judges = {
            records.HEAD: self._accept_head if self.phase is Phase.START else self._accept_copy,
            records.PROC: lambda head, body: parse_calls(body, position=head.position),
            records.SUMM: self._accept_summary,
            records.INDX: self._accept_page,
            records.ROOT: self._accept_root,
            records.TAIL: self._accept_tail,
        }
        if not head.is_extra:
            judges[head.kind](head, body)
        if self.root is None:
            self.ledger.rows.append(head)
        elif head.is_extra:
            self.trailing.append(TrailingRecord(head.kind, body))

    def _accept_head(self, head: RecordHead, body: bytes) -> None:
        self.head, self._head_body = Head.parse(body, position=head.position), body
        encryption = self.head.encryption
        if encryption is not None:
            self._key, self._stream, self.lengths = NO_KEY, 0, records.SEALED_LENGTHS
            if self._keyring is not None:
                self._key = self._keyring.find(encryption, ())
            elif self.decode:
                raise LockedError("the content is encrypted, and no identity was given")

    def _accept_copy(self, head: RecordHead, body: bytes) -> None:
        demand_same_head(body, self._head_body, position=head.position)

    def _accept_summary(self, head: RecordHead, body: bytes) -> None:
        summary, ledger = Summary.parse(body, position=head.position), self.ledger
        summary.demand_counts(entries=ledger.entry_count, content_size=ledger.content_size, position=head.position)
        self.summary = summary
        ledger.end_page()

    def _accept_page(self, head: RecordHead, body: bytes) -> None:
        pages = self.ledger.pages
        due = pages.popleft() if pages else KeptPage(self.ledger.entry_count, 0, b"")
        encrypted = self._key is not None
        page = IndexPage.parse(body, first=due.first, position=head.position, encrypted=encrypted)
        if len(page) != due.length:
            message = f"an index page of {len(page)} entries, not {due.length}"
            raise FormatError(message, rule="INDX-3", offset=head.position)
        if blake3(body).digest() != due.kept:
            raise FormatError("the index page says other than the entries", rule="INDX-2", offset=head.position)

    def _accept_root(self, head: RecordHead, body: bytes) -> None:
        Root.parse(body, position=head.position)
        if self.ledger.pages:
            raise FormatError("entries are missing from the index", rule="INDX-3", offset=head.position)
        if body != self.ledger.root_body():
            raise FormatError("ROOT says other than the archive", rule="ROOT-2", offset=head.position)
        self.root, self._root_position = head.check, head.position

    def _accept_tail(self, head: RecordHead, body: bytes) -> None:
        tail = Tail.parse(body, position=head.position)
        if (tail.root_position, tail.root) != (self._root_position, self.root):
            raise FormatError("TAIL says other than the archive", rule="TAIL-2", offset=head.position)


class _OpenEntry:
    """An entry whose DONE has not come yet."""

    def __init__(self, file: FileRecord, head: RecordHead, hasher: blake3 | None, cipher: StreamCipher | None) -> None:
        self.file = file
        self.head = head
        self.lengths = array("I")
        self.checks = bytearray()
        self.content_size = 0
        self._chunk_size = 1 << file.chunk_log2
        self._hasher = hasher
        self._cipher = cipher

    def add(self, head: RecordHead, body: Buffer) -> ChunkRead:
        chunk = len(self.lengths)
        data = bodies.parse_data(
            body,
            entry=self.file.entry,
            chunk=chunk,
            chunk_size=self._chunk_size,
            position=head.position,
            tag_size=0 if self._cipher is None else TAG_SIZE,
        )
        if self.content_size != chunk * self._chunk_size:
            raise FormatError("a chunk that is not the last is short", rule="DATA-2", offset=head.position)
        self.lengths.append(head.length)
        self.checks += head.check
        self.content_size += data.content_size
        if self._hasher is None:
            compression.check_frame(data, body, position=head.position, encrypted=self._cipher is not None)
            return ChunkRead(data.content_size, None)
        content = compression.decode_content(data, body, position=head.position, cipher=self._cipher)
        self._hasher.update(bytes(data.content_size) if content is None else content)
        return ChunkRead(data.content_size, content)

    def demand(self, done: DoneRecord, position: int) -> None:
        """Hold DONE against what came before it."""
        if (
            done.file_check != self.head.check
            or records.column_bytes(array("I", done.data_lengths)) != records.column_bytes(self.lengths)
            or done.data_checks != self.checks
        ):
            raise FormatError("DONE names other records than those before it", rule="DONE-2", offset=position)
        if done.content_size != self.content_size:
            raise FormatError("DONE names another size than its chunks have", rule="DONE-3", offset=position)
        done.demand_shape(self.file, position=position)
        if self._hasher is not None:
            records.demand_digest(done.digest, self._hasher.digest(), offset=position)


class ByteStream(Protocol):
    """Something to read from, front to back."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; fewer only at the end, as buffered binary files do."""


class Scan:
    """A walk over an archive from its front to its end.

    Iterate to get the events. What is handed out before the iteration ends without an error is provisional (STATE-2).

    Args:
        stream: The archive.
        decode: Whether content is decoded and its digest demanded.
        keyring: What opens encrypted content. Of a stream the records `keys` come too late: HEAD alone counts.

    Raises (while iterating):
        BadMagicError, UnsupportedError, FormatError: The archive is refused; `rule` and `offset` say why and where.
        UnsealedError: It ends before TAIL.
        LockedError: Content is to be decoded, it is encrypted, and nothing that was given opens it.
    """

    def __init__(self, stream: ByteStream, *, decode: bool, keyring: Keyring | None = None) -> None:
        self._stream = stream
        self._decode = decode
        self._keyring = keyring
        self.position = 0  # Bytes taken so far in whole records
        # The judge with all that is known so far, None before the preamble has passed.
        self.scanner: Scanner | None = None

    def __iter__(self) -> Iterator[Event]:
        start = self._read(bodies.PREAMBLE_SIZE)
        scanner = self.scanner = Scanner(start, decode=self._decode, keyring=self._keyring)
        self.position = bodies.PREAMBLE_SIZE
        while (head := self._next_head(scanner)) is not None:
            scanner.admit(head)
            body = self._read(head.length)
            if len(body) < head.length:
                message = f"it ends inside a {head.kind.decode()} record"
                raise UnsealedError(message, rule="STATE-1", offset=head.position)
            event = scanner.accept(head, body)
            self.position = head.end
            yield event

    def _next_head(self, scanner: Scanner) -> RecordHead | None:
        data = self._read(records.HEAD_SIZE)
        if scanner.phase is Phase.SEALED:
            if data:
                raise FormatError("something follows after TAIL", rule="SEQ-2", offset=self.position)
            return None
        if len(data) < records.HEAD_SIZE:
            records.check_partial_head(data, scanner.tag, self.position)
            raise UnsealedError("it ends before TAIL", rule="STATE-1", offset=self.position)
        return records.parse_head(data, scanner.tag, self.position, lengths=scanner.lengths)

    def _read(self, size: int) -> bytes:
        pieces = []
        while size:
            piece = self._stream.read(size)
            if not piece:
                break
            pieces.append(piece)
            size -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
