"""One connection: what is no answer to the call ends it, and nothing after that is taken for one."""

from __future__ import annotations

import io
import json
import struct

import pytest
from fuzz_wire import ACK, connected

from tokar.rpc.auth import Credentials, Mechanism
from tokar.rpc.connection import Connection
from tokar.rpc.pdus import NDR, FaultBody, Flag, PduKind, ResponseStart, Trailer, pdu_bytes
from tokar.rpc.remote_object import RESOLVER, SERVER_ALIVE
from tokar.rpc.trace import Trace
from tokar.rpc.wire_errors import LinkLostError, LogonError, RpcFaultError, WireError

BOUND = pdu_bytes(PduKind.BIND_ACK, 1, ACK + NDR.pack())
START = ResponseStart(0, 0).pack()


def response(call: int, stub: bytes, flags: int = Flag.WHOLE) -> bytes:
    return pdu_bytes(PduKind.RESPONSE, call, START + stub, flags=flags)


def asked(*packets: bytes, limit: int = 1000) -> tuple[Connection, bytes]:
    connection = connected(b"".join(packets))
    connection.bind(RESOLVER, seconds=5)
    return connection, connection.request(RESOLVER, SERVER_ALIVE, b"", seconds=5, limit=limit)


def refused(*packets: bytes, limit: int = 1000) -> tuple[Connection, Exception]:
    connection = connected(b"".join(packets))
    connection.bind(RESOLVER, seconds=5)
    with pytest.raises((WireError, LinkLostError)) as caught:
        connection.request(RESOLVER, SERVER_ALIVE, b"", seconds=5, limit=limit)
    return connection, caught.value


def test_an_answer_in_one_packet_and_in_several() -> None:
    assert asked(BOUND, response(2, b"whole"))[1] == b"whole"
    parts = (response(2, b"in ", Flag.FIRST), response(2, b"three ", 0), response(2, b"parts", Flag.LAST))
    assert asked(BOUND, *parts)[1] == b"in three parts"


@pytest.mark.parametrize(
    ("packets", "said"),
    [
        ((response(3, b"x"),), "call 2 waits"),
        ((response(2, b"x", Flag.LAST),), "wrong order"),
        ((response(2, b"x", Flag.FIRST), response(2, b"x", Flag.WHOLE)), "wrong order"),
        ((response(2, b"x", Flag.FIRST), response(9, b"x", Flag.LAST)), "call 2 waits"),
        ((pdu_bytes(PduKind.RESPONSE, 2, b"short"),), "cut"),
        ((pdu_bytes(PduKind.FAULT, 2, b"short"),), "a fault that is cut"),
        ((BOUND,), "call 2 waits"),
    ],
)
def test_what_is_no_answer_ends_the_connection(packets: tuple[bytes, ...], said: str) -> None:
    connection, error = refused(BOUND, *packets, response(2, b"a late one"))
    assert said in str(error)
    assert not connection.is_free
    with pytest.raises(LinkLostError, match="is gone"):
        connection.request(RESOLVER, SERVER_ALIVE, b"", seconds=5)


@pytest.mark.parametrize("packets", [(), (response(2, b"x", Flag.FIRST),), (response(2, b"x")[:20],)])
def test_an_answer_that_ends_early_is_none(packets: tuple[bytes, ...]) -> None:
    connection, error = refused(BOUND, *packets)
    assert "closed the connection" in str(error)
    assert not connection.is_free


def test_an_answer_is_no_longer_than_it_may_be() -> None:
    assert len(asked(BOUND, response(2, bytes(1000)))[1]) == 1000
    many = [response(2, bytes(5000), Flag.FIRST)] + [response(2, bytes(5000), 0) for _ in range(5000)]
    _, error = refused(BOUND, *many, limit=12_000)
    assert "more than 12000 bytes" in str(error)


def test_a_fault_is_its_status_and_leaves_the_connection() -> None:
    connection = connected(
        BOUND + pdu_bytes(PduKind.FAULT, 2, FaultBody(0, 0, 0, 0, 1783).pack()) + response(3, b"next")
    )
    connection.bind(RESOLVER, seconds=5)
    with pytest.raises(RpcFaultError) as caught:
        connection.request(RESOLVER, SERVER_ALIVE, b"", seconds=5)
    assert (caught.value.status, caught.value.did_not_run) == (1783, False), "nobody signed that it did not run"
    assert connection.request(RESOLVER, SERVER_ALIVE, b"", seconds=5) == b"next"


def test_one_call_at_a_time() -> None:
    connection = connected(BOUND + response(2, b"first"))
    connection.bind(RESOLVER, seconds=5)
    connection.send(RESOLVER, SERVER_ALIVE, b"", seconds=5)
    assert not connection.is_free
    with pytest.raises(LinkLostError, match="owes an answer"):
        connection.send(RESOLVER, SERVER_ALIVE, b"", seconds=5)
    assert connection.fetch(seconds=5) == b"first"
    assert connection.is_free


