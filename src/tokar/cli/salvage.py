"""`tokar salvage`: what is whole of a damaged archive, sealed again."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from tokar import names
from tokar.as_json import as_json as to_json
from tokar.as_json import fields_json
from tokar.cli import output
from tokar.cli.options import Force, Json, Quiet, archive_sink, end_with_json, local_file
from tokar.errors import ArchiveError, PartialError
from tokar.salvage.losses import SalvageReport
from tokar.salvage.salvage import salvage as salvage_archive
from tokar.storage.bytesource import FileSource
from tokar.words import count_text

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_MAX_LISTED = 50
_FILE_KEYS = ("number", "state", "reason", "name", "token", "size", "missing", "written_as")


@app.command()
def salvage(
    damaged: Annotated[
        str,
        typer.Argument(
            metavar="DAMAGED", help="The archive that is damaged or cut; it is only read. - for standard input."
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The archive to make of what is left.")],
    *,
    partial: Annotated[
        bool,
        typer.Option(
            "--partial", help="Write incomplete files too, flagged as incomplete, with zeros in place of what is lost."
        ),
    ] = False,
    force: Force = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Seal again what is whole of a damaged archive, and report every lost range and file.

    Exit code 8 when anything was lost.

    Example: tokar salvage damaged.tokar saved.tokar
    Example: tokar salvage damaged.tokar saved.tokar --partial --json
    """
    with ExitStack() as stack:
        path = stack.enter_context(local_file(damaged))
        source = stack.enter_context(FileSource(path))
        advance = stack.enter_context(output.progress("salvaging", 2 * source.size, of=damaged, quiet=quiet))
        try:
            report = salvage_archive(
                source,
                lambda: archive_sink(out, force=force, reads=[path]),
                partial=partial,
                progress=advance,
            )
        except ArchiveError as error:
            error.path = error.path or path
            raise
    if as_json:
        _answer(out, report)
        return
    if not quiet:
        _describe(out, report)
    report.raise_if_lossy()


def _answer(out: Path, report: SalvageReport) -> None:
    """Print one JSON value, whatever was lost."""
    try:
        report.raise_if_lossy()
    except PartialError as error:
        end_with_json(_json(out, report), error)
    output.as_json(_json(out, report))


def _describe(out: Path, report: SalvageReport) -> None:
    for lost in islice(report.ranges, _MAX_LISTED):
        missing = "" if lost.missing in (None, lost.size) else f", {lost.missing} bytes of the original missing"
        output.line(f"lost: {lost.size} bytes at {lost.offset} (0x{lost.offset:x}){missing}: {lost.what}")
    _more(report.range_count, "range")
    for file in islice(report.files, _MAX_LISTED):
        output.line(f"{file.state.value}: entry {file.number} {file.name or '(name not known)'}: {file.reason}")
    for first, count in islice(report.unknown, _MAX_LISTED):
        last = f" to {first + count - 1}" if count > 1 else ""
        output.line(f"lost: entry {first}{last}, of which nothing is known")
    _more(report.incomplete_count + report.lost_count, "file")
    output.lines("note: ", map(names.printable, report.notes))
    kept = "the id and the root of the original" if report.same else "a new id; HEAD names the original as its origin"
    output.line(f"sealed {out}: {count_text(report.result.entries, 'entry', 'entries')}, with {kept}")
    output.line(f"  root {report.result.root.hex()}")


def _more(count: int, noun: str) -> None:
    if count > _MAX_LISTED:
        output.line(f"... {count_text(count - _MAX_LISTED, noun)} more (--json lists them)")


def _json(out: Path, report: SalvageReport) -> dict[str, Any]:
    return {
        "result": {
            "path": str(out),
            **fields_json(report.result, "id", "root", "entries"),
            "same_as_original": report.same,
        },
        "original": fields_json(report, "size", "id", "root"),
        "lost": report.lost,
        "files": {
            "complete": report.complete_count,
            "incomplete": report.incomplete_count,
            "lost": report.lost_count,
            "listed": (fields_json(file, *_FILE_KEYS) for file in report.files),
            "unknown": ({"first": first, "count": count} for first, count in report.unknown),
        },
        "ranges": map(to_json, report.ranges),
        **fields_json(report, "range_count", "others", "notes"),
    }
