"""What follows the restore of sets that were chosen and planned; for each instance that keeps its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tokar.restore.chosen import ChosenSets
from tokar.restore.next_steps import NO_PLACES, Guidance, Places, make_guidance, places_of
from tokar.restore.options import Request
from tokar.restore.plan import Plan


def guide(chosen: ChosenSets, plan: Plan, request: Request) -> Guidance | None:
    """Return what follows a plan; None where nothing is of an engine: then there may be a million files."""
    if chosen.recovery is None:
        return None
    folders = () if request.certutil is None else (request.certutil,)
    whole = guide_at(chosen, _places(chosen, plan, request), folders)
    parts = [guide_at(one, _places(one, plan, request, part=True)) for one in chosen.instances]
    if whole is None or not parts:
        return whole
    steps = dict.fromkeys(step for one in parts if one is not None for step in one.next_steps)
    return replace(whole, next_steps=tuple(steps))


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
    own = frozenset(entry.number for entry in chosen.entries[0]) if part else None
    logs = chosen.met or chosen.logs
    places = places_of(plan, request, base=chosen.base, paths=chosen.paths, own=own, logs=logs)
    if part and places.log_path is not None:
        places = replace(places, checkpoint_path=places.log_path)  # no other instance may meet it
    return replace(places, give_up=chosen.give_up)
