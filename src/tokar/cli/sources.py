"""`tokar sources`, and the servers that a person can name by scheme: those of tokar, and those that add-ons bring.

A distribution adds a scheme by an entry point of the group `tokar.sources`: the name is the scheme, the object a
`tokar.SourceKind`, or a bare function that opens a server. docs/how-to/sources.md explains it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from tokar import names
from tokar.as_json import as_json as to_json
from tokar.cli import output
from tokar.cli.options import Json
from tokar.errors import ArchiveError, InputError, SourceError

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

    from tokar.server.contract import Server, SourceKind
    from tokar.server.deadline import Deadlines

GROUP: Final = "tokar.sources"
# What tokar brings, as a person writes it, with its kind: a module, and the name in it.
_BUILT_IN: Final = {
    "lab:DIR": "tokar.lab.server:SOURCE",
    "dir:DIR": "tokar.server.directory_source:SOURCE",
    "ca://HOST[/AUTHORITY]": "tokar.live.ca:SOURCE",
    "certadm:[HOST]": "tokar.live.native:AUTHORITY",
    "ntdsbcli:[HOST]": "tokar.live.native:DIRECTORY_SERVICE",
}
_KINDS: Final = {form.partition(":")[0]: where for form, where in _BUILT_IN.items()}

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass(frozen=True, slots=True)
class SourceRow:
    """What is known of one kind of source, whether or not it can be used."""

    scheme: str  # What stands before the colon; empty where an add-on's list of entry points cannot be read
    place: str  # What stands behind it
    title: str  # What it is
    needs: str  # What it needs
    reason: str | None  # Why it cannot be used here; None where it can
    origin: str  # The distribution that brings it

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            **{key: getattr(self, key) or None for key in ("scheme", "place", "title", "needs")},
            "usable": self.reason is None,
            "reason": self.reason,
            "from": self.origin,
        }


@app.command("sources")
def print_sources(*, as_json: Json = False) -> None:
    """List the kinds of servers that `backup`, `restore --server` and others take, and what each needs.

    One that cannot be used here is listed with the reason, also an add-on that is broken.

    Example: tokar sources
    Example: tokar sources --json
    """
    rows = list(list_sources())
    if as_json:
        output.as_json({"sources": to_json(rows)})
        return
    head = ("source", "what it is", "needs", "here", "from")
    table = [
        (f"{one.scheme}:{one.place}", one.title, one.needs or "nothing", "no" if one.reason else "yes", one.origin)
        for one in rows
        if one.scheme
    ]
    output.table(head, [[names.printable(cell) for cell in row] for row in table])
    for one in rows:
        if one.reason:
            what = f"{one.scheme}:" if one.scheme else f"an add-on, {one.origin},"
            output.line(f"{names.printable(what)} cannot be used here: {names.printable(one.reason)}")


def list_sources() -> Iterator[SourceRow]:
    """Yield every kind of source: those of tokar first, then those of add-ons by scheme."""
    for scheme in _KINDS:
        try:
            yield _row(scheme, "tokar", _built_in(scheme))
        except ImportError as error:
            yield SourceRow(scheme, "", "", "", f"it cannot be loaded: {error}", "tokar")
    added, broken = _added()
    for scheme, found in sorted(added.items()):
        for origin, entry in found:
            try:
                if scheme in _KINDS:
                    raise InputError("tokar has this scheme itself, and takes its own")
                _demand_one(scheme, found)
                yield _row(scheme, origin, _load(scheme, origin, entry))
            except ArchiveError as error:
                yield SourceRow(scheme, "PLACE", "", "", error.message, origin)
    for origin, reason in broken.items():
        yield SourceRow("", "", "", "", reason, origin)


def find_source(source: str) -> tuple[Callable[[], SourceKind], str]:
    """Return what loads the kind of `SCHEME:PLACE`, and the place.

    Raises:
        InputError: There is no such scheme, or two add-ons bring it.
    """
    scheme, colon, place = source.partition(":")
    if colon and scheme in _KINDS:
        return lambda: _built_in(scheme), place
    added, broken = _added()
    if colon and scheme in added:
        _demand_one(scheme, added[scheme])
        ((origin, entry),) = added[scheme]
        return lambda: _load(scheme, origin, entry), place
    forms = ", ".join([*_BUILT_IN, *(f"{name}:PLACE" for name in sorted(added))])
    more = "".join(f"; the add-on {origin} is broken" for origin in broken)
    raise InputError(f"not a source: {source}", hint=f"one of {forms}{more}; tokar sources says what each needs")


def open_server(source: str, *, restoring: bool = False, **settings: Any) -> Server:
    """Return the server that `SCHEME:PLACE` names.

    Args:
        source: The scheme and the place.
        restoring: Whether it is to be restored to, so that its service must not be started.
        settings: What else its kind takes.

    Raises:
        InputError: There is no such scheme, it cannot be loaded or used here, or the place is not one.
        SourceError: The server cannot be opened.
    """
    server: Server = usable_kind(source).open(source.partition(":")[2], restoring=restoring, **settings)
    return server


def usable_kind(source: str) -> SourceKind:
    """Return the kind of `SCHEME:PLACE`.

    Raises:
        InputError: There is no such scheme, or it cannot be loaded or used here.
    """
    kind = find_source(source)[0]()
    if (reason := _hindrance(kind)) is not None:
        scheme = source.partition(":")[0]
        raise InputError(f"{scheme}: cannot be used here: {reason}", hint=kind.needs and f"it needs {kind.needs}")
    return kind


@contextmanager
def opened_server(
    source: str, settings: Mapping[str, Any] | None = None, deadlines: Deadlines | None = None
) -> Iterator[Server]:
    """Give the server that `SCHEME:PLACE` names, each of whose calls has a deadline.

    Args:
        source: The scheme and the place.
        settings: What its kind takes besides.
        deadlines: How long calls may take.

    Raises:
        ArchiveError: As for `open_server`.
    """
    from tokar.server.deadline import Deadlines, DeadlineServer  # noqa: PLC0415 - start-up time

    if usable_kind(source).keeps_deadlines:
        yield open_server(source, deadlines=deadlines or Deadlines(), **settings or {})
        return
    with DeadlineServer(partial(_open_there, source, **_portable(settings or {})), deadlines) as server:
        yield server


def _portable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as another process takes them: a trace by its path."""
    return {key: value.name if key == "trace" else value for key, value in settings.items()}


