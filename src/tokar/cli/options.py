"""What several verbs share: options, and opening archives so that every error says which one it is about."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final, NoReturn

import typer

from tokar import names
from tokar.cli import completion, output
from tokar.errors import ArchiveError, ExistingFileError, FormatError, InputError, LockedError, StorageError
from tokar.words import some

if TYPE_CHECKING:
    from tokar.format.archive import Archive
    from tokar.format.encryption import Keyring
    from tokar.server.deadline import Deadlines
    from tokar.storage.sink import FileSink
    from tokar.trust.signatures import AcceptedSignature, AllowedSigners, Signer

ArchivePath = Annotated[
    Path, typer.Argument(metavar="ARCHIVE", help="The archive; - for standard input.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value instead of text.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress and no remarks.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the file if it is there, once the new one is complete.")]

To = Annotated[
    list[str] | None,
    typer.Option(
        "--to",
        autocompletion=completion.places,
        metavar="TOKEN=PATH|NAME=PATH",
        help="Where a token, or one file, goes. dir:PATH or a trailing separator means a directory, file:PATH a file.",
    ),
]
Locations = Annotated[
    Path | None, typer.Option(help="A file with locations: a raw list as the API returned it, or TOML.")
]
Maps = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="PREFIX=DIR", help="What a path of another machine stands for here."),
]


Sign = Annotated[
    list[str] | None,
    typer.Option(
        "--sign",
        metavar="KEY",
        help="Sign the archive by ssh-keygen when it is sealed: a private key, or a public key whose private half an "
        "agent or a hardware token has; may be repeated.",
    ),
]
SignedBy = Annotated[
    Path | None,
    typer.Option(
        "--signed-by",
        metavar="FILE",
        help="Refuse archives that nobody signed of this list of allowed signers (ssh-keygen(1)). "
        "[default: the list that TOKAR_SIGNERS names]",
    ),
]
Revoked = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Keys that are not allowed any more, whoever lists them: public keys, or a KRL."),
]
AcceptUnsigned = Annotated[
    bool, typer.Option("--accept-unsigned", help="Ask for no signature this time, although TOKAR_SIGNERS is set.")
]


SIGNERS_VARIABLE: Final = "TOKAR_SIGNERS"
"""Names the list of allowed signers that is asked where no option names one."""

Deadline = Annotated[
    float | None,
    typer.Option(
        min=0.1,
        metavar="SECONDS",
        help="How long one call of the server may take; a stuck call ends in an error. [default: generous]",
    ),
]
_LONGEST_DEADLINE: Final = 1_000_000
_HANDED_OVER: Final = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")  # what shells write for the pipe of <(...)


def make_signer(keys: Sequence[str] | None) -> Signer | None:
    """Return who signs with some keys; None without any.

    Raises:
        InputError: A variable that names them is empty.
    """
    if not keys:
        demand_not_empty("SIGN")
        return None
    from tokar.trust.signatures import Signer  # noqa: PLC0415 - options alone load little

    return Signer(keys, waiting=output.note)


def allowed_signers(
    signed_by: Path | None, revoked: Path | None, *, accept_unsigned: bool, quiet: bool
) -> AllowedSigners | None:
    """Return those of whom one must have signed, by option or by the policy of this machine; None for anybody.

    Args:
        signed_by: The list.
        revoked: Keys that are not allowed any more.
        accept_unsigned: Whether the policy is not asked this time.
        quiet: Whether it is not said who signed.

    Raises:
        InputError: The options contradict each other, or the policy names nothing.
        StorageError: A list cannot be read.
        SigningError: There is no ssh-keygen.
    """
    policy = os.environ.get(SIGNERS_VARIABLE)
    if accept_unsigned and (signed_by or revoked):
        raise InputError("--accept-unsigned goes neither with --signed-by nor with --revoked")
    if policy is not None and accept_unsigned:
        output.note(f"warning: {SIGNERS_VARIABLE} asks for a signature, and --accept-unsigned passes that over")
        return None
    if signed_by is None and policy == "":
        raise InputError(f"{SIGNERS_VARIABLE} is empty", hint="let it name a list of allowed signers, or unset it")
    path = signed_by or (Path(policy) if policy else None)
    if path is None:
        if revoked is not None:
            raise InputError("--revoked goes with --signed-by, or with TOKAR_SIGNERS")
        return None
    from tokar.trust.signatures import AllowedSigners  # noqa: PLC0415 - options alone load little

    return AllowedSigners(path, revoked=revoked, report=None if quiet else _name_signer)


def demand_not_empty(word: str) -> None:
    """Check that no variable for an option is there and empty: what it was to protect must not be made without.

    Args:
        word: The end of its name.

    Raises:
        InputError: One is.
    """
    for name, value in os.environ.items():
        if name.startswith("TOKAR_") and name.endswith(f"_{word}") and not value.strip():
            raise InputError(f"{name} is empty", hint="give it a value, or unset it")


def signature_lines(signatures: Iterable[dict[str, Any]], accepted: dict[str, Any] | None) -> Iterator[str]:
    """Yield what is said of the signatures of an archive, given as values for JSON."""
    if accepted is not None:
        principal, key = names.printable(accepted["principal"]), names.printable(accepted["key_type"])
        yield f"signed by {principal} ({key} {accepted['fingerprint']}, {accepted['where']})"
        return
    for one in signatures:
        what = names.printable(one["damage"] or f"by {one['key_type']} {one['fingerprint']}; not judged (--signed-by)")
        yield f"{one['where']} signature {what}"


def _name_signer(found: AcceptedSignature) -> None:
    output.note(f"{names.printable(found.archive)}: {found}")


def deadlines_of(seconds: float | None) -> Deadlines:
    """Return how long calls may take.

    Raises:
        InputError: It is too long, or no number.
    """
    from tokar.server.deadline import Deadlines  # noqa: PLC0415 - options alone load little

    if seconds is None:
        return Deadlines()
    if not seconds <= _LONGEST_DEADLINE:  # nor what is no number
        raise InputError(f"--deadline takes at most {_LONGEST_DEADLINE} seconds")
    # how long a process takes to start has nothing to do with the server
    return Deadlines(call=seconds, first_read=seconds, read=seconds, end=seconds)


@contextmanager
def stream_of(path: str) -> Iterator[BinaryIO | None]:
    """Give the stream that a path stands for: `-`, or a pipe that a shell hands over; None for any other path.

    Raises:
        StorageError: Standard input is closed.
        InputError: It was asked for before.
    """
    if path == "-":
        yield output.standard_input()
    elif path.startswith(_HANDED_OVER) and stat.S_ISFIFO(os.stat(path).st_mode):  # noqa: PTH116 - text
        with open(path, "rb") as pipe:  # noqa: PTH123 - the same
            yield pipe
    else:
        yield None


@contextmanager
def local_file(path: str) -> Iterator[str]:
    """Give the path of a file that can be read anywhere: what comes from a pipe is copied to a temporary file first.

    Raises:
        StorageError: Standard input cannot be read, or there is no room for it.
        InputError: It was asked for before.
    """
    with stream_of(path) as stream:
        if stream is None:
            yield path
            return
        from tokar.storage.sink import spooled  # noqa: PLC0415 - only pipes need it

        with spooled(stream) as copy:
            output.call(str(copy), path)
            yield str(copy)


@contextmanager
def open_given(path: str, keyring: Keyring | None = None) -> Iterator[Archive]:
    """Open an archive as `open_archive` does; `-` is standard input, and called that in every error.

    Args:
        path: The archive.
        keyring: What opens encrypted content.

    Raises:
        StorageError: It cannot be read.
        FormatError: As for `open_archive`.
    """
    shown = "standard input" if path == "-" else None
    with local_file(path) as real, open_archive(real, shown=shown, keyring=keyring) as opened:
        yield opened


@contextmanager
def open_archive(path: Path | str, *, shown: str | None = None, keyring: Keyring | None = None) -> Iterator[Archive]:
    """Open an archive, and name it in every error of the format that the block raises.

    Args:
        path: The archive.
        shown: What messages call it, where its path would mean nothing to a person.
        keyring: What opens encrypted content.

    Raises:
        StorageError: It cannot be read.
        FormatError: It is no archive, unsealed, damaged or needs a newer reader.
        LockedError: It is encrypted, and nothing in the ring opens it.
    """
    from tokar.format.archive import Archive  # noqa: PLC0415 - options alone load little

    with named(shown or path, always=shown is not None), Archive(path, keyring) as archive:
        yield archive


@contextmanager
def named(path: Path | str, *, always: bool = False) -> Iterator[None]:
    """Name an archive in every error of the format that the block raises.

    Args:
        path: What to name.
        always: Whether to replace the path that an error has.

    Raises:
        FormatError: The error, with a path.
        LockedError: As above.
    """
    try:
        yield
    except (FormatError, LockedError) as error:
        if error.path is None or always:
            error.path = path
        raise


def end_with_json(value: dict[str, Any], error: ArchiveError) -> NoReturn:
    """Print one JSON value of what is known and the error that ends the command, and end it.

    Raises:
        typer.Exit: With the exit code of the error.
    """
    output.as_json({**value, "error": output.error_json(error)})
    output.report(error)
    raise typer.Exit(error.exit_code) from error


def demand_not_printed_into(paths: Iterable[str]) -> None:
    """Check that nothing that is printed leads into one of several files, before anything is printed about the first.

    Raises:
        OverwritesInputError: Something does.
    """
    from tokar.storage.bytesource import demand_no_output  # noqa: PLC0415 - options alone load little

    for path in paths:
        with suppress(OSError):
            demand_no_output(os.stat(path))  # noqa: PTH116 - text, as it was given


def archive_sink(out: Path | str, *, force: bool, reads: Sequence[Path | str]) -> FileSink:
    """Return a sink for an archive.

    Args:
        out: The archive to make.
        force: Whether a file of that name may be replaced. A database or a log never is: the arguments were swapped.
        reads: What it is made from.

    Raises:
        ExistingFileError: The name is taken.
        InputError: It has the name of what lies beside an archive; or a file of an engine, or what is read, would be
            replaced.
    """
    from tokar.sets.receipt import demand_archive_name  # noqa: PLC0415 - options alone load little
    from tokar.storage.sink import FileSink  # noqa: PLC0415

    demand_archive_name(Path(out))
    if force:
        from tokar.restore.inventory import engine_file  # noqa: PLC0415

        with suppress(StorageError):
            if kind := engine_file(Path(out)):
                message = f"a {kind} has this name, and would be replaced by an archive"
                raise InputError(message, path=out, hint="is it where the archive is to go? then move it away first")
    return FileSink(out, replace=force, reads=reads)


@contextmanager
def writing_file(target: Path | str) -> Iterator[None]:
    """Say of a name that is taken what that means for a file that is no archive.

    Raises:
        StorageError: It is a directory.
        ExistingFileError: The name is taken.
    """
    if os.path.isdir(target):  # noqa: PTH112 - text
        raise StorageError("it is a directory", path=target, hint="name a file with --output")
    try:
        yield
    except ExistingFileError as error:
        if os.path.isfile(target):  # noqa: PTH113
            error.message, error.hint = "a file is there already", "choose another name with --output, or pass --force"
        raise


def name_leftovers(*folders: Path | str) -> None:
    """Say what runs that died left in folders that are about to be written to, or were."""
    gone: list[tuple[str, str]] = []
    for folder in dict.fromkeys(map(str, folders)):
        with suppress(OSError, StorageError):
            with os.scandir(folder) as entries:
                is_likely = any(one.name.startswith(".") for one in entries)
            if is_likely:
                from tokar.restore.leftovers import Owner, find_leftovers  # noqa: PLC0415 - loads much, rarely needed

                found = find_leftovers(Path(folder))
                gone += [(one.path.name, folder) for one in found if one.owner is Owner.GONE]
    if gone:
        name, folder = gone[0]
        more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        command = f"tokar clean {names.typed(folder)}"
        output.note(f"left over of a run that died: {names.printable(name)}{more}; to list and remove: {command}")


def name_beside(files: Sequence[str]) -> None:
    """Say which files of an engine lie beside archives in a folder: the archives alone are taken."""
    if files:
        it = "it" if len(files) == 1 else "them"
        listed = names.printable(some(files))
        output.note(f"takes no part beside archives: {listed}; name {it}, or put {it} into a folder of its own")
