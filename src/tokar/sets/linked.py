"""Links and special files in the place of a database or a log: nothing follows them, and each is named (`PAIR-12`)."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Final

from tokar.ese.filenames import NameRole, parse_file_name
from tokar.ese.values import Signature
from tokar.names import LINK, collision_key, leaf_of
from tokar.sets.database_run import DatabaseRun
from tokar.sets.facts import AttachedDatabase, LogFacts, SetFacts
from tokar.sets.fault_list import LOGS_MISSING
from tokar.sets.faults import Fault, FaultKind, Rules, Severity
from tokar.sets.named import is_told_by_header, telling
from tokar.sets.not_taken import is_named_as_database, named_in
from tokar.words import some

_LOGS: Final = {NameRole.NUMBERED_LOG, NameRole.CURRENT_LOG}


def with_links_among(facts: SetFacts, files: Iterable[tuple[str, str]]) -> SetFacts:
    """Return facts with the links in the place of logs and databases, of files not taken, each with the reason."""
    links = [name for name, why in files if why == LINK]
    if not links:
        return facts
    named = named_in(facts)
    return replace(facts, links=tuple(one for one in links if _is_log(one) or _is_database(one, named)))


def of_a_choice(facts: SetFacts, chosen: Container[str]) -> SetFacts:
    """Return facts of files that were asked for by name: nobody misses another database then, or all of another file.

    Args:
        facts: The facts.
        chosen: The names of the files.
    """
    lost = tuple(one for one in facts.lost if not one.is_part or one.name in chosen)
    return replace(facts, links=tuple(filter(_is_log, facts.links)), lost=lost)


def with_links(faults: Iterable[Fault], facts: SetFacts, runs: Iterable[DatabaseRun]) -> list[Fault]:
    """Return faults of a set, with those of its links: what is missing since it is one is called that."""
    if not facts.links:
        return [*faults]
    logs, databases = dict(_logs(facts)), dict(_databases(facts, runs))
    by_key = {collision_key(leaf_of(name)): (name, decides) for name, decides in databases.items()}
    found = [_log_told(_database_told(fault, by_key), logs) for fault in faults]
    told = {name for fault in found for name in fault.files}
    found += (_linked(name, decides) for name, decides in databases.items() if name not in told)
    strange = (name for name in logs.values() if name not in told)
    return [*found, *(Rules.LOG_LINKED.fault(one, files=(one,), severity=Severity.WARNING) for one in strange)]


def with_linked_logs(faults: Iterable[Fault], sets: Iterable[SetFacts]) -> list[Fault]:
    """Return faults of logs that are missing; of those that are links in one of some sets, as that."""
    links = dict(chain.from_iterable(_logs(one) for one in sets if one.links))
    return [_log_told(fault, links) for fault in faults] if links else [*faults]


def databases_linked(facts: SetFacts) -> list[str]:
    """Return, in a sentence each, which links have names of databases, and so were not looked at."""
    return [Rules.DATABASE_LINKED.text.format(name) for name, _ in _databases(facts)]


def no_database(facts: SetFacts) -> str:
    """Return that there is no database, and which links have names of some."""
    return "; ".join(["there is no database here", *databases_linked(facts)])


def links_to_databases(facts: SetFacts, others: Iterable[SetFacts]) -> tuple[str, ...]:
    """Return the links of a set, with those of others in the place of databases that its own logs name."""
    more = [name for one in others if one is not facts for name in one.links]
    named = named_in(facts) if more else set()
    return tuple(dict.fromkeys((*facts.links, *(one for one in more if collision_key(leaf_of(one)) in named))))


def _is_log(name: str) -> bool:
    return parse_file_name(leaf_of(name)).role in _LOGS


def _is_database(name: str, named: Container[str]) -> bool:
    return is_named_as_database(leaf_of(name), named)


def _linked(name: str, decides: bool | None) -> Fault:
    """Return the fault of a link in the place of a database; a remark where it does not decide, or until that is known.

    Args:
        name: Its name.
        decides: As in `_databases`.
    """
    fault = Rules.DATABASE_LINKED.fault(
        name, files=(name,), severity=Severity.WARNING if decides is False else Severity.ERROR
    )
    return fault.until_looked_at() if decides is None else fault


def _databases(facts: SetFacts, runs: Iterable[DatabaseRun] = ()) -> Iterator[tuple[str, bool | None]]:
    """Yield the links in the place of databases, each with whether it decides: a database of these logs is lacking.

    It is attached where logs end, and is neither here nor in another set; or they name none, and no database is here.
    Where that hangs on logs that nobody looked at, it is None.
    """
    here = [one for one in facts.databases if not one.temporary]
    leaves = {collision_key(one.leaf) for one in here}
    known = facts.signatures | facts.elsewhere.keys()
    unread = {collision_key(one.leaf) for one in here if one.header is None}  # what is wrong with it is said of it
    wanted: dict[str, dict[Signature, bool]] = {}
    for one, is_sure in _attached(facts, runs):
        own = wanted.setdefault(collision_key(leaf_of(one.path)), {})
        own[one.signature] = is_sure or own.get(one.signature, False)
    alone = bool(facts.logs) and not here and not wanted
    named = named_in(facts)
    for name in facts.links:
        key = collision_key(leaf_of(name))
        lacking = [is_sure for one, is_sure in wanted.get(key, {}).items() if one not in known and key not in unread]
        decides = (any(lacking) or None) if lacking else (key not in wanted and alone)
        if _is_database(name, named) and (decides is not False or key not in leaves) and (here or facts.logs):
            yield name, decides


def _attached(facts: SetFacts, runs: Iterable[DatabaseRun]) -> Iterator[tuple[AttachedDatabase, bool]]:
    """Yield what is attached where logs end: those that are played onto databases here, and those of other streams.

    And whether that is sure: beside a database that was shut down somebody has to look at the records.
    """
    for run in (run for run in runs if run.run):
        known, logs = run.facts.attached_at(run.end), telling(run)
        is_told, nobody_looked = is_told_by_header(run, logs), run.facts.chain is None
        yield from ((one, True) for one in known or ())
        yield from ((one, is_told) for one in logs[-1].attached if is_told or nobody_looked)
    last: dict[Signature, LogFacts] = {}
    for log in facts.logs:
        if log.signature is not None and log.signature not in facts.owned_streams:
            before = last.get(log.signature)
            last[log.signature] = log if before is None else max(before, log, key=lambda one: one.generation or 0)
    yield from ((one, True) for log in last.values() for one in log.attached)


def _logs(facts: SetFacts) -> Iterator[tuple[int, str]]:
    """Yield the links in the place of logs, each with its generation; the current log comes after all others."""
    last = max((log.generation or 0 for log in facts.logs), default=0)
    for name in filter(_is_log, facts.links):
        yield parse_file_name(leaf_of(name)).generation or last + 1, name


def _database_told(fault: Fault, links: dict[str, tuple[str, bool | None]]) -> Fault:
    """Return the fault of a database that is not here as that of a link, where one has its name."""
    if fault.kind is not FaultKind.DATABASE_NOT_HERE or len(fault.files) != 1:
        return fault
    name, decides = links.get(collision_key(leaf_of(fault.files[0])), ("", False))
    if not name or (fault.blocks and not decides):
        return fault
    found = _linked(name, decides)
    return replace(found, code=fault.code, databases=fault.databases)


def _log_told(fault: Fault, logs: dict[int, str]) -> Fault:
    """Return a fault of logs that are missing as that of links, where these have their names."""
    names = [logs[one] for one in fault.generations if one in logs] if fault.kind in LOGS_MISSING else []
    if not names:
        return fault
    if fault.files == tuple(names):
        return fault  # it is said already
    found = Rules.LOG_LINKED.fault(some(names))
    text = found.message if len(fault.generations) < 2 else f"{fault.message}: {found.message}"
    return replace(fault, message=text, files=tuple(names), next_step=found.next_step)
