"""Heads of records, packers and columns."""

from __future__ import annotations

from array import array
from typing import Any

import pytest
from blake3 import blake3
from construct import Bytes, Const, Flag, GreedyBytes, Int16ub, Int16ul, Int32sl, Int64ul, PascalString, Struct, VarInt
from hypothesis import given, settings
from hypothesis import strategies as st

from tokar.errors import CheckMismatchError, FormatError, UnsupportedError
from tokar.format import records
from tokar.format.records import (
    Packer,
    RecordHead,
    build_head,
    check_partial_head,
    demand_check,
    demand_length,
    parse_head,
)

TAG = b"\x01\x02\x03\x04\x05\x06\x07\x08"
BODY = b'{"calls":[]}'
HEAD, CHECK = build_head(records.PROC, TAG, 4096, BODY)

# Section 12 of the specification once more: kind, least and greatest length of a body.
BOUNDS = [
    (b"HEAD", 0, 1_048_576),
    (b"PROC", 0, 1_048_576),
    (b"SUMM", 0, 1_048_576),
    (b"note", 0, 1_048_576),
    (b"FILE", 33, 65_567),
    (b"DATA", 16, 16_777_232),
    (b"DONE", 80, 37_748_816),
    (b"INDX", 128, 24_576_008),
    (b"ROOT", 184, 3_145_768),
    (b"TAIL", 48, 48),
]


def head_of(kind: bytes, length: int) -> bytes:
    return records.finish_head(records.checked_part(kind, length, TAG, 0), bytes(32))


def rule_of(data: bytes, *, tag: bytes = TAG, position: int = 4096) -> str | None:
    with pytest.raises(FormatError) as caught:
        parse_head(data, tag, position)
    assert caught.value.offset == position
    return caught.value.rule


def test_a_head_comes_back() -> None:
    assert parse_head(HEAD, TAG, 4096) == RecordHead(b"PROC", len(BODY), 4096, CHECK)


def test_a_head_is_read_at_an_offset() -> None:
    assert parse_head(b"xxx" + HEAD, TAG, 4096, offset=3).kind == b"PROC"


def test_a_head_knows_where_its_body_and_its_end_are() -> None:
    head = parse_head(HEAD, TAG, 4096)
    assert (head.body_position, head.end) == (4160, 4160 + len(BODY))


def test_the_check_covers_the_body_and_then_the_head() -> None:
    assert blake3(BODY + HEAD[:24]).digest() == CHECK
    demand_check(parse_head(HEAD, TAG, 4096), TAG, BODY)


def test_another_body_has_another_check() -> None:
    with pytest.raises(CheckMismatchError) as caught:
        demand_check(parse_head(HEAD, TAG, 4096), TAG, BODY[:-1] + b"]")
    assert (caught.value.rule, caught.value.offset, caught.value.expected) == ("REC-8", 4096, CHECK)
    assert caught.value.actual != CHECK


@pytest.mark.parametrize("change", [{"kind": b"SUMM"}, {"length": 13}, {"position": 0}])
def test_the_same_body_under_another_head_has_another_check(change: dict[str, object]) -> None:
    head = parse_head(HEAD, TAG, 4096)._replace(**change)  # type: ignore[arg-type]
    with pytest.raises(CheckMismatchError):
        demand_check(head, TAG, BODY)


@pytest.mark.parametrize("position", range(64))
def test_every_flipped_byte_of_a_head_is_found_by_its_crc(position: int) -> None:
    spoilt = bytearray(HEAD)
    spoilt[position] ^= 0x20
    assert rule_of(bytes(spoilt)) == "REC-1"


@given(st.binary(min_size=64, max_size=64))
def test_any_64_bytes_are_refused(data: bytes) -> None:
    assert rule_of(data) == "REC-1"


@pytest.mark.parametrize(
    "kind", [b"noTe", b"Note", b"NOT3", b"no e", b"\0\0\0\0", b"NOT[", b"NOT@", b"not`", b"not{", b"\xc1BCD"]
)
def test_a_kind_that_is_not_four_letters_of_one_case_is_refused(kind: bytes) -> None:
    assert rule_of(head_of(kind, 10), position=0) == "REC-2"


def test_a_head_of_another_archive_is_refused() -> None:
    assert rule_of(HEAD, tag=bytes(8)) == "REC-4"


@pytest.mark.parametrize("position", [0, 4095, 4097, 1 << 40])
def test_a_head_at_another_place_is_refused(position: int) -> None:
    assert rule_of(HEAD, position=position) == "REC-5"


@pytest.mark.parametrize("kind", [b"AAAA", b"ZZZZ", b"PLUS", b"HEAE"])
def test_an_unknown_upper_case_kind_is_unsupported(kind: bytes) -> None:
    with pytest.raises(UnsupportedError, match=kind.decode()) as caught:
        parse_head(head_of(kind, 1 << 31), TAG, 0)
    assert caught.value.rule == "REC-6"


@pytest.mark.parametrize("kind", [b"aaaa", b"zzzz", b"head"])
def test_an_unknown_lower_case_kind_is_let_through(kind: bytes) -> None:
    assert parse_head(head_of(kind, 0), TAG, 0).is_extra


@pytest.mark.parametrize(("kind", "least", "greatest"), BOUNDS)
def test_lengths_at_their_bounds_are_let_through(kind: bytes, least: int, greatest: int) -> None:
    for length in {least, greatest}:
        assert parse_head(head_of(kind, length), TAG, 0).length == length
        demand_length(kind, length, 0)


