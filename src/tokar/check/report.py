"""The graded verdict as data: rungs, what became of each, and what was found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokar.codes import Code
    from tokar.errors import ArchiveError
    from tokar.restore.plan import Problem
    from tokar.sets.backup_set import BackupSet
    from tokar.sets.faults import Fault
    from tokar.sets.judge import SetVerdict


class Rung(StrEnum):
    """The steps of the verdict, in their order."""

    READABLE = "readable"
    SEALED = "sealed"
    INTACT = "intact"
    CONSISTENT = "consistent"
    CHAINED = "chained"
    PLACEABLE = "placeable"
    REHEARSED = "rehearsed"


class State(StrEnum):
    """What became of a rung."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_LOOKED_AT = "not looked at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a rung found."""

    kind: str  # Its name: a kind of fault, or the class of an error
    message: str  # What is wrong, in one sentence
    files: tuple[str, ...] = ()  # The files concerned
    databases: tuple[str, ...] = ()  # The databases that suffer
    engine: Code | None = None  # The error that the engine would give
    next_step: str = ""  # What to do
    consequences: tuple[str, ...] = ()  # What follows from it

    @classmethod
    def of_fault(cls, fault: Fault) -> Finding:
        """Return a fault of a set as a finding."""
        return cls(
            kind=fault.kind.value,
            message=fault.message,
            files=fault.files,
            databases=fault.databases,
            engine=fault.engine,
            next_step=fault.next_step,
            consequences=fault.consequences,
        )

    @classmethod
    def of_error(cls, error: ArchiveError, entry: str | None = None) -> Finding:
        """Return an error as a finding."""
        return cls(
            kind=type(error).__name__,
            message=str(error),
            files=(entry,) if entry else (),
            next_step=error.hint or "",
        )

    @classmethod
    def of_problem(cls, problem: Problem) -> Finding:
        """Return a problem of a plan as a finding."""
        error = problem.error
        return cls(kind=type(error).__name__, message=str(error), next_step=error.hint or "")

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            "kind": self.kind,
            "message": self.message,
            "files": list(self.files),
            "databases": list(self.databases),
            "engine": self.engine.to_json() if self.engine else None,
            "next_step": self.next_step,
            "consequences": list(self.consequences),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RungResult:
    """What became of one rung."""

    rung: Rung  # Which
    state: State  # What became of it
    summary: str = ""  # What was looked at, or why it was not
    details: tuple[str, ...] = ()  # The same in more lines
    findings: tuple[Finding, ...] = ()  # What makes it fail, the root cause first
    remarks: tuple[Finding, ...] = ()  # What is worth knowing and does not
    not_looked_at: tuple[str, ...] = ()  # What a rung that was looked at left out
    exit_code: int = 0  # The exit code that the failure gives

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            "rung": self.rung.value,
            "state": self.state.value,
            "summary": self.summary,
            "details": list(self.details),
            "findings": [finding.to_json() for finding in self.findings],
            "remarks": [finding.to_json() for finding in self.remarks],
            "not_looked_at": list(self.not_looked_at),
        }


def settled(
    rung: Rung,
    findings: Sequence[Finding],
    remarks: Sequence[Finding] = (),
    *,
    code: int,
    summary: str,
    details: Sequence[str] = (),
    left_out: Sequence[str] = (),
) -> RungResult:
    """Return the result of a rung that was looked at: failed if anything was found.

    Args:
        rung: The rung.
        findings: What makes it fail.
        remarks: What does not.
        code: The exit code of the failure.
        summary: What was looked at.
        details: The same in more lines.
        left_out: What was not.
    """
    return RungResult(
        rung=rung,
        state=State.FAILED if findings else State.PASSED,
        summary=summary,
        details=tuple(details),
        findings=tuple(findings),
        remarks=tuple(remarks),
        not_looked_at=tuple(left_out),
        exit_code=code if findings else 0,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveCheck:
    """The verdict on one archive."""

    path: str  # The archive
    rungs: tuple[RungResult, ...]  # One result for each rung
    backup_set: BackupSet | None = None  # What it says of itself as a set; None where that could not be read
    verdict: SetVerdict | None = None  # What becomes of its databases, going by this archive alone

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            "path": self.path,
            "set": self.backup_set.to_json() if self.backup_set else None,
            "rungs": [result.to_json() for result in self.rungs],
            "verdict": self.verdict.to_json() if self.verdict else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """The verdict on archives."""

    archives: tuple[ArchiveCheck, ...]  # One for each

    @property
    def exit_code(self) -> int:
        """0 if every rung that was asked for passed; else that of the lowest rung that failed."""
        order = list(Rung)
        failed = [result for check in self.archives for result in check.rungs if result.state is State.FAILED]
        return min(failed, key=lambda result: order.index(result.rung)).exit_code if failed else 0

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {"ok": not self.exit_code, "archives": [check.to_json() for check in self.archives]}
