"""The report of salvage: every lost range, every file that is not whole, and whether anything was lost (SALV-5)."""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Final, overload

from tokar import names
from tokar.errors import PartialError
from tokar.format import bodies, records
from tokar.format.writer import Sealed
from tokar.salvage.damage import DamageMap
from tokar.salvage.entry import EntryState, FoundEntry, MissingContent
from tokar.salvage.runs import RecordRun
from tokar.words import count_text

MAX_LISTED: Final = 100_000


def numbered(one: str, many: str, first: int, last: int) -> str:
    """Return the text for one number or a range of numbers."""
    return f"{many} {first} to {last}" if last > first else f"{one} {first}"


@dataclass(frozen=True, slots=True)
class LostRange:
    """A range of the damaged archive that is of no use, or a place where bytes of the original are missing."""

    offset: int  # Where it begins in the damaged archive
    size: int  # Its bytes there; 0 where bytes are missing and nothing stands in their place
    # Bytes of the original that should be here; 0 if these bytes were never a part of it, None if that is not known.
    missing: int | None
    what: str  # What was there, as far as it is known


@dataclass(frozen=True, slots=True)
class DamagedFile:
    """A file that is not whole."""

    number: int  # Of its entry in the damaged archive
    state: EntryState  # `EntryState.INCOMPLETE` or `EntryState.LOST`
    reason: str  # Why
    name: str | None  # Its name as text that is safe to print, None if it is not known
    raw_name: bytes | None  # Its name as delivered, None if it is not known
    encoding: int  # Windows code page of `raw_name`, 0 unknown
    token: int | None  # Its token byte, None if it is not known
    size: int | None  # Bytes of its content, None if that is not known
    missing: tuple[MissingContent, ...]  # Which of these are lost; empty if the file is lost as a whole
    written_as: str | None = None  # Name of its entry in the result, None if it was left out

    @classmethod
    def of(cls, remains: FoundEntry, *, reason: str = "", written: bool = False) -> DamagedFile:
        """Return what there is to say of an entry."""
        shown = names.display(remains.file.name, remains.file.encoding) if remains.file is not None else None
        file = remains.file if remains.is_named else None
        return cls(
            remains.number,
            EntryState.INCOMPLETE if remains.state is EntryState.INCOMPLETE else EntryState.LOST,
            reason or remains.reason,
            shown if file else None,
            file.name if file else None,
            file.encoding if file else 0,
            file.token if file else None,
            remains.size,
            remains.missing if remains.state is EntryState.INCOMPLETE else (),
            shown if written else None,
        )


# Number, place of the reason, size, encoding, token, state, what is known, bytes of the name.
_FILE: Final = struct.Struct("<IIQIBBBH")
_STATES: Final = tuple(EntryState)
_NAMED, _SIZED, _WRITTEN = 1, 2, 4  # What is known: name and token; the size; that it was written


class DamagedFiles(Sequence[DamagedFile]):
    """Files that are not whole, of which there may be very many: kept in few bytes, made when they are asked for."""

    def __init__(self) -> None:
        self._files: list[bytes] = []
        self._reasons: dict[str, int] = {}
        self._texts: list[str] = []

    def append(self, file: DamagedFile) -> None:
        """Add a file."""
        reason = self._reasons.setdefault(file.reason, len(self._texts))
        if reason == len(self._texts):
            self._texts.append(file.reason)
        name = file.raw_name if file.raw_name is not None else (file.written_as or "").encode()
        known = _NAMED * (file.raw_name is not None) + _SIZED * (file.size is not None)
        known += _WRITTEN * (file.written_as is not None)
        about = (file.number, reason, file.size or 0, file.encoding, file.token or 0, _STATES.index(file.state))
        ends = ((one.offset, 0 if one.size is None else one.size + 1) for one in file.missing)
        self._files.append(_FILE.pack(*about, known, len(name)) + name + array("Q", chain(*ends)).tobytes())

    def __len__(self) -> int:
        return len(self._files)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and [*self] == [*other]

    __hash__ = None  # type: ignore[assignment]  # equal by content, and long

    @overload
    def __getitem__(self, at: int) -> DamagedFile: ...

    @overload
    def __getitem__(self, at: slice) -> list[DamagedFile]: ...

    def __getitem__(self, at: int | slice) -> DamagedFile | list[DamagedFile]:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        data = self._files[at]
        number, reason, size, encoding, token, state, known, name_size = _FILE.unpack_from(data)
        end = _FILE.size + name_size
        name, places = data[_FILE.size : end], array("Q", data[end:])
        shown = names.display(name, encoding) if known & _NAMED else name.decode()
        missing = zip(places[::2], places[1::2], strict=True)
        return DamagedFile(
            number,
            _STATES[state],
            self._texts[reason],
            shown if known & _NAMED else None,
            name if known & _NAMED else None,
            encoding,
            token if known & _NAMED else None,
            size if known & _SIZED else None,
            tuple(MissingContent(offset, after - 1 if after else None) for offset, after in missing),
            shown if known & _WRITTEN else None,
        )


