"""The preamble: the first 32 bytes of every archive (spec/format.md section 3)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from tokar.errors import BadMagicError, FormatError, UnsealedError, UnsupportedError
from tokar.format.records import MAGIC, MAJOR, PREAMBLE, Packer

_PACKER = Packer(PREAMBLE)
SIZE = _PACKER.size


@dataclass(frozen=True, slots=True)
class Preamble:
    """What the preamble says: the archive id, 16 bytes. The major version is 1 or the archive is refused."""

    id: bytes

    @property
    def tag(self) -> bytes:
        """The tag that every record of this archive carries: 8 bytes."""
        return self.id[:8]

    def build(self) -> bytes:
        """Return the 32 bytes."""
        without_crc = _PACKER.pack(MAGIC, MAJOR, 0, 0, self.id)
        return _PACKER.pack(MAGIC, MAJOR, 0, _crc(without_crc), self.id)

    @classmethod
    def parse(cls, data: bytes) -> Preamble:
        """Read the preamble from the first bytes of an archive.

        Raises:
            BadMagicError: PRE-1.
            UnsupportedError: PRE-2, another major version.
            FormatError: PRE-3 or PRE-4.
            UnsealedError: The input ends inside the preamble (STATE-1).
        """
        if data[:8] != MAGIC:
            raise BadMagicError("not a tokar archive", rule="PRE-1", offset=0)
        major = int.from_bytes(data[8:10], "little")
        if len(data) >= 10 and major != MAJOR:
            raise UnsupportedError(f"format version {major} is not known here", rule="PRE-2", offset=0)
        if len(data) >= 12 and any(data[10:12]):
            raise FormatError("reserved bytes of the preamble are not zero", rule="PRE-3", offset=0)
        if len(data) < SIZE:
            raise UnsealedError("it ends inside the preamble", rule="STATE-1", offset=0)
        crc, archive_id = _PACKER.unpack(data)[3:5]
        if crc != _crc(data):
            raise FormatError("the CRC-32 of the preamble is wrong", rule="PRE-4", offset=0)
        return cls(archive_id)


def _crc(data: bytes) -> int:
    return zlib.crc32(data[16:32], zlib.crc32(data[:12]))
