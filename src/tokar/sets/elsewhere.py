"""What is damaged in one archive and whole in another: the next step after damage that a restore met."""

from __future__ import annotations

from collections.abc import Container
from contextlib import suppress

from tokar.errors import ArchiveError, FormatError
from tokar.format.identity import KnownBy
from tokar.names import typed
from tokar.sets.backup_set import open_again
from tokar.sets.chain import Chain
from tokar.sets.facts import LogFacts
from tokar.words import some


def elsewhere(chain: Chain, error: FormatError, named: Container[str]) -> str:
    """Return the next step where what is damaged is there a second time, for all that is known whole; else nothing.

    Args:
        chain: The sets.
        error: The damage, with its place in an archive.
        named: The archives that were named: of others copies were read already.
    """
    number = next((at for at, one in enumerate(chain.sets) if one.label == str(error.path)), None)
    if number is None or error.offset is None:
        return ""
    own = chain.sets[number]
    twins = chain.twins.get(KnownBy(own.id, own.root), ())
    if twins and own.label in named:
        return f"leave it out: {some(twins)} is the same archive"
    log = _log_at(chain, number, error.offset)
    version = chain.logs.version_of(log) if log is not None else None
    if log is None or version is None or log.comparable is None:
        return ""
    others = [one.at for one in version.whole if one.at != number and one.facts.comparable == log.comparable]
    if not others:
        return ""
    labels = some(chain.sets[at].label for at in dict.fromkeys(others))
    return f"{log.name} is in {labels} too: tokar salvage {typed(own.label)} OUT, and restore with OUT in its place"


def _log_at(chain: Chain, number: int, offset: int) -> LogFacts | None:
    """Return the log of a set whose records are at a place in its archive."""
    own = chain.sets[number]
    with suppress(ArchiveError), open_again(own) as archive:
        for log in own.facts.logs:
            entry = archive.entry(log.number) if log.number is not None else None
            if entry is not None and entry.file_position <= offset < archive.end_of(entry):
                return log
    return None
