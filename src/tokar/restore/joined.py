"""Several archives read as one, and several plans carried out as one: staged before the first file has its name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from tokar.errors import CollisionError
from tokar.restore.plan import Interrupted, Plan, Steps

if TYPE_CHECKING:
    from tokar.format.archive import Archive
    from tokar.format.entry_reader import Chunk
    from tokar.format.index import Entry
    from tokar.restore.stager import ContentReader


def join_plans(plans: Sequence[Plan]) -> Plan:
    """Return plans for unlike directories as one, with the entries numbered anew from 0."""
    if len(plans) == 1:
        return plans[0]
    first = plans[0]
    seen = {one.path: one for plan in plans for one in plan.seen}
    return Plan(
        profile=first.profile,
        roots=tuple(chain.from_iterable(plan.roots for plan in plans)),
        steps=Steps.joined([plan.steps for plan in plans]),
        extras=tuple(chain.from_iterable(plan.extras for plan in plans)),
        asides=tuple(chain.from_iterable(plan.asides for plan in plans)),
        directories=tuple(chain.from_iterable(plan.directories for plan in plans)),
        problems=(),
        notes=(),
        interrupted=_interrupted(plans),
        seen=tuple(seen.values()),
        stays=frozenset().union(*(plan.stays for plan in plans)),
    )


def joined(parts: Sequence[tuple[Plan, ContentReader]]) -> tuple[Plan, ContentReader]:
    """Return plans as one, and what reads the contents of all of them."""
    if len(parts) == 1:
        return parts[0]
    return join_plans([plan for plan, _ in parts]), _JoinedReader(parts)


def _interrupted(plans: Sequence[Plan]) -> Interrupted | None:
    """Return what an interrupted run left in the directories of all plans."""
    left = [plan.interrupted for plan in plans if plan.interrupted is not None]
    if not left:
        return None
    return replace(
        left[0],
        placed=frozenset().union(*(one.placed for one in left)),
        staged=frozenset().union(*(one.staged for one in left)),
        asides=tuple(chain.from_iterable(one.asides for one in left)),
    )


class _JoinedReader:
    """Reads the entries of joined plans."""

    def __init__(self, parts: Sequence[tuple[Plan, ContentReader]]) -> None:
        self._origins = [(reader, step.entry) for plan, reader in parts for step in plan.steps]

    def chunks(self, entry: Entry) -> Iterator[Chunk]:
        """Yield the whole content of an entry in order."""
        reader, own = self._origins[entry.number]
        return reader.chunks(own)


class MergedSet:
    """The chosen entries of several archives, read as if they were in one.

    The same file in two sets (same token, name and digest) is taken once, from the first; the same name with another
    digest is refused.

    Args:
        parts: Archives, each with the entries that are needed from it, in the order of the chain.
        apart: Entries that go elsewhere, whatever their names, each with its archive; they come last.

    Raises:
        CollisionError: Two sets have a file of the same token and name with different content.
    """

    def __init__(
        self, parts: Sequence[tuple[Archive, Sequence[Entry]]], apart: Sequence[tuple[Archive, Entry]] = ()
    ) -> None:
        self.archives = tuple(archive for archive, _ in parts)
        self.entries: Sequence[Entry]  # The entries; of several archives, numbered anew from 0
        self._origins: list[tuple[Archive, Entry]] = []
        if len(parts) == 1 and not apart and len(parts[0][1]) == len(parts[0][0]):
            self.entries = parts[0][1]  # there may be a million
            return
        entries: list[Entry] = []
        self.entries = entries
        seen: dict[tuple[int, bytes], Entry] = {}
        for archive, chosen in parts:
            for entry in chosen:
                other = seen.setdefault((entry.token, entry.raw_name), entry)
                if other is not entry:
                    _demand_same(other, entry)
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


def _demand_same(first: Entry, second: Entry) -> None:
    if first.digest != second.digest or first.size != second.size:
        raise CollisionError(
            f"{first.name} is in two sets with different content",
            hint="the sets do not belong together: tokar chain shows where they part",
        )
