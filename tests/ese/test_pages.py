from __future__ import annotations

import random
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from ese_files import check_pages, database_bytes, flip, header_for, page_bytes, page_offset
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

from tokar.errors import HeaderError
from tokar.ese.checksum import flipped_bit, with_header_checksum
from tokar.ese.content_facts import FAULT_LIMIT, PageFaultKind, PageReport
from tokar.ese.database import PAGE_SIZES, DatabaseHeader, DatabaseState
from tokar.ese.page import PageHeader, page_is_sealed, seal_page
from tokar.ese.pages import DIAGNOSIS_LIMIT, PageChecker, diagnose
from tokar.ese.trailer import BackupTrailer
from tokar.ese.values import BackupInfo, LogPosition, Signature
from tokar.storage.bytesource import BytesSource

if TYPE_CHECKING:
    from pathlib import Path

MARK = LogPosition(generation=9, sector=2, byte=0x17)
STREAMING = header_for(current_full=BackupInfo(mark=MARK, generation_low=5))
TRAILER = BackupTrailer(
    backup=BackupInfo(mark=MARK, generation_low=5, generation_high=9),
    signature=STREAMING.signature,
    log_signature=STREAMING.log_signature,
)


def checked(data: bytes | bytearray, header: DatabaseHeader | None = None) -> PageReport:
    return check_pages(BytesSource(data), header)


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_pages_with_ecc_verify_at_every_page_size(page_size: int) -> None:
    report = checked(database_bytes(header_for(page_size), 9, empty=frozenset({4, 9})))
    assert (report.pages, report.empty, report.ecc_ok, report.old_ok) == (9, 2, 7, 0)
    assert report.is_good
    assert report.headers_valid == (True, True)
    assert report.highest_dbtime == 1008


@pytest.mark.parametrize("page_size", [2048, 4096, 8192])
def test_old_pages_verify(page_size: int) -> None:
    report = checked(database_bytes(header_for(page_size), 9, ecc=False, empty=frozenset({4})))
    assert (report.pages, report.empty, report.ecc_ok, report.old_ok) == (9, 1, 0, 8)
    assert report.is_good


def test_one_file_may_mix_both_kinds() -> None:
    data = database_bytes(header_for(), 4)
    data[page_offset(4096, 2) : page_offset(4096, 3)] = page_bytes(4096, 2, ecc=False)
    report = checked(data)
    assert (report.ecc_ok, report.old_ok, report.bad) == (3, 1, 0)


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_a_flipped_bit_is_named_by_page_offset_and_bit(page_size: int) -> None:
    data = database_bytes(header_for(page_size), 5)
    flip(data, page_offset(page_size, 3), 5000)
    (fault,) = checked(data).faults
    assert fault.kind is PageFaultKind.CORRECTABLE
    assert (fault.page, fault.offset, fault.bits) == (3, 4 * page_size, (5000,))


def test_a_correctable_page_is_counted_apart_and_leaves_the_file_good() -> None:
    data = database_bytes(header_for(), 5)
    flip(data, page_offset(4096, 3), 5000)
    report = checked(data)
    assert (report.correctable, report.bad, report.ecc_ok) == (1, 0, 4)
    assert report.is_good


@pytest.mark.parametrize(
    ("page_size", "ecc"), [*((size, True) for size in PAGE_SIZES), (2048, False), (4096, False), (8192, False)]
)
def test_two_swapped_pages_are_both_misplaced(page_size: int, ecc: bool) -> None:
    data = database_bytes(header_for(page_size), 5, ecc=ecc)
    second, fourth = (slice(page_offset(page_size, n), page_offset(page_size, n + 1)) for n in (2, 4))
    data[second], data[fourth] = data[fourth], data[second]
    report = checked(data)
    assert [(fault.kind, fault.page, fault.belongs_to) for fault in report.faults] == [
        (PageFaultKind.MISPLACED, 2, 4),
        (PageFaultKind.MISPLACED, 4, 2),
    ]
    assert report.bad == 2
    assert not report.is_good


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_a_torn_page_is_bad(page_size: int) -> None:
    data = database_bytes(header_for(page_size), 5)
    start = page_offset(page_size, 5)
    data[start + 1024 : start + 1536] = bytes(512)
    report = checked(data)
    assert [(fault.kind, fault.page) for fault in report.faults] == [(PageFaultKind.BAD, 5)]


