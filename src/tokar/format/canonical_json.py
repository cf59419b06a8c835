"""Canonical JSON (spec/format.md section 5): one text for one value, and tables of keys to hold an object against."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NoReturn, TypeVar

from tokar.as_json import MAX_INTEGER, to_base64
from tokar.errors import FormatError
from tokar.format.records import MAX_JSON_DEPTH

_KEY = re.compile(r"[a-z0-9_]+")
# A string that never ends is taken to the end of the body, so that the search stays linear on hostile input.
_STRUCTURE = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_MAX_DIGITS = 17  # a minus sign and the 16 digits of 2^53


class _BrokenRuleError(Exception):
    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message)
        self.rule = rule


def encode(value: dict[str, Any]) -> bytes:
    """Return the canonical bytes of an object.

    Raises:
        FormatError: The value has something that canonical JSON cannot hold.
    """
    try:
        _check_value(value, depth=1)
    except _BrokenRuleError as error:
        raise FormatError(f"cannot be written as canonical JSON: {error}", rule=error.rule) from error
    return _dump(value)


def decode(body: bytes, *, position: int | None = None) -> dict[str, Any]:
    """Return the object in a body. `position`: of its record, for the error.

    Raises:
        FormatError: The body is not canonical JSON; `rule` says why.
    """
    try:
        return _decode(body)
    except _BrokenRuleError as error:
        raise FormatError(f"not canonical JSON: {error}", rule=error.rule, offset=position) from error


def _dump(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode("utf-8")


def _decode(body: bytes) -> dict[str, Any]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _BrokenRuleError("JSON-1", f"not UTF-8 at byte {error.start} of the body") from error
    may_nest = body.count(b"[") + body.count(b"{") > MAX_JSON_DEPTH
    if may_nest and depth(body) > MAX_JSON_DEPTH:  # before the parser recurses
        raise _BrokenRuleError("JSON-7", f"nested deeper than {MAX_JSON_DEPTH}")
    try:
        value = json.loads(
            text,
            parse_int=_integer,
            parse_float=_refuse_fraction,
            parse_constant=_refuse_constant,
            object_pairs_hook=_unique,
        )
    except (json.JSONDecodeError, RecursionError) as error:
        raise _BrokenRuleError("JSON-1", str(error)) from error
    if not isinstance(value, dict):
        raise _BrokenRuleError("JSON-1", "not an object")
    _check_value(value, depth=1)
    again = _dump(value)
    if again != body:
        raise _BrokenRuleError(*_difference(body, value))
    return value


def depth(body: bytes) -> int:
    """Return how deep objects and arrays nest, without parsing."""
    level = deepest = 0
    for match in _STRUCTURE.finditer(body):
        first = match[0][:1]
        if first in b"[{":
            level += 1
            deepest = max(deepest, level)
        elif first in b"]}":
            level -= 1
    return deepest


def _difference(body: bytes, value: dict[str, Any]) -> tuple[str, str]:
    """Say which rule a parsed but not canonical body breaks."""
    if re.search(rb"\s", re.sub(rb'"(?:[^"\\]|\\.)*"', b"", body, flags=re.DOTALL)):
        return "JSON-2", "white space outside strings"
    unsorted = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    if unsorted == body:
        return "JSON-3", "keys are not sorted"
    return "JSON-6", "a string has an escape that is not needed, or lacks one"


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS or abs(int(text)) > MAX_INTEGER or text == "-0":
        raise _BrokenRuleError("JSON-4", f"integer out of range: {text[:24]}")
    return int(text)


def _refuse_fraction(text: str) -> NoReturn:
    raise _BrokenRuleError("JSON-4", f"not an integer: {text[:24]}")


def _refuse_constant(text: str) -> NoReturn:
    raise _BrokenRuleError("JSON-5", f"not allowed: {text}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _BrokenRuleError("JSON-3", "a key stands twice")
    return value


def _check_value(value: object, *, depth: int) -> None:
    if isinstance(value, dict | list):
        _check_container(value, depth=depth)
    elif isinstance(value, str):
        if not _is_scalar(value):
            raise _BrokenRuleError("JSON-6", "a string holds a surrogate")
    elif isinstance(value, int):  # bool too, which is always in range
        if abs(value) > MAX_INTEGER:
            raise _BrokenRuleError("JSON-4", f"integer out of range: {value}")
    else:
        rule = "JSON-4" if isinstance(value, float) else "JSON-5"
        raise _BrokenRuleError(rule, f"not allowed: {value!r:.40}")


def _check_container(value: dict[object, object] | list[object], *, depth: int) -> None:
    if depth > MAX_JSON_DEPTH:
        raise _BrokenRuleError("JSON-7", f"nested deeper than {MAX_JSON_DEPTH}")
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str) or not _KEY.fullmatch(key):
                raise _BrokenRuleError("JSON-3", f"not a key: {key!r:.40}")
    for item in value.values() if isinstance(value, dict) else value:
        _check_value(item, depth=depth + 1)


def _is_scalar(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


Check = Callable[[Any], bool]
T = TypeVar("T")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):\d\d:\d\d\.\d{6}Z", re.ASCII)
_DECIMAL: Final = re.compile(r"[1-9][0-9]{15,19}")
_HEX: Final = re.compile(r"[0-9a-f]*")


@dataclass(frozen=True, slots=True)
class Key:
    """One row of a table of keys."""

    check: Check
    required: bool = False


def demand_keys(value: Mapping[str, Any], keys: Mapping[str, Key], *, rule: str, position: int) -> None:
    """Check an object against a table of keys; keys that the table lacks are ignored.

    Raises:
        FormatError: `rule`, a key is missing or has another form.
    """
    problem = _first_problem(value, keys)
    if problem:
        raise FormatError(problem, rule=rule, offset=position)


def _first_problem(value: Mapping[str, Any], keys: Mapping[str, Key]) -> str | None:
    for name, key in keys.items():
        if name not in value:
            if key.required:
                return f"the key {name!r} is missing"
        elif not key.check(value[name]):
            return f"the key {name!r} does not have its form"
    return None


def is_text(value: Any) -> bool:
    """Whether it is a string."""
    return isinstance(value, str)


def is_time(value: Any) -> bool:
    """Whether it is a time such as 2026-01-02T03:04:05.000006Z."""
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def is_count(value: Any) -> bool:
    """Whether it is an integer of 0 or more, or a larger one within u64 as a decimal string."""
    if isinstance(value, str):
        return bool(_DECIMAL.fullmatch(value)) and MAX_INTEGER < int(value) < 1 << 64
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_base64(value: Any) -> bool:
    """Whether it is canonical base64 with padding."""
    try:
        return isinstance(value, str) and to_base64(base64.b64decode(value, validate=True)) == value
    except ValueError:  # binascii.Error is one, and so is what comes for letters beyond ASCII
        return False


def is_byte(value: Any) -> bool:
    """Whether it is an integer from 0 to 255."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255


