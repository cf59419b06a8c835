"""`tokar extract`: one file out of an archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tokar import names
from tokar.as_json import as_json as to_json
from tokar.as_json import fields_json
from tokar.cli import completion, output
from tokar.cli.encryption import IdentityFiles, Passphrase, keyring_of
from tokar.cli.options import (
    AcceptUnsigned,
    ArchivePath,
    Force,
    Json,
    Quiet,
    Revoked,
    SignedBy,
    allowed_signers,
    open_given,
    writing_file,
)
from tokar.errors import InputError, UnsafeNameError
from tokar.storage.sink import FileSink, PipeSink, Sink
from tokar.tokens import parse_token

if TYPE_CHECKING:
    from tokar.format.index import Entry

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_ZEROS = bytes(1 << 20)


@app.command()
def extract(
    archive: ArchivePath,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            autocompletion=completion.entries,
            help="The entry: its name as inspect shows it, its last part, or #NUMBER.",
        ),
    ],
    *,
    token: Annotated[
        str | None,
        typer.Option(autocompletion=completion.token_names, help="The token too, where several entries have the name."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", help="Where to; - for standard output. [default: the last part of the name, here]"
        ),
    ] = None,
    identity: IdentityFiles = None,
    passphrase: Passphrase = False,
    force: Force = False,
    signed_by: SignedBy = None,
    revoked: Revoked = None,
    accept_unsigned: AcceptUnsigned = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write one file, with every byte proven on the way.

    To standard output the bytes are provisional until the command succeeds.

    Example: tokar extract set.tokar edb00005.log
    Example: tokar extract set.tokar '#3' --output ntds.dit
    """
    if as_json and out == "-":
        raise InputError("--json and the file both want standard output", hint="name a file with --output")
    signers = allowed_signers(signed_by, revoked, accept_unsigned=accept_unsigned, quiet=quiet or as_json)
    with open_given(str(archive), keyring_of(identity, passphrase=passphrase)) as opened:
        if signers is not None:
            signers.demand(opened)
        opened.demand_key()
        entry = opened.find(name, None if token is None else parse_token(token, opened.head.profile))
        target = _leaf(entry) if out is None else out
        sink: Sink = PipeSink(output.standard_output()) if out == "-" else _file_sink(target, archive, replace=force)
        try:
            with output.progress("extracting", entry.size, of=entry.name, quiet=quiet) as advance:
                for chunk in opened.chunks(entry):
                    data = _ZEROS[: chunk.size] if chunk.data is None and chunk.size <= len(_ZEROS) else chunk.data
                    sink.write([bytes(chunk.size) if data is None else data])
                    if advance:
                        advance(chunk.size)
        except BaseException:
            sink.discard()
            raise
        sink.commit()
        if as_json:
            found = fields_json(entry, "number", "token", "name", "size", "digest")
            signed = to_json(signers.accepted) if signers else None
            output.as_json({"path": target, "entry": found, "signed_by": signed})
        elif not quiet and out != "-":
            output.note(
                f"extracted {entry.name} to {names.printable(target)}: {output.size_text(entry.size)}, "
                f"digest {entry.digest.hex()}"
            )


def _leaf(entry: Entry) -> str:
    try:
        return names.leaf(entry.raw_name, entry.encoding)
    except UnsafeNameError as error:
        error.hint = "say where it goes: --output FILE"
        raise


def _file_sink(target: str, archive: Path, *, replace: bool) -> FileSink:
    with writing_file(target):
        return FileSink(target, replace=replace, reads=[0 if str(archive) == "-" else archive])
