"""The header of a database: its first page, and a copy of it in its second.

Sources: Microsoft, Extensible Storage Engine, daedef.hxx and fileu.cxx; libesedb, "Extensible Storage Engine (ESE)
Database File (EDB) format specification"; Microsoft Knowledge Base Q296787.
"""

# Records: no `from __future__ import annotations` (see tokar.ese.record).

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated, Final, Self

from tokar.errors import HeaderError, InputError
from tokar.ese.checksum import demand_header_checksum, header_is_valid, with_header_checksum
from tokar.ese.record import I32, U8, U32, U64, Record, raw
from tokar.ese.values import (
    NO_BACKUP,
    NO_POSITION,
    NO_SIGNATURE,
    NO_TIME,
    BackupInfo,
    Copies,
    LogPosition,
    LogTime,
    Signature,
)
from tokar.storage.bytesource import ByteSource

MAGIC: Final = 0x89ABCDEF
FORMAT_VERSION: Final = 0x620
NEWEST_REVISION: Final = 200
"""Of the format, as far as real files were seen: Windows 11 21H2."""
PAGE_SIZES: Final = (2048, 4096, 8192, 16384, 32768)
DEFAULT_PAGE_SIZE: Final = 4096
OLD_VERSIONS: Final = {
    0x500: "JET 500 (Exchange 4.0 and 5.0, Windows NT 4)",
    0x400: "JET 400",
    0x1: "an engine before JET 400",
}
"""Formats that are recognised by their version, and whose layout and checksums are not public."""
_READ_VERIFY: Final = -1018


class DatabaseState(IntEnum):
    """The state of a database (u32 at 52). Prints as esentutl does."""

    JUST_CREATED = 1
    DIRTY_SHUTDOWN = 2
    CLEAN_SHUTDOWN = 3
    BEING_CONVERTED = 4
    FORCE_DETACH = 5
    INCREMENTAL_RESEED_IN_PROGRESS = 6
    DIRTY_AND_PATCHED_SHUTDOWN = 7
    REVERT_IN_PROGRESS = 8

    def __str__(self) -> str:
        return _OTHER_NAMES.get(self, self.name.replace("_", " ").title())


_OTHER_NAMES: Final = {
    DatabaseState.FORCE_DETACH: "Force Detach Replay Error",
    DatabaseState.DIRTY_AND_PATCHED_SHUTDOWN: "Dirty and Patched Shutdown",
    DatabaseState.REVERT_IN_PROGRESS: "Database Revert in Progress",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Record):
    """How often something happened, and when last."""

    # fmt: off
    count: U32     = 0        # 0
    time:  LogTime = NO_TIME  # 4
    # fmt: on


NO_EVENT: Final = Event()


@dataclass(frozen=True, slots=True, kw_only=True)
class Repairs(Record):
    """An event with the count it had before it was last reset."""

    # fmt: off
    count:     U32     = 0        # 0
    time:      LogTime = NO_TIME  # 4
    old_count: U32     = 0        # 12
    # fmt: on