def test_a_large_page_with_right_checksums_and_a_wrong_number_is_refused() -> None:
    data = database_bytes(header_for(32768), 3)
    start = page_offset(32768, 2)
    data[start + 64 : start + 68] = (3).to_bytes(4, "little")
    # The checksum of the first block is that of an 8 KiB page.
    data[start : start + 8192] = seal_page(bytes(data[start : start + 8192]), 2)
    report = checked(data)
    assert [(fault.kind, fault.page) for fault in report.faults] == [(PageFaultKind.WRONG_NUMBER, 2)]
    assert report.bad == 1


def test_the_highest_dbtime_is_that_of_any_good_page() -> None:
    header = header_for()
    data = database_bytes(header, 3)
    checker = PageChecker(header, len(data))
    for number in (2, 1, 0):  # the checker goes by place, so the pages are put there anew
        data[page_offset(4096, 3 - number) : page_offset(4096, 4 - number)] = page_with_dbtime(3 - number, 50 + number)
    for offset in range(0, len(data), 4096):
        checker.update(data[offset : offset + 4096])
    assert checker.finish().highest_dbtime == 52


def page_with_dbtime(number: int, dbtime: int) -> bytes:
    return seal_page(PageHeader(dbtime=dbtime).pack() + bytes(range(256)) * 15 + bytes(216), number)


def test_a_page_of_zeros_but_for_one_bit_is_not_empty() -> None:
    data = database_bytes(header_for(), 3, empty=frozenset({2}))
    data[page_offset(4096, 3) - 1] = 1
    report = checked(data)
    assert (report.empty, report.bad) == (0, 1)


def test_a_page_whose_checksum_alone_is_zero_is_not_empty() -> None:
    data = database_bytes(header_for(), 3)
    data[page_offset(4096, 2) : page_offset(4096, 2) + 8] = bytes(8)
    assert checked(data).empty == 0


@pytest.mark.parametrize("page_size", [4096, 32768])
@examples(25)
@given(cuts=st.lists(st.integers(1, 200_000), max_size=12))
def test_buffers_of_any_size_give_the_same_report(page_size: int, cuts: list[int]) -> None:
    header = header_for(page_size)
    data = database_bytes(header, 7, empty=frozenset({6}))
    flip(data, page_offset(page_size, 2), 777)
    data[page_offset(page_size, 5) + 100] ^= 0xFF
    expected = checked(data)
    checker = PageChecker(header, len(data))
    start = 0
    for cut in [*cuts, len(data)]:
        checker.update(memoryview(data)[start : start + cut])
        start += cut
    if start < len(data):
        checker.update(data[start:])
    assert checker.finish() == expected


def test_buffers_of_one_byte_each_are_enough() -> None:
    header = header_for(2048)
    data = database_bytes(header, 2)
    checker = PageChecker(header, len(data))
    for offset in range(len(data)):
        checker.update(data[offset : offset + 1])
    assert checker.finish() == checked(data)


def test_more_pages_than_one_batch_are_numbered_on() -> None:
    data = database_bytes(header_for(2048), 1500)
    flip(data, page_offset(2048, 1400), 999)
    report = checked(data)
    assert report.ecc_ok == 1499
    assert report.faults[0].page == 1400


def test_buffers_may_be_used_again_by_the_caller() -> None:
    header = header_for()
    data = database_bytes(header, 3)
    checker = PageChecker(header, len(data))
    buffer = bytearray(5000)
    for start in range(0, len(data), len(buffer)):
        piece = data[start : start + len(buffer)]
        buffer[: len(piece)] = piece
        checker.update(memoryview(buffer)[: len(piece)])
    assert checker.finish().is_good


def test_a_file_that_ends_inside_a_page_is_not_good() -> None:
    data = database_bytes(header_for(), 3)[:-100]
    report = checked(data)
    assert (report.pages, report.extra_bytes) == (2, 3996)
    assert not report.is_good


