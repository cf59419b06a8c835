"""What each log of a set is to its databases, and what is wrong with the logs that none of them needs."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from tokar.ese.loglink import LinkFault
from tokar.sets.faults import Fault, FaultKind, Severity, altered, broken, first_of, forked, log_fault, some, spans
from tokar.sets.logs import LogTable, link, stream_key
from tokar.sets.verdict import LogRole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokar.sets.database_verdict import DatabaseRun
    from tokar.sets.facts import LogFacts, SetFacts


def roles_of(facts: SetFacts, runs: list[DatabaseRun]) -> dict[int, LogRole]:
    """Return what each log is, by identity of its facts."""
    streams = {stream_key(run.signature): run for run in runs if run.signature is not None}
    lowest: dict[bytes, int] = {}
    roles: dict[int, LogRole] = {}
    for run in runs:
        for log in run.run:
            generation = log.generation or 0
            role = LogRole.NEEDED if generation in run.need.generations else LogRole.FORWARD
            role = LogRole.COMMITTED if generation in run.need.only_committed else role
            before = roles.get(id(log), role)
            roles[id(log)] = min(before, role, key=list(LogRole).index)
            if run.signature is not None:
                key = stream_key(run.signature)
                lowest[key] = min(lowest.get(key, generation), generation)
    after = {id(log) for run in runs for log in run.after_gap}
    for log in facts.logs:
        if id(log) in roles:
            continue
        key = stream_key(log.signature) if log.signature is not None else b""
        if log.signature is None:
            roles[id(log)] = LogRole.UNUSED
        elif key not in streams:
            roles[id(log)] = LogRole.FOREIGN if facts.databases else LogRole.FORWARD
        elif key not in lowest or (log.generation or 0) < lowest[key]:
            roles[id(log)] = LogRole.SUPERSEDED
        else:
            roles[id(log)] = LogRole.AFTER_GAP if id(log) in after or streams[key].missing else LogRole.UNUSED
    return roles


def remaining_log_faults(
    facts: SetFacts, table: LogTable, runs: list[DatabaseRun], roles: dict[int, LogRole]
) -> Iterator[Fault]:
    """Yield what is wrong with logs that no database needs, and with logs that should not be here."""
    judged = {name for run in runs for fault in run.faults for name in fault.files}
    # Without a database every log is there to be played: what is wrong with one matters as much as with a needed one.
    severity = Severity.WARNING if facts.databases else Severity.ERROR
    for log in facts.logs:
        if log.name in judged or roles[id(log)] in {LogRole.NEEDED, LogRole.COMMITTED}:
            continue
        last = log.signature is not None and log.generation == table.highest(log.signature)
        fault = log_fault(log, severity, hard=False, last=last)
        if fault is not None:
            yield fault
            judged.add(log.name)
    if not facts.databases:
        yield from _run_faults(facts)
    foreign = [log for log in facts.logs if roles[id(log)] is LogRole.FOREIGN and log.name not in judged]
    if foreign and not facts.has_unreadable_database:  # they may well be its logs
        yield Fault(
            kind=FaultKind.STRAY_LOGS,
            message=f"{some(log.name for log in foreign)}: of a log stream that no database here belongs to",
            severity=Severity.WARNING,
            files=tuple(log.name for log in foreign),
            generations=tuple(sorted({log.generation for log in foreign if log.generation is not None})),
            code=-530,
            next_step="do not place these beside the others",
        )
    for run in runs:
        yield from _after_gap_faults(run, judged)


def _after_gap_faults(run: DatabaseRun, judged: set[str]) -> Iterator[Fault]:
    after = [log for log in run.after_gap if log.name not in judged]
    last = run.run[-1] if run.run else None
    if not after or last is None or last.name in judged:  # what is wrong with the last one explains it
        return
    yield Fault(
        kind=FaultKind.LOGS_AFTER_GAP,
        message=f"{some(log.name for log in after)}: not reached, the run of logs ends with {last.name}",
        severity=Severity.WARNING,
        files=tuple(log.name for log in after),
        generations=tuple(sorted({log.generation for log in after if log.generation is not None})),
        code=-515,
        next_step="do not place these beside the others: recovery stops at the gap or deletes them",
        databases=(run.facts.name,),
    )


def _run_faults(facts: SetFacts) -> Iterator[Fault]:
    """Yield the holes and broken links in a set of nothing but logs."""
    streams: dict[bytes, list[LogFacts]] = {}
    for log in facts.logs:
        if not log.damaged and log.generation is not None:
            streams.setdefault(stream_key(log.signature) if log.signature else b"", []).append(log)
    for logs in streams.values():
        ordered = sorted(logs, key=lambda log: log.generation or 0)
        for before, log in pairwise(ordered):
            yield from _step_fault(before, log)


def _step_fault(before: LogFacts, log: LogFacts) -> Iterator[Fault]:
    assert before.generation is not None
    assert log.generation is not None
    found = link(before, log).fault
    if log.generation > before.generation + 1:
        gone = range(before.generation + 1, log.generation)
        yield Fault(
            kind=FaultKind.LOG_MISSING,
            message=f"logs {spans([gone])} are missing between {before.name} and {log.name}",
            generations=first_of([gone]),
            code=-543,
            next_step="add the archive that has them",
        )
    elif log.generation == before.generation and log.created != before.created:
        yield forked(before, [before, log], Severity.ERROR)
    elif found is LinkFault.TIME:
        yield broken(before, log, Severity.ERROR, hard=False)
    elif found is LinkFault.CONTENT:
        yield altered(before, log, Severity.ERROR)
