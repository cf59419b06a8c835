"""Archives of files that lie on disk: the one place where gathered files and a writer meet."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from tokar import names, tokens
from tokar._version import SOFTWARE
from tokar.collect import certutil
from tokar.collect.collecting import Collecting, KeptFacts
from tokar.collect.examine import BackgroundExaminer, Findings
from tokar.collect.found import (
    MOST_NOTES,
    FileState,
    Gathered,
)
from tokar.collect.gather import Gatherer
from tokar.collect.packers import add_rest
from tokar.errors import (
    FormatError,
    InputError,
    LocationListError,
    NothingFoundError,
)
from tokar.format import canonical_json, metadata
from tokar.format.compression import Compression
from tokar.format.encryption import KeyMaker
from tokar.format.metadata import Head
from tokar.format.records import MAX_JSON_SIZE
from tokar.format.writer import ArchiveWriter, Sealed, system_clock
from tokar.location_list import CERTUTIL_LIST, parse_location_list
from tokar.sets.faults import Rules
from tokar.storage.sink import FileSink, Sink
from tokar.trust.signatures import Signer

KINDS: Final = ("full", "logs", "collected")
_MAX_SEEN: Final = 8  # files that an error lists
_MAX_LIST_SIZE: Final = 180 * 1024  # bytes of each of two lists in SUMM, which holds 1 MiB


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectRequest:
    """What is to be archived, and what is to be said of it."""

    paths: Sequence[str]  # Files, folders, or `TOKEN=FILE`
    profile: str | None = None  # Name of the token profile; `ese`, or `certadm` for a folder of certutil's, by default
    kind: str | None = None  # `full`, `logs` or `collected`; told from the files by default
    name: str | None = None  # A name for the set
    server: str | None = None  # The server the files came from
    annotation: str | None = None  # A remark
    locations: Path | None = None  # A file with the locations to keep in the archive: a raw list or TOML
    take_all: bool = False  # Whether everything in a folder is taken
    base: str | None = None  # The base name of the log stream to take
    with_key: bool = False  # Whether the private key beside a folder of certutil's is taken
    archive_id: bytes | None = None  # 16 bytes; random by default
    signer: Signer | None = None  # Signs the archive when it is sealed
    recipients: KeyMaker | None = None  # For whom content is encrypted; None for an archive that anyone can read


@dataclass(frozen=True, slots=True)
class Collection:
    """A set that is ready to be written."""

    gathered: Gathered  # The files
    profile: str  # Name of the token profile
    kind: str  # `full`, `logs` or `collected`
    metadata: dict[str, Any] = field(default_factory=dict)  # Further keys of HEAD
    notes: tuple[str, ...] = ()  # What a person should know
    warnings: tuple[str, ...] = ()  # What a person must know: a database that cannot be read, or is not there
    is_partial: bool = False  # Whether a database of the set cannot be read, or is not there
    archive_id: bytes | None = None  # 16 bytes; random where it is not given
    signer: Signer | None = None  # Signs the archive when it is sealed
    recipients: KeyMaker | None = None  # For whom content is encrypted

    def head(self, created: datetime | None = None) -> Head:
        """Return HEAD of its archive."""
        return _head(self.kind, self.profile, self.metadata, created or system_clock())

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
    if request.with_key and (folder is None or not folder.keys):
        raise InputError("--with-key takes the private key that certutil -backup writes, and there is none beside this")
    if folder is not None:
        extra.update(_location_list(folder, notes) if request.locations is None else {})
        _add_certutil(gatherer, folder, request)
    for path in request.paths:
        if folder is None or not os.path.isdir(path):  # noqa: PTH112
            _add(gatherer, path, profile)
    for path in folder.beside if folder else ():
        gatherer.leave_out(path, f"beside the folder {certutil.DATABASE_FOLDER}")
    if request.locations is not None:
        extra.update(_locations(request.locations, profile))
    gathered = gatherer.result()
    if not gathered.count:
        raise _nothing(gathered)
    warnings = _certutil_inside(request, gathered)
    taken = [one.name for one in gathered.candidates if names.is_key(one.name)]
    warnings += [f"{name} is a private key: keep the archive as safe as the key itself" for name in taken]
    if folder is not None and not taken:
        notes.append(folder.key_reminder)
    gone = [] if folder is None else _not_there(folder, gathered)
    kind = request.kind or (("logs" if gone else folder.kind) if folder else "collected")
    _demand_writable(_head(kind, profile, extra, system_clock()))
    return Collection(
        gathered,
        profile,
        kind,
        extra,
        (*notes, *gathered.notes),
        (*warnings, *gone, *gathered.warnings),
        is_partial=bool(gone or gathered.warnings),
        archive_id=request.archive_id,
        signer=request.signer,
        recipients=request.recipients,
    )


def _add_certutil(gatherer: Gatherer, folder: certutil.CertutilFolder, request: CollectRequest) -> None:
    """Take the set of a folder that certutil wrote, and the key beside it where that is wanted."""
    for leaf in folder.databases:
        gatherer.expect(leaf, CERTUTIL_LIST)
    kept = frozenset({CERTUTIL_LIST} if request.locations is None else ())
    gatherer.add_folder(folder.database_folder, prefix=folder.prefix, skip=kept)
    for path in folder.keys if request.with_key else ():
        gatherer.add_file(path)


def _nothing(gathered: Gathered) -> NothingFoundError:
    """Return the error of a folder in which there is nothing of a set, with what was seen."""
    error = NothingFoundError(
        "there is nothing to archive: no database, log or patch file was recognised",
        hint="name files one by one as TOKEN=FILE, or take everything with --all",
    )
    for one in gathered.left_out[:_MAX_SEEN]:
        error.add_note(f"seen: {names.printable(one.name)}: {one.reason}")
    if len(gathered.left_out) > _MAX_SEEN:
        error.add_note(f"... and {len(gathered.left_out) - _MAX_SEEN} more")
    return error


def _not_there(folder: certutil.CertutilFolder, gathered: Gathered) -> list[str]:
    """Return the databases that the list of a folder of certutil's names, and that are not in it."""
    there = {names.collision_key(names.leaf_of(one.name)) for one in gathered.candidates if one.kind == "database"}
    return [
        f"{leaf}: {CERTUTIL_LIST} names this database, and it is not in the folder: logs alone restore nothing"
        for leaf in folder.databases
        if names.collision_key(leaf) not in there
    ]


