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


def with_reach(logs: list[LogFacts], databases: Iterable[DatabaseFacts]) -> None:
    """Note the furthest position in each log that is known from elsewhere: its content must reach it.

    Args:
        logs: The logs, by generation.
        databases: The databases.
    """
    known: dict[tuple[Signature, int], list[tuple[LogPosition, str]]] = defaultdict(list)
    for one in databases:
        if (header := one.header) is not None:
            # Of a dirty database the position of its last shutdown, of any other the mark may be of another stream.
            mark = header.current_full.mark if header.is_streaming_copy else NO_POSITION
            end = header.consistent_position if header.is_clean else NO_POSITION
            for at in (header.attach_position, end, mark):
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
