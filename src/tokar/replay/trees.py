"""Splits and merges: changes of several pages that belong together, level by level from the top.

A split has a record for each level of the tree that changes, and at its end the operation that found no room. Where
the page that is split has the change already and the new page has not, the moved nodes come from the image in the
record: it has the dbtime of after the split, and the content of before.

No file at hand shows what a merge must come to: the rules are those of the source, and the pointer, the chains and
later images were as they must be.

Sources: Microsoft, Extensible Storage Engine, btsplit.hxx, bt.cxx, logredo.cxx and node.cxx.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, cast

from tokar.ese.pagerecords import (
    VERSIONED,
    EseRecord,
    FlagInsertReplaceRecord,
    InsertRecord,
    Merge2Record,
    MergeHead,
    MergeRecord,
    ReplaceRecord,
    Split2Record,
    SplitHead,
    SplitRecord,
)
from tokar.replay.images import is_proven_form, open_image
from tokar.replay.nodepage import (
    COMPRESSED,
    DELETED,
    LEAF,
    NOT_UNIQUE,
    UNFIT,
    NodePage,
    PageError,
    shared_with,
    unfit_text,
)
from tokar.replay.redo import Contradiction, PageRedo

_POINTER: Final = struct.Struct("<I")
_VERTICAL: Final = 0
_RIGHT: Final = 1
_APPEND: Final = 2
_INSERT: Final = 1
_FLAG_INSERT: Final = 3
_KEY_CHANGES: Final = 1
_NODE_GOES: Final = 2
_PAGE_EMPTIES: Final = 4
_FULL_RIGHT: Final = 2
_PARTIAL_RIGHT: Final = 3
_FULL_LEFT: Final = 5
_PARTIAL_LEFT: Final = 6
_TO_RIGHT: Final = (_FULL_RIGHT, _PARTIAL_RIGHT)
_TO_LEFT: Final = (_FULL_LEFT, _PARTIAL_LEFT)
_PARTIAL: Final = (_PARTIAL_RIGHT, _PARTIAL_LEFT)

Line = tuple[bytes, bytes, int]
"""Whole key, data and flags of a node."""
Split = SplitRecord | Split2Record
Merge = MergeRecord | Merge2Record
Caused = InsertRecord | ReplaceRecord | FlagInsertReplaceRecord


def apply_macro(redo: PageRedo, records: Sequence[tuple[int, EseRecord]]) -> None:
    """Play changes that belong together, each with its position, and note what does not fit."""
    heads = [(position, one) for position, one in records if isinstance(one, SplitHead | MergeHead)]
    others = [one for _, one in records if not isinstance(one, SplitHead | MergeHead)]
    for at, (position, head) in enumerate(heads):
        redo.position, redo.kind = position, head.type
        child = heads[at + 1][1] if at + 1 < len(heads) else None
        try:
            if isinstance(head, SplitHead):
                _split(redo, cast("Split", head), cast("Split | None", child), others)
            elif child is None:
                _merge(redo, cast("Merge", head))
            else:
                _merge_above(redo, cast("Merge", head), cast("Merge", child), cast("Merge", heads[-1][1]))
        except UNFIT as error:
            redo.clash(Contradiction.CONTENT, head.page, unfit_text(error))


def _pointer(page: int) -> bytes:
    return _POINTER.pack(page)


def _image(redo: PageRedo, record: Split | Merge) -> NodePage | None:
    """Return the page that a record carries, as it was before; None where it carries none."""
    if not isinstance(record, Split2Record | Merge2Record) or not record.image:
        return None
    page = open_image(record.image, record.image_flags, redo.store.page_size, record.page)
    if page.dbtime != record.dbtime:
        raise PageError(f"the image of page {record.page} is of {page.dbtime:#x}, its record of {record.dbtime:#x}")
    page.dbtime = record.before
    redo.unproven += not is_proven_form(record.image, record.image_flags)
    return page


@dataclass(slots=True)
class _Sources:
    """The page that is split or merged away."""

    page: NodePage | None  # To be changed; None where it has the change, or is not known
    content: NodePage | None  # Where its nodes are; an image where the page went on without the other


def _sources(redo: PageRedo, record: Split | Merge, *, wanted: bool) -> _Sources:
    """Return the page of a record and its content before. `wanted`: whether another page is to get nodes of it."""
    image = _image(redo, record)
    page = redo.store.get(record.page)
    if page is None and image is not None:
        # The log shows what the file lacks. That an earlier change never reached it stays so.
        redo.doubt(record.page, f"page {record.page} is blank or not there, and an image stands in for it")
        redo.store.put(image)
        page = image
    elif page is not None and image is not None and page.dbtime == record.before:
        if page.content() | {"layout": 0} != image.content() | {"layout": 0}:
            raise PageError(f"page {record.page} is another than its image in the log")
        redo.images_equal += 1
    due = redo.due(record.page, record.dbtime, record.before)
    if due is None and wanted and image is not None:
        return _Sources(None, image)
    return _Sources(due, due)


def _split(redo: PageRedo, record: Split, child: Split | None, others: Sequence[EseRecord]) -> None:
    if not record.new_page:
        _take_pointer(redo, record, child)
        return
    makes = redo.fresh(record.new_page, record.dbtime)
    found = _sources(redo, record, wanted=makes)
    brought = _brought(redo, record, child, others, found.content)
    lines: list[Line] | None = None
    if found.content is not None:
        lines = _merged_lines(record, found.content, brought)
    elif makes and brought is not None and brought.alone:
        lines = [(b"", b"", 0)] * record.lines
        lines[record.operation_line] = (brought.key, brought.data, 0)
    new = None
    if makes:
        if lines is None:
            redo.doubt(
                record.new_page, f"page {record.new_page} is to get nodes of page {record.page}, which has not them"
            )
        else:
            new = _fill_new(redo, record, lines, brought)
    if found.page is not None:
        assert lines is not None
        _shrink_old(found.page, record, lines, brought)
        redo.done(found.page, record.dbtime)
    _link(redo, record, child, found.page, new)


@dataclass(slots=True)
class _Brought:
    """The node that a split brings: that of the operation that caused it, or the pointer of the level below."""

    kind: int
    key: bytes
    data: bytes
    flags: int
    on_leaf: bool
    alone: bool  # Whether nothing but it goes to the new page


def _brought(
    redo: PageRedo, record: Split, child: Split | None, others: Sequence[EseRecord], content: NodePage | None
) -> _Brought | None:
    if not record.operation:
        return None
    last = record.split_line == record.operation_line == record.lines - 1
    alone = record.kind == _APPEND or (record.kind == _RIGHT and record.operation == _INSERT and last)
    if record.operation_line >= record.lines:
        raise PageError(f"a split of page {record.page} brings line {record.operation_line} of {record.lines}")
    if not record.new_flags & LEAF:
        if child is None:
            raise PageError(f"a split of page {record.page} has no level below it")
        return _Brought(_INSERT, child.key, _pointer(child.page), 0, on_leaf=False, alone=alone)
    caused = [one for one in others if isinstance(one, Caused)]
    if not caused:
        raise PageError(f"a split of page {record.page} names an operation, and none follows")
    one = caused[0]
    if content is not None and record.operation != _INSERT:
        rceid = one.replace_rceid if isinstance(one, FlagInsertReplaceRecord) else one.rceid
        redo.saw(rceid, content, record.operation_line)
    key = one.prefix + one.suffix if isinstance(one, InsertRecord) else b""
    flags = one.flags & VERSIONED
    return _Brought(record.operation, key, one.data, flags, on_leaf=True, alone=alone)


def _merged_lines(record: Split, content: NodePage, brought: _Brought | None) -> list[Line]:
    """Return the nodes of both pages as they will be, with the one that is brought."""
    lines: list[Line] = []
    adds = brought is not None and brought.kind == _INSERT
    if content.lines + adds != record.lines or record.split_line > record.lines:
        raise PageError(f"a split counts {record.lines} lines on page {record.page}, which has {content.lines}")
    at = 0
    for line in range(record.lines):
        own = brought is not None and line == record.operation_line
        if own and adds:
            assert brought is not None
            lines.append((brought.key, brought.data, 0))
            continue
        _, _, data, flags = content.node(at)
        if own and brought is not None:
            data = brought.data
        lines.append((content.key(at), data, flags))
        at += 1
    if record.new_flags & LEAF:
        _demand_order(record, lines, content)
    return lines


def _demand_order(record: Split, lines: Sequence[Line], content: NodePage) -> None:
    """Check that leaves are in the order of keys, and that the separator lies between both pages."""
    unique = not content.flags & NOT_UNIQUE
    places = [key if unique else key + data for key, data, _ in lines]
    at = record.split_line
    if any(one >= other for one, other in pairwise(places)):
        raise PageError(f"the lines of page {record.page} would not be in the order of keys")
    if record.kind != _VERTICAL and 0 < at < len(lines) and not places[at - 1] < record.key <= places[at]:
        raise PageError(f"the separator of page {record.page} does not lie between what stays and what moves")


def _fill_new(redo: PageRedo, record: Split, lines: Sequence[Line], brought: _Brought | None) -> NodePage:
    """Make the new page with the nodes that move."""
    page = redo.make(record.new_page, record.object_id, record.dbtime, record.new_flags)
    moved = lines[record.split_line :]
    prefixed = record.new_prefix_line >= 0
    if prefixed:
        if record.new_prefix_line >= len(moved):
            raise PageError(f"a split of page {record.page} takes its prefix from a line that does not move")
        page.set_prefix(moved[record.new_prefix_line][0])
    prefix = page.prefix
    for at, (key, data, found) in enumerate(moved):
        own = brought is not None and record.split_line + at == record.operation_line
        flags = _flags_of(brought, found) if own and brought is not None else found
        page.insert_key(at, shared_with(prefix, key) if prefixed else 0, key, data, flags & ~COMPRESSED)
    page.uncommitted = record.new_uncommitted
    return page


def _flags_of(brought: _Brought, flags: int) -> int:
    """Return the flags of the node that is brought, of which some are as they were."""
    if brought.kind == _INSERT:
        flags = 0
    elif brought.kind == _FLAG_INSERT:
        flags &= ~DELETED
    return flags | (brought.flags if brought.on_leaf else 0)


def _shrink_old(page: NodePage, record: Split, lines: Sequence[Line], brought: _Brought | None) -> None:
    """Take the nodes that moved from the page, from the last on, give it its prefix, and bring what stays."""
    stays = brought is not None and record.operation_line < record.split_line
    keep = record.split_line - (stays and brought is not None and brought.kind == _INSERT)
    for line in range(page.lines - 1, keep - 1, -1):
        page.delete_node(line)
    if record.kind != _APPEND:
        _change_prefix(page, record)
    if stays and brought is not None:
        at = record.operation_line
        key = lines[at][0]
        shared = shared_with(record.new_prefix, key) if record.prefix_line >= 0 else 0
        if brought.kind != _INSERT:
            page.delete_node(at)
        page.insert_key(at, shared, key, brought.data, brought.flags)
    page.uncommitted = record.uncommitted


def _change_prefix(page: NodePage, record: Split) -> None:
    """Give a page another prefix: first the nodes that shrink, then those that grow, at last the prefix itself."""
    keys = [page.key(line) for line in range(page.lines)]
    if record.old_prefix:
        page.set_prefix(b"")
    wanted = [shared_with(record.new_prefix, key) if record.prefix_line >= 0 else 0 for key in keys]
    for shrinks in (True, False):
        for line, (key, want) in enumerate(zip(keys, wanted, strict=True)):
            have = page.node(line)[0]
            if have != want and (want > have) == shrinks:
                page.share(line, want, key)
    page.set_prefix(record.new_prefix)


def _link(redo: PageRedo, record: Split, child: Split | None, old: NodePage | None, new: NodePage | None) -> None:
    """Link the pages of a level, or let a pointer of an inner one lead to the new page below."""
    if record.kind == _VERTICAL:
        if old is not None:
            old.flags = record.split_flags
            old.insert_node(0, 0, b"", _pointer(record.new_page))
        if child is not None and new is not None and record.operation:
            new.replace_data(record.operation_line + 1, _pointer(child.new_page))
    elif record.new_flags & LEAF:
        _link_leaves(redo, record, old, new)
    elif child is not None:
        at = record.operation_line + 1
        page, line = (new, at - record.split_line) if at >= record.split_line else (old, at)
        if page is not None:
            page.replace_data(line, _pointer(child.new_page))


def _link_leaves(redo: PageRedo, record: Split, old: NodePage | None, new: NodePage | None) -> None:
    if new is not None:
        new.previous, new.next = record.page, record.right or new.next
    if old is not None:
        old.next = record.new_page
    right = redo.due(record.right, record.dbtime, record.right_before) if record.right else None
    if right is not None:
        right.previous = record.new_page
        redo.done(right, record.dbtime)


def _take_pointer(redo: PageRedo, record: Split, child: Split | None) -> None:
    """Let a page that is not split itself lead to both pages below: the old one up to the separator, then the new."""
    page = redo.due(record.page, record.dbtime, record.before)
    if page is None:
        return
    if child is None or not page.lines:
        raise PageError(f"page {record.page} is to take a pointer, and there is no level below it")
    key = child.key
    line = 0
    while line < page.lines - 1 and page.key(line) <= key:
        line += 1
    if page.node(line)[2] != _pointer(child.page):
        raise PageError(f"line {line} of page {record.page} does not lead to page {child.page}, which is split")
    page.insert_key(line, shared_with(page.prefix, key), key, _pointer(child.page))
    page.replace_data(line + 1, _pointer(child.new_page))
    redo.done(page, record.dbtime)


def _merge(redo: PageRedo, record: Merge) -> None:
    """Merge a leaf away, or a part of it. Both neighbours that are named get the dbtime, whatever else they get."""
    kind = record.kind
    target = record.right if kind in _TO_RIGHT else record.left if kind in _TO_LEFT else 0
    found = _sources(redo, record, wanted=bool(target))
    for page, before in ((record.left, record.left_before), (record.right, record.right_before)):
        neighbour = redo.due(page, record.dbtime, before) if page else None
        if neighbour is None:
            continue
        if page == target and found.content is None:
            redo.doubt(page, f"page {page} is to get nodes of page {record.page}, which has not them")
            redo.store.forget(page)
            continue
        if page == target and found.content is not None:
            _take_nodes(neighbour, found.content, record)
        if kind not in _PARTIAL:
            _pass_over(neighbour, record)
        redo.done(neighbour, record.dbtime)
    if found.page is not None:
        for line in [line for line in range(found.page.lines - 1, -1, -1) if _goes(kind, line, record.merge_line)]:
            found.page.delete_node(line)
        if record.merge_flags & _PAGE_EMPTIES:
            found.page.clear()
        redo.done(found.page, record.dbtime)


def _pass_over(neighbour: NodePage, record: Merge) -> None:
    """Link a neighbour past the page that goes."""
    if neighbour.number == record.left:
        neighbour.next = record.right
    else:
        neighbour.previous = record.left


def _goes(kind: int, line: int, merge_line: int) -> bool:
    """Whether a partial merge moves a line."""
    return (kind == _PARTIAL_RIGHT and line >= merge_line) or (kind == _PARTIAL_LEFT and line <= merge_line)


def _take_nodes(page: NodePage, content: NodePage, record: Merge) -> None:
    """Put the nodes that are not deleted in front, or at the end."""
    right = record.kind in _TO_RIGHT
    take: Iterable[int] = range(record.merge_line, content.lines) if right else range(record.merge_line + 1)
    at = 0 if right else page.lines
    prefix = page.prefix
    for line in sorted(take, reverse=True):
        _, _, data, flags = content.node(line)
        if not flags & DELETED:
            key = content.key(line)
            page.insert_key(at, shared_with(prefix, key), key, data, flags & ~COMPRESSED)
    page.uncommitted = record.uncommitted


def _merge_above(redo: PageRedo, record: Merge, child: Merge, leaf: Merge) -> None:
    """Change the pointer to a page that was merged away, or the separator before it."""
    page = redo.due(record.page, record.dbtime, record.before)
    if page is None:
        return
    line, flags = record.line, record.merge_flags
    if page.lines and page.node(line)[2] != _pointer(child.page):
        raise PageError(f"line {line} of page {record.page} does not lead to page {child.page}, which is merged")
    if leaf.kind == _FULL_LEFT and flags & _NODE_GOES and flags & _KEY_CHANGES:
        page.replace_data(line, _pointer(leaf.left))
        page.delete_node(line - 1)
    elif flags & _NODE_GOES:
        was_last = page.key(line) == b""
        page.delete_node(line)
        if was_last and page.lines:
            _give_key(page, line - 1, b"")
    elif flags & _KEY_CHANGES:
        _give_key(page, line - 1 if leaf.kind == _PARTIAL_LEFT else line, leaf.key)
    if flags & _PAGE_EMPTIES:
        page.clear()
    redo.done(page, record.dbtime)


def _give_key(page: NodePage, line: int, key: bytes) -> None:
    """Give a pointer another separator."""
    data = page.node(line)[2]
    page.delete_node(line)
    page.insert_key(line, shared_with(page.prefix, key), key, data)
