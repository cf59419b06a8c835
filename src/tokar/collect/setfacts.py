"""What the files of a set say of themselves, for the seal check (`tokar.server.licence`).

Generations, log stream, links from log to log, what each database needs, damaged pages and segments. Files of unknown
formats are no fault; they are taken by their names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tokar import names, tokens
from tokar.collect.examine import ContentExaminer
from tokar.collect.findings import Findings
from tokar.errors import UnsafeNameError
from tokar.ese.content_facts import CHECKED_KINDS, PageReport
from tokar.ese.database import DatabaseHeader
from tokar.ese.filenames import NameRole, parse_file_name
from tokar.ese.log import LogHeader
from tokar.server.licence import LogFacts, Needed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokar.ese.content_facts import ContentVerdict, LogReport
    from tokar.ese.identify import Identity


@dataclass(slots=True)
class SetFacts:
    """What is known of a set."""

    logs: list[LogFacts] = field(default_factory=list)  # One for each log
    needed: list[Needed] = field(default_factory=list)  # What databases need, for those that say so
    damaged: list[str] = field(default_factory=list)  # Files with damage, each in a few words
    # Files that could not be looked at as they should, each with the reason.
    unexamined: list[str] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)  # The same for SUMM, with counts and places

    @property
    def sorted_logs(self) -> tuple[LogFacts, ...]:
        """The logs in the order of their generations: by value, not by text (edb00100000.log follows edbFFFFF.log)."""
        return tuple(sorted(self.logs, key=lambda log: log.generation))

    @property
    def generations(self) -> dict[str, int] | None:
        """The lowest and the highest generation, as SUMM holds them; None without logs."""
        found = [log.generation for log in self.logs]
        return {"low": min(found), "high": max(found)} if found else None


class FileExaminer(ContentExaminer):
    """Looks at one file of a set. Call it with the content as it goes by, then `finish`.

    Args:
        facts: Where findings go.
        token: The file's token.
        raw_name: The file's name.
        encoding: The code page of the name.
        size: Bytes that will come.
        profile: The token profile.
    """

    def __init__(self, facts: SetFacts, *, token: int, raw_name: bytes, encoding: int, size: int, profile: str) -> None:
        super().__init__(facts.findings, token=token, raw_name=raw_name, encoding=encoding, size=size, profile=profile)
        self._facts = facts
        self._name = _leaf(raw_name, encoding)
        self._by_name = parse_file_name(self._name)

    def _note(self, identity: Identity, report: PageReport | LogReport | None, verdict: ContentVerdict) -> None:
        super()._note(identity, report, verdict)
        role = tokens.role(self._token)
        self._facts.damaged.extend(f"{self._name} {problem}" for problem in verdict.problems)
        if role is tokens.Role.DATABASE:
            self._note_database(identity, report)
        elif role is tokens.Role.LOG:
            self._note_log(identity)

    @property
    def _is_patch(self) -> bool:
        return super()._is_patch or self._by_name.role is NameRole.PATCH

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


def _leaf(raw_name: bytes, encoding: int) -> str:
    """Return the file name in a stored name, safe to print, whether or not it could be a file name here."""
    try:
        return names.leaf(raw_name, encoding)
    except UnsafeNameError:
        return names.display(raw_name, encoding)


def _needed(name: str, header: DatabaseHeader, report: PageReport | LogReport | None) -> Iterator[Needed]:
    """Yield what a database needs: of a streaming copy what its backup recorded, else its required range."""
    stream = header.log_signature.pack().hex() if header.log_signature.is_set else None
    record = header.current_full
    if record.generation_low:  # a streaming copy; those from before trailers tell both ends in the header
        trailer = report.trailer if isinstance(report, PageReport) else None
        high = trailer.backup.generation_high if trailer else record.generation_high or record.generation_low
        yield Needed(name, record.generation_low, high, stream)
    elif header.required_low and not header.is_clean:
        yield Needed(name, header.required_low, header.required_high, stream)
