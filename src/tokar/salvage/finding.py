"""What salvage can find of one file: all of it, a part, or nothing (SALV-2)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from tokar.format import data_record, limits
from tokar.format.file_record import FileRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Buffer

    from tokar.format.entry import Entry
    from tokar.salvage.find import FoundRecord

_MAX_RANGES: Final = 1000


class FileState(Enum):
    """What is left of a file."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class MissingContent:
    """A range of a file's content that is lost."""

    offset: int  # Where it begins in the content
    size: int | None  # Its bytes; None if it is not known how far it goes


@dataclass(frozen=True, slots=True)
class Finding:
    """What is left of one file."""

    number: int  # Of the entry in the damaged archive
    state: FileState  # Complete, incomplete or lost
    reason: str  # Why it is not complete, empty if it is
    # FILE as it is or will be written, apart from its number; None where not even a name is known.
    file: FileRecord | None = None
    is_named: bool = False  # Whether token and name are those of the original
    size: int | None = None  # Bytes of content of the original, None if that is not known
    digest: bytes | None = None  # Of the whole content, None if it is not known
    chunk_size: int = 1  # Bytes of a full chunk
    chunk_count: int = 0  # Number of chunks as far as they are known, lost ones included
    numbers: Sequence[int] = ()  # Numbers of the chunks that are there, rising
    places: Sequence[int] = ()  # Where these are in the input
    position: int = -1  # Where the entry begins in the original, -1 if that is not known
    # Bytes of the entry in the original; None if its records cannot all be had again exactly.
    extent: int | None = None

    @property
    def filler_count(self) -> int:
        """Number of chunks that are lost."""
        return self.chunk_count - len(self.numbers)

    @property
    def missing(self) -> tuple[MissingContent, ...]:
        """The ranges of content that are lost, at most 1,000; the last of these then stands for all that follow."""
        return tuple(self._missing())

    def _missing(self) -> Iterator[MissingContent]:
        if self.state is FileState.COMPLETE:
            return
        expected = count = 0
        for number in self.numbers:
            if number > expected:
                count += 1
                if count == _MAX_RANGES:
                    break
                yield MissingContent(expected * self.chunk_size, (number - expected) * self.chunk_size)
            expected = number + 1
        offset = expected * self.chunk_size
        if self.size is None:
            yield MissingContent(offset, None)
        elif self.size > offset:
            yield MissingContent(offset, self.size - offset)

    def content_size_of(self, number: int) -> int:
        """Return the bytes of content that a chunk has."""
        if self.size is None:
            return self.chunk_size
        return min(self.chunk_size, self.size - number * self.chunk_size)


def lost(number: int, reason: str, row: Entry | None) -> Finding:
    """Return the finding for an entry of which there is nothing but perhaps a row of the index."""
    if row is None:
        return Finding(number, FileState.LOST, reason)
    file = FileRecord(
        number, row.encoding, row.token, row.file_list, None, None, True, limits.MIN_CHUNK_LOG2, row.raw_name
    )
    return Finding(number, FileState.LOST, reason, file, is_named=True, size=row.size)


def decoded(record: FoundRecord) -> tuple[int, Buffer | None]:
    """Return size and content of a DATA record, None for zeros."""
    position = record.head.position
    entry, chunk, *_ = data_record.PACKER.unpack(record.body)
    data = data_record.parse_data(
        record.body, entry=entry, chunk=chunk, chunk_size=1 << limits.MAX_CHUNK_LOG2, position=position
    )
    return data.content_size, data_record.content(data, record.body, position=position)
