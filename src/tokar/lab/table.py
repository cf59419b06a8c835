"""The records of one database: finding the page of a key, splitting full pages, freeing empty ones. Every change is logged first."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from tokar.lab import leaf_pages
from tokar.lab.engine import EngineError
from tokar.lab.leaf_pages import ROOT_PAGE, pack_items
from tokar.lab.records import Free, Put, Split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokar.lab.cache import Cache
    from tokar.lab.database_file import DatabaseFile
    from tokar.lab.engine import Dice
    from tokar.lab.leaf_pages import Page
    from tokar.lab.log_stream import LogStream

EXTENT: Final = 8
"""Pages by which a database grows."""
_LARGEST_SHARE: Final = 6
"""A record may take at most this part of a page, so that a full page can always be split."""


def walk_chain(read: Cache, dbid: int, page_count: int) -> Iterator[Page]:
    """Yield the leaves of a database in order.

    Raises:
        EngineError: The chain leads to a page that is free or not there (-1019), or back to itself (-1206).
    """
    number, seen = ROOT_PAGE, set()
    while number:
        if number in seen:
            raise EngineError(-1206, f"the chain of pages comes back to page {number}")
        seen.add(number)
        page = read.page(dbid, number)
        if page.free or number > page_count:
            raise EngineError(-1019, f"the chain of pages leads to page {number}, which is not in use")
        yield page
        number = page.next_page


class Table:
    """The records of one attached database.

    Args:
        dbid: Its number.
        file: Its file.
        cache: Where its pages are.
        log: Where changes are written down first.
        dice: Chooses among free pages.
    """

    def __init__(self, dbid: int, file: DatabaseFile, cache: Cache, log: LogStream, dice: Dice) -> None:
        self.dbid = dbid
        self.file = file
        self._cache = cache
        self._log = log
        self._dice = dice
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

    def put(self, transaction: int, key: bytes, value: bytes | None) -> bytes | None:
        """Set or, with None, delete a record; return what was there before.

        Raises:
            EngineError: The record is too large for a page (-1003).
        """
        page_size = self.file.era.page_size
        if len(key) + len(value or b"") > page_size // _LARGEST_SHARE:
            raise EngineError(-1003, f"a record of {len(key) + len(value or b'')} bytes is too large")
        while value is not None and not self._page(self._numbers[self._index(key)]).fits(key, value, page_size):
            self._split(self._index(key))
        index = self._index(key)
        page = self._page(self._numbers[index])
        old = page.items.get(key)
        change = Put(transaction, self.dbid, page.number, page.dbtime, self._tick(), key, value, old)
        position = self._log.append(change)
        leaf_pages.apply_put(page, change)
        self._cache.changed(self.dbid, page.number, position)
        if index and not page.items:
            self._free(index)
        return old

    def _split(self, index: int) -> None:
        source = self._page(self._numbers[index])
        keys = sorted(source.items)
        middle = keys[len(keys) // 2]
        target = self._page(self._free_page())
        moved = {key: source.items[key] for key in keys if key >= middle}
        full = pack_items(moved) if self.file.era.full_splits else None
        change = Split(
            self.dbid, source.number, target.number, source.dbtime, self._tick(), middle, source.next_page, full
        )
        position = self._log.append(change)
        leaf_pages.apply_split_to_target(source, target, change)
        leaf_pages.apply_split_to_source(source, change)
        self._cache.changed(self.dbid, source.number, position)
        self._cache.changed(self.dbid, target.number, position)
        if full is None:
            self._cache.must_follow(self.dbid, source.number, target.number)
        self._lows.insert(index + 1, middle)
        self._numbers.insert(index + 1, target.number)

    def _free(self, index: int) -> None:
        previous, page = self._page(self._numbers[index - 1]), self._page(self._numbers[index])
        change = Free(
            self.dbid, previous.number, page.number, previous.dbtime, page.dbtime, self._tick(), page.next_page
        )
        position = self._log.append(change)
        leaf_pages.apply_free_to_previous(previous, change)
        leaf_pages.apply_free_to_page(page, change)
        self._cache.changed(self.dbid, previous.number, position)
        self._cache.changed(self.dbid, page.number, position)
        del self._lows[index], self._numbers[index]

    def _free_page(self) -> int:
        """Return a free page, anywhere in the file; it is brought to disk first, so that no two splits wait for each other."""
        used = set(self._numbers)
        free = [number for number in range(1, self.file.page_count + 1) if number not in used]
        if not free:
            free = list(range(self.file.page_count + 1, self.file.page_count + 1 + EXTENT))
            self.file.grow(EXTENT)
        number = self._dice.one_of(free)
        self._cache.flush(self.dbid, number)
        return number

    def _index(self, key: bytes) -> int:
        return bisect_right(self._lows, key) - 1

    def _page(self, number: int) -> Page:
        return self._cache.page(self.dbid, number)

    def _tick(self) -> int:
        self.dbtime += 1
        return self.dbtime
