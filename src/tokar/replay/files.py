"""The files of sets on disk or in archives, opened when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cache, cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Self

from tokar.ese.content_facts import PageFaultKind
from tokar.format.archive import Archive
from tokar.format.encryption import Keyring
from tokar.sets.backup_set import BackupSet, Located, open_again
from tokar.sets.facts import DatabaseFacts, FileFacts, LogFacts, SetFacts
from tokar.sets.read import facts_of_archive
from tokar.storage.bytesource import ByteSource, FileSource
from tokar.trust.signatures import AllowedSigners

_Key = tuple[str, int | None, int, bytes | None]
LeftFile = tuple[DatabaseFacts | LogFacts, str]
"""A file that is left out, with the reason."""


class SetFiles:
    """What the files of archives and of folders say, and the files themselves. A context manager."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._log = self._stack.enter_context(ExitStack())  # the one that is open; they are read one after the other
        self._openers: list[Callable[[FileFacts], ByteSource]] = []  # One for the files of each set
        self._opened: dict[_Key, ByteSource] = {}
        self._facts: list[SetFacts] = []
        self.archives: list[Archive] = []
        self.folders: set[Path] = set()  # Where files lie that are in no archive
        self.server_folders: list[str] = []  # Where the archives say that their files lay on the server
        self.unused: Sequence[str] = ()  # Sets that take no part, as messages name them
        self.left_out: Sequence[LeftFile] = ()  # Databases and logs that are not taken
        self._chosen: SetFacts | None = None

    @property
    def facts(self) -> SetFacts:
        """What all files say, as one set; of what was chosen of them, where that was."""
        if self._chosen is not None:
            return self._chosen
        return self._facts[0] if len(self._facts) == 1 else joined_facts(self._facts)

    def choose(self, facts: SetFacts, left_out: Sequence[LeftFile]) -> None:
        """Take no more of the files than these facts are of; `left_out` are others beside them, with the reason."""
        self._chosen, self.left_out = facts, left_out

    def take_archive(
        self, path: Path, keyring: Keyring | None = None, signers: AllowedSigners | None = None
    ) -> SetFacts:
        """Add an archive, of which all content is read; return what its files say.

        Args:
            path: The archive.
            keyring: What opens it, if it is encrypted.
            signers: Those of whom one must have signed it.

        Raises:
            NotSignedError: None of them did.
            ArchiveError: It cannot be read.
        """
        archive = self._stack.enter_context(Archive(path, keyring))
        if signers is not None:
            signers.demand(archive)
        archive.demand_key()
        self.archives.append(archive)
        return self._take(facts_of_archive(archive, examine=True), open_in(archive))

    def take_again(self, found: BackupSet, keyring: Keyring | None = None) -> None:
        """Add an archive whose content was read before; it is opened with the first of its files."""

        @cache
        def archive() -> Archive:
            again = self._stack.enter_context(open_again(found))
            if keyring is not None:
                again.unlock(keyring)
            return again

        def open_file(one: FileFacts) -> ByteSource:
            return open_in(archive())(one)

        self._take(found.facts, open_file)

    def take_files(self, facts: SetFacts, files: Sequence[Located]) -> SetFacts:
        """Add files as they lie, which are found by their numbers; return what they say."""
        self.folders.update(map(Path, {os.path.dirname(one.path) for one in files}))  # noqa: PTH120 - very many

        def open_file(one: FileFacts) -> ByteSource:
            assert one.number is not None
            if isinstance(one, LogFacts):
                self._log.close()
                return self._log.enter_context(FileSource(files[one.number].path))
            return corrected(self._stack.enter_context(FileSource(files[one.number].path)), one)

        return self._take(facts, open_file)

    def _take(self, facts: SetFacts, open_file: Callable[[FileFacts], ByteSource]) -> SetFacts:
        self._facts.append(facts)
        self._openers.append(open_file)
        return facts

    @cached_property
    def _set_of(self) -> dict[_Key, int]:
        """The set of each file, where there are several."""
        files = ((at, one) for at, facts in enumerate(self._facts) for one in (*facts.databases, *facts.logs))
        return {_key_of(one): at for at, one in files}

    def open(self, facts: FileFacts) -> ByteSource:
        """Return the content of a file: of a database, opened once; of a log, until the next one is opened."""
        key = _key_of(facts)
        open_file = self._openers[self._set_of[key] if len(self._openers) > 1 else 0]
        if isinstance(facts, LogFacts):
            return open_file(facts)
        if key not in self._opened:
            self._opened[key] = open_file(facts)
        return self._opened[key]

    def close(self) -> None:
        """Close all files, which nobody may open again; a second call does nothing."""
        self._stack.close()
        self._openers.clear()  # they hold this, and what the files say

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _key_of(facts: FileFacts) -> _Key:
    """Return what tells a file: two that share it are one in two archives."""
    return facts.name, facts.number, facts.size, facts.digest


def open_in(archive: Archive) -> Callable[[FileFacts], ByteSource]:
    """Return what opens a file of an archive by its facts."""

    def open_file(facts: FileFacts) -> ByteSource:
        assert facts.number is not None
        return corrected(archive.entry_source(archive.entry(facts.number)), facts)

    return open_file


def corrected(source: ByteSource, facts: FileFacts) -> ByteSource:
    """Return a database with the flipped bits put right that its checksums locate, as the engine does."""
    pages = facts.pages if isinstance(facts, DatabaseFacts) else None
    if pages is None or not pages.correctable:
        return source
    faults = [one for one in pages.faults if one.kind is PageFaultKind.CORRECTABLE]
    bits = [divmod(one.offset * 8 + bit, 8) for one in faults for bit in one.bits]
    return _CorrectedSource(source, sorted(bits))


class _CorrectedSource:
    """Bytes with some bits flipped.

    Args:
        source: The bytes.
        flips: Offset of a byte, and the bit in it.
    """

    def __init__(self, source: ByteSource, flips: Sequence[tuple[int, int]]) -> None:
        self._source = source
        self._flips = flips

    @property
    def size(self) -> int:
        return self._source.size

    def read(self, offset: int, size: int) -> bytes:
        data = bytearray(self._source.read(offset, size))
        for at, bit in self._flips:
            if offset <= at < offset + len(data):
                data[at - offset] ^= 1 << bit
        return bytes(data)


def joined_facts(found: Sequence[SetFacts]) -> SetFacts:
    """Return the facts of several sets as those of one."""
    if not found:
        return SetFacts()

    def every(name: str) -> Any:
        return tuple(chain.from_iterable(getattr(one, name) for one in found))

    return replace(
        found[0],
        databases=every("databases"),
        logs=tuple(sorted(every("logs"), key=lambda log: (log.generation or 0, log.name))),
        patches=every("patches"),
        next_logs=every("next_logs"),
        checkpoints=every("checkpoints"),
        flush_maps=every("flush_maps"),
        links=every("links"),
    )
