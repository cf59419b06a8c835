"""How sets fit together: proven by their logs, never by their labels.

What can be restored is a set with databases and the logs that continue it, wherever they are: a log of any set counts
if it is of the same stream and repeats the creation time of the one before it. "Incremental" and "differential" explain
and decide nothing: the incrementals of a certification authority hold all logs since the full.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from tokar.sets.faults import Fault, FaultKind, Severity, broken, first_of, in_order, some, spans
from tokar.sets.judge import judge_set
from tokar.sets.logs import ChainLogs, LogRun, first_version, follow, labels, stream_of
from tokar.sets.need import Basis, need_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tokar.sets.backup_set import BackupSet
    from tokar.sets.facts import DatabaseFacts, LogFacts, SetFacts
    from tokar.sets.judge import SetVerdict
    from tokar.sets.logs import LogRun, Version

_NO_LOGS: Final = {Basis.UNUSABLE, Basis.UNKNOWN}
_SAID_BY_THE_CHAIN: Final = {FaultKind.LOGS_AFTER_GAP, FaultKind.STRAY_LOGS}


@dataclass(frozen=True, slots=True)
class ChainStart:
    """A set with databases."""

    number: int  # Its number in the chain
    runs: tuple[LogRun, ...]  # The logs that can be played onto its databases, one run for each log stream
    hard: bool  # Whether its databases are copies from a streaming backup
    verdict: SetVerdict  # What becomes of its databases with those logs

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with it, apart from logs that the chain as a whole answers for."""
        return tuple(fault for fault in self.verdict.faults if fault.kind not in _SAID_BY_THE_CHAIN)

    @property
    def end(self) -> int:
        """The highest generation it can be brought to; 0 without logs."""
        return max((run.end for run in self.runs), default=0)

    @property
    def floor(self) -> int:
        """The generation below which no restore of it may stop."""
        return max((run.floor for run in self.runs), default=0)

    def run_of(self, stream: bytes) -> LogRun | None:
        """Return its run in a stream."""
        return next((run for run in self.runs if run.stream == stream), None)


def make_start(sets: Sequence[BackupSet], logs: ChainLogs, number: int) -> ChainStart:
    """Return a set with databases as the beginning of a restore.

    Args:
        sets: All sets.
        logs: Their logs.
        number: The number of the set.
    """
    backup_set = sets[number]
    streams: dict[bytes, list[DatabaseFacts]] = {}
    for database in backup_set.facts.databases:
        stream = _stream_of(database, logs)
        if stream is not None:
            streams.setdefault(stream, []).append(database)
    runs = tuple(_run(sets, logs, number, stream, databases) for stream, databases in streams.items())
    verdict = judge_set(_together(backup_set.facts, number, runs, logs))
    return ChainStart(number, runs, any(need_of(one).hard for one in backup_set.facts.databases), verdict)


def _stream_of(database: DatabaseFacts, logs: ChainLogs) -> bytes | None:
    """Return the stream of a database; where only logs of unknown formats could be its own, theirs."""
    header = database.header
    if header is None or not header.log_signature.is_set or need_of(database).basis in _NO_LOGS:
        return None
    stream = header.log_signature.pack()
    if any(logs.of_stream(stream)):
        return stream
    unknown = {version.stream for version in logs.all() if version.facts.is_opaque}
    return unknown.pop() if len(unknown) == 1 else stream


def _run(
    sets: Sequence[BackupSet], logs: ChainLogs, number: int, stream: bytes, databases: Sequence[DatabaseFacts]
) -> LogRun:
    starts, floors = [], []
    for database in databases:
        need = need_of(database)
        assert database.header is not None
        starts.append(need.low or database.header.consistent_position.generation)
        floors.append(need.committed or database.header.consistent_position.generation)
    start, floor = min(starts), max(floors)
    run = follow(logs, number, stream, start=start, floor=floor, first=first_version(logs, number, stream, start))
    if sets[number].kind != "full":
        return run
    # Everything that a full backup holds belongs to it: a restore may not stop before its last log.
    own = [version.generation for version in run.versions if number in version.sets]
    return replace(run, floor=max([floor, *own]))