def _open_there(source: str, trace: str | None = None, **settings: Any) -> Server:
    """Open a server in a process of its own, which goes on with the trace until it ends."""
    if trace is not None:
        # by lines, for its process may end in the middle
        settings["trace"] = Path(trace).open("a", buffering=1, encoding="ascii")  # noqa: SIM115 - as long as the server
    return open_server(source, **settings)


def _built_in(scheme: str) -> SourceKind:
    module, _, name = _KINDS[scheme].partition(":")
    kind: SourceKind = getattr(import_module(module), name)
    return kind


def _row(scheme: str, origin: str, kind: SourceKind) -> SourceRow:
    return SourceRow(scheme, kind.place, kind.title, kind.needs, _hindrance(kind), origin)


def _hindrance(kind: SourceKind) -> str | None:
    try:
        with redirect_stdout(sys.stderr):
            reason = kind.hindrance()
        return None if reason is None else str(reason)
    except Exception as error:  # noqa: BLE001 - code of an add-on; what cannot say that it works does not
        return _told(error)


def _added() -> tuple[dict[str, list[tuple[str, EntryPoint]]], dict[str, str]]:
    """Return the entry points of add-ons by scheme, and of which add-ons they cannot be read, and why."""
    from importlib.metadata import distributions  # noqa: PLC0415 - start-up time

    added: dict[str, list[tuple[str, EntryPoint]]] = {}
    broken: dict[str, str] = {}
    seen: set[str] = set()
    for one in distributions():
        origin = _name_of(one)
        if origin.partition(" ")[0] in seen:
            continue  # one further up the path hides it, as it does for imports
        seen.add(origin.partition(" ")[0])
        try:
            if GROUP in (one.read_text("entry_points.txt") or ""):
                for entry in one.entry_points.select(group=GROUP):
                    added.setdefault(entry.name, []).append((origin, entry))
        except MemoryError:  # no fault of an add-on
            raise
        except Exception as error:  # noqa: BLE001 - one that cannot be read must not hide the others
            broken[origin] = f"its entry points cannot be read: {_told(error)}"
    return added, broken


def _name_of(one: Distribution) -> str:
    """Return what a distribution is called, with its version, or where it lies if that cannot be read."""
    try:
        return f"{one.metadata['Name']} {one.version}"
    except Exception:  # noqa: BLE001 - metadata that is not there, or is not text
        return str(getattr(one, "_path", "without a name"))


def _demand_one(scheme: str, found: list[tuple[str, EntryPoint]]) -> None:
    if len(found) > 1:
        who = " and ".join(origin for origin, _ in found)
        raise InputError(f"the source {scheme}: is brought by {who}", hint="remove one of them")


def _load(scheme: str, origin: str, entry: EntryPoint) -> SourceKind:
    """Return what an entry point gives.

    Raises:
        InputError: It cannot be loaded, or is not what it should be.
    """
    from tokar.server.contract import SourceKind  # noqa: PLC0415 - start-up time

    try:
        with redirect_stdout(sys.stderr):  # what an add-on prints is no answer of a command
            given = entry.load()
    except (Exception, SystemExit) as error:
        raise InputError(
            f"the source {scheme}: cannot be loaded: {_told(error)}", hint=f"install its add-on anew: {origin}"
        ) from error
    if not isinstance(given, SourceKind):
        if not callable(given):
            raise InputError(f"the source {scheme}: is no SourceKind and nothing to call", hint=f"report it: {origin}")
        given = SourceKind(title=str(given.__doc__ or "").strip().partition("\n")[0], open=given)
    place, title, needs = (" ".join(str(one).split()) for one in (given.place, given.title, given.needs))
    opens = _guarded(scheme, origin, given.open)
    return replace(given, place=place, title=title, needs=needs, open=opens)


def _guarded(scheme: str, origin: str, opens: Callable[..., Any]) -> Callable[..., Server]:
    """Return what opens a server and turns whatever an add-on raises or gives into an error of ours."""
    from tokar.server.contract import Server  # noqa: PLC0415 - start-up time

    def guarded(place: str, **settings: Any) -> Server:
        try:
            server = opens(place, **settings)
        except ArchiveError:
            raise
        except Exception as error:
            raise SourceError(f"the source {scheme}: failed: {_told(error)}", hint=f"report it: {origin}") from error
        if not isinstance(server, Server):
            raise SourceError(f"the source {scheme}: opened no server", hint=f"report it: {origin}")
        return server

    return guarded


def _told(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
