"""Protection: what is sealed opens on the other side, and nothing that was altered does."""

from __future__ import annotations

from typing import Any

import pytest
from ca_double import PASSWORDS
from ntlm_acceptor import NtlmAcceptor
from spnego._ntlm_raw.crypto import ntowfv1

from tokar.rpc import auth
from tokar.rpc.auth import Credentials, Mechanism, Protection
from tokar.rpc.pdus import Flag, Pdu, PduHeader, PduKind, read_pdu
from tokar.rpc.wire_errors import LogonError, WireError

FIXED = b"a start "
HEADER = PduHeader(kind=PduKind.RESPONSE, flags=Flag.WHOLE, size=0, call=3)


def parsed(data: bytes) -> Pdu:
    left = bytearray(data)

    def receive(size: int) -> bytes:
        part = bytes(left[:size])
        del left[:size]
        if len(part) < size:
            raise WireError("cut")
        return part

    return read_pdu(receive)


def logged_on(password: str = PASSWORDS["backup"]) -> tuple[Protection, Protection]:
    """Return both sides of a logon by NTLM."""
    client = auth.start(Credentials("LAB\\backup", password, Mechanism.NTLM), "ca1")
    server = NtlmAcceptor({"backup": ntowfv1(PASSWORDS["backup"])})
    answer = server.step(client.step(server.step(client.step())))
    assert not answer
    return client, Protection(server, Mechanism.NTLM)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 5000])
def test_what_is_sealed_opens_on_the_other_side(size: int) -> None:
    client, server = logged_on()
    client.demand_sealed()
    for there, here in ((client, server), (server, client)):
        stub = bytes(range(256)) * 20
        data = there.seal(HEADER, FIXED, stub[:size])
        assert len(data) <= 16 + len(FIXED) + size + there.overhead
        assert size < 15 or stub[:size] not in data
        assert here.open(parsed(data), len(FIXED)) == stub[:size]


def test_every_byte_of_a_packet_is_under_its_signature() -> None:
    size = len(logged_on()[0].seal(HEADER, FIXED, b"twenty bytes of stub"))
    for at in range(size):
        client, server = logged_on()
        data = client.seal(HEADER, FIXED, b"twenty bytes of stub")
        with pytest.raises(WireError):
            server.open(parsed(data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1 :]), len(FIXED))


def test_a_packet_that_comes_again_is_refused() -> None:
    client, server = logged_on()
    data = client.seal(HEADER, FIXED, b"once")
    server.open(parsed(data), len(FIXED))
    with pytest.raises(WireError, match="signature"):
        server.open(parsed(data), len(FIXED))


def test_a_packet_without_protection_is_refused() -> None:
    client, _ = logged_on()
    with pytest.raises(WireError, match="without protection"):
        client.open(Pdu(HEADER, HEADER.pack(), FIXED + b"plain"), len(FIXED))


@pytest.mark.parametrize(("at", "value"), [(0, 9), (1, 5), (1, 1), (4, 0)])
def test_a_packet_with_other_protection_is_refused(at: int, value: int) -> None:
    client, server = logged_on()
    data = bytearray(server.seal(HEADER, FIXED, b"stub" * 4))
    data[16 + len(FIXED) + 16 + at] = value
    with pytest.raises(WireError, match="another protection"):
        client.open(parsed(bytes(data)), len(FIXED))


def test_a_wrong_password_is_found_by_the_server() -> None:
    with pytest.raises(Exception, match="a wrong password"):
        logged_on("wrong")


@pytest.mark.parametrize("token", [b"", b"nonsense", b"NTLMSSP\0\2\0\0\0"])
def test_a_challenge_that_is_none_is_refused(token: bytes) -> None:
    client = auth.start(Credentials("LAB\\backup", "x", Mechanism.NTLM), "ca1")
    client.step()
    with pytest.raises(LogonError):
        client.step(token or b"\0")


def test_what_does_not_seal_is_not_taken() -> None:
    class Weak:
        complete = True
        context_attr = 0

    weak: Any = Weak()
    with pytest.raises(LogonError, match="signing and sealing"):
        Protection(weak, Mechanism.NTLM).demand_sealed()
