"""An archive that is there more than once: where one file of it is damaged, another is read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from tokar.errors import ArchiveError, DigestMismatchError, FormatError
from tokar.format.archive import Archive
from tokar.format.entry_reader import Chunk
from tokar.format.index import Entry


class TwinArchive(Archive):
    """An archive of which copies are there, known by their id and root. Content comes from the first that is whole.

    Args:
        path: The archive.
        copies: The other files.

    Raises:
        ArchiveError: It cannot be opened; see `Archive`.
    """

    def __init__(self, path: Path, copies: Sequence[Path]) -> None:
        self._copies = copies
        self._process = os.getpid()
        self.met: FormatError | None = None  # What is wrong with it where a copy was read
        super().__init__(path)

    def chunks(self, entry: Entry) -> Iterator[Chunk]:
        """Yield the whole content of an entry; see `Archive.chunks`. Chunks of one root are the same in every copy.

        Raises:
            FormatError: The entry is damaged in all of them, or in a forked copy of the process, of which nobody would
                hear.
        """
        count = 0
        try:
            for chunk in super().chunks(entry):
                yield chunk
                count += 1
        except DigestMismatchError:  # the chunks are as they were written, here as there
            raise
        except FormatError as error:
            if os.getpid() != self._process:
                raise
            yield from self._rest(entry, count, error)

    def _rest(self, entry: Entry, count: int, error: FormatError) -> Iterator[Chunk]:
        """Yield the chunks from a number on, from the first copy that has them."""
        for path in self._copies:
            with suppress(ArchiveError), Archive(path) as twin:
                if (twin.id, twin.root) != (self.id, self.root):
                    continue
                if self.key is not None and not self.is_locked:
                    twin.use_key(self.key)
                for chunk in islice(twin.chunks(entry), count, None):
                    yield chunk
                    count += 1
                self.met = self.met or error
                return
        raise error


def damage_met(archives: Iterable[Archive]) -> list[ArchiveError]:
    """Return what is wrong with archives in whose place copies were read."""
    return [one.met for one in archives if isinstance(one, TwinArchive) and one.met is not None]
