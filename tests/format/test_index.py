"""Entries, the pages of the index, and the ledger that derives them."""

from __future__ import annotations

from typing import Any

import pytest
from format_tools import begun, from_the_front, from_the_tail, opened, written
from hypothesis import given
from hypothesis import strategies as st
from restore_helpers import entries
from sweeps import examples

from tokar import names
from tokar.errors import FormatError, NoSuchEntryError
from tokar.format import index, records
from tokar.format.bodies import FileList, FileRecord, Preamble, Root
from tokar.format.index import Entry, IndexPage, find_entries
from tokar.format.ledger import Ledger
from tokar.format.records import RecordHead


def entry(raw_name: bytes, encoding: int) -> Entry:
    return Entry(0, 0x21, FileList.BY_HAND, encoding, raw_name, 0, bytes(32), 0, 0, bytes(32))


@pytest.mark.parametrize(
    ("raw_name", "encoding", "name"),
    [(b"E.LOG", 65001, "E.LOG"), ("Ü.edb".encode("utf-16-le"), 1200, "Ü.edb"), (b"\x95\x5c.log", 932, "表.log")],
)
def test_a_name_is_shown_as_text(raw_name: bytes, encoding: int, name: str) -> None:
    assert entry(raw_name, encoding).name == name


@pytest.mark.parametrize(
    ("raw_name", "encoding"), [(b"\xff.LOG", 65001), (b"\x00\xd8", 1200), (b"E\r\n.LOG", 65001), (b"\x1b[2J", 0)]
)
def test_a_name_that_is_no_clean_text_is_shown_without_harm(raw_name: bytes, encoding: int) -> None:
    shown = entry(raw_name, encoding).name
    assert shown.isprintable()
    shown.encode("utf-8")


def test_the_lists_have_the_numbers_of_the_specification() -> None:
    assert [int(listed) for listed in FileList] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="4"):
        FileList(4)


NAMED = entries((0x44, r"\\CA1\C$\CA.edb"), (0x21, r"a\x.log"), (0x21, r"b\x.log"), (0x25, r"b\x.log"), (0x0F, "#1"))


@pytest.mark.parametrize(
    ("text", "number"),
    [(r"\\CA1\C$\CA.edb", 0), ("CA.edb", 0), ("ca.EDB", 0), ("#0", 0), (r"a\x.log", 1), ("#2", 2), ("#1", 4)],
)
def test_an_entry_is_named_by_its_name_else_by_its_leaf_else_by_its_number(text: str, number: int) -> None:
    assert [one.number for one in find_entries(NAMED, [text])] == [number]


def test_entries_come_in_the_order_in_which_they_are_named() -> None:
    assert [one.number for one in find_entries(NAMED, ["#3", "CA.edb", "#3"])] == [3, 0, 3]
    assert find_entries(NAMED, []) == []


@pytest.mark.parametrize("text", ["none.log", "#5", "#", "#-1", "#\u0661", "#99999999999", ""])
def test_a_text_that_names_no_entry_is_refused(text: str) -> None:
    with pytest.raises(NoSuchEntryError, match="no entry has the name"):
        find_entries(NAMED, [text])


def test_a_text_that_names_several_entries_is_refused_with_the_list_of_them() -> None:
    with pytest.raises(NoSuchEntryError) as caught:
        find_entries(NAMED, ["X.log"], path="a.tokar")
    assert str(caught.value) == r"3 entries have the name X.log: #1 a\x.log, #2 b\x.log, #3 b\x.log (a.tokar)"
    assert "#NUMBER" in str(caught.value.hint)


def test_a_token_tells_entries_of_one_name_apart_and_is_demanded_of_a_number_too() -> None:
    assert [one.number for one in find_entries(NAMED, [r"b\x.log"], token=0x25)] == [3]
    with pytest.raises(NoSuchEntryError, match="no entry has the name #2"):
        find_entries(NAMED, ["#2"], token=0x25)


def test_a_number_names_nothing_where_the_entries_were_numbered_anew() -> None:
    with pytest.raises(NoSuchEntryError, match="no entry has the name #0"):
        find_entries(NAMED, ["#0"], numbered=False)
    assert [one.number for one in find_entries(NAMED, ["#1"], numbered=False)] == [4]


