"""What becomes of one database, in a word and with what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from tokar.as_json import fields_json
from tokar.sets.faults import Fault
from tokar.sets.need import Basis, Need
from tokar.words import logs_text, ranges, spans


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
RESTORABLE: Final = {Verdict.CLEAN, Verdict.RECOVERABLE, Verdict.TEMPORARY}
_WITH_DOUBT: Final = {Verdict.RECOVERABLE, Verdict.WITH_LOSS}  # What is left open may change them
_NOT_LOST: Final = {*RESTORABLE, Verdict.NOT_CHECKED}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseVerdict:
    """What becomes of one database."""

    name: str  # Its name
    verdict: Verdict  # The verdict
    state: str  # Its state, as the engine names it
    need: Need  # The logs it needs
    missing: Sequence[range] = ()  # Generations it needs that are not here, as runs
    reaches: int = 0  # The highest generation that can be played onto it; 0 where none can
    faults: tuple[Fault, ...] = ()  # What is wrong, the root cause first
    not_checked: tuple[str, ...] = ()  # What the verdict leaves open

    @property
    def is_lost(self) -> bool:
        """Whether it cannot be recovered, or only with a loss."""
        return self.verdict not in _NOT_LOST

    @property
    def is_doubtful(self) -> bool:
        """Whether it can be recovered unless what is left open says otherwise."""
        return bool(self.not_checked) and self.verdict in _WITH_DOUBT

    def __str__(self) -> str:
        """Return the verdict in a sentence."""
        doubt = ", as far as can be told" if self.is_doubtful else ""
        return f"{_WORDS[self.verdict]}{doubt}{self._needs()}"

    def _needs(self) -> str:
        need = self.need
        if not need.low:
            return "" if need.basis is Basis.CLEAN else f": {need.why}" if need.why else ""
        bad = {
            one
            for fault in self.faults
            if fault.blocks
            for one in fault.generations
            if need.low <= one <= need.committed
        }
        good = f"present, {ranges(bad)} no good" if bad else "present"
        present = f"missing {spans(self.missing)}" if self.missing else good
        return f": {need.why}, needs {logs_text([range(need.low, need.committed + 1)])[0]}: {present}"

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            **fields_json(self, "name", "verdict"),
            "text": str(self),
            "state": self.state,
            "needs": self.need.to_json(),
            "missing": [{"low": run[0], "high": run[-1]} for run in self.missing],
            **fields_json(self, "reaches", "faults", "not_checked"),
        }
