"""Keeps the facts of a log in little room, of which there may be very many: own values as bytes, the others once.

The dataclass stays the table that it is; values that do not fit, which no engine writes, are kept as they are.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields
from functools import lru_cache
from typing import Any, Final, TypeVar, cast

from tokar.ese.content_facts import LogFault, LogFaultKind, LogReport
from tokar.ese.values import LogTime

ClassT = TypeVar("ClassT", bound=type)

# What differs from log to log, and how it is packed; None is kept apart.
_OWN: Final = {
    "size": "I",
    "number": "I",
    "generation": "i",
    "named_generation": "i",  # how much more than that
    "reached": "I",
    "reaches": "I",
    "created": "8s",
    "previous_created": "8s",
    "previous_segments_xor": "Q",
    "digest": "32s",
}
_TEXTS: Final = ("name", "note", "reached_by")
_TIMES: Final = ("created", "previous_created")
_REPORT: Final = {"valid": "I", "shadow": "I", "empty": "I", "end": "I", "segments_xor": "Q"}  # content
_DAMAGE: Final = {"stale": "I", "rescued": "I", "bad": "I", "used": "H"}  # of it too, where there is any
_APART: Final = {*_REPORT, *_DAMAGE, "faults", "marks"}
_REPORT_REST: Final = tuple(one.name for one in fields(LogReport) if one.name not in _APART)
_CODES: Final = ("H", "H", *_OWN.values())  # the lengths of name and note first
_PACKER: Final = struct.Struct("<" + "".join(_CODES))
_REPORT_PACKER: Final = struct.Struct("<H" + "".join(_REPORT.values()))  # the length of the damage first
_DAMAGE_PACKER: Final = struct.Struct("<H" + "".join(_DAMAGE.values()))  # the length of the marks first
_FAULT_PACKER: Final = struct.Struct("<BBII")  # kind and whether there is a segment, count of bits, offset, segment
_KINDS: Final = tuple(LogFaultKind)
_SPELLINGS: Final = ("08X", "05X", "08x", "05x")  # of the number in a name
_LONGEST_SUFFIX: Final = 4
_SIZE_AT: Final = _REPORT_REST.index("size")
_NAMED: Final = [*_OWN].index("named_generation")
_AT_HAND: Final = 64  # of so many logs what was unpacked last is kept: who reads one reads its neighbours, and again
_FORM: Final = ("spelling", "end")  # of a name with a number; with one more where it begins as that of the log


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
        return hash(self.own or self.shared)

    kept = {name: one for name, one in vars(cls).items() if name not in {*declared, "__dict__", "__weakref__"}}
    own = {"__slots__": ("own", "shared"), "__init__": begin, "__eq__": same, "__hash__": key}
    reads = {name: property(_reader(name, others, [*declared].index(name))) for name in declared}
    return type(cls)(cls.__name__, cls.__bases__, {**kept, **own, **reads})


def _pack(values: dict[str, Any], others: list[str]) -> tuple[bytes, tuple[Any, ...]]:
    """Return what differs from log to log, and what does not.

    That is what is None, the rest of the content, how the numbers in names are spelled, and the others.
    """
    numbers = [values[name].pack() if name in _TIMES else values[name] for name in _OWN]
    generation, named, content = values["generation"] or 0, values["named_generation"], values["content"]
    numbers[_NAMED] = None if named is None else named - generation
    name, own_form = _without_number(values["name"], generation)
    by, by_form = _without_number(values["reached_by"], generation + 1)
    if by_form is not None and by == name:  # the next log lies beside it
        by, by_form = "", (*by_form, True)
    texts = [one.encode() for one in (name, values["note"], by)]
    counts = [] if content is None else [getattr(content, name) for name in _REPORT]
    absent = tuple(name for name, one in zip((*_OWN, *_REPORT), (*numbers, *counts), strict=False) if one is None)
    own = _PACKER.pack(*map(len, texts[:2]), *map(_zero, _OWN.values(), numbers))
    if content is not None:
        damage = _pack_damage(content)
        own += _REPORT_PACKER.pack(len(damage), *map(_zero, _REPORT.values(), counts)) + damage
    rest = None if content is None else tuple(getattr(content, name) for name in _REPORT_REST)
    if rest is not None and content.size == values["size"]:
        rest = (*rest[:_SIZE_AT], None, *rest[_SIZE_AT + 1 :])
    return own + b"".join(texts), _once((absent, rest, (own_form, by_form), *(values[name] for name in others)))


def _without_number(text: str, number: int) -> tuple[str, tuple[Any, ...] | None]:
    """Return what stands before the number in the name of a log, and how that goes on; all of it where it has none."""
    stem, dot, suffix = text.rpartition(".")
    if number > 0 and len(suffix) <= _LONGEST_SUFFIX:
        for spelling in _SPELLINGS:
            digits = format(number, spelling)
            if stem.endswith(digits):
                return stem.removesuffix(digits), (spelling, dot + suffix)
    return text, None


def _pack_damage(content: LogReport) -> bytes:
    """Return what is damaged or old in a log, as far as it is listed, and how it ends; nothing where nothing is."""
    counts = [getattr(content, name) for name in _DAMAGE]
    if not any(counts) and not content.faults and not content.marks:
        return b""
    head = _DAMAGE_PACKER.pack(len(content.marks), *counts)
    return head + content.marks + b"".join(map(_pack_fault, content.faults))


def _pack_fault(fault: LogFault) -> bytes:
    kind = 2 * _KINDS.index(fault.kind) + (fault.segment is not None)
    row = _FAULT_PACKER.pack(kind, len(fault.bits), fault.offset, fault.segment or 0)
    return row + struct.pack(f"<{len(fault.bits)}I", *fault.bits)


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
        at = 3 + others.index(name)
        return lambda log: log.shared[at if log.own else place]
    before = _CODES[: 2 + [*_OWN].index(name)]
    code, offset = struct.Struct("<" + _OWN[name]), struct.calcsize("<" + "".join(before))

    def number(log: Any) -> Any:
        if not log.own:
            return log.shared[place]
        if name in log.shared[0]:
            return None
        (value,) = code.unpack_from(log.own, offset)
        if name == "named_generation":
            return value + (log.generation or 0)
        return _time(value) if name in _TIMES else value

    return number


@lru_cache(maxsize=_AT_HAND)
def _text(log: Any, name: str) -> str:
    if name == "note":
        return _kept_text(log, name)
    own_form, by_form = log.shared[2]
    form = own_form if name == "name" else by_form
    if form is None:
        return _kept_text(log, name)
    before = _kept_text(log, "name" if len(form) > len(_FORM) else name)
    return f"{before}{(log.generation or 0) + (name != 'name'):{form[0]}}{form[1]}"


def _kept_text(log: Any, name: str) -> str:
    start = _PACKER.size + _content_size(log)
    sizes = (*struct.unpack_from("<HH", log.own), len(log.own))
    place = _TEXTS.index(name)
    start += sum(sizes[:place])
    return cast("bytes", log.own[start : start + sizes[place]]).decode()


def _content_size(log: Any) -> int:
    if log.shared[1] is None:
        return 0
    return _REPORT_PACKER.size + int.from_bytes(log.own[_PACKER.size : _PACKER.size + 2], "little")


@lru_cache(maxsize=_AT_HAND)
def _content(log: Any) -> LogReport | None:
    absent, rest = log.shared[:2]
    if rest is None:
        return None
    return _report(log.own[_PACKER.size : _PACKER.size + _content_size(log)], absent, rest, log.size)


def _report(data: bytes, absent: tuple[str, ...], rest: tuple[Any, ...], size: int) -> LogReport:
    counts: dict[str, Any] = dict(zip(_REPORT, _REPORT_PACKER.unpack_from(data)[1:], strict=True))
    counts |= {name: None for name in _REPORT if name in absent and name not in _OWN}
    if damage := data[_REPORT_PACKER.size :]:
        size_of_marks, *own = _DAMAGE_PACKER.unpack_from(damage)
        counts |= dict(zip(_DAMAGE, own, strict=True))
        marks_end = _DAMAGE_PACKER.size + size_of_marks
        counts["marks"] = damage[_DAMAGE_PACKER.size : marks_end]
        counts["faults"] = tuple(_faults(damage[marks_end:]))
    more = dict(zip(_REPORT_REST, rest, strict=True))
    return LogReport(**counts, **more | ({"size": size} if more["size"] is None else {}))


def _faults(data: bytes) -> Iterator[LogFault]:
    at = 0
    while at < len(data):
        kind, count, offset, segment = _FAULT_PACKER.unpack_from(data, at)
        bits = struct.unpack_from(f"<{count}I", data, at := at + _FAULT_PACKER.size)
        at += 4 * count
        yield LogFault(_KINDS[kind // 2], offset, segment if kind % 2 else None, bits)
