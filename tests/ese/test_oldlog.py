from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokar.ese.oldlog import old_format


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
