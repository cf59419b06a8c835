"""Whether a damaged archive can be rebuilt as it was, and HEAD and SUMM of a new one (SALV-3, SALV-6)."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any, Final, NamedTuple

from tokar import names, tokens
from tokar._version import SOFTWARE
from tokar.as_json import to_count
from tokar.format import bodies, canonical_json, records
from tokar.format.encryption import FEATURE
from tokar.format.index import Entry, IndexPage
from tokar.format.metadata import HEAD_KEYS, SUMM_KEYS, Head, Summary
from tokar.format.records import HEAD_SIZE, RecordHead
from tokar.format.writer import ArchiveWriter
from tokar.salvage.damage import DamageMap
from tokar.salvage.entry import EntryState, FoundEntry, find_entry, lost_entry
from tokar.salvage.find import RecordReader
from tokar.salvage.losses import DamagedFile, Losses, numbered
from tokar.salvage.runs import Columns, Outside, RecordRun

_SPARE_ROOM: Final = 32_768  # bytes of SUMM that are left for notes, of which there are few
_MAX_WRITER: Final = 100  # characters
_MAX_NAME: Final = 1000  # characters of a name in the list of what was lost


class IndexRows:
    """Rows of the index pages that are left, for entries whose numbers rise; one page is in memory at a time."""

    def __init__(self, found: DamageMap, reader: RecordReader) -> None:
        self._reader = reader
        self._pages: list[tuple[int, int, int]] = []
        self._next = 0
        self._page: IndexPage | None = None
        self.stop = 0  # One more than the last entry that a page names
        for run in found.runs:
            if run.is_outside and found.outside[run.entry].head.kind == records.INDX:
                start = reader.start(run.at, 8)
                first, count = int.from_bytes(start[:4], "little"), int.from_bytes(start[4:], "little")
                if first >= self.stop:
                    self._pages.append((first, first + count, run.at))
                    self.stop = first + count

    def next_known(self, number: int) -> int | None:
        """Return the first number from this one on that a page names; numbers must not fall between calls."""
        while self._next < len(self._pages) and self._pages[self._next][1] <= number:
            self._next += 1
            self._page = None
        return max(number, self._pages[self._next][0]) if self._next < len(self._pages) else None

    def row(self, number: int) -> Entry | None:
        """Return what the index says of an entry; numbers must not fall from one call to the next.

        Raises:
            SourceChangedError: The page is not there any more.
        """
        if self.next_known(number) != number:
            return None
        first, _, at = self._pages[self._next]
        if self._page is None:
            body, encrypted = self._reader.record(at).body, self._reader.encrypted
            self._page = IndexPage.parse(body, first=first, position=at, encrypted=encrypted)
        return self._page.entry(number)


def parts(runs: Columns) -> Iterator[tuple[range, RecordRun]]:
    """Yield entries and records outside entries in order: the places of their runs, and the first run."""
    first, begun, last = 0, None, None
    for place, run in enumerate(runs):
        if begun is None or last is None:
            begun = run
        elif not run.continues(last):
            yield range(first, place), begun
            first, begun = place, run
        last = run
    if begun is not None:
        yield range(first, len(runs)), begun


class RebuildStep(NamedTuple):
    """One thing on a walk: a record outside entries, what is left of an entry, or entries of which nothing is known."""

    part: range  # The places of its runs; none where there is no record
    run: RecordRun | None  # The first of these
    found: FoundEntry | None = None  # What is left of an entry; None if it is one proven run
    unknown: range = range(0)  # Numbers of entries of which nothing but the number is known


class Walk:
    """Walks over everything in the order of the original, also over entries of which there is no record.

    Args:
        found: What is left of the damaged archive.
        reader: For the records.
    """

    def __init__(self, found: DamageMap, reader: RecordReader) -> None:
        self._found = found
        self._reader = reader
        self._rows = IndexRows(found, reader)
        self._next = 0

    def __iter__(self) -> Iterator[RebuildStep]:
        outside: list[RebuildStep] = []
        for part, run in parts(self._found.runs):
            if run.is_outside:
                outside.append(RebuildStep(part, run))
                continue
            yield from self._up_to(run.entry, outside)
            outside = []
            is_next = run.entry >= self._next
            self._next = max(self._next, run.entry + 1)
            if run.is_proven and len(part) == 1:
                yield RebuildStep(part, run)
            else:
                row = self._rows.row(run.entry) if is_next else None
                runs = map(self._found.runs.__getitem__, part)
                yield RebuildStep(part, run, find_entry(self._reader, self._found.tag, runs, row))
        yield from self._up_to(self._entry_count(), outside)

    def _up_to(self, stop: int, outside: list[RebuildStep]) -> Iterator[RebuildStep]:
        """Yield records outside entries, and entries without a record where the index says that they stood."""
        for step in outside:
            assert step.run is not None
            yield from self._gap(stop, step.run.position)
            yield step
        yield from self._gap(stop, None)

    def _gap(self, stop: int, limit: int | None) -> Iterator[RebuildStep]:
        """Yield entries without a record: those that begin before a position, or all up to one with a record."""
        while self._next < stop:
            number = self._next
            row = self._rows.row(number)
            if limit is not None and (row is None or row.file_position >= limit):
                return
            if row is None:
                self._next = min(stop, self._rows.next_known(number) or stop)
                yield RebuildStep(range(0), None, unknown=range(number, self._next))
                continue
            self._next += 1
            if row.size:
                yield RebuildStep(range(0), None, lost_entry(row))
            else:
                yield RebuildStep(range(0), None, find_entry(self._reader, self._found.tag, (), row))

    def _entry_count(self) -> int:
        """Return the number of entries, as far as anything tells it."""
        summary, root = self._found.summary, self._found.root
        counts = [self._next, self._rows.stop]
        counts += [summary.entries] if summary is not None else []
        counts += [root.entry_count] if root is not None else []
        return min(max(counts), records.MAX_ENTRIES)


class Assessment(NamedTuple):
    """What can be done with an archive."""

    is_whole: bool  # Whether everything that is not derived is there
    set_is_whole: bool  # Whether at most facts are missing
    complete_count: int  # Complete files; counted to the end only while `set_is_whole`
    incomplete_count: int  # Incomplete files; likewise


def assess(found: DamageMap, reader: RecordReader) -> Assessment:
    """Return what can be done; stops as soon as more than derived records is missing and a complete file is known.

    Raises:
        SourceChangedError: The input is not what it was.
    """
    replica = _Replica(found)
    complete = incomplete = 0
    for step in Walk(found, reader):
        run, remains = step.run, step.found
        if run is not None and run.is_outside:
            replica.outside(found.outside[run.entry].head)
            continue
        if complete and not replica.fits:
            break
        if remains is None and run is not None:
            replica.entry(run.entry, run.position, run.size, run.content_size)
            complete += 1
        elif remains is not None and remains.state is EntryState.COMPLETE:
            replica.entry(remains.number, remains.position, remains.extent, remains.size or 0)
            complete += 1
        else:
            replica.fits = False
            incomplete += remains is not None and remains.state is EntryState.INCOMPLETE
    whole = replica.is_whole()
    return Assessment(whole and not replica.lacks_facts, whole, complete, incomplete)


class _Replica:
    """Where each record up to SUMM stands in the original, if nothing but facts is missing; what follows is derived."""

    def __init__(self, found: DamageMap) -> None:
        self._summary = found.summary
        # Whether every record so far belongs where it must then stand.
        self.fits = found.head is not None and self._summary is not None and not found.overflow
        self.lacks_facts = False  # Whether records of facts that ROOT names are missing
        self._position = bodies.PREAMBLE_SIZE  # Where the next one must stand
        if found.head is not None:
            self._position += HEAD_SIZE + found.named[records.HEAD].length
        self._count = self._content_size = 0
        self._is_summed = False
        rows = found.root.rows if found.root is not None else ()
        self._facts = {row.position: row.end for row in rows if row.kind == records.FACT}

    def entry(self, number: int, position: int, size: int, content_size: int) -> None:
        """Place an entry."""
        self._place(position, size)
        self.fits &= number == self._count and not self._is_summed
        self._count += 1
        self._content_size += content_size

    def outside(self, head: RecordHead) -> None:
        """Place a record outside entries; those that are derived, and those after SUMM, are not looked at."""
        is_summary = head.kind == records.SUMM
        if is_summary or head.kind == records.PROC or (head.is_extra and not self._is_summed):
            self.fits &= not self._is_summed
            self._place(head.position, HEAD_SIZE + head.length)
            self._is_summed |= is_summary

    def is_whole(self) -> bool:
        """Return whether everything but facts is there, and SUMM agrees."""
        summary = self._summary
        if not self.fits or not self._is_summed or summary is None:
            return False
        return (summary.entries, summary.content_size) == (self._count, self._content_size)

    def _place(self, position: int, size: int) -> None:
        while self._position != position and self._position in self._facts:
            self._position = self._facts.pop(self._position)
            self.lacks_facts = True
        self.fits &= position == self._position
        self._position += size


def trailing_records(found: DamageMap, kind: bytes | None = None) -> list[Outside]:
    """Return the lower-case records of after ROOT: those after SUMM, and all of a kind that belongs nowhere else."""
    outside = (found.outside[run.entry] for run in found.runs if run.is_outside)
    extra = (one for one in outside if one.head.is_extra and one.head.length <= records.MAX_TRAILING_SIZE)
    end = found.set_end
    trailing = (one for one in extra if (one.head.kind == kind if kind else one.head.position >= end))
    return list(islice(trailing, records.MAX_TRAILING_RECORDS))


def new_head(found: DamageMap, created: str, notes: list[str]) -> Head:
    """Return HEAD for an archive that takes the place of the damaged one; what is lost with the old one is noted.

    Args:
        found: What is left of the damaged archive.
        created: The time now, for the case that HEAD is lost.
        notes: Where remarks go.
    """
    base = found.head
    if base is None:
        base = Head(created, "collected", tokens.LOST_PROFILE, SOFTWARE)
    elif base.software != SOFTWARE:
        writer = names.printable(base.software[:_MAX_WRITER])
        notes.append(f"the archive that this one was salvaged from was written by {writer}")
    earlier = base.extra.get("origin")
    if earlier:
        known = earlier.get("id") or earlier["tag"]
        notes.append(f"the archive that this one was salvaged from was itself salvaged from {known}")
    origin = {"id": found.id.hex()} if found.id is not None else {"tag": found.tag.hex()}
    if found.known_root is not None:
        origin["root"] = found.known_root.hex()
    extra = {**base.extra, "origin": origin}
    head = Head(base.created, base.kind, base.profile, SOFTWARE, extra)
    for key in _by_size(extra, HEAD_KEYS, kept=("origin", "features", FEATURE)):
        if len(head.build()) <= records.MAX_JSON_SIZE:
            break
        del extra[key]
        if key in HEAD_KEYS:
            notes.append(f"HEAD has no room for its origin and its key {key}, which was left out")
    return head


_FURTHER: Final = {"name": "further entries", "offset": 0, "reason": "how many there were is not known", "size": 0}


def new_summary(losses: Losses, found: DamageMap, writer: ArchiveWriter, *, finished: str, whole: bool) -> Summary:
    """Return SUMM for such an archive.

    Args:
        losses: What was found; notes are added to it where SUMM has no room for all.
        found: What is left of the damaged archive.
        writer: Of the new archive, with all entries in it.
        finished: The time now.
        whole: Whether nothing of the set is missing.
    """
    old = found.summary
    extra: dict[str, Any] = dict(old.extra) if old is not None else {}
    is_partial = not whole or (old is not None and old.outcome == "partial")
    if losses.incomplete_count or losses.lost_count or not whole:
        extra.pop("generations", None)  # which logs are left is not for this layer to say
    earlier = extra.pop("lost", ())

    def summary() -> Summary:
        outcome = "partial" if is_partial else "complete"
        return Summary(writer.entry_count, writer.content_size, finished, outcome, extra)

    room = _make_room(extra, losses, records.MAX_JSON_SIZE - _SPARE_ROOM - len(summary().build()))
    further = [] if old is not None or found.root is not None else [_FURTHER]
    further = [] if _FURTHER in earlier else further

    def lost(before: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        every = chain(before, earlier, _lost_items(losses))
        return canonical_json.fitting(every, room, lambda item: len(canonical_json.encode(item)) + 1)

    count = sum(1 for _ in chain(further, earlier, _lost_items(losses)))
    kept = lost(further)
    if len(kept) < count:
        kept = kept if further or _FURTHER in earlier else lost([_FURTHER])
        losses.notes.append(f"SUMM has no room for {count - len(kept)} of {count} losses")
    notes = [*extra.pop("notes", ()), *(note[:_MAX_NAME] for note in losses.notes)]
    extra.update({key: value for key, value in (("lost", kept), ("notes", notes)) if value})
    return summary()


def _make_room(extra: dict[str, Any], losses: Losses, room: int) -> int:
    """Leave out keys of SUMM until there is room for more; return the bytes that there are then."""
    for key in _by_size(extra, SUMM_KEYS):
        if room >= 0:
            break
        room += len(canonical_json.encode({key: extra.pop(key)})) - 1
        if key in SUMM_KEYS:
            losses.notes.append(f"SUMM has no room for its key {key} any more")
    return room


def _lost_items(losses: Losses) -> Iterator[dict[str, Any]]:
    """Yield the elements of the key `lost`."""
    for file in losses.files:
        name = (file.name or f"entry {file.number}")[:_MAX_NAME]
        for offset, size in _content_ranges(file):
            place = {"offset": to_count(offset), "size": to_count(size)}
            yield {"name": name, "reason": file.reason, **place}
    for first, count in losses.unknown:
        name = numbered("entry", "entries", first, first + count - 1)
        yield {"name": name, "offset": 0, "reason": "nothing but the number is known", "size": 0}


def _content_ranges(file: DamagedFile) -> Iterator[tuple[int, int]]:
    """Yield the ranges of content that the result lacks; a size that is not known is given as 0."""
    if file.written_as is not None and file.state is EntryState.INCOMPLETE and file.missing:
        for missing in file.missing:
            yield missing.offset, missing.size or 0
    else:
        yield 0, 0 if file.written_as is not None else file.size or 0


def _by_size(extra: Mapping[str, Any], known: Container[str], *, kept: Container[str] = ()) -> list[str]:
    """Return the keys in the order in which they go for want of room: those that no table has, then the largest."""
    return sorted(
        (key for key in extra if key not in kept),
        key=lambda key: (key in known, -len(canonical_json.encode({key: extra[key]})), key),
    )
