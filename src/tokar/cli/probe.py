"""`tokar probe`: whether a server can be reached and backed up, without changing anything."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from tokar import names
from tokar.as_json import as_json as to_json
from tokar.cli import output
from tokar.cli.logon import How, PasswordEnv, PasswordFd, TraceFile, User, settings_for
from tokar.cli.options import Deadline, Json, Quiet, deadlines_of, end_with_json
from tokar.cli.sources import opened_server, usable_kind
from tokar.errors import ArchiveError, SourceError
from tokar.namelist import ListedName
from tokar.server.contract import BackupContext, BackupType, Outcome, Server
from tokar.words import count_text

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass(frozen=True, slots=True)
class ListedSize:
    """A place, or a file that a backup would take."""

    token: int | None
    name: str
    size: int | None  # None for places, and for dynamic files, which are not opened


@app.command()
def probe(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A server, such as ca://HOST; tokar sources lists the kinds.")
    ],
    *,
    lists: Annotated[
        bool,
        typer.Option(
            "--list",
            help="Ask too what a full backup would take: one is begun and given up at once, which the server may note.",
        ),
    ] = False,
    user: User = None,
    password_env: PasswordEnv = None,
    password_fd: PasswordFd = None,
    auth: How = None,
    trace: TraceFile = None,
    deadline: Deadline = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Say step by step whether a server can be reached and would let itself be backed up.

    Nothing is changed on it and nothing is written here. What does not work ends in an error with the next step.
    Sources that are experimental were tried on doubles and other programs that speak their protocols, not yet on
    Windows.

    Example: tokar probe lab:server --list
    Example: tokar probe ca://ca1.example.com --user admin@EXAMPLE.COM
    """
    takes = usable_kind(source).takes
    found: dict[str, Any] = {"source": source, "steps": {}}
    with (
        settings_for(
            user=user, password_env=password_env, password_fd=password_fd, auth=auth, trace=trace, takes=takes
        ) as settings,
        opened_server(source, settings, deadlines_of(deadline)) as server,
    ):
        try:
            for name, fact in server.probe():
                found["steps"][name] = fact
                if not quiet and not as_json:
                    output.line(f"{name}: {names.printable(fact)}")
            if lists:
                found["locations"], found["files"] = _listed(server)
        except ArchiveError as error:
            if as_json:
                end_with_json(found, error)
            raise
    if as_json:
        output.as_json(to_json(found))
    elif lists:
        _print_files([*found["locations"], *found["files"]])


def _listed(server: Server) -> tuple[list[ListedSize], list[ListedSize]]:
    """Return where everything lies on a server, and what a full backup would take."""
    context = server.prepare_backup(BackupType.FULL)
    try:
        found = _places(context, server), _files(context, server)
    except BaseException:
        with suppress(SourceError):  # what led here is the one to report
            context.end(Outcome.ABORT)
        raise
    context.end(Outcome.ABORT)
    return found


def _places(context: BackupContext, server: Server) -> list[ListedSize]:
    if not server.dialect.locations_in_backup:
        return []
    return [_named(one) for one in context.database_locations().entries]


def _files(context: BackupContext, server: Server) -> list[ListedSize]:
    found = _sizes(context, context.database_names().entries)
    found += _sizes(context, context.backup_logs().entries)
    if server.dialect.has_dynamic_files:
        found += [_named(one) for one in context.dynamic_files().entries]
    return found


def _named(one: ListedName, size: int | None = None) -> ListedSize:
    return ListedSize(one.token, names.display(one.raw_name, one.encoding), size)


def _sizes(context: BackupContext, entries: Iterable[ListedName]) -> list[ListedSize]:
    found = []
    for one in entries:
        size = context.open(one.raw_name)
        context.close()
        found.append(_named(one, size))
    return found


def _print_files(files: list[ListedSize]) -> None:
    rows = [
        ("-" if one.token is None else f"0x{one.token:02X}", "-" if one.size is None else str(one.size), one.name)
        for one in files
    ]
    output.table(("token", "bytes", "file"), rows, right=(1,))
    output.line(f"a full backup would take {count_text(sum(one.size is not None for one in files), 'file')}")
