"""Whether what is to be restored is worth restoring: files that salvage left incomplete, databases that nothing here can recover.

Where nothing can be judged nothing is refused: a file of a format that is not known, or a set of logs alone, is left
open and said to be.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tokar.errors import RestoreError
from tokar.ese.identify import FileKind, identify
from tokar.restore.plan import INCOMPLETE, UNRECOVERABLE, Problem
from tokar.restore.targets import some
from tokar.sets.database_verdict import RESTORABLE
from tokar.sets.facts import SetFacts
from tokar.sets.judge import judge_set
from tokar.sets.read import facts_of_archive
from tokar.tokens import Role, role

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokar.format.archive import Archive
    from tokar.format.index import Entry
    from tokar.sets.database_verdict import DatabaseVerdict
    from tokar.sets.facts import DatabaseFacts, LogFacts

_OF_AN_ENGINE = {Role.DATABASE, Role.LOG}
_PARTIAL = "partial"  # spec/format.md, SUMM, key `outcome`


@dataclass(frozen=True, slots=True)
class Soundness:
    """What is known of the set in one archive."""

    facts: SetFacts  # What its files say of themselves, without databases of formats that are not known
    problems: tuple[Problem, ...]  # Databases that cannot be recovered from this set alone
    not_checked: tuple[str, ...]  # What nobody could judge

    @property
    def last_logs(self) -> tuple[LogFacts, ...]:
        """The logs in order, as far as their generations are known."""
        known = [one for one in self.facts.logs if one.generation is not None]
        return tuple(sorted(known, key=lambda one: (one.generation or 0, one.current)))


def soundness_of(archive: Archive) -> Soundness:
    """Return what the files of an archive say about whether its databases can be recovered.

    Raises:
        FormatError: The index or the start of a file is damaged.
    """
    if not any(role(token) in _OF_AN_ENGINE for token in {entry.token for entry in archive}):
        return Soundness(SetFacts(), (), ())  # there may be a million files that were merely taken along
    found = facts_of_archive(archive)
    opaque = [one for one in found.databases if _is_opaque(archive, one)]
    facts = replace(found, databases=tuple(one for one in found.databases if one not in opaque))
    verdict = judge_set(facts)
    not_checked = [f"{one.name}: not a database of a known format" for one in opaque]
    if not facts.databases and facts.logs:
        not_checked.append("logs alone: what they can be played onto is not in this archive")
    return Soundness(
        facts,
        tuple(_problem(one) for one in verdict.databases if one.verdict not in RESTORABLE),
        (*not_checked, *verdict.not_checked),
    )


def _is_opaque(archive: Archive, facts: DatabaseFacts) -> bool:
    """Tell whether only the token says that this is a database."""
    if facts.header is not None or facts.number is None:
        return False
    return identify(archive.entry_source(archive.entry(facts.number))).kind is FileKind.UNKNOWN


def _problem(found: DatabaseVerdict) -> Problem:
    """Return a database that cannot be recovered as a problem, with the root cause."""
    cause = found.faults[0] if found.faults else None
    why = f": {cause.message}" if cause else ""
    code = f" ({cause.engine})" if cause and cause.engine else ""
    step = f"{cause.next_step}; " if cause and cause.next_step else ""
    error = RestoreError(
        f"{found.name} cannot be recovered from this set{why}{code}",
        hint=f"{step}--accept-unrecoverable restores the files all the same",
    )
    return Problem(error, urgency=UNRECOVERABLE)


def incomplete_entries(archive: Archive, entries: Iterable[Entry]) -> list[Entry]:
    """Return those of the entries whose content salvage could save only in part.

    Raises:
        FormatError: The archive is damaged.
    """
    if archive.summary.outcome != _PARTIAL:
        return []
    return [entry for entry in entries if archive.records(entry).file.incomplete]


def incomplete_problem(entries: Iterable[Entry]) -> Problem | None:
    """Return incomplete files as a problem; None where there are none."""
    listed = list(entries)
    if not listed:
        return None
    files, are = ("file", "is") if len(listed) == 1 else ("files", "are")
    shown = some(one.name for one in listed)
    error = RestoreError(
        f"{len(listed)} {files} {are} incomplete, with zeros where content was lost: {shown}",
        hint="choose the others with --only, or take them as they are with --accept-incomplete",
    )
    return Problem(error, tuple(one.number for one in listed), INCOMPLETE)
