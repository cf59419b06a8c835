"""The verdict: is each database of a set recoverable from the files that are here, and if not, what is the cause."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, compress, pairwise
from operator import not_
from typing import Any, Final

from tokar.as_json import Array, fields_json
from tokar.ese.database import DatabaseHeader
from tokar.ese.filenames import parse_file_name
from tokar.ese.values import Signature
from tokar.sets.beside import (
    copies_left_out,
    copy_faults,
    current_faults,
    in_place_of_databases,
    may_give_way,
    not_with_copies,
    pair_faults,
    together_faults,
    unmet_copies,
    with_whole_copy,
    without_copies,
)
from tokar.sets.by_generation import TimesByGeneration, logs_in_order
from tokar.sets.by_header import in_place_told, misnamed, written_next
from tokar.sets.database_run import DatabaseRun
from tokar.sets.database_verdict import DatabaseVerdict, Verdict
from tokar.sets.facts import CheckpointFacts, DatabaseFacts, LogFacts, PatchFacts, SetFacts
from tokar.sets.fault_list import first_of, for_owner, in_order, listed
from tokar.sets.faults import Fault, FaultKind, Rules, Severity
from tokar.sets.file_faults import database_faults, forked, log_fault
from tokar.sets.instances import in_folders
from tokar.sets.left_out import NOT_PLACED, TEMPORARY, LeftOut, LeftOutFiles, Reason, left_out_of
from tokar.sets.leftovers_told import with_leftovers_told
from tokar.sets.linked import with_linked_logs, with_links
from tokar.sets.links import break_fault, link
from tokar.sets.logs import LogTable, stream_key, stream_of
from tokar.sets.lost import lost_faults
from tokar.sets.named import databases_not_here, databases_renamed, sure_logs
from tokar.sets.roles import LogRole, LogRoles, roles_of
from tokar.sets.server_list import list_faults
from tokar.words import logs_text

TO_PROVE: Final = "(tokar check --content)"
"""How to prove what nobody looked at."""
_PLAYED: Final = {LogRole.NEEDED, LogRole.COMMITTED, LogRole.FORWARD}


@dataclass(frozen=True, slots=True, kw_only=True)
class SetVerdict:
    """What becomes of a set."""

    databases: tuple[DatabaseVerdict, ...]  # One verdict for each database
    log_roles: LogRoles  # What each log is, by its name
    faults: tuple[Fault, ...]  # Everything that is wrong, the worst and its root cause first
    not_checked: tuple[str, ...]  # What the verdict leaves open
    left_out: Sequence[LeftOut] = ()  # The files that recovery must not meet

    @property
    def worst(self) -> Verdict | None:
        """The worst verdict; None without databases."""
        order = list(Verdict)
        return max((one.verdict for one in self.databases), key=order.index, default=None)

    @property
    def blocking(self) -> tuple[Fault, ...]:
        """The faults that recovery does not get past without a loss."""
        return tuple(fault for fault in self.faults if fault.blocks)

    @property
    def remarks(self) -> tuple[Fault, ...]:
        """The faults that are worth knowing and in no one's way."""
        return tuple(fault for fault in self.faults if not fault.blocks)

    def placed_logs(self) -> tuple[LogFacts, ...]:
        """Return the logs that are placed for its databases, in order, as far as their generations are known."""
        apart = (one.file for one in self.left_out if isinstance(one.file, LogFacts))  # in the order of the logs
        first, known = next(apart, None), list[LogFacts]()
        for log, role in self.log_roles.pairs():
            if log is first:
                first = next(apart, None)
            elif role is not LogRole.FOREIGN and log.generation is not None:
                known.append(log)
        return tuple(logs_in_order(known, key=lambda one: (one.generation or 0, one.current)))

    def to_json(self, array: Array = list) -> dict[str, Any]:
        """Return it as values for JSON. `array`: makes the arrays that have a row for each log."""
        return {
            "verdict": self.worst.value if self.worst else None,
            **fields_json(self, "databases"),
            "logs": array({"name": name, "role": role.value} for name, role in self.log_roles),
            **fields_json(self, "faults", "not_checked"),
            "left_out": array(one.to_json() for one in self.left_out),
        }