@pytest.mark.parametrize("cut", [10, 60])
def test_a_trace_finds_names_that_lie_across_two_packets(cut: int) -> None:
    file = io.StringIO()
    listed = "D\\\\CA1.ACME.TEST\\C$\\CertLog\\edb00001.log\0".encode("utf-16-le")
    connection = connected(BOUND + response(2, listed[:cut], Flag.FIRST) + response(2, listed[cut:], Flag.LAST))
    connection._trace = Trace(file, []).connection("host", 135)
    connection.bind(RESOLVER, seconds=5)
    assert connection.request(RESOLVER, SERVER_ALIVE, b"", seconds=5) == listed
    answers = [line for line in map(json.loads, file.getvalue().splitlines()) if line["event"] == "answer"]
    shown = b"".join(bytes.fromhex(one["stub"]) for one in answers).decode("utf-16-le")
    assert len(shown) == len(listed) // 2
    assert shown.startswith("D\\\\xxxx")
    assert "EST" not in shown
    assert "CertLog" in shown


def test_a_trace_has_what_came_of_an_answer_that_broke_off() -> None:
    file = io.StringIO()
    connection = connected(BOUND + response(2, b"the start", Flag.FIRST))
    connection._trace = Trace(file, []).connection("host", 135)
    connection.bind(RESOLVER, seconds=5)
    with pytest.raises(LinkLostError):
        connection.request(RESOLVER, SERVER_ALIVE, b"", seconds=5)
    assert b"the start".hex() in file.getvalue()


def nak(reason: int) -> bytes:
    return pdu_bytes(PduKind.BIND_NAK, 1, struct.pack("<H", reason))


def ack(**changes: int) -> bytes:
    body = bytearray(ACK + NDR.pack())
    if "taken" in changes:
        body[2:4] = struct.pack("<H", changes["taken"])
    if "result" in changes:
        body[20:22] = struct.pack("<H", changes["result"])
    return pdu_bytes(PduKind.BIND_ACK, 1, bytes(body))


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (nak(8), LogonError, "reason 8"),
        (pdu_bytes(PduKind.BIND_NAK, 1, b""), LogonError, "refuses"),
        (ack(result=2), WireError, "does not have the interface"),
        (ack(taken=100), WireError, "packets of 100 bytes"),
        (response(1, b""), WireError, "came in place of BIND_ACK"),
        (pdu_bytes(PduKind.FAULT, 1, FaultBody(0, 0, 0, 0, 5).pack()), LogonError, "does not accept this account"),
        (pdu_bytes(PduKind.FAULT, 1, FaultBody(0, 0, 0, 0, 9).pack()), RpcFaultError, "0x00000009"),
        (b"", LinkLostError, "closed"),
    ],
)
def test_a_bind_that_is_refused(answer: bytes, error: type[Exception], said: str) -> None:
    connection = connected(answer)
    with pytest.raises(error, match=said):
        connection.bind(RESOLVER, seconds=5)
    assert not connection.is_free


@pytest.mark.parametrize("flags", [Flag.WHOLE, Flag.WHOLE | Flag.HEADER_SIGNING])
def test_a_challenge_that_is_none_is_refused_before_anything_is_sent(flags: int) -> None:
    trailer = Trailer(mechanism=10, context=1)
    answer = pdu_bytes(PduKind.BIND_ACK, 1, ACK + NDR.pack(), flags=flags, trailer=trailer, token=b"NTLMSSP\0nonsense")
    with pytest.raises(LogonError):
        connected(answer).bind(RESOLVER, seconds=5, credentials=Credentials("a", "b", Mechanism.NTLM))


def test_a_strong_challenge_hides_no_weak_one_behind_it() -> None:
    strong, weak = (b"NTLMSSP\0\2\0\0\0" + bytes(8) + struct.pack("<I", flags) for flags in (0xE28A8235, 0x28235))
    trailer = Trailer(mechanism=9, context=1)
    flags = Flag.WHOLE | Flag.HEADER_SIGNING
    answer = pdu_bytes(PduKind.BIND_ACK, 1, ACK + NDR.pack(), flags=flags, trailer=trailer, token=strong + weak)
    with pytest.raises(LogonError, match="weak sealing"):
        connected(answer).bind(RESOLVER, seconds=5, credentials=Credentials("a", "b"))


def test_a_deadline_holds_for_all_of_an_answer_not_for_each_part() -> None:
    connection = connected(BOUND + response(2, b"x"))
    connection.bind(RESOLVER, seconds=5)
    connection.send(RESOLVER, SERVER_ALIVE, b"", seconds=5)
    with pytest.raises(LinkLostError, match="in time"):
        connection.fetch(seconds=0)
