"""Whether the databases of one archive can be recovered from it alone.

Where nothing can be judged nothing is refused: a file of a format that is not known, or a set of logs alone, is left
open and said to be.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tokar.ese.identify import FileKind, identify
from tokar.sets.database_verdict import RESTORABLE
from tokar.sets.facts import SetFacts
from tokar.sets.judge import judge_set
from tokar.sets.read import facts_of_archive
from tokar.tokens import Role, role

if TYPE_CHECKING:
    from tokar.format.archive import Archive
    from tokar.sets.database_verdict import DatabaseVerdict
    from tokar.sets.facts import DatabaseFacts, LogFacts

_OF_AN_ENGINE = {Role.DATABASE, Role.LOG}


@dataclass(frozen=True, slots=True)
class Soundness:
    """What is known of the set in one archive."""

    facts: SetFacts  # What its files say of themselves, without databases of formats that are not known
    unrecoverable: tuple[DatabaseVerdict, ...]  # Databases that cannot be recovered from this set alone
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
        tuple(one for one in verdict.databases if one.verdict not in RESTORABLE),
        (*not_checked, *verdict.not_checked),
    )


def _is_opaque(archive: Archive, facts: DatabaseFacts) -> bool:
    """Tell whether only the token says that this is a database."""
    if facts.header is not None or facts.number is None:
        return False
    return identify(archive.entry_source(archive.entry(facts.number))).kind is FileKind.UNKNOWN
