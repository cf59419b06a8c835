"""The verdict as data: what becomes of each database of a set, and what each log is to them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from tokar.sets.faults import Fault, Severity, spans
from tokar.sets.need import Basis

if TYPE_CHECKING:
    from tokar.sets.need import Need


class Verdict(StrEnum):
    """What becomes of a database, the best first."""

    CLEAN = "clean"
    RECOVERABLE = "recoverable"
    TEMPORARY = "temporary"
    NOT_CHECKED = "not-checked"
    WITH_LOSS = "recoverable-with-loss"
    DAMAGED = "damaged"
    NOT_RECOVERABLE = "not-recoverable"


_WORDS: Final = {
    Verdict.CLEAN: "clean and usable alone",
    Verdict.RECOVERABLE: "recoverable",
    Verdict.TEMPORARY: "a temporary database: the engine makes it anew",
    Verdict.NOT_CHECKED: "not checked",
    Verdict.WITH_LOSS: "recoverable with loss",
    Verdict.DAMAGED: "damaged",
    Verdict.NOT_RECOVERABLE: "NOT recoverable",
}
RESTORABLE: Final = {Verdict.CLEAN, Verdict.RECOVERABLE, Verdict.TEMPORARY, Verdict.NOT_CHECKED}


class LogRole(StrEnum):
    """What a log is to the databases of its set."""

    NEEDED = "needed"
    COMMITTED = "committed"  # holds committed transactions beyond the required range
    FORWARD = "forward"  # continues the run: play forward
    SUPERSEDED = "superseded"  # older than anything a database needs
    AFTER_GAP = "after-gap"  # the run does not reach it
    FOREIGN = "foreign"  # of another stream
    UNUSED = "unused"  # unreadable, or another log stands for its generation


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseVerdict:
    """What becomes of one database."""

    name: str  # Its name
    verdict: Verdict  # The verdict
    state: str  # Its state, as the engine names it
    need: Need  # The logs it needs
    missing: tuple[range, ...] = ()  # Generations it needs that are not here, as runs
    reaches: int = 0  # The highest generation that can be played onto it; 0 where none can
    faults: tuple[Fault, ...] = ()  # What is wrong, the root cause first
    not_checked: tuple[str, ...] = ()  # What the verdict leaves open

    def __str__(self) -> str:
        """Return the verdict in a sentence."""
        return f"{_WORDS[self.verdict]}{self._needs()}"

    def _needs(self) -> str:
        need = self.need
        if not need.low:
            return "" if need.basis is Basis.CLEAN else f": {need.why}" if need.why else ""
        present = f"missing {spans(self.missing)}" if self.missing else "present"
        return f": {need.why}, needs logs {spans([range(need.low, need.committed + 1)])}: {present}"

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            "name": self.name,
            "verdict": self.verdict.value,
            "text": str(self),
            "state": self.state,
            "needs": self.need.to_json(),
            "missing": [{"low": run[0], "high": run[-1]} for run in self.missing],
            "reaches": self.reaches,
            "faults": [fault.to_json() for fault in self.faults],
            "not_checked": list(self.not_checked),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SetVerdict:
    """What becomes of a set."""

    databases: tuple[DatabaseVerdict, ...]  # One verdict for each database
    log_roles: tuple[tuple[str, LogRole], ...]  # What each log is, by its name
    faults: tuple[Fault, ...]  # Everything that is wrong, the worst and its root cause first
    not_checked: tuple[str, ...]  # What the verdict leaves open

    @property
    def worst(self) -> Verdict | None:
        """The worst verdict; None without databases."""
        order = list(Verdict)
        return max((one.verdict for one in self.databases), key=order.index, default=None)

    @property
    def blocking(self) -> tuple[Fault, ...]:
        """The faults that recovery does not get past without a loss."""
        return tuple(fault for fault in self.faults if fault.severity is not Severity.WARNING)

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            "verdict": self.worst.value if self.worst else None,
            "databases": [one.to_json() for one in self.databases],
            "logs": [{"name": name, "role": role.value} for name, role in self.log_roles],
            "faults": [fault.to_json() for fault in self.faults],
            "not_checked": list(self.not_checked),
        }
