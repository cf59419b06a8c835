"""Some entries of an archive, known by their numbers: there may be a million."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import overload

from tokar.format.archive import Archive
from tokar.format.index import Entry


class NumberedEntries(Sequence["Entry"]):
    """Entries of an archive as a sequence; each is made when it is asked for.

    Args:
        archive: The archive.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._numbers = array("Q")

    def add(self, number: int) -> None:
        """Take an entry as the last one, by its number."""
        self._numbers.append(number)

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[Entry]:
        return map(self._archive.entry, self._numbers)

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> list[Entry]: ...

    def __getitem__(self, index: int | slice) -> Entry | list[Entry]:
        if isinstance(index, slice):
            return [self._archive.entry(number) for number in self._numbers[index]]
        return self._archive.entry(self._numbers[index])
