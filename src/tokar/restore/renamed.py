"""The names that the engine looks for, of files whose names are others: given only where that is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from tokar.ese.filenames import NameRole, parse_file_name
from tokar.sets.beside import name_in_logs, without_copies
from tokar.sets.facts import LogFacts, SetFacts
from tokar.sets.log_names import BASE_LENGTH
from tokar.sets.logs import LogTable
from tokar.sets.version import is_whole


def right_names_of(
    facts: SetFacts, *, right_names: bool, together: LogTable | None = None
) -> tuple[SetFacts, Mapping[int, str]]:
    """Return facts with the right names of logs and databases, and these by entry, where that is asked for.

    Args:
        facts: The facts of a set.
        right_names: Whether it is.
        together: The logs of all sets: they name databases, and a current log that another one follows has a number.
    """
    if not right_names:
        return facts, {}
    logs = _with_right_names(facts, together)
    changed = {after.number: after.leaf for log, after in zip(facts.logs, logs, strict=True) if log is not after}
    taken, databases = {one.leaf.lower() for one in without_copies(facts).databases}, []
    for one in facts.databases:
        name = name_in_logs(one, together.logs if together else facts.logs)
        if name and name.lower() not in taken:
            taken.add(name.lower())
            changed[one.number] = name
            databases.append(replace(one, name=one.name[: len(one.name) - len(one.leaf)] + name))
        else:
            databases.append(one)
    renamed = replace(facts, logs=logs, databases=tuple(databases))
    return renamed, {number: name for number, name in changed.items() if number is not None}


def _with_right_names(facts: SetFacts, together: LogTable | None = None) -> tuple[LogFacts, ...]:
    """Return logs under the names that the engine looks for, unless a log of the databases has its name, and is whole.

    Of copies of one log the one that counts gets the name.
    """
    logs, table = facts.logs, LogTable(facts.logs, databases=facts.databases)
    streams = {one.header.log_signature for one in facts.databases if one.header is not None}
    if not streams or facts.has_unreadable_database:
        streams = {log.signature for log in logs if log.signature is not None}
    names = [table.right_name(log) or (together.right_name(log) if together and log.current else "") for log in logs]
    claims = [(name or log.leaf).lower() for log, name in zip(logs, names, strict=True)]
    sound = [
        log.signature in streams and table.is_best(log) and is_whole(replace(log, named_generation=None))
        for log in logs
    ]
    taken, wanted = Counter(claims), Counter(claim for claim, one in zip(claims, sound, strict=True) if one)
    return tuple(
        replace(
            log,
            name=log.name[: len(log.name) - len(log.leaf)] + name,
            named_generation=None if _is_current(name) else log.generation,
            base=name[:BASE_LENGTH].lower(),
            current=_is_current(name),
        )
        if name and 1 in {taken[claim], one and wanted[claim]}
        else log
        for log, name, claim, one in zip(logs, names, claims, sound, strict=True)
    )


def _is_current(name: str) -> bool:
    return parse_file_name(name).role is NameRole.CURRENT_LOG
