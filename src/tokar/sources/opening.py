"""The servers that a person can name: `lab:DIR` and `dir:DIR`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tokar.errors import InputError

if TYPE_CHECKING:
    from tokar.sources.base import Server


def open_server(source: str) -> Server:
    """Return the server that `SCHEME:PLACE` names.

    Raises:
        InputError: There is no such kind of source, or the place is not one.
        SourceError: It cannot be opened.
    """
    scheme, colon, place = source.partition(":")
    if colon and scheme == "lab":
        from tokar.sources.engine.lab import open_lab  # noqa: PLC0415 - only what is asked for
        from tokar.sources.simulated import SimulatedServer  # noqa: PLC0415

        return SimulatedServer(open_lab(Path(place)))
    if colon and scheme == "dir":
        from tokar.sources.directory import DirectoryServer  # noqa: PLC0415

        return DirectoryServer(Path(place))
    raise InputError(f"not a source: {source}", hint="lab:DIR is a simulated server, dir:DIR a set on disk")
