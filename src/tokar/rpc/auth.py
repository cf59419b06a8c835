"""Who asks, and the protection of a connection: NTLM, Kerberos, or what both sides agree on, by pyspnego.

Everything is signed and sealed (packet privacy), headers too, and every signature is verified; nothing less is taken.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from importlib.util import find_spec
from typing import Any, Final

from tokar.errors import MissingExtraError
from tokar.rpc.pdus import HEADER_SIZE, TRAILER_SIZE, Pdu, PduHeader, PduKind, Trailer
from tokar.rpc.wire_errors import LogonError, WireError
from tokar.words import install_text

_BLOCK: Final = 16  # what a body is filled up to
_CHALLENGE: Final = b"NTLMSSP\0\2\0\0\0"
_STRONG: Final = 0x10 | 0x20 | 0x80000 | 0x20000000  # sign, seal, extended session security, keys of 128 bits
_NO_TICKET: Final = (
    "name an account with --user, or get a ticket: kinit USER@REALM, with the extra kerberos, and the full name of the "
    "host"
)


class Mechanism(IntEnum):
    """How to log on; the number is that of MS-RPCE."""

    NEGOTIATE = 9
    NTLM = 10
    KERBEROS = 16


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who asks. The password shows in no text that is made of them."""

    user: str | None = None  # `DOMAIN\\USER` or `USER@REALM`; None: whoever is logged on, or has a Kerberos ticket
    password: str | None = field(default=None, repr=False)
    mechanism: Mechanism = Mechanism.NEGOTIATE


def _spnego() -> Any:
    try:
        import spnego  # noqa: PLC0415 - an extra
        import spnego.exceptions  # noqa: PLC0415
        import spnego.iov  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError(
            f"to log on to a Windows server takes a package that is missing: {error.name}",
            hint=install_text("ca"),
        ) from error
    return spnego


@contextmanager
def _refusals(what: str) -> Iterator[None]:
    """Raise what the mechanism refuses, or trips over in bytes of the other side, as a LogonError."""
    spnego = _spnego()
    try:
        yield
    except spnego.exceptions.SpnegoError as error:
        raise LogonError(f"{what}: {' '.join(str(error).split())}", hint=_NO_TICKET) from error
    except Exception as error:
        raise LogonError(
            f"{what}: the other side sends what is no token ({type(error).__name__})",
            hint="something on the way alters it, or this is no such server; --trace FILE shows what came",
        ) from error


def _demand_strong(token: bytes) -> None:
    """Check that a challenge of NTLM, alone or inside of Negotiate, asks for no weaker sealing than there is.

    Raises:
        LogonError: It does: somebody on the way may have changed it.
    """
    for found in re.finditer(re.escape(_CHALLENGE), token):  # every one: the first may be there to be looked at
        flags = int.from_bytes(token[found.start() + 20 : found.start() + 24], "little")
        if flags & _STRONG == _STRONG:
            continue
        raise LogonError(
            "the server asks for weak sealing", hint="see its policy for NTLM: 128 bits, NTLMv2; or take Kerberos"
        )


def start(credentials: Credentials, host: str) -> Protection:
    """Return the client's side of a protection that is not complete yet.

    Args:
        credentials: Who asks.
        host: The server by the name that the user gave, for Kerberos looks it up.

    Raises:
        MissingExtraError: A package is missing.
        LogonError: There is nothing to log on with.
    """
    spnego = _spnego()
    mechanism = credentials.mechanism
    by_name = credentials.user is not None or sys.platform == "win32"
    if find_spec("gssapi") is None and sys.platform != "win32":
        if mechanism is Mechanism.KERBEROS:
            raise MissingExtraError("Kerberos takes packages that are missing", hint=install_text("kerberos"))
        if not by_name:
            raise LogonError("there is no account to log on with", hint=_NO_TICKET)
    wanted = spnego.ContextReq.default | spnego.ContextReq.dce_style
    with _refusals(f"cannot log on by {mechanism.name.lower()}"):
        context = spnego.client(
            credentials.user,
            credentials.password,
            hostname=host,
            service="host",
            protocol=mechanism.name.lower(),
            context_req=wanted,
        )
    return Protection(context, mechanism)


