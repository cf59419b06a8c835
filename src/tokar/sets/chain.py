"""How sets fit together: proven by their logs, never by their labels.

What can be restored is a set with databases and the logs that continue it, wherever they are: a log of any set counts
if it is of the same stream and repeats the creation time of the one before it. "Incremental" and "differential" explain
and decide nothing: the incrementals of a certification authority hold all logs since the full.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from tokar.sets.faults import Fault, FaultKind, Severity, broken, first_of, in_order, some, spans
from tokar.sets.judge import judge
from tokar.sets.logs import ChainLogs, Run, first_version, follow, labels, stream_of
from tokar.sets.need import Basis, need_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tokar.sets.backup_set import Member
    from tokar.sets.facts import DatabaseFacts, LogFacts, SetFacts
    from tokar.sets.judge import SetVerdict
    from tokar.sets.logs import Run, Version

_NO_LOGS: Final = {Basis.UNUSABLE, Basis.UNKNOWN}
_SAID_BY_THE_CHAIN: Final = {FaultKind.LOGS_AFTER_GAP, FaultKind.STRAY_LOGS}


@dataclass(frozen=True, slots=True)
class Base:
    """A set with databases."""

    member: int  # Its number in the chain
    runs: tuple[Run, ...]  # The logs that can be played onto its databases, one run for each log stream
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

    def run_of(self, stream: bytes) -> Run | None:
        """Return its run in a stream."""
        return next((run for run in self.runs if run.stream == stream), None)


def make_base(members: Sequence[Member], logs: ChainLogs, number: int) -> Base:
    """Return a set with databases as the beginning of a restore.

    Args:
        members: All sets.
        logs: Their logs.
        number: The number of the set.
    """
    member = members[number]
    streams: dict[bytes, list[DatabaseFacts]] = {}
    for database in member.facts.databases:
        stream = _stream_of(database, logs)
        if stream is not None:
            streams.setdefault(stream, []).append(database)
    runs = tuple(_run(members, logs, number, stream, databases) for stream, databases in streams.items())
    verdict = judge(_together(member.facts, number, runs, logs))
    return Base(number, runs, any(need_of(one).hard for one in member.facts.databases), verdict)


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
    members: Sequence[Member], logs: ChainLogs, number: int, stream: bytes, databases: Sequence[DatabaseFacts]
) -> Run:
    starts, floors = [], []
    for database in databases:
        need = need_of(database)
        assert database.header is not None
        starts.append(need.low or database.header.consistent_position.generation)
        floors.append(need.committed or database.header.consistent_position.generation)
    start, floor = min(starts), max(floors)
    run = follow(logs, number, stream, start=start, floor=floor, first=first_version(logs, number, stream, start))
    if members[number].kind != "full":
        return run
    # Everything that a full backup holds belongs to it: a restore may not stop before its last log.
    own = [version.generation for version in run.versions if number in version.members]
    return replace(run, floor=max([floor, *own]))


def _together(facts: SetFacts, number: int, runs: Sequence[Run], logs: ChainLogs) -> SetFacts:
    """Return the facts of a set with the logs that other sets add to it."""
    added = [log for run in runs for log in _added(number, run, logs)]
    return replace(facts, logs=(*facts.logs, *added))


def _added(number: int, run: Run, logs: ChainLogs) -> Iterator[LogFacts]:
    """Yield the logs of other sets that belong to the run, and those that would belong to it if it were not broken."""
    for version in run.versions:
        if number not in version.members:
            yield version.facts
    for version in logs.of_stream(run.stream):
        if max(run.end + 1, run.start) <= version.generation <= run.floor and number not in version.members:
            yield version.facts


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether one set can be restored."""

    restorable: bool  # Whether the databases it belongs to can be brought to its highest log
    base: int | None  # The number of the set with those databases; None where there is none
    faults: tuple[Fault, ...] = ()  # What is in the way or worth knowing, the root cause first

    def to_json(self, members: Sequence[Member]) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            "restorable": self.restorable,
            "full": None if self.base is None else members[self.base].label,
            "faults": [fault.to_json() for fault in self.faults],
        }


