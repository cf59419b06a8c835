"""Indexes of more than one page: archives too large for a fixture, read in all three ways."""

from __future__ import annotations

import pytest
from conformance_cases import forge, from_the_front, from_the_tail
from independent_reader import judge

from tokar.format import records

LONGEST = records.MAX_NAME_SIZE
FITTING = records.MAX_PAGE_NAMES - 256 * LONGEST  # bytes of a name that fills a page after 256 of the longest


def named(*sizes: int) -> forge.Forge:
    """Return an archive of empty files whose names have these sizes, before its first page."""
    archive = forge.begun()
    for number, size in enumerate(sizes):
        archive.entry(b"", (b"%d" % number).ljust(size, b"n"))
    return archive.end()


def counted(count: int) -> forge.Forge:
    """Return an archive of so many empty files, before its first page."""
    archive = forge.begun()
    for number in range(count):
        archive.entry(b"", b"%d" % number)
    return archive.end()


def demand(archive: forge.Forge, rule: str | None = None) -> None:
    """Hold the answers of all readers against the rule that is broken at the place of the fault."""
    data = bytes(archive.data)
    front, tail, independent = from_the_front(data), from_the_tail(data), judge(data)
    if rule is None:
        assert front.answer == tail.answer == independent.answer == "sealed"
        return
    assert front.answer == tail.answer == independent.answer == "damaged"
    assert front.rule is not None
    assert front.rule.startswith(rule)
    assert independent.rule is not None
    assert independent.rule.startswith(rule)
    assert front.position == independent.position == archive.fault_position


def test_a_page_is_full_when_the_next_name_has_no_room() -> None:
    demand(named(*[LONGEST] * 256, FITTING + 1).page(256).page().finish())


def test_a_page_takes_names_to_the_last_byte() -> None:
    demand(named(*[LONGEST] * 256, FITTING).page().finish())
    demand(named(*[LONGEST] * 256, FITTING, 10).page(257).page().finish())


def test_a_page_that_had_room_for_the_next_name_is_refused() -> None:
    demand(named(*[LONGEST] * 256, FITTING).fault().page(256).page().finish(), "INDX-3")


def test_a_page_with_more_names_than_it_can_have_is_refused() -> None:
    demand(named(*[LONGEST] * 256, FITTING + 1).fault().page().finish(), "INDX-")


def test_a_second_page_that_is_missing_is_reported_at_root() -> None:
    demand(named(*[LONGEST] * 256, FITTING + 1).page(256).fault().root().tail(), "INDX-3")


@pytest.mark.torture  # three readers of 65,537 entries; `test_index` has our own two always
def test_a_page_is_full_with_65536_entries() -> None:
    demand(counted(records.MAX_PAGE_ENTRIES + 1).page(records.MAX_PAGE_ENTRIES).page().finish())