def judge_set(facts: SetFacts, *, without: Collection[int] = ()) -> SetVerdict:
    """Return what becomes of the databases of a set.

    Args:
        facts: What its files say; of several archives together, where they form a chain.
        without: Logs, by identity, of another history than the one that is wanted (`beside_branch`).
    """
    apart, all_databases, whole = copies_left_out(facts), facts.databases, without_copies(facts)
    unmet = unmet_copies(facts, apart)
    facts, temporary = _without_temporary(whole)
    wanted = [log for log in facts.logs if id(log) not in without] if without else facts.logs
    table = LogTable(wanted, databases=facts.databases)
    runs = [DatabaseRun(database, table, facts.owned_streams) for database in facts.databases]
    for run in runs:
        run.checkpoints = facts.checkpoints
    proven: dict[Signature | None, TimesByGeneration] = {}
    for run in runs:
        run.prove(proven.setdefault(run.signature, TimesByGeneration()))
    for run in runs:
        run.walk(proven[run.signature])
        run.faults += [*patch_faults(run, facts.patches), *pair_faults(run.facts, facts)]
    for run in runs:
        faults = for_owner(with_whole_copy(run.faults, run.facts, all_databases, facts.logs), facts.profile)
        faults = with_linked_logs(in_place_told(faults, facts.databases), [facts])
        faults = in_folders(with_leftovers_told(faults, [facts]), facts)
        in_doubt = may_give_way(run.facts, all_databases)
        run.faults = [one.until_looked_at() for one in faults] if in_doubt else [*faults]
    _give_up_lost(runs)
    between = [*_holes_between(runs)]
    verdicts = [run.verdict() for run in runs]
    roles = roles_of(facts, runs)
    faults = in_folders(for_owner(between, facts.profile), facts) + [fault for run in runs for fault in run.faults]
    others = [*listed(remaining_log_faults(facts, table, runs, roles)), *beside_faults(whole, runs)]
    beside = [one for one in all_databases if id(one) in apart]
    reasons = [*((one, apart[id(one)]) for one in beside), *((one, one.why) for one in facts.aside)]
    reasons += [(one, TEMPORARY) for one in temporary]
    copies = ((one, Reason(why, is_harmless=id(one) in unmet)) for one, why in reasons)
    left_out = LeftOutFiles(chain(left_out_of(facts, table, runs, roles), copies))
    others += lost_faults(facts, runs)
    others += current_faults(facts, _ends(runs), (one.file for one in left_out))
    faults += [*in_folders(for_owner(others, facts.profile), facts), *copy_faults(all_databases, apart)]
    faults += [replace(fault, severity=Severity.WARNING) for one in beside for fault in database_faults(one)]
    open_questions = tuple(dict.fromkeys(_open_questions(facts, verdicts)))
    made_anew = [DatabaseRun(one, table, frozenset()) for one in temporary]
    in_place = {id(file) for file, _ in in_place_of_databases(whole)}
    faults += [fault for run in made_anew if id(run.facts) not in in_place for fault in run.faults]
    faults += [*misnamed(whole, faults)]
    return SetVerdict(
        databases=(*verdicts, *(run.verdict() for run in made_anew)),
        log_roles=roles,
        faults=in_order(with_leftovers_told(with_links(faults, facts, runs), [facts])),
        not_checked=open_questions,
        left_out=left_out,
    )


def _without_temporary(facts: SetFacts) -> tuple[SetFacts, list[DatabaseFacts]]:
    """Return facts without temporary databases, which no log is played onto and nobody restores, and these."""
    temporary = [one for one in facts.databases if one.temporary]
    if not temporary:
        return facts, []
    return replace(facts, databases=tuple(one for one in facts.databases if not one.temporary)), temporary


def _ends(runs: Sequence[DatabaseRun]) -> Iterator[tuple[DatabaseFacts, LogFacts, bool]]:
    """Yield the databases that soft recovery plays logs onto, each with the last of these, and whether any is sure."""
    if not any(run.need.hard for run in runs):
        yield from ((run.facts, run.run[-1], bool(sure_logs(run))) for run in runs if run.run and run.is_settled)


