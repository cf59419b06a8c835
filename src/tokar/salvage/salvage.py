"""Salvage: every file of a damaged archive that is still whole, in a good archive (spec/format.md section 14).

The damaged archive is read twice: once to find what is left of it (`map_damage`), once to copy that. If nothing but
derived records is missing, the result is the original again, byte by byte; else it is a new archive that names the old
one as its origin. Nothing is lost in silence: the report lists every range and every file, and
`SalvageReport.raise_if_lossy` raises if anything is missing.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Final

from tokar.errors import FormatError, InputError
from tokar.format import bodies, canonical_json, records
from tokar.format.archive import Archive
from tokar.format.compression import Compression
from tokar.format.metadata import Head
from tokar.format.verify import verify
from tokar.format.writer import Sealed, system_clock
from tokar.salvage.copy import Copier, NotTheSameError, SalvageWriter
from tokar.salvage.damage import DamageMap, map_damage
from tokar.salvage.find import RecordReader, preambles
from tokar.salvage.losses import MAX_LISTED, Losses, LostRanges, SalvageReport
from tokar.salvage.rebuild import Assessment, assess, new_head, new_summary, trailing_records
from tokar.storage.bytesource import ByteSource
from tokar.storage.sink import Sink
from tokar.words import count_text

_MOST_NAMED: Final = 10
_OTHER: Final = (
    "another archive begins at byte {} (id {}) and was left aside: save it by itself, tail -c +{} FILE > OTHER"
)


def random_id() -> bytes:
    """Return a new archive id."""
    return secrets.token_bytes(16)


def salvage(
    source: ByteSource,
    sink_factory: Callable[[], Sink],
    *,
    partial: bool = False,
    clock: Callable[[], datetime] = system_clock,
    new_id: Callable[[], bytes] = random_id,
    progress: Callable[[int], None] | None = None,
) -> SalvageReport:
    """Write what is left of a damaged archive to a new one.

    Args:
        source: The damaged archive.
        sink_factory: Makes the sink; called when it is certain that there is something to write. In a rare case (the
            original contradicts itself) it is called a second time after the first sink was discarded, so a sink that
            cannot take back what it wrote will not do.
        partial: Whether incomplete files are written too, flagged as incomplete, with zeros in place of lost chunks.
        clock: For the times in an archive that is not the original.
        new_id: For the id of such an archive.
        progress: Called with numbers of bytes as they are done; in the end they are about twice the size of the damaged
            archive.

    Returns:
        The report. The result is sealed and visible then, but the work a success only if `SalvageReport.lost` is false.

    Raises:
        InputError: The archive is sealed and undamaged.
        BadMagicError: It is not an archive.
        UnsupportedError: It needs a newer reader.
        FormatError: Nothing can be saved.
        SourceChangedError: It changed while it was read.
        StorageError: It cannot be read, or the result cannot be written.
        ExistingFileError: From the sink.
    """
    found = map_damage(source, progress=progress)
    reader = RecordReader(source, found.tag, encrypted=found.head is not None and found.head.encryption is not None)
    assessment = assess(found, reader)
    work = _Work(source, found, reader, assessment, partial, canonical_json.to_time(clock()), progress)
    if assessment.is_whole and found.id is not None and len(found.known_roots) <= 1:
        _refuse_undamaged(source, found)
        try:
            return work.rebuild(sink_factory())
        except NotTheSameError:
            work.losses = Losses(notes=["the archive contradicts itself: its records do not make what its ROOT names"])
    elif not assessment.complete_count and not (partial and assessment.incomplete_count):
        raise _nothing_to_save(assessment)
    return work.renew(sink_factory(), new_id())


def _refuse_undamaged(source: ByteSource, found: DamageMap) -> None:
    """Raise if there is nothing to salvage.

    Raises:
        InputError: The archive is sealed and undamaged.
    """
    is_covered = bodies.PREAMBLE_SIZE + sum(found.runs.sizes) == source.size
    if not is_covered or not found.preamble_is_good or found.moved_size or found.tail is None:
        return
    try:
        verify(Archive(source)).demand()
    except FormatError:
        return
    raise InputError(
        "the archive is sealed and undamaged: there is nothing to salvage",
        hint="use it as it is; tokar verify --content checks all of it",
    )


def _nothing_to_save(assessment: Assessment) -> FormatError:
    if assessment.incomplete_count:
        message = f"no file is complete, {assessment.incomplete_count:,} incomplete"
        return FormatError(message, rule="SALV-2", hint="with --partial, incomplete files are saved too")
    return FormatError("no file in it can be saved", rule="SALV-2", hint="there is nothing to salvage")


@dataclass(slots=True)
class _Work:
    """One salvage, once the damage is mapped."""

    source: ByteSource  # The damaged archive
    found: DamageMap  # What is left
    reader: RecordReader  # For the records
    assessment: Assessment  # What can be done
    partial: bool  # Whether incomplete files are written too
    now: str  # The time now
    progress: Callable[[int], None] | None
    losses: Losses = field(default_factory=Losses)  # What was lost, and what is to be said

    def rebuild(self, sink: Sink) -> SalvageReport:
        """Write the original again.

        Raises:
            NotTheSameError: Something else would come out; the sink was discarded.
        """
        found, notes = self.found, self.losses.notes
        assert found.head is not None
        assert found.summary is not None
        if self._lacks_first_head:
            notes.append("HEAD was lost; it was written again from the one after SUMM")
        with self._writer(sink, found.head, found.id) as writer:
            self._copy(writer, keep=True)
            try:
                sealed = writer.seal_as(found.summary, trailing=self._trailing(), root=found.known_root)
            except FormatError as error:
                raise NotTheSameError from error
        is_shorter = found.tail is not None and found.named[records.TAIL].end != sealed.size
        if is_shorter:
            notes.append("records after ROOT, such as signatures, are lost")
        elif found.tail is None:
            notes.append("whether there were records after ROOT, such as signatures, is not known")
        return self._report(sealed, same=True, trailing_is_lost=is_shorter)

    def renew(self, sink: Sink, archive_id: bytes) -> SalvageReport:
        """Write a new archive.

        Raises:
            FormatError: Nothing could be written after all.
        """
        found = self.found
        head = new_head(found, self.now, self.losses.notes)
        self._note_what_is_lost()
        with self._writer(sink, head, archive_id) as writer:
            self._copy(writer, keep=False)
            if not writer.entry_count:
                raise _nothing_to_save(self.assessment)
            whole = self.assessment.set_is_whole
            summary = new_summary(self.losses, found, writer, finished=self.now, whole=whole)
            sealed = writer.seal_as(summary, trailing=self._trailing(records.KEYS))
        return self._report(sealed, same=False, trailing_is_lost=False)

    def _writer(self, sink: Sink, head: Head, archive_id: bytes | None) -> SalvageWriter:
        return SalvageWriter(sink, head, archive_id=archive_id, compression=Compression(None))

    def _copy(self, writer: SalvageWriter, *, keep: bool) -> None:
        Copier(self.found, self.reader, writer, self.losses, keep, self.partial, self.progress).run()

    @property
    def _lacks_first_head(self) -> bool:
        """Whether the second HEAD alone is left."""
        head = self.found.named.get(records.HEAD)
        return head is not None and head.position != bodies.PREAMBLE_SIZE

    def _trailing(self, kind: bytes | None = None) -> list[tuple[bytes, bytes]]:
        """Return kind and body of the records for after ROOT: all of them, or those of a kind."""
        last = trailing_records(self.found, kind)
        return [(record.head.kind, bytes(self.reader.record(record.at).body)) for record in last]

    def _note_what_is_lost(self) -> None:
        """Say which records outside entries are known to be lost, and what that means."""
        found = self.found
        remarks = (
            (self._lacks_first_head, "HEAD was lost; the one after SUMM was used"),
            (found.head is None, "HEAD is lost: profile, kind, server and locations are not known any more"),
            (found.id is None, "the second half of the id is lost, so a new id was made"),
            (
                found.summary is None,
                "SUMM is lost: how many files there were, and what was said of the set, is not known",
            ),
            (found.overflow, "there are more records than an archive may hold; the rest was left aside"),
        )
        there = {(head.position, head.check) for head, _ in found.outside}
        rows = found.root.rows if found.root is not None else ()
        lost = Counter(
            "lower-case" if row.is_extra and row.kind != records.FACT else row.kind.decode("ascii", "replace")
            for row in rows
            if row.kind in (records.PROC, records.SUMM) or row.is_extra
            if (row.position, row.check) not in there
        )
        self.losses.notes += [text for is_so, text in remarks if is_so]
        self.losses.notes += [f"lost: {count_text(count, f'{kind} record')}" for kind, count in sorted(lost.items())]

    def _report(self, sealed: Sealed, *, same: bool, trailing_is_lost: bool) -> SalvageReport:
        found, losses = self.found, self.losses
        ranges = LostRanges(found)
        others = self._others(ranges)
        losses.notes += [_OTHER.format(at, one.hex(), at + 1) for one, at in islice(others.items(), _MOST_NAMED)]
        about = (found.size, found.id, found.known_root)
        counts = (losses.complete_count, losses.incomplete_count, losses.lost_count)
        files = (losses.files, tuple(losses.unknown), found.summary is not None or found.root is not None)
        rest = (trailing_is_lost, tuple(others.values()), tuple(losses.notes))
        return SalvageReport(sealed, same, *about, *counts, *files, ranges, ranges.total, *rest)

    def _others(self, ranges: LostRanges) -> dict[bytes, int]:
        """Return ids of other archives in ranges that are of no use, each with the place of its first preamble."""
        found: dict[bytes, int] = {}
        for start, end in ranges.places():
            for at, preamble in preambles(self.source, start, end):
                if preamble.tag != self.found.tag and len(found) < MAX_LISTED:
                    found.setdefault(preamble.id, at)  # its ROOT has it once more
        return found
