"""What kind of file this is, told from its content alone. Names are never looked at (see `tokar.ese.filenames`).

Most files that the command line meets in a folder are no ESE files: `looks_like_ese` says so from bytes already in
memory, in less than a microsecond. Headers, and with them construct, are only loaded for a file that has been
recognised.

Sources: Microsoft, Extensible Storage Engine, daedef.hxx, log.hxx and jethdr.w (file types and the offset they share).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from tokar.errors import HeaderError
from tokar.ese.checksum import header_is_valid
from tokar.storage.bytesource import PIECE, ByteSource, pieces_of

if TYPE_CHECKING:
    from tokar.ese.checkpoint import Checkpoint
    from tokar.ese.database import DatabaseHeader
    from tokar.ese.flushmap import FlushMap
    from tokar.ese.log import LogHeader
    from tokar.ese.values import Copies, Signature

HEAD_SIZE: Final = 32768 + 8
"""As many first bytes of a file as `looks_like_ese` wants to see, where the file has them."""
SMALLEST_SIZE: Final = 2048
"""No whole ESE header is shorter: a database with 2 KiB pages. The others take 4096."""
LARGEST_LOG: Final = 65535 * 4096
"""The most bytes a log, and so a reserve log, can have: a u16 counts its sectors."""
_MAGIC: Final = 0x89ABCDEF
_MAGIC_BYTES: Final = _MAGIC.to_bytes(4, "little")
_PAGE_SIZES: Final = (4096, 8192, 32768, 16384, 2048)  # the likeliest first
_NO_FLAG: Final = 0x40000  # above all flags that a page may have
_SECOND_MAGICS: Final = tuple((page_size + 4, page_size + 8) for page_size in sorted(_PAGE_SIZES))
_PROBE: Final = struct.Struct("<Q12xII4xI12xI")  # the u64 at 0, the u32 at 20, 24, 32 and 48
_TYPE: Final = struct.Struct("<I")
_TYPE_OFFSET: Final = 667
_TYPE_END: Final = 671
_BLOCK_SIZE: Final = 4096
_LARGER_BLOCK_SIZE: Final = 8192
_POSITION: Final = struct.Struct("<HHI")  # byte, sector, generation
_POSITION_OFFSET: Final = 8
_UNUSED_IN_SEGMENT: Final = slice(24, 36)  # where a page names its object, and says what room it has
_CHECKPOINT_FILE_SIZE: Final = 8192
_LOG_VERSIONS: Final = {(7, 3701), (7, 3702), (7, 3703), (7, 3704), (8, 4000)}
# Unused sectors of format 7, and the reserve logs of that era: 16 lines of 16 bytes, the first byte of line n is 0xDA +
# 16 n.
FILL_PATTERN: Final = b"".join(bytes([(0xDA + 16 * line) & 0xFF]) + b"\xda" * 15 for line in range(16))
_RESERVE_STARTS: Final = {0, int.from_bytes(FILL_PATTERN[:8], "little")}


class FileKind(StrEnum):
    """The kinds of files an ESE instance leaves behind; the first eight in the order of their file types."""

    DATABASE = "database"
    STREAMING_FILE = "streaming-file"
    LOG = "log"
    CHECKPOINT = "checkpoint"
    TEMPORARY_DATABASE = "temporary-database"
    TRACE = "trace"
    FLUSH_MAP = "flush-map"
    BLOCK_CACHE = "block-cache"
    REVERT_SNAPSHOT = "revert-snapshot"
    REVERT_CHECKPOINT = "revert-checkpoint"
    RESERVE = "reserve"
    UNKNOWN = "unknown"

    @property
    def words(self) -> str:
        """Its name for people: `flush map`."""
        return self.value.replace("-", " ")


_TYPES: Final = list(FileKind)[:8]  # the file types, from 1 on
_KINDS: Final = dict(
    enumerate([*_TYPES, FileKind.BLOCK_CACHE, FileKind.REVERT_SNAPSHOT, FileKind.REVERT_CHECKPOINT], 1)
)
# No layout for these is known here; databases are told by their magic number, not by their type.
_UNREAD_KINDS: Final = {FileKind.TRACE, FileKind.BLOCK_CACHE, FileKind.REVERT_SNAPSHOT, FileKind.REVERT_CHECKPOINT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a file's content says it is."""

    kind: FileKind  # What it is
    header: DatabaseHeader | LogHeader | Checkpoint | FlushMap | None = None  # Its header, where that could be read
    copies: Copies[Any] | None = None  # Which of two header copies that is, for kinds that have two
    generation: int | None = None  # The log generation, for logs whose header is whole
    page_size: int | None = None  # Bytes in a page, for databases; for logs, of the databases they belong to
    log_signature: Signature | None = None  # The log stream it belongs to, where it says so
    damaged: bool = False  # It is clearly of this kind, and its header is damaged
    note: str = ""  # Why it is unknown or damaged, or what else is worth saying; empty when there is nothing

    @property
    def lacks(self) -> str:
        """What there is in place of a header, of a file that must have one: `nothing but zeros`, `empty`."""
        return self.note.partition(":")[0]

    @property
    def by_header(self) -> str:
        """What it is, where it is said of a file that should be another: `a checkpoint by its header`."""
        return f"a {self.kind.words} by its header"


