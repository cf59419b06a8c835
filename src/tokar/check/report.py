"""The graded verdict as data: rungs, what became of each, and what was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from functools import cached_property
from itertools import chain as in_turn
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from tokar.as_json import Array, as_json, fields_json
from tokar.codes import Code
from tokar.collect.on_disk import missed_by, spared_by
from tokar.errors import ArchiveError, FormatError, SetError
from tokar.format.identity import KnownBy
from tokar.sets.backup_set import BackupSet, found_beside
from tokar.sets.by_other_means import beside_sets
from tokar.sets.chain import Chain
from tokar.sets.faults import Fault
from tokar.sets.idle import idle_in
from tokar.sets.joining import build_chain
from tokar.sets.judge import SetVerdict
from tokar.sets.outcome import (
    LastLine,
    LeftOpen,
    SparedSet,
    one_by_one,
    weigh,
    with_damage,
    with_idle,
    with_unread,
    worst,
)


class Rung(StrEnum):
    """The steps of the verdict, in their order."""

    READABLE = "readable"
    SEALED = "sealed"
    INTACT = "intact"
    CONSISTENT = "consistent"
    CHAINED = "chained"
    PLACEABLE = "placeable"
    REHEARSED = "rehearsed"


class RungState(StrEnum):
    """What became of a rung."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_LOOKED_AT = "not looked at"


@dataclass(frozen=True, slots=True, kw_only=True)
class RungFault:
    """One thing that a rung found."""

    kind: str  # Its name: a kind of fault, or the class of an error
    message: str  # What is wrong, in one sentence
    files: tuple[str, ...] = ()  # The files concerned
    databases: tuple[str, ...] = ()  # The databases that suffer
    engine: Code | None = None  # The error that the engine would give
    next_step: str = ""  # What to do
    consequences: tuple[str, ...] = ()  # What follows from it
    is_loss: bool = False  # Whether recovery goes on without what is lost by it
    exit_code: int = SetError.exit_code  # The exit code of the archive

    @classmethod
    def of_fault(cls, fault: Fault) -> RungFault:
        """Return a fault of a set as what a rung found."""
        return cls(kind=fault.kind.value, **{name: getattr(fault, name) for name in _SHARED})

    @classmethod
    def of_error(cls, error: ArchiveError, entry: str | None = None) -> RungFault:
        """Return an error as what a rung found."""
        files = (entry,) if entry else ()
        kind, step = error.word, error.hint or ""
        return cls(kind=kind, message=str(error), files=files, next_step=step, exit_code=error.exit_code)

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {"kind": self.kind, **fields_json(self, *_SHARED[:-1])}


def outcome_of_damage(
    error: ArchiveError, chain: Chain | None = None, missed: Sequence[ArchiveError] = ()
) -> LastLine | None:
    """Return what a verdict comes to by an error that shows an archive to be damaged; None for any other error.

    Args:
        error: The error.
        chain: The sets that were named, where there are several: what counts is what the others come to without it.
        missed: The errors of all archives that cannot be read and are missed, where this is one of them.
    """
    if not isinstance(error, FormatError) and error not in missed:
        return None
    others = [*_others(chain, str(error.path))] if chain is not None else []
    rest = build_chain(others).outcome if others else None
    return with_unread(rest, missed or [error], alone=not others and len(missed) < 2)


def _others(chain: Chain, path: str) -> Iterator[BackupSet]:
    """Yield the sets that are there without an archive; its own too where that is there a second time."""
    for one in chain.sets:
        twins = chain.twins.get(KnownBy(one.id, one.root), ())
        if one.label != path or twins:
            yield one if one.label != path else replace(one, label=twins[0])


