from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokar.format import records

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
