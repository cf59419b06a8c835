"""Views of an open archive: its entries as a sequence, the content of one as a byte source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

from tokar.format.entry_reader import EntryReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokar.format.archive import Archive
    from tokar.format.index import Entry


class Entries(Sequence["Entry"]):
    """The entries of an archive as a sequence.

    Args:
        archive: The archive.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

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


class EntrySource:
    """The content of an entry as a byte source: every read is proven by the checks of the chunks it touches.

    Args:
        archive: The archive, which must stay open.
        entry: The entry.
    """

    def __init__(self, archive: Archive, entry: Entry) -> None:
        self._reader = EntryReader(archive.source, archive.id[:8])
        self._found = self._reader.records(entry, archive.end_of(entry))
        self._size = entry.size

    @property
    def size(self) -> int:
        """Bytes of content."""
        return self._size

    def read(self, offset: int, size: int) -> bytes:
        """Return content at `offset`, fewer than `size` bytes only at the end.

        Raises:
            FormatError: The entry is damaged there.
        """
        return self._reader.read(self._found, offset, offset + size)
