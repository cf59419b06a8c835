from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from ese_files import FILL, old_log_bytes, old_log_header
from hypothesis import given, settings
from hypothesis import strategies as st

from tokar.ese import ranges
from tokar.ese.logcheck import LogChecker, check_log
from tokar.ese.logreport import LogFaultKind, LogReport
from tokar.ese.ranges import ChecksumRecord
from tokar.storage.bytesource import BytesSource

HEADER = old_log_header()
# Back and forward bytes of flushes as a real log has them: each but the last ends on a sector.
FLUSHES = [(0, 2538), (413, 2125), (159, 331), (391, 99), (101, 108)]
STARTS = [4096 + sum(back + 22 + forward for back, forward in FLUSHES[:index]) for index in range(5)]
RECORDS = [start + back for start, (back, _) in zip(STARTS, FLUSHES, strict=True)]


def log() -> bytearray:
    return old_log_bytes(HEADER, FLUSHES)


def checked(data: bytes | bytearray) -> LogReport:
    return check_log(BytesSource(data))


def faults(report: LogReport) -> list[tuple[LogFaultKind, int]]:
    return [(fault.kind, fault.offset) for fault in report.faults]


def test_the_flushes_of_the_fixture_end_on_sectors() -> None:
    assert [start % 512 for start in STARTS] == [0, 0, 0, 0, 0]


def test_every_range_of_a_chain_is_checked() -> None:
    report = checked(log())
    assert (report.unit, report.valid, report.bad) == ("ranges", 5, 0)
    assert report.segments_xor is None
    assert report.is_good


@pytest.mark.parametrize("content", [bytes(512), FILL * 2])
def test_a_log_without_records_is_good(content: bytes) -> None:
    data = (HEADER.build() + content).ljust(HEADER.file_size, b"\0")
    report = checked(data)
    assert (report.valid, report.is_good) == (0, True)


@pytest.mark.parametrize("index", [0, 1, 2, 3])
def test_a_changed_byte_in_a_range_is_bad_where_the_chain_goes_on(index: int) -> None:
    data = log()
    data[RECORDS[index] + 50] ^= 1
    report = checked(data)
    assert faults(report) == [(LogFaultKind.BAD, RECORDS[index])]
    assert report.valid == 4
    assert not report.is_torn


def test_a_changed_byte_before_a_record_is_in_its_range() -> None:
    data = log()
    data[RECORDS[1] - 10] ^= 1
    assert faults(checked(data)) == [(LogFaultKind.BAD, RECORDS[1])]


def test_a_changed_byte_in_the_last_range_is_torn() -> None:
    data = log()
    data[RECORDS[4] + 50] ^= 1
    report = checked(data)
    assert faults(report) == [(LogFaultKind.TORN, RECORDS[4])]
    assert report.is_torn


def test_a_chain_that_points_to_no_record_is_torn_there() -> None:
    data = log()
    data[RECORDS[3] : RECORDS[3] + 22] = bytes(22)
    report = checked(data)
    # The record is missing, and its sector is covered by nothing else.
    assert faults(report) == [(LogFaultKind.TORN, RECORDS[3])]
    assert report.valid == 3


def test_a_record_with_a_damaged_link_ends_the_chain_as_torn() -> None:
    data = log()
    data[RECORDS[1] + 9] ^= 0x40
    assert faults(checked(data)) == [(LogFaultKind.TORN, RECORDS[1])]


@pytest.mark.parametrize("field", [1, 5])
def test_a_range_that_leaves_the_file_ends_the_chain_as_torn(field: int) -> None:
    data = log()
    data[RECORDS[0] + field : RECORDS[0] + field + 4] = (HEADER.file_size).to_bytes(4, "little")
    report = checked(data)
    assert faults(report) == [(LogFaultKind.TORN, RECORDS[0])]
    assert report.valid == 0


