"""Recovery: from the files that lie there, and nothing else, to clean databases or a named engine error.

*Soft* recovery follows a crash. It believes the checkpoint, also a wrong one; without one it begins with the lowest
log. It refuses a copy that a streaming backup made (-544).

*Hard* recovery follows a restore. The lowest log of the set stands in for the checkpoint, which is ignored (Q200941).
It takes over the trailer, or puts the patch file into the copy, demands the logs of the set without exception, and then
plays on with the logs in the log folder that continue them.

Both redo by page dbtime, undo what was never committed (and log that), and leave clean databases. It is cut off safely
anywhere while soft; a hard recovery that was cut off is begun again from the same files, or from fresh ones.

This module knows nothing of `restore/` or `procedure/`.

Sources: Microsoft Knowledge Base Q200941 and Q179654; Extensible Storage Engine documentation, JetExternalRestore;
Microsoft, Extensible Storage Engine, logredo.cxx (behaviour only).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokar.ese.values import NO_BACKUP, NO_POSITION, NO_SIGNATURE
from tokar.lab.copies import apply_patch, patch_name, take_over_trailer
from tokar.lab.database_file import DatabaseFile, read_checkpoint
from tokar.lab.engine import EngineError
from tokar.lab.instance import Instance
from tokar.lab.log_stream import closed_logs, current_log
from tokar.lab.redo import Redo
from tokar.lab.restore_logs import LogRun, restored_run, roll_forward, soft_run
from tokar.lab.tables import Table

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.lab.engine import Clock, Dice, Era
    from tokar.lab.instance import Listener, Place


@dataclass(frozen=True, slots=True)
class RestoredSet:
    """What Register said about a restored set."""

    folder: Path  # Where its logs and patch files lie; may be the log folder
    low: int  # Its lowest log
    high: int  # Its highest log, or that of the last logs-only set


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a recovery did."""

    hard: bool  # Whether it was a hard one
    low: int  # First log played
    high: int  # Last log played
    undone: int  # Transactions undone
    deleted: tuple[str, ...]  # Names of logs that were deleted because they came after a gap
    databases: tuple[int, ...]  # The databases that are clean now, by dbid


def soft_recovery(place: Place, era: Era, clock: Clock, dice: Dice, listener: Listener | None = None) -> Recovered:
    """Recover after a crash.

    Args:
        place: Where the files lie.
        era: The engine that recovers.
        clock: Where times come from.
        dice: Where chance comes from.
        listener: Told of logs that are closed because undo fills them.

    Raises:
        EngineError: What stands in the way.
    """
    files = {dbid: DatabaseFile(path, era) for dbid, path in place.databases.items() if path.exists()}
    for file in files.values():
        if file.header.current_full.generation_low:
            raise EngineError(-544, "the database comes from a backup and needs hard recovery", path=file.path)
    if _never_ran(place, files):
        return Recovered(hard=False, low=0, high=0, undone=0, deleted=(), databases=())
    checkpoint = read_checkpoint(place.checkpoint)
    run = soft_run(place, checkpoint.checkpoint.generation if checkpoint else None)
    if checkpoint and checkpoint.signature != run.signature:
        raise EngineError(-532, "the checkpoint is of another log stream", path=place.checkpoint)
    for file in files.values():
        _check_needs(file, run, believed=checkpoint is not None)
    instance = Instance(place, era, clock, dice, signature=run.signature or NO_SIGNATURE)
    instance.listener = listener or instance.listener
    instance.files.update(files)
    redo = Redo(instance, checkpoint.checkpoint if checkpoint else NO_POSITION)
    for log in run.logs:
        redo.play(log)
    for dbid, (path, _) in redo.in_force.items():
        if not redo.matches(dbid):
            raise EngineError(-1216, f"the attached database {path} is missing or another one")
    return _finish(instance, redo, run, hard=False)


