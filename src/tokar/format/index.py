"""The index: entries, pages, and what derives them (spec/format.md section 10).

A page is never turned into objects as a whole: an index of a million entries is a few arrays, and an `Entry` is made
when somebody asks. INDX and ROOT are pure functions of earlier records: the writer writes what the `Ledger` derives; a
scanning reader derives the same and compares. A reader that starts from the tail believes no position before it fits
all the others (STATE-4).
"""

from __future__ import annotations

import fnmatch
import re
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from blake3 import blake3

from tokar import names
from tokar.errors import FormatError, NoSuchEntryError, UnsafeNameError
from tokar.format import records
from tokar.format.bodies import FileList, FileRecord, file_flags
from tokar.format.encryption import NO_KEY, ContentKey
from tokar.format.records import RecordHead
from tokar.storage.bytesource import Buffer
from tokar.words import meant

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
    announced_size: int | None = None  # Bytes, as announced when the file was opened, or None
    modified: int | None = None  # Modification time, nanoseconds since 1970 in UTC, or None
    incomplete: bool = False  # Whether the content is known to be incomplete
    chunk_log2: int = records.MIN_CHUNK_LOG2  # Size of a chunk as a power of two
    stream: int = 0  # What the keys of an encrypted file are made from; zero without encryption
    key: ContentKey | None = None  # What its content is encrypted with, and its digest keyed; None without encryption

    @property
    def is_locked(self) -> bool:
        """Whether its content is encrypted and the key is not there."""
        return self.key is NO_KEY

    def hasher(self) -> blake3:
        """Return a new hasher for the digest of its content.

        Raises:
            LockedError: It is encrypted, and the key is not there.
        """
        return blake3() if self.key is None else self.key.cipher(self.stream).hasher()

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

    @property
    def file(self) -> FileRecord:
        """FILE of the entry, which INDX repeats."""
        number, token, listed, encoding, name, _, _, _, _, _, announced, modified, incomplete, log2, stream, _ = self
        return FileRecord(number, encoding, token, listed, announced, modified, incomplete, log2, name, stream)

    @classmethod
    def of(cls, file: FileRecord, size: int, digest: bytes, places: tuple[int, int], check: bytes) -> Entry:
        """Return the entry that FILE makes with size, digest, where both stand, and the check of DONE."""
        number, encoding, token, listed, announced, modified, incomplete, log2, name, stream = file
        own = (number, token, listed, encoding, name, size, digest, *places, check)
        # By what makes every tuple: the function of the class would take a tenth of the time of a small file.
        return tuple.__new__(cls, (*own, announced, modified, incomplete, log2, stream, None))


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
            raise _not_one(text, found, path) if found else _no_entry(text, entries, path)
        result += found
    return result


def find_fitting(entries: Sequence[Entry], wanted: Sequence[str], *, numbered: bool = True) -> list[Entry]:
    """Return the entries that texts name, each as `find_entries` does, or as a pattern with `*` or `?`; each once.

    Args:
        entries: All entries.
        wanted: What a person calls them.
        numbered: Whether `#N` names an entry.

    Raises:
        NoSuchEntryError: A text fits no entry, or names more than one without being a pattern.
    """
    shapes = [text for text in wanted if {*"*?"} & {*text}]
    found = find_entries(entries, [text for text in wanted if text not in shapes], numbered=numbered)
    found += chain.from_iterable(_fitting(text, entries) for text in shapes)
    return [*{entry.number: entry for entry in found}.values()]


