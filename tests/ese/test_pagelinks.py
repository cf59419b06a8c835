from __future__ import annotations

import struct
from typing import Any

import pytest
from ese_files import check_pages, header_for
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

from tokar.ese.content_facts import PageReport
from tokar.ese.database import PAGE_SIZES, DatabaseHeader, Event
from tokar.ese.page import LARGE_PAGE_SIZE, NEW_FORMAT, PageHeader, named_pages, seal_page
from tokar.ese.pagelinks import MOST_UNLINKED, PageLinks, inner_names
from tokar.storage.bytesource import BytesSource

ROOT, LEAF, EMPTY = 1, 2, 8


def page(  # noqa: PLR0917 - a line of a table
    number: int, previous: int, following: int, owner: int = 7, flags: int = LEAF, nodes: tuple[bytes, ...] = (),
    size: int = 4096,
) -> bytes:  # fmt: skip
    large = size >= LARGE_PAGE_SIZE
    body, tags = b"", b""
    for node in (b"", *nodes):
        tags = struct.pack("<HH", len(node), len(body)) + tags
        body += node
    head = PageHeader(
        dbtime=9, previous_page=previous, next_page=following, object_id=owner, tag_count=len(nodes) + 1,
        flags=flags | NEW_FORMAT,
    ).pack()  # fmt: skip
    return seal_page((head + bytes(40 * large) + body).ljust(size - len(tags), b"\0") + tags, number)


def row_of(owner: int, root: int, kind: int = 1) -> bytes:
    """A row of the catalog, as far as it is read: a node with a key of one byte."""
    return b"\1\0k" + struct.pack("<4xIHII", 5, kind, owner, root)


def child(number: int) -> bytes:
    return b"\1\0k" + number.to_bytes(4, "little")


def report_of(*pages: bytes, header: DatabaseHeader | None = None, size: int = 4096) -> PageReport:
    header = header or header_for(size)
    return check_pages(BytesSource(header.build() * 2 + b"".join(pages)), header)


def chain(*order: int, owner: int = 7, size: int = 4096) -> list[bytes]:
    """Pages 1 to N in one chain."""
    found = {}
    for before, number, after in zip((0, *order), order, (*order[1:], 0), strict=False):
        found[number] = page(number, before, after, owner, size=size)
    return [found[number] for number in sorted(found)]


@pytest.mark.parametrize("size", PAGE_SIZES)
def test_pages_that_lead_to_each_other_and_back_are_in_order(size: int) -> None:
    assert report_of(*chain(3, 1, 4, 2, size=size), size=size).unlinked == ()


@pytest.mark.parametrize("size", PAGE_SIZES)
def test_a_page_that_names_another_one_before_it_does_not_fit(size: int) -> None:
    pages = chain(1, 2, 3, size=size)
    pages[1] = page(2, 3, 3, size=size)
    assert report_of(*pages, size=size).unlinked == ((1, 2), (2, 3))


def test_a_page_that_names_no_page_before_it_does_not_fit() -> None:
    pages = chain(1, 2, 3)
    pages[1] = page(2, 0, 3)
    assert report_of(*pages).unlinked == ((1, 2),)


def test_a_page_that_is_out_of_its_tree_does_not_fit() -> None:
    pages = chain(1, 2, 3)
    pages[1] = page(2, 1, 3, flags=LEAF | EMPTY)
    assert report_of(*pages).unlinked == ((1, 2), (3, 2))


@pytest.mark.parametrize("flags", [0, LEAF | 4, LEAF | 0x20])
def test_a_page_of_another_level_than_its_neighbours_does_not_fit(flags: int) -> None:
    pages = chain(1, 2, 3)
    pages[1] = page(2, 1, 3, flags=flags)
    assert report_of(*pages).unlinked == ((1, 2), (2, 1), (2, 3), (3, 2))


def test_what_is_out_of_its_tree_may_name_anything() -> None:
    assert report_of(*chain(1, 2), page(3, 1, 2, flags=LEAF | EMPTY)).unlinked == ()


def test_what_is_left_of_a_dropped_table_may_lead_to_pages_of_another_one() -> None:
    assert report_of(page(1, 0, 2), page(2, 0, 0, owner=8)).unlinked == ()


@pytest.mark.parametrize("kind", [1, 3, 4])
def test_a_page_of_a_table_that_is_there_leads_to_its_own_pages_alone(kind: int) -> None:
    catalog = page(3, 0, 0, 2, ROOT | LEAF, (row_of(7, 1, kind),))
    assert report_of(page(1, 0, 2), page(2, 0, 0, owner=8), catalog).unlinked == ((1, 2),)


def test_a_root_is_of_the_object_that_the_catalog_says() -> None:
    catalog = page(3, 0, 0, 2, ROOT | LEAF, (row_of(7, 1), row_of(8, 2)))
    assert report_of(page(1, 0, 0), page(2, 0, 0, owner=9), catalog).unlinked == ((3, 2),)
    assert report_of(page(1, 0, 0), page(2, 0, 0, owner=8), catalog).unlinked == ()


