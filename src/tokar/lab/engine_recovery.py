"""Recovery: from the files that lie there, and nothing else, to clean databases or a named engine error.

The rules are those of spec/recovery.md, and cited by their ids there.

*Soft* recovery follows a crash. It believes the checkpoint, also a wrong one; without one it begins with the lowest
log. It refuses a copy that a streaming backup made (-544).

*Hard* recovery follows a restore. The lowest log of the set stands in for the checkpoint, which is ignored (Q200941).
It takes over the trailer, or puts the patch file into the copy, demands the logs of the set without exception, and then
plays on with the logs in the log folder that continue them.

Both redo by page dbtime (`Redo`), undo what was never committed (and log that), and leave clean databases. It is cut
off safely anywhere while soft; a hard recovery that was cut off is begun again from the same files, or from fresh ones.

This module knows nothing of `tokar.restore` or `tokar.server`.

Sources: Microsoft Knowledge Base Q200941 and Q179654; Extensible Storage Engine documentation, JetExternalRestore;
Microsoft, Extensible Storage Engine, logredo.cxx (behaviour only).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tokar.ese.database import DatabaseState
from tokar.ese.values import NO_BACKUP, NO_POSITION, NO_SIGNATURE, LogPosition, Signature
from tokar.lab import database_file
from tokar.lab.backup import apply_patch, patch_name, take_over_trailer
from tokar.lab.change_records import Attach, Begin, Commit, Detach, Free, LogRecord, Put, Rollback, Split
from tokar.lab.database_file import DatabaseFile, Page, read_checkpoint
from tokar.lab.engine import EngineError
from tokar.lab.instance import Instance, Life, Listener, Place
from tokar.lab.log_formats import LogContent
from tokar.lab.log_stream import closed_logs, current_log
from tokar.lab.restore_logs import LogsToPlay, Needs, restored_run, roll_forward, soft_run
from tokar.lab.tables import EXTENT, Table, Transaction


class Redo:
    """Plays logs onto the databases of an instance that is not running.

    A change is made only while the database in force under its number is the one whose file is here: after a
    defragmentation the number stands for another database with another signature, and a log knows both.

    Args:
        instance: Holds the files and the cache.
        start: Where to begin; only attachments are followed before that.
        ignore_missing: Whether databases that do not fit the logs are passed over (/i).
    """

    def __init__(self, instance: Instance, start: LogPosition = NO_POSITION, *, ignore_missing: bool = False) -> None:
        self._ignore_missing = ignore_missing
        self.instance = instance
        self._start = start
        self._has_begun = False
        self.open: dict[int, Transaction] = {}  # Transactions that have begun and not ended
        # Server path and packed signature of the database that each number stands for now.
        self.in_force: dict[int, tuple[str, bytes]] = {}
        self.matched: set[int] = set()  # Numbers that stood for the database whose file is here, at some time
        # Where each database was shut down last; one that was shut down later than a log says waits until then.
        self._consistent = {dbid: file.header.consistent_position for dbid, file in instance.files.items()}
        self._waiting: set[int] = set()
        # Those that were shut down in this stream need no log: no page has a change from behind that (RUN-14).
        self._shut = {
            dbid
            for dbid, file in instance.files.items()
            if file.header.is_clean and file.header.log_signature == instance.log.signature
        }

    def play(self, log: LogContent) -> None:
        """Play one log.

        Raises:
            EngineError: A page is damaged (-1018), or not in the state that the log expects (-566, -567, -625).
        """
        if not self._has_begun:
            self._has_begun = True
            for one in log.header.attachments:
                self._attach(one.dbid, one.path, one.signature.pack(), one.consistent_position, log.header.signature)
                self._wait_for(one.dbid, one.attach_position, listed=True)
        for position, record in log.records:
            if isinstance(record, Attach):
                known = record.dbid, record.path, record.signature.pack(), record.consistent
                self._attach(*known, log.header.signature)
                self._wait_for(record.dbid, position)
            elif isinstance(record, Detach):
                if self.matches(record.dbid):
                    self._consistent[record.dbid] = position
                self.in_force.pop(record.dbid, None)
            elif not position < self._start:
                self._play(record, position)

    def matches(self, dbid: int) -> bool:
        """Tell whether the database in force under a number is the one whose file is here, and played onto."""
        return dbid not in self._waiting and self._is_here(dbid)

    def _is_here(self, dbid: int) -> bool:
        files = self.instance.files
        return (
            dbid in files
            and dbid in self.in_force
            and self.in_force[dbid][0].lower() == self.instance.place.names[dbid].lower()
            and self.in_force[dbid][1] == files[dbid].header.signature.pack()
        )

    def _attach(self, dbid: int, path: str, signature: bytes, consistent: LogPosition, stream: Signature) -> None:
        """Let a number stand for a database (SFT-15)."""
        self.in_force[dbid] = path, signature
        self._waiting.discard(dbid)
        if not self._is_here(dbid):
            return
        file, own = self.instance.files[dbid], self._consistent[dbid]
        if not file.header.is_clean and file.header.log_signature != stream:
            self._waiting.add(dbid)
            return
        if own.is_set and own != consistent and file.header.log_signature == stream:
            if own < consistent and not self._ignore_missing:
                raise EngineError(-551, "the database is older than these logs", path=file.path)
            self._waiting.add(dbid)
            return
        self.matched.add(dbid)

    def _wait_for(self, dbid: int, attached: LogPosition, *, listed: bool = False) -> None:
        """Let one that was not shut down wait for its attachment; behind that it is attached no more (SFT-15)."""
        if dbid in self._waiting or not self._is_here(dbid) or self.instance.files[dbid].header.is_clean:
            return
        own = self.instance.files[dbid].header.attach_position
        if own < attached and listed and not self._ignore_missing:
            raise EngineError(-1216, "the database was attached before", path=self.instance.files[dbid].path)
        if own > attached:
            self._waiting.add(dbid)
            self.matched.discard(dbid)

    def _play(self, record: LogRecord, position: LogPosition) -> None:
        if isinstance(record, Begin):
            self.open[record.transaction] = Transaction(record.transaction, position)
        elif isinstance(record, Commit | Rollback):
            self.open.pop(record.transaction, None)
        elif isinstance(record, Put):
            transaction = self.open.setdefault(record.transaction, Transaction(record.transaction, position))
            transaction.undo.append((record.dbid, record.key, record.old))
            if self.matches(record.dbid):
                self._put(record, position, transaction.begun)
        elif isinstance(record, Split) and self.matches(record.dbid):
            self._split(record, position, self._begun(record.transaction, position))
        elif isinstance(record, Free) and self.matches(record.dbid):
            self._free(record, position, self._begun(record.transaction, position))

    def _begun(self, number: int, position: LogPosition) -> LogPosition:
        """Return where the transaction of a record began, or else where it stands."""
        transaction = self.open.get(number)
        return transaction.begun if transaction else position

    def _put(self, record: Put, position: LogPosition, begun: LogPosition) -> None:
        page = self._page(record.dbid, record.page)
        if self._is_due(record.dbid, page, record.before, record.after):
            database_file.apply_put(page, record)
            self.instance.cache.changed(record.dbid, record.page, position, begun)

    def _split(self, record: Split, position: LogPosition, begun: LogPosition) -> None:
        cache = self.instance.cache
        source, target = self._page(record.dbid, record.source), self._page(record.dbid, record.target)
        source_due = self._is_due(record.dbid, source, record.before, record.after)
        if target.dbtime < record.after:
            # As when it was taken into use: to disk first, so that no two splits wait for each other.
            cache.flush(record.dbid, record.target)
            database_file.apply_split_to_target(source, target, record)
            cache.changed(record.dbid, record.target, position, begun)
            if record.moved is None:
                cache.must_follow(record.dbid, record.source, record.target)
        if source_due:
            database_file.apply_split_to_source(source, record)
            cache.changed(record.dbid, record.source, position, begun)
        self._lead_back(record, record.target, position, begun)

    def _free(self, record: Free, position: LogPosition, begun: LogPosition) -> None:
        previous, page = self._page(record.dbid, record.previous), self._page(record.dbid, record.page)
        if self._is_due(record.dbid, previous, record.before, record.after):
            database_file.apply_free_to_previous(previous, record)
            self.instance.cache.changed(record.dbid, record.previous, position, begun)
        if self._is_due(record.dbid, page, record.page_before, record.after):
            database_file.apply_free_to_page(page, record)
            self.instance.cache.changed(record.dbid, record.page, position, begun)
        self._lead_back(record, record.previous, position, begun)

    def _lead_back(self, record: Split | Free, previous: int, position: LogPosition, begun: LogPosition) -> None:
        """Let the page that followed name the one that is before it now."""
        if not record.next_page:
            return
        page = self._page(record.dbid, record.next_page)
        if self._is_due(record.dbid, page, record.next_before, record.after):
            database_file.apply_to_next(page, previous, record.after)
            self.instance.cache.changed(record.dbid, record.next_page, position, begun)

    def _is_due(self, dbid: int, page: Page, before: int, after: int) -> bool:
        if dbid in self._shut and page.dbtime >= after:
            path = self.instance.files[dbid].path
            raise EngineError(-625, f"page {page.number} is from after the shutdown of its database", path=path)
        return database_file.is_due(page, before, after, checked=self.instance.era.checks_dbtime)

    def _page(self, dbid: int, number: int) -> Page:
        file = self.instance.files[dbid]
        if not 0 < number <= file.page_count + EXTENT:  # a database grows by so many pages at a time
            raise EngineError(-1206, f"the log changes page {number}, which the database cannot have", path=file.path)
        if number > file.page_count:
            file.grow(number - file.page_count)
        return self.instance.cache.page(dbid, number)


@dataclass(frozen=True, slots=True)
class RegisteredSet:
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


def soft_recovery(
    life: Life, listener: Listener | None = None, *, ignore_missing: bool = False, ignore_lost: bool = False
) -> Recovered:
    """Recover after a crash.

    Args:
        life: Where the files lie, and which engine recovers.
        listener: Told of logs that are closed because undo fills them.
        ignore_missing: Whether databases that are attached and not here are given up (/i).
        ignore_lost: Whether committed transactions are given up whose logs are missing or damaged (/a).

    Raises:
        EngineError: What stands in the way.
    """
    place = life.place
    files = {dbid: DatabaseFile(path, life.era) for dbid, path in place.databases.items() if path.exists()}
    for file in files.values():
        _check_state(file)
        if file.header.current_full.generation_low:
            raise EngineError(-544, "the database comes from a backup and needs hard recovery", path=file.path)
    if _never_ran(place, files):
        return Recovered(hard=False, low=0, high=0, undone=0, deleted=(), databases=())
    checkpoint = read_checkpoint(place.checkpoint)
    dirty = [file.header for file in files.values() if not file.header.is_clean]
    required = max((header.required_high for header in dirty), default=0)
    committed = max((header.committed_high for header in dirty), default=0)
    start = checkpoint.checkpoint.generation if checkpoint else None
    run = soft_run(place, life.era.page_size, start, Needs(required, committed, ignore_lost))
    if checkpoint and checkpoint.signature != run.signature:
        raise EngineError(-532, "the checkpoint is of another log stream", path=place.checkpoint)
    for file in files.values():
        _check_needs(file, run, believed=checkpoint is not None, give_up=ignore_lost)
    instance = _instance(life, files, run, listener)
    position = checkpoint.checkpoint if checkpoint else NO_POSITION
    redo = _played(Redo(instance, position, ignore_missing=ignore_missing), run)
    for dbid, (path, _) in redo.in_force.items():
        if not redo.matches(dbid) and not ignore_missing:
            raise EngineError(-1216, f"the attached database {path} is missing or another one")
    return _finish(redo, run, hard=False)


def hard_recovery(life: Life, restored: RegisteredSet) -> Recovered:
    """Recover what was restored. The place names the databases in the restore map, and no others.

    Raises:
        EngineError: What stands in the way.
    """
    place = life.place
    files = {dbid: DatabaseFile(path, life.era) for dbid, path in place.databases.items()}
    for file in files.values():
        _check_copy(file, restored)
    run = restored_run(restored.folder, place, life.era.page_size, restored.low, restored.high)
    for file in files.values():
        if file.header.log_signature != run.signature:
            raise EngineError(-555, "the logs are of another log stream than the database", path=file.path)
        _complete_copy(file, restored)
    stray = roll_forward(run, place, life.era)
    for path in stray:
        path.unlink()
    redo = _played(Redo(_instance(life, files, run)), run)
    for dbid, file in files.items():
        if dbid not in redo.matched or (dbid in redo.in_force and not redo.matches(dbid)):
            raise EngineError(-531, "the logs are about another database of this name", path=file.path)
    return _finish(redo, run, hard=True, deleted=tuple(path.name for path in stray))


def _instance(
    life: Life, files: dict[int, DatabaseFile], run: LogsToPlay, listener: Listener | None = None
) -> Instance:
    """Return an instance that is not running, with the databases that logs are played onto."""
    instance = Instance(life, run.signature or NO_SIGNATURE, listener)
    instance.files.update(files)
    return instance


def _played(redo: Redo, run: LogsToPlay) -> Redo:
    for log in run.logs:
        redo.play(log)
    return redo


def _never_ran(place: Place, files: dict[int, DatabaseFile]) -> bool:
    """Tell whether there are no logs, and no database that would need any."""
    logs = closed_logs(place.logs, place.base) or current_log(place.logs, place.base)
    return not logs and all(file.header.is_clean for file in files.values())


def _check_needs(file: DatabaseFile, run: LogsToPlay, *, believed: bool, give_up: bool) -> None:
    """Check that the logs a crashed database needs are there. What lies before a checkpoint is taken for not needed."""
    header, present = file.header, run.generations()
    if header.is_clean or header.log_signature != run.signature:
        return
    low = max(header.required_low, min(present)) if believed else header.required_low
    missing = next((number for number in range(low, header.required_high + 1) if number not in present), None)
    if missing is not None:
        raise EngineError(-543, f"required log {missing:05X} is missing", path=file.path)
    if header.committed_high > max(present) and not give_up:
        raise EngineError(-582, f"committed log {header.committed_high:05X} is missing", path=file.path)
    created = {log.header.generation: log.header.created for log in run.logs}.get(header.required_high)
    if header.committed_high > header.required_high or give_up or not header.last_log_time.is_set:
        return
    if created not in {None, header.last_log_time}:
        raise EngineError(-543, f"log {header.required_high:05X} is another than it was written with", path=file.path)


_UNUSABLE: Final = {
    DatabaseState.INCREMENTAL_RESEED_IN_PROGRESS: -1226,
    DatabaseState.REVERT_IN_PROGRESS: -1935,
    DatabaseState.JUST_CREATED: -1216,
}
_PLAYED_ONTO: Final = {
    DatabaseState.CLEAN_SHUTDOWN,
    DatabaseState.DIRTY_SHUTDOWN,
    DatabaseState.DIRTY_AND_PATCHED_SHUTDOWN,
}


def _check_state(file: DatabaseFile) -> None:
    """Check that a database is in a state in which logs can be played onto it (SFT-16)."""
    state = file.header.state
    if state not in _PLAYED_ONTO:
        code = -1206 if state is None else _UNUSABLE.get(state, -1206)
        raise EngineError(code, f"the database is in state {file.header.state_name}", path=file.path)


def _check_copy(file: DatabaseFile, restored: RegisteredSet) -> None:
    _check_state(file)
    if not file.header.current_full.generation_low:
        raise EngineError(-615, "the database does not come from a backup", path=file.path)
    if file.size % file.era.page_size:
        raise EngineError(-561, "the copy of the database is cut short", path=file.path)
    if file.header.current_full.generation_low < restored.low:
        raise EngineError(
            -554, f"the database needs logs from {file.header.current_full.generation_low:05X}", path=file.path
        )


def _complete_copy(file: DatabaseFile, restored: RegisteredSet) -> None:
    if file.era.full_splits:
        high = take_over_trailer(file)
    else:
        high = apply_patch(restored.folder / patch_name(file.path.name), file)
    if high > restored.high:
        raise EngineError(-553, f"the database needs logs up to {high:05X}", path=file.path)


def _finish(redo: Redo, run: LogsToPlay, *, hard: bool, deleted: tuple[str, ...] = ()) -> Recovered:
    """Undo, write everything, and leave clean databases."""
    last, instance = run.last, redo.instance
    if last.path.name.lower() == f"{instance.place.base}.log".lower():
        instance.log.resume()
    else:
        instance.log.begin(last.header.generation + 1, last.header, last.segments_xor)
    attached = sorted(redo.matched)
    for dbid in attached:
        instance.tables[dbid] = Table(dbid, instance.files[dbid], instance.cache, instance.log, instance.chance)
    undone = sum(bool(loser.undo) for loser in redo.open.values())
    for loser in redo.open.values():
        loser.undo = [change for change in loser.undo if change[0] in instance.tables]
    instance.transactions.open.update(redo.open)
    instance.stop()
    if hard:
        for dbid in attached:
            # After a restore only a full begins a new chain: sets from before and after it must not be mixed.
            file = DatabaseFile(instance.place.databases[dbid], instance.era)
            file.change_header(current_full=NO_BACKUP, previous_full=NO_BACKUP, previous_incremental=NO_BACKUP)
    generations = (run.logs[0].header.generation, last.header.generation)
    return Recovered(hard, *generations, undone, deleted, tuple(attached))
