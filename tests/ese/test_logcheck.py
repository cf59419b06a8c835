from __future__ import annotations

import random
from dataclasses import replace
from functools import reduce
from operator import xor
from typing import TYPE_CHECKING, Any

import pytest
from ese_files import FILL, check_log, flip, log_bytes, log_header, old_log_bytes, old_log_header, segment_bytes
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

from tokar.errors import HeaderError
from tokar.ese import logcheck
from tokar.ese.content_facts import LogFaultKind, LogReport
from tokar.ese.log import SEGMENT_SIZE
from tokar.ese.logcheck import ChecksumRecord, LogChecker
from tokar.ese.page import seal_segment
from tokar.storage.bytesource import BytesSource

if TYPE_CHECKING:
    from tokar.ese.log import LogHeader


def test_the_header_decides_what_carries_the_checksums() -> None:
    assert check_log(BytesSource(log_bytes(log_header(), 3))).unit == "segments"
    assert check_log(BytesSource(old_log_bytes(old_log_header(), [(0, 490)]))).unit == "ranges"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (log_header(sector_size=512), "sectors of 512"),
        (log_header(major=7, minor=3701), r"7.3701"),
        (log_header(major=7, minor=3704, sector_size=0), "sectors of 0"),
    ],
)
def test_content_without_known_checksums_is_not_called_bad(header: LogHeader, reason: str) -> None:
    report = check_log(BytesSource(header.build() + b"\xa5" * 61440))
    assert reason in report.not_verified
    assert report.bad == 0
    assert not report.is_good


def test_a_log_with_a_damaged_header_is_refused() -> None:
    data = log_bytes(log_header(), 3)
    data[100] ^= 1
    with pytest.raises(HeaderError, match="damaged"):
        check_log(BytesSource(data))


def test_the_size_is_what_came_and_not_what_was_announced() -> None:
    checker = LogChecker(log_header())
    checker.update(log_bytes(log_header(), 3)[:5000])
    report = checker.finish()
    assert (report.size, report.expected_size) == (5000, 65536)


OLD_HEADER = old_log_header()
# Back and forward bytes of flushes as a real log has them: each but the last ends on a sector.
FLUSHES = [(0, 2538), (413, 2125), (159, 331), (391, 99), (101, 108)]
STARTS = [4096 + sum(back + 22 + forward for back, forward in FLUSHES[:index]) for index in range(5)]
RECORDS = [start + back for start, (back, _) in zip(STARTS, FLUSHES, strict=True)]


def log() -> bytearray:
    return old_log_bytes(OLD_HEADER, FLUSHES)


def checked_ranges(data: bytes | bytearray) -> LogReport:
    return check_log(BytesSource(data))


def range_faults(report: LogReport) -> list[tuple[LogFaultKind, int]]:
    return [(fault.kind, fault.offset) for fault in report.faults]


def test_the_flushes_of_the_fixture_end_on_sectors() -> None:
    assert [start % 512 for start in STARTS] == [0, 0, 0, 0, 0]


def test_every_range_of_a_chain_is_checked() -> None:
    report = checked_ranges(log())
    assert (report.unit, report.valid, report.bad) == ("ranges", 5, 0)
    assert report.segments_xor is None
    assert report.is_good


