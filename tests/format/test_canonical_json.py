"""Canonical JSON and the forms of its values."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

from tokar.as_json import to_base64, to_count
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
    to_time,
)

LARGEST = (1 << 53) - 1
KEYS = st.text("abcxyz019_", min_size=1, max_size=8)
SCALARS = st.booleans() | st.integers(-LARGEST, LARGEST) | st.text(max_size=12)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=5)


def rule_of_decoding(body: bytes) -> str | None:
    with pytest.raises(FormatError) as caught:
        canonical_json.decode(body)
    return caught.value.rule


def rule_of_encoding(value: dict[str, Any]) -> str | None:
    with pytest.raises(FormatError) as caught:
        canonical_json.encode(value)
    return caught.value.rule


def decoded_or_rule(body: bytes) -> dict[str, Any] | str | None:
    try:
        return canonical_json.decode(body)
    except FormatError as error:
        return error.rule


def nested(depth: int) -> dict[str, Any]:
    value: Any = []
    for _ in range(depth - 2):
        value = [value]
    return {"x": value}


@examples(150)
@given(OBJECTS)
def test_what_is_encoded_is_decoded(value: dict[str, Any]) -> None:
    if canonical_json.depth(json.dumps(value).encode()) > 8:
        assert rule_of_encoding(value) == "JSON-7"
        return
    body = canonical_json.encode(value)
    assert canonical_json.decode(body) == value
    assert canonical_json.encode(canonical_json.decode(body)) == body


@examples(150)
@given(OBJECTS)
def test_another_spelling_of_the_same_value_is_refused(value: dict[str, Any]) -> None:
    spelt = json.dumps(value, indent=1).encode()
    if value:
        assert rule_of_decoding(spelt) in {"JSON-2", "JSON-7"}


@examples(100)
@given(OBJECTS.filter(lambda value: len(value) > 1))
def test_keys_in_any_other_order_are_refused(value: dict[str, Any]) -> None:
    body = json.dumps(dict(sorted(value.items(), reverse=True)), ensure_ascii=False, separators=(",", ":")).encode()
    assert rule_of_decoding(body) in {"JSON-3", "JSON-6", "JSON-7"}


@examples(300)
@given(st.binary(max_size=60) | st.text('{}[]",:\\u0eE+-.1truefalsn ', max_size=40).map(str.encode))
def test_any_bytes_are_canonical_or_refused(body: bytes) -> None:
    outcome = decoded_or_rule(body)
    if isinstance(outcome, dict):
        assert canonical_json.encode(outcome) == body
    else:
        assert outcome in {f"JSON-{number}" for number in range(1, 8)}


@examples(150)
@given(st.text(max_size=20))
def test_text_is_escaped_as_little_as_possible(text: str) -> None:
    body = canonical_json.encode({"x": text})
    assert json.loads(body) == {"x": text}
    assert all(ord(character) < 0x20 or character in '"\\' or character in body.decode() for character in text)


def test_control_characters_have_their_short_escapes() -> None:
    body = canonical_json.encode({"x": "".join(map(chr, range(0x20))) + '"\\/\x7f'})
    assert body == (
        rb'{"x":"\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f'
        rb"\u0010\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f"
        b'\\"\\\\/\x7f"}'
    )


def test_the_extreme_integers_are_kept() -> None:
    body = b'{"a":9007199254740991,"b":-9007199254740991,"c":0}'
    assert canonical_json.decode(body) == {"a": LARGEST, "b": -LARGEST, "c": 0}
    assert canonical_json.encode(canonical_json.decode(body)) == body


@pytest.mark.parametrize("number", [LARGEST + 1, -LARGEST - 1, 1 << 200])
def test_an_integer_out_of_range_is_not_written(number: int) -> None:
    assert rule_of_encoding({"x": [number]}) == "JSON-4"


@pytest.mark.parametrize("number", [0.5, 1.0, float("nan"), float("inf")])
def test_a_fraction_is_not_written(number: float) -> None:
    assert rule_of_encoding({"x": number}) == "JSON-4"


@pytest.mark.parametrize("value", [None, b"bytes", {1, 2}, object()])
def test_what_json_does_not_know_is_not_written(value: object) -> None:
    assert rule_of_encoding({"x": value}) == "JSON-5"


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
def test_a_surrogate_is_not_written(text: str) -> None:
    assert rule_of_encoding({"x": text}) == "JSON-6"


@pytest.mark.parametrize("key", ["", "A", "a-b", "a b", "ä", "a\n", 7])
def test_a_key_that_is_none_is_not_written(key: Any) -> None:
    assert rule_of_encoding({"x": [{key: 1}]}) == "JSON-3"


def test_eight_deep_is_written_and_read() -> None:
    body = canonical_json.encode(nested(8))
    assert canonical_json.depth(body) == 8
    assert canonical_json.decode(body) == nested(8)


def test_nine_deep_is_not_written() -> None:
    assert rule_of_encoding(nested(9)) == "JSON-7"


def test_depth_is_found_before_the_parser_recurses() -> None:
    assert rule_of_decoding(b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}") == "JSON-7"


def test_brackets_inside_strings_are_not_depth() -> None:
    body = canonical_json.encode({"x": '[[[[[[[[[[\\"[[[[[[{{{{'})
    assert canonical_json.depth(body) == 1


def test_a_string_that_never_ends_is_searched_once() -> None:
    assert rule_of_decoding(b'{"x":"' + b'\\"' * 500_000) == "JSON-1"


@pytest.mark.parametrize("digits", [17, 400, 100_000])
def test_an_integer_of_many_digits_is_refused_before_it_is_computed(digits: int) -> None:
    assert rule_of_decoding(b'{"x":' + b"7" * digits + b"}") == "JSON-4"


def test_the_message_names_what_is_wrong() -> None:
    with pytest.raises(FormatError, match="a key stands twice"):
        canonical_json.decode(b'{"a":1,"a":1}')


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@examples(200)
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
