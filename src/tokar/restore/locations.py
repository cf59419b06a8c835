r"""Locations: the directory or file that entries with a token go back to.

They come from three places: a raw list as the API returns it (`certbkxp.dat` is exactly such a list), a TOML file, and
the command line, `--to TOKEN=PATH` and `--to NAME=PATH`. The file given with `--locations` is a raw W list, a raw A
list, or TOML; its content says which.

A location is a *directory* or a *file*, and a raw list does not say which: Exchange gives a directory for a database
(Exchange Server SDK, "Backup File Locations"), Active Directory and the CA give the database file itself. So a location
is `unsettled` unless its token has bit 0x80, its path ends in a separator, or a person said what it is; the plan
settles the rest (spec/tokens.md, LOC-7 to LOC-10).

The TOML form, complete (spec/tokens.md, LOC-17 to LOC-20)::

    [[location]]
    token = "log-dir"              # a name of the profile, a constant, or a number: "0x82", 0x82, 130
    path = "/srv/restore/logs"     # relative to the folder of this file; dir: and file: work as on the command line
    kind = "directory"             # or "file"; may be left out

    [[file]]
    name = "PRIV.EDB"              # as `tokar inspect --entries` shows it, or the leaf
    path = "/srv/restore/priv/PRIV.EDB"
    kind = "file"                  # or "directory"; may be left out

    [[map]]
    prefix = '\\SERVER2\MDBDATA'   # a UNC, drive or POSIX path
    directory = "/srv/restore"

An unknown table or key is an error, so that a slip of the pen never sends a file to the wrong place.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tokar import names, paths
from tokar.errors import InputError, LocationListError, StorageError
from tokar.format.metadata import Head
from tokar.location_list import Kind, Location, parse_location_list
from tokar.storage.bytesource import read_start
from tokar.tokens import DIRECTORY, parse_token

COMMAND_LINE = "--to"
_TO_HINT = "write TOKEN=PATH or NAME=PATH; dir:PATH or a trailing separator makes it a directory, file:PATH a file"


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


def settle_text(text: str) -> tuple[str, Kind]:
    """Return path and kind that a person's text stands for: `dir:PATH`, `file:PATH`, `PATH/`, `PATH`."""
    for prefix, kind in (("dir:", Kind.DIRECTORY), ("file:", Kind.FILE)):
        if text.startswith(prefix):
            return text[len(prefix) :], kind
    return text, Kind.DIRECTORY if text[-1:] in {"\\", "/"} else Kind.UNSETTLED


def location_by_hand(token: int, path: str, kind: Kind, *, base: str, source: str) -> Location:
    """Return a location that a person wrote; a relative path is taken from `base`."""
    if token & DIRECTORY and kind is Kind.UNSETTLED:
        kind = Kind.DIRECTORY
    return Location(token, paths.native(path, base), kind, source, by_hand=True)


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


# A list of one directory for each of the 255 tokens, at 32,767 characters each, has 17 MB; real ones have some hundred
# bytes.
MAX_FILE_SIZE = 1 << 20

_TABLES = {
    "location": ({"token", "path"}, {"kind"}),
    "file": ({"name", "path"}, {"kind"}),
    "map": ({"prefix", "directory"}, set[str]()),
}


@dataclass(frozen=True, slots=True)
class LocationFile:
    """What a locations file says."""

    locations: tuple[Location, ...] = ()  # Where tokens go
    targets: tuple[NameTarget, ...] = ()  # Where single names go
    maps: tuple[paths.PathMap, ...] = ()  # What paths of other machines stand for
    raw: bytes | None = field(default=None, repr=False)  # The bytes of a raw list, to be kept verbatim; None for TOML
    wide: bool = False  # Whether the raw list is a W list


def read_location_file(
    path: Path, profile: str, *, encoding: int = names.UNKNOWN, elsewhere: bool = False
) -> LocationFile:
    """Read a locations file of any of the three kinds.

    Args:
        path: The file.
        profile: The profile whose token names count.
        encoding: The code page of an A list.
        elsewhere: Whether its paths are of another machine: then none is taken from the folder of the file.

    Raises:
        LocationListError: It is none of the three, or breaks the rules of the one it is.
        StorageError: It cannot be read.
    """
    try:
        data = read_start(path, MAX_FILE_SIZE + 1)
    except StorageError as error:
        error.message = f"cannot read the locations: {error.message.removeprefix('cannot open: ')}"
        raise
    if len(data) > MAX_FILE_SIZE:
        raise LocationListError("it is too large to be a location list", path=path)
    base = "" if elsewhere else str(path.absolute().parent)
    try:
        return parse_location_file(data, profile, base=base, encoding=encoding, source=path.name)
    except LocationListError as error:
        error.path = path
        raise


