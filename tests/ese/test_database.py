from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

from tokar.errors import HeaderError, InputError
from tokar.ese.checksum import with_header_checksum
from tokar.ese.database import PAGE_SIZES, DatabaseHeader, DatabaseState
from tokar.ese.values import BackupInfo, LogTime, Signature
from tokar.storage.bytesource import BytesSource

HEADER = DatabaseHeader(
    dbtime=77,
    signature=Signature(random=1, created=LogTime(year=122, month=2, day=5)),
    log_signature=Signature(random=2),
    revision=20,
    required_low=5,
    required_high=9,
)


def database(header: DatabaseHeader = HEADER, pages: int = 2) -> bytearray:
    return bytearray(header.build() * 2 + bytes(header.page_size * pages))


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_a_built_header_is_read_back_at_every_page_size(page_size: int) -> None:
    header = replace(HEADER, raw_page_size=page_size)
    copies = DatabaseHeader.read(BytesSource(database(header)))
    assert copies.header == replace(header, checksum=copies.header.checksum)
    assert copies.valid == (True, True)
    assert copies.used == 0
    assert copies.identical


def test_a_page_size_of_zero_means_4096() -> None:
    assert DatabaseHeader.read(BytesSource(database())).header.page_size == 4096


@pytest.mark.parametrize("page_size", PAGE_SIZES)
@pytest.mark.parametrize("offset", [0, 4, 236, 700])
def test_a_torn_first_copy_gives_way_to_the_second(page_size: int, offset: int) -> None:
    data = database(replace(HEADER, raw_page_size=page_size))
    data[offset] ^= 0x40
    copies = DatabaseHeader.read(BytesSource(data))
    assert copies.used == 1
    assert copies.valid == (False, True)
    assert copies.header.required_high == 9


def test_a_first_copy_of_zeros_gives_way_to_the_second() -> None:
    data = database(replace(HEADER, raw_page_size=8192))
    data[:8192] = bytes(8192)
    assert DatabaseHeader.read(BytesSource(data)).used == 1


def test_of_two_valid_copies_the_first_is_believed() -> None:
    newer = replace(HEADER, dbtime=78)
    data = database(newer)
    data[4096:8192] = HEADER.build()
    copies = DatabaseHeader.read(BytesSource(data))
    assert copies.header.dbtime == 78
    assert copies.valid == (True, True)
    assert not copies.identical


def test_a_damaged_second_copy_is_reported() -> None:
    data = database()
    data[5000] ^= 1
    copies = DatabaseHeader.read(BytesSource(data))
    assert copies.used == 0
    assert copies.valid == (True, False)


def test_a_file_that_ends_after_the_first_copy_is_readable() -> None:
    copies = DatabaseHeader.read(BytesSource(HEADER.build()))
    assert copies.valid == (True, False)


def test_two_damaged_copies_are_refused_with_the_engines_error() -> None:
    data = database()
    data[100] ^= 1
    data[4196] ^= 1
    with pytest.raises(HeaderError, match="damaged") as caught:
        DatabaseHeader.read(BytesSource(data))
    assert caught.value.code == -1018


def test_a_header_whose_page_size_does_not_fit_its_place_is_refused() -> None:
    page = replace(HEADER, raw_page_size=8192).pack().ljust(4096, b"\0")
    with pytest.raises(HeaderError):
        DatabaseHeader.read(BytesSource(with_header_checksum(page) + b"x" + bytes(65536)))


def test_a_page_size_that_no_engine_has_is_refused() -> None:
    page = replace(HEADER, raw_page_size=65536).pack().ljust(65536, b"\0")
    with pytest.raises(HeaderError):
        DatabaseHeader.read(BytesSource(with_header_checksum(page)))
    with pytest.raises(InputError, match="65536"):
        replace(HEADER, raw_page_size=65536).build()


@pytest.mark.parametrize(("version", "name"), [(0x500, "JET 500"), (0x400, "JET 400")])
def test_an_older_engine_is_named(version: int, name: str) -> None:
    with pytest.raises(HeaderError, match=name):
        DatabaseHeader.read(BytesSource(database(replace(HEADER, version=version))))


@pytest.mark.parametrize("data", [b"", b"short", bytes(4096), b"\xff" * 70000])
def test_what_is_no_database_is_refused(data: bytes) -> None:
    with pytest.raises(HeaderError, match="not a database"):
        DatabaseHeader.read(BytesSource(data))


def test_states_print_as_esentutl_prints_them() -> None:
    assert replace(HEADER, raw_state=DatabaseState.DIRTY_SHUTDOWN).state_name == "Dirty Shutdown"
    assert str(DatabaseState.DIRTY_AND_PATCHED_SHUTDOWN) == "Dirty and Patched Shutdown"


def test_an_unknown_state_is_no_error() -> None:
    header = replace(HEADER, raw_state=99)
    assert header.state is None
    assert header.state_name == "unknown state 99"
    assert not header.is_clean


def test_a_streaming_copy_shows_in_the_current_full_backup() -> None:
    copy = replace(HEADER, current_full=BackupInfo(generation_low=5))
    assert copy.is_streaming_copy
    assert copy.page_count(5 * 4096) == 2
    old = replace(copy, file_type=0)  # its trailer is in the patch file
    assert old.is_streaming_copy
    assert old.page_count(5 * 4096) == 3
    restored = replace(HEADER, current_full=BackupInfo(generation_low=5, generation_high=9))
    assert not restored.is_streaming_copy
    assert restored.page_count(5 * 4096) == 3


def test_a_file_with_fewer_pages_than_headers_holds_none() -> None:
    assert HEADER.page_count(4096) == 0


@examples(60)
@given(st.binary(max_size=9000), st.sampled_from([0, 2048, 4096]))
def test_no_bytes_can_make_reading_crash(data: bytes, magic_at: int) -> None:
    hostile = bytearray(data.ljust(9000, b"\0"))
    hostile[magic_at + 4 : magic_at + 8] = b"\xef\xcd\xab\x89"
    with contextlib.suppress(HeaderError):
        DatabaseHeader.read(BytesSource(hostile))


@examples(60)
@given(st.binary(min_size=740, max_size=740))
def test_any_fields_behind_a_right_checksum_can_be_looked_at(fields: bytes) -> None:
    for page_size in PAGE_SIZES[:2]:
        body = bytearray((bytes(4) + b"\xef\xcd\xab\x89" + fields).ljust(page_size, b"\0"))
        body[8:12] = (0x620).to_bytes(4, "little")
        body[236:240] = page_size.to_bytes(4, "little")
        header = DatabaseHeader.parse(with_header_checksum(bytes(body)))
        assert header.build() == with_header_checksum(bytes(body))
        assert header.state_name
        assert str(header.signature)
        header.page_count(2**63)
