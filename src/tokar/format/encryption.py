"""What the format knows of encryption (spec/format.md section 15). Ciphers and keys come from outside, as values."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

from tokar.as_json import to_base64
from tokar.errors import FormatError, LockedError
from tokar.storage.bytesource import Buffer

if TYPE_CHECKING:
    from blake3 import blake3

    from tokar.format.bodies import DataRecord

FEATURE: Final = "encryption"
CIPHER: Final = "aes-256-gcm"
TAG_SIZE: Final = 16  # of the AEAD, behind the ciphertext


class StreamCipher(Protocol):
    """Seals and opens the chunks of one entry, in any thread."""

    def hasher(self) -> blake3:
        """Return a new hasher for the digest of the content."""

    def seal(self, chunk: int, associated: bytes, data: Buffer) -> bytes:
        """Return the ciphertext and its tag."""

    def open(self, chunk: int, associated: bytes, data: Buffer) -> bytes | None:
        """Return what was sealed; None where the tag is wrong."""


class ContentKey(Protocol):
    """The key K of one archive."""

    key_id: bytes  # 16 bytes

    def cipher(self, stream: int) -> StreamCipher:
        """Return the cipher of the entry with this stream."""


class _NoCipher:
    """Stands for the cipher of an entry whose key nobody gave."""

    def hasher(self) -> blake3:
        raise LockedError("the content is encrypted, and no identity was given")

    def seal(self, chunk: int, associated: bytes, data: Buffer) -> NoReturn:
        del chunk, associated, data
        self.hasher()
        raise AssertionError

    def open(self, chunk: int, associated: bytes, data: Buffer) -> NoReturn:
        self.seal(chunk, associated, data)


class NoKey:
    """Stands for the key of an encrypted archive that nobody gave: whatever needs content raises LockedError."""

    key_id = b""

    def cipher(self, stream: int) -> StreamCipher:
        """Return what refuses to open anything."""
        del stream
        return _NO_CIPHER


_NO_CIPHER: Final = _NoCipher()
NO_KEY: Final = NoKey()


@dataclass(frozen=True, slots=True)
class Encryption:
    """How content is encrypted, from HEAD."""

    key_id: bytes  # Names K: 16 bytes
    wrapped: Mapping[str, bytes]  # Age files that hold K: `recipients`, `passphrase` or both

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Encryption:
        """Return what the key `encryption` of HEAD says, which was checked."""
        wrapped = {name: base64.b64decode(value["wrapped"][name]) for name in WAYS if name in value["wrapped"]}
        return cls(bytes.fromhex(value["key_id"]), wrapped)

    def to_json(self) -> dict[str, Any]:
        """Return the value of the key `encryption` of HEAD."""
        wrapped = {name: to_base64(data) for name, data in self.wrapped.items()}
        return {"cipher": CIPHER, "key_id": self.key_id.hex(), "wrapped": wrapped}


WAYS: Final = ("recipients", "passphrase")  # How K is wrapped


class Keyring(Protocol):
    """What a reader may have to open archives with."""

    def find(self, encryption: Encryption, more: Sequence[bytes]) -> ContentKey:
        """Return the key of an archive.

        Args:
            encryption: From HEAD.
            more: Further age files that hold K: the bodies of the records `keys`.

        Raises:
            LockedError: Nothing in the ring opens it, or what it opens is another key (ENC-4).
        """


class KeyMaker(Protocol):
    """Makes the key of a new archive, wrapped for those who may read it."""

    def make(self) -> tuple[ContentKey, Encryption]:
        """Return a new key, and what HEAD says of it."""


def seal(cipher: StreamCipher | None, data: DataRecord, stored: Buffer) -> Buffer:
    """Return the stored bytes of a chunk as they stand in the archive."""
    return stored if cipher is None else cipher.seal(data.chunk, data.associated, stored)


def opened(cipher: StreamCipher | None, data: DataRecord, stored: memoryview, *, position: int) -> memoryview:
    """Return the stored bytes of a chunk as they were before they were sealed.

    Raises:
        FormatError: ENC-3, the tag is wrong.
        LockedError: The key is not there.
    """
    if cipher is None:
        return stored
    content = cipher.open(data.chunk, data.associated, stored)
    if content is None:
        raise FormatError("the tag of an encrypted chunk is wrong", rule="ENC-3", offset=position)
    return memoryview(content)
