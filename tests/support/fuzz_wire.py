"""What a server on the network may answer: packets, logons, activations, and the answers of an authority."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from typing import Final

from fuzz_tools import Target, stand_in
from ntlm_acceptor import NtlmAcceptor
from spnego import _ntlm

from tokar.errors import ArchiveError
from tokar.live import csra
from tokar.namelist import parse_names
from tokar.rpc import activation, auth, remote_object
from tokar.rpc.activation import blob_bytes, create_request, parse_blob, parse_created
from tokar.rpc.auth import Credentials, Mechanism
from tokar.rpc.connection import Connection
from tokar.rpc.ndr import NdrReader, NdrWriter, com_guid, type_1
from tokar.rpc.objref import (
    StandardRef,
    custom_bytes,
    interface_bytes,
    parse_custom,
    parse_standard,
    skip_that,
    take_bindings,
    take_interface,
)
from tokar.rpc.pdus import NDR, FaultBody, Flag, PduKind, ResponseStart, Trailer, parse_ack, pdu_bytes, read_pdu
from tokar.rpc.wire_errors import WireError

ACK: Final = struct.pack("<HHIH4s", 5840, 5840, 0x1234, 4, b"135\0") + bytes(2) + struct.pack("<BBHHH", 1, 0, 0, 0, 0)


class _FromBytes:
    """A connection whose other side says what is given, whatever it hears."""

    def __init__(self, data: bytes) -> None:
        self._left = data

    def recv_into(self, view: memoryview) -> int:
        size = min(len(view), len(self._left))
        view[:size], self._left = self._left[:size], self._left[size:]
        return size

    def sendall(self, _data: bytes) -> None: ...
    def settimeout(self, _seconds: float) -> None: ...
    def setsockopt(self, *_option: int) -> None: ...
    def shutdown(self, _how: int) -> None: ...
    def close(self) -> None: ...


def connected(data: bytes) -> Connection:
    """Return a connection whose other side says what is given."""
    with stand_in(socket, create_connection=lambda *_, **__: _FromBytes(data)):
        return Connection("host", 135, seconds=5)


def _call(data: bytes) -> None:
    """A whole call of nobody: the acknowledgement and the answer are given."""
    connection = connected(data)
    connection.bind(remote_object.RESOLVER, seconds=5)
    answer = connection.request(remote_object.RESOLVER, remote_object.SERVER_ALIVE, b"", seconds=5, limit=4096)
    assert len(answer) <= 4096
    reader = NdrReader(answer)
    reader.u32()
    if reader.u32():
        take_bindings(reader)


def _call_seeds() -> list[bytes]:
    ack = pdu_bytes(PduKind.BIND_ACK, 1, ACK + NDR.pack())
    ways = NdrWriter().u16(5).u16(7).pointer(present=True).u32(9).u16(9).u16(6)
    ways.raw(struct.pack("<H", 7) + "ca1\0\0".encode("utf-16-le") + struct.pack("<HHH", 10, 0xFFFF, 0)).u32(0, 0)
    start = ResponseStart(64, 0).pack()
    stub = ways.done()
    parts = pdu_bytes(PduKind.RESPONSE, 2, start + stub[:16], flags=Flag.FIRST)
    parts += pdu_bytes(PduKind.RESPONSE, 2, start + stub[16:], flags=Flag.LAST)
    fault = pdu_bytes(PduKind.FAULT, 2, FaultBody(0, 0, 0, 0, 5).pack())
    return [ack + pdu_bytes(PduKind.RESPONSE, 2, start + stub), ack + parts, ack + fault, ack]


_HASHES: Final = {name: cache(vars(_ntlm)[name]) for name in ("lmowfv1", "ntowfv1")}
_find_spec: Final = cache(find_spec)


def _logon(data: bytes) -> None:
    """A logon by NTLM whose challenge is given, and a call whose answer is; the password is hashed once."""
    connection = connected(data)
    who = Credentials("LAB\\backup", "Secret-1", Mechanism.NTLM)
    with stand_in(_ntlm, **_HASHES), stand_in(auth, find_spec=_find_spec):
        connection.bind(csra.ADMIN, seconds=5, credentials=who)
    connection.request(csra.ADMIN, 19, b"", seconds=5, target=bytes(16))


def _logon_seeds() -> list[bytes]:
    challenge = NtlmAcceptor({}).step(b"NTLMSSP\0\1\0\0\0" + bytes(28))
    trailer = Trailer(mechanism=Mechanism.NTLM, context=1)
    flags = Flag.WHOLE | Flag.HEADER_SIGNING
    ack = pdu_bytes(PduKind.BIND_ACK, 1, ACK + NDR.pack(), flags=flags, trailer=trailer, token=challenge)
    answer = pdu_bytes(PduKind.RESPONSE, 2, ResponseStart(16, 0).pack() + bytes(16), trailer=trailer, token=bytes(16))
    return [ack + answer, ack]


def _packet(data: bytes) -> None:
    left = bytearray(data)

    def receive(size: int) -> bytes:
        part = bytes(left[:size])
        del left[:size]
        if len(part) < size:
            raise WireError("it ended")
        return part

    auth._demand_strong(data)
    parse_ack(read_pdu(receive).body)


def _created(data: bytes) -> None:
    parse_created(data, csra.ADMIN.identifier)


def _created_seeds() -> list[bytes]:
    reference = StandardRef(
        interface=csra.ADMIN.identifier, references=5, exporter=1, object=2, interface_pointer=b"i" * 16
    )
    data = reference.pack() + struct.pack("<HHH", 2, 1, 0) + bytes(2)
    out = NdrWriter().u32(1).pointer(present=True).pointer(present=True).pointer(present=True)
    out.array(csra.ADMIN.identifier, unit=16).u32(1, 0, 1).pointer(present=True).u32(len(data)).array(data)
    scm = NdrWriter().pointer(present=False).pointer(present=True).u64(1).pointer(present=True).guid(b"u" * 16).u32(6)
    units = struct.pack("<H", 7) + "ca1[49670]\0\0\0".encode("utf-16-le")
    scm.u16(5).u16(7).u32(len(units) // 2).u16(len(units) // 2).u16(len(units) // 2 - 1).raw(units)
    both = [(activation.PROPERTIES_OUT, type_1(out.done())), (activation.SCM_REPLY, type_1(scm.done()))]
    made = [custom_bytes(com_guid(0x1A3), activation.PROPERTIES_OUT, blob_bytes(order)) for order in (both, both[::-1])]
    return [interface_bytes(NdrWriter().u32(0, 0), one).u32(0).done() for one in made]


def _asked(data: bytes) -> None:
    parse_blob(parse_custom(data, activation.PROPERTIES_IN))


def _answers(data: bytes) -> None:
    """The answers of an authority: each taker gets the same bytes, from where the head of all answers ends."""
    csra.names_in(data)
    skip_that(start := NdrReader(data))
    for take in (csra.take_list, csra.take_size, csra.take_content, csra.take_number, csra.take_name):
        with suppress(ArchiveError):
            reader = NdrReader(data)
            reader._at = start._at
            found, result = take(reader)
            if isinstance(found, bytes) and not result:
                parse_names(found or None, wide=True)


def _references(data: bytes) -> None:
    """References to objects, and ways to servers."""
    with suppress(ArchiveError):
        parse_standard(data)
    for unmarshaler in (activation.PROPERTIES_IN, activation.PROPERTIES_OUT):
        with suppress(ArchiveError):
            parse_custom(data, unmarshaler)
    for take in (take_bindings, take_interface, skip_that):
        with suppress(ArchiveError):
            take(NdrReader(data))


def _reference_seeds() -> list[bytes]:
    standard = StandardRef(interface=bytes(16), references=5, exporter=1, object=2, interface_pointer=b"i" * 16).pack()
    ways = struct.pack("<HHHH", 6, 6, 4, 7) + "ab\0".encode("utf-16-le") + struct.pack("<HH", 10, 0)
    custom = custom_bytes(com_guid(0x1A3), activation.PROPERTIES_OUT, b"data")
    return [standard, custom, ways, interface_bytes(NdrWriter(), b"data").done()]


def _answer_seeds() -> list[bytes]:
    listed = "D\\\\ca1\\C$\\CertLog\\CA.edb\0\0".encode("utf-16-le")
    that = bytes(8)
    lists = NdrWriter().u32(0, 0).pointer(present=True).array(listed, unit=2).u32(len(listed) // 2, 0).done()
    content = NdrWriter().u32(0, 0).array(b"x" * 64).u32(64, 0).done()
    name = NdrWriter().u32(0, 0).u32(14).pointer(present=True).array("RootCA\0".encode("utf-16-le")).u32(0).done()
    extended = NdrWriter().u32(0, 1, 1, 0, 1, 2, 1, 0, 8).guid(bytes(16)).u32(5).raw(bytes(8)).u32(1, 0).done()
    number = that + bytes.fromhex("0100000000000000")
    return [lists, that + bytes(12), content, number, extended, name]


WIRE: Final = {
    "rpc-packet": Target(_packet, _call_seeds, ("tokar.rpc.pdus", "tokar.rpc.auth"), 300),
    "rpc-call": Target(_call, _call_seeds, ("tokar.rpc.connection", "tokar.rpc.pdus", "tokar.rpc.remote_object"), 600),
    "rpc-logon": Target(_logon, _logon_seeds, ("tokar.rpc.auth", "tokar.rpc.connection"), 600, 2),
    "references": Target(_references, _reference_seeds, ("tokar.rpc.objref", "tokar.rpc.ndr"), 300),
    "activation": Target(_created, _created_seeds, ("tokar.rpc.activation", "tokar.rpc.objref", "tokar.rpc.ndr"), 800),
    "activation-in": Target(
        _asked,
        lambda: [create_request(csra.ADMIN_CLASS, csra.ADMIN.identifier)[16:]],
        ("tokar.rpc.activation", "tokar.rpc.objref"),
        1000,
    ),
    "ca-answers": Target(_answers, _answer_seeds, ("tokar.live.csra",), 300),  # `references` measures `ndr`
}