def _demand_known(request: CollectRequest) -> None:
    for what, asked, known in (("profile", request.profile, tokens.PROFILES), ("kind", request.kind, KINDS)):
        if asked is not None and asked not in known:
            hint = f"choose one of {', '.join(known)}"
            raise InputError(f"there is no {what} {names.printable(asked)}", hint=hint)
    if request.signer is not None:
        request.signer.demand_keys()


def _demand_writable(head: Head) -> None:
    """Refuse a description that HEAD cannot hold, before anything is written.

    Raises:
        InputError: It is no text, or too long.
    """
    try:
        size = len(head.build())
    except FormatError as error:
        raise InputError(f"the description of the set cannot be kept: {error.message}") from error
    if size > MAX_JSON_SIZE:
        raise InputError(f"the description of the set and its locations take {size} bytes; {MAX_JSON_SIZE} can be kept")


def collect(
    collection: Collection,
    sink: Sink,
    *,
    compression: Compression | None = None,
    clock: Callable[[], datetime] = system_clock,
    processes: int = 1,
    progress: Callable[[int], None] | None = None,
    findings: Findings | None = None,
) -> Sealed:
    """Write the archive of a collection.

    Args:
        collection: From `gather`.
        sink: Where the archive goes.
        compression: How chunks are stored.
        clock: For the times in the archive.
        processes: How many processes may pack many small files.
        progress: Called with numbers of bytes as files are read.
        findings: Where it is noted what verifying pages and log segments finds while they go by; None: nobody looks.

    Raises:
        SourceChangedError: A file changed since `gather` looked at it.
        InputError: Two files would be one entry, or the archive would replace or hold itself.
        StorageError: A file cannot be read, or the archive cannot be written.
        FormatError: A limit of the format is reached.
        SigningError: It cannot be signed; nothing is left.
    """
    try:
        head = collection.head(clock())
        _demand_outside(collection.gathered, sink)
        writer = ArchiveWriter(
            sink,
            head,
            archive_id=collection.archive_id,
            compression=compression,
            clock=clock,
            keys=collection.recipients,
        )
        if collection.signer is not None:
            writer.after_root = collection.signer.records
    except BaseException:
        sink.discard()
        raise
    with writer, BackgroundExaminer() as background:
        facts = KeptFacts(writer, collection.profile)
        work = Collecting(writer, collection.profile, progress, findings, facts, background)
        for one in collection.gathered.candidates:
            work.add(one, one.state)
        rest = collection.gathered.rest
        count, size = writer.entry_count, writer.content_size
        add_rest(work, rest, processes)
        rest.demand_all(writer.entry_count - count, writer.content_size - size)
        facts.end(collection.gathered.candidates)
        return writer.seal(**_summary(collection))


