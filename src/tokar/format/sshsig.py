"""SSH signatures over the root of an archive, as bytes (spec/format.md section 11.3; PROTOCOL.sshsig of OpenSSH).

Who made one, and whether it is right, is not decided here: `tokar.trust` asks ssh-keygen.
"""

from __future__ import annotations

import base64
import hashlib
import re
from binascii import Error as Base64Error
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from construct import Const, ConstructError, GreedyBytes, Int32ub, Prefixed, Struct, Terminated

from tokar import names
from tokar.as_json import fields_json
from tokar.errors import NotSignedError
from tokar.format.records import MAX_TRAILING_RECORDS, MAX_TRAILING_SIZE

NAMESPACE: Final = "tokar"
MAX_ARMORED_SIZE: Final = 2 * MAX_TRAILING_RECORDS * MAX_TRAILING_SIZE  # bytes of a file of signatures that are read

_LINE: Final = 70
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_ARMORED: Final = re.compile(rf"{_BEGIN}\s([A-Za-z0-9+/=\s]*){_END}".encode())
_KEY_TYPE: Final = re.compile(rb"[!-~]{1,64}")

# fmt: off
_STRING: Final[Any] = Prefixed(Int32ub, GreedyBytes)
SSHSIG: Final[Any] = Struct(
    "magic"           / Const(b"SSHSIG"),
    "version"         / Const(1, Int32ub),
    "public_key"      / _STRING,         # it begins with its type, a string
    "namespace"       / _STRING,
    "reserved"        / _STRING,
    "hash_algorithm"  / _STRING,
    "signature"       / _STRING,
    "end"             / Terminated,
)
KEY_TYPE: Final[Any] = Struct(
    "type"            / _STRING,
)
# fmt: on


class BadSignatureError(NotSignedError):
    """These bytes are no SSH signature."""


@dataclass(frozen=True, slots=True)
class SshSignature:
    """An SSH signature that was taken apart, and not yet checked."""

    blob: bytes  # All of it, without armor
    public_key: bytes  # The key that it says it is by
    key_type: str  # The kind of that key, such as `ssh-ed25519`
    namespace: str  # What it was made for

    @property
    def fingerprint(self) -> str:
        """What `ssh-keygen -l` prints for the key."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.public_key).digest()).decode().rstrip("=")

    def __str__(self) -> str:
        return f"{names.printable(self.key_type)} {self.fingerprint}"

    def to_json(self) -> dict[str, str]:
        """Return it as values for JSON."""
        return fields_json(self, "key_type", "fingerprint", "namespace", "armored")

    @property
    def public_key_text(self) -> str:
        """The key as files of public keys and lists of signers have it."""
        return base64.b64encode(self.public_key).decode()

    @property
    def armored(self) -> str:
        """The text that `ssh-keygen -Y verify -s` takes."""
        text = base64.b64encode(self.blob).decode()
        lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
        return "\n".join([_BEGIN, *lines, _END, ""])


def message_of(root: bytes) -> bytes:
    """Return what is signed: the root as 64 lower-case hexadecimal digits, and a line feed."""
    return root.hex().encode() + b"\n"


def parse_signature(blob: bytes) -> SshSignature:
    """Take a signature without armor apart.

    Raises:
        BadSignatureError: It is none.
    """
    if len(blob) > MAX_TRAILING_SIZE:
        raise BadSignatureError(f"{len(blob):,} bytes are too many for a signature")
    try:
        found = SSHSIG.parse(blob)
        key_type = KEY_TYPE.parse(found.public_key).type
        namespace = found.namespace.decode()
    except (ConstructError, UnicodeDecodeError) as error:
        raise BadSignatureError("these bytes are no SSH signature") from error
    if not _KEY_TYPE.fullmatch(key_type):
        raise BadSignatureError("the key of an SSH signature has no type")
    return SshSignature(blob, found.public_key, key_type.decode("ascii"), namespace)


def dearmored(text: bytes) -> Iterator[bytes]:
    """Yield the signatures in armor that a text holds, at most 16; what cannot be decoded comes as no bytes."""
    for number, block in enumerate(_ARMORED.finditer(text)):
        if number == MAX_TRAILING_RECORDS:
            return
        try:
            yield base64.b64decode(b"".join(block[1].split()), validate=True)
        except Base64Error:
            yield b""
