"""Options of sources on the network: who logs on, with which password, and what is noted of it.

A password is never an argument: it is asked for, or comes from a variable of the environment or a file descriptor.
"""

from __future__ import annotations

import getpass
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from tokar import names
from tokar.cli import output
from tokar.errors import ExistingFileError, InputError, StorageError

_LONGEST_PASSWORD: Final = 4096
_WAYS: Final = "--password-env NAME or --password-fd N takes it from elsewhere"


class Auth(StrEnum):
    """How to log on."""

    NEGOTIATE = "negotiate"
    KERBEROS = "kerberos"
    NTLM = "ntlm"


User = Annotated[
    str | None,
    typer.Option(
        metavar="ACCOUNT",
        help="Log on to the server as DOMAIN\\USER or USER@REALM; without it, by the Kerberos ticket, or on Windows as "
        "whoever runs this.",
    ),
]
PasswordEnv = Annotated[
    str | None,
    typer.Option("--password-env", metavar="NAME", help="Take the password from this environment variable."),
]
PasswordFd = Annotated[
    int | None,
    typer.Option("--password-fd", metavar="N", help="Take the password from this file descriptor: its first line."),
]
How = Annotated[Auth | None, typer.Option("--auth", help="How to log on. [default: negotiate]")]
TraceFile = Annotated[
    Path | None,
    typer.Option(
        "--trace", metavar="FILE", help="Write what goes over the wire, without names, passwords and content of files."
    ),
]


@contextmanager
def settings_for(
    *,
    user: str | None,
    password_env: str | None,
    password_fd: int | None,
    auth: Auth | None,
    trace: Path | None,
    takes: frozenset[str],
) -> Iterator[dict[str, Any]]:
    """Give what a source is opened with, as far as something was given.

    Args:
        user: The account.
        password_env: The variable with its password.
        password_fd: The file descriptor with its password.
        auth: How to log on.
        trace: Where a trace is written.
        takes: What the source takes.

    Raises:
        InputError: The source takes no such option, or there is no password.
        ExistingFileError: The trace is there already.
        StorageError: The trace cannot be written.
    """
    given = {"user": user, "password-env": password_env, "password-fd": password_fd, "auth": auth, "trace": trace}
    demand_taken({key for key, value in given.items() if value is not None}, takes)
    settings: dict[str, Any] = {}
    if auth is not None:
        settings["auth"] = auth.value
    if user is not None:
        settings["user"] = _text(user, "the account")
        password = _password(user, password_env, password_fd, auth)
        settings["password"] = None if password is None else _text(password, "the password")
    elif password_env is not None or password_fd is not None:
        raise InputError("a password goes with an account: --user")
    if trace is None:
        yield settings
        return
    if str(trace) == "-":
        raise InputError("a trace goes into a file", hint="--trace FILE")
    try:
        file = trace.open("x", encoding="ascii")
    except FileExistsError:
        raise ExistingFileError("a trace is there already", path=trace, hint="name another file") from None
    except OSError as error:
        raise StorageError(f"cannot write the trace: {error.strerror}", path=trace) from error
    with file:
        yield {**settings, "trace": file}
    output.note(f"the trace is {names.printable(str(trace))}; read it before you send it")


def demand_taken(given: set[str], takes: frozenset[str]) -> None:
    """Check that a source takes the options that were given.

    Raises:
        InputError: It does not.
    """
    for option in sorted(given - takes):
        raise InputError(f"this source takes no --{option}", hint="leave it out; tokar sources lists what each needs")


def _text(given: str, what: str) -> str:
    """Return what was given, if it is text: the system hands over any bytes, and none."""
    if not given:
        raise InputError(f"{what} is empty")
    if any("\ud800" <= character <= "\udfff" for character in given):
        raise InputError(f"{what} is no text in the encoding of this system")
    if any(character in given for character in "\r\n\0"):  # to try it would only bring the account nearer to a lock
        raise InputError(f"{what} has more than one line", hint="leave the end of the line out")
    return given


def _password(user: str, env: str | None, descriptor: int | None, auth: Auth | None) -> str | None:
    """Return the password of an account; None for Kerberos, where none was given: there is a ticket."""
    if env is not None and descriptor is not None:
        raise InputError("--password-env and --password-fd exclude each other")
    if env is not None:
        if env not in os.environ:
            raise InputError(f"there is no environment variable {env}", hint="export it, or let it be asked for")
        return os.environ[env]
    if descriptor is not None:
        return _from_descriptor(descriptor)
    return None if auth is Auth.KERBEROS else _asked_for(user)


def _from_descriptor(descriptor: int) -> str:
    if descriptor in {1, 2}:
        raise InputError("a password is not read from what is written to", hint="--password-fd 0, or 3 and more")
    data = b""
    try:
        if os.isatty(descriptor):
            raise InputError("a terminal would show the password", hint="without --password-fd it is asked for")
        while b"\n" not in data and len(data) <= _LONGEST_PASSWORD:
            part = os.read(descriptor, 1024)
            if not part:
                break
            data += part
        text = data.partition(b"\n")[0].removesuffix(b"\r").decode()
    except OSError as error:
        raise InputError(f"no password can be read from file descriptor {descriptor}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise InputError(f"what file descriptor {descriptor} has is no text in UTF-8") from None
    if not text or len(data) > _LONGEST_PASSWORD:
        raise InputError(f"file descriptor {descriptor} has no password")
    return text


def _asked_for(user: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return getpass.getpass(f"password of {names.printable(user)}: ")
        except (getpass.GetPassWarning, EOFError, OSError):
            raise InputError("there is no terminal to ask for the password", hint=_WAYS) from None
