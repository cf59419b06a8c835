"""`tokar restore`: every file back into the directory that its token calls for."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tokar import names
from tokar.cli import output
from tokar.cli.opening import open_archive
from tokar.cli.options import Json, Quiet
from tokar.cli.progress import progress
from tokar.errors import ArchiveError, StorageError
from tokar.restore.from_archive import make_request, plan_restore
from tokar.restore.place import Report, place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokar.format.archive import Archive
    from tokar.restore.plan import Plan

app = typer.Typer(rich_markup_mode=None)
_MAX_LISTED = 50


@app.command()
def restore(
    archive: Annotated[
        str, typer.Argument(metavar="ARCHIVE", help="The archive; - for standard input, which is spooled first.")
    ],
    *,
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
        Path | None, typer.Option(help="Write what `certutil -restoreDB` takes: DIR/DataBase with certbkxp.dat.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Restore only this entry; may be repeated.")
    ] = None,
    existing: Annotated[
        str,
        typer.Option(
            metavar="refuse|set-aside", help="What to do about files that are in the way; nothing is ever deleted."
        ),
    ] = "refuse",
    code_page: Annotated[int, typer.Option(help="The code page of a raw list with one byte a character.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Make and show the plan, write nothing.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Restore files to token-matched directories. The plan comes first, complete, and is refused (exit 6) before anything is written."""
    with _at_hand(archive) as opened:
        request = make_request(
            opened,
            locations=locations,
            to=to or (),
            maps=maps or (),
            into=into,
            certutil=certutil,
            only=only or (),
            existing=existing,
            code_page=code_page,
        )
        plan = plan_restore(opened, request)
        if as_json:
            _answer(plan, opened, dry_run=dry_run, quiet=quiet)
            return
        if not quiet:
            _show(plan)
        report = _carry_out(plan, opened, dry_run=dry_run, quiet=quiet)
        if report is not None and not quiet:
            _done(report)


def _carry_out(plan: Plan, opened: Archive, *, dry_run: bool, quiet: bool) -> Report | None:
    """Refuse the plan, or place its files unless it was only to be shown."""
    plan.refuse()
    if dry_run:
        return None
    with progress("restoring", plan.size, quiet=quiet) as advance:
        return place(plan, opened, progress=advance)


def _answer(plan: Plan, opened: Archive, *, dry_run: bool, quiet: bool) -> None:
    """Do the same and print one JSON value, whatever comes of it."""
    answer: dict[str, object] = {"plan": plan.to_json(), "placed": None}
    try:
        report = _carry_out(plan, opened, dry_run=dry_run, quiet=quiet)
    except ArchiveError as error:
        output.as_json({**answer, "error": output.error_json(error)})
        output.report(error)
        raise typer.Exit(error.exit_code) from error
    if report is not None:
        answer["placed"] = _json(report)
    output.as_json(answer)


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


def _show(plan: Plan) -> None:
    rows = []
    for step in islice(plan.steps, _MAX_LISTED):
        target = "-" if step.target is None else names.printable(step.target)
        rows.append(
            (step.entry.name, f"0x{step.entry.token:02X} {step.token_name}", step.rule, target, step.action.value)
        )
    output.table(("file", "token", "rule", "target", "action"), rows)
    if len(plan.steps) > _MAX_LISTED:
        output.line(f"... and {len(plan.steps) - _MAX_LISTED:,} more (--json lists all)")
    for extra in plan.extras:
        output.line(f"also written: {names.printable(os.path.join(extra.directory, extra.name))}")  # noqa: PTH118
    for aside in plan.asides:
        old = names.printable(os.path.join(aside.directory, aside.name))  # noqa: PTH118
        output.line(f"set aside: {old} -> {names.printable(aside.new_name)} ({aside.why})")
    for note in plan.notes:
        output.line(f"note: {output.safe(note)}")
    for directory in plan.directories:
        made = " (will be made)" if directory.make else ""
        files = output.count_text(directory.files, "file")
        output.line(f"{names.printable(directory.path)}: {files}, {output.size_text(directory.size)}{made}")


def _json(report: Report) -> dict[str, object]:
    return {
        "files": report.files,
        "size": report.size,
        "set_aside": [
            {"directory": one.directory, "name": one.name, "new_name": one.new_name} for one in report.asides
        ],
        "without_time": report.without_time,
    }


def _done(report: Report) -> None:
    files = output.count_text(report.files, "file")
    output.line(f"restored {files}, {output.size_text(report.size)}; every digest was right")
    if report.without_time:
        output.line(f"note: {output.count_text(report.without_time, 'file')} could not be given the modification time")
