"""The running account of an archive: what its records come to, and the index that they make."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from blake3 import blake3

from tokar import names
from tokar.errors import FormatError
from tokar.format import records
from tokar.format.bodies import Root
from tokar.format.index import Entry, IndexPage
from tokar.format.records import RecordHead
from tokar.storage.bytesource import Buffer

_HEAD_AND_SUMM: Final = 2
_MOST_AT_SEAL: Final = 4  # these, the page that is filled, and one more page or record


def _too_many_outside(position: int) -> FormatError:
    message = f"more than {records.MAX_OUTSIDE_RECORDS} records outside entries"
    return FormatError(message, rule="LIM-3", offset=position)


def key_of(token: int, name: bytes) -> bytes:
    """Return what must be unique of an entry (FILE-5)."""
    return blake3(name + token.to_bytes()).digest(names.SeenDigests.SIZE)


class RunSizes(NamedTuple):
    """How much room a run takes."""

    entries: int = 0  # How many
    records: int = 0  # Bytes of all records
    names: int = 0  # Bytes of all names
    content: int = 0  # Bytes of content


NO_ENTRIES: Final = RunSizes()


class RunStart(NamedTuple):
    """Where a run begins."""

    entry: int  # Number of its first entry
    position: int  # Where the first FILE lands
    names: int  # Bytes of the names before it on its page of the index

    def after(self, sizes: RunSizes) -> RunStart:
        """Return where the next run begins, on the same page."""
        return RunStart(self.entry + sizes.entries, self.position + sizes.records, self.names + sizes.names)


class PackedRun(NamedTuple):
    """A run that only needs to be taken."""

    sizes: RunSizes
    records: Buffer  # All records
    names: Buffer  # All names
    rows: Buffer  # The rows of the index
    keys: Buffer  # What must be unique of each, as `key_of` makes it


class KeptPage(NamedTuple):
    """A page of the index that is full."""

    first: int  # Number of its first entry
    length: int  # Its entries
    kept: bytes  # What `Ledger.keep` makes of its body


class Ledger:
    """The running account of an archive.

    Args:
        preamble: Bytes 0-31 of the archive.
        keep: What to keep of the body of each index page until SUMM has passed: a hash, or the body made small.
    """

    def __init__(self, preamble: bytes, keep: Callable[[bytearray], bytes]) -> None:
        self.preamble = preamble  # Bytes 0-31 of the archive
        self.entry_count = 0  # Entries that are done
        self.content_size = 0  # Bytes of content of these
        self.rows: list[RecordHead] = []  # Heads of the records outside entries so far
        self.pages: deque[KeptPage] = deque()  # Pages of the index that are full, and have not been written or read
        self._page = IndexPage(0)
        self._keep = keep
        self._keys = names.SeenDigests()

    def demand_room(self, kind: bytes, *, position: int, end: int) -> None:
        """Check that one more record of a kind is within the limits.

        Raises:
            FormatError: LIM-1, LIM-3 or LIM-4.
        """
        if kind == records.FILE and self.entry_count >= records.MAX_ENTRIES:
            raise FormatError(f"more than {records.MAX_ENTRIES} entries", rule="LIM-1", offset=position)
        if kind not in records.NOT_IN_ROOT and len(self.rows) >= records.MAX_OUTSIDE_RECORDS:
            raise _too_many_outside(position)
        if end > records.MAX_ARCHIVE_SIZE:
            raise FormatError("the archive is too large", rule="LIM-4", offset=position)

    def demand_room_to_seal(self, name: bytes | None, *, position: int) -> None:
        """Check that SUMM, HEAD and the index will be within the limits, with one more entry or record outside entries.

        Args:
            name: Of the entry; None for a record outside entries.
            position: Where that lands.

        Raises:
            FormatError: LIM-3.
        """
        if len(self.rows) + len(self.pages) + _MOST_AT_SEAL <= records.MAX_OUTSIDE_RECORDS:
            return
        adds_page = name is not None and not (len(self._page) and self._page.takes(name))
        pages = len(self.pages) + bool(len(self._page)) + adds_page
        if len(self.rows) + (name is None) + _HEAD_AND_SUMM + pages > records.MAX_OUTSIDE_RECORDS:
            raise _too_many_outside(position)

    def demand_content(self, size: int, *, position: int) -> None:
        """Check that so much content of the entry that is open is within the limits.

        Raises:
            FormatError: LIM-4.
        """
        if self.content_size + size > records.MAX_ARCHIVE_SIZE:
            raise FormatError("the content of the archive is too large", rule="LIM-4", offset=position)

    def begin(self, token: int, name: bytes, *, position: int) -> None:
        """Account for the FILE record of a new entry.

        Raises:
            FormatError: FILE-5, an entry has this token and name already.
        """
        if not self._keys.add(key_of(token, name)):
            message = f"an entry with token 0x{token:02x} and the same name is there already"
            raise FormatError(message, rule="FILE-5", offset=position)

    @property
    def names_size(self) -> int:
        """Bytes of the names on the page that is being filled."""
        return len(self._page.names)

    def takes_run(self, start: RunStart, sizes: RunSizes) -> bool:
        """Whether a run that begins there belongs on the page that is being filled, far from every limit."""
        end = start.after(sizes)
        return (
            end.entry - self._page.first <= records.MAX_PAGE_ENTRIES
            and end.names <= records.MAX_PAGE_NAMES
            and end.entry <= records.MAX_ENTRIES
            and end.position <= records.MAX_ARCHIVE_SIZE >> 1
            and len(self.rows) + len(self.pages) + _MOST_AT_SEAL <= records.MAX_OUTSIDE_RECORDS
        )

    def end_run(self, run: PackedRun) -> int:
        """Account for a run that `takes_run` allows; return how many of its entries are new: all, or none counts."""
        if (new := self._keys.add_all(bytes(run.keys))) < run.sizes.entries:
            return new
        self._page.rows += run.rows
        self._page.names += run.names
        self.entry_count += run.sizes.entries
        self.content_size += run.sizes.content
        return new

    def end(self, entry: Entry) -> None:
        """Account for an entry that is done."""
        if not self._page.takes(entry.raw_name):
            self.end_page()
        self._page.append(entry)
        self.entry_count += 1
        self.content_size += entry.size

    def end_page(self) -> None:
        """End the page that is being filled, if there is anything on it."""
        if len(self._page):
            first, count, body = self._page.first, len(self._page), self._page.build()
            self._page = IndexPage(self.entry_count)  # first: it takes as much as its body
            self.pages.append(KeptPage(first, count, self._keep(body)))

    def end_entries(self) -> None:
        """Note that no entry follows: the last page ends, and what tells entries apart is let go."""
        self._keys = names.SeenDigests()  # first: the last page takes room to end
        self.end_page()

    def root_body(self) -> bytes:
        """Return the body of ROOT."""
        return Root(self.preamble, self.entry_count, self.rows).build()
