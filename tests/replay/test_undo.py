"""What is open at the end is taken back: on pages made by hand, and at random cuts of real logs."""

from __future__ import annotations

import random
import struct

import pytest
from replay_logs import record
from replay_sets import PlayedSet, after
from replay_truth import Truth, records_until, visible_in
from test_redo import OPEN, a_page, a_redo, change, page_of

from tokar.replay.nodepage import DELETED, LEAF, ROOT
from tokar.replay.player import Played, Player
from tokar.replay.redo import Bounds, PageRedo
from tokar.replay.undo import undo_open

SIGNATURE = b"s" * 28


def a_player(redo: PageRedo) -> Player:
    player = Player({SIGNATURE: Played(redo)})
    player._attach(0, SIGNATURE)
    player.feed(1, record("Begin0", levels=0x10))
    return player


def a_tree() -> PageRedo:
    """A root with two leaves; keys are below `m` on the left one."""
    root = a_page(4, nodes=((b"m", struct.pack("<I", 5)), (b"", struct.pack("<I", 6))), flags=ROOT)
    return a_redo(
        root, a_page(5, nodes=((b"a", b"1"), (b"b", b"22"))), a_page(6, nodes=((b"m", b"3333"), (b"z", b"9")))
    )


def test_an_open_insert_becomes_a_deleted_node() -> None:
    redo = a_tree()
    player = a_player(redo)
    player.feed(2, change("Insert", line=1, suffix=b"aa", data=b"x", root=4, level=1, rceid=7, flags=OPEN | 4))
    assert undo_open(player) == {"insert": 1}
    assert (page_of(redo).key(1), page_of(redo).node(1)[3] & DELETED) == (b"aa", DELETED)
    assert page_of(redo).dbtime == 102


def test_open_replaces_come_back_newest_first() -> None:
    redo = a_tree()
    player = a_player(redo)
    values = {"line": 0, "root": 4, "level": 1, "flags": OPEN | 4}
    player.feed(2, change("Replace", data=b"two", old_size=1, new_size=3, rceid=7, **values))
    player.feed(3, change("Replace", data=b"four", old_size=3, new_size=4, rceid=8, before=101, dbtime=102, **values))
    assert undo_open(player) == {"replace": 2}
    assert page_of(redo).node(0)[2] == b"1"


def test_an_open_delete_comes_back_wherever_its_node_lies_by_then() -> None:
    redo = a_tree()
    player = a_player(redo)
    player.feed(2, change("FlagDelete", page=6, line=0, root=4, level=1, rceid=7, flags=OPEN | 4))
    player.feed(3, change("Insert", page=6, suffix=b"la", data=b"x", root=4, before=101, dbtime=102))
    assert undo_open(player) == {"delete": 1}
    assert (page_of(redo, 6).key(1), page_of(redo, 6).node(1)[3] & DELETED) == (b"m", 0)


def test_an_open_delta_is_subtracted_from_what_is_there_by_then() -> None:
    redo = a_tree()
    player = a_player(redo)
    values = {"page": 6, "line": 0, "root": 4, "key": b"m"}
    player.feed(2, change("Delta", delta=5, level=1, rceid=7, flags=OPEN | 4, **values))
    player.feed(3, change("Delta", delta=100, before=101, dbtime=102, **values))
    assert undo_open(player) == {"delta": 1}
    assert page_of(redo, 6).node(0)[2] == struct.pack("<I", int.from_bytes(b"3333", "little") + 100)


def test_committed_levels_stay_with_the_level_above() -> None:
    redo = a_tree()
    player = a_player(redo)
    player.feed(2, record("Begin", levels=0x11))
    player.feed(3, change("FlagDelete", line=0, root=4, level=2, rceid=7, flags=OPEN | 4))
    player.feed(4, record("Commit", level=1))
    assert undo_open(player) == {"delete": 1}


def test_what_is_committed_stays() -> None:
    redo = a_tree()
    player = a_player(redo)
    player.feed(3, change("FlagDelete", line=0, root=4, level=1, rceid=7, flags=OPEN | 4))
    player.feed(4, record("Commit0", level=0))
    assert undo_open(player) == {}
    assert redo.versions == {}


def test_what_a_page_had_already_is_taken_back_by_what_the_log_kept() -> None:
    root = a_page(4, nodes=((b"", struct.pack("<I", 5)),), flags=ROOT)
    redo = a_redo(root, a_page(5, dbtime=101, nodes=((b"a", b"new"),)))
    player = a_player(redo)
    values = {"root": 4, "level": 1, "rceid": 7}
    player.feed(2, change("Replace", data=b"new", old_size=3, new_size=3, flags=OPEN | 4, **values))
    player.feed(3, record("UndoInfo", key=b"a", data=b"old", operation=2, page=5, **values))
    assert undo_open(player) == {"replace": 1}
    assert page_of(redo).node(0)[2] == b"old"


def test_what_nobody_kept_cannot_be_taken_back() -> None:
    redo = a_redo(a_page(5, dbtime=101, flags=ROOT | LEAF, nodes=((b"a", b"new"),)))
    player = a_player(redo)
    player.feed(2, change("Replace", data=b"new", root=5, level=1, rceid=7, flags=OPEN | 4))
    assert undo_open(player) == {}
    assert "an open replace cannot be taken back: its key is not known" in redo.clashes[0].text


@pytest.mark.parametrize(("root", "text"), [(9, "page 9 of its tree is not there"), (6, "is not on page 6")])
def test_a_node_that_is_not_in_its_tree_is_named(root: int, text: str) -> None:
    redo = a_tree()
    player = a_player(redo)
    player.feed(2, change("Insert", line=1, suffix=b"aa", root=root, level=1, rceid=7, flags=OPEN | 4))
    undo_open(player)
    assert text in redo.clashes[0].text


def test_a_tree_that_leads_in_a_circle_ends() -> None:
    redo = a_redo(a_page(4, nodes=((b"", struct.pack("<I", 4)),), flags=ROOT), a_page())
    player = a_player(redo)
    player.feed(2, change("Insert", suffix=b"aa", root=4, level=1, rceid=7, flags=OPEN | 4))
    undo_open(player)
    assert "deeper than 8 levels" in redo.clashes[0].text


CUTS = [random.Random(number).randrange(100, 2990) for number in range(240)]


def undo_at(cut: int) -> int:
    """Cut the logs of a database from nothing, play and undo; return how many operations were undone."""
    real = after(whole=True)
    with PlayedSet(None, real, Bounds()) as found:
        truth = Truth(found.store)
        for position, one in records_until(cut, real.records()):
            truth.see(one)
            found.player.feed(position, one)
        truth.roll_back()
        done = undo_open(found.player)
        assert found.redo.clashes == []
        assert sum(done.values()) == truth.undone
        assert visible_in(found.store, found.store.changed) == truth.visible()
    return truth.undone


@pytest.mark.samples
def test_undo_at_random_cuts_comes_to_what_was_committed() -> None:
    assert sum(undo_at(cut) for cut in CUTS[:8]) > 100


@pytest.mark.samples
@pytest.mark.torture
def test_undo_at_240_cuts() -> None:
    assert sum(undo_at(cut) for cut in CUTS) > 10_000
