"""The states that each page of a real database went through, and databases that crashed with pages in any of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from replay_sets import EVERYTHING_MAY_BE_AHEAD, PlayedSet, RealSet, content_of, pages_of

from tokar.ese.page import seal_page
from tokar.ese.pagerecords import (
    DeltaRecord,
    EseRecord,
    FlagInsertReplaceRecord,
    InsertRecord,
    NewPageRecord,
    NodeRecord,
    PageRecord,
    ReplaceRecord,
    SplitHead,
    SplitRecord,
    UndoRecord,
)
from tokar.replay import onepage
from tokar.replay.effects import changes_of
from tokar.replay.images import apply_diff
from tokar.replay.nodepage import DELETED, NodePage, PageError
from tokar.replay.onepage import grown
from tokar.replay.pagestore import PageStore
from tokar.replay.player import Player
from tokar.replay.redo import Bounds, PageRedo

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

FLAG_DELETE, REPLACE, REPLACE_DIFF = 32, 33, 34
PAGE = 4096


class Trusting(Player):
    """Plays what a session did before its first begin as well: these logs do not begin where recovery would."""

    def _expect(self, redo: PageRedo, record: PageRecord | NewPageRecord) -> None:
        if not isinstance(record, SplitHead) and record.type in onepage.PLAYED:
            onepage.apply(redo, record, self.position)


@dataclass
class Histories:
    """States of pages by number, the oldest first."""

    made: dict[int, list[bytes]] = field(default_factory=dict)  # From the logs alone
    born: set[int] = field(default_factory=set)  # Pages that the logs make: before, there was anything
    rewound: dict[int, list[bytes]] = field(default_factory=dict)  # From the file, taken back step by step
    # Splits without images: page, its dbtime after, and the new page, which the engine writes first.
    ordered: list[tuple[int, int, int]] = field(default_factory=list)

    def states(self, number: int) -> list[bytes]:
        return self.made.get(number) or self.rewound[number]

    @property
    def pages(self) -> list[int]:
        return sorted({*self.made, *self.rewound})


@cache
def histories_of(make: Callable[[], RealSet]) -> Histories:
    """The histories of all pages of a set, as far as the logs tell."""
    real = make()
    found = Histories()
    changes: dict[int, list[EseRecord]] = {}
    with PlayedSet(None, real, Bounds(-1, EVERYTHING_MAY_BE_AHEAD), Trusting) as played:
        dirty = _watched(played.store)
        for position, record in (one for records in real.records() for one in records):
            if played.player.attached(getattr(record, "dbid", 0)) is not None:
                for number, _, before in changes_of(record):
                    if number not in changes and before is None:
                        found.born.add(number)
                    changes.setdefault(number, []).append(record)
                if isinstance(record, SplitRecord) and record.new_page:
                    found.ordered.append((record.page, record.dbtime, record.new_page))
            played.player.feed(position, record)
            for page in filter(None, map(played.store.get, sorted(dirty))):
                found.made.setdefault(page.number, []).append(page.build())
            dirty.clear()
    with pages_of(real.database) as store:
        for page in filter(None, map(store.get, sorted(set(changes) - set(found.made)))):
            found.rewound[page.number] = rewound_states(page, changes[page.number])
    return found


def rewound_states(page: NodePage, records: list[EseRecord]) -> list[bytes]:
    """Take a page of a file back as far as its records tell, and play it forward again; return all states."""
    unknown: set[bytes] = set()
    left = len(records)
    while left and take_back(page, records[left - 1], unknown):
        left -= 1
    base = PageStore(None, page.size)
    base.put(page)
    redo = PageRedo(base, Bounds(-1, EVERYTHING_MAY_BE_AHEAD))
    states = [page.build()]
    for record in records[left:]:
        assert isinstance(record, NodeRecord)
        onepage.apply(redo, record, 1)
        states.append(page.build())
    assert (redo.clashes, redo.doubts) == ([], {})
    return states


def _watched(store: PageStore) -> set[int]:
    dirty: set[int] = set()
    original = store.change

    def change(number: int) -> None:
        dirty.add(number)
        original(number)

    store.change = change  # type: ignore[method-assign]
    return dirty


def take_back(page: NodePage, record: EseRecord, unknown: set[bytes]) -> bool:
    """Take a page back to before a record, checking it against what the record says; False where nobody can tell.

    What was there and stands nowhere becomes zeros, and its key is noted: playing the record must replace them.
    """
    assert isinstance(record, PageRecord | NewPageRecord)
    assert page.dbtime == record.dbtime
    line = getattr(record, "line", 0)
    if not isinstance(record, NodeRecord) or not _can_be_taken_back(record):
        return False
    key = page.key(line)
    known = key not in unknown
    if isinstance(record, InsertRecord):
        shared, suffix, data, _ = page.node(line)
        assert (shared, suffix, len(data)) == (len(record.prefix), record.suffix, len(record.data))
        assert not known or data == record.data
        unknown.discard(key)
        page.delete_node(line)
    elif record.type == FLAG_DELETE:
        assert page.node(line)[3] & DELETED
        page.mark(line, drop=DELETED)
    elif isinstance(record, FlagInsertReplaceRecord):
        assert key == record.key
        assert not known or page.node(line)[2] == record.data
        unknown.add(key)
        page.mark(line, add=DELETED)
    elif isinstance(record, ReplaceRecord):
        _replace_back(page, record, known=known)
        unknown.add(key)
    elif isinstance(record, DeltaRecord):
        page.replace_data(line, grown(page, line, record, -1))
    else:
        assert isinstance(record, UndoRecord)
        assert bool(page.node(line)[3] & DELETED) == (record.operation == 1)
        page.mark(line, drop=DELETED) if record.operation == 1 else page.mark(line, add=DELETED)
    page.dbtime = record.before
    return True


def _can_be_taken_back(record: NodeRecord) -> bool:
    if isinstance(record, UndoRecord):
        return record.operation in (1, 3)
    kinds = InsertRecord | FlagInsertReplaceRecord | ReplaceRecord | DeltaRecord
    return isinstance(record, kinds) or record.type == FLAG_DELETE


def _replace_back(page: NodePage, record: ReplaceRecord, *, known: bool) -> None:
    new = page.node(record.line)[2]
    assert len(new) == record.new_size
    if record.type == REPLACE:
        assert not known or new == record.data
        page.replace_data(record.line, bytes(record.old_size))
    else:
        old = before_diff(record.data, new, record.old_size)
        assert len(old) == record.old_size
        assert not known or new == apply_diff(record.data, old, wide=False)
        page.replace_data(record.line, old)


def before_diff(diff: bytes, new: bytes, old_size: int) -> bytes:
    """What a node held before a diff: what it keeps, and zeros for what it replaces."""
    old = bytearray()
    at = taken = 0
    while at < len(diff):
        word = int.from_bytes(diff[at : at + 2], "little")
        offset, same, insert, width = word & 0x1FFF, word & 0x2000, word & 0x4000, 2 if word & 0x8000 else 1
        at += 2
        size = replaced = int.from_bytes(diff[at : at + width], "little")
        at += width
        if insert:
            replaced = 0
        elif not same:
            replaced, at = int.from_bytes(diff[at : at + width], "little"), at + width
        kept = offset - len(old)
        old += new[taken : taken + kept] + bytes(replaced)
        taken += kept + size
        at += size
    return bytes(old + new[taken:])[:old_size]


def crashed(make: Callable[[], RealSet], chance: random.Random) -> bytes:
    """A database in which each page is in any of its states; the logs lead all of them to the end."""
    real, found = make(), histories_of(make)
    blank = bytes(PAGE)
    chosen = {}
    for number in found.pages:
        states = [blank] if number in found.born else []
        chosen[number] = chance.choice(states + found.states(number))
    for page, after, new_page in found.ordered:
        if int.from_bytes(chosen[page][8:16], "little") >= after and not any(chosen[new_page]):
            chosen[new_page] = found.states(new_page)[0]
    data = bytearray(real.database.read_bytes())
    for number, state in chosen.items():
        data[(number + 1) * PAGE : (number + 2) * PAGE] = seal_page(state, number) if any(state) else state
    return bytes(data)


def wrong_after(make: Callable[[], RealSet], database: bytes) -> tuple[int, list[object]]:
    """Play all logs on a database; return how many pages were compared with the real file, and what is wrong."""
    real, found = make(), histories_of(make)
    with PlayedSet(database, real, Bounds(-1, EVERYTHING_MAY_BE_AHEAD), Trusting) as played:
        for records in real.records():
            played.feed(records)
        wrong: list[object] = [*played.redo.clashes, *played.redo.doubts.values()]
        with pages_of(real.database) as store:
            for number in found.pages:
                try:
                    one, other = played.store.get(number), store.get(number)
                except PageError as error:
                    wrong.append(error)
                    continue
                if one is None or other is None or not _same(one, other, whole=number in found.made):
                    wrong.append(number)
    return len(found.pages), wrong


def _same(one: NodePage, other: NodePage, *, whole: bool) -> bool:
    """Compare two pages; where a history was taken back from the end, not where nodes lie."""
    if whole:
        return content_of(one) == content_of(other)
    return one.content() | {"layout": 0} == other.content() | {"layout": 0}
