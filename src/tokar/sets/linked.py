"""Links and special files in the place of a log: nothing follows them, and each is named (`PAIR-12`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from tokar.ese.filenames import NameRole, parse_file_name
from tokar.names import LINK, leaf_of
from tokar.sets.facts import SetFacts
from tokar.sets.faults import Fault, FaultKind, Rules, Severity
from tokar.words import some

_MISSING: Final = {FaultKind.LOG_MISSING, FaultKind.COMMITTED_LOG_MISSING}
_LOGS: Final = {NameRole.NUMBERED_LOG, NameRole.CURRENT_LOG}


def links_among(files: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return the links that have names of logs among files that were not taken, each with the reason."""
    return tuple(name for name, why in files if why == LINK and parse_file_name(leaf_of(name)).role in _LOGS)


def with_links(faults: Iterable[Fault], facts: SetFacts) -> list[Fault]:
    """Return faults of a set, with those of its links: a log that is missing since it is one is called that."""
    if not facts.links:
        return [*faults]
    logs = dict(_logs(facts))
    found = [_told(fault, logs) for fault in faults]
    told = {name for fault in found for name in fault.files}
    strange = (name for name in logs.values() if name not in told)
    return [*found, *(Rules.LOG_LINKED.fault(one, files=(one,), severity=Severity.WARNING) for one in strange)]


def _logs(facts: SetFacts) -> Iterator[tuple[int, str]]:
    """Yield the links, each with its generation; the current log comes after all others."""
    last = max((log.generation or 0 for log in facts.logs), default=0)
    for name in facts.links:
        yield parse_file_name(leaf_of(name)).generation or last + 1, name


def _told(fault: Fault, logs: dict[int, str]) -> Fault:
    """Return a fault of logs that are missing as that of links, where these have their names."""
    names = [logs[one] for one in fault.generations if one in logs] if fault.kind in _MISSING else []
    if not names:
        return fault
    found = Rules.LOG_LINKED.fault(some(names))
    text = found.message if len(fault.generations) < 2 else f"{fault.message}: {found.message}"
    return replace(fault, message=text, files=tuple(names), next_step=found.next_step)
