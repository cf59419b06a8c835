"""How far into a log the headers of databases and of the next log say that it was written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain, groupby

from tokar.ese.log import LogHeader
from tokar.ese.values import NO_POSITION, LogPosition, LogTime, Signature
from tokar.sets.facts import DatabaseFacts, LogFacts


def reaches(header: LogHeader) -> int:
    """Return the furthest position in the log before that a header gives; others may be of a history that was left."""
    pairs = [(one.attach_position, one.consistent_position) for one in header.attachments]
    found = (header.checkpoint, *chain.from_iterable(pairs))
    return max((_bytes(at, header) for at in found if at.generation + 1 == header.generation), default=0)


def _bytes(at: LogPosition, log: LogHeader | LogFacts) -> int:
    return at.sector * log.sector_size + at.byte


def positions_in(database: DatabaseFacts) -> tuple[LogPosition, ...]:
    """Return up to where a database says that logs were written."""
    header = database.header
    if header is None:
        return ()
    # Of a dirty database the position of its last shutdown, of any other the mark may be of another stream.
    mark = header.current_full.mark if header.is_streaming_copy else NO_POSITION
    return header.attach_position, header.consistent_position if header.is_clean else NO_POSITION, mark


def reached_by(log: LogFacts, databases: Iterable[DatabaseFacts]) -> LogFacts:
    """Return a log with the furthest position in it that databases give, which may be of another set."""
    own = (one for one in databases if one.header is not None and one.header.log_signature == log.signature)
    found = ((_bytes(at, log), one.name) for one in own for at in positions_in(one) if at.generation == log.generation)
    reached, name = max(found, default=(0, ""))
    return replace(log, reached=reached, reached_by=name) if reached > log.reached else log


def ends_before(log: LogFacts, databases: Iterable[DatabaseFacts]) -> bool:
    """Return whether a log ends before all of its databases were shut down: it is of an earlier time than these."""
    content = log.content
    own = [one for one in databases if one.header is not None and one.header.log_signature == log.signature]
    if content is None or content.not_verified or not own:
        return False
    ends = [one.header.consistent_position for one in own if one.header is not None and one.header.is_clean]
    return len(ends) == len(own) and all(
        at.generation == log.generation and content.end < _bytes(at, log) for at in ends
    )


def with_reach(logs: list[LogFacts], databases: Iterable[DatabaseFacts]) -> None:
    """Note the furthest position in each log that is known from elsewhere: its content must reach it.

    Args:
        logs: The logs, by generation.
        databases: The databases.
    """
    known: dict[tuple[Signature, int], list[tuple[LogPosition, str]]] = defaultdict(list)
    for one in databases:
        if (header := one.header) is not None:
            for at in positions_in(one):
                known[header.log_signature, at.generation].append((at, one.name))
    later: dict[tuple[Signature, int, LogTime], tuple[int, str]] = {}  # what the logs of the next generation say
    for generation, places in groupby(reversed(range(len(logs))), lambda at: logs[at].generation):
        following, later = later, {}
        for place in places:
            log = logs[place]
            if log.signature is None or generation is None:
                continue
            named = ((_bytes(at, log), name) for at, name in known.get((log.signature, generation), ()))
            # A current log that ends before what a later one says is an earlier state, and the two do not link.
            at_end = (0, "") if log.current else following.get((log.signature, generation, log.created), (0, ""))
            reached, name = max((*named, at_end))
            if reached:
                logs[place] = replace(log, reached=reached, reached_by=name)
            if log.reaches:
                key = log.signature, generation - 1, log.previous_created
                later[key] = max((log.reaches, log.name), later.get(key, (0, "")))
