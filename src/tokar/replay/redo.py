"""Redo: what each record does to its page, where the page has not got it yet.

The dbtime decides. A record gives the dbtime that its page has before the change and after it. A page at *after* or
later has the change; one at *before* gets it. A page that is older misses an earlier change: it is in doubt until a
later record makes it anew, and what is in doubt at the end is lost. A page between the two has a change that the logs
do not know: they belong to another history.

What a record says of what it finds (lengths, keys, pointers, images) is compared with the page, always.

Sources: Microsoft, Extensible Storage Engine, logredo.cxx, logredomap.cxx, node.cxx, space.cxx and daedef.hxx.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tokar.ese.pagerecords import LOWEST_SPECIAL_DBTIME, NodeRecord, UndoInfoRecord
from tokar.replay.nodepage import SCRUBBED, NodePage, PageError
from tokar.replay.pagestore import PageStore

INSERT: Final = 1
REPLACE: Final = 2
FLAG_DELETE: Final = 3
DELTA: Final = 4
DELTA64: Final = 9
"""Operations that can be undone."""
MOST_LISTED: Final = 100


class Contradiction(StrEnum):
    """Why logs and pages do not go together."""

    LOST = "lost"  # an earlier change never reached the page (-566)
    FOREIGN = "foreign"  # the page has a change that the logs do not have (-567)
    FUTURE = "future"  # the page is ahead of everything that it can have (-625)
    CONTENT = "content"  # a record does not fit what is on the page


@dataclass(frozen=True, slots=True)
class Clash:
    """One place where logs and pages do not go together, or where that is in doubt."""

    kind: Contradiction
    page: int  # 0 where no page is concerned
    position: int  # In the logs
    type: int  # Of the record; 0 where none is concerned
    text: str


@dataclass(slots=True)
class OpenChange:
    """An operation of an open transaction, with what is needed to take it back."""

    redo: PageRedo
    record: NodeRecord
    operation: int
    rceid: int
    level: int
    key: bytes | None = None
    bookmark: bytes = b""
    before: bytes | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is known of the pages of a database before anything is played, as numbers of positions."""

    settled: int = -1  # All records up to here are on the pages, and none of them is played
    ahead: int = -1  # No page may be ahead of this


class PageRedo:
    """Plays records on the pages of one database.

    Args:
        store: Its pages.
        bounds: What is known of them.
    """

    def __init__(self, store: PageStore, bounds: Bounds) -> None:
        self.store = store
        self.bounds = bounds
        self.applied: Counter[int] = Counter()  # Changes of pages, by type of record
        self.present: Counter[int] = Counter()  # Changes that the pages had
        self.unproven = 0  # Images and diffs in forms that no file at hand has
        self.images_equal = 0  # Pages that were equal to their images in the logs
        self.highest_dbtime = 0
        self.highest_object = 0
        self.clashes: list[Clash] = []  # What cannot be, the first ones
        self.clash_count = 0
        self.doubts: dict[int, Clash] = {}  # Pages that miss something, until they are made anew
        self.versions: dict[int, OpenChange] = {}  # By number, those of open transactions
        self.position = 0  # Of the record that is played
        self.kind = 0  # Its type

    def clash(self, kind: Contradiction, page: int, text: str) -> None:
        """Note what cannot be, and take the page for unknown from here on."""
        self.clash_count += 1
        if len(self.clashes) < MOST_LISTED:
            self.clashes.append(Clash(kind, page, self.position, self.kind, text))
        if page:
            self.store.forget(page)

    def doubt(self, page: int, text: str) -> None:
        """Note that a page misses something; only the first reason counts."""
        if page not in self.doubts:
            self.doubts[page] = Clash(Contradiction.LOST, page, self.position, self.kind, text)

    def settle(self, first: int, pages: int) -> None:
        """Cross out the doubt about pages that a record frees, trims or shrinks away."""
        for page in inside(self.doubts, first, pages):
            del self.doubts[page]

    def due(self, number: int, after: int, before: int) -> NodePage | None:
        """Return a page that is to get a change; None where it has it, or where that is in doubt."""
        page = self.store.get(number)
        if page is None:
            self.doubt(number, f"page {number} is blank, not there, or was given up before")
            return None
        found = page.dbtime
        if found == before:
            return page
        if found >= LOWEST_SPECIAL_DBTIME:
            self.doubt(number, f"page {number} was shrunk away or reverted")
        elif found >= after:
            self.present[self.kind] += 1
            if self.position > self.bounds.ahead:
                self.clash(Contradiction.FUTURE, number, f"page {number} is at {found:#x}, ahead of the logs it needs")
        elif found < before:
            self.doubt(number, f"page {number} is at {found:#x}, and the change from {before:#x} is next")
        else:
            text = f"page {number} is at {found:#x}, between {before:#x} and {after:#x}"
            self.clash(Contradiction.FOREIGN, number, text)
        return None

    def fresh(self, number: int, after: int) -> bool:
        """Tell whether a page that a record makes is to be made; in either case it is in no doubt any more."""
        self.doubts.pop(number, None)
        page = self.look(number)
        if page is None or page.dbtime < after or page.dbtime >= LOWEST_SPECIAL_DBTIME:
            return True
        self.present[self.kind] += 1
        if self.position > self.bounds.ahead:
            self.clash(Contradiction.FUTURE, number, f"page {number} is ahead of the logs it needs")
        return False

    def look(self, number: int) -> NodePage | None:
        """Return a page; None also where it is damaged."""
        try:
            return self.store.get(number)
        except PageError:
            return None

    def make(self, number: int, object_id: int, dbtime: int, flags: int | None = None) -> NodePage:
        """Return a page that was just made, in use with these flags where there are any."""
        page = NodePage.new(self.store.page_size, number, object_id, dbtime)
        if flags is not None:
            page.consume(flags)
        self.store.put(page)
        self.applied[self.kind] += 1
        return page

    def done(self, page: NodePage, after: int) -> None:
        """Note that a page has got a change."""
        page.dbtime = after
        page.flags &= ~SCRUBBED
        self.store.change(page.number)
        self.applied[self.kind] += 1

    def saw(self, rceid: int, page: NodePage, line: int) -> None:
        """Keep what a node is before an open operation changes it."""
        version = self.versions.get(rceid)
        if version is not None:
            version.key = page.key(line)
            version.bookmark = version.before = page.node(line)[2]

    def undo_info(self, record: UndoInfoRecord) -> None:
        """Keep what a record says of the state before an open operation, whose page may have it already."""
        version = self.versions.get(record.rceid)
        if version is None:
            return
        if version.key is None:
            version.key, version.bookmark = record.key, record.bookmark
        if version.before is None and record.operation == REPLACE:
            version.before = record.data


def inside(numbers: Collection[int], first: int, count: int) -> list[int]:
    """Return those of some page numbers that lie in a range; neither a long range nor many numbers make it slow."""
    if count < len(numbers):
        return [one for one in range(first, first + count) if one in numbers]
    return [one for one in numbers if first <= one < first + count]
