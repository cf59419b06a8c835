"""The dbtime rule, and what each record does to a page."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from ese_files import header_for
from replay_logs import record

from tokar.ese.page import seal_page
from tokar.replay.nodepage import DELETED, LEAF, ROOT, SPACE, VERSION, NodePage
from tokar.replay.onepage import apply
from tokar.replay.pagestore import PageStore
from tokar.replay.redo import DELTA, INSERT, REPLACE, Bounds, Contradiction, OpenChange, PageRedo
from tokar.replay.trees import apply_macro
from tokar.storage.bytesource import BytesSource

SIZE = 4096
OPEN = 1  # the flag of an operation that can be taken back


def a_page(
    number: int = 5, dbtime: int = 100, nodes: tuple[tuple[bytes, bytes], ...] = (), flags: int = LEAF
) -> NodePage:
    page = NodePage.new(SIZE, number, 3, dbtime)
    page.consume(flags)
    for line, (key, data) in enumerate(nodes):
        page.insert_node(line, 0, key, data)
    return page


def a_store(*pages: NodePage, last: int = 10) -> PageStore:
    by_number = {page.number: page.build() for page in pages}
    body = b"".join(
        seal_page(by_number[number], number) if number in by_number else bytes(SIZE) for number in range(1, last + 1)
    )
    return PageStore(BytesSource(header_for().build() * 2 + body), SIZE)


def a_redo(*pages: NodePage, bounds: Bounds | None = None) -> PageRedo:
    return PageRedo(a_store(*pages), bounds or Bounds(ahead=1 << 62))


def page_of(redo: PageRedo, number: int = 5) -> NodePage:
    page = redo.store.get(number)
    assert page is not None
    return page


def change(name: str, **values: Any) -> Any:
    return record(name, **{"page": 5, "dbtime": 101, "before": 100, **values})


def test_a_page_at_before_gets_the_change() -> None:
    redo = a_redo(a_page())
    apply(redo, change("Insert", suffix=b"k", data=b"d", flags=OPEN), 1)
    assert (page_of(redo).key(0), page_of(redo).node(0)[2:], page_of(redo).dbtime) == (b"k", (b"d", VERSION), 101)
    assert redo.applied == {29: 1}


@pytest.mark.parametrize("dbtime", [101, 102, 5000])
def test_a_page_at_after_or_later_has_it(dbtime: int) -> None:
    redo = a_redo(a_page(dbtime=dbtime))
    apply(redo, change("Insert", suffix=b"k"), 1)
    assert (page_of(redo).lines, redo.present, redo.clashes) == (0, {29: 1}, [])


def test_a_page_ahead_of_the_logs_that_it_needs_cannot_be() -> None:
    redo = a_redo(a_page(dbtime=101), bounds=Bounds(ahead=6))
    apply(redo, change("Insert", suffix=b"k"), 7)
    assert [one.kind for one in redo.clashes] == [Contradiction.FUTURE]


def test_an_older_page_misses_a_change_and_is_in_doubt() -> None:
    redo = a_redo(a_page(dbtime=90))
    apply(redo, change("Insert", suffix=b"k"), 1)
    apply(redo, change("Insert", suffix=b"k", before=101, dbtime=102), 2)
    assert list(redo.doubts) == [5]
    assert (redo.doubts[5].position, redo.clashes) == (1, [])


def test_a_page_between_before_and_after_is_of_another_history() -> None:
    redo = a_redo(a_page(dbtime=105))
    apply(redo, change("Insert", suffix=b"k", before=100, dbtime=110), 1)
    assert [one.kind for one in redo.clashes] == [Contradiction.FOREIGN]
    assert redo.store.get(5) is None


@pytest.mark.parametrize("dbtime", [0xFFFFFFFFFFFFFFFD, 0xFFFFFFFFFFFFFFFB])
def test_a_page_that_was_shrunk_away_is_in_doubt(dbtime: int) -> None:
    redo = a_redo(a_page(dbtime=dbtime))
    apply(redo, change("Insert", suffix=b"k"), 1)
    assert list(redo.doubts) == [5]


def test_a_page_that_is_not_there_is_in_doubt_until_it_is_made() -> None:
    redo = a_redo()
    apply(redo, change("Insert", suffix=b"k"), 1)
    apply(redo, change("Insert", page=99, suffix=b"k"), 1)
    assert sorted(redo.doubts) == [5, 99]
    apply(redo, record("NewPage", page=5, object_id=3, dbtime=200), 2)
    assert sorted(redo.doubts) == [99]
    redo.settle(90, 20)
    assert redo.doubts == {}


def test_a_damaged_page_is_named() -> None:
    data = bytearray(header_for().build() * 2 + bytes(4 * SIZE) + a_page().build())
    redo = PageRedo(PageStore(BytesSource(data), SIZE), Bounds())
    apply(redo, change("Insert", suffix=b"k"), 1)
    assert "its checksum is wrong" in redo.clashes[0].text


def test_a_page_that_a_record_makes_replaces_whatever_is_there() -> None:
    data = bytearray(header_for().build() * 2 + bytes(4 * SIZE) + bytes(range(256)) * 16)
    redo = PageRedo(PageStore(BytesSource(data), SIZE), Bounds())
    apply(redo, record("NewPage", page=5, object_id=9, dbtime=200), 1)
    assert (page_of(redo).object_id, page_of(redo).dbtime) == (9, 200)


def test_a_page_that_has_come_to_be_already_is_not_made() -> None:
    redo = a_redo(a_page(dbtime=200, nodes=((b"k", b"d"),)))
    apply(redo, record("NewPage", page=5, object_id=9, dbtime=200), 1)
    assert (page_of(redo).lines, redo.present) == (1, {95: 1})


def test_an_insert_compares_the_prefix() -> None:
    page = a_page()
    page.set_prefix(b"abcd")
    redo = a_redo(page)
    apply(redo, change("Insert", prefix=b"abx", suffix=b"k"), 1)
    assert "another prefix" in redo.clashes[0].text


def test_a_replace_compares_the_length_of_what_was_there() -> None:
    redo = a_redo(a_page(nodes=((b"k", b"old"),)))
    apply(redo, change("Replace", data=b"newer", old_size=3, new_size=5), 1)
    assert page_of(redo).node(0)[2] == b"newer"
    apply(redo, change("Replace", data=b"x", before=101, dbtime=102, old_size=3, new_size=1), 2)
    assert "goes from 3 bytes to 1, and here 5 to 1" in redo.clashes[0].text


def test_a_diff_is_applied_and_compared() -> None:
    redo = a_redo(a_page(nodes=((b"k", b"0123"),)))
    apply(redo, change("ReplaceD", data=b"\x01\x20\x02XY", old_size=4, new_size=4), 1)
    assert page_of(redo).node(0)[2] == b"0XY3"


def test_forms_that_no_file_has_are_counted() -> None:
    redo = a_redo(a_page(nodes=((b"k", b"0123"),)))
    wide = change("ReplaceD", data=b"\x01\x00\x20\x02XY", old_size=4, new_size=4)
    wide.stored_size |= 0x8000
    apply(redo, wide, 1)
    assert (page_of(redo).node(0)[2], redo.unproven) == (b"0XY3", 1)


def test_flags_and_deletes() -> None:
    redo = a_redo(a_page(nodes=((b"k", b"d"), (b"l", b"e"))))
    apply(redo, change("FlagDelete", line=1, flags=OPEN), 1)
    assert page_of(redo).node(1)[3] == DELETED | VERSION
    apply(redo, change("FlagInsertAndReplaceData", line=1, key=b"l", data=b"new", before=101, dbtime=102), 2)
    assert page_of(redo).node(1)[2:] == (b"new", VERSION)
    apply(redo, change("Delete", line=0, before=102, dbtime=103), 3)
    assert page_of(redo).lines == 1


def test_a_flagged_node_must_have_the_key_of_the_record() -> None:
    redo = a_redo(a_page(nodes=((b"k", b"d"),)))
    apply(redo, change("FlagInsertAndReplaceData", key=b"other", data=b"new"), 1)
    assert "another key" in redo.clashes[0].text


def test_a_delta_adds_and_wraps() -> None:
    redo = a_redo(a_page(nodes=((b"k", struct.pack("<HI", 7, 0xFFFFFFFF)),)))
    apply(redo, change("Delta", offset=2, delta=2, key=b"k"), 1)
    assert page_of(redo).node(0)[2] == struct.pack("<HI", 7, 1)


def test_a_delta_beyond_its_node_is_refused() -> None:
    redo = a_redo(a_page(nodes=((b"k", b"123"),)))
    apply(redo, change("Delta", offset=2, delta=2, key=b"k"), 1)
    assert "has no number at 2" in redo.clashes[0].text


def undone(operation: int, data: bytes, version: OpenChange | None = None) -> NodePage:
    redo = a_redo(a_page(nodes=((b"k", data),)))
    if version is not None:
        redo.versions[77] = version
    apply(redo, change("Undo", operation=operation, rceid=77), 1)
    assert redo.clashes == []
    return page_of(redo)


def test_records_of_undo_take_operations_back() -> None:
    redo = a_redo()
    assert undone(INSERT, b"d").node(0)[3] == DELETED
    assert undone(3, b"d").node(0)[3] == 0
    replaced = OpenChange(redo, change("Replace"), REPLACE, 77, 1, before=b"older")
    assert undone(REPLACE, b"d", replaced).node(0)[2] == b"older"
    grown = OpenChange(redo, change("Delta", delta=5), DELTA, 77, 1)
    assert undone(DELTA, struct.pack("<I", 3), grown).node(0)[2] == struct.pack("<I", 0xFFFFFFFE)


def test_a_replace_whose_old_data_nobody_knows_cannot_be_taken_back() -> None:
    redo = a_redo(a_page(nodes=((b"k", b"d"),)))
    apply(redo, change("Undo", operation=REPLACE, rceid=77), 1)
    assert "is not known" in redo.clashes[0].text


def test_a_tree_of_one_extent_has_bits_for_its_free_pages() -> None:
    redo = a_redo()
    apply(redo, change("CreateSingleExtentFDP", object_id=9, pages=4, parent_root=1, flags=4), 1)
    assert page_of(redo).external_header == struct.pack("<IIII", 4, 1, 0, 0b111)
    assert page_of(redo).flags & (ROOT | LEAF) == ROOT | LEAF


def test_a_tree_of_several_extents_has_space_trees() -> None:
    redo = a_redo()
    apply(redo, change("CreateMultipleExtentFDP", object_id=9, pages=8, owned_root=6, free_root=7, parent_root=1), 1)
    assert page_of(redo).external_header == struct.pack("<IIII", 8, 1, 3, 6)
    assert [page_of(redo, number).node(0)[1:3] for number in (6, 7)] == [
        (struct.pack(">I", 12), struct.pack("<I", 8)),
        (struct.pack(">I", 12), struct.pack("<I", 5)),
    ]
    assert page_of(redo, 6).flags & SPACE


def test_a_tree_that_is_converted_keeps_what_was_free() -> None:
    page = a_page(flags=LEAF | ROOT)
    page.set_space_header(struct.pack("<IIII", 40, 1, 0, 0b1010))
    redo = a_redo(page)
    values = {"object_id": 3, "pages": 40, "second_first": 60, "second_pages": 16, "free_bits": 0b1010}
    apply(redo, change("ConvertFDP2", owned_root=60, free_root=61, parent_root=1, flags=4, **values), 1)
    free = page_of(redo, 61)
    found = [
        (int.from_bytes(free.key(at), "big"), int.from_bytes(free.node(at)[2], "little")) for at in range(free.lines)
    ]
    assert found == [(7, 1), (9, 1), (44, 7), (75, 14)]
    assert page_of(redo).external_header == struct.pack("<IIII", 40, 1, 1, 60)


def test_memory_is_bounded_and_nothing_is_lost_by_that() -> None:
    with PageStore(None, SIZE, room=1) as store:
        redo = PageRedo(store, Bounds())
        for number in range(1, 60):
            apply(redo, record("NewPage", page=number, object_id=number, dbtime=number), number)
        assert [page.object_id for page in store.pages()] == list(range(1, 60))
        assert len(store._held) == 16


def test_a_split_without_the_operation_that_it_names_is_refused() -> None:
    redo = a_redo(a_page(nodes=((b"a", b"1"), (b"b", b"2"))))
    split = change("Split2", new_page=6, kind=1, operation=1, operation_line=0, split_line=1, lines=3, new_flags=LEAF)
    apply_macro(redo, [(1, split)])
    assert "names an operation, and none follows" in redo.clashes[0].text


def test_a_split_counts_the_lines() -> None:
    redo = a_redo(a_page(nodes=((b"a", b"1"), (b"b", b"2"))))
    split = change("Split2", new_page=6, kind=1, operation=1, operation_line=0, split_line=1, lines=9, new_flags=LEAF)
    apply_macro(redo, [(1, split), (2, change("Insert", suffix=b"0"))])
    assert "counts 9 lines on page 5, which has 2" in redo.clashes[0].text


def test_a_split_moves_the_upper_nodes_and_links_the_pages() -> None:
    left = a_page(nodes=((b"a", b"1"), (b"c", b"3")))
    left.next = 8
    redo = a_redo(left, a_page(8))
    split = change(
        "Split2",
        new_page=6,
        right=8,
        right_before=100,
        kind=1,
        operation=1,
        operation_line=1,
        split_line=2,
        lines=3,
        new_flags=LEAF,
        prefix_line=-1,
        new_prefix_line=-1,
        key=b"bz",
    )
    apply_macro(redo, [(1, split), (2, change("Insert", suffix=b"b", data=b"2", flags=OPEN))])
    assert redo.clashes == []
    assert [page_of(redo).key(line) for line in range(2)] == [b"a", b"b"]
    assert page_of(redo).node(1)[3] == VERSION
    assert page_of(redo, 6).key(0) == b"c"
    links = [(page_of(redo, number).previous, page_of(redo, number).next) for number in (5, 6, 8)]
    assert links == [(0, 6), (5, 8), (6, 0)]


@pytest.mark.parametrize(
    ("brought", "separator", "text"),
    [(b"d", b"bz", "in the order of keys"), (b"b", b"d", "does not lie between"), (b"b", b"b", "does not lie between")],
)
def test_a_split_holds_to_the_order_of_keys(brought: bytes, separator: bytes, text: str) -> None:
    redo = a_redo(a_page(nodes=((b"a", b"1"), (b"c", b"3"))))
    split = change(
        "Split2",
        new_page=6,
        kind=1,
        operation=1,
        operation_line=1,
        split_line=2,
        lines=3,
        new_flags=LEAF,
        prefix_line=-1,
        new_prefix_line=-1,
        key=separator,
    )
    apply_macro(redo, [(1, split), (2, change("Insert", suffix=brought, flags=4))])
    assert text in redo.clashes[0].text


@pytest.mark.parametrize(("line", "key"), [(0, b"b"), (1, b"a"), (2, b"c"), (1, b"c")])
def test_an_insert_holds_to_the_order_of_keys(line: int, key: bytes) -> None:
    redo = a_redo(a_page(nodes=((b"a", b"1"), (b"c", b"3"))))
    apply(redo, change("Insert", line=line, suffix=key, flags=4), 1)
    assert "would not be in the order of keys" in redo.clashes[0].text


def test_a_new_page_whose_nodes_are_gone_is_in_doubt() -> None:
    redo = a_redo(a_page(dbtime=101, nodes=((b"a", b"1"),)))
    split = change("Split", new_page=6, kind=1, operation=0, split_line=1, lines=2, new_flags=LEAF)
    apply_macro(redo, [(1, split)])
    assert list(redo.doubts) == [6]


def test_a_merge_checks_the_pointer_above() -> None:
    parent = a_page(4, nodes=((b"m", struct.pack("<I", 9)), (b"", struct.pack("<I", 6))), flags=ROOT)
    redo = a_redo(parent, a_page(), a_page(6))
    above = change("Merge2", page=4, merge_flags=2, kind=2)
    leaf = change("Merge2", right=6, right_before=100, merge_flags=4, kind=2)
    apply_macro(redo, [(1, above), (2, leaf)])
    assert "does not lead to page 5" in redo.clashes[0].text


def test_a_merge_to_the_right_moves_what_is_not_deleted() -> None:
    parent = a_page(4, nodes=((b"m", struct.pack("<I", 5)), (b"", struct.pack("<I", 6))), flags=ROOT)
    left = a_page(nodes=((b"a", b"1"), (b"b", b"2")))
    left.mark(0, add=DELETED)
    left.next = 6
    redo = a_redo(parent, left, a_page(6, nodes=((b"x", b"9"),)))
    above = change("Merge2", page=4, merge_flags=2, kind=2)
    leaf = change("Merge2", right=6, right_before=100, merge_flags=4, kind=2)
    apply_macro(redo, [(1, above), (2, leaf)])
    assert redo.clashes == []
    assert [page_of(redo, 6).key(line) for line in range(2)] == [b"b", b"x"]
    assert (page_of(redo).lines, page_of(redo, 4).lines, page_of(redo, 6).previous) == (0, 1, 0)


def test_both_neighbours_of_a_partial_merge_get_its_dbtime() -> None:
    left = a_page(nodes=((b"a", b"1"), (b"b", b"2")))
    redo = a_redo(a_page(4), left, a_page(6))
    leaf = change("Merge2", left=4, left_before=100, right=6, right_before=100, merge_line=1, kind=3)
    apply_macro(redo, [(1, leaf)])
    assert [page_of(redo, number).dbtime for number in (4, 5, 6)] == [101, 101, 101]
    assert (page_of(redo).lines, page_of(redo, 6).key(0)) == (1, b"b")
