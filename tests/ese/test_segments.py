from __future__ import annotations

from dataclasses import replace

import pytest
from ese_files import flip, log_bytes, log_header, segment_bytes
from hypothesis import given, settings
from hypothesis import strategies as st

from tokar.ese.log import SEGMENT_SIZE
from tokar.ese.logcheck import LogChecker, check_log
from tokar.ese.logreport import LogFaultKind, LogReport
from tokar.ese.page import seal_segment
from tokar.storage.bytesource import BytesSource

HEADER = log_header()


def place(data: bytearray, number: int, segment: bytes) -> None:
    data[number * SEGMENT_SIZE : (number + 1) * SEGMENT_SIZE] = segment


def checked(data: bytes | bytearray) -> LogReport:
    return check_log(BytesSource(data))


def faults(report: LogReport) -> list[tuple[LogFaultKind, int | None]]:
    return [(fault.kind, fault.segment) for fault in report.faults]


def xor_of(data: bytes | bytearray, *numbers: int) -> int:
    result = 0
    for number in numbers:
        result ^= int.from_bytes(data[number * SEGMENT_SIZE : number * SEGMENT_SIZE + 8], "little")
    return result


def test_a_log_that_ends_early_is_good() -> None:
    report = checked(log_bytes(HEADER, 6))
    assert (report.unit, report.valid, report.empty) == ("segments", 6, 9)
    assert report.is_good
    assert not report.is_torn


def test_a_full_log_is_good() -> None:
    data = log_bytes(HEADER, 14)
    report = checked(data)
    assert (report.valid, report.empty) == (14, 1)
    assert report.segments_xor == xor_of(data, *range(1, 15))


def test_a_log_without_records_is_good_and_sums_up_to_nothing() -> None:
    report = checked(log_bytes(HEADER, 0))
    assert report.is_good
    assert (report.valid, report.segments_xor) == (0, 0)


def test_a_shadow_ends_the_log_and_does_not_count() -> None:
    data = log_bytes(HEADER, 6)
    place(data, 7, segment_bytes(5, 6))
    report = checked(data)
    assert (report.valid, report.shadow, report.bad) == (6, 1, 0)
    assert report.segments_xor == xor_of(data, *range(1, 7))


def test_a_stale_tail_ends_the_log_and_does_not_count() -> None:
    data = log_bytes(HEADER, 6)
    for number in range(7, 16):
        place(data, number, segment_bytes(4, number))
    report = checked(data)
    assert (report.valid, report.stale, report.bad) == (6, 9, 0)
    assert report.segments_xor == xor_of(data, *range(1, 7))


def test_a_stale_shadow_is_stale() -> None:
    data = log_bytes(HEADER, 6)
    place(data, 9, segment_bytes(4, 8))
    report = checked(data)
    assert (report.stale, report.bad) == (1, 0)


def test_a_damaged_last_segment_is_rescued_by_its_shadow() -> None:
    data = log_bytes(HEADER, 6)
    expected = xor_of(data, *range(1, 7))
    place(data, 7, segment_bytes(5, 6))
    data[6 * SEGMENT_SIZE + 100] ^= 0xFF
    report = checked(data)
    assert (report.valid, report.rescued, report.bad) == (5, 1, 0)
    assert report.segments_xor == expected
    assert report.is_good


def test_a_damaged_end_is_torn() -> None:
    data = log_bytes(HEADER, 6)
    data[6 * SEGMENT_SIZE + 100] ^= 0xFF
    report = checked(data)
    assert faults(report) == [(LogFaultKind.TORN, 6)]
    assert report.is_torn
    assert not report.is_good
    assert report.faults[0].code == -501


def test_a_torn_write_of_several_segments_is_torn_as_a_whole() -> None:
    data = log_bytes(HEADER, 6)
    for number in (5, 6):
        data[number * SEGMENT_SIZE + 100] ^= 0xFF
    assert faults(checked(data)) == [(LogFaultKind.TORN, 5), (LogFaultKind.TORN, 6)]


def test_a_damaged_segment_in_the_middle_is_bad() -> None:
    data = log_bytes(HEADER, 6)
    data[3 * SEGMENT_SIZE + 100 : 3 * SEGMENT_SIZE + 200] = bytes(100)
    report = checked(data)
    assert faults(report) == [(LogFaultKind.BAD, 3)]
    assert report.faults[0].offset == 3 * SEGMENT_SIZE
    assert not report.is_torn