@pytest.mark.parametrize("content", [bytes(256), FILL])
def test_a_log_without_records_is_good(content: bytes) -> None:
    data = OLD_HEADER.build() + content * ((OLD_HEADER.file_size - 4096) // 256)
    report = checked_ranges(data)
    assert (report.valid, report.is_good) == (0, True)


@pytest.mark.parametrize("content", [bytes(512), FILL * 2])
def test_records_behind_a_beginning_that_was_not_written_are_damage(content: bytes) -> None:
    data = log()
    data[4096:4608] = content
    assert range_faults(checked_ranges(data)) == [(LogFaultKind.BAD, 4096)]


@pytest.mark.parametrize("index", [0, 1, 2, 3])
def test_a_changed_byte_in_a_range_is_bad_where_the_chain_goes_on(index: int) -> None:
    data = log()
    data[RECORDS[index] + 50] ^= 1
    report = checked_ranges(data)
    assert range_faults(report) == [(LogFaultKind.BAD, RECORDS[index])]
    assert report.valid == 4
    assert not report.is_torn


def test_a_changed_byte_before_a_record_is_in_its_range() -> None:
    data = log()
    data[RECORDS[1] - 10] ^= 1
    assert range_faults(checked_ranges(data)) == [(LogFaultKind.BAD, RECORDS[1])]


def test_a_changed_byte_in_the_last_range_is_damage_and_no_torn_write() -> None:
    data = log()
    data[RECORDS[4] + 50] ^= 1
    report = checked_ranges(data)
    assert range_faults(report) == [(LogFaultKind.BAD, RECORDS[4])]
    assert not report.is_torn


def test_a_write_that_never_began_is_torn() -> None:
    data = log()
    start = RECORDS[4] // 512 * 512
    data[start:] = (FILL * 256)[: len(data) - start]
    report = checked_ranges(data)
    assert range_faults(report) == [(LogFaultKind.TORN, RECORDS[4])]
    assert (report.valid, report.is_torn) == (4, True)


@pytest.mark.parametrize(("behind", "kind"), [(FILL[:16], LogFaultKind.TORN), (b"x", LogFaultKind.BAD)])
def test_a_write_of_several_sectors_of_which_one_is_missing_is_torn_where_nothing_follows(
    behind: bytes, kind: LogFaultKind
) -> None:
    data = old_log_bytes(OLD_HEADER, [(0, 2538)])
    data[4096 + 1024 : 4096 + 1536] = FILL * 2
    data[8192 : 8192 + len(behind)] = behind
    assert range_faults(checked_ranges(data)) == [(kind, 4096)]


def test_a_chain_that_points_to_no_record_ends_there() -> None:
    data = log()
    data[RECORDS[3] : RECORDS[3] + 22] = bytes(22)
    report = checked_ranges(data)
    # The record is missing, and its sector is covered by nothing else.
    assert range_faults(report) == [(LogFaultKind.BAD, RECORDS[3])]
    assert report.valid == 3


def test_a_record_with_a_damaged_link_ends_the_chain() -> None:
    data = log()
    data[RECORDS[1] + 9] ^= 0x40
    assert range_faults(checked_ranges(data)) == [(LogFaultKind.BAD, RECORDS[1])]


@pytest.mark.parametrize("field", [1, 5])
def test_a_range_that_leaves_the_file_ends_the_chain(field: int) -> None:
    data = log()
    data[RECORDS[0] + field : RECORDS[0] + field + 4] = (OLD_HEADER.file_size).to_bytes(4, "little")
    report = checked_ranges(data)
    assert range_faults(report) == [(LogFaultKind.BAD, RECORDS[0])]
    assert report.valid == 0


def test_two_damaged_ranges_in_a_row_are_both_named() -> None:
    data = log()
    data[RECORDS[1] + 50] ^= 1
    data[RECORDS[2] + 50] ^= 1
    assert range_faults(checked_ranges(data)) == [(LogFaultKind.BAD, RECORDS[1]), (LogFaultKind.BAD, RECORDS[2])]


def test_a_wrong_short_checksum_is_bad() -> None:
    data = log()
    data[RECORDS[0] + 17] ^= 1
    assert range_faults(checked_ranges(data)) == [(LogFaultKind.BAD, RECORDS[0])]


def test_the_short_checksum_of_a_one_sector_flush_is_not_looked_at() -> None:
    data = log()
    data[RECORDS[2] + 17] ^= 1
    assert checked_ranges(data).is_good


def test_a_log_that_begins_with_something_else_is_damaged() -> None:
    data = log()
    data[4096] = 7
    assert range_faults(checked_ranges(data)) == [(LogFaultKind.BAD, 4096)]


def test_the_generation_is_part_of_the_checksum() -> None:
    data = log()
    other = replace(OLD_HEADER, generation=6).build()
    data[:4096] = other
    assert checked_ranges(data).valid == 0


def test_a_log_cut_short_is_damaged_and_of_the_wrong_size() -> None:
    report = checked_ranges(log()[: RECORDS[4] + 30])
    assert report.valid == 4
    assert report.size_differs
    assert range_faults(report) == [(LogFaultKind.BAD, RECORDS[4])]


def test_a_log_of_a_header_alone_is_of_the_wrong_size() -> None:
    report = checked_ranges(OLD_HEADER.build())
    assert (report.valid, report.bad, report.size_differs) == (0, 0, True)


def test_a_log_too_large_to_hold_is_not_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logcheck, "LARGEST_FILE", 8192)
    report = checked_ranges(log())
    assert "8192" in report.not_verified
    assert not report.is_good


