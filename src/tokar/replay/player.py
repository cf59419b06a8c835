"""Plays the records of logs in their order: who is attached, which sessions are open, what belongs together.

A database is known by its signature: its number changes with each attachment, and its path is another machine's. A
session is known by a number that is used again. What a session did before its first begin in these logs is on the pages
already, or recovery would begin earlier; so is all that stands before the attachment in the header of a database.

Sources: Microsoft, Extensible Storage Engine, logredo.cxx and ver.cxx.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tokar.errors import FormatError
from tokar.ese.attachment import Attachment
from tokar.ese.logrecords import (
    TYPES,
    AttachRecord,
    BeginRecord,
    CommitRecord,
    CreateRecord,
    DetachRecord,
    IgnorableRecord,
    MacroRecord,
    RangeRecord,
    RollbackRecord,
    TextRecord,
    VersionRecord,
)
from tokar.ese.pagerecords import (
    LOWEST_SPECIAL_DBTIME,
    VERSIONED,
    Delta64Record,
    DeltaRecord,
    EseRecord,
    FlagInsertReplaceRecord,
    InsertRecord,
    MergeHead,
    MultipleExtentRecord,
    NewPageRecord,
    NodeRecord,
    PageRecord,
    ReplaceRecord,
    SingleExtentRecord,
    SplitHead,
    UndoInfoRecord,
    UndoRecord,
)
from tokar.replay import onepage
from tokar.replay.effects import changes_of
from tokar.replay.redo import DELTA, DELTA64, FLAG_DELETE, INSERT, REPLACE, OpenChange, PageRedo
from tokar.replay.stream import SIMULATED, number_of, position_of
from tokar.replay.trees import apply_macro

_FLAG_DELETE_TYPE: Final = 32
REFUSED: Final = {
    **dict.fromkeys((26, 28, 30, 48, 64, 65, 93, 96), "no file at hand shows what it does"),
    **dict.fromkeys((78, 94, 99), "no file at hand shows what it does"),
    **dict.fromkeys((53, 54, 55), "distributed transactions are not decided here"),
}
"""The types that are not played, with the reason."""


SIMULATED_RECORDS: Final = "records of a simulated server (tokar lab), which replay does not play"


class RefusedError(FormatError):
    """A record is not played, because nothing proves how."""

    hint_text = "recover with the engine that wrote the logs"


@dataclass(slots=True)
class OpenSession:
    """A session of the logs."""

    level: int = 0
    versions: list[OpenChange] = field(default_factory=list)  # What it could take back
    macros: dict[int, list[tuple[int, EseRecord]]] = field(default_factory=dict)

    def drop(self, rceid: int, redo: PageRedo) -> None:
        """Drop what a record takes back: nearly always the newest, so a long rollback takes time that grows with it."""
        for at in range(len(self.versions) - 1, -1, -1):
            if self.versions[at].rceid == rceid and self.versions[at].redo is redo:
                del self.versions[at]
                return


@dataclass(slots=True)
class Played:
    """A database that logs are played on."""

    redo: PageRedo
    expected: int = 0  # Where the logs must say that it was consistent when they attach it next; 0: no matter where
    attached: bool = False  # Whether it was ever attached
    grown_until: int = 0  # The position of the last change of its size that the file has
    version: tuple[int, int, int] | None = None  # What the logs raised its version to
    last_page: int = 0  # What the logs extended it to


class Player:
    """Plays records.

    Args:
        databases: What they are played on, by signature.
        attachments: The databases that are attached when the first record comes.
    """

    def __init__(self, databases: Mapping[bytes, Played], attachments: Iterable[Attachment] = ()) -> None:
        self.databases = databases
        self.sessions: dict[int, OpenSession] = {}  # Those that began in these logs
        self.records: Counter[int] = Counter()  # By type
        self.skipped: Counter[str] = Counter()  # Changes that were not played, by the reason
        self.position = 0  # Of the last record
        self._here: dict[int, Played] = {}
        for one in attachments:
            self._attach(one.dbid, one.signature.pack())

    def feed(self, position: int, record: EseRecord) -> None:
        """Play the next record.

        Raises:
            RefusedError: Nothing proves what it does, or no engine writes it there.
        """
        self.position = position
        kind = record.type
        self.records[kind] += 1
        handler = _HANDLERS.get(kind)
        if handler is not None:
            getattr(self, handler)(record)

    def _refuse(self, text: str) -> RefusedError:
        return RefusedError(f"{text}, at {position_of(self.position)}")

    def _attach(self, dbid: int, signature: bytes) -> Played | None:
        played = self.databases.get(signature)
        self._here.pop(dbid, None)
        if played is not None:
            self._here[dbid] = played
            played.attached = True
        return played

    def attached(self, dbid: int) -> Played | None:
        """Return the database that has a number now, if logs are played on it."""
        return self._here.get(dbid)

    def create(self, record: CreateRecord) -> None:
        """Attach a database that comes to be."""
        self._attach(record.dbid, record.signature.pack())

    def attach(self, record: AttachRecord) -> None:
        """Attach a database, which must be in the state that the log says."""
        played = self.databases.get(record.signature.pack())
        if played is not None and played.expected and self.position > played.redo.bounds.settled:
            if number_of(record.consistent_position) != played.expected:
                was = position_of(played.expected)
                raise self._refuse(f"the logs attach a database as of {record.consistent_position}, it is of {was}")
            played.expected = 0
        self._attach(record.dbid, record.signature.pack())

    def detach(self, record: DetachRecord) -> None:
        """Detach a database."""
        self._here.pop(record.dbid, None)

    def stop(self, record: EseRecord) -> None:
        """End all sessions and attachments: the instance stops, or starts anew."""
        self.drop_sessions(record)
        self._here.clear()

    def drop_sessions(self, _: EseRecord) -> None:
        """End all sessions. What was open has been taken back by records before."""
        if any(session.versions for session in self.sessions.values()):
            raise self._refuse("the instance stops and leaves transactions open")
        self.sessions.clear()

    def begin(self, record: BeginRecord) -> None:
        """Begin levels of a transaction."""
        low, count = record.levels & 15, record.levels >> 4
        session = self.sessions.get(record.session)
        if session is None:
            if low:
                return  # of a transaction from before these logs
            session = self.sessions[record.session] = OpenSession()
        if low != session.level:
            raise self._refuse(f"session {record.session} begins level {low + 1} on level {session.level}")
        session.level = low + count

    def commit(self, record: CommitRecord) -> None:
        """Commit the innermost level."""
        session = self.sessions.get(record.session)
        if session is None:
            return
        if record.level >= session.level:
            raise self._refuse(f"session {record.session} commits to level {record.level} from {session.level}")
        session.level = record.level
        if record.level:
            for version in reversed(session.versions):  # their levels rise: those that matter are at the end
                if version.level <= record.level:
                    break
                version.level = record.level
        else:
            self._forget(session.versions)
            session.versions = []

    def rollback(self, record: RollbackRecord) -> None:
        """End levels that have been taken back."""
        session = self.sessions.get(record.session)
        if session is None:
            return
        session.level -= record.levels
        if session.level < 0 or (session.versions and session.versions[-1].level > session.level):
            raise self._refuse(f"session {record.session} rolls back, and has not taken back what it did")

    @staticmethod
    def _forget(versions: Iterable[OpenChange]) -> None:
        for one in versions:
            one.redo.versions.pop(one.rceid, None)

    def macro(self, record: MacroRecord) -> None:
        """Begin to collect changes that belong together."""
        session = self.sessions.get(record.session)
        if session is not None:
            session.macros[record.dbtime] = []

    def end_macro(self, record: MacroRecord) -> None:
        """Play what was collected."""
        session = self.sessions.get(record.session)
        collected = session.macros.pop(record.dbtime, None) if session is not None else None
        if not collected or session is None:
            return
        played = self.attached(getattr(collected[0][1], "dbid", 0))
        if played is None:
            return
        for _, one in collected:
            if isinstance(one, NodeRecord):
                self._keep_version(session, played.redo, one)
        self.play_macro(played.redo, collected)

    def play_macro(self, redo: PageRedo, records: Sequence[tuple[int, EseRecord]]) -> None:
        """Play changes that belong together."""
        if not isinstance(records[0][1], SplitHead | MergeHead):
            raise self._refuse("changes belong together that are neither a split nor a merge")
        apply_macro(redo, records)

    def drop_macro(self, record: MacroRecord) -> None:
        """Drop what was collected."""
        session = self.sessions.get(record.session)
        if session is not None:
            session.macros.pop(record.dbtime, None)

    def change(self, record: PageRecord | NewPageRecord) -> None:
        """Play a change of a page, unless the page must have it, or it waits for others that belong to it."""
        played = self._here.get(record.dbid)
        if played is None:
            self.skipped["of other databases"] += 1
            return
        redo = played.redo
        if redo.highest_dbtime < record.dbtime < LOWEST_SPECIAL_DBTIME:
            redo.highest_dbtime = record.dbtime
        if self.position <= redo.bounds.settled:
            self.skipped["from before the database was attached"] += 1
            return
        if played.expected:
            raise self._refuse("the logs change a database that was shut down, and have not attached it again")
        if record.type in REFUSED:
            raise self._refuse(f"{TYPES[record.type].name} is not played: {REFUSED[record.type]}")
        session = self.sessions.get(record.session)
        if session is None:
            self.skipped["of sessions that began before the logs"] += 1
            self._expect(redo, record)
            return
        if session.macros and record.dbtime in session.macros:
            session.macros[record.dbtime].append((self.position, record))
            return
        self._play(session, redo, record)

    def make_tree(self, record: SingleExtentRecord | MultipleExtentRecord) -> None:
        """Play the beginning of a tree, whose number counts wherever it stands."""
        played = self.attached(record.dbid)
        if played is not None:
            played.redo.highest_object = max(played.redo.highest_object, record.object_id)
        self.change(record)

    def _expect(self, redo: PageRedo, record: PageRecord | NewPageRecord) -> None:
        """Check that pages have a change that is not played."""
        redo.position, redo.kind = self.position, record.type
        for number, after, _ in changes_of(record):
            page = redo.look(number)
            if page is None or page.dbtime < after:
                redo.doubt(number, f"page {number} lacks a change of a session that began before the logs")

    def _play(self, session: OpenSession, redo: PageRedo, record: PageRecord | NewPageRecord) -> None:
        if isinstance(record, SplitHead | MergeHead):
            raise self._refuse("a split or merge stands alone")
        if isinstance(record, NodeRecord):
            if isinstance(record, UndoRecord):
                session.drop(record.rceid, redo)
            else:
                self._keep_version(session, redo, record)
        onepage.apply(redo, record, self.position)

    @staticmethod
    def _keep_version(session: OpenSession, redo: PageRedo, record: NodeRecord) -> None:
        """Keep what can be taken back. The key of some operations only the page tells, once they are played."""
        if not record.flags & VERSIONED:
            return
        operation = _OPERATIONS.get(type(record), FLAG_DELETE if record.type == _FLAG_DELETE_TYPE else 0)
        if not operation:
            return
        made = [OpenChange(redo, record, operation, record.rceid, record.level)]
        if isinstance(record, InsertRecord):
            made[0].key, made[0].bookmark = record.prefix + record.suffix, record.data
        elif isinstance(record, DeltaRecord | Delta64Record):
            made[0].key, made[0].bookmark = record.key, record.bookmark
        elif isinstance(record, FlagInsertReplaceRecord):
            made[0].key, made[0].bookmark = record.key, record.data
            made.append(OpenChange(redo, record, REPLACE, record.replace_rceid, record.level, key=record.key))
        for one in made:
            session.versions.append(one)
            redo.versions[one.rceid] = one

    def undo_info(self, record: UndoInfoRecord) -> None:
        """Keep what a node was before an open operation."""
        played = self._here.get(record.dbid)
        if played is not None and self.position > played.redo.bounds.settled:
            played.redo.undo_info(record)

    def extend(self, record: IgnorableRecord) -> None:
        """Let a database grow."""
        played = self._here.get(record.data[0]) if len(record.data) >= 5 else None
        if played is not None and self.position > max(played.grown_until, played.redo.bounds.settled):
            played.last_page = max(played.last_page, int.from_bytes(record.data[1:5], "little"))

    def trim(self, record: RangeRecord) -> None:
        """Give pages back to the file system, of which none is in use."""
        played = self._here.get(record.dbid)
        if played is None or self.position <= played.redo.bounds.settled:
            return
        if self.position > played.redo.bounds.ahead:
            raise self._refuse("pages are trimmed after the logs that the database needs")
        played.redo.settle(record.first, record.pages)

    def refuse(self, record: EseRecord) -> None:
        """Refuse what is not played, where it is about a database that is."""
        played = self._here.get(getattr(record, "dbid", -1))
        if played is None and hasattr(record, "dbid"):
            return
        if played is None or self.position > played.redo.bounds.settled:
            raise self._refuse(f"{TYPES[record.type].name} is not played: {REFUSED[record.type]}")

    def remark(self, record: TextRecord) -> None:
        """Take note of a remark: the simulated server says so in each of its logs, and its pages are of its own."""
        if record.data.startswith(SIMULATED):
            raise self._refuse(SIMULATED_RECORDS)

    def raise_version(self, record: VersionRecord) -> None:
        """Raise the version of a database."""
        played = self._here.get(record.dbid)
        if played is not None and self.position > played.redo.bounds.settled:
            played.version = (record.version, record.update_major, record.update_minor)


_OPERATIONS: Final[dict[type[NodeRecord], int]] = {
    InsertRecord: INSERT,
    FlagInsertReplaceRecord: INSERT,
    ReplaceRecord: REPLACE,
    DeltaRecord: DELTA,
    Delta64Record: DELTA64,
}
_HANDLERS: Final[dict[int, str]] = {
    **dict.fromkeys((78, 94, 99, 53, 54, 55), "refuse"),
    **dict.fromkeys((26, 27, 28, 62, 63, 30, 48, 64, 65, 93, *onepage.PLAYED), "change"),
    **dict.fromkeys((24, 25), "make_tree"),
    **dict.fromkeys((1, 49, 2, 50, 18, 52), "stop"),
    80: "drop_sessions",
    **dict.fromkeys((5, 8), "begin"),
    **dict.fromkeys((6, 9), "commit"),
    7: "rollback",
    11: "macro",
    12: "end_macro",
    13: "drop_macro",
    14: "create",
    15: "attach",
    16: "detach",
    22: "remark",
    36: "undo_info",
    68: "extend",
    81: "trim",
    92: "raise_version",
    96: "change",
}
"""The method that plays a type, by its number; the others change nothing here."""