def test_a_leaf_is_none_where_the_name_has_none_that_is_safe() -> None:
    assert [one.leaf for one in entries((0x21, r"a\x.log"), (0x21, "a/.."), (0x21, "con"))] == ["x.log", None, None]


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


def named(count: int, size: int = 1) -> IndexPage:
    return page_of([(b"n" * size, 0, FileList.BY_HAND, 0, 0, 0)] * count)


@examples(60)
@given(ROWS, st.integers(0, 1000))
def test_a_page_comes_back(rows: list[tuple[Any, ...]], first: int) -> None:
    page = page_of(rows, first)
    parsed = IndexPage.parse(page.build(), first=first, position=0)
    assert parsed.build() == page.build()
    assert len(page.build()) == 8 + 119 * len(rows) + sum(len(row[0]) for row in rows)


@pytest.mark.parametrize("count", [index._BLOCK - 1, index._BLOCK, index._BLOCK + 1, 2 * index._BLOCK + 7])
def test_a_body_has_the_columns_of_all_rows_one_after_the_other_and_comes_back(count: int) -> None:
    page = page_of([(b"n", at % 256, FileList.BY_HAND, at, at << 20, at) for at in range(count)])
    body = bytes(page.build())
    columns = [bytes(page.rows[at + byte :: 119]) for _, at, width in index._COLUMNS.values() for byte in range(width)]
    at = 8
    for _, _, width in index._COLUMNS.values():
        assert [body[at + byte : at + width * count : width] for byte in range(width)] == columns[:width]
        del columns[:width]
        at += width * count
    assert body[at:] == b"n" * count
    assert IndexPage.parse(body, first=0, position=0).rows == page.rows


@examples(60)
@given(ROWS, st.integers(0, 1000))
def test_entries_come_one_by_one_as_they_come_all_together(rows: list[tuple[Any, ...]], first: int) -> None:
    page = IndexPage.parse(page_of(rows, first).build(), first=first, position=0)
    assert list(page) == [page.entry(first + at) for at in range(len(page))]
    assert [(entry.raw_name, entry.token, entry.file_list, entry.encoding, entry.size) for entry in page] == [
        row[:5] for row in rows
    ]


@examples(40)
@given(ROWS)
def test_keys_are_unique_where_token_and_name_are(rows: list[tuple[Any, ...]]) -> None:
    keys = list(page_of(rows).unique())
    assert len(set(keys)) == len({row[:2] for row in rows})


def test_a_page_takes_65536_entries() -> None:
    assert index.page_takes(65_535, 65_535, 1)
    assert not index.page_takes(65_536, 65_536, 1)


def test_a_page_takes_names_of_2_to_the_24_bytes_together() -> None:
    page = named(256, 65_535)
    assert page.takes(b"n" * 256)
    assert not page.takes(b"n" * 257)


@examples(100)
@given(
    st.none() | st.integers(0, (1 << 64) - 1),
    st.none() | st.integers(-(1 << 63), (1 << 63) - 1),
    st.booleans(),
    st.integers(16, 24),
)
def test_file_comes_back_from_the_index(announced: int | None, time: int | None, incomplete: bool, log2: int) -> None:
    file = FileRecord(5, 932, 0x44, FileList.BACKUP_LOGS, announced, time, incomplete, log2, b"x.edb")
    page = IndexPage(5)
    page.append(Entry.of(file, 9, bytes(32), (100, 300), bytes(32)))
    parsed = IndexPage.parse(page.build(), first=5, position=0)
    assert parsed.entry(5).file == next(iter(parsed)).file == file


@pytest.mark.parametrize(
    ("column", "item"),
    [
        ("flags", b"\x08\x00"),
        ("chunk_log2", b"\x0f"),
        ("chunk_log2", b"\x19"),
        ("list", b"\x04"),
        ("stream", b"\x01\x00\x00\x00"),
        ("announced_size", b"\x01" + bytes(7)),
        ("modified", b"\x01" + bytes(7)),
    ],
)
def test_columns_of_file_keep_the_rules_of_file(column: str, item: bytes) -> None:
    body = bytearray(named(2).build())
    at, width = records.Packer(records.INDX_COLUMNS).place(column)
    body[8 + 2 * at + width : 8 + 2 * (at + width)] = item
    with pytest.raises(FormatError) as caught:
        IndexPage.parse(bytes(body), first=0, position=99)
    assert (caught.value.rule, caught.value.offset) == ("INDX-1", 99)