def standing_of(members: Sequence[Member], logs: ChainLogs, bases: Sequence[Base], number: int) -> Standing:
    """Return whether one set of a chain can be restored."""
    member = members[number]
    if member.receipt is not None:
        return Standing(restorable=False, base=None, faults=(_archive_not_here(member),))
    own = next((base for base in bases if base.member == number), None)
    remarks = [*_link_faults(members, member), *_differing(members, logs, number)]
    if own is not None:
        return _standing(number, (*own.faults, *remarks))
    damaged = [fault for fault in judge(member.facts).faults if fault.kind is not FaultKind.LOG_MISSING]
    found = [_reach(members, logs, base, number) for base in bases]
    best = min(found, key=lambda one: (not one.restorable, len(one.faults)), default=None)
    if best is None or best.base is None:
        others = [base for base in bases if members[base.member].facts.logs or base.runs]
        return _standing(None, (_missing_full(members, member, others), *damaged, *remarks))
    return _standing(best.base, (*best.faults, *damaged, *remarks))


def _standing(base: int | None, faults: Sequence[Fault]) -> Standing:
    ordered = in_order(faults)
    blocked = any(fault.severity is not Severity.WARNING for fault in ordered)
    return Standing(restorable=not blocked, base=base, faults=ordered)


def _reach(members: Sequence[Member], logs: ChainLogs, base: Base, number: int) -> Standing:
    """Return whether the logs of a set are on the run onto the databases of another."""
    faults: list[Fault] = []
    touched = False
    for stream, versions in _streams(members[number], logs).items():
        run = base.run_of(stream)
        if run is None:
            continue
        touched = True
        if versions[-1].generation < run.start:
            faults.append(_too_old(members, base, number, run))
            continue
        faults += _way_faults(members, logs, run, versions[-1])
    if touched:
        faults += [fault for fault in base.faults if fault.severity is not Severity.WARNING]
    return Standing(restorable=not faults, base=base.member if touched else None, faults=in_order(faults))


def _streams(member: Member, logs: ChainLogs) -> dict[bytes, list[Version]]:
    found: dict[bytes, list[Version]] = {}
    for log in member.facts.logs:
        version = logs.version_of(log)
        if version is not None:
            found.setdefault(version.stream, []).append(version)
    return {stream: sorted(versions, key=lambda one: one.generation) for stream, versions in found.items()}


def _way_faults(members: Sequence[Member], logs: ChainLogs, run: Run, goal: Version) -> Iterator[Fault]:
    """Yield why a run does not come to a log."""
    first = _first_off(logs, run, goal)
    if first is None or not run.versions:
        return  # it is reached; or the set with the databases says what is missing
    reached = run.at(first.generation)
    if reached is not None:
        yield fork_fault(members, first.generation, (reached, first))
    else:
        yield end_fault(members, logs, run, goal.generation)


def _first_off(logs: ChainLogs, run: Run, goal: Version) -> Version | None:
    """Return the first log on the way to another that is not on the run: going back from there. None where the goal itself is on it."""
    if run.at(goal.generation) is goal:
        return None
    at = goal
    while before := logs.preceding(at):
        if run.at(before[0].generation) is before[0]:
            break
        at = before[0]
    return at


