"""Redo: making again what the logs say and the pages lack, and finding the transactions that never ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokar.ese.values import NO_POSITION, LogPosition
from tokar.lab import leaf_pages
from tokar.lab.records import Attach, Begin, Commit, Detach, Free, Put, Rollback, Split
from tokar.lab.tables import Transaction

if TYPE_CHECKING:
    from tokar.lab.instance import Instance
    from tokar.lab.leaf_pages import Page
    from tokar.lab.log_formats import LogContent
    from tokar.lab.records import LogRecord


class Redo:
    """Plays logs onto the databases of an instance that is not running.

    A change is made only while the database in force under its number is the one whose file is here: after a
    defragmentation the number stands for another database with another signature, and a log knows both.

    Args:
        instance: Holds the files and the cache.
        start: Where to begin; only attachments are followed before that.
    """

    def __init__(self, instance: Instance, start: LogPosition = NO_POSITION) -> None:
        self._instance = instance
        self._start = start
        self.open: dict[int, Transaction] = {}  # Transactions that have begun and not ended
        # Server path and packed signature of the database that each number stands for now.
        self.in_force: dict[int, tuple[str, bytes]] = {}
        self.matched: set[int] = set()  # Numbers that stood for the database whose file is here, at some time

    def play(self, log: LogContent) -> None:
        """Play one log.

        Raises:
            EngineError: A page is damaged (-1018), or not in the state that the log expects (-566, -567).
        """
        if not self.in_force:
            self.in_force = {
                attachment.dbid: (attachment.path, attachment.signature.pack()) for attachment in log.header.attachments
            }
            self._note_matches()
        for position, record in log.records:
            if isinstance(record, Attach):
                self.in_force[record.dbid] = record.path.decode(), record.signature
                self._note_matches()
            elif isinstance(record, Detach):
                self.in_force.pop(record.dbid, None)
            elif not position < self._start:
                self._play(record, position)

    def matches(self, dbid: int) -> bool:
        """Tell whether the database in force under a number is the one whose file is here."""
        files = self._instance.files
        return (
            dbid in files
            and dbid in self.in_force
            and self.in_force[dbid][0].lower() == self._instance.place.names[dbid].lower()
            and self.in_force[dbid][1] == files[dbid].header.signature.pack()
        )

    def _note_matches(self) -> None:
        self.matched |= {dbid for dbid in self._instance.files if self.matches(dbid)}

    def _play(self, record: LogRecord, position: LogPosition) -> None:
        if isinstance(record, Begin):
            self.open[record.transaction] = Transaction(record.transaction, position)
        elif isinstance(record, Commit | Rollback):
            self.open.pop(record.transaction, None)
        elif isinstance(record, Put):
            transaction = self.open.setdefault(record.transaction, Transaction(record.transaction, position))
            transaction.undo.append((record.dbid, record.key, record.old))
            if self.matches(record.dbid):
                self._put(record, position)
        elif isinstance(record, Split) and self.matches(record.dbid):
            self._split(record, position)
        elif isinstance(record, Free) and self.matches(record.dbid):
            self._free(record, position)

    def _put(self, record: Put, position: LogPosition) -> None:
        page = self._page(record.dbid, record.page)
        if self._is_due(page, record.before, record.after):
            leaf_pages.apply_put(page, record)
            self._instance.cache.changed(record.dbid, record.page, position)

    def _split(self, record: Split, position: LogPosition) -> None:
        cache = self._instance.cache
        source, target = self._page(record.dbid, record.source), self._page(record.dbid, record.target)
        source_due = self._is_due(source, record.before, record.after)
        if target.dbtime < record.after:
            # As when it was taken into use: to disk first, so that no two splits wait for each other.
            cache.flush(record.dbid, record.target)
            leaf_pages.apply_split_to_target(source, target, record)
            cache.changed(record.dbid, record.target, position)
            if record.moved is None:
                cache.must_follow(record.dbid, record.source, record.target)
        if source_due:
            leaf_pages.apply_split_to_source(source, record)
            cache.changed(record.dbid, record.source, position)

    def _free(self, record: Free, position: LogPosition) -> None:
        previous, page = self._page(record.dbid, record.previous), self._page(record.dbid, record.page)
        if self._is_due(previous, record.before, record.after):
            leaf_pages.apply_free_to_previous(previous, record)
            self._instance.cache.changed(record.dbid, record.previous, position)
        if self._is_due(page, record.page_before, record.after):
            leaf_pages.apply_free_to_page(page, record)
            self._instance.cache.changed(record.dbid, record.page, position)

    def _is_due(self, page: Page, before: int, after: int) -> bool:
        return leaf_pages.is_due(page, before, after, checked=self._instance.era.checks_dbtime)

    def _page(self, dbid: int, number: int) -> Page:
        file = self._instance.files[dbid]
        if number > file.page_count:
            file.grow(number - file.page_count)
        return self._instance.cache.page(dbid, number)
