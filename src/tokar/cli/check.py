"""`tokar check`: will this restore? Rung by rung."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from tokar.as_json import as_json as to_json
from tokar.check.ladder import CheckRequest, check
from tokar.check.report import CheckReport, RungResult, RungState
from tokar.cli import output
from tokar.cli.encryption import IdentityFiles, Passphrase, keyring_of
from tokar.cli.fault_lines import FaultLines
from tokar.cli.hints import typeable
from tokar.cli.options import (
    AcceptUnsigned,
    Json,
    Locations,
    Maps,
    Quiet,
    Revoked,
    SignedBy,
    To,
    allowed_signers,
    local_file,
    name_beside,
)
from tokar.cli.timeline import print_timeline
from tokar.collect.on_disk import Given
from tokar.errors import worst_of
from tokar.sets.by_other_means import beside_sets
from tokar.words import some

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_MAX_LISTED = 20


@app.command("check")
def check_archives(
    archives: Annotated[
        list[str],
        typer.Argument(
            metavar="ARCHIVE|DIR...",
            help="Archives; several are a chain, - is one from standard input. Sets as they lie, too.",
        ),
    ],
    *,
    to: To = None,
    locations: Locations = None,
    maps: Maps = None,
    rehearse: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Restore to a scratch directory in DIR, read it again, and remove it."),
    ] = None,
    replay: Annotated[
        bool,
        typer.Option(
            "--replay",
            help="Play the logs on copies of the databases, in memory; follow pages through the logs.",
        ),
    ] = False,
    complete: Annotated[
        bool,
        typer.Option("--complete", help="Take a set of nothing but logs for incomplete, unless its full is given."),
    ] = False,
    content: Annotated[
        bool,
        typer.Option(
            "--content",
            help="Decode all content: digests, pages, log segments; follow pages through the logs.",
        ),
    ] = False,
    signed_by: SignedBy = None,
    revoked: Revoked = None,
    accept_unsigned: AcceptUnsigned = False,
    identity: IdentityFiles = None,
    passphrase: Passphrase = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Say whether archives will restore: readable, sealed, intact, consistent, chained, placeable, rehearsed.

    Each rung passes, fails, or is not looked at, with the reason. Exit 0 only if every rung that was asked for passed;
    9 if the archive is good and the set in it is not.

    The last line says it in a word, of several archives that of the worst. NOT PROVEN with exit 0: nothing that was
    looked at is wrong, but something was not asked for (--content), or is of a layout that is not known (patch files).

    Example: tokar check full.tokar monday.tokar --content
    Example: tokar check ./CertLog --replay
    """
    signers = allowed_signers(signed_by, revoked, accept_unsigned=accept_unsigned, quiet=quiet or as_json)
    request = CheckRequest(
        content=content,
        complete=complete,
        to=tuple(to or ()),
        locations=locations,
        maps=tuple(maps or ()),
        rehearse=rehearse,
        replay=replay,
        signers=signers,
        keyring=keyring_of(identity, passphrase=passphrase),
    )
    with ExitStack() as stack:
        paths = [Path(stack.enter_context(local_file(path))) for path in archives]
        name_beside(Given.of(paths).beside)
        size = sum(path.stat().st_size for path in paths if path.is_file())
        advance = stack.enter_context(output.progress("checking", size, of=some(archives, 1), quiet=quiet or as_json))
        report = check(paths, request, progress=advance)
    if as_json:
        output.as_json({**_json(report), "signed_by": to_json(signers.accepted) if signers else None})
    elif not quiet:
        _print(report)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


def _json(report: CheckReport) -> dict[str, Any]:
    """Return it with the error of each archive that could not be looked at whole, and the worst of them."""
    value = report.to_json(iter)
    for row, one in zip(value["archives"], report.archives, strict=True):
        if one.error is not None:
            row["error"] = output.error_json(one.error)
    worst = worst_of(report.errors)
    return value | ({"error": output.error_json(worst)} if worst else {})


def _print(report: CheckReport) -> None:
    """Print each archive, with what it comes to where there are several, and at the end what all come to."""
    said = FaultLines()
    for one in report.archives:
        word = f": {one.outcome.word}" if len(report.archives) > 1 else ""
        output.line(f"{output.safe(one.path)}{word}")
        for result in one.rungs:
            _print_rung(result, one.path, said)
        output.lines("  after the restore: ", map(typeable, one.next_steps))
    print_timeline(report.chain)
    output.lines("takes no part: ", (output.safe(str(one)) for one in report.spared))
    output.last_line(report.outcome, beside_sets(report.chain.sets))


def _print_rung(result: RungResult, path: str, said: FaultLines) -> None:
    state = result.state.value.upper() if result.state is RungState.FAILED else result.state.value
    output.line(f"  {result.rung.value:<11} {state:<13}  {output.safe(result.summary)}".rstrip())
    output.lines("    ", result.details[:_MAX_LISTED])
    said.print("!", result.findings[:_MAX_LISTED], path, "    ")
    if len(result.findings) > _MAX_LISTED:
        output.line(f"    ... and {len(result.findings) - _MAX_LISTED} more (--json lists all)")
    said.print("note:", result.remarks[:_MAX_LISTED], path, "    ")
    output.lines("    not judged: ", result.unproven[:_MAX_LISTED])
    output.lines("    not looked at: ", result.not_looked_at[:_MAX_LISTED])
