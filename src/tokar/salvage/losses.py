"""What salvage says of its work: every lost range, every file that is not whole, and whether anything was lost (SALV-5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tokar import names
from tokar.errors import PartialError
from tokar.salvage.entry import FileState

if TYPE_CHECKING:
    from tokar.format.writer import Sealed
    from tokar.salvage.entry import Finding, MissingContent

MAX_LISTED: Final = 100_000


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
    state: FileState  # `FileState.INCOMPLETE` or `FileState.LOST`
    reason: str  # Why
    name: str | None  # Its name as text that is safe to print, None if it is not known
    raw_name: bytes | None  # Its name as delivered, None if it is not known
    encoding: int  # Windows code page of `raw_name`, 0 unknown
    token: int | None  # Its token byte, None if it is not known
    size: int | None  # Bytes of its content, None if that is not known
    missing: tuple[MissingContent, ...]  # Which of these are lost; empty if the file is lost as a whole
    written_as: str | None = None  # Name of its entry in the result, None if it was left out

    @classmethod
    def of(cls, finding: Finding, *, reason: str = "", written: bool = False) -> DamagedFile:
        """Return what there is to say of a finding."""
        file = finding.file if finding.is_named else None
        shown = names.display(finding.file.name, finding.file.encoding) if finding.file is not None else None
        state = FileState.LOST if finding.state is FileState.COMPLETE else finding.state
        return cls(
            finding.number,
            state,
            reason or finding.reason,
            shown if finding.is_named else None,
            file.name if file is not None else None,
            file.encoding if file is not None else 0,
            file.token if file is not None else None,
            finding.size,
            finding.missing if finding.state is FileState.INCOMPLETE else (),
            shown if written else None,
        )


@dataclass(slots=True)
class Losses:
    """What comes together while the files are copied."""

    complete_count: int = 0  # Complete files that were written
    incomplete_count: int = 0  # Files of which something is left, written or not
    lost_count: int = 0  # Files of which nothing is in the result
    files: list[DamagedFile] = field(default_factory=list)  # The files that are not whole, at most 100,000
    # Ranges of entries (first number, count) that are lost without a name, at most 100,000.
    unknown: list[tuple[int, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # What else there is to know

    def add(self, file: DamagedFile) -> None:
        """Account for a file that is not whole."""
        if file.state is FileState.INCOMPLETE:
            self.incomplete_count += 1
        else:
            self.lost_count += 1
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
    tag: bytes  # Its tag, 8 bytes
    id: bytes | None  # Its id, 16 bytes, None if only the tag is known
    root: bytes | None  # Its root, None if nothing tells it
    complete_count: int  # Files that are complete; all of them are in the result
    incomplete_count: int  # Files of which something is left
    lost_count: int  # Files that are known to be lost, also those of which nothing but the number is known
    files: tuple[DamagedFile, ...]  # The files that are not whole, in the order of the original; at most 100,000
    # Ranges of entries (first number, count) that are lost without a name; at most 100,000.
    unknown: tuple[tuple[int, int], ...]
    end_is_known: bool  # Whether it is known how many files there were
    # Ranges that are of no use or missing, in the order of the damaged archive; at most 100,000.
    ranges: tuple[LostRange, ...]
    range_count: int  # How many there are
    unusable_size: int  # Bytes of the damaged archive that are of no use
    missing_size: int  # Bytes of the original that are missing, as far as that is known
    moved_size: int  # Bytes of good records that stood elsewhere than they belong
    head_source: str  # Where HEAD of the result comes from: `HEAD`, `SUMM` (its copy there) or `made up`
    trailing_is_lost: bool  # Whether records after ROOT (such as signatures) are known to be lost
    notes: tuple[str, ...]  # What else there is to know

    @property
    def lost(self) -> bool:
        """Whether anything was lost, be it only the id; it must not be called a success then."""
        return not self.same or self.trailing_is_lost

    def demand(self) -> None:
        """Raise if anything was lost.

        Raises:
            PartialError: Something was; the message says how much.
        """
        if self.lost:
            raise PartialError(", ".join(self._counts()))

    def _counts(self) -> list[str]:
        counts = [f"{self.complete_count} files are saved"]
        if self.incomplete_count:
            counts.append(f"{self.incomplete_count} are incomplete")
        if self.lost_count:
            counts.append(f"{self.lost_count} are lost")
        if not self.end_is_known:
            counts.append("how many more there were is not known")
        if len(counts) == 1:
            counts.append("but not all that stood beside them")
        return counts