def parse_location_file(
    data: bytes, profile: str, *, base: str, encoding: int = names.UNKNOWN, source: str = "location file"
) -> LocationFile:
    """Return what the content of a locations file says.

    TOML has no zero byte. A raw list ends in one, and its second byte tells its width: in a W list it is the upper half
    of the first token, so zero; in an A list it begins a name, so not zero (unless the list is empty).

    Raises:
        LocationListError: As for `read_location_file`.
    """
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise LocationListError("it is UTF-16 text; save it as UTF-8", offset=0)
    if b"\0" in data:
        wide = data[1:2] == b"\0"
        listed = parse_location_list(data, wide=wide, encoding=encoding, source=source)
        return LocationFile(listed, raw=data, wide=wide)
    if not data:
        return LocationFile(raw=data)
    return _parse_toml(data, profile, base, source)


def _parse_toml(data: bytes, profile: str, base: str, source: str) -> LocationFile:
    """Return what a TOML file says."""
    import tomllib  # noqa: PLC0415 - start-up time

    try:
        text = data.decode("utf-8-sig")
        _demand_shape(text)
        document = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise LocationListError("it is neither a raw list nor UTF-8 text", offset=error.start) from error
    except ValueError as error:  # TOMLDecodeError, or an integer of thousands of digits
        raise LocationListError(f"it is no TOML: {names.printable(str(error))}") from error
    except RecursionError as error:
        raise LocationListError("it is no TOML: nested too deeply") from error
    reader = _TomlReader(text, profile, base, source)
    return LocationFile(
        tuple(itertools.starmap(reader.location, reader.rows(document, "location"))),
        tuple(itertools.starmap(reader.target, reader.rows(document, "file"))),
        tuple(itertools.starmap(reader.path_map, reader.rows(document, "map"))),
    )


_MOST_PARTS: Final = 16  # of a dotted key; here none has two
_PART: Final = r"""(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+"""
_DEEP_KEY: Final = re.compile(rf"(?<![\w-])(?:{_PART}\.[ \t]*+){{{_MOST_PARTS}}}")
# A line that begins as none of such a file does; in text of several lines there may be some.
_OTHER_LINE: Final = re.compile(
    r"""^(?![ \t]*+(?:\r?$|[#{\]]|\[\[?[ \t]*+(?:location|file|map)[ \t]*+\]"""
    r"""|["']?(?:token|path|kind|name|prefix|directory)["']?[ \t]*+=))""",
    re.MULTILINE,
)
_MOST_OTHER_LINES: Final = 1000
_MOST_SIGNS: Final = 100_000  # of one of these: a row has two at the most, and 22 bytes at least
_SIGNS: Final = "[{,"
_TABLE_HEADER: Final = re.compile(r"^[ \t]*+\[\[?[ \t]*+(\w+)[ \t]*+\]", re.MULTILINE)
_SHOWN: Final = 100  # characters of a key that is none
_LONGEST_TEXT: Final = 0xFFFF  # characters: paths of Windows end at half of it, and other systems sooner


def _demand_shape(text: str) -> None:
    """Check that text may be a file of locations, before all of it is read as TOML: that takes long for some.

    Raises:
        LocationListError: It has a key of very many parts, or very much of what no such file has.
    """
    if _DEEP_KEY.search(text):  # the time it takes to read one grows with the square of its parts
        raise LocationListError(f"it is no TOML of locations: a key of {_MOST_PARTS} parts or more")
    if any(text.count(sign) > _MOST_SIGNS for sign in _SIGNS):
        raise LocationListError(f"it is no TOML of locations: more than {_MOST_SIGNS:,} brackets or commas")
    others = [*itertools.islice(_OTHER_LINE.finditer(text), _MOST_OTHER_LINES + 1)]
    if len(others) > _MOST_OTHER_LINES:
        line = text.count("\n", 0, others[0].start()) + 1
        raise LocationListError(
            f"it is no TOML of locations: more than {_MOST_OTHER_LINES:,} lines of other tables and keys, "
            f"the first is line {line}"
        )


