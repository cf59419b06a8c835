"""Which sets, and which log from which set, bring databases to a generation. The answer is exact, or it is an error with the reason.

Nothing is ever given in place of what was asked for: a target that cannot be reached, and "as far as there are logs"
where there is more than one history or a hole, are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokar.errors import InputError, SetError
from tokar.sets.chain import differing_fault, end_fault, fork_fault
from tokar.sets.faults import Fault, Severity, in_order
from tokar.sets.judge import judge
from tokar.sets.logs import link

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tokar.sets.backup_set import Member
    from tokar.sets.chain import Base, Chain
    from tokar.sets.facts import FileFacts
    from tokar.sets.faults import Fault
    from tokar.sets.logs import Run, Version


class NotRestorableError(SetError):
    """The sets that are here do not bring the databases to the wanted state.

    Args:
        message: Why, in one line.
        faults: The faults in the way, the root cause first.
        hint: What to do next.
    """

    def __init__(self, message: str, *, faults: Sequence[Fault] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedSet:
    """A set that takes part in a restore."""

    label: str  # Where it is
    id: bytes  # Archive id
    root: bytes  # Root
    low: int = 0  # Its lowest log that takes part, which is what is registered for it; 0 without logs
    high: int = 0  # Its highest log that takes part

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            "path": self.label,
            "id": self.id.hex(),
            "root": self.root.hex(),
            "generations": {"low": self.low, "high": self.high} if self.low else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedLog:
    """A log that takes part in a restore. It is placed once, whatever number of sets have it."""

    generation: int  # Its generation
    name: str  # Its name in that set
    at: int  # The set it comes from: a number in `ChainSelection.sets`
    entry: int  # The number of its entry there
    digest: bytes  # The digest of its content
    also_in: tuple[int, ...] = ()  # Other sets of the selection with the same bytes
    proof: str = "times"  # What shows that it continues the one before it: `first`, `content`, `times` or `number`

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            "generation": self.generation,
            "name": self.name,
            "set": self.at,
            "entry": self.entry,
            "digest": self.digest.hex(),
            "also_in": list(self.also_in),
            "proof": self.proof,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A file of a set that takes part in a restore, and that is not placed."""

    at: int  # The set: a number in `ChainSelection.sets`
    entry: int  # The number of its entry
    name: str  # Its name
    reason: str  # Why

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {"set": self.at, "entry": self.entry, "name": self.name, "reason": self.reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSelection:
    """What a restore places, from which sets.

    Of the first set everything is placed but what is in `left_out`; of the others nothing but their logs in `logs`.
    """

    # The sets that take part, the one with the databases first, then in the order of their generations.
    sets: tuple[SelectedSet, ...]
    logs: tuple[SelectedLog, ...]  # The logs, in order
    left_out: tuple[LeftOut, ...]  # Files of these sets that are not placed
    unused: tuple[str, ...]  # Labels of sets that take no part
    target: int  # The generation that is reached; 0 without logs
    hard: bool  # Whether hard recovery follows: the databases are copies from a streaming backup
    remarks: tuple[Fault, ...] = ()  # Faults that are worth knowing and in no one's way
    not_checked: tuple[str, ...] = ()  # What the verdict leaves open

    def excluded(self) -> frozenset[int]:
        """Return the entries of the first set that are not placed."""
        return frozenset(one.entry for one in self.left_out if one.at == 0)

    def log_entries(self, at: int) -> tuple[int, ...]:
        """Return the entries of a set that are placed as logs."""
        return tuple(log.entry for log in self.logs if log.at == at)

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            "sets": [one.to_json() for one in self.sets],
            "logs": [log.to_json() for log in self.logs],
            "left_out": [one.to_json() for one in self.left_out],
            "unused": list(self.unused),
            "target": self.target or None,
            "recovery": "hard" if self.hard else "soft" if self.logs else "none",
            "remarks": [fault.to_json() for fault in self.remarks],
            "not_checked": list(self.not_checked),
        }


def restorable(chain: Chain, target: int | None = None, *, full: bytes | None = None) -> ChainSelection:
    """Return what has to be placed to bring databases to a generation.

    Args:
        chain: The sets.
        target: The generation; None for all logs that there are.
        full: The id of the archive with the databases; by default the latest one that leads there.

    Raises:
        InputError: There is no set of that id, or it holds no databases, or the target is below what the databases
            need.
        NotRestorableError: The target cannot be reached, or more than one history leads there.
    """
    bases = _candidates(chain, full)
    sound = [base for base in bases if not _blocking(base)]
    if not sound:
        faults = in_order(_blocking(bases[-1]))
        label = chain.members[bases[-1].member].label
        raise NotRestorableError(
            f"{label} cannot be restored: {faults[0].message}", faults=faults, hint=faults[0].next_step
        )
    if target is None:
        base = _latest(chain, sound)
        return _select(chain, base, base.runs[0].end if len(base.runs) == 1 else None)
    return _select(chain, _reaching(chain, sound, target), target)


