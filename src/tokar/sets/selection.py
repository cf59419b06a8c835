"""What a restore places, from which sets: the choice as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tokar.as_json import as_json, fields_json
from tokar.format.archive import Archive
from tokar.format.twins import damage_met
from tokar.sets.faults import Fault
from tokar.sets.outcome import LastLine, LeftOpen, SparedSet, weigh, with_unread


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedSet:
    """A set that takes part in a restore."""

    label: str  # Where it is
    id: bytes  # Archive id
    root: bytes  # Root
    low: int = 0  # Its lowest log that takes part; 0 without logs
    high: int = 0  # Its highest log that takes part

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            "path": self.label,
            **fields_json(self, "id", "root"),
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
    also_as: tuple[int | None, ...] = ()  # Its entries there
    proof: str = "times"  # What shows that it continues the one before it: `first`, `content`, `times` or `number`

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            **fields_json(self, "generation", "name"),
            "set": self.at,
            **fields_json(self, "entry", "digest", "also_in", "proof"),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class NotPlaced:
    """A file of a set that takes part in a restore, and that is not placed."""

    at: int  # The set: a number in `ChainSelection.sets`
    entry: int  # The number of its entry
    name: str  # Its name
    reason: str  # Why
    code: int | None = None  # What the engine would answer to it; None where that is not said
    is_harmless: bool = False  # Whether recovery does not mind it where it is placed all the same

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {"set": self.at, "entry": self.entry, "name": self.name, "reason": self.reason}


def replaced(archives: Iterable[Archive]) -> list[SparedSet]:
    """Return the archives in whose place copies were read, each with what it comes to alone."""
    found = ((str(one.path), with_unread(None, [one], alone=True)) for one in damage_met(archives))
    return [SparedSet(label, outcome) for label, outcome in found if outcome is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSelection:
    """What a restore places, from which sets.

    Of the first set everything is placed but what is in `left_out`; of the others nothing but their logs in `logs`.
    """

    # The sets that take part, the one with the databases first, then in the order of their generations.
    sets: tuple[SelectedSet, ...]
    logs: tuple[SelectedLog, ...]  # The logs, in order
    left_out: tuple[NotPlaced, ...]  # Files of these sets that are not placed
    unused: tuple[str, ...]  # Labels of sets that take no part
    why_unused: Mapping[str, str] = field(default_factory=dict)  # Why, by their labels
    idle: tuple[str, ...] = ()  # Those that are nothing to the databases here, each with the reason
    spared: tuple[SparedSet, ...]  # Those of them that do not pass, and damaged copies of sets
    target: int  # The generation that is reached; 0 without logs
    hard: bool  # Whether hard recovery follows: the databases are copies from a streaming backup
    remarks: tuple[Fault, ...] = ()  # Faults that are worth knowing and in no one's way
    not_checked: tuple[str, ...] = ()  # What the verdict leaves open
    missed: tuple[Fault, ...] = ()  # Databases of other sets that recovery asks for, and that are not placed

    @property
    def outcome(self) -> LastLine | None:
        """What a restore comes to by the databases that it does not place; None where it places all."""
        lost = [replace(one, message=f"{one.message}: {one.next_step}") for one in self.missed]
        return weigh(lost, LeftOpen()) if lost else None

    @property
    def unused_with_why(self) -> list[str]:
        """Labels of sets that take no part, with the reason; of those that do not pass what they come to."""
        why = {one.label: str(one) for one in self.spared}
        told = {one: f"{one}: {self.why_unused[one]}" if one in self.why_unused else one for one in self.unused} | why
        return [told[one] for one in dict.fromkeys((*self.unused, *why))]

    def excluded(self) -> frozenset[int]:
        """Return the entries of the first set that are not placed."""
        return frozenset(one.entry for one in self.left_out if one.at == 0)

    def log_entries(self, at: int) -> tuple[int, ...]:
        """Return the entries of a set that are placed as logs."""
        return tuple(log.entry for log in self.logs if log.at == at)

    def to_json(self, archives: Sequence[Archive] = ()) -> dict[str, Any]:
        """Return it as values for JSON.

        Args:
            archives: Those that were read by now, of which damage may be known.
        """
        return {
            **fields_json(self, "sets", "logs", "left_out", "unused"),
            "spared": as_json((*self.spared, *replaced(archives))),
            "target": self.target or None,
            "recovery": "hard" if self.hard else "soft" if self.logs else "none",
            **fields_json(self, "missed", "remarks", "not_checked"),
        }
