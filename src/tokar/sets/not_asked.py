"""A choice of files (`restore --only`) lacks what its archives have: that was not asked for, and is not missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final

from tokar.names import collision_key, leaf_of, typed
from tokar.sets.facts import SetFacts
from tokar.sets.fault_list import LOGS_MISSING, in_order
from tokar.sets.faults import MOST_LISTED, Fault, FaultKind, Rule, Rules
from tokar.sets.judge import SetVerdict
from tokar.words import count_text, logs_text, noun, runs_of, some

_MOST_NAMED: Final = 4  # files; whoever lacks more asks for everything
_LACKING: Final = {*LOGS_MISSING, FaultKind.DATABASE_NOT_HERE}


def with_not_asked(
    found: SetVerdict, choice: SetFacts, everything: Callable[[], SetFacts], archives: int = 1
) -> SetVerdict:
    """Return the verdict on a choice of files, in which what was not asked for is called that.

    Args:
        found: What the files that were asked for come to.
        choice: What they say of themselves.
        everything: Reads the same of all files; called where the choice lacks something.
        archives: How many archives have them.
    """
    if not any(one.kind in _LACKING for one in found.blocking):
        return found
    whole, where = everything(), f"the {noun(archives, 'archive')}"

    def told(faults: tuple[Fault, ...]) -> tuple[Fault, ...]:
        return tuple(_told(one, found, choice, whole, where) if one.blocks else one for one in faults)

    databases = tuple(replace(one, faults=told(one.faults)) for one in found.databases)
    return replace(found, databases=databases, faults=in_order(told(found.faults)))


def _told(fault: Fault, found: SetVerdict, choice: SetFacts, whole: SetFacts, where: str) -> Fault:
    """Return a fault, as that of what was not asked for where the archives have all that it lacks."""
    if fault.kind is FaultKind.DATABASE_NOT_HERE:
        wanted = {collision_key(leaf_of(one)) for one in fault.files}
        names = [one.name for one in whole.databases if collision_key(one.leaf) in wanted]
        return _not_asked(fault, Rules.DATABASE_NOT_ASKED, names, some(names), where) if names else fault
    if fault.kind in LOGS_MISSING:
        runs = _runs(fault, found)
        streams = choice.owned_streams or {log.signature for log in choice.logs}
        logs = [log for log in whole.logs if log.signature in streams]
        there = {one: log.name for log in logs if any((one := log.generation or 0) in run for run in runs)}
        if runs and len(there) == sum(map(len, runs)):
            return _not_asked(fault, Rules.LOG_NOT_ASKED, [*there.values()], *logs_text(runs), where)
    return fault


def _runs(fault: Fault, found: SetVerdict) -> Sequence[range]:
    """Return which logs are missing; of so many that not all are listed, what the databases lack."""
    if len(fault.generations) < MOST_LISTED:
        return [*runs_of(fault.generations)]
    return next((one.missing for one in found.databases if one.missing and one.name in fault.databases), ())


def _not_asked(fault: Fault, rule: Rule, names: Sequence[str], *words: object) -> Fault:
    """Return a fault in other words, with how what it lacks is asked for."""
    only = " ".join(chain.from_iterable(("--only", typed(one)) for one in names[:_MOST_NAMED]))
    way = f"ask for {noun(len(names), 'it', 'them')} too: {only}; or leave --only out"
    many = f"ask for its {count_text(len(names), 'file')} too, or leave --only out"
    said = rule.fault(*words, files=fault.files, databases=fault.databases)
    step = way if len(names) <= _MOST_NAMED else many
    return replace(fault, message=said.message, next_step=step)
