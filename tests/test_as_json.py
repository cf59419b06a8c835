"""Any value as values for JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath
from typing import Any

import pytest

from tokar.as_json import as_json, fields_json, json_pieces


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    digest: bytes
    colour: Colour


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner
    places: tuple[PurePosixPath, ...]
    ids: frozenset[int]


@dataclass(frozen=True)
class Own:
    number: int

    def to_json(self) -> dict[str, Any]:
        return {"at": hex(self.number)}


VALUE = Outer("a", Inner(b"\x01\xff", Colour.RED), (PurePosixPath("/x"),), frozenset({3, 1}))


def test_a_dataclass_becomes_its_fields_in_the_order_of_their_declaration() -> None:
    made = as_json(VALUE)
    assert made == {"name": "a", "inner": {"digest": "01ff", "colour": "red"}, "places": ["/x"], "ids": [1, 3]}
    assert list(made) == ["name", "inner", "places", "ids"]
    assert json.loads(json.dumps(made)) == made


def test_a_method_of_its_own_comes_first() -> None:
    assert as_json({"one": [Own(255), None, True, 1.5]}) == {"one": [{"at": "0xff"}, None, True, 1.5]}


def test_only_the_named_attributes_are_taken() -> None:
    assert fields_json(VALUE, "name") == {"name": "a"}


def test_an_attribute_that_is_not_there_is_an_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        fields_json(VALUE, "nothing")


def test_a_value_without_a_form_in_json_is_an_error() -> None:
    with pytest.raises(AssertionError):
        as_json(object())


@pytest.mark.parametrize("value", [{}, {"a": {}}, {"a": {"b": [1, {"c": []}], "\n": "x\ny"}, "d": [], "e": None}])
def test_pieces_are_the_indented_text(value: dict[str, Any]) -> None:
    assert "".join(json_pieces(value)) == json.dumps(value, indent=2)


def test_an_iterator_becomes_an_array_that_is_held_nowhere() -> None:
    rows = iter([{"at": 0}, {"at": 1}, {"at": 2}])
    pieces = json_pieces({"rows": rows, "none": iter(())})
    first = next(piece for piece in pieces if '"at"' in piece)
    assert (json.loads(first.strip("[\n ")), next(rows)) == ({"at": 0}, {"at": 1})
    assert json.loads('{"rows": [' + "".join(pieces).removeprefix(",")) == {"rows": [{"at": 2}], "none": []}


def test_an_iterator_in_an_object_in_an_array_is_held_nowhere_either() -> None:
    rows = iter([1, 2])
    assert json.loads("".join(json_pieces({"all": [{"rows": rows}, 3, {"rows": []}]}))) == {
        "all": [{"rows": [1, 2]}, 3, {"rows": []}]
    }


def test_what_an_iterator_raises_ends_the_pieces() -> None:
    with pytest.raises(ZeroDivisionError):
        "".join(json_pieces({"rows": (1 // at for at in (1, 0))}))
