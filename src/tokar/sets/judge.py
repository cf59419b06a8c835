"""The verdict: is each database of a set recoverable from the files that are here, and if not, what is the cause."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tokar.as_json import fields_json
from tokar.ese.filenames import parse_file_name
from tokar.sets.database_verdict import RESTORABLE, DatabaseRun, DatabaseVerdict, Verdict
from tokar.sets.faults import Fault, Rules, Severity, first_of, forked, in_order, log_fault, spans
from tokar.sets.logs import LinkFault, LogTable, link, stream_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tokar.ese.values import Signature
    from tokar.sets.facts import CheckpointFacts, LogFacts, PatchFacts, SetFacts


class LogRole(StrEnum):
    """What a log is to the databases of its set."""

    NEEDED = "needed"
    COMMITTED = "committed"  # holds committed transactions beyond the required range
    FORWARD = "forward"  # continues the run: play forward
    SUPERSEDED = "superseded"  # older than anything a database needs
    AFTER_GAP = "after-gap"  # the run does not reach it
    FOREIGN = "foreign"  # of another stream
    UNUSED = "unused"  # unreadable, or another log stands for its generation


@dataclass(frozen=True, slots=True, kw_only=True)
class SetVerdict:
    """What becomes of a set."""

    databases: tuple[DatabaseVerdict, ...]  # One verdict for each database
    log_roles: tuple[tuple[str, LogRole], ...]  # What each log is, by its name
    faults: tuple[Fault, ...]  # Everything that is wrong, the worst and its root cause first
    not_checked: tuple[str, ...]  # What the verdict leaves open

    @property
    def worst(self) -> Verdict | None:
        """The worst verdict; None without databases."""
        order = list(Verdict)
        return max((one.verdict for one in self.databases), key=order.index, default=None)

    @property
    def blocking(self) -> tuple[Fault, ...]:
        """The faults that recovery does not get past without a loss."""
        return tuple(fault for fault in self.faults if fault.blocks)

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            "verdict": self.worst.value if self.worst else None,
            **fields_json(self, "databases"),
            "logs": [{"name": name, "role": role.value} for name, role in self.log_roles],
            **fields_json(self, "faults", "not_checked"),
        }


def judge_set(facts: SetFacts) -> SetVerdict:
    """Return what becomes of the databases of a set.

    Args:
        facts: What its files say; of several archives together, where they form a chain.
    """
    table = LogTable(facts.logs)
    runs = [DatabaseRun(database, table) for database in facts.databases]
    for run in runs:
        run.walk()
        run.faults += patch_faults(run, facts.patches)
    verdicts = tuple(run.verdict() for run in runs)
    roles = roles_of(facts, runs)
    faults = [fault for run in runs for fault in run.faults]
    faults += remaining_log_faults(facts, table, runs, roles)
    faults += beside_faults(facts, runs)
    return SetVerdict(
        databases=verdicts,
        log_roles=tuple((log.name, roles[id(log)]) for log in facts.logs),
        faults=in_order(faults),
        not_checked=tuple(dict.fromkeys(_open_questions(facts, verdicts))),
    )


@dataclass(frozen=True, slots=True)
class ArchiveVerdict:
    """What becomes of the set in one archive."""

    facts: SetFacts  # What its files say of themselves, without databases of formats that are not known
    databases: tuple[DatabaseVerdict, ...] = ()  # One verdict for each of these databases
    not_checked: tuple[str, ...] = ()  # What nobody could judge

    @property
    def unrecoverable(self) -> tuple[DatabaseVerdict, ...]:
        """The databases that cannot be recovered from this set alone."""
        return tuple(one for one in self.databases if one.verdict not in RESTORABLE)

    @property
    def last_logs(self) -> tuple[LogFacts, ...]:
        """The logs in order, as far as their generations are known."""
        known = [one for one in self.facts.logs if one.generation is not None]
        return tuple(sorted(known, key=lambda one: (one.generation or 0, one.current)))


def judge_alone(found: SetFacts) -> ArchiveVerdict:
    """Return what becomes of the set in one archive.

    Where nothing can be judged that is said: a file of a format that is not known, or a set of logs alone.

    Args:
        found: What the files of the archive say of themselves.
    """
    opaque = [one for one in found.databases if not one.recognised]
    facts = replace(found, databases=tuple(one for one in found.databases if one.recognised))
    verdict = judge_set(facts)
    not_checked = [f"{one.name}: not a database of a known format" for one in opaque]
    if not facts.databases and facts.logs:
        not_checked.append("logs alone: what they can be played onto is not in this archive")
    return ArchiveVerdict(facts, verdict.databases, (*not_checked, *verdict.not_checked))


def _open_questions(facts: SetFacts, verdicts: Iterable[DatabaseVerdict]) -> Iterator[str]:
    for verdict in verdicts:
        yield from verdict.not_checked
    for patch in facts.patches:
        if patch.size:
            yield f"{patch.name}: a patch file with content; its layout is not known, it is kept as it is"
    for log in facts.logs:
        if log.is_opaque:
            yield f"{log.name}: {log.note or 'a log of a format that is not known'}"


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
        yield Rules.STRAY_LOGS.of_logs(foreign)
    for run in runs:
        yield from _after_gap_faults(run, judged)


def _after_gap_faults(run: DatabaseRun, judged: set[str]) -> Iterator[Fault]:
    after = [log for log in run.after_gap if log.name not in judged]
    last = run.run[-1] if run.run else None
    if not after or last is None or last.name in judged:  # what is wrong with the last one explains it
        return
    yield replace(Rules.LOGS_AFTER_GAP.of_logs(after, last.name), databases=(run.facts.name,))


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
        yield Rules.LOGS_MISSING_BETWEEN.fault(spans([gone]), before.name, log.name, generations=first_of([gone]))
    elif log.generation == before.generation and log.created != before.created:
        yield forked(before, [before, log], Severity.ERROR)
    elif found is LinkFault.TIME:
        yield Rules.LINK_BROKEN.of_log(log, before.name, before=before)
    elif found is LinkFault.CONTENT:
        yield Rules.LOG_ALTERED.of_log(before, log.name)


def beside_faults(facts: SetFacts, runs: list[DatabaseRun]) -> Iterator[Fault]:
    """Yield what does not fit beside the databases and logs: checkpoints, flush maps, databases that are not here.

    None of it is placed by a restore of its own accord, so most of this is a warning: about what happens if somebody
    places it by hand.
    """
    yield from _databases_not_here(facts, runs)
    for checkpoint in facts.checkpoints:
        yield from _checkpoint_faults(checkpoint, facts, runs)
    known = {database.header.flush_map_signature for database in facts.databases if database.header is not None}
    for flush_map in facts.flush_maps:
        if flush_map.signature not in known and not facts.has_unreadable_database:
            yield Rules.FLUSH_MAP_FOREIGN.fault(flush_map.name, files=(flush_map.name,))


def _databases_not_here(facts: SetFacts, runs: list[DatabaseRun]) -> Iterator[Fault]:
    """Yield the databases that logs name and that are not here: soft recovery stops unless told to go on without them.

    Hard recovery plays logs onto the databases of its restore map alone, and a clean database needs no recovery. A
    database that only earlier logs name may have been detached since.
    """
    here = {database.header.signature for database in facts.databases if database.header is not None}
    gone: dict[Signature, tuple[str, Severity, tuple[str, ...]]] = {}
    for one in runs:
        for log in one.run:
            stops = one.need.low and not one.need.hard and log is one.run[-1]
            for attached in log.attached:
                if attached.signature not in here:
                    _, worst, users = gone.get(attached.signature, ("", Severity.WARNING, ()))
                    severity = Severity.LOSS if stops else worst
                    gone[attached.signature] = (attached.path, severity, (*users, one.facts.name))
    for path, severity, users in gone.values():
        named = dict.fromkeys(users)
        yield Rules.DATABASE_NOT_HERE.fault(path, files=(path,), severity=severity, databases=named)


def patch_faults(run: DatabaseRun, patches: Iterable[PatchFacts]) -> Iterator[Fault]:
    """Yield a patch file that is missing: before trailers a copy was nothing without the pages in it (Q158526)."""
    database = run.facts
    if not run.need.hard or database.header is None or database.header.file_type != 0:
        return
    stem = _stem(database.leaf)
    if stem not in {_stem(patch.leaf) for patch in patches if patch.size}:
        own = (database.name,)
        yield Rules.PATCH_MISSING.fault(database.name, stem, files=own, databases=own)


def _stem(leaf: str) -> str:
    return (parse_file_name(leaf).base or leaf.rpartition(".")[0] or leaf).lower()


def _checkpoint_faults(checkpoint: CheckpointFacts, facts: SetFacts, runs: list[DatabaseRun]) -> Iterator[Fault]:
    name, signature, generation = checkpoint.name, checkpoint.signature, checkpoint.position.generation
    if signature is None:
        yield Rules.CHECKPOINT_DAMAGED.fault(name, files=(name,))
        return
    streams = {log.signature for log in facts.logs}
    streams |= {database.header.log_signature for database in facts.databases if database.header is not None}
    if signature not in streams and any(stream is not None and stream.is_set for stream in streams):
        yield Rules.CHECKPOINT_FOREIGN.fault(name, files=(name,))
        return
    for run in runs:
        header = run.facts.header
        if header is None or header.log_signature != signature:
            continue
        start = run.need.low or header.consistent_position.generation
        if start and generation > start:
            words = (checkpoint.position, start, run.facts.name)
            yield Rules.CHECKPOINT_NEWER.fault(name, *words, files=(name,))
            return