@pytest.mark.parametrize(("kind", "least", "greatest"), BOUNDS)
def test_lengths_past_their_bounds_are_refused_by_reader_and_writer(kind: bytes, least: int, greatest: int) -> None:
    for length in {least - 1, greatest + 1} - {-1}:
        assert rule_of(head_of(kind, length), position=0) == "REC-7"
        with pytest.raises(FormatError, match=f"{length} bytes") as caught:
            demand_length(kind, length, 7)
        assert (caught.value.rule, caught.value.offset) == ("REC-7", 7)


def test_the_limits_are_those_of_the_specification() -> None:
    assert (records.MAX_ENTRIES, records.MAX_CHUNKS, records.MAX_OUTSIDE_RECORDS) == (1 << 24, 1 << 20, 1 << 16)
    assert records.MAX_ARCHIVE_SIZE == (1 << 63) - 1
    assert (records.MAX_PAGE_ENTRIES, records.MAX_PAGE_NAMES) == (65_536, 1 << 24)


def test_the_first_broken_rule_is_named() -> None:
    broken = records.finish_head(records.checked_part(b"PLUS", 1 << 31, bytes(8), 9), bytes(32))
    assert rule_of(broken, position=0) == "REC-4"
    assert rule_of(broken, tag=bytes(8), position=0) == "REC-5"
    assert rule_of(broken, tag=bytes(8), position=9) == "REC-6"


@pytest.mark.parametrize("size", range(64))
def test_the_beginning_of_a_head_may_be_cut(size: int) -> None:
    check_partial_head(HEAD[:size], TAG, 4096)


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"no7e", "REC-2"),
        (b"PROC" + bytes(4) + bytes(8), "REC-4"),
        (b"PROC" + bytes(4) + TAG + bytes(8), "REC-5"),
        (b"PROC" + bytes(4) + TAG + bytes(39), "REC-5"),
    ],
)
def test_a_cut_head_is_judged_by_its_complete_fields(data: bytes, rule: str) -> None:
    with pytest.raises(FormatError) as caught:
        check_partial_head(data, TAG, 4096)
    assert (caught.value.rule, caught.value.offset) == (rule, 4096)


@pytest.mark.parametrize("data", [b"no7", b"PROC" + bytes(4) + bytes(7), b"PLUS", b"PROC" + bytes(4) + TAG + bytes(7)])
def test_fields_that_are_cut_are_not_judged(data: bytes) -> None:
    check_partial_head(data, TAG, 4096)


@settings(max_examples=60)
@given(st.sampled_from(BOUNDS), st.integers(0, (1 << 64) - 1), st.binary(max_size=200))
def test_what_is_built_is_parsed(bound: tuple[bytes, int, int], position: int, body: bytes) -> None:
    kind, least, greatest = bound
    body = body.ljust(least, b"\0")[:greatest]
    head, check = build_head(kind, TAG, position, body)
    assert parse_head(head, TAG, position) == RecordHead(kind, len(body), position, check)


LAYOUT = Struct("a" / Int16ul, "b" / Int32sl, "zero" / Const(0, Int16ul), "c" / Bytes(3), "d" / Int64ul)


def test_a_packer_has_the_fields_and_the_size_of_its_layout() -> None:
    packer = Packer(LAYOUT)
    assert packer.fields == ("a", "b", "zero", "c", "d")
    assert packer.size == LAYOUT.sizeof() == 19


def test_a_packer_packs_what_construct_builds() -> None:
    expected = LAYOUT.build({"a": 1, "b": -2, "c": b"xyz", "d": 1 << 63})
    assert Packer(LAYOUT).pack(1, -2, 0, b"xyz", 1 << 63) == expected


def test_a_packer_unpacks_at_an_offset() -> None:
    packer = Packer(LAYOUT)
    assert packer.unpack(b"__" + packer.pack(1, -2, 0, b"xyz", 4), 2) == (1, -2, 0, b"xyz", 4)


def test_a_constant_that_is_wrong_is_returned_for_the_caller_to_judge() -> None:
    packer = Packer(LAYOUT)
    assert packer.unpack(packer.pack(1, -2, 9, b"xyz", 4))[2] == 9


@pytest.mark.parametrize(
    "field", [Int16ub, VarInt, GreedyBytes, Flag, PascalString(Int16ul, "utf8"), Bytes(lambda _: 3)]
)
def test_a_field_without_a_fixed_little_endian_form_is_refused(field: Any) -> None:
    with pytest.raises(TypeError):
        Packer(Struct("x" / field))


WIDTHS = {"H": 2, "I": 4, "Q": 8}


@given(st.sampled_from("HIQ"), st.data())
def test_a_column_is_little_endian_and_comes_back(code: str, data: st.DataObject) -> None:
    width = WIDTHS[code]
    values = data.draw(st.lists(st.integers(0, (1 << 8 * width) - 1), max_size=20))
    packed = records.column_bytes(array(code, values))
    assert packed == b"".join(value.to_bytes(width, "little") for value in values)
    assert list(records.column_integers(packed, code)) == values


@pytest.mark.parametrize("code", "HIQ")
def test_a_machine_of_the_other_byte_order_swaps(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    column = array(code, [1, 2])
    monkeypatch.setattr("sys.byteorder", "big")
    assert records.column_bytes(column) == b"".join(value.to_bytes(WIDTHS[code], "big") for value in (1, 2))
    assert list(records.column_integers(records.column_bytes(column), code)) == [1, 2]
    assert list(column) == [1, 2]


def test_a_column_with_a_piece_of_an_item_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="multiple"):
        records.column_integers(b"abc", "I")