def test_a_file_of_headers_alone_has_no_pages() -> None:
    report = checked(header_for().build() * 2)
    assert report.pages == 0
    assert report.is_good


def test_a_damaged_header_copy_is_reported_and_not_counted_as_a_page() -> None:
    data = database_bytes(header_for(), 3)
    data[5000] ^= 1
    report = checked(data)
    assert report.headers_valid == (True, False)
    assert (report.pages, report.bad) == (3, 0)


def test_a_file_without_a_header_is_refused() -> None:
    with pytest.raises(HeaderError):
        checked(bytes(20000))


def test_faults_are_listed_up_to_a_limit_and_counted_beyond_it() -> None:
    header = header_for(2048)
    page = random.Random(1).randbytes(2048)
    data = header.build() * 2 + page * (FAULT_LIMIT + 50)
    report = checked(data)
    assert report.bad == FAULT_LIMIT + 50
    assert len(report.faults) == FAULT_LIMIT


def test_a_file_of_rubbish_is_passed_without_looking_at_each_page() -> None:
    header = header_for(2048)
    good = page_bytes(2048, 1)
    data = header.build() * 2 + good + random.Random(1).randbytes(2048) * (DIAGNOSIS_LIMIT + 10)
    report = checked(data)
    assert report.bad == DIAGNOSIS_LIMIT + 10
    assert report.ecc_ok == 1


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (DatabaseHeader(file_type=5), "temporary"),
        (DatabaseHeader(raw_state=DatabaseState.JUST_CREATED), "temporary"),
        (header_for(attribute=1, file_type=2), "streaming file"),
        (header_for(attribute=1, file_type=0), "streaming file"),
        (header_for(version=0x500), "0x500"),
    ],
)
def test_pages_without_known_checksums_are_not_called_bad(header: DatabaseHeader, reason: str) -> None:
    data = header.build() * 2 + random.Random(1).randbytes(4096) + bytes(4096)
    report = checked(data, header)
    assert reason in report.not_verified
    assert (report.pages, report.empty, report.bad) == (2, 1, 0)
    assert not report.is_good


@pytest.mark.parametrize(
    ("page_size", "tried"), [(2048, False), (4096, True), (8192, True), (16384, False), (32768, True)]
)
def test_page_sizes_that_were_never_tried_on_a_real_file_are_named(page_size: int, tried: bool) -> None:
    assert (checked(database_bytes(header_for(page_size), 1)).caveat == "") is tried


def test_the_trailer_of_a_streaming_copy_is_no_page() -> None:
    report = checked(bytes(database_bytes(STREAMING, 3)) + TRAILER.build(4096))
    assert (report.pages, report.ecc_ok, report.bad) == (3, 3, 0)
    assert report.trailer is not None
    assert report.trailer.backup.generation_high == 9
    assert report.is_good


@pytest.mark.parametrize("cut", [4096, 1000, 7])
def test_the_trailer_is_found_however_the_bytes_come(cut: int) -> None:
    data = bytes(database_bytes(STREAMING, 3)) + TRAILER.build(4096)
    checker = PageChecker(STREAMING, len(data))
    for start in range(0, len(data), cut):
        checker.update(data[start : start + cut])
    report = checker.finish()
    assert report.trailer is not None
    assert report.pages == 3


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (bytes(4096), -534),
        (TRAILER.build(4096)[:-1] + b"x", -535),
        (page_bytes(4096, 4), -535),
        (BackupTrailer(signature=Signature(random=77)).build(4096), -552),
    ],
)
def test_a_streaming_copy_without_a_fitting_trailer_is_not_good(last: bytes, code: int) -> None:
    report = checked(bytes(database_bytes(STREAMING, 3)) + last)
    assert report.trailer is None
    assert report.trailer_code == code
    assert report.trailer_fault
    assert not report.is_good
    assert report.bad == 0


def test_a_streaming_copy_cut_after_its_header_has_no_trailer() -> None:
    report = checked(STREAMING.build())
    assert report.trailer_code == -534


