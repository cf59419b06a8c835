"""What follows the restore of sets, for each instance that keeps its folder: of those that were planned, and of any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from tokar.restore.chosen import ChosenSets
from tokar.restore.next_steps import (
    NO_PLACES,
    Guidance,
    Places,
    Recovery,
    RestoredSet,
    goes_on,
    make_guidance,
    places_of,
    recovery_of,
)
from tokar.restore.options import Request
from tokar.restore.plan import Plan
from tokar.sets.beside import without_copies
from tokar.sets.by_generation import ends_of
from tokar.sets.chain import Chain
from tokar.sets.facts import SetFacts
from tokar.sets.instances import instances_of
from tokar.sets.judge import SetVerdict, judge_set
from tokar.sets.selection import NotPlaced
from tokar.sets.start import ChainStart
from tokar.tokens import SERVED
from tokar.words import some

_MOST_NAMED: Final = 4


def guide(chosen: ChosenSets, plan: Plan, request: Request, met: Sequence[NotPlaced] = ()) -> Guidance | None:
    """Return what follows a plan; None where nothing is of an engine: then there may be a million files.

    Args:
        chosen: The sets.
        plan: The plan.
        request: What it was made from.
        met: Files that are placed all the same, although recovery must not meet them.
    """
    if chosen.recovery is None:
        return None
    folders = () if request.certutil is None else (request.certutil,)
    whole = guide_at(chosen, _places(chosen, plan, request), folders)
    parts = [guide_at(one, _places(one, plan, request, part=True)) for one in chosen.instances]
    if whole is None:
        return None
    steps = dict.fromkeys(step for one in parts if one is not None for step in one.next_steps)
    return replace(whole, next_steps=(*_first(chosen, met), *(steps if parts else whole.next_steps)))


def _first(chosen: ChosenSets, met: Sequence[NotPlaced]) -> Iterator[str]:
    """Yield what is to be done before recovery begins: away with what it must not meet, and what it misses beside."""
    harm = [f"{one.name} ({one.reason})" for one in met if one.code is not None and not one.is_harmless]
    if harm:
        yield f"before recovery begins, move away {some(harm, _MOST_NAMED)}"
    for one in chosen.selection.missed if chosen.selection is not None else ():
        yield f"{one.message}: {one.next_step}"


def guide_at(chosen: ChosenSets, places: Places = NO_PLACES, certutil: Sequence[str] = ()) -> Guidance | None:
    """Return what follows where everything is in its place; None where nothing is of an engine."""
    if chosen.recovery is None:
        return None
    return make_guidance(
        profile=chosen.archives[0].head.profile,
        recovery=chosen.recovery,
        sets=chosen.ranges,
        places=places,
        certutil=certutil,
        not_checked=chosen.not_checked,
    )


def _places(chosen: ChosenSets, plan: Plan, request: Request, *, part: bool = False) -> Places:
    """Return where a plan puts what recovery needs, with what it is to do about what is not there.

    Args:
        chosen: The sets, or one of their instances.
        plan: The plan.
        request: What it was made from.
        part: Whether this is one of several instances, to which only its own entries belong.
    """
    own = None
    if part:
        known = {(entry.token, entry.raw_name) for entries in chosen.entries for entry in entries}
        placed = (entry for _, _, entry in plan.steps.placements())
        own = frozenset(entry.number for entry in placed if (entry.token, entry.raw_name) in known)
    logs = chosen.met or chosen.logs
    places = places_of(plan, request, base=chosen.base, paths=chosen.paths, own=own, logs=logs)
    if part and places.log_path is not None:
        places = replace(places, checkpoint_path=places.log_path)  # no other instance may meet it
    return replace(places, give_up=chosen.give_up)


def guide_start(chain: Chain, start: ChainStart) -> Guidance:
    """Return what follows a restore of a set with databases and of the logs that go on from it, wherever they go."""
    return _guide_facts(chain, start, start.facts, start.verdict)


def steps_without_current(chain: Chain, number: int) -> tuple[str, ...]:
    """Return how recovery begins, where neither a current log nor the next one is placed; else nothing.

    Nothing either for a set without databases, for one that is refused, and where a service begins: it renames no log.

    Args:
        chain: The sets.
        number: The number of the set.
    """
    start = chain.start_of(number)
    is_served = chain.sets[number].profile in SERVED
    if start is None or is_served or chain.outcome_of(number).is_refused:
        return ()
    return tuple(dict.fromkeys(_begin(chain, start)))


def _begin(chain: Chain, start: ChainStart) -> Iterator[str]:
    parts = instances_of(start.facts)
    for facts in parts:
        found = judge_set(facts) if len(parts) > 1 else start.verdict
        guidance = _guide_facts(chain, start, facts, found, is_part=len(parts) > 1)
        if guidance.recovery in {Recovery.SOFT, Recovery.NONE} and _highest_log(facts, found):
            yield from guidance.next_steps


def _guide_facts(
    chain: Chain, start: ChainStart, facts: SetFacts, found: SetVerdict, *, is_part: bool = False
) -> Guidance:
    own, logs, judged = chain.sets[start.number], found.placed_logs(), without_copies(facts)
    known = {*map(id, own.facts.logs)} if len(chain.sets) > 1 else set()  # else all are its own
    label, (low, high) = own.label, ends_of(logs)
    more_logs = any(id(log) not in known for log in logs if known) or goes_on(judged, logs)
    return make_guidance(
        profile=own.profile,
        recovery=recovery_of(judged.databases, more_logs=more_logs),
        sets=[RestoredSet(label=label, low=low, high=high, has_databases=True)],
        places=Places(
            log_path=logs[-1].folder or None if is_part and logs else None,
            base=next((log.base for log in logs), ""),
            highest_log=_highest_log(facts, found),
        ),
    )


def _highest_log(facts: SetFacts, found: SetVerdict) -> str:
    """Return the name of the highest log, where recovery would find neither a current one nor the next one."""
    logs, next_logs = found.placed_logs(), {*map(id, facts.next_logs)}
    begins = any(log.current for log in logs) or next_logs.difference(id(one.file) for one in found.left_out)
    return logs[-1].leaf if logs and not begins else ""
