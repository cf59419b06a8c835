"""Joins sets to a chain: which of them continue which, and which of them a restore takes."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from tokar.sets.backup_set import BackupSet
from tokar.sets.chain import Chain, ChainVerdict, SparedSet, chain_faults, chain_verdict
from tokar.sets.choose import NotRestorableError, restorable
from tokar.sets.fault_list import in_order, listed
from tokar.sets.logs import LogTable
from tokar.sets.outcome import with_damage
from tokar.sets.start import groups_of, make_start


def build_chain(sets: Iterable[BackupSet], *, branch: str = "") -> Chain:
    """Return how sets fit together.

    Args:
        sets: The sets. One that is given twice counts once, the whole one where the other is damaged; a receipt counts
            only where its archive is not among them.
        branch: The name of a log of the history that is wanted, where there are two.

    Raises:
        InputError: No log of that name is in the sets, or several.
    """
    unique, copies = _unique(sets)
    known = tuple(sorted(unique, key=_place))
    logs = LogTable(*(one.facts.logs for one in known))
    without = logs.beside_branch(branch, [one.label for one in known]) if branch else frozenset()
    if without:
        logs = LogTable(*([log for log in one.facts.logs if id(log) not in without] for one in known))
    starts = tuple(make_start(known, logs, number, without) for number, one in enumerate(known) if one.has_databases)
    verdicts = tuple(chain_verdict(known, logs, starts, number) for number in range(len(known)))
    parents = tuple(_parent(known, verdicts, number) for number in range(len(known)))
    faults = in_order(listed(chain_faults(known, logs, starts)))
    chain = Chain(known, starts, verdicts, parents, faults, logs, without, copies=copies)
    return replace(chain, taken=_taken(chain)) if len(starts) > 1 else chain


def _taken(chain: Chain) -> frozenset[int] | None:
    """Return the sets that a restore of all of them takes, of each log stream by itself; None where all are refused."""
    found: set[tuple[bytes, bytes]] = set()
    for group in groups_of(chain.starts):
        with suppress(NotRestorableError):
            found |= {(one.id, one.root) for one in restorable(chain, among=group).sets}
    return frozenset(at for at, one in enumerate(chain.sets) if (one.id, one.root) in found) or None


def _unique(sets: Iterable[BackupSet]) -> tuple[list[BackupSet], tuple[SparedSet, ...]]:
    """Leave out what is there twice, archives before receipts and whole ones before damaged ones; name the latter."""
    found: dict[tuple[bytes, bytes], BackupSet] = {}
    copies = []
    for one in sorted(sets, key=lambda one: (one.receipt is not None, bool(one.damage))):
        kept = found.setdefault((one.id, one.root), one)
        if one.label != kept.label and (outcome := with_damage(None, one.damage)):
            copies.append(SparedSet(one.label, outcome))
    return list(found.values()), tuple(copies)


def _place(backup_set: BackupSet) -> tuple[int, int, str, str]:
    generations = backup_set.generations or (0, 0)
    return generations[0], not backup_set.has_databases, backup_set.created, backup_set.label


def _parent(sets: tuple[BackupSet, ...], verdicts: tuple[ChainVerdict, ...], number: int) -> int | None:
    """Return the set that one continues: its prior by name, else the one that holds the log before its first."""
    backup_set, verdict = sets[number], verdicts[number]
    if backup_set.has_databases:
        return None
    if backup_set.prior is not None:
        for other, one in enumerate(sets):
            if one.id == backup_set.prior[0] and other < number:
                return other
    if verdict.start is None or backup_set.generations is None:
        return verdict.start
    before = [verdict.start]
    for other in range(number):
        generations = sets[other].generations
        if (
            verdicts[other].start == verdict.start
            and generations
            and generations[0] < backup_set.generations[0] <= generations[1] + 1
        ):
            before.append(other)
    return before[-1]
