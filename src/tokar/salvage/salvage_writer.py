"""A writer for what salvage saved: records go over as they stand, and a whole archive can be rebuilt byte by byte (SALV-3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blake3 import blake3

from tokar.errors import CheckMismatchError, InputError
from tokar.format import data_record, records, tail
from tokar.format.data_record import Codec
from tokar.format.entry_writer import EncodedChunk, encode_chunk
from tokar.format.tail import Tail
from tokar.format.writer import ArchiveWriter, Sealed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Buffer

    from tokar.format.entry import Entry
    from tokar.format.file_record import FileRecord
    from tokar.format.metadata import Summary


class SalvageWriter(ArchiveWriter):
    """Writes one archive from the records of another. Arguments are those of `ArchiveWriter`."""

    @property
    def position(self) -> int:
        """Where the next record lands."""
        return self._position

    def copy_entry(self, file: FileRecord, chunks: Iterable[EncodedChunk]) -> Entry:
        """Add an entry from chunks that are encoded already.

        Args:
            file: The FILE record; its number must be `entry_count`.
            chunks: All chunks of the file, in order.

        Raises:
            FormatError: An entry with this token and name is there (SEQ-4), or a limit is reached. Nothing was written
                then, and more entries may be added.
            StorageError: The archive cannot be written.
        """
        self._demand_open()
        self._open_account(file)
        self._state = "broken"  # until all of it is there
        writer = self._begin(file)
        for chunk in chunks:
            self._push(*writer.add(chunk))
        entry = self._end(writer)
        self._state = "open"
        return entry

    def copy_record(self, kind: bytes, body: bytes) -> None:
        """Add a PROC or lower-case record as it stands elsewhere.

        Raises:
            FormatError: A limit is reached.
            StorageError: The archive cannot be written.
        """
        self._demand_open()
        self._state = "broken"
        self._put_outside(kind, body)
        self._state = "open"

    def seal_as(
        self, summary: Summary, *, trailing: Iterable[tuple[bytes, bytes]] = (), root: bytes | None = None
    ) -> Sealed:
        """Seal with a summary that is ready, and with records after ROOT.

        Args:
            summary: SUMM.
            trailing: Kind and body of the lower-case records after ROOT.
            root: The root that must come out; None for any.

        Raises:
            CheckMismatchError: Another root came out; nothing is visible under the final name.
            FormatError: SUMM does not say what the archive holds.
            ExistingFileError: The final name was taken in the meantime.
            StorageError: The archive cannot be written.
        """
        self._demand_open()
        self._state = "broken"
        counts = (self.entry_count, self.content_size)
        summary.demand_counts(self.head, entries=counts[0], content_size=counts[1], position=self._position)
        self._put_outside(records.SUMM, summary.build())
        if len(self._ledger.page):
            self._put_outside(records.INDX, self._ledger.take_page())
        root_position = self._position
        own_root = self._put(records.ROOT, self._ledger.root_body()).check
        if root is not None and own_root != root:
            raise CheckMismatchError(
                "the records do not make the archive that ROOT names",
                expected=root,
                actual=own_root,
                rule="ROOT-2",
                offset=root_position,
            )
        for kind, body in trailing:
            self._put(kind, body)
        size = self._position + tail.RECORD_SIZE
        self._put(records.TAIL, Tail(root_position, own_root, size).build())
        self._flush()
        self._stop()
        self._sink.commit()
        self._state = "sealed"
        return Sealed(self.id, own_root, size, *counts)

    def _demand_open(self) -> None:
        if self._state != "open":
            raise InputError(f"the archive is {self._state}")


def copied_chunk(entry: int, body: memoryview, content: Buffer) -> EncodedChunk:
    """Return a chunk with the body of a DATA record as it stands elsewhere, but for the number of the entry."""
    prefix = entry.to_bytes(4, "little") + bytes(body[4 : data_record.PACKER.size])
    stored = body[data_record.PACKER.size :]
    hasher = blake3(prefix)
    hasher.update(stored)
    return EncodedChunk(prefix, stored, hasher, content)


def filler_chunk(entry: int, chunk: int, content: Buffer) -> EncodedChunk:
    """Return a chunk of zeros."""
    return encode_chunk(entry, chunk, int(Codec.ZEROS), b"", content)
