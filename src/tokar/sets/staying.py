"""Logs that lie in a log directory and stay there, which recovery meets beside those that are placed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tokar import names
from tokar.ese.inspect import inspect_file
from tokar.sets.facts import SetFacts
from tokar.sets.read import SetFile, SetReader
from tokar.storage.bytesource import FileSource


def facts_of_logs(paths: Iterable[Path]) -> SetFacts:
    """Return what logs on disk say of themselves, all of their content examined.

    Raises:
        StorageError: One cannot be read.
    """
    reader = SetReader(examine=True)
    for path in paths:
        with FileSource(path) as source:
            file = SetFile(name=names.printable(path.name), size=source.size)
            if reader.wants(file):
                reader.add(file, inspect_file(source, examine=True))
    return reader.facts()
