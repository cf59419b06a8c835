"""Copies of one log inside which histories parted: by what the next logs say of it, or by what lies beside it.

A log of format 7 does not say what was in the one before, so between two copies its header proves nothing. But what
lies in one place was copied from one stream: a copy beside which a log lies that goes on from it is of the history of
that log, as it is where its archive is all that is here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product

from tokar.ese.values import LogTime
from tokar.sets.by_generation import Copy
from tokar.sets.facts import LogFacts
from tokar.sets.links import LinkProof, link
from tokar.sets.version import differ

Part = tuple[list[Copy], LogTime | None]
"""Copies of a log, and when the next log was created where that alone tells them from others."""


def parts_of(copies: list[Copy], later: Sequence[Copy]) -> Iterator[Part]:
    """Yield the copies of a log, those apart that different next logs go on from: histories parted inside it.

    Args:
        copies: Its copies.
        later: All copies of the logs of the next generation.
    """
    if len(copies) < 2 or not later:
        yield copies, None
        return
    found = _by_content(copies, later)
    if len(found) < 2:
        found = _by_place(copies, later)
    if len(found) < 2:
        yield copies, None
        return
    placed = {id(one) for alike in found.values() for one in alike}
    for at, (told, alike) in enumerate(found.items()):
        rest = [one for one in copies if id(one) not in placed]
        more = [one for one in rest if at + 1 == len(found) or any(_may_be_of(one.facts, own.facts) for own in alike)]
        placed.update(map(id, more))
        yield [*alike, *more], told if isinstance(told, LogTime) else None


def _may_be_of(log: LogFacts, own: LogFacts) -> bool:
    """Return whether a copy may be one of the history of another: of the same bytes, or the beginning of that."""
    return log.digest in own.goes_on_from or not differ(log, own)


def _by_content(copies: Sequence[Copy], later: Sequence[Copy]) -> dict[object, list[Copy]]:
    """Return the copies that next logs go on from, by what is in them."""
    proven: dict[object, list[Copy]] = {}
    for one in copies:
        total = one.facts.content.segments_xor if one.facts.content is not None else None
        if total is not None and any(link(one.facts, each.facts).proof is LinkProof.CONTENT for each in later):
            proven.setdefault(total, []).append(one)
    return proven


def _by_place(copies: Sequence[Copy], later: Sequence[Copy]) -> dict[object, list[Copy]]:
    """Return the copies by when the next log was created that lies beside each; nothing where that tells nothing.

    It tells nothing of copies with the same bytes, or of which nobody knows whether these are the same.
    """
    found: dict[object, list[Copy]] = {}
    if len({each.facts.created for each in later}) < 2:
        return found
    for one in copies:
        following = {each.facts.created for each in later if _lies_beside(one, each) and _goes_by_times(one, each)}
        if len(following) > 1:
            return {}
        for created in following:
            found.setdefault(created, []).append(one)
    pairs = combinations(found.values(), 2)
    are_told = all(differ(one.facts, other.facts) for own, its in pairs for one, other in product(own, its))
    return found if are_told else {}


def _lies_beside(one: Copy, other: Copy) -> bool:
    return (one.at, one.facts.folder) == (other.at, other.facts.folder)


def _goes_by_times(one: Copy, later: Copy) -> bool:
    """Return whether a log goes on from another, and is of a format that tells no more than the time of that."""
    return later.facts.previous_segments_xor is None and link(one.facts, later.facts).proof is LinkProof.TIMES


def goes_on(log: LogFacts, leads_to: LogTime | None, later: LogFacts) -> bool:
    """Return whether a log goes on from another one.

    Args:
        log: The earlier log.
        leads_to: When the next log of its history was created; None where that is not known otherwise.
        later: The later log.
    """
    return leads_to in {None, later.created} and link(log, later).fault is None
