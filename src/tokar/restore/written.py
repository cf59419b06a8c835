"""Files that are there already, by directory and name: of which a restore may have as many as a set has files."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Container, Iterable, Iterator
from typing import Final

_FIRST_SIZE: Final = 8  # of the table; a power of two


class WrittenFiles(Collection[tuple[str, str]]):
    """Directories and names of files, in the order in which they came: some thirty bytes for each, and its name.

    A set of pairs of texts takes two hundred.
    """

    def __init__(self, files: Iterable[tuple[str, str]] = ()) -> None:
        self._directories: dict[str, int] = {}
        self._text = bytearray()
        self._ends = array("Q", [0])
        self._where = array("I")  # For each, which directory
        self._table = array("I", [0]) * _FIRST_SIZE  # By hash, or in the next free slot: the place and one, 0 for none
        for directory, name in files:
            self.add(directory, name)

    def add(self, directory: str, name: str) -> None:
        """Add a file, if it is not there."""
        number = self._directories.setdefault(directory, len(self._directories))
        data = name.encode(errors="surrogatepass")
        slot = self._slot(number, data)
        if self._table[slot]:
            return
        self._text += data
        self._ends.append(len(self._text))
        self._where.append(number)
        self._table[slot] = len(self)
        if 4 * len(self) > 3 * len(self._table):
            self._table = array("I", [0]) * (2 * len(self._table))
            for place in range(len(self)):
                self._table[self._slot(self._where[place], self._name(place))] = place + 1

    def __len__(self) -> int:
        return len(self._where)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        directories = [*self._directories]
        for place, number in enumerate(self._where):
            yield directories[number], self._name(place).decode(errors="surrogatepass")

    def __contains__(self, file: object) -> bool:
        return isinstance(file, tuple) and self._place(*file) is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Collection) and len(self) == len(other) and all(one in self for one in other)

    __hash__ = None  # type: ignore[assignment]  # equal by content, and long

    def within(self, directories: Container[str]) -> WrittenFiles:
        """Return those that are in some directories: these, where all are."""
        if all(one in directories for one in self._directories):
            return self
        return WrittenFiles(one for one in self if one[0] in directories)

    def among(self, files: Iterable[tuple[str, str]]) -> WrittenFiles:
        """Return those that are among some files: these, where all are."""
        marks = bytearray(len(self))
        for directory, name in files:
            if (place := self._place(directory, name)) is not None:
                marks[place] = True
        if all(marks):
            return self
        return WrittenFiles(one for one, mark in zip(self, marks, strict=True) if mark)

    def _place(self, directory: str, name: str) -> int | None:
        """Return which of these a file is; None where it is none."""
        number = self._directories.get(directory)
        if number is None:
            return None
        there = self._table[self._slot(number, name.encode(errors="surrogatepass"))]
        return there - 1 if there else None

    def _name(self, place: int) -> bytes:
        return bytes(self._text[self._ends[place] : self._ends[place + 1]])

    def _slot(self, number: int, data: bytes) -> int:
        """Return where a file stands in the table, or would."""
        last = len(self._table) - 1
        slot = hash((number, data)) & last
        while there := self._table[slot]:
            if self._where[there - 1] == number and self._name(there - 1) == data:
                break
            slot = (slot + 1) & last
        return slot
