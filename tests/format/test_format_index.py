from __future__ import annotations

from typing import Any

import pytest
from format_tools import begun, from_the_front, from_the_tail, opened, written
from hypothesis import given, settings
from hypothesis import strategies as st

from tokar.errors import FormatError
from tokar.format import index, records
from tokar.format.bodies import FileList
from tokar.format.index import Entry, IndexPage

ROWS = st.lists(
    st.tuples(
        st.binary(min_size=1, max_size=20),
        st.integers(0, 255),
        st.sampled_from(FileList),
        st.integers(0, 0xFFFF),
        st.integers(0, (1 << 64) - 1),
        st.integers(0, (1 << 62)),
    ),
    min_size=1,
    max_size=10,
)


def page_of(rows: list[tuple[Any, ...]], first: int = 0) -> IndexPage:
    page = IndexPage(first)
    for number, (name, token, listed, encoding, size, position) in enumerate(rows, first):
        digest, check = number.to_bytes(32, "big"), number.to_bytes(32, "little")
        page.append(Entry(number, token, listed, encoding, name, size, digest, position, position + 1, check))
    return page


def append_name(page: IndexPage, name: bytes) -> None:
    page.append(Entry(len(page), 0, FileList.BY_HAND, 0, name, 0, bytes(32), 0, 0, bytes(32)))


def was_full(page: IndexPage) -> bool:
    return page.is_full  # behind a function, because a type checker takes the first answer for the last


def named(count: int, size: int = 1) -> IndexPage:
    return page_of([(b"n" * size, 0, FileList.BY_HAND, 0, 0, 0)] * count)


@settings(deadline=None, max_examples=60)
@given(ROWS, st.integers(0, 1000))
def test_a_page_comes_back(rows: list[tuple[Any, ...]], first: int) -> None:
    page = page_of(rows, first)
    parsed = IndexPage.parse(page.build(), first=first, position=0)
    assert parsed.build() == page.build()
    assert len(page.build()) == 8 + 96 * len(rows) + sum(len(row[0]) for row in rows)


@settings(deadline=None, max_examples=60)
@given(ROWS, st.integers(0, 1000))
def test_entries_come_one_by_one_as_they_come_all_together(rows: list[tuple[Any, ...]], first: int) -> None:
    page = IndexPage.parse(page_of(rows, first).build(), first=first, position=0)
    assert list(page) == [page.entry(first + at) for at in range(len(page))]
    assert [(entry.raw_name, entry.token, entry.file_list, entry.encoding, entry.size) for entry in page] == [
        row[:5] for row in rows
    ]


@settings(deadline=None, max_examples=40)
@given(ROWS)
def test_keys_are_unique_where_token_and_name_are(rows: list[tuple[Any, ...]]) -> None:
    keys = list(page_of(rows).keys())
    assert len(set(keys)) == len({row[:2] for row in rows})


def test_a_page_is_full_at_its_65536th_entry() -> None:
    page = named(records.MAX_PAGE_ENTRIES - 1)
    assert not was_full(page)
    append_name(page, b"x")
    assert page.is_full
    assert not page.is_overfull


def test_a_page_is_full_before_its_names_could_make_it_too_long() -> None:
    entry = records.PAGE_ENTRY_SIZE + records.MAX_NAME_SIZE
    count = records.PAGE_FULL_SIZE // entry
    assert not named(count, records.MAX_NAME_SIZE).is_full
    page = named(count + 1, records.MAX_NAME_SIZE)
    assert page.is_full
    assert not page.is_overfull
    assert len(page.build()) <= records.MAX_PAGE_SIZE
    assert named(count + 2, records.MAX_NAME_SIZE).is_overfull


def test_the_border_of_a_full_page_is_exact() -> None:
    page = named(254, 65_534)
    rest = records.PAGE_FULL_SIZE - len(page.build()) - 96
    append_name(page, b"n" * rest)
    assert len(page.build()) == records.PAGE_FULL_SIZE
    assert not was_full(page)
    page.names += b"n"
    page.name_ends[-1] += 1
    assert page.is_full


def test_an_empty_page_is_neither_full_nor_overfull() -> None:
    assert not IndexPage(0).is_full
    assert not IndexPage(0).is_overfull


def test_a_page_of_another_first_entry_is_refused() -> None:
    with pytest.raises(FormatError) as caught:
        IndexPage.parse(named(2).build(), first=1, position=99)
    assert (caught.value.rule, caught.value.offset) == ("INDX-3", 99)


