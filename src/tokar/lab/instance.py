"""A running engine: databases attached to one log stream, with its cache, its checkpoint and its open transactions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tokar.ese.attachment import Attachment
from tokar.ese.values import NO_POSITION, LogPosition, Signature
from tokar.lab.change_records import Attach, Detach
from tokar.lab.database_file import DatabaseFile, Page, checkpoint_path, write_checkpoint
from tokar.lab.engine import Chance, Clock, EngineError, Era
from tokar.lab.log_stream import LogStream
from tokar.lab.tables import Cache, Change, Table, Transactions

if TYPE_CHECKING:
    from tokar.lab.backup import Backup


class Listener:
    """Who wants to know what becomes durable, and when; this one takes no notice."""

    def committed(self, changes: list[Change]) -> None:
        """Take note that a transaction is committed and on disk."""

    def closed(self, generation: int) -> None:
        """Take note that a log was closed: all commits so far are in it or below it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an instance lives."""

    logs: Path  # Folder of the logs
    system: Path  # Folder of the checkpoint
    databases: dict[int, Path]  # Path of each database by dbid
    names: dict[int, str]  # What the server itself calls each database, by dbid
    base: str = "edb"  # Base name of the log stream

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders that it works in."""
        return (self.logs, self.system, *(path.parent for path in self.databases.values()))

    @property
    def checkpoint(self) -> Path:
        """Where the checkpoint lies."""
        return checkpoint_path(self.system, self.base)


@dataclass(frozen=True, slots=True)
class Life:
    """One life of an engine, from its start to its stop."""

    place: Place  # Where it lives
    era: Era  # Which engine it is
    clock: Clock  # Where times come from
    chance: Chance  # Where chance comes from

    def new_signature(self) -> Signature:
        """Return a signature for a new log stream or a new database."""
        return Signature(random=self.chance.number(1, 0xFFFFFFFF), created=self.clock.now())


class Instance:
    """One instance of the engine.

    Args:
        life: Where it lives, which engine it is, where times and chance come from.
        signature: Of the log stream.
        listener: Told of commits and of closed logs.
        circular: Whether logs below the checkpoint are deleted as soon as a log is closed.
    """

    def __init__(
        self, life: Life, signature: Signature, listener: Listener | None = None, *, circular: bool = False
    ) -> None:
        self.place, self.era, self.clock, self.chance = life.place, life.era, life.clock, life.chance
        self.listener = listener or Listener()
        self.backup: Backup | None = None
        self.files: dict[int, DatabaseFile] = {}
        self.tables: dict[int, Table] = {}
        self.checkpoint = NO_POSITION
        self.log = LogStream(self.place.logs, self.place.base, self.era, self.clock, signature)
        self.log.circular = circular
        self.log.attachments = self._attachments
        self.log.checkpoint = lambda: self.checkpoint
        self.log.on_closed = self._log_closed
        self.cache = Cache(self.files, self.log.flush)
        self.cache.before_writing = self._need_current_log
        self.cache.on_written = self._page_written
        self.transactions = Transactions(self.tables, self.log, self.listener)

    def attach(self, dbid: int) -> None:
        """Let a clean database join the log stream.

        Raises:
            EngineError: It is not clean (-550), not there (-1811), or damaged.
        """
        file = DatabaseFile(self.place.databases[dbid], self.era)
        if not file.header.is_clean:
            raise EngineError(-550, "the database was not shut down cleanly", path=file.path)
        self.files[dbid] = file
        own, path = file.header, self.place.names[dbid]
        position = self.log.append(Attach(dbid, path, own.signature, own.consistent_position, own.log_signature))
        self.log.flush()
        file.mark_dirty(position, self.clock.now(), self.log.signature)
        self.tables[dbid] = Table(dbid, file, self.cache, self.log, self.chance)
        self._write_ranges(self.checkpoint_now().generation)

    def detach(self, dbid: int) -> None:
        """Bring a database to disk and let it leave the log stream. No transaction may be open."""
        self.cache.flush_all(dbid)
        position = self.log.append(Detach(dbid))
        self.log.flush()
        file = self.files[dbid]
        file.change_header(dbtime=self.tables[dbid].dbtime)
        file.mark_clean(position, self.clock.now())
        del self.tables[dbid]
        self.cache.forget(dbid)
        del self.files[dbid]

    def stop(self) -> None:
        """Shut down cleanly: undo what is open, write everything, detach every database."""
        for number in sorted(self.transactions.open, reverse=True):
            self.transactions.rollback(number)
        for dbid in sorted(self.tables):
            self.detach(dbid)
        self.write_checkpoint()

    def checkpoint_now(self) -> LogPosition:
        """Return where recovery would have to begin: that of the oldest transaction that is open or not all on disk."""
        held = (self.cache.oldest_change(), self.transactions.oldest(), self.log.position)
        return min(position for position in held if position is not None)

    def write_checkpoint(self) -> None:
        """Move the checkpoint on disk as far as it may go; the headers of the databases first."""
        self.log.flush()
        self.checkpoint = self.checkpoint_now()
        self._write_ranges(self.checkpoint.generation)
        write_checkpoint(self.place.checkpoint, self.checkpoint, self.log.signature, self.era)

    def contents(self) -> dict[int, dict[bytes, bytes]]:
        """Return the committed records of every database."""
        found = {}
        for dbid, table in self.tables.items():
            items = table.items()
            for key, old in self.transactions.uncommitted(dbid).items():
                if old is None:
                    items.pop(key, None)
                else:
                    items[key] = old
            found[dbid] = items
        return found

    def _write_ranges(self, low: int) -> None:
        """Say in every header which logs its database needs."""
        log = self.log.current.header
        for dbid, file in self.files.items():
            if dbid in self.tables:
                file.change_header(
                    dbtime=self.tables[dbid].dbtime,
                    required_low=low,
                    required_high=max(low, file.header.required_high) if self.era.committed else log.generation,
                    committed_high=log.generation if self.era.committed else 0,
                    last_log_time=log.created,
                )

    def _need_current_log(self, dbid: int) -> None:
        """Let a database need the current log, from which there may be changes in the page that is written next."""
        file = self.files[dbid]
        if dbid in self.tables and file.header.required_high < self.log.generation:
            file.change_header(required_high=self.log.generation)

    def _attachments(self) -> tuple[Attachment, ...]:
        return tuple(
            Attachment(
                dbid=dbid,
                path=self.place.names[dbid],
                signature=file.header.signature,
                dbtime=self.tables[dbid].dbtime,
                attach_position=file.header.attach_position,
                consistent_position=file.header.consistent_position,
            )
            for dbid, file in sorted(self.files.items())
            if dbid in self.tables
        )

    def _log_closed(self, generation: int) -> None:
        self._write_ranges(max(self.checkpoint.generation, 1))
        if self.log.circular and self.checkpoint.generation:
            held = self.backup.generation_low if self.backup else self.checkpoint.generation
            self.log.delete_below(min(self.checkpoint.generation, held))
        self.listener.closed(generation)

    def _page_written(self, dbid: int, page: Page, is_target: bool) -> None:
        if self.backup is not None:
            self.backup.page_written(dbid, page, is_target=is_target)


