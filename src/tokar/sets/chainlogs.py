"""The logs of several sets together: which are the same, which are not although they share a number, and how far a run of them goes.

A log is known by its stream, its generation and its creation time. Two logs that share the first two are one in two
sets if they were created at the same moment, and then must have equal bytes; created at different moments, they belong
to histories that parted. Of formats whose header is not known, the number and the bytes are all there is.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokar.sets.logs import link, stream_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tokar.ese.values import LogTime
    from tokar.sets.backup_set import Member
    from tokar.sets.facts import LogFacts


@dataclass(frozen=True, slots=True)
class Copy:
    """A log in one set."""

    member: int  # The number of the set
    facts: LogFacts  # The log there


@dataclass(frozen=True, slots=True)
class Version:
    """One log, in as many sets as have it."""

    stream: bytes  # The stream it belongs to; empty where the format does not say
    generation: int  # Its generation
    copies: tuple[Copy, ...]  # Where it is; closed logs before one that was still being written

    @property
    def facts(self) -> LogFacts:
        """What it says of itself, in the first set that has it."""
        return self.copies[0].facts

    @property
    def members(self) -> frozenset[int]:
        """The sets that have it."""
        return frozenset(copy.member for copy in self.copies)

    @property
    def differing(self) -> tuple[Copy, ...]:
        """Copies whose bytes differ from the first one's, although they should be the same log. A log that was still being written may."""
        first = self.copies[0].facts
        return tuple(
            copy
            for copy in self.copies[1:]
            if copy.facts.digest != first.digest and (first.current or not copy.facts.current)
        )


def stream_of(log: LogFacts) -> bytes | None:
    """Return what tells the stream of a log, None for a damaged one. Logs of unknown formats have that of their base name."""
    if log.signature is not None:
        return stream_key(log.signature)
    return None if log.damaged else b"name:" + log.base.encode()


class ChainLogs:
    """All logs of several sets.

    Args:
        members: The sets.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        groups: dict[tuple[bytes, int, LogTime | bytes | None], list[Copy]] = defaultdict(list)
        for number, member in enumerate(members):
            for log in member.facts.logs:
                stream = stream_of(log)
                if stream is not None and log.generation is not None:
                    own = log.created if log.signature is not None else log.digest
                    groups[stream, log.generation, own].append(Copy(number, log))
        self._versions: dict[tuple[bytes, int], list[Version]] = defaultdict(list)
        self._by_facts: dict[int, Version] = {}
        for (stream, generation, _), copies in groups.items():
            ordered = tuple(sorted(copies, key=lambda copy: (copy.facts.current, copy.member)))
            version = Version(stream, generation, ordered)
            self._versions[stream, generation].append(version)
            self._by_facts.update((id(copy.facts), version) for copy in ordered)

    def versions(self, stream: bytes, generation: int) -> list[Version]:
        """Return the logs that share a stream and a generation: more than one where histories parted."""
        return self._versions.get((stream, generation), [])

    def version_of(self, log: LogFacts) -> Version | None:
        """Return the log of which this is a copy; None for a damaged one."""
        return self._by_facts.get(id(log))

    def of_stream(self, stream: bytes) -> Iterator[Version]:
        """Yield all logs of a stream."""
        for (own, _), versions in self._versions.items():
            if own == stream:
                yield from versions

    def all(self) -> Iterator[Version]:
        """Yield all logs."""
        for versions in self._versions.values():
            yield from versions

    def following(self, version: Version) -> list[Version]:
        """Return the logs that continue one: more than one where histories parted after it."""
        found = self.versions(version.stream, version.generation + 1)
        return [one for one in found if link(version.facts, one.facts).fault is None]

    def preceding(self, version: Version) -> list[Version]:
        """Return the logs that one continues; there can only be one, unless numbers are all there is to go by."""
        found = self.versions(version.stream, version.generation - 1)
        return [one for one in found if link(one.facts, version.facts).fault is None]


@dataclass(frozen=True, slots=True)
class Run:
    """Logs that continue each other, onto the databases of one set."""

    stream: bytes  # Their stream
    versions: tuple[Version, ...]  # The logs, in order; empty where the very first needed one is not here
    floor: int  # The generation below which no restore of the set may stop
    start: int  # The generation with which recovery begins
    forks: tuple[Version, ...] = ()  # Where it ends because histories parted: the logs that could follow

    @property
    def end(self) -> int:
        """The generation it reaches; 0 where it reaches none."""
        return self.versions[-1].generation if self.versions else 0

    def at(self, generation: int) -> Version | None:
        """Return its log of a generation."""
        if not self.versions:
            return None
        place = generation - self.versions[0].generation
        return self.versions[place] if 0 <= place < len(self.versions) else None


def follow(logs: ChainLogs, member: int, stream: bytes, *, start: int, floor: int, first: Version | None) -> Run:
    """Return the run of logs onto the databases of a set.

    Args:
        logs: The logs of all sets.
        member: The number of the set with the databases. Where it has a log of its own, that one counts.
        stream: The stream of the databases.
        start: The generation with which recovery begins.
        floor: The generation below which it may not stop.
        first: The log of the first generation; None where it is not here.
    """
    if first is None:
        return Run(stream, (), floor, start)
    run = _own_before(logs, member, first)
    forks: tuple[Version, ...] = ()
    while True:
        found = logs.following(run[-1])
        own = [one for one in found if member in one.members]
        if len(own or found) != 1:
            forks = tuple(own or found)
            return Run(stream, tuple(run), floor, start, forks)
        run.append((own or found)[0])


def _own_before(logs: ChainLogs, member: int, first: Version) -> list[Version]:
    """Return a log and those before it that the set itself holds: a restore places them too."""
    run = [first]
    while found := [one for one in logs.preceding(run[0]) if member in one.members]:
        run.insert(0, found[0])
    return run


def first_version(logs: ChainLogs, member: int, stream: bytes, start: int) -> Version | None:
    """Return the log with which recovery begins: the set's own, else the only one there is."""
    found = logs.versions(stream, start)
    own = [one for one in found if member in one.members]
    if own:
        return own[0]
    return found[0] if len(found) == 1 else None


def labels(members: Sequence[Member], numbers: Iterable[int]) -> tuple[str, ...]:
    """Return the labels of sets by their numbers."""
    return tuple(members[number].label for number in sorted(numbers))