def _together(facts: SetFacts, number: int, runs: Sequence[LogRun], logs: ChainLogs) -> SetFacts:
    """Return the facts of a set with the logs that other sets add to it."""
    added = [log for run in runs for log in _added(number, run, logs)]
    return replace(facts, logs=(*facts.logs, *added))


def _added(number: int, run: LogRun, logs: ChainLogs) -> Iterator[LogFacts]:
    """Yield the logs of other sets that belong to the run, and those that would belong to it if it were not broken."""
    for version in run.versions:
        if number not in version.sets:
            yield version.facts
    for version in logs.of_stream(run.stream):
        if max(run.end + 1, run.start) <= version.generation <= run.floor and number not in version.sets:
            yield version.facts


@dataclass(frozen=True, slots=True)
class ChainVerdict:
    """Whether one set can be restored."""

    restorable: bool  # Whether the databases it belongs to can be brought to its highest log
    start: int | None  # The number of the set with those databases; None where there is none
    faults: tuple[Fault, ...] = ()  # What is in the way or worth knowing, the root cause first

    def to_json(self, sets: Sequence[BackupSet]) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            "restorable": self.restorable,
            "full": None if self.start is None else sets[self.start].label,
            "faults": [fault.to_json() for fault in self.faults],
        }


def chain_verdict(
    sets: Sequence[BackupSet], logs: ChainLogs, starts: Sequence[ChainStart], number: int
) -> ChainVerdict:
    """Return whether one set of a chain can be restored."""
    backup_set = sets[number]
    if backup_set.receipt is not None:
        return ChainVerdict(restorable=False, start=None, faults=(_archive_not_here(backup_set),))
    own = next((start for start in starts if start.number == number), None)
    remarks = [*_link_faults(sets, backup_set), *_differing(sets, logs, number)]
    if own is not None:
        return _verdict_of(number, (*own.faults, *remarks))
    damaged = [fault for fault in judge_set(backup_set.facts).faults if fault.kind is not FaultKind.LOG_MISSING]
    found = [_reach(sets, logs, start, number) for start in starts]
    best = min(found, key=lambda one: (not one.restorable, len(one.faults)), default=None)
    if best is None or best.start is None:
        others = [start for start in starts if sets[start.number].facts.logs or start.runs]
        return _verdict_of(None, (_missing_full(sets, backup_set, others), *damaged, *remarks))
    return _verdict_of(best.start, (*best.faults, *damaged, *remarks))


def _verdict_of(start: int | None, faults: Sequence[Fault]) -> ChainVerdict:
    ordered = in_order(faults)
    blocked = any(fault.severity is not Severity.WARNING for fault in ordered)
    return ChainVerdict(restorable=not blocked, start=start, faults=ordered)


def _reach(sets: Sequence[BackupSet], logs: ChainLogs, start: ChainStart, number: int) -> ChainVerdict:
    """Return whether the logs of a set are on the run onto the databases of another."""
    faults: list[Fault] = []
    touched = False
    for stream, versions in _streams(sets[number], logs).items():
        run = start.run_of(stream)
        if run is None:
            continue
        touched = True
        if versions[-1].generation < run.start:
            faults.append(_too_old(sets, start, number, run))
            continue
        faults += _way_faults(sets, logs, run, versions[-1])
    if touched:
        faults += [fault for fault in start.faults if fault.severity is not Severity.WARNING]
    return ChainVerdict(restorable=not faults, start=start.number if touched else None, faults=in_order(faults))


def _streams(backup_set: BackupSet, logs: ChainLogs) -> dict[bytes, list[Version]]:
    found: dict[bytes, list[Version]] = {}
    for log in backup_set.facts.logs:
        version = logs.version_of(log)
        if version is not None:
            found.setdefault(version.stream, []).append(version)
    return {stream: sorted(versions, key=lambda one: one.generation) for stream, versions in found.items()}


