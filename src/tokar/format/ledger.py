"""What writer and reader both keep while an archive goes by: enough to derive INDX and ROOT (spec/format.md sections 10 and 11).

INDX and ROOT are pure functions of earlier records. The writer writes what the ledger derives; a scanning reader
derives the same and compares bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blake3 import blake3

from tokar.errors import FormatError
from tokar.format import records
from tokar.format.bodies import Root
from tokar.format.index import IndexPage
from tokar.format.records import DATA, DONE, FILE, ROOT, TAIL

if TYPE_CHECKING:
    from tokar.format.entry import Entry
    from tokar.format.records import RecordHead

_NOT_IN_ROOT = frozenset({FILE, DATA, DONE, ROOT, TAIL})
_KEY_DIGEST_SIZE = (
    15  # bytes; as an integer 40 bytes of memory, and two entries meet by chance once in 2^72 archives of 2^24
)


class Ledger:
    """The running account of an archive."""

    def __init__(self, preamble: bytes) -> None:
        self.preamble = preamble  # Bytes 0-31 of the archive
        self.entry_count = 0  # Entries that are done
        self.content_size = 0  # Bytes of content of these
        self.rows: list[RecordHead] = []  # Heads of the records outside entries so far
        self.page = IndexPage(0)  # The index page that is being filled
        self._keys: set[int] = set()

    @property
    def page_is_due(self) -> bool:
        """Whether an INDX must be the next record (section 10.1), apart from the one after SUMM."""
        return self.page.is_full

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

    def outside(self, head: RecordHead) -> None:
        """Account for a record outside entries."""
        self.rows.append(head)

    def take_page(self) -> bytes:
        """Return the body of the INDX that is due, and begin the next page."""
        body = self.page.build()
        self.page = IndexPage(self.entry_count)
        return body

    def root_body(self) -> bytes:
        """Return the body of ROOT."""
        return Root(self.preamble, self.entry_count, self.rows).build()
