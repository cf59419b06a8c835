"""The flush map: which pages were written last, to detect lost writes (Windows 10 and Server 2016 on).

The engine rebuilds it when it is missing or out of step, so a restore does not need it; one that belongs to another
moment is worse than none. After the header come pages of the same size, numbered from 0, each with XOR and ECC. Source:
Microsoft, Extensible Storage Engine, flushmap.hxx.
"""

# Records: no `from __future__ import annotations` (see tokar.ese.record).

from dataclasses import dataclass
from typing import Annotated, Final, Self

from tokar.errors import HeaderError
from tokar.ese.checksum import header_is_valid, with_header_checksum
from tokar.ese.record import I32, U32, Record, raw
from tokar.ese.values import NO_SIGNATURE, NO_TIME, LogTime, Signature
from tokar.storage.bytesource import ByteSource

HEADER_SIZE: Final = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushMap(Record):
    """What the header of a flush map says. Fields named `reserved_N` are kept as found."""

    # fmt: off
    checksum:               U32       = 0             # 0    old XOR over 8192 bytes
    major:                  U32       = 3             # 4
    minor:                  U32       = 0             # 8
    update:                 U32       = 0             # 12
    reserved_16:            Annotated[bytes, raw(20)] = bytes(20)  # 16
    flags:                  U32       = 0             # 36   bit 0: clean
    created:                LogTime   = NO_TIME       # 40
    attach_time:            LogTime   = NO_TIME       # 48
    detach_time:            LogTime   = NO_TIME       # 56
    required_low:           I32       = 0             # 64   log generation
    reserved_68:            Annotated[bytes, raw(20)] = bytes(20)  # 68
    header_flush_signature: Signature = NO_SIGNATURE  # 88   of the database header it goes with
    signature:              Signature = NO_SIGNATURE  # 116  its own
    reserved_144:           Annotated[bytes, raw(523)] = bytes(523)  # 144
    file_type:              U32       = 7             # 667
    # fmt: on

    @classmethod
    def read(cls, source: ByteSource) -> Self:
        """Return the header of a flush map.

        Raises:
            HeaderError: It is too short or damaged.
            StorageError: The source cannot be read.
        """
        block = source.read(0, HEADER_SIZE)
        if len(block) < HEADER_SIZE or not header_is_valid(block):
            raise HeaderError("the flush map header is damaged", offset=0)
        return cls.unpack(block)

    def build(self) -> bytes:
        """Return the 8192 header bytes with their checksum."""
        return with_header_checksum(self.pack().ljust(HEADER_SIZE, b"\0"))

    @property
    def is_clean(self) -> bool:
        """Whether it was closed in step with its database."""
        return bool(self.flags & 1)
