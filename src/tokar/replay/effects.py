"""Which pages a record changes, and what it says of each before and after: enough to follow a page without playing.

The records of one split or merge name their neighbours as well, and each page with the dbtime that it has before. Of a
page that a record makes anew there is no before. The operation that caused a split changes nothing by itself: the split
brings its node, and its own before is nil.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from tokar.ese.pagerecords import (
    NIL_DBTIME,
    Convert2Record,
    ConvertRecord,
    Delta64Record,
    DeltaRecord,
    EmptyTreeRecord,
    EseRecord,
    ExternalHeaderRecord,
    FlagInsertRecord,
    FlagInsertReplaceRecord,
    InsertRecord,
    Merge2Record,
    MergeHead,
    MergeRecord,
    MultipleExtentRecord,
    NewPageRecord,
    NodeRecord,
    PageMoveRecord,
    ReplaceRecord,
    ScrubRecord,
    SingleExtentRecord,
    Split2Record,
    SplitHead,
    SplitRecord,
    UndoRecord,
)

_LISTED: Final = struct.Struct("<QII")


class Change(NamedTuple):
    """One page that a record changes."""

    page: int
    after: int  # Its dbtime after the change
    before: int | None  # Its dbtime before; None where the page is made anew


def changes_of(record: EseRecord) -> Iterable[Change]:
    """Return the pages that a record changes, in the order in which it does; none for most records."""
    found = _EFFECTS.get(type(record))
    return found(record) if found is not None else ()


def _of_node(record: NodeRecord) -> Iterable[Change]:
    return () if record.before == NIL_DBTIME else (Change(record.page, record.dbtime, record.before),)


def _of_empty_tree(record: EmptyTreeRecord) -> Iterator[Change]:
    for page, before in listed_pages(record):
        yield Change(page, record.dbtime, before)
    yield Change(record.page, record.dbtime, record.before)


def listed_pages(record: EmptyTreeRecord) -> Iterator[tuple[int, int]]:
    """Yield the pages that an emptied tree leaves, each with its dbtime before."""
    for at in range(0, len(record.pages) - _LISTED.size + 1, _LISTED.size):
        before, page, _ = _LISTED.unpack_from(record.pages, at)
        yield page, before


def _of_split(record: SplitHead) -> Iterator[Change]:
    yield Change(record.page, record.dbtime, record.before)
    if record.new_page:
        yield Change(record.new_page, record.dbtime, None)
    if record.right:
        yield Change(record.right, record.dbtime, record.right_before)


def _of_merge(record: MergeHead) -> Iterator[Change]:
    yield Change(record.page, record.dbtime, record.before)
    for page, before in ((record.left, record.left_before), (record.right, record.right_before)):
        if page:
            yield Change(page, record.dbtime, before)


def _of_move(record: PageMoveRecord) -> Iterator[Change]:
    yield Change(record.target, record.dbtime, None)
    yield Change(record.page, record.dbtime, record.before)
    pages = (record.parent, record.left, record.right)
    for page, before in zip(pages, (record.parent_before, record.left_before, record.right_before), strict=True):
        if page:
            yield Change(page, record.dbtime, before)


def _of_new_page(record: NewPageRecord | SingleExtentRecord) -> Iterable[Change]:
    return (Change(record.page, record.dbtime, None),)


def _of_extents(record: MultipleExtentRecord) -> Iterable[Change]:
    return (Change(page, record.dbtime, None) for page in (record.page, record.free_root, record.owned_root))


def _of_conversion(record: ConvertRecord) -> Iterator[Change]:
    yield Change(record.owned_root, record.dbtime, None)
    yield Change(record.free_root, record.dbtime, None)
    yield Change(record.page, record.dbtime, record.before)


_NODES: Final = (
    *(InsertRecord, FlagInsertRecord, FlagInsertReplaceRecord, NodeRecord, ReplaceRecord, DeltaRecord, Delta64Record),
    *(ExternalHeaderRecord, UndoRecord, ScrubRecord),
)
_EFFECTS: Final[dict[type[EseRecord], Callable[[Any], Iterable[Change]]]] = {
    **dict.fromkeys(_NODES, _of_node),
    EmptyTreeRecord: _of_empty_tree,
    SplitRecord: _of_split,
    Split2Record: _of_split,
    MergeRecord: _of_merge,
    Merge2Record: _of_merge,
    PageMoveRecord: _of_move,
    NewPageRecord: _of_new_page,
    SingleExtentRecord: _of_new_page,
    MultipleExtentRecord: _of_extents,
    ConvertRecord: _of_conversion,
    Convert2Record: _of_conversion,
}
