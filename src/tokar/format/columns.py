"""Columns of little-endian integers: many values at the price of one conversion."""

from __future__ import annotations

import sys
from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

_SIZES = {"H": 2, "I": 4, "Q": 8}


def integers(data: Buffer, code: str) -> array[int]:
    """Return a column as an array. `code`: H for u16, I for u32, Q for u64.

    The length of the data must be a multiple of the item size.
    """
    column: array[int] = array(code)
    assert column.itemsize == _SIZES[code]
    column.frombytes(data)
    if sys.byteorder == "big":
        column.byteswap()
    return column


def to_bytes(column: array[int]) -> bytes:
    """Return a column as little-endian bytes."""
    if sys.byteorder == "big":
        column = array(column.typecode, column)
        column.byteswap()
    return column.tobytes()