@pytest.mark.samples
@pytest.mark.parametrize(
    ("path", "page_size", "count"),
    [
        ("win10-srum-belkasoft-dirty/SRUDB.dat", 4096, 250),
        ("dsinternals/adamntds.dit", 8192, 150),
        ("dissect/large.edb", 32768, 200),
    ],
)
def test_six_hundred_flipped_bits_in_real_pages_are_located(
    samples: Path, path: str, page_size: int, count: int
) -> None:
    data = bytearray((samples / path).read_bytes())
    rng = random.Random(20220205)
    numbers = [
        n for n in range(1, len(data) // page_size - 1) if any(data[(n + 1) * page_size : (n + 1) * page_size + 80])
    ]
    expected = {}
    for number in sorted(rng.sample(numbers, count)):
        # Not the stored checksum, and not the bit that names the format: those the engine does not correct.
        bit = rng.choice([bit for bit in (rng.randrange(64, page_size * 8) for _ in range(3)) if bit != 301])
        flip(data, page_offset(page_size, number), bit)
        expected[number] = bit
    report = checked(data)
    assert {fault.page: fault.bits[0] for fault in report.faults} == expected
    assert report.correctable == count
    assert report.bad == 0


SIZES = [2048, 4096, 8192, 16384, 32768]
LAST = 100


def with_flips(page_size: int, *bits: int, ecc: bool = True) -> bytes:
    page = bytearray(page_bytes(page_size, 10, ecc=ecc))
    for bit in bits:
        flip(page, 0, bit)
    return bytes(page)


@pytest.mark.parametrize("page_size", SIZES)
@examples(40)
@given(data=st.data())
def test_any_single_flipped_bit_is_located(page_size: int, data: st.DataObject) -> None:
    bit = data.draw(st.integers(64, page_size * 8 - 1))
    fault = diagnose(with_flips(page_size, bit), 10, LAST)
    # Bit 301 names the format of a small page: the engine then reads it as an old one, and corrects nothing.
    engine_corrects = bit != 301 or page_size >= 16384
    assert fault.kind is (PageFaultKind.CORRECTABLE if engine_corrects else PageFaultKind.CHECKSUM_BIT)
    assert fault.bits == (bit,)
    assert fault.code == (None if engine_corrects else -1018)


@pytest.mark.parametrize("bit", [7, 31, 32, 47, 63])
def test_a_flipped_bit_of_the_checksum_itself_is_located_and_refused_by_the_engine(bit: int) -> None:
    fault = diagnose(with_flips(4096, bit), 10, LAST)
    assert fault.kind is PageFaultKind.CHECKSUM_BIT
    assert fault.bits == (bit,)
    assert fault.code == -1018


def test_a_checksum_bit_that_names_another_page_of_the_file_may_be_a_misplaced_page() -> None:
    fault = diagnose(with_flips(4096, 0), 10, LAST)
    assert fault.kind is PageFaultKind.MISPLACED
    assert fault.belongs_to == 11


@pytest.mark.parametrize("bit", [0, 20, 40])
def test_a_large_page_tells_a_flipped_checksum_bit_from_a_misplaced_page(bit: int) -> None:
    fault = diagnose(with_flips(32768, bit), 10, LAST)
    assert fault.kind is PageFaultKind.CHECKSUM_BIT
    assert fault.bits == (bit,)


@pytest.mark.parametrize("page_size", SIZES)
def test_a_page_in_the_wrong_place_names_its_own(page_size: int) -> None:
    fault = diagnose(page_bytes(page_size, 77), 10, LAST)
    assert fault.kind is PageFaultKind.MISPLACED
    assert fault.belongs_to == 77
    assert fault.code == -1018


def test_an_old_page_in_the_wrong_place_names_its_own() -> None:
    fault = diagnose(page_bytes(4096, 77, ecc=False), 10, LAST)
    assert fault.kind is PageFaultKind.MISPLACED
    assert fault.belongs_to == 77


def test_a_page_of_a_larger_file_is_misplaced_too() -> None:
    fault = diagnose(page_bytes(4096, 0x1234), 10, LAST)
    assert (fault.kind, fault.belongs_to) == (PageFaultKind.MISPLACED, 0x1234)


@pytest.mark.parametrize("page_size", SIZES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rubbish_is_bad_and_nothing_is_claimed_about_it(page_size: int, seed: int) -> None:
    page = random.Random(seed).randbytes(page_size)
    fault = diagnose(page, 10, LAST)
    assert fault.kind is PageFaultKind.BAD
    assert (fault.bits, fault.belongs_to, fault.code) == ((), None, -1018)
    assert fault.offset == 11 * page_size


@pytest.mark.parametrize("page_size", SIZES)
def test_two_flipped_bits_in_one_block_are_bad(page_size: int) -> None:
    assert diagnose(with_flips(page_size, 700, 900), 10, LAST).kind is PageFaultKind.BAD


@pytest.mark.parametrize("page_size", [16384, 32768])
def test_flipped_bits_in_different_blocks_are_all_located(page_size: int) -> None:
    bits = tuple(block * page_size * 2 + 1000 + block for block in range(4))
    fault = diagnose(with_flips(page_size, *bits), 10, LAST)
    assert fault.kind is PageFaultKind.CORRECTABLE
    assert fault.bits == bits


@pytest.mark.parametrize("offset", [40, 48, 56, 64])
def test_flipped_bits_in_the_stored_checksums_and_number_of_a_large_page_are_located(offset: int) -> None:
    fault = diagnose(with_flips(32768, offset * 8 + 3), 10, LAST)
    assert fault.kind is PageFaultKind.CORRECTABLE
    assert fault.bits == (offset * 8 + 3,)


def test_a_large_page_with_one_block_of_rubbish_is_bad() -> None:
    page = bytearray(page_bytes(32768, 10))
    page[20000:20100] = random.Random(5).randbytes(100)
    assert diagnose(bytes(page), 10, LAST).kind is PageFaultKind.BAD


def test_a_large_page_whose_number_alone_is_wrong_gives_its_own_error() -> None:
    page = bytearray(page_bytes(32768, 10))
    page[64:68] = (11).to_bytes(4, "little")
    block = seal_page(bytes(page[:8192]), 10)  # an 8 KiB page has the checksum of the first block
    fault = diagnose(block + bytes(page[8192:]), 10, LAST)
    assert fault.kind is PageFaultKind.WRONG_NUMBER
    assert fault.belongs_to == 11
    assert fault.code == -1118


def test_a_flipped_format_bit_on_an_old_page_is_located() -> None:
    fault = diagnose(with_flips(4096, 301, ecc=False), 10, LAST)
    assert fault.kind is PageFaultKind.CHECKSUM_BIT
    assert fault.bits == (301,)


def test_an_old_page_with_a_flipped_bit_is_bad() -> None:
    assert diagnose(with_flips(4096, 5000, ecc=False), 10, LAST).kind is PageFaultKind.BAD


def test_a_sealed_block_without_page_number_is_bad() -> None:
    assert diagnose(with_header_checksum(bytes(4096)), 10, LAST).kind is PageFaultKind.BAD


@pytest.mark.parametrize("ecc", [True, False])
@pytest.mark.parametrize("cut", [512, 2048, 3584])
def test_a_page_written_in_part_is_bad(ecc: bool, cut: int) -> None:
    page = page_bytes(4096, 10, ecc=ecc)[:cut] + page_bytes(4096, 11, ecc=ecc)[cut:]
    assert not page_is_sealed(page, 10)
    assert diagnose(page, 10, LAST).kind is PageFaultKind.BAD


@given(st.integers(0, (1 << 64) - 1), st.sampled_from([2048, 4096, 8192]))
def test_a_located_bit_always_explains_the_difference(difference: int, block_size: int) -> None:
    position = flipped_bit(difference, block_size)
    if position is not None:
        assert 0 <= position < block_size * 8
        assert difference & 0xFFFFFFFF == 1 << position % 32


def test_differences_of_single_bits_are_their_own() -> None:
    mask = 4096 * 8 - 1
    differences = [((position ^ mask) << 16 | position) << 32 | 1 << position % 32 for position in range(0, 32768, 97)]
    assert all(flipped_bit(value, 4096) == 97 * index for index, value in enumerate(differences))
    assert all(flipped_bit(left ^ right, 4096) is None for left, right in pairwise(differences))