def hard_recovery(place: Place, era: Era, clock: Clock, dice: Dice, restored: RestoredSet) -> Recovered:
    """Recover what was restored. `place` names the databases in the restore map, and no others.

    Raises:
        EngineError: What stands in the way.
    """
    files = {dbid: DatabaseFile(path, era) for dbid, path in place.databases.items()}
    for file in files.values():
        _check_copy(file, restored)
    run = restored_run(restored.folder, place, restored.low, restored.high)
    for file in files.values():
        if file.header.log_signature != run.signature:
            raise EngineError(-555, "the logs are of another log stream than the database", path=file.path)
        _complete_copy(file, restored)
    stray = roll_forward(run, place, era)
    for path in stray:
        path.unlink()
    instance = Instance(place, era, clock, dice, signature=run.signature or NO_SIGNATURE)
    instance.files.update(files)
    redo = Redo(instance)
    for log in run.logs:
        redo.play(log)
    for dbid, file in files.items():
        if dbid not in redo.matched or (dbid in redo.in_force and not redo.matches(dbid)):
            raise EngineError(-531, "the logs are about another database of this name", path=file.path)
    return _finish(instance, redo, run, hard=True, deleted=tuple(path.name for path in stray))


def _never_ran(place: Place, files: dict[int, DatabaseFile]) -> bool:
    """Tell whether there are no logs, and no database that would need any."""
    logs = closed_logs(place.logs, place.base) or current_log(place.logs, place.base)
    return not logs and all(file.header.is_clean for file in files.values())


def _check_needs(file: DatabaseFile, run: LogRun, *, believed: bool) -> None:
    """Check that the logs a crashed database needs are there. What lies before a checkpoint is taken for not needed."""
    header, present = file.header, run.generations()
    if header.is_clean:
        return
    if header.log_signature != run.signature:
        raise EngineError(-530, "the logs are of another log stream than the database", path=file.path)
    low = max(header.required_low, min(present)) if believed else header.required_low
    missing = [generation for generation in range(low, header.required_high + 1) if generation not in present]
    if missing:
        raise EngineError(-543, f"required log {missing[0]:05X} is missing", path=file.path)
    if header.committed_high > max(present):
        raise EngineError(-582, f"committed log {header.committed_high:05X} is missing", path=file.path)


def _check_copy(file: DatabaseFile, restored: RestoredSet) -> None:
    if not file.header.current_full.generation_low:
        raise EngineError(-615, "the database does not come from a backup", path=file.path)
    if file.size % file.era.page_size:
        raise EngineError(-561, "the copy of the database is cut short", path=file.path)
    if file.header.current_full.generation_low < restored.low:
        raise EngineError(
            -554, f"the database needs logs from {file.header.current_full.generation_low:05X}", path=file.path
        )


def _complete_copy(file: DatabaseFile, restored: RestoredSet) -> None:
    if file.era.full_splits:
        high = take_over_trailer(file)
    else:
        high = apply_patch(restored.folder / patch_name(file.path.name), file)
    if high > restored.high:
        raise EngineError(-553, f"the database needs logs up to {high:05X}", path=file.path)


def _finish(instance: Instance, redo: Redo, run: LogRun, *, hard: bool, deleted: tuple[str, ...] = ()) -> Recovered:
    """Undo, write everything, and leave clean databases."""
    last = run.last
    if last.path.name.lower() == f"{instance.place.base}.log".lower():
        instance.log.resume()
    else:
        instance.log.begin(last.header.generation + 1, last.header, last.segments_xor)
    attached = sorted(redo.matched)
    for dbid in attached:
        instance.tables[dbid] = Table(dbid, instance.files[dbid], instance.cache, instance.log, instance.dice)
    losers = {number: loser for number, loser in redo.open.items() if loser.undo}
    for loser in losers.values():
        loser.undo = [change for change in loser.undo if change[0] in instance.tables]
    instance.transactions.open.update(losers)
    instance.stop()
    if hard:
        for dbid in attached:
            # After a restore only a full begins a new chain: sets from before and after it must not be mixed.
            file = DatabaseFile(instance.place.databases[dbid], instance.era)
            file.change_header(current_full=NO_BACKUP, previous_full=NO_BACKUP, previous_incremental=NO_BACKUP)
    generations = (run.logs[0].header.generation, last.header.generation)
    return Recovered(hard, *generations, len(losers), deleted, tuple(attached))
