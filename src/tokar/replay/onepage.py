"""What the records do that change one page by themselves, or make one.

Source: Microsoft, Extensible Storage Engine, logredo.cxx, node.cxx and space.cxx.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any, Final

from tokar.ese.pagerecords import (
    UNIQUE,
    VERSIONED,
    WIDE_DIFF,
    Convert2Record,
    Delta64Record,
    DeltaRecord,
    ExternalHeaderRecord,
    FlagInsertReplaceRecord,
    InsertRecord,
    MultipleExtentRecord,
    NewPageRecord,
    NodeRecord,
    PageRecord,
    ReplaceRecord,
    SingleExtentRecord,
    UndoRecord,
)
from tokar.replay.images import apply_diff
from tokar.replay.nodepage import DELETED, LEAF, ROOT, SPACE, UNFIT, NodePage, PageError, unfit_text
from tokar.replay.redo import FLAG_DELETE, INSERT, REPLACE, Contradiction, OpenChange, PageRedo

_LAST: Final = struct.Struct(">I")
_NUMBER: Final = struct.Struct("<I")
_SPACE: Final = struct.Struct("<IIII")
_ONE_EXTENT_BITS: Final = 32
_NOT_UNIQUE: Final = 2
_MULTIPLE: Final = 1
_CREATED: Final = ROOT | LEAF


def apply(redo: PageRedo, record: PageRecord | NewPageRecord, position: int) -> None:
    """Play a record that changes pages by itself, and note what does not fit.

    Raises:
        KeyError: No such record is played.
    """
    redo.position, redo.kind = position, record.type
    play = PLAYED[record.type]
    try:
        play(redo, record)
    except UNFIT as error:
        redo.clash(Contradiction.CONTENT, record.page, unfit_text(error))


def _insert(redo: PageRedo, record: InsertRecord) -> None:
    page = redo.due(record.page, record.dbtime, record.before)
    if page is None:
        return
    prefix = record.prefix
    if prefix and page.prefix[: len(prefix)] != prefix:
        raise PageError(f"page {page.number} has another prefix than the record")
    line, unique = record.line, record.flags & UNIQUE
    page.insert_node(line, len(prefix), record.suffix, record.data, record.flags & VERSIONED)
    own = _place(page, line, unique)
    if (line and _place(page, line - 1, unique) >= own) or (
        line + 1 < page.lines and _place(page, line + 1, unique) <= own
    ):
        raise PageError(f"line {line} of page {page.number} would not be in the order of keys")
    redo.done(page, record.dbtime)


def _place(page: NodePage, line: int, unique: int) -> bytes:
    """Return what a node is ordered by: its key, and its data as well where keys are not unique."""
    return page.key(line) if unique else page.key(line) + page.node(line)[2]


def _flag_insert_replace(redo: PageRedo, record: FlagInsertReplaceRecord) -> None:
    page = redo.due(record.page, record.dbtime, record.before)
    if page is None:
        return
    line = record.line
    redo.saw(record.replace_rceid, page, line)
    if page.key(line) != record.key:
        raise PageError(f"line {line} of page {page.number} has another key than the record")
    flags = page.node(line)[3]
    page.replace_data(line, record.data, (flags | record.flags & VERSIONED) & ~DELETED)
    redo.done(page, record.dbtime)


def _flag_delete(redo: PageRedo, record: NodeRecord) -> None:
    page = redo.due(record.page, record.dbtime, record.before)
    if page is not None:
        redo.saw(record.rceid, page, record.line)
        page.mark(record.line, add=DELETED | record.flags & VERSIONED)
        redo.done(page, record.dbtime)


def _delete(redo: PageRedo, record: NodeRecord) -> None:
    page = redo.due(record.page, record.dbtime, record.before)
    if page is not None:
        page.delete_node(record.line)
        redo.done(page, record.dbtime)


def _replace(redo: PageRedo, record: ReplaceRecord) -> None:
    _replace_by(redo, record, lambda _: record.data)


def _replace_diff(redo: PageRedo, record: ReplaceRecord) -> None:
    wide = bool(record.stored_size & WIDE_DIFF)
    redo.unproven += wide
    _replace_by(redo, record, lambda old: apply_diff(record.data, old, wide=wide))


def _replace_by(redo: PageRedo, record: ReplaceRecord, new_data: Callable[[bytes], bytes]) -> None:
    page = redo.due(record.page, record.dbtime, record.before)
    if page is None:
        return
    redo.saw(record.rceid, page, record.line)
    _, _, old, flags = page.node(record.line)
    new = new_data(old)
    if (len(old), len(new)) != (record.old_size, record.new_size):
        sizes = f"{record.old_size} bytes to {record.new_size}, and here {len(old)} to {len(new)}"
        raise PageError(f"line {record.line} of page {page.number} goes from {sizes}")
    page.replace_data(record.line, new, flags | record.flags & VERSIONED)
    redo.done(page, record.dbtime)


def _delta(redo: PageRedo, record: DeltaRecord | Delta64Record) -> None:
    page = redo.due(record.page, record.dbtime, record.before)
    if page is not None:
        flags = page.node(record.line)[3] | record.flags & VERSIONED
        page.replace_data(record.line, grown(page, record.line, record, 1), flags)
        redo.done(page, record.dbtime)


def _external_header(redo: PageRedo, record: ExternalHeaderRecord) -> None:
    page = redo.due(record.page, record.dbtime, record.before)
    if page is not None:
        page.replace_tag(0, record.data, 0)
        redo.done(page, record.dbtime)


def _new_page(redo: PageRedo, record: NewPageRecord) -> None:
    if redo.fresh(record.page, record.dbtime):
        redo.make(record.page, record.object_id, record.dbtime)


def _single_extent(redo: PageRedo, record: SingleExtentRecord) -> None:
    if redo.fresh(record.page, record.dbtime):
        page = redo.make(record.page, record.object_id, record.dbtime, record.page_flags | _CREATED)
        count = record.pages
        bits = 0xFFFFFFFF if count > _ONE_EXTENT_BITS else (1 << max(count - 1, 0)) - 1
        page.replace_tag(0, _SPACE.pack(count, record.parent_root, _kind_of(record), bits), 0)


def _multiple_extents(redo: PageRedo, record: MultipleExtentRecord) -> None:
    count = record.pages
    if redo.fresh(record.page, record.dbtime):
        page = redo.make(record.page, record.object_id, record.dbtime, record.page_flags | _CREATED)
        words = (count, record.parent_root, _kind_of(record) | _MULTIPLE, record.owned_root)
        page.replace_tag(0, _SPACE.pack(*words), 0)
    last = record.page + count - 1
    for root, pages in ((record.free_root, count - 3), (record.owned_root, count)):
        _space_root(redo, record, root, [(last, pages)] if pages > 0 else [])


def _convert(redo: PageRedo, record: Convert2Record) -> None:
    first = (record.page + record.pages - 1, record.pages)
    second = (record.second_first + record.second_pages - 1, record.second_pages)
    _space_root(redo, record, record.owned_root, [second, first])
    # The second extent comes first: the order in which extents come in fixes the layout.
    rest = [(second[0], record.second_pages - 2)] if record.second_pages > 2 else []
    _space_root(redo, record, record.free_root, [*rest, *_free_runs(record)])
    page = redo.due(record.page, record.dbtime, record.before)
    if page is not None:
        words = (record.pages, record.parent_root, _kind_of(record) | _MULTIPLE, record.second_first)
        page.set_space_header(_SPACE.pack(*words))
        redo.done(page, record.dbtime)


def _space_root(
    redo: PageRedo, record: MultipleExtentRecord | Convert2Record, root: int, extents: Iterable[tuple[int, int]]
) -> None:
    """Make the root of a space tree with a node for each extent: its last page, and how many it has."""
    if not redo.fresh(root, record.dbtime):
        return
    page = redo.make(root, record.object_id, record.dbtime, record.page_flags | _CREATED | SPACE)
    page.replace_tag(0, bytes(_SPACE.size), 0)
    for last, count in extents:
        key = _LAST.pack(last)
        line = sum(page.key(at) < key for at in range(page.lines))
        page.insert_node(line, 0, key, _NUMBER.pack(count))


def _undo(redo: PageRedo, record: UndoRecord) -> None:
    version = redo.versions.pop(record.rceid, None)
    page = redo.due(record.page, record.dbtime, record.before)
    if page is not None:
        take_back(page, record.line, record.operation, version)
        redo.done(page, record.dbtime)


def _kind_of(record: PageRecord) -> int:
    """Return the flag of the space header of a tree whose keys are not unique."""
    return 0 if record.flags & UNIQUE else _NOT_UNIQUE


def _free_runs(record: Convert2Record) -> list[tuple[int, int]]:
    """Return what is free of a first extent, from low to high, each run as its last page and how many it has."""
    runs: list[tuple[int, int]] = []
    free = [record.page + bit + 1 for bit in range(_ONE_EXTENT_BITS) if record.free_bits >> bit & 1]
    for page in free:
        if runs and runs[-1][0] == page - 1:
            runs[-1] = (page, runs[-1][1] + 1)
        else:
            runs.append((page, 1))
    if (rest := record.pages - 1 - _ONE_EXTENT_BITS) > 0:  # none of them has a bit, and all are free
        last, bits_end = record.page + record.pages - 1, record.page + _ONE_EXTENT_BITS
        joined = runs.pop()[1] if runs and runs[-1][0] == bits_end else 0
        runs.append((last, rest + joined))
    return runs


def grown(page: NodePage, line: int, record: DeltaRecord | Delta64Record, sign: int) -> bytes:
    """Return the data of a node with its number grown by what a record says, or shrunk by it."""
    width = 8 if isinstance(record, Delta64Record) else 4
    data = page.node(line)[2]
    start, end = record.offset, record.offset + width
    if end > len(data):
        raise PageError(f"line {line} of page {page.number} has no number at {start}")
    value = int.from_bytes(data[start:end], "little") + sign * record.delta
    return data[:start] + (value & (1 << 8 * width) - 1).to_bytes(width, "little") + data[end:]


def take_back(page: NodePage, line: int, operation: int, version: OpenChange | None) -> None:
    """Take an operation back on the node that it changed.

    Raises:
        PageError: What the node was before is not known.
    """
    if operation == INSERT:
        page.mark(line, add=DELETED)
    elif operation == FLAG_DELETE:
        page.mark(line, drop=DELETED)
    elif operation == REPLACE and version is not None and version.before is not None:
        page.replace_data(line, version.before)
    elif version is not None and isinstance(version.record, DeltaRecord | Delta64Record):
        page.replace_data(line, grown(page, line, version.record, -1))
    else:
        raise PageError(f"what line {line} of page {page.number} held before an operation is not known")


PLAYED: Final[dict[int, Callable[[PageRedo, Any], None]]] = {
    24: _multiple_extents,
    25: _single_extent,
    29: _insert,
    31: _flag_insert_replace,
    32: _flag_delete,
    33: _replace,
    34: _replace_diff,
    35: _delete,
    37: _delta,
    38: _external_header,
    39: _undo,
    58: _convert,
    95: _new_page,
}
"""By the number of the type."""
