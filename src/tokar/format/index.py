"""The index: entries, pages, where they can stand, and what derives them (spec/format.md section 10).

A page is never turned into objects as a whole: an index of a million entries is a few arrays, and an `Entry` is made
when somebody asks. INDX and ROOT are pure functions of earlier records: the writer writes what the `Ledger` derives; a
scanning reader derives the same and compares bytes. A reader that starts from the tail believes no position before it
fits all the others (STATE-4).
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from blake3 import blake3

from tokar import names
from tokar.errors import FormatError, NoSuchEntryError, UnsafeNameError
from tokar.format import records
from tokar.format.bodies import FileList, Root
from tokar.format.records import (
    DATA,
    DONE,
    FILE,
    INDX,
    INDX_BODY,
    MAX_PAGE_ENTRIES,
    PAGE_ENTRY_SIZE,
    PAGE_FULL_SIZE,
    ROOT,
    TAIL,
    Packer,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from typing_extensions import Buffer

    from tokar.format.bodies import DoneRecord, FileRecord
    from tokar.format.records import RecordHead


_NUMBER = re.compile(r"#([0-9]{1,10})", re.ASCII)
_MAX_LISTED = 5


class Entry(NamedTuple):
    """One stored file. A named tuple: archives have up to sixteen million, and nothing cheaper cannot change."""

    number: int  # Position in the archive, from 0
    token: int  # The token byte as delivered, 0x00-0xFF. Its name comes from the profile of the archive
    file_list: FileList  # Where the file was listed
    encoding: int  # Windows code page of `raw_name`: 1200 UTF-16LE, 65001 UTF-8, 932 and so on; 0 unknown
    raw_name: bytes  # The name as delivered, without its token
    size: int  # Bytes of content
    digest: bytes  # BLAKE3-256 of the content, 32 bytes
    file_position: int  # Where the FILE record starts, bytes from the start of the archive
    done_position: int  # Where the DONE record starts
    done_check: bytes  # The check of the DONE record, 32 bytes

    @property
    def name(self) -> str:
        """The name as text that is safe to print; where it cannot be decoded, its bytes are shown escaped."""
        return names.display(self.raw_name, self.encoding)

    def __repr__(self) -> str:
        return f"<Entry #{self.number} 0x{self.token:02X} {self.name}: {self.size} bytes>"

    @property
    def leaf(self) -> str | None:
        """The file name that the entry may have on a target; None where its name has none that is safe."""
        try:
            return names.leaf(self.raw_name, self.encoding)
        except UnsafeNameError:
            return None

    @classmethod
    def of(cls, file: FileRecord, done: DoneRecord, *, positions: tuple[int, int], check: bytes) -> Entry:
        """Return the entry that FILE and DONE make together.

        Args:
            file: FILE.
            done: DONE.
            positions: Where they stand.
            check: The check of DONE.
        """
        of_file = (file.entry, file.token, file.file_list, file.encoding, file.name)
        return cls(*of_file, done.content_size, done.digest, *positions, check)


def find_entries(
    entries: Iterable[Entry],
    wanted: Sequence[str],
    *,
    token: int | None = None,
    numbered: bool = True,
    path: Path | str | None = None,
) -> list[Entry]:
    """Return the one entry that each text names: by its name as shown, else by its leaf in any case, else as `#N`.

    Args:
        entries: All entries; gone through once, however many are wanted.
        wanted: What a person calls the entries.
        token: Demanded too, where it is given.
        numbered: Whether `#N` names an entry: not where the numbers are no longer those that `inspect` shows.
        path: The archive, for messages.

    Raises:
        NoSuchEntryError: A text names no entry, or more than one.
    """
    if not wanted:
        return []
    ways: dict[str, list[tuple[str, str | int]]] = {
        text: [("name", text), ("leaf", names.collision_key(text))] for text in wanted
    }
    for text in wanted:
        if numbered and (match := _NUMBER.fullmatch(text)):
            ways[text].append(("number", int(match[1])))
    asked = {way for tried in ways.values() for way in tried}
    fitting: dict[tuple[str, str | int], list[Entry]] = defaultdict(list)
    for entry in entries:
        if token in (None, entry.token):
            name = entry.name
            leaf = names.collision_key(names.leaf_of(name))
            for way in (("name", name), ("leaf", leaf), ("number", entry.number)):
                if way in asked:
                    fitting[way].append(entry)
    result = []
    for text in wanted:
        found = next((fitting[way] for way in ways[text] if way in fitting), [])
        if len(found) != 1:
            raise _not_one(text, found, path)
        result += found
    return result


def _not_one(text: str, found: Sequence[Entry], path: Path | str | None) -> NoSuchEntryError:
    """Return the error for a text that does not name one entry."""
    if not found:
        return NoSuchEntryError(f"no entry has the name {text}", path=path)
    listed = ", ".join(f"#{entry.number} {entry.name}" for entry in found[:_MAX_LISTED])
    more = ", ..." if len(found) > _MAX_LISTED else ""
    return NoSuchEntryError(
        f"{len(found)} entries have the name {text}: {listed}{more}",
        path=path,
        hint="name one by its whole name, or by #NUMBER as tokar inspect --entries shows it",
    )


_PACKER: Final = Packer(INDX_BODY)
_LISTS: Final = tuple(FileList)


def _fills(count: int, names_size: int) -> bool:
    """Whether a page with so many entries and bytes of names takes no more."""
    return count >= MAX_PAGE_ENTRIES or _PACKER.size + PAGE_ENTRY_SIZE * count + names_size > PAGE_FULL_SIZE


# Section 10: each column with the code of its integers, or None for bytes, and the bytes that it has for one entry.
_COLUMNS: Final = (
    ("sizes", "Q", 8),
    ("file_positions", "Q", 8),
    ("done_positions", "Q", 8),
    ("digests", None, 32),
    ("done_checks", None, 32),
    ("name_ends", "I", 4),
    ("encodings", "H", 2),
    ("tokens", None, 1),
    ("lists", None, 1),
)


class IndexPage:
    """One page: columns for entries `first` to `first + count - 1`. Grows with `append` until `is_full`."""

    sizes: array[int]  # Bytes of content
    file_positions: array[int]  # Where FILE stands
    done_positions: array[int]  # Where DONE stands
    digests: bytearray  # Of the content, 32 bytes each
    done_checks: bytearray  # Checks of DONE, 32 bytes each
    name_ends: array[int]  # Where each name ends in `names`
    encodings: array[int]  # Windows code pages of the names
    tokens: bytearray  # Token bytes
    lists: bytearray  # Where the files were listed
    names: bytearray  # All names, one after the other

    def __init__(self, first: int) -> None:
        self.first = first
        for name, code, _ in _COLUMNS:
            setattr(self, name, array(code) if code else bytearray())
        self.names = bytearray()

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def is_full(self) -> bool:
        """Whether the page must be written now (section 10.1)."""
        return _fills(len(self.sizes), len(self.names))

    @property
    def is_overfull(self) -> bool:
        """Whether the page should have been written before its last entry (section 10.1)."""
        count = len(self.sizes) - 1
        return count > 0 and _fills(count, self.name_ends[count - 1])

    def append(self, entry: Entry) -> None:
        """Add the next entry."""
        _, token, file_list, encoding, name, size, digest, file_position, done_position, done_check = entry
        self.sizes.append(size)
        self.file_positions.append(file_position)
        self.done_positions.append(done_position)
        self.digests += digest
        self.done_checks += done_check
        self.names += name
        self.name_ends.append(len(self.names))
        self.encodings.append(encoding)
        self.tokens.append(token)
        self.lists.append(file_list)

    def __iter__(self) -> Iterator[Entry]:
        names, digests, checks = bytes(self.names), bytes(self.digests), bytes(self.done_checks)
        start = at = 0
        columns = (self.tokens, self.lists, self.encodings, self.name_ends, self.sizes)
        numbers, places = range(self.first, self.first + len(self)), (self.file_positions, self.done_positions)
        for number, token, listed, encoding, end, size, begin, done in zip(numbers, *columns, *places, strict=True):
            name, digest, check = names[start:end], digests[at : at + 32], checks[at : at + 32]
            yield Entry(number, token, _LISTS[listed], encoding, name, size, digest, begin, done, check)
            start, at = end, at + 32

    def entry(self, number: int) -> Entry:
        """Return entry `number`, counted from the start of the archive."""
        at = number - self.first
        name = bytes(self.names[self.name_ends[at - 1] if at else 0 : self.name_ends[at]])
        digest, check = (bytes(column[32 * at : 32 * at + 32]) for column in (self.digests, self.done_checks))
        listed, places = _LISTS[self.lists[at]], (self.file_positions[at], self.done_positions[at])
        return Entry(number, self.tokens[at], listed, self.encodings[at], name, self.sizes[at], digest, *places, check)

    def keys(self) -> Iterator[bytes]:
        """Yield for each entry what must be unique in an archive: its token byte and its name (SEQ-4)."""
        start = 0
        names = bytes(self.names)
        for token, end in zip(self.tokens, self.name_ends, strict=True):
            yield names[start:end] + token.to_bytes()
            start = end

    def build(self) -> bytes:
        """Return the bytes of the body."""
        columns = (getattr(self, name) for name, _, _ in _COLUMNS)
        parts = (column if isinstance(column, bytearray) else records.column_bytes(column) for column in columns)
        return b"".join((_PACKER.pack(self.first, len(self)), *parts, self.names))

    @classmethod
    def parse(cls, body: Buffer, *, first: int, position: int) -> Self:
        """Read the body of the INDX record at `position`, whose first entry must be number `first`.

        Raises:
            FormatError: INDX-1 or INDX-3.
        """
        its_first, count = _PACKER.unpack(body)
        view = memoryview(body)
        at = _PACKER.size
        if not 1 <= count <= MAX_PAGE_ENTRIES or view.nbytes < at + PAGE_ENTRY_SIZE * count:
            raise FormatError(f"an index page with {count} entries", rule="INDX-1", offset=position)
        if its_first != first:
            raise FormatError(f"index page of entry {its_first}, not {first}", rule="INDX-3", offset=position)
        page = cls(first)
        for name, code, width in _COLUMNS:
            part = view[at : at + width * count]
            setattr(page, name, records.column_integers(part, code) if code else bytearray(part))
            at += width * count
        page.names = bytearray(view[at:])
        page._demand_sound_columns(position)
        return page

    def _demand_sound_columns(self, position: int) -> None:
        ends = self.name_ends
        rising = ends[0] > 0 and all(map(int.__lt__, ends, ends[1:]))
        if not rising or ends[-1] != len(self.names) or max(self.lists) >= len(_LISTS):
            raise FormatError("the columns of an index page do not fit", rule="INDX-1", offset=position)


def demand_tiling(pages: Sequence[IndexPage], rows: Sequence[RecordHead], outside: Sequence[int]) -> None:
    """Check that entries rise, and that each gap between rows of ROOT begins with one.

    Args:
        pages: The pages of the index, in order.
        rows: The rows of ROOT.
        outside: Where these records stand, and after them where ROOT stands.

    Raises:
        FormatError: INDX-2 or STATE-4.
    """
    last = -1
    for page in pages:
        files, dones = page.file_positions, page.done_positions
        rising = all(map(int.__lt__, files, dones)) and all(map(int.__lt__, dones, files[1:]))
        if not rising or files[0] <= last:
            raise FormatError("the positions of an index page do not rise", rule="INDX-2", offset=files[0])
        last = dones[-1]
    firsts = [page.file_positions[0] for page in pages]
    for row, following in zip(rows, outside[1:], strict=True):
        if row.end == following:
            continue
        at = bisect_right(firsts, row.end) - 1
        begun = pages[at].file_positions if at >= 0 else ()
        place = bisect_left(begun, row.end)
        if place == len(begun) or begun[place] != row.end:
            raise FormatError("something stands between records that no entry owns", rule="STATE-4", offset=row.end)


def demand_places(pages: Sequence[IndexPage], rows: Sequence[RecordHead], size: int) -> None:
    """Check that pages stand where section 10.1 puts them: after the DONE that fills them, or after SUMM.

    Args:
        pages: The pages of the index, in order.
        rows: The rows of ROOT.
        size: Bytes of the archive.

    Raises:
        FormatError: SEQ-3.
    """
    places = [at for at, row in enumerate(rows) if row.kind == INDX]
    followers = [*(page.file_positions[0] for page in pages[1:]), size][: len(pages)]
    for at, page, follower in zip(places, pages, followers, strict=True):
        position, is_last = rows[at].position, at == len(rows) - 1
        begin = 0 if is_last else rows[at - 1].position
        in_place = begin < page.done_positions[-1] < position < follower
        if page.is_full == is_last or page.is_overfull or not in_place:
            raise FormatError("an index page stands where none is due", rule="SEQ-3", offset=position)


_NOT_IN_ROOT = frozenset({FILE, DATA, DONE, ROOT, TAIL})
# Bytes; as an integer 40 bytes of memory, and two entries meet by chance once in 2^72 archives of 2^24.
_KEY_DIGEST_SIZE = 15


class Ledger:
    """The running account of an archive."""

    def __init__(self, preamble: bytes) -> None:
        self.preamble = preamble  # Bytes 0-31 of the archive
        self.entry_count = 0  # Entries that are done
        self.content_size = 0  # Bytes of content of these
        self.rows: list[RecordHead] = []  # Heads of the records outside entries so far
        self.page = IndexPage(0)  # The index page that is being filled
        self._keys: set[int] = set()

    def demand_room(self, kind: bytes, *, position: int, end: int) -> None:
        """Check that one more record of a kind is within the limits.

        Raises:
            FormatError: LIM-1, LIM-3 or LIM-4.
        """
        if kind == FILE and self.entry_count >= records.MAX_ENTRIES:
            raise FormatError(f"more than {records.MAX_ENTRIES} entries", rule="LIM-1", offset=position)
        if kind not in _NOT_IN_ROOT and len(self.rows) >= records.MAX_OUTSIDE_RECORDS:
            message = f"more than {records.MAX_OUTSIDE_RECORDS} records outside entries"
            raise FormatError(message, rule="LIM-3", offset=position)
        if max(end, self.content_size) > records.MAX_ARCHIVE_SIZE:
            raise FormatError("the archive or its content is too large", rule="LIM-4", offset=position)

    def begin(self, token: int, name: bytes, *, position: int) -> None:
        """Account for the FILE record of a new entry.

        Raises:
            FormatError: SEQ-4, an entry has this token and name already.
        """
        key = int.from_bytes(blake3(name + token.to_bytes()).digest(_KEY_DIGEST_SIZE), "little")
        if key in self._keys:
            message = f"an entry with token 0x{token:02x} and the same name is there already"
            raise FormatError(message, rule="SEQ-4", offset=position)
        self._keys.add(key)

    def end(self, entry: Entry) -> None:
        """Account for an entry that is done."""
        self.page.append(entry)
        self.entry_count += 1
        self.content_size += entry.size

    def take_page(self) -> bytes:
        """Return the body of the INDX that is due, and begin the next page."""
        body = self.page.build()
        self.page = IndexPage(self.entry_count)
        return body

    def root_body(self) -> bytes:
        """Return the body of ROOT."""
        return Root(self.preamble, self.entry_count, self.rows).build()
