"""Which checker a file takes, and what its report comes to."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ese_files import (
    database_bytes,
    flip,
    header_for,
    log_bytes,
    log_header,
    old_log_bytes,
    old_log_header,
    page_offset,
)

from tokar.ese.checkpoint import Checkpoint
from tokar.ese.content_facts import ContentVerdict, judge_content
from tokar.ese.flushmap import FlushMap
from tokar.ese.identify import identify
from tokar.ese.inspect import checker_for
from tokar.ese.logcheck import LogChecker
from tokar.ese.pages import PageChecker
from tokar.storage.bytesource import BytesSource


def verdict(data: bytes | bytearray) -> ContentVerdict:
    identity = identify(BytesSource(data))
    checker = checker_for(identity, len(data))
    if checker is None:
        return judge_content(identity, None)
    checker.update(data)
    return judge_content(identity, checker.finish())


def test_a_database_takes_the_checker_of_pages() -> None:
    data = database_bytes(header_for(), 3)
    assert isinstance(checker_for(identify(BytesSource(data)), len(data)), PageChecker)


def test_a_log_takes_the_checker_of_logs() -> None:
    data = log_bytes(log_header(), 3)
    assert isinstance(checker_for(identify(BytesSource(data)), len(data)), LogChecker)


@pytest.mark.parametrize(
    "data",
    [Checkpoint().build() * 2, FlushMap().build(), bytes(8192), b"x" * 9000],
    ids=["checkpoint", "flush map", "reserve", "unknown"],
)
def test_other_kinds_take_none(data: bytes) -> None:
    assert checker_for(identify(BytesSource(data)), len(data)) is None
    assert not verdict(data).verified


def test_good_pages_are_no_problem() -> None:
    found = verdict(database_bytes(header_for(), 5, empty=frozenset({2})))
    assert (found.verified, found.unit, found.units, found.problems, found.note) == (True, "pages", 5, (), "")


def test_a_bit_that_the_engine_corrects_is_counted_and_no_problem() -> None:
    data = database_bytes(header_for(), 5)
    flip(data, page_offset(4096, 3), 5000)
    found = verdict(data)
    assert (found.correctable, found.bad, found.problems, list(found.bad_offsets)) == (1, 0, (), [])
    assert [fault.offset for fault in found.faults] == [page_offset(4096, 3)]


def test_a_page_the_engine_refuses_is_a_problem_with_its_place() -> None:
    data = database_bytes(header_for(), 5)
    flip(data, page_offset(4096, 3), 5000)
    flip(data, page_offset(4096, 3), 5001)
    found = verdict(data)
    assert (found.bad, list(found.bad_offsets)) == (1, [page_offset(4096, 3)])
    assert found.problems == ("has 1 damaged page (JET_errReadVerifyFailure, -1018)",)


def test_a_file_that_ends_inside_a_page_has_the_code_of_its_kind() -> None:
    header = header_for()
    copy = header_for(current_full=replace(header.current_full, generation_low=5, generation_high=6))
    assert "-1206)" in verdict(database_bytes(header, 3)[:-100]).problems[0]
    assert "-561)" in verdict(database_bytes(copy, 3)[:-100]).problems[0]


def test_a_page_size_nobody_tried_is_noted() -> None:
    assert "no file with pages of 16384 bytes" in verdict(database_bytes(header_for(16384), 2)).note


@pytest.mark.parametrize("good", [True, False])
def test_segments_are_counted(good: bool) -> None:
    data = log_bytes(log_header(), 5)
    if not good:
        data[2 * 4096 + 100] ^= 255
    found = verdict(data)
    assert (found.unit, found.units, found.bad) == ("segments", 5, int(not good))
    assert bool(found.problems) is not good


def test_ranges_are_counted() -> None:
    found = verdict(old_log_bytes(old_log_header(), [(0, 100), (0, 900)]))
    assert (found.unit, found.units, found.problems) == ("ranges", 2, ())


def test_a_log_of_another_size_is_a_problem() -> None:
    assert "its header says 65536" in verdict(log_bytes(log_header(), 5)[:-4096]).problems[0]


def test_a_header_that_is_gone_is_a_problem() -> None:
    data = log_bytes(log_header(), 5)
    data[100] ^= 1
    found = verdict(data)
    assert found.problems[0].startswith("cannot be read as a log: the log header is damaged")
    assert not found.verified


def test_a_trailer_is_missed_only_where_there_must_be_one() -> None:
    header = header_for()
    copy = header_for(current_full=header.current_full.__class__(generation_low=5))
    data = database_bytes(copy, 3, empty=frozenset({3}))
    assert "streaming copy in disorder" in verdict(data).problems[0]
    assert verdict(database_bytes(replace(copy, file_type=0), 3, empty=frozenset({3}))).problems == ()


def test_the_last_page_of_a_copy_without_a_trailer_is_checked_like_any_other() -> None:
    """Before log format 7.3704.5 the patch file kept what a trailer keeps: the last page is one of data."""
    header = header_for()
    data = database_bytes(header_for(current_full=header.current_full.__class__(generation_low=5), file_type=0), 3)
    data[page_offset(4096, 3) + 500 : page_offset(4096, 3) + 510] = bytes(10)
    found = verdict(data)
    assert (found.units, found.bad, list(found.bad_offsets)) == (3, 1, [page_offset(4096, 3)])
