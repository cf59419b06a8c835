"""What several verbs share: options, and opening archives so that every error says which one it is about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from tokar import names
from tokar.cli import output
from tokar.errors import ArchiveError, FormatError, StorageError

if TYPE_CHECKING:
    from tokar.format.archive import Archive

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


@contextmanager
def local_file(path: str) -> Iterator[str]:
    """Give the path of a file that can be read anywhere: `-` is copied from standard input to a temporary file first.

    Raises:
        StorageError: Standard input cannot be read, or there is no room for it.
    """
    if path != "-":
        yield path
        return
    import shutil  # noqa: PLC0415 - only pipes need it
    import tempfile  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="tokar-") as folder:
        copy = Path(folder, "standard input")
        try:
            with copy.open("xb") as file:
                shutil.copyfileobj(output.standard_input(), file, 1 << 20)
        except OSError as error:
            hint = "it is copied first; TMPDIR says where to"
            raise StorageError(f"cannot copy standard input: {error.strerror}", path=copy, hint=hint) from error
        yield str(copy)


@contextmanager
def open_archive(path: Path | str, *, shown: str | None = None) -> Iterator[Archive]:
    """Open an archive, and name it in every error of the format that the block raises.

    Args:
        path: The archive.
        shown: What messages call it, where its path would mean nothing to a person.

    Raises:
        StorageError: It cannot be read.
        FormatError: It is no archive, unsealed, damaged or needs a newer reader.
    """
    from tokar.format.archive import Archive  # noqa: PLC0415 - options alone load little

    with named(shown or path, always=shown is not None), Archive(path) as archive:
        yield archive


@contextmanager
def named(path: Path | str, *, always: bool = False) -> Iterator[None]:
    """Name an archive in every error of the format that the block raises.

    Args:
        path: What to name.
        always: Whether to replace the path that an error has.

    Raises:
        FormatError: The error, with a path.
    """
    try:
        yield
    except FormatError as error:
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


def name_leftovers(out: Path | str) -> None:
    """Say which temporary files lie beside a file that is about to be written, of runs that died."""
    from tokar.storage.sink import temporary_files  # noqa: PLC0415 - options alone load little

    folder = Path(out).parent
    try:
        if not temporary_files(folder):
            return
        from tokar.restore.leftovers import Owner, find_leftovers  # noqa: PLC0415 - loads much, and is rarely needed

        gone = [one.path.name for one in find_leftovers(folder) if one.owner is Owner.GONE]
    except StorageError:
        return
    if gone:
        more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        command = f"tokar clean {names.printable(str(folder))}"
        output.note(f"left over of a run that died: {names.printable(gone[0])}{more}; to list and remove: {command}")
