"""Opening archives for the verbs, so that every error says which archive it is about."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tokar.errors import FormatError
from tokar.format.archive import Archive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
