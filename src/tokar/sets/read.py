"""Makes the facts of a set, wherever its files come from: an archive, a folder, a stream that is being archived.

Of each file its headers and its last page are read, or all of it where examination was asked for, or nothing where an
archive keeps what was read. In an archive every read is proven, and the token says what a file is meant to be. In a
folder only content tells, and names where content cannot (a patch file, a log whose header is gone).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypedDict

from tokar import names, tokens
from tokar.ese.checkpoint import Checkpoint
from tokar.ese.content_facts import LogReport, PageReport
from tokar.ese.database import DatabaseHeader
from tokar.ese.filenames import DATABASE_SUFFIXES, FileName, NameRole, parse_file_name
from tokar.ese.flushmap import FlushMap
from tokar.ese.identify import SMALLEST_SIZE, FileKind, Identity
from tokar.ese.inspect import Inspection, inspect_file
from tokar.ese.log import LogHeader
from tokar.ese.trailer import PATCH_SIZES
from tokar.format.archive import Archive, content_digest
from tokar.format.index import Entry
from tokar.sets.by_generation import logs_in_order
from tokar.sets.by_header import LOG_NAMES, by_header, named_as_next
from tokar.sets.by_other_means import is_hive
from tokar.sets.compared import with_states_compared
from tokar.sets.facts import (
    AsideFacts,
    AttachedDatabase,
    CheckpointFacts,
    DatabaseFacts,
    FileFacts,
    FlushMapFacts,
    LogFacts,
    NextLogFacts,
    PatchFacts,
    SetFacts,
    StreamingFacts,
    is_foreign,
)
from tokar.sets.linked import with_links_among
from tokar.sets.links import link
from tokar.sets.lost import with_lost
from tokar.sets.not_taken import with_not_taken
from tokar.sets.patches import called_patches, with_patch
from tokar.sets.reach import reaches, with_reach
from tokar.sets.recorded import RecordedFacts, is_other
from tokar.sets.server_list import list_facts
from tokar.sets.watching import BytesRead, WatchedSource
from tokar.storage.bytesource import ByteSource, FileSource

_NEVER_LOGS: Final = {
    *(FileKind.CHECKPOINT, FileKind.FLUSH_MAP, FileKind.STREAMING_FILE, FileKind.TEMPORARY_DATABASE),
}
_NEVER: Final = {NameRole.SHADOW_LOG, NameRole.RESERVE, NameRole.REPAIR_REPORT}
"""Names of files that are no part of a set, whatever is in them."""
_MAY_BE_OTHERS: Final = {None, tokens.Role.DATABASE, tokens.Role.LOG}
_OPENED_BY_NAME: Final = {NameRole.CHECKPOINT, NameRole.FLUSH_MAP, NameRole.NEXT_LOG, NameRole.TEMPORARY_DATABASE}
MOST_MARKED: Final = 500
"""So many logs of a set keep their marks, of closed ones and of those that were being written: they take much room."""
_DATABASES: Final = {FileKind.DATABASE, FileKind.TEMPORARY_DATABASE}


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFile:
    """One file of a set, not yet opened."""

    name: str  # Its name, safe to print
    size: int  # Bytes of content
    token: int | None = None  # Its token; None for a file on disk
    profile: str = ""  # The profile of the token
    number: int | None = None  # Entry number
    digest: bytes | None = None  # Digest of its content
    is_keyed: bool = False  # Whether that is keyed
    content_digest: bytes | None = None  # The digest without a key, of keyed content that was read

    @classmethod
    def of_entry(cls, entry: Entry, profile: str) -> SetFile:
        """Return an entry of an archive with that profile."""
        return cls(
            name=entry.name,
            size=entry.size,
            token=entry.token,
            profile=profile,
            number=entry.number,
            digest=entry.digest,
            is_keyed=entry.key is not None,
        )

    @property
    def by_name(self) -> FileName:
        """What its name says."""
        return parse_file_name(names.leaf_of(self.name))

    @property
    def role(self) -> tokens.Role | None:
        """What its token says; None for a file on disk."""
        return None if self.token is None else tokens.role(self.token)

    @property
    def is_patch_by_token(self) -> bool:
        """Whether its token says that it is a patch file: a service handed it out as one."""
        return self.token is not None and tokens.token_name(self.token, self.profile) == "patch"

    @property
    def is_patch(self) -> bool:
        """Whether it is a patch file by its token or its name, which is kept and never interpreted."""
        return self.is_patch_by_token or self.by_name.role is NameRole.PATCH

    def is_called_patch(self, identity: Identity) -> bool:
        """Return whether it has no more than the name of a patch file, and the whole header of a log.

        No patch file begins like one. A trailer page, which one may hold twice, looks like a checkpoint.
        """
        is_log = isinstance(identity.header, LogHeader) and not identity.damaged
        return is_log and self.is_patch and not self.is_patch_by_token

    @property
    def is_next_log(self) -> bool:
        """Whether it is a log that was being prepared, which is kept and never interpreted."""
        return self.role in {None, tokens.Role.LOG, tokens.Role.NONE} and self.by_name.role is NameRole.NEXT_LOG

    @property
    def is_log_by_name(self) -> bool:
        """Whether its token or its name says that it is a log."""
        return self.role is tokens.Role.LOG or (self.role is None and self.by_name.role in LOG_NAMES)

    def is_lost_streaming_file(self, identity: Identity) -> bool:
        """Return whether it is a streaming file by its name, and nothing that says so is left in it."""
        by_name = self.role in {None, tokens.Role.DATABASE} and self.by_name.role is NameRole.STREAMING_FILE
        return by_name and identity.header is None

    def is_interpreted(self, identity: Identity) -> bool:
        """Return whether its content means anything: pages of a patch file are in a layout that is not public."""
        is_patch = self.is_patch and not self.is_called_patch(identity)
        return not (is_patch or self.is_next_log or is_foreign(self.profile))

    @property
    def is_worth_opening(self) -> bool:
        """Whether it can say anything: archives may hold a million files that were merely taken along."""
        if is_foreign(self.profile):
            return False
        if self.is_patch:
            is_other = self.role in _MAY_BE_OTHERS and not self.is_patch_by_token and self.size >= SMALLEST_SIZE
            return is_other or self.size in PATCH_SIZES
        role = self.by_name.role
        if self.role is None:
            return role not in _NEVER
        if self.role in {tokens.Role.DATABASE, tokens.Role.LOG}:
            return True
        return self.size == names.CHECKPOINT_SIZE or role in _OPENED_BY_NAME


class SetReader:
    """Makes the facts of a set, file by file.

    Args:
        examine: Whether pages and segments are checked, not only headers read.
        profile: The profile of their tokens; empty for files on disk.
        by_procedure: Whether a service handed them out by its procedure.
    """

    def __init__(self, *, examine: bool = False, profile: str = "", by_procedure: bool = False) -> None:
        self.examine = examine  # Whether pages and segments are checked
        self._profile = profile
        self._by_procedure = by_procedure
        self._files: list[FileFacts] = []
        self._marked = {is_current: deque[int]() for is_current in (True, False)}  # the places of logs with marks
        self._aside: list[AsideFacts] = []
        self._hives: list[str] = []
        self._other_count = 0

    def wants(self, file: SetFile) -> bool:
        """Return whether a file must be opened; else it is noted by what is known of it."""
        if file.role is tokens.Role.NONE and is_hive(file.name):
            self._hives.append(file.name)
        if names.why_apart(file.name) and not is_foreign(file.profile):
            self._aside.append(AsideFacts(**_base(file)))
            return False
        if file.is_worth_opening:
            return True
        if file.is_patch and not is_foreign(file.profile):
            self._files.append(PatchFacts(**_base(file)))
        else:
            self._other_count += 1
        return False

    def add_next(self, file: SetFile) -> None:
        """Note a log that was being prepared, of which nothing can be read."""
        self._files.append(NextLogFacts(**_base(file)))

    def add_numbered(self, file: SetFile, number: int | None) -> None:
        """Note a log of an engine that is not known here, by its number alone."""
        self._files.append(LogFacts(**_base(file), generation=number, named_generation=number))

    def add(self, file: SetFile, seen: Inspection) -> None:
        """Note what a file says of itself."""
        identity = seen.identity
        if seen.size != file.size:  # other bytes came than were announced
            file = replace(file, size=seen.size)
        facts = _kept_as_it_is(file, seen)
        is_other = file.role is tokens.Role.NONE and file.by_name.role is NameRole.TEMPORARY_DATABASE
        if facts is not None or (is_other and identity.kind is not FileKind.TEMPORARY_DATABASE):
            pass
        elif file.by_name.role in LOG_NAMES and identity.kind in _NEVER_LOGS:
            facts = _named_log(file, damaged=True, note=identity.by_header)
        elif identity.kind is FileKind.CHECKPOINT:
            facts = _checkpoint(file, identity.header)
        elif identity.kind is FileKind.FLUSH_MAP:
            facts = _flush_map(file, identity.header)
        elif identity.kind is FileKind.STREAMING_FILE or file.is_lost_streaming_file(identity):
            facts = _streaming(file, identity)
        elif identity.kind in _DATABASES and not (identity.header is None and file.is_log_by_name):
            facts = database_facts(file, seen)
        elif identity.kind is FileKind.LOG:
            facts = _log(file, seen)
        else:
            facts = _unknown(file, identity)
        if facts is None:
            self._other_count += 1
        else:
            self._keep(facts)

    def _keep(self, facts: FileFacts) -> None:
        """Keep facts. Marks decide nothing of a log from which the next one goes on; of others the last keep theirs."""
        before = self._files[-1] if self._files else None
        if isinstance(facts, LogFacts):
            if isinstance(before, LogFacts) and not link(before, facts).fault:
                self._forget_marks(len(self._files) - 1)
            if facts.content and facts.content.marks:
                marked = self._marked[facts.current]
                marked.append(len(self._files))
                if len(marked) > MOST_MARKED:
                    self._forget_marks(marked[0])
        self._files.append(facts)

    def _forget_marks(self, place: int) -> None:
        log = self._files[place]
        if isinstance(log, LogFacts) and log.content and log.content.marks:
            self._marked[log.current].remove(place)
            self._files[place] = replace(log, content=log.content.without_marks)

    def facts(self, source: str = "") -> SetFacts:
        """Return the facts so far.

        Args:
            source: The archive or folder.
        """
        found = called_patches([one for one in self._files if not isinstance(one, LogFacts)])
        logs = [one for one in self._files if isinstance(one, LogFacts)]
        self._files = found  # where a log is replaced nobody else holds it
        patches = tuple(one for one in found if isinstance(one, PatchFacts))
        databases = tuple(with_patch(one, patches) for one in found if isinstance(one, DatabaseFacts))
        next_logs = tuple(one for one in found if isinstance(one, NextLogFacts))
        databases, logs, next_logs = by_header(databases, logs, next_logs)
        logs = logs_in_order(logs)
        with_reach(logs, databases)
        self._files = [*(one for one in found if not isinstance(one, DatabaseFacts | NextLogFacts)), *logs]
        self._files += [*databases, *next_logs]
        if any(log.signature for log in logs) or any(one.header for one in databases):  # of an engine that is known
            databases = tuple(one if one.recognised else replace(one, recognised=True) for one in databases)
        return SetFacts(
            source=source,
            databases=databases,
            logs=tuple(logs),
            patches=patches,
            streaming=tuple(one for one in found if isinstance(one, StreamingFacts)),
            next_logs=next_logs,
            checkpoints=tuple(one for one in found if isinstance(one, CheckpointFacts)),
            flush_maps=tuple(one for one in found if isinstance(one, FlushMapFacts)),
            aside=tuple(self._aside),
            hives=tuple(self._hives),
            other_count=self._other_count,
            examined=self.examine,
            profile=self._profile,
            by_procedure=self._by_procedure,
        )


def facts_of_archive(
    archive: Archive,
    *,
    entries: Iterable[Entry] | None = None,
    examine: bool = False,
    progress: Callable[[int], None] | None = None,
    placed: Mapping[int, Path] | None = None,
    recorded: RecordedFacts | None = None,
    seen: Callable[[int], Inspection | None] | None = None,
) -> SetFacts:
    """Return what the files in an archive say of themselves.

    Args:
        archive: The archive.
        entries: The entries to read; all by default.
        examine: Whether to check all pages and log segments as well, which reads all content.
        progress: Called with the bytes of content that are done.
        placed: Where entries have been restored to, by number: these files are read instead.
        recorded: What the archive keeps. It is taken in place of content; with `examine`, held against it.
        seen: Returns what an entry says of itself, where that was examined already, so that it is not read again.

    Raises:
        FormatError: The index or the start of a file is damaged.
        StorageError: The archive cannot be read.
    """
    reader = SetReader(examine=examine, profile=archive.head.profile, by_procedure=archive.head.kind != "collected")
    placed = placed or {}
    for entry in archive if entries is None else entries:
        file, done = SetFile.of_entry(entry, archive.head.profile), BytesRead(entry.size, progress)
        if examine:
            file = replace(file, content_digest=_content_digest(archive, entry))
        if reader.wants(file):
            path = placed.get(entry.number)
            kept = None if recorded is None else recorded.seen(entry.number, entry.size)
            if file.is_next_log and kept is None and path is None and archive.is_locked:
                reader.add_next(file)
                continue
            if kept is None or examine or path is not None:
                now = (seen and seen(entry.number)) or _look(archive, entry, path, examine, done)
                if kept is not None and not examine:
                    now = replace(now, report=kept.report)
                elif recorded is not None and is_other(kept, now):
                    recorded.unlike.append(entry.name)
            else:
                now = kept
            reader.add(file, now)
        done.finish()
    facts = replace(reader.facts(str(archive.path or "")), locations=list_facts(archive.head))
    left_out = archive.summary.extra.get("left_out", ())
    not_taken = [(one["name"], one["reason"]) for one in left_out]
    facts = with_lost(with_not_taken(with_links_among(facts, not_taken), not_taken), archive)
    if not archive.is_locked:
        (facts,) = with_states_compared(
            [facts], lambda _, log: _opened(archive, archive.entry(log.number or 0), placed.get(log.number or 0))
        )
    if recorded is None or examine:
        return facts
    databases = tuple(replace(one, chain=recorded.chain(one.number)) for one in facts.databases)
    return replace(facts, databases=databases)


def _look(archive: Archive, entry: Entry, path: Path | None, examine: bool, done: BytesRead) -> Inspection:
    """Return what an entry says of itself, or the file that it was restored to."""
    if path is None:
        archive.demand_key()
    with _opened(archive, entry, path) as source:
        return inspect_file(WatchedSource(source, done) if examine else source, examine=examine)


def _opened(archive: Archive, entry: Entry, path: Path | None) -> AbstractContextManager[ByteSource]:
    return nullcontext(archive.entry_source(entry)) if path is None else FileSource(path)


class _Base(TypedDict):
    name: str
    size: int
    number: int | None
    digest: bytes | None
    is_keyed: bool
    content_digest: bytes | None


def _base(file: SetFile) -> _Base:
    """Return what the facts of every kind of file begin with."""
    return _Base(
        name=file.name,
        size=file.size,
        number=file.number,
        digest=file.digest,
        is_keyed=file.is_keyed,
        content_digest=file.content_digest,
    )


def _content_digest(archive: Archive, entry: Entry) -> bytes | None:
    """Return what other sets can compare a log of an encrypted archive by, which is read for that."""
    is_log = tokens.role(entry.token) is tokens.Role.LOG
    return content_digest(archive, entry) if entry.key is not None and is_log else None


def _kept_as_it_is(file: SetFile, seen: Inspection) -> FileFacts | None:
    """Return the facts of a patch file, or of a log that was being prepared; None for any other file."""
    if file.is_patch and not file.is_called_patch(seen.identity):
        is_other = isinstance(seen.identity.header, DatabaseHeader) and not file.is_patch_by_token
        found = database_facts(file, seen) if is_other else None
        return PatchFacts(**_base(file), trailer=seen.trailer, database=found)
    if not file.is_next_log or seen.identity.kind in {*_DATABASES, FileKind.STREAMING_FILE}:
        return None
    log = _log(file, seen) if isinstance(seen.identity.header, LogHeader) else None
    return NextLogFacts(**_base(file), log=None if log is None or log.damaged else named_as_next(log))


def _unknown(file: SetFile, identity: Identity) -> FileFacts | None:
    """Return the facts of a file whose content says nothing: its token or name may still say what it should be."""
    by_name = file.by_name.role
    if file.role is tokens.Role.DATABASE or (file.role is None and file.name.lower().endswith(DATABASE_SUFFIXES)):
        recognised = identity.kind is not FileKind.UNKNOWN or not file.size
        return DatabaseFacts(**_base(file), recognised=recognised, damaged=True, note=identity.lacks)
    if file.role is tokens.Role.LOG or by_name in LOG_NAMES:
        return _named_log(file, damaged=True, note=identity.lacks)
    if by_name is NameRole.FLUSH_MAP:
        return _flush_map(file, None)
    return _checkpoint(file, None) if by_name is NameRole.CHECKPOINT else None


def database_facts(file: SetFile, seen: Inspection) -> DatabaseFacts:
    """Return what a file says of itself that should be a database."""
    identity = seen.identity
    header, copies = identity.header, identity.copies
    if not isinstance(header, DatabaseHeader) or copies is None:
        other = identity.kind not in {*_DATABASES, FileKind.UNKNOWN, FileKind.RESERVE}
        return DatabaseFacts(
            **_base(file), damaged=identity.damaged, note=identity.by_header if other else identity.note
        )
    return DatabaseFacts(
        **_base(file),
        note=identity.note,
        header=header,
        copies_valid=copies.valid,
        copies_identical=copies.identical,
        trailer=seen.trailer,
        trailer_fault=seen.trailer_fault,
        trailer_code=seen.trailer_code,
        temporary=identity.kind is FileKind.TEMPORARY_DATABASE,
        pages=seen.report if isinstance(seen.report, PageReport) else None,
    )


def _streaming(file: SetFile, identity: Identity) -> StreamingFacts:
    header = identity.header if isinstance(identity.header, DatabaseHeader) else None
    note = identity.note or ("" if header else "there is no header in it")
    return StreamingFacts(**_base(file), header=header, damaged=header is None, note=note)


def _log(file: SetFile, seen: Inspection) -> LogFacts:
    identity, header = seen.identity, seen.identity.header
    if not isinstance(header, LogHeader):
        return _named_log(file, damaged=identity.damaged, note=identity.note, generation=identity.generation)
    if header.generation <= 0:
        return _named_log(file, damaged=True, note=f"its header says generation {header.generation}, which no log has")
    return _named_log(
        file,
        damaged=identity.damaged,
        note=identity.note,
        generation=identity.generation,
        signature=header.signature,
        created=header.created,
        previous_created=header.previous_created,
        format=header.format,
        is_newer=header.is_newer,
        expected_size=header.file_size,
        page_size=header.page_size,
        sector_size=header.sector_size,
        reaches=reaches(header),
        previous_segments_xor=header.previous_segments_xor if header.has_segments_link else None,
        attached=tuple(
            AttachedDatabase(one.path, one.signature, one.attach_position, one.consistent_position)
            for one in header.attachments
        ),
        content=seen.report if isinstance(seen.report, LogReport) else None,
    )


def _named_log(
    file: SetFile, *, damaged: bool = False, note: str = "", generation: int | None = None, **more: Any
) -> LogFacts:
    """Return what the name of a log says, with what its header does."""
    by_name = file.by_name
    return LogFacts(
        **_base(file),
        damaged=damaged,
        note=note,
        generation=by_name.generation if generation is None else generation,
        named_generation=by_name.generation,
        base=by_name.log_base,
        service_base=tokens.BASES.get(file.profile, ""),
        current=by_name.role is NameRole.CURRENT_LOG,
        **more,
    )


def _checkpoint(file: SetFile, header: object) -> CheckpointFacts:
    if not isinstance(header, Checkpoint):
        return CheckpointFacts(**_base(file), damaged=True, note="neither copy is readable")
    return CheckpointFacts(**_base(file), position=header.checkpoint, signature=header.signature)


def _flush_map(file: SetFile, header: object) -> FlushMapFacts:
    if not isinstance(header, FlushMap):
        return FlushMapFacts(**_base(file), damaged=True, note="its header is damaged")
    return FlushMapFacts(
        **_base(file), header_flush_signature=header.header_flush_signature, signature=header.signature
    )
