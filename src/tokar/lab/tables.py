"""The databases of a running engine in memory: pages, tables, transactions. Every change is logged first.

The rules for bringing pages to disk (`Cache`):

* Write-ahead logging: no page goes to disk before the log has every record about it.
* Late: a change leaves its page dirty; some later moment writes it. The begin of the oldest transaction of which a
  change is not on disk holds the checkpoint back.
* Order: where splits are not logged in full, the page that lost its upper part must not be on disk before the page that
  got it, or redo would find the data nowhere. `must_follow` keeps that order.

A `Table` finds the page of a key, splits full pages and frees empty ones. Several transactions may be open at once,
each over several pages, databases and log generations, until one commit or one undo.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tokar.ese.values import LogPosition, Signature
from tokar.lab import database_file
from tokar.lab.change_records import MOST_TRANSACTIONS, Begin, Commit, Free, LogRecord, Put, Rollback, Split
from tokar.lab.database_file import ROOT_PAGE, DatabaseFile, Page, create_database, pack_items
from tokar.lab.engine import Chance, EngineError, Era
from tokar.lab.log_stream import LogStream

if TYPE_CHECKING:
    from tokar.lab.instance import Listener


PageKey = tuple[int, int]
"""dbid and page number."""


class Cache:
    """The pages of all databases of an instance.

    Args:
        files: The databases by dbid.
        flush_log: Brings all log records to disk.
    """

    def __init__(self, files: dict[int, DatabaseFile], flush_log: Callable[[], None]) -> None:
        self.files = files
        self.before_writing: Callable[[int], None] = lambda _dbid: None
        self.on_written: Callable[[int, Page, bool], None] = lambda _dbid, _page, _is_target: None
        self._flush_log = flush_log
        self._pages: dict[PageKey, Page] = {}
        self._dirty_since: dict[PageKey, LogPosition] = {}
        self._begun: dict[PageKey, LogPosition] = {}
        self._first: dict[PageKey, set[PageKey]] = {}
        self._targets: set[PageKey] = set()

    def page(self, dbid: int, number: int) -> Page:
        """Return a page, read from disk the first time.

        Raises:
            EngineError: A checksum is wrong (-1018).
        """
        key = dbid, number
        if key not in self._pages:
            self._pages[key] = self.files[dbid].read_page(number)
        return self._pages[key]

    def changed(self, dbid: int, number: int, position: LogPosition, begun: LogPosition) -> None:
        """Note that a page was changed by the record at a position.

        Args:
            dbid: Of its database.
            number: The page.
            position: Of the record.
            begun: Where the transaction of the record begins: recovery begins there, or before.
        """
        key = dbid, number
        self._dirty_since.setdefault(key, position)
        self._begun[key] = min(begun, self._begun.get(key, begun))

    def must_follow(self, dbid: int, source: int, target: int) -> None:
        """Note that `source` must not be written before `target`, which has just received records from it."""
        self._first.setdefault((dbid, source), set()).add((dbid, target))
        self._targets.add((dbid, target))

    @property
    def is_dirty(self) -> bool:
        """Whether any page is not on disk as it is in memory."""
        return bool(self._dirty_since)

    def dirty(self) -> list[PageKey]:
        """Return the pages that are not on disk as they are in memory, in the order of their first change."""
        return sorted(self._dirty_since, key=lambda key: (self._dirty_since[key], key))

    def oldest_change(self) -> LogPosition | None:
        """Return where the oldest transaction begins of which a change is not on disk."""
        return min(self._begun.values(), default=None)

    def flush(self, dbid: int, number: int) -> None:
        """Bring a page to disk, and before it those that must come first."""
        key = dbid, number
        if key not in self._dirty_since:
            return
        for first in sorted(self._first.pop(key, ())):
            self.flush(*first)
        self._flush_log()
        self.before_writing(dbid)
        page = self._pages[key]
        self.files[dbid].write_page(page)
        del self._dirty_since[key], self._begun[key]
        is_target = key in self._targets
        self._targets.discard(key)
        self.on_written(dbid, page, is_target)

    def flush_all(self, dbid: int | None = None) -> None:
        """Bring every page to disk, or every page of one database."""
        for key in self.dirty():
            if dbid in {None, key[0]}:
                self.flush(*key)

    def forget(self, dbid: int) -> None:
        """Drop the pages of a database whose file has been replaced."""
        self._pages = {key: page for key, page in self._pages.items() if key[0] != dbid}


EXTENT: Final = 8
"""Pages by which a database grows."""
_LARGEST_SHARE: Final = 6
"""A record may take at most this part of a page, so that a full page can always be split."""


def walk_chain(read: Cache, dbid: int, page_count: int) -> Iterator[Page]:
    """Yield the leaves of a database in order.

    Raises:
        EngineError: The chain leads to a page that is free or not there (-1019), to one that does not lead back (-327),
            or back to itself (-1206).
    """
    number, previous, seen = ROOT_PAGE, 0, set()
    while number:
        if number in seen:
            raise EngineError(-1206, f"the chain of pages comes back to page {number}")
        seen.add(number)
        page = read.page(dbid, number)
        if page.free or number > page_count:
            raise EngineError(-1019, f"the chain of pages leads to page {number}, which is not in use")
        if page.previous_page != previous:
            raise EngineError(-327, f"page {number} follows page {previous}, and names page {page.previous_page}")
        yield page
        number, previous = page.next_page, number


class Table:
    """The records of one attached database.

    Args:
        dbid: Its number.
        file: Its file.
        cache: Where its pages are.
        log: Where changes are written down first.
        chance: Chooses among free pages.
    """

    def __init__(self, dbid: int, file: DatabaseFile, cache: Cache, log: LogStream, chance: Chance) -> None:
        self.dbid = dbid
        self.file = file
        self._cache = cache
        self._log = log
        self._chance = chance
        self._lows: list[bytes] = []
        self._numbers: list[int] = []
        self.dbtime = file.header.dbtime
        self.load()

    def load(self) -> None:
        """Find the order of the leaves by walking the chain, and the highest dbtime.

        Raises:
            EngineError: The chain is broken (-1019, -1206), or a page is damaged (-1018).
        """
        leaves = list(walk_chain(self._cache, self.dbid, self.file.page_count))
        self._lows = [page.low for page in leaves]
        self._numbers = [page.number for page in leaves]
        every = (self._page(number).dbtime for number in range(1, self.file.page_count + 1))
        self.dbtime = max(self.dbtime, *every)

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, None where there is none."""
        return self._page(self._numbers[self._index(key)]).items.get(key)

    def items(self) -> dict[bytes, bytes]:
        """Return all records."""
        return {key: value for number in self._numbers for key, value in self._page(number).items.items()}

    def put(self, transaction: Transaction, key: bytes, value: bytes | None) -> bytes | None:
        """Set or, with None, delete a record; return what was there before.

        Raises:
            EngineError: The record is too large for a page (-1003).
        """
        page_size = self.file.era.page_size
        if len(key) + len(value or b"") > page_size // _LARGEST_SHARE:
            raise EngineError(-1003, f"a record of {len(key) + len(value or b'')} bytes is too large")
        while value is not None and not self._page(self._numbers[self._index(key)]).fits(key, value, page_size):
            self._split(transaction, self._index(key))
        index = self._index(key)
        page = self._page(self._numbers[index])
        old = page.items.get(key)
        change = Put(transaction.number, self.dbid, page.number, page.dbtime, self._tick(), key, value, old)
        self._write_down(change, transaction, page)
        database_file.apply_put(page, change)
        if index and not page.items:
            self._free(transaction, index)
        return old

    def _split(self, transaction: Transaction, index: int) -> None:
        source = self._page(self._numbers[index])
        keys = sorted(source.items)
        middle = keys[len(keys) // 2]
        target = self._page(self._free_page())
        moved = {key: source.items[key] for key in keys if key >= middle}
        full = pack_items(moved) if self.file.era.full_splits else None
        following, next_before = self._following(source)
        numbers = transaction.number, self.dbid, source.number, target.number, source.dbtime, self._tick()
        change = Split(*numbers, middle, source.next_page, full, next_before)
        self._write_down(change, transaction, source, target, *following)
        database_file.apply_split_to_target(source, target, change)
        database_file.apply_split_to_source(source, change)
        for page in following:
            database_file.apply_to_next(page, change.target, change.after)
        if full is None:
            self._cache.must_follow(self.dbid, source.number, target.number)
        self._lows.insert(index + 1, middle)
        self._numbers.insert(index + 1, target.number)

    def _free(self, transaction: Transaction, index: int) -> None:
        previous, page = self._page(self._numbers[index - 1]), self._page(self._numbers[index])
        following, next_before = self._following(page)
        pages = previous.number, page.number, previous.dbtime, page.dbtime
        change = Free(transaction.number, self.dbid, *pages, self._tick(), page.next_page, next_before)
        self._write_down(change, transaction, previous, page, *following)
        database_file.apply_free_to_previous(previous, change)
        database_file.apply_free_to_page(page, change)
        for one in following:
            database_file.apply_to_next(one, change.previous, change.after)
        del self._lows[index], self._numbers[index]

    def _following(self, page: Page) -> tuple[list[Page], int]:
        """Return the page that follows, where there is one, and its dbtime."""
        following = [self._page(page.next_page)] if page.next_page else []
        return following, sum(one.dbtime for one in following)

    def _write_down(self, change: LogRecord, transaction: Transaction, *pages: Page) -> None:
        position = self._log.append(change)
        for page in pages:
            self._cache.changed(self.dbid, page.number, position, transaction.begun)

    def _free_page(self) -> int:
        """Return a free page, anywhere in the file, brought to disk first: no two splits may wait for each other."""
        used = set(self._numbers)
        free = [number for number in range(1, self.file.page_count + 1) if number not in used]
        if not free:
            free = list(range(self.file.page_count + 1, self.file.page_count + 1 + EXTENT))
            self.file.grow(EXTENT)
        number = self._chance.one_of(free)
        self._cache.flush(self.dbid, number)
        return number

    def _index(self, key: bytes) -> int:
        return bisect_right(self._lows, key) - 1

    def _page(self, number: int) -> Page:
        return self._cache.page(self.dbid, number)

    def _tick(self) -> int:
        self.dbtime += 1
        return self.dbtime


Change = tuple[int, bytes, bytes | None]
"""dbid, key, value; None: deleted."""


@dataclass(slots=True)
class Transaction:
    """One open transaction."""

    number: int  # Its number
    begun: LogPosition  # Where its first record stands; recovery must not start later while it is open
    undo: list[Change] = field(default_factory=list)  # What to set back, in the order of the changes


class Transactions:
    """The open transactions of an instance.

    Args:
        tables: The attached databases by dbid.
        log: Where records go.
        listener: Told of the changes of every transaction that is committed, after its commit is on disk.
    """

    def __init__(self, tables: dict[int, Table], log: LogStream, listener: Listener) -> None:
        self.open: dict[int, Transaction] = {}
        self._tables = tables
        self._log = log
        self._listener = listener
        self._next = 1

    def oldest(self) -> LogPosition | None:
        """Return where the oldest open transaction begins."""
        return min((transaction.begun for transaction in self.open.values()), default=None)

    def owner(self, dbid: int, key: bytes) -> int | None:
        """Return the transaction that has changed a record and is still open, or None."""
        for transaction in self.open.values():
            for changed, name, _ in transaction.undo:
                if name == key and changed == dbid:
                    return transaction.number
        return None

    def begin(self) -> int:
        """Open a transaction and return its number."""
        number = self._next
        while number in self.open:
            number = number % MOST_TRANSACTIONS + 1
        self._next = number % MOST_TRANSACTIONS + 1
        self.open[number] = Transaction(number, self._log.append(Begin(number)))
        return number

    def put(self, number: int, dbid: int, key: bytes, value: bytes | None) -> None:
        """Set or, with None, delete a record.

        Raises:
            EngineError: Another open transaction has changed the record (-1102).
        """
        if self.owner(dbid, key) not in {None, number}:
            raise EngineError(-1102, f"record {key!r} is being changed by another transaction")
        transaction = self.open[number]
        old = self._tables[dbid].put(transaction, key, value)
        transaction.undo.append((dbid, key, old))

    def commit(self, number: int) -> None:
        """Make the changes of a transaction durable."""
        transaction = self.open.pop(number)
        self._log.append(Commit(number))
        self._log.flush()
        last = {change[:2] for change in transaction.undo}
        self._listener.committed([(dbid, key, self._tables[dbid].get(key)) for dbid, key in sorted(last)])

    def rollback(self, number: int) -> None:
        """Undo a transaction: its changes are set back one by one, last first, and that is logged like any change."""
        transaction = self.open[number]
        for dbid, key, old in reversed(transaction.undo):
            self._tables[dbid].put(transaction, key, old)
        self._log.append(Rollback(number))
        del self.open[number]

    def uncommitted(self, dbid: int) -> dict[bytes, bytes | None]:
        """Return what the records that open transactions have changed held before."""
        before: dict[bytes, bytes | None] = {}
        for transaction in self.open.values():
            for changed, key, old in transaction.undo:
                if changed == dbid:
                    before.setdefault(key, old)
        return before


def dump(path: Path, era: Era) -> dict[bytes, bytes]:
    """Return the records of a database as it lies on disk: all of them only where it is clean.

    Raises:
        EngineError: It is not there (-1811), damaged (-1018), or its chain of pages is broken (-1019, -1206).
    """
    file = DatabaseFile(path, era)
    cache = Cache({0: file}, lambda: None)
    return {key: value for page in walk_chain(cache, 0, file.page_count) for key, value in page.items.items()}


def compact(path: Path, era: Era, signature: Signature) -> None:
    """Defragment a clean database: its records go into a new one, which takes its place.

    That has a new signature and remembers no backup, so logs-only backups are refused until the next full (Q183380);
    logs from before it are about the old one and cannot be played onto it.

    If it dies half-way, the old or the new database lies there, whole.

    Raises:
        EngineError: The database is not clean (-550).
    """
    file = DatabaseFile(path, era)
    if not file.header.is_clean:
        raise EngineError(-550, "the database was not shut down cleanly", path=path)
    dbtime = file.header.dbtime + 1
    pages = _full_pages(dump(path, era), era.page_size, dbtime)
    draft = path.with_name("tempdfrg.edb")
    create_database(draft, era, signature, file.header.dbid, pages=pages, dbtime=dbtime)
    draft.replace(path)


def _full_pages(items: dict[bytes, bytes], page_size: int, dbtime: int) -> list[Page]:
    pages = [Page(ROOT_PAGE, dbtime=dbtime, free=False)]
    for key in sorted(items):
        if not pages[-1].fits(key, items[key], page_size):
            pages[-1].next_page = pages[-1].number + 1
            number = pages[-1].number + 1
            pages.append(Page(number, dbtime=dbtime, previous_page=number - 1, low=key, free=False))
        pages[-1].items[key] = items[key]
    return pages
