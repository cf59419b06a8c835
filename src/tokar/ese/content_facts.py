"""What checking the content of any ESE file found, pages or logs, and what that comes to.

Importing this loads neither construct nor numpy; `tokar.ese.inspect` loads the checker that the file at hand needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final, cast

from tokar.ese.identify import FileKind, Identity
from tokar.words import count_text, noun

if TYPE_CHECKING:
    from tokar.ese.database import DatabaseHeader
    from tokar.ese.trailer import BackupTrailer

CHECKED_KINDS: Final = {FileKind.DATABASE, FileKind.LOG, FileKind.STREAMING_FILE, FileKind.TEMPORARY_DATABASE}
"""Kinds whose content is looked at, or has a reason why not."""
FAULT_LIMIT: Final = 1000
"""How many faults a report lists; all of them are counted."""
RECORDS_AT: Final = 40
"""Where the records of a segment begin, in logs of format 8."""
LOG_CORRUPT: Final = -501
LOG_SIZE_DIFFERS: Final = -541
_CUT_COPY: Final = "JET_errBadBackupDatabaseSize, -561"
_CUT_SHORT: Final = "JET_errDatabaseCorrupted, -1206"
_READ_VERIFY: Final = -1018
_WRONG_NUMBER: Final = -1118


class PageFaultKind(StrEnum):
    """What is wrong with a page."""

    CORRECTABLE = "correctable"
    """Flipped bits that the ECC locates; the engine corrects them while reading."""
    CHECKSUM_BIT = "checksum-bit"
    """One flipped bit in the stored checksum or in the flag of the format: located, but the engine refuses the page."""
    MISPLACED = "misplaced"
    """A good page that belongs to another place."""
    WRONG_NUMBER = "wrong-number"
    """A large page whose checksums are right and whose number is not."""
    BAD = "bad"
    """Content and checksum do not fit."""


@dataclass(frozen=True, slots=True)
class PageFault:
    """One page that is not as it should be."""

    kind: PageFaultKind  # What is wrong
    page: int  # The page number; page 1 lies at twice the page size
    offset: int  # Bytes from the start of the file to the page
    bits: tuple[int, ...] = ()  # The flipped bits, counted from the start of the page, where they could be located
    belongs_to: int | None = None  # For a misplaced page, the number it was written for

    @property
    def code(self) -> int | None:
        """The error the engine gives when it reads the page; None where it corrects it."""
        if self.kind is PageFaultKind.CORRECTABLE:
            return None
        return _WRONG_NUMBER if self.kind is PageFaultKind.WRONG_NUMBER else _READ_VERIFY


@dataclass(frozen=True, slots=True, kw_only=True)
class PageReport:
    """What checking the pages of a database found."""

    page_size: int  # Bytes in a page
    pages: int = 0  # Data pages seen: without header copies and without the backup trailer
    empty: int = 0  # Pages of zeros, which have no checksum and are no error
    old_ok: int = 0  # Pages whose old XOR and page number are right
    ecc_ok: int = 0  # Pages whose XOR and ECC are right
    correctable: int = 0  # Pages with flipped bits that the engine corrects
    bad: int = 0  # Pages the engine refuses: all faults but the correctable ones
    faults: tuple[PageFault, ...] = ()  # The first faults, at most `FAULT_LIMIT`
    highest_dbtime: int = 0  # The highest modification counter in a good page
    headers_valid: tuple[bool, bool] = (False, False)  # Whether the checksum of each header copy is right
    extra_bytes: int = 0  # Bytes after the last whole page
    trailer: BackupTrailer | None = None  # The backup trailer of a streaming copy, where it is in order
    trailer_fault: str = ""  # Why the trailer of a streaming copy is not in order; empty for any other file
    trailer_code: int | None = None  # The error the engine gives for that
    not_verified: str = ""  # Why no page was verified; empty when they were
    caveat: str = ""  # What weakens the findings; empty when nothing does
    # The pages that no database is without, and that are zeros here or not there: page 1, and the roots of space and
    # catalog where page 1 is the engine's own.
    blank: tuple[int, ...] = ()
    owned: int = 0  # The last page that the space tree gives to the database; 0 where that is not beyond doubt
    linked: int = 0  # The highest page that a page in use names as its neighbour; 0 where that proves nothing
    lost: tuple[int, ...] = ()  # The first blank pages that a page in use names: as neighbour, child, root of a table
    # The first pages in use that name a page which does not fit, each with that page: of another object, out of its
    # tree, or with another neighbour on that side.
    unlinked: tuple[tuple[int, int], ...] = ()

    @property
    def blank_pages(self) -> str:
        """The pages that are blank, in words: `page 1 is blank or not there`."""
        count = len(self.blank)
        return f"{noun(count, 'page')} {', '.join(map(str, self.blank))} {noun(count, 'is', 'are')} blank or not there"

    @property
    def reaches(self) -> int:
        """The highest page that there must be, going by the pages that are there."""
        return max(self.owned, self.linked)

    @property
    def is_good(self) -> bool:
        """Whether every page was verified and the engine accepts them all, and the trailer where there must be one."""
        return not (self.bad or self.extra_bytes or self.trailer_fault or self.not_verified)


class LogFaultKind(StrEnum):
    """What is wrong inside a log."""

    BAD = "bad"
    """Content and checksum do not fit, and the log goes on behind it."""
    LOST = "lost"
    """Zeros, or content of an older generation, where the log goes on behind it: a write never arrived."""
    TORN = "torn"
    """The log ends in content that does not fit its checksum: the last write was cut off, or its end is damaged."""


@dataclass(frozen=True, slots=True)
class LogFault:
    """One place in a log that is not as it should be."""

    kind: LogFaultKind  # What is wrong
    offset: int  # Bytes from the start of the file
    segment: int | None = None  # Number of the segment, in logs of format 8
    bits: tuple[int, ...] = ()  # The flipped bit, counted from the start of the segment, where it could be located

    @property
    def code(self) -> int:
        """The error the engine gives when it reads the log."""
        return LOG_CORRUPT


@dataclass(frozen=True, slots=True, kw_only=True)
class LogReport:
    """What checking the content of a log found."""

    unit: str  # What carries the checksums: `segments` in format 8, `ranges` in format 7
    valid: int = 0  # Segments or ranges in order
    shadow: int = 0  # Shadow copies of a partly filled segment
    stale: int = 0  # Segments of an older generation in a recycled file: they mark the end of the log
    empty: int = 0  # Segments of zeros
    rescued: int = 0  # Damaged segments whose shadow copy is whole
    bad: int = 0  # All faults
    faults: tuple[LogFault, ...] = ()  # The first faults, at most `FAULT_LIMIT`
    # The accumulated segment checksum, which the next log must repeat; None in format 7.
    segments_xor: int | None = None
    end: int = 0  # Where the valid content ends, in bytes from the start of the file; 0 where there is none
    # Of format 8: the bytes of the last valid segment up to the last one that is not zero, and a bit for each byte of
    # its records (`logcheck.tail_marks`): those of a later state of the log begin with them. 0 where nobody knows.
    used: int = 0
    marks: bytes = b""
    expected_size: int  # The file size that the header calls for
    size: int  # The bytes that came
    not_verified: str = ""  # Why the content was not verified; empty when it was

    @property
    def extent(self) -> int:
        """How much it holds, to compare it with another state of the log: segments, or where the last range ends."""
        return self.valid + self.rescued if self.unit == "segments" else self.end

    @property
    def is_marked(self) -> bool:
        """Whether what its last segment holds is known, so that states of one log can be compared inside it."""
        bits = self.used - RECORDS_AT
        return bits > 0 and len(self.marks) == (bits + 7) // 8

    @property
    def without_marks(self) -> LogReport:
        """The same without what its last segment holds."""
        return replace(self, used=0, marks=b"") if self.used or self.marks else self

    def begins_as(self, other: LogReport) -> bool:
        """Return whether the shorter of two logs that end in one segment is the beginning of the longer one."""
        mask = (1 << min(self.used, other.used) - RECORDS_AT) - 1
        return not (int.from_bytes(self.marks, "little") ^ int.from_bytes(other.marks, "little")) & mask

    @property
    def is_blank(self) -> bool:
        """Whether nothing in it is valid, and nothing damaged: zeros, or what was there before it was written."""
        return not (self.end or self.bad or self.not_verified)

    @property
    def may_go_on(self) -> bool:
        """Whether nothing but its records tells that it ends there: no shadow of its last segment, room for more."""
        is_told = self.shadow or self.rescued or self.bad or self.not_verified
        return self.unit == "segments" and 0 < self.end < self.expected_size - 4096 and not is_told

    @property
    def size_differs(self) -> bool:
        """Whether the file has another size than its header says (-541)."""
        return self.size != self.expected_size

    @property
    def is_torn(self) -> bool:
        """Whether the log ends in a torn write."""
        return any(fault.kind is LogFaultKind.TORN for fault in self.faults)

    @property
    def is_good(self) -> bool:
        """Whether the content was verified, and all of it is in order."""
        return not (self.bad or self.size_differs or self.not_verified)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentVerdict:
    """What checking the content of a file comes to."""

    unit: str = ""  # What carries the checksums: `pages`, `segments` or `ranges`; empty where nothing is known to
    units: int = 0  # How many were verified, empty pages among them
    empty: int = 0  # How many of them are empty pages
    bad: int = 0  # How many of them the engine refuses
    correctable: int = 0  # How many it corrects while reading
    faults: tuple[PageFault | LogFault, ...] = ()  # The first of both, at most as many as a report lists
    # What is wrong with the file, each as the end of a sentence that begins with its name.
    problems: tuple[str, ...] = ()
    not_verified: str = ""  # Why the content was not verified; empty where it was
    note: str = ""  # What else is worth saying; empty when there is nothing
    report: PageReport | LogReport | None = None  # The report itself; None where there is none

    @property
    def verified(self) -> bool:
        """Whether the content was verified, whatever came of it."""
        return bool(self.unit) and not self.not_verified

    @property
    def bad_offsets(self) -> Iterator[int]:
        """Where bad units begin, in bytes from the start of the file; as many as are listed."""
        return (fault.offset for fault in self.faults if fault.kind is not PageFaultKind.CORRECTABLE)


def judge_content(identity: Identity, report: PageReport | LogReport | None) -> ContentVerdict:
    """Return what a report comes to.

    Args:
        identity: What the file is.
        report: What its checker found; None where it has none.
    """
    if isinstance(report, PageReport):
        return _judge_pages(identity, report)
    if isinstance(report, LogReport):
        return _judge_log(identity, report)
    if identity.damaged:
        problem = f"cannot be read as a {identity.kind.value}: {identity.note}"
        return ContentVerdict(problems=(problem,), not_verified=identity.note)
    return ContentVerdict(not_verified=identity.note)


def _judge_pages(identity: Identity, report: PageReport) -> ContentVerdict:
    problems = []
    if report.bad:
        problems.append(f"has {count_text(report.bad, 'damaged page')} (JET_errReadVerifyFailure, {_READ_VERIFY})")
    if report.extra_bytes:
        extra = f"has {count_text(report.extra_bytes, 'byte')} after its last page"
        is_copy = cast("DatabaseHeader", identity.header).current_full.generation_low
        problems.append(f"{extra}: it is cut short ({_CUT_COPY if is_copy else _CUT_SHORT})")
    if report.blank:
        problems.append(f"has no content: {report.blank_pages}")
    if report.trailer_fault:
        problems.append(f"is a streaming copy in disorder: {report.trailer_fault}")
    # The first header copy is spoken of where the file is identified.
    header = "the second header copy is damaged" if report.headers_valid == (True, False) else ""
    caveat = "" if report.not_verified else report.caveat
    return ContentVerdict(
        unit="pages",
        units=0 if report.not_verified else report.pages,
        empty=0 if report.not_verified else report.empty,
        bad=report.bad,
        correctable=report.correctable,
        faults=report.faults,
        problems=tuple(problems),
        not_verified=report.not_verified,
        note="; ".join(note for note in (header, caveat, identity.note) if note),
        report=report,
    )


def _judge_log(identity: Identity, report: LogReport) -> ContentVerdict:
    problems = []
    if report.bad:
        damaged = count_text(report.bad, f"damaged {report.unit.removesuffix('s')}")
        problems.append(f"has {damaged} (JET_errLogFileCorrupt, {LOG_CORRUPT})")
    if report.size_differs:
        problems.append(f"has {report.size} bytes, its header says {report.expected_size} ({LOG_SIZE_DIFFERS})")
    return ContentVerdict(
        unit=report.unit,
        units=report.valid + report.bad,
        bad=report.bad,
        faults=report.faults,
        problems=tuple(problems),
        not_verified=report.not_verified,
        note=identity.note,
        report=report,
    )
