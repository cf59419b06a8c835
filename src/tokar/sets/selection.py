"""What a restore from several sets places, as data: which sets take part, and which log comes from which of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tokar.errors import SetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokar.sets.faults import Fault


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
