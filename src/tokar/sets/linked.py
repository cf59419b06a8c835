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
from tokar.sets.named import telling
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


def of_a_choice(facts: SetFacts) -> SetFacts:
    """Return facts of files that were asked for by name: nobody misses another database then."""
    return replace(facts, links=tuple(filter(_is_log, facts.links)))


def with_links(faults: Iterable[Fault], facts: SetFacts, runs: Iterable[DatabaseRun]) -> list[Fault]:
    """Return faults of a set, with those of its links: what is missing since it is one is called that."""
    if not facts.links:
        return [*faults]
    logs, databases = dict(_logs(facts)), dict(_databases(facts, runs))
    by_key = {collision_key(leaf_of(name)): (name, decides) for name, decides in databases.items()}
    found = [_log_told(_database_told(fault, by_key), logs) for fault in faults]
    told = {name for fault in found for name in fault.files}
    for name, decides in databases.items():
        if name not in told:
            severity = Severity.ERROR if decides else Severity.WARNING
            found.append(Rules.DATABASE_LINKED.fault(name, files=(name,), severity=severity))
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


def _databases(facts: SetFacts, runs: Iterable[DatabaseRun] = ()) -> Iterator[tuple[str, bool]]:
    """Yield the links in the place of databases, each with whether it decides: a database of these logs is lacking.

    It is attached where logs end, and is neither here nor in another set; or they name none, and no database is here.
    """
    here = [one for one in facts.databases if not one.temporary]
    leaves = {collision_key(one.leaf) for one in here}
    known = facts.signatures | facts.elsewhere.keys()
    unread = {collision_key(one.leaf) for one in here if one.header is None}  # what is wrong with it is said of it
    wanted: dict[str, set[Signature]] = {}
    for one in _attached(facts, runs):
        wanted.setdefault(collision_key(leaf_of(one.path)), set()).add(one.signature)
    alone = bool(facts.logs) and not here and not wanted
    named = named_in(facts)
    for name in facts.links:
        key = collision_key(leaf_of(name))
        decides = not wanted[key] <= known and key not in unread if key in wanted else alone
        if _is_database(name, named) and (decides or key not in leaves) and (here or facts.logs):
            yield name, decides


def _attached(facts: SetFacts, runs: Iterable[DatabaseRun]) -> Iterator[AttachedDatabase]:
    """Yield what is attached where logs end: those that are played onto databases here, and those of other streams."""
    for run in (run for run in runs if run.run):
        known = run.facts.attached_at(run.end)
        yield from known or ()
        yield from telling(run)[-1].attached if known is None or run.need.low else ()
    last: dict[Signature, LogFacts] = {}
    for log in facts.logs:
        if log.signature is not None and log.signature not in facts.owned_streams:
            before = last.get(log.signature)
            last[log.signature] = log if before is None else max(before, log, key=lambda one: one.generation or 0)
    yield from (one for log in last.values() for one in log.attached)


def _logs(facts: SetFacts) -> Iterator[tuple[int, str]]:
    """Yield the links in the place of logs, each with its generation; the current log comes after all others."""
    last = max((log.generation or 0 for log in facts.logs), default=0)
    for name in filter(_is_log, facts.links):
        yield parse_file_name(leaf_of(name)).generation or last + 1, name


def _database_told(fault: Fault, links: dict[str, tuple[str, bool]]) -> Fault:
    """Return the fault of a database that is not here as that of a link, where one has its name."""
    if fault.kind is not FaultKind.DATABASE_NOT_HERE or len(fault.files) != 1:
        return fault
    name, decides = links.get(collision_key(leaf_of(fault.files[0])), ("", False))
    if not name or (fault.blocks and not decides):
        return fault
    found = Rules.DATABASE_LINKED.fault(name, files=(name,), severity=Severity.ERROR if decides else Severity.WARNING)
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
