"""Logs that a restore places although no database needs them: what is in them decides how far the run goes (RUN-2).

Damage there refuses nothing, so a verdict that was given without content does not ask for it. But recovery stops at it,
and whoever looks leaves out such a log with all that lies beyond. So a restore looks at these logs, and at no others.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from tokar.errors import ArchiveError
from tokar.ese.content_facts import LogReport
from tokar.ese.inspect import inspect_file
from tokar.format.archive import Archive
from tokar.format.encryption import Keyring
from tokar.sets.backup_set import FoundSets, open_again
from tokar.sets.chain import Chain
from tokar.sets.facts import LogFacts, SetFacts
from tokar.sets.judge import SetVerdict
from tokar.sets.roles import LogRole
from tokar.sets.watching import BytesRead, Watch, WatchedSource

_SPARE: Final = {LogRole.FORWARD, LogRole.SUPERSEDED}


def spare_logs(verdict: SetVerdict, facts: SetFacts) -> list[LogFacts]:
    """Return the logs of a set that are placed, that none of its databases needs, and that nobody examined."""
    if facts.were_verified or not facts.databases:
        return []
    spare = {id(log) for log, role in verdict.log_roles.pairs() if role in _SPARE}
    return [log for log in facts.logs if id(log) in spare and log.content is None and log.signature is not None]


def with_logs_examined(facts: SetFacts, wanted: Sequence[LogFacts], archive: Archive, watch: Watch) -> SetFacts:
    """Return the facts of a set with the content of some of its logs examined, as far as it can be read.

    Args:
        facts: The facts.
        wanted: The logs.
        archive: The archive that they are in.
        watch: Shows how far that is.
    """
    found = dict[int, LogReport]()
    with watch(sum(log.size for log in wanted), str(archive.path or archive.id.hex())) as progress:
        for log in wanted:
            done = BytesRead(log.size, progress)
            with suppress(ArchiveError):  # who places it meets that
                source = WatchedSource(archive.entry_source(archive.entry(log.number or 0)), done)
                report = inspect_file(source, examine=True).report
                if isinstance(report, LogReport):
                    found[id(log)] = report if log.current else report.without_marks
            done.finish()
    logs = (replace(log, content=found[id(log)]) if id(log) in found else log for log in facts.logs)
    return replace(facts, logs=tuple(logs))


def with_spare_logs_examined(found: FoundSets, chain: Chain, keyring: Keyring | None, watch: Watch) -> FoundSets:
    """Return sets that were found, with the logs examined that those with databases have, and do not need.

    Args:
        found: The sets.
        chain: How they fit together.
        keyring: What opens encrypted content.
        watch: Shows how far that is.
    """
    known = {}
    for start in chain.starts:
        one = chain.sets[start.number]
        if not (one.receipt is None and (wanted := spare_logs(start.verdict, one.facts))):
            continue
        with suppress(ArchiveError), open_again(one) as archive:
            if keyring is not None:
                archive.unlock(keyring)
            if not archive.is_locked:
                known[one.id, one.root] = with_logs_examined(one.facts, wanted, archive, watch)
    if not known:
        return found
    sets = (replace(one, facts=known.get((one.id, one.root), one.facts)) for one in found.sets)
    return replace(found, sets=tuple(sets))