def test_a_name_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(FormatError) as caught:
        IndexPage.parse(named(2, 65_536).build(), first=0, position=99)
    assert caught.value.rule == "INDX-1"


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
    start = 8 + 104 * 2
    body[start : start + 8] = b"".join(end.to_bytes(4, "little") for end in ends)
    with pytest.raises(FormatError) as caught:
        IndexPage.parse(bytes(body), first=0, position=99)
    assert caught.value.rule == "INDX-1"


@examples(150)
@given(st.binary(min_size=128, max_size=400))
def test_any_body_is_refused_or_comes_back(body: bytes) -> None:
    for count in (body[:8], bytes(4) + b"\1\0\0\0"):
        try:
            page = IndexPage.parse(count + body[8:], first=0, position=0)
        except FormatError:
            continue
        assert page.build() == count + body[8:]


# --- pages at the end of archives -------------------------------------------------------------------------------------


def pages_of(data: bytes) -> list[int]:
    """The numbers of entries on the pages, after it was seen that all stand behind the second HEAD."""
    archive = opened(data)
    kinds = [row.kind for row in archive.rows]
    assert kinds == [b"HEAD", b"SUMM", b"HEAD", *[b"INDX"] * (len(kinds) - 3)]
    return [len(page) for page in archive.pages]


