"""What the entries of an archive say of themselves to a restore, which looks at content where that may decide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tokar import tokens
from tokar.format.archive import Archive, tokens_of
from tokar.format.index import Entry
from tokar.names import is_beside_a_set
from tokar.sets.facts import SetFacts
from tokar.sets.judge import judge_set
from tokar.sets.lost import with_lost
from tokar.sets.read import facts_of_archive
from tokar.sets.recorded import RecordedFacts
from tokar.sets.spare_logs import spare_logs, with_logs_examined
from tokar.sets.watching import Watch, unwatched

_OF_AN_ENGINE: Final = {tokens.Role.DATABASE, tokens.Role.LOG}


def facts_of(archive: Archive, entries: Sequence[Entry], watch: Watch = unwatched) -> SetFacts:
    """Return the facts of entries; of what is beside an engine alone, where none is of one: there may be a million."""
    if not any(tokens.role(token) in _OF_AN_ENGINE for token in tokens_of(entries)):
        entries = [entry for entry in entries if is_beside_a_set(entry.name, entry.size)]
    if not entries:
        return with_lost(SetFacts(source=str(archive.path or ""), profile=archive.head.profile), archive)
    facts = facts_of_archive(archive, entries=entries, recorded=RecordedFacts(archive))
    if archive.is_locked or facts.were_verified:
        return facts
    found = judge_set(facts)
    if not any(one.is_open for one in found.faults):
        spare = spare_logs(found, facts)
        return with_logs_examined(facts, spare, archive, watch) if spare else facts
    with watch(sum(one.size for one in entries), str(archive.path or archive.id.hex())) as progress:
        return facts_of_archive(archive, entries=entries, examine=True, progress=progress)  # what is found may refuse
