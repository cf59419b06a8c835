"""Reads the facts of a set, from an archive or from a folder: a few KiB of each file, or all of it where examination was asked for.

In an archive every read is proven by the checks of the chunks it touches, and the token says what a file is meant to
be. In a folder only content tells, and names where content cannot (a patch file, a log whose header is gone).
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict

from tokar import names, tokens
from tokar.errors import HeaderError, StorageError
from tokar.ese.checkpoint import Checkpoint
from tokar.ese.database import DatabaseHeader
from tokar.ese.filenames import FileName, NameRole, parse_file_name
from tokar.ese.flushmap import FlushMap
from tokar.ese.identify import FileKind, Identity, identify
from tokar.ese.log import LogHeader
from tokar.ese.trailer import BackupTrailer
from tokar.ese.values import NO_POSITION
from tokar.sets.facts import (
    AttachedDatabase,
    CheckpointFacts,
    DatabaseFacts,
    FlushMapFacts,
    LogFacts,
    PatchFacts,
    SetFacts,
)
from tokar.storage.bytesource import ByteSource, FileSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tokar.ese.content_facts import LogReport, PageReport
    from tokar.format.archive import Archive
    from tokar.format.index import Entry

_CHECKPOINT_SIZE: Final = 8192
_DATABASE_SUFFIXES: Final = (".edb", ".dit")
"""A file of such a name is a database even where nothing in it says so any more."""
_NEVER: Final = {NameRole.NEXT_LOG, NameRole.SHADOW_LOG, NameRole.RESERVE, NameRole.REPAIR_REPORT}
"""Names of files that are no part of a set, whatever is in them: the log being prepared may carry an old header."""


@dataclass(frozen=True, slots=True)
class _File:
    """One file of a set, not yet opened."""

    name: str  # Its name, safe to print
    size: int  # Bytes of content
    role: tokens.Role | None = None  # What its token says; None for a file on disk
    number: int | None = None  # Entry number
    digest: bytes | None = None  # Digest of its content

    @property
    def by_name(self) -> FileName:
        return parse_file_name(names.leaf_of(self.name))


@dataclass(slots=True)
class _Survey:
    """The facts so far."""

    examine: bool
    databases: list[DatabaseFacts] = field(default_factory=list)
    logs: list[LogFacts] = field(default_factory=list)
    patches: list[PatchFacts] = field(default_factory=list)
    checkpoints: list[CheckpointFacts] = field(default_factory=list)
    flush_maps: list[FlushMapFacts] = field(default_factory=list)
    other_count: int = 0

    def result(self, source: str) -> SetFacts:
        return SetFacts(
            source=source,
            databases=tuple(self.databases),
            logs=tuple(sorted(self.logs, key=lambda log: (log.generation or 0, log.name))),
            patches=tuple(self.patches),
            checkpoints=tuple(self.checkpoints),
            flush_maps=tuple(self.flush_maps),
            other_count=self.other_count,
            examined=self.examine,
        )

    def take(self, file: _File, source: ByteSource) -> None:
        """Look into a file, and note what it says."""
        identity = identify(source)
        header, kind = identity.header, identity.kind
        if kind is FileKind.CHECKPOINT:
            self.checkpoints.append(_checkpoint(file, header))
        elif kind is FileKind.FLUSH_MAP:
            self.flush_maps.append(_flush_map(file, header))
        elif kind in {FileKind.DATABASE, FileKind.TEMPORARY_DATABASE}:
            self.databases.append(self._database(file, source, identity))
        elif kind is FileKind.LOG:
            self.logs.append(self._log(file, source, identity))
        else:
            self._take_unknown(file, identity)

    def _take_unknown(self, file: _File, identity: Identity) -> None:
        """Note a file whose content says nothing: its token or its name may still say what it was meant to be."""
        by_name = file.by_name
        is_log = by_name.role in {NameRole.NUMBERED_LOG, NameRole.CURRENT_LOG}
        if file.role is tokens.Role.DATABASE or (file.role is None and file.name.lower().endswith(_DATABASE_SUFFIXES)):
            if identity.kind is FileKind.STREAMING_FILE:
                self.other_count += 1
                return
            note = f"not recognised as a database: {identity.note}"
            self.databases.append(DatabaseFacts(**_base(file), damaged=True, note=note))
        elif is_log or file.role is tokens.Role.LOG:
            note = f"not recognised as a log: {identity.note}"
            self.logs.append(_named_log(file, damaged=True, note=note))
        elif by_name.role is NameRole.CHECKPOINT:
            self.checkpoints.append(CheckpointFacts(**_base(file), damaged=True, note="neither copy is readable"))
        else:
            self.other_count += 1

    def _database(self, file: _File, source: ByteSource, identity: Identity) -> DatabaseFacts:
        if identity.header is None:
            return DatabaseFacts(**_base(file), damaged=identity.damaged, note=identity.note)
        copies = DatabaseHeader.read(source)
        header = copies.header
        facts = DatabaseFacts(
            **_base(file),
            note=identity.note,
            header=header,
            copies_valid=copies.valid,
            copies_identical=copies.identical,
            temporary=identity.kind is FileKind.TEMPORARY_DATABASE,
            pages=self._pages(source, header),
        )
        if not facts.has_trailer_page:
            return facts
        try:
            return replace(facts, trailer=BackupTrailer.read(source, header))
        except HeaderError as error:
            return replace(facts, trailer_fault=error.message, trailer_code=error.code)

    def _pages(self, source: ByteSource, header: DatabaseHeader) -> PageReport | None:
        if not self.examine:
            return None
        from tokar.ese.pages import check_pages  # noqa: PLC0415 - loads numpy

        return check_pages(source, header)

    def _log(self, file: _File, source: ByteSource, identity: Identity) -> LogFacts:
        header = identity.header
        if not isinstance(header, LogHeader):
            return _named_log(file, damaged=identity.damaged, note=identity.note, generation=identity.generation)
        named = _named_log(file, note=identity.note, generation=identity.generation)
        return replace(
            named,
            signature=header.signature,
            created=header.created,
            previous_created=header.previous_created,
            format=header.format,
            expected_size=header.file_size,
            page_size=header.page_size,
            previous_segments_xor=header.previous_segments_xor if header.has_segments_link else None,
            attached=tuple(AttachedDatabase(one.path, one.signature) for one in header.attachments),
            content=self._content(source, header),
        )

    def _content(self, source: ByteSource, header: LogHeader) -> LogReport | None:
        if not self.examine:
            return None
        from tokar.ese.logcheck import check_log  # noqa: PLC0415 - loads numpy

        return check_log(source, header)


def facts_of_archive(
    archive: Archive,
    *,
    examine: bool = False,
    progress: Callable[[int], None] | None = None,
    placed: Mapping[int, Path] | None = None,
) -> SetFacts:
    """Return what the files in an archive say of themselves.

    Args:
        archive: The archive.
        examine: Whether to check all pages and log segments as well, which reads all content.
        progress: Called with the bytes of content of each file that is done.
        placed: Where entries have been restored to: these files are read instead, and entries without one are passed
            over.

    Raises:
        FormatError: The index or the start of a file is damaged.
        StorageError: The archive cannot be read.
    """
    survey = _Survey(examine)
    for entry in archive:
        file = _of_entry(entry)
        if tokens.token_name(entry.token, archive.head.profile) == "patch" or file.by_name.role is NameRole.PATCH:
            survey.patches.append(PatchFacts(**_base(file)))
        elif _worth_opening(file):
            _take_entry(survey, archive, entry, placed)
        else:
            survey.other_count += 1
        if progress is not None:
            progress(entry.size)
    return survey.result(str(archive.path or ""))


def _take_entry(survey: _Survey, archive: Archive, entry: Entry, placed: Mapping[int, Path] | None) -> None:
    """Look into an entry, in the archive or where it was restored to."""
    if placed is None:
        survey.take(_of_entry(entry), archive.entry_source(entry))
    elif entry.number in placed:
        with FileSource(placed[entry.number]) as source:
            survey.take(_of_entry(entry), source)


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
    survey = _Survey(examine)
    for full, name, size in _walk(Path(path)):
        file = _File(names.printable(name), size)
        role = file.by_name.role
        if role is NameRole.PATCH:
            survey.patches.append(PatchFacts(**_base(file)))
        elif role in _NEVER:
            survey.other_count += 1
        else:
            with FileSource(full) as source:
                survey.take(file, source)
        if progress is not None:
            progress(size)
    return survey.result(str(path))


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


def _of_entry(entry: Entry) -> _File:
    return _File(entry.name, entry.size, tokens.role(entry.token), entry.number, entry.digest)


def _worth_opening(file: _File) -> bool:
    """Tell whether a file of an archive can say anything: archives may hold a million that were merely taken along."""
    if file.role in {tokens.Role.DATABASE, tokens.Role.LOG}:
        return file.by_name.role is not NameRole.NEXT_LOG
    role = file.by_name.role
    return file.size == _CHECKPOINT_SIZE or role in {NameRole.CHECKPOINT, NameRole.FLUSH_MAP}


class _Base(TypedDict):
    name: str
    size: int
    number: int | None
    digest: bytes | None


def _base(file: _File) -> _Base:
    """Return what the facts of every kind of file begin with."""
    return _Base(name=file.name, size=file.size, number=file.number, digest=file.digest)


def _named_log(file: _File, *, damaged: bool = False, note: str = "", generation: int | None = None) -> LogFacts:
    """Return what the name of a log says."""
    by_name = file.by_name
    return LogFacts(
        **_base(file),
        damaged=damaged,
        note=note,
        generation=by_name.generation if generation is None else generation,
        named_generation=by_name.generation,
        base=(by_name.base or "").lower(),
        current=by_name.role is NameRole.CURRENT_LOG,
    )


def _checkpoint(file: _File, header: object) -> CheckpointFacts:
    if not isinstance(header, Checkpoint):
        return CheckpointFacts(**_base(file), damaged=True, note="neither copy is readable", position=NO_POSITION)
    return CheckpointFacts(**_base(file), position=header.checkpoint, signature=header.signature)


def _flush_map(file: _File, header: object) -> FlushMapFacts:
    if not isinstance(header, FlushMap):
        return FlushMapFacts(**_base(file), damaged=True, note="its header is damaged")
    return FlushMapFacts(
        **_base(file), header_flush_signature=header.header_flush_signature, signature=header.signature
    )
