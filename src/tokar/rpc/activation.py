"""Making an object on a server: RemoteCreateInstance, byte by byte (MS-DCOM 2.2.22).

::

    blob = total, 0, head, properties       each property, and the head, is serialized as type 1
    head = total, size of itself, 0, context, number, no GUID, pointers, classes, sizes

The six properties that clients of Windows send, in their order.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tokar.errors import SourceError
from tokar.rpc.ndr import NO_GUID, NdrReader, NdrWriter, com_guid, open_type_1, type_1
from tokar.rpc.objref import (
    TCP,
    VERSION,
    Binding,
    StandardRef,
    custom_bytes,
    interface_bytes,
    parse_custom,
    parse_standard,
    skip_that,
    take_bindings,
    take_interface,
)
from tokar.rpc.pdus import Syntax
from tokar.rpc.wire_errors import WireError

ACTIVATOR: Final = Syntax(com_guid(0x1A0), 0)  # IRemoteSCMActivator
CREATE_INSTANCE: Final = 4
PROPERTIES_IN: Final = com_guid(0x338)
PROPERTIES_OUT: Final = com_guid(0x339)
INSTANTIATION: Final = com_guid(0x1AB)
SCM_REPLY: Final = com_guid(0x1B6)
_IN_INTERFACE: Final = com_guid(0x1A2)
_SPECIAL: Final = com_guid(0x1B9)
_CONTEXT_INFO: Final = com_guid(0x1A5)
_SECURITY: Final = com_guid(0x1A6)
_LOCATION: Final = com_guid(0x1A4)
_SCM_REQUEST: Final = com_guid(0x1AA)
_CONTEXT_MARSHALER: Final = com_guid(0x33B)
_CONTEXT_INTERFACE: Final = com_guid(0x1C0)
_REMOTE: Final = 0x14  # the class context: a server here or on another machine
_DIFFERENT_MACHINE: Final = 2
_IMPERSONATE: Final = 2
_MOST_PROPERTIES: Final = 16
_MOST_INTERFACES: Final = 16
_FAILED: Final = 0x80000000


class ActivationError(SourceError):
    """The server does not make the object.

    Args:
        code: What it answered.
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"the server does not make the object: 0x{code:08X}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Activated:
    """An object that was made."""

    reference: StandardRef
    bindings: tuple[Binding, ...]  # Where its process is reached
    remote_unknown: bytes  # IPID of what releases it


