"""The servers that a person can name: `lab:DIR` and `dir:DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tokar.errors import InputError

if TYPE_CHECKING:
    from tokar.server.contract import Server


def parse_source(source: str) -> tuple[str, Path]:
    """Return the scheme and the place of `SCHEME:PLACE`, having checked that there is such a place, without opening anything.

    Raises:
        InputError: There is no such kind of source, or the place is not one.
    """
    scheme, colon, place = source.partition(":")
    if not colon or scheme not in {"lab", "dir"}:
        raise InputError(f"not a source: {source}", hint="lab:DIR is a simulated server, dir:DIR a set on disk")
    path = Path(place)
    if scheme == "lab":
        from tokar.lab.config import load_config  # noqa: PLC0415 - only what is asked for

        load_config(path)
    elif not place or not path.is_dir():
        raise InputError("there is no such directory", path=place or None)
    return scheme, path


def open_server(source: str) -> Server:
    """Return the server that `SCHEME:PLACE` names.

    Raises:
        InputError: There is no such kind of source, or the place is not one.
        SourceError: It cannot be opened.
    """
    scheme, place = parse_source(source)
    if scheme == "lab":
        from tokar.lab.lab import open_lab  # noqa: PLC0415 - only what is asked for
        from tokar.lab.server import SimulatedServer  # noqa: PLC0415

        return SimulatedServer(open_lab(place))
    from tokar.server.directory_source import DirectoryServer  # noqa: PLC0415

    return DirectoryServer(place)
