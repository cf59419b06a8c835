"""Values on the wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokar.rpc.ndr import NdrReader, NdrWriter, com_guid, guid, open_type_1, type_1
from tokar.rpc.wire_errors import WireError


def test_values_are_aligned_to_their_size() -> None:
    data = NdrWriter().u16(1).u32(2).u16(3).u64(4).done()
    assert data == bytes.fromhex("0100 0000 02000000 0300 000000000000 0400000000000000")
    reader = NdrReader(data)
    assert (reader.u16(), reader.u32(), reader.u16(), reader.u64(), reader.left) == (1, 2, 3, 4, 0)


def test_negative_numbers_are_those_of_two_complements() -> None:
    assert NdrWriter().u32(-1).done() == b"\xff\xff\xff\xff"


def test_a_guid_is_mixed_endian() -> None:
    data = guid("8a885d04-1ceb-11c9-9fe8-08002b104860")
    assert data == bytes.fromhex("045d888aeb1cc9119fe808002b104860")
    assert com_guid(0x1A0) == guid("000001a0-0000-0000-c000-000000000046")


def test_referents_differ() -> None:
    data = NdrWriter().pointer(present=True).pointer(present=False).pointer(present=True).done()
    assert data == bytes.fromhex("00000200 00000000 04000200")


@given(st.one_of(st.none(), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)))
def test_strings_come_back(text: str | None) -> None:
    units = None if text is None else text.encode("utf-16-le")
    assert NdrReader(NdrWriter().unique_string(units).done()).unique_string() == units


@given(st.binary(max_size=200))
def test_a_serialized_type_comes_back_padded(body: bytes) -> None:
    data = type_1(body)
    assert len(data) % 8 == 0
    assert open_type_1(data).take(len(body)) == body


@pytest.mark.parametrize(
    ("data", "take"),
    [
        (b"\1", lambda reader: reader.u32()),
        (b"\1\0\0\0", lambda reader: reader.u64()),
        (b"\xff\xff\xff\x7f", lambda reader: reader.array()),
        (b"\xff\xff\xff\xff" + bytes(8), lambda reader: reader.array(unit=16)),
        (b"\1\0\0\0\1\0\0\0\1\0\0\0\0\0", lambda reader: reader.string()),
        (b"\1\0\0\0\0\0\0\0\1\0\0\0A\0", lambda reader: reader.string()),
        (b"\1\0\0\0\0\0\0\0\0\0\0\0", lambda reader: reader.string()),
        (bytes(15), lambda reader: reader.guid()),
    ],
)
def test_what_is_not_there_is_not_taken(data: bytes, take: object) -> None:
    assert callable(take)
    with pytest.raises(WireError):
        take(NdrReader(data))


@pytest.mark.parametrize("data", [b"", bytes(15), bytes(24), b"\2\x10\x08\x00" + bytes(20)])
def test_another_serialization_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        open_type_1(data)
