"""What salvage could not save: each lost file by what it was, and what nobody can name (spec/format.md section 14)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from tokar.ese.filenames import FileName, NameRole, parse_file_name
from tokar.names import collision_key, leaf_of
from tokar.sets.facts import LostFile, SetFacts
from tokar.sets.fault_list import first_of
from tokar.sets.faults import Fault, FaultKind, Rules, Severity
from tokar.sets.logs import LogTable, stream_of
from tokar.sets.not_taken import is_named_as_database, named_in
from tokar.words import runs_of, some

if TYPE_CHECKING:
    from tokar.format.archive import Archive
    from tokar.sets.backup_set import BackupSet
    from tokar.sets.database_run import DatabaseRun

FURTHER: Final = "further entries"
"""The name in `lost` of SUMM for files of which nobody knows how many there were."""
_NUMBERED: Final = re.compile(r"(entry \d+|entries \d+ to \d+)")
_LOGS: Final = {NameRole.NUMBERED_LOG, NameRole.CURRENT_LOG}
_MADE_ANEW: Final = {
    *(NameRole.NEXT_LOG, NameRole.SHADOW_LOG, NameRole.RESERVE, NameRole.CHECKPOINT, NameRole.FLUSH_MAP),
    *(NameRole.PATCH, NameRole.STREAMING_FILE, NameRole.TEMPORARY_DATABASE, NameRole.REPAIR_REPORT),
}
"""What the engine makes anew, or what is missed by the database that it belongs to."""


def with_lost(facts: SetFacts, archive: Archive) -> SetFacts:
    """Return the facts of an archive with what it says that salvage lost."""
    items = archive.summary.extra.get("lost", ())
    if not items:
        return facts
    here = {entry.name for entry in archive}
    found = {one["name"]: LostFile(one["name"], one["reason"], facts.source, one["name"] in here) for one in items}
    return replace(facts, lost=tuple(found.values()))


def _is_unnamed(one: LostFile) -> bool:
    return one.name == FURTHER or bool(_NUMBERED.fullmatch(one.name))


def _by_name(one: LostFile) -> FileName:
    return parse_file_name(leaf_of(one.name))


def _is_log(one: LostFile) -> bool:
    return not one.is_part and not _is_unnamed(one) and _by_name(one).role in _LOGS


def unjudged_lost(facts: SetFacts) -> Iterator[str]:
    """Yield what was lost and nobody can judge: parts of files, files without a name, of unknown use or number."""
    named = named_in(facts)
    for one in facts.lost:
        if one.name == FURTHER:
            yield f"how many more files were lost where {one.of} was salvaged is not known"
        elif _is_unnamed(one):
            yield f"what {one.name} was that was lost where {one.of} was salvaged is not known"
        elif one.is_part:
            yield f"{one.name}: salvage saved only a part of it"
        elif not _is_log(one) and not _is_database(one, named) and _by_name(one).role not in _MADE_ANEW:
            yield f"{one.name} is lost: what is missed without it nobody can judge"


def _is_database(one: LostFile, named: set[str]) -> bool:
    return is_named_as_database(leaf_of(one.name), named)


def lost_faults(facts: SetFacts, runs: Sequence[DatabaseRun]) -> Iterator[Fault]:
    """Yield the lost logs and databases that are not here, by how bad that is."""
    named, here = named_in(facts), {collision_key(one.leaf) for one in facts.databases}
    found: dict[Severity, list[LostFile]] = {}
    for one in facts.lost:
        if one.is_part or _is_unnamed(one):
            continue
        if _is_log(one):
            if not _is_here(one, facts):
                found.setdefault(_severity_of(one, runs), []).append(one)
        elif _is_database(one, named):
            if collision_key(leaf_of(one.name)) not in here:
                found.setdefault(Severity.LOSS if here else Severity.ERROR, []).append(one)
        elif _by_name(one).role in _MADE_ANEW:
            found.setdefault(Severity.WARNING, []).append(one)
    for severity, files in found.items():
        files.sort(key=lambda one: (_by_name(one).generation or 0, one.name))
        numbers = sorted({number for one in files if (number := _by_name(one).generation) is not None})
        names = [one.name for one in files]
        words = ("is", "it") if len(files) == 1 else ("are", "them")
        fault = Rules.FILE_LOST.fault(some(names), *words, files=names[:_MOST_NAMED], severity=severity)
        yield replace(fault, generations=first_of(runs_of(numbers)))


_MOST_NAMED: Final = 1000


def _is_here(one: LostFile, facts: SetFacts) -> bool:
    """Return whether a lost log is here, from another set."""
    own = _by_name(one)
    base = (own.base or "").lower()
    return any(
        log.base == base and (log.current if own.generation is None else log.generation == own.generation)
        for log in facts.logs
    )


def _severity_of(one: LostFile, runs: Sequence[DatabaseRun]) -> Severity:
    """Return how bad it is that a log is lost: for the database for which it is worst."""
    base = (_by_name(one).base or "").lower()
    own = [run for run in runs if not run.placed or any(log.base == base for log in run.placed)]
    if not runs:
        return Severity.LOSS  # of nothing but logs each is there to be played
    return min((_severity_for(run, _by_name(one).generation) for run in own), default=Severity.WARNING)


def _severity_for(run: DatabaseRun, generation: int | None) -> Severity:
    need = run.need
    if generation is None:  # the current log: behind the last one that is here, unless the database was shut down in it
        return Severity.LOSS if need.low or run.end > run.start else Severity.WARNING
    if need.low <= generation <= need.high:
        return Severity.ERROR
    # In the log in which a database was shut down nothing is that it lacks.
    return Severity.WARNING if generation < run.start or (not need.low and generation == run.start) else Severity.LOSS


def with_what_is_told(sets: Sequence[BackupSet], logs: LogTable) -> tuple[BackupSet, ...]:
    """Return sets without the losses that others make good: files of which a copy is here, and ends that are proven."""
    return tuple(_with_told(one, sets, logs) if one.facts.lost else one for one in sets)


def _with_told(own: BackupSet, sets: Sequence[BackupSet], logs: LogTable) -> BackupSet:
    streams = {stream for log in own.facts.logs if (stream := stream_of(log))}
    others = [one for one in sets if one is not own and one.receipt is None]
    is_whole = any(own.origin == one.id.hex() for one in others)
    proven = is_whole or any(_proves_end(own, one, streams, logs) for one in others)

    def is_made_good(one: LostFile) -> bool:
        if is_whole or not _is_unnamed(one):
            return is_whole or (_is_log(one) and _is_in(one, streams, logs))
        return proven and (own.kind == "logs" or one.name == FURTHER)

    left = tuple(one for one in own.facts.lost if not is_made_good(one))
    return own if left == own.facts.lost else replace(own, facts=replace(own.facts, lost=left))


def _is_in(one: LostFile, streams: Iterable[bytes], logs: LogTable) -> bool:
    number = _by_name(one).generation
    return number is not None and any(logs.versions(stream, number) for stream in streams)


def _proves_end(own: BackupSet, later: BackupSet, streams: set[bytes], logs: LogTable) -> bool:
    """Return whether a later set proves that no log is missing that a salvaged one had.

    A procedure hands databases out before logs, and every log that there was then; so where all logs are here up to the
    last one of a later set, none of the earlier one is missing.
    """
    if own.kind == "collected" or later.kind == "collected" or any(map(_is_unnamed, later.facts.lost)):
        return False
    follows = later.prior is not None and later.prior[0].hex() == own.origin
    if not streams or not (follows or _moment(own) < _moment(later)):
        return False
    for stream in streams:
        mine = [log.generation for log in own.facts.logs if stream_of(log) == stream and log.generation]
        its = [log.generation for log in later.facts.logs if stream_of(log) == stream and log.generation]
        if not mine or not its or max(its) <= max(mine):
            return False
        if not all(logs.versions(stream, number) for number in range(min(mine), max(its) + 1)):
            return False
    return True


def _moment(one: BackupSet) -> datetime:
    return datetime.fromisoformat(one.created)


def lost_beside(sets: Sequence[BackupSet], number: int, streams: set[bytes]) -> Iterator[LostFile]:
    """Yield the logs, and what has no name, that other sets lost of the log streams of one with databases."""
    for at, one in enumerate(sets):
        if at != number and one.facts.lost and any(stream_of(log) in streams for log in one.facts.logs):
            yield from (file for file in one.facts.lost if file.is_part or _is_unnamed(file) or _is_log(file))


def without_beyond(faults: Iterable[Fault], target: int) -> tuple[Fault, ...]:
    """Return faults without those of lost and foreign logs behind the generation at which a restore stops."""
    its = {FaultKind.FILE_LOST, FaultKind.LOG_FOREIGN}
    return tuple(fault for fault in faults if fault.kind not in its or min(fault.generations, default=0) <= target)
