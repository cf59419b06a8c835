"""The packets of connection-oriented RPC (C706 chapter 12, MS-RPCE 2.2.2), little-endian.

::

    packet = header body [trailer token]      the trailer stands at a multiple of 4 (ours: 16) from the header's end

A packet is at most 64 KiB, for its size has 16 bits, so what a peer claims never decides on memory.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Annotated, Final

from tokar.ese.record import U8, U16, U32, Record, raw
from tokar.rpc.ndr import guid
from tokar.rpc.wire_errors import WireError

Guid = Annotated[bytes, raw(16)]

MAX_FRAGMENT: Final = 5840  # bytes of a packet that we take and send
LITTLE_ENDIAN: Final = 0x10
PRIVACY: Final = 6  # the level of protection: signed and sealed
_VERSION: Final = 5


class PduKind(IntEnum):
    """What a packet is."""

    REQUEST = 0
    RESPONSE = 2
    FAULT = 3
    BIND = 11
    BIND_ACK = 12
    BIND_NAK = 13
    ALTER_CONTEXT = 14
    ALTER_CONTEXT_ANSWER = 15
    AUTH3 = 16


class Flag(IntFlag):
    """What a packet has."""

    FIRST = 0x01
    LAST = 0x02
    WHOLE = 0x03
    HEADER_SIGNING = 0x04  # in bind and alter_context
    DID_NOT_EXECUTE = 0x20
    OBJECT = 0x80


# fmt: off
@dataclass(frozen=True, slots=True, kw_only=True)
class PduHeader(Record):
    """What every packet begins with."""

    version: U8 = _VERSION
    minor: U8 = 0
    kind: U8
    flags: U8 = Flag.WHOLE
    representation: U32 = LITTLE_ENDIAN
    size: U16            # of the packet
    token_size: U16 = 0  # bytes behind the trailer; 0: there is no trailer either
    call: U32


@dataclass(frozen=True, slots=True, kw_only=True)
class Trailer(Record):
    """What stands before a token."""

    mechanism: U8
    level: U8 = PRIVACY
    padding: U8 = 0      # bytes at the end of the body that fill it up
    reserved: U8 = 0
    context: U32 = 0


@dataclass(frozen=True, slots=True)
class Syntax(Record):
    """An interface, or a form of values, with its version."""

    identifier: Guid
    version: U32


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind(Record):
    """The body of bind and alter_context, for one interface and one form of values."""

    most_sent: U16 = MAX_FRAGMENT
    most_taken: U16 = MAX_FRAGMENT
    group: U32
    contexts: U8 = 1
    reserved: U8 = 0
    reserved_2: U16 = 0
    number: U16          # by which requests name the interface
    forms: U8 = 1
    reserved_3: U8 = 0
    interface: Syntax
    form: Syntax


@dataclass(frozen=True, slots=True)
class BindAck(Record):
    """The start of an acknowledgement; the address and the results follow it."""

    most_sent: U16
    most_taken: U16
    group: U32
    address_size: U16


@dataclass(frozen=True, slots=True)
class BindResult(Record):
    """The first result, behind the address, at a multiple of 4."""

    results: U8
    reserved: U8
    reserved_2: U16
    result: U16
    reason: U16


@dataclass(frozen=True, slots=True)
class RequestStart(Record):
    """What a request begins with; the GUID of an object may follow."""

    hint: U32
    number: U16
    operation: U16


@dataclass(frozen=True, slots=True)
class ResponseStart(Record):
    """What a response begins with."""

    hint: U32
    number: U16
    cancels: U8 = 0
    reserved: U8 = 0


@dataclass(frozen=True, slots=True)
class FaultBody(Record):
    """What a fault begins with."""

    hint: U32
    number: U16
    cancels: U8
    reserved: U8
    status: U32
    reserved_2: U32 = 0
# fmt: on


HEADER_SIZE: Final = PduHeader.layout_size()
TRAILER_SIZE: Final = Trailer.layout_size()
NDR: Final = Syntax(guid("8a885d04-1ceb-11c9-9fe8-08002b104860"), 2)


@dataclass(frozen=True, slots=True)
class Pdu:
    """A packet."""

    header: PduHeader
    head: bytes  # The bytes of the header, for they may be signed
    body: bytes  # With the padding
    trailer: Trailer | None = None
    token: bytes = b""

    def has(self, flag: Flag) -> bool:
        """Return whether a flag is set."""
        return bool(self.header.flags & flag)


def read_pdu(receive: Callable[[int], bytes]) -> Pdu:
    """Read a packet.

    Args:
        receive: Returns exactly so many bytes.

    Raises:
        WireError: It is none.
    """
    head = receive(HEADER_SIZE)
    header = PduHeader.unpack(head)
    if header.version != _VERSION or header.representation & 0xFF != LITTLE_ENDIAN or header.kind not in set(PduKind):
        raise WireError("what came is no packet of RPC 5 in little-endian", hint="is this port one of Windows RPC?")
    behind = header.token_size + (TRAILER_SIZE if header.token_size else 0)
    if header.size < HEADER_SIZE + behind:
        raise WireError(f"a packet of {header.size} bytes cannot hold a token of {header.token_size}")
    rest = receive(header.size - HEADER_SIZE)
    if not header.token_size:
        return Pdu(header, head, rest)
    at = len(rest) - behind
    trailer = Trailer.unpack(rest, at)
    if trailer.padding > at:
        raise WireError(f"a body of {at} bytes cannot have {trailer.padding} of padding")
    return Pdu(header, head, rest[:at], trailer, rest[at + TRAILER_SIZE :])


def pdu_bytes(
    kind: PduKind,
    call: int,
    body: bytes,
    *,
    flags: int = Flag.WHOLE,
    trailer: Trailer | None = None,
    token: bytes = b"",
) -> bytes:
    """Return the bytes of a packet that is not protected."""
    behind = trailer.pack() + token if trailer else b""
    header = PduHeader(
        kind=kind, flags=flags, size=HEADER_SIZE + len(body) + len(behind), token_size=len(token), call=call
    )
    return header.pack() + body + behind


def parse_ack(body: bytes) -> tuple[BindAck, BindResult]:
    """Return what an acknowledgement says.

    Raises:
        WireError: It is too short.
    """
    ack_size = BindAck.layout_size()
    if len(body) < ack_size:
        raise WireError("an acknowledgement that is cut")
    ack = BindAck.unpack(body)
    at = ack_size + ack.address_size
    at += -(HEADER_SIZE + at) % 4
    if len(body) < at + BindResult.layout_size():
        raise WireError("an acknowledgement without a result")
    return ack, BindResult.unpack(body, at)
