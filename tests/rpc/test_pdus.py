"""Packets."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokar.rpc.ndr import guid
from tokar.rpc.pdus import NDR, Bind, Flag, PduKind, Syntax, Trailer, parse_ack, pdu_bytes, read_pdu
from tokar.rpc.wire_errors import WireError

if TYPE_CHECKING:
    from collections.abc import Callable

RESOLVER = Syntax(guid("99fcfec4-5260-101b-bbcb-00aa0021347a"), 0)
# A bind for the object resolver without authentication, as C706 and MS-RPCE lay it out field by field.
BIND = bytes.fromhex(
    "05000b03 10000000 4800 0000 01000000"
    "d016 d016 00000000 01 00 0000"
    "0000 01 00 c4fefc9960521b10bbcb00aa0021347a 00000000"
    "045d888aeb1cc9119fe808002b104860 02000000"
)


def from_bytes(data: bytes) -> Callable[[int], bytes]:
    left = bytearray(data)

    def receive(size: int) -> bytes:
        if size > len(left):
            raise WireError("it ended")
        part = bytes(left[:size])
        del left[:size]
        return part

    return receive


def test_a_bind_is_laid_out_as_the_standard_has_it() -> None:
    body = Bind(group=0, number=0, interface=RESOLVER, form=NDR).pack()
    assert pdu_bytes(PduKind.BIND, 1, body) == BIND
    pdu = read_pdu(from_bytes(BIND))
    assert (pdu.header.kind, pdu.body, pdu.trailer) == (PduKind.BIND, body, None)


@given(st.binary(max_size=300), st.binary(min_size=1, max_size=100), st.integers(0, 255))
def test_packets_with_a_token_come_back(body: bytes, token: bytes, context: int) -> None:
    trailer = Trailer(mechanism=10, context=context)
    pdu = read_pdu(from_bytes(pdu_bytes(PduKind.AUTH3, 7, body, trailer=trailer, token=token)))
    assert (pdu.header.call, pdu.body, pdu.trailer, pdu.token) == (7, body, trailer, token)
    assert pdu.has(Flag.FIRST)
    assert pdu.has(Flag.LAST)
    assert not pdu.has(Flag.OBJECT)


def header(kind: int = 2, size: int = 16, token: int = 0, version: int = 5, order: int = 0x10) -> bytes:
    return struct.pack("<BBBBIHHI", version, 0, kind, 3, order, size, token, 1)


@pytest.mark.parametrize(
    "data",
    [
        header(version=4),
        header(order=0x00),
        header(kind=1),
        header(kind=99),
        header(size=15),
        header(size=0),
        header(size=16, token=1),
        header(size=24, token=1) + bytes(8),
        header(size=24, token=0xFFFF) + bytes(8),
        header(size=25, token=1) + bytes([10, 6, 200, 0, 0, 0, 0, 0]) + b"t",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_what_is_no_packet_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        read_pdu(from_bytes(data))


@given(st.integers(0, len(BIND) - 1))
def test_a_packet_that_is_cut_is_refused(at: int) -> None:
    with pytest.raises(WireError):
        read_pdu(from_bytes(BIND[:at]))


def test_an_acknowledgement_says_what_was_agreed_on() -> None:
    body = struct.pack("<HHIH4s", 5840, 4280, 0x1234, 4, b"135\0") + bytes(2) + struct.pack("<BBHHH", 1, 0, 0, 0, 0)
    ack, result = parse_ack(body)
    assert (ack.most_taken, ack.group, result.result) == (4280, 0x1234, 0)


@pytest.mark.parametrize("size", [0, 9, 10, 15, 23])
def test_an_acknowledgement_that_is_cut_is_refused(size: int) -> None:
    body = struct.pack("<HHIH4s", 5840, 4280, 0x1234, 4, b"135\0") + bytes(2) + struct.pack("<BBHHH", 1, 0, 0, 0, 0)
    with pytest.raises(WireError):
        parse_ack(body[:size])


def test_an_address_that_claims_more_than_there_is_is_refused() -> None:
    with pytest.raises(WireError):
        parse_ack(struct.pack("<HHIH", 5840, 5840, 1, 0xFFFF) + bytes(40))
