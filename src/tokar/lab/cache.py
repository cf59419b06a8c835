"""Pages in memory, and the rules for bringing them to disk.

* Write-ahead logging: no page goes to disk before the log has every record about it.
* Late: a change leaves its page dirty; some later moment writes it. The oldest change that is not on disk holds the
  checkpoint back.
* Order: where splits are not logged in full, the page that lost its upper part must not be on disk before the page that
  got it, or redo would find the data nowhere. `must_follow` keeps that order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokar.ese.values import LogPosition
    from tokar.lab.database_file import DatabaseFile
    from tokar.lab.leaf_pages import Page

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
        self.on_written: Callable[[int, Page, bool], None] = lambda _dbid, _page, _is_target: None
        self._flush_log = flush_log
        self._pages: dict[PageKey, Page] = {}
        self._dirty_since: dict[PageKey, LogPosition] = {}
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

    def changed(self, dbid: int, number: int, position: LogPosition) -> None:
        """Note that a page was changed by the record at a position."""
        self._dirty_since.setdefault((dbid, number), position)

    def must_follow(self, dbid: int, source: int, target: int) -> None:
        """Note that `source` must not be written before `target`, which has just received records from it."""
        self._first.setdefault((dbid, source), set()).add((dbid, target))
        self._targets.add((dbid, target))

    def dirty(self) -> list[PageKey]:
        """Return the pages that are not on disk as they are in memory, in the order of their first change."""
        return sorted(self._dirty_since, key=lambda key: (self._dirty_since[key], key))

    def oldest_change(self) -> LogPosition | None:
        """Return the position of the oldest change that is not on disk."""
        return min(self._dirty_since.values(), default=None)

    def flush(self, dbid: int, number: int) -> None:
        """Bring a page to disk, and before it those that must come first."""
        key = dbid, number
        if key not in self._dirty_since:
            return
        for first in sorted(self._first.pop(key, ())):
            self.flush(*first)
        self._flush_log()
        page = self._pages[key]
        self.files[dbid].write_page(page)
        del self._dirty_since[key]
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