def _give_up_lost(runs: list[DatabaseRun]) -> None:
    """End the runs of each stream where logs are given up; a clean database from behind that takes none."""
    for run in runs:
        lost = [one.lost for one in runs if one.lost and one.signature == run.signature]
        run.given_up = min(lost, default=0)
        if run.run and lost and not run.need.low and run.start >= run.given_up:
            run.give_up()


def _holes_between(runs: list[DatabaseRun]) -> Iterator[Fault]:
    """Yield the holes between what two databases of one stream need; logs of clean ones beyond a hole are given up."""
    streams: dict[bytes, list[DatabaseRun]] = {}
    for run in runs:
        if run.signature is not None and run.run:
            streams.setdefault(stream_key(run.signature), []).append(run)
    for together in streams.values():
        ordered = sorted(together, key=lambda one: one.placed[0].generation or 0)
        for at, upper in enumerate(ordered[1:], 1):
            below, above = ordered[:at], ordered[at:]
            if _are_joined(below, upper):
                continue
            need_below, need_above = (any(one.need.low for one in part) for part in (below, above))
            if need_below and need_above:
                yield _parted(max(below, key=lambda one: one.end), upper)
                break
            for one in (*(below if not need_below else ()), *(above if not need_above else ())):
                one.give_up()


def _are_joined(below: list[DatabaseRun], upper: DatabaseRun) -> bool:
    """Return whether recovery comes from the logs of some databases to those of another one."""
    first, last = upper.placed[0], max(below, key=lambda one: one.end).run[-1]
    return any(log is first for one in below for log in one.placed) or link(last, first).fault is None


def _parted(lower: DatabaseRun, upper: DatabaseRun) -> Fault:
    """Return why recovery does not come from the logs that one database needs to those of another."""
    first, last, names = upper.placed[0], lower.run[-1], (lower.facts.name, upper.facts.name)
    low, high = lower.end + 1, first.generation or 0
    if high > low:
        gone, words = [range(low, high)], (lower.run[-1].name, first.name)
        return Rules.LOGS_MISSING_BETWEEN.fault(*logs_text(gone), *words, generations=first_of(gone), databases=names)
    return replace(break_fault(last, first), databases=names)


def _out_of_step(runs: list[DatabaseRun]) -> Iterator[Fault]:
    """Yield the databases that were shut down at another time than the logs are of that are played for others.

    The logs name them as attached, and what they say of their last shutdown is not so: recovery stops unless told to go
    on without them.
    """
    for run in runs:
        header = run.facts.header
        if header is None or not header.is_clean or run.run or run.need.hard:
            continue
        together = [one for one in runs if one.signature == run.signature]
        played = [log for one in together for log in one.played]
        first = min(played, key=_generation, default=None)
        for log in (first, max(played, key=_generation, default=None)):
            found = None if log is None else _out_of_step_with(run.facts, header, log, is_first=log is first)
            if log is not None and found is not None:
                # Whether a log is played that no database needs is in its content.
                is_sure = any(one.need.is_sure_of(log) for one in together)
                yield found if is_sure else found.until_looked_at()
                break


def _out_of_step_with(
    database: DatabaseFacts, header: DatabaseHeader, log: LogFacts, *, is_first: bool
) -> Fault | None:
    named = [one for one in log.attached if one.signature == header.signature]
    own = (database.name,)
    if any(one.consistent_position != header.consistent_position for one in named):
        older = any(header.consistent_position < one.consistent_position for one in named)
        rule = Rules.DATABASE_BEHIND if older else Rules.DATABASE_APART
        return rule.fault(database.name, log.name, files=own, databases=own)
    # What came between its attachment and the log with which recovery begins is never played.
    later = any(one.attach_position > header.attach_position for one in named)
    if not is_first or not header.attach_position.is_set or not later:
        return None
    severity = Severity.ERROR
    return Rules.DATABASE_BEHIND.fault(database.name, log.name, files=own, databases=own, severity=severity)