NO_REPAIRS: Final = Repairs()


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseHeader(Record):
    """What a database says of itself. Older engines leave later fields zero; `reserved_N` are kept as found.

    The ones that decide about a restore: `state`, `required_low`..`required_high`, `committed_high`, `log_signature`,
    `current_full` (a set `generation_low` there marks a streaming copy).
    """

    # fmt: off
    checksum:                   U32         = 0               # 0    old XOR over the page
    magic:                      U32         = MAGIC           # 4
    version:                    U32         = FORMAT_VERSION  # 8    0x620 since Exchange 5.5
    attribute:                  U32         = 0               # 12   0 database, 1 streaming file
    dbtime:                     U64         = 0               # 16   counter of modifications
    signature:                  Signature   = NO_SIGNATURE    # 24
    raw_state:                  U32         = DatabaseState.CLEAN_SHUTDOWN  # 52
    consistent_position:        LogPosition = NO_POSITION     # 56   kept while the database is dirty
    consistent_time:            LogTime     = NO_TIME         # 64
    attach_time:                LogTime     = NO_TIME         # 72   time precedes position in this pair and the next
    attach_position:            LogPosition = NO_POSITION     # 80
    detach_time:                LogTime     = NO_TIME         # 88
    detach_position:            LogPosition = NO_POSITION     # 96   zero while dirty
    dbid:                       U32         = 0               # 104
    log_signature:              Signature   = NO_SIGNATURE    # 108  must equal the logs'
    previous_full:              BackupInfo  = NO_BACKUP       # 136
    previous_incremental:       BackupInfo  = NO_BACKUP       # 160  reset by a full backup
    current_full:               BackupInfo  = NO_BACKUP       # 184  set: this is a copy made by a streaming backup
    flags:                      Annotated[bytes, raw(4)] = bytes(4)  # 208  byte 0 bit 0: shadowing disabled
    last_object_id:             U32         = 0               # 212
    os_major:                   U32         = 0               # 216  of the last index update, like the next three
    os_minor:                   U32         = 0               # 220
    os_build:                   U32         = 0               # 224
    os_service_pack:            U32         = 0               # 228
    revision:                   U32         = 0               # 232  "update major"
    raw_page_size:              U32         = 0               # 236  0 = 4096
    repair_count:               U32         = 0               # 240  not 0 after esentutl /p
    repair_time:                LogTime     = NO_TIME         # 244
    streaming_signature:        Signature   = NO_SIGNATURE    # 252
    scrub_dbtime:               U64         = 0               # 280
    scrub_time:                 LogTime     = NO_TIME         # 288
    required_low:               I32         = 0               # 296  log generations; 0 = none
    required_high:              I32         = 0               # 300
    upgrade_pages:              Annotated[bytes, raw(12)] = bytes(12)  # 304  three counts of the Exchange 5.5 upgrade
    current_shadow_copy:        BackupInfo  = NO_BACKUP       # 316
    created_version:            U32         = 0               # 340
    created_revision:           U32         = 0               # 344
    last_log_time:              LogTime     = NO_TIME         # 348  `created` of the log of the highest generation
    previous_full_type:         U32         = 0               # 356  0 streaming, 1 shadow copy, 2 snapshot
    previous_incremental_type:  U32         = 0               # 360
    old_repair_count:           U32         = 0               # 364  before the last defragmentation
    ecc_fixes:                  Repairs     = NO_REPAIRS      # 368
    failed_ecc_fixes:           Repairs     = NO_REPAIRS      # 384
    bad_checksums:              Repairs     = NO_REPAIRS      # 400
    committed_high:             I32         = 0               # 416  Windows Vista and later, like what follows
    previous_copy:              BackupInfo  = NO_BACKUP       # 420
    previous_differential:      BackupInfo  = NO_BACKUP       # 444
    previous_copy_type:         U32         = 0               # 468
    previous_differential_type: U32         = 0               # 472
    incremental_reseed:         Repairs     = NO_REPAIRS      # 476
    patched_pages:              Repairs     = NO_REPAIRS      # 492
    sort_version:               U64         = 0               # 508
    scan_finish_time:           LogTime     = NO_TIME         # 516
    scan_start_time:            LogTime     = NO_TIME         # 524
    scan_page:                  U32         = 0               # 532
    recovering_generation:      I32         = 0               # 536
    extended:                   Event       = NO_EVENT        # 540
    shrunk:                     Event       = NO_EVENT        # 552
    reattach_time:              LogTime     = NO_TIME         # 564
    reattach_position:          LogPosition = NO_POSITION     # 572
    trim_count:                 U32         = 0               # 580
    header_flush_signature:     Signature   = NO_SIGNATURE    # 584
    flush_map_signature:        Signature   = NO_SIGNATURE    # 612  equals the flush map's own when in step
    consistency_low:            I32         = 0               # 640
    minor_revision:             U32         = 0               # 644  "update minor"
    engine_version:             U32         = 0               # 648  highest that attached it
    scanned_page:               U32         = 0               # 652
    resize_position:            LogPosition = NO_POSITION     # 656
    reserved_664:               Annotated[bytes, raw(3)] = bytes(3)  # 664
    file_type:                  U32         = 1               # 667  unaligned
    reserved_671:               U8          = 0               # 671
    required_log_time:          LogTime     = NO_TIME         # 672  2019 and later: of the log at required_high
    preredo_consistency_low:    I32         = 0               # 680
    preredo_required_low:       I32         = 0               # 684
    revert_signature:           Signature   = NO_SIGNATURE    # 688
    revert_count:               U32         = 0               # 716
    revert_from_time:           LogTime     = NO_TIME         # 720
    revert_to_time:             LogTime     = NO_TIME         # 728
    revert_pages:               U32         = 0               # 736
    revert_position:            LogPosition = NO_POSITION     # 740
    # fmt: on

    @classmethod
    def parse(cls, page: bytes) -> Self:
        """Return the header in one whole header page.

        Raises:
            HeaderError: It is not a header page of this size, its checksum is wrong, or its format is too old.
        """
        if int.from_bytes(page[4:8], "little") != MAGIC:
            raise HeaderError("not a database: the magic number is missing", offset=4)
        version = int.from_bytes(page[8:12], "little")
        if version in OLD_VERSIONS:
            raise HeaderError(f"a database of format 0x{version:X}, {OLD_VERSIONS[version]}: its layout is not known")
        demand_header_checksum(page, "the database header", code=_READ_VERIFY)
        header = cls.unpack(page)
        if header.page_size != len(page) or len(page) not in PAGE_SIZES:
            raise HeaderError(f"a header for pages of {header.page_size} bytes in a page of {len(page)}", offset=236)
        return header

    @classmethod
    def read(cls, source: ByteSource) -> Copies[Self]:
        """Return the header of a database, from its first copy or, where that is stale or torn, from its second.

        Raises:
            HeaderError: Neither copy is readable.
            StorageError: The source cannot be read.
        """
        head = source.read(0, 2 * PAGE_SIZES[-1])
        for used, page_size, page in _candidates(head):
            # The tail of a header page is zero, so a short header has the right XOR at larger sizes too: the size must
            # fit as well.
            if header_is_valid(page) and _page_size_in(page) == page_size:
                first, second = head[:page_size], head[page_size : 2 * page_size]
                other = second if used == 0 else first
                other_valid = len(other) == page_size and header_is_valid(other) and _page_size_in(other) == page_size
                valid = (True, other_valid) if used == 0 else (other_valid, True)
                return Copies(cls.parse(page), used, valid, first == second)
        cls.parse(head[: _page_size_in(head)])
        raise HeaderError("neither copy of the database header is readable", code=_READ_VERIFY, offset=0)

    def build(self) -> bytes:
        """Return one header page with its checksum. A database begins with it twice.

        Raises:
            InputError: The page size is none that the engine knows.
        """
        if self.page_size not in PAGE_SIZES:
            raise InputError(f"a database cannot have pages of {self.page_size} bytes")
        return with_header_checksum(self.pack().ljust(self.page_size, b"\0"))

    @property
    def state(self) -> DatabaseState | None:
        """The state; None where the number is not known (see `raw_state`)."""
        try:
            return DatabaseState(self.raw_state)
        except ValueError:
            return None

    @property
    def state_name(self) -> str:
        """The state in words."""
        return str(self.state) if self.state else f"unknown state {self.raw_state}"

    @property
    def page_size(self) -> int:
        """Bytes in a page."""
        return self.raw_page_size or DEFAULT_PAGE_SIZE

    @property
    def is_clean(self) -> bool:
        """Whether the database needs no logs."""
        return self.state is DatabaseState.CLEAN_SHUTDOWN

    @property
    def tells_its_shutdown(self) -> bool:
        """Whether it was shut down, and says once where: it is detached in that moment, and was attached before."""
        at, detached = self.consistent_position, self.detach_position
        return self.is_clean and detached in {at, NO_POSITION} and not at < self.attach_position

    @property
    def is_new(self) -> bool:
        """Whether it was just created and never part of a log stream, as temporary databases are."""
        return self.state is DatabaseState.JUST_CREATED and not self.log_signature.is_set

    @property
    def is_streaming_file(self) -> bool:
        """Whether it is the header of a streaming file: attribute and file type say so, where there were file types."""
        return self.attribute == 1 and self.file_type in {0, 2}

    @property
    def is_temporary(self) -> bool:
        """Whether it is the header of a temporary database. Windows writes those with file type 1 too."""
        return self.is_new or (self.attribute == 0 and self.file_type == 5 and not self.log_signature.is_set)

    @property
    def is_streaming_copy(self) -> bool:
        """Whether a streaming backup made this copy and hard recovery has not yet taken over its trailer."""
        return self.current_full.generation_low != 0 and self.current_full.generation_high == 0

    @property
    def has_trailer_page(self) -> bool:
        """Whether the last page of this file is the bookkeeping of a streaming backup, not a page of data.

        Engines before log format 7.3704.5 kept that in a patch file, and had no file types in headers (Microsoft
        Knowledge Base Q158526; Extensible Storage Engine, log.hxx).
        """
        return self.is_streaming_copy and self.file_type != 0

    @property
    def uses_ecc(self) -> bool:
        """Whether new pages get an ECC checksum: from revision 0xB on. Each page says for itself which it has."""
        return self.revision >= 0xB

    def page_count(self, file_size: int) -> int:
        """Return how many pages a file of that many bytes holds, without headers and without a backup trailer."""
        return max(file_size // self.page_size - 2 - self.has_trailer_page, 0)


def _candidates(head: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Give each place where a header copy can be: all first copies, then all second ones."""
    for used in (0, 1):
        for page_size in PAGE_SIZES:
            page = head[used * page_size : (used + 1) * page_size]
            if len(page) == page_size and int.from_bytes(page[4:8], "little") == MAGIC:
                yield used, page_size, page


def _page_size_in(page: bytes) -> int:
    return int.from_bytes(page[236:240], "little") or DEFAULT_PAGE_SIZE
