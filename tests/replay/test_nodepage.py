"""A page in memory: where nodes come to lie, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokar.replay.nodepage import (
    COMPRESSED,
    DELETED,
    EMPTY,
    LEAF,
    ROOT,
    SPACE,
    VERSION,
    NodePage,
    PageError,
    shared_with,
)

SIZES = [2048, 4096, 8192, 16384, 32768]


def a_page(size: int = 4096, flags: int = LEAF, prefix: bytes = b"") -> NodePage:
    page = NodePage.new(size, 7, 3, 100)
    page.consume(flags)
    if prefix:
        page.set_prefix(prefix)
    return page


def nodes(page: NodePage) -> list[tuple[bytes, bytes, int]]:
    return [(page.key(line), page.node(line)[2], page.node(line)[3]) for line in range(page.lines)]


def again(page: NodePage) -> NodePage:
    return NodePage(page.build(), page.number)


@pytest.mark.parametrize("size", SIZES)
def test_a_new_page_has_nothing_but_free_space(size: int) -> None:
    page = NodePage.new(size, 7, 3, 100)
    assert page.free == size - (40 if size < 16384 else 80)
    assert (page.tags, page.lines) == (0, 0)


@pytest.mark.parametrize("size", SIZES)
def test_nodes_come_back_after_a_page_was_written(size: int) -> None:
    page = a_page(size, prefix=b"prefix")
    page.insert_key(0, 4, b"prefab", b"data", VERSION)
    page.insert_key(1, 0, b"zz", b"", DELETED)
    assert nodes(again(page)) == [(b"prefab", b"data", VERSION | COMPRESSED), (b"zz", b"", DELETED)]
    assert again(page).content() == page.content()


def test_a_node_is_put_at_the_first_free_byte() -> None:
    page = a_page()
    page.insert_node(0, 0, b"b", b"1234")
    page.insert_node(0, 0, b"a", b"5678")
    assert [page.tag(at)[:2] for at in (1, 2)] == [(7, 7), (7, 0)]
    assert page.first_free == 14


def test_what_shrinks_stays_and_what_grows_goes_to_the_end() -> None:
    page = a_page()
    for line, key in enumerate((b"a", b"b")):
        page.insert_node(line, 0, key, b"1234")
    page.replace_data(0, b"12")
    assert page.tag(1)[:2] == (5, 0)
    page.replace_data(0, b"123456")
    assert page.tag(1)[:2] == (9, 14)


def test_the_last_node_grows_in_its_place() -> None:
    page = a_page()
    page.insert_node(0, 0, b"a", b"1234")
    page.replace_data(0, b"123456789")
    assert page.tag(1)[:2] == (12, 0)
    assert page.first_free == 12


def test_room_in_gaps_is_won_by_moving_everything_down() -> None:
    page = a_page(2048)
    for line in range(18):
        page.insert_node(line, 0, bytes([line]), bytes(97))
    page.delete_node(0)
    page.delete_node(3)
    page.insert_node(0, 0, b"\0", bytes(150))
    assert page.tag(1)[1] == 1600
    assert page.tag(2)[1] == 0


def test_a_page_that_is_emptied_begins_anew() -> None:
    page = a_page()
    page.insert_node(0, 0, b"a", b"1234")
    page.delete_node(0)
    assert (page.first_free, page.free) == (0, 4096 - 44)


def test_a_page_that_leaves_its_tree_has_no_nodes_and_no_prefix() -> None:
    page = a_page(prefix=b"prefix")
    page.insert_key(0, 6, b"prefixed", b"x")
    page.clear()
    assert (page.lines, page.prefix, page.flags & EMPTY) == (0, b"", EMPTY)


def test_a_root_keeps_its_space_header_where_others_have_a_prefix() -> None:
    page = a_page(flags=LEAF | ROOT)
    page.set_space_header(b"s" * 16)
    assert (page.prefix, page.external_header) == (b"", b"s" * 16)
    with pytest.raises(PageError, match="is a root"):
        page.set_prefix(b"abc")


def test_what_else_is_in_an_external_header_stays() -> None:
    page = a_page(flags=LEAF | ROOT)
    page.replace_tag(0, b"\x03" + b"s" * 16 + b"autoincr", 0)
    page.set_space_header(b"t" * 16)
    assert page.external_header == b"\x03" + b"t" * 16 + b"autoincr"


def test_a_space_root_may_have_a_prefix_behind_its_header() -> None:
    page = a_page(flags=LEAF | ROOT | SPACE)
    page.replace_tag(0, bytes(16) + b"pre", 0)
    assert page.prefix == b"pre"


def test_an_external_header_of_another_kind_is_refused() -> None:
    page = a_page(flags=LEAF | ROOT)
    page.replace_tag(0, b"\x02" + bytes(20), 0)
    with pytest.raises(PageError, match="no space header"):
        page.set_space_header(bytes(16))


@pytest.mark.parametrize(("prefix", "key", "shared"), [(b"abcd", b"abcx", 3), (b"abcd", b"abx", 0), (b"", b"abc", 0)])
def test_two_bytes_are_not_worth_sharing(prefix: bytes, key: bytes, shared: int) -> None:
    assert shared_with(prefix, key) == shared


def test_more_than_there_is_room_for_is_refused() -> None:
    page = a_page(2048)
    with pytest.raises(PageError, match="2010 bytes are to go into page 7, and 2004 are free"):
        page.insert_node(0, 0, b"a", bytes(2003))
    page.insert_node(0, 0, b"a", bytes(1000))
    with pytest.raises(PageError, match="1000 more bytes"):
        page.replace_data(0, bytes(2000))


@pytest.mark.parametrize("line", [-1, 1, 5])
def test_a_line_that_is_not_there_is_refused(line: int) -> None:
    page = a_page()
    page.insert_node(0, 0, b"a", b"b")
    for act in (page.node, page.key, page.delete_node, page.mark):
        with pytest.raises(PageError):
            act(line)


def test_a_node_that_ends_before_its_key_is_refused() -> None:
    page = a_page()
    page.insert_tag(1, b"\x09\x00ab", 0)
    with pytest.raises(PageError, match="longer than the node"):
        page.node(0)


def test_a_node_that_shares_more_than_there_is_is_refused() -> None:
    page = a_page(prefix=b"abc")
    page.insert_node(0, 9, b"z", b"")
    with pytest.raises(PageError, match="shares more"):
        page.key(0)


def test_tags_that_lead_beyond_the_page_are_refused() -> None:
    page = a_page()
    page.insert_node(0, 0, b"a", b"b")
    page.data[-6:-4] = (4000).to_bytes(2, "little")
    with pytest.raises(PageError, match="do not fit"):
        again(page)


def test_free_space_that_is_not_what_tags_leave_is_refused() -> None:
    page = a_page()
    page.free -= 1
    with pytest.raises(PageError, match="do not fit"):
        again(page)


def test_reserved_tags_are_refused() -> None:
    page = a_page()
    page.tags |= 0x1000
    with pytest.raises(PageError, match="reserved tags"):
        again(page)


@given(st.binary(min_size=2048, max_size=2048))
def test_any_bytes_are_a_page_or_an_error(data: bytes) -> None:
    try:
        page = NodePage(data, 7)
    except PageError:
        return
    page.content()


STEPS = st.tuples(st.sampled_from("idrsm"), st.integers(0, 30), st.binary(max_size=200))


@given(st.sampled_from(SIZES), st.lists(STEPS, max_size=60))
def test_a_page_is_its_list_of_nodes_whatever_was_done_to_it(size: int, steps: list[tuple[str, int, bytes]]) -> None:
    page = a_page(size)
    model: list[tuple[bytes, bytes, int]] = []
    for what, place, data in steps:
        at = place % (len(model) + 1)
        try:
            if what == "i":
                page.insert_node(at, 0, data[:10], data[10:])
                model.insert(at, (data[:10], data[10:], 0))
            elif at < len(model):
                key, _, flags = model[at]
                if what == "d":
                    page.delete_node(at)
                    del model[at]
                elif what == "m":
                    page.mark(at, add=DELETED, drop=VERSION)
                    model[at] = (key, model[at][1], (flags | DELETED) & ~VERSION)
                else:
                    page.replace_data(at, data, VERSION)
                    model[at] = (key, data, VERSION)
        except PageError:
            assert page.free < 250
    assert nodes(page) == model
    assert nodes(again(page)) == model
