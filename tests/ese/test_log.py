from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

from tokar.errors import HeaderError
from tokar.ese.attachment import Attachment, build_attachments
from tokar.ese.checksum import with_header_checksum
from tokar.ese.log import LogHeader, old_format
from tokar.ese.values import LogTime, Signature
from tokar.storage.bytesource import BytesSource

HEADER = LogHeader(
    generation=0x51,
    created=LogTime(year=121, month=2, day=14, low=1),
    previous_created=LogTime(year=121, month=2, day=10, low=1),
    signature=Signature(random=0xA3DD42DE),
)


def test_a_built_header_is_read_back() -> None:
    block = HEADER.build()
    assert len(block) == 4096
    assert LogHeader.read(BytesSource(block)) == replace(HEADER, checksum=int.from_bytes(block[:4], "little"))


def test_the_header_knows_the_size_of_its_file() -> None:
    assert replace(HEADER, sector_size=512, sectors=256).file_size == 131072


def test_the_format_is_four_numbers() -> None:
    assert HEADER.format == "8.4000.60.140"
    assert replace(HEADER, major=7, minor=3704, update=6, update_minor=0).format == "7.3704.6.0"


def test_attachments_are_listed() -> None:
    database = Attachment(dbid=1, path="C:\\a.edb", signature=Signature(random=5))
    header = LogHeader.parse(replace(HEADER, attachment_area=build_attachments([database])).build())
    assert header.attachments == (database,)


def test_circular_logging_is_the_second_flag() -> None:
    assert replace(HEADER, flags=2).circular_logging
    assert not replace(HEADER, flags=4).circular_logging


@pytest.mark.parametrize(
    ("major", "update_minor", "expected"), [(8, 13, True), (8, 12, False), (7, 13, False), (8, 200, True)]
)
def test_the_segments_link_begins_with_minor_update_13(major: int, update_minor: int, expected: bool) -> None:
    assert replace(HEADER, major=major, update_minor=update_minor).has_segments_link is expected


def test_a_page_size_of_zero_means_4096() -> None:
    assert HEADER.page_size == 4096
    assert replace(HEADER, raw_page_size=16384).page_size == 16384


def test_a_log_before_file_types_is_read() -> None:
    header = LogHeader.parse(replace(HEADER, major=7, minor=3704, update=4, file_type=0).build())
    assert header.generation == 0x51


def test_a_short_header_is_refused() -> None:
    with pytest.raises(HeaderError, match="4095 are here"):
        LogHeader.read(BytesSource(HEADER.build()[:-1]))


@pytest.mark.parametrize("offset", [0, 4, 639, 671, 4095])
def test_a_damaged_header_is_refused_with_the_engines_error(offset: int) -> None:
    block = bytearray(HEADER.build())
    block[offset] ^= 1
    with pytest.raises(HeaderError, match="damaged") as caught:
        LogHeader.parse(bytes(block))
    assert caught.value.code == -501


def test_an_unknown_major_version_is_refused_and_named() -> None:
    with pytest.raises(HeaderError, match=r"format 9\.1\.2\.3"):
        LogHeader.parse(replace(HEADER, major=9, minor=1, update=2, update_minor=3).build())


def test_an_old_format_is_refused_and_named() -> None:
    with pytest.raises(HeaderError, match=r"ESE97 \(Exchange 5\.5\)"):
        LogHeader.parse(replace(HEADER, major=6, minor=1518).build())


@examples(60)
@given(st.binary(min_size=2000, max_size=2000))
def test_any_fields_behind_a_right_checksum_can_be_looked_at(fields: bytes) -> None:
    body = with_header_checksum((fields[:32] + (8).to_bytes(4, "little") + fields[32:]).ljust(4096, b"\xa5"))
    header = LogHeader.parse(body)
    assert header.format
    assert header.file_size <= 65535 * 65535
    assert len(header.attachments) <= 32
    assert str(header.signature)
    assert str(header.checkpoint)


def head(values: dict[int, int]) -> bytes:
    data = bytearray(b"\xa5" * 4096)
    for offset, value in values.items():
        data[offset : offset + 4] = value.to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({24: 4, 28: 909, 32: 0}, "JET 500 (Windows NT 4)"),
        ({24: 4, 28: 995, 32: 0}, "JET 500 (Exchange 4.0)"),
        ({20: 443, 24: 0, 28: 0}, "JET 400"),
        ({44: 0, 48: 0x0CA0001}, "JET 200"),
        ({32: 6, 36: 1518}, "ESE97 (Exchange 5.5)"),
    ],
)
def test_old_logs_are_named(values: dict[int, int], name: str) -> None:
    assert old_format(head(values)) == name


@pytest.mark.parametrize(
    "values",
    [
        {24: 4, 28: 909, 32: 1},
        {24: 4, 28: 910, 32: 0},
        {20: 443, 24: 0, 28: 1},
        {44: 1, 48: 0x0CA0001},
        {32: 6, 36: 3704},
        {32: 7, 36: 3704},
        {32: 8, 36: 4000},
    ],
)
def test_what_only_resembles_an_old_log_is_not_named(values: dict[int, int]) -> None:
    assert old_format(head(values)) is None


@given(st.binary(max_size=51))
def test_too_few_bytes_show_nothing(data: bytes) -> None:
    assert old_format(data) is None
