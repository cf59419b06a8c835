"""Follows every page through the logs without playing them: is it where it must be, and nowhere else?

A record says at which dbtime it finds a page and at which it leaves it, so the changes of a page are a chain, and the
page in the file stands somewhere on it. What must be on the pages (all from before the attachment, all that a session
did before its first begin in the logs) bounds it from below, the logs that the database needs bound it from above. That
finds writes that were lost, and databases and logs that do not belong together although all their headers agree. It
needs no more than the layouts of the records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from tokar.errors import FormatError
from tokar.ese.content_facts import PageReport
from tokar.ese.logrecords import RangeRecord
from tokar.ese.pagerecords import LOWEST_SPECIAL_DBTIME, EseRecord, NewPageRecord, PageRecord
from tokar.replay.effects import changes_of
from tokar.replay.pagestore import PageStore
from tokar.replay.player import Played, Player
from tokar.replay.redo import Bounds, Clash, Contradiction, PageRedo, inside
from tokar.replay.stream import position_of
from tokar.replay.whole import OpenFile, Stream, Target, attached_first, feed_logs, streams_of, targets_of
from tokar.sets.facts import MOST_OFF, ChainFacts, OffChain, SetFacts

_CODES: Final = {Contradiction.LOST: -566, Contradiction.FOREIGN: -567}


class Follower(PageRedo):
    """The pages of one database, followed.

    Args:
        store: Its pages, of which only dbtimes are read.
        bounds: What is known of them.
        low: The lowest generation that recovery plays; all before is on the pages.
        report: What checking its pages found: whoever named a blank page logged first what is on it, and the logs
            lead to each other again what they change.
    """

    def __init__(self, store: PageStore, bounds: Bounds, low: int = 0, report: PageReport | None = None) -> None:
        super().__init__(store, bounds)
        self.lost = set(report.lost if report else ())  # Those that no log has written so far
        self.unlinked = set(report.unlinked if report else ())
        self.renewed: set[int] = set()  # Pages that recovery changes
        self.written = max(bounds.settled, (low << 32) - 1)
        self.changes = 0
        self._noted: set[int] = set()
        self.pages: dict[int, tuple[int | None, int]] = {}  # Of each: its dbtime in the file, and where its chain is

    def follow(self, record: EseRecord, position: int, *, must: bool) -> None:
        """Go on with each page that a record changes. `must`: whether the change is on the pages."""
        self.position, self.kind = position, record.type
        for page, after, before in changes_of(record):
            self.changes += 1
            self.lost.discard(page)
            found, last = self.pages.get(page) or (self.store.dbtime_in_file(page), None)
            self.pages[page] = found, after
            if before is not None and last is not None and before != last:
                text = f"the logs leave page {page} at {last:#x} and find it at {before:#x}"
                self.note(Contradiction.FOREIGN, page, text)
                continue
            if before is None:
                self.doubts.pop(page, None)  # whatever was there does not matter
            if found is None or found < after or found >= LOWEST_SPECIAL_DBTIME:
                self.renewed.add(page)
            begins = before is not None and last is None
            if found is None or found >= LOWEST_SPECIAL_DBTIME:
                if must or begins:
                    self.doubt(page, f"page {page} is blank or not there, and the logs change it")
            else:
                self._step(page, found, before, after, must=must, begins=begins)

    def _step(self, page: int, found: int, before: int | None, after: int, *, must: bool, begins: bool) -> None:
        """Compare a page with one change. `begins`: whether its chain begins there; all before is on it."""
        if found >= after:
            if self.position > self.bounds.ahead:
                self.note(Contradiction.FUTURE, page, f"page {page} is at {found:#x}, ahead of the logs that it needs")
        elif before is not None and found > before:
            text = f"page {page} is at {found:#x}, and the logs lead from {before:#x} to {after:#x}"
            self.note(Contradiction.FOREIGN, page, text)
        elif must:
            self.doubt(page, f"page {page} is at {found:#x}, and the change to {after:#x} was written before")
        elif begins and before is not None and found < before:
            self.doubt(page, f"page {page} is at {found:#x}, and the change from {before:#x} is next")

    def note(self, kind: Contradiction, page: int, text: str) -> None:
        """Note that a page is not where it can be, once."""
        if page not in self._noted:
            self._noted.add(page)
            self.clashes.append(Clash(kind, page, self.position, self.kind, text))

    def finish(self) -> ChainFacts:
        """Return what was found. A page beyond the end of its chain has changes that the logs do not have."""
        for page, (found, last) in self.pages.items():
            if found is not None and last < found < LOWEST_SPECIAL_DBTIME:
                self.note(Contradiction.FOREIGN, page, f"page {page} is at {found:#x}, and the logs end with {last:#x}")
        found_off = [*self.clashes, *self.doubts.values()]
        found_off.sort(key=lambda one: one.position)
        return ChainFacts(
            pages=len(self.pages),
            changes=self.changes,
            off=tuple(
                OffChain(one.page, str(position_of(one.position)), one.text, _CODES.get(one.kind))
                for one in found_off[:MOST_OFF]
            ),
            off_count=len(found_off),
            unwritten=tuple(sorted(self.lost)),
            unlinked=tuple(sorted(pair for pair in self.unlinked if self.renewed.isdisjoint(pair))),
        )


class _ChainPlayer(Player):
    """Follows in place of playing: nothing that only playing cannot do is refused."""

    def change(self, record: PageRecord | NewPageRecord) -> None:
        follower = self.follower(record.dbid)
        if follower is None:
            return
        session = self.sessions.get(record.session)
        if session is not None and session.macros and record.dbtime in session.macros:
            session.macros[record.dbtime].append((self.position, record))
            return
        follower.follow(record, self.position, must=session is None or self.position <= follower.written)

    def play_macro(self, redo: PageRedo, records: Sequence[tuple[int, EseRecord]]) -> None:
        assert isinstance(redo, Follower)
        for position, record in records:
            redo.follow(record, position, must=position <= redo.written)

    def trim(self, record: RangeRecord) -> None:
        follower = self.follower(record.dbid)
        if follower is not None:
            follower.settle(record.first, record.pages)
            for page in inside(follower.pages, record.first, record.pages):
                del follower.pages[page]
            follower.lost.difference_update(inside(follower.lost, record.first, record.pages))
            named = {page for pair in follower.unlinked for page in pair}
            follower.renewed.update(inside(named, record.first, record.pages))

    def refuse(self, record: EseRecord) -> None:
        if isinstance(record, RangeRecord):
            super().refuse(record)

    def follower(self, dbid: int) -> Follower | None:
        played = self.attached(dbid)
        return played.redo if played is not None and isinstance(played.redo, Follower) else None


def with_chains(facts: SetFacts, open_file: OpenFile) -> SetFacts:
    """Return the facts of a set, with what following the pages of each database found.

    Raises:
        StorageError: A file cannot be read.
    """
    # What is kept of an earlier following decides nothing here: the pages are followed anew.
    facts = replace(facts, databases=tuple(replace(one, chain=None) for one in facts.databases))
    targets = targets_of(facts)
    found = {
        id(one.facts): ChainFacts(
            why_not=one.why_not or "no log leads to it", is_explained=one.is_faulty or not one.why_not
        )
        for one in targets
    }
    for stream in streams_of(targets, older=True):
        found.update(_follow(stream, open_file))
    return replace(facts, databases=tuple(replace(one, chain=found.get(id(one))) for one in facts.databases))


def _follow(stream: Stream, open_file: OpenFile) -> dict[int, ChainFacts]:
    followers = {id(one.facts): _follower_of(one, open_file) for one in stream.targets}
    by_signature = {one.header.signature.pack(): Played(followers[id(one.facts)]) for one in stream.targets}
    try:
        player = _ChainPlayer(by_signature, attached_first(stream.logs, open_file).attachments)
        for _ in feed_logs(player, stream.logs, map(open_file, stream.logs)):
            pass
    except FormatError as error:
        return {key: ChainFacts(why_not=str(error), changes=one.changes) for key, one in followers.items()}
    high = stream.logs[-1].generation or 0
    return {key: replace(follower.finish(), high=high) for key, follower in followers.items()}


def _follower_of(target: Target, open_file: OpenFile) -> Follower:
    header = target.header
    pages = header.page_count(target.facts.size)
    store = PageStore(open_file(target.facts), header.page_size, pages=pages)
    # Where the copy is of a time before trailers, a patch file may have what goes there.
    is_all = header.has_trailer_page or not target.facts.is_backup_copy
    return Follower(store, target.bounds, target.low, target.facts.pages if is_all else None)
