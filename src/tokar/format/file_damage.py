"""Damage of FILE records that is met while content is read."""

from __future__ import annotations

import os
from pathlib import Path

from tokar.errors import ArchiveError, FormatError, worst_of
from tokar.format.entry_reader import EntryReader, EntryRecords
from tokar.format.index import Entry


class FileDamage:
    """What was found wrong with FILE records while content was read: no file needs them, the index says the same.

    Only the worst is kept: there may be as many as there are files.
    """

    def __init__(self) -> None:
        self.worst: ArchiveError | None = None
        self._process = os.getpid()

    def look(self, reader: EntryReader, entry: Entry, found: EntryRecords, path: Path | str | None) -> None:
        """Read FILE of an entry, and note what is wrong.

        Raises:
            FormatError: That is noted in a forked copy of the process, of which nobody would hear.
        """
        try:
            reader.demand_file(entry, found)
        except FormatError as error:
            error.path = error.path or path
            if os.getpid() != self._process:
                raise
            self.worst = error if self.worst is None else worst_of((self.worst, error))
