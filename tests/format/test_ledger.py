from __future__ import annotations

import pytest

from tokar.errors import FormatError
from tokar.format import records
from tokar.format.bodies import FileList, Preamble, Root
from tokar.format.index import Entry, IndexPage, Ledger
from tokar.format.records import RecordHead

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
    ledger = Ledger(START)
    enter(ledger, b"1", 5)
    enter(ledger, b"2", 7)
    assert (ledger.entry_count, ledger.content_size, len(ledger.page)) == (2, 12, 2)


def test_a_page_that_is_taken_is_followed_by_an_empty_one() -> None:
    ledger = Ledger(START)
    enter(ledger, b"1")
    assert len(IndexPage.parse(ledger.take_page(), first=0, position=0)) == 1
    assert (len(ledger.page), ledger.page.first) == (0, 1)


def test_root_lists_what_stands_outside_entries() -> None:
    ledger = Ledger(START)
    row = RecordHead(b"HEAD", 99, 32, bytes(32))
    ledger.rows.append(row)
    enter(ledger, b"1")
    ledger.rows.append(row)
    assert Root.parse(ledger.root_body(), position=0) == Root(START, 1, [row, row])


def test_the_same_name_with_another_token_is_another_entry() -> None:
    ledger = Ledger(START)
    ledger.begin(0x21, b"1", position=1)
    ledger.begin(0x22, b"1", position=2)


def test_a_token_is_not_mistaken_for_the_end_of_a_name() -> None:
    ledger = Ledger(START)
    ledger.begin(0x22, b"1\x21", position=1)
    ledger.begin(0x21, b"1", position=2)


def test_the_same_name_with_the_same_token_is_refused() -> None:
    ledger = Ledger(START)
    ledger.begin(0x21, b"1", position=1)
    with pytest.raises(FormatError, match="0x21") as caught:
        ledger.begin(0x21, b"1", position=2)
    assert (caught.value.rule, caught.value.offset) == ("SEQ-4", 2)


def test_one_entry_too_many_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_ENTRIES", 1)
    ledger = Ledger(START)
    ledger.demand_room(b"FILE", position=99, end=0)
    enter(ledger, b"1")
    assert rule_of_room(ledger, b"FILE") == "LIM-1"
    ledger.demand_room(b"PROC", position=99, end=0)


@pytest.mark.parametrize("kind", [b"PROC", b"INDX", b"SUMM", b"note"])
def test_one_record_outside_entries_too_many_is_refused(kind: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_OUTSIDE_RECORDS", 1)
    ledger = Ledger(START)
    ledger.demand_room(kind, position=99, end=0)
    ledger.rows.append(RecordHead(b"HEAD", 99, 32, bytes(32)))
    assert rule_of_room(ledger, kind) == "LIM-3"
    for other in (b"FILE", b"DATA", b"DONE", b"ROOT", b"TAIL"):
        ledger.demand_room(other, position=99, end=0)


def test_an_archive_that_is_too_large_is_refused() -> None:
    ledger = Ledger(START)
    ledger.demand_room(b"DATA", position=99, end=(1 << 63) - 1)
    assert rule_of_room(ledger, b"DATA", 1 << 63) == "LIM-4"


def test_content_that_is_too_large_is_refused() -> None:
    ledger = Ledger(START)
    enter(ledger, b"1", (1 << 63) - 1)
    ledger.demand_room(b"FILE", position=99, end=0)
    enter(ledger, b"2", 1)
    assert rule_of_room(ledger, b"FILE") == "LIM-4"