def test_ranges_that_overlap_again_and_again_do_not_keep_the_checker_busy() -> None:
    header = old_log_header(sectors=2048)
    data = bytearray(header.build().ljust(header.file_size, b"\0"))
    record = ChecksumRecord(forward=header.file_size // 2, next=0, use=0xD1)
    for at in range(4096, header.file_size // 2, 22 + 100):
        data[at : at + 22] = replace(record, next=100).pack()
    report = checked_ranges(data)
    assert report.valid == 0
    assert report.bad <= 10


@examples(60)
@given(st.lists(st.tuples(st.integers(4096, 12_000), st.integers(1, 255)), min_size=1, max_size=5))
def test_no_change_can_make_it_crash_or_go_round_in_circles(changes: list[tuple[int, int]]) -> None:
    data = log()
    for offset, value in changes:
        data[offset] ^= value
    report = checked_ranges(data)
    assert report.valid + report.bad <= 10


@examples(25)
@given(st.lists(st.integers(1, 9_000), max_size=8))
def test_buffers_of_any_size_give_the_same_report_of_ranges(cuts: list[int]) -> None:
    data = log()
    checker = LogChecker(OLD_HEADER)
    start = 0
    for cut in cuts:
        checker.update(memoryview(data)[start : start + cut])
        start += cut
    checker.update(data[start:])
    assert checker.finish() == checked_ranges(data)


@examples(30)
@given(fields=st.fixed_dictionaries({name: st.integers(0, 0xFFFFFFFF) for name in ("back", "forward", "next")}))
def test_any_record_at_the_start_is_survived(fields: dict[str, Any]) -> None:
    data = log()
    data[4096 : 4096 + 22] = ChecksumRecord(**fields).pack()
    assert checked_ranges(data).bad >= 1


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


HEADER = log_header()


def place(data: bytearray, number: int, segment: bytes) -> None:
    data[number * SEGMENT_SIZE : (number + 1) * SEGMENT_SIZE] = segment


def checked_segments(data: bytes | bytearray) -> LogReport:
    return check_log(BytesSource(data))


def segment_faults(report: LogReport) -> list[tuple[LogFaultKind, int | None]]:
    return [(fault.kind, fault.segment) for fault in report.faults]


def xor_of(data: bytes | bytearray, *numbers: int) -> int:
    result = 0
    for number in numbers:
        result ^= int.from_bytes(data[number * SEGMENT_SIZE : number * SEGMENT_SIZE + 8], "little")
    return result


def test_a_log_that_ends_early_is_good() -> None:
    report = checked_segments(log_bytes(HEADER, 6))
    assert (report.unit, report.valid, report.empty) == ("segments", 6, 9)
    assert report.is_good
    assert not report.is_torn


def test_a_full_log_is_good() -> None:
    data = log_bytes(HEADER, 14)
    report = checked_segments(data)
    assert (report.valid, report.empty) == (14, 1)
    assert report.segments_xor == xor_of(data, *range(1, 15))


def test_a_log_without_records_is_good_and_sums_up_to_nothing() -> None:
    report = checked_segments(log_bytes(HEADER, 0))
    assert report.is_good
    assert (report.valid, report.segments_xor) == (0, 0)


def test_a_shadow_ends_the_log_and_does_not_count() -> None:
    data = log_bytes(HEADER, 6)
    place(data, 7, segment_bytes(5, 6))
    report = checked_segments(data)
    assert (report.valid, report.shadow, report.bad) == (6, 1, 0)
    assert report.segments_xor == xor_of(data, *range(1, 7))


def test_a_stale_tail_ends_the_log_and_does_not_count() -> None:
    data = log_bytes(HEADER, 6)
    for number in range(7, 16):
        place(data, number, segment_bytes(4, number))
    report = checked_segments(data)
    assert (report.valid, report.stale, report.bad) == (6, 9, 0)
    assert report.segments_xor == xor_of(data, *range(1, 7))


def test_a_stale_shadow_is_stale() -> None:
    data = log_bytes(HEADER, 6)
    for number, last in ((7, 7), (8, 8), (9, 8)):
        place(data, number, segment_bytes(4, last))
    report = checked_segments(data)
    assert (report.stale, report.bad) == (3, 0)


def test_a_damaged_last_segment_is_rescued_by_its_shadow() -> None:
    data = log_bytes(HEADER, 6)
    expected = xor_of(data, *range(1, 7))
    place(data, 7, segment_bytes(5, 6))
    data[6 * SEGMENT_SIZE + 100] ^= 0xFF
    report = checked_segments(data)
    assert (report.valid, report.rescued, report.bad) == (5, 1, 0)
    assert report.segments_xor == expected
    assert report.is_good


@pytest.mark.parametrize("segment", [segment_bytes(8, 6), segment_bytes(8, 5)], ids=["whole", "a shadow"])
def test_a_last_segment_of_a_later_log_is_not_rescued_by_its_shadow(segment: bytes) -> None:
    data = log_bytes(HEADER, 6)
    place(data, 7, segment_bytes(5, 6))
    place(data, 6, segment)
    report = checked_segments(data)
    assert (report.valid, report.rescued) == (5, 0)
    assert segment_faults(report) == [(LogFaultKind.BAD, 6)]


@pytest.mark.parametrize(
    ("behind", "bad"),
    [((4, 3, 0), []), ((3, 4, 0), [8]), ((0, 4, 0), [8]), ((4, 0, 3), [9]), ((5, 4, 4), [])],
    ids=["falling", "rising", "behind zeros", "behind zeros later", "a shadow first"],
)
def test_behind_the_end_no_segment_is_of_a_later_life_than_one_before(behind: tuple[int, ...], bad: list[int]) -> None:
    data = log_bytes(HEADER, 6)
    for number, generation in enumerate(behind, start=7):
        if generation:
            place(data, number, segment_bytes(generation, number - 1 if generation == 5 else number))
    assert segment_faults(checked_segments(data)) == [(LogFaultKind.BAD, number) for number in bad]


def test_a_damaged_end_is_torn() -> None:
    data = log_bytes(HEADER, 6)
    data[6 * SEGMENT_SIZE + 100] ^= 0xFF
    report = checked_segments(data)
    assert segment_faults(report) == [(LogFaultKind.TORN, 6)]
    assert report.is_torn
    assert not report.is_good
    assert report.faults[0].code == -501


def test_a_torn_write_of_several_segments_is_torn_as_a_whole() -> None:
    data = log_bytes(HEADER, 6)
    for number in (5, 6):
        data[number * SEGMENT_SIZE + 100] ^= 0xFF
    assert segment_faults(checked_segments(data)) == [(LogFaultKind.TORN, 5), (LogFaultKind.TORN, 6)]


def test_a_damaged_segment_in_the_middle_is_bad() -> None:
    data = log_bytes(HEADER, 6)
    data[3 * SEGMENT_SIZE + 100 : 3 * SEGMENT_SIZE + 200] = bytes(100)
    report = checked_segments(data)
    assert segment_faults(report) == [(LogFaultKind.BAD, 3)]
    assert report.faults[0].offset == 3 * SEGMENT_SIZE
    assert not report.is_torn


def test_a_flipped_bit_in_a_segment_is_located() -> None:
    data = log_bytes(HEADER, 6)
    flip(data, 3 * SEGMENT_SIZE, 4321)
    (fault,) = checked_segments(data).faults
    assert (fault.kind, fault.segment, fault.bits) == (LogFaultKind.BAD, 3, (4321,))


@pytest.mark.parametrize("content", [bytes(SEGMENT_SIZE), segment_bytes(4, 3), segment_bytes(5, 2)])
def test_a_write_that_never_arrived_is_lost(content: bytes) -> None:
    data = log_bytes(HEADER, 6)
    place(data, 3, content)
    assert segment_faults(checked_segments(data)) == [(LogFaultKind.LOST, 3)]


def test_segments_in_each_others_place_are_bad() -> None:
    data = log_bytes(HEADER, 6)
    place(data, 2, segment_bytes(5, 4))
    place(data, 4, segment_bytes(5, 2))
    assert segment_faults(checked_segments(data)) == [(LogFaultKind.BAD, 2), (LogFaultKind.BAD, 4)]


def test_a_segment_of_a_later_generation_is_bad() -> None:
    data = log_bytes(HEADER, 6)
    place(data, 3, segment_bytes(6, 3))
    assert segment_faults(checked_segments(data)) == [(LogFaultKind.BAD, 3)]


def test_a_segment_whose_position_points_into_a_sector_is_bad() -> None:
    data = log_bytes(HEADER, 6)
    segment = bytearray(segment_bytes(5, 3))
    segment[8] = 1
    place(data, 3, seal_segment(bytes(segment), 3))
    assert segment_faults(checked_segments(data)) == [(LogFaultKind.BAD, 3)]


def test_rubbish_behind_the_end_is_damage_but_in_the_segment_that_is_kept_for_a_shadow() -> None:
    data = log_bytes(HEADER, 6)
    place(data, 15, b"\xa5" * SEGMENT_SIZE)
    assert checked_segments(data).is_good
    place(data, 9, b"\xa5" * SEGMENT_SIZE)
    report = checked_segments(data)
    assert (report.bad, report.is_torn) == (1, False)


def test_a_log_of_another_size_than_its_header_says_is_not_good() -> None:
    data = log_bytes(HEADER, 6)
    report = checked_segments(data[:-SEGMENT_SIZE])
    assert report.size_differs
    assert (report.size, report.expected_size) == (61440, 65536)
    assert not report.is_good


def test_a_log_cut_inside_a_segment_keeps_what_is_whole() -> None:
    report = checked_segments(log_bytes(HEADER, 14)[: 9 * SEGMENT_SIZE + 100])
    assert report.valid == 8
    assert report.size_differs


@pytest.mark.parametrize("header_sectors", [0, 200, 65535])
def test_a_hostile_header_size_does_no_harm(header_sectors: int) -> None:
    data = log_bytes(replace(HEADER, header_sectors=header_sectors), 6)
    assert checked_segments(data).valid in {0, 6}


def test_a_position_of_all_ones_is_not_taken_for_an_empty_segment() -> None:
    data = log_bytes(HEADER, 6)
    place(data, 3, b"\xff" * SEGMENT_SIZE)
    report = checked_segments(data)
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
    report = checked_segments(data)
    assert report.valid == 597
    assert report.faults[0].segment == 500


@examples(25)
@given(st.lists(st.integers(1, 20_000), max_size=12))
def test_buffers_of_any_size_give_the_same_report_of_segments(cuts: list[int]) -> None:
    data = log_bytes(HEADER, 6)
    place(data, 7, segment_bytes(5, 6))
    data[3 * SEGMENT_SIZE + 50] ^= 1
    checker = LogChecker(HEADER)
    start = 0
    for cut in cuts:
        checker.update(memoryview(data)[start : start + cut])
        start += cut
    checker.update(data[start:])
    assert checker.finish() == checked_segments(data)


def marks_by_the_book(data: bytes, last: int) -> int:
    """The marks of a log whose last segment has that number, as registry.md spells them."""
    segments = [data[at * SEGMENT_SIZE : (at + 1) * SEGMENT_SIZE] for at in range(1, last + 1)]
    total = reduce(xor, (int.from_bytes(one[:8], "little") for one in segments[:-1]), 0)
    power, bits = 1, 0
    for at, byte in enumerate(segments[-1].rstrip(b"\0")[40:]):
        power = power * 0x9E3779B97F4A7C15 % (1 << 64)
        total += byte * power
        bits |= (total * power >> 63 & 1) << at
    return bits


@given(st.integers(41, SEGMENT_SIZE), st.integers(41, SEGMENT_SIZE), st.integers(0, 9))
def test_the_marks_of_a_later_state_begin_with_those_of_the_earlier_one(first: int, second: int, seed: int) -> None:
    whole = bytes(40) + bytes(random.Random(seed).choices(range(1, 256), k=SEGMENT_SIZE - 40))
    used, later = sorted((first, second))
    before = seed * 0x1234567890ABCDEF % (1 << 64)
    states = [logcheck.tail_marks(before, whole[:at].ljust(SEGMENT_SIZE, b"\0")) for at in (used, later)]
    reports = [LogReport(unit="segments", expected_size=1, size=1, used=at, marks=marks) for at, marks in states]
    assert [one.used for one in reports] == [used, later]
    assert all(one.is_marked for one in reports)
    assert reports[0].begins_as(reports[1])
    other = logcheck.tail_marks(before ^ 1 << seed, whole)[1]
    assert used < 140 or not reports[0].begins_as(replace(reports[1], used=SEGMENT_SIZE, marks=other))


def test_the_marks_of_a_log_are_those_of_its_last_segment() -> None:
    data = bytes(log_bytes(log_header(), 3))
    report = check_log(BytesSource(data))
    last = report.end // SEGMENT_SIZE - 1
    assert int.from_bytes(report.marks, "little") == marks_by_the_book(data, last)
    assert report.used == len(data[last * SEGMENT_SIZE : (last + 1) * SEGMENT_SIZE].rstrip(b"\0"))
