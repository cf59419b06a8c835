"""Whether the location list that an archive keeps can be read, and is that of its set.

Recovery does not look at it. Whoever restores by it does: certutil, and a restore to the places of the server.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from tokar.errors import LocationListError
from tokar.ese.filenames import DATABASE_SUFFIXES
from tokar.format.metadata import Head
from tokar.location_list import CERTUTIL_LIST, Kind, parse_location_list
from tokar.names import collision_key, printable
from tokar.paths import last_component, place_on_server
from tokar.sets.facts import DatabaseFacts, ListFacts, SetFacts, is_foreign
from tokar.sets.faults import Fault, Rules
from tokar.tokens import Role, role
from tokar.words import some

_ANY_BYTES: Final = 28591  # any are text in ISO 8859-1: of a list of unknown code page only the grammar is judged
_FILES: Final = (*DATABASE_SUFFIXES, ".stm")
_OF_CERTUTIL: Final = (
    "the databases can be recovered without it; certutil goes by it: give a right one, "
    "tokar restore --certutil DIR --locations FILE"
)


def list_facts(head: Head) -> ListFacts | None:
    """Return what the location list in HEAD says; None where there is none, or none of an engine that is known."""
    kept = head.location_list
    if kept is None or is_foreign(head.profile):
        return None
    is_certutil = head.profile == "certadm"
    try:
        listed = parse_location_list(kept.data, wide=kept.form == "w", encoding=_ANY_BYTES)
    except LocationListError as error:
        return ListFacts(is_certutil=is_certutil, note=str(error))
    own = [one for one in listed if role(one.token) is Role.DATABASE]
    files = tuple(one.path for one in own if one.kind is not Kind.DIRECTORY and one.path.lower().endswith(_FILES))
    has_folders = len(files) < len(own)
    return ListFacts(is_certutil=is_certutil, is_empty=not listed, databases=files, has_folders=has_folders)


def list_faults(facts: SetFacts) -> Iterator[Fault]:
    """Yield what is wrong with the location list of a set."""
    if facts.locations is None:
        return
    if not facts.locations.is_certutil:
        yield from _list_faults("the location list", facts.locations, facts)
        return
    for one in _list_faults(CERTUTIL_LIST, facts.locations, facts):
        yield replace(one, files=(CERTUTIL_LIST,), next_step=_OF_CERTUTIL)


def _list_faults(name: str, listed: ListFacts, facts: SetFacts) -> Iterator[Fault]:
    if listed.note or listed.is_empty:
        yield Rules.LOCATIONS_DAMAGED.fault(name, listed.note or "it is empty")
    elif not listed.has_folders:
        yield from _foreign(name, listed, facts)


def _foreign(name: str, listed: ListFacts, facts: SetFacts) -> Iterator[Fault]:
    """Yield that a list does not name databases of the set, or has them where they did not lie."""
    given: dict[str, list[str]] = {}
    for path in listed.databases:
        given.setdefault(collision_key(last_component(path)), []).append(path)
    strange = []
    for one in (one for one in facts.databases if not one.temporary):
        listed_at, lay = given.get(collision_key(one.leaf)), _lay(one, facts)
        if listed_at is None:
            strange.append(one.name)
        elif lay and not {*map(place_on_server, listed_at)} & {*map(place_on_server, lay)}:
            where, was = printable(listed_at[0]), printable(lay[-1])
            yield Rules.LOCATIONS_ELSEWHERE.fault(name, where, was, databases=(one.name,))
    if strange:
        leaves = map(printable, map(last_component, listed.databases or ("no database",)))
        yield Rules.LOCATIONS_FOREIGN.fault(name, some(leaves), some(strange), databases=strange)


def _lay(database: DatabaseFacts, facts: SetFacts) -> list[str]:
    """Return where a database lay, as its logs say."""
    header = database.header
    found = (one.path for log in facts.logs for one in log.attached if header and one.signature == header.signature)
    return [*dict.fromkeys(path for path in found if place_on_server(path))]
