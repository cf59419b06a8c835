from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokar.errors import FormatError
from tokar.format import canonical_json
from tokar.format.canonical_json import (
    Key,
    demand_keys,
    is_base64,
    is_byte,
    is_count,
    is_hex,
    is_sorted_text,
    is_time,
    to_base64,
    to_count,
    to_time,
)

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=200)
@given(ANYTHING)
def test_no_check_falls_over_anything_that_json_can_hold(value: Any) -> None:
    checks = [value for name, value in vars(canonical_json).items() if name.startswith("is_") and name != "is_hex"]
    checks += [is_hex(4), canonical_json.one_of("a"), canonical_json.matches("a"), canonical_json.array_of(is_byte)]
    checks += [canonical_json.object_of(is_byte), canonical_json.object_with({"a": Key(is_byte, required=True)})]
    for check in checks:
        assert check(value) in (True, False)


@given(st.datetimes(timezones=st.just(UTC)))
def test_every_moment_has_one_spelling(moment: datetime) -> None:
    text = to_time(moment)
    assert is_time(text)
    assert datetime.fromisoformat(text) == moment


def test_a_moment_in_another_zone_is_written_in_utc() -> None:
    assert to_time(datetime(2026, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=2)))) == "2025-12-31T22:30:00.000000Z"


def test_a_moment_of_the_first_centuries_has_four_digits() -> None:
    assert to_time(datetime(7, 1, 2, tzinfo=UTC)) == "0007-01-02T00:00:00.000000Z"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05.00000Z",
        "2026-01-02T03:04:05.0000000Z",
        "2026-01-02T03:04:05.000000z",
        "2026-01-02t03:04:05.000000Z",
        "2026-01-02 03:04:05.000000Z",
        "2026-13-02T03:04:05.000000Z",
        "2026-01-00T03:04:05.000000Z",
        "2026-01-02T03:60:05.000000Z",
        "2026-01-02T03:04:61.000000Z",
        "+026-01-02T03:04:05.000000Z",
        "2026-01-02T03:04:05.000000Z\n",
        20260102,
    ],
)
def test_what_is_no_time_is_refused(text: Any) -> None:
    assert not is_time(text)


@given(st.integers(0, (1 << 64) - 1))
def test_every_count_has_one_spelling(value: int) -> None:
    spelt = to_count(value)
    assert is_count(spelt)
    assert int(spelt) == value
    assert isinstance(spelt, str) == (value >= 1 << 53)


@pytest.mark.parametrize(
    "value", [-1, True, 1.0, "1", "9007199254740991", "18446744073709551616", "09007199254740992", "", None, [1]]
)
def test_what_is_no_count_is_refused(value: Any) -> None:
    assert not is_count(value)


@given(st.binary(max_size=20))
def test_every_bytes_have_one_base64(data: bytes) -> None:
    assert is_base64(to_base64(data))
    assert base64.b64decode(to_base64(data)) == data


@pytest.mark.parametrize(
    "text", ["Q", "QQ", "QQ=", "QR==", "QQ==\n", " QQ==", "QQ==QQ==", "-_-_", "Ü===", "QÜ==", 5, None]
)
def test_what_is_no_base64_is_refused(text: Any) -> None:
    assert not is_base64(text)


@given(st.text(max_size=12))
def test_base64_is_judged_without_falling_over(text: str) -> None:
    assert is_base64(text) in (True, False)


@pytest.mark.parametrize("value", [-1, 256, True, "1", 1.0])
def test_what_is_no_byte_is_refused(value: Any) -> None:
    assert not is_byte(value)


@pytest.mark.parametrize("text", ["ABCD", "abc", "abcde", "abcg", "ab d", "abc\n", 1234])
def test_what_is_no_hex_of_four_digits_is_refused(text: Any) -> None:
    assert is_hex(4)("0a9f")
    assert not is_hex(4)(text)


@pytest.mark.parametrize("value", [["b", "a"], ["a", "a"], [1], "ab", {"a": 1}])
def test_text_that_is_not_sorted_is_refused(value: Any) -> None:
    assert is_sorted_text(["a", "b"])
    assert not is_sorted_text(value)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(FormatError, match="'a' is missing") as caught:
        demand_keys({}, {"a": Key(is_byte, required=True)}, rule="HEAD-1", position=7)
    assert (caught.value.rule, caught.value.offset) == ("HEAD-1", 7)


def test_a_key_of_another_form_is_named() -> None:
    with pytest.raises(FormatError, match="'a' does not have its form"):
        demand_keys({"a": 256}, {"a": Key(is_byte)}, rule="HEAD-1", position=0)


def test_an_optional_key_may_be_missing_and_an_unknown_one_there() -> None:
    demand_keys({"z": None}, {"a": Key(is_byte)}, rule="HEAD-1", position=0)