def test_a_child_is_of_the_object_of_its_parent() -> None:
    catalog = page(4, 0, 0, 2, ROOT | LEAF, (row_of(7, 1),))
    inner = page(1, 0, 0, 7, ROOT, (child(2), child(3)))
    assert report_of(inner, page(2, 0, 3), page(3, 2, 0), catalog).unlinked == ()
    assert report_of(inner, page(2, 0, 0), page(3, 0, 0, owner=8), catalog).unlinked == ((1, 3),)
    assert report_of(inner, page(2, 0, 0), page(3, 0, 0, flags=LEAF | EMPTY), catalog).unlinked == ((1, 3),)


def test_a_page_that_is_blank_or_damaged_says_nothing_of_others() -> None:
    pages = chain(1, 2, 3)
    assert report_of(pages[0], bytes(4096), pages[2]).unlinked == ()
    assert report_of(pages[0], b"\1" * 4096, pages[2]).unlinked == ()


@pytest.mark.parametrize("fields", [{"repair_count": 1}, {"shrunk": Event(count=1)}, {"trim_count": 1}])
def test_what_a_repair_or_a_shrinking_left_may_lead_anywhere(fields: dict[str, Any]) -> None:
    pages = [page(1, 0, 2), page(2, 0, 0)]
    assert report_of(*pages).unlinked == ((1, 2),)
    assert report_of(*pages, header=header_for(**fields)).unlinked == ()


def test_pairs_are_listed_up_to_a_limit() -> None:
    pages = [page(number, 0, number + 1) for number in range(1, 200)]
    assert len(report_of(*pages).unlinked) == MOST_UNLINKED


def test_pages_beyond_those_that_are_kept_are_not_held_against_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokar.ese.pagelinks.MOST_LINKED", 2)
    assert PageLinks(9).unlinked() == ()
    pages = chain(1, 2, 3, 4)
    assert report_of(*pages[:3], page(4, 1, 0)).unlinked == ()


@examples(30)
@given(st.permutations(range(1, 12)), st.integers(0, 10), st.integers(1, 11))
def test_a_page_moved_in_its_chain_is_found(order: list[int], at: int, named: int) -> None:
    pages = chain(*order)
    number = order[at]
    before, after = ([0, *order, 0][at], [0, *order, 0][at + 2])
    pages[number - 1] = page(number, named, after)
    assert bool(report_of(*pages).unlinked) == (named != before)


@examples(200)
@given(
    size=st.sampled_from(PAGE_SIZES),
    root=st.booleans(),
    nodes=st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 7), st.binary(max_size=12), st.booleans()),
        min_size=32,
        max_size=40,
    ),
    own=st.binary(max_size=26) | st.integers(0, 99).map(lambda space: struct.pack("<QII", 0, 1, space)),
    noise=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    tags=st.integers(-3, 5),
)
def test_many_children_at_once_are_what_the_plain_rule_reads(  # noqa: PLR0917 - what a page is made of
    size: int,
    root: bool,
    nodes: list[tuple[int, int, int, bytes, bool]],
    own: bytes,
    noise: list[tuple[int, int]],
    tags: int,
) -> None:
    large, body, table = size >= LARGE_PAGE_SIZE, own, struct.pack("<HH", len(own), 0)
    for key, prefix, flags, rest, whole in nodes:
        node = (prefix.to_bytes(2, "little") if flags & 4 else b"") + key.to_bytes(2, "little") + bytes(key)
        node += rest[:4].ljust(4, b"\1") if whole else rest
        node = (
            (int.from_bytes(node[:2], "little") | flags << 13 * large).to_bytes(2, "little") + node[2:]
            if large
            else node
        )
        table = struct.pack("<HH", len(node), len(body) | (0 if large else flags << 13)) + table
        body += node
    kind = NEW_FORMAT | ROOT * root
    head = PageHeader(dbtime=9, object_id=7, tag_count=max(len(nodes) + 1 + tags, 0), flags=kind).pack()
    data = bytearray((head + bytes(40 * large) + body).ljust(size, b"\0")[: size - len(table)] + table)
    for at, value in noise:
        data[-1 - at] = value
    found = inner_names(bytes(data))
    if found is not None:
        assert sorted(found.tolist()) == sorted(number for number, _ in named_pages(bytes(data)))


def test_only_inner_pages_with_many_nodes_are_looked_at_all_at_once() -> None:
    nodes = tuple(child(number) for number in range(40))
    assert inner_names(page(4, 0, 0, flags=0, nodes=nodes)) is not None
    assert inner_names(page(4, 0, 0, flags=LEAF, nodes=nodes)) is None
    assert inner_names(page(4, 0, 0, flags=0, nodes=nodes[:3])) is None
