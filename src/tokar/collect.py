"""Archives of files that lie on disk: the one place where gathered files and a writer meet."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tokar import names, tokens
from tokar._version import __version__
from tokar.errors import ArchiveError, FormatError, InputError, LocationListError, SourceChangedError, StorageError
from tokar.examination import NOT_EXAMINED, BackgroundExaminer, ContentExaminer, may_be_ese
from tokar.format import canonical_json, json_fields, metadata
from tokar.format.limits import MAX_HEAD_SIZE
from tokar.format.metadata import Head
from tokar.format.sink import FileSink
from tokar.format.writer import ArchiveWriter, Sealed, system_clock
from tokar.restore.location_file import read_location_file
from tokar.restore.locations import parse_location_list
from tokar.restore.paths import take_apart
from tokar.sources import certutil
from tokar.sources.gather import Candidate, FileState, Gathered, Gatherer, is_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from io import FileIO
    from pathlib import Path

    from tokar.examination import Findings
    from tokar.examination.background import Readable
    from tokar.format.compression import Compression
    from tokar.format.sink import Sink

SOFTWARE: Final = f"tokar {__version__}"
KINDS: Final = ("full", "logs", "collected")
_SMALL_SIZE: Final = 1 << 16  # bytes up to which a file is read in one piece
_MAX_LISTED: Final = 1000  # files that SUMM lists as left out; the number is always there
_MAX_LIST_SIZE: Final = (
    180 * 1024
)  # bytes of each of two lists in SUMM, which holds 1 MiB: half for a copy of HEAD, 128 KiB for findings
_Item = TypeVar("_Item", str, dict[str, str])
_OPEN_FLAGS: Final = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectRequest:
    """What is to be archived, and what is to be said of it.

    Attributes:
        paths: Files, folders, or `TOKEN=FILE`.
        profile: Name of the token profile; `ese`, or `certadm` for a folder of certutil's, by default.
        kind: `full`, `logs` or `collected`; told from the files by default.
        name: A name for the set.
        server: The server the files came from.
        annotation: A remark.
        locations: A file with the locations to keep in the archive: a raw list or TOML.
        take_all: Whether everything in a folder is taken.
        base: The base name of the log stream to take.
    """

    paths: Sequence[str]
    profile: str | None = None
    kind: str | None = None
    name: str | None = None
    server: str | None = None
    annotation: str | None = None
    locations: Path | None = None
    take_all: bool = False
    base: str | None = None


@dataclass(frozen=True, slots=True)
class Collection:
    """A set that is ready to be written.

    Attributes:
        gathered: The files.
        profile: Name of the token profile.
        kind: `full`, `logs` or `collected`.
        metadata: Further keys of HEAD.
        notes: What a person should know.
    """

    gathered: Gathered
    profile: str
    kind: str
    metadata: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return self.gathered.size


def gather(request: CollectRequest) -> Collection:
    """Look at everything that was named and decide what goes into the archive. Nothing is written.

    Raises:
        InputError: Nothing was found, or what was asked for makes no sense.
        SourceError: A path is neither a file nor a folder.
        StorageError: Something cannot be read.
        LocationListError: The locations cannot be read.
    """
    _demand_known(request)
    folder = _certutil_folder(request)
    profile = request.profile or ("certadm" if folder else "ese")
    gatherer = Gatherer(profile, take_all=request.take_all, base=request.base)
    extra = _described(request)
    notes: list[str] = []
    if folder is not None:
        extra.update(_location_list(folder, notes) if request.locations is None else {})
        kept = frozenset({certutil.LOCATION_FILE} if request.locations is None else ())
        gatherer.add_folder(folder.database_folder, skip=kept)
    for path in request.paths:
        if folder is None or not os.path.isdir(path):  # noqa: PTH112
            _add(gatherer, path, profile)
    for path in folder.beside if folder else ():
        gatherer.leave_out(path, f"beside the folder {certutil.DATABASE_FOLDER}")
    if request.locations is not None:
        extra.update(_locations(request.locations, profile))
    gathered = gatherer.result()
    if not gathered.count:
        raise InputError(
            "there is nothing to archive: no database, log or patch file was recognised",
            hint="name files one by one as TOKEN=FILE, or take everything with --all",
        )
    if folder is not None and not any(is_key(one.name) for one in gathered.candidates):
        notes.append(certutil.KEY_REMINDER)
    kind = request.kind or (folder.kind if folder else "collected")
    _demand_writable(_head(kind, profile, extra, system_clock()))
    return Collection(gathered, profile, kind, extra, (*notes, *gathered.notes))


def _demand_known(request: CollectRequest) -> None:
    if request.profile is not None and request.profile not in tokens.PROFILES:
        known = ", ".join(tokens.PROFILES)
        raise InputError(f"there is no profile {names.printable(request.profile)}", hint=f"choose one of {known}")
    if request.kind is not None and request.kind not in KINDS:
        message = f"there is no kind {names.printable(request.kind)}"
        raise InputError(message, hint=f"choose one of {', '.join(KINDS)}")


def _demand_writable(head: Head) -> None:
    """Refuse a description that HEAD cannot hold, before anything is written.

    Raises:
        InputError: It is no text, or too long.
    """
    try:
        size = len(head.build())
    except FormatError as error:
        raise InputError(f"the description of the set cannot be kept: {error.message}") from error
    if size > MAX_HEAD_SIZE:
        raise InputError(f"the description of the set and its locations take {size} bytes; {MAX_HEAD_SIZE} can be kept")


def collect(
    collection: Collection,
    sink: Sink,
    *,
    compression: Compression | None = None,
    archive_id: bytes | None = None,
    clock: Callable[[], datetime] = system_clock,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
    findings: Findings | None = None,
) -> Sealed:
    """Write the archive of a collection.

    Args:
        collection: From `gather`.
        sink: Where the archive goes.
        compression: How chunks are stored.
        archive_id: 16 bytes; random by default.
        clock: For the times in the archive.
        threads: Encoder threads.
        progress: Called with numbers of bytes as files are read.
        findings: Where it is noted what verifying pages and log segments finds while they go by; None: nobody looks.

    Raises:
        SourceChangedError: A file changed since `gather` looked at it.
        InputError: Two files would be one entry, or the archive would replace or hold itself.
        StorageError: A file cannot be read, or the archive cannot be written.
        FormatError: A limit of the format is reached.
    """
    examiner: ContentExaminer | None
    try:
        head = _head(collection.kind, collection.profile, collection.metadata, clock())
        _demand_outside(collection.gathered, sink)
        writer = ArchiveWriter(sink, head, archive_id=archive_id, compression=compression, clock=clock, threads=threads)
    except BaseException:
        sink.discard()
        raise
    with writer:
        for one in chain(collection.gathered.candidates, collection.gathered.rest):
            try:
                if one.state.size <= _SMALL_SIZE:
                    content = _add_small(writer, one)
                    if findings is not None and may_be_ese(content, one.token):
                        examiner = _examiner(one, findings, collection.profile)
                        examiner(memoryview(content))
                        examiner.finish()
                    if progress:
                        progress(one.state.size)
                else:
                    examiner = None if findings is None else _examiner(one, findings, collection.profile)
                    _add_large(writer, one, progress, examiner)
            except FormatError as error:
                raise _explain(error, one) from error
        return writer.seal(**_summary(collection, findings))


def _examiner(one: Candidate, findings: Findings, profile: str) -> ContentExaminer:
    name, encoding = names.encode(one.name)
    return ContentExaminer(
        findings, token=one.token, raw_name=name, encoding=encoding, size=one.state.size, profile=profile
    )


def _head(kind: str, profile: str, extra: dict[str, Any], created: datetime) -> Head:
    return Head(json_fields.to_time(created), kind, profile, SOFTWARE, extra=extra)


def _demand_outside(gathered: Gathered, sink: Sink) -> None:
    """Refuse to write the archive over a file that it takes, or into a folder that it takes whole: it would have to hold itself."""
    if not isinstance(sink, FileSink):
        return
    home = sink.path.absolute().parent.resolve()
    for folder in gathered.rest.folders:
        if home.is_relative_to(os.path.realpath(folder)):
            message = "the archive would lie in a folder that it takes whole"
            raise InputError(message, path=sink.path, hint="write it to another folder")
    try:
        there = FileState.of(sink.path.stat())
    except OSError:
        return
    if any((one.state.inode, one.state.device) == (there.inode, there.device) for one in gathered.candidates):
        message = "the archive would replace a file that it takes"
        raise InputError(
            message, path=sink.path, hint="the first argument is the archive to make; give it another name"
        )


def _explain(error: FormatError, one: Candidate) -> ArchiveError:
    """Say in the caller's terms that two files would be one entry."""
    if error.rule != "SEQ-4":
        return error
    message = f"two files would be one entry: token 0x{one.token:02X}, name {names.printable(one.name)}"
    return InputError(message, path=one.path, hint="archive their common folder, so that the names differ")


