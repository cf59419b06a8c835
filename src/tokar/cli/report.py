"""`tokar report`: what check finds, as a page to look at, to print and to hand on."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from tokar import names
from tokar.as_json import as_json as to_json
from tokar.check.ladder import CheckRequest
from tokar.cli import output
from tokar.cli.encryption import IdentityFiles, Passphrase, keyring_of
from tokar.cli.options import (
    AcceptUnsigned,
    Force,
    Json,
    Quiet,
    Revoked,
    SignedBy,
    allowed_signers,
    local_file,
    name_beside,
    writing_file,
)
from tokar.collect.on_disk import Given
from tokar.errors import InputError
from tokar.report.render import checked_page, report
from tokar.sets.by_other_means import beside_sets
from tokar.storage.sink import PipeSink
from tokar.words import some

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("report")
def write_report(
    given: Annotated[
        list[str],
        typer.Argument(
            metavar="ARCHIVE|DIR...",
            help="Archives; several are a chain, - is from standard input. Folders with them, and sets as they lie.",
        ),
    ],
    *,
    out: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="The page to write; - for standard output.")
    ] = "report.html",
    redact: Annotated[
        bool,
        typer.Option(
            "--redact", help="Replace the names of machines, people, authorities, databases and folders, as redact."
        ),
    ] = False,
    content: Annotated[
        bool, typer.Option("--content", help="Decode all content, as check does: digests, pages, log segments.")
    ] = False,
    replay: Annotated[
        bool, typer.Option("--replay", help="Play the logs on copies of the databases, in memory, as check does.")
    ] = False,
    force: Force = False,
    identity: IdentityFiles = None,
    passphrase: Passphrase = False,
    signed_by: SignedBy = None,
    revoked: Revoked = None,
    accept_unsigned: AcceptUnsigned = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write what check finds as one page of HTML: the verdict, why, the logs as a picture, and what to do next.

    The page loads nothing and runs nothing, so it can be mailed and printed. It is the verdict of check, and the exit
    code is too: 0 if every rung that was asked for passed, 9 if the archive is good and the set in it is not.

    Example: tokar report full.tokar monday.tokar -o monday.html
    Example: tokar report ./CertLog --redact
    """
    if as_json and out == "-":
        raise InputError("--json and the page both want standard output", hint="name a file with --output")
    signers = allowed_signers(signed_by, revoked, accept_unsigned=accept_unsigned, quiet=quiet or as_json)
    request = CheckRequest(
        content=content, replay=replay, signers=signers, keyring=keyring_of(identity, passphrase=passphrase)
    )
    with ExitStack() as stack:
        paths = [Path(stack.enter_context(local_file(path))) for path in given]
        name_beside(Given.of(paths).beside)
        size = sum(path.stat().st_size for path in paths if path.is_file())
        advance = stack.enter_context(output.progress("checking", size, of=some(given, 1), quiet=quiet or as_json))
        if out == "-":
            found, page = checked_page(paths, request, redact=redact, progress=advance, called=output.as_called)
            PipeSink(output.standard_output()).write([page])
        else:
            stack.enter_context(writing_file(out))
            found = report(paths, out, request, redact=redact, replace=force, progress=advance, called=output.as_called)
    own = beside_sets(found.chain.sets)
    if as_json:
        signed = to_json(signers.accepted) if signers else None
        result = {"path": out, "ok": not found.exit_code, "outcome": to_json(found.outcome), "beside": own}
        output.as_json({**result, "signed_by": signed})
    elif not quiet and out != "-":
        output.line(f"report: {names.printable(out)}, {output.size_text(Path(out).stat().st_size)}")
        output.last_line(found.outcome, own)
    if found.exit_code:
        raise typer.Exit(found.exit_code)