_SHARED: Final = tuple(field.name for field in fields(RungFault) if field.name != "kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class RungResult:
    """What became of one rung."""

    rung: Rung  # Which
    summary: str = ""  # What was looked at, or why it was not
    details: tuple[str, ...] = ()  # The same in more lines
    findings: tuple[RungFault, ...] = ()  # What makes it fail, the root cause first
    remarks: tuple[RungFault, ...] = ()  # What is worth knowing and does not
    not_looked_at: tuple[str, ...] = ()  # What a rung that was looked at left out
    unproven: tuple[str, ...] = ()  # What was asked for and nobody could judge: that is not passed
    unasked: tuple[str, ...] = ()  # What the last line says where nothing else is left to say: nobody asked for it
    part: LastLine | None = None  # Where it needs a full that is not here, and is no worse for that
    skipped: bool = False  # Whether it was not looked at at all
    # What is in the way as the verdict on a set has it, the root cause first, where several rungs are about that.
    judged: tuple[RungFault, ...] | None = None
    damage: tuple[ArchiveError, ...] = ()  # What of it is wrong with records that no file needs

    @property
    def causes(self) -> tuple[RungFault, ...]:
        """What is in the way of what is asked for."""
        return self.findings if self.judged is None else self.judged

    @property
    def state(self) -> RungState:
        """What became of it: it failed if anything was found."""
        if self.findings:
            return RungState.FAILED
        return RungState.NOT_LOOKED_AT if self.skipped or self.unproven else RungState.PASSED

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return fields_json(
            self, "rung", "state", "summary", "details", "findings", "remarks", "unproven", "not_looked_at"
        )


def joined(results: Sequence[RungResult]) -> RungResult:
    """Return what became of one rung that was climbed in several ways."""

    def every(name: str) -> Any:
        return tuple(in_turn.from_iterable(getattr(one, name) for one in results))

    return RungResult(
        rung=results[0].rung,
        summary="; ".join(one.summary for one in results if one.summary),
        details=every("details"),
        findings=every("findings"),
        remarks=every("remarks"),
        not_looked_at=every("not_looked_at"),
        unproven=every("unproven"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveCheck:
    """The verdict on one archive."""

    path: str  # The archive
    rungs: tuple[RungResult, ...]  # One result for each rung
    backup_set: BackupSet | None = None  # What it says of itself as a set; None where that could not be read
    verdict: SetVerdict | None = None  # What becomes of its databases, going by this archive alone
    left_out: tuple[tuple[str, str], ...] = ()  # Files as they lie that are no part of the set, each with the reason
    error: ArchiveError | None = None  # What kept it from being looked at whole
    next_steps: tuple[str, ...] = ()  # How recovery begins after its restore, where it has no current log to begin with

    @property
    def outcome(self) -> LastLine:
        """What it comes to, all rungs together."""
        judged = self.outcome_of_files
        return with_damage(judged, (error for result in self.rungs for error in result.damage)) or judged

    @property
    def outcome_of_files(self) -> LastLine:
        """The same without damage in records that no file needs."""
        found = [one for result in self.rungs for one in result.causes]
        part = next((result.part for result in self.rungs if result.part), None)
        unjudged = [one for result in self.rungs for one in result.unproven]
        unasked = [one for result in self.rungs for one in result.unasked]
        return weigh(found, LeftOpen(unjudged, unasked), part)

    @property
    def outcome_if_spared(self) -> LastLine:
        """What it comes to where a restore does without its set: what is wrong with its bytes."""
        rungs = [*takewhile(lambda result: result.rung is not Rung.CHAINED, self.rungs)]
        found = weigh([one for result in rungs for one in result.causes], LeftOpen())
        return with_damage(found, (error for result in rungs for error in result.damage)) or found

    def to_json(self, array: Array = list) -> dict[str, Any]:
        """Return it as values for JSON. `array`: makes the arrays that have a row for each log."""
        return {
            "path": self.path,
            "set": as_json(self.backup_set),
            "rungs": as_json(self.rungs),
            "verdict": self.verdict and self.verdict.to_json(array),
            "outcome": as_json(self.outcome),
            "next": list(self.next_steps),
        }


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """The verdict on archives."""

    archives: tuple[ArchiveCheck, ...]  # One for each
    chain: Chain = field(repr=False, compare=False)  # How those that could be read fit together
    complete: bool = False  # Whether logs must be given together with their full
    given: tuple[Path, ...] = ()  # The archives, and the folders with archives, that were named
    lying: int = 0  # How many of the last ones are files as they lie, which were named too

    @cached_property
    def missed(self) -> tuple[ArchiveError, ...]:
        """What of several archives cannot be read, and was named or may belong to the others."""
        sets = [one.backup_set for one in self.archives if one.backup_set is not None]
        found = missed_by(self.chain, found_beside(sets, self._unread, self.given))
        lying = (one.error for one in self.archives[len(self.archives) - self.lying :] if one.backup_set is None)
        return (*found, *(error for error in lying if error and error not in found))

    @property
    def spared(self) -> tuple[SparedSet, ...]:
        """What takes no part and does not pass: sets, and what cannot be read and is not missed."""
        return (*self.chain.spared, *spared_by(self._unread, self.missed))

    @property
    def errors(self) -> Iterator[ArchiveError]:
        """What kept archives from being looked at whole that are not passed over for others."""
        sets = {one.label for one in self.chain.sets}
        for one in self.archives:
            if one.error and ((one.backup_set and one.backup_set.label in sets) or one.error in self.missed):
                yield one.error

    @property
    def _unread(self) -> list[ArchiveError]:
        """Why there are archives of which no set came."""
        return [one.error for one in self.archives if one.backup_set is None and one.error]

    @property
    def outcome(self) -> LastLine | None:
        """What all of them come to: the worst last line, of several the one of the lowest logs; None without any."""
        order = {(one.id, one.root): at for at, one in enumerate(self.chain.sets)}
        looked = [(one, one.backup_set) for one in self.archives if one.backup_set is not None]
        known = sorted(((order[its.id, its.root], one) for one, its in looked), key=lambda pair: pair[0])
        spared = [one.outcome_if_spared for at, one in known if self.chain.is_spared(at)]
        found = [(at, self._counted(one, at)) for at, one in known if not self.chain.is_spared(at)]
        judged = worst([*spared, *(one for at, one in found if self.complete or not self.chain.takes_no_part(at, one))])
        others = [one for one in self.archives if one.backup_set is None]
        if len(self.archives) > 1:
            judged = with_unread(judged, self.missed)
            others = [one for one in others if not one.error]
        all_of_them = worst(filter(None, (*(one.outcome for one in others), judged)))
        return one_by_one(with_idle(all_of_them, () if self.complete else idle_in(self.chain)), self.chain.choice)

    def _counted(self, one: ArchiveCheck, at: int) -> LastLine:
        """Return what an archive comes to beside others: damage of a copy is not met where the other is read."""
        is_read = one.backup_set is not None and one.backup_set.label == self.chain.sets[at].label
        return one.outcome if is_read else one.outcome_of_files

    @property
    def exit_code(self) -> int:
        """That of the last line: 0 if every rung that was asked for passed."""
        return self.outcome.exit_code if self.outcome else 0

    def to_json(self, array: Array = list) -> dict[str, Any]:
        """Return it as values for JSON. `array`: makes the arrays that have a row for each log."""
        return {
            "ok": not self.exit_code,
            "archives": [one.to_json(array) for one in self.archives],
            "spared": as_json(self.spared),
            "beside": list(beside_sets(self.chain.sets)),
            "outcome": as_json(self.outcome),
        }
