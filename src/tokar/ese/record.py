"""How a frozen dataclass declares the bytes it stands for.

A record is declared once: each field's annotation names its type in Python and its form on disk, in the order of the
disk, so that the class body reads like the table it comes from::

    class Mark(Record):
        generation: U32 = 0
        time: LogTime = NO_TIME

A field whose type is itself a record is laid out in place. Fields of bytes at the end of a record may take their
length from a field before them (`Sized`). `layout` gives the declaration as one construct; `unpack` and `pack` run a
packer that is derived from the same forms, because a folder may hold ten thousand logs.
"""

# Annotations are read here, so they must not be turned into text: no `from __future__ import annotations` in modules
# with records.

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cache
from operator import attrgetter
from typing import Annotated, Any, NamedTuple, Self, TypeVar, cast, get_args

from construct import Bytes, FormatField, Int8ul, Int16sl, Int16ul, Int32sl, Int32ul, Int64sl, Int64ul, Struct

from tokar.errors import HeaderError, InputError

U8 = Annotated[int, Int8ul]
U16 = Annotated[int, Int16ul]
I16 = Annotated[int, Int16sl]
U32 = Annotated[int, Int32ul]
I32 = Annotated[int, Int32sl]
U64 = Annotated[int, Int64ul]
I64 = Annotated[int, Int64sl]

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def raw(size: int) -> Any:
    """Return the construct of `size` bytes that are kept as they are."""
    return Bytes(size)


@dataclass(frozen=True, slots=True)
class Sized:
    """The form of bytes whose length stands in an earlier field, in those bits of it that the mask has."""

    field: str
    mask: int = 0xFFFFFFFF


class Record:
    """The base of dataclasses that stand for bytes. All integers are little-endian."""

    __slots__ = ()

    @classmethod
    def layout_size(cls) -> int:
        """Return the bytes that a record takes, without fields whose length varies."""
        return packer(cls).size

    @classmethod
    def unpack(cls, data: bytes | memoryview, offset: int = 0) -> Self:
        """Return the record whose bytes begin at `offset`; what follows them is not looked at.

        Raises:
            HeaderError: There are too few bytes.
        """
        found = packer(cls)
        if len(data) - offset < found.size:
            here = max(len(data) - offset, 0)
            raise HeaderError(f"{cls.__name__} takes {found.size} bytes, {here} are here", offset=offset)
        return cast("Self", assemble(cls, iter(found.unpack_from(data, offset))))

    def pack(self) -> bytes:
        """Return the bytes of this record alone, without any checksum.

        Raises:
            InputError: A value does not fit its field.
        """
        try:
            plain = packer(type(self)).pack(*_plain_values(type(self))(self))
        except struct.error as error:
            raise InputError(f"{type(self).__name__}: {error}") from error
        return plain + b"".join(getattr(self, name) for name in _sized(type(self)))


def _remember(function: FunctionT) -> FunctionT:
    """Return `function` computed once a record type: `cache` hides the signature, and its stubs refuse classes."""
    return cache(function)  # type: ignore[return-value] # it is called like the function it wraps


@_remember
def layout(record: type[Record]) -> Any:
    """Return the construct declaration of a record."""
    return Struct(*(name / (layout(kind) if kind else _construct(form)) for name, kind, form in _members(record)))


def _construct(form: Any) -> Any:
    """Return the construct of a form: a length is looked up among the fields before it."""
    return Bytes(lambda this: this[form.field] & form.mask) if isinstance(form, Sized) else form


@_remember
def _members(record: type[Record]) -> tuple[tuple[str, type[Record] | None, Any], ...]:
    """Return name, record type (None for plain fields) and form (None for records) of each field."""
    members: list[tuple[str, type[Record] | None, Any]] = []
    for field in fields(record):  # type: ignore[arg-type] # every record is a dataclass
        if isinstance(field.type, type) and issubclass(field.type, Record):
            members.append((field.name, field.type, None))
        else:
            members.append((field.name, None, get_args(field.type)[1]))
    return tuple(members)


@_remember
def packer(record: type[Record]) -> struct.Struct:
    """Return the packer derived from a declaration: ten times as fast as construct, which takes 2 ms for a database."""
    return struct.Struct("<" + "".join(code for _, code in _codes(record)))


class Length(NamedTuple):
    """Where the length of a field of bytes stands."""

    place: int  # Of its field among the plain ones
    code: str  # How it is packed
    offset: int  # From the start of the record
    mask: int  # The bits of it that count


@_remember
def lengths(record: type[Record]) -> tuple[Length, ...]:
    """Return where the length of each field of varying length stands, in the order of these fields."""
    places: dict[str, tuple[int, str, int]] = {}
    codes = "<"
    for index, (name, code) in enumerate(_codes(record)):
        places[name] = index, code, struct.calcsize(codes)
        codes += code
    forms = (form for _, _, form in _members(record) if isinstance(form, Sized))
    return tuple(Length(*places[form.field], form.mask) for form in forms)


def is_flat(record: type[Record]) -> bool:
    """Return whether no field of a record is a record itself."""
    return not any(kind for _, kind, _ in _members(record))


def _codes(record: type[Record]) -> Iterator[tuple[str, str]]:
    """Yield name and packing code of each plain field."""
    for name, kind, form in _members(record):
        if kind:
            yield from _codes(kind)
        elif not isinstance(form, Sized):
            yield name, form.fmtstr[1:] if isinstance(form, FormatField) else f"{form.length}s"


def assemble(record: Any, values: Iterator[Any]) -> Any:
    """Return a record from the plain values of its fields, in their order."""
    if (names := _names_of_flat(record)) is not None:
        return record(**dict(zip(names, values, strict=False)))  # what follows them is for the next record
    return record(**{name: assemble(kind, values) if kind else next(values) for name, kind, _ in _members(record)})


@_remember
def _names_of_flat(record: type[Record]) -> tuple[str, ...] | None:
    """Return the names of the fields of a record, none of which is a record or varies in length; None for others."""
    is_plain = is_flat(record) and not _sized(record)
    return tuple(name for name, _, _ in _members(record)) if is_plain else None


@_remember
def _sized(record: type[Record]) -> tuple[str, ...]:
    """Return the names of the fields of varying length."""
    return tuple(name for name, _, form in _members(record) if isinstance(form, Sized))


@_remember
def _plain_values(record: type[Record]) -> Callable[[Any], tuple[Any, ...]]:
    """Return what gives the values of the plain fields of a record, in the order of the disk."""
    get = attrgetter(*_plain_names(record), "__class__")  # one more, so that it is a tuple even of one field
    return lambda one: get(one)[:-1]


def _plain_names(record: type[Record], prefix: str = "") -> Iterator[str]:
    for name, kind, form in _members(record):
        if kind:
            yield from _plain_names(kind, f"{prefix}{name}.")
        elif not isinstance(form, Sized):
            yield prefix + name