def test_a_flipped_bit_in_a_segment_is_located() -> None:
    data = log_bytes(HEADER, 6)
    flip(data, 3 * SEGMENT_SIZE, 4321)
    (fault,) = checked(data).faults
    assert (fault.kind, fault.segment, fault.bits) == (LogFaultKind.BAD, 3, (4321,))


@pytest.mark.parametrize("content", [bytes(SEGMENT_SIZE), segment_bytes(4, 3), segment_bytes(5, 2)])
def test_a_write_that_never_arrived_is_lost(content: bytes) -> None:
    data = log_bytes(HEADER, 6)
    place(data, 3, content)
    assert faults(checked(data)) == [(LogFaultKind.LOST, 3)]


def test_segments_in_each_others_place_are_bad() -> None:
    data = log_bytes(HEADER, 6)
    place(data, 2, segment_bytes(5, 4))
    place(data, 4, segment_bytes(5, 2))
    assert faults(checked(data)) == [(LogFaultKind.BAD, 2), (LogFaultKind.BAD, 4)]


def test_a_segment_of_a_later_generation_is_bad() -> None:
    data = log_bytes(HEADER, 6)
    place(data, 3, segment_bytes(6, 3))
    assert faults(checked(data)) == [(LogFaultKind.BAD, 3)]


def test_a_segment_whose_position_points_into_a_sector_is_bad() -> None:
    data = log_bytes(HEADER, 6)
    segment = bytearray(segment_bytes(5, 3))
    segment[8] = 1
    place(data, 3, seal_segment(bytes(segment), 3))
    assert faults(checked(data)) == [(LogFaultKind.BAD, 3)]


def test_rubbish_behind_the_end_is_no_part_of_the_log() -> None:
    data = log_bytes(HEADER, 6)
    place(data, 9, b"\xa5" * SEGMENT_SIZE)
    assert checked(data).is_good


def test_a_log_of_another_size_than_its_header_says_is_not_good() -> None:
    data = log_bytes(HEADER, 6)
    report = checked(data[:-SEGMENT_SIZE])
    assert report.size_differs
    assert (report.size, report.expected_size) == (61440, 65536)
    assert not report.is_good


def test_a_log_cut_inside_a_segment_keeps_what_is_whole() -> None:
    report = checked(log_bytes(HEADER, 14)[: 9 * SEGMENT_SIZE + 100])
    assert report.valid == 8
    assert report.size_differs


@pytest.mark.parametrize("header_sectors", [0, 200, 65535])
def test_a_hostile_header_size_does_no_harm(header_sectors: int) -> None:
    data = log_bytes(replace(HEADER, header_sectors=header_sectors), 6)
    assert checked(data).valid in {0, 6}


def test_a_position_of_all_ones_is_not_taken_for_an_empty_segment() -> None:
    data = log_bytes(HEADER, 6)
    place(data, 3, b"\xff" * SEGMENT_SIZE)
    report = checked(data)
    assert (report.empty, report.bad) == (9, 1)


def test_a_file_larger_than_any_log_is_not_remembered_without_bound() -> None:
    checker = LogChecker(HEADER)
    block = bytes(8 << 20)
    for _ in range(40):
        checker.update(block)
    report = checker.finish()
    assert report.size == 320 << 20
    assert report.empty < 1 << 17


def test_a_log_of_more_segments_than_one_batch_is_numbered_on() -> None:
    header = log_header(sectors=600)
    data = log_bytes(header, 598)
    flip(data, 500 * SEGMENT_SIZE, 4321)
    report = checked(data)
    assert report.valid == 597
    assert report.faults[0].segment == 500


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 20_000), max_size=12))
def test_buffers_of_any_size_give_the_same_report(cuts: list[int]) -> None:
    data = log_bytes(HEADER, 6)
    place(data, 7, segment_bytes(5, 6))
    data[3 * SEGMENT_SIZE + 50] ^= 1
    checker = LogChecker(HEADER)
    start = 0
    for cut in cuts:
        checker.update(memoryview(data)[start : start + cut])
        start += cut
    checker.update(data[start:])
    assert checker.finish() == checked(data)
