"""Canonical JSON (spec/format.md section 5): one text for one value, and nothing that two parsers could read differently."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from tokar.errors import FormatError
from tokar.format.records import MAX_INTEGER, MAX_JSON_DEPTH

_KEY = re.compile(r"[a-z0-9_]+")
# A string that never ends is taken to the end of the body, so that the search stays linear on hostile input.
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
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


def decode(body: bytes) -> dict[str, Any]:
    """Return the object in a body.

    Raises:
        FormatError: The body is not canonical JSON; `rule` says why.
    """
    try:
        return _decode(body)
    except _BrokenRuleError as error:
        raise FormatError(f"not canonical JSON: {error}", rule=error.rule) from error


def _dump(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode("utf-8")


def _decode(body: bytes) -> dict[str, Any]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _BrokenRuleError("JSON-1", f"not UTF-8 at byte {error.start} of the body") from error
    if depth(body) > MAX_JSON_DEPTH:  # before the parser recurses
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
