from __future__ import annotations

from dataclasses import replace

import pytest
from ese_files import database_bytes, header_for
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

from tokar.errors import HeaderError
from tokar.ese.database import PAGE_SIZES, DatabaseHeader
from tokar.ese.inspect import PassingFile
from tokar.ese.trailer import BackupTrailer
from tokar.ese.values import BackupInfo, LogPosition, Signature
from tokar.storage.bytesource import BytesSource

MARK = LogPosition(generation=9, sector=2, byte=0x17)
HEADER = header_for(current_full=BackupInfo(mark=MARK, generation_low=5))
TRAILER = BackupTrailer(
    backup=BackupInfo(mark=MARK, generation_low=5, generation_high=9),
    signature=HEADER.signature,
    log_signature=HEADER.log_signature,
)


def streaming_copy(trailer: BackupTrailer = TRAILER, header: DatabaseHeader = HEADER) -> bytes:
    return bytes(database_bytes(header, 2)) + trailer.build(header.page_size)


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_the_trailer_is_the_last_page(page_size: int) -> None:
    header = replace(HEADER, raw_page_size=page_size)
    trailer = BackupTrailer.read(BytesSource(streaming_copy(header=header)), header)
    assert (trailer.backup.generation_low, trailer.backup.generation_high) == (5, 9)


@pytest.mark.parametrize(
    ("trailer", "problem"),
    [
        (replace(TRAILER, signature=Signature(random=8)), "another database signature"),
        (replace(TRAILER, log_signature=Signature(random=8)), "another log signature"),
        (replace(TRAILER, backup=replace(TRAILER.backup, mark=LogPosition(generation=8))), "another backup mark"),
        (replace(TRAILER, backup=replace(TRAILER.backup, generation_high=0)), "highest log generation"),
    ],
)
def test_a_trailer_of_another_backup_is_refused(trailer: BackupTrailer, problem: str) -> None:
    with pytest.raises(HeaderError, match=problem) as caught:
        BackupTrailer.read(BytesSource(streaming_copy(trailer)), HEADER)
    assert caught.value.code == -552


def test_a_damaged_trailer_is_refused() -> None:
    data = bytearray(streaming_copy())
    data[-1] ^= 1
    with pytest.raises(HeaderError, match="damaged") as caught:
        BackupTrailer.read(BytesSource(data), HEADER)
    assert caught.value.code == -535


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_a_trailer_that_was_appended_twice_is_named(page_size: int) -> None:
    header = replace(HEADER, raw_page_size=page_size)
    data = streaming_copy(header=header)
    data += data[-page_size:]
    with pytest.raises(HeaderError, match="there twice: something was appended"):
        BackupTrailer.read(BytesSource(data), header)
    passing = PassingFile(len(data))
    for at in range(0, len(data), 5000):
        passing(memoryview(data)[at : at + 5000])
    assert "there twice" in passing.finish().trailer_fault


def test_a_trailer_overwritten_with_zeros_is_missing() -> None:
    with pytest.raises(HeaderError, match="empty") as caught:
        BackupTrailer.read(BytesSource(bytes(database_bytes(HEADER, 2)) + bytes(4096)), HEADER)
    assert caught.value.code == -534


@pytest.mark.parametrize("size", [0, 4096, 8192, 4 * 4096 - 1])
def test_a_copy_that_is_cut_short_has_no_trailer(size: int) -> None:
    with pytest.raises(HeaderError, match="cut short") as caught:
        BackupTrailer.read(BytesSource(streaming_copy()[:size]), HEADER)
    assert caught.value.code == -534


def test_a_sealed_page_with_more_in_it_is_no_trailer() -> None:
    with pytest.raises(HeaderError, match="no backup trailer"):
        BackupTrailer.parse(HEADER.build())


@examples(50)
@given(st.binary(max_size=300))
def test_no_bytes_can_make_parsing_crash(data: bytes) -> None:
    with pytest.raises(HeaderError):
        BackupTrailer.parse(data)
