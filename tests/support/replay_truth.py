"""What the trees of a database hold, kept by the records alone and not by pages: what undo must come to."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from tokar.ese.pagerecords import (
    NIL_DBTIME,
    DeltaRecord,
    EseRecord,
    FlagInsertReplaceRecord,
    InsertRecord,
    NodeRecord,
    ReplaceRecord,
    UndoRecord,
)
from tokar.replay.nodepage import DELETED, EMPTY, LEAF, SPACE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from replay_sets import Located

    from tokar.replay.pagestore import PageStore

Row = tuple[int, bytes, bytes]  # object, key, data
SPACE_OPERATION = 8
OPEN = 1
FLAG_DELETE, DELETE = 32, 35


class Truth:
    """Rows that are not deleted, and how to get back to what was committed."""

    def __init__(self, store: PageStore) -> None:
        self.rows: Counter[Row] = Counter()
        self.undone = 0
        self._store = store
        self._levels: dict[int, int] = {}
        self._open: dict[int, list[tuple[int, int, list[tuple[Row, int]]]]] = defaultdict(list)
        self._macros: dict[tuple[int, int], list[NodeRecord]] = {}

    def see(self, record: EseRecord) -> None:
        """Take a record before it is played: the page still has what it changes."""
        kind = record.type
        session = getattr(record, "session", 0)
        if kind in (5, 8):
            self._levels[session] = (record.levels & 15) + (record.levels >> 4)  # type: ignore[attr-defined]
        elif kind in (6, 9):
            self._commit(session, record.level)  # type: ignore[attr-defined]
        elif kind == 7:
            self._levels[session] -= record.levels  # type: ignore[attr-defined]
        elif kind == 11:
            self._macros[session, record.dbtime] = []  # type: ignore[attr-defined]
        elif kind == 12:
            for one in self._macros.pop((session, record.dbtime), []):  # type: ignore[attr-defined]
                self._change(session, one)
        elif isinstance(record, NodeRecord) and kind != 36 and not record.flags & SPACE_OPERATION:
            if record.before == NIL_DBTIME:
                self._macros[session, record.dbtime].append(record)
            else:
                self._change(session, record)

    def _commit(self, session: int, level: int) -> None:
        self._levels[session] = level
        kept = [(min(at, level), rceid, changes) for at, rceid, changes in self._open[session]] if level else []
        self._open[session] = kept

    def _change(self, session: int, record: NodeRecord) -> None:
        if isinstance(record, UndoRecord):
            own = self._open[session]
            for at in range(len(own) - 1, -1, -1):
                if own[at][1] == record.rceid:
                    self._apply([(row, -count) for row, count in own.pop(at)[2]])
            return
        changes = self._changes(record)
        self._apply(changes)
        if record.flags & OPEN:
            self._open[session].append((record.level, record.rceid, changes))

    def _apply(self, changes: Iterable[tuple[Row, int]]) -> None:
        for row, count in changes:
            self.rows[row] += count

    def _changes(self, record: NodeRecord) -> list[tuple[Row, int]]:
        owner = record.object_id
        if isinstance(record, InsertRecord):
            return [((owner, record.prefix + record.suffix, record.data), 1)]
        if isinstance(record, FlagInsertReplaceRecord):
            return [((owner, record.key, record.data), 1)]
        if record.type not in (FLAG_DELETE, DELETE) and not isinstance(record, ReplaceRecord | DeltaRecord):
            return []
        page = self._store.get(record.page)
        assert page is not None
        key = page.key(record.line)
        _, _, data, flags = page.node(record.line)
        gone = [] if flags & DELETED else [((owner, key, data), -1)]
        if isinstance(record, ReplaceRecord):
            assert record.type == 33
            return [*gone, ((owner, key, record.data), 1)]
        if isinstance(record, DeltaRecord):
            at = record.offset
            value = int.from_bytes(data[at : at + 4], "little") + record.delta
            new = data[:at] + (value & 0xFFFFFFFF).to_bytes(4, "little") + data[at + 4 :]
            return [*gone, ((owner, key, new), 1)]
        return gone

    def roll_back(self) -> None:
        """Take back what is open, the newest first."""
        for own in self._open.values():
            for _, _, changes in reversed(own):
                self._apply([(row, -count) for row, count in changes])
                self.undone += 1
        self._open.clear()

    def visible(self) -> Counter[Row]:
        return +self.rows


def visible_in(store: PageStore, pages: Iterable[int]) -> Counter[Row]:
    """What a reader of the pages sees."""
    found: Counter[Row] = Counter()
    for number in pages:
        page = store.get(number)
        if page is None or not page.flags & LEAF or page.flags & (SPACE | EMPTY):
            continue
        for line in range(page.lines):
            _, _, data, flags = page.node(line)
            if not flags & DELETED:
                found[page.object_id, page.key(line), data] += 1
    return found


def records_until(cut: int, logs: Iterable[list[Located]]) -> list[Located]:
    """The first records of logs."""
    return [one for records in logs for one in records][:cut]