def _candidates(chain: Chain, full: bytes | None) -> list[Base]:
    if full is None:
        if not chain.bases:
            faults = tuple(fault for standing in chain.standings for fault in standing.faults)
            raise NotRestorableError(
                "no set with databases is here", faults=in_order(faults), hint="add the archive of the full backup"
            )
        return list(chain.bases)
    found = [base for base in chain.bases if chain.members[base.member].id == full]
    if not found:
        raise InputError(f"no set with databases has the id {full.hex()}")
    return found


def _blocking(base: Base) -> list[Fault]:
    return [fault for fault in base.faults if fault.severity is not Severity.WARNING]


def _latest(chain: Chain, bases: list[Base]) -> Base:
    """Return the base that needs the fewest logs to come to the end of everything that is here.

    Raises:
        NotRestorableError: There is no one end: several log streams, histories that parted, a hole, a log that does not
            link.
    """
    streams = {run.stream for base in bases for run in base.runs}
    lonely = [base for base in bases if not base.runs]
    if (len(streams) > 1 and len(bases) > 1) or (lonely and len(bases) > 1):
        listed = ", ".join(chain.members[base.member].label for base in bases)
        raise NotRestorableError(
            f"the sets are of more than one server or database: {listed}",
            hint="name the full and its sets one by one, or put each chain into a folder of its own",
        )
    best = max(bases, key=lambda base: (base.end, base.floor))
    for run in best.runs:
        _demand_all_reached(chain, run)
    return best


def _demand_all_reached(chain: Chain, run: Run) -> None:
    for version in sorted(chain.logs.of_stream(run.stream), key=lambda one: one.generation):
        if version.generation < run.start or run.at(version.generation) is version:
            continue
        reached = run.at(version.generation)
        if reached is not None:
            fault = fork_fault(chain.members, version.generation, (reached, version))
        else:
            highest = max(one.generation for one in chain.logs.of_stream(run.stream))
            fault = end_fault(chain.members, chain.logs, run, highest)
        last = f"0x{run.end:X}" if run.end else "nothing"
        raise NotRestorableError(
            f"not all logs can be played: {fault.message}",
            faults=(fault,),
            hint=f"{fault.next_step}; or stop at the last one that can be reached: --until {last}",
        )


def _reaching(chain: Chain, bases: list[Base], target: int) -> Base:
    """Return the base that needs the fewest logs to come to a generation.

    Raises:
        InputError: All of them are above it, or have no logs.
        NotRestorableError: None comes to it, or they come to different logs of that number.
    """
    below = [base for base in bases if len(base.runs) == 1 and base.floor <= target]
    if not below:
        floors = ", ".join(f"{chain.members[base.member].label}: 0x{base.floor:X}" for base in bases)
        raise InputError(
            f"generation 0x{target:X} is below what the databases need ({floors})",
            hint="take an older full, or a later generation",
        )
    there = [base for base in below if base.runs[0].at(target) is not None]
    if not there:
        base = max(below, key=lambda one: (one.end, one.floor))
        fault = end_fault(chain.members, chain.logs, base.runs[0], target)
        raise NotRestorableError(
            f"generation 0x{target:X} cannot be reached: {fault.message}", faults=(fault,), hint=fault.next_step
        )
    found = {id(base.runs[0].at(target)): base.runs[0].at(target) for base in there}
    if len(found) > 1:
        fault = fork_fault(chain.members, target, [one for one in found.values() if one is not None])
        raise NotRestorableError(fault.message, faults=(fault,), hint=fault.next_step)
    return max(there, key=lambda base: base.floor)


def _select(chain: Chain, base: Base, target: int | None) -> ChainSelection:
    """Return what a base and its run come to.

    Raises:
        NotRestorableError: A log is needed that has unlike bytes in two sets, or one that is damaged.
    """
    if target is not None:
        used = [version for version in base.runs[0].versions if version.generation <= target]
    else:
        used = [version for run in base.runs for version in run.versions if base.member in version.members]
    _demand_sound(chain, used)
    numbers = [base.member, *_cover(base.member, used)]
    logs = _logs(numbers, used)
    return ChainSelection(
        sets=tuple(_selected(chain.members[number], at, logs) for at, number in enumerate(numbers)),
        logs=logs,
        left_out=_left_out(chain, numbers, logs),
        unused=tuple(one.label for at, one in enumerate(chain.members) if at not in numbers),
        target=target or max((log.generation for log in logs), default=0),
        hard=base.hard,
        remarks=in_order(_remarks(chain, numbers)),
        not_checked=base.verdict.not_checked,
    )


