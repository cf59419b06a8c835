r"""The location list of a server: where the files of a set belong on it, as its interface returns it.

`certbkxp.dat`, which certutil writes, is exactly such a list (spec/tokens.md, LOC-1 to LOC-6). A location is a
directory or a file, and a raw list does not say which: Exchange gives a directory for a database (Exchange Server SDK,
"Backup File Locations"), Active Directory and the certification authority give the database file itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tokar import names, paths
from tokar.errors import LocationListError
from tokar.namelist import ListedName, build_names, parse_names
from tokar.tokens import DIRECTORY, location_token

CERTUTIL_LIST: Final = "certbkxp.dat"
"""The name that certutil gives it."""


class Kind(StrEnum):
    """What a location is."""

    DIRECTORY = "directory"
    FILE = "file"
    UNSETTLED = "unsettled"


@dataclass(frozen=True, slots=True)
class Location:
    """Where entries with a token go back to."""

    token: int  # The token; in a raw list's 0x21, 0x22 and 0x23 already read as 0x82 and 0x83
    path: str  # As it was given; from another machine as a rule
    kind: Kind  # Directory or file, where that is known
    source: str  # Where the location was given, for a person
    by_hand: bool = False  # Whether a person wrote it for this restore, rather than a server for itself


def parse_location_list(
    data: bytes | None, *, wide: bool, encoding: int = names.UNKNOWN, source: str = "location list"
) -> tuple[Location, ...]:
    """Return the locations of a raw list, with the tolerance that only such lists get (spec/tokens.md, LOC-6).

    Args:
        data: The list as the API returned it.
        wide: Whether it is a W list.
        encoding: The code page of an A list; without it only ASCII is accepted, for which page it is was never written
            down.
        source: Where the list comes from, for a person.

    Raises:
        LocationListError: The list breaks its grammar, or a path cannot be decoded; `offset` says where.
    """
    page = encoding or 20127
    return tuple(_from_list(entry, source) for entry in parse_names(data, wide=wide, encoding=page))


def _from_list(entry: ListedName, source: str) -> Location:
    """Return one entry of a raw list as a location."""
    text = names.decode(entry.raw_name, entry.encoding)
    if text is None:
        shown = names.display(entry.raw_name, entry.encoding)
        raise LocationListError(
            f"the path {shown} cannot be decoded (code page {entry.encoding})",
            offset=entry.offset,
            hint="give the code page of the list" if entry.encoding == 20127 else None,
        )
    assert entry.token is not None
    token = location_token(entry.token)
    kind = Kind.DIRECTORY if token & DIRECTORY or text[-1] in "\\/" else Kind.UNSETTLED
    return Location(token, text, kind, source)


def list_of(locations: Sequence[Location]) -> bytes:
    """Return locations as a W list, such as certutil takes.

    Raises:
        LocationListError: One of them is no path of Windows.
    """
    for one in locations:
        found = paths.take_apart(one.path)
        if found is None or found.host == "/":
            raise LocationListError(f"{names.printable(one.path)} is no path of Windows, and certutil takes no other")
    return build_names(((one.token, one.path.encode("utf-16-le", "surrogatepass")) for one in locations), wide=True)