def _head(kind: str, profile: str, extra: dict[str, Any], created: datetime) -> Head:
    return Head(canonical_json.to_time(created), kind, profile, SOFTWARE, extra=extra)


def _demand_outside(gathered: Gathered, sink: Sink) -> None:
    """Refuse an archive over a file that it takes, or in a folder that it takes whole: it would have to hold itself."""
    if not isinstance(sink, FileSink):
        return
    home = sink.path.absolute().parent.resolve()
    for folder, _, _ in gathered.rest.folders:
        if home.is_relative_to(os.path.realpath(folder)):
            message = "the archive would lie in a folder that it takes whole"
            raise InputError(message, path=sink.path, hint="write it to another folder")
    try:
        there = FileState.of(sink.path.stat())
    except OSError:
        return
    if any((one.state.inode, one.state.device) == (there.inode, there.device) for one in gathered.candidates):
        message = "the archive would replace a file that it takes"
        hint = "the first argument is the archive to make; give it another name"
        raise InputError(message, path=sink.path, hint=hint)


def _summary(collection: Collection) -> dict[str, Any]:
    gathered = collection.gathered
    extra: dict[str, Any] = {}
    if gathered.generations is not None:
        extra["generations"] = {"low": gathered.generations[0], "high": gathered.generations[1]}
    if gathered.left_out:
        listed = [{"name": names.printable(one.name), "reason": one.reason} for one in gathered.left_out[:MOST_NOTES]]
        extra["left_out"] = canonical_json.fitting(listed, _MAX_LIST_SIZE, _size)
        extra["left_out_count"] = len(gathered.left_out)
    if notes := [*collection.warnings, *collection.notes]:
        extra["notes"] = canonical_json.fitting(map(names.printable, notes[:MOST_NOTES]), _MAX_LIST_SIZE, _size)
    return {"outcome": "partial" if collection.is_partial else "complete", **extra}


def _size(item: str | dict[str, str]) -> int:
    return len(canonical_json.encode({"item": item}))


def _certutil_folder(request: CollectRequest) -> certutil.CertutilFolder | None:
    """Return the one folder that was named, if certutil wrote it."""
    folders = [path for path in request.paths if os.path.isdir(path)]  # noqa: PTH112
    if len(folders) != 1 or request.profile not in (None, "certadm"):
        return None
    return certutil.recognise(folders[0])


def _certutil_inside(request: CollectRequest, gathered: Gathered) -> list[str]:
    """Return a remark where one folder of certutil's lies inside what was named: its location list is not kept.

    Raises:
        InputError: Several do, and would become one set.
    """
    given = [path for path in request.paths if os.path.isdir(path)]  # noqa: PTH112
    inside = certutil.folders_inside(given, (one.name for one in gathered.left_out))
    if not inside or request.locations is not None:
        return []
    if len(inside) == 1:
        text = "certutil wrote this folder, and its location list is kept only where it is archived alone"
        return [f"{text}: tokar create OUT {names.typed(inside[0])}"]
    raise certutil.several_error(given[0], inside, "make an archive of each", "tokar create OUT{number} {folder}")


def _location_list(folder: certutil.CertutilFolder, notes: list[str]) -> dict[str, Any]:
    """Return the key of HEAD for the location file of certutil, which is kept even if it cannot be read."""
    if folder.location_list is None:
        return {}
    try:
        parse_location_list(folder.location_list, wide=True)
    except LocationListError as error:
        notes.append(Rules.LOCATIONS_DAMAGED.fault(CERTUTIL_LIST, error).message)
    return {"location_list": metadata.location_list_json("w", folder.location_list)}


def _add(gatherer: Gatherer, path: str, profile: str) -> None:
    """Add a file, a folder or `TOKEN=FILE`. What exists under the whole name is that, even with an equals sign."""
    if os.path.isdir(path):  # noqa: PTH112
        gatherer.add_folder(path)
        return
    word, equals, file = path.partition("=")
    if equals and not os.path.dirname(word) and not os.path.lexists(path):  # noqa: PTH120
        gatherer.add_file(file, token=tokens.parse_token(word, profile))
    else:
        gatherer.add_file(path)


def _described(request: CollectRequest) -> dict[str, Any]:
    return {key: text for key in ("annotation", "name", "server") if (text := getattr(request, key)) is not None}


def _locations(path: Path, profile: str) -> dict[str, Any]:
    """Return the key of HEAD for a locations file."""
    from tokar.paths import take_apart  # noqa: PLC0415
    from tokar.restore.locations import read_location_file  # noqa: PLC0415 - start-up time

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