def _remarks(chain: Chain, numbers: Sequence[int]) -> list[Fault]:
    listed = [fault for number in numbers for fault in chain.standings[number].faults]
    return [fault for fault in listed if fault.severity is Severity.WARNING]


def _demand_sound(chain: Chain, used: Sequence[Version]) -> None:
    for version in used:
        if version.differing:
            fault = differing_fault(chain.members, version)
            raise NotRestorableError(fault.message, faults=(fault,), hint=fault.next_step)
    for number in sorted({version.copies[0].member for version in used}):
        names = {version.facts.name for version in used if version.copies[0].member == number}
        for fault in judge(chain.members[number].facts).blocking:
            if names.intersection(fault.files):
                raise NotRestorableError(fault.message, faults=(fault,), hint=fault.next_step)


def _cover(base: int, used: Sequence[Version]) -> list[int]:
    """Return the fewest further sets that have all logs: each time the one that reaches furthest without a hole."""
    chosen: list[int] = []
    at = 0
    while at < len(used):
        if base in used[at].members or used[at].members.intersection(chosen):
            at += 1
            continue
        chosen.append(max(sorted(used[at].members), key=lambda number: _reach(used, at, number)))
    return chosen


def _reach(used: Sequence[Version], at: int, number: int) -> int:
    """Return how many logs from a place on a set has one after the other."""
    count = 0
    while at + count < len(used) and number in used[at + count].members:
        count += 1
    return count


def _logs(numbers: Sequence[int], used: Sequence[Version]) -> tuple[SelectedLog, ...]:
    result = []
    before: Version | None = None
    for version in used:
        # A log that was still being written gives way to the same log once it was closed; else the first set counts.
        copies = sorted(
            (copy for copy in version.copies if copy.member in numbers),
            key=lambda copy: (copy.facts.current, numbers.index(copy.member)),
        )
        facts = copies[0].facts
        places = list(dict.fromkeys(numbers.index(copy.member) for copy in copies))
        assert facts.number is not None
        assert facts.digest is not None
        log = SelectedLog(
            generation=version.generation,
            name=facts.name,
            at=places[0],
            entry=facts.number,
            digest=facts.digest,
            also_in=tuple(places[1:]),
            proof=_proof(before, version),
        )
        result.append(log)
        before = version
    return tuple(result)


def _proof(before: Version | None, version: Version) -> str:
    if before is None or before.generation + 1 != version.generation:
        return "first"
    found = link(before.facts, version.facts).proof
    return found.value if found else "number"


def _selected(member: Member, at: int, logs: Sequence[SelectedLog]) -> SelectedSet:
    own = [log.generation for log in logs if log.at == at or at in log.also_in]
    return SelectedSet(
        label=member.label, id=member.id, root=member.root, low=min(own, default=0), high=max(own, default=0)
    )


def _left_out(chain: Chain, numbers: Sequence[int], logs: Sequence[SelectedLog]) -> tuple[LeftOut, ...]:
    """Return the files of the chosen sets that are not placed, each with its reason."""
    taken = {(log.at, log.entry) for log in logs}
    return tuple(
        LeftOut(at=at, entry=one.number, name=one.name, reason=reason)
        for at, number in enumerate(numbers)
        for one, reason in _not_placed(chain.members[number], at, logs)
        if one.number is not None and (at, one.number) not in taken
    )


def _not_placed(member: Member, at: int, logs: Sequence[SelectedLog]) -> Iterator[tuple[FileFacts, str]]:
    """Yield the files of a set that are not placed, chosen logs among them."""
    highest = max((log.generation for log in logs), default=0)
    placed = {log.generation for log in logs}
    facts = member.facts
    for log in facts.logs:
        if log.generation in placed:
            yield log, "this generation comes from another set or file"
        elif (log.generation or 0) > highest:
            yield log, "after the target"
        else:
            yield log, "not part of the run of logs onto these databases"
    for checkpoint in facts.checkpoints:
        yield checkpoint, "a checkpoint: recovery would begin where it stands"
    for flush_map in facts.flush_maps:
        yield flush_map, "a flush map: the engine makes it anew"
    for database in facts.databases:
        if at:
            yield database, "the databases come from the first set"
        elif database.temporary:
            yield database, "a temporary database: the engine makes it anew"