def looks_like_ese(first_bytes: bytes | bytearray | memoryview, size: int) -> bool:
    """Return whether a file may be an ESE file, going by its first bytes. False is certain, True is worth `identify`.

    Args:
        first_bytes: The first `HEAD_SIZE` bytes of the file, or more, or all of it. With fewer, a database whose first
            header copy is gone is missed.
        size: The size of the whole file.
    """
    if size < SMALLEST_SIZE:
        return False
    if len(first_bytes) < _TYPE_END:
        return True
    start, at_20, at_24, at_32, at_48 = _PROBE.unpack_from(first_bytes)
    (file_type,) = _TYPE.unpack_from(first_bytes, _TYPE_OFFSET)
    if (
        start >> 32 == _MAGIC
        or start in _RESERVE_STARTS
        or 1 <= file_type <= 11
        or at_32 in {6, 7}  # logs without a file type, and ESE97
        or (size == _CHECKPOINT_FILE_SIZE and file_type == 0)  # a checkpoint without one: its two checksums must do
        or at_24 == 4  # the last three: JET 500, 400, 200
        or at_20 == 443
        or at_48 == 0x0CA0001
    ):
        return True
    # Five comparisons in a row are three times as fast as a loop over five offsets.
    return (
        first_bytes[2052:2056] == _MAGIC_BYTES
        or first_bytes[4100:4104] == _MAGIC_BYTES
        or first_bytes[8196:8200] == _MAGIC_BYTES
        or first_bytes[16388:16392] == _MAGIC_BYTES
        or first_bytes[32772:32776] == _MAGIC_BYTES
    )


def identify(source: ByteSource) -> Identity:
    """Return what kind of file this is. Never fails because of what is in the file.

    Raises:
        StorageError: The source cannot be read.
    """
    head = source.read(0, HEAD_SIZE)
    if not looks_like_ese(head, source.size):
        return _not_ese(head, source.size)
    from tokar.ese.log import old_format  # noqa: PLC0415 - loads construct

    if head[4:8] == _MAGIC_BYTES:
        return _identify_database(source)
    if (old := old_format(head)) is not None:
        return _identify_old_log(head, old)
    for recognise in (_recognise_second_copy, _recognise_typed, _recognise_untyped, _recognise_reserve):
        identity = recognise(source, head)
        if identity is not None:
            return identity
    return _not_ese(head, source.size)


def _not_ese(head: bytes, size: int) -> Identity:
    if size == 0:
        note = "empty: a patch file of the modern kind, or nothing at all"
    elif size < SMALLEST_SIZE:
        note = f"{size} bytes are too few for any ESE header"
    else:
        note = "no header of an ESE file" if any(head) else "begins with zeros, but is no reserve log"
    return Identity(kind=FileKind.UNKNOWN, note=note)


_OTHER_FORMATS: Final = (
    (0, b"regf", "a registry hive"),
    (4, b"Standard Jet DB", "a database of Access, which is another engine"),
    (4, b"Standard ACE DB", "a database of Access, which is another engine"),
    (8, b"sdbf", "a shim database of Windows, which is no database of this engine"),
    (0, b"SQLite format 3\0", "a SQLite database"),
    (0, b"PK\3\4", "a zip archive"),
    *((at, b"\xde\xc0\xef\xbe", "a database of LMDB, which is another engine") for at in (0, 12, 16)),
)