def end_fault(members: Sequence[Member], logs: ChainLogs, run: Run, target: int) -> Fault:
    """Return why a run of logs ends before a generation: a fork, a hole, or a log that does not continue it."""
    following = run.end + 1
    if run.forks:
        return fork_fault(members, following, run.forks)
    there = logs.versions(run.stream, following)
    if there:
        fault = broken(run.versions[-1].facts, there[0].facts, Severity.ERROR, hard=False)
        consequences = (f"generations {spans([range(following, target + 1)])} cannot be reached",)
        return replace(fault, consequences=consequences)
    present = [version.generation for version in logs.of_stream(run.stream) if version.generation > run.end]
    upto = min([*present, target + 1])
    hole = range(following, max(upto, following + 1))
    named = [
        member.label
        for member in members
        if member.receipt and member.receipt[0] <= hole[-1] and member.receipt[1] >= hole[0]
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


def fork_fault(members: Sequence[Member], generation: int, versions: Sequence[Version]) -> Fault:
    """Return the fault of histories that parted: one number, several logs."""
    parts = [f"{some(labels(members, one.members))} (created {one.facts.created.iso()})" for one in versions]
    return Fault(
        kind=FaultKind.LOG_FORKED,
        message=f"histories parted at generation 0x{generation:X}: it is another log in {' than in '.join(parts)}",
        files=tuple(dict.fromkeys(label for one in versions for label in labels(members, one.members))),
        generations=(generation,),
        code=-515,
        next_step="name the sets of the one history that is wanted, or a generation that only it has: --until GENERATION",
    )


def _too_old(members: Sequence[Member], base: Base, number: int, run: Run) -> Fault:
    full = members[base.member].label
    return Fault(
        kind=FaultKind.MISSING_FULL,
        message=f"{members[number].label} is older than {full}, which begins with generation 0x{run.start:X}",
        files=(members[number].label,),
        code=-560,
        next_step="add the full that was taken before it",
    )


def _missing_full(members: Sequence[Member], member: Member, bases: Sequence[Base]) -> Fault:
    others = [members[base.member].label for base in bases]
    why = f"; {some(others)} is of another log stream" if others else ""
    receipts = [one.label for one in members if one.receipt is not None and one.kind == "full"]
    step = (
        f"add the archive that {some(receipts)} belongs to" if receipts else "add the full that these logs go on from"
    )
    return Fault(
        kind=FaultKind.MISSING_FULL,
        message=f"{member.label} has no database, and no set with the databases of its log stream is here{why}",
        files=(member.label,),
        code=-560,
        next_step=step,
    )


def _archive_not_here(member: Member) -> Fault:
    low, high = member.receipt or (0, 0)
    logs = f" with logs {spans([range(low, high + 1)])}" if low else ""
    return Fault(
        kind=FaultKind.MISSING_FULL if member.kind == "full" else FaultKind.LOG_MISSING,
        message=f"only the receipt {member.label} is here, not its archive {member.id.hex()}{logs}",
        files=(member.label,),
        generations=first_of([range(low, high + 1)]) if low else (),
        code=-560 if member.kind == "full" else -543,
        next_step="bring the archive here",
    )


def _differing(members: Sequence[Member], logs: ChainLogs, number: int) -> Iterator[Fault]:
    """Yield the logs of a set that are in another set too, with other bytes."""
    for log in members[number].facts.logs:
        version = logs.version_of(log)
        if version is not None and version.differing and log.digest is not None:
            yield differing_fault(members, version)


def differing_fault(members: Sequence[Member], version: Version) -> Fault:
    """Return the fault of one log with unlike bytes in two sets."""
    places = labels(members, version.members)
    return Fault(
        kind=FaultKind.LOG_DIFFERS,
        message=f"{version.facts.name} is the same log in {some(places)}, and its bytes differ",
        files=places,
        generations=(version.generation,),
        next_step="examine both with: tokar check --content; restore with the set whose copy is whole",
    )


def _link_faults(members: Sequence[Member], member: Member) -> Iterator[Fault]:
    """Yield what the links in the headers of archives give to think about. None of it decides."""
    if member.origin:
        yield Fault(
            kind=FaultKind.SALVAGED,
            message=f"{member.label} was salvaged from archive {member.origin}: what that had lost is lost here too",
            severity=Severity.WARNING,
            files=(member.label,),
            next_step="use the undamaged archive if it is found",
        )
    if member.prior is None:
        return
    for other in members:
        same = other.id == member.prior[0]
        if same and other.root != member.prior[1]:
            yield Fault(
                kind=FaultKind.PRIOR_DIFFERS,
                message=f"{member.label} goes on from another archive than {other.label}, although their ids are equal",
                severity=Severity.WARNING,
                files=(member.label, other.label),
                next_step="look for the archive with the root that it names",
            )
        elif other.origin == member.prior[0].hex():
            yield Fault(
                kind=FaultKind.SALVAGED,
                message=f"{member.label} goes on from archive {other.origin}, of which {other.label} is what was salvaged",
                severity=Severity.WARNING,
                files=(member.label, other.label),
                next_step="use the undamaged archive if it is found",
            )


def chain_faults(members: Sequence[Member], logs: ChainLogs) -> Iterator[Fault]:
    """Yield what is wrong with sets together, whichever of them is restored."""
    seen: dict[tuple[bytes, int], list[Version]] = {}
    for version in logs.all():
        seen.setdefault((version.stream, version.generation), []).append(version)
        if version.differing:
            yield differing_fault(members, version)
    for (_, generation), versions in seen.items():
        parted = len(versions) > 1 and not _parted_before(logs, versions)
        if parted and all(stream_of(one.facts) is not None for one in versions):
            yield replace(fork_fault(members, generation, versions), severity=Severity.WARNING)


def _parted_before(logs: ChainLogs, versions: Sequence[Version]) -> bool:
    """Tell whether each of these logs continues another one: then histories parted earlier, and that is reported."""
    before = [logs.preceding(one) for one in versions]
    return all(before) and len({id(one) for found in before for one in found}) == len(versions)


@dataclass(frozen=True, slots=True)
class Chain:
    """Several sets and how they fit together."""

    members: tuple[Member, ...]  # The sets, in the order of their generations
    bases: tuple[Base, ...]  # Those with databases
    standings: tuple[Standing, ...]  # For each set, whether it can be restored and what is in the way
    # For each set, the number of the one that it continues; None for one with databases, and where there is none.
    parents: tuple[int | None, ...]
    faults: tuple[Fault, ...]  # What is wrong with the chain as a whole
    logs: ChainLogs = field(repr=False, compare=False)  # All logs

    def base_of(self, number: int) -> Base | None:
        """Return a set as the beginning of a restore, if it is one."""
        return next((base for base in self.bases if base.member == number), None)

    @property
    def is_restorable(self) -> bool:
        """Whether every set can be restored."""
        return all(standing.restorable for standing in self.standings) and bool(self.members)

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            "restorable": self.is_restorable,
            "sets": [
                {**member.to_json(), **standing.to_json(self.members), "parent": self._label(parent)}
                for member, standing, parent in zip(self.members, self.standings, self.parents, strict=True)
            ],
            "runs": [
                {
                    "full": self.members[base.member].label,
                    "stream": run.stream.hex(),
                    "recovery": "hard" if base.hard else "soft",
                    "low": run.versions[0].generation if run.versions else None,
                    "high": run.end or None,
                    "not_below": run.floor,
                }
                for base in self.bases
                for run in base.runs
            ],
            "faults": [fault.to_json() for fault in self.faults],
        }

    def _label(self, number: int | None) -> str | None:
        return None if number is None else self.members[number].label


