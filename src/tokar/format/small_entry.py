"""A whole entry of at most one chunk, built or proven in one go: the hot path for archives of many small files.

Building gives the same bytes as `EntryWriter`, and what is proven here keeps every rule that `EntryReader` demands; a
test holds both to that. It only spares the objects in between, which would cost more than the hashing does, and hashes
a chunk that is stored as it is once, for the digest and on to the check. Proving builds FILE, the head of DATA and DONE
again and compares bytes; where anything differs it gives up without a verdict, and the long way finds out what is
wrong.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from blake3 import blake3

from tokar.errors import FormatError
from tokar.format import records
from tokar.format.bodies import (
    DONE_PACKER,
    DONE_ROW_SIZE,
    FILE_PACKER,
    Codec,
    DataRecord,
    FileRecord,
    parse_data,
    stored_bytes,
)
from tokar.format.compression import check_frame, decode_content
from tokar.format.encryption import TAG_SIZE, StreamCipher, seal
from tokar.format.index import Entry
from tokar.format.records import DATA_BODY, HEAD_SIZE, Packer
from tokar.storage.bytesource import Buffer

_DATA_PACKER: Final = Packer(DATA_BODY)
_DATA, _DATA_SIZE = _DATA_PACKER.pack, _DATA_PACKER.size
_DONE: Final = DONE_PACKER.pack
_NO_CONTENT: Final = blake3().digest()
_NO_BYTES: Final = bytes(3)
_STORED_CODEC, _ZEROS_CODEC = int(Codec.STORED), int(Codec.ZEROS)


def build_small_entry(
    file: FileRecord,
    content: Buffer,
    encoded: tuple[int, Buffer],
    *,
    tag: bytes,
    position: int,
    cipher: StreamCipher | None = None,
) -> tuple[Entry, tuple[bytes, Buffer, bytes]]:
    """Return an entry, and its records (FILE, DATA unless it is empty, DONE) as bytes before, of and after the content.

    Args:
        file: FILE.
        content: At most as many bytes as a chunk has.
        encoded: Its codec, and the bytes to store.
        tag: Tag of the archive.
        position: Where FILE lands.
        cipher: What seals the content; None without encryption.
    """
    size, (codec, stored), fields = len(content), encoded, b""
    digest = _NO_CONTENT if cipher is None else cipher.hasher().update(content).digest()
    body = file.build()
    head, file_check = records.build_head(records.FILE, tag, position, body)
    before = head + body
    at = position + len(before)
    if size:
        if cipher is not None:
            stored = seal(cipher, DataRecord(file.entry, 0, size, codec), stored)
        hasher = blake3(stored)
        if cipher is None:
            digest = hasher.digest() if codec == _STORED_CODEC else blake3(content).digest()
        fields = _DATA(file.entry, 0, size, codec, _NO_BYTES)
        length = len(stored) + _DATA_SIZE
        head, data_check = _data_head(length, tag, at, hasher, fields)
        before += head
        at += HEAD_SIZE + length
        body = _DONE(file.entry, 1, size, digest, file_check) + length.to_bytes(4, "little") + data_check
    else:
        body = _DONE(file.entry, 0, 0, digest, file_check)
    head, check = records.build_head(records.DONE, tag, at, body)
    return Entry.of(file, size, digest, (position, at), check), (before, stored, fields + head + body)


def size_of_records(name: int, content: int, stored: int, *, encrypted: bool) -> int:
    """Return the bytes of the records of an entry.

    Args:
        name: Bytes of its name.
        content: Bytes of its content, at most a chunk.
        stored: Bytes to store, before they are sealed.
        encrypted: Whether they will be.
    """
    data = HEAD_SIZE + stored + (TAG_SIZE if encrypted else 0) + _DATA_SIZE if content else 0
    return HEAD_SIZE + FILE_PACKER.size + name + data + size_of_done(content)


def size_of_done(content: int) -> int:
    """Return the bytes of DONE of an entry with so much content, at most a chunk."""
    return HEAD_SIZE + DONE_PACKER.size + (DONE_ROW_SIZE if content else 0)


class ProvenContent(NamedTuple):
    """The content of an entry whose every rule holds."""

    content: Buffer | None  # The content; None for zeros, and where it is not decoded
    codec: int  # How it is stored


def prove_small_entry(
    data: memoryview, entry: Entry, tag: bytes, *, decode: bool, cipher: StreamCipher | None = None
) -> ProvenContent | None:
    """Prove an entry of at most one chunk from its bytes; None if it is larger, or if anything is not as it must be.

    Args:
        data: All bytes from FILE to the end of DONE.
        entry: Its row of the index, which has FILE too.
        tag: Tag of the archive.
        decode: Whether the content is decoded and its digest demanded.
        cipher: What opens the content; None without encryption.

    Raises:
        LockedError: It is to be decoded, and the key is not there.
    """
    size, position, file = entry.size, entry.file_position, entry.file
    done_at = entry.done_position - position
    body = file.build()
    head, file_check = records.build_head(records.FILE, tag, position, body)
    data_at = HEAD_SIZE + len(body)
    if (
        head + body != bytes(data[:data_at])
        or size > 1 << file.chunk_log2
        or (file.announced_size not in (None, size) and not file.incomplete)
        or not (data_at + HEAD_SIZE + _DATA_SIZE <= done_at if size else data_at == done_at)
    ):
        return None
    proven: ProvenContent | None = ProvenContent(None, _ZEROS_CODEC)
    if size:
        chunk = data[data_at + HEAD_SIZE : done_at]
        stored = stored_bytes(chunk)
        hasher = blake3(stored)
        is_stored = (
            cipher is None
            and len(stored) == size
            and chunk[size:] == _DATA(file.entry, 0, size, _STORED_CODEC, _NO_BYTES)
        )
        if is_stored and decode and hasher.digest() != entry.digest:
            return None
        head, data_check = _data_head(len(chunk), tag, position + data_at, hasher, bytes(chunk[len(stored) :]))
        if head != bytes(data[data_at : data_at + HEAD_SIZE]):
            return None
        if is_stored:
            proven = ProvenContent(stored if decode else None, _STORED_CODEC)
        else:
            proven = _decoded(chunk, entry, position + data_at, decode=decode, cipher=cipher)
        body = _DONE(file.entry, 1, size, entry.digest, file_check) + len(chunk).to_bytes(4, "little") + data_check
    else:
        body = _DONE(file.entry, 0, 0, entry.digest, file_check)
        if decode and entry.digest != (_NO_CONTENT if cipher is None else cipher.hasher().digest()):
            return None
    head, check = records.build_head(records.DONE, tag, entry.done_position, body)
    return proven if check == entry.done_check and head + body == bytes(data[done_at:]) else None


def _decoded(
    chunk: memoryview, entry: Entry, position: int, *, decode: bool, cipher: StreamCipher | None
) -> ProvenContent | None:
    """Return the content of a chunk that is not stored as it is; None if anything is not as it must be."""
    try:
        record = parse_data(
            chunk,
            entry=entry.number,
            chunk=0,
            chunk_size=entry.size,
            position=position,
            tag_size=0 if cipher is None else TAG_SIZE,
        )
        if record.content_size != entry.size:
            return None
        if not decode:
            check_frame(record, chunk, position=position, encrypted=cipher is not None)
            return ProvenContent(None, record.codec)
        content = decode_content(record, chunk, position=position, cipher=cipher)
    except FormatError:
        return None
    hasher = blake3() if cipher is None else cipher.hasher()
    is_right = hasher.update(bytes(entry.size) if content is None else content).digest() == entry.digest
    return ProvenContent(content, record.codec) if is_right else None


def _data_head(length: int, tag: bytes, position: int, hasher: blake3, fields: bytes) -> tuple[bytes, bytes]:
    """Return the head of DATA and its check, from a hasher that has had the stored bytes."""
    checked = records.checked_part(records.DATA, length, tag, position)
    hasher.update(fields + checked)
    check = hasher.digest()
    return records.finish_head(checked, check), check
