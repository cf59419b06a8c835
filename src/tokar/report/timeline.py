"""The logs of sets on a line of generations: what each set holds, what databases need, and what is wrong there.

It adds no fact to the chain: each row is of a set, of a verdict on a database, of faults, or of files that are left
out. Logs that follow each other are one run, so ten thousand of them take no more room than one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from functools import cached_property
from typing import Final

from tokar.names import leaf_of, printable
from tokar.sets.chain import Chain
from tokar.sets.database_verdict import RESTORABLE, DatabaseVerdict, Verdict
from tokar.sets.facts import LogFacts, SetFacts
from tokar.sets.faults import MOST_LISTED, Fault, FaultKind
from tokar.sets.logs import stream_of
from tokar.sets.outcome import LastLine, Word
from tokar.sets.start import ChainStart
from tokar.words import some

Run = tuple[int, int]  # The lowest and the highest of generations that follow each other
_Notes = dict[str, list[Run]]  # Generations, by what is said of them
MOST_SETS: Final = 200  # that have a row of their own
MOST_NOTES: Final = 4  # of one kind that have a row of their own
MOST_STREAMS: Final = 20  # of strays that are shown


class Mark(StrEnum):
    """What a row is about."""

    SET = "set"
    NEED = "needed by"
    MISSING = "missing"
    FORK = "two histories"
    FAULTY = "faulty"
    STRAY = "of another stream"
    LEFT_OUT = "left out"


class Tone(StrEnum):
    """How good what is told is; no colour alone ever says it."""

    GOOD = "good"
    OPEN = "open"
    BAD = "bad"


class Cell(IntEnum):
    """How many of the generations in one place of a line are there."""

    NONE = 0
    PART = 1
    ALL = 2


_MARKS: Final = {
    **dict.fromkeys((FaultKind.LOG_MISSING, FaultKind.COMMITTED_LOG_MISSING), Mark.MISSING),
    **dict.fromkeys((FaultKind.LOG_FORKED, FaultKind.LOG_OF_OTHER_BRANCH, FaultKind.LOG_DIFFERS), Mark.FORK),
    **dict.fromkeys((FaultKind.STRAY_LOGS, FaultKind.LOG_FOREIGN), Mark.STRAY),
    **dict.fromkeys(
        (
            *(FaultKind.LOG_UNREADABLE, FaultKind.LOG_OLDER, FaultKind.LOG_NAME, FaultKind.LOG_SIZE),
            *(FaultKind.LOG_PAGE_SIZE, FaultKind.LOG_BLANK, FaultKind.LOG_DAMAGED, FaultKind.LOG_TORN),
            *(FaultKind.LOG_SHORT, FaultKind.LINK_BROKEN, FaultKind.LOG_ALTERED, FaultKind.LOG_SIZES),
            FaultKind.LOG_NOT_CLOSED,
        ),
        Mark.FAULTY,
    ),
}
_DOUBTS: Final = {Verdict.WITH_LOSS: Tone.OPEN, Verdict.NOT_CHECKED: Tone.OPEN}
# What is said of needed logs; a word of the database itself would answer for all that the last line leaves open.
_NEEDS: Final = {Verdict.RECOVERABLE: "present", Verdict.WITH_LOSS: "with loss"}
_TONES: Final = {Word.RESTORABLE: Tone.GOOD, Word.PART_OF_A_CHAIN: Tone.GOOD, Word.NOT_RESTORABLE: Tone.BAD}


def tone_of(found: LastLine | None) -> Tone:
    """Return how good an outcome is."""
    return Tone.OPEN if found is None else _TONES.get(found.word, Tone.OPEN)


def tone_of_database(verdict: DatabaseVerdict) -> Tone:
    """Return how good a verdict on a database is."""
    if verdict.is_doubtful:
        return Tone.OPEN
    return Tone.GOOD if verdict.verdict in RESTORABLE else _DOUBTS.get(verdict.verdict, Tone.BAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row below a line of generations."""

    mark: Mark  # What it is about
    label: str = ""  # The set or the database; safe to print
    note: str = ""  # The kind of a set; else what is to be said
    runs: tuple[Run, ...] = ()  # Generations, in order
    committed: Run | None = None  # Those without which only committed transactions are lost
    word: str = ""  # What becomes of the set or the database
    tone: Tone = Tone.OPEN  # How good that is
    depth: int = 0  # How many sets stand between it and the one that a restore begins with

    @property
    def every(self) -> tuple[Run, ...]:
        """Its generations, committed ones among them; of a need they are one range."""
        return joined((*self.runs, *([self.committed] if self.committed else [])))

    def cells(self, low: int, high: int, width: int) -> list[Cell]:
        """Return how its generations lie on a line of that many places."""
        count = high - low + 1
        found = [0] * width
        for first, last in self.every:
            first, last = max(first, low) - low, min(last, high) - low  # noqa: PLW2901 - as the line shows it
            if first <= last:
                for at in range(first * width // count, -(-(last + 1) * width // count)):
                    begin, end = at * count, (at + 1) * count  # in parts of a generation
                    found[at] += min((last + 1) * width, end) - max(first * width, begin)
        return [Cell.ALL if one >= count else Cell.PART if one else Cell.NONE for one in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLine:
    """One log stream: a line of generations with its rows."""

    base: str  # The base name of its logs; empty where it is not known
    low: int  # The first generation of the line; 0 where there are no logs
    high: int  # The last one
    rows: tuple[Row, ...]


def timeline_of(chain: Chain) -> tuple[StreamLine, ...]:
    """Return the streams of a chain, in the order of its sets."""
    return tuple(_Timeline(chain).streams())


def shown_streams(streams: Iterable[StreamLine]) -> tuple[list[StreamLine], int]:
    """Return the streams that say a verdict and the first of the others, and how many more there are."""
    listed = [*streams]
    others = [one for one in listed if not any(row.word for row in one.rows)]
    passed_over = set(map(id, others[MOST_STREAMS:]))
    return [one for one in listed if id(one) not in passed_over], len(passed_over)


def short_labels(labels: Iterable[str]) -> list[str]:
    """Return what pictures call sets: the last part of the path, where no other has that."""
    listed = list(labels)
    leaves = [leaf_of(one) or one for one in listed]
    return [printable(leaf if leaves.count(leaf) == 1 else one) for leaf, one in zip(leaves, listed, strict=True)]


class _Timeline:
    """Gathers the rows of each stream."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._bases: dict[bytes, str] = {}
        self._held = [self._runs_of(number) for number in range(len(chain.sets))]
        self._sets: defaultdict[bytes, list[Row]] = defaultdict(list)
        self._needs: defaultdict[bytes, list[Row]] = defaultdict(list)
        # What is said of generations in a stream, by what it is about and how good that is.
        self._marks: defaultdict[bytes, dict[tuple[Mark, Tone], _Notes]] = defaultdict(dict)
        self._lacking: defaultdict[bytes, list[Run]] = defaultdict(list)  # What databases need and nobody has
        self._names: dict[int, dict[str, list[LogFacts]]] = {}

    def streams(self) -> Iterator[StreamLine]:
        """Yield the streams."""
        labels = short_labels(one.label for one in self._chain.sets)
        for number, depth in _in_order(self._chain):
            row = replace(_set_row(self._chain, number), label=labels[number], depth=depth)
            for stream, runs in self._held[number].items():
                self._sets[stream].append(replace(row, runs=runs))
                row = replace(row, word="", tone=Tone.OPEN)  # it is said once
        for start in self._chain.starts:
            for verdict in start.verdict.databases:
                self._note_need(start, verdict)
            for left in start.verdict.left_out:
                if isinstance(left.file, LogFacts):
                    self._note(start.number, left.file, (Mark.LEFT_OUT, Tone.OPEN), left.reason)
        for number, fault in self._faults():
            self._note_fault(number, fault)
        for stream, sets in self._sets.items():
            needs, lacking = self._needs[stream], joined(self._lacking[stream])
            if lacking and (Mark.MISSING, Tone.BAD) not in self._marks[stream]:
                self._marks[stream][Mark.MISSING, Tone.BAD] = {"needed, and not here": [*lacking]}
            marks = [row for key, notes in self._said(stream) for row in _mark_rows(key, notes)]
            low, high = _scale(sets, [*needs, *marks])
            rows = (*sets, *needs, *marks)
            yield StreamLine(base=self._bases.get(stream, ""), low=low, high=high, rows=rows)

    def _said(self, stream: bytes) -> list[tuple[tuple[Mark, Tone], _Notes]]:
        """Return what is said of a stream, the worst first; of strays that are left out the reason says it."""
        found = self._marks[stream]
        if any(mark is Mark.LEFT_OUT for mark, _ in found):
            found.pop((Mark.STRAY, Tone.OPEN), None)
        return sorted(found.items(), key=lambda one: (one[0][1] is not Tone.BAD, [*Mark].index(one[0][0])))

    def _runs_of(self, number: int) -> dict[bytes, tuple[Run, ...]]:
        """Return the generations of each stream in a set; of a receipt, of the one there is."""
        one, found = self._chain.sets[number], defaultdict[bytes, list[int]](list)
        for log in one.facts.logs:
            stream = stream_of(log)
            if stream is not None and log.generation is not None:
                found[stream].append(log.generation)
                self._bases.setdefault(stream, printable(log.base))
        own = _streams_of(one.facts)  # first: what is said of the set is said there
        order = sorted(found, key=lambda stream: stream not in own)
        runs = {stream: joined((one, one) for one in found[stream]) for stream in order}
        told = one.receipt or one.numbers
        if told and told[0]:
            runs.setdefault(next(self._chain.logs.streams, b""), (told,))
        return runs or {self._own_stream(one.facts): ()}

    def _own_stream(self, facts: SetFacts) -> bytes:
        """Return the stream of the databases of a set without logs."""
        known = [*self._chain.logs.streams]
        return next((one for one in _streams_of(facts) if one in known), known[0] if known else b"")

    def _note_need(self, start: ChainStart, verdict: DatabaseVerdict) -> None:
        need = verdict.need
        if not need.low:
            return
        row = Row(
            mark=Mark.NEED,
            label=leaf_of(verdict.name),
            note=str(verdict),
            runs=((need.low, need.high),),
            committed=(need.high + 1, need.committed) if need.committed > need.high else None,
            word=_NEEDS.get(verdict.verdict) or str(verdict).partition(":")[0],
            tone=tone_of_database(verdict),
        )
        headers = (one.header for one in start.facts.databases if one.name == verdict.name)
        streams = (one.log_signature.pack() for one in headers if one is not None)
        stream = next((one for one in streams if one in self._sets), self._home(start.number))
        if row not in self._needs[stream]:
            self._needs[stream].append(row)
        self._lacking[stream] += ((one[0], one[-1]) for one in verdict.missing)

    def _faults(self) -> Iterator[tuple[int, Fault]]:
        """Yield the faults of the sets, each once, and of the chain."""
        seen: set[tuple[FaultKind, str, tuple[int, ...]]] = set()
        found = ((number, fault) for number, one in enumerate(self._chain.verdicts) for fault in one.faults)
        for number, fault in (*found, *((0, fault) for fault in self._chain.faults)):
            if (what := (fault.kind, fault.message, fault.generations)) not in seen:
                seen.add(what)
                yield number, fault

    def _note_fault(self, number: int, fault: Fault) -> None:
        if (mark := _MARKS.get(fault.kind)) is None:
            return
        key = mark, Tone.BAD if fault.blocks else Tone.OPEN
        logs = [] if mark is Mark.MISSING else [log for name in fault.files if (log := self._log(number, name, fault))]
        for log in logs:
            self._note(number, log, key, fault.message)
        if fault.generations and not logs:
            stream = self._home(number, fault.generations[0])
            runs = [*joined((one, one) for one in fault.generations)]
            if len(fault.generations) == MOST_LISTED:  # the fault lists no more of them
                after = self._chain.logs.after(stream, runs[-1][1])
                runs[-1] = runs[-1][0], max(runs[-1][1], (after or 0) - 1)
            self._marks[stream].setdefault(key, {}).setdefault(fault.message, []).extend(runs)

    def _note(self, number: int, log: LogFacts, key: tuple[Mark, Tone], note: str) -> None:
        generation, stream = log.generation or log.named_generation, stream_of(log)
        if generation:
            home = stream if stream is not None and stream in self._sets else self._home(number)
            self._marks[home].setdefault(key, {}).setdefault(note, []).append((generation, generation))

    def _log(self, number: int, name: str, fault: Fault) -> LogFacts | None:
        """Return the log of a name that a fault is about, in a set or among the logs that are played with it.

        Of several of that name, each in a set of its own, it is the one of the generation, else that of the set itself.
        """
        for at in dict.fromkeys((number, self._chain.verdicts[number].start)):
            if at is None:
                continue
            if at not in self._names:
                start = self._chain.start_of(at)
                facts = start.facts if start else self._chain.sets[at].facts
                self._names[at] = defaultdict(list)
                for log in (log for log in facts.logs if log.name in self._concerned):
                    self._names[at][log.name].append(log)
            if found := self._names[at].get(name):
                return next((log for log in found if log.generation in fault.generations), found[0])
        return None

    @cached_property
    def _concerned(self) -> frozenset[str]:
        """The names of the files that faults are about: of very many logs few."""
        return frozenset(name for _, fault in self._faults() for name in fault.files)

    def _home(self, number: int, generation: int = 0) -> bytes:
        """Return the stream that a fault of a set is about: one that parted there, else that of its databases."""
        table = self._chain.logs
        parted = (one for one in self._sets if generation and len(table.versions(one, generation)) > 1)
        start = self._chain.verdicts[number].start
        return next(parted, next(iter(self._held[number if start is None else start]), b""))


def _streams_of(facts: SetFacts) -> list[bytes]:
    """Return the streams of the databases of a set."""
    headers = (one.header for one in facts.databases)
    return [one.log_signature.pack() for one in headers if one is not None and one.log_signature.is_set]


def _in_order(chain: Chain) -> Iterator[tuple[int, int]]:
    """Yield the sets, each before those that continue it, with how many stand before it."""
    children: defaultdict[int | None, list[int]] = defaultdict(list)
    for number, parent in enumerate(chain.parents):
        children[parent].append(number)
    stack = [(root, 0) for root in reversed(children[None])]
    while stack:
        number, depth = stack.pop()
        yield number, depth
        stack += [(child, depth + 1) for child in reversed(children[number])]


def _set_row(chain: Chain, number: int) -> Row:
    outcome = chain.outcome_of(number)
    word = str(outcome.word) if outcome.exit_code else str(outcome.word).lower()
    kind = "receipt" if chain.sets[number].receipt else chain.sets[number].kind
    return Row(mark=Mark.SET, note=kind, word=word, tone=tone_of(outcome))


def _mark_rows(key: tuple[Mark, Tone], notes: _Notes) -> Iterator[Row]:
    """Yield a row for each thing that is said, or one for all where that is much."""
    mark, tone = key
    if len(notes) > MOST_NOTES:
        notes = {f"{some(notes, 1)} like it": [run for runs in notes.values() for run in runs]}
    for note, runs in notes.items():
        yield Row(mark=mark, note=note, runs=joined(runs), tone=tone)


def grouped(rows: Sequence[Row]) -> list[Row]:
    """Return rows, those of sets behind the first ones as one: its word is that of the worst."""
    rest = [row for row in rows if row.mark is Mark.SET][MOST_SETS - 1 :]
    if len(rest) < 2:
        return [*rows]
    worst = max(rest, key=lambda one: [*Tone].index(one.tone))
    together = replace(worst, label=f"{len(rest):,} more sets", note="", depth=0)
    together = replace(together, runs=joined(run for row in rest for run in row.runs))
    sets = MOST_SETS - 1 + len(rest)
    return [*rows[: MOST_SETS - 1], together, *rows[sets:]]


def _scale(sets: Iterable[Row], others: Iterable[Row]) -> Run:
    """Return the ends of a line: all that sets hold, and as much of the rest as leaves that to be seen."""
    held = joined(run for row in sets for run in row.runs)
    rest = joined(run for row in others for run in row.every)
    if not held:
        return (rest[0][0], rest[-1][1]) if rest else (0, 0)
    low, high = held[0][0], held[-1][1]
    room = max(high - low + 1, 16)
    inside = [run for run in rest if run[1] >= low - room and run[0] <= high + room]
    return (
        min([low, *(max(one, low - room) for one, _ in inside)]),
        max([high, *(min(one, high + room) for _, one in inside)]),
    )


def joined(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Return runs in order, those that touch or overlap as one."""
    found: list[Run] = []
    for low, high in sorted(runs):
        if found and low <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(found[-1][1], high)
        else:
            found.append((low, high))
    return tuple(found)
