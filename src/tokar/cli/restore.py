"""`tokar restore`: every file back into the directory that its token calls for, from one set or from a chain of them."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tokar import names
from tokar.cli import output
from tokar.cli.options import Json, Quiet, open_archive
from tokar.cli.restore_text import (
    Manner,
    registration_json,
    report_json,
    show_chain,
    show_plan,
    show_recovery,
    show_registrations,
    show_report,
)
from tokar.cli.sources import find_source, open_server
from tokar.errors import ArchiveError, InputError, SetError, StorageError
from tokar.restore.options import make_request
from tokar.restore.paths import parse_map
from tokar.restore.place import place
from tokar.restore.plan import Existing
from tokar.restore.prepare import OpenSets, parse_generation, place_chain, plan_chain, plan_restore
from tokar.restore.soundness import incomplete_entries, incomplete_problem
from tokar.restore.workers import useful_processes
from tokar.server.deadline import DeadlineServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokar.format.archive import Archive
    from tokar.restore.place import Report
    from tokar.restore.plan import Plan
    from tokar.restore.prepare import ChosenSets, RequestOptions
    from tokar.server.contract import Server
    from tokar.server.run_restore import RestorationResult, SetPart

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
        typer.Option(
            metavar="SOURCE",
            help="Drive the restore procedure of a server, its service stopped: lab:DIR, or what an add-on brings.",
        ),
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
    _chain(named, chain, options, manner, until=until, server=server)


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
            plan.raise_for_problems,
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


_STANDARD_INPUT: Final = "-"


def _chain(
    named: list[str],
    folder: Path | None,
    options: RequestOptions,
    manner: Manner,
    *,
    until: str | None,
    server: str | None,
) -> None:
    """Choose the sets of a chain and restore from them.

    Args:
        named: The archives, unless `folder` is given.
        folder: The folder that they are in.
        options: Where files go.
        manner: How the work is to be done.
        until: The log to stop at.
        server: The server whose restore procedure is to be driven.

    Raises:
        InputError: An argument makes no sense here.
        ArchiveError: As for `tokar.restore.prepare`, `tokar.server.run_restore` and `tokar.restore.place`.
    """
    if manner.accept_unrecoverable:
        raise InputError("--accept-unrecoverable is for one archive; of a chain only what can be recovered is restored")
    target = None if until is None else parse_generation(until)
    with _open_sets(named, folder) as sets:
        chosen = sets.select(target)
        for problem in sets.problems:
            output.note(f"cannot be read, and takes no part: {output.safe(str(problem))}")
        if server is not None:
            restore_to(server, chosen, options, manner)
            return
        plan = plan_chain(chosen, accept_incomplete=manner.accept_incomplete, **options)
        if not (manner.as_json or manner.quiet):
            show_chain(chosen.selection, plan.left_out)
            for part, _ in plan.parts:
                show_plan(part)
            show_recovery(plan.recovery)
        finish(
            plan.to_json,
            plan.raise_for_problems,
            plan.size,
            lambda advance: place_chain(plan, progress=advance),
            manner,
        )


def _open_sets(named: list[str], folder: Path | None) -> OpenSets:
    """Open the archives that are named, or those in a folder."""
    if folder is not None:
        return OpenSets([folder])
    if _STANDARD_INPUT in named:
        raise InputError("standard input can give one archive alone", hint="name the archives of a chain")
    return OpenSets(named)


def finish(
    plan_json: Callable[[], dict[str, object]],
    refuse: Callable[[], None],
    size: int,
    carry_out: Callable[[Callable[[int], None] | None], Report],
    manner: Manner,
) -> None:
    """Refuse the plan, or carry it out unless it was only to be shown; with JSON print one value, whatever comes of it."""
    report: Report | None = None
    try:
        refuse()
        if not manner.dry_run:
            with output.progress("restoring", size, quiet=manner.quiet) as advance:
                report = carry_out(advance)
    except ArchiveError as error:
        if not manner.as_json:
            raise
        output.as_json({**plan_json(), "placed": None, "error": output.error_json(error)})
        output.report(error)
        raise typer.Exit(error.exit_code) from error
    if manner.as_json:
        output.as_json({**plan_json(), "placed": report_json(report) if report else None})
    elif report is not None and not manner.quiet:
        show_report(report)


_ASKED_OF_THE_SERVER: Final = ("locations", "to", "into", "certutil", "backup_logs", "only", "code_page")


def parts_of_chosen(chosen: ChosenSets, *, accept_incomplete: bool = False) -> tuple[SetPart, ...]:
    """Return the chosen sets as what a restore procedure takes.

    Raises:
        SetError: A set has no log, so that nothing can be registered for it.
        RestoreError: A file is incomplete.
        FormatError: An archive is damaged.
    """
    from tokar.server.run_restore import SetPart  # noqa: PLC0415 - loads much, and only --server needs it

    parts = []
    for at, (one, archive) in enumerate(zip(chosen.selection.sets, chosen.archives, strict=True)):
        if not one.low:
            raise SetError("the set has no log, so nothing can be registered for it", path=one.label)
        entries = chosen.entries(at)
        problem = None if accept_incomplete else incomplete_problem(incomplete_entries(archive, entries))
        if problem is not None:
            raise problem.error
        parts.append(SetPart(archive, entries, one.low, one.high))
    return tuple(parts)


def restore_to(source: str, chosen: ChosenSets, options: RequestOptions, manner: Manner) -> None:
    """Restore sets to a server and print what it was told.

    Raises:
        InputError: There is no such server, or an option says what the server says itself.
        ArchiveError: See `tokar.server.run_restore`.
    """
    find_source(source)
    existing = _existing(options)
    if not (manner.quiet or manner.as_json):
        show_chain(chosen.selection, chosen.selection.left_out)
    run = _ServerRun()
    try:
        with DeadlineServer(partial(open_server, source, restoring=True)) as server:
            run.next_steps = server.recovery_steps
            _drive(server, chosen, options, existing, manner, run)
    except ArchiveError as error:
        if not manner.as_json:
            raise
        output.as_json({**_json(chosen, run), "error": output.error_json(error)})
        output.report(error)
        raise typer.Exit(error.exit_code) from error
    if manner.as_json:
        output.as_json(_json(chosen, run))
    elif run.result is not None and not manner.quiet:
        _show(run.result, run.next_steps)


@dataclass
class _ServerRun:
    """What is known of a restore to a server, whether or not it comes to its end."""

    plans: list[Plan] = field(default_factory=list)  # The plan, once it is made
    result: RestorationResult | None = None  # What came of it; None where only the plan was wanted
    next_steps: tuple[str, ...] = ()  # What a person does next


def _existing(options: RequestOptions) -> Existing:
    """Return what to do about files that are there, having refused the options that a server leaves no room for."""
    given = [name for name in _ASKED_OF_THE_SERVER if options.get(name)]
    if given:
        option = "--" + given[0].replace("_", "-")
        raise InputError(f"--server says where everything goes; leave {option} out")
    wanted = options.get("existing", Existing.REFUSE)
    for one in (Existing.REFUSE, Existing.SET_ASIDE):
        if wanted == one:
            return one
    raise InputError(f"with --server, --existing takes refuse or set-aside, not {names.printable(wanted)}")


def _drive(  # noqa: PLR0917 - private, called once
    server: Server,
    chosen: ChosenSets,
    options: RequestOptions,
    existing: Existing,
    manner: Manner,
    run: _ServerRun,
) -> None:
    """Drive the procedure, or only plan where no more is wanted."""
    from tokar.server.run_restore import prepared_restore  # noqa: PLC0415 - loads much, and only --server needs it

    parts = parts_of_chosen(chosen, accept_incomplete=manner.accept_incomplete)
    maps = [parse_map(text, str(Path.cwd())) for text in options.get("maps", ())]
    take_over = manner.take_over and not manner.dry_run  # it tells the server something
    size = sum(one.size for part in parts for one in part.entries)
    with prepared_restore(server, parts, maps=maps, existing=existing, take_over=take_over) as restoring:
        run.plans.append(restoring.plan)
        if not (manner.quiet or manner.as_json):
            show_plan(restoring.plan)
        restoring.plan.raise_for_problems()
        if not manner.dry_run:
            with output.progress("restoring", size, quiet=manner.quiet) as advance:
                run.result = restoring.run(advance)


def _show(result: RestorationResult, next_steps: tuple[str, ...]) -> None:
    show_registrations(result.registrations)
    files = output.count_text(result.files, "file")
    output.line(f"restored {files}, {output.size_text(result.size)}; every digest was right")
    for step in next_steps:
        output.line(f"next: {step}")


def _json(chosen: ChosenSets, run: _ServerRun) -> dict[str, object]:
    result = run.result
    return {
        "chain": chosen.selection.to_json(),
        "plans": [plan.to_json() for plan in run.plans],
        "recovery": {
            "kind": chosen.recovery().value,
            "registrations": [registration_json(one) for one in result.registrations] if result else [],
            "next": list(run.next_steps),
        },
        "placed": {"files": result.files, "size": result.size} if result else None,
    }