def _fitting(text: str, entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries whose names fit a pattern: as they are shown, else in any case, or their leaves."""
    whole = [entry for entry in entries if entry.name == text]
    shape = re.compile(fnmatch.translate(names.collision_key(text).replace("[", "[[]")))
    found = whole or [
        entry
        for entry in entries
        if any(shape.match(names.collision_key(one)) for one in (entry.name, names.leaf_of(entry.name)))
    ]
    if not found:
        raise _no_entry(text, entries, None)
    return found


def _not_one(text: str, found: Sequence[Entry], path: Path | str | None) -> NoSuchEntryError:
    """Return the error for a text that names several entries."""
    listed = ", ".join(f"#{entry.number} {entry.name}" for entry in found[:_MAX_LISTED])
    more = ", ..." if len(found) > _MAX_LISTED else ""
    return NoSuchEntryError(
        f"{len(found)} entries have the name {text}: {listed}{more}",
        path=path,
        hint="name one by its whole name, or by #NUMBER as tokar inspect --entries shows it",
    )


def _no_entry(text: str, entries: Iterable[Entry], path: Path | str | None) -> NoSuchEntryError:
    """Return the error for a text that names no entry, with the names that are like it."""
    hint = meant(text, (entry.name for entry in entries), NoSuchEntryError.hint_text)
    return NoSuchEntryError(f"no entry has the name {text}", path=path, hint=hint)


_PACKER: Final = records.Packer(records.INDX_BODY)
_ROW: Final = records.Packer(records.INDX_COLUMNS)
_PACK: Final = _ROW.pack
# Code, place in a row and bytes of each column.
_COLUMNS: Final = {name: (_ROW.codes[at], *_ROW.place(name)) for at, name in enumerate(_ROW.fields)}
_NAME_END: Final = _ROW.fields.index("name_end")
_SIZE: Final = _ROW.fields.index("size")
_LISTS: Final = tuple(FileList)
_BLOCK: Final = 1024  # rows that are turned into columns at once, or back: they stay in the processor's own memory


def page_takes(count: int, names_size: int, name_size: int) -> bool:
    """Whether a page with so many entries and bytes of names takes one more entry (INDX-3)."""
    return count < records.MAX_PAGE_ENTRIES and names_size + name_size <= records.MAX_PAGE_NAMES


class IndexPage:
    """One page: a row for each of the entries `first` to `first + count - 1`, and their names.

    In memory the rows follow each other; in the body each column stands by itself.
    """

    def __init__(self, first: int, *, names_before: int = 0) -> None:
        self.first = first
        self._before = names_before  # Bytes of names, where this is a later part of a page
        self.rows = bytearray()  # As `records.INDX_COLUMNS` declares them
        self.names = bytearray()  # All names, one after the other
        self.key: ContentKey | None = None  # What content is encrypted with

    def __len__(self) -> int:
        return len(self.rows) // records.PAGE_ENTRY_SIZE

    def takes(self, name: bytes) -> bool:
        """Whether an entry with this name belongs on this page; else the page is full (INDX-3)."""
        return page_takes(len(self), len(self.names), len(name))

    def append(self, entry: Entry) -> None:
        """Add the next entry."""
        _, token, listed, encoding, name, *of_done, announced, modified, incomplete, log2, stream, _ = entry
        size, digest, begin, done, check = of_done
        self.names += name
        flags, end = file_flags(announced, modified, incomplete=incomplete), self._before + len(self.names)
        numbers = (size, begin, done, announced or 0, modified or 0)
        self.rows += _PACK(*numbers, digest, check, end, stream, encoding, flags, token, listed, log2)

    def __iter__(self) -> Iterator[Entry]:
        names, start = bytes(self.names), 0
        for number, row in enumerate(_ROW.iter_unpack(self.rows), self.first):
            end = row[_NAME_END]
            yield _entry(number, names[start:end], row, self.key)
            start = end

    def chosen(self, wanted: Callable[[int, int], bool]) -> Iterator[Entry]:
        """Yield the entries that are wanted, by their number and size; the others are not made."""
        names, start = bytes(self.names), 0
        for number, row in enumerate(_ROW.iter_unpack(self.rows), self.first):
            end = row[_NAME_END]
            if wanted(number, row[_SIZE]):
                yield _entry(number, names[start:end], row, self.key)
            start = end

    def entry(self, number: int) -> Entry:
        """Return entry `number`, counted from the start of the archive."""
        at = number - self.first
        row = _ROW.unpack(self.rows, records.PAGE_ENTRY_SIZE * at)
        start = _ROW.unpack(self.rows, records.PAGE_ENTRY_SIZE * (at - 1))[_NAME_END] if at else 0
        return _entry(number, bytes(self.names[start : row[_NAME_END]]), row, self.key)

    def column(self, name: str) -> array[int]:
        """Return a column of integers, by its name in `records.INDX_COLUMNS`."""
        code, at, width = _COLUMNS[name]
        return records.column_integers(_from_rows(self.rows, at, width), code)

    def unique(self) -> Iterator[bytes]:
        """Yield for each entry what must be unique in an archive: its token byte and its name (FILE-5)."""
        start = 0
        names = bytes(self.names)
        for token, end in zip(self.column("token"), self.column("name_end"), strict=True):
            yield names[start:end] + token.to_bytes()
            start = end

    def build(self) -> bytearray:
        """Return the bytes of the body."""
        count, rows = len(self), self.rows
        body = bytearray(_PACKER.size + len(rows))  # no columns beside it: they would take as much as the page again
        body[: _PACKER.size] = _PACKER.pack(self.first, count)
        for in_rows, in_body in _places(count):
            body[in_body] = rows[in_rows]
        body += self.names
        return body

    @classmethod
    def parse(cls, body: Buffer, *, first: int, position: int, encrypted: bool = False) -> Self:
        """Read the body of the INDX record at `position`, whose first entry must be number `first`.

        Args:
            body: The bytes.
            first: The number of the entry that it must begin with.
            position: Of the record, for the error.
            encrypted: Whether entries have streams.

        Raises:
            FormatError: INDX-1 or INDX-3; ENC-2 where streams do not rise.
        """
        its_first, count = _PACKER.unpack(body)
        data, names_at = bytes(body), _PACKER.size + records.PAGE_ENTRY_SIZE * count
        if not 1 <= count <= records.MAX_PAGE_ENTRIES or len(data) < names_at:
            raise FormatError(f"an index page with {count} entries", rule="INDX-1", offset=position)
        if its_first != first:
            raise FormatError(f"index page of entry {its_first}, not {first}", rule="INDX-3", offset=position)
        page = cls(first)
        rows = page.rows = bytearray(records.PAGE_ENTRY_SIZE * count)
        for in_rows, in_body in _places(count):
            rows[in_rows] = data[in_body]
        page.names += data[names_at:]
        page._demand_sound_columns(position)
        page._demand_streams(position, encrypted=encrypted)
        return page

    def _demand_sound_columns(self, position: int) -> None:
        ends, flags, log2s = self.column("name_end"), self.column("flags"), self.column("chunk_log2")
        sizes = [*map(int.__sub__, ends, chain((0,), ends))]
        if (
            not 0 < min(sizes) <= max(sizes) <= records.MAX_NAME_SIZE
            or ends[-1] != len(self.names)
            or ends[-1] > records.MAX_PAGE_NAMES
            or max(self.column("list")) >= len(_LISTS)
            or not records.MIN_CHUNK_LOG2 <= min(log2s) <= max(log2s) <= records.MAX_CHUNK_LOG2
            or any(one & ~records.ALL_FLAGS for one in set(flags))
            or _has_other_values(self.column("announced_size"), flags, records.FLAG_ANNOUNCED)
            or _has_other_values(self.column("modified"), flags, records.FLAG_MODIFIED)
        ):
            raise FormatError("the columns of an index page do not fit", rule="INDX-1", offset=position)

    def _demand_streams(self, position: int, *, encrypted: bool) -> None:
        streams = self.column("stream")
        if not encrypted and any(streams):
            raise FormatError("the columns of an index page do not fit", rule="INDX-1", offset=position)
        if encrypted and not all(map(int.__lt__, chain((0,), streams), streams)):
            raise FormatError("the streams of an index page do not rise", rule="ENC-2", offset=position)


def _has_other_values(column: array[int], flags: array[int], flag: int) -> bool:
    """Whether a column has a value other than zero where its flag is not set."""
    return any(column) and any(value and not its & flag for value, its in zip(column, flags, strict=True))


def _places(count: int) -> Iterator[tuple[slice, slice]]:
    """Yield where the same bytes stand in `count` rows and in the body with its columns: in all, all but the names."""
    row_size = records.PAGE_ENTRY_SIZE
    for first in range(0, count, _BLOCK):
        last = min(first + _BLOCK, count)
        for _, at, width in _COLUMNS.values():
            column = _PACKER.size + at * count
            for byte in range(width):
                in_rows = slice(first * row_size + at + byte, last * row_size, row_size)
                yield in_rows, slice(column + first * width + byte, column + last * width, width)


def _from_rows(rows: bytearray, at: int, width: int) -> bytearray:
    """Return a column, whose items have `width` bytes that stand at `at` in each row."""
    column = bytearray(len(rows) // records.PAGE_ENTRY_SIZE * width)
    for byte in range(width):
        column[byte::width] = rows[at + byte :: records.PAGE_ENTRY_SIZE]
    return column


def _entry(number: int, name: bytes, row: tuple[Any, ...], key: ContentKey | None) -> Entry:
    """Return the entry that a row of the columns describes."""
    size, begin, done, announced, modified, digest, check, _, stream, encoding, flags, token, listed, log2 = row
    own = (number, token, _LISTS[listed], encoding, name, size, digest, begin, done, check)
    announced = announced if flags & records.FLAG_ANNOUNCED else None
    modified = modified if flags & records.FLAG_MODIFIED else None
    incomplete = flags & records.FLAG_INCOMPLETE != 0
    # By what makes every tuple: of a large archive most of the time of a pass would be the function of the class.
    return tuple.__new__(Entry, (*own, announced, modified, incomplete, log2, stream, key))


def demand_full(pages: Sequence[IndexPage], *, position: int) -> None:
    """Check that every page but the last is full. `position`: of ROOT.

    Raises:
        FormatError: INDX-3.
    """
    for page, following in pairwise(pages):
        if page_takes(len(page), len(page.names), following.column("name_end")[0]):
            raise FormatError("an index page that is not the last is not full", rule="INDX-3", offset=position)


def demand_tiling(pages: Sequence[IndexPage], rows: Sequence[RecordHead], outside: Sequence[int]) -> array[int]:
    """Check that entries rise, and each gap between rows of ROOT begins with one; return where all FILE stand.

    Args:
        pages: The pages of the index, in order.
        rows: The rows of ROOT.
        outside: Where these records stand, and after them where ROOT stands.

    Raises:
        FormatError: INDX-2 or STATE-4.
    """
    files, last, stream = array("Q"), -1, 0
    for page in pages:
        streams = page.column("stream")
        if stream and streams[0] <= stream:
            raise FormatError(
                "the streams of the index do not rise", rule="ENC-2", offset=page.column("file_position")[0]
            )
        stream = streams[-1]
        begun, dones = page.column("file_position"), page.column("done_position")
        rising = all(map(int.__lt__, begun, dones)) and all(map(int.__lt__, dones, begun[1:]))
        if not rising or begun[0] <= last:
            raise FormatError("the positions of an index page do not rise", rule="INDX-2", offset=begun[0])
        files, last = files + begun, dones[-1]
    for row, following in zip(rows, outside[1:], strict=True):
        place = bisect_left(files, row.end)
        if row.end != following and files[place : place + 1] != array("Q", [row.end]):
            raise FormatError("something stands between records that no entry owns", rule="STATE-4", offset=row.end)
    return files


def demand_unique(pages: Sequence[IndexPage], *, position: int) -> None:
    """Check that no two entries have the same token and name. `position`: of ROOT.

    Raises:
        FormatError: FILE-5.
    """
    hashes = names.NameHashes()
    for page in pages:
        for key in page.unique():
            hashes.add(key)
    if alike := hashes.alike():
        keys = [key for page in pages for key in page.unique() if hash(key) in alike]
        if len({*keys}) < len(keys):
            raise FormatError("two entries have the same token and name", rule="FILE-5", offset=position)