def _generation(log: LogFacts) -> int:
    return log.generation or 0


def _open_questions(facts: SetFacts, verdicts: Iterable[DatabaseVerdict]) -> Iterator[str]:
    if not facts.databases and facts.logs:
        yield "logs alone: what they can be played onto is not in this archive"
    for database, verdict in zip(facts.databases, verdicts, strict=True):
        yield from verdict.not_checked
        if verdict.reaches and not database.why_halted and not database.is_followed_to(verdict.reaches):
            found = database.chain
            # Where content was looked at, no more can be asked for.
            is_told = found and found.why_not and (facts.were_verified or not found.is_explained)
            why = f": {found.why_not}" if found and is_told else f" {TO_PROVE}"
            yield f"{database.name}: its pages were not followed through these logs{why}"
    for patch in facts.patches:
        if patch.size and patch.trailer is None:
            yield f"{patch.name}: a patch file with content; its layout is not known, it is kept as it is"
    yield from opaque_in(facts)


def opaque_in(facts: SetFacts) -> Iterator[str]:
    """Yield the logs of formats that are not known, each with what is known of it."""
    for log in facts.logs:
        if log.is_opaque:
            yield f"{log.name}: {log.note or 'a log of a format that is not known'}"


def remaining_log_faults(facts: SetFacts, table: LogTable, runs: list[DatabaseRun], roles: LogRoles) -> Iterator[Fault]:
    """Yield what is wrong with logs that no database needs, and with logs that should not be here."""
    names = {name for run in runs for fault in run.faults for name in fault.files}
    names |= {file.name for file, _ in in_place_of_databases(facts) if file.damaged}  # said of a database then
    judged = bytearray(log.name in names for log in facts.logs)  # by the place of the log
    # Without a database every log is there to be played: what is wrong with one matters as much as with a needed one,
    # unless it is here whole too.
    worst = Severity.WARNING if facts.databases else Severity.ERROR
    streams = [*table.streams]
    astray = _streams_astray(facts)
    for at, (log, role) in enumerate(roles.pairs()):
        if role in {LogRole.NEEDED, LogRole.COMMITTED} or judged[at]:
            continue
        last = log.signature is not None and log.generation == table.highest(log.signature)
        misnamed = log.named_generation not in {None, log.generation}  # it stands for another one
        whole = None if misnamed else table.whole_copy(log, streams)
        severity = worst if whole is None else Severity.WARNING
        fault = log_fault(log, severity, hard=False, last=last, databases=facts.databases)
        if whole is not None:
            fault = table.fault_of_double(log, whole.facts.name)
        beyond = role in {LogRole.BEFORE_GAP, LogRole.AFTER_GAP} and not table.is_twice(log)
        beyond |= stream_of(log) in astray and not table.is_found(log)
        if fault is None and beyond and table.right_name(log):
            fault = Rules.LOG_NOT_FOUND.of_log(log, log.generation, severity=severity)
        stray = role is LogRole.FOREIGN and not facts.has_unreadable_database
        if fault is not None and not (stray and fault.kind is FaultKind.LOG_NAME):  # no name would make it fit
            yield fault
            judged[at] = True
    if not facts.databases:
        yield from _run_faults(table)
    foreign = [log for log, role in compress(roles.pairs(), map(not_, judged)) if role is LogRole.FOREIGN]
    if foreign and not facts.has_unreadable_database:  # they may well be its logs
        yield Rules.STRAY_LOGS.of_logs(foreign)
    for run in runs:
        yield from _unreached(run, facts, roles, judged)


def _streams_astray(facts: SetFacts) -> set[bytes | None]:
    """Return the streams of logs alone that their service looks for under a base name that is known (`SFT-7`).

    Where it finds logs of some streams, those of which it finds none may be of another server.
    """
    own = (log for log in facts.logs if log.service_base) if not facts.databases else ()
    found: dict[bytes | None, bool] = {}
    for log in own:
        stream = stream_of(log)
        found[stream] = found.get(stream, False) or log.base == log.service_base
    return {stream for stream, is_found in found.items() if is_found} or {*found}