def other_format(source: ByteSource) -> str:
    """Return what a file is that looks like a database by its name and is something else; empty where it is not.

    Raises:
        StorageError: It cannot be read.
    """
    start = source.read(0, 32)
    return next((what for at, magic, what in _OTHER_FORMATS if start[at:].startswith(magic)), "")


def has_pages(source: ByteSource, *, at_ends: int = 0) -> bool:
    """Return whether pages of a database are in a file that has no header: a few places of it are looked at.

    Args:
        source: The file.
        at_ends: So many bytes at its start and at its end are looked at, and no others; 0 for places in all of it.

    Raises:
        StorageError: It cannot be read.
    """
    from tokar.ese.page import LARGE_PAGE_SIZE, NEW_FORMAT, page_is_sealed  # noqa: PLC0415 - loads construct

    for size in _PAGE_SIZES:
        count = source.size // size - 2
        places = {*range(1, 5), *(count * part // 8 for part in range(1, 9))}
        if at_ends:
            whole = at_ends // size
            places = {*range(1, whole - 1), *range(count - whole + 1, count + 1)}
        for number in sorted(place for place in places if 1 <= place <= count):
            head = source.read((number + 1) * size, 40)
            flags, own = int.from_bytes(head[36:], "little"), int.from_bytes(head[4:8], "little")
            plausible = flags < _NO_FLAG if flags & NEW_FORMAT or size >= LARGE_PAGE_SIZE else own == number
            plausible &= size != _BLOCK_SIZE or not _segment_in(head)  # a shadow has checksum and number of a page
            if plausible and page_is_sealed(source.read((number + 1) * size, size), number):
                return True
    return False


def has_segments(source: ByteSource, *, at_ends: int = 3 * 32768) -> bool:
    """Return whether segments of a log of format 8 are in a file that has no header, going by its start and its end.

    Args:
        source: The file.
        at_ends: So many bytes at its start and at its end are looked at.

    Raises:
        StorageError: It cannot be read.
    """
    if source.size > LARGEST_LOG:
        return False
    from tokar.ese.page import segment_is_sealed  # noqa: PLC0415 - loads construct

    count, whole = source.size // _BLOCK_SIZE, at_ends // _BLOCK_SIZE
    for number in sorted({*range(1, min(whole, count)), *range(max(1, count - whole + 1), count)}):
        segment = source.read(number * _BLOCK_SIZE, _BLOCK_SIZE)
        own = _segment_in(segment)
        if own in {number, number - 1} - {0} and segment_is_sealed(segment, own):
            return True
    return False


def _segment_in(head: bytes) -> int:
    """Return the number that a segment of a log gives itself, with its generation and zeros; 0 where it is none."""
    if len(head) < _UNUSED_IN_SEGMENT.stop:
        return 0  # of a file that went by, what lies between its start and its end is not at hand
    byte, number, generation = _POSITION.unpack_from(head, _POSITION_OFFSET)
    return number if generation and not byte and not any(head[_UNUSED_IN_SEGMENT]) else 0


def _identify_database(source: ByteSource) -> Identity:
    from tokar.ese.database import OLD_VERSIONS, DatabaseHeader  # noqa: PLC0415 - loads construct

    try:
        copies = DatabaseHeader.read(source)
    except HeaderError as error:
        old = int.from_bytes(source.read(8, 4), "little") in OLD_VERSIONS
        return Identity(kind=FileKind.DATABASE, damaged=not old, note=error.message)
    header = copies.header
    kind = FileKind.DATABASE
    note = "" if copies.valid[0] else "the first header copy is damaged, the second was used"
    if header.is_streaming_file:
        kind = FileKind.STREAMING_FILE
    elif header.is_temporary:
        kind = FileKind.TEMPORARY_DATABASE
    if header.is_new:
        note = "just created and never part of a log stream: a temporary database, or one whose creation never finished"
    return Identity(
        kind=kind,
        header=header,
        copies=copies,
        page_size=header.page_size,
        log_signature=header.log_signature,
        note=note,
    )


def _identify_old_log(head: bytes, old: str) -> Identity:
    """A log whose layout is not known. ESE97 shares 44 bytes with what came later, and so the generation."""
    from tokar.ese.log import ESE97  # noqa: PLC0415 - loads construct

    shares_start = old == ESE97 and _block_is_valid(head)
    return Identity(
        kind=FileKind.LOG,
        generation=struct.unpack_from("<i", head, 4)[0] if shares_start else None,
        note=f"a log of {old}: recognised, its content is not interpreted",
    )


def _identify_log(head: bytes) -> Identity:
    from tokar.ese.log import LogHeader  # noqa: PLC0415 - loads construct

    try:
        header = LogHeader.parse(head)
    except HeaderError as error:
        return Identity(kind=FileKind.LOG, damaged=not _block_is_valid(head), note=error.message)
    return Identity(
        kind=FileKind.LOG,
        header=header,
        generation=header.generation,
        page_size=header.page_size,
        log_signature=header.signature,
    )


def _identify_checkpoint(source: ByteSource, note: str = "") -> Identity:
    from tokar.ese.checkpoint import Checkpoint  # noqa: PLC0415 - loads construct

    copies = Checkpoint.read(source)
    header = copies.header
    if not copies.valid[0]:
        note = "the first copy is damaged, the second was used"
    return Identity(kind=FileKind.CHECKPOINT, header=header, copies=copies, log_signature=header.signature, note=note)


def _recognise_typed(source: ByteSource, head: bytes) -> Identity | None:
    """By the file type that all headers since 2001 keep at one offset, in a block whose checksum is right."""
    kind = _type_in(head)
    # In a whole first block, what follows is content that may look like anything.
    if kind is None and not _block_is_valid(head):
        kind = _type_in(head[_BLOCK_SIZE:])
    if kind is FileKind.LOG and (_block_is_valid(head) or _has_log_version(head)):
        return _identify_log(head)
    if kind is FileKind.CHECKPOINT and (_block_is_valid(head) or _block_is_valid(head, 1)):
        return _identify_checkpoint(source)
    if kind is FileKind.FLUSH_MAP and _block_is_valid(head, size=_LARGER_BLOCK_SIZE):
        from tokar.ese.flushmap import FlushMap  # noqa: PLC0415 - loads construct

        return Identity(kind=kind, header=FlushMap.read(source))
    if kind in _UNREAD_KINDS and any(_block_is_valid(head, size=size) for size in (_BLOCK_SIZE, _LARGER_BLOCK_SIZE)):
        return Identity(kind=kind, note="recognised by its file type; its header is not interpreted")
    return None


def _recognise_untyped(source: ByteSource, head: bytes) -> Identity | None:
    """Logs and checkpoints from before 7.3704.5, which have no file type."""
    if head[_TYPE_OFFSET:_TYPE_END] != bytes(4):
        return None
    if _has_log_version(head):
        return _identify_log(head)
    if source.size == _CHECKPOINT_FILE_SIZE and (_block_is_valid(head) or _block_is_valid(head, 1)):
        return _identify_checkpoint(source, "without a file type: written before 2001")
    return None


def _type_in(block: bytes) -> FileKind | None:
    return _KINDS.get(int.from_bytes(block[_TYPE_OFFSET:_TYPE_END], "little"))


def _block_is_valid(head: bytes, number: int = 0, size: int = _BLOCK_SIZE) -> bool:
    """Return whether a block is there to its last byte, with a right checksum, in which zeros do not show."""
    block = head[number * size : (number + 1) * size]
    return len(block) == size and header_is_valid(block)


def _has_log_version(head: bytes) -> bool:
    return struct.unpack_from("<II", head, 32) in _LOG_VERSIONS


def _recognise_reserve(source: ByteSource, head: bytes) -> Identity | None:
    """Reserve logs: all zero, or the fill pattern from the first byte to the last."""
    if source.size > LARGEST_LOG:
        return None
    pattern = bytes(256) if not any(head[:16]) else FILL_PATTERN
    expected = pattern * (min(source.size, PIECE) // len(pattern) + 1)
    if any(piece != expected[: len(piece)] for piece in pieces_of(source)):
        return None
    what = "zeros" if not any(head[:16]) else "the fill pattern of unused sectors"
    return Identity(kind=FileKind.RESERVE, note=f"nothing but {what}: a reserve log, or one never written")


def _recognise_second_copy(source: ByteSource, head: bytes) -> Identity | None:
    """A database whose first header copy is gone."""
    if any(head[begin:end] == _MAGIC_BYTES for begin, end in _SECOND_MAGICS):
        identity = _identify_database(source)
        if identity.header is not None:
            return identity
    return None
