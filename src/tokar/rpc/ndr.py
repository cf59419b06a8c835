"""Values as NDR 2.0 has them, little-endian: each aligned to its size, counted from the start of the stub.

Structures whose members need no alignment between them are records (`tokar.ese.record`), laid out where they are
declared.
"""

from __future__ import annotations

import struct
import uuid
from typing import Final, Self, TypeVar

from tokar.ese.record import Record
from tokar.rpc.wire_errors import WireError

RecordT = TypeVar("RecordT", bound=Record)
NO_GUID: Final = bytes(16)
_FIRST_REFERENT: Final = 0x00020000
_TYPE_1: Final = bytes.fromhex("01100800cccccccc")  # the common header of type serialization 1


def guid(text: str) -> bytes:
    """Return a GUID as it stands on the wire."""
    return uuid.UUID(text).bytes_le


def com_guid(first: int) -> bytes:
    """Return the GUID of COM that begins with a number: all others of its digits are those of COM itself."""
    return guid(f"{first:08x}-0000-0000-c000-000000000046")


class NdrWriter:
    """Puts values behind each other."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._referent = _FIRST_REFERENT

    def done(self) -> bytes:
        """Return all of it."""
        return bytes(self._data)

    def align(self, size: int) -> Self:
        """Fill up to a multiple of `size`."""
        self._data += bytes(-len(self._data) % size)
        return self

    def raw(self, data: bytes) -> Self:
        """Put bytes as they are."""
        self._data += data
        return self

    def record(self, record: Record, *, align: int = 4) -> Self:
        """Put a record."""
        return self.align(align).raw(record.pack())

    def u16(self, value: int) -> Self:
        """Put 16 bits."""
        return self.align(2).raw(struct.pack("<H", value))

    def u32(self, *values: int) -> Self:
        """Put numbers of 32 bits, also negative ones."""
        return self.align(4).raw(struct.pack(f"<{len(values)}I", *(value & 0xFFFFFFFF for value in values)))

    def u64(self, value: int) -> Self:
        """Put 64 bits."""
        return self.align(8).raw(struct.pack("<Q", value))

    def guid(self, data: bytes) -> Self:
        """Put a GUID."""
        return self.align(4).raw(data)

    def pointer(self, *, present: bool) -> Self:
        """Put the referent of a unique pointer; what it points to follows where the type says so."""
        if present:
            self._referent += 4
        return self.u32(self._referent - 4 if present else 0)

    def array(self, data: bytes, *, unit: int = 1) -> Self:
        """Put a conformant array."""
        return self.u32(len(data) // unit).raw(data)

    def string(self, units: bytes) -> Self:
        """Put a string of 16-bit units, given without its end."""
        count = len(units) // 2 + 1
        return self.u32(count, 0, count).raw(units + b"\0\0")

    def unique_string(self, units: bytes | None) -> Self:
        """Put a string behind a unique pointer."""
        self.pointer(present=units is not None)
        return self if units is None else self.string(units)


class NdrReader:
    """Takes values from the front. Whatever a count claims, nothing is taken that is not there.

    Args:
        data: The stub.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes that were not taken yet."""
        return len(self._data) - self._at

    def align(self, size: int) -> Self:
        """Skip to a multiple of `size`."""
        self._at += -self._at % size
        return self

    def take(self, size: int) -> bytes:
        """Take bytes.

        Raises:
            WireError: They are not there.
        """
        if size > self.left:
            raise WireError(f"{size} bytes are wanted, {max(self.left, 0)} are there", offset=self._at)
        self._at += size
        return bytes(self._data[self._at - size : self._at])

    def record(self, record: type[RecordT], *, align: int = 4) -> RecordT:
        """Take a record."""
        return record.unpack(self.align(align).take(record.layout_size()))

    def u16(self) -> int:
        """Take 16 bits."""
        return int.from_bytes(self.align(2).take(2), "little")

    def u32(self) -> int:
        """Take 32 bits."""
        return int.from_bytes(self.align(4).take(4), "little")

    def u64(self) -> int:
        """Take 64 bits."""
        return int.from_bytes(self.align(8).take(8), "little")

    def guid(self) -> bytes:
        """Take a GUID."""
        return self.align(4).take(16)

    def count(self, unit: int) -> int:
        """Take the count of an array and check that what is left may hold it.

        Raises:
            WireError: It cannot.
        """
        found = self.u32()
        if found * unit > self.left:
            raise WireError(f"an array of {found} does not fit", offset=self._at)
        return found

    def array(self, *, unit: int = 1) -> bytes:
        """Take a conformant array."""
        return self.take(self.count(unit) * unit)

    def string(self) -> bytes:
        """Take a string of 16-bit units, and return them without their end.

        Raises:
            WireError: It is none.
        """
        self.u32()
        if self.u32():
            raise WireError("a string that begins elsewhere", offset=self._at)
        units = self.array(unit=2)
        if units[-2:] != b"\0\0":
            raise WireError("a string without an end", offset=self._at)
        return units[:-2]

    def unique_string(self) -> bytes | None:
        """Take a string behind a unique pointer."""
        return self.string() if self.u32() else None


def type_1(body: bytes) -> bytes:
    """Return a body in the form of MS-RPCE 2.2.6, type serialization 1."""
    body += bytes(-len(body) % 8)
    return _TYPE_1 + struct.pack("<II", len(body), 0) + body


def open_type_1(data: bytes) -> NdrReader:
    """Return what reads the body of a type serialization 1.

    Raises:
        WireError: It is none.
    """
    if len(data) < len(_TYPE_1) + 8 or data[:2] != _TYPE_1[:2]:
        raise WireError("no header of a serialized type")
    size = int.from_bytes(data[8:12], "little")
    return NdrReader(data[16 : 16 + size])
