"""Checking the content of any ESE file, whatever its kind: which checker it takes, and what the checker's report comes to.

Importing this loads neither construct nor numpy; `checker_for` loads what the file at hand needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from tokar.ese.identify import FileKind, Identity
from tokar.ese.logreport import LOG_CORRUPT, LOG_SIZE_DIFFERS, LogReport
from tokar.ese.pagereport import PageFaultKind, PageReport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokar.ese.logreport import LogFault
    from tokar.ese.pagereport import PageFault

CHECKED_KINDS: Final = {FileKind.DATABASE, FileKind.LOG, FileKind.STREAMING_FILE, FileKind.TEMPORARY_DATABASE}
"""Kinds whose content is looked at, or has a reason why not."""
_CUT_SHORT: Final = -561
_READ_VERIFY: Final = -1018


class Checker(Protocol):
    """What `PageChecker` and `LogChecker` have in common."""

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes of the file, which may be changed afterwards."""

    def finish(self) -> PageReport | LogReport:
        """Return what was found. Nothing may follow."""


def checker_for(identity: Identity, size: int) -> Checker | None:
    """Return what checks the content of such a file; None where its content carries no checksums known here.

    Args:
        identity: What the file is.
        size: The bytes that will come.

    Raises:
        MissingExtraError: numpy is not installed.
    """
    if identity.header is None or identity.kind not in CHECKED_KINDS:
        return None
    if identity.kind is FileKind.LOG:
        from tokar.ese.log import LogHeader  # noqa: PLC0415 - loads construct
        from tokar.ese.logcheck import LogChecker  # noqa: PLC0415 - loads numpy

        return LogChecker(identity.header) if isinstance(identity.header, LogHeader) else None
    from tokar.ese.database import DatabaseHeader  # noqa: PLC0415 - loads construct
    from tokar.ese.pages import PageChecker  # noqa: PLC0415 - loads numpy

    return PageChecker(identity.header, size) if isinstance(identity.header, DatabaseHeader) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentVerdict:
    """What checking the content of a file comes to."""

    unit: str = ""  # What carries the checksums: `pages`, `segments` or `ranges`; empty where nothing is known to
    units: int = 0  # How many were verified, empty pages among them
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


def judge(identity: Identity, report: PageReport | LogReport | None, *, trailer: bool = True) -> ContentVerdict:
    """Return what a report comes to.

    Args:
        identity: What the file is.
        report: What its checker found; None where it has none.
        trailer: Whether a streaming copy must have a backup trailer: from Exchange 2000 SP2 and Windows XP on
            (Q158526).
    """
    if isinstance(report, PageReport):
        return _judge_pages(identity, report, trailer=trailer)
    if isinstance(report, LogReport):
        return _judge_log(identity, report)
    if identity.damaged:
        problem = f"cannot be read as a {identity.kind.value}: {identity.note}"
        return ContentVerdict(problems=(problem,), not_verified=identity.note)
    return ContentVerdict(not_verified=identity.note)


def _judge_pages(identity: Identity, report: PageReport, *, trailer: bool) -> ContentVerdict:
    problems = []
    if report.bad:
        problems.append(f"has {report.bad} damaged pages (JET_errReadVerifyFailure, {_READ_VERIFY})")
    if report.extra_bytes:
        problems.append(
            f"has {report.extra_bytes} bytes after its last page: it is cut short (JET_errBadBackupDatabaseSize, {_CUT_SHORT})"
        )
    if report.trailer_fault and trailer:
        problems.append(f"is a streaming copy in disorder: {report.trailer_fault}")
    return ContentVerdict(
        unit="pages",
        units=0 if report.not_verified else report.pages,
        bad=report.bad,
        correctable=report.correctable,
        faults=report.faults,
        problems=tuple(problems),
        not_verified=report.not_verified,
        note=_joined(_header_note(report), "" if report.not_verified else report.caveat, identity.note),
        report=report,
    )


def _header_note(report: PageReport) -> str:
    """The first copy is spoken of where the file is identified."""
    return "the second header copy is damaged" if report.headers_valid == (True, False) else ""


def _judge_log(identity: Identity, report: LogReport) -> ContentVerdict:
    problems = []
    if report.bad:
        problems.append(f"has {report.bad} damaged {report.unit} (JET_errLogFileCorrupt, {LOG_CORRUPT})")
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


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
