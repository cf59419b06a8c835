"""Reads files, one after the other, into an archive."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from stat import S_ISREG
from typing import TYPE_CHECKING, Final

from tokar import names
from tokar.collect.examine import BackgroundExaminer, ContentExaminer, Findings, may_be_ese
from tokar.collect.found import BoundedFile, Candidate, FileState, OtherFile, digest_of, hides_changes, settle
from tokar.errors import ArchiveError, FormatError, InputError, SourceChangedError, StorageError, reason_of
from tokar.format.index import Entry
from tokar.format.pipeline import InputStream, WatchedStream
from tokar.format.writer import ArchiveWriter
from tokar.storage.bytesource import OverwritesInputError, demand_no_output

if TYPE_CHECKING:  # loaded with the first file that has facts: plain files have none
    from collections.abc import Sequence

    from tokar.collect.follow import ArchivedFiles
    from tokar.ese.inspect import Inspection
    from tokar.sets.read import SetFile
    from tokar.sets.recorded import FactWriter

SMALL_SIZE: Final = 1 << 16
"""Bytes up to which a file is read in one piece."""
# O_NONBLOCK so that a pipe that took the place of a file does not keep us waiting.
_OPEN_FLAGS: Final = sum(getattr(os, name, 0) for name in ("O_RDONLY", "O_BINARY", "O_CLOEXEC", "O_NONBLOCK"))
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)


class KeptFacts:
    """What was read of files while they were archived: facts of the archive, some of which all files make together.

    Args:
        writer: Of the archive.
        profile: The profile of their tokens.
    """

    def __init__(self, writer: ArchiveWriter, profile: str) -> None:
        self._writer = writer
        self._profile = profile
        self._kept: tuple[FactWriter, ArchivedFiles] | None = None

    def add(self, file: SetFile, added: Entry, seen: Inspection) -> None:
        """Keep what was read of a file."""
        if self._kept is None:
            from tokar.collect.follow import ArchivedFiles  # noqa: PLC0415 - start-up time
            from tokar.sets.recorded import FactWriter  # noqa: PLC0415 - start-up time

            self._kept = FactWriter(self._writer), ArchivedFiles(self._profile)
        facts, archived = self._kept
        facts.add(added.number, seen)
        archived.add(file, added, seen)

    def end(self, candidates: Sequence[Candidate]) -> None:
        """Keep what following pages through the logs finds. `candidates`: the files, in the order of their entries."""
        if self._kept is not None:
            facts, archived = self._kept
            facts.add_chains(archived.chains(candidates))


@dataclass(frozen=True, slots=True)
class Collecting:
    """Reads files into an archive."""

    writer: ArchiveWriter
    profile: str
    progress: Callable[[int], None] | None
    findings: Findings | None
    facts: KeptFacts
    background: BackgroundExaminer

    def add(self, one: Candidate | OtherFile, first: FileState | None) -> None:
        """Add a file.

        Args:
            one: Where it is, and what it is stored as.
            first: What it looked like when it was gathered; None if this is its first look. Then it is no link.
        """
        try:
            descriptor = os.open(one.path, _OPEN_FLAGS if first is not None else _OPEN_FLAGS | _NO_LINK)
        except OSError as error:
            raise self._unreadable(one.path, error) from error
        try:
            now = os.fstat(descriptor)
            demand_no_output(now)
            state = first or FileState.of(now)
            if not S_ISREG(now.st_mode) or (first is not None and FileState.of(now) != first):
                raise _changed(one.path)
            try:
                if state.size <= SMALL_SIZE:
                    self._add_small(descriptor, one, state)
                else:
                    self._add_large(descriptor, one, state)
            except FormatError as error:
                raise _explain(error, one) from error
        except (SourceChangedError, OverwritesInputError) as error:
            error.path = one.path
            raise
        except OSError as error:
            raise self._unreadable(one.path, error) from error
        finally:
            os.close(descriptor)

    @staticmethod
    def _unreadable(path: str, error: OSError) -> ArchiveError:
        if error.errno == errno.ELOOP:
            return _changed(path)
        return StorageError(f"cannot read it: {reason_of(error)}", path=path)

    def _add_small(self, descriptor: int, one: Candidate | OtherFile, state: FileState) -> None:
        """Add a file in one piece."""
        content = os.read(descriptor, state.size + 1)
        if len(content) != state.size or FileState.of(os.fstat(descriptor)) != state:
            raise _changed(one.path)
        self.put(one, content, state)

    def put(self, one: Candidate | OtherFile, content: bytes, state: FileState) -> None:
        """Add a file that was read in one piece."""
        added = self.writer.add_bytes(one.token, one.name, content, modified=state.kept_time)
        if self.findings is not None and may_be_ese(content, one.token):
            file = self._file(one, state.size)
            examiner = ContentExaminer(self.findings, file)
            examiner(memoryview(content))
            self._keep(added, file, examiner)
        if self.progress:
            self.progress(state.size)

    def _add_large(self, descriptor: int, one: Candidate | OtherFile, state: FileState) -> None:
        """Add a file chunk by chunk; pages and segments are examined in a thread of their own."""
        file_of_set = self._file(one, state.size)
        examiner = ContentExaminer(self.findings, file_of_set) if self.findings is not None else None
        settle(descriptor, state)
        with (
            open(descriptor, "rb", buffering=0, closefd=False) as file,
            self.background.file(examiner) if examiner else nullcontext() as background,
        ):
            stream: InputStream = BoundedFile(file, state.size + 1)
            watchers: list[Callable[[memoryview], object]] = [background] if background else []
            if background:
                stream = background.guard(stream)
            if progress := self.progress:
                watchers.append(lambda content: progress(len(content)))
            watched = WatchedStream(stream, *watchers)
            added = self.writer.add(one.token, one.name, watched, announced_size=state.size, modified=state.kept_time)
        if added.size != state.size or FileState.of(os.fstat(descriptor)) != state:
            raise _changed(one.path)
        if hides_changes(state.device, one.path) and digest_of(descriptor, added.hasher()) != added.digest:
            raise _changed(one.path)
        if examiner is not None:
            self._keep(added, file_of_set, examiner)

    def _keep(self, added: Entry, file: SetFile, examiner: ContentExaminer) -> None:
        """Keep what was read of a file as a fact of the archive."""
        if (seen := examiner.finish()) is not None:
            self.facts.add(file, added, seen)

    def _file(self, one: Candidate | OtherFile, size: int) -> SetFile:
        from tokar.sets.read import SetFile  # noqa: PLC0415 - start-up time

        shown = names.display(*names.encode(one.name))
        return SetFile(name=shown, size=size, token=one.token, profile=self.profile)


def read_usual(path: str) -> tuple[bytes, FileState] | None:
    """Return the content of a small file that nobody has looked at, and what it looked like before and after.

    None of any other, of what cannot be read, and of one that is written to: `Collecting.add` finds out what it is.
    """
    try:
        descriptor = os.open(path, _OPEN_FLAGS | _NO_LINK)
    except OSError:
        return None
    try:
        now = os.fstat(descriptor)
        size = now.st_size
        if not S_ISREG(now.st_mode) or size > SMALL_SIZE:
            return None
        demand_no_output(now)
        content, state = os.read(descriptor, size + 1), FileState.of(now)
        is_whole = len(content) == size and FileState.of(os.fstat(descriptor)) == state
    except (OSError, OverwritesInputError):
        return None
    finally:
        os.close(descriptor)
    return (content, state) if is_whole else None


def _changed(path: str) -> SourceChangedError:
    return SourceChangedError("the file changed while it was being archived", path=path)


def _explain(error: FormatError, one: Candidate | OtherFile) -> ArchiveError:
    """Say in the caller's terms that two files would be one entry."""
    return two_files(one) if error.rule == "FILE-5" else error


def two_files(one: Candidate | OtherFile) -> InputError:
    """Return the error of a file that would be the same entry as one before it."""
    message = f"two files would be one entry: token 0x{one.token:02X}, name {names.printable(one.name)}"
    return InputError(message, path=one.path, hint="archive their common folder, so that the names differ")
