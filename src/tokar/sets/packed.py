"""Keeps the facts of a log in little room, of which there may be very many: own values as bytes, the others once.

The dataclass stays the table that it is; values that do not fit, which no engine writes, are kept as they are.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import lru_cache
from typing import Any, Final, TypeVar, cast

from tokar.ese.content_facts import LogReport
from tokar.ese.values import LogTime

ClassT = TypeVar("ClassT", bound=type)

# What differs from log to log, and how it is packed; None is kept apart.
_OWN: Final = {
    "size": "I",
    "number": "I",
    "generation": "i",
    "named_generation": "I",
    "reached": "I",
    "reaches": "I",
    "created": "8s",
    "previous_created": "8s",
    "previous_segments_xor": "Q",
    "digest": "32s",
}
_TEXTS: Final = ("name", "reached_by")
_TIMES: Final = ("created", "previous_created")
_REPORT: Final = {"valid": "I", "shadow": "I", "empty": "I", "end": "I", "size": "I", "segments_xor": "Q"}  # content
_REPORT_REST: Final = tuple(one.name for one in fields(LogReport) if one.name not in _REPORT)
_CODES: Final = ("H", *_OWN.values())  # the length of the name first
_PACKER: Final = struct.Struct("<" + "".join(_CODES))
_REPORT_PACKER: Final = struct.Struct("<" + "".join(_REPORT.values()))


@lru_cache(maxsize=256)
def _once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return values that many logs share, the same tuple each time."""
    return values


@lru_cache(maxsize=256)
def _time(data: bytes) -> LogTime:
    return LogTime.unpack(data)


def packed(cls: ClassT) -> ClassT:
    """Return a dataclass of the facts of a log whose values take little room."""
    declared = {one.name: one.default for one in fields(cls)}
    others = [name for name in declared if name not in {*_OWN, *_TEXTS, "content"}]

    def begin(self: Any, **values: Any) -> None:
        lacking = [name for name, default in declared.items() if default is MISSING and name not in values]
        if lacking or not values.keys() <= declared.keys():
            raise TypeError(f"{cls.__name__}: {', '.join(lacking or sorted(values.keys() - declared.keys()))}")
        values = {**declared, **values}
        try:
            own, shared = _pack(values, others)
        except (struct.error, UnicodeEncodeError, AttributeError):
            own, shared = b"", tuple(values.values())
        object.__setattr__(self, "own", own)
        object.__setattr__(self, "shared", shared)

    def same(self: Any, other: Any) -> bool:
        return type(other) is type(self) and (self.own, self.shared) == (other.own, other.shared)

    def key(self: Any) -> int:
        return hash((self.own, self.shared))

    kept = {name: one for name, one in vars(cls).items() if name not in {*declared, "__dict__", "__weakref__"}}
    own = {"__slots__": ("own", "shared"), "__init__": begin, "__eq__": same, "__hash__": key}
    reads = {name: property(_reader(name, others, [*declared].index(name))) for name in declared}
    return type(cls)(cls.__name__, cls.__bases__, {**kept, **own, **reads})


def _pack(values: dict[str, Any], others: list[str]) -> tuple[bytes, tuple[Any, ...]]:
    """Return what differs from log to log, and what does not: what is None, the rest of the content, and the others."""
    numbers = [values[name].pack() if name in _TIMES else values[name] for name in _OWN]
    texts, content = [values[name].encode() for name in _TEXTS], values["content"]
    counts = [] if content is None else [getattr(content, name) for name in _REPORT]
    absent = tuple(name for name, one in zip((*_OWN, *_REPORT), (*numbers, *counts), strict=False) if one is None)
    own = _PACKER.pack(len(texts[0]), *map(_zero, _OWN.values(), numbers))
    if content is not None:
        own += _REPORT_PACKER.pack(*map(_zero, _REPORT.values(), counts))
    rest = None if content is None else tuple(getattr(content, name) for name in _REPORT_REST)
    return own + b"".join(texts), _once((absent, rest, *(values[name] for name in others)))


def _zero(code: str, value: Any) -> Any:
    """Return a value that can be packed."""
    return value if value is not None else b"" if code.endswith("s") else 0


def _reader(name: str, others: list[str], place: int) -> Callable[[Any], Any]:
    """Return what reads a field."""
    if name in _TEXTS:
        return lambda log: _text(log, name) if log.own else log.shared[place]
    if name == "content":
        return lambda log: _content(log) if log.own else log.shared[place]
    if name not in _OWN:
        at = 2 + others.index(name)
        return lambda log: log.shared[at if log.own else place]
    before = _CODES[: 1 + [*_OWN].index(name)]
    code, offset = struct.Struct("<" + _OWN[name]), struct.calcsize("<" + "".join(before))

    def number(log: Any) -> Any:
        if not log.own:
            return log.shared[place]
        if name in log.shared[0]:
            return None
        (value,) = code.unpack_from(log.own, offset)
        return _time(value) if name in _TIMES else value

    return number


def _text(log: Any, name: str) -> str:
    start = _PACKER.size + (0 if log.shared[1] is None else _REPORT_PACKER.size)
    middle = start + int.from_bytes(log.own[:2], "little")
    return cast("bytes", log.own[start:middle] if name == _TEXTS[0] else log.own[middle:]).decode()


def _content(log: Any) -> LogReport | None:
    absent, rest = log.shared[:2]
    if rest is None:
        return None
    return _report(log.own[_PACKER.size : _PACKER.size + _REPORT_PACKER.size], absent, rest)


@lru_cache(maxsize=256)
def _report(data: bytes, absent: tuple[str, ...], rest: tuple[Any, ...]) -> LogReport:
    counts = dict(zip(_REPORT, _REPORT_PACKER.unpack(data), strict=True))
    counts |= {name: None for name in _REPORT if name in absent and name not in _OWN}
    return LogReport(**counts, **dict(zip(_REPORT_REST, rest, strict=True)))
