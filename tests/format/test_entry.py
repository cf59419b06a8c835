from __future__ import annotations

import pytest
from restore_helpers import entries

from tokar.errors import NoSuchEntryError
from tokar.format.bodies import FileList
from tokar.format.index import Entry, find_entries


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