@pytest.mark.parametrize(("entries", "pages"), [(0, []), (2, [2]), (3, [3]), (4, [3, 1]), (6, [3, 3]), (7, [3, 3, 1])])
def test_every_page_but_the_last_is_full(entries: int, pages: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_PAGE_ENTRIES", 3)
    data = written(*[(0x21, b"%d" % number, b"x" * number) for number in range(entries)])
    assert pages_of(data) == pages
    front, tail = from_the_front(data), from_the_tail(data)
    assert front.answer == tail.answer == "sealed"
    assert front.entries == tail.entries


@pytest.mark.parametrize("limit", [2, 4])
def test_pages_that_are_full_by_another_limit_are_refused(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_PAGE_ENTRIES", limit)
    data = written(*[(0x21, b"%d" % number, b"") for number in range(9)])
    monkeypatch.setattr(records, "MAX_PAGE_ENTRIES", 3)
    front, tail = from_the_front(data), from_the_tail(data)
    assert (front.answer, front.rule) == ("damaged", "INDX-3" if limit == 2 else "INDX-1")
    assert tail.answer == "damaged"


def test_entries_of_all_pages_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_PAGE_ENTRIES", 3)
    archive = opened(written(*[(0x21, b"%d" % number, b"x" * number) for number in range(11)]))
    assert [archive.entry(number).size for number in range(11)] == list(range(11))
    assert [archive.find(str(number)).number for number in range(11)] == list(range(11))
    assert archive.read(archive.entry(10)) == b"x" * 10


def test_a_duplicate_in_another_page_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_PAGE_ENTRIES", 2)
    data = bytes(
        begun().entry(name=b"1").entry(name=b"2").entry(name=b"3").entry(name=b"1").end().page(2).page().finish().data
    )
    front, tail = from_the_front(data), from_the_tail(data)
    assert (front.answer, front.rule) == ("damaged", "FILE-5")
    assert (tail.answer, tail.rule) == ("damaged", "FILE-5")


def test_real_pages_come_from_the_longest_names() -> None:
    files = [(0x21, number.to_bytes(2, "big") + bytes(records.MAX_NAME_SIZE - 2), b"") for number in range(257)]
    data = written(*files)
    assert pages_of(data) == [256, 1]
    assert from_the_front(data).answer == from_the_tail(data).answer == "sealed"


@pytest.mark.torture  # at a small limit every page but the last is full, above
def test_real_pages_come_after_65536_entries() -> None:
    data = written(*[(0x21, b"%d" % number, b"") for number in range(65_537)])
    assert pages_of(data) == [65_536, 1]
    assert opened(data).entry(65_536).raw_name == b"65536"
    assert from_the_tail(data, content=False).answer == "sealed"


START = Preamble(bytes(16)).build()


def enter(ledger: Ledger, name: bytes, size: int = 5, token: int = 0x21) -> None:
    ledger.begin(token, name, position=100)
    ledger.end(Entry(ledger.entry_count, token, FileList.BY_HAND, 0, name, size, bytes(32), 100, 200, bytes(32)))


def rule_of_room(ledger: Ledger, kind: bytes, end: int = 0) -> str | None:
    with pytest.raises(FormatError) as caught:
        ledger.demand_room(kind, position=99, end=end)
    assert caught.value.offset == 99
    return caught.value.rule


def test_entries_and_their_content_are_counted() -> None:
    ledger = Ledger(START, keep=bytes)
    enter(ledger, b"1", 5)
    enter(ledger, b"2", 7)
    assert (ledger.entry_count, ledger.content_size) == (2, 12)


def test_what_is_kept_of_a_page_is_for_the_caller_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_PAGE_ENTRIES", 2)
    ledger = Ledger(START, keep=lambda body: bytes(body[:8]))
    for name in (b"1", b"2", b"3"):
        enter(ledger, name)
    assert len(ledger.pages) == 1
    ledger.end_page()
    ledger.end_page()
    assert [*ledger.pages] == [
        (0, 2, bytes.fromhex("00000000 02000000")),
        (2, 1, bytes.fromhex("02000000 01000000")),
    ]


def test_root_lists_what_stands_outside_entries() -> None:
    ledger = Ledger(START, keep=bytes)
    row = RecordHead(b"HEAD", 99, 32, bytes(32))
    ledger.rows.append(row)
    enter(ledger, b"1")
    ledger.rows.append(row)
    assert Root.parse(ledger.root_body(), position=0) == Root(START, 1, [row, row])


def test_names_with_one_hash_are_no_duplicates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "hash", lambda _: 7, raising=False)
    monkeypatch.setattr(names, "hash", lambda _: 7, raising=False)
    opened(written((0x21, b"1", b""), (0x21, b"2", b""))).demand_unique()
    data = bytes(begun().entry(name=b"1").entry(name=b"1").end().page().finish().data)
    assert from_the_tail(data).rule == "FILE-5"


def test_the_same_name_with_another_token_is_another_entry() -> None:
    ledger = Ledger(START, keep=bytes)
    ledger.begin(0x21, b"1", position=1)
    ledger.begin(0x22, b"1", position=2)


def test_a_token_is_not_mistaken_for_the_end_of_a_name() -> None:
    ledger = Ledger(START, keep=bytes)
    ledger.begin(0x22, b"1\x21", position=1)
    ledger.begin(0x21, b"1", position=2)


def test_the_same_name_with_the_same_token_is_refused() -> None:
    ledger = Ledger(START, keep=bytes)
    ledger.begin(0x21, b"1", position=1)
    with pytest.raises(FormatError, match="0x21") as caught:
        ledger.begin(0x21, b"1", position=2)
    assert (caught.value.rule, caught.value.offset) == ("FILE-5", 2)


def test_one_entry_too_many_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_ENTRIES", 1)
    ledger = Ledger(START, keep=bytes)
    ledger.demand_room(b"FILE", position=99, end=0)
    enter(ledger, b"1")
    assert rule_of_room(ledger, b"FILE") == "LIM-1"
    ledger.demand_room(b"PROC", position=99, end=0)


@pytest.mark.parametrize("kind", [b"PROC", b"INDX", b"SUMM", b"note"])
def test_one_record_outside_entries_too_many_is_refused(kind: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_OUTSIDE_RECORDS", 1)
    ledger = Ledger(START, keep=bytes)
    ledger.demand_room(kind, position=99, end=0)
    ledger.rows.append(RecordHead(b"HEAD", 99, 32, bytes(32)))
    assert rule_of_room(ledger, kind) == "LIM-3"
    for other in (b"FILE", b"DATA", b"DONE", b"ROOT", b"TAIL"):
        ledger.demand_room(other, position=99, end=0)


def test_an_archive_that_is_too_large_is_refused() -> None:
    ledger = Ledger(START, keep=bytes)
    ledger.demand_room(b"DATA", position=99, end=(1 << 63) - 1)
    assert rule_of_room(ledger, b"DATA", 1 << 63) == "LIM-4"


def test_content_that_is_too_large_is_refused() -> None:
    ledger = Ledger(START, keep=bytes)
    enter(ledger, b"1", (1 << 63) - 2)
    ledger.demand_content(1, position=99)
    with pytest.raises(FormatError) as caught:
        ledger.demand_content(2, position=99)
    assert (caught.value.rule, caught.value.offset) == ("LIM-4", 99)
