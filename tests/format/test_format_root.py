from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokar.errors import FormatError
from tokar.format.bodies import Root
from tokar.format.records import RecordHead

PREAMBLE = bytes(range(32))
ROWS = [RecordHead(b"HEAD", 99, 32, b"h" * 32), RecordHead(b"SUMM", 199, 562, b"s" * 32)]
U32, U64 = st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1)
ANY_ROW = st.builds(RecordHead, st.binary(min_size=4, max_size=4), U32, U64, st.binary(min_size=32, max_size=32))


@given(U32, st.lists(ANY_ROW, max_size=6))
def test_a_root_comes_back(entry_count: int, rows: list[RecordHead]) -> None:
    built = Root(PREAMBLE, entry_count, rows)
    assert Root.parse(built.build(), position=0) == built


def test_the_bytes_are_those_of_the_specification() -> None:
    body = Root(PREAMBLE, 1, ROWS).build()
    assert len(body) == 40 + 48 * 2
    assert body[:40] == PREAMBLE + bytes.fromhex("01000000 02000000")
    assert body[40:88] == b"HEAD" + bytes.fromhex("63000000 2000000000000000") + b"h" * 32


@pytest.mark.parametrize("count", [0, 1, 3, (1 << 32) - 1])
def test_a_root_with_another_number_of_rows_is_refused(count: int) -> None:
    body = bytearray(Root(PREAMBLE, 1, ROWS).build())
    body[36:40] = count.to_bytes(4, "little")
    with pytest.raises(FormatError) as caught:
        Root.parse(bytes(body), position=99)
    assert (caught.value.rule, caught.value.offset) == ("ROOT-1", 99)


@pytest.mark.parametrize("change", [-1, 1, 48])
def test_a_root_of_another_length_is_refused(change: int) -> None:
    body = Root(PREAMBLE, 1, ROWS).build()
    with pytest.raises(FormatError):
        Root.parse(body[:change] if change < 0 else body + bytes(change), position=99)
