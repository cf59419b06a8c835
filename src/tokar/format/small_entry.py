"""A whole entry of at most one chunk, built or proven in one go: the hot path for archives of many small files.

Building gives the same bytes as `EntryWriter`, and what is proven here keeps every rule that `EntryReader` demands; a
test holds both to that. It only spares the objects in between, which would cost more than the hashing does. Proving
rebuilds every head and the whole of DONE and compares bytes; where anything differs it gives up without a verdict, and
the long way finds out what is wrong.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple
from zlib import crc32

from blake3 import blake3

from tokar.errors import FormatError
from tokar.format import records
from tokar.format.bodies import Codec, FileRecord, parse_data
from tokar.format.compression import Compression, check_frame, decode_content
from tokar.format.index import Entry
from tokar.format.records import (
    DATA_BODY,
    DONE_BODY,
    FILE_BODY,
    FLAG_ANNOUNCED,
    FLAG_MODIFIED,
    MAX_CHUNK_LOG2,
    MAX_NAME_SIZE,
    MIN_CHUNK_LOG2,
    Packer,
)

if TYPE_CHECKING:
    from tokar.format.compression import Compression

_FILE_PACKER: Final = Packer(FILE_BODY)
_FILE, _UNPACK_FILE, _FILE_SIZE = _FILE_PACKER.pack, _FILE_PACKER.unpack, _FILE_PACKER.size
_DATA_PACKER: Final = Packer(DATA_BODY)
_DATA, _DATA_SIZE = _DATA_PACKER.pack, _DATA_PACKER.size
_DONE: Final = Packer(DONE_BODY).pack
_NO_CONTENT: Final = blake3().digest()
_ZERO: Final = bytes(4)
_LENGTH: Final = struct.Struct("<I").pack
_CHECKED: Final = records.checked_part
_HEAD_SIZE: Final = records.HEAD_SIZE
_STORED_CODEC, _ZEROS_CODEC = int(Codec.STORED), int(Codec.ZEROS)


def build_small_entry(
    file: FileRecord, content: bytes, *, compression: Compression, tag: bytes, position: int
) -> tuple[Entry, bytes]:
    """Return an entry and its records: FILE, DATA unless it is empty, DONE.

    Args:
        file: FILE.
        content: At most as many bytes as a chunk has.
        compression: How the chunk is stored.
        tag: Tag of the archive.
        position: Where FILE lands.
    """
    number, encoding, token, file_list, _, _, _, _, name = file
    size, at = len(content), position
    data, file_check = _record(records.FILE, file.build(), tag, at)
    if size:
        codec, stored = compression.encode(content)
        body = _DATA(number, 0, size, codec, 0, 0) + stored
        record, data_check = _record(records.DATA, body, tag, at + len(data))
        data += record
        digest = blake3(content).digest()
        body = _DONE(number, 1, size, digest, file_check) + _LENGTH(len(body)) + data_check
    else:
        digest, body = _NO_CONTENT, _DONE(number, 0, 0, _NO_CONTENT, file_check)
    at += len(data)
    done, check = _record(records.DONE, body, tag, at)
    return Entry(number, token, file_list, encoding, name, size, digest, position, at, check), data + done


class ProvenEntry(NamedTuple):
    """An entry whose every rule holds."""

    content: bytes | None  # The content; None for zeros, and where it is not decoded
    codec: int  # How it is stored
    modified: int | None  # Modification time in nanoseconds, or None


def prove_small_entry(data: bytes, entry: Entry, tag: bytes, *, decode: bool) -> ProvenEntry | None:
    """Prove an entry of at most one chunk from its bytes; None if it is larger, or if anything is not as it must be.

    Args:
        data: All bytes from FILE to the end of DONE.
        entry: Its row of the index.
        tag: Tag of the archive.
        decode: Whether the content is decoded and its digest demanded.
    """
    number, _, _, _, name, size, digest, position, done_position, done_check = entry
    data_at = _HEAD_SIZE + _FILE_SIZE + len(name)
    done_at = done_position - position
    body = data[_HEAD_SIZE:data_at]
    described = _prove_file(body, entry)
    if described is None or not (data_at < done_at if size else data_at == done_at):
        return None
    chunk_size, modified = described
    records_so_far, file_check = _record(records.FILE, body, tag, position)
    proven = ProvenEntry(None, _ZEROS_CODEC, modified)
    if size:
        body = data[data_at + _HEAD_SIZE : done_at]
        record, data_check = _record(records.DATA, body, tag, position + data_at)
        records_so_far += record
        if records_so_far != data[:done_at]:
            return None
        content = _prove_data(body, entry, chunk_size, position + data_at, decode=decode)
        if content is None:
            return None
        proven = ProvenEntry(*content, modified)
        done_body = _DONE(number, 1, size, digest, file_check) + _LENGTH(len(body)) + data_check
    else:
        done_body = _DONE(number, 0, 0, digest, file_check)
    record, check = _record(records.DONE, done_body, tag, done_position)
    if check != done_check or records_so_far + record != data:
        return None
    if decode and blake3(bytes(size) if proven.content is None else proven.content).digest() != digest:
        return None
    return proven


def _prove_file(body: bytes, entry: Entry) -> tuple[int, int | None] | None:
    """Return the size of a chunk and the modification time; None if the body of FILE is not as it must be."""
    number, token, file_list, encoding, name, size, *_ = entry
    if len(body) < _FILE_SIZE or len(name) > MAX_NAME_SIZE:
        return None
    announced, modified, flags, chunk_log2 = _UNPACK_FILE(body)[4:8]
    has_time = flags & FLAG_MODIFIED
    if (
        body
        != _FILE(number, encoding, token, file_list, announced, modified, flags, chunk_log2, 0, len(name), 0) + name
        or flags & ~(FLAG_ANNOUNCED | FLAG_MODIFIED)
        or announced != (size if flags & FLAG_ANNOUNCED else 0)
        or (modified and not has_time)
        or not MIN_CHUNK_LOG2 <= chunk_log2 <= MAX_CHUNK_LOG2
        or size > 1 << chunk_log2
    ):
        return None
    return 1 << chunk_log2, modified if has_time else None


def _prove_data(
    body: bytes, entry: Entry, chunk_size: int, position: int, *, decode: bool
) -> tuple[bytes | None, int] | None:
    """Return the content (None: zeros, or not decoded) and its codec; None if the body of DATA is not as it must be."""
    number, size = entry.number, entry.size
    if len(body) == _DATA_SIZE + size and body.startswith(_DATA(number, 0, size, _STORED_CODEC, 0, 0)):
        return body[_DATA_SIZE:] if decode else None, _STORED_CODEC
    if len(body) < _DATA_SIZE:
        return None
    try:
        chunk = parse_data(body, entry=number, chunk=0, chunk_size=chunk_size, position=position)
        if chunk.content_size != size:
            return None
        if not decode:
            check_frame(chunk, body, position=position)
            return None, chunk.codec
        found = decode_content(chunk, body, position=position)
    except FormatError:
        return None
    return None if found is None else bytes(found), chunk.codec


def _record(kind: bytes, body: bytes, tag: bytes, position: int) -> tuple[bytes, bytes]:
    """Return a record and its check."""
    checked = _CHECKED(kind, len(body), tag, position)
    check = blake3(body + checked).digest()
    head = checked + check + _ZERO
    return head + _LENGTH(crc32(head)) + body, check
