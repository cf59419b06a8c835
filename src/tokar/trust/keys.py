"""The key K of an archive, and what is derived from it (spec/format.md section 15)."""

from __future__ import annotations

import secrets
from typing import Any, Final

from blake3 import blake3

from tokar.storage.bytesource import Buffer
from tokar.trust.packages import load

KEY_SIZE: Final = 32
_KEY_ID_SIZE: Final = 16
_NONCE_REST: Final = bytes(8)  # behind the number of the chunk


def derive(context: str, material: bytes, size: int = KEY_SIZE) -> bytes:
    """Return what BLAKE3 makes of key material for one purpose."""
    return blake3(material, derive_key_context=context).digest(size)


class ArchiveKey:
    """K. It is never printed; whoever writes `material` anywhere gives the content away.

    Args:
        material: Its 32 bytes; random by default.
    """

    def __init__(self, material: bytes | None = None) -> None:
        self.material = secrets.token_bytes(KEY_SIZE) if material is None else material
        self.key_id = derive("tokar 1 key id", self.material, _KEY_ID_SIZE)  # Names the key: 16 bytes
        self._aead = load("cryptography.hazmat.primitives.ciphers.aead").AESGCM
        self._wrong_tag = load("cryptography.exceptions").InvalidTag

    def cipher(self, stream: int) -> EntryCipher:
        """Return the cipher of the entry with this stream."""
        return EntryCipher(self.material + stream.to_bytes(4, "little"), self._aead, self._wrong_tag)

    def __repr__(self) -> str:
        return f"<ArchiveKey {self.key_id.hex()}>"

    def __reduce__(self) -> str:
        raise TypeError("the key of an archive is not stored")


class EntryCipher:
    """Seals and opens the chunks of one entry, in any thread.

    Args:
        material: K and the stream.
        aead: Makes the AEAD.
        wrong_tag: What it raises where a tag is wrong.
    """

    def __init__(self, material: bytes, aead: Any, wrong_tag: Any) -> None:
        self._material = material
        self._aead = aead
        self._wrong_tag = wrong_tag
        self._made: Any = None

    @property
    def _tool(self) -> Any:
        if self._made is None:  # two threads may make two that are alike; a cached property would take a lock
            self._made = self._aead(derive("tokar 1 content", self._material))
        return self._made

    def hasher(self) -> blake3:
        """Return a new hasher for the digest of the content."""
        return blake3(key=derive("tokar 1 digest", self._material))

    def seal(self, chunk: int, associated: bytes, data: Buffer) -> bytes:
        """Return the ciphertext of a chunk, and its tag behind it."""
        sealed: bytes = self._tool.encrypt(_nonce(chunk), data, associated)
        return sealed

    def open(self, chunk: int, associated: bytes, data: Buffer) -> bytes | None:
        """Return what was sealed; None where the tag is wrong."""
        try:
            content: bytes = self._tool.decrypt(_nonce(chunk), data, associated)
        except self._wrong_tag:
            return None
        return content


def _nonce(chunk: int) -> bytes:
    return chunk.to_bytes(4, "little") + _NONCE_REST