def is_hex(digits: int) -> Check:
    """Return a check for lower-case hexadecimal of so many digits."""
    return lambda value: isinstance(value, str) and len(value) == digits and bool(_HEX.fullmatch(value))


def one_of(*values: str) -> Check:
    """Return a check for one of some strings."""
    return lambda value: isinstance(value, str) and value in values


def matches(pattern: str) -> Check:
    """Return a check for a string of a pattern."""
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and bool(compiled.fullmatch(value))


def array_of(check: Check) -> Check:
    """Return a check for an array."""
    return lambda value: isinstance(value, list) and all(map(check, value))


def is_sorted_text(value: Any) -> bool:
    """Whether it is an array of strings, sorted and unique."""
    return isinstance(value, list) and all(map(is_text, value)) and sorted(set(value)) == value


def object_with(keys: Mapping[str, Key]) -> Check:
    """Return a check for an object with a table of keys of its own."""
    return lambda value: isinstance(value, dict) and _first_problem(value, keys) is None


def object_of(check: Check) -> Check:
    """Return a check for an object whose values all have one form."""
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


def fitting(items: Iterable[T], room: int, size_of: Callable[[T], int]) -> list[T]:
    """Return the first items, as many as there is room for; the room is as long as all of their sizes."""
    kept = []
    for item in items:
        room -= size_of(item)
        if room < 0:
            break
        kept.append(item)
    return kept


def to_time(moment: datetime) -> str:
    """Return a moment as it is written; it must know its zone."""
    # not strftime: its %Y has fewer than four digits for early years on some platforms
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
