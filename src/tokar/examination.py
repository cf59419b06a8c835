"""What the files of a set say of themselves, learned while their bytes go by on the way into an archive.

Generations, log stream, links from log to log, what each database needs, damaged pages and segments: the seal check weighs these
(`tokar.procedure.licence`), and SUMM records the generations. Files of unknown formats are no fault; they are taken by their names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from tokar import names, tokens
from tokar.bytesource import BytesSource
from tokar.errors import UnsafeNameError
from tokar.ese.database import DatabaseHeader
from tokar.ese.errors import MissingExtraError
from tokar.ese.filenames import NameRole, parse_file_name
from tokar.ese.identify import FileKind, Identity, identify
from tokar.ese.log import LogHeader
from tokar.ese.logreport import LogReport
from tokar.ese.pagereport import PageReport
from tokar.procedure.licence import LogFacts, Needed

if TYPE_CHECKING:
    from collections.abc import Iterator

# Exchange before 2000 SP2 kept the bookkeeping of a streaming copy in a patch file, not in a trailer (Q158526).
_WITHOUT_TRAILER: Final = {"edbbcli"}


class _Checker(Protocol):
    def update(self, data: memoryview) -> None: ...

    def finish(self) -> PageReport | LogReport: ...


@dataclass(slots=True)
class SetFacts:
    """What is known of a set.

    Attributes:
        logs: One for each log.
        needed: What databases need, for those that say so.
        damaged: Files with damage, each in a few words.
        unexamined: Files that could not be looked at as they should, each with the reason.
    """

    logs: list[LogFacts] = field(default_factory=list)
    needed: list[Needed] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    unexamined: list[str] = field(default_factory=list)

    @property
    def sorted_logs(self) -> tuple[LogFacts, ...]:
        """The logs in the order of their generations: by value, not by text (edb00100000.log follows edbFFFFF.log)."""
        return tuple(sorted(self.logs, key=lambda log: log.generation))

    @property
    def generations(self) -> dict[str, int] | None:
        """The lowest and the highest generation, as SUMM holds them; None without logs."""
        found = [log.generation for log in self.logs]
        return {"low": min(found), "high": max(found)} if found else None


class FileExaminer:
    """Looks at one file. Call it with the content as it goes by, then `finish`.

    Args:
        facts: Where findings go.
        token: The file's token.
        raw_name: The file's name.
        encoding: The code page of the name.
        size: Bytes that will come.
        profile: The token profile.
    """

    def __init__(self, facts: SetFacts, *, token: int, raw_name: bytes, encoding: int, size: int, profile: str) -> None:
        self._facts = facts
        self._token = token
        self._name = _leaf(raw_name, encoding)
        self._by_name = parse_file_name(self._name)
        self._size = size
        self._has_trailer = profile not in _WITHOUT_TRAILER
        self._is_patch = tokens.token_name(token, profile) == "patch" or self._by_name.role is NameRole.PATCH
        self._identity: Identity | None = None
        self._checker: _Checker | None = None

    def __call__(self, chunk: memoryview) -> None:
        """Take the next bytes."""
        if self._identity is None:
            self._identity = identify(_Start(chunk, self._size))
            try:
                self._checker = _checker_for(self._identity, self._size)
            except MissingExtraError as error:
                self._facts.unexamined.append(f"{self._name}: {error.message}")
        if self._checker is not None:
            self._checker.update(chunk)

    def finish(self) -> None:
        """Note what was found. Nothing may follow."""
        identity = self._identity or Identity(kind=FileKind.UNKNOWN)
        role = tokens.role(self._token)
        report = self._checker.finish() if self._checker is not None else None
        if report is not None:
            self._facts.damaged.extend(f"{self._name} {fault}" for fault in _faults(report, trailer=self._has_trailer))
        elif identity.damaged:
            self._facts.damaged.append(f"{self._name}: {identity.note or 'its header is damaged'}")
        if role is tokens.Role.DATABASE:
            self._note_database(identity, report)
        elif role is tokens.Role.LOG and not self._is_patch:
            self._note_log(identity)

    def _note_database(self, identity: Identity, report: PageReport | LogReport | None) -> None:
        if identity.kind is FileKind.UNKNOWN:
            self._facts.damaged.append(f"{self._name} is not recognised as a database")
        header = identity.header
        if isinstance(header, DatabaseHeader):
            self._facts.needed.extend(_needed(self._name, header, report))

    def _note_log(self, identity: Identity) -> None:
        generation = identity.generation or self._by_name.generation
        if generation is None:
            self._facts.unexamined.append(f"{self._name}: its generation cannot be told")
            return
        if None not in (identity.generation, self._by_name.generation) and generation != self._by_name.generation:
            self._facts.damaged.append(
                f"{self._name} says that it is generation 0x{generation:X}, its name says otherwise"
            )
        header = identity.header
        if isinstance(header, LogHeader):
            stream, created = header.signature.pack().hex(), header.created.pack().hex()
            previous = header.previous_created.pack()
            self._facts.logs.append(
                LogFacts(self._name, generation, stream, created, previous.hex() if any(previous) else None)
            )
        else:
            self._facts.logs.append(LogFacts(self._name, generation))


class _Start(BytesSource):
    """The first bytes of a file, with the size of all of it."""

    def __init__(self, data: memoryview, size: int) -> None:
        super().__init__(data)
        self._whole = size

    @property
    def size(self) -> int:
        return self._whole


def _leaf(raw_name: bytes, encoding: int) -> str:
    """Return the file name in a stored name, safe to print, whether or not it could be a file name here."""
    try:
        return names.leaf(raw_name, encoding)
    except UnsafeNameError:
        return names.display(raw_name, encoding)


def _checker_for(identity: Identity, size: int) -> _Checker | None:
    """Return what checks the content of such a file, or None where there is nothing to check it by.

    Raises:
        MissingExtraError: numpy is not installed.
    """
    if isinstance(identity.header, DatabaseHeader):
        from tokar.ese.pages import PageChecker  # noqa: PLC0415 - loads numpy

        return PageChecker(identity.header, size)
    if isinstance(identity.header, LogHeader):
        from tokar.ese.logcheck import LogChecker  # noqa: PLC0415 - loads numpy

        return LogChecker(identity.header)
    return None


def _faults(report: PageReport | LogReport, *, trailer: bool) -> Iterator[str]:
    """Yield what is wrong with a file, as ends of sentences."""
    if isinstance(report, LogReport):
        if report.bad:
            yield f"has {report.bad} damaged {report.unit} (JET_errLogFileCorrupt, -501)"
        if report.size_differs:
            yield f"has {report.size} bytes, its header says {report.expected_size} (-541)"
        return
    if report.bad:
        yield f"has {report.bad} damaged pages (JET_errReadVerifyFailure, -1018)"
    if report.extra_bytes:
        yield f"has {report.extra_bytes} bytes after its last page: it is cut short (JET_errBadBackupDatabaseSize, -561)"
    if report.trailer_fault and trailer:
        yield f"is a streaming copy in disorder: {report.trailer_fault}"


def _needed(name: str, header: DatabaseHeader, report: PageReport | LogReport | None) -> Iterator[Needed]:
    """Yield what a database needs: of a streaming copy what its backup recorded, else its required range."""
    stream = header.log_signature.pack().hex() if header.log_signature.is_set else None
    if header.is_streaming_copy:
        trailer = report.trailer if isinstance(report, PageReport) else None
        low = header.current_full.generation_low
        yield Needed(name, low, trailer.backup.generation_high if trailer else low, stream)
    elif header.required_low and not header.is_clean:
        yield Needed(name, header.required_low, header.required_high, stream)
