"""A whole entry of at most one chunk, built in one go: the hot path for archives of many small files.

It writes the same bytes as `EntryWriter`, which a test holds it to; it only spares the objects in between, which would cost more than the
hashing does.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from blake3 import blake3

from tokar.format import records
from tokar.format.layouts import DATA_BODY, DONE_BODY, FILE_BODY, FLAG_ANNOUNCED, FLAG_MODIFIED
from tokar.format.packing import Packer

if TYPE_CHECKING:
    from tokar.format.compression import Compression

_FILE: Final = Packer(FILE_BODY).pack
_DATA: Final = Packer(DATA_BODY).pack
_DONE: Final = Packer(DONE_BODY).pack
_NO_CONTENT: Final = blake3().digest()
_ZERO: Final = bytes(4)


class SmallEntry(NamedTuple):
    """An entry that is ready to be written.

    Attributes:
        data: Its records: FILE, DATA unless it is empty, DONE.
        done_position: Where DONE lands.
        digest: Of the content.
        done_check: Check of DONE.
    """

    data: bytes
    done_position: int
    digest: bytes
    done_check: bytes


def build_small_entry(
    content: bytes,
    name: bytes,
    *,
    entry: int,
    encoding: int,
    token: int,
    file_list: int,
    modified: int | None,
    chunk_log2: int,
    compression: Compression,
    tag: bytes,
    position: int,
) -> SmallEntry:
    """Return the records of an entry whose announced size is that of its content.

    Args:
        content: Fewer bytes than a chunk has, or exactly as many.
        name: The name as delivered.
        entry: Number of the entry.
        encoding: Windows code page of the name.
        token: The token byte.
        file_list: Where the file was listed.
        modified: Modification time in nanoseconds.
        chunk_log2: Size of a chunk as a power of two.
        compression: How the chunk is stored.
        tag: Tag of the archive.
        position: Where FILE lands.
    """
    size = len(content)
    flags = FLAG_ANNOUNCED if modified is None else FLAG_ANNOUNCED | FLAG_MODIFIED
    body = _FILE(entry, encoding, token, file_list, size, modified or 0, flags, chunk_log2, 0, len(name), 0) + name
    file_record, file_check = _record(records.FILE, body, tag, position)
    position += len(file_record)
    if size:
        codec, stored = compression.encode(content)
        body = _DATA(entry, 0, size, codec, 0, 0) + stored
        data_record, data_check = _record(records.DATA, body, tag, position)
        position += len(data_record)
        digest = blake3(content).digest()
        done_body = _DONE(entry, 1, size, digest, file_check) + len(body).to_bytes(4, "little") + data_check
    else:
        data_record, digest = b"", _NO_CONTENT
        done_body = _DONE(entry, 0, 0, digest, file_check)
    done_record, done_check = _record(records.DONE, done_body, tag, position)
    return SmallEntry(file_record + data_record + done_record, position, digest, done_check)


def _record(kind: bytes, body: bytes, tag: bytes, position: int) -> tuple[bytes, bytes]:
    """Return a record and its check."""
    checked = records.checked_part(kind, len(body), tag, position)
    check = blake3(body + checked).digest()
    head = checked + check + _ZERO
    return head + zlib.crc32(head).to_bytes(4, "little") + body, check
