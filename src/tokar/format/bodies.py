"""The preamble and the bodies of FILE, DATA, DONE, ROOT and TAIL (spec/format.md sections 3, 7 to 9 and 11)."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from tokar.errors import BadMagicError, FormatError, InputError, UnsealedError, UnsupportedError
from tokar.format import records
from tokar.storage.bytesource import Buffer

_PREAMBLE = records.Packer(records.PREAMBLE)
PREAMBLE_SIZE = _PREAMBLE.size


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
        without_crc = _PREAMBLE.pack(records.MAGIC, records.MAJOR, 0, 0, self.id)
        return _PREAMBLE.pack(records.MAGIC, records.MAJOR, 0, _preamble_crc(without_crc), self.id)

    @classmethod
    def parse(cls, data: bytes) -> Preamble:
        """Read the preamble from the first bytes of an archive.

        Raises:
            BadMagicError: PRE-1.
            UnsupportedError: PRE-2, another major version.
            FormatError: PRE-3 or PRE-4.
            UnsealedError: The input ends inside the preamble (STATE-1).
        """
        if data[:8] != records.MAGIC:
            raise BadMagicError("not a tokar archive", rule="PRE-1", offset=0)
        major = int.from_bytes(data[8:10], "little")
        if len(data) >= 10 and major != records.MAJOR:
            raise UnsupportedError(f"format version {major} is not known here", rule="PRE-2", offset=0)
        if len(data) >= 12 and any(data[10:12]):
            raise FormatError("reserved bytes of the preamble are not zero", rule="PRE-3", offset=0)
        if len(data) < PREAMBLE_SIZE:
            raise UnsealedError("it ends inside the preamble", rule="STATE-1", offset=0)
        crc, archive_id = _PREAMBLE.unpack(data)[3:5]
        if crc != _preamble_crc(data):
            raise FormatError("the CRC-32 of the preamble is wrong", rule="PRE-4", offset=0)
        return cls(archive_id)


def _preamble_crc(data: bytes) -> int:
    return zlib.crc32(data[16:32], zlib.crc32(data[:12]))


FILE_PACKER: Final = records.Packer(records.FILE_BODY)


class FileList(IntEnum):
    """The list of the backup procedure that a file came from (spec/format.md, FILE, field `list`)."""

    BY_HAND = 0
    DATABASE_NAMES = 1
    BACKUP_LOGS = 2
    DYNAMIC_FILES = 3


_LISTS: Final = tuple(FileList)
_MAX_ENCODING: Final = 0xFFFF
_TIME_BOUND: Final = 1 << 63  # nanoseconds: from 1677 to 2262


class FileRecord(NamedTuple):
    """The body of FILE. A named tuple, because it is made once for each of many small files."""

    entry: int  # Number of the entry, from 0
    encoding: int  # Windows code page of the name, 0 unknown
    token: int  # The token byte as delivered
    file_list: FileList  # Where the file was listed
    announced_size: int | None  # Bytes, as announced when the file was opened, or None
    modified: int | None  # Modification time, nanoseconds since 1970 in UTC, or None
    incomplete: bool  # Whether the content is known to be incomplete
    chunk_log2: int  # Size of a chunk as a power of two
    name: bytes  # The name as delivered, 1 to 65,535 bytes
    stream: int = 0  # What the keys of an encrypted file are made from; zero without encryption

    def build(self) -> bytes:
        """Return the bytes of the body."""
        entry, encoding, token, listed, announced, modified, incomplete, log2, name, stream = self
        flags = file_flags(announced, modified, incomplete=incomplete)
        sizes = (announced or 0, modified or 0, flags, log2)
        return FILE_PACKER.pack(entry, encoding, token, listed, *sizes, 0, stream) + name

    @classmethod
    def parse(cls, body: Buffer, *, entry: int, position: int, after: int | None = None) -> FileRecord:
        """Read the body of the FILE record at `position`, which must be that of entry number `entry`.

        Args:
            body: The bytes.
            entry: The number that it must have.
            position: Of the record, for the error.
            after: With encryption, the stream of the entry before it; None without.

        Raises:
            FormatError: FILE-1, FILE-3, FILE-4 or ENC-2.
        """
        number, encoding, token, listed, announced, modified, flags, log2, zero, stream = FILE_PACKER.unpack(body)
        if number != entry:
            raise FormatError(f"entry {number} where entry {entry} must be", rule="FILE-1", offset=position)
        if (
            listed >= len(_LISTS)
            or not records.MIN_CHUNK_LOG2 <= log2 <= records.MAX_CHUNK_LOG2
            or flags & ~records.ALL_FLAGS
        ):
            raise FormatError("a field of FILE is out of range", rule="FILE-3", offset=position)
        has_modified, has_announced = flags & records.FLAG_MODIFIED, flags & records.FLAG_ANNOUNCED
        has_stream = stream and after is None
        if zero or has_stream or (announced and not has_announced) or (modified and not has_modified):
            raise FormatError("a field of FILE that must be zero is not", rule="FILE-4", offset=position)
        if after is not None and stream <= after:
            raise FormatError(f"stream {stream} comes after stream {after}", rule="ENC-2", offset=position)
        times_and_sizes = (announced if has_announced else None, modified if has_modified else None)
        name, incomplete = bytes(memoryview(body)[FILE_PACKER.size :]), bool(flags & records.FLAG_INCOMPLETE)
        return cls(number, encoding, token, _LISTS[listed], *times_and_sizes, incomplete, log2, name, stream)


def demand_in_range(
    token: int, name: bytes, encoding: int, *, announced_size: int | None, modified: int | None
) -> None:
    """Check what is to be written as fields of FILE.

    Raises:
        InputError: One of them is out of range.
    """
    if not 0 <= token <= 0xFF:
        raise InputError(f"a token is one byte, not {token}")
    if not 1 <= len(name) <= records.MAX_NAME_SIZE:
        raise InputError(f"a name of {len(name)} bytes; 1 to {records.MAX_NAME_SIZE} are allowed")
    if not 0 <= encoding <= _MAX_ENCODING:
        raise InputError(f"{encoding} is out of range for a code page")
    if not 0 <= (announced_size or 0) <= records.MAX_ARCHIVE_SIZE:
        raise InputError(f"{announced_size} is out of range for an announced size")
    if not -_TIME_BOUND <= (modified or 0) < _TIME_BOUND:
        raise InputError(f"{modified} is out of range for a modification time")


def file_flags(announced_size: int | None, modified: int | None, *, incomplete: bool) -> int:
    """Return the field `flags` of FILE and INDX."""
    flags = records.FLAG_INCOMPLETE if incomplete else 0
    if modified is not None:
        flags |= records.FLAG_MODIFIED
    return flags if announced_size is None else flags | records.FLAG_ANNOUNCED


DATA_PACKER: Final = records.Packer(records.DATA_BODY)
_ASSOCIATED: Final = records.Packer(records.ASSOCIATED_DATA).pack
_NO_BYTES: Final = bytes(3)


class Codec(IntEnum):
    """How the content of a chunk is stored."""

    STORED = 0
    ZSTD = 1
    ZEROS = 2


class DataRecord(NamedTuple):
    """The fields of DATA, which stand behind its stored bytes."""

    entry: int  # Number of the entry
    chunk: int  # Number of the chunk in the entry
    content_size: int  # Bytes of content
    codec: int  # How the content is stored

    def build(self) -> bytes:
        """Return the end of the body, behind the stored bytes."""
        return DATA_PACKER.pack(*self, _NO_BYTES)

    @property
    def associated(self) -> bytes:
        """What an encrypted chunk is bound to (section 15)."""
        return _ASSOCIATED(self.chunk, self.content_size, self.codec)


def data_fields(body: Buffer) -> tuple[DataRecord, bytes]:
    """Return the fields of DATA, and its last three bytes, which must be zero. Nothing is checked."""
    *fields, zero = DATA_PACKER.unpack(body, memoryview(body).nbytes - DATA_PACKER.size)
    return DataRecord(*fields), zero


def stored_bytes(body: Buffer) -> memoryview:
    """Return the stored bytes of DATA."""
    return memoryview(body)[: -DATA_PACKER.size]


def parse_data(
    body: Buffer, *, entry: int, chunk: int, chunk_size: int, position: int, tag_size: int = 0
) -> DataRecord:
    """Read the body of the DATA record at `position`; the frame of codec 1 is not looked at (`compression` does that).

    Args:
        body: The bytes.
        entry: The number of the entry that it must be of.
        chunk: The number that it must have.
        chunk_size: Bytes of a full chunk.
        position: Of the record, for the error.
        tag_size: Bytes of the tag behind the ciphertext; 0 without encryption.

    Raises:
        FormatError: DATA-1 to DATA-5, apart from the fullness of a chunk that is not the last; ENC-3 for want of a tag.
    """
    fields, zero = data_fields(body)
    its_entry, its_chunk, content_size, codec = fields
    stored_size = memoryview(body).nbytes - DATA_PACKER.size - tag_size
    if its_entry != entry or its_chunk != chunk:
        message = f"chunk {its_chunk} of entry {its_entry} where chunk {chunk} of entry {entry} must be"
        raise FormatError(message, rule="DATA-1", offset=position)
    if not 1 <= content_size <= chunk_size:
        raise FormatError(f"a chunk of {content_size} bytes", rule="DATA-2", offset=position)
    if codec > Codec.ZEROS or zero != _NO_BYTES:
        raise FormatError("a field of DATA is out of range", rule="DATA-3", offset=position)
    if stored_size < 0:
        raise FormatError("the stored bytes are shorter than a tag", rule="ENC-3", offset=position)
    if codec == Codec.STORED and stored_size != content_size:
        raise FormatError("stored bytes and content differ in size", rule="DATA-4", offset=position)
    if codec == Codec.ZEROS and stored_size:
        raise FormatError("a chunk of zeros with stored bytes", rule="DATA-5", offset=position)
    return fields


DONE_PACKER: Final = records.Packer(records.DONE_BODY)
DONE_ROW_SIZE: Final = 36  # a length and a check for each DATA record


@dataclass(frozen=True, slots=True)
class DoneRecord:
    """The body of DONE."""

    entry: int  # Number of the entry
    content_size: int  # Bytes of content
    digest: bytes  # BLAKE3 of the content, 32 bytes
    file_check: bytes  # Check of the FILE record, 32 bytes
    data_lengths: Sequence[int]  # Body lengths of the DATA records, in order
    data_checks: bytes  # Their checks, 32 bytes each, one after the other

    @property
    def chunk_count(self) -> int:
        """Number of DATA records."""
        return len(self.data_lengths)

    def build(self) -> bytes:
        """Return the bytes of the body."""
        fixed = DONE_PACKER.pack(self.entry, self.chunk_count, self.content_size, self.digest, self.file_check)
        return fixed + records.column_bytes(array("I", self.data_lengths)) + self.data_checks

    @classmethod
    def parse(cls, body: Buffer, *, entry: int, position: int) -> DoneRecord:
        """Read the body of the DONE record at `position`, which must be that of entry number `entry`.

        Raises:
            FormatError: DONE-1.
        """
        number, count, content_size, digest, file_check = DONE_PACKER.unpack(body)
        view = memoryview(body)
        if number != entry or view.nbytes != DONE_PACKER.size + DONE_ROW_SIZE * count:
            raise FormatError(f"the DONE record does not fit entry {entry}", rule="DONE-1", offset=position)
        checks_at = DONE_PACKER.size + 4 * count
        lengths = records.column_integers(view[DONE_PACKER.size : checks_at], "I")
        return cls(number, content_size, digest, file_check, lengths, bytes(view[checks_at:]))

    def demand_shape(self, file: FileRecord, *, position: int) -> None:
        """Check the sizes against FILE. `position`: of DONE.

        Raises:
            FormatError: DONE-3 or DONE-4.
        """
        if self.chunk_count != -(-self.content_size >> file.chunk_log2):
            raise FormatError("size and number of chunks do not fit", rule="DONE-3", offset=position)
        if file.announced_size not in (None, self.content_size) and not file.incomplete:
            message = f"{self.content_size} bytes of content, {file.announced_size} were announced"
            raise FormatError(message, rule="DONE-4", offset=position)


_ROOT: Final = records.Packer(records.ROOT_BODY)
_ROOT_ROW: Final = records.Packer(records.ROOT_ROW)


@dataclass(frozen=True, slots=True)
class Root:
    """The body of ROOT."""

    preamble: bytes  # Bytes 0-31 of the archive
    entry_count: int  # Number of entries
    rows: Sequence[records.RecordHead]  # The heads of all records outside entries that stand before ROOT, in order

    def build(self) -> bytes:
        """Return the bytes of the body."""
        fixed = _ROOT.pack(self.preamble, self.entry_count, len(self.rows))
        return fixed + b"".join(_ROOT_ROW.pack(row.kind, row.length, row.position, row.check) for row in self.rows)

    @classmethod
    def parse(cls, body: Buffer, *, position: int) -> Root:
        """Read the body of the ROOT record at `position`.

        Raises:
            FormatError: ROOT-1.
        """
        preamble, entry_count, row_count = _ROOT.unpack(body)
        if memoryview(body).nbytes != _ROOT.size + _ROOT_ROW.size * row_count:
            raise FormatError("the rows do not fill the ROOT record", rule="ROOT-1", offset=position)
        rows = [
            records.RecordHead(*_ROOT_ROW.unpack(body, _ROOT.size + _ROOT_ROW.size * at)) for at in range(row_count)
        ]
        return cls(preamble, entry_count, rows)


_TAIL: Final = records.Packer(records.TAIL_BODY)
TAIL_BODY_SIZE: Final = _TAIL.size
TAIL_SIZE: Final = records.HEAD_SIZE + TAIL_BODY_SIZE


@dataclass(frozen=True, slots=True)
class Tail:
    """The body of TAIL."""

    root_position: int  # Where ROOT stands
    root: bytes  # The root of the archive, 32 bytes: the check of ROOT

    def build(self) -> bytes:
        """Return the bytes of the body."""
        return _TAIL.pack(self.root_position, self.root, records.END_MAGIC)

    @classmethod
    def parse(cls, body: Buffer, *, position: int) -> Tail:
        """Read the body of the TAIL record at `position`.

        Raises:
            FormatError: TAIL-1.
        """
        root_position, root, end_magic = _TAIL.unpack(body)
        if end_magic != records.END_MAGIC:
            raise FormatError("the end magic is wrong", rule="TAIL-1", offset=position)
        return cls(root_position, root)
