"""`tokar rekey`: further recipients for an encrypted archive."""

from __future__ import annotations

from typing import Annotated

import typer

from tokar import names
from tokar.cli import output
from tokar.cli.encryption import IdentityFiles, Passphrase, RecipientFiles, RecipientTexts, keyring_of, recipients_of
from tokar.cli.options import Json, Quiet, open_archive
from tokar.errors import InputError
from tokar.trust.rekeying import rekey
from tokar.words import count_text

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("rekey")
def rekey_archive(
    archive: Annotated[str, typer.Argument(metavar="ARCHIVE", help="The archive.")],
    *,
    recipients: RecipientTexts = None,
    recipients_files: RecipientFiles = None,
    identity: IdentityFiles = None,
    passphrase: Passphrase = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Add recipients to an encrypted archive, which takes something that opens it.

    Content and root stay as they are. A new file is made, proven, and takes the place of the old one, which is whole
    until then. Nobody loses the archive by this: to take it from somebody, make a new archive and delete this one.

    Example: tokar rekey full.tokar --recipient age1... --identity admin.key
    Example: tokar rekey full.tokar --recipients-file admins --passphrase
    """
    added = recipients_of(recipients, recipients_files, passphrase=False)
    if added is None:
        raise InputError("there is nobody to add", hint="name them with --recipient or --recipients-file")
    keyring = keyring_of(identity, passphrase=passphrase)
    if keyring is None:
        raise InputError("only who can open the archive can add recipients", hint="--identity FILE, or --passphrase")
    with open_archive(archive) as opened:
        size = opened.size
    with output.progress("proving", size, quiet=quiet) as advance:
        root = rekey(archive, added, keyring, progress=advance)
    if as_json:
        output.as_json({"path": archive, "root": root.hex(), "added": len(added)})
    elif not quiet:
        what = count_text(len(added), "recipient")
        hint = f"tokar keys {names.typed(archive)} lists all"
        output.note(f"added {what} to {names.printable(archive)}; {hint}")
