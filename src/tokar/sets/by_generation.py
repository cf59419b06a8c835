"""Logs in the order of their generations, found by them without a dictionary of their own."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import groupby, islice, pairwise
from typing import Any, Final, NamedTuple, overload

from tokar.ese.values import LogTime
from tokar.sets.facts import LogFacts

_FEW_RUNS: Final = 16


@dataclass(frozen=True, slots=True)
class Copy:
    """A log in one set."""

    at: int  # The number of the set
    facts: LogFacts  # The log there


class CopiesOfOne(NamedTuple):
    """Copies of one log among those of its generation."""

    places: tuple[int, ...]  # Where they are among these, the best ones first
    good: int  # How many of them are good
    is_last: bool  # Whether no log goes on from it
    leads_to: LogTime | None = None  # When the next log was created, where that alone tells them from others


Arrangement = tuple[CopiesOfOne, ...]


class LogsByGeneration:
    """Logs by generation, each with the number of its set, in a few bytes more than they take."""

    def __init__(self) -> None:
        self.logs: list[LogFacts] = []
        self.generations = array("i")
        self.sets = array("I")  # The number of the set of each
        self._kept: list[Arrangement | None] = []  # How the logs of a generation go together, at its first log
        self._orders: dict[Arrangement, Arrangement] = {}  # Each of these once: there are few, most are like others

    def add(self, log: LogFacts, generation: int, number: int) -> None:
        """Add a log of a set."""
        self.logs.append(log)
        try:
            self.generations.append(generation)
        except OverflowError:  # no engine writes that
            self.generations = array("q", self.generations)
            self.generations.append(generation)
        self.sets.append(number)

    def sort(self) -> None:
        """Put the logs in order, where they did not come in it."""
        if any(one > next_one for one, next_one in pairwise(self.generations)):
            order = sorted(range(len(self.logs)), key=self.generations.__getitem__)
            self.logs = [self.logs[at] for at in order]
            self.sets = array(self.sets.typecode, (self.sets[at] for at in order))
            self.generations = array(self.generations.typecode, sorted(self.generations))

    def _within(self, low: int, high: int) -> slice:
        return slice(bisect_left(self.generations, low), bisect_right(self.generations, high))

    def present(self, low: int, high: int) -> array[int]:
        """Return the generations of the logs from one to another."""
        return self.generations[self._within(low, high)]

    def history(self, generation: int, created: LogTime) -> Iterator[int]:
        """Yield the places of a log, of those that lead to it, and of those that go on from it, as headers say.

        Args:
            generation: Its generation.
            created: When it was created. Where no log of that time is here, all of that generation are taken.
        """
        alike = self._places(generation)
        first = [at for at in alike if self.logs[at].created == created] or [*alike]
        yield from first
        low, times, found = generation, {self.logs[at].previous_created for at in first}, first
        while found:
            low -= 1
            found = [at for at in self._places(low) if self.logs[at].created in times]
            times = {self.logs[at].previous_created for at in found}
            yield from found
        times, found = {self.logs[at].created for at in first}, first
        while found:
            generation += 1
            found = [at for at in self._places(generation) if self.logs[at].previous_created in times]
            times = {self.logs[at].created for at in found}
            yield from found

    def _places(self, generation: int) -> range:
        return range(*self._within(generation, generation).indices(len(self.logs)))

    def copies(self, generation: int) -> Iterator[Copy]:
        """Yield the logs of a generation."""
        places = self._within(generation, generation)
        return map(Copy, self.sets[places], self.logs[places])

    def order(self, generation: int) -> Arrangement | None:
        """Return how the logs of a generation that is here go together; None where that was not kept yet."""
        return self._kept[bisect_left(self.generations, generation)] if self._kept else None

    def keep_order(self, generation: int, order: Arrangement) -> None:
        """Keep how the logs of a generation go together, which takes long to find out."""
        self._kept = self._kept or [None] * len(self.logs)
        self._kept[bisect_left(self.generations, generation)] = self._orders.setdefault(order, order)


def logs_in_order(
    logs: list[LogFacts], *, key: Callable[[LogFacts], Any] = lambda log: (log.generation or 0, log.name)
) -> list[LogFacts]:
    """Return logs by generation and name, or by what else they are to be in order.

    They come in a few runs that are in order already, and a sort of very many keeps a key of each.
    """
    starts = [at for at, (one, following) in enumerate(pairwise(logs), 1) if key(following) < key(one)]
    if len(starts) > _FEW_RUNS:
        logs = sorted(logs, key=lambda log: log.generation or 0)
        same = groupby(logs, lambda log: log.generation or 0)
        return [one for _, alike in same for one in sorted(alike, key=key)]
    runs = (islice(logs, *ends) for ends in zip((0, *starts), (*starts, None), strict=True))
    return [*merge(*runs, key=key)] if starts else logs


def ends_of(logs: Sequence[LogFacts]) -> tuple[int, int]:
    """Return the lowest and the highest generation of logs in order; 0 and 0 where there are none."""
    return (logs[0].generation or 0, logs[-1].generation or 0) if logs else (0, 0)


def log_at(logs: Sequence[LogFacts], generation: int) -> LogFacts | None:
    """Return the log of a generation among logs in order, of each generation one; where no hole is, it is quick."""
    place = generation - (logs[0].generation or 0) if logs else 0
    if not 0 <= place < len(logs) or logs[place].generation != generation:
        place = bisect_left(logs, generation, key=lambda log: log.generation or 0)
    return logs[place] if place < len(logs) and logs[place].generation == generation else None


class TimesByGeneration:
    """When logs were created, by generation: eight bytes for each."""

    _SIDE: Final = 256  # generations that are kept together

    def __init__(self) -> None:
        self._times: dict[int, array[int]] = {}

    def note(self, generation: int, created: LogTime) -> None:
        """Note when a log was created."""
        group, place = divmod(generation, self._SIDE)
        times = self._times.setdefault(group, array("Q", bytes(8 * self._SIDE)))
        times[place] = int.from_bytes(created.pack(), "little")

    def get(self, generation: int) -> LogTime | None:
        """Return when a log was created; None where that was not noted."""
        group, place = divmod(generation, self._SIDE)
        found = self._times[group][place] if group in self._times else 0
        return LogTime.unpack(found.to_bytes(8, "little")) if found else None


class GenerationRuns(Sequence[range]):
    """Runs of generations in order: sixteen bytes for each."""

    def __init__(self, runs: Iterable[range] = ()) -> None:
        self._starts, self._stops = array("q"), array("q")
        for run in runs:
            self.append(run)

    def append(self, run: range) -> None:
        """Add the next run, unless there is nothing in it."""
        if run:
            self._starts.append(run.start)
            self._stops.append(run.stop)

    def within(self, low: int, high: int) -> GenerationRuns:
        """Return what of them is from one generation to before another."""
        return GenerationRuns(range(max(run.start, low), min(run.stop, high)) for run in self)

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, at: int) -> range: ...

    @overload
    def __getitem__(self, at: slice) -> list[range]: ...

    def __getitem__(self, at: int | slice) -> range | list[range]:
        if isinstance(at, slice):
            return [*map(range, self._starts[at], self._stops[at])]
        return range(self._starts[at], self._stops[at])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and [*self] == [*other]

    def __hash__(self) -> int:
        return hash((*self._starts, *self._stops))
