"""The files of several archives, read as if they were in one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tokar.errors import CollisionError
from tokar.format.archive import Archive, content_digest
from tokar.format.entry_reader import Chunk
from tokar.format.index import Entry
from tokar.restore.plan import Problem


class MergedSet:
    """The chosen entries of several archives, read as if they were in one.

    The same file in two sets (same token, name and digest) is taken once, from the first; the same name with another
    digest is a problem.

    Args:
        parts: Archives, each with the entries that are needed from it, in the order of the chain.
        apart: Entries that go elsewhere, whatever their names, each with its archive; they come last.
    """

    def __init__(
        self, parts: Sequence[tuple[Archive, Sequence[Entry]]], apart: Sequence[tuple[Archive, Entry]] = ()
    ) -> None:
        self.archives = tuple(archive for archive, _ in parts)
        self.entries: Sequence[Entry]  # The entries; of several archives, numbered anew from 0
        self.problems: list[Problem] = []  # Files of one token and name with different content in two sets
        self._origins: list[tuple[Archive, Entry]] = []
        if len(parts) == 1 and not apart and len(parts[0][1]) == len(parts[0][0]):
            self.entries = parts[0][1]  # there may be a million
            return
        entries: list[Entry] = []
        self.entries = entries
        seen: dict[tuple[int, bytes], tuple[Archive, Entry]] = {}
        for archive, chosen in parts:
            for entry in chosen:
                own = archive, entry
                other = seen.setdefault((entry.token, entry.raw_name), own)
                if other is not own:
                    self.problems += _unlike(other, own)
                    continue
                self._origins.append((archive, entry))
        self._origins += apart
        entries += (entry._replace(number=at) for at, (_, entry) in enumerate(self._origins))

    @property
    def roots(self) -> tuple[str, ...]:
        """The roots of the archives, as hex digits."""
        return tuple(archive.root.hex() for archive in self.archives)

    @property
    def keeps_numbers(self) -> bool:
        """Whether the entries have the numbers that they have in their archive."""
        return not self._origins

    def origin(self, entry: Entry) -> tuple[Archive, Entry]:
        """Return the archive that an entry came from, and the entry as that archive numbers it."""
        return self._origins[entry.number] if self._origins else (self.archives[0], entry)

    def chunks(self, entry: Entry) -> Iterator[Chunk]:
        """Yield the whole content of an entry; see `Archive.chunks`.

        Raises:
            FormatError: The entry is damaged.
        """
        archive, own = self.origin(entry)
        return archive.chunks(own)


def _unlike(first: tuple[Archive, Entry], second: tuple[Archive, Entry]) -> Iterator[Problem]:
    """Yield unlike content as a problem; where a key is missing nothing can be told, and nothing is placed either."""
    (_, one), (_, two) = first, second
    if one.size == two.size and (one.is_locked or two.is_locked):
        return
    if one.size != two.size or _content_digest(*first) != _content_digest(*second):
        message = f"{one.name} is in two sets with different content"
        hint = "the sets do not belong together: tokar chain shows where they part"
        yield Problem(CollisionError(message, hint=hint))


def _content_digest(archive: Archive, entry: Entry) -> bytes:
    """Return the digest of content as two archives can be compared by it: of encrypted content it is made."""
    return entry.digest if entry.key is None else content_digest(archive, entry)
