"""`tokar recover`: the databases of a set as recovery would leave them, in new files."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from tokar import names
from tokar.as_json import as_json as to_json
from tokar.cli import output
from tokar.cli.encryption import IdentityFiles, Passphrase, keyring_of
from tokar.cli.options import AcceptUnsigned, Json, Quiet, Revoked, SignedBy, allowed_signers, local_file
from tokar.cli.replay import name_links, name_unused, print_support
from tokar.collect.on_disk import open_set
from tokar.errors import InputError
from tokar.replay.recover import FIRST_LINE, RecoveredFile, recover
from tokar.replay.whole import report_lines
from tokar.words import some

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("recover")
def recover_set(
    given: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DIR|ARCHIVE...",
            help="A folder with databases and their logs, or archives of a chain; - is one from standard input.",
        ),
    ] = None,
    *,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="A new folder, or an empty one.")] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this database; may be repeated.")] = None,
    identity: IdentityFiles = None,
    passphrase: Passphrase = False,
    support: Annotated[
        bool, typer.Option("--support", help="Print what is proved of each type of log record, and stop.")
    ] = False,
    signed_by: SignedBy = None,
    revoked: Revoked = None,
    accept_unsigned: AcceptUnsigned = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write the databases of a set as recovery would leave them: logs played, open transactions taken back.

    For reading, not for service: the files belong to no log stream any more, and no Windows made them. The set itself
    is only read. What nothing proves is refused, with the reason (exit 9); then nothing is written.

    Example: tokar recover ./sru --out recovered
    Example: tokar recover full.tokar monday.tokar --out recovered --only CA.edb
    """
    if support:
        print_support(as_json=as_json)
        return
    if not given or out is None:
        raise InputError("name a set, and a new folder with --out", hint="tokar recover --help shows what it takes")
    signers = allowed_signers(signed_by, revoked, accept_unsigned=accept_unsigned, quiet=quiet or as_json)
    with ExitStack() as stack:
        paths = [stack.enter_context(local_file(path)) for path in given]
        keyring = keyring_of(identity, passphrase=passphrase)
        files = stack.enter_context(open_set(paths, keyring, signers=signers))
        name_unused(files.unused)
        size = sum(one.size for one in files.facts.databases)
        with output.progress("recovering", size, of=some(given, 1), quiet=quiet or as_json) as advance:
            found = recover(files, out, only=only or (), progress=advance)
    name_links(files.facts)
    if as_json:
        signed = to_json(signers.accepted) if signers else None
        output.as_json({"note": FIRST_LINE, "databases": map(to_json, found), "signed_by": signed})
        return
    output.line(FIRST_LINE)
    for one in found:
        _print(one)


def _print(one: RecoveredFile) -> None:
    output.line(f"{names.printable(str(one.path))}: {output.size_text(one.size)}, {one.pages:,} pages, all checked")
    said = set(one.not_proved)
    output.lines("  ", (text for text in report_lines(one.report) if text not in said))
    output.lines("  not proved: ", one.not_proved)
