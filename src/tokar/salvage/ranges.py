"""Where a damaged archive is damaged, and what stood there (SALV-5)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from itertools import chain, pairwise
from typing import TYPE_CHECKING

from tokar.format import preamble, records
from tokar.salvage.losses import LostRange

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tokar.salvage.damage import Survey
    from tokar.salvage.runs import Run


def lost_ranges(found: Survey) -> Iterator[LostRange]:
    """Yield every range of the damaged archive that is of no use, and every place where bytes are missing, in order."""
    runs = found.runs
    order = _input_order(runs.places)
    describe = _Describer(found)
    start = preamble.SIZE if found.preamble_is_good else 0
    missing = runs.positions[0] - start
    size = runs.places[order[0]] - start
    if size or missing:
        yield LostRange(start, size, missing, describe(-1, start, size, missing))
    for place, following in pairwise(chain(order, (None,))):
        assert place is not None
        start = runs.places[place] + runs.sizes[place]
        size = (found.size if following is None else runs.places[following]) - start
        after = _missing_after(found, place)
        if size or after != 0:
            yield LostRange(start, size, after, describe(place, start, size, after))


def _input_order(places: Sequence[int]) -> Sequence[int]:
    """Return the order in which runs stand in the input."""
    if all(before < after for before, after in pairwise(places)):
        return range(len(places))
    return sorted(range(len(places)), key=places.__getitem__)


def _missing_after(found: Survey, place: int) -> int | None:
    """Return the bytes of the original that are missing after a run, None if that is not known."""
    runs = found.runs
    end = runs.positions[place] + runs.sizes[place]
    if place + 1 < len(runs):
        return runs.positions[place + 1] - end
    run = runs[place]
    is_tail = run.is_outside and found.outside[run.entry].head.kind == records.TAIL
    return 0 if is_tail else None


class _Describer:
    """Says what stood at a place, as far as it is known. To be asked in the order of the input."""

    def __init__(self, found: Survey) -> None:
        self._found = found
        self._faults = sorted(found.faults)
        self._ignored = sorted(zip(found.ignored.places, found.ignored.sizes, strict=True))
        self._next_ignored = 0
        rows = found.root.rows if found.root is not None else ()
        self._rows = sorted((row.position, row.kind) for row in rows)

    def __call__(self, place: int, start: int, size: int, missing: int | None) -> str:
        """Return the text for a range of `size` bytes at `start`, after a run."""
        parts = [] if missing == 0 else self._originals(place)
        if missing == 0:
            parts += self._strangers(start, size)
        fault = bisect_left(self._faults, start)
        if fault < len(self._faults) and self._faults[fault] < start + size:
            parts.append(self._found.faults[self._faults[fault]])
        if place < 0 and not self._found.preamble_is_good:
            parts.insert(0, "the preamble")
        return ", ".join(parts) or "what was there is not known"

    def _strangers(self, start: int, size: int) -> list[str]:
        """Describe bytes in whose place nothing is missing."""
        copies = 0
        while self._next_ignored < len(self._ignored) and self._ignored[self._next_ignored][0] < start + size:
            copies += self._ignored[self._next_ignored][1] if self._ignored[self._next_ignored][0] >= start else 0
            self._next_ignored += 1
        if copies:
            return [f"{copies} bytes of records that stand elsewhere as well"]
        return ["bytes that belong to no record"]

    def _originals(self, place: int) -> list[str]:
        """Describe what of the original is missing after a run."""
        runs = self._found.runs
        before = runs[place] if place >= 0 else None
        after = runs[place + 1] if place + 1 < len(runs) else None
        if before is not None and after is not None and _are_of_one_entry(before, after):
            return [_chunks_between(before, after)]
        parts = []
        if before is not None and not before.is_outside and not before.has_done:
            parts.append(f"the rest of entry {before.entry} from chunk {before.next_chunk} on")
        parts += _entries_between(before, after)
        if after is not None and not after.is_outside and not after.has_file:
            parts.append(_beginning_of(after))
        parts += self._outside_between(before.end if before else preamble.SIZE, after.position if after else None)
        if after is None:
            is_derived = self._found.summary_head is not None and not parts
            parts.append("the end of the archive, of which all is derived" if is_derived else "the end of the archive")
        return parts

    def _outside_between(self, start: int, stop: int | None) -> list[str]:
        """Describe the records outside entries that ROOT names in a range of the original."""
        first = bisect_left(self._rows, (start, b""))
        last = len(self._rows) if stop is None else bisect_left(self._rows, (stop, b""))
        kinds = Counter(kind.decode("ascii", "replace") for _, kind in self._rows[first:last])
        return [kind if count == 1 else f"{count} {kind}" for kind, count in kinds.items()]


def _are_of_one_entry(before: Run, after: Run) -> bool:
    return (
        not before.is_outside
        and not after.is_outside
        and before.entry == after.entry
        and not before.has_done
        and not after.has_file
    )


def _chunks_between(before: Run, after: Run) -> str:
    first, last = before.next_chunk, after.first_chunk - 1
    if not after.chunk_count:
        return f"chunks of entry {before.entry} from {first} on"
    if last <= first:
        return f"chunk {first} of entry {before.entry}"
    return f"chunks {first} to {last} of entry {before.entry}"


def _entries_between(before: Run | None, after: Run | None) -> list[str]:
    if after is None or after.is_outside or (before is not None and before.is_outside):
        return []
    first, last = before.entry + 1 if before is not None else 0, after.entry - 1
    if last < first:
        return []
    return [f"entry {first}" if last == first else f"entries {first} to {last}"]


def _beginning_of(after: Run) -> str:
    if not after.chunk_count:
        return f"entry {after.entry} but for its DONE record"
    if not after.first_chunk:
        return f"the FILE record of entry {after.entry}"
    return f"entry {after.entry} up to chunk {after.first_chunk - 1}"
