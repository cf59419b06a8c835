"""Several archives as one: what a plan and placing see of a chain of sets.

Which entries of which set are needed is decided elsewhere (`tokar.sets.chain`). Here they become one sequence of
entries with numbers of its own, and content is read from the archive that an entry came from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokar.errors import CollisionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tokar.format.archive import Archive
    from tokar.format.entry import Entry
    from tokar.format.entry_reader import Chunk


class MergedSet:
    """The chosen entries of several archives, read as if they were in one.

    The same file in two sets (same token, name and digest) is taken once, from the first; the same name with another
    digest is refused.

    Args:
        parts: Archives, each with the entries that are needed from it, in the order of the chain.

    Raises:
        CollisionError: Two sets have a file of the same token and name with different content.
    """

    def __init__(self, parts: Sequence[tuple[Archive, Sequence[Entry]]]) -> None:
        self.archives = tuple(archive for archive, _ in parts)
        self._origins: list[tuple[Archive, Entry]] = []
        self.entries: list[Entry] = []  # The entries, numbered from 0
        seen: dict[tuple[int, bytes], Entry] = {}
        for archive, chosen in parts:
            for entry in chosen:
                other = seen.setdefault((entry.token, entry.raw_name), entry)
                if other is not entry:
                    _demand_same(other, entry)
                    continue
                self.entries.append(entry._replace(number=len(self.entries)))
                self._origins.append((archive, entry))

    @property
    def roots(self) -> tuple[str, ...]:
        """The roots of the archives, as hex digits."""
        return tuple(archive.root.hex() for archive in self.archives)

    def origin(self, entry: Entry) -> tuple[Archive, Entry]:
        """Return the archive that an entry came from, and the entry as that archive numbers it."""
        return self._origins[entry.number]

    def chunks(self, entry: Entry) -> Iterator[Chunk]:
        """Yield the whole content of an entry; see `Archive.chunks`.

        Raises:
            FormatError: The entry is damaged.
        """
        archive, own = self._origins[entry.number]
        return archive.chunks(own)

    def modification_time(self, entry: Entry) -> int | None:
        """Return the modification time of an entry in nanoseconds, if it was recorded.

        Raises:
            FormatError: The entry is damaged.
        """
        archive, own = self._origins[entry.number]
        return archive.modification_time(own)


def _demand_same(first: Entry, second: Entry) -> None:
    if first.digest != second.digest or first.size != second.size:
        raise CollisionError(
            f"{first.name} is in two sets with different content",
            hint="the sets do not belong together: tokar chain shows where they part",
        )