class _TomlReader:
    """Checks a parsed document against the form above and builds its rows."""

    def __init__(self, text: str, profile: str, base: str, source: str) -> None:
        self._text = text
        self._profile = profile
        self._base = base
        self._source = source

    def rows(self, document: dict[str, Any], table: str) -> Iterator[tuple[dict[str, str], int]]:
        """Yield the rows of one table with their numbers."""
        for key in document:
            if key not in _TABLES:
                raise LocationListError(
                    f"unknown table {names.printable(key[:_SHOWN])!r}: write [[location]], [[file]] or [[map]]"
                )
        found = document.get(table, [])
        if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
            raise LocationListError(f"write [[{table}]] in double brackets{self._line(table, 0)}")
        for number, row in enumerate(found):
            yield self._row(table, number, row), number

    def _line(self, table: str, number: int) -> str:
        """Return the line of a row, as the end of a message; empty where the text is written in another way."""
        headers = (one for one in _TABLE_HEADER.finditer(self._text) if one[1] == table)
        header = next(itertools.islice(headers, number, None), None)
        return "" if header is None else f" (line {self._text.count(chr(10), 0, header.start()) + 1})"

    def _row(self, table: str, number: int, row: dict[str, Any]) -> dict[str, str]:
        """Return a row of text values, after a look at its keys."""
        needed, allowed = _TABLES[table]
        for key in needed - row.keys():
            raise LocationListError(f"{self._header(table, number)} has no {key}")
        for key in row.keys() - needed - allowed:
            raise LocationListError(
                f"{self._header(table, number)} has the unknown key {names.printable(key[:_SHOWN])!r}"
            )
        for key, value in row.items():
            if isinstance(value, str) and value and "\0" not in value and len(value) <= _LONGEST_TEXT:
                continue
            if key == "token" and isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0xFF:
                row[key] = str(value)
                continue
            if isinstance(value, str) and len(value) > _LONGEST_TEXT:
                what = f"has {len(value):,} characters, more than a name or path can have"
            else:
                what = "is no text and no number from 0 to 255" if key == "token" else "is no text"
            raise LocationListError(f"{self._header(table, number)}: {key} {what}")
        return row

    def _header(self, table: str, number: int) -> str:
        return f"[[{table}]]{self._line(table, number)}"

    def _place(self, table: str, row: dict[str, str], number: int) -> tuple[str, Kind]:
        """Return path and kind of a row."""
        path, kind = settle_text(row["path"])
        if "kind" in row:
            if row["kind"] not in {"directory", "file"}:
                raise LocationListError(f'kind is "directory" or "file"{self._line(table, number)}')
            kind = Kind(row["kind"])
        if not path:
            raise LocationListError(f"the path is empty{self._line(table, number)}")
        return path, kind

    def location(self, row: dict[str, str], number: int) -> Location:
        """Return one [[location]]."""
        try:
            token = parse_token(row["token"], self._profile)
        except InputError as error:
            raise LocationListError(f"{error.message}{self._line('location', number)}", hint=error.hint) from error
        path, kind = self._place("location", row, number)
        return location_by_hand(token, path, kind, base=self._base, source=self._source)

    def target(self, row: dict[str, str], number: int) -> NameTarget:
        """Return one [[file]]."""
        path, kind = self._place("file", row, number)
        return NameTarget(row["name"], paths.native(path, self._base), kind, self._source)

    def path_map(self, row: dict[str, str], number: int) -> paths.PathMap:
        """Return one [[map]]."""
        try:
            return paths.PathMap(row["prefix"], paths.native(row["directory"], self._base))
        except InputError as error:
            raise LocationListError(f"{error.message}{self._line('map', number)}") from error


def kept_locations(head: Head) -> list[tuple[int, str, str]]:
    """Return token, path and kind of the locations that an archive keeps; a list that cannot be read gives none."""
    raw = head.location_list
    if raw is None:
        return [(one["token"], one["path"], one["kind"]) for one in head.extra.get("locations", ())]
    try:
        found = parse_location_list(raw.data, wide=raw.form == "w")
    except LocationListError:
        return []
    return [(one.token, one.path, one.kind.value) for one in found]
