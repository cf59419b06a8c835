"""The facts of files that lie in a folder, in no archive."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tokar import names
from tokar.errors import StorageError
from tokar.ese.inspect import inspect_file
from tokar.sets.read import SetFile, SetReader
from tokar.storage.bytesource import FileSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokar.sets.facts import SetFacts


def facts_of_folder(
    path: Path | str, *, examine: bool = False, progress: Callable[[int], None] | None = None
) -> SetFacts:
    """Return what the files in a folder and its subfolders say of themselves. Links are not followed.

    Args:
        path: The folder.
        examine: Whether to check all pages and log segments as well.
        progress: Called with the bytes of each file that is done.

    Raises:
        StorageError: The folder or a file in it cannot be read.
    """
    reader = SetReader(examine=examine)
    for full, name, size in _walk(Path(path)):
        file = SetFile(name=names.printable(name), size=size)
        if reader.wants(file):
            with FileSource(full) as source:
                reader.add(file, inspect_file(source, examine=examine))
        if progress is not None:
            progress(size)
    return reader.facts(str(path))


def _walk(folder: Path) -> Iterator[tuple[str, str, int]]:
    """Yield path, relative name with `/`, and size of every regular file, in the order of names."""
    with _storage_errors(folder):
        found = [
            Path(parent, name)
            for parent, _, leaves in os.walk(folder, onerror=_raise)
            for name in leaves
            if not os.path.islink(os.path.join(parent, name))  # noqa: PTH114, PTH118 - names that are no text
        ]
        files = [(path, path.stat().st_size) for path in found if path.is_file()]
    for path, size in sorted(files):
        yield str(path), path.relative_to(folder).as_posix(), size


def _raise(error: OSError) -> None:
    raise error


@contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot read it: {error.strerror}", path=error.filename or path) from error
