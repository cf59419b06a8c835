"""The second pass of salvage: copies what is left to another archive, record by record (SALV-2 to SALV-4)."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from tokar.errors import FormatError, SourceChangedError
from tokar.format import bodies, records
from tokar.format.bodies import Codec, DataRecord, DoneRecord, FileRecord
from tokar.format.entry_writer import EncodedChunk, encode_chunk
from tokar.format.index import Entry
from tokar.format.metadata import Summary, renumber_facts
from tokar.format.writer import ArchiveWriter, Sealed
from tokar.salvage.damage import DamageMap
from tokar.salvage.entry import EntryState, FoundEntry
from tokar.salvage.find import FoundRecord, RecordReader
from tokar.salvage.losses import DamagedFile, Losses
from tokar.salvage.rebuild import Walk
from tokar.salvage.runs import RecordRun, chunk_of
from tokar.words import count_text


class SalvageWriter(ArchiveWriter):
    """Writes one archive from the records of another. Arguments are those of `ArchiveWriter`."""

    @property
    def position(self) -> int:
        """Where the next record lands."""
        return self._position

    def copy_entry(self, file: FileRecord, chunks: Iterable[EncodedChunk], digest: Callable[[], bytes | None]) -> Entry:
        """Add an entry from chunks that are encoded already.

        Args:
            file: The FILE record; its number must be `entry_count`.
            chunks: All chunks of the file, in order.
            digest: Returns the digest of encrypted content, which nobody can make without the key, after the chunks.

        Raises:
            FormatError: An entry with this token and name is there (FILE-5), or a limit is reached. Nothing was written
                then, and more entries may be added.
            StorageError: The archive cannot be written.
        """
        self._demand_open()
        self._open_account(file)
        with self._step():
            writer = self._begin(file)
            for chunk in chunks:
                self._push(*writer.add(chunk))
            return self._end(writer, digest() if file.stream else None)

    def copy_record(self, kind: bytes, body: bytes) -> None:
        """Add a PROC or lower-case record as it stands elsewhere.

        Raises:
            FormatError: A limit is reached.
            StorageError: The archive cannot be written.
        """
        with self._step():
            self._put_before_seal(kind, body)

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
        with self._step():
            entries, size = self.entry_count, self.content_size
            summary.demand_counts(entries=entries, content_size=size, position=self._position)
            return self._seal(summary, trailing, root)


# Bytes of zeros that may stand for what is lost: enough for real archives that were cut early, and too few for a small
# one that was made to fill disks, or to keep a processor busy for hours.
_SPARE_FILLER: Final = 1 << 30
_FILLER_SHARE: Final = 1024  # times the size of the damaged archive


class NotTheSameError(Exception):
    """What comes out is not the original, although it should be."""


@dataclass(slots=True)
class Copier:
    """Copies what is left of one archive into another."""

    found: DamageMap  # What is left
    reader: RecordReader  # For the records
    writer: SalvageWriter  # Where they go
    losses: Losses  # Where it is accounted for what is not whole
    keep: bool  # Whether every record must land where it stood in the original
    partial: bool  # Whether incomplete files are written too
    progress: Callable[[int], None] | None  # Called with numbers of bytes as they are done
    _left_aside: int = 0  # Records that do not go with another root
    _unread_facts: int = 0  # Records of facts that could not be written again
    # The number that each complete entry has now, by the one in the damaged archive; one that no entry has for others.
    _numbers: array[int] = field(default_factory=lambda: array("I"))
    _stream: int = 0  # With encryption, the stream of the last entry (ENC-2)
    _filler_left: int = 0  # Bytes of zeros that may still be written

    def run(self) -> None:
        """Copy everything.

        Raises:
            NotTheSameError: A record would land elsewhere than it stood, where that must not be.
            SourceChangedError: The damaged archive is not what it was.
            FormatError: A limit of the format is reached.
            StorageError: Something cannot be read or written.
        """
        sizes, stop, notes = self.found.runs.sizes, self.found.set_end, self.losses.notes
        self._filler_left = _SPARE_FILLER + _FILLER_SHARE * self.found.size
        for part, run, remains, unknown in Walk(self.found, self.reader):
            if unknown:
                self.losses.add_unknown(unknown.start, len(unknown))
            elif remains is not None:
                self._copy_found(remains)
            elif run is not None and run.is_outside:
                self._copy_outside(run, stop)
            elif run is not None:
                self._copy_proven(run)
            if self.progress is not None and part:
                self.progress(sum(sizes[place] for place in part))
        if self._left_aside:
            notes.append(f"left out: {count_text(self._left_aside, 'record')} after SUMM or ROOT, such as signatures")
        if self._unread_facts:
            notes.append(f"left out: {count_text(self._unread_facts, 'record')} of facts that cannot be read here")

    def _copy_outside(self, run: RecordRun, stop: int) -> None:
        head, at = self.found.outside[run.entry]
        if not head.is_extra and head.kind != records.PROC:
            return
        if head.position >= stop or (not self.keep and head.kind in (records.SIGN, records.KEYS)):
            self._left_aside += not self.keep and head.kind != records.KEYS
            return
        if self.keep and self.writer.position != head.position:
            raise NotTheSameError
        body = bytes(self.reader.record(at).body)
        if head.kind == records.FACT and not self.keep:
            self._copy_facts(body)
        else:
            self.writer.copy_record(head.kind, body)

    def _copy_facts(self, body: bytes) -> None:
        """Copy a record of facts with the numbers that entries have now, if it can be read."""
        try:
            renumbered = renumber_facts(body, self._number_now)
            records.demand_length(records.FACT, len(renumbered or b""), self.writer.position)
        except FormatError:
            self._unread_facts += 1
        else:
            if renumbered is not None:
                self.writer.copy_record(records.FACT, renumbered)

    def _number_now(self, number: int) -> int | None:
        """Return the number that a complete entry has in the result."""
        now = self._numbers[number] if number < len(self._numbers) else records.MAX_ENTRIES
        return None if now == records.MAX_ENTRIES else now

    def _copy_proven(self, run: RecordRun) -> None:
        """Copy an entry that is one run, which the damage map has proven."""
        walk = self.reader.walk(run.at, run.size)
        after = 0 if self.reader.encrypted else None
        file = FileRecord.parse(next(walk).body, entry=run.entry, position=run.position, after=after)
        ends: list[DoneRecord] = []

        def chunks() -> Iterator[EncodedChunk]:
            for record in walk:
                if record.head.kind == records.DATA:
                    yield self._chunk(record)
                else:
                    ends.append(DoneRecord.parse(record.body, entry=run.entry, position=record.head.position))

        remains = FoundEntry(
            run.entry, EntryState.COMPLETE, "", file, is_named=True, size=run.content_size, position=run.position
        )
        entry = self._write(remains, file, chunks(), lambda: ends[0].digest)
        if entry is not None:
            self._count_complete(run.entry, entry, ends[0].digest)

    def _copy_found(self, remains: FoundEntry) -> None:
        """Copy an entry that is not one run, if it may be written."""
        file = remains.file
        if remains.state is EntryState.COMPLETE:
            assert file is not None
            entry = self._write(remains, file, self._chunks(remains), lambda: remains.digest)
            if entry is not None:
                self._count_complete(remains.number, entry, remains.digest)
        elif remains.state is EntryState.LOST or not self.partial or file is None:
            self.losses.add(DamagedFile.of(remains))
        elif file.stream:
            reason = f"{remains.reason}; a part of an encrypted file can be written with its key alone"
            self.losses.add(DamagedFile.of(remains, reason=reason))
        elif remains.filler_size > self._filler_left:
            self.losses.add(DamagedFile.of(remains, reason=f"{remains.reason}; too much to be filled with zeros"))
        else:
            self._filler_left -= remains.filler_size
            incomplete = file._replace(incomplete=True)
            if self._write(remains, incomplete, self._chunks(remains), lambda: None) is not None:
                self.losses.add(DamagedFile.of(remains, written=True))

    def _write(
        self,
        remains: FoundEntry,
        file: FileRecord,
        chunks: Iterable[EncodedChunk],
        digest: Callable[[], bytes | None],
    ) -> Entry | None:
        """Write an entry; if another one has its token and name, account for that and return None."""
        writer = self.writer
        if file.stream and file.stream <= self._stream:
            if self.keep:
                raise NotTheSameError
            self.losses.add(DamagedFile.of(remains, reason="its stream is not beyond that of the entry before it"))
            return None
        if self.keep and (writer.position, writer.entry_count) != (remains.position, file.entry):
            raise NotTheSameError
        try:
            number = writer.entry_count
            own = file if file.entry == number else file._replace(entry=number)
            entry = writer.copy_entry(own, chunks, digest)
        except FormatError as error:
            if error.rule != "FILE-5":
                raise
            if self.keep:
                raise NotTheSameError from error
            self.losses.add(DamagedFile.of(remains, reason="another file with its token and name came first"))
            return None
        self._stream = file.stream
        return entry

    def _count_complete(self, number: int, entry: Entry, expected: bytes | None) -> None:
        """Count a complete file, which had another number in the damaged archive.

        Raises:
            SourceChangedError: What was written is not what was proven.
        """
        self.losses.complete_count += 1
        self._numbers.extend([records.MAX_ENTRIES] * (number + 1 - len(self._numbers)))
        self._numbers[number] = entry.number
        if entry.digest != expected:
            raise SourceChangedError("the damaged archive changed while it was read")

    def _chunks(self, remains: FoundEntry) -> Iterator[EncodedChunk]:
        """Yield all chunks of a file, zeros for those that are lost."""
        at, count = 0, len(remains.numbers)
        for chunk in range(remains.chunk_count):
            if at < count and remains.numbers[at] == chunk:
                yield self._chunk(self.reader.record(remains.places[at]))
                at += 1
            else:
                zeros = bytes(remains.content_size_of(chunk))
                data = DataRecord(self.writer.entry_count, chunk, len(zeros), int(Codec.ZEROS))
                yield encode_chunk(data, b"", zeros)

    def _chunk(self, record: FoundRecord) -> EncodedChunk:
        """Return a chunk with the body of a DATA record as it stands, but for the number of the entry."""
        data, content = chunk_of(record, encrypted=self.reader.encrypted)
        data = data._replace(entry=self.writer.entry_count)
        return encode_chunk(data, bodies.stored_bytes(record.body), content)
