"""Files whose name says another thing than their header: databases under names of logs, logs as one being prepared.

What a file is its header tells, not its name. So a database in the place of a log is no log, and one that nobody else
stands for is a database all the same; a log that was renamed to the one being prepared
is still the one that is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Final

from tokar.ese.filenames import NameRole, parse_file_name
from tokar.ese.values import Signature
from tokar.sets.facts import DatabaseFacts, FileFacts, LogFacts, NextLogFacts, SetFacts
from tokar.sets.fault_list import LOGS_MISSING
from tokar.sets.faults import Fault, FaultKind, Rules
from tokar.sets.need import need_of
from tokar.sets.not_taken import is_named_as_database, named_in
from tokar.words import some

LOG_NAMES: Final = {NameRole.NUMBERED_LOG, NameRole.CURRENT_LOG}
"""What names are under which the engine looks for a log."""
_OF_OTHERS: Final = {
    *LOG_NAMES,
    *(NameRole.NEXT_LOG, NameRole.SHADOW_LOG, NameRole.RESERVE, NameRole.CHECKPOINT, NameRole.FLUSH_MAP),
    NameRole.PATCH,
}
_TELL_NAMES: Final = {
    *(FaultKind.LOG_NAME, FaultKind.DATABASE_NAME, FaultKind.DATABASE_UNREADABLE, FaultKind.LOG_UNREADABLE),
}
_A_DATABASE: Final = "a database by its header"


def has_name_of_log(file: FileFacts) -> bool:
    """Return whether a file has a name under which the engine looks for a log."""
    return parse_file_name(file.leaf).role in LOG_NAMES


def by_header(
    databases: tuple[DatabaseFacts, ...], logs: list[LogFacts], next_logs: tuple[NextLogFacts, ...]
) -> tuple[tuple[DatabaseFacts, ...], list[LogFacts], tuple[NextLogFacts, ...]]:
    """Return the files of a set as what their headers say that they are."""
    in_place = _in_place_of_logs(databases, logs)
    renamed = _renamed(next_logs, logs, databases)
    if not in_place and not renamed:
        return databases, logs, next_logs
    databases = tuple(one for one in databases if id(one) not in in_place)
    next_logs = tuple(one for one in next_logs if id(one) not in renamed)
    return databases, [*logs, *in_place.values(), *renamed.values()], next_logs


def _in_place_of_logs(databases: Sequence[DatabaseFacts], logs: Iterable[LogFacts]) -> dict[int, LogFacts]:
    """Return the databases, by identity, that stand in the place of a log and for no database, as logs of no use.

    One that is all that is here of its database, by its signature, stands for that: where the logs name it, or no other
    database is here.
    """
    odd = [one for one in databases if has_name_of_log(one)]
    if not odd:
        return {}
    others = {_signature(one) for one in databases if not has_name_of_log(one)}
    named = {attached.signature for log in logs for attached in log.attached}
    return {id(one): _as_log(one) for one in odd if not _stands_for_one(one, others, named)}


def _stands_for_one(one: DatabaseFacts, others: set[Signature | None], named: set[Signature]) -> bool:
    own = _signature(one)
    return own is not None and own not in others and (own in named or not others)


def _signature(one: DatabaseFacts) -> Signature | None:
    return None if one.header is None else one.header.signature


def _as_log(one: DatabaseFacts) -> LogFacts:
    by_name = parse_file_name(one.leaf)
    own = {each.name: getattr(one, each.name) for each in fields(FileFacts)} | {"damaged": True}
    return LogFacts(
        **own | {"note": one.note if one.header is None and one.note else _A_DATABASE},
        generation=by_name.generation,
        named_generation=by_name.generation,
        base=(by_name.base or "").lower(),
        current=by_name.role is NameRole.CURRENT_LOG,
    )


def _renamed(
    next_logs: Iterable[NextLogFacts], logs: Iterable[LogFacts], databases: Iterable[DatabaseFacts]
) -> dict[int, LogFacts]:
    """Return the logs, by identity, that are called as the one being prepared, and are missing by their headers.

    A database here needs them, or logs here leave a hole where they belong.
    """
    odd = {id(one): one.log for one in next_logs if one.log is not None}
    if not odd:
        return {}
    numbers: dict[Signature | None, set[int]] = {}
    for log in logs:
        numbers.setdefault(log.signature, set()).add(log.generation or 0)
    needs: dict[Signature | None, set[int]] = {}
    for one in databases:
        if one.header is not None:
            need, found = need_of(one), needs.setdefault(one.header.log_signature, set())
            found |= {need.low, need.committed} if need.low else {one.header.consistent_position.generation}
    return {at: log for at, log in odd.items() if _is_missing(log, numbers, needs)}


def _is_missing(
    log: LogFacts, numbers: Mapping[Signature | None, set[int]], needs: Mapping[Signature | None, set[int]]
) -> bool:
    """Return whether a log is not here, and is needed or in a hole: below all that is needed it is of an older life."""
    there, wanted, own = numbers.get(log.signature, set()), needs.get(log.signature, set()), log.generation or 0
    low = min(wanted or there, default=own + 1)
    return own not in there and low <= own <= max(there | wanted)


def named_as_next(log: LogFacts) -> LogFacts:
    """Return what a log says of itself that is called as one being prepared: no number in its name, and not current."""
    return replace(log, named_generation=None, current=False)


def in_place_told(faults: Iterable[Fault], databases: Iterable[DatabaseFacts]) -> list[Fault]:
    """Return faults of logs that are missing; where a database is in the place of one, as that."""
    found = {parse_file_name(one.leaf).generation: one for one in databases if has_name_of_log(one)}
    return [_told(fault, found) for fault in faults] if found else [*faults]


def _told(fault: Fault, found: dict[int | None, DatabaseFacts]) -> Fault:
    names = [found[one].name for one in fault.generations if one in found] if fault.kind in LOGS_MISSING else []
    if not names:
        return fault
    said = Rules.LOG_UNREADABLE.fault(some(names), _A_DATABASE)
    text = said.message if len(fault.generations) < 2 else f"{fault.message}: {said.message}"
    return replace(fault, message=text, files=tuple(names))


def written_next(facts: SetFacts) -> Iterator[Fault]:
    """Yield the logs that are called as the next one, and were written behind the last one that is here."""
    if not facts.next_logs:
        return  # what follows takes room for each log
    ends = {(log.signature, log.generation) for log in facts.logs}
    for one in facts.next_logs:
        log = one.log
        if log is None or log.content is None or log.content.is_blank or log.generation is None:
            continue
        if (log.signature, log.generation - 1) in ends and (log.signature, log.generation) not in ends:
            yield Rules.NEXT_LOG_WRITTEN.of_log(log, log.generation)


def misnamed(facts: SetFacts, told: Iterable[Fault]) -> Iterator[Fault]:
    """Yield the files that have the name of a database, and are none, and databases that are called as something else.

    What stands in the place of one that is needed, or lacks the name that it needs, is told already.
    """
    known = {name for fault in told if fault.kind in _TELL_NAMES for name in fault.files}
    named = named_in(facts)
    for file, what in _no_databases(facts):
        if file.name not in known and is_named_as_database(file.leaf, named):
            yield Rules.NO_DATABASE.fault(file.name, what, files=(file.name,))
    for one in facts.databases:
        role = parse_file_name(one.leaf).role
        if one.header is not None and not one.temporary and role in _OF_OTHERS and one.name not in known:
            kind = role.value.replace("-", " ")
            yield Rules.NO_OTHER_FILE.fault(one.name, kind, files=(one.name,), databases=(one.name,))


def _no_databases(facts: SetFacts) -> Iterator[tuple[FileFacts, str]]:
    logs = (one for one in facts.logs if one.signature is not None and not one.has_engine_name)
    yield from ((one, f"log 0x{one.generation or 0:X}") for one in logs)
    yield from ((one, "a checkpoint") for one in facts.checkpoints if not one.damaged)
    yield from ((one, "a flush map") for one in facts.flush_maps if not one.damaged)
