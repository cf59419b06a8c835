"""How sets fit together: proven by their logs, never by their labels.

What can be restored is a set with databases and the logs that continue it, wherever they are: a log of any set counts
if it is of the same stream and repeats the creation time of the one before it. "Incremental" and "differential" explain
and decide nothing: the incrementals of a certification authority hold all logs since the full.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tokar.sets.base import Base, make_base
from tokar.sets.chainfaults import Standing, chain_faults, standing_of
from tokar.sets.chainlogs import ChainLogs
from tokar.sets.faults import in_order

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokar.sets.backup_set import Member
    from tokar.sets.faults import Fault


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
