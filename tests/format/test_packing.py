from __future__ import annotations

from typing import Any

import pytest
from construct import Bytes, Const, Flag, GreedyBytes, Int16ub, Int16ul, Int32sl, Int64ul, PascalString, Struct, VarInt

from tokar.format.records import Packer

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
