"""Undo: takes back what was open at the end of the logs, the newest first, on the pages where it lies by then.

Later splits move nodes, so each is looked for from the root of its tree. Space that an open transaction took for new
trees stays taken, and flagged nodes stay flagged: the engine leaves both to later cleaning as well.

Source: Microsoft, Extensible Storage Engine, ver.cxx and bt.cxx.
"""

from __future__ import annotations

import struct
from collections import Counter
from typing import Final

from tokar.ese.pagerecords import UNIQUE
from tokar.replay.nodepage import LEAF, SCRUBBED, UNFIT, NodePage, PageError, unfit_text
from tokar.replay.onepage import take_back
from tokar.replay.player import Player
from tokar.replay.redo import DELTA, DELTA64, FLAG_DELETE, INSERT, REPLACE, Clash, Contradiction, OpenChange, PageRedo

_DEEPEST: Final = 8
_POINTER: Final = struct.Struct("<I")
_NAMES: Final = {INSERT: "insert", REPLACE: "replace", FLAG_DELETE: "delete", DELTA: "delta", DELTA64: "delta"}


def undo_open(player: Player) -> Counter[str]:
    """Take back what is open, and return how many operations of each kind that were.

    What cannot be taken back is a clash of its database.
    """
    done: Counter[str] = Counter()
    for _, session in sorted(player.sessions.items()):
        for version in reversed(session.versions):
            redo = version.redo
            redo.position, redo.kind = player.position, version.record.type
            try:
                _undo(redo, version)
                done[_NAMES[version.operation]] += 1
            except UNFIT as error:
                page = version.record.page
                text = f"an open {_NAMES[version.operation]} cannot be taken back: {unfit_text(error)}"
                redo.clash_count += 1
                redo.clashes.append(Clash(Contradiction.CONTENT, page, player.position, redo.kind, text))
        session.versions.clear()
        session.level = 0
    return done


def _undo(redo: PageRedo, version: OpenChange) -> None:
    if version.key is None:
        raise PageError("its key is not known")
    record = version.record
    unique = bool(record.flags & UNIQUE) or version.operation == REPLACE
    page, line = find_node(redo, record.root, version.key, None if unique else version.bookmark)
    take_back(page, line, version.operation, version)
    redo.highest_dbtime += 1
    page.dbtime = redo.highest_dbtime
    page.flags &= ~SCRUBBED
    redo.store.change(page.number)


def find_node(redo: PageRedo, root: int, key: bytes, bookmark: bytes | None) -> tuple[NodePage, int]:
    """Return page and line of a node.

    Args:
        redo: The database.
        root: The root of its tree.
        key: Its key.
        bookmark: Its data as well, where keys are not unique: nodes are in the order of both together.

    Raises:
        PageError: It is not there, or the tree is damaged.
    """
    wanted = key if bookmark is None else key + bookmark
    number = root
    for _ in range(_DEEPEST):
        page = redo.store.get(number)
        if page is None:
            raise PageError(f"page {number} of its tree is not there")
        if page.flags & LEAF:
            break
        number = _child(page, wanted)
    else:
        raise PageError(f"the tree of page {root} is deeper than {_DEEPEST} levels")
    for line in range(page.lines):
        if page.key(line) == key and (bookmark is None or page.node(line)[2] == bookmark):
            return page, line
    raise PageError(f"the node is not on page {page.number} of its tree")


def _child(page: NodePage, wanted: bytes) -> int:
    """Return the page below that holds a key: separators are above what is left of them, the last one is empty."""
    for line in range(page.lines):
        data = page.node(line)[2]
        if len(data) != _POINTER.size:
            raise PageError(f"line {line} of page {page.number} leads nowhere")
        if line == page.lines - 1 or page.key(line) > wanted:
            return int(_POINTER.unpack(data)[0])
    raise PageError(f"page {page.number} leads nowhere")