def _add_small(writer: ArchiveWriter, one: Candidate) -> bytes:
    """Add a file in one piece, and return its content."""
    try:
        descriptor = os.open(one.path, _OPEN_FLAGS)
        try:
            content = os.read(descriptor, _SMALL_SIZE + 1)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StorageError(f"cannot read it: {error.strerror}", path=one.path) from error
    _demand_unchanged(one, FileState.of(after), len(content))
    writer.add_bytes(one.token, one.name, content, modified=one.state.modified)
    return content


def _add_large(
    writer: ArchiveWriter, one: Candidate, progress: Callable[[int], None] | None, examiner: ContentExaminer | None
) -> None:
    try:
        descriptor = os.open(one.path, _OPEN_FLAGS)
    except OSError as error:
        raise StorageError(f"cannot read it: {error.strerror}", path=one.path) from error
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor
        stream = _Bounded(file, one.state.size + 1)
        try:
            if examiner is None:
                size = _add_stream(writer, one, stream, progress, None)
            else:
                with BackgroundExaminer(examiner) as background:
                    size = _add_stream(writer, one, background.guard(stream), progress, background)
        except SourceChangedError as error:
            error.path = one.path
            raise
        except OSError as error:
            raise StorageError(f"cannot read it: {error.strerror}", path=one.path) from error
        _demand_unchanged(one, FileState.of(os.fstat(descriptor)), size)
    if examiner is not None:
        examiner.finish()


