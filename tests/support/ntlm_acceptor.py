"""The server's side of NTLMv2, from MS-NLMP alone: it shares no code with what clients log on by."""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4
from cryptography.hazmat.primitives.ciphers import Cipher
from spnego import ContextReq
from spnego.exceptions import BadMICError, InvalidTokenError
from spnego.iov import BufferType

if TYPE_CHECKING:
    from collections.abc import Mapping

UNICODE, REQUEST_TARGET, SIGN, SEAL, NTLM, ALWAYS_SIGN = 0x1, 0x4, 0x10, 0x20, 0x200, 0x8000
TARGET_SERVER, EXTENDED, TARGET_INFO, VERSION = 0x20000, 0x80000, 0x800000, 0x2000000
KEY_128, KEY_EXCHANGE, KEY_56 = 0x20000000, 0x40000000, 0x80000000
FLAGS = UNICODE | REQUEST_TARGET | SIGN | SEAL | NTLM | ALWAYS_SIGN | TARGET_SERVER | EXTENDED | TARGET_INFO
FLAGS |= VERSION | KEY_128 | KEY_EXCHANGE | KEY_56
SIGNATURE = b"NTLMSSP\0"
IN, OUT = "client-to-server", "server-to-client"


def keyed(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, "md5").digest()


def wide(text: str) -> bytes:
    return text.encode("utf-16-le")


class Rc4:
    def __init__(self, key: bytes) -> None:
        self._cipher = Cipher(ARC4(key), None).encryptor()

    def __call__(self, data: bytes) -> bytes:
        return self._cipher.update(data)


class NtlmAcceptor:
    """One logon.

    Args:
        users: NT hash of each account, by its name in small letters.
        name: What the server calls itself.
        domain: Its domain.
    """

    context_attr = ContextReq.confidentiality | ContextReq.integrity

    def __init__(self, users: Mapping[str, bytes], name: str = "CA1", domain: str = "LAB") -> None:
        self._users = users
        self._name = name
        self._domain = domain
        self.complete = False
        self.client_principal: str | None = None
        self._numbers = {IN: 0, OUT: 0}

    def step(self, token: bytes) -> bytes:
        if token[:8] != SIGNATURE or len(token) < 12:
            raise InvalidTokenError(context_msg="no NTLM")
        if token[8] == 1:
            return self._challenge(token)
        self._authenticate(token)
        return b""

    def _challenge(self, token: bytes) -> bytes:
        now = struct.pack("<Q", int(time.time() * 10**7) + 116444736000000000)
        pairs = [(2, wide(self._domain)), (1, wide(self._name)), (4, wide("lab.example"))]
        pairs += [(3, wide(f"{self._name}.lab.example")), (7, now), (0, b"")]
        info = b"".join(struct.pack("<HH", kind, len(data)) + data for kind, data in pairs)
        target = wide(self._name)
        self._nonce = os.urandom(8)
        head = struct.pack("<IHHII", 2, len(target), len(target), 56, FLAGS) + self._nonce + bytes(8)
        head += struct.pack("<HHI", len(info), len(info), 56 + len(target)) + bytes([10, 0, 0x63, 0x45, 0, 0, 0, 15])
        self._first = token
        self._second = SIGNATURE + head + target + info
        return self._second

    def _authenticate(self, token: bytes) -> None:
        def field(at: int) -> bytes:
            size, _, offset = struct.unpack_from("<HHI", token, at)
            return token[offset : offset + size]

        answer, domain, user, key = field(20), field(28), field(36), field(52)
        flags = struct.unpack_from("<I", token, 60)[0]
        name = user.decode("utf-16-le")
        hashed = self._users.get(name.lower())
        if hashed is None or len(answer) < 44:
            raise InvalidTokenError(context_msg="an unknown account, or no NTLMv2")
        own = keyed(hashed, wide(name.upper()) + domain)
        if not hmac.compare_digest(keyed(own, self._nonce + answer[16:]), answer[:16]):
            raise InvalidTokenError(context_msg="a wrong password")
        session = keyed(own, answer[:16])
        session = Rc4(session)(key) if flags & KEY_EXCHANGE else session
        if self._has_check(answer):
            plain = self._first + self._second + token[:72] + bytes(16) + token[88:]
            if keyed(session, plain) != token[72:88]:
                raise BadMICError(context_msg="the check of the logon")
        self._sign = {way: self._key(session, way, "signing") for way in (IN, OUT)}
        self._seal = {way: Rc4(self._key(session, way, "sealing")) for way in (IN, OUT)}
        self.complete = True
        self.client_principal = f"{domain.decode('utf-16-le')}\\{name}"

    @staticmethod
    def _has_check(answer: bytes) -> bool:
        at = 16 + 28
        while at + 4 <= len(answer):
            kind, size = struct.unpack_from("<HH", answer, at)
            if kind == 6:
                return bool(answer[at + 4] & 2)
            if kind == 0:
                break
            at += 4 + size
        return False

    @staticmethod
    def _key(session: bytes, way: str, what: str) -> bytes:
        text = f"session key to {way} {what} key magic constant\0"
        return hashlib.md5(session + text.encode()).digest()

    def query_message_sizes(self) -> Any:
        return SimpleNamespace(header=16)

    def wrap_iov(self, parts: list[Any]) -> Any:
        pairs = self._pairs(parts)
        sealed = [self._seal[OUT](data) if kind == BufferType.data else data for kind, data in pairs]
        token = self._signature(OUT, pairs)
        return self._buffers(
            [token if kind == BufferType.header else data for (kind, _), data in zip(pairs, sealed, strict=True)]
        )

    def unwrap_iov(self, parts: list[Any]) -> Any:
        pairs = self._pairs(parts)
        opened = [(kind, self._seal[IN](data) if kind == BufferType.data else data) for kind, data in pairs]
        if self._signature(IN, opened) != next(data for kind, data in pairs if kind == BufferType.header):
            raise BadMICError(context_msg="the signature of a packet")
        return self._buffers([data for _, data in opened])

    @staticmethod
    def _pairs(parts: list[Any]) -> list[tuple[BufferType, bytes]]:
        known = [(BufferType.data, part) if isinstance(part, bytes) else part for part in parts]
        return [(part, b"") if isinstance(part, BufferType) else part for part in known]

    def _signature(self, way: str, pairs: list[tuple[BufferType, bytes]]) -> bytes:
        number = struct.pack("<I", self._numbers[way])
        self._numbers[way] += 1
        plain = b"".join(data for kind, data in pairs if kind != BufferType.header)
        return struct.pack("<I", 1) + self._seal[way](keyed(self._sign[way], number + plain)[:8]) + number

    @staticmethod
    def _buffers(parts: list[bytes]) -> Any:
        return SimpleNamespace(buffers=[SimpleNamespace(data=part) for part in parts])
