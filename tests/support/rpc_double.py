"""An RPC server on a port of its own: logs clients on, opens and seals packets, and hands calls to interfaces.

What it sends can be meddled with, packet by packet: cut, altered, held back.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spnego.exceptions import SpnegoError

from tokar.errors import ArchiveError
from tokar.rpc.auth import Mechanism, Protection
from tokar.rpc.pdus import (
    MAX_FRAGMENT,
    NDR,
    FaultBody,
    Flag,
    Pdu,
    PduHeader,
    PduKind,
    RequestStart,
    ResponseStart,
    pdu_bytes,
    read_pdu,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ACCESS_DENIED = 5
FIRST_OF_OBJECTS = 18  # the number of the first call that can be intercepted


class FaultError(Exception):
    """Answers a call with a fault."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class CutError(Exception):
    """Closes the connection in place of an answer."""


@dataclass
class Incoming:
    """A call as it came."""

    operation: int
    stub: bytes
    target: bytes
    level: int
    user: str | None


@dataclass
class Logon:
    """A security context of a connection."""

    context: Any
    protection: Protection
    level: int
    refused: bool = False


@dataclass
class Peer:
    """A connection as the server has it."""

    socket: socket.socket
    logons: dict[int, Logon] = field(default_factory=dict)  # by the number that the client gives each
    fragment: int = MAX_FRAGMENT
    interfaces: dict[int, bytes] = field(default_factory=dict)
    parts: bytearray = field(default_factory=bytearray)


