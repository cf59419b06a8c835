"""Age files that a passphrase opens (age-encryption.org/v1, recipient type scrypt), of a key.

pyrage measures the machine to choose the work and the bound of it, and so refuses its own file where the machine is
slower, or busy. A backup must open wherever it is brought to; so the work is fixed here, as in age itself.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from typing import Any, Final

from tokar.trust.packages import load

_WORK: Final = 18  # as a power of two: 256 MiB of memory, and about a second
_MOST_WORK: Final = 22  # 4 GiB; age accepts no more either
_BLOCK: Final = 8
_LABEL: Final = b"age-encryption.org/v1/scrypt"
_FILE: Final = re.compile(
    rb"(age-encryption\.org/v1\n-> scrypt ([A-Za-z0-9+/]{21}[AQgw]) ([1-9][0-9]?)\n"
    rb"([A-Za-z0-9+/]{42}[048AEIMQUYcgkosw])\n---) "
    rb"([A-Za-z0-9+/]{42}[048AEIMQUYcgkosw])\n"
)  # the last digits of a text leave no bit beyond the last byte
_NO_NONCE: Final = bytes(12)
_LAST: Final = bytes(11) + b"\1"  # the nonce of the first chunk of a payload, if it is the last
_NONCE_SIZE: Final = 16
_TAG_SIZE: Final = 16
_MAX_PAYLOAD: Final = 64 * 1024 + _TAG_SIZE  # one chunk


def seal_with_passphrase(data: bytes, words: str) -> bytes:
    """Return a binary age file of some bytes, less than a chunk, for a passphrase."""
    salt, nonce, file_key = (secrets.token_bytes(16) for _ in range(3))
    wrapped = _cipher(_stretched(words, salt, _WORK)).encrypt(_NO_NONCE, file_key, None)
    header = b"age-encryption.org/v1\n-> scrypt %b %d\n%b\n---" % (_encoded(salt), _WORK, _encoded(wrapped))
    sealed: bytes = _cipher(_derived(file_key, nonce, b"payload")).encrypt(_LAST, data, None)
    return header + b" " + _encoded(_mac(file_key, header)) + b"\n" + nonce + sealed


def open_with_passphrase(data: bytes, words: str) -> bytes | None:
    """Return what such a file holds; None where the passphrase does not open it, or it is none.

    Raises:
        MemoryError: There is too little for the work that it asks for.
    """
    found = _FILE.match(data)
    payload = data[found.end() :] if found else b""
    if found is None or int(found[3]) > _MOST_WORK or not _NONCE_SIZE < len(payload) <= _NONCE_SIZE + _MAX_PAYLOAD:
        return None
    wrong_tag = load("cryptography.exceptions").InvalidTag
    try:
        key = _stretched(words, _decoded(found[2]), int(found[3]))
        file_key = _cipher(key).decrypt(_NO_NONCE, _decoded(found[4]), None)
        if not hmac.compare_digest(_mac(file_key, found[1]), _decoded(found[5])):
            return None
        stream = _cipher(_derived(file_key, payload[:_NONCE_SIZE], b"payload"))
        opened: bytes = stream.decrypt(_LAST, payload[_NONCE_SIZE:], None)
    except wrong_tag:
        return None
    return opened


def _stretched(words: str, salt: bytes, work: int) -> bytes:
    # hashlib.scrypt ends below 2 GiB
    scrypt = load("cryptography.hazmat.primitives.kdf.scrypt").Scrypt(_LABEL + salt, 32, n=1 << work, r=_BLOCK, p=1)
    stretched: bytes = scrypt.derive(words.encode("utf-8", "surrogateescape"))
    return stretched


def _derived(file_key: bytes, salt: bytes, purpose: bytes) -> bytes:
    """Return 32 bytes by HKDF-SHA-256."""
    return hmac.digest(hmac.digest(salt or bytes(32), file_key, "sha256"), purpose + b"\1", "sha256")


def _mac(file_key: bytes, header: bytes) -> bytes:
    return hmac.digest(_derived(file_key, b"", b"header"), header, "sha256")


def _cipher(key: bytes) -> Any:
    return load("cryptography.hazmat.primitives.ciphers.aead").ChaCha20Poly1305(key)


def _encoded(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _decoded(text: bytes) -> bytes:
    return base64.b64decode(text + b"=" * (-len(text) % 4))
