"""The servers that a person can name, by scheme: `lab:DIR` and `dir:DIR`, and what add-ons bring.

A distribution adds a scheme by an entry point of the group `tokar.sources`: the name is the scheme, the object a
factory that is called with the place and with `restoring`, and returns a `tokar.server.contract.Server` or raises
InputError.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from tokar.errors import InputError

if TYPE_CHECKING:
    from tokar.server.contract import Server

GROUP: Final = "tokar.sources"
_BUILT_IN: Final = {"lab": "tokar.lab.server", "dir": "tokar.server.directory_source"}  # each has `open_source`


def find_source(source: str) -> tuple[Callable[[], Any], str]:
    """Return what loads the factory for `SCHEME:PLACE`, and the place.

    Raises:
        InputError: There is no such scheme.
    """
    scheme, colon, place = source.partition(":")
    if colon and scheme in _BUILT_IN:
        return lambda: import_module(_BUILT_IN[scheme]).open_source, place
    from importlib.metadata import entry_points  # noqa: PLC0415 - start-up time

    added = {one.name: one for one in entry_points(group=GROUP)}
    if colon and scheme in added:
        return added[scheme].load, place
    more = "".join(f", {name}:PLACE comes from an add-on" for name in sorted(added))
    raise InputError(f"not a source: {source}", hint=f"lab:DIR is a simulated server, dir:DIR a set on disk{more}")


def open_server(source: str, *, restoring: bool = False) -> Server:
    """Return the server that `SCHEME:PLACE` names.

    Args:
        source: The scheme and the place.
        restoring: Whether it is to be restored to, so that its service must not be started.

    Raises:
        InputError: There is no such scheme, it cannot be loaded, or the place is not one.
        SourceError: The server cannot be opened.
    """
    load, place = find_source(source)
    try:
        factory = load()
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"the source {source.partition(':')[0]}: cannot be loaded: {error}", hint="install its add-on anew"
        ) from error
    server: Server = factory(place, restoring=restoring)
    return server
