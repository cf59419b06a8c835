"""`tokar sign`: somebody vouches for archives that exist."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tokar import names
from tokar.as_json import as_json as to_json
from tokar.cli import output
from tokar.cli.options import (
    Json,
    Quiet,
    demand_not_printed_into,
    make_signer,
    name_leftovers,
    named,
)
from tokar.cli.several import Answers
from tokar.trust.signatures import SUFFIX, Where
from tokar.trust.signing import SignedArchive, sign_archive

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("sign")
def sign_archives(
    archives: Annotated[list[str], typer.Argument(metavar="ARCHIVE...", help="The archives.")],
    *,
    keys: Annotated[
        list[str],
        typer.Option(
            "--key",
            metavar="KEY",
            help="A private key, or a public key whose private half an agent or a hardware token has; may be repeated.",
            show_default=False,
        ),
    ],
    embed: Annotated[
        bool,
        typer.Option("--embed", help="Put the signatures into the archive: a new file replaces it once it is proven."),
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Sign archives by ssh-keygen, each after every record of it was proven.

    The signature is over the root, which stays the same, and lies in ARCHIVE.sig, or with --embed after the root. Who
    may sign is for whoever asks: tokar verify --signed-by FILE.

    Example: tokar sign full.tokar --key ~/.ssh/id_ed25519
    Example: tokar sign full.tokar monday.tokar --key admin.pub --embed
    """
    demand_not_printed_into(archives)
    signer = make_signer(keys)
    assert signer is not None
    answers = Answers(as_json=as_json)
    for path in archives:
        if not quiet:
            name_leftovers(Path(path).parent)
        with answers.of(path=path), named(path):
            found = sign_archive(path, signer, embed=embed)
            answers.add(_json(path, found))
            if not (quiet or as_json):
                _print(path, found)
    answers.end()


def _print(path: str, found: SignedArchive) -> None:
    shown = names.printable(path)
    place = shown if found.where is Where.EMBEDDED else f"{shown}{SUFFIX}"
    for one in found.added:
        output.line(f"{shown}: signed by {one}: {place}")
    for one in found.known:
        output.line(f"{shown}: is signed by {one} already; nothing to do")
    if found.dropped:
        output.note(f"{place} had {found.dropped} more, over another root: not kept")
    output.line(f"  root {found.root.hex()}")


def _json(path: str, found: SignedArchive) -> dict[str, Any]:
    return {
        "path": path,
        "root": found.root.hex(),
        "where": found.where.value,
        "added": to_json(found.added),
        "known": to_json(found.known),
        "dropped": found.dropped,
    }
