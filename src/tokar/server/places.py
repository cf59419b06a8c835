"""Whether a server has a place for each database of a set, as far as that can be known before anything is written.

The rule is RES-10 in spec/procedure.md: a restore map with a database that the server does not have is answered -1811
at its next start, when everything is in place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from tokar.errors import RestoreError
from tokar.format.index import Entry
from tokar.location_list import Location
from tokar.names import printable
from tokar.paths import place_on_server
from tokar.restore.plan import Problem
from tokar.words import count_text, noun, some

_HINT: Final = "restore to a server that has a place for each; without one, tokar restore --into DIR gives the files"


def without_a_place(
    server: str, taken: Sequence[tuple[Entry, Location, str]], known: Collection[str] | None
) -> Iterator[Problem]:
    """Yield the databases that a server has no place for.

    Args:
        server: What it is called.
        taken: The databases, each with the location that takes it, and where it goes as the server spells that.
        known: Where the databases of the server are by its configuration; None where that is not known.
    """
    by_location: dict[Location, list[Entry]] = {}
    for entry, location, _ in taken:
        by_location.setdefault(location, []).append(entry)
    for location, entries in by_location.items():
        if len(entries) > 1:
            named, where = some(printable(one.name) for one in entries), printable(location.path)
            message = f"{server} has one place, {where}, for {count_text(len(entries), 'database')} of the set: {named}"
            yield _problem(message, entries)
    if known is None:
        return
    places = {place_on_server(path) for path in known}
    strange = [(entry, path) for entry, _, path in taken if place_on_server(path) not in places]
    if strange:
        named, has = some(printable(path) for _, path in strange), some(map(printable, known)) or "none"
        message = f"{server} has no {noun(len(strange), 'database')} {named}; it has {has}"
        yield _problem(message, [one for one, _ in strange])


def open_places(server: str, databases: Collection[str], known: Collection[str] | None) -> Iterator[str]:
    """Yield that nobody can tell whether a server has a place for each database, where it did not say where they are.

    One database goes where the one was at the backup: that the server is that one stands beside a verdict on files.

    Args:
        server: What it is called.
        databases: Names of the databases.
        known: Where the databases of the server are by its configuration; None where that is not known.
    """
    if known is None and len(databases) > 1:
        count, named = count_text(len(databases), "database"), some(map(printable, databases))
        yield f"{server} does not say whether it has a place for each of {count}: {named}"


def _problem(message: str, entries: Sequence[Entry]) -> Problem:
    return Problem(RestoreError(message, hint=_HINT), tuple(one.number for one in entries))
