from __future__ import annotations

import pytest

from tokar.words import count_text, some


@pytest.mark.parametrize(("count", "text"), [(0, "0 entries"), (1, "1 entry"), (1200, "1,200 entries")])
def test_a_number_comes_with_its_noun(count: int, text: str) -> None:
    assert count_text(count, "entry", "entries") == text


def test_a_noun_takes_an_s_unless_told_otherwise() -> None:
    assert count_text(2, "file") == "2 files"


def test_a_long_list_is_cut_off() -> None:
    assert some(str(number) for number in range(20)).endswith("7 and 12 more")
