"""Compares the states of one log that was being written, of a set or of several: what no facts of one of them say.

That a log holds less than another one does not make it the beginning of that: a server that was reverted to an earlier
state wrote on the same log as before, with other content. So both are read, up to where the shorter one ends. That
takes little: only a log that has the name of the current one is written on, and a set has one or a few.

Nor do the checksums of format 7 tell of a damaged copy of a log whether it was the same as a whole one: no next log
says what must be in it. So what is whole in it is compared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING

from tokar.errors import ArchiveError
from tokar.sets.version import Order, order_of

if TYPE_CHECKING:
    from tokar.ese.values import LogTime, Signature
    from tokar.sets.facts import LogFacts, SetFacts
    from tokar.storage.bytesource import ByteSource

    _Key = tuple[Signature, int, LogTime]
    _Pair = tuple[bytes, bytes]

OpenLog = Callable[[int, "LogFacts"], AbstractContextManager["ByteSource"]]
"""Opens a log of the set with a number."""


def with_states_compared(sets: Sequence[SetFacts], open_log: OpenLog) -> list[SetFacts]:
    """Return facts in which it stands of each log that was being written how it is to other copies of it.

    Args:
        sets: The facts of each set.
        open_log: What opens a log. One that cannot be read is not compared: then nobody knows.
    """
    found: dict[_Pair, bool] = {}
    pairs = [*_pairs(sets)]
    if not pairs:
        return [*sets]
    from tokar.ese.log_states import has_what_is_whole, is_beginning  # noqa: PLC0415 - loads numpy

    for (at, less), (place, more) in pairs:
        assert less.digest
        assert more.digest
        assert less.content is not None
        pair = less.digest, more.digest
        if pair not in found:
            with suppress(ArchiveError), open_log(at, less) as earlier, open_log(place, more) as later:
                is_its = has_what_is_whole if _is_damaged_copy(less, more) else is_beginning
                found[pair] = is_its(less.content, earlier, later)
    return [_noted(one, found) for one in sets] if found else [*sets]


def _pairs(sets: Sequence[SetFacts]) -> Iterator[tuple[tuple[int, LogFacts], tuple[int, LogFacts]]]:
    """Yield copies of one log of which nobody knows how they are to each other, the one that holds less first."""
    wanted = {key for facts in sets for log in facts.logs if (log.current or _is_hurt(log)) and (key := _key(log))}
    generations = {key[1] for key in wanted}
    copies: dict[_Key, list[tuple[int, LogFacts]]] = defaultdict(list)
    for at, facts in enumerate(sets):
        for log in facts.logs if wanted else ():
            if log.generation in generations and (key := _key(log)) in wanted:
                copies[key].append((at, log))
    for alike in copies.values():
        yield from ((less, more) for less, more in permutations(alike, 2) if _is_open(less[1], more[1]))
        yield from ((hurt, whole) for hurt, whole in permutations(alike, 2) if _is_damaged_copy(hurt[1], whole[1]))


def _key(log: LogFacts) -> _Key | None:
    """Return what tells a log, where its content is known."""
    if log.signature is None or log.generation is None or not log.digest:
        return None
    is_known = log.content is not None and not log.content.not_verified
    return (log.signature, log.generation, log.created) if is_known else None


def _is_open(less: LogFacts, more: LogFacts) -> bool:
    assert less.content is not None
    assert more.content is not None
    is_longer = less.content.extent < more.content.extent and less.content.unit == more.content.unit
    return is_longer and order_of(less, more) is Order.UNTOLD


def _is_hurt(log: LogFacts) -> bool:
    """Return whether a closed log of format 7 is damaged inside."""
    found = log.content
    return found is not None and found.unit == "ranges" and bool(found.bad) and not log.current


def _is_damaged_copy(less: LogFacts, more: LogFacts) -> bool:
    """Return whether of two closed copies of format 7 the first is damaged, and nobody held it against the other."""
    is_whole = more.content is not None and more.content.is_good and not more.current
    return _is_hurt(less) and is_whole and less.digest not in {*more.goes_on_from, *more.parted_from}


def _noted(facts: SetFacts, found: Mapping[_Pair, bool]) -> SetFacts:
    """Return facts with what was found of each log that holds more than another one."""
    longer = {more for _, more in found}
    return replace(facts, logs=tuple(_with(log, found) if log.digest in longer else log for log in facts.logs))


def _with(log: LogFacts, found: Mapping[_Pair, bool]) -> LogFacts:
    less = {less: is_its for (less, more), is_its in found.items() if more == log.digest}
    begun, parted = (tuple(one for one, is_its in less.items() if is_its is wanted) for wanted in (True, False))
    return replace(log, goes_on_from=(*log.goes_on_from, *begun), parted_from=(*log.parted_from, *parted))
