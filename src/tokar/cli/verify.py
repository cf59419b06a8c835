"""`tokar verify`: is every byte of an archive what its writer wrote?"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from tokar import names
from tokar.cli import output
from tokar.cli.options import Json, Quiet
from tokar.cli.progress import progress
from tokar.errors import ArchiveError
from tokar.format.archive import Archive
from tokar.format.scanner import EntryEnded, Scan
from tokar.format.verify import VerifyReport, verify

app = typer.Typer(rich_markup_mode=None)
_MAX_PRINTED = 20


@app.command("verify")
def verify_archives(
    archives: Annotated[list[str], typer.Argument(metavar="ARCHIVE...", help="Archives; - for standard input.")],
    *,
    content: Annotated[
        bool, typer.Option("--content", help="Decode all content too and compare every digest.")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Check every record of archives, on all cores. Quick by default: every byte is proven, compressed content is not decoded."""
    worst: ArchiveError | None = None
    reports = []
    for path in archives:
        try:
            answer = _from_stream(content=content) if path == "-" else _from_file(path, content=content, quiet=quiet)
        except ArchiveError as error:
            answer = {"path": path, "ok": False, "faults": [{"entry": None, **output.error_json(error)}]}
            worst = worst or error
            if not as_json:
                output.report(error)
        else:
            worst = worst or answer.pop("error")
            if not as_json and not quiet:
                _print(answer)
        reports.append(answer)
    if as_json:
        output.as_json({"archives": reports})
    if worst is not None:
        raise typer.Exit(worst.exit_code)


def _from_file(path: str, *, content: bool, quiet: bool) -> dict[str, Any]:
    with Archive(path) as archive:
        with progress(f"verifying {path}", archive.size, quiet=quiet) as advance:
            report = verify(archive, content=content, progress=advance)
        for fault in report.faults[:_MAX_PRINTED]:
            whose = f"entry {fault.entry.number} {fault.entry.name}: " if fault.entry else ""
            output.note(f"error: {whose}{fault.error}")
        return {**_answer(path, archive.root, report), "error": report.faults[0].error if report.faults else None}


def _from_stream(*, content: bool) -> dict[str, Any]:
    scan = Scan(sys.stdin.buffer, decode=content)
    entries = sum(isinstance(event, EntryEnded) for event in scan)
    assert scan.scanner is not None
    assert scan.scanner.root is not None
    report = VerifyReport(content, entries=entries, bytes_checked=scan.position)
    return {**_answer("-", scan.scanner.root, report), "error": None}


def _answer(path: str, root: bytes, report: VerifyReport) -> dict[str, Any]:
    return {
        "path": path,
        "ok": not report.fault_count,
        "root": root.hex(),
        "entries": report.entries,
        "bytes_checked": report.bytes_checked,
        "content_decoded": report.content_decoded,
        "not_checked": [] if report.content_decoded else ["content of compressed chunks", "digests of content"],
        "fault_count": report.fault_count,
        "faults": [
            {"entry": fault.entry.number if fault.entry else None, **output.error_json(fault.error)}
            for fault in report.faults
        ],
    }


def _print(answer: dict[str, Any]) -> None:
    if not answer["ok"]:
        faults = output.count_text(answer["fault_count"], "fault")
        output.line(f"{names.printable(answer['path'])}: DAMAGED, {faults}")
        return
    checked = f"{output.count_text(answer['entries'], 'entry', 'entries')}, {output.size_text(answer['bytes_checked'])}"
    missing = ", ".join(answer["not_checked"])
    looked = (
        "content decoded, all digests right" if answer["content_decoded"] else f"not checked: {missing} (--content)"
    )
    output.line(f"{names.printable(answer['path'])}: intact; {checked}; {looked}")
    output.line(f"  root {answer['root']}")
