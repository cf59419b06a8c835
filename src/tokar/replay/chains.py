"""Follows every page through the logs without playing them: is it where it must be, and nowhere else?

A record says at which dbtime it finds a page and at which it leaves it, so the changes of a page are a chain, and the
page in the file stands somewhere on it. What must be on the pages (all from before the attachment, all that a session
did before its first begin in the logs) bounds it from below, the logs that the database needs bound it from above. That
finds writes that were lost, and databases and logs that do not belong together although all their headers agree. It
needs no more than the layouts of the records.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from tokar.errors import FormatError
from tokar.ese.attachment import Attachment, split_names
from tokar.ese.content_facts import LOG_CORRUPT, PageReport
from tokar.ese.logrecords import (
    TRIED,
    UTF16_PATH,
    AttachRecord,
    BeginRecord,
    CommitRecord,
    CreateRecord,
    DetachRecord,
    RangeRecord,
    RollbackRecord,
    TextRecord,
)
from tokar.ese.pagerecords import (
    LOWEST_SPECIAL_DBTIME,
    EseRecord,
    NewPageRecord,
    PageRecord,
    SessionRecord,
    SplitRecord,
)
from tokar.ese.values import NO_POSITION, LogPosition, Signature
from tokar.replay.effects import changes_of
from tokar.replay.pagestore import PageStore
from tokar.replay.player import Played, Player, RefusedError
from tokar.replay.redo import Bounds, Clash, Contradiction, PageRedo, inside
from tokar.replay.stream import SEGMENT_HEAD, RecordsError, number_of, position_of
from tokar.replay.whole import OpenFile, Stream, Target, attached_first, feed_logs, streams_of, targets_of
from tokar.sets.facts import MOST_OFF, AttachedDatabase, ChainFacts, OffChain, SetFacts
from tokar.sets.faults import COMMITTED_DAMAGED

_CODES: Final = {Contradiction.LOST: -566, Contradiction.FOREIGN: -567}
_NOT_ATTACHED: Final = -1216
_OLDER_THAN_LOGGED: Final = -551


class Attaching:
    """Whether logs attach a database that was not shut down, in the state that its header gives (SFT-15).

    Args:
        target: The database.
    """

    def __init__(self, target: Target) -> None:
        header = target.header
        self._stream = header.log_signature
        self._shut_down, self._attached = number_of(header.consistent_position), number_of(header.attach_position)
        self._is_in_segments = all(log.format.startswith("8.") for log in target.logs)
        self._end = max(target.bounds.ahead >> 32, header.committed_high)  # a generation
        self._is_done = False
        self._why: tuple[int, str, int] | None = None  # Where the logs name it in another state, what is said, the code

    def meet_listed(self, position: int, one: Attachment) -> None:
        """Take what the header of the first log says: it was attached before."""
        at = number_of(one.attach_position)
        self._meet(position, at, number_of(one.consistent_position), is_it=at == self._attached)

    def meet(self, position: int, consistent: LogPosition = NO_POSITION, stream: Signature | None = None) -> None:
        """Take a record that attaches or creates it.

        Args:
            position: Of the record.
            consistent: Where it had been shut down before.
            stream: Its log stream before; positions in another one tell nothing.
        """
        is_own = stream in {None, self._stream}
        before = number_of(consistent) if is_own and number_of(consistent) < position else 0
        # One copied back from before an attachment is attached again.
        is_it = self._is_there(position) or (is_own and self._attached >> 32 < position >> 32)
        self._meet(position, position, before, is_it=is_it)

    def _is_there(self, position: int) -> bool:
        """Return whether a record is that of its attachment; a log is enough where that gives no place."""
        is_exact = self._is_in_segments and self._attached & 0xFFFF >= SEGMENT_HEAD
        return self._attached == position if is_exact else self._attached >> 32 == position >> 32

    def _meet(self, position: int, attached: int, shut_down: int, *, is_it: bool) -> None:
        if self._is_done:
            return
        is_older = 0 < self._shut_down < shut_down
        is_later = self._shut_down >> 32 > self._end
        self._is_done = is_it and not is_older and not is_later
        if self._is_done or (self._why is not None and self._why[2] == _OLDER_THAN_LOGGED):
            return
        if is_older or is_later:
            text = f"it was shut down at {position_of(self._shut_down)}, and they go on from {position_of(shut_down)}"
        else:
            text = f"it was attached at {position_of(self._attached)}, and they say at {position_of(attached)}"
        self._why = position, text, _OLDER_THAN_LOGGED if is_older else _NOT_ATTACHED

    def finish(self, end: int) -> OffChain | None:
        """Return why it is not attached up to the end of the logs; None where it is."""
        if self._is_done:
            return None
        position, text, code = self._why or (end, "they name none of its signature", _NOT_ATTACHED)
        return OffChain(0, str(position_of(position)), text, code)


class Follower(PageRedo):
    """The pages of one database, followed.

    Args:
        store: Its pages, of which only dbtimes are read.
        bounds: What is known of them.
        low: The lowest generation that recovery plays; all before is on the pages.
        report: What checking its pages found: whoever named a blank page logged first what is on it, and the logs
            lead to each other again what they change.
        attaching: Whether the logs attach it.
        generations: The logs through which they are followed; None for all.
        patched: Whether there may be a patch file with the pages that splits have made.
    """

    def __init__(
        self,
        store: PageStore,
        bounds: Bounds,
        low: int = 0,
        report: PageReport | None = None,
        attaching: Attaching | None = None,
        *,
        generations: Container[int] | None = None,
        patched: bool = False,
    ) -> None:
        super().__init__(store, bounds)
        self._generations = generations
        self._patched = patched
        self._parted = ""  # Why what older logs say of its pages proves nothing
        self.attaching = attaching  # None where logs need not attach it
        self.highest = 0  # The highest dbtime that the logs tell of
        self.lost = set(report.lost if report else ())  # Those that no log has written so far
        self.unlinked = set(report.unlinked if report else ())
        self.renewed: set[int] = set()  # Pages that recovery changes
        self.written = max(bounds.settled, (low << 32) - 1)
        self.changes = 0
        self._noted: set[int] = set()
        self.pages: dict[int, tuple[int | None, int]] = {}  # Of each: its dbtime in the file, and where its chain is

    def follow(self, record: EseRecord, position: int, *, must: bool) -> None:
        """Go on with each page that a record changes. `must`: whether the change is on the pages."""
        if self._parted or (self._generations is not None and position >> 32 not in self._generations):
            return
        self.position, self.kind = position, record.type
        for page, after, before in changes_of(record):
            self.changes += 1
            self.lost.discard(page)
            found, last = self.pages.get(page) or (self.store.dbtime_in_file(page), None)
            self.pages[page] = found, after
            if before is not None and last is not None and before != last:
                text = f"the logs leave page {page} at {last:#x} and find it at {before:#x}"
                if position <= self.bounds.settled:  # recovery plays none of it
                    self._parted = (
                        f"{text}, at {position_of(position)}: logs that it does not need are of two histories"
                    )
                    return
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
        if isinstance(record, SplitRecord) and record.new_page and not self._patched:
            self._demand_nodes(record)

    def _demand_nodes(self, record: SplitRecord) -> None:
        """Demand the nodes that a split without an image has moved: the page that took them was on disk first."""
        source, target = (self.pages[page][0] for page in (record.page, record.new_page))
        is_split = source is not None and record.dbtime <= source < LOWEST_SPECIAL_DBTIME
        if is_split and (target is None or target < record.dbtime or target >= LOWEST_SPECIAL_DBTIME):
            moved = f"page {record.page} has given nodes away at {record.dbtime:#x}"
            self.doubt(record.new_page, f"{moved}, and page {record.new_page}, which took them, is older")

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

    def note_ahead(self, report: PageReport, known: int, end: str = "header and logs come to") -> None:
        """Note the pages that are ahead of everything: each change of one is logged before it is written."""
        known = max(known, self.highest)
        for page in range(1, self.store.last_page + 1) if report.highest_dbtime > known else ():
            found = self.store.dbtime_in_file(page)
            if found is not None and known < found < LOWEST_SPECIAL_DBTIME:
                text = f"page {page} is at {found:#x}, and {end} {known:#x}"
                self.note(Contradiction.FOREIGN, page, text)

    def halt(self, why: str, code: int | None) -> ChainFacts:
        """Return what was found up to where following ended. What is in doubt there, later records may have settled."""
        if code is None and self.clashes:
            return replace(self._facts(self.clashes), unwritten=(), unlinked=())
        if code == COMMITTED_DAMAGED and (off := self._without_later()):
            # What is behind that is given up, and with it what could have settled these.
            return replace(self._facts(off), unwritten=(), unlinked=(), why_not=why, is_halted=True, code=code)
        return ChainFacts(why_not=why, changes=self.changes, is_halted=True, code=code)

    def finish(self, end: int = 0, *, given_up: bool = False) -> ChainFacts:
        """Return what was found. A page beyond the end of its chain has changes that the logs do not have.

        Args:
            end: Where the logs end.
            given_up: Whether later ones are given up: the loss is known, and what pages have of them is part of it.
        """
        if self._parted:
            return ChainFacts(why_not=self._parted, changes=self.changes)
        for page, (found, last) in () if given_up else self.pages.items():
            if found is not None and last < found < LOWEST_SPECIAL_DBTIME:
                self.note(Contradiction.FOREIGN, page, f"page {page} is at {found:#x}, and the logs end with {last:#x}")
        facts = self._facts(self._without_later() if given_up else [*self.clashes, *self.doubts.values()])
        return facts if self.attaching is None else replace(facts, unattached=self.attaching.finish(end))

    def _without_later(self) -> list[Clash]:
        """Return what was found but that pages have changes from behind the logs that they need."""
        return [*(one for one in self.clashes if one.kind is not Contradiction.FUTURE), *self.doubts.values()]

    def _facts(self, found_off: list[Clash]) -> ChainFacts:
        ordered = sorted(found_off, key=lambda one: one.position)[:MOST_OFF]
        return ChainFacts(
            pages=len(self.pages),
            changes=self.changes,
            off=tuple(
                OffChain(one.page, str(position_of(one.position)), one.text, _CODES.get(one.kind)) for one in ordered
            ),
            off_count=len(found_off),
            unwritten=tuple(sorted(self.lost)),
            unlinked=tuple(sorted(pair for pair in self.unlinked if self.renewed.isdisjoint(pair))),
        )


class _ChainPlayer(Player):
    """Follows in place of playing: nothing that only playing cannot do is refused.

    Args:
        databases: What is followed, by signature.
        attachments: The databases that are attached when the first record comes.
    """

    def __init__(self, databases: Mapping[bytes, Played], attachments: Iterable[Attachment] = ()) -> None:
        listed = [*attachments]
        self.odd = ""  # The first place where sessions do not fit, which the engine passes over
        # The databases that are attached now, by number, whether they are followed or not.
        self.all_attached = {one.dbid: AttachedDatabase(one.path, one.signature, one.attach_position) for one in listed}
        super().__init__(databases, listed)
        for one in listed:
            follower = _follower_in(databases.get(one.signature.pack()))
            if follower is not None:
                follower.highest = max(follower.highest, one.dbtime)
                if follower.attaching is not None:
                    follower.attaching.meet_listed(number_of(one.attach_position), one)

    def create(self, record: CreateRecord) -> None:
        super().create(record)
        self._note_attached(record)
        follower = self.follower(record.dbid)
        if follower is not None and follower.attaching is not None:
            follower.attaching.meet(self.position)

    def attach(self, record: AttachRecord) -> None:
        super().attach(record)
        self._note_attached(record)
        follower = self.follower(record.dbid)
        if follower is not None and follower.attaching is not None:
            follower.attaching.meet(self.position, record.consistent_position, record.log_signature)

    def _note_attached(self, record: CreateRecord | AttachRecord) -> None:
        path, _ = split_names(record.path, wide=bool(record.flags & UTF16_PATH))
        self.all_attached[record.dbid] = AttachedDatabase(path, record.signature, position_of(self.position))

    def detach(self, record: DetachRecord) -> None:
        super().detach(record)
        self.all_attached.pop(record.dbid, None)

    def stop(self, record: EseRecord) -> None:
        super().stop(record)
        self.all_attached.clear()

    def change(self, record: PageRecord | NewPageRecord) -> None:
        follower = self.follower(record.dbid)
        if follower is None:
            return
        if follower.highest < record.dbtime < LOWEST_SPECIAL_DBTIME:
            follower.highest = record.dbtime
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

    def remark(self, record: TextRecord) -> None:
        """Follow the pages of the simulated server too: to its records they are pages as any other."""

    def begin(self, record: BeginRecord) -> None:
        self._try(super().begin, record)

    def commit(self, record: CommitRecord) -> None:
        self._try(super().commit, record)

    def rollback(self, record: RollbackRecord) -> None:
        self._try(super().rollback, record)

    def _try(self, play: Callable[[Any], None], record: SessionRecord) -> None:
        """Go on where a session cannot do that: what is said of its pages tells whether the log is of this stream."""
        try:
            play(record)
        except RefusedError as error:
            self.odd = self.odd or str(error)
            self.sessions.pop(record.session, None)

    def follower(self, dbid: int) -> Follower | None:
        return _follower_in(self.attached(dbid))


def _follower_in(played: Played | None) -> Follower | None:
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
    player: _ChainPlayer | None = None
    torn = ""
    try:
        player = _ChainPlayer(by_signature, attached_first(stream.logs, open_file).attachments)
        for records in feed_logs(player, stream.logs, map(open_file, stream.logs)):
            torn = records.tiling.torn
    except FormatError as error:
        why, at = str(error), error.position if isinstance(error, RecordsError) else None
        is_known = at is not None and player is not None and TRIED.issuperset(player.records)
        codes = {id(one.facts): _code_of(one, at) if is_known else None for one in stream.targets}
        if at is not None:
            _note_ahead_of_begun(stream, followers, open_file)
        return {key: one.halt(why, codes[key]) for key, one in followers.items()}
    if player.odd:
        return {key: one.halt(player.odd, None) for key, one in followers.items()}
    high = stream.logs[-1].generation or 0
    there, found = tuple(player.all_attached.values()), dict[int, ChainFacts]()
    for one in stream.targets:
        follower = followers[id(one.facts)]
        if not one.given_up:
            _note_ahead(one, follower)
        its = follower.finish(player.position, given_up=bool(one.given_up))
        found[id(one.facts)] = replace(its, high=high, attached=there, torn=torn)
    return found


def _note_ahead(target: Target, follower: Follower, listed: int = 0, end: str = "header and logs come to") -> None:
    """Note the pages that are ahead of everything. `listed`: a dbtime that all logs together come to."""
    header, report = target.header, target.facts.pages
    if target.low and header.consistent_position.is_set and not header.repair_count and report:
        follower.note_ahead(report, max(header.dbtime, listed), end)


def _note_ahead_of_begun(stream: Stream, followers: Mapping[int, Follower], open_file: OpenFile) -> None:
    """Hold pages against a last log without records: its header says how far each database had come before it."""
    last = stream.logs[-1]
    if last.content is None or not last.content.is_blank:
        return
    listed = {one.signature: one.dbtime for one in attached_first([last], open_file).attachments}
    for one in stream.targets:
        if came := listed.get(one.header.signature):
            follower = followers[id(one.facts)]
            follower.position = (last.generation or 0) << 32
            _note_ahead(one, follower, came, f"{last.name}, the last log, has no record after")


def _code_of(target: Target, position: int | None) -> int | None:
    """Return what the engine answers to a log that its records do not fill; None where it may be of another engine."""
    if position is None or target.facts.pages is None or not target.facts.pages.owned:
        return None
    is_only_committed = target.bounds.ahead >> 32 < position >> 32 <= target.header.committed_high
    return COMMITTED_DAMAGED if is_only_committed else LOG_CORRUPT


def _follower_of(target: Target, open_file: OpenFile) -> Follower:
    header = target.header
    pages = header.page_count(target.facts.size)
    store = PageStore(open_file(target.facts), header.page_size, pages=pages)
    # Where the copy is of a time before trailers, a patch file may have what goes there.
    is_all = header.has_trailer_page or not target.facts.is_backup_copy
    attaching = Attaching(target) if target.low else None
    report, own = target.facts.pages if is_all else None, {log.generation or 0 for log in (*target.older, *target.logs)}
    return Follower(store, target.bounds, target.low, report, attaching, generations=own, patched=not is_all)
