from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokar.errors import FormatError
from tokar.format.bodies import FILE_PACKER, FileList, FileRecord

PLAIN = FileRecord(3, 65001, 0x21, FileList.BACKUP_LOGS, 6, -1, False, 20, b"E.LOG")
U16, U32, U64 = (st.integers(0, (1 << bits) - 1) for bits in (16, 32, 64))
RECORDS = st.builds(
    FileRecord,
    U32,
    U16,
    st.integers(0, 255),
    st.sampled_from(FileList),
    st.none() | U64,
    st.none() | st.integers(-(1 << 63), (1 << 63) - 1),
    st.booleans(),
    st.integers(16, 24),
    st.binary(min_size=1, max_size=80),
)


def spoilt(**fields: Any) -> bytes:
    values = dict(zip(FILE_PACKER.fields, FILE_PACKER.unpack(PLAIN.build()), strict=True))
    values.update(fields)
    return FILE_PACKER.pack(*values.values()) + PLAIN.name


def rule_of(body: bytes, entry: int = 3) -> str | None:
    with pytest.raises(FormatError) as caught:
        FileRecord.parse(body, entry=entry, position=99)
    assert caught.value.offset == 99
    return caught.value.rule


@settings(deadline=None, max_examples=150)
@given(RECORDS)
def test_a_record_comes_back(record: FileRecord) -> None:
    assert FileRecord.parse(record.build(), entry=record.entry, position=0) == record


@settings(deadline=None, max_examples=150)
@given(st.binary(min_size=33, max_size=60))
def test_any_body_is_refused_or_comes_back(body: bytes) -> None:
    try:
        record = FileRecord.parse(body, entry=int.from_bytes(body[:4], "little"), position=0)
    except FormatError:
        return
    assert record.build() == body


def test_the_bytes_are_those_of_the_specification() -> None:
    expected = "03000000 e9fd 21 02 0600000000000000 ffffffffffffffff 0300 14 00 0500 0000"
    assert PLAIN.build() == bytes.fromhex(expected) + b"E.LOG"


def test_the_longest_name_comes_back() -> None:
    record = FileRecord(0, 0, 0, FileList.BY_HAND, None, None, False, 16, b"n" * 0xFFFF)
    assert FileRecord.parse(record.build(), entry=0, position=0) == record


def test_times_and_sizes_of_zero_are_not_absent() -> None:
    record = FileRecord(0, 0, 0, FileList.BY_HAND, 0, 0, False, 16, b"x")
    parsed = FileRecord.parse(record.build(), entry=0, position=0)
    assert (parsed.announced_size, parsed.modified) == (0, 0)


@pytest.mark.parametrize("number", [0, 2, 4, (1 << 32) - 1])
def test_another_number_is_refused(number: int) -> None:
    assert rule_of(PLAIN.build(), entry=number) == "FILE-1"


@pytest.mark.parametrize("length", [0, 4, 6, 0xFFFF])
def test_a_name_of_another_length_is_refused(length: int) -> None:
    assert rule_of(spoilt(name_length=length)) == "FILE-2"


@pytest.mark.parametrize(
    "fields", [{"list": 4}, {"list": 255}, {"chunk_log2": 15}, {"chunk_log2": 25}, {"flags": 8}, {"flags": 0x8003}]
)
def test_a_field_out_of_range_is_refused(fields: dict[str, int]) -> None:
    assert rule_of(spoilt(**fields)) == "FILE-3"


@pytest.mark.parametrize("fields", [{"zero_1": 1}, {"zero_2": 1}, {"flags": 1}, {"flags": 2}, {"flags": 0}])
def test_a_field_that_must_be_zero_and_is_not_is_refused(fields: dict[str, int]) -> None:
    assert rule_of(spoilt(**fields)) == "FILE-4"
