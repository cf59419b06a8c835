"""How sets fit together: proven by their logs, never by their labels.

What can be restored is a set with databases and the logs that continue it, wherever they are: a log of any set counts
if it is of the same stream and repeats the creation time of the one before it. "Incremental" and "differential" explain
and decide nothing: the incrementals of a certification authority hold all logs since the full.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tokar.as_json import as_json
from tokar.errors import ArchiveError
from tokar.format.identity import KnownBy
from tokar.sets.backup_set import BackupSet
from tokar.sets.facts import LogFacts
from tokar.sets.fault_list import as_lost, first_of, in_order
from tokar.sets.faults import Fault, FaultKind, Rules, Severity
from tokar.sets.judge import step_faults
from tokar.sets.leftovers_told import with_leftovers_told
from tokar.sets.linked import with_linked_logs
from tokar.sets.links import break_fault, link
from tokar.sets.log_run import LogRun, first_off, fork_fault, is_beside, labels
from tokar.sets.logs import LogTable, stream_of
from tokar.sets.not_taken import database_left_out, missing_full
from tokar.sets.outcome import (
    LastLine,
    LeftOpen,
    SparedSet,
    Word,
    badness_of,
    left_open,
    not_asked_in,
    part_of,
    unjudged_in,
    weigh,
    worst,
)
from tokar.sets.start import ChainStart, choice_fault, databases_in, faults_alone, groups_of, lacks
from tokar.sets.version import Version
from tokar.words import logs_text, noun, some, spans

_OF_LOGS: Final = {
    FaultKind.LOG_UNREADABLE,
    FaultKind.LOG_NAME,
    FaultKind.LOG_SIZE,
    FaultKind.LOG_BLANK,
    FaultKind.LOG_DAMAGED,
    FaultKind.LOG_TORN,
    FaultKind.LOG_SHORT,
    *(FaultKind.LOG_NOT_CLOSED, FaultKind.LOG_ALTERED),
}
"""What is wrong with one log, whatever lies beside it."""


@dataclass(frozen=True, slots=True)
class ChainVerdict:
    """Whether one set can be restored."""

    restorable: bool  # Whether the databases it belongs to can be brought to its highest log
    start: int | None  # The number of the set with those databases; None where there is none
    faults: tuple[Fault, ...] = ()  # What is in the way or worth knowing, the root cause first
    # What it comes to where it holds no databases, and no set is here that it goes on from.
    part: LastLine | None = None

    @property
    def blocking(self) -> tuple[Fault, ...]:
        """What is in the way; that the full of a set is elsewhere is not."""
        elsewhere = {FaultKind.MISSING_FULL} if self.part else set()
        return tuple(fault for fault in self.faults if fault.blocks and fault.kind not in elsewhere)

    def to_json(self, sets: Sequence[BackupSet], outcome: LastLine) -> dict[str, Any]:
        """Return it as values for JSON, with what the set comes to."""
        return {
            "restorable": self.restorable and not outcome.exit_code,
            "full": None if self.start is None else sets[self.start].label,
            "faults": [fault.to_json() for fault in self.faults],
            "outcome": as_json(outcome),
        }


def chain_verdict(sets: Sequence[BackupSet], logs: LogTable, starts: Sequence[ChainStart], number: int) -> ChainVerdict:
    """Return whether one set of a chain can be restored."""
    backup_set = sets[number]
    if backup_set.receipt is not None:
        return ChainVerdict(restorable=False, start=None, faults=(_archive_not_here(backup_set),))
    own = next((start for start in starts if start.number == number), None)
    mended = mended_logs(sets, logs, number)
    remarks = [*_link_faults(sets, backup_set), *_differing(sets, logs, number)]
    if own is not None:
        return _verdict_of(number, (*own.faults, *mended.values(), *remarks))
    if backup_set.facts.is_without_a_set:
        return _verdict_of(None, remarks)  # files of no engine: they are part of nothing and need nothing
    alone = without_mended(faults_alone(backup_set, starts), mended)
    damaged = [fault for fault in alone if fault.kind is not FaultKind.LOG_MISSING]
    found = [_reach(sets, logs, start, number) for start in starts]
    floors = {start.number: start.floor for start in starts}  # of several it goes on from the latest, as a restore does
    best = min(
        found,
        key=lambda one: (one.start is None, badness_of(one.blocking), -floors.get(one.start or 0, 0)),
        default=None,
    )
    if best is None or best.start is None:
        others = [start for start in starts if sets[start.number].facts.logs or start.runs]
        missing = (fault for fault in alone if fault.kind is FaultKind.LOG_MISSING)
        damaged += [fault for fault in missing if not all(map(logs.has, fault.generations))]
        cause = next((one.faults[0] for one in found if one.faults), None) or _missing_full(sets, backup_set, others)
        damaged = _as_said(damaged, starts)
        verdict = _verdict_of(None, (cause, *damaged, *_holes_below(sets, logs, number), *remarks))
        return replace(verdict, part=part_of(backup_set.generations, database_left_out(backup_set.facts)))
    base = next(start for start in starts if start.number == best.start)
    wanted = [one for one in _as_wanted(damaged, backup_set, logs, base) if one not in best.faults]
    return _verdict_of(best.start, (*best.faults, *wanted, *remarks))


def _holes_below(sets: Sequence[BackupSet], logs: LogTable, number: int) -> Iterator[Fault]:
    """Yield why logs of a set do not follow those of others that hold no databases either, as of one set."""
    for stream, own in _streams(sets[number]).items():
        held = {log.generation for log in own}
        for log in own:
            generation = log.generation or 0
            is_there = generation - 1 in held or logs.opaque_at(generation - 1)
            lower = None if is_there else logs.before(stream, generation)
            found = logs.versions(stream, lower) if lower else []
            held_alone = not any(sets[at].has_databases for one in found for at in one.sets)
            if found and held_alone and all(link(one.facts, log).fault for one in found):
                receipts = _receipts(sets, range(found[0].generation + 1, generation))
                yield from (_bring(fault, receipts) for fault in step_faults(found[0].facts, log))


def mended_logs(sets: Sequence[BackupSet], logs: LogTable, number: int) -> dict[str, Fault]:
    """Return the logs of a set that are not whole, and are in another set, by name, each with what is to be said."""
    facts = sets[number].facts
    streams = {stream for log in facts.logs if not log.damaged and (stream := stream_of(log))}
    streams |= {one.header.log_signature.pack() for one in facts.databases if one.header is not None}
    found: dict[str, Fault] = {}
    for log in facts.logs:
        whole = logs.whole_copy(log, streams, facts.logs)
        if whole is not None and whole.at != number:
            fault = logs.fault_of_double(log, f"{whole.facts.name} in {sets[whole.at].label}")
            found |= {log.name: fault} if fault is not None else {}
    return found


def _as_wanted(faults: Iterable[Fault], own: BackupSet, logs: LogTable, start: ChainStart) -> list[Fault]:
    """Return what is wrong with logs of a set, as a remark where none of them is wanted for the databases of another.

    Unwanted are those of which another copy is, and those below the first one that is played, by their names too where
    something is in the way of these databases. That is said as it is said of them.
    """
    named = {log.name: log for log in own.facts.logs}
    low = min((run.start for run in start.runs), default=0)

    def is_wanted(log: LogFacts) -> bool:
        version = logs.version_of(log)
        if version is not None and any(copy.facts is not log for copy in version.copies[: version.good]):
            return False
        number, by_name = log.generation or 0, log.named_generation or 0
        return log.current or (max(number, by_name) if start.blocking else number or by_name) >= low

    found = []
    for fault in _as_said(as_lost(faults, start.faults), [start]):
        files = [named[name] for name in fault.files if name in named]
        spared = fault.kind in _OF_LOGS and files and not any(map(is_wanted, files))
        found.append(replace(fault, severity=Severity.WARNING) if spared else fault)
    return found


def _as_said(faults: Iterable[Fault], starts: Iterable[ChainStart]) -> list[Fault]:
    """Return faults, those that are in the way of databases as they are said of these."""
    said = {(one.kind, one.message): one for start in starts for one in start.blocking}
    return [said.get((fault.kind, fault.message), fault) for fault in faults]


def _as_judged(faults: Iterable[Fault], own: ChainStart) -> list[Fault]:
    """Return faults of a set with databases, as remarks where they are no more or are not with the logs of all sets."""
    judged = {(one.kind, one.message): one for one in (*own.verdict.remarks, *own.blocking)}
    return [judged.get((one.kind, one.message)) or replace(one, severity=Severity.WARNING) for one in faults]


def without_mended(faults: Iterable[Fault], mended: Mapping[str, Fault]) -> list[Fault]:
    """Return faults, those of logs of which another set has a whole copy as the remark that they come to."""
    gone = [one for one in faults if one.kind in _OF_LOGS and one.files[0] in mended]
    return [one for one in faults if one not in gone] + [*mended.values()]


def _verdict_of(start: int | None, faults: Sequence[Fault]) -> ChainVerdict:
    ordered = in_order(faults)
    blocked = any(fault.blocks for fault in ordered)
    return ChainVerdict(restorable=not blocked, start=start, faults=ordered)


def _reach(sets: Sequence[BackupSet], logs: LogTable, start: ChainStart, number: int) -> ChainVerdict:
    """Return whether the logs of a set are on the run onto the databases of another; no start where all are older."""
    older, faults, touched = list[Fault](), list[Fault](), False
    said = {generation for fault in start.blocking for generation in fault.generations}
    for stream, own in (streams := _streams(sets[number])).items():
        run, highest = start.run_of(stream), logs.version_of(own[-1])
        if run is None or highest is None:
            continue
        if highest.generation < run.start:
            apart = own if len(streams) > 1 else ()
            older.append(_too_old(sets[number].label, sets[start.number].label, run, apart))
            continue
        touched = True
        is_said = not run.logs and start.blocking  # the set with the databases says what is missing
        found = _way_faults(sets, logs, run, highest) if not is_said else ()
        faults += (one for one in found if not one.generations or not said.issuperset(one.generations))
        on_run = (one for one in map(logs.version_of, own) if one is not None and run.at(one.generation) == one)
        faults += [fault] if (fault := start.unplayed(stream, on_run)) else []
    if not touched:
        return ChainVerdict(restorable=not older, start=None, faults=in_order(older))
    faults += start.blocking  # of two streams the logs of one may be below all that is needed
    faults += (replace(one, severity=Severity.WARNING) for one in older)
    return _verdict_of(start.number, faults)


def _streams(backup_set: BackupSet) -> dict[bytes, list[LogFacts]]:
    """Return the logs of a set by their streams and generations, without damaged ones."""
    found: dict[bytes, list[LogFacts]] = {}
    for log in backup_set.facts.logs:
        stream = stream_of(log)
        if stream is not None and log.generation is not None:
            found.setdefault(stream, []).append(log)
    return {stream: sorted(logs, key=lambda one: one.generation or 0) for stream, logs in found.items()}


def _way_faults(sets: Sequence[BackupSet], logs: LogTable, run: LogRun, goal: Version) -> Iterator[Fault]:
    """Yield why a run does not come to a log."""
    first = first_off(logs, run, goal)
    if first is not None:
        reached = run.at(first.generation)
        fault = reached and fork_fault(sets, first.generation, (reached, first))
        fault = fault or end_fault(sets, logs, run, goal.generation)
        yield replace(fault, severity=Severity.WARNING) if is_beside(logs, run, goal) else fault


def end_fault(sets: Sequence[BackupSet], logs: LogTable, run: LogRun, target: int) -> Fault:
    """Return why a run of logs ends before a generation: a fork, a hole, or a log that does not continue it."""
    following = run.end + 1 if run.logs else run.start
    there = logs.versions(run.stream, following)
    if run.forks or (there and not run.logs):
        return fork_fault(sets, following, run.forks or there)
    if there:
        fault = break_fault(run.logs[-1], there[0].facts, hard=run.hard)
        return _out_of_reach(fault, range(following, target + 1))
    if opaque := logs.opaque_at(following):
        fault = Rules.LOG_UNREADABLE.of_log(opaque, opaque.note, hard=run.hard)
        return _out_of_reach(fault, range(following, target + 1))
    upto = min(logs.after(run.stream, run.end) or target + 1, target + 1)
    hole = range(following, max(upto, following + 1))
    fault = Rules.LOGS_IN_NO_SET.fault(*logs_text([hole]), generations=first_of([hole]), hard=run.hard)
    found = with_linked_logs([_bring(fault, _receipts(sets, hole))], (one.facts for one in sets))
    (fault,) = with_leftovers_told(found, (one.facts for one in sets))
    return _out_of_reach(fault, range(hole.stop, target + 1))


def _out_of_reach(fault: Fault, generations: range) -> Fault:
    """Return a fault with the generations that cannot be reached because of it."""
    if not generations:
        return fault
    words = f"{noun(len(generations), 'generation')} {spans([generations])} cannot be reached"
    return replace(fault, consequences=(words,))


def _receipts(sets: Sequence[BackupSet], hole: range) -> list[str]:
    """Return the receipts of archives that are not here and hold logs of a hole."""
    known = [(one.label, one.receipt) for one in sets if one.receipt is not None and hole]
    return [label for label, (low, high) in known if low <= hole[-1] and high >= hole[0]]


def _bring(fault: Fault, receipts: Sequence[str]) -> Fault:
    """Return a fault with the receipts of the archives that would mend it, where there are any."""
    return replace(fault, next_step=f"add the archive that {some(receipts)} belongs to") if receipts else fault


def _too_old(label: str, start: str, run: LogRun, logs: Sequence[LogFacts] = ()) -> Fault:
    what = f"{some(log.name for log in logs)} of {label}" if logs else label
    return Rules.OLDER_THAN_FULL.fault(what, start, run.start, files=(label,))


def _missing_full(sets: Sequence[BackupSet], backup_set: BackupSet, starts: Sequence[ChainStart]) -> Fault:
    others = [sets[start.number].label for start in starts]
    receipts = [one.label for one in sets if one.receipt is not None and one.kind == "full"]
    return _bring(missing_full(backup_set.label, backup_set.facts, others), receipts)


def _archive_not_here(backup_set: BackupSet) -> Fault:
    label, (low, high) = backup_set.label, backup_set.receipt or (0, 0)
    held = [range(low, high + 1)] if low else []
    logs = f" with {logs_text(held)[0]}" if held else ""
    rule = Rules.FULL_NOT_HERE if backup_set.kind == "full" else Rules.LOGS_NOT_HERE
    return rule.fault(label, backup_set.id.hex(), logs, files=(label,), generations=first_of(held))


def _differing(sets: Sequence[BackupSet], logs: LogTable, number: int) -> Iterator[Fault]:
    """Yield the logs of a set that are in another set too, with other bytes."""
    for log in sets[number].facts.logs:
        version = logs.version_of(log)
        if version is not None and version.differing and log.digest is not None:
            yield differing_fault(sets, version)


def differing_fault(sets: Sequence[BackupSet], version: Version) -> Fault:
    """Return the fault of one log with unlike bytes in two sets: one may be damaged, as long as nobody looked."""
    places, numbers = labels(sets, version.sets), (version.generation,)
    rule = Rules.LOG_UNCOMPARED if version.is_uncompared else Rules.LOG_DIFFERS
    fault = rule.fault(version.facts.name, some(places), files=places, generations=numbers)
    return fault.until_looked_at() if version.is_uncompared else fault


def _link_faults(sets: Sequence[BackupSet], backup_set: BackupSet) -> Iterator[Fault]:
    """Yield what the links in the headers of archives give to think about. None of it decides."""
    label = backup_set.label
    if backup_set.origin:
        yield Rules.SALVAGED.fault(label, backup_set.origin, files=(label,))
    if backup_set.prior is None:
        return
    prior_id, prior_root = backup_set.prior
    for other in sets:
        files = (label, other.label)
        if other.id == prior_id and other.root != prior_root:
            yield Rules.PRIOR_DIFFERS.fault(label, other.label, files=files)
        elif other.origin == prior_id.hex():
            yield Rules.PRIOR_SALVAGED.fault(label, other.origin, other.label, files=files)


def chain_faults(sets: Sequence[BackupSet], logs: LogTable, starts: Sequence[ChainStart]) -> Iterator[Fault]:
    """Yield what is wrong with sets together, whichever of them is restored."""
    for versions in logs.alike():
        yield from (differing_fault(sets, one) for one in versions if one.differing)
        parted = len(versions) > 1 and not _parted_before(logs, versions)
        if parted and all(stream_of(one.facts) is not None for one in versions):
            yield replace(fork_fault(sets, versions[0].generation, versions), severity=Severity.WARNING)
    if (fault := choice_fault(sets, starts)) is not None:
        yield fault


def _parted_before(logs: LogTable, versions: Sequence[Version]) -> bool:
    """Tell whether each of these logs continues another one: then histories parted earlier, and that is reported."""
    before = [logs.preceding(one) for one in versions]
    return all(before) and len({id(one.facts) for found in before for one in found}) == len(versions)


@dataclass(frozen=True, slots=True)
class Chain:
    """Several sets and how they fit together."""

    sets: tuple[BackupSet, ...]  # The sets, in the order of their generations
    starts: tuple[ChainStart, ...]  # Those with databases
    verdicts: tuple[ChainVerdict, ...]  # For each set, whether it can be restored and what is in the way
    # For each set, the number of the one that it continues; None for one with databases, and where there is none.
    parents: tuple[int | None, ...]
    faults: tuple[Fault, ...]  # What is wrong with the chain as a whole
    logs: LogTable = field(repr=False, compare=False)  # All logs
    without: frozenset[int] = field(default=frozenset(), repr=False, compare=False)  # Logs of another history
    # The sets with which a restore of all of them begins, or of each log stream by itself; None where it is refused, or
    # there is nothing to choose.
    taken: frozenset[int] | None = field(default=None, repr=False, compare=False)
    copies: tuple[SparedSet, ...] = ()  # Damaged copies of sets: those are read in their place
    # Why a restore of all sets of one log stream is refused although each by itself passes; None where it is not.
    parted: Fault | None = field(default=None, repr=False, compare=False)
    # Other files that hold the archives of sets, whole as far as anybody looked, by what they are known by.
    twins: Mapping[KnownBy, tuple[str, ...]] = field(default_factory=dict, repr=False, compare=False)
    apart: frozenset[int] = frozenset()  # Sets whose databases need logs of another history than the one that is wanted

    def start_of(self, number: int) -> ChainStart | None:
        """Return a set as the beginning of a restore, if it is one."""
        return next((start for start in self.starts if start.number == number), None)

    def faults_of(self, number: int) -> list[Fault]:
        """Return what is wrong with a set by itself; with a log that is not wanted from it, no more than a remark."""
        mended = mended_logs(self.sets, self.logs, number)
        faults = without_mended(faults_alone(self.sets[number], self.starts), mended)
        base = self.verdicts[number].start
        start = self.start_of(base) if base is not None and base != number else None
        if start is not None:
            return _as_wanted(faults, self.sets[number], self.logs, start)
        own = self.start_of(number)
        return _as_said(faults, self.starts) if own is None else _as_judged(faults, own)

    def verdict_on(self, backup_set: BackupSet) -> ChainVerdict:
        """Return the verdict on a set."""
        return next(
            verdict
            for one, verdict in zip(self.sets, self.verdicts, strict=True)
            if (one.id, one.root) == (backup_set.id, backup_set.root)
        )

    @property
    def is_restorable(self) -> bool:
        """Whether every set that a restore does not do without can be restored, and nobody failed to judge one."""
        own = [(at, one) for at, one in enumerate(self.verdicts) if not self.is_spared(at)]
        found = [one.restorable and not self.outcome_of(at).exit_code for at, one in own]
        return bool(found) and all(found)

    @property
    def outcome(self) -> LastLine | None:
        """What the worst of the sets comes to that take part: as a restore of all of them; None without sets."""
        found = map(self.outcome_of, range(len(self.sets)))
        return worst(one for at, one in enumerate(found) if not self.takes_no_part(at, one))

    def takes_no_part(self, number: int, found: LastLine) -> bool:
        """Return whether a set comes to something that is nothing to the databases here: logs that none of them takes.

        What nobody could judge may be one of theirs, and an archive that is not here may hold them.
        """
        if self.is_spared(number):
            return True
        one, verdict = self.sets[number], self.verdicts[number]
        is_beside = bool(self.starts) and verdict.start is None and not one.has_databases and one.receipt is None
        return is_beside and found.word is not Word.NOT_PROVEN

    def is_spared(self, number: int) -> bool:
        """Return whether a restore of all sets does without this one: it begins with the same databases of another."""
        start = self.verdicts[number].start
        if self.taken is None or start is None or start in self.taken:
            return False  # others may give logs; what is wrong with their own databases is nothing to it
        known = databases_in(self.sets[start])
        group = next((one for one in groups_of(self.starts) if any(each.number == start for each in one)), [])
        among = self.taken.intersection(one.number for one in group)  # no other stream makes up for one (PAIR-13)
        return None not in known and any(not lacks(self.sets, at, [start]) for at in among)

    @property
    def choice(self) -> Fault | None:
        """Why a restore of all sets does not choose by itself with what it begins and goes on; None where it does."""
        return choice_fault(self.sets, self.starts) or self.parted

    @property
    def spared(self) -> tuple[SparedSet, ...]:
        """The sets that such a restore does without and that do not pass."""
        apart = (at for at in range(len(self.sets)) if at not in self.apart and self.is_spared(at))
        found = (SparedSet(self.sets[at].label, self.outcome_of(at)) for at in apart)
        return (*(one for one in found if one.outcome.exit_code), *self.copies)

    def spared_beside(self, numbers: Sequence[int]) -> tuple[SparedSet, ...]:
        """Return what a restore does without that takes these sets, the one with the databases first."""
        used = {self.sets[at].label for at in numbers}
        return tuple(one for one in replace(self, taken=frozenset(numbers[:1])).spared if one.label not in used)

    @property
    def damage(self) -> tuple[ArchiveError, ...]:
        """What is wrong with records of the archives that no file needs."""
        return tuple(error for one in self.sets for error in one.damage)

    def left_open_of(self, number: int) -> LeftOpen:
        """Return what the verdict on one set, with the others, does not answer."""
        verdict = self.verdicts[number]
        start = None if verdict.start is None else self.start_of(verdict.start)
        facts = self.sets[number].facts
        unlike = [one.message for one in verdict.faults if one.kind is FaultKind.LOG_DIFFERS and one.is_open]
        if start is None:
            return LeftOpen([*unjudged_in(facts)], [*unlike, *not_asked_in(facts)])
        together = left_open(start.verdict, start.facts)
        return LeftOpen([*unjudged_in(facts), *together.unjudged], [*unlike, *together.unasked])

    def outcome_of(self, number: int) -> LastLine:
        """Return what one set comes to, with the others."""
        verdict = self.verdicts[number]
        return weigh(verdict.blocking, self.left_open_of(number), verdict.part)

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            "restorable": self.is_restorable,
            "outcome": as_json(self.outcome),
            "sets": [
                {
                    **backup_set.to_json(),
                    **self.verdicts[number].to_json(self.sets, self.outcome_of(number)),
                    "parent": None if (parent := self.parents[number]) is None else self.sets[parent].label,
                }
                for number, backup_set in enumerate(self.sets)
            ],
            "runs": [
                {
                    "full": self.sets[start.number].label,
                    "stream": run.stream.hex(),
                    "recovery": "hard" if start.hard else "soft",
                    "low": run.logs[0].generation if run.logs else None,
                    "high": run.end or None,
                    "not_below": run.floor,
                }
                for start in self.starts
                for run in start.runs
            ],
            "faults": [fault.to_json() for fault in self.faults],
            "spared": as_json(self.spared),
        }
