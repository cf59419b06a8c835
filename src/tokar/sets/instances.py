"""The instances of the engine in a set, each in a folder of its own with its databases and its logs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from tokar.names import folder_in
from tokar.sets.facts import FileFacts, SetFacts

_FILES: Final = (
    "databases",
    "logs",
    "patches",
    "streaming",
    "next_logs",
    "checkpoints",
    "flush_maps",
    "aside",
)


def files_of(facts: SetFacts) -> Iterable[FileFacts]:
    """Yield the facts of all files of a set that are of an engine."""
    return (one for kind in _FILES for one in getattr(facts, kind))


def instances_of(facts: SetFacts) -> list[SetFacts]:
    """Return the facts of each instance: a folder with a database and logs of its stream, and what lies in no such one.

    Where everything keeps its folder, each is recovered by itself: several servers, or several days of one.
    """
    streams: dict[str, set[object]] = {}
    for log in facts.logs:
        streams.setdefault(log.folder, set()).add(log.signature)
    own = dict.fromkeys(
        one.folder
        for one in facts.databases
        if one.header is not None
        and one.header.log_signature.is_set
        and one.header.log_signature in streams.get(one.folder, ())
    )
    found = [_part(facts, (folder,).__contains__) for folder in own]
    rest = _part(facts, lambda folder: folder not in own)
    if not rest.is_without_a_set:
        found.append(rest)
    return found if len(found) > 1 else [facts]


def _part(facts: SetFacts, is_in: Callable[[str], bool]) -> SetFacts:
    kinds: dict[str, Any] = {kind: tuple(one for one in getattr(facts, kind) if is_in(one.folder)) for kind in _FILES}
    links = tuple(one for one in facts.links if is_in(folder_in(one)))
    return replace(facts, links=links, **kinds)
