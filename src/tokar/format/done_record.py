"""DONE: what is known of a file after its content (spec/format.md section 9)."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tokar.errors import FormatError
from tokar.format import records
from tokar.format.records import DONE_BODY, Packer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

PACKER: Final = Packer(DONE_BODY)
ROW_SIZE: Final = 36  # a length and a check for each DATA record


@dataclass(frozen=True, slots=True)
class DoneRecord:
    """The body of DONE."""

    entry: int  # Number of the entry
    content_size: int  # Bytes of content
    digest: bytes  # BLAKE3 of the content, 32 bytes
    file_check: bytes  # Check of the FILE record, 32 bytes
    data_lengths: Sequence[int]  # Body lengths of the DATA records, in order
    data_checks: bytes  # Their checks, 32 bytes each, one after the other

    @property
    def chunk_count(self) -> int:
        """Number of DATA records."""
        return len(self.data_lengths)

    def build(self) -> bytes:
        """Return the bytes of the body."""
        fixed = PACKER.pack(self.entry, self.chunk_count, self.content_size, self.digest, self.file_check)
        return fixed + records.column_bytes(array("I", self.data_lengths)) + self.data_checks

    @classmethod
    def parse(cls, body: Buffer, *, entry: int, position: int) -> DoneRecord:
        """Read the body of the DONE record at `position`, which must be that of entry number `entry`.

        Raises:
            FormatError: DONE-1.
        """
        number, count, content_size, digest, file_check = PACKER.unpack(body)
        view = memoryview(body)
        if number != entry or view.nbytes != PACKER.size + ROW_SIZE * count:
            raise FormatError(f"the DONE record does not fit entry {entry}", rule="DONE-1", offset=position)
        checks_at = PACKER.size + 4 * count
        lengths = records.column_integers(view[PACKER.size : checks_at], "I")
        return cls(number, content_size, digest, file_check, lengths, bytes(view[checks_at:]))

    def demand_shape(self, *, chunk_size: int, announced_size: int | None, incomplete: bool, position: int) -> None:
        """Check the sizes against FILE.

        Raises:
            FormatError: DONE-3 or DONE-4.
        """
        if self.chunk_count != -(-self.content_size // chunk_size):
            raise FormatError("size and number of chunks do not fit", rule="DONE-3", offset=position)
        if announced_size is not None and announced_size != self.content_size and not incomplete:
            message = f"{self.content_size} bytes of content, {announced_size} were announced"
            raise FormatError(message, rule="DONE-4", offset=position)