@dataclass(slots=True)
class Losses:
    """What comes together while the files are copied."""

    complete_count: int = 0  # Complete files that were written
    incomplete_count: int = 0  # Files of which something is left, written or not
    lost_count: int = 0  # Files of which nothing is in the result
    files: DamagedFiles = field(default_factory=DamagedFiles)  # The files that are not whole, at most 100,000
    # Ranges of entries (first number, count) that are lost without a name, at most 100,000.
    unknown: list[tuple[int, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # What else there is to know

    def add(self, file: DamagedFile) -> None:
        """Account for a file that is not whole."""
        is_incomplete = file.state is EntryState.INCOMPLETE
        self.incomplete_count += is_incomplete
        self.lost_count += not is_incomplete
        if len(self.files) < MAX_LISTED:
            self.files.append(file)

    def add_unknown(self, first: int, count: int) -> None:
        """Account for entries of which nothing but the number is known."""
        self.lost_count += count
        if len(self.unknown) < MAX_LISTED:
            self.unknown.append((first, count))


@dataclass(frozen=True, slots=True)
class SalvageReport:
    """What became of a damaged archive."""

    result: Sealed  # The archive that was written
    same: bool  # Whether that has the id and the root of the original: nothing that the root covers is missing
    size: int  # Bytes of the damaged archive
    id: bytes | None  # Its id, 16 bytes, None if only the tag is known
    root: bytes | None  # Its root, None if nothing tells it
    complete_count: int  # Files that are complete; all of them are in the result
    incomplete_count: int  # Files of which something is left
    lost_count: int  # Files that are known to be lost, also those of which nothing but the number is known
    files: Sequence[DamagedFile]  # The files that are not whole, in the order of the original; at most 100,000
    # Ranges of entries (first number, count) that are lost without a name; at most 100,000.
    unknown: tuple[tuple[int, int], ...]
    end_is_known: bool  # Whether it is known how many files there were
    # Ranges that are of no use or missing, in the order of the damaged archive; at most 100,000.
    ranges: Sequence[LostRange]
    range_count: int  # How many there are
    trailing_is_lost: bool  # Whether records after ROOT (such as signatures) are known to be lost
    others: tuple[int, ...]  # Where other archives begin in what is of no use, which were left aside; at most 100,000
    notes: tuple[str, ...]  # What else there is to know

    @property
    def lost(self) -> bool:
        """Whether anything was lost or left aside, be it only the id; it must not be called a success then."""
        return not self.same or self.trailing_is_lost or bool(self.others)

    def raise_if_lossy(self) -> None:
        """Raise if anything was lost.

        Raises:
            PartialError: Something was; the message says how much.
        """
        if not self.lost:
            return
        counts = [f"{self.incomplete_count:,} incomplete"] if self.incomplete_count else []
        counts += [f"{self.lost_count:,} lost"] if self.lost_count else []
        counts += [] if self.end_is_known else ["how many more there were is not known"]
        counts += [f"{count_text(len(self.others), 'other archive')} left aside"] if self.others else []
        counts = counts or ["but not all that stood beside them"]
        message = ", ".join([f"{count_text(self.complete_count, 'file')} saved", *counts])
        raise PartialError(message, hint="look for another copy of what is lost; the report says which files that are")


class LostRanges(Sequence[LostRange]):
    """Every range of a damaged archive that is of no use, and every place where bytes are missing, in order.

    The first 100,000 are kept as numbers, and made when they are asked for.
    """

    def __init__(self, found: DamageMap) -> None:
        self._found = found
        self._describe = _Describer(found)
        self._before = array("q")  # For each the place of the run before it, -1 for none
        self._offsets = array("Q")
        self._sizes = array("Q")
        self.total = 0  # How many there are, kept or not
        for before, offset, size in _lost_places(found):
            if self.total < MAX_LISTED:
                self._before.append(before)
                self._offsets.append(offset)
                self._sizes.append(size)
            self.total += 1

    def __len__(self) -> int:
        return len(self._sizes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and [*self] == [*other]

    __hash__ = None  # type: ignore[assignment]  # equal by content, and long

    @overload
    def __getitem__(self, at: int) -> LostRange: ...

    @overload
    def __getitem__(self, at: slice) -> list[LostRange]: ...

    def __getitem__(self, at: int | slice) -> LostRange | list[LostRange]:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        before, offset, size = self._before[at], self._offsets[at], self._sizes[at]
        missing = _missing_after(self._found, before)
        return LostRange(offset, size, missing, self._describe(before, offset, size, missing))

    def places(self) -> Iterator[tuple[int, int]]:
        """Yield where each of them begins and ends in the damaged archive."""
        for offset, size in zip(self._offsets, self._sizes, strict=True):
            yield offset, offset + size


def _lost_places(found: DamageMap) -> Iterator[tuple[int, int, int]]:
    """Yield for every range the place of the run before it, -1 for none; where it begins in the input; its bytes."""
    runs = found.runs
    order = _input_order(runs.places)
    start = _start_of(found)
    size = runs.places[order[0]] - start
    if size or _missing_after(found, -1):
        yield -1, start, size
    for place, following in pairwise(chain(order, (None,))):
        assert place is not None
        start = runs.places[place] + runs.sizes[place]
        size = (found.size if following is None else runs.places[following]) - start
        if size or _missing_after(found, place) != 0:
            yield place, start, size


def _start_of(found: DamageMap) -> int:
    """Return where the first run must be."""
    return bodies.PREAMBLE_SIZE if found.preamble_is_good else 0


def _input_order(places: Sequence[int]) -> Sequence[int]:
    """Return the order in which runs stand in the input."""
    if all(before < after for before, after in pairwise(places)):
        return range(len(places))
    return sorted(range(len(places)), key=places.__getitem__)


def _missing_after(found: DamageMap, place: int) -> int | None:
    """Return the bytes of the original that are missing after a run, -1 for the start; None if that is not known."""
    runs = found.runs
    if place < 0:
        return runs.positions[0] - _start_of(found)
    end = runs.positions[place] + runs.sizes[place]
    if place + 1 < len(runs):
        return runs.positions[place + 1] - end
    run = runs[place]
    is_tail = run.is_outside and found.outside[run.entry].head.kind == records.TAIL
    return 0 if is_tail else None


class _Describer:
    """Says what stood at a place, as far as it is known."""

    def __init__(self, found: DamageMap) -> None:
        self._found = found
        self._faults = sorted(found.faults)
        self._ignored = sorted(zip(found.ignored.places, found.ignored.sizes, strict=True))
        rows = found.root.rows if found.root is not None else ()
        self._rows = sorted((row.position, row.kind) for row in rows)

    def __call__(self, place: int, start: int, size: int, missing: int | None) -> str:
        """Return the text for a range of `size` bytes at `start`, after a run."""
        parts = [self._strangers(start, size)] if missing == 0 else self._originals(place)
        fault = bisect_left(self._faults, start)
        if fault < len(self._faults) and self._faults[fault] < start + size:
            parts.append(self._found.faults[self._faults[fault]])
        if place < 0 and not self._found.preamble_is_good:
            parts.insert(0, "the preamble")
        return ", ".join(parts) or "what was there is not known"

    def _strangers(self, start: int, size: int) -> str:
        """Describe bytes in whose place nothing is missing."""
        first, stop = (bisect_left(self._ignored, (at, 0)) for at in (start, start + size))
        copies = sum(size for _, size in self._ignored[first:stop])
        return f"{copies} bytes of records that stand elsewhere as well" if copies else "bytes that belong to no record"

    def _originals(self, place: int) -> list[str]:
        """Describe what of the original is missing after a run."""
        runs = self._found.runs
        before = runs[place] if place >= 0 else None
        after = runs[place + 1] if place + 1 < len(runs) else None
        if before is not None and after is not None and after.continues(before):
            return [_chunks_between(before, after)]
        parts = []
        if before is not None and not before.is_outside and not before.has_done:
            parts.append(f"the rest of entry {before.entry} from chunk {before.next_chunk} on")
        parts += _entries_between(before, after)
        if after is not None and not after.is_outside and not after.has_file:
            parts.append(_beginning_of(after))
        end = before.end if before else bodies.PREAMBLE_SIZE
        parts += self._outside_between(end, after.position if after else None)
        if after is None:
            is_derived = records.SUMM in self._found.named and not parts
            parts.append("the end of the archive, of which all is derived" if is_derived else "the end of the archive")
        return parts

    def _outside_between(self, start: int, stop: int | None) -> list[str]:
        """Describe the records outside entries that ROOT names in a range of the original."""
        first = bisect_left(self._rows, (start, b""))
        last = len(self._rows) if stop is None else bisect_left(self._rows, (stop, b""))
        kinds = Counter(kind.decode("ascii", "replace") for _, kind in self._rows[first:last])
        return [kind if count == 1 else f"{count} {kind}" for kind, count in kinds.items()]


def _chunks_between(before: RecordRun, after: RecordRun) -> str:
    if not after.chunk_count:
        return f"chunks of entry {before.entry} from {before.next_chunk} on"
    return f"{numbered('chunk', 'chunks', before.next_chunk, after.first_chunk - 1)} of entry {before.entry}"


def _entries_between(before: RecordRun | None, after: RecordRun | None) -> list[str]:
    if after is None or after.is_outside or (before is not None and before.is_outside):
        return []
    first, last = before.entry + 1 if before is not None else 0, after.entry - 1
    return [numbered("entry", "entries", first, last)] if first <= last else []


def _beginning_of(after: RecordRun) -> str:
    if not after.chunk_count:
        return f"entry {after.entry} but for its DONE record"
    if not after.first_chunk:
        return f"the FILE record of entry {after.entry}"
    return f"entry {after.entry} up to chunk {after.first_chunk - 1}"