def blob_bytes(properties: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return the blob of properties: class and serialized body of each."""
    sizes = [len(body) for _, body in properties]

    def head(total: int, size: int) -> bytes:
        writer = NdrWriter().u32(total, size, 0, _DIFFERENT_MACHINE, len(sizes)).guid(NO_GUID)
        writer.pointer(present=True).pointer(present=True).pointer(present=False)
        writer.array(b"".join(name for name, _ in properties), unit=16).u32(len(sizes)).u32(*sizes)
        return type_1(writer.done())

    size = len(head(0, 0))
    total = size + sum(sizes)
    return NdrWriter().u32(total, 0).raw(head(total, size)).done() + b"".join(body for _, body in properties)


def parse_blob(data: bytes) -> dict[bytes, NdrReader]:
    """Return what reads each property of a blob, by its class.

    Raises:
        WireError: It is cut, or its sizes do not fit it.
    """
    reader = open_type_1(data[8:])
    reader.u32()
    at = 8 + reader.u32()
    reader.u32()
    reader.u32()
    number = reader.u32()
    reader.guid()
    reader.take(12)
    if number > _MOST_PROPERTIES or reader.count(16) != number:
        raise WireError("a blob with another number of properties than it says")
    names = [reader.guid() for _ in range(number)]
    if reader.count(4) != number:
        raise WireError("a blob with another number of sizes than of properties")
    found = {}
    for name in names:
        size = reader.u32()
        if at + size > len(data):
            raise WireError("a property that does not fit its blob", offset=at)
        found[name] = open_type_1(data[at : at + size])
        at += size
    return found


def request_properties(class_id: bytes, interface: bytes) -> bytes:
    """Return the reference that stands in a request, with its six properties."""
    special = NdrWriter().u32(0xFFFFFFFF, 0, 0, 0, 2).guid(NO_GUID).u32(0, _REMOTE, 0, 0).u64(0).u32(0, 0, 0, 0, 0)
    what = NdrWriter().guid(class_id).u32(_REMOTE, 0, 0, 1, 0).pointer(present=True).u32(0x58)
    what.u16(VERSION[0]).u16(VERSION[1]).array(interface, unit=16)
    context = NdrWriter().u16(1).u16(1).guid(uuid.uuid4().bytes_le).u32(_DIFFERENT_MACHINE, 0, 0, 0, 0, 0, 1).done()
    of_client = custom_bytes(_CONTEXT_INTERFACE, _CONTEXT_MARSHALER, context)
    contexts = NdrWriter().u32(0, 0, 0, 0).pointer(present=True).pointer(present=False)
    contexts.u32(len(of_client)).array(of_client)
    scm = NdrWriter().pointer(present=False).pointer(present=True).u32(_IMPERSONATE).u16(1).align(4)
    scm.pointer(present=True).u32(1).u16(TCP)
    properties = (
        (_SPECIAL, special),
        (INSTANTIATION, what),
        (_CONTEXT_INFO, contexts),
        (_SECURITY, NdrWriter().u32(0, 0, 0)),
        (_LOCATION, NdrWriter().u32(0, 0, 0, 0)),
        (_SCM_REQUEST, scm),
    )
    blob = blob_bytes([(name, type_1(writer.done())) for name, writer in properties])
    return custom_bytes(_IN_INTERFACE, PROPERTIES_IN, blob)


def create_request(class_id: bytes, interface: bytes) -> bytes:
    """Return the body of RemoteCreateInstance: no outer object, and the properties."""
    return interface_bytes(NdrWriter().pointer(present=False), request_properties(class_id, interface)).done()


def parse_created(stub: bytes, interface: bytes) -> Activated:
    """Return what RemoteCreateInstance answered.

    Raises:
        ActivationError: The object was not made.
        WireError: It is no such answer.
    """
    reader = NdrReader(stub)
    skip_that(reader)
    data = take_interface(reader)
    code = reader.u32()
    if data is None or code & _FAILED:
        raise ActivationError(code)
    properties = parse_blob(parse_custom(data, PROPERTIES_OUT))
    if PROPERTIES_OUT not in properties or SCM_REPLY not in properties:
        raise WireError("an answer without the object or without a way to it")
    reference = _reference(properties[PROPERTIES_OUT], interface)
    exporter, bindings, remote_unknown = _scm_reply(properties[SCM_REPLY])
    if exporter != reference.exporter:
        raise WireError("an object of another process than the one that is named")
    return Activated(reference, bindings, remote_unknown)


def _reference(reader: NdrReader, interface: bytes) -> StandardRef:
    """Return the reference for the one interface that was asked for (PropsOutInfo)."""
    number = reader.u32()
    reader.take(12)
    if not 0 < number <= _MOST_INTERFACES or reader.count(16) != number:
        raise WireError("an answer for no interface, or for too many")
    interfaces = [reader.guid() for _ in range(number)]
    codes = [reader.u32() for _ in range(_counted(reader, number))]
    present = [reader.u32() for _ in range(_counted(reader, number))]
    for found, code, is_there in zip(interfaces, codes, present, strict=True):
        if found == interface and code & _FAILED:
            raise ActivationError(code)
        if is_there:
            size = reader.count(1)
            reader.u32()
            data = reader.take(size)
            if found == interface:
                return parse_standard(data)
    raise WireError("an answer without the interface that was asked for")


def _counted(reader: NdrReader, number: int) -> int:
    if reader.count(4) != number:
        raise WireError("arrays of different lengths")
    return number


def _scm_reply(reader: NdrReader) -> tuple[int, tuple[Binding, ...], bytes]:
    """Return the process of the object, the ways to it, and what releases objects there (ScmReplyInfo)."""
    reader.u32()
    if not reader.u32():
        raise WireError("an answer without a way to the object")
    exporter = reader.u64()
    has_bindings = reader.u32()
    remote_unknown = reader.guid()
    reader.u32()
    reader.u16()
    reader.u16()
    return exporter, take_bindings(reader) if has_bindings else (), remote_unknown