def _unreached(run: DatabaseRun, facts: SetFacts, roles: LogRoles, judged: bytearray) -> Iterator[Fault]:
    """Yield the logs of the stream of a database that recovery of it does not reach, unless a fault explains it."""
    if not run.is_settled or run.signature is None:
        return
    open_ones = compress(roles.pairs(), map(not_, judged))
    own = ((log, role) for log, role in open_ones if log.signature == run.signature)
    name, of = run.facts.name, (run.facts.name,)
    if not run.run:
        found = [*own]
        if found and all(role in NOT_PLACED for _, role in found):
            yield replace(Rules.LOGS_BEFORE_CLEAN.of_logs([log for log, _ in found], name), databases=of)
        if facts.logs and not any(role in _PLAYED for _, role in roles):
            header = run.facts.header
            assert header is not None
            told = header.tells_its_shutdown
            words = () if told else (header.consistent_position, header.attach_position, header.detach_position)
            yield (Rules.NEW_STREAM if told else Rules.SHUTDOWN_UNTOLD).fault(name, *words, databases=of)
        return
    apart = [(log, role) for log, role in own if role in {LogRole.BEFORE_GAP, LogRole.AFTER_GAP}]
    before, after = ([log for log, one in apart if one is role] for role in (LogRole.BEFORE_GAP, LogRole.AFTER_GAP))
    if before:
        yield replace(Rules.LOGS_BEFORE_GAP.of_logs(before, run.placed[0].name), databases=of)
    last = run.run[-1]  # what is wrong with that one explains it
    explained = any(log is last for log in compress(facts.logs, judged))
    if after and not run.missing and not explained:
        yield replace(Rules.LOGS_AFTER_GAP.of_logs(after, last.name), databases=of)


def _run_faults(table: LogTable) -> Iterator[Fault]:
    """Yield the holes and broken links in a set of nothing but logs, of each of which the best copy counts."""
    for stream in table.streams:
        for before, log in pairwise(one.facts for one in table.of_stream(stream)):
            gone = range((before.generation or 0) + 1, log.generation or 0)
            if not gone or not all(map(table.opaque_at, gone)):
                yield from step_faults(before, log)


def step_faults(before: LogFacts, log: LogFacts) -> Iterator[Fault]:
    """Yield why a log does not follow the one that comes before it: a hole, another history, other content."""
    assert before.generation is not None
    assert log.generation is not None
    if log.generation > before.generation + 1:
        gone = range(before.generation + 1, log.generation)
        yield Rules.LOGS_MISSING_BETWEEN.fault(*logs_text([gone]), before.name, log.name, generations=first_of([gone]))
    elif log.generation == before.generation and log.created != before.created:
        yield forked(before, [before, log], Severity.ERROR)
    elif log.generation > before.generation and link(before, log).fault is not None:
        yield break_fault(before, log)


def beside_faults(facts: SetFacts, runs: list[DatabaseRun]) -> Iterator[Fault]:
    """Yield what does not fit beside the databases and logs: checkpoints, flush maps, databases that are not here.

    None of it is placed by a restore of its own accord, so most of this is a warning: about what happens if somebody
    places it by hand.
    """
    yield from not_with_copies(runs, facts.logs)
    yield from databases_not_here(facts, runs)
    yield from databases_renamed(runs)
    yield from together_faults(facts)
    yield from _out_of_step(runs)
    formats: dict[str, list[LogFacts]] = {}
    for log in facts.logs:
        if log.is_newer:
            formats.setdefault(log.format, []).append(log)
    for newer, logs in formats.items():
        yield Rules.LOGS_NEWER.of_logs(logs, newer)
    yield from list_faults(facts)
    yield from written_next(facts)
    for checkpoint in facts.checkpoints:
        yield from _checkpoint_faults(checkpoint, facts, runs)
    known = {database.header.flush_map_signature for database in facts.databases if database.header is not None}
    for flush_map in facts.flush_maps:
        if flush_map.signature not in known and not facts.has_unreadable_database:
            yield Rules.FLUSH_MAP_FOREIGN.fault(flush_map.name, files=(flush_map.name,))


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
