"""The types of spec/format.md section 5 as checks, and tables of keys made of them."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from tokar.errors import FormatError
from tokar.format.records import MAX_INTEGER

Check = Callable[[Any], bool]
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):\d\d:\d\d\.\d{6}Z", re.ASCII)
_DECIMAL: Final = re.compile(r"[1-9][0-9]{15,19}")
_HEX: Final = re.compile(r"[0-9a-f]*")


@dataclass(frozen=True, slots=True)
class Key:
    """One row of a table of keys."""

    check: Check
    required: bool = False


def demand(value: Mapping[str, Any], keys: Mapping[str, Key], *, rule: str, position: int) -> None:
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
        return isinstance(value, str) and base64.b64encode(base64.b64decode(value, validate=True)).decode() == value
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


def to_count(value: int) -> int | str:
    """Return a count as it is written."""
    return value if value <= MAX_INTEGER else str(value)


def to_time(moment: datetime) -> str:
    """Return a moment as it is written; it must know its zone."""
    # not strftime: its %Y has fewer than four digits for early years on some platforms
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def to_base64(data: bytes) -> str:
    """Return bytes as they are written."""
    return base64.b64encode(data).decode()
