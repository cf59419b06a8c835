"""`tokar restore`: every file back into the directory that its token calls for, from one set or from a chain of them."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tokar.cli import output
from tokar.cli.opening import open_archive
from tokar.cli.options import Json, Quiet
from tokar.cli.restore_finish import finish
from tokar.cli.restore_text import Manner, show_plan, show_recovery
from tokar.errors import InputError, StorageError
from tokar.restore.from_archive import make_request, plan_restore
from tokar.restore.place import place
from tokar.restore.workers import useful_processes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokar.format.archive import Archive
    from tokar.restore.prepare import RequestOptions

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def restore(
    archives: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ARCHIVE...",
            help="The archive, or all sets of a chain in any order; - for standard input, which is spooled first.",
            show_default=False,
        ),
    ] = None,
    *,
    chain: Annotated[Path | None, typer.Option(metavar="DIR", help="Take the archives in this folder.")] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="GENERATION", help="Stop at this log: 0x-hexadecimal, or the name of the log."),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="Drive the restore procedure of a server: lab:DIR, its service stopped."),
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            metavar="TOKEN=PATH|NAME=PATH",
            help="Where a token, or one file, goes. dir:PATH or a trailing separator means a directory, file:PATH a file.",
        ),
    ] = None,
    locations: Annotated[
        Path | None, typer.Option(help="A file with locations: a raw list as the API returned it, or TOML.")
    ] = None,
    maps: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="PREFIX=DIR", help="What a path of another machine stands for here."),
    ] = None,
    into: Annotated[Path | None, typer.Option(help="Put all files into this one directory.")] = None,
    certutil: Annotated[
        Path | None,
        typer.Option(
            help="Write what `certutil -restoreDB` takes: DIR/DataBase with certbkxp.dat; of a chain, DIR/1, DIR/2, ..."
        ),
    ] = None,
    backup_logs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Put logs and patch files into a directory of their own.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Restore only this entry; may be repeated.")
    ] = None,
    existing: Annotated[
        str,
        typer.Option(
            metavar="refuse|set-aside|roll-forward",
            help="What to do about files that are in the way; nothing is ever deleted. roll-forward keeps logs that continue the set.",
        ),
    ] = "refuse",
    code_page: Annotated[int, typer.Option(help="The code page of a raw list with one byte a character.")] = 0,
    accept_unrecoverable: Annotated[
        bool, typer.Option("--accept-unrecoverable", help="Restore databases that cannot be recovered from the set.")
    ] = False,
    accept_incomplete: Annotated[
        bool, typer.Option("--accept-incomplete", help="Restore files of which salvage saved only a part.")
    ] = False,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over", help="With --server: go on although a restore that died is still registered there."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Make and show the plan, write nothing.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Restore files to token-matched directories. The plan comes first, complete, and is refused (exit 6) before anything is written."""
    options: RequestOptions = {
        "locations": locations,
        "to": to or (),
        "maps": maps or (),
        "into": into,
        "certutil": certutil,
        "backup_logs": backup_logs,
        "only": only or (),
        "existing": existing,
        "code_page": code_page,
    }
    manner = Manner(
        accept_unrecoverable=accept_unrecoverable,
        accept_incomplete=accept_incomplete,
        take_over=take_over,
        dry_run=dry_run,
        quiet=quiet,
        as_json=as_json,
    )
    named = archives or []
    if bool(named) == (chain is not None):
        raise InputError("name the archives, or the folder that they are in with --chain DIR")
    if take_over and server is None:
        raise InputError("--take-over goes with --server; without one nothing is registered")
    if len(named) == 1 and until is None and server is None:
        _one(named[0], options, manner)
        return
    from tokar.cli.restore_chain import restore_chain  # noqa: PLC0415 - loads much, and one archive does not need it

    restore_chain(named, chain, options, manner, until=until, server=server)


def _one(path: str, options: RequestOptions, manner: Manner) -> None:
    """Restore from one archive."""
    with _at_hand(path) as opened:
        request = make_request(opened, **options)
        plan = plan_restore(
            opened,
            request,
            accept_unrecoverable=manner.accept_unrecoverable,
            accept_incomplete=manner.accept_incomplete,
        )
        recovery = plan.recovery
        if not (manner.as_json or manner.quiet):
            show_plan(plan)
            if recovery is not None:
                show_recovery(recovery)
        finish(
            lambda: {"plan": plan.to_json(), "recovery": recovery.to_json() if recovery else None},
            plan.refuse,
            plan.size,
            lambda advance: place(plan, opened, progress=advance, processes=useful_processes()),
            manner,
        )


@contextmanager
def _at_hand(path: str) -> Iterator[Archive]:
    """Open an archive; one from standard input is first written to a temporary file that only its owner can read."""
    if path != "-":
        with open_archive(path) as opened:
            yield opened
        return
    with tempfile.TemporaryDirectory(prefix="tokar-spool-") as folder:
        spool = Path(folder, "standard-input.tokar")
        try:
            with spool.open("wb") as file:
                shutil.copyfileobj(output.standard_input(), file, 1 << 20)
        except OSError as error:
            message = f"cannot keep what comes from standard input: {error.strerror}"
            raise StorageError(message, path=folder, hint="TMPDIR says where it is kept") from error
        with open_archive(spool, shown="standard input") as opened:
            yield opened
