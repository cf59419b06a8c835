"""`tokar keys`: who can open an archive, as far as it says so itself."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tokar import names
from tokar.cli import output
from tokar.cli.options import Json, open_given
from tokar.cli.several import Answers
from tokar.trust.rekeying import key_files

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def keys(
    archives: Annotated[list[str], typer.Argument(metavar="ARCHIVE...", help="Archives; - for standard input.")],
    *,
    as_json: Json = False,
) -> None:
    """List the kinds of the recipients of archives: an archive does not say who they are.

    `X25519` is an age1... recipient, `ssh-ed25519` and `ssh-rsa` are SSH keys, `scrypt` is a passphrase.

    Example: tokar keys full.tokar
    Example: tokar keys full.tokar monday.tokar --json
    """
    answers = Answers(as_json=as_json)
    for path in archives:
        with answers.of(path=path), open_given(path) as archive:
            encryption = archive.head.encryption
            found = [] if encryption is None else key_files(archive)
            answer: dict[str, Any] = {
                "path": path,
                "encrypted": encryption is not None,
                "key_id": None if encryption is None else encryption.key_id.hex(),
                "keys": [{"where": one.where, "kinds": one.kinds, "fault": one.fault} for one in found],
            }
            answers.add(answer)
            if not as_json:
                _print(answer)
    answers.end()


def _print(answer: dict[str, Any]) -> None:
    path = names.printable(answer["path"])
    if not answer["encrypted"]:
        output.line(f"{path}: not encrypted: anyone can read it")
        return
    output.line(f"{path}: encrypted, key {answer['key_id']}")
    for one in answer["keys"]:
        output.line(f"  {one['where']:<10}  {', '.join(map(names.printable, one['kinds'])) or one['fault']}")
