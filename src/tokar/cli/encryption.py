"""What several verbs share about encryption: for whom content is encrypted, and what opens it."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tokar.cli.options import demand_not_empty
from tokar.errors import InputError

if TYPE_CHECKING:
    from tokar.trust.recipients import Identities, Recipients

ASKED_IN: Final = "TOKAR_PASSPHRASE"

RecipientTexts = Annotated[
    list[str] | None,
    typer.Option(
        "--recipient",
        metavar="R",
        help="Encrypt content for this recipient: age1..., or a public SSH key; may be repeated. "
        "Whoever loses every identity loses the content.",
    ),
]
RecipientFiles = Annotated[
    list[Path] | None,
    typer.Option("--recipients-file", metavar="FILE", help="Recipients, one a line; may be repeated."),
]
NewPassphrase = Annotated[
    bool,
    typer.Option("--passphrase", help=f"Encrypt content for a passphrase: it is asked for, or taken from {ASKED_IN}."),
]
IdentityFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--identity",
        metavar="FILE",
        help="What opens encrypted content: an identity file of age, or a private SSH key; may be repeated.",
    ),
]
Passphrase = Annotated[
    bool,
    typer.Option("--passphrase", help=f"Open with a passphrase: it is asked for, or taken from {ASKED_IN}."),
]


def recipients_of(texts: list[str] | None, files: list[Path] | None, *, passphrase: bool) -> Recipients | None:
    """Return those for whom content is encrypted; None where nobody was named.

    Raises:
        InputError: A text is no recipient, there is no passphrase, or a variable that names recipients is empty.
        StorageError: A file cannot be read.
        MissingExtraError: The extra `trust` is not installed.
    """
    if not (texts or files or passphrase):
        demand_not_empty("RECIPIENT")
        demand_not_empty("RECIPIENTS_FILE")
        return None
    from tokar.trust.recipients import Recipients  # noqa: PLC0415 - only who encrypts needs it

    found = [*(texts or ()), *(line for path in files or () for line in Recipients.lines(path))]
    words = _passphrase(again=True) if passphrase else ""  # before anything is read or written
    return Recipients(found, passphrase=(lambda: words) if passphrase else None)


def keyring_of(files: list[Path] | None, *, passphrase: bool) -> Identities | None:
    """Return what opens archives; None where nothing was named.

    Raises:
        InputError: A file holds no identity.
        StorageError: It cannot be read.
        MissingExtraError: The extra `trust` is not installed.
    """
    if not (files or passphrase):
        return None
    from tokar.trust.recipients import Identities  # noqa: PLC0415 - only who opens something needs it

    return Identities(files or (), passphrase=_passphrase if passphrase else None)


def _passphrase(*, again: bool = False) -> str:
    """Return the passphrase.

    Raises:
        InputError: There is none, or nobody can be asked.
    """
    words = os.environ.get(ASKED_IN)
    if words is None:
        if not sys.stdin.isatty():
            hint = f"put it into the variable {ASKED_IN}; it is never taken from the command line"
            raise InputError("there is no terminal to ask for the passphrase", hint=hint)
        words = _asked("passphrase: ")
        if again and _asked("the same again: ") != words:
            raise InputError("the two passphrases are not the same")
    if not words:
        raise InputError("the passphrase is empty")
    return words


def _asked(prompt: str) -> str:
    try:
        return getpass.getpass(prompt, sys.stderr)
    except EOFError as error:
        raise InputError("no passphrase was given") from error
    except UnicodeDecodeError as error:
        hint = f"does the terminal send {error.encoding}? or put it into the variable {ASKED_IN}"
        raise InputError("what was typed is no text", hint=hint) from error
