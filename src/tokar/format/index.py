"""INDX: pages of the index in columns (spec/format.md section 10).

A page is never turned into objects as a whole: an index of a million entries is a few arrays, and an `Entry` is made
when somebody asks.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final, Self

from tokar.errors import FormatError
from tokar.format import records
from tokar.format.bodies import FileList
from tokar.format.entry import Entry
from tokar.format.records import INDX_BODY, MAX_PAGE_ENTRIES, PAGE_ENTRY_SIZE, PAGE_FULL_SIZE, Packer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer


_PACKER: Final = Packer(INDX_BODY)
_LISTS: Final = tuple(FileList)


def _fills(count: int, names_size: int) -> bool:
    """Whether a page with so many entries and bytes of names takes no more."""
    return count >= MAX_PAGE_ENTRIES or _PACKER.size + PAGE_ENTRY_SIZE * count + names_size > PAGE_FULL_SIZE


class IndexPage:
    """One page: columns for entries `first` to `first + count - 1`. Grows with `append` until `is_full`."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.sizes = array("Q")
        self.file_positions = array("Q")
        self.done_positions = array("Q")
        self.digests = bytearray()
        self.done_checks = bytearray()
        self.name_ends = array("I")
        self.encodings = array("H")
        self.tokens = bytearray()
        self.lists = bytearray()
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
        rows = zip(
            range(self.first, self.first + len(self)),
            self.tokens,
            self.lists,
            self.encodings,
            self.name_ends,
            self.sizes,
            self.file_positions,
            self.done_positions,
            strict=True,
        )
        for number, token, listed, encoding, end, size, file_position, done_position in rows:
            yield Entry(
                number,
                token,
                _LISTS[listed],
                encoding,
                names[start:end],
                size,
                digests[at : at + 32],
                file_position,
                done_position,
                checks[at : at + 32],
            )
            start, at = end, at + 32

    def entry(self, number: int) -> Entry:
        """Return entry `number`, counted from the start of the archive."""
        at = number - self.first
        return Entry(
            number,
            self.tokens[at],
            _LISTS[self.lists[at]],
            self.encodings[at],
            self.raw_name(at),
            self.sizes[at],
            bytes(self.digests[32 * at : 32 * at + 32]),
            self.file_positions[at],
            self.done_positions[at],
            bytes(self.done_checks[32 * at : 32 * at + 32]),
        )

    def raw_name(self, at: int) -> bytes:
        """Return the name of the entry at place `at` of the page."""
        return bytes(self.names[self.name_ends[at - 1] if at else 0 : self.name_ends[at]])

    def keys(self) -> Iterator[bytes]:
        """Yield for each entry what must be unique in an archive: its token byte and its name (SEQ-4)."""
        start = 0
        names = bytes(self.names)
        for token, end in zip(self.tokens, self.name_ends, strict=True):
            yield names[start:end] + token.to_bytes()
            start = end

    def build(self) -> bytes:
        """Return the bytes of the body."""
        return b"".join(
            (
                _PACKER.pack(self.first, len(self)),
                records.column_bytes(self.sizes),
                records.column_bytes(self.file_positions),
                records.column_bytes(self.done_positions),
                self.digests,
                self.done_checks,
                records.column_bytes(self.name_ends),
                records.column_bytes(self.encodings),
                self.tokens,
                self.lists,
                self.names,
            )
        )

    @classmethod
    def parse(cls, body: Buffer, *, first: int, position: int) -> Self:
        """Read the body of the INDX record at `position`, whose first entry must be number `first`.

        Raises:
            FormatError: INDX-1 or INDX-3.
        """
        its_first, count = _PACKER.unpack(body)
        view = memoryview(body)
        base = _PACKER.size
        if not 1 <= count <= MAX_PAGE_ENTRIES or view.nbytes < base + PAGE_ENTRY_SIZE * count:
            raise FormatError(f"an index page with {count} entries", rule="INDX-1", offset=position)
        if its_first != first:
            raise FormatError(f"index page of entry {its_first}, not {first}", rule="INDX-3", offset=position)

        def part(start: int, width: int) -> memoryview:
            return view[base + start * count : base + (start + width) * count]

        page = cls(first)
        page.sizes = records.column_integers(part(0, 8), "Q")
        page.file_positions = records.column_integers(part(8, 8), "Q")
        page.done_positions = records.column_integers(part(16, 8), "Q")
        page.digests = bytearray(part(24, 32))
        page.done_checks = bytearray(part(56, 32))
        page.name_ends = records.column_integers(part(88, 4), "I")
        page.encodings = records.column_integers(part(92, 2), "H")
        page.tokens = bytearray(part(94, 1))
        page.lists = bytearray(part(95, 1))
        page.names = bytearray(view[base + PAGE_ENTRY_SIZE * count :])
        page._demand_sound_columns(position)
        return page

    def _demand_sound_columns(self, position: int) -> None:
        ends = self.name_ends
        rising = ends[0] > 0 and all(map(int.__lt__, ends, ends[1:]))
        if not rising or ends[-1] != len(self.names) or max(self.lists) >= len(_LISTS):
            raise FormatError("the columns of an index page do not fit", rule="INDX-1", offset=position)