@pytest.mark.parametrize("count", [0, 1, 3, 65_537, (1 << 32) - 1])
def test_a_page_with_another_count_is_refused(count: int) -> None:
    body = bytearray(named(2).build())
    body[4:8] = count.to_bytes(4, "little")
    with pytest.raises(FormatError) as caught:
        IndexPage.parse(bytes(body), first=0, position=99)
    assert caught.value.rule == "INDX-1"


@pytest.mark.parametrize("ends", [(0, 2), (1, 1), (2, 1), (1, 3), (1, (1 << 32) - 1)])
def test_ends_of_names_that_do_not_rise_to_the_last_byte_are_refused(ends: tuple[int, int]) -> None:
    body = bytearray(named(2).build())
    start = 8 + 88 * 2
    body[start : start + 8] = b"".join(end.to_bytes(4, "little") for end in ends)
    with pytest.raises(FormatError) as caught:
        IndexPage.parse(bytes(body), first=0, position=99)
    assert caught.value.rule == "INDX-1"


@settings(deadline=None, max_examples=150)
@given(st.binary(min_size=105, max_size=400))
def test_any_body_is_refused_or_comes_back(body: bytes) -> None:
    for count in (body[:8], bytes(4) + b"\1\0\0\0"):
        try:
            page = IndexPage.parse(count + body[8:], first=0, position=0)
        except FormatError:
            continue
        assert page.build() == count + body[8:]


# --- pages in the middle of archives ----------------------------------------------------------------------------------


def kinds_outside(data: bytes) -> str:
    """The rows of ROOT as initials, with the number of entries before each."""
    archive = opened(data)
    starts = [entry.file_position for entry in archive]
    return " ".join(f"{row.kind[:1].decode()}{sum(start < row.position for start in starts)}" for row in archive.rows)


@pytest.mark.parametrize(
    ("entries", "rows"),
    [
        (2, "H0 S2 I2"),
        (3, "H0 I3 S3"),
        (4, "H0 I3 S4 I4"),
        (6, "H0 I3 I6 S6"),
        (7, "H0 I3 I6 S7 I7"),
    ],
)
def test_pages_stand_where_they_are_due(entries: int, rows: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "MAX_PAGE_ENTRIES", 3)
    data = written(*[(0x21, b"%d" % number, b"x" * number) for number in range(entries)])
    assert kinds_outside(data) == rows
    front, tail = from_the_front(data), from_the_tail(data)
    assert front.answer == tail.answer == "sealed"
    assert front.entries == tail.entries


@pytest.mark.parametrize("limit", [2, 4])
def test_pages_that_stand_where_they_were_due_by_another_limit_are_refused(
    limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "MAX_PAGE_ENTRIES", limit)
    data = written(*[(0x21, b"%d" % number, b"") for number in range(9)])
    monkeypatch.setattr(index, "MAX_PAGE_ENTRIES", 3)
    front, tail = from_the_front(data), from_the_tail(data)
    assert (front.answer, front.rule) == ("damaged", "SEQ-3")
    assert tail.answer == "damaged"


def test_entries_of_all_pages_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "MAX_PAGE_ENTRIES", 3)
    archive = opened(written(*[(0x21, b"%d" % number, b"x" * number) for number in range(11)]))
    assert [archive.entry(number).size for number in range(11)] == list(range(11))
    assert [archive.find(str(number)).number for number in range(11)] == list(range(11))
    assert archive.read(archive.entry(10)) == b"x" * 10


def test_a_duplicate_in_another_page_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "MAX_PAGE_ENTRIES", 2)
    data = bytes(
        begun().entry(name=b"1").entry(name=b"2").page().entry(name=b"3").entry(name=b"1").page().finish().data
    )
    front, tail = from_the_front(data), from_the_tail(data)
    assert (front.answer, front.rule) == ("damaged", "SEQ-4")
    assert (tail.answer, tail.rule) == ("damaged", "SEQ-4")


def test_real_pages_come_from_the_longest_names() -> None:
    files = [(0x21, number.to_bytes(2, "big") + bytes(records.MAX_NAME_SIZE - 2), b"") for number in range(256)]
    data = written(*files)
    assert kinds_outside(data) == "H0 I255 S256 I256"
    assert from_the_front(data).answer == from_the_tail(data).answer == "sealed"


def test_real_pages_come_after_65536_entries() -> None:
    data = written(*[(0x21, b"%d" % number, b"") for number in range(65_537)])
    archive = opened(data)
    assert [(row.kind, row.length > 1000) for row in archive.rows] == [
        (b"HEAD", False),
        (b"INDX", True),
        (b"SUMM", False),
        (b"INDX", False),
    ]
    assert archive.entry(65_536).raw_name == b"65536"
    assert from_the_tail(data, content=False).answer == "sealed"