def _way_faults(sets: Sequence[BackupSet], logs: ChainLogs, run: LogRun, goal: Version) -> Iterator[Fault]:
    """Yield why a run does not come to a log."""
    first = _first_off(logs, run, goal)
    if first is None or not run.versions:
        return  # it is reached; or the set with the databases says what is missing
    reached = run.at(first.generation)
    if reached is not None:
        yield fork_fault(sets, first.generation, (reached, first))
    else:
        yield end_fault(sets, logs, run, goal.generation)


def _first_off(logs: ChainLogs, run: LogRun, goal: Version) -> Version | None:
    """Return the first log on the way to another that is not on the run: going back from there. None where the goal itself is on it."""
    if run.at(goal.generation) is goal:
        return None
    at = goal
    while before := logs.preceding(at):
        if run.at(before[0].generation) is before[0]:
            break
        at = before[0]
    return at


def end_fault(sets: Sequence[BackupSet], logs: ChainLogs, run: LogRun, target: int) -> Fault:
    """Return why a run of logs ends before a generation: a fork, a hole, or a log that does not continue it."""
    following = run.end + 1
    if run.forks:
        return fork_fault(sets, following, run.forks)
    there = logs.versions(run.stream, following)
    if there:
        fault = broken(run.versions[-1].facts, there[0].facts, Severity.ERROR, hard=False)
        consequences = (f"generations {spans([range(following, target + 1)])} cannot be reached",)
        return replace(fault, consequences=consequences)
    present = [version.generation for version in logs.of_stream(run.stream) if version.generation > run.end]
    upto = min([*present, target + 1])
    hole = range(following, max(upto, following + 1))
    named = [
        backup_set.label
        for backup_set in sets
        if backup_set.receipt and backup_set.receipt[0] <= hole[-1] and backup_set.receipt[1] >= hole[0]
    ]
    where = f"add the archive that {some(named)} belongs to" if named else "add the archive that has them"
    return Fault(
        kind=FaultKind.LOG_MISSING,
        message=f"logs {spans([hole])} are in none of the sets",
        generations=first_of([hole]),
        code=-543,
        next_step=where,
        consequences=(f"generations {spans([range(hole.stop, target + 1)])} cannot be reached",)
        if target >= hole.stop
        else (),
    )


def fork_fault(sets: Sequence[BackupSet], generation: int, versions: Sequence[Version]) -> Fault:
    """Return the fault of histories that parted: one number, several logs."""
    parts = [f"{some(labels(sets, one.sets))} (created {one.facts.created.iso()})" for one in versions]
    return Fault(
        kind=FaultKind.LOG_FORKED,
        message=f"histories parted at generation 0x{generation:X}: it is another log in {' than in '.join(parts)}",
        files=tuple(dict.fromkeys(label for one in versions for label in labels(sets, one.sets))),
        generations=(generation,),
        code=-515,
        next_step="name the sets of the one history that is wanted, or a generation that only it has: --until GENERATION",
    )


def _too_old(sets: Sequence[BackupSet], start: ChainStart, number: int, run: LogRun) -> Fault:
    full = sets[start.number].label
    return Fault(
        kind=FaultKind.MISSING_FULL,
        message=f"{sets[number].label} is older than {full}, which begins with generation 0x{run.start:X}",
        files=(sets[number].label,),
        code=-560,
        next_step="add the full that was taken before it",
    )


def _missing_full(sets: Sequence[BackupSet], backup_set: BackupSet, starts: Sequence[ChainStart]) -> Fault:
    others = [sets[start.number].label for start in starts]
    why = f"; {some(others)} is of another log stream" if others else ""
    receipts = [one.label for one in sets if one.receipt is not None and one.kind == "full"]
    step = (
        f"add the archive that {some(receipts)} belongs to" if receipts else "add the full that these logs go on from"
    )
    return Fault(
        kind=FaultKind.MISSING_FULL,
        message=f"{backup_set.label} has no database, and no set with the databases of its log stream is here{why}",
        files=(backup_set.label,),
        code=-560,
        next_step=step,
    )


