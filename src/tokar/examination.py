"""What the files of a set say of themselves, learned while their bytes go by on the way into an archive.

Generations, log stream, links from log to log, what each database needs, damaged pages and segments: the seal check weighs these
(`tokar.procedure.licence`), and SUMM records the generations and the findings. Files of unknown formats are no fault; they are taken by
their names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tokar import names, tokens
from tokar.bytesource import BytesSource
from tokar.errors import UnsafeNameError
from tokar.ese.contentcheck import CHECKED_KINDS, Checker, ContentVerdict, checker_for, judge
from tokar.ese.database import DatabaseHeader
from tokar.ese.errors import MissingExtraError
from tokar.ese.filenames import NameRole, parse_file_name
from tokar.ese.identify import SMALLEST_SIZE, FileKind, Identity, identify, looks_like_ese
from tokar.ese.log import LogHeader
from tokar.ese.pagereport import PageReport
from tokar.format import canonical_json, json_fields
from tokar.procedure.licence import LogFacts, Needed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tokar.ese.logreport import LogReport

# Exchange before 2000 SP2 kept the bookkeeping of a streaming copy in a patch file, not in a trailer (Q158526).
_WITHOUT_TRAILER: Final = {"edbbcli"}
_MAX_LISTED: Final = 1000  # files that are kept with findings, and as many without
_MAX_LIST_SIZE: Final = 128 * 1024  # bytes of the list in SUMM, which has 1 MiB for everything
_MAX_OFFSETS: Final = 16  # bad pages or segments of a file that SUMM points at; all of them are counted
_MAX_TEXT: Final = 1000  # characters of a name or a reason in SUMM


@dataclass(frozen=True, slots=True)
class Examined:
    """What looking at one file found.

    Attributes:
        token: Its token.
        name: Its name, safe to print.
        kind: What it is, going by its content.
        verdict: What checking its content came to.
    """

    token: int
    name: str
    kind: FileKind
    verdict: ContentVerdict

    @property
    def is_remarkable(self) -> bool:
        """Whether there is more to say than that all of it was verified and is good."""
        verdict = self.verdict
        return bool(verdict.problems or verdict.correctable or verdict.not_verified or verdict.note)

    def to_json(self) -> dict[str, Any]:
        """Return it as an element of `entries` (spec/format.md section 6.2)."""
        verdict = self.verdict
        row: dict[str, Any] = {"kind": self.kind.value, "name": self.name[:_MAX_TEXT], "token": self.token}
        if verdict.verified:
            row |= {
                "bad": verdict.bad,
                "correctable": verdict.correctable,
                "unit": verdict.unit,
                "units": verdict.units,
            }
        else:
            row["not_verified"] = verdict.not_verified[:_MAX_TEXT]
        offsets = [offset for offset, _ in zip(verdict.bad_offsets, range(_MAX_OFFSETS), strict=False)]
        optional = {"note": verdict.note[:_MAX_TEXT], "offsets": offsets, "problems": list(verdict.problems)}
        return row | {key: value for key, value in optional.items() if value}


@dataclass(slots=True)
class Findings:
    """What looking at all files of a set found.

    Attributes:
        files: Databases and logs that were looked at.
        not_verified: How many of them could not be verified.
        pages: Pages that were verified.
        segments: Segments and ranges of logs that were verified.
        bad: How many of both the engine refuses.
        correctable: Pages that it corrects while reading.
        kept: The files in their order: all while they are few, else those with something to say, and not more than a thousand.
        unavailable: Why nothing can be verified here; empty where it can.
    """

    files: int = 0
    not_verified: int = 0
    pages: int = 0
    segments: int = 0
    bad: int = 0
    correctable: int = 0
    kept: list[Examined] = field(default_factory=list)
    unavailable: str = ""

    def add(self, examined: Examined) -> None:
        """Note what was found in the next file."""
        verdict = examined.verdict
        self.files += 1
        self.not_verified += not verdict.verified
        self.bad += verdict.bad
        self.correctable += verdict.correctable
        if verdict.unit == "pages":
            self.pages += verdict.units
        else:
            self.segments += verdict.units
        if self.files == _MAX_LISTED + 1:
            self.kept = self.remarkable
        if len(self.kept) < _MAX_LISTED and (self.files <= _MAX_LISTED or examined.is_remarkable):
            self.kept.append(examined)

    @property
    def remarkable(self) -> list[Examined]:
        """The files with something to say, in their order."""
        return [one for one in self.kept if one.is_remarkable]

    def to_json(self) -> dict[str, Any]:
        """Return the value of the key `examination` of SUMM (spec/format.md section 6.2)."""
        counts = {
            "bad": self.bad,
            "correctable": self.correctable,
            "files": self.files,
            "not_verified": self.not_verified,
            "pages": self.pages,
            "segments": self.segments,
        }
        value: dict[str, Any] = {key: json_fields.to_count(count) for key, count in counts.items()}
        value["state"] = "unavailable" if self.unavailable else "done"
        rows = _fitting(self.kept)
        value["entries"] = rows if len(rows) == self.files else _fitting(self.remarkable)
        return value


NOT_EXAMINED: Final = {"state": "off"}
"""The value of the key `examination` where nobody looked."""


@dataclass(slots=True)
class SetFacts:
    """What is known of a set.

    Attributes:
        logs: One for each log.
        needed: What databases need, for those that say so.
        damaged: Files with damage, each in a few words.
        unexamined: Files that could not be looked at as they should, each with the reason.
        findings: The same for SUMM, with counts and places.
    """

    logs: list[LogFacts] = field(default_factory=list)
    needed: list[Needed] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    unexamined: list[str] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)

    @property
    def sorted_logs(self) -> tuple[LogFacts, ...]:
        """The logs in the order of their generations: by value, not by text (edb00100000.log follows edbFFFFF.log)."""
        return tuple(sorted(self.logs, key=lambda log: log.generation))

    @property
    def generations(self) -> dict[str, int] | None:
        """The lowest and the highest generation, as SUMM holds them; None without logs."""
        found = [log.generation for log in self.logs]
        return {"low": min(found), "high": max(found)} if found else None


def may_be_ese(content: bytes, token: int) -> bool:
    """Tell whether a small file is worth an examiner, in less than a microsecond.

    Args:
        content: All of it.
        token: Its token: a file that should be a database or a log is always worth one.
    """
    if token == tokens.UNKNOWN:
        return len(content) >= SMALLEST_SIZE and looks_like_ese(content, len(content))
    return True


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
        self._raw_name = raw_name
        self._encoding = encoding
        self._name = _leaf(raw_name, encoding)
        self._by_name = parse_file_name(self._name)
        self._size = size
        self._has_trailer = profile not in _WITHOUT_TRAILER
        self._is_patch = tokens.token_name(token, profile) == "patch" or self._by_name.role is NameRole.PATCH
        self._identity: Identity | None = None
        self._checker: Checker | None = None
        self._missing = ""

    def __call__(self, chunk: memoryview) -> None:
        """Take the next bytes. They may be changed afterwards."""
        if self._identity is None:
            self._identity = _identify(chunk, self._size)
            try:
                self._checker = checker_for(self._identity, self._size)
            except MissingExtraError as error:
                self._missing = error.message
        if self._checker is not None:
            self._checker.update(chunk)

    def finish(self) -> None:
        """Note what was found. Nothing may follow."""
        identity = self._identity or Identity(kind=FileKind.UNKNOWN)
        role = tokens.role(self._token)
        report = self._checker.finish() if self._checker is not None else None
        verdict = judge(identity, report, trailer=self._has_trailer)
        if self._missing:
            verdict = ContentVerdict(not_verified=self._missing)
            self._facts.unexamined.append(f"{self._name}: {self._missing}")
            self._facts.findings.unavailable = self._missing
        self._facts.damaged.extend(f"{self._name} {problem}" for problem in verdict.problems)
        if role is tokens.Role.DATABASE:
            self._note_database(identity, report)
        elif role is tokens.Role.LOG and not self._is_patch:
            self._note_log(identity)
        self._note_findings(identity, verdict, role)

    def _note_findings(self, identity: Identity, verdict: ContentVerdict, role: tokens.Role) -> None:
        has_role = role in (tokens.Role.DATABASE, tokens.Role.LOG) and not self._is_patch
        if identity.kind not in CHECKED_KINDS and not has_role:
            return
        if identity.kind not in CHECKED_KINDS:
            verdict = ContentVerdict(not_verified=f"not recognised as a {role.value}")
        name = names.display(self._raw_name, self._encoding)
        self._facts.findings.add(Examined(self._token, name, identity.kind, verdict))

    def _note_database(self, identity: Identity, report: PageReport | LogReport | None) -> None:
        if identity.kind not in CHECKED_KINDS:
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


def _identify(start: memoryview, size: int) -> Identity:
    """Return what a file is, going by its first bytes."""
    identity = identify(_Start(start, size))
    if identity.kind is FileKind.RESERVE and len(start) < size:  # which only all of its bytes can tell
        return Identity(kind=FileKind.UNKNOWN, note="begins like a reserve log")
    return identity


def _leaf(raw_name: bytes, encoding: int) -> str:
    """Return the file name in a stored name, safe to print, whether or not it could be a file name here."""
    try:
        return names.leaf(raw_name, encoding)
    except UnsafeNameError:
        return names.display(raw_name, encoding)


def _needed(name: str, header: DatabaseHeader, report: PageReport | LogReport | None) -> Iterator[Needed]:
    """Yield what a database needs: of a streaming copy what its backup recorded, else its required range."""
    stream = header.log_signature.pack().hex() if header.log_signature.is_set else None
    if header.is_streaming_copy:
        trailer = report.trailer if isinstance(report, PageReport) else None
        low = header.current_full.generation_low
        yield Needed(name, low, trailer.backup.generation_high if trailer else low, stream)
    elif header.required_low and not header.is_clean:
        yield Needed(name, header.required_low, header.required_high, stream)


def _fitting(files: Iterable[Examined]) -> list[dict[str, Any]]:
    """Return the elements of the list in SUMM for as many files as there is room for."""
    rows = []
    room = _MAX_LIST_SIZE
    for one in files:
        row = one.to_json()
        room -= len(canonical_json.encode(row)) + 1
        if room < 0:
            break
        rows.append(row)
    return rows