def _add_stream(
    writer: ArchiveWriter,
    one: Candidate,
    stream: Readable,
    progress: Callable[[int], None] | None,
    examine: Callable[[memoryview], None] | None,
) -> int:
    """Add a file; return the bytes that came."""
    return writer.add(
        one.token,
        one.name,
        stream,
        announced_size=one.state.size,
        modified=one.state.modified,
        progress=progress,
        examine=examine,
    ).size


class _Bounded:
    """A file that is read to a limit, so that one that grows as fast as it is read comes to an end.

    Args:
        file: The file, without a buffer.
        limit: The bytes after which it ends.
    """

    def __init__(self, file: FileIO, limit: int) -> None:
        self._file = file
        self._left = limit

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer as far as file and limit allow; 0 at the end."""
        count = self._file.readinto(buffer[: self._left]) or 0
        self._left -= count
        return count


def _demand_unchanged(one: Candidate, after: FileState, size: int) -> None:
    if after != one.state or size != one.state.size:
        raise SourceChangedError("the file changed while it was being archived", path=one.path)


def _summary(collection: Collection, findings: Findings | None) -> dict[str, Any]:
    gathered = collection.gathered
    extra: dict[str, Any] = {"examination": NOT_EXAMINED if findings is None else findings.to_json()}
    if gathered.generations is not None:
        extra["generations"] = {"low": gathered.generations[0], "high": gathered.generations[1]}
    if gathered.left_out:
        listed = [{"name": names.printable(one.name), "reason": one.reason} for one in gathered.left_out[:_MAX_LISTED]]
        extra["left_out"] = _within(listed)
        extra["left_out_count"] = len(gathered.left_out)
    if collection.notes:
        extra["notes"] = _within([names.printable(note) for note in collection.notes[:_MAX_LISTED]])
    return extra


def _within(listed: list[_Item]) -> list[_Item]:
    """Return as many of the first items as SUMM has room for."""
    room = _MAX_LIST_SIZE
    kept = []
    for item in listed:
        room -= len(canonical_json.encode({"item": item}))
        if room < 0:
            break
        kept.append(item)
    return kept


def _certutil_folder(request: CollectRequest) -> certutil.CertutilFolder | None:
    """Return the one folder that was named, if certutil wrote it."""
    folders = [path for path in request.paths if os.path.isdir(path)]  # noqa: PTH112
    if len(folders) != 1 or request.profile not in (None, "certadm"):
        return None
    return certutil.recognise(folders[0])


def _location_list(folder: certutil.CertutilFolder, notes: list[str]) -> dict[str, Any]:
    """Return the key of HEAD for the location file of certutil, which is kept even if it cannot be read."""
    if folder.location_list is None:
        return {}
    try:
        parse_location_list(folder.location_list, wide=True)
    except LocationListError as error:
        notes.append(f"{certutil.LOCATION_FILE} is kept as it is, but cannot be read as a location list: {error}")
    return {"location_list": metadata.location_list_json("w", folder.location_list)}


def _add(gatherer: Gatherer, path: str, profile: str) -> None:
    """Add a file, a folder or `TOKEN=FILE`. What exists under the whole name is that, even with an equals sign in it."""
    if os.path.isdir(path):  # noqa: PTH112
        gatherer.add_folder(path)
        return
    word, equals, file = path.partition("=")
    if equals and not os.path.dirname(word) and not os.path.lexists(path):  # noqa: PTH120
        gatherer.add_file(file, token=tokens.parse_token(word, profile))
    else:
        gatherer.add_file(path)


def _described(request: CollectRequest) -> dict[str, Any]:
    described = {"annotation": request.annotation, "name": request.name, "server": request.server}
    return {key: text for key, text in described.items() if text is not None}


def _locations(path: Path, profile: str) -> dict[str, Any]:
    """Return the key of HEAD for a locations file."""
    # Any bytes are text in ISO 8859-1: of a raw list only the grammar is judged, its code page is asked for at restore.
    file = read_location_file(path, profile, encoding=28591)
    for one in file.locations:
        if take_apart(one.path) is None:
            message = f"it is no location list: {names.printable(one.path)} is not an absolute path"
            raise LocationListError(message, path=path)
    if file.raw is not None:
        return {"location_list": metadata.location_list_json("w" if file.wide else "a", file.raw)}
    listed = [{"token": one.token, "path": one.path, "kind": one.kind.value} for one in file.locations]
    return {"locations": listed}
