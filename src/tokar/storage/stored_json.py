"""JSON that tokar wrote and reads back: receipts, journals, what a lab remembers. Anybody may have changed it since.

One parser for all of it, bounded in size, depth and numbers, and typed: a dataclass or a TypedDict says what is wanted.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from types import UnionType
from typing import (
    Any,
    Final,
    NoReturn,
    NotRequired,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from tokar.errors import InputError

MAX_DEPTH: Final = 32
_MAX_INTEGER: Final = 1 << 63
_MAX_DIGITS: Final = 20
_NO_TEXT: Final = re.compile(
    "[\\0\\ud800-\\udc7f\\udd00-\\udfff]"
)  # the rest of the surrogates stand for bytes of names
_T = TypeVar("_T")


def parse_json(data: bytes | str) -> Any:
    """Return the value in JSON of the kind that tokar writes.

    Raises:
        InputError: It is not JSON, nests too deeply, has numbers or text that nothing of tokar has, or a key twice.
    """
    try:
        value = json.loads(
            data, parse_int=_integer, parse_float=_fraction, parse_constant=_refuse, object_pairs_hook=_object
        )
    except (ValueError, RecursionError) as error:
        raise InputError("it is not JSON") from error
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return value
    raise InputError(f"it nests deeper than {MAX_DEPTH}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; of two values for a key nobody could say which counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise InputError(f"it has a key twice: {twice!r:.40}")
    return found


def _inside(value: Any) -> list[Any]:
    """Return what is in a value, one level down."""
    if isinstance(value, str) and _NO_TEXT.search(value):
        raise InputError("it has text that no name has")
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS or abs(int(text)) >= _MAX_INTEGER:
        raise InputError(f"it has a number out of range: {text[:_MAX_DIGITS]}")
    return int(text)


def _fraction(text: str) -> float:
    if not math.isfinite(number := float(text)):
        _refuse(text)
    return number


def _refuse(text: str) -> NoReturn:
    raise InputError(f"it has a number out of range: {text[:_MAX_DIGITS]}")


def typed(wanted: type[_T], value: Any) -> _T:
    """Return a parsed value as what is wanted.

    Args:
        wanted: A dataclass or a TypedDict, whose fields must be there unless they have defaults or need not; an enum,
            text, a number, a tuple of these, or one of several. Keys that it does not have are passed over.
        value: The value.

    Raises:
        InputError: It is something else; the message names the key.
    """
    return cast("_T", _typed(wanted, value))


@cache
def _hints(wanted: Any) -> dict[str, Any]:
    """Return the types of the fields of a type: to evaluate them takes longer than to check a value."""
    return get_type_hints(wanted, include_extras=is_typeddict(wanted))


def _typed(wanted: Any, value: Any) -> Any:
    origin, inner = get_origin(wanted), get_args(wanted)
    if origin is NotRequired:
        return _typed(inner[0], value)
    if origin in (Union, UnionType):
        return _one_of(inner, value)
    if isinstance(value, dict) and (is_typeddict(wanted) or is_dataclass(wanted)):
        return _record(wanted, value)
    if origin is tuple and isinstance(value, list):
        kinds = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        if len(kinds) == len(value):
            return tuple(map(_typed, kinds, value))
    if isinstance(wanted, type) and issubclass(wanted, Enum) and value in [one.value for one in wanted]:
        return wanted(value)
    # type() and not isinstance(): a bool is no number here
    if wanted is Any or type(value) is wanted or (origin is Mapping and isinstance(value, dict)):
        return value
    raise InputError(f"not what belongs there: {value!r:.40}")


def _record(wanted: Any, value: dict[str, Any]) -> Any:
    if is_typeddict(wanted):
        needed = {
            key for key, hint in _hints(wanted).items() if wanted.__total__ and get_origin(hint) is not NotRequired
        }
        return _members(wanted, value, needed)
    needed = {one.name for one in fields(wanted) if one.default is MISSING and one.default_factory is MISSING}
    return wanted(**_members(wanted, value, needed))


def _one_of(kinds: tuple[Any, ...], value: Any) -> Any:
    for kind in kinds[:-1]:
        with suppress(InputError):
            return _typed(kind, value)
    return _typed(kinds[-1], value)


def _members(wanted: Any, value: dict[str, Any], needed: set[str]) -> dict[str, Any]:
    """Return the keys of an object that a type has, each with its own type."""
    found = {}
    for key, kind in _hints(wanted).items():
        if key not in value:
            if key in needed:
                raise InputError(f"{key} is missing")
            continue
        try:
            found[key] = _typed(kind, value[key])
        except InputError as error:
            raise InputError(f"{key}: {error.message}") from error
    return found
