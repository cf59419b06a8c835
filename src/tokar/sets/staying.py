"""Logs that lie in a log directory and stay there, which recovery meets beside those that are placed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from tokar import names
from tokar.ese.inspect import inspect_file
from tokar.sets.facts import DatabaseFacts, LogFacts, SetFacts
from tokar.sets.read import SetFile, SetReader
from tokar.storage.bytesource import FileSource
from tokar.words import logs_text, runs_of, some

_UNTIED: Final = (
    "whether {} in the log directory {} of the history of {} nobody can tell (-566 or -567 if not): nothing repeats "
    "the checksum of the log before, and the records cannot be read; --existing set-aside restores without"
)
"""The logs, the verb that goes with them, and the databases."""


def facts_of_logs(paths: Iterable[Path]) -> SetFacts:
    """Return what logs on disk say of themselves, all of their content examined.

    Raises:
        StorageError: One cannot be read.
    """
    reader = SetReader(examine=True)
    for path in paths:
        with FileSource(path) as source:
            file = SetFile(name=names.printable(path.name), size=source.size)
            if reader.wants(file):
                reader.add(file, inspect_file(source, examine=True))
    return reader.facts()


def untied(
    databases: Iterable[DatabaseFacts], run: Iterable[LogFacts], staying: Sequence[LogFacts], gone: LogFacts | None
) -> Iterator[str]:
    """Yield that logs which stay may be of another history than the databases, where nothing tells (`RUN-18`).

    Their records would, for each says what was in the page before. Of databases that somebody can follow through these,
    and of those at which nobody looked, the verdict says itself what is left open.

    Args:
        databases: The databases that are placed.
        run: The logs that recovery goes through, in order.
        staying: Those of them that are there and stay.
        gone: The log of the sets of which one of them is proven to be a later state; None where none is.
    """
    stream = staying[0].signature if staying else None
    unread = [one for one in databases if one.is_unreadable_chain and not one.why_halted]
    unread = [one for one in unread if one.header is not None and one.header.log_signature == stream]
    own = [log for log in run if log.signature == stream]
    # One that repeats the checksum of the log before is held against that by the verdict.
    untold = (log for at, log in enumerate(own) if not at or log.previous_segments_xor is None)
    there, known = {id(one) for one in staying}, gone.generation if gone is not None else None
    found = [*runs_of(log.generation or 0 for log in untold if id(log) in there and log.generation != known)]
    if unread and found:
        yield _UNTIED.format(*logs_text(found), some(one.name for one in unread))