def _archive_not_here(backup_set: BackupSet) -> Fault:
    low, high = backup_set.receipt or (0, 0)
    logs = f" with logs {spans([range(low, high + 1)])}" if low else ""
    return Fault(
        kind=FaultKind.MISSING_FULL if backup_set.kind == "full" else FaultKind.LOG_MISSING,
        message=f"only the receipt {backup_set.label} is here, not its archive {backup_set.id.hex()}{logs}",
        files=(backup_set.label,),
        generations=first_of([range(low, high + 1)]) if low else (),
        code=-560 if backup_set.kind == "full" else -543,
        next_step="bring the archive here",
    )


def _differing(sets: Sequence[BackupSet], logs: ChainLogs, number: int) -> Iterator[Fault]:
    """Yield the logs of a set that are in another set too, with other bytes."""
    for log in sets[number].facts.logs:
        version = logs.version_of(log)
        if version is not None and version.differing and log.digest is not None:
            yield differing_fault(sets, version)


def differing_fault(sets: Sequence[BackupSet], version: Version) -> Fault:
    """Return the fault of one log with unlike bytes in two sets."""
    places = labels(sets, version.sets)
    return Fault(
        kind=FaultKind.LOG_DIFFERS,
        message=f"{version.facts.name} is the same log in {some(places)}, and its bytes differ",
        files=places,
        generations=(version.generation,),
        next_step="examine both with: tokar check --content; restore with the set whose copy is whole",
    )


def _link_faults(sets: Sequence[BackupSet], backup_set: BackupSet) -> Iterator[Fault]:
    """Yield what the links in the headers of archives give to think about. None of it decides."""
    if backup_set.origin:
        yield Fault(
            kind=FaultKind.SALVAGED,
            message=f"{backup_set.label} was salvaged from archive {backup_set.origin}: what that had lost is lost here too",
            severity=Severity.WARNING,
            files=(backup_set.label,),
            next_step="use the undamaged archive if it is found",
        )
    if backup_set.prior is None:
        return
    for other in sets:
        same = other.id == backup_set.prior[0]
        if same and other.root != backup_set.prior[1]:
            yield Fault(
                kind=FaultKind.PRIOR_DIFFERS,
                message=f"{backup_set.label} goes on from another archive than {other.label}, although their ids are equal",
                severity=Severity.WARNING,
                files=(backup_set.label, other.label),
                next_step="look for the archive with the root that it names",
            )
        elif other.origin == backup_set.prior[0].hex():
            yield Fault(
                kind=FaultKind.SALVAGED,
                message=f"{backup_set.label} goes on from archive {other.origin}, of which {other.label} is what was salvaged",
                severity=Severity.WARNING,
                files=(backup_set.label, other.label),
                next_step="use the undamaged archive if it is found",
            )


def chain_faults(sets: Sequence[BackupSet], logs: ChainLogs) -> Iterator[Fault]:
    """Yield what is wrong with sets together, whichever of them is restored."""
    seen: dict[tuple[bytes, int], list[Version]] = {}
    for version in logs.all():
        seen.setdefault((version.stream, version.generation), []).append(version)
        if version.differing:
            yield differing_fault(sets, version)
    for (_, generation), versions in seen.items():
        parted = len(versions) > 1 and not _parted_before(logs, versions)
        if parted and all(stream_of(one.facts) is not None for one in versions):
            yield replace(fork_fault(sets, generation, versions), severity=Severity.WARNING)


def _parted_before(logs: ChainLogs, versions: Sequence[Version]) -> bool:
    """Tell whether each of these logs continues another one: then histories parted earlier, and that is reported."""
    before = [logs.preceding(one) for one in versions]
    return all(before) and len({id(one) for found in before for one in found}) == len(versions)