class Protection:
    """Signs and seals what goes out on one connection, and opens what comes in.

    Args:
        context: The security context: one of pyspnego's, or what has the same methods.
        mechanism: How it logs on.
        number: What the client calls it.
    """

    def __init__(self, context: Any, mechanism: Mechanism, number: int = 1) -> None:
        self._context = context
        self._number = number
        self.mechanism = mechanism
        self._size: int | None = None

    @property
    def is_complete(self) -> bool:
        """Whether both sides have agreed."""
        return bool(self._context.complete)

    @property
    def overhead(self) -> int:
        """Bytes that it adds to a packet, at most."""
        return _BLOCK + TRAILER_SIZE + self._token_size()

    def step(self, token: bytes | None = None) -> bytes:
        """Take a token of the other side and return the next one; empty where there is nothing to send.

        Raises:
            LogonError: The mechanism refuses.
        """
        _demand_strong(token or b"")
        with _refusals(f"logging on by {self.mechanism.name.lower()} failed"):
            return self._context.step(token) or b""

    def demand_sealed(self) -> None:
        """Check that what was agreed on signs and seals.

        Raises:
            LogonError: It does not.
        """
        spnego = _spnego()
        needed = spnego.ContextReq.confidentiality | spnego.ContextReq.integrity
        if not self.is_complete or self._context.context_attr & needed != needed:
            raise LogonError(
                "the server does not agree to signing and sealing", hint="see its policy; nothing is sent in clear"
            )

    def trailer(self, padding: int = 0) -> Trailer:
        """Return what stands before each token."""
        return Trailer(mechanism=self.mechanism, padding=padding, context=self._number)

    def seal(self, header: PduHeader, fixed: bytes, stub: bytes) -> bytes:
        """Return the bytes of a packet, signed and sealed.

        Args:
            header: Its kind, flags and call; sizes are set here.
            fixed: The start of its body, which stays in clear.
            stub: The rest.

        Raises:
            WireError: The mechanism makes another signature than it announced.
        """
        size = self._token_size()
        padding = -len(stub) % _BLOCK
        trailer = self.trailer(padding).pack()
        head = PduHeader(
            kind=header.kind,
            flags=header.flags,
            size=HEADER_SIZE + len(fixed) + len(stub) + padding + TRAILER_SIZE + size,
            token_size=size,
            call=header.call,
        ).pack()
        kinds = _spnego().iov.BufferType
        with _refusals("a packet cannot be sealed"):
            done = self._context.wrap_iov(
                [kinds.header, (kinds.sign_only, head + fixed), stub + bytes(padding), (kinds.sign_only, trailer)]
            )
        token, _, sealed, _ = (buffer.data for buffer in done.buffers)
        if len(token) != size:
            raise WireError(f"a signature of {len(token)} bytes, {size} were announced")
        return b"".join((head, fixed, sealed, trailer, token))

    def open(self, pdu: Pdu, fixed_size: int) -> bytes:
        """Return what a packet holds behind the start of its body, its signature verified.

        Raises:
            WireError: It is not protected as agreed, or was altered.
        """
        trailer = pdu.trailer
        if trailer is None:
            raise WireError(f"a {PduKind(pdu.header.kind).name.lower()} without protection")
        agreed = self.trailer(trailer.padding)
        if (trailer.mechanism, trailer.level, trailer.context) != (agreed.mechanism, agreed.level, agreed.context):
            raise WireError("a packet with another protection than was agreed on")
        if len(pdu.body) < fixed_size + trailer.padding:
            raise WireError("a packet that is too short for what it must hold")
        kinds = _spnego().iov.BufferType
        parts = [
            (kinds.header, pdu.token),
            (kinds.sign_only, pdu.head + pdu.body[:fixed_size]),
            pdu.body[fixed_size:],
            (kinds.sign_only, trailer.pack()),
        ]
        try:
            data: bytes = self._context.unwrap_iov(parts).buffers[2].data
        except Exception as error:  # of the mechanism, or what it trips over in altered bytes
            raise WireError(f"a signature is wrong: the packet was altered ({type(error).__name__})") from error
        return data[: len(data) - trailer.padding]

    def _token_size(self) -> int:
        if self._size is None:
            self._size = int(self._context.query_message_sizes().header)
        return self._size
