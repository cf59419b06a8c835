"""What the files in an archive say of themselves, examined while the archive is verified: one pass over all content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokar.ese.inspect import Inspection, PassingFile
from tokar.sets.read import SetFile

if TYPE_CHECKING:
    from tokar.format.index import Entry

_MOST_SEEN: Final = 256  # files of which what they say is kept until it is asked for: some kilobytes each
_MOST_AT_ONCE: Final = 4 << 30  # bytes of files that are examined at the same time: a checker keeps some bytes a page


class SeenFiles:
    """Takes the content of entries that are verified, and keeps what the first of them say; of others nothing.

    Args:
        profile: The profile of their tokens.
    """

    def __init__(self, profile: str) -> None:
        self._profile = profile
        self._seen: dict[int, Inspection] = {}
        self._under_way: dict[int, int] = {}  # Sizes by number

    def watch(self, entry: Entry) -> _Seeing | None:
        """Return who takes the content of an entry (`tokar.format.verify`); None where it says nothing."""
        if len(self._seen) >= _MOST_SEEN or not SetFile.of_entry(entry, self._profile).is_worth_opening:
            return None
        others = sum([*self._under_way.values()])
        if others and others + entry.size > _MOST_AT_ONCE:
            return None
        self._under_way[entry.number] = entry.size
        return _Seeing(self, entry)

    def note(self, number: int, found: Inspection) -> None:
        """Note what an entry says, where that is sure."""
        del self._under_way[number]
        if found.is_sure:
            self._seen[number] = found

    def take(self, number: int) -> Inspection | None:
        """Return what an entry says, once; None where it was not seen, or where only another look can tell."""
        return self._seen.pop(number, None)


class _Seeing(PassingFile):
    """Reads one entry that goes by, and notes what it says."""

    def __init__(self, files: SeenFiles, entry: Entry) -> None:
        super().__init__(entry.size)
        self._files = files
        self._number = entry.number

    def finish(self) -> Inspection:
        """Note what was read. Nothing may follow."""
        found = super().finish()
        self._files.note(self._number, found)
        return found