@dataclass(frozen=True, slots=True)
class Chain:
    """Several sets and how they fit together."""

    sets: tuple[BackupSet, ...]  # The sets, in the order of their generations
    starts: tuple[ChainStart, ...]  # Those with databases
    verdicts: tuple[ChainVerdict, ...]  # For each set, whether it can be restored and what is in the way
    # For each set, the number of the one that it continues; None for one with databases, and where there is none.
    parents: tuple[int | None, ...]
    faults: tuple[Fault, ...]  # What is wrong with the chain as a whole
    logs: ChainLogs = field(repr=False, compare=False)  # All logs

    def start_of(self, number: int) -> ChainStart | None:
        """Return a set as the beginning of a restore, if it is one."""
        return next((start for start in self.starts if start.number == number), None)

    def verdict_on(self, backup_set: BackupSet) -> ChainVerdict:
        """Return the verdict on a set."""
        return next(
            verdict
            for one, verdict in zip(self.sets, self.verdicts, strict=True)
            if (one.id, one.root) == (backup_set.id, backup_set.root)
        )

    @property
    def is_restorable(self) -> bool:
        """Whether every set can be restored."""
        return all(verdict.restorable for verdict in self.verdicts) and bool(self.sets)

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            "restorable": self.is_restorable,
            "sets": [
                {**backup_set.to_json(), **verdict.to_json(self.sets), "parent": self._label(parent)}
                for backup_set, verdict, parent in zip(self.sets, self.verdicts, self.parents, strict=True)
            ],
            "runs": [
                {
                    "full": self.sets[start.number].label,
                    "stream": run.stream.hex(),
                    "recovery": "hard" if start.hard else "soft",
                    "low": run.versions[0].generation if run.versions else None,
                    "high": run.end or None,
                    "not_below": run.floor,
                }
                for start in self.starts
                for run in start.runs
            ],
            "faults": [fault.to_json() for fault in self.faults],
        }

    def _label(self, number: int | None) -> str | None:
        return None if number is None else self.sets[number].label


def build_chain(sets: Iterable[BackupSet]) -> Chain:
    """Return how sets fit together.

    Args:
        sets: The sets. One that is given twice counts once; a receipt counts only where its archive is not among
            them.
    """
    listed = tuple(sorted(_unique(sets), key=_place))
    logs = ChainLogs(listed)
    starts = tuple(
        make_start(listed, logs, number) for number, backup_set in enumerate(listed) if backup_set.has_databases
    )
    verdicts = tuple(chain_verdict(listed, logs, starts, number) for number in range(len(listed)))
    parents = tuple(_parent(listed, verdicts, number) for number in range(len(listed)))
    return Chain(listed, starts, verdicts, parents, in_order(chain_faults(listed, logs)), logs)


def _unique(sets: Iterable[BackupSet]) -> list[BackupSet]:
    """Leave out what is there twice, archives before receipts."""
    found: dict[tuple[bytes, bytes], BackupSet] = {}
    for backup_set in sorted(sets, key=lambda one: one.receipt is not None):
        found.setdefault((backup_set.id, backup_set.root), backup_set)
    return list(found.values())


def _place(backup_set: BackupSet) -> tuple[int, int, str, str]:
    generations = backup_set.generations or (0, 0)
    return generations[0], not backup_set.has_databases, backup_set.created, backup_set.label


def _parent(sets: tuple[BackupSet, ...], verdicts: tuple[ChainVerdict, ...], number: int) -> int | None:
    """Return the set that one continues: the one it names as its prior, else the one that holds the log before its first."""
    backup_set, verdict = sets[number], verdicts[number]
    if backup_set.has_databases:
        return None
    if backup_set.prior is not None:
        for other, one in enumerate(sets):
            if one.id == backup_set.prior[0] and other < number:
                return other
    if verdict.start is None or backup_set.generations is None:
        return verdict.start
    before = [verdict.start]
    for other in range(number):
        generations = sets[other].generations
        if (
            verdicts[other].start == verdict.start
            and generations
            and generations[0] < backup_set.generations[0] <= generations[1] + 1
        ):
            before.append(other)
    return before[-1]