class RpcDouble:
    """The server.

    Args:
        address: Host and port; port 0 is a free one.
        interfaces: What answers the calls of each interface.
        acceptor: Makes the server's side of a logon, by its mechanism.
    """

    def __init__(
        self,
        address: tuple[str, int],
        interfaces: Mapping[bytes, Callable[[Incoming], bytes]],
        acceptor: Callable[[Mechanism], Any],
    ) -> None:
        self._listening = socket.create_server(address)
        self.port: int = self._listening.getsockname()[1]
        self._interfaces = interfaces
        self._acceptor = acceptor
        self._peers: set[socket.socket] = set()
        self.stopping = threading.Event()
        self.header_signing = True
        self.executed_before_fault = False
        self.intercept: Callable[[Incoming], bytes] | None = None
        self.sent = 0  # packets
        self.refusals = 0  # of logons
        self.meddle: Callable[[int, bytes], bytes] = lambda _number, data: data
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def stop(self) -> None:
        """End it, with all connections."""
        self.stopping.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.drop()
        for thread in self._threads:
            thread.join(10)

    def drop(self) -> None:
        """Cut all connections."""
        for peer in list(self._peers):
            with suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._peers.add(connection)
            thread = threading.Thread(target=self._serve, args=(Peer(connection),), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, peer: Peer) -> None:
        def receive(size: int) -> bytes:
            data = b""
            while len(data) < size:
                part = peer.socket.recv(size - len(data))
                if not part:
                    raise CutError
                data += part
            return data

        with suppress(CutError, OSError, ArchiveError, SpnegoError):
            while self._take(peer, read_pdu(receive)):
                pass
        peer.socket.close()
        self._peers.discard(peer.socket)

    def _take(self, peer: Peer, pdu: Pdu) -> bool:
        kind = PduKind(pdu.header.kind)
        if kind in {PduKind.BIND, PduKind.ALTER_CONTEXT}:
            return self._bind(peer, pdu, kind)
        if kind is PduKind.AUTH3 and pdu.trailer is not None:
            logon = peer.logons[pdu.trailer.context]
            try:
                logon.context.step(pdu.token)
            except SpnegoError:
                logon.refused = True
                self.refusals += 1
            return True
        return kind is PduKind.REQUEST and self._request(peer, pdu)

    def _bind(self, peer: Peer, pdu: Pdu, kind: PduKind) -> bool:
        _, most_taken, group, count = struct.unpack_from("<HHIB", pdu.body)
        peer.fragment = min(MAX_FRAGMENT, most_taken)
        at, results = 12, b""
        for _ in range(count):
            number, forms = struct.unpack_from("<HB", pdu.body, at)
            interface = pdu.body[at + 4 : at + 20]
            offered = [pdu.body[at + 24 + 20 * n : at + 44 + 20 * n] for n in range(forms)]
            at += 24 + 20 * forms
            known = interface in self._interfaces
            if known and NDR.pack() in offered:
                peer.interfaces[number] = interface
                results += bytes(4) + NDR.pack()
            else:
                results += struct.pack("<HH", 2, 2 if known else 1) + bytes(20)
        token, flags, trailer = b"", int(Flag.WHOLE), None
        if pdu.trailer is not None:
            number, mechanism = pdu.trailer.context, Mechanism(pdu.trailer.mechanism)
            if number not in peer.logons:
                context = self._acceptor(mechanism)
                peer.logons[number] = Logon(context, Protection(context, mechanism, number), pdu.trailer.level)
            try:
                token = peer.logons[number].context.step(pdu.token) or b""
            except SpnegoError:
                self.refusals += 1
                self._fault(peer, pdu, ACCESS_DENIED)
                return False
            trailer = pdu.trailer
            flags |= Flag.HEADER_SIGNING if self.header_signing else 0
        address = f"{self.port}\0".encode() if kind is PduKind.BIND else b""
        body = struct.pack("<HHIH", MAX_FRAGMENT, MAX_FRAGMENT, group or 0x1234, len(address)) + address
        body += bytes(-len(body) % 4) + struct.pack("<BBH", count, 0, 0) + results
        answer = PduKind.BIND_ACK if kind is PduKind.BIND else PduKind.ALTER_CONTEXT_ANSWER
        self._send(peer, pdu_bytes(answer, pdu.header.call, body, flags=flags, trailer=trailer, token=token))
        return True

    def _request(self, peer: Peer, pdu: Pdu) -> bool:
        start = RequestStart.unpack(pdu.body)
        fixed = 24 if pdu.has(Flag.OBJECT) else 8
        logon = peer.logons.get(pdu.trailer.context) if pdu.trailer else None
        if pdu.trailer is None:
            peer.parts += pdu.body[fixed:]
        elif logon is None or logon.refused or not logon.protection.is_complete:
            self._fault(peer, pdu, ACCESS_DENIED)
            return False
        else:
            peer.parts += logon.protection.open(pdu, fixed)
        if not pdu.has(Flag.LAST):
            return True
        stub, peer.parts = bytes(peer.parts), bytearray()
        level, user = (logon.level, str(logon.context.client_principal)) if logon else (1, None)
        try:
            call = Incoming(start.operation, stub, pdu.body[8:fixed], level, user)
            made = self._interfaces[peer.interfaces[start.number]]
            answer = self.intercept(call) if self.intercept and start.operation >= FIRST_OF_OBJECTS else made(call)
        except FaultError as fault:
            self._fault(peer, pdu, fault.status)
            return True
        self._respond(peer, pdu, start.number, answer)
        return True

    def _respond(self, peer: Peer, pdu: Pdu, number: int, answer: bytes) -> None:
        protection = peer.logons[pdu.trailer.context].protection if pdu.trailer else None
        room = peer.fragment - 24 - (protection.overhead if protection else 0)
        room -= room % 16
        for at in range(0, max(len(answer), 1), room):
            part = answer[at : at + room]
            flags = Flag.FIRST * (at == 0) | Flag.LAST * (at + room >= len(answer))
            start = ResponseStart(len(answer), number).pack()
            if protection:
                header = PduHeader(kind=PduKind.RESPONSE, flags=flags, size=0, call=pdu.header.call)
                self._send(peer, protection.seal(header, start, part))
            else:
                self._send(peer, pdu_bytes(PduKind.RESPONSE, pdu.header.call, start + part, flags=flags))

    def _fault(self, peer: Peer, pdu: Pdu, status: int) -> None:
        flags = Flag.WHOLE | (0 if self.executed_before_fault else Flag.DID_NOT_EXECUTE)
        body = FaultBody(0, 0, 0, 0, status).pack()
        logon = peer.logons.get(pdu.trailer.context) if pdu.trailer else None
        if logon is not None and logon.protection.is_complete and not logon.refused:
            header = PduHeader(kind=PduKind.FAULT, flags=flags, size=0, call=pdu.header.call)
            self._send(peer, logon.protection.seal(header, body, b""))
        else:
            self._send(peer, pdu_bytes(PduKind.FAULT, pdu.header.call, body, flags=flags))

    def _send(self, peer: Peer, data: bytes) -> None:
        self.sent += 1
        peer.socket.sendall(self.meddle(self.sent, data))
