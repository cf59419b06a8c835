"""One connection to an RPC server: log on, name interfaces, make calls. One call at a time, each with a deadline.

A call can be sent and its answer fetched later, so that the server works while the client does something else. Whatever
goes wrong but a fault ends the connection: what comes after could belong to another call.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from tokar.rpc import auth
from tokar.rpc.auth import Credentials, Mechanism, Protection
from tokar.rpc.pdus import (
    HEADER_SIZE,
    MAX_FRAGMENT,
    NDR,
    Bind,
    FaultBody,
    Flag,
    Pdu,
    PduHeader,
    PduKind,
    RequestStart,
    ResponseStart,
    Syntax,
    parse_ack,
    pdu_bytes,
    read_pdu,
)
from tokar.rpc.trace import Trace
from tokar.rpc.wire_errors import LinkLostError, LogonError, RpcFaultError, UnreachableError, WireError

ACCESS_DENIED: Final = 5  # as the status of a fault
_MOST_LEGS: Final = 8  # of logging on
_LEAST_FRAGMENT: Final = 1024  # C706 demands 1432 of everybody
_FAULT_START: Final = 16  # bytes of a fault that stay in clear
_REFUSED: Final[dict[type[Exception], str]] = {
    ConnectionRefusedError: "nothing listens there",
    TimeoutError: "nothing answers",
}
_INTERVALS: Final = ("TCP_KEEPIDLE", "TCP_KEEPINTVL")
# While an archive is proven nothing is sent for a long time, and firewalls forget connections that are silent.
_KEEP_ALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *((socket.IPPROTO_TCP, getattr(socket, name), 60) for name in _INTERVALS if hasattr(socket, name)),
)
_FIREWALL: Final = (
    "is it up, and a Windows server? A firewall must let TCP 135 and the dynamic ports (49152 to 65535) through"
)
_WHO: Final = "check the name and the password; the account must be one of the server or its domain, and not locked"


@dataclass(frozen=True, slots=True)
class _Sent:
    """A call that was sent and not answered yet."""

    call: int
    limit: int


class Connection:
    """A connection.

    Args:
        host: The server.
        port: The port.
        seconds: How long it may take to connect.
        trace: Where packets are noted.

    Raises:
        UnreachableError: There is no connection to be had.
    """

    def __init__(self, host: str, port: int, *, seconds: float, trace: Trace | None = None) -> None:
        self._host = host
        self._where = f"{host} port {port}"
        self._trace = trace.connection(host, port) if trace else None
        self._protection: Protection | None = None
        self._numbers: dict[bytes, int] = {}
        self._call = 0
        self._group = 0
        self._fragment = MAX_FRAGMENT
        self._until = 0.0
        self._sent: _Sent | None = None
        self._lost: str | None = None
        try:
            self._socket = socket.create_connection((host, port), seconds)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for level, option, value in _KEEP_ALIVE:
                self._socket.setsockopt(level, option, value)
        except socket.gaierror as error:
            raise UnreachableError(f"{host} is not known: {error.strerror}", hint="check the name, and DNS") from error
        except (OSError, UnicodeError) as error:
            why = _REFUSED.get(type(error)) or getattr(error, "strerror", None) or "that is no name of a host"
            raise UnreachableError(f"cannot connect to {self._where}: {why}", hint=_FIREWALL) from error

    @property
    def is_free(self) -> bool:
        """Whether a call can be made: it is there, and no answer is left to be fetched."""
        return self._lost is None and self._sent is None

    def bind(self, interface: Syntax, *, seconds: float, credentials: Credentials | None = None) -> None:
        """Name an interface for calls, and log on where this is the first one.

        Args:
            interface: The interface.
            seconds: How long it may take.
            credentials: Who asks; None: nobody, or whoever asked before on this connection.

        Raises:
            LogonError: The server does not let this account in, or not with full protection.
            WireError: The answer is none, or the server does not have the interface.
            LinkLostError: There was no answer.
        """
        self._demand_free(seconds)
        try:
            self._bind(interface, credentials)
        except RpcFaultError as error:
            self._lose("logging on failed")
            if error.status != ACCESS_DENIED:
                raise
            raise LogonError(f"{self._host} does not accept this account", hint=_WHO) from error
        except BaseException:
            self._lose("an interface could not be named")
            raise

    def request(
        self, interface: Syntax, operation: int, stub: bytes, *, seconds: float, target: bytes = b"", limit: int = 65536
    ) -> bytes:
        """Make a call and return the stub of its answer.

        Args:
            interface: One that was named by `bind`.
            operation: The number of the call in it.
            stub: What it is called with.
            seconds: How long it may take.
            target: The GUID of the object that is called, if any.
            limit: Bytes that the answer may have.

        Raises:
            RpcFaultError: The server answered with a fault.
            WireError: The answer is none, or too long.
            LinkLostError: There was no answer.
        """
        self.send(interface, operation, stub, seconds=seconds, target=target, limit=limit)
        return self.fetch(seconds=seconds)

    def send(
        self, interface: Syntax, operation: int, stub: bytes, *, seconds: float, target: bytes = b"", limit: int = 65536
    ) -> None:
        """Send a call whose answer `fetch` returns; see `request`."""
        self._demand_free(seconds)
        self._call += 1
        start = RequestStart(len(stub), self._numbers[interface.identifier], operation).pack() + target
        room = self._fragment - HEADER_SIZE - len(start)
        room -= self._protection.overhead if self._protection else 0
        room -= room % 16
        if self._trace:
            self._trace.sent(self._call, operation, start, stub)
        try:
            for at in range(0, max(len(stub), 1), room):
                flags = Flag.FIRST * (at == 0) | Flag.LAST * (at + room >= len(stub)) | Flag.OBJECT * bool(target)
                self._put(flags, start, stub[at : at + room])
        except BaseException:
            self._lose("a call could not be sent")
            raise
        self._sent = _Sent(self._call, limit)

    def fetch(self, *, seconds: float) -> bytes:
        """Return the answer to the call that was sent; see `request`."""
        assert self._sent is not None
        sent, self._sent = self._sent, None
        self._until = time.monotonic() + seconds
        try:
            return self._answer(sent)
        except RpcFaultError:
            raise
        except BaseException:
            self._lose("an answer was not taken to its end")
            raise

    def close(self) -> None:
        """End the connection; calls fail from now on. May be called at any time, also from another thread."""
        self._lose("it was closed")

    def _bind(self, interface: Syntax, credentials: Credentials | None) -> None:
        self._call += 1  # one for all legs of a logon
        kind = PduKind.ALTER_CONTEXT if self._numbers else PduKind.BIND
        number = len(self._numbers)
        body = Bind(group=self._group, number=number, interface=interface, form=NDR).pack()
        if credentials is None:
            self._exchange(kind, body, None, b"")
        else:
            self._log_on(body, auth.start(credentials, self._host))
        self._numbers[interface.identifier] = number

    def _log_on(self, body: bytes, protection: Protection) -> None:
        token, kind = protection.step(), PduKind.BIND
        for _ in range(_MOST_LEGS):
            answer = self._exchange(kind, body, protection, token)
            if kind is PduKind.BIND and not answer.has(Flag.HEADER_SIGNING):
                raise LogonError("the server signs no headers", hint="it is too old, or something on the way is wrong")
            token = protection.step(answer.token) if answer.token or not protection.is_complete else b""
            if protection.mechanism is Mechanism.NTLM and token:
                self._write(pdu_bytes(PduKind.AUTH3, self._call, bytes(4), trailer=protection.trailer(), token=token))
                token = b""
            if not token:
                protection.demand_sealed()
                self._protection = protection
                return
            kind = PduKind.ALTER_CONTEXT
        raise LogonError("logging on does not come to an end")

    def _exchange(self, kind: PduKind, body: bytes, protection: Protection | None, token: bytes) -> Pdu:
        """Send bind or alter_context, and return the acknowledgement."""
        flags = Flag.WHOLE | (Flag.HEADER_SIGNING if protection else 0)
        trailer = protection.trailer() if protection else None
        self._write(pdu_bytes(kind, self._call, body, flags=flags, trailer=trailer, token=token))
        answer = self._read()
        if answer.header.kind == PduKind.BIND_NAK:
            reason = int.from_bytes(answer.body[:2], "little")
            raise LogonError(f"the server refuses the connection, reason {reason}", hint=_WHO)
        expected = PduKind.BIND_ACK if kind is PduKind.BIND else PduKind.ALTER_CONTEXT_ANSWER
        if answer.header.kind != expected or answer.header.call != self._call:
            raise WireError(f"{PduKind(answer.header.kind).name} came in place of {expected.name}")
        ack, result = parse_ack(answer.body)
        if result.result:
            raise WireError(
                f"the server does not have the interface ({result.result}/{result.reason})",
                hint="is this port one of Windows RPC?",
            )
        if ack.most_taken < _LEAST_FRAGMENT:
            raise WireError(f"the server takes packets of {ack.most_taken} bytes only")
        self._group, self._fragment = ack.group, min(self._fragment, ack.most_taken)
        return answer

    def _put(self, flags: int, start: bytes, stub: bytes) -> None:
        """Send a fragment of a request."""
        if self._protection is None:
            self._write(pdu_bytes(PduKind.REQUEST, self._call, start + stub, flags=flags))
        else:
            header = PduHeader(kind=PduKind.REQUEST, flags=flags, size=0, call=self._call)
            self._write(self._protection.seal(header, start, stub))

    def _answer(self, sent: _Sent) -> bytes:
        """Return all fragments of an answer."""
        stub, start = bytearray(), b""
        try:
            while True:
                pdu = self._read()
                is_first = not start
                start, part = self._part(sent, pdu, is_first=is_first)
                stub += part
                if len(stub) > sent.limit:
                    raise WireError(f"an answer of more than {sent.limit} bytes")
                if pdu.has(Flag.LAST):
                    return bytes(stub)
        finally:
            if self._trace and start:  # in one piece: a name that two fragments share is found in none of them
                self._trace.received(sent.call, start, bytes(stub))

    def _part(self, sent: _Sent, pdu: Pdu, *, is_first: bool) -> tuple[bytes, bytes]:
        """Return the start of a fragment of an answer, and what it holds."""
        fixed = ResponseStart.layout_size()
        if pdu.header.kind != PduKind.RESPONSE or pdu.header.call != sent.call:
            raise WireError(f"packet {pdu.header.kind} of call {pdu.header.call} came, call {sent.call} waits")
        if pdu.has(Flag.FIRST) is not is_first:
            raise WireError("fragments in a wrong order")
        if len(pdu.body) < fixed:
            raise WireError("a response that is cut")
        part = self._protection.open(pdu, fixed) if self._protection else pdu.body[fixed:]
        return pdu.body[:fixed], part

    def _read(self) -> Pdu:
        """Return the next packet.

        Raises:
            RpcFaultError: It is a fault.
        """
        pdu = read_pdu(self._receive)
        if self._trace:
            self._trace.packet("received", pdu.header, pdu.trailer, len(pdu.token))
        if pdu.header.kind == PduKind.FAULT:
            raise self._fault(pdu)
        return pdu

    def _fault(self, pdu: Pdu) -> RpcFaultError:
        if len(pdu.body) < FaultBody.layout_size():
            raise WireError("a fault that is cut")
        is_signed = False
        if self._protection is not None:
            with suppress(WireError):
                self._protection.open(pdu, _FAULT_START)
                is_signed = True
            if not is_signed:  # what comes behind it cannot be verified either
                self._lose("a fault came without a signature that is right")
        return RpcFaultError(FaultBody.unpack(pdu.body).status, did_not_run=is_signed and pdu.has(Flag.DID_NOT_EXECUTE))

    def _demand_free(self, seconds: float) -> None:
        if self._lost is not None:
            raise LinkLostError(f"the connection to {self._where} is gone: {self._lost}")
        if self._sent is not None:
            raise LinkLostError(f"{self._where} owes an answer that nobody waits for any more")
        self._until = time.monotonic() + seconds

    def _receive(self, size: int) -> bytes:
        """Return exactly so many bytes."""
        data = bytearray(size)
        view, at = memoryview(data), 0
        while at < size:
            try:
                self._socket.settimeout(self._left())
                count = self._socket.recv_into(view[at:])
            except TimeoutError as error:
                raise LinkLostError(f"nothing came from {self._where} in time") from error
            except (OSError, ValueError) as error:
                raise LinkLostError(f"the connection to {self._where} broke: {error}") from error
            if not count:
                raise LinkLostError(f"{self._where} closed the connection")
            at += count
        return bytes(data)

    def _write(self, data: bytes) -> None:
        """Send a packet."""
        if self._trace:
            header = PduHeader.unpack(data)
            self._trace.packet("sent", header, None, header.token_size)
        try:
            self._socket.settimeout(self._left())
            self._socket.sendall(data)
        except TimeoutError as error:
            raise LinkLostError(f"{self._where} takes nothing any more") from error
        except (OSError, ValueError) as error:
            raise LinkLostError(f"the connection to {self._where} broke: {error}") from error

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _lose(self, why: str) -> None:
        self._lost = self._lost or why
        self._sent = None
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
