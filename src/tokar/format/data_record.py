"""DATA: one chunk of content (spec/format.md section 8)."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from tokar.errors import FormatError
from tokar.format import zstd_frame
from tokar.format.records import DATA_BODY, Packer

if TYPE_CHECKING:
    from typing_extensions import Buffer

PACKER: Final = Packer(DATA_BODY)


class Codec(IntEnum):
    """How the content of a chunk is stored."""

    STORED = 0
    ZSTD = 1
    ZEROS = 2


class DataRecord(NamedTuple):
    """The body of DATA, without its stored bytes."""

    entry: int  # Number of the entry
    chunk: int  # Number of the chunk in the entry
    content_size: int  # Bytes of content
    codec: int  # How the content is stored
    stored_at: int  # Where the stored bytes start in the body


def build_prefix(entry: int, chunk: int, content_size: int, codec: int) -> bytes:
    """Return the body up to the stored bytes, without padding."""
    return PACKER.pack(entry, chunk, content_size, codec, 0, 0)


def parse_data(body: Buffer, *, entry: int, chunk: int, chunk_size: int, position: int) -> DataRecord:
    """Read the body of the DATA record at `position`; the frame of codec 1 is not looked at (`content` does that).

    Raises:
        FormatError: DATA-1 to DATA-5, apart from the fullness of a chunk that is not the last.
    """
    its_entry, its_chunk, content_size, codec, zero, pad_length = PACKER.unpack(body)
    stored_at = PACKER.size + pad_length
    stored_size = memoryview(body).nbytes - stored_at
    if its_entry != entry or its_chunk != chunk:
        message = f"chunk {its_chunk} of entry {its_entry} where chunk {chunk} of entry {entry} must be"
        raise FormatError(message, rule="DATA-1", offset=position)
    if not 1 <= content_size <= chunk_size:
        raise FormatError(f"a chunk of {content_size} bytes", rule="DATA-2", offset=position)
    if codec > Codec.ZEROS or zero or stored_size < 0 or any(memoryview(body)[PACKER.size : stored_at]):
        raise FormatError("a field of DATA is out of range, or its padding is not zero", rule="DATA-3", offset=position)
    if codec == Codec.STORED and stored_size != content_size:
        raise FormatError("stored bytes and content differ in size", rule="DATA-4", offset=position)
    if codec == Codec.ZEROS and stored_size:
        raise FormatError("a chunk of zeros with stored bytes", rule="DATA-5", offset=position)
    return DataRecord(its_entry, its_chunk, content_size, codec, stored_at)


def check_frame(record: DataRecord, body: Buffer, *, position: int) -> None:
    """Check the Zstandard frame of a chunk without decompressing it; other codecs pass.

    Raises:
        FormatError: DATA-6 or DATA-7.
    """
    if record.codec != Codec.ZSTD:
        return
    stored = memoryview(body)[record.stored_at :]
    if stored.nbytes >= record.content_size:
        raise FormatError("the compressed chunk is not smaller than its content", rule="DATA-6", offset=position)
    zstd_frame.check(stored, record.content_size, position=position)


def content(record: DataRecord, body: Buffer, *, position: int) -> Buffer | None:
    """Return the content of a chunk, or None if it is all zeros by its codec.

    Raises:
        FormatError: DATA-6 or DATA-7.
    """
    if record.codec == Codec.ZEROS:
        return None
    stored = memoryview(body)[record.stored_at :]
    if record.codec == Codec.STORED:
        return stored
    check_frame(record, body, position=position)
    return zstd_frame.decompress(stored, record.content_size, position=position)
