r"""Locations: the directory or file that entries with a token go back to.

They come from three places: a raw list as the API returns it (`certbkxp.dat` is exactly such a list), a TOML file
(`location_file`), and the command line, `--to TOKEN=PATH` and `--to NAME=PATH`.

A location is a *directory* or a *file*, and a raw list does not say which: Exchange gives a directory for a database
(Exchange Server SDK, "Backup File Locations"), Active Directory and the CA give the database file itself. So a location
is `unsettled` unless its token has bit 0x80, its path ends in a separator, or a person said what it is; the plan
settles the rest (spec/tokens.md, LOC-7 to LOC-10).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from tokar import names
from tokar.errors import InputError, LocationListError
from tokar.namelist import ListedName, build_names, parse_names
from tokar.restore import paths
from tokar.tokens import DIRECTORY, location_token, parse_token

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COMMAND_LINE = "--to"
_TO_HINT = "write TOKEN=PATH or NAME=PATH; dir:PATH or a trailing separator makes it a directory, file:PATH a file"


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
    by_hand: bool  # Whether a person wrote it for this restore, rather than a server for itself
    spelled: int  # The token as it was given, which differs for the spellings above


@dataclass(frozen=True, slots=True)
class NameTarget:
    """Where one entry goes, said by its name. It comes before every location."""

    name: str  # The name as `inspect` shows it, or the leaf
    path: str  # A path of this machine
    kind: Kind  # Directory or file; unsettled means a file, unless a directory is there
    source: str  # Where this was given, for a person

    @property
    def by_hand(self) -> bool:
        """Always: no server says where a single file goes."""
        return True


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
    return Location(token, text, kind, source, by_hand=False, spelled=entry.token)


def build_location_list(locations: Iterable[Location]) -> bytes:
    """Return the W list of locations, as the API would return it.

    Directories are written as 0x82 and 0x83 and in no other way, whatever spelling they were read from. To put back a
    list that was kept, write its bytes; do not parse and build it.

    Raises:
        LocationListError: A token or path cannot stand in a list.
    """
    return build_names(
        ((location_token(one.token), one.path.encode("utf-16-le", "surrogatepass")) for one in locations), wide=True
    )


def settle_text(text: str) -> tuple[str, Kind]:
    """Return the path and the kind that a person's text for a path stands for: `dir:PATH`, `file:PATH`, `PATH/`, `PATH`."""
    for prefix, kind in (("dir:", Kind.DIRECTORY), ("file:", Kind.FILE)):
        if text.startswith(prefix):
            return text[len(prefix) :], kind
    return text, Kind.DIRECTORY if text[-1:] in {"\\", "/"} else Kind.UNSETTLED


def location_by_hand(token: int, path: str, kind: Kind, *, base: str, source: str) -> Location:
    """Return a location that a person wrote; a relative path is taken from `base`."""
    if token & DIRECTORY and kind is Kind.UNSETTLED:
        kind = Kind.DIRECTORY
    return Location(token, paths.native(path, base), kind, source, by_hand=True, spelled=token)


def parse_to(text: str, profile: str, *, base: str) -> Location | NameTarget:
    """Return what `--to TOKEN=PATH` or `--to NAME=PATH` stands for.

    The text is split at the first `=`. What stands before it is a token if it reads as one, else a name; a name that
    reads as a token, or that has a `=`, is written in a TOML file instead.

    Args:
        text: The text.
        profile: The profile whose token names count.
        base: The directory that a relative path starts from.

    Raises:
        InputError: There is no `=`, or an empty side.
    """
    what, equals, rest = text.partition("=")
    path, kind = settle_text(rest)
    if not (what and equals and path):
        raise InputError(f"{text!r} says no place", hint=_TO_HINT)
    try:
        token = parse_token(what, profile)
    except InputError:
        return NameTarget(what, paths.native(path, base), kind, COMMAND_LINE)
    return location_by_hand(token, path, kind, base=base, source=COMMAND_LINE)


def override(base: Sequence[Location], *others: Sequence[Location]) -> tuple[Location, ...]:
    """Return the locations of several groups, where a later group replaces what earlier ones say of the same tokens."""
    result = tuple(base)
    for group in others:
        tokens = {one.token for one in group}
        result = (*(one for one in result if one.token not in tokens), *group)
    return result
