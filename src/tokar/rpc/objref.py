"""References to objects, and where their servers are reached (MS-DCOM 2.2.18, 2.2.19), and the head of every call."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final

from tokar.ese.record import U16, U32, U64, Record, raw
from tokar.rpc.ndr import NdrReader, NdrWriter
from tokar.rpc.wire_errors import WireError

Guid = Annotated[bytes, raw(16)]

VERSION: Final = (5, 7)  # of DCOM: the highest that we speak
TCP: Final = 7  # the kind of a binding
_MEOW: Final = 0x574F454D
_STANDARD: Final = 1
_CUSTOM: Final = 4
_NO_PINGS: Final = 0x1000
_MOST_EXTENSIONS: Final = 64


# fmt: off
@dataclass(frozen=True, slots=True, kw_only=True)
class OrpcThis(Record):
    """What every call of an object begins with; no extensions follow it."""

    major: U16 = VERSION[0]
    minor: U16 = VERSION[1]
    flags: U32 = 0
    reserved: U32 = 0
    causality: Guid
    extensions: U32 = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardRef(Record):
    """A reference to an object of another machine; where its resolver is reached follows it."""

    signature: U32 = _MEOW
    kind: U32 = _STANDARD
    interface: Guid
    flags: U32 = 0
    references: U32          # that we hold, and have to give back
    exporter: U64            # OXID: the process
    object: U64              # OID: what is pinged
    interface_pointer: Guid  # IPID: what is called

    @property
    def wants_pings(self) -> bool:
        """Whether it is reclaimed when nobody pings it."""
        return not self.flags & _NO_PINGS


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomRef(Record):
    """A reference in a form of its own; its data follow it."""

    signature: U32 = _MEOW
    kind: U32 = _CUSTOM
    interface: Guid
    unmarshaler: Guid
    extension: U32 = 0
    size: U32                # of the data, and 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseEntry(Record):
    """What is given back of one interface (REMINTERFACEREF)."""

    interface_pointer: Guid
    public: U32
    private: U32 = 0
# fmt: on


@dataclass(frozen=True, slots=True)
class Binding:
    """A way to a server."""

    kind: int  # `TCP`, or another one
    address: str  # Such as `ca1.lab.example[49670]`

    @property
    def host(self) -> str:
        """The host in the address."""
        return self.address.partition("[")[0]

    @property
    def port(self) -> int | None:
        """The port in the address, if there is one."""
        text = self.address.partition("[")[2].removesuffix("]")
        return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 1 << 16 else None


def skip_that(reader: NdrReader) -> None:
    """Skip what every answer of an object begins with, with all of its extensions.

    Raises:
        WireError: It is cut.
    """
    reader.u32()
    if not reader.u32():
        return
    reader.u32()
    reader.u32()
    if not reader.u32():
        return
    count = reader.count(4)
    if count > _MOST_EXTENSIONS:
        raise WireError(f"an answer with {count} extensions")
    for _ in range(sum(bool(reader.u32()) for _ in range(count))):
        size = reader.count(1)
        reader.guid()
        reader.u32()
        reader.take(size)


def parse_standard(data: bytes) -> StandardRef:
    """Return a reference.

    Raises:
        WireError: It is of another kind, or cut.
    """
    found = NdrReader(data).record(StandardRef)
    if (found.signature, found.kind) != (_MEOW, _STANDARD):
        raise WireError(f"a reference of kind {found.kind}")
    return found


def custom_bytes(interface: bytes, unmarshaler: bytes, data: bytes) -> bytes:
    """Return a reference in a form of its own."""
    return CustomRef(interface=interface, unmarshaler=unmarshaler, size=len(data) + 8).pack() + data


def parse_custom(data: bytes, unmarshaler: bytes) -> bytes:
    """Return the data of a reference in a form of its own.

    Args:
        data: All of it.
        unmarshaler: Whose form it must be.

    Raises:
        WireError: It is of another kind, of somebody else, or cut.
    """
    reader = NdrReader(data)
    found = reader.record(CustomRef)
    if (found.signature, found.kind, found.unmarshaler) != (_MEOW, _CUSTOM, unmarshaler):
        raise WireError(f"a reference of kind {found.kind} or of another class came")
    return reader.take(reader.left)


def take_bindings(reader: NdrReader) -> tuple[Binding, ...]:
    """Take an array of ways to a server (DUALSTRINGARRAY), and return the ways; how they are protected is left out.

    Raises:
        WireError: It is cut.
    """
    count = reader.count(2)
    if reader.u16() != count:
        raise WireError("an array of bindings with two lengths")
    security = reader.u16()
    units = reader.take(2 * count)[: 2 * security]
    return tuple(_bindings(units))


def _bindings(units: bytes) -> Iterator[Binding]:
    at = 0
    while kind := int.from_bytes(units[at : at + 2], "little"):
        end = at + 2
        while units[end : end + 2] not in {b"\0\0", b""}:
            end += 2
        yield Binding(kind, units[at + 2 : end].decode("utf-16-le", "replace"))
        at = end + 2


def interface_bytes(writer: NdrWriter, data: bytes | None) -> NdrWriter:
    """Put a reference behind a unique pointer (MInterfacePointer)."""
    writer.pointer(present=data is not None)
    return writer if data is None else writer.u32(len(data)).array(data)


def take_interface(reader: NdrReader) -> bytes | None:
    """Take a reference behind a unique pointer."""
    if not reader.u32():
        return None
    size = reader.count(1)
    reader.u32()
    return reader.take(size)
