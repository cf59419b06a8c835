"""One entry on its way into an archive: FILE, DATA and DONE from chunks (spec/format.md sections 7 to 9).

Records inside an entry need the position where they land, and DONE needs what all chunks turned out to be. This is that
bookkeeping, without threads and without input or output.
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

from blake3 import blake3

from tokar.format import records
from tokar.format.bodies import DataRecord, DoneRecord, FileRecord
from tokar.format.encryption import StreamCipher, seal
from tokar.format.index import Entry
from tokar.storage.bytesource import Buffer


class EncodedChunk(NamedTuple):
    """A chunk that is ready but for its place in the archive."""

    stored: Buffer  # The stored bytes
    fields: bytes  # The rest of the body of DATA, behind them
    hasher: blake3  # BLAKE3 over the stored bytes; the rest is still missing from the check
    content: Buffer  # The content, for the digest of the file
    content_size: int  # Its bytes


def encode_chunk(
    data: DataRecord, stored: Buffer, content: Buffer, *, cipher: StreamCipher | None = None
) -> EncodedChunk:
    """Build the body of a DATA record, sealed where there is a cipher, and hash it; may run in any thread."""
    stored = seal(cipher, data, stored)
    return EncodedChunk(stored, data.build(), blake3(stored), content, data.content_size)


class EntryWriter:
    """The records of one entry, in order.

    Args:
        file: The FILE record.
        tag: The tag of the archive.
        position: Where FILE lands.
        cipher: What seals the content; None without encryption.
    """

    def __init__(self, file: FileRecord, tag: bytes, position: int, cipher: StreamCipher | None = None) -> None:
        self.file = file
        self.file_position = position
        self.position = position  # Where the next record lands
        self.content_size = 0  # Bytes of content so far
        self._tag = tag
        self._lengths = array("I")
        self._checks = bytearray()
        self._digest = blake3() if cipher is None else cipher.hasher()
        self._file_check = b""

    @property
    def chunk_count(self) -> int:
        """Chunks so far."""
        return len(self._lengths)

    def begin(self) -> tuple[bytes, bytes]:
        """Return head and body of FILE."""
        body = self.file.build()
        head, self._file_check = records.build_head(records.FILE, self._tag, self.position, body)
        self.position += len(head) + len(body)
        return head, body

    def absorb(self, content: Buffer) -> None:
        """Hash the next content for the digest of the file, ahead of `add`; in order, in any thread."""
        self._digest.update(content)

    def add(self, chunk: EncodedChunk, *, absorbed: bool = False) -> tuple[bytes, Buffer, bytes]:
        """Return head, stored bytes and fields of the next DATA.

        Args:
            chunk: The chunk.
            absorbed: Whether its content went through `absorb` already.
        """
        length = memoryview(chunk.stored).nbytes + len(chunk.fields)
        checked = records.checked_part(records.DATA, length, self._tag, self.position)
        chunk.hasher.update(chunk.fields + checked)
        check = chunk.hasher.digest()
        if not absorbed:
            self._digest.update(chunk.content)
        self._lengths.append(length)
        self._checks += check
        self.content_size += chunk.content_size
        self.position += records.HEAD_SIZE + length
        return records.finish_head(checked, check), chunk.stored, chunk.fields

    def end(self, digest: bytes | None = None) -> tuple[Entry, bytes]:
        """Return the entry, and the record DONE; `digest` where nobody here can make it: the content is encrypted."""
        size, digest = self.content_size, digest or self._digest.digest()
        done = DoneRecord(self.file.entry, size, digest, self._file_check, self._lengths, bytes(self._checks))
        body = done.build()
        head, check = records.build_head(records.DONE, self._tag, self.position, body)
        entry = Entry.of(self.file, size, digest, (self.file_position, self.position), check)
        self.position += len(head) + len(body)
        return entry, head + body
