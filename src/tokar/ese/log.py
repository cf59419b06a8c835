"""The header of a log file: 4096 bytes, written once when the log is created.

Sources: Microsoft, Extensible Storage Engine, log.hxx, log.cxx and logstream.cxx; Microsoft Knowledge Base Q296787.
"""


# Records: no `from __future__ import annotations` (see tokar.ese.record).

import struct
from dataclasses import dataclass
from typing import Annotated, Final, Self

from tokar.errors import HeaderError
from tokar.ese.attachment import AREA_SIZE, NO_ENVIRONMENT, Attachment, Environment, parse_attachments
from tokar.ese.checksum import demand_header_checksum, with_header_checksum
from tokar.ese.record import I32, U8, U16, U32, U64, Record, raw
from tokar.ese.values import NO_POSITION, NO_SIGNATURE, NO_TIME, LogPosition, LogTime, Signature
from tokar.storage.bytesource import ByteSource

HEADER_SIZE: Final = 4096
SEGMENT_SIZE: Final = 4096
"""The sector of format 8, which the engine calls a segment."""
_LOG_CORRUPT: Final = -501
_LINKED_FROM: Final = 13
_NEWEST: Final = (8, 4000, 90)  # Windows Server 2022 and Windows 11 21H2
"""The minor update of format 8 from which a header holds the accumulated segment checksum of the log before it."""
ESE97: Final = "ESE97 (Exchange 5.5)"
_WORDS: Final = struct.Struct("<20xIIIII4xII")  # the u32 at 20, 24, 28, 32, 36, 44 and 48
_JET_500_BUILDS: Final = {909: "JET 500 (Windows NT 4)", 995: "JET 500 (Exchange 4.0)"}
_JET_400_BUILD: Final = 443
_JET_200_VERSION: Final = 0x0CA0001


@dataclass(frozen=True, slots=True, kw_only=True)
class LogHeader(Record):
    """What a log says of itself (formats 7.3701 and later). Fields named `reserved_N` are kept as found."""

    # fmt: off
    checksum:              U32         = 0               # 0    old XOR over 4096 bytes, whatever the sector size
    generation:            I32         = 1               # 4
    sector_size:           U16         = SEGMENT_SIZE    # 8    bytes; always 4096 in format 8
    header_sectors:        U16         = 1               # 10
    sectors:               U16         = 16              # 12   of the whole file
    raw_page_size:         U16         = 0               # 14   of the databases; 0 = 4096
    created:               LogTime     = NO_TIME         # 16
    previous_created:      LogTime     = NO_TIME         # 24   `created` of the generation before; zero in the first
    major:                 U32         = 8               # 32
    minor:                 U32         = 4000            # 36
    update:                U32         = 60              # 40
    signature:             Signature   = NO_SIGNATURE    # 44   of the log stream
    environment:           Environment = NO_ENVIRONMENT  # 72
    flags:                 U8          = 0               # 639  1 reserve log used, 2 circular now, 4 at some time
    checkpoint:            LogPosition = NO_POSITION     # 640  when this log was created; zero on Windows XP
    update_minor:          U32         = 140             # 648  format 8 only
    sector_note:           U8          = 0               # 652
    previous_segments_xor: U64         = 0               # 653  accumulated segment checksum of the previous log
    engine_version:        U32         = 0               # 661
    reserved_665:          U16         = 0               # 665
    file_type:             U32         = 3               # 667  0 before format 7.3704.5
    attachment_area:       Annotated[bytes, raw(AREA_SIZE)] = bytes(AREA_SIZE)  # 671
    # fmt: on

    @classmethod
    def parse(cls, block: bytes) -> Self:
        """Return the header in the first 4096 bytes of a log.

        Raises:
            HeaderError: They are too few, of an older format (which the message names), or damaged.
        """
        block = block[:HEADER_SIZE]
        if len(block) < HEADER_SIZE:
            raise HeaderError(f"a log header takes {HEADER_SIZE} bytes, {len(block)} are here", code=_LOG_CORRUPT)
        if (old := old_format(block)) is not None:
            raise HeaderError(f"a log of {old}: its layout is not known")
        demand_header_checksum(block, "the log header", code=_LOG_CORRUPT)
        header = cls.unpack(block)
        if header.major not in {7, 8}:
            raise HeaderError(f"a log of format {header.format}: its layout is not known", offset=32)
        return header

    @classmethod
    def read(cls, source: ByteSource) -> Self:
        """Return the header of a log.

        Raises:
            HeaderError: See `parse`.
            StorageError: The source cannot be read.
        """
        return cls.parse(source.read(0, HEADER_SIZE))

    def build(self) -> bytes:
        """Return the 4096 header bytes with their checksum."""
        return with_header_checksum(self.pack().ljust(HEADER_SIZE, b"\0"))

    @property
    def format(self) -> str:
        """The version as four numbers, such as `8.4000.60.140`."""
        return f"{self.major}.{self.minor}.{self.update}.{self.update_minor}"

    @property
    def is_newer(self) -> bool:
        """Whether its format is newer than that of any real log that was seen."""
        return (self.major, self.minor, self.update) > _NEWEST

    @property
    def file_size(self) -> int:
        """The bytes that the file must have; another size is damage (-541)."""
        return self.sectors * self.sector_size

    @property
    def page_size(self) -> int:
        """Bytes in a page of the databases."""
        return self.raw_page_size or 4096

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """The databases that were attached when the log was created."""
        return parse_attachments(self.attachment_area)

    @property
    def circular_logging(self) -> bool:
        """Whether logs were being recycled when this one was created."""
        return bool(self.flags & 2)

    @property
    def has_segments_link(self) -> bool:
        """Whether `previous_segments_xor` means something: format 8 with minor update 13 or later."""
        return self.major == 8 and self.update_minor >= _LINKED_FROM


def old_format(head: bytes) -> str | None:
    """Return the name of the old log format that the first 52 bytes of a file show; None for any other file.

    Logs older than 7.3701 are recognised and never interpreted. The engine makes these tests before it believes any
    other field (Microsoft, Extensible Storage Engine, log.cxx).
    """
    if len(head) < _WORDS.size:
        return None
    at_20, at_24, at_28, at_32, at_36, at_44, at_48 = _WORDS.unpack_from(head)
    if (at_24, at_32) == (4, 0) and at_28 in _JET_500_BUILDS:
        return _JET_500_BUILDS[at_28]
    if (at_20, at_24, at_28) == (_JET_400_BUILD, 0, 0):
        return "JET 400"
    if (at_44, at_48) == (0, _JET_200_VERSION):
        return "JET 200"
    # From the versions in its tools' output; no file of this format has been seen.
    return ESE97 if at_32 == 6 and 1500 <= at_36 < 1600 else None
