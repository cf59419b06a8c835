"""The damage map: every good record in it, and where it belongs (spec/format.md SALV-1). Nothing is written.

Each record says where it belongs, so this is a map of the original: runs of good records in the order of the
original, with holes where something is missing. Records that stand elsewhere as well (regions that were written twice)
count once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tokar.errors import FormatError
from tokar.format import bodies, records
from tokar.format.bodies import Preamble, Root, Tail
from tokar.format.metadata import Head, Summary
from tokar.format.records import RecordHead
from tokar.salvage.find import (
    ArchiveIdentity,
    RecordFinder,
    RecordReader,
    from_preamble,
    from_records,
    moved_preamble,
    nothing_found,
)
from tokar.salvage.runs import Columns, Outside, RunBuilder
from tokar.storage.bytesource import ByteSource

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class DamageMap:
    """What is good in a damaged archive."""

    size: int  # Bytes of the damaged archive
    tag: bytes  # The tag of its records, 8 bytes
    id: bytes | None  # Its id, 16 bytes, or None if only the tag is known
    preamble_is_good: bool  # Whether the preamble stands where it must, without a fault
    record_count: int  # Good records that were found, second copies included
    runs: Columns  # Good records that follow each other, in the order of the original; they do not overlap there
    ignored: Columns  # Runs that are left aside, because other records of the same place came first
    outside: Sequence[Outside]  # Heads of the records outside entries, and where they were found; runs refer to them
    # What is wrong with records whose check is right but which cannot be used, by where they were found.
    faults: Mapping[int, str]
    overflow: bool  # Whether there was more than any archive may hold; what is beyond that was left aside
    named: Mapping[bytes, RecordHead]  # The heads of HEAD (the first one that is left), SUMM, ROOT and TAIL, by kind
    head: Head | None = None  # HEAD, the first one that is left
    summary: Summary | None = None  # SUMM, if it is there
    root: Root | None = None  # ROOT, if it is there
    tail: Tail | None = None  # TAIL, if it is there

    @property
    def moved_size(self) -> int:
        """Bytes of good records that stand elsewhere than they belong."""
        return sum(run.size for run in self.runs if run.at != run.position)

    @property
    def known_roots(self) -> Sequence[bytes]:
        """The root of the original as ROOT and TAIL tell it: one, two if they contradict each other, or none."""
        roots = [self.named[records.ROOT].check] if self.root is not None else []
        if self.tail is not None and self.tail.root not in roots:
            roots.append(self.tail.root)
        return roots

    @property
    def known_root(self) -> bytes | None:
        """The root of the original, from ROOT if it is there, else from TAIL."""
        return next(iter(self.known_roots), None)

    @property
    def set_end(self) -> int:
        """Where records begin that are not of the set itself: all that is derived, and what follows."""
        ends = [self.named[kind].position for kind in (records.SUMM, records.ROOT) if kind in self.named]
        if self.tail is not None:
            ends.append(self.tail.root_position)
        return min(ends, default=records.MAX_ARCHIVE_SIZE)


def map_damage(source: ByteSource, *, progress: Callable[[int], None] | None = None) -> DamageMap:
    """Find every good record in a damaged archive.

    Args:
        source: The damaged archive.
        progress: Called with numbers of bytes as they are done; they add up to the size of the input.

    Raises:
        BadMagicError: There is no record in it, nor the beginning of an archive.
        UnsupportedError: It needs a newer reader.
        FormatError: There is no record in it.
        StorageError: It cannot be read.
    """
    identity, good = _find(source, progress)
    reader = RecordReader(source, identity.tag, encrypted=good.encrypted)
    runs, ignored = _settle(good.runs, reader)
    outside = [good.outside[run.entry] for run in runs if run.is_outside]
    last = {found.head.kind: found for found in outside}
    last.update({found.head.kind: found for found in reversed(outside) if found.head.kind == records.HEAD})

    def read(kind: bytes, parse: Callable[..., _T]) -> _T | None:
        return parse(bytes(reader.record(last[kind].at).body), position=0) if kind in last else None

    root = read(records.ROOT, Root.parse)
    archive_id = _named_id(root, identity.tag) or identity.id or moved_preamble(source, identity.tag, min(runs.places))
    return DamageMap(
        source.size,
        identity.tag,
        archive_id,
        identity.preamble_is_good and archive_id == identity.id,
        good.record_count,
        runs,
        ignored,
        good.outside,
        good.faults,
        good.overflow,
        {kind: last[kind].head for kind in (records.HEAD, records.SUMM, records.ROOT, records.TAIL) if kind in last},
        head=read(records.HEAD, Head.parse),
        summary=read(records.SUMM, Summary.parse),
        root=root,
        tail=read(records.TAIL, Tail.parse),
    )


def _find(source: ByteSource, progress: Callable[[int], None] | None) -> tuple[ArchiveIdentity, RunBuilder]:
    """Return the identity of the archive and everything good with its tag."""
    for identify in (from_preamble, from_records):
        if (identity := identify(source)) is None:
            continue
        builder = RunBuilder()
        start = bodies.PREAMBLE_SIZE if identity.preamble_is_good else 0
        for record in RecordFinder(source, identity.tag, start=start, progress=progress):
            builder.take(record)
        builder.close()
        progress = None  # all of the input was reported
        if builder.head is not None and builder.head.encryption is not None:
            builder = _again_encrypted(source, identity.tag, start)
        if len(builder.runs):
            return identity, builder
    raise nothing_found(source)


def _again_encrypted(source: ByteSource, tag: bytes, start: int) -> RunBuilder:
    """Return everything good of an archive whose HEAD, wherever it was, says that content is encrypted."""
    builder = RunBuilder(encrypted=True)
    for record in RecordFinder(source, tag, start=start):
        builder.take(record)
    builder.close()
    return builder


def _settle(runs: Columns, reader: RecordReader) -> tuple[Columns, Columns]:
    """Return the runs in the order of the original, without overlaps, and those that had to go for that.

    Of records that claim the same bytes of the original, the one that comes first in the input stays. Runs are cut into
    records where they overlap, so that a second copy can still give what the first one lacks.
    """
    dropped = Columns()
    runs = runs if runs.are_tidy else _sorted(runs)
    if runs.are_tidy:
        return runs, dropped
    loose = RunBuilder(single=True, encrypted=reader.encrypted)
    for first, stop in _clusters(runs):
        cluster = runs.picked(range(first, stop))
        if len(set(zip(cluster.positions, cluster.sizes, strict=True))) == 1:
            loose.runs.append(cluster[0])
            for place in range(1, len(cluster)):
                dropped.append(cluster[place])
            continue
        for run in cluster:
            if run.is_outside:
                loose.runs.append(run)
            else:
                for record in reader.walk(run.at, run.size):
                    loose.take(record)
    return _without_overlaps(_sorted(loose.runs), dropped), dropped


def _sorted(runs: Columns) -> Columns:
    """Return runs in the order of the original, and of those at the same place the first in the input first."""
    positions, places = runs.positions, runs.places
    return runs.picked(sorted(range(len(runs)), key=lambda at: (positions[at], places[at])))


def _clusters(runs: Columns) -> Iterator[tuple[int, int]]:
    """Yield ranges of sorted runs that overlap each other; most are of one run."""
    first = reach = 0
    for place, (position, size) in enumerate(zip(runs.positions, runs.sizes, strict=True)):
        if position >= reach and place > first:
            yield first, place
            first = place
        reach = max(reach, position + size)
    if len(runs):
        yield first, len(runs)


def _without_overlaps(runs: Columns, dropped: Columns) -> Columns:
    """Return sorted runs without those that overlap another one that comes before them in the input."""
    kept: list[int] = []
    positions, sizes, places = runs.positions, runs.sizes, runs.places
    for place in range(len(runs)):
        while kept and positions[kept[-1]] + sizes[kept[-1]] > positions[place]:
            if places[kept[-1]] < places[place]:
                dropped.append(runs[place])
                break
            dropped.append(runs[kept.pop()])
        else:
            kept.append(place)
    return runs.picked(kept)


def _named_id(root: Root | None, tag: bytes) -> bytes | None:
    """Return the id that ROOT names, which its check proves."""
    if root is None:
        return None
    try:
        named = Preamble.parse(root.preamble)
    except FormatError:
        return None
    return named.id if named.tag == tag else None
