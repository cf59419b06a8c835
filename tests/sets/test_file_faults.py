"""What is wrong with a file by itself: a copy that was cut, and one that only lost its trailer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from recovery_sets import DATABASE, streaming

from tokar.ese.content_facts import PageReport
from tokar.ese.inspect import inspect_file
from tokar.sets.facts import DatabaseFacts
from tokar.sets.faults import Fault, FaultKind
from tokar.sets.file_faults import database_faults
from tokar.sets.read import SetFile, database_facts
from tokar.storage.bytesource import BytesSource


def copy_facts(*, reaches: int, code: int | None) -> DatabaseFacts:
    """A streaming copy of four pages, in which pages are about others, and whose trailer has a fault or none."""
    source = BytesSource(bytes(streaming(5, 7)))
    facts = database_facts(SetFile(name=DATABASE, size=source.size), inspect_file(source))
    report = PageReport(page_size=4096, pages=4, owned=reaches)
    return replace(facts, pages=report, trailer_fault="the trailer is gone" if code else "", trailer_code=code)


def faults_of(*, reaches: int, code: int | None) -> list[Fault]:
    return [*database_faults(copy_facts(reaches=reaches, code=code))]


@pytest.mark.parametrize("code", [-534, -535])
def test_a_copy_without_its_last_pages_is_cut_and_its_trailer_gone_with_them(code: int) -> None:
    (fault,) = faults_of(reaches=40, code=code)
    assert (fault.kind, fault.code, fault.consequences) == (FaultKind.DATABASE_CUT, code, ("the trailer is gone",))
    assert fault.message == "main.edb is cut short: its last page is 4, and pages in it are about page 40"
    assert "nothing" not in fault.next_step


@pytest.mark.parametrize(
    ("reaches", "code", "kinds"),
    [
        (4, -535, [FaultKind.TRAILER_DAMAGED]),
        (40, -552, [FaultKind.TRAILER_FOREIGN, FaultKind.PAGES_BEYOND]),
        (40, None, [FaultKind.PAGES_BEYOND]),
    ],
)
def test_a_copy_with_all_its_pages_or_with_a_trailer_is_not_called_cut(
    reaches: int, code: int | None, kinds: list[FaultKind]
) -> None:
    assert [fault.kind for fault in faults_of(reaches=reaches, code=code)] == kinds
