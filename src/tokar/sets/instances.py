"""The instances of the engine in a set, each in a folder of its own with its databases and its logs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from tokar.names import folder_in
from tokar.sets.facts import FileFacts, SetFacts
from tokar.sets.fault_list import LOGS_MISSING
from tokar.sets.faults import Fault, FaultKind, Rules
from tokar.words import some

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
    return replace(facts, links=links, folders=facts, **kinds)


def together(parts: Sequence[SetFacts]) -> SetFacts:
    """Return the files of several sets as those of the first."""
    kinds: dict[str, Any] = {kind: tuple(one for part in parts for one in getattr(part, kind)) for kind in _FILES}
    return replace(parts[0], **kinds)


def in_folders(faults: Iterable[Fault], facts: SetFacts) -> list[Fault]:
    """Return what is wrong with a folder; of what it lacks and another folder has, where that is."""
    whole = facts.folders
    return [*faults] if whole is None else [_in_folder(fault, facts, whole) for fault in faults]


def _in_folder(fault: Fault, facts: SetFacts, whole: SetFacts) -> Fault:
    own, rule = set(map(id, files_of(facts))), Rules.LOGS_IN_FOLDER
    words: tuple[str, ...] = ()
    if fault.kind is FaultKind.DATABASE_NOT_HERE and fault.blocks:
        wanted = {one.signature for log in facts.logs for one in log.attached if one.path in fault.files}
        held = (one for one in whole.databases if one.header is not None and id(one) not in own)
        found = [one.name for one in held if one.header is not None and one.header.signature in wanted]
        rule, words = Rules.DATABASE_IN_FOLDER, (*fault.files[:1], some(found))
    elif fault.kind in LOGS_MISSING:
        streams = {one.header.log_signature for one in facts.databases if one.header is not None}
        theirs = [log for log in whole.logs if log.signature in streams and id(log) not in own]
        if {*fault.generations} <= {log.generation for log in theirs}:
            found = sorted({log.folder or "." for log in theirs if log.generation in fault.generations})
            words = fault.message, some(found)
    if not words or not found:
        return fault
    message, step = rule.fault(*words).message, rule.next_step
    return replace(fault, message=message, next_step=step)