def test_two_damaged_ranges_in_a_row_are_both_named() -> None:
    data = log()
    data[RECORDS[1] + 50] ^= 1
    data[RECORDS[2] + 50] ^= 1
    assert faults(checked(data)) == [(LogFaultKind.BAD, RECORDS[1]), (LogFaultKind.BAD, RECORDS[2])]


def test_a_wrong_short_checksum_is_bad() -> None:
    data = log()
    data[RECORDS[0] + 17] ^= 1
    assert faults(checked(data)) == [(LogFaultKind.BAD, RECORDS[0])]


def test_the_short_checksum_of_a_one_sector_flush_is_not_looked_at() -> None:
    data = log()
    data[RECORDS[2] + 17] ^= 1
    assert checked(data).is_good


def test_a_log_that_begins_with_something_else_is_torn() -> None:
    data = log()
    data[4096] = 7
    assert faults(checked(data)) == [(LogFaultKind.TORN, 4096)]


def test_the_generation_is_part_of_the_checksum() -> None:
    data = log()
    other = replace(HEADER, generation=6).build()
    data[:4096] = other
    assert checked(data).valid == 0


def test_a_log_cut_short_is_torn_and_of_the_wrong_size() -> None:
    report = checked(log()[: RECORDS[4] + 30])
    assert report.valid == 4
    assert report.size_differs
    assert faults(report) == [(LogFaultKind.TORN, RECORDS[4])]


def test_a_log_of_a_header_alone_is_of_the_wrong_size() -> None:
    report = checked(HEADER.build())
    assert (report.valid, report.bad, report.size_differs) == (0, 0, True)


def test_a_log_too_large_to_hold_is_not_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "LARGEST_FILE", 8192)
    report = checked(log())
    assert "8192" in report.not_verified
    assert not report.is_good


def test_ranges_that_overlap_again_and_again_do_not_keep_the_checker_busy() -> None:
    header = old_log_header(sectors=2048)
    data = bytearray(header.build().ljust(header.file_size, b"\0"))
    record = ChecksumRecord(forward=header.file_size // 2, next=0, use=0xD1)
    for at in range(4096, header.file_size // 2, 22 + 100):
        data[at : at + 22] = replace(record, next=100).pack()
    report = checked(data)
    assert report.valid == 0
    assert report.bad <= 10


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(4096, 12_000), st.integers(1, 255)), min_size=1, max_size=5))
def test_no_change_can_make_it_crash_or_go_round_in_circles(changes: list[tuple[int, int]]) -> None:
    data = log()
    for offset, value in changes:
        data[offset] ^= value
    report = checked(data)
    assert report.valid + report.bad <= 10


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 9_000), max_size=8))
def test_buffers_of_any_size_give_the_same_report(cuts: list[int]) -> None:
    data = log()
    checker = LogChecker(HEADER)
    start = 0
    for cut in cuts:
        checker.update(memoryview(data)[start : start + cut])
        start += cut
    checker.update(data[start:])
    assert checker.finish() == checked(data)


@settings(deadline=None, max_examples=30)
@given(fields=st.fixed_dictionaries({name: st.integers(0, 0xFFFFFFFF) for name in ("back", "forward", "next")}))
def test_any_record_at_the_start_is_survived(fields: dict[str, Any]) -> None:
    data = log()
    data[4096 : 4096 + 22] = ChecksumRecord(**fields).pack()
    assert checked(data).bad >= 1


def test_sums_of_a_record_follow_the_rule_as_written() -> None:
    rng = random.Random(1)
    record = ChecksumRecord(back=3, forward=6, next=9, use=0x9A)
    before, after, rest = rng.randbytes(3), rng.randbytes(6), rng.randbytes(4)

    def words(data: bytes) -> int:
        result = 0
        for start in range(0, len(data), 4):
            result ^= int.from_bytes(data[start : start + 4], "little")
        return result

    common = words(before) ^ 3 ^ 6 ^ 9 ^ 0x9A ^ 5
    assert record.sums(before, after, rest, 5) == (
        0xFEEDBEAF ^ common ^ words(after),
        0xDEADC0DE ^ common ^ words(rest),
    )
