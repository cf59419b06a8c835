"""What is missing, and lies there in what an earlier restore left: the next step points at it (`PAIR-14`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from tokar.ese.filenames import DATABASE_SUFFIXES, parse_file_name
from tokar.names import SET_ASIDE, STAGING_PREFIX, UNFINISHED, collision_key, leaf_of, why_apart, without_aside
from tokar.sets.facts import SetFacts
from tokar.sets.fault_list import LOGS_MISSING
from tokar.sets.faults import Fault, FaultKind
from tokar.words import some

_MOST_KEPT: Final = 1000
_MOST_NAMED: Final = 2
_STEPS: Final = {
    UNFINISHED: "finish the restore that left {} here, with the same command (tokar clean would remove it); else ",
    SET_ASIDE: "look at {}, which an earlier restore set aside: if it is what is missing, give it its name back; else ",
}
"""By the reason why it is left out; what is done otherwise follows."""


def leftovers_among(files: Iterable[str]) -> tuple[str, ...]:
    """Return the logs, databases and journals among files that an earlier restore left, by their names; the first."""
    found = (one for one in files if why_apart(one) in _STEPS and (_is_journal(one) or _is_of_a_set(one)))
    return tuple(islice(found, _MOST_KEPT))


def with_leftovers_told(faults: Iterable[Fault], sets: Iterable[SetFacts]) -> list[Fault]:
    """Return faults of what is missing; where an earlier restore left what is called so, their next step says that.

    Nobody looked into it: by its name it may be what is missing.
    """
    known = [*sets]
    left = [name for one in known for name in (*one.leftovers, *leftovers_among(each.name for each in one.aside))]
    if not left:
        return [*faults]
    bases = {log.base for one in known for log in one.logs}
    here = {collision_key(database.leaf) for one in known for database in one.databases}
    journals = [*filter(_is_journal, left)]

    def told(fault: Fault) -> Fault:
        is_lack = fault.kind in LOGS_MISSING or (fault.kind is FaultKind.DATABASE_NOT_HERE and _lacking(fault, here))
        called = [*_called(fault, left, bases, here)] if is_lack else []
        unfinished = [one for one in called if why_apart(one) == UNFINISHED]
        return _told(fault, unfinished or (journals if is_lack else []) or called)

    return [told(fault) for fault in faults]


def _lacking(fault: Fault, here: set[str]) -> set[str]:
    """Return the names of the files of a fault, as keys, that are not here."""
    return {collision_key(leaf_of(one)) for one in fault.files} - here


def _called(fault: Fault, left: Iterable[str], bases: set[str], here: set[str]) -> Iterator[str]:
    """Yield the leftovers that are called as what is missing: a log of these base names, or a database not here."""
    wanted = _lacking(fault, here)
    for name in left:
        leaf = without_aside(leaf_of(name))
        if fault.kind is FaultKind.DATABASE_NOT_HERE and collision_key(leaf) in wanted:
            yield name
        elif fault.kind in LOGS_MISSING:
            found = parse_file_name(leaf)
            if found.generation in fault.generations and (not bases or found.log_base in bases):
                yield name


def _told(fault: Fault, names: Sequence[str]) -> Fault:
    """Return a fault with a next step about leftovers that are all here for one reason before its own."""
    first = _STEPS[why_apart(names[0])].format(some(names, _MOST_NAMED)) if names else ""
    return fault if fault.next_step.startswith(first) else replace(fault, next_step=first + fault.next_step)


def _is_journal(name: str) -> bool:
    leaf = leaf_of(name)
    return leaf.startswith(STAGING_PREFIX) and ".journal-" in leaf


def _is_of_a_set(name: str) -> bool:
    leaf = without_aside(leaf_of(name))
    return parse_file_name(leaf).generation is not None or leaf.lower().endswith(DATABASE_SUFFIXES)
