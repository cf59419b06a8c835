r"""The file given with `--locations`: a raw W list, a raw A list, or TOML; which of them is told from its content.

The TOML form, complete (spec/tokens.md, LOC-17 to LOC-20)::

    [[location]]
    token = "log-dir"              # a name of the profile, a constant, or a number: "0x82", 0x82, 130
    path = "/srv/restore/logs"     # relative paths start from the folder of this file; dir: and file: work as on the
    command line kind = "directory"             # or "file"; may be left out

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

import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tokar import names
from tokar.errors import InputError, LocationListError, StorageError
from tokar.restore import paths
from tokar.restore.locations import Kind, Location, NameTarget, location_by_hand, parse_location_list, settle_text
from tokar.tokens import parse_token

if TYPE_CHECKING:
    from pathlib import Path

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


def read_location_file(path: Path, profile: str, *, encoding: int = names.UNKNOWN) -> LocationFile:
    """Read a locations file of any of the three kinds.

    Args:
        path: The file.
        profile: The profile whose token names count.
        encoding: The code page of an A list.

    Raises:
        LocationListError: It is none of the three, or breaks the rules of the one it is.
        StorageError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_SIZE + 1)
    except OSError as error:
        raise StorageError(f"cannot read the locations: {error.strerror}", path=path) from error
    if len(data) > MAX_FILE_SIZE:
        raise LocationListError("it is too large to be a location list", path=path)
    try:
        return parse_location_file(data, profile, base=str(path.absolute().parent), encoding=encoding, source=path.name)
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
    try:
        text = data.decode("utf-8-sig")
        document = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise LocationListError("it is neither a raw list nor UTF-8 text", offset=error.start) from error
    except ValueError as error:  # TOMLDecodeError, or an integer of thousands of digits
        raise LocationListError(f"it is no TOML: {names.printable(str(error))}") from error
    except RecursionError as error:
        raise LocationListError("it is no TOML: nested too deeply") from error
    reader = _TomlReader(text, profile, base, source)
    return LocationFile(
        tuple(reader.location(row, where) for row, where in reader.rows(document, "location")),
        tuple(reader.target(row, where) for row, where in reader.rows(document, "file")),
        tuple(reader.path_map(row, where) for row, where in reader.rows(document, "map")),
    )


class _TomlReader:
    """Checks a parsed document against the form above and builds its rows."""

    def __init__(self, text: str, profile: str, base: str, source: str) -> None:
        self._text = text
        self._profile = profile
        self._base = base
        self._source = source

    def rows(self, document: dict[str, Any], table: str) -> list[tuple[dict[str, str], str]]:
        """Return the rows of one table, each with words that say where it stands."""
        for key in document:
            if key not in _TABLES:
                raise LocationListError(
                    f"unknown table {names.printable(key)!r}: write [[location]], [[file]] or [[map]]"
                )
        found = document.get(table, [])
        if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
            raise LocationListError(f"write [[{table}]] in double brackets{self._line(table, 0)}")
        return [(self._row(table, number, row), self._line(table, number)) for number, row in enumerate(found)]

    def _line(self, table: str, number: int) -> str:
        """Return the line of a row, as the end of a message; empty where the text is written in another way."""
        headers = list(re.finditer(rf"^[ \t]*\[\[?[ \t]*{table}[ \t]*\]", self._text, re.MULTILINE))
        if number >= len(headers):
            return ""
        return f" (line {self._text.count(chr(10), 0, headers[number].end()) + 1})"

    def _row(self, table: str, number: int, row: dict[str, Any]) -> dict[str, str]:
        """Return a row of text values, after a look at its keys."""
        needed, allowed = _TABLES[table]
        where = f"[[{table}]]{self._line(table, number)}"
        for key in needed - row.keys():
            raise LocationListError(f"{where} has no {key}")
        for key in row.keys() - needed - allowed:
            raise LocationListError(f"{where} has the unknown key {names.printable(key)!r}")
        for key, value in row.items():
            if key == "token" and isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 0xFF:
                continue
            if not (isinstance(value, str) and value and "\0" not in value):
                expected = "no text and no number from 0 to 255" if key == "token" else "no text"
                raise LocationListError(f"{where}: {key} is {expected}")
        return {key: str(value) for key, value in row.items()}

    def _place(self, row: dict[str, str], where: str) -> tuple[str, Kind]:
        """Return path and kind of a row."""
        path, kind = settle_text(row["path"])
        if "kind" in row:
            if row["kind"] not in {"directory", "file"}:
                raise LocationListError(f'kind is "directory" or "file"{where}')
            kind = Kind(row["kind"])
        if not path:
            raise LocationListError(f"the path is empty{where}")
        return path, kind

    def location(self, row: dict[str, str], where: str) -> Location:
        """Return one [[location]]."""
        try:
            token = parse_token(row["token"], self._profile)
        except InputError as error:
            raise LocationListError(f"{error.message}{where}", hint=error.hint) from error
        path, kind = self._place(row, where)
        return location_by_hand(token, path, kind, base=self._base, source=self._source)

    def target(self, row: dict[str, str], where: str) -> NameTarget:
        """Return one [[file]]."""
        path, kind = self._place(row, where)
        return NameTarget(row["name"], paths.native(path, self._base), kind, self._source)

    def path_map(self, row: dict[str, str], where: str) -> paths.PathMap:
        """Return one [[map]]."""
        try:
            return paths.PathMap(row["prefix"], paths.native(row["directory"], self._base))
        except InputError as error:
            raise LocationListError(f"{error.message}{where}") from error
