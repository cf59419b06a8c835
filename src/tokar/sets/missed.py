"""Databases that recovery asks for and that another set has: a restore that begins with one set does not place them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from tokar.names import leaf_of, typed
from tokar.sets.chain import Chain
from tokar.sets.facts import LogFacts
from tokar.sets.faults import Fault, FaultKind, Rules
from tokar.sets.judge import judge_set
from tokar.sets.start import ChainStart, databases_in

_BESIDE: Final = (
    "put it beside before recovery begins: tokar restore {} --only {} --into ANOTHER_DIR --accept-unrecoverable"
)
_LOWER: Final = "begin with the set that needs the lowest log: tokar restore --full {}"
_LATER: Final = "that needs logs up to 0x{0:X}: stop there or later (--until 0x{0:X}), or take an older full"


def missed_with(chain: Chain, start: ChainStart, target: int | None = None) -> Iterator[Fault]:
    """Yield the databases of other sets without which recovery of a start stops (-1216): each as a loss.

    Args:
        chain: The sets.
        start: The set with which a restore begins.
        target: The generation at which it stops; None for all logs.
    """
    known = [one for one in start.faults if one.kind is FaultKind.DATABASE_NOT_HERE and not one.blocks]
    if not known or not start.facts.elsewhere:
        return
    logs = tuple(log for log in start.facts.logs if target is None or (log.generation or 0) <= target)
    found = judge_set(replace(start.facts, elsewhere={}, logs=logs), without=chain.without)
    lost = {one.files for one in found.blocking if one.kind is FaultKind.DATABASE_NOT_HERE}
    for fault in known:
        if fault.files in lost:
            yield _missed(chain, start, fault, logs, target)


def _missed(chain: Chain, start: ChainStart, known: Fault, logs: tuple[LogFacts, ...], target: int | None) -> Fault:
    (path,) = known.files
    named = {one.signature for log in logs for one in log.attached if one.path == path}
    theirs = [one for one in chain.starts if named & databases_in(chain.sets[one.number])]
    low = min((run.logs[0].generation or 0 for run in start.runs if run.logs), default=0)
    fits = [one for one in theirs if min((run.start for run in one.runs), default=0) >= low]
    reached = [one for one in fits if target is None or one.floor <= target]
    if reached:
        held = chain.sets[reached[-1].number]
        mine = (one.name for one in held.facts.databases if one.header is not None and one.header.signature in named)
        step = _BESIDE.format(typed(held.label), typed(next(mine)))
    elif fits:
        step = _LATER.format(min(one.floor for one in fits))
    else:
        lowest = min(theirs, key=lambda one: min((run.start for run in one.runs), default=0), default=start)
        step = _LOWER.format(typed(chain.sets[lowest.number].label))
    where = next((start.facts.elsewhere[one] for one in named if one in start.facts.elsewhere), leaf_of(path))
    fault = Rules.DATABASE_NOT_PLACED.fault(path, where, files=known.files, databases=known.databases)
    return replace(fault, next_step=step)
