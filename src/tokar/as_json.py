"""Any value as values for JSON: one rule for every dataclass, in place of one method each; and how bytes are spelt."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import PurePath
from typing import Any, Final

Array = Callable[[Iterable[Any]], Any]
"""What makes an array of rows of which there may be very many: `list`, or `iter` where `json_pieces` prints them."""
MAX_INTEGER: Final = (1 << 53) - 1
"""The greatest integer that every reader of JSON keeps as it is."""


def to_base64(data: bytes) -> str:
    """Return bytes as text."""
    return base64.b64encode(data).decode("ascii")


def to_count(value: int) -> int | str:
    """Return a count as JSON can hold it exactly: larger ones as text."""
    return value if value <= MAX_INTEGER else str(value)


def as_json(value: object) -> Any:
    """Return a value as values for JSON.

    A dataclass becomes an object with its fields in their order, unless it has `to_json` of its own; an enum its value;
    bytes become hex digits; paths text; tuples, lists and generators arrays; sets sorted arrays.
    """
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, bytes | PurePath):
        return value.hex() if isinstance(value, bytes) else str(value)
    if hasattr(value, "to_json") or is_dataclass(value):
        return value.to_json() if hasattr(value, "to_json") else fields_json(value)
    if isinstance(value, Mapping):
        return {key: as_json(one) for key, one in value.items()}
    assert isinstance(value, Iterable)
    return [as_json(one) for one in (sorted(value) if isinstance(value, set | frozenset) else value)]


def fields_json(record: object, *names: str) -> dict[str, Any]:
    """Return the named attributes of a record as values for JSON; all of its fields where none is named."""
    chosen = names or tuple(field.name for field in fields(record))  # type: ignore[arg-type]
    return {name: as_json(getattr(record, name)) for name in chosen}


def json_pieces(value: Any, indent: str = "\n") -> Iterator[str]:
    """Yield the text of values for JSON, indented; an iterator among them becomes an array, held nowhere.

    Such iterators may also be in objects that are in arrays.
    """
    deeper = indent + "  "
    if isinstance(value, dict) and value:
        for number, (key, one) in enumerate(value.items()):
            yield f"{',' if number else '{'}{deeper}{json.dumps(str(key))}: "
            yield from json_pieces(one, deeper)
        yield indent + "}"
    elif isinstance(value, Iterator):
        before = "["
        for one in value:
            yield before + deeper + json.dumps(one)
            before = ","
        yield "[]" if before == "[" else indent + "]"
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        for number, one in enumerate(value):
            yield f"{',' if number else '['}{deeper}"
            yield from json_pieces(one, deeper)
        yield indent + "]"
    else:
        yield json.dumps(value, indent=2).replace("\n", indent)
