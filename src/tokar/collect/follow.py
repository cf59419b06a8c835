"""Follows pages through the logs that are archived with them: what that finds no file says alone.

The files themselves are read once more where that costs little, and what changed meanwhile proves nothing.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path

from blake3 import blake3

from tokar.collect.found import Candidate, FileState, digest_of, hides_changes
from tokar.errors import ArchiveError
from tokar.ese.content_facts import LogReport
from tokar.ese.inspect import Inspection
from tokar.format.index import Entry
from tokar.format.writer import ArchiveWriter
from tokar.replay import MOST_LOGS
from tokar.sets.compared import with_states_compared
from tokar.sets.facts import ChainFacts, FileFacts, SetFacts
from tokar.sets.read import SetFile, SetReader
from tokar.storage.bytesource import ByteSource, FileSource, open_file
from tokar.tokens import Role, role


class ArchivedFiles:
    """What the files of a set say of themselves, noted while they are archived.

    Args:
        profile: The profile of their tokens.
    """

    def __init__(self, profile: str) -> None:
        self._reader: SetReader | None = SetReader(examine=True, profile=profile)
        self._keyed: dict[int, Entry] = {}  # Encrypted entries: their digests say nothing without the key
        self._log_size = 0

    def add(self, file: SetFile, added: Entry, seen: Inspection) -> None:
        """Note what a file says of itself; nothing more once there is too much to follow."""
        if self._reader is None:
            return
        file = replace(file, number=added.number, digest=None if added.key is not None else added.digest)
        if self._reader.wants(file):
            self._reader.add(file, seen)
            if added.key is not None:
                self._keyed[added.number] = added
        self._log_size += file.size * isinstance(seen.report, LogReport)
        if self._log_size > MOST_LOGS:
            self._reader = None
            self._keyed.clear()

    def chains(self, candidates: Sequence[Candidate]) -> dict[int, ChainFacts]:
        """Return what following the pages of each database came to, by its entry; nothing where nobody did.

        It is asked for once, and nothing is kept then.

        Args:
            candidates: The files, in the order of their entries.
        """
        facts = self._reader.facts() if self._reader is not None else SetFacts()
        self._reader = None
        files = (*facts.databases, *facts.logs)
        if not facts.databases or any((one.number or 0) >= len(candidates) for one in files):
            return {}
        with suppress(ArchiveError, OSError, MemoryError):  # nothing is lost but what could be found
            found = followed(facts, candidates)
            if not facts.logs or all(self._is_same(one, candidates) for one in files):
                return chains_of(found)
        return {}

    def _is_same(self, facts: FileFacts, candidates: Sequence[Candidate]) -> bool:
        """Return whether a file is still what was archived."""
        assert facts.number is not None
        one, keyed = candidates[facts.number], self._keyed.get(facts.number)
        hasher, digest = (blake3(), facts.digest) if keyed is None else (keyed.hasher(), keyed.digest)
        with io.FileIO(open_file(one.path)) as file:
            same = FileState.of(os.fstat(file.fileno())) == one.state
            return same and (
                not hides_changes(one.state.device, one.path) or digest_of(file.fileno(), hasher) == digest
            )


def followed(facts: SetFacts, files: Sequence[Candidate]) -> SetFacts:
    """Return the facts of files as they lie, with what following the pages of each database found.

    Copies of a log that was being written are compared before, as by whoever judges: of two histories none is followed.

    Args:
        facts: What the files say.
        files: Where they are, by their numbers.

    Raises:
        StorageError: A file cannot be read.
    """
    from tokar.replay.chains import with_chains  # noqa: PLC0415 - loads numpy
    from tokar.replay.files import SetFiles  # noqa: PLC0415 - loads much

    (facts,) = with_states_compared([facts], lambda _, log: FileSource(files[log.number or 0].path))
    with SetFiles() as opened:
        opened.take_files(facts, files)
        return with_chains(facts, opened.open)


class StoredFiles:
    """The files of a set that are stored and gone: what follows from all of them is read back from the archive.

    Args:
        writer: Of the archive, which is not sealed yet.
        path: Where it lies.
    """

    def __init__(self, writer: ArchiveWriter, path: Path) -> None:
        self._writer = writer
        self._path = path
        self._entries: list[Entry] | None = []
        self._log_size = 0

    def add(self, entry: Entry) -> None:
        """Note the next entry; none any more once there is too much to follow."""
        self._log_size += entry.size * (role(entry.token) is Role.LOG)
        if self._entries is not None and self._log_size <= MOST_LOGS:
            self._entries.append(entry)
        else:
            self._entries = None

    def followed(self, facts: SetFacts) -> SetFacts:
        """Return the facts of these files, with what following the pages of each database found.

        Nobody follows where that takes long, and what cannot be read back is not followed: whoever judges says so.

        Raises:
            StorageError: The archive cannot be written.
        """
        entries, self._entries = self._entries, None
        if entries is None or not facts.databases or sum(one.size for one in facts.logs) > MOST_LOGS:
            return facts
        from tokar.replay.chains import with_chains  # noqa: PLC0415 - loads numpy
        from tokar.replay.files import corrected  # noqa: PLC0415 - loads much

        self._writer.flush()
        with suppress(ArchiveError, OSError, MemoryError), FileSource(self._path) as source:

            def open_file(one: FileFacts) -> ByteSource:
                assert one.number is not None
                return corrected(self._writer.stored(source, entries[one.number]), one)

            (compared,) = with_states_compared([facts], lambda _, log: nullcontext(open_file(log)))
            return with_chains(compared, open_file)
        return facts


def chains_of(facts: SetFacts) -> dict[int, ChainFacts]:
    """Return what following the pages of each database found, by its entry; of temporary ones nothing can be."""
    return {one.number: one.chain for one in facts.databases if one.number is not None and one.chain is not None}
