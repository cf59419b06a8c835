"""The verdict: is each database of a set recoverable from the files that are here, and if not, what is the cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokar.sets.beside import beside_faults, patch_faults
from tokar.sets.database_verdict import DatabaseRun
from tokar.sets.faults import in_order
from tokar.sets.logs import LogTable
from tokar.sets.setlogs import remaining_log_faults, roles_of
from tokar.sets.verdict import SetVerdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tokar.sets.facts import SetFacts
    from tokar.sets.verdict import DatabaseVerdict


def judge(facts: SetFacts) -> SetVerdict:
    """Return what becomes of the databases of a set.

    Args:
        facts: What its files say; of several archives together, where they form a chain.
    """
    table = LogTable(facts.logs)
    runs = [DatabaseRun(database, table) for database in facts.databases]
    for run in runs:
        run.walk()
        run.faults += patch_faults(run.facts, run.need, facts.patches)
    verdicts = tuple(run.verdict() for run in runs)
    roles = roles_of(facts, runs)
    faults = [fault for run in runs for fault in run.faults]
    faults += remaining_log_faults(facts, table, runs, roles)
    faults += beside_faults(facts, [(run.facts, run.need, run.run) for run in runs])
    return SetVerdict(
        databases=verdicts,
        log_roles=tuple((log.name, roles[id(log)]) for log in facts.logs),
        faults=in_order(faults),
        not_checked=tuple(dict.fromkeys(_open_questions(facts, verdicts))),
    )


def _open_questions(facts: SetFacts, verdicts: Iterable[DatabaseVerdict]) -> Iterator[str]:
    for verdict in verdicts:
        yield from verdict.not_checked
    for patch in facts.patches:
        if patch.size:
            yield f"{patch.name}: a patch file with content; its layout is not known, it is kept as it is"
    for log in facts.logs:
        if log.is_opaque:
            yield f"{log.name}: {log.note or 'a log of a format that is not known'}"
    yield from facts.not_examined
