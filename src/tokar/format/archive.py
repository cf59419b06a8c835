"""Reading an archive with random access, from the tail (spec/format.md STATE-3 and STATE-4).

Opening reads the preamble, TAIL, ROOT, SUMM and the HEAD after it; the index is read when an entry is asked for, and of
an entry only what is asked for. Where there is no valid TAIL, the archive is read from the front to say why.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from io import BufferedReader
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload

from blake3 import blake3

from tokar.errors import ArchiveError, FormatError, LockedError, NoSuchEntryError, UnsealedError
from tokar.format import bodies, records
from tokar.format.bodies import Preamble, Root, Tail
from tokar.format.encryption import NO_KEY, ContentKey, Keyring
from tokar.format.entry_reader import Chunk, EntryReader, EntryRecords, EntrySource, absorb, end_of, read_record
from tokar.format.file_damage import FileDamage
from tokar.format.index import Entry, IndexPage, demand_full, demand_tiling, demand_unique, find_entries
from tokar.format.metadata import Head, Summary, demand_same_head, parse_calls
from tokar.format.records import HEAD_SIZE, RecordHead, TrailingRecord
from tokar.storage.bytesource import ByteSource, FileSource, SequentialReader, SourceFile

if TYPE_CHECKING:
    from array import array


_CHUNK_SIZE = 1 << 20  # of most entries: a reader of all content decodes each chunk once


class Archive:
    """A sealed archive, open for reading. For one thread, apart from `read` and what is documented otherwise.

    Args:
        source: Anything with `size` and `read(offset, size)`, or the path of a file.
        keyring: What opens encrypted content; without it, everything else can be read.

    Raises:
        StorageError: The file cannot be read.
        BadMagicError: It is not an archive.
        UnsupportedError: It needs a newer reader.
        UnsealedError: Its end is missing.
        FormatError: It is damaged; `rule` and `offset` say how and where.
        LockedError: It is encrypted, and nothing in the ring opens it.
    """

    path: Path | str | None  # The file, None if the source is something else
    source: ByteSource  # Where the archive is read from
    size: int  # Bytes of the archive
    id: bytes  # Archive id, 16 bytes
    root: bytes  # The root, 32 bytes
    root_head: RecordHead  # Head of ROOT
    rows: list[RecordHead]  # Heads of the records outside entries, in order
    entry_count: int  # Number of entries
    head: Head  # HEAD, from the record after SUMM
    summary: Summary  # SUMM
    key: ContentKey | None  # What opens its content: None if it is not encrypted, NO_KEY if it is and nobody gave one

    def __init__(self, source: ByteSource | Path | str, keyring: Keyring | None = None) -> None:
        self._owned = FileSource(source) if isinstance(source, Path | str) else None
        self.source = self._owned or source  # type: ignore[assignment]
        self.path = self._owned.path if self._owned else None
        self._proven: tuple[Entry, EntryRecords] | None = None
        self.file_damage = FileDamage()
        try:
            self._open()
            if keyring is not None:
                self.unlock(keyring)
        except ArchiveError as error:
            self.close()
            if error.path is None:
                error.path = self.path
            raise

    def _open(self) -> None:
        source = self.source
        self.size = source.size
        start = source.read(0, bodies.PREAMBLE_SIZE)
        self.id = Preamble.parse(start).id
        self._tag = self.id[:8]
        end = self._read_tail()
        root_head, body = self._read(end.root_position, records.ROOT)
        message, offset = "TAIL names another root", self.size - bodies.TAIL_SIZE
        records.demand_named_check(message, end.root, root_head.check, rule="TAIL-2", offset=offset)
        self.root = end.root
        found = Root.parse(body, position=root_head.position)
        if found.preamble != start:
            raise FormatError("ROOT names another preamble", rule="ROOT-2", offset=root_head.position)
        self.entry_count = found.entry_count
        if self.entry_count > records.MAX_ENTRIES:
            raise FormatError(f"{self.entry_count} entries", rule="LIM-1", offset=root_head.position)
        self.rows = list(found.rows)
        self.root_head = root_head
        self.trailing: list[TrailingRecord] = []  # The records after ROOT, which are outside the root
        self._outside = [row.position for row in self.rows] + [root_head.position]
        at = self._demand_order(root_head.position)
        self._check_trailing()
        row, copy = self.rows[at : at + 2]
        self._head_body = self._row(copy)
        self.head = Head.parse(self._head_body, position=copy.position)
        self.summary = summary = Summary.parse(self._row(row), position=row.position)
        count, size = self.entry_count, summary.content_size
        summary.demand_counts(entries=count, content_size=size, position=row.position)
        self.key = None if self.head.encryption is None else NO_KEY
        self._reader = EntryReader(source, self._tag, self.key)

    @property
    def is_locked(self) -> bool:
        """Whether content is encrypted and the key is not there."""
        return self.key is NO_KEY

    def unlock(self, keyring: Keyring) -> None:
        """Find the key of the archive in a ring, if it is encrypted.

        Raises:
            LockedError: Nothing in the ring opens it.
        """
        encryption = self.head.encryption
        if encryption is not None:
            more = [one.body for one in self.trailing if one.kind == records.KEYS]
            self.use_key(keyring.find(encryption, more))

    def use_key(self, key: ContentKey) -> None:
        """Read encrypted content with a key that is at hand.

        Raises:
            LockedError: It is another key (ENC-4).
        """
        encryption = self.head.encryption
        if encryption is not None:
            if key.key_id != encryption.key_id:
                raise LockedError("the content is encrypted with another key", path=self.path)
            self.key, self._proven = key, None
            self._reader = EntryReader(self.source, self._tag, key)
            if "_index" in self.__dict__:
                self._give_key(self.pages)

    def _give_key(self, pages: list[IndexPage]) -> None:
        for page in pages:
            page.key = self.key

    def demand_key(self) -> None:
        """Check that content can be read.

        Raises:
            LockedError: It is encrypted, and the key is not there.
        """
        if self.is_locked:
            raise LockedError("the content is encrypted, and no identity was given", path=self.path)

    def _read_tail(self) -> Tail:
        position = self.size - bodies.TAIL_SIZE
        try:
            _, body = self._read(position, records.TAIL)
            end = Tail.parse(body, position=position)
            _demand_before_tail(end.root_position, position)
        except FormatError as error:
            from tokar.format.scanner import Scan  # noqa: PLC0415 - only what has no good end needs it

            for _ in Scan(SequentialReader(self.source), decode=False):
                pass  # it says what is wrong: unsealed, or damaged and where
            raise error from None  # a front-to-back reader would be content: cannot happen, but must not pass
        return end

    def _read(self, position: int, kind: bytes) -> tuple[RecordHead, bytes]:
        """Read a record of a certain kind."""
        data = self.source.read(position, HEAD_SIZE) if position >= 0 else b""
        if len(data) < HEAD_SIZE:
            raise UnsealedError("it ends before TAIL", rule="STATE-1", offset=self.size)
        head = records.parse_head(data, self._tag, position)
        if head.end > self.size:
            raise FormatError("a record reaches past the end", rule="STATE-4", offset=position)
        _, body = read_record(
            memoryview(data + self.source.read(head.body_position, head.length)), self._tag, position, kind
        )
        return head, bytes(body)

    def _row(self, row: RecordHead) -> bytes:
        """Read the record that a row of ROOT names."""
        head, body = self._read(row.position, row.kind)
        if head != row:
            raise FormatError("ROOT names another record", rule="ROOT-2", offset=row.position)
        return body

    def _demand_order(self, root_position: int) -> int:
        """Check that the rows of ROOT can stand where they say; return which of them is SUMM."""
        ends = [row.end for row in self.rows]
        ordered = all(end <= start for end, start in zip(ends, self._outside[1:], strict=True))
        kinds = [row.kind for row in self.rows]
        at = kinds.index(records.SUMM) if records.SUMM in kinds else len(kinds)
        if (
            not ordered
            or kinds[0] != records.HEAD
            or self._outside[0] != bodies.PREAMBLE_SIZE
            or kinds[at + 1 : at + 2] != [records.HEAD]
            or set(kinds[at + 2 :]) - {records.INDX}
            or ends[at:] != self._outside[at + 1 :]
        ):
            raise FormatError(
                "the rows of ROOT are not in the order of an archive", rule="ROOT-2", offset=root_position
            )
        for row in self.rows[1:at]:
            if not row.is_extra and row.kind != records.PROC:
                self._read(row.position, row.kind)  # says so if the record is of a kind that is not known here
                raise FormatError("ROOT lists a record that cannot stand there", rule="ROOT-2", offset=root_position)
        return at

    def _check_trailing(self) -> None:
        position = self.root_head.end
        end = self.size - bodies.TAIL_SIZE
        while position < end:
            data = self.source.read(position, HEAD_SIZE)
            found = records.parse_head(data, self._tag, position) if len(data) == HEAD_SIZE else None
            head = records.demand_after_root(found, position, before=len(self.trailing))
            self.trailing.append(TrailingRecord(head.kind, self._read(position, head.kind)[1]))
            position = head.end
        if position != end:
            raise FormatError("a record reaches into TAIL", rule="SEQ-1", offset=position)

    @property
    def pages(self) -> list[IndexPage]:
        """The pages of the index, in order; read at the first use.

        Raises:
            FormatError: A page is damaged, or the pages do not fit the archive.
        """
        return self._index[0]

    @cached_property
    def _index(self) -> tuple[list[IndexPage], array[int]]:
        """The pages of the index, and where all FILE stand."""
        pages: list[IndexPage] = []
        count, position = 0, self.root_head.position
        for row in self.rows:
            if row.kind == records.INDX:
                body, encrypted = self._row(row), self.key is not None
                pages.append(IndexPage.parse(body, first=count, position=row.position, encrypted=encrypted))
                count += len(pages[-1])
        if count != self.entry_count:
            message = f"the index has {count} entries, ROOT counts {self.entry_count}"
            raise FormatError(message, rule="INDX-3", offset=position)
        self._give_key(pages)
        files = demand_tiling(pages, self.rows, self._outside)
        demand_full(pages, position=position)
        size = sum(sum(page.column("size")) for page in pages)
        if size != self.summary.content_size:
            raise FormatError("SUMM counts other sizes than the index", rule="SUMM-2", offset=position)
        if size > records.MAX_ARCHIVE_SIZE:
            raise FormatError("the content is too large", rule="LIM-4", offset=position)
        return pages, files

    def __repr__(self) -> str:
        return f"<Archive {self.path or self.id.hex()}: {self.entry_count} entries, root {self.root.hex()[:16]}>"

    def __len__(self) -> int:
        return self.entry_count

    def __iter__(self) -> Iterator[Entry]:
        for page in self.pages:
            yield from page

    @property
    def entries(self) -> Entries:
        """All entries as a sequence; each is made when it is asked for."""
        return Entries(self)

    @property
    def has_incomplete(self) -> bool:
        """Whether the content of an entry is known to be incomplete."""
        return any(flag & records.FLAG_INCOMPLETE for page in self.pages for flag in set(page.column("flags")))

    def entry(self, number: int) -> Entry:
        """Return entry `number`, from 0.

        Raises:
            NoSuchEntryError: There is none.
        """
        if not 0 <= number < self.entry_count:
            raise NoSuchEntryError(f"there is no entry {number}; the archive has {self.entry_count}", path=self.path)
        return self.pages[bisect_right(self.pages, number, key=attrgetter("first")) - 1].entry(number)

    def find(self, name: str, token: int | None = None) -> Entry:
        """Return the entry that a person means: by its name as it is shown, else by its leaf in any case, else as `#N`.

        Args:
            name: What the entry is called.
            token: Demanded too, where it is given.

        Raises:
            NoSuchEntryError: There is none, or more than one.
        """
        return find_entries(self, [name], token=token, path=self.path)[0]

    def demand_unique(self) -> None:
        """Check that no two entries have the same token and name (FILE-5).

        Raises:
            FormatError: Two have.
        """
        demand_unique(self.pages, position=self.root_head.position)

    def end_of(self, entry: Entry) -> int:
        """Return where the record after an entry stands.

        Raises:
            FormatError: STATE-4.
        """
        following = entry.number + 1
        next_file = self._index[1][following] if following < self.entry_count else None
        return end_of(entry.number, next_file, self._outside, entry.done_position)

    def entries_with_ends(self) -> Iterator[tuple[Entry, int]]:
        """Yield all entries, each with the position of the record after it.

        Raises:
            FormatError: The index is damaged, or STATE-4.
        """
        for entry in self:
            yield entry, self.end_of(entry)

    def demand_row(self, row: RecordHead) -> None:
        """Read a record outside entries and hold it against ROOT.

        Raises:
            FormatError: It is damaged.
        """
        body = self._row(row)
        if row.kind == records.HEAD:
            demand_same_head(body, self._head_body, position=row.position)
        if row.kind == records.PROC:
            parse_calls(body, position=row.position)

    def stored_size(self, entry: Entry) -> int:
        """Return the bytes that an entry takes in the archive, its records included."""
        return self.end_of(entry) - entry.file_position

    def records(self, entry: Entry) -> EntryRecords:
        """Return FILE and DONE of an entry, proven.

        Raises:
            FormatError: They are damaged.
        """
        if self._proven is None or self._proven[0] is not entry:
            self._proven = (entry, self._reader.records(entry, self.end_of(entry)))
        return self._proven[1]

    def read(self, entry: Entry, start: int = 0, stop: int | None = None) -> bytes:
        """Return content of an entry from `start` to `stop`, reading and proving only the chunks that hold it.

        Raises:
            FormatError: The entry is damaged there.
        """
        reader = EntryReader(self.source, self._tag, self.key)
        found = reader.records(entry, self.end_of(entry))
        return reader.read(found, max(start, 0), entry.size if stop is None else stop)

    def open_entry(self, entry: Entry) -> BufferedReader:
        """Return the content of an entry as a file to read from, with any position at hand, while the archive is open.

        Every chunk is proven before a byte of it is given; the digest of the whole is for `chunks` and `verify`.

        Raises:
            FormatError: The entry is damaged, here or at a later read.
        """
        return BufferedReader(SourceFile(self.entry_source(entry), entry.name), _CHUNK_SIZE)

    def chunks(self, entry: Entry) -> Iterator[Chunk]:
        """Yield the whole content of an entry; the data of a chunk is valid until the next step.

        What is yielded is proven chunk by chunk; that the whole has its digest is known when the iterator ends without
        an error.

        Raises:
            FormatError: The entry is damaged.
        """
        try:
            small = self._reader.small(entry, self.end_of(entry))
            if small is None:
                self.file_damage.look(self._reader, entry, found := self.records(entry), self.path)
                yield from self._reader.chunks(found)
                return
        except FormatError as error:
            error.path = error.path or self.path  # of several archives, which one
            raise
        if entry.size:
            yield Chunk(entry.size, small.content, small.codec)

    def calls(self) -> Iterator[dict[str, Any]]:
        """Yield the transcript of the procedure, call by call.

        Raises:
            FormatError: A PROC record is damaged.
        """
        for row in self.rows:
            if row.kind == records.PROC:
                yield from parse_calls(self._row(row), position=row.position)

    def extras(self, kind: bytes) -> Iterator[bytes]:
        """Yield the bodies of the lower-case records of a kind before SUMM; damaged ones are left to `verify`."""
        for row in self.rows:
            if row.kind == kind:
                with suppress(FormatError):
                    yield self._row(row)

    def entry_source(self, entry: Entry) -> EntrySource:
        """Return the content of an entry as a byte source, for readers that need random access."""
        return EntrySource(EntryReader(self.source, self._tag, self.key), entry, self.end_of(entry))

    def close(self) -> None:
        """Close the file, if the archive opened it."""
        if self._owned is not None:
            self._owned.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def content_digest(archive: Archive, entry: Entry) -> bytes:
    """Return BLAKE3 of content without a key, which is read for that: DONE has it keyed where content is encrypted.

    Raises:
        FormatError: The entry is damaged.
        LockedError: The key is not there.
    """
    digest = blake3()
    for chunk in archive.chunks(entry):
        absorb(digest, chunk)
    return digest.digest()


def _demand_before_tail(root_position: int, position: int) -> None:
    if not 0 < root_position < position:
        raise FormatError("TAIL says other than the archive", rule="TAIL-2", offset=position)


class Entries(Sequence["Entry"]):
    """The entries of an archive as a sequence.

    Args:
        archive: The archive.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    @property
    def tokens(self) -> set[int]:
        """The tokens that occur."""
        return set().union(*(page.column("token") for page in self._archive.pages))

    def chosen(self, wanted: Callable[[int, int], bool]) -> Iterator[Entry]:
        """Yield the entries that are wanted, by their number and size; the others are not made."""
        for page in self._archive.pages:
            yield from page.chosen(wanted)

    def __len__(self) -> int:
        return len(self._archive)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._archive)

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...

    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        if isinstance(index, slice):
            return [self._archive.entry(number) for number in range(*index.indices(len(self)))]
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(index)
        return self._archive.entry(number)


def tokens_of(entries: Iterable[Entry]) -> set[int]:
    """Return the tokens of entries; those of a whole archive without making one of them."""
    return entries.tokens if isinstance(entries, Entries) else {entry.token for entry in entries}


def chosen_of(entries: Sequence[Entry], wanted: Callable[[int, int], bool]) -> Iterator[tuple[int, Entry]]:
    """Yield the entries that are wanted, by their place and size, each with its place; of a whole archive no other."""
    if isinstance(entries, Entries):
        yield from ((entry.number, entry) for entry in entries.chosen(wanted))
    else:
        yield from ((at, entry) for at, entry in enumerate(entries) if wanted(at, entry.size))