def build_chain(members: Iterable[Member]) -> Chain:
    """Return how sets fit together.

    Args:
        members: The sets. One that is given twice counts once; a receipt counts only where its archive is not among
            them.
    """
    listed = tuple(sorted(_unique(members), key=_place))
    logs = ChainLogs(listed)
    bases = tuple(make_base(listed, logs, number) for number, member in enumerate(listed) if member.is_base)
    standings = tuple(standing_of(listed, logs, bases, number) for number in range(len(listed)))
    parents = tuple(_parent(listed, standings, number) for number in range(len(listed)))
    return Chain(listed, bases, standings, parents, in_order(chain_faults(listed, logs)), logs)


def _unique(members: Iterable[Member]) -> list[Member]:
    """Leave out what is there twice, archives before receipts."""
    found: dict[tuple[bytes, bytes], Member] = {}
    for member in sorted(members, key=lambda one: one.receipt is not None):
        found.setdefault((member.id, member.root), member)
    return list(found.values())


def _place(member: Member) -> tuple[int, int, str, str]:
    generations = member.generations or (0, 0)
    return generations[0], not member.is_base, member.created, member.label


def _parent(members: tuple[Member, ...], standings: tuple[Standing, ...], number: int) -> int | None:
    """Return the set that one continues: the one it names as its prior, else the one that holds the log before its first."""
    member, standing = members[number], standings[number]
    if member.is_base:
        return None
    if member.prior is not None:
        for other, one in enumerate(members):
            if one.id == member.prior[0] and other < number:
                return other
    if standing.base is None or member.generations is None:
        return standing.base
    before = [standing.base]
    for other in range(number):
        generations = members[other].generations
        if (
            standings[other].base == standing.base
            and generations
            and generations[0] < member.generations[0] <= generations[1] + 1
        ):
            before.append(other)
    return before[-1]
