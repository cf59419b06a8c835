"""Runs of logs: those that continue each other, from all sets together, onto the databases of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from tokar.sets.backup_set import BackupSet
from tokar.sets.facts import LogFacts
from tokar.sets.faults import Fault, Rules
from tokar.sets.logs import LogTable
from tokar.sets.version import Version
from tokar.words import some

Wanted = Callable[[], frozenset[int]]


@dataclass(frozen=True, slots=True)
class LogRun:
    """Logs that continue each other, onto the databases of one set."""

    stream: bytes  # Their stream
    table: LogTable  # All logs
    logs: tuple[LogFacts, ...]  # The logs, in order; empty where the very first needed one is not here
    floor: int  # The generation below which no restore of the set may stop
    start: int  # The generation with which recovery begins
    hard: bool = False  # Whether hard recovery plays them
    forks: tuple[Version, ...] = ()  # Where it ends because histories parted: the logs that could follow
    proven: int = 0  # The generation up to which headers of its databases prove that they are of its history

    @property
    def versions(self) -> Iterator[Version]:
        """Its logs, each with all of its copies."""
        return (one for one in map(self.table.version_of, self.logs) if one is not None)

    @property
    def end(self) -> int:
        """The generation it reaches; 0 where it reaches none."""
        return (self.logs[-1].generation or 0) if self.logs else 0

    def at(self, generation: int) -> Version | None:
        """Return its log of a generation."""
        place = generation - (self.logs[0].generation or 0) if self.logs else -1
        return self.table.version_of(self.logs[place]) if 0 <= place < len(self.logs) else None


def follow(
    logs: LogTable,
    number: int,
    stream: bytes,
    *,
    start: int,
    floor: int,
    hard: bool = False,
    wanted: Wanted = frozenset,
) -> LogRun:
    """Return the run of logs onto the databases of a set.

    Args:
        logs: The logs of all sets.
        number: The number of the set with the databases. Where it has a log of its own, that one counts.
        stream: The stream of the databases.
        start: The generation with which recovery begins.
        floor: The generation below which it may not stop.
        hard: Whether hard recovery plays them.
        wanted: Gives logs, by identity, which tell where there are two histories: those that its own verdict places,
            and those that lead to the one that its databases name.
    """
    last = _first_version(logs, number, stream, start, wanted)
    if last is None:
        return LogRun(stream, logs, (), floor, start, hard)
    run = _own_before(logs, number, last)
    while True:
        found = logs.following(last) or logs.by_number(stream, last.generation + 1, last)
        own = _own(found, number, wanted)
        found = [one for one in found if one.is_found] or found
        if len(found) > 1 and not own:
            found = [one for one in found if one.is_one_of(wanted())] or found
        if len(own or found) != 1:
            return LogRun(stream, logs, tuple(run), floor, start, hard, tuple(own or found))
        last = (own or found)[0]
        run.append(last.facts)


def _own_before(logs: LogTable, number: int, first: Version) -> list[LogFacts]:
    """Return a log and those before it that the set itself holds, in order: a restore places them too."""
    run = [first]
    while found := [one for one in logs.preceding(run[-1]) if number in one.sets]:
        run.append(found[0])
    return [one.facts for one in reversed(run)]


def _own(found: Sequence[Version], number: int, wanted: Wanted) -> list[Version]:
    """Return the logs that a set itself holds; where it has several, those that it places."""
    own = [one for one in found if number in one.sets]
    if len(own) < 2:
        return own
    return [one for one in own if one.is_one_of(wanted())] or own


def _first_version(logs: LogTable, number: int, stream: bytes, start: int, wanted: Wanted) -> Version | None:
    """Return the log with which recovery begins: the set's own, else the only one there is."""
    found = logs.versions(stream, start) or logs.by_number(stream, start)
    own = _own(found, number, wanted)
    if own:
        return own[0]
    found = [one for one in found if one.is_found] or found
    if len(found) > 1:
        found = [one for one in found if one.is_one_of(wanted())]
    return found[0] if len(found) == 1 else None


def labels(sets: Sequence[BackupSet], numbers: Iterable[int]) -> tuple[str, ...]:
    """Return the labels of sets by their numbers."""
    return tuple(sets[number].label for number in sorted(numbers))


def first_off(logs: LogTable, run: LogRun, goal: Version) -> Version | None:
    """Return the first log on the way to another that is not on the run; None where that one itself is on it.

    Below the run nothing is on it: where all of the way is of another history, it is the log beside the first one.
    """
    if run.at(goal.generation) == goal:
        return None
    at, low = goal, (run.logs[0].generation or 0) if run.logs else 0
    while before := logs.preceding(at):
        if before[0].generation < low or run.at(before[0].generation) == before[0]:
            break
        at = before[0]
    return at


def is_beside(logs: LogTable, run: LogRun, goal: Version) -> bool:
    """Return whether a log is of a history that nobody wants: it begins with a wrong name, or a header tells."""
    first = first_off(logs, run, goal)
    reached = run.at(first.generation) if first is not None else None
    is_misnamed = first is not None and reached is not None and reached.is_found and not first.is_found
    return is_misnamed or is_proven_other(logs, run, goal)


def is_proven_other(logs: LogTable, run: LogRun, goal: Version) -> bool:
    """Return whether the history of a log parted from that of a run before what headers of its databases name."""
    first = first_off(logs, run, goal)
    if first is None:
        return False
    before = run.at(first.generation - 1)
    if run.at(first.generation) is not None and first.generation <= run.proven:
        return True
    # Of that one the time of its creation tells: its content may have changed.
    is_other = before is not None and before.facts.created != first.facts.previous_created
    return is_other and first.generation - 1 <= run.proven


def untold_beside(logs: LogTable, run: LogRun) -> Iterator[Version]:
    """Yield the logs of another history that go on from one of a run, which may be of either (`RUN-6`).

    A log of the older format does not say what was in the one before, so nothing tells which of them that one is for.
    """
    older = (one for one in run.versions if one.facts.previous_segments_xor is None)
    for version in older:
        before = run.at(version.generation - 1)
        if before is not None and run.start < version.generation <= run.proven:
            others = (one for one in logs.following(before) if one != version)
            yield from (one for one in others if one.facts.previous_segments_xor is None)


def fork_fault(sets: Sequence[BackupSet], generation: int, versions: Sequence[Version]) -> Fault:
    """Return the fault of histories that parted: one number, several logs."""
    parts = [f"{some(labels(sets, one.sets))} (created {one.facts.created.iso()})" for one in versions]
    files = dict.fromkeys(label for one in versions for label in labels(sets, one.sets))
    return Rules.HISTORIES_PARTED.fault(generation, " than in ".join(parts), files=files, generations=(generation,))