KEYS: Final = 400
"""Different keys in a database."""
_MOST_OPEN: Final = 3
_WRITE_CONFLICT: Final = -1102


class Workload:
    """Random work on an instance.

    Args:
        instance: The engine.
        chance: Where chance comes from.
    """

    def __init__(self, instance: Instance, chance: Chance) -> None:
        self._instance = instance
        self._chance = chance

    def run(self, transactions: int) -> None:
        """Work until that many more transactions are over; some others stay open."""
        done = 0
        while done < transactions:
            done += self.step()
            self.write_late()

    def step(self) -> int:
        """Begin, continue or end one transaction; return 1 where one ended."""
        open_ones = sorted(self._instance.transactions.open)
        if len(open_ones) < _MOST_OPEN and self._chance.happens(0.5):
            open_ones = [self._instance.transactions.begin()]
        if not open_ones:
            return 0
        number = self._chance.one_of(open_ones)
        for _ in range(self._chance.number(0, 4)):
            self._change(number)
        if self._chance.happens(0.5):
            return 0
        if self._chance.happens(0.15):
            self._instance.transactions.rollback(number)
        else:
            self._instance.transactions.commit(number)
        return 1

    def write_late(self) -> None:
        """Now and then bring a few dirty pages to disk, or move the checkpoint on."""
        cache = self._instance.cache
        if cache.is_dirty:
            oldest = None
            if self._chance.happens(0.2):
                oldest, *_ = dirty = cache.dirty()
                cache.flush(*self._chance.one_of(dirty))
            if self._chance.happens(0.06):
                cache.flush(*(oldest or cache.dirty()[0]))
        if self._chance.happens(0.02):
            self._instance.write_checkpoint()

    def _change(self, number: int) -> None:
        dbid = self._chance.one_of(sorted(self._instance.tables))
        index = self._chance.number(0, KEYS - 1)
        # Runs of neighbouring deletes empty whole pages, so that pages become free and are used again.
        deletes = self._chance.happens(0.07)
        run = range(index, min(index + 12, KEYS)) if deletes else range(index, index + 1)
        try:
            for each in run:
                value = None if deletes else self._chance.some_bytes(self._chance.number(10, 500))
                self._instance.transactions.put(number, dbid, f"key{each:05}".encode(), value)
        except EngineError as error:
            if error.code != _WRITE_CONFLICT:
                raise
