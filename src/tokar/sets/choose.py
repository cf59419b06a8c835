"""Which sets, and which log from which set, bring databases to a generation: exactly, or an error with the reason.

Nothing is ever given in place of what was asked for: a target that cannot be reached, and "as far as there are logs"
where there is more than one history or a hole, are refused.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice, takewhile
from pathlib import Path
from typing import Final

from tokar.errors import InputError, RestoreError, SetError
from tokar.names import leaf_of, printable
from tokar.sets.backup_set import BackupSet
from tokar.sets.by_generation import Copy
from tokar.sets.chain import Chain, differing_fault, end_fault, mended_logs
from tokar.sets.facts import FileFacts, LogFacts, is_foreign
from tokar.sets.fault_list import in_order
from tokar.sets.faults import Fault, FaultKind, Rules
from tokar.sets.idle import idle_in, why_unused
from tokar.sets.judge import judge_set
from tokar.sets.left_out import HARMLESS, LeftOut
from tokar.sets.links import link
from tokar.sets.log_run import LogRun, first_off, fork_fault, is_beside, is_proven_other
from tokar.sets.logs import stream_of
from tokar.sets.missed import missed_with
from tokar.sets.outcome import LastLine, LeftOpen, Word, badness, weigh
from tokar.sets.selection import ChainSelection, NotPlaced, SelectedLog, SelectedSet
from tokar.sets.start import ChainStart, are_of_several, choice_fault, lacks, up_to, with_all
from tokar.sets.version import Version
from tokar.words import some

_TRIES: Final = 8
"""How many times a log is looked for at which a restore may stop: each time below what is wrong before it."""

_ELSEWHERE: Final = "this generation comes from another set or file"
_NO_PART: Final = "not part of the run of logs onto these databases"
_LACKS_LOGS: Final = frozenset({FaultKind.LOG_MISSING, FaultKind.COMMITTED_LOG_MISSING, FaultKind.NO_CURRENT_LOG})


class NotRestorableError(RestoreError, SetError):
    """The sets that are here do not bring the databases to the wanted state: a restore of them is refused.

    Args:
        message: Why, in one line.
        faults: The faults in the way, the root cause first.
        hint: What to do next.
    """

    others: Sequence[NotRestorableError] = ()  # Why other folders are refused too, where each is judged by itself
    chain: Chain | None = None  # The sets, where all of them were wanted: then the last line is as `check` says it

    def __init__(self, message: str, *, faults: Sequence[Fault] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.faults = tuple(faults)

    @property
    def outcome(self) -> LastLine:
        """What the verdict on the sets comes to; where no one choice of them is wanted, that on all of them."""
        found = self.chain.outcome if self.chain is not None else None
        if found is None or (self.faults and not self._is_said(found)):
            open_ones = LeftOpen(unasked=[one.message for one in self.faults if not one.blocks])
            blocking = [one for one in self.faults if one.blocks]
            found = weigh(blocking, open_ones) if self.faults else LastLine(Word.NOT_RESTORABLE, self.message)
        return found

    def _is_said(self, found: LastLine) -> bool:
        """Return whether what all sets come to counts what is in the way: a loss may be behind what is not judged."""
        if self.chain is None or not self.chain.starts or found.is_refused:
            return self.chain is not None  # without databases the verdict on the logs stands
        if self.chain.parted is not None and any(one.kind is self.chain.parted.kind for one in self.faults):
            return True  # each passes by itself: it is the choice that is refused
        weighed = {(one.kind, one.message) for verdict in self.chain.verdicts for one in verdict.blocking}
        return all(one.is_loss and (one.kind, one.message) in weighed for one in self.faults)


def restorable(
    chain: Chain,
    target: int | None = None,
    *,
    full: bytes | None = None,
    among: Sequence[ChainStart] | None = None,
    may_lack_logs: bool = False,
) -> ChainSelection:
    """Return what has to be placed to bring databases to a generation.

    Args:
        chain: The sets.
        target: The generation; None for all logs that there are.
        full: The id of the archive with the databases; by default the one that has all, and needs the fewest logs.
        among: The sets with databases to choose from, unless all of them.
        may_lack_logs: Whether a set is chosen all the same of which nothing is wrong but that logs are missing.

    Raises:
        InputError: There is no set of that id, or it holds no databases, or the target is below what the databases
            need.
        NotRestorableError: The target cannot be reached, or more than one history leads there.
    """
    if target is not None:
        chain = replace(chain, starts=tuple(up_to(one, target, chain.without) for one in chain.starts))
    starts = [*among] if among else _candidates(chain, full)
    spared = _LACKS_LOGS if may_lack_logs else frozenset[FaultKind]()
    sound = [start for start in starts if all(fault.kind in spared for fault in start.blocking)]
    if not sound:
        label = chain.sets[starts[-1].number].label
        raise _refusal(*in_order(starts[-1].blocking), text=f"{label} cannot be restored: ")
    try:
        start = _latest(chain, sound) if target is None else _reaching(chain, sound, target)
    except NotRestorableError:
        if target is None:  # the root cause goes first: what is wrong with a later set may be why logs are not reached
            _demand_none_in_place(chain, starts, max(sound, key=lambda one: one.floor), target)
        raise
    _demand_none_in_place(chain, starts, start, target)
    missed = tuple(missed_with(chain, start, target))
    if missed and full is None and among is None:
        step = f"; or do without: tokar restore --full {chain.sets[start.number].label}"
        raise _refusal(*missed, step=step)
    return replace(_select(chain, start, target), missed=missed)


def _demand_none_in_place(chain: Chain, starts: list[ChainStart], chosen: ChainStart, target: int | None) -> None:
    """Check that no set which cannot be restored would have been chosen else: an older one is not given in its place.

    Nor is one that lacks its databases.

    Raises:
        NotRestorableError: One would.
    """
    for start in (one for one in starts if one.blocking and (target is None or one.floor <= target)):
        is_other = lacks(chain.sets, chosen.number, [start.number])
        if start.floor > chosen.floor or is_other or (target is None and are_of_several([start, chosen])):
            label = chain.sets[start.number].label
            step = f"; or leave {leaf_of(label)} out: the others can be restored without it"
            raise _refusal(*in_order(start.blocking), text=f"{label} cannot be restored: ", step=step)


def full_called(chain: Chain, name: str) -> bytes:
    """Return the id of the archive of that path or name, which has databases.

    Raises:
        InputError: There is none, or more than one.
    """
    starts = [chain.sets[one.number] for one in chain.starts]
    found = [one for one in starts if Path(one.label) == Path(name)] or [
        one for one in starts if leaf_of(one.label) == name or Path(one.label).absolute() == Path(name).absolute()
    ]
    if len(found) != 1:
        how = "several sets with databases are" if found else "no set with databases is"
        hint = f"the sets with databases here: {some(one.label for one in starts)}" if starts else None
        raise InputError(f"{how} called {printable(name)}", hint=hint)
    return found[0].id


def _candidates(chain: Chain, full: bytes | None) -> list[ChainStart]:
    if full is None:
        if not chain.starts:
            faults = in_order(fault for verdict in chain.verdicts for fault in verdict.faults)
            hint = "add the archive of the full backup"
            if any(is_foreign(one.profile) for one in chain.sets):
                hint = "sets of another engine are restored one after the other: its own recovery joins them"
            raise NotRestorableError("no set with databases is here", faults=faults, hint=hint)
        return [one for one in chain.starts if one.number not in chain.apart] or [*chain.starts]
    found = [start for start in chain.starts if chain.sets[start.number].id == full]
    if not found:
        raise InputError(f"no set with databases has the id {full.hex()}", hint="tokar chain lists the sets")
    if found[0].number in chain.apart:
        message = f"{chain.sets[found[0].number].label} is of another history than the log of --branch"
        raise InputError(message, hint="leave --full out, or name a log of the history of that set")
    return found


def _refusal(cause: Fault, *others: Fault, text: str = "", step: str = "") -> NotRestorableError:
    """Return faults as an error.

    Args:
        cause: The root cause.
        others: What else is in the way.
        text: What comes before the cause in the message.
        step: What comes after its next step in the hint.
    """
    return NotRestorableError(f"{text}{cause.message}", faults=(cause, *others), hint=f"{cause.next_step}{step}")


def _latest(chain: Chain, starts: list[ChainStart]) -> ChainStart:
    """Return the start that needs the fewest logs to come to the end of everything that is here.

    Raises:
        NotRestorableError: There is no one end: several log streams, databases apart, histories that parted, a hole, a
            log that does not link.
    """
    _demand_a_choice(chain, starts)
    best = min(
        with_all(chain.sets, starts), key=lambda one: (-one.end, -one.floor, badness(chain.outcome_of(one.number)))
    )
    for run in best.runs:
        _demand_all_reached(chain, run, best.number)
    return best


def _demand_a_choice(chain: Chain, starts: Sequence[ChainStart], target: int | None = None) -> None:
    fault = choice_fault(chain.sets, starts, target)
    if fault is not None:
        raise NotRestorableError(fault.message, hint=fault.next_step)


def _demand_all_reached(chain: Chain, run: LogRun, number: int) -> None:
    found = {at for version in chain.logs.of_stream(run.stream) for at in version.sets} - {number}
    together = sorted(at for at in found if chain.verdicts[at].start == number)  # no other takes part
    for at, log in ((one, log) for one in together for log in chain.sets[one].facts.logs if log.damaged):
        is_wanted = log.current or (log.generation or 0) > run.end
        if is_wanted and log.name not in mended_logs(chain.sets, chain.logs, at):
            fault, start = Rules.LOG_UNREADABLE.of_log(log, log.note), chain.start_of(number)
            known = (one for one in start.blocking if one.message == fault.message) if start else iter(())
            raise _not_all(chain, run, next(known, fault))
    for version in chain.logs.of_stream(run.stream):
        if version.generation < run.start or run.at(version.generation) == version or version.sets == {number}:
            continue  # what the set with the databases itself has and does not reach, its own verdict names
        if is_beside(chain.logs, run, version) and not _goes_to_others(chain, run, version, number):
            continue
        first = first_off(chain.logs, run, version) or version
        reached = run.at(first.generation)
        if reached is not None:
            fault = fork_fault(chain.sets, first.generation, (reached, first))
        else:
            highest = max(one.generation for one in chain.logs.of_stream(run.stream))
            fault = end_fault(chain.sets, chain.logs, run, highest)
        raise _not_all(chain, run, fault)


def _goes_to_others(chain: Chain, run: LogRun, version: Version, number: int) -> bool:
    """Return whether a log is of another history, by what headers name, and that is the one of another full."""
    others = (start.run_of(run.stream) for start in chain.starts if start.number != number)
    found = any(one.at(version.generation) == version for one in others if one is not None)
    return found and is_proven_other(chain.logs, run, version)


def _not_all(chain: Chain, run: LogRun, cause: Fault) -> NotRestorableError:
    """Return why not all logs can be played, with the last one at which a restore may stop."""
    target, step = run.end, ""
    for _ in range(_TRIES):
        try:
            restorable(chain, target)
        except NotRestorableError as error:
            target = min((target, *error.faults[0].generations)) - 1 if error.faults else 0
        except InputError:
            break
        else:
            step = f"; or stop at the last one that can be reached: --until 0x{target:X}"
            break
    return _refusal(cause, text="not all logs can be played: ", step=step)


def _reaching(chain: Chain, starts: list[ChainStart], target: int) -> ChainStart:
    """Return the start that needs the fewest logs to come to a generation.

    Raises:
        InputError: All of them are above it, or have no logs.
        NotRestorableError: None comes to it, or they come to different logs of that number.
    """
    below = [start for start in starts if len(start.runs) == 1 and start.floor <= target]
    if not below:
        floors = ", ".join(f"{chain.sets[start.number].label}: 0x{start.floor:X}" for start in starts)
        raise InputError(
            f"generation 0x{target:X} is below what the databases need ({floors})",
            hint="take an older full, or a later generation",
        )
    if are_of_several(below):
        _demand_a_choice(chain, below)
    there = [start for start in below if start.runs[0].at(target) is not None]
    if not there:
        start = max(below, key=lambda one: (one.end, one.floor))
        fault = end_fault(chain.sets, chain.logs, start.runs[0], target)
        raise _refusal(fault, text=f"generation 0x{target:X} cannot be reached: ")
    found = {id(one.facts): one for start in there if (one := start.runs[0].at(target))}
    if len(found) > 1:
        raise _refusal(fork_fault(chain.sets, target, [*found.values()]))
    _demand_a_choice(chain, there, target)
    return min(with_all(chain.sets, there, target), key=lambda one: (-one.floor, badness(chain.outcome_of(one.number))))


def _select(chain: Chain, start: ChainStart, target: int | None) -> ChainSelection:
    """Return what a start and its run come to.

    Raises:
        NotRestorableError: A log is needed that has unlike bytes in two sets, or one that is damaged.
    """
    reached = (version for run in start.runs for version in run.versions)
    used = [version for version in reached if target is None or version.generation <= target]
    apart = start.left_out
    beside = {id(version) for version in start.beside(used)}
    placed = [version for version in used if id(version) not in beside]
    _demand_sound(chain, placed)
    highest = max((version.generation for version in placed), default=0)
    for version in used:
        if version.generation > highest and (target is not None or version.sets != {start.number}):
            _demand_sound(chain, [version])
            last = placed[-1].facts.name if placed else "no log"
            raise _refusal(start.gap_fault(version, last), *start.verdict.faults)
    used = placed
    usable = [_usable(chain, version, apart) for version in used]
    numbers = [start.number, *_cover(start.number, [frozenset(copy.at for copy in copies) for copies in usable])]
    logs = _logs(numbers, used, usable)
    return ChainSelection(
        sets=tuple(_selected(chain.sets[number], at, logs) for at, number in enumerate(numbers)),
        logs=logs,
        left_out=_left_out(chain, numbers, logs, apart),
        unused=tuple(one.label for at, one in enumerate(chain.sets) if at not in numbers),
        why_unused=dict(why_unused(chain, start, numbers)),
        idle=idle_in(chain),
        spared=chain.spared_beside(numbers),
        target=highest,
        hard=start.hard,
        remarks=in_order(_remarks(chain, numbers)),
        not_checked=start.verdict.not_checked,
    )


def _remarks(chain: Chain, numbers: Sequence[int]) -> Iterator[Fault]:
    """Yield what is worth knowing of chosen sets; nothing of databases that are not placed, for they miss none."""
    for at, number in enumerate(numbers):
        found = (one for one in chain.verdicts[number].faults if not one.blocks)
        yield from (one for one in found if not at or one.kind is not FaultKind.DATABASE_NOT_HERE)


def _demand_sound(chain: Chain, used: Sequence[Version]) -> None:
    for version in used:
        if version.differing:
            raise _refusal(differing_fault(chain.sets, version))
    for number in sorted({version.copies[0].at for version in used}):
        names = {version.facts.name for version in used if version.copies[0].at == number}
        for fault in judge_set(chain.sets[number].facts, without=chain.without).blocking:
            if names.intersection(fault.files) and fault.kind is not FaultKind.LOG_FOREIGN:  # to others of its set
                raise _refusal(fault)


def _usable(chain: Chain, version: Version, apart: Container[int]) -> list[Copy]:
    """Return the copies of a log from which one is placed: whole, and under the name that the engine looks for.

    Where none is like that, those that come next to it; one that is left out never, nor the current log where the
    closed one is here and another goes on from it.
    """
    found = [copy for copy in version.copies if id(copy.facts) not in apart]
    found = [copy for copy in found if copy in version.whole] or found
    found = [copy for copy in found if chain.logs.finds(copy.facts)] or found
    return [copy for copy in found if version.is_last or not copy.facts.current] or found


def _cover(start: int, having: Sequence[frozenset[int]]) -> list[int]:
    """Return the fewest further sets that have all logs: each time the one that reaches furthest without a hole.

    Args:
        start: The set with the databases.
        having: The sets that have each log, in order.
    """
    chosen = [start]
    for at, numbers in enumerate(having):
        if not any(number in numbers for number in chosen):
            chosen.append(max(sorted(numbers), key=lambda number: _reach(islice(having, at, None), number)))
    return chosen[1:]


def _reach(having: Iterable[frozenset[int]], number: int) -> int:
    """Return how many logs a set has one after the other, from the first on."""
    return sum(1 for _ in takewhile(lambda one: number in one, having))


def _logs(numbers: Sequence[int], used: Sequence[Version], usable: Sequence[Sequence[Copy]]) -> tuple[SelectedLog, ...]:
    result = []
    before: Version | None = None
    for version, known in zip(used, usable, strict=True):
        # A log that was still being written gives way to the same log once it was closed; else the first set counts.
        found = [copy for copy in known if copy.at in numbers]
        copies = sorted(found, key=lambda copy: (copy.facts.current, numbers.index(copy.at)))
        facts = copies[0].facts
        places = list(dict.fromkeys(numbers.index(copy.at) for copy in copies))
        assert facts.number is not None
        assert facts.digest is not None
        log = SelectedLog(
            generation=version.generation,
            name=facts.name,
            at=places[0],
            entry=facts.number,
            digest=facts.digest,
            also_in=tuple(places[1:]),
            also_as=tuple(_entry_in(copies, numbers[place]) for place in places[1:]),
            proof=_proof(before, version),
        )
        result.append(log)
        before = version
    return tuple(result)


def _entry_in(copies: Sequence[Copy], at: int) -> int | None:
    return next(copy.facts.number for copy in copies if copy.at == at)


def _proof(before: Version | None, version: Version) -> str:
    if before is not None and version.facts.is_opaque:
        return "number"
    if before is None or (before.stream, before.generation + 1) != (version.stream, version.generation):
        return "first"
    found = link(before.facts, version.facts).proof
    return found.value if found else "number"


def _selected(backup_set: BackupSet, at: int, logs: Sequence[SelectedLog]) -> SelectedSet:
    own = [log.generation for log in logs if log.at == at or at in log.also_in]
    return SelectedSet(
        label=backup_set.label,
        id=backup_set.id,
        root=backup_set.root,
        low=min(own, default=0),
        high=max(own, default=0),
    )


def _left_out(
    chain: Chain, numbers: Sequence[int], logs: Sequence[SelectedLog], apart: Mapping[int, LeftOut]
) -> tuple[NotPlaced, ...]:
    """Return the files of the chosen sets that are not placed, each with its reason."""
    taken = {(log.at, log.entry) for log in logs}
    start = chain.start_of(numbers[0])
    streams = {run.stream for run in start.runs} if start else set()
    leading = {one for run in start.runs for one in _leading(chain, run, numbers)} if start else set()
    judged = set(map(id, start.facts.logs)) if start else set()
    gave_way = [log for log in chain.sets[numbers[0]].facts.logs if stream_of(log) in streams and id(log) not in judged]
    found: dict[tuple[int, int], NotPlaced] = {}
    for log in gave_way:  # it gave way to the same one of another set, which may be no part of the run
        if log.number is not None and (0, log.number) not in taken:
            found[0, log.number] = NotPlaced(at=0, entry=log.number, name=log.name, reason=_NO_PART)
    for at, number in enumerate(numbers):
        for file, said in _not_placed(chain.sets[number], at, logs, streams, apart):
            if file.number is None or (at, file.number) in taken:
                continue
            own = apart.get(id(file))
            reason, code = (own.reason, own.code) if own else (said, _code_of(file, said))
            if id(file) in chain.without:
                reason, code = "of another history than the one that was asked for", -515
            does_no_harm = (own.is_harmless if own else reason in HARMLESS) or id(file) in leading
            found[at, file.number] = NotPlaced(
                at=at, entry=file.number, name=file.name, reason=reason, code=code, is_harmless=does_no_harm
            )
    return tuple(found.values())


def _code_of(file: FileFacts, reason: str) -> int | None:
    """Return what recovery answers to a log that another one stands for: a current log must be the last one (SFT-9)."""
    is_met = isinstance(file, LogFacts) and file.current and file.has_engine_name
    return -515 if is_met and reason == _ELSEWHERE else None


def _leading(chain: Chain, run: LogRun, numbers: Sequence[int]) -> Iterator[int]:
    """Yield the logs, by identity, that lead to a run in these sets: recovery would only begin further down."""
    first = run.table.version_of(run.logs[0]) if run.logs else None
    while first is not None:
        first = next(iter(chain.logs.preceding(first)), None)
        copies = [one.facts for one in first.whole if one.at in numbers] if first is not None and first.good else []
        if not any(one.has_engine_name and not one.current for one in copies):
            return
        yield from map(id, copies)


def _not_placed(
    backup_set: BackupSet, at: int, logs: Sequence[SelectedLog], streams: set[bytes], apart: Mapping[int, LeftOut]
) -> Iterator[tuple[FileFacts, str]]:
    """Yield the files of a set that are not placed, chosen logs among them; what the verdict leaves out says why."""
    highest = max((log.generation for log in logs), default=0)
    placed = {log.generation for log in logs}
    facts = backup_set.facts
    for log in facts.logs:
        if reason := _reason(log, at, highest, placed, streams):
            yield log, reason
    for one in (*facts.logs, *facts.next_logs, *facts.checkpoints, *facts.flush_maps, *facts.databases):
        if id(one) in apart:
            yield one, apart[id(one)].reason
    yield from ((one, one.why) for one in facts.aside)
    if at:
        yield from ((one, "a checkpoint: recovery would begin where it stands") for one in facts.checkpoints)
        yield from ((one, "a flush map: the engine makes it anew") for one in facts.flush_maps)
        yield from ((one, "the databases come from the first set") for one in facts.databases)


def _reason(log: LogFacts, at: int, highest: int, placed: set[int], streams: set[bytes]) -> str:
    """Return why a log is not placed, whatever the verdict says; empty where nothing but the verdict does."""
    other = _NO_PART if at else ""
    if log.signature is not None and stream_of(log) not in streams:
        return "of another log stream than the databases" if at else ""
    if log.generation in placed:
        return _ELSEWHERE
    return "after the target" if highest and (log.generation or 0) > highest else other
