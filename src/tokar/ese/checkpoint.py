"""The checkpoint file: where recovery starts. Two copies of 4096 bytes.

It is never part of a streaming backup, and must not stand beside a restored older database: recovery would start too
late.

Sources: Microsoft, Extensible Storage Engine, log.hxx and logdump.cxx; Microsoft Knowledge Base Q296787 and Q237767.
"""

# Records: no `from __future__ import annotations` (see tokar.ese.record).

from dataclasses import dataclass
from typing import Annotated, Final, Self

from tokar.errors import HeaderError
from tokar.ese.attachment import AREA_SIZE, NO_ENVIRONMENT, Attachment, Environment, parse_attachments
from tokar.ese.checksum import header_is_valid, with_header_checksum
from tokar.ese.record import U8, U32, Record, raw
from tokar.ese.values import NO_POSITION, NO_SIGNATURE, NO_TIME, Copies, LogPosition, LogTime, Signature
from tokar.storage.bytesource import ByteSource

COPY_SIZE: Final = 4096
_CHECKPOINT_CORRUPT: Final = -533


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint(Record):
    """What a checkpoint file says. Fields named `reserved_N` are kept as found."""

    # fmt: off
    checksum:                    U32         = 0               # 0    old XOR over 4096 bytes
    full_backup_checkpoint:      LogPosition = NO_POSITION     # 4    zero: no online backup yet
    checkpoint:                  LogPosition = NO_POSITION     # 12   recovery starts here
    signature:                   Signature   = NO_SIGNATURE    # 20   of the log stream
    environment:                 Environment = NO_ENVIRONMENT  # 48
    full_backup_position:        LogPosition = NO_POSITION     # 615
    full_backup_time:            LogTime     = NO_TIME         # 623
    incremental_backup_position: LogPosition = NO_POSITION     # 631
    incremental_backup_time:     LogTime     = NO_TIME         # 639
    flags:                       U8          = 0               # 647  bit 0: attachment list present
    consistency:                 LogPosition = NO_POSITION     # 648  zero = same as the checkpoint
    reserved_656:                Annotated[bytes, raw(11)] = bytes(11)  # 656
    file_type:                   U32         = 4               # 667  0 before 2001
    reserved_671:                Annotated[bytes, raw(8)] = bytes(8)  # 671
    attachment_area:             Annotated[bytes, raw(AREA_SIZE)] = bytes(AREA_SIZE)  # 679
    # fmt: on

    @classmethod
    def read(cls, source: ByteSource) -> Copies[Self]:
        """Return the checkpoint, from its first copy or, where that is torn, from its second.

        Raises:
            HeaderError: Neither copy is readable.
            StorageError: The source cannot be read.
        """
        data = source.read(0, 2 * COPY_SIZE)
        copies = (data[:COPY_SIZE], data[COPY_SIZE:])
        valid = (_is_valid(copies[0]), _is_valid(copies[1]))
        if not any(valid):
            raise HeaderError("neither copy of the checkpoint is readable", code=_CHECKPOINT_CORRUPT, offset=0)
        used = 0 if valid[0] else 1
        return Copies(cls.unpack(copies[used]), used, valid, copies[0] == copies[1])

    def build(self) -> bytes:
        """Return one copy, 4096 bytes with their checksum. A checkpoint file is this twice."""
        return with_header_checksum(self.pack().ljust(COPY_SIZE, b"\0"))

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """The databases attached, where the checkpoint lists them."""
        return parse_attachments(self.attachment_area)


def _is_valid(block: bytes) -> bool:
    return len(block) == COPY_SIZE and header_is_valid(block)
