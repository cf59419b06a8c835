"""What a streaming backup leaves behind its database: the trailer page.

Since Exchange 2000 SP2 and Windows XP the bookkeeping of a streaming backup is one page after the last page of the
copy, and the patch file that goes with it has no bytes, or that very page, twice. Before that, the patch file held the
pages that split while the copy was being made; its layout is not public, so it is kept as it is.

Sources: Microsoft, Extensible Storage Engine, cpage.hxx (patch header), backup.cxx and db.cxx; Microsoft Knowledge Base
Q158526.
"""

# Records: no `from __future__ import annotations` (see tokar.ese.record).

from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Final, Self

from tokar.errors import HeaderError
from tokar.ese.checksum import header_is_valid, with_header_checksum
from tokar.ese.database import PAGE_SIZES, DatabaseHeader
from tokar.ese.record import U32, Record, raw
from tokar.ese.values import NO_BACKUP, NO_SIGNATURE, NO_TIME, BackupInfo, LogTime, Signature
from tokar.storage.bytesource import ByteSource

PATCH_SIZES: Final = {2 * size for size in PAGE_SIZES}
"""Bytes of a patch file that can be a trailer page, twice."""
_MISSING: Final = -534
_NOT_VALID: Final = -535
_OTHER_BACKUP: Final = -552


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupTrailer(Record):
    """The last page of a streaming copy. Hard recovery moves it into the header and overwrites it with zeros."""

    # fmt: off
    checksum:           U32        = 0             # 0    old XOR over the page, like a header
    reserved_4:         Annotated[bytes, raw(36)] = bytes(36)  # 4
    backup:             BackupInfo = NO_BACKUP     # 40   mark equal to the header's, generation_high set
    signature:          Signature  = NO_SIGNATURE  # 64   of the database
    log_signature:      Signature  = NO_SIGNATURE  # 92
    required_low:       U32        = 0             # 120  this and what follows: 2019 and later, else zero
    required_high:      U32        = 0             # 124
    committed_high:     U32        = 0             # 128
    required_log_time:  LogTime    = NO_TIME       # 132
    committed_log_time: LogTime    = NO_TIME       # 140
    # fmt: on

    @classmethod
    def parse(cls, page: bytes) -> Self:
        """Return the trailer in the last page of a copy.

        Raises:
            HeaderError: -535: its checksum is wrong, or it is no trailer.
        """
        if not header_is_valid(page) or len(page) < cls.layout_size():
            raise HeaderError("the backup trailer is damaged", code=_NOT_VALID)
        trailer = cls.unpack(page)
        if any(trailer.reserved_4):
            raise HeaderError("the last page is no backup trailer", code=_NOT_VALID)
        return trailer

    @classmethod
    def read(cls, source: ByteSource, header: DatabaseHeader) -> Self:
        """Return the trailer of a streaming copy, checked against its header.

        Raises:
            HeaderError: -534: there is none; -535: it is damaged; -552: it belongs to another backup. No code: it is
                there twice.
            StorageError: The source cannot be read.
        """
        page_size = header.page_size
        if source.size < 3 * page_size or source.size % page_size:
            raise HeaderError("the streaming copy is cut short: its backup trailer is missing", code=_MISSING)
        page = source.read(source.size - page_size, page_size)
        trailer = cls.of_last_page(page, header)
        if source.read(source.size - 2 * page_size, page_size) == page:
            raise HeaderError("its backup trailer is there twice: something was appended")
        return trailer

    @classmethod
    def of_last_page(cls, page: bytes, header: DatabaseHeader) -> Self:
        """Return the trailer in the last page of a streaming copy, checked against its header.

        Raises:
            HeaderError: -534: the page is empty; -535: it is damaged; -552: it belongs to another backup.
        """
        if not any(page):
            raise HeaderError("the backup trailer is missing: the last page is empty", code=_MISSING)
        trailer = cls.parse(page)
        if problem := trailer.mismatch(header):
            raise HeaderError(f"the backup trailer does not fit: {problem}", code=_OTHER_BACKUP)
        return trailer

    def mismatch(self, header: DatabaseHeader) -> str:
        """Return why the trailer does not belong to this header; empty when it does. The engine tests the same."""
        if self.signature != header.signature:
            return "another database signature"
        if self.log_signature != header.log_signature:
            return "another log signature"
        if self.backup.mark != header.current_full.mark:
            return "another backup mark"
        if not self.backup.generation_high:
            return "its highest log generation is not set"
        return ""

    def build(self, page_size: int) -> bytes:
        """Return the trailer page with its checksum."""
        return with_header_checksum(self.pack().ljust(page_size, b"\0"))


def patch_trailer(source: ByteSource) -> BackupTrailer | None:
    """Return the trailer page that some copies have in their patch file, twice, in place of one at their own end.

    Raises:
        StorageError: The source cannot be read.
    """
    if source.size in PATCH_SIZES:
        with suppress(HeaderError):
            return BackupTrailer.parse(source.read(0, source.size // 2))
    return None
