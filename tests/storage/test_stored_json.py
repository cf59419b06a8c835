"""JSON that is read back: bounded, and of the type that is wanted, or refused."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

import tokar
from tokar.errors import InputError
from tokar.storage.stored_json import MAX_DEPTH, parse_json, typed


class Colour(StrEnum):
    RED = "red"


class Loose(TypedDict):
    """An object with a key that need not be there."""

    low: int
    high: NotRequired[int]


@dataclass(frozen=True)
class Row:
    """One of each kind."""

    name: str
    pair: tuple[str, str] = ("", "")
    rows: tuple[Loose, ...] = ()
    colour: Colour | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    flag: bool = False
    span: Loose | tuple[int, int] | None = None


def test_values_come_back_as_their_types() -> None:
    text = b'{"name":"a","pair":["b","c"],"rows":[{"low":1},{"low":1,"high":2}],"colour":"red",'
    text += b'"more":{"x":[1]},"flag":true}'
    row = typed(Row, parse_json(text))
    assert row == Row("a", ("b", "c"), ({"low": 1}, {"low": 1, "high": 2}), Colour.RED, {"x": [1]}, flag=True)
    assert typed(Row, {"name": "a", "span": [1, 2]}).span == (1, 2)
    assert typed(Row, {"name": "a", "new": 1}) == Row("a")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{}", "name is missing"),
        ('{"name":7}', "name: "),
        ('{"name":null}', "name: "),
        ('{"name":"a","pair":["b"]}', "pair: "),
        ('{"name":"a","pair":5}', "pair: "),
        ('{"name":"a","rows":[{}]}', "rows: low is missing"),
        ('{"name":"a","rows":[{"low":true}]}', "rows: low: "),
        ('{"name":"a","rows":[5]}', "rows: "),
        ('{"name":"a","colour":"blue"}', "colour: "),
        ('{"name":"a","colour":[]}', "colour: "),
        ('{"name":"a","more":[]}', "more: "),
        ('{"name":"a","span":[1]}', "span: "),
        ("[]", "not what belongs there"),
        ("5", "not what belongs there"),
    ],
)
def test_what_is_something_else_is_refused_with_its_key(text: str, why: str) -> None:
    with pytest.raises(InputError, match=f"^{why}"):
        typed(Row, parse_json(text.encode()))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"x",
        b"\xff",
        b'{"a":Infinity}',
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"9" * 5000,
        b"-9223372036854775808",
        b'"\\u0000"',
        b'"\\ud800"',
        b'{"\\ud800":1}',
        b"[" * 100_000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b'{"a":' * 50_000,
        b'{"a":1,"b":2,"a":1}',
        b'[{"b":{"a":null,"\\u0061":1}}]',
    ],
)
def test_what_tokar_never_writes_is_refused(text: bytes) -> None:
    with pytest.raises(InputError):
        parse_json(text)


def test_a_key_that_is_there_twice_is_named() -> None:
    with pytest.raises(InputError, match="it has a key twice: 'low'"):
        parse_json('{"low": 1, "high": 2, "low": 3}')


def test_bytes_of_a_name_that_are_no_text_come_back() -> None:
    assert parse_json(b'"a\\udc80"') == "a\udc80"


@examples(200)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["red", "low"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["name", "pair", "rows", "colour", "low", "span"]), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_whatever_is_read_is_of_the_type_or_refused(value: Any) -> None:
    try:
        row = typed(Row, parse_json(json.dumps(value).encode()))
    except InputError:
        return
    assert isinstance(row.name, str)
    assert all(isinstance(one, str) for one in row.pair)
    assert all(type(one["low"]) is int for one in row.rows)


@given(data=st.binary(max_size=100))
def test_bytes_of_any_kind_are_a_value_or_refused(data: bytes) -> None:
    try:
        parse_json(data)
    except InputError:
        return


def test_whatever_is_read_back_goes_through_one_bounded_parser() -> None:
    """Of the archive format there is one more, which takes nothing but canonical JSON, and one for TOML."""
    readers = {"storage/stored_json.py": "json.loads", "format/canonical_json.py": "json.loads"}
    readers["restore/locations.py"] = "tomllib.loads"
    pattern = re.compile(
        r"json\.loads?\(|JSONDecoder|tomllib\.loads?\(|\b(?:pickle|marshal|shelve|yaml|plistlib|configparser)\b"
        r"|xml\.|literal_eval|\beval\(|\bexec\("
    )
    source = Path(tokar.__file__).parent
    found = {
        path.relative_to(source).as_posix(): match[0].rstrip("(")
        for path in source.rglob("*.py")
        for match in pattern.finditer(path.read_text(encoding="utf-8"))
    }
    assert found == readers
