"""One set of a chain: what its archive says of it, or, where only that is here, its receipt."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol

from tokar.as_json import fields_json
from tokar.errors import (
    ArchiveError,
    InputError,
    LockedError,
    NotSignedError,
    SigningError,
    StorageError,
    storage_errors,
)
from tokar.ese.inspect import Inspection
from tokar.format.archive import Archive
from tokar.format.encryption import Keyring
from tokar.format.identity import KnownBy, identity_of
from tokar.format.index import Entry
from tokar.format.records import MAGIC
from tokar.format.twins import TwinArchive
from tokar.format.verify import spare_damage, verify
from tokar.sets.compared import with_states_compared
from tokar.sets.facts import LogFacts, SetFacts, is_foreign
from tokar.sets.judge import SetVerdict, judge_set
from tokar.sets.read import facts_of_archive
from tokar.sets.receipt import CHANGED_RECEIPT, RECEIPT_SUFFIX, Generations, read_receipt, receipt_path
from tokar.sets.recorded import RecordedFacts
from tokar.sets.seen import SeenFiles
from tokar.sets.watching import Watch, unwatched
from tokar.storage.bytesource import ByteSource, FileSource, OverwritesInputError, read_start
from tokar.trust.signatures import AllowedSigners
from tokar.words import logs_text

ARCHIVE_SUFFIX: Final = ".tokar"
_MAX_GENERATION: Final = 0x7FFF_FFFF  # of any log
_NAME_ONE: Final = "name an archive, or the folder that it is in; files as they lie: tokar check FOLDER"
_NO_ARCHIVE: Final = "name the receipt or the archive of another backup; what it says of this one is in it, as JSON"


class Located(Protocol):
    """A file on disk."""

    @property
    def path(self) -> str:
        """Where it is."""


_NO_FILES: Final[Mapping[bytes, Sequence[Located]]] = MappingProxyType({})


class NoSetError(InputError):
    """A receipt tells of a backup that failed: it made no set, and truncated nothing."""


@dataclass(frozen=True, kw_only=True)
class BackupSet:
    """One set of a chain."""

    label: str  # Where it is: a path
    id: bytes  # Archive id, 16 bytes
    root: bytes  # Root, 32 bytes
    kind: str  # `full`, `logs` or `collected`. It decides only whether a current log is wanted: SFT-10
    profile: str = ""  # The token profile
    created: str = ""  # When the archive was begun, as text
    server: str | None = None  # The server it came from; None where it does not say
    prior: tuple[bytes, bytes] | None = None  # Id and root of the set that it says it goes on from
    origin: str = ""  # What it was salvaged from: id, or tag where only that was left; empty where it was not
    facts: SetFacts = field(default_factory=SetFacts)  # What its files say; empty for a receipt
    # For a set whose archive is not here: the generations that its receipt names, lowest and highest.
    receipt: tuple[int, int] | None = None
    stream: bytes | None = None  # And the log stream of the highest; None where it does not say
    # For a set of another engine than ESE: the numbers of its logs, as its summary gives them.
    numbers: tuple[int, int] | None = None
    damage: tuple[ArchiveError, ...] = field(default=(), compare=False)  # What is wrong where no file needs it
    locked: bool = field(default=False, compare=False)  # Whether its content is encrypted, and nothing given opens it

    @property
    def has_databases(self) -> bool:
        """Whether it holds databases, so that a restore can begin with it."""
        return any(not one.temporary for one in self.facts.databases)

    @property
    def generations(self) -> tuple[int, int] | None:
        """The lowest and the highest generation in it; None without logs."""
        return self.receipt or self.numbers or self.facts.generations

    @cached_property
    def verdict(self) -> SetVerdict:
        """What becomes of it by itself: many ask that, and judging takes long."""
        return judge_set(self.facts)

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON, without the facts."""
        generations = self.generations
        return {
            "path": self.label,
            **fields_json(self, "id", "root", "kind", "profile", "created", "server"),
            "prior": {"id": self.prior[0].hex(), "root": self.prior[1].hex()} if self.prior else None,
            "origin": self.origin or None,
            "generations": {"low": generations[0], "high": generations[1]} if generations else None,
            "receipt_only": self.receipt is not None,
        }


def set_of_archive(
    archive: Archive,
    *,
    label: str = "",
    entries: Iterable[Entry] | None = None,
    examine: bool = False,
    progress: Callable[[int], None] | None = None,
    recorded: RecordedFacts | None = None,
    seen: Callable[[int], Inspection | None] | None = None,
) -> BackupSet:
    """Return what an archive says of itself as a set of a chain.

    Args:
        archive: The archive.
        label: What the set is called.
        entries: Those that count; by default all.
        examine: Whether to check all pages and log segments.
        progress: Called with the bytes of content that are done.
        recorded: What the archive keeps, if that is at hand.
        seen: Returns what an entry says of itself, where that was examined already.

    Raises:
        FormatError: The index or the start of a file is damaged.
        StorageError: The archive cannot be read.
    """
    head = archive.head
    known = archive.summary.extra.get("generations") if is_foreign(head.profile) else None
    prior, origin = head.extra.get("prior"), head.extra.get("origin", {})
    return BackupSet(
        label=label or str(archive.path or archive.id.hex()),
        id=archive.id,
        root=archive.root,
        kind=head.kind,
        profile=head.profile,
        created=head.created,
        server=head.text("server"),
        prior=(bytes.fromhex(prior["id"]), bytes.fromhex(prior["root"])) if prior else None,
        origin=origin.get("id") or origin.get("tag") or "",
        facts=facts_of_archive(
            archive,
            entries=entries,
            examine=examine,
            progress=progress,
            recorded=recorded or RecordedFacts(archive),
            seen=seen,
        ),
        numbers=None if known is None else (int(known["low"]), int(known["high"])),
        locked=archive.is_locked,
    )


def set_of_receipt(path: Path) -> BackupSet:
    """Return what a receipt says of the set whose archive it lay beside: enough to name it, never enough to restore it.

    Raises:
        NoSetError: It is one of a backup that failed.
        InputError: It is no receipt.
        StorageError: It cannot be read.
    """
    found = read_receipt(path)
    if found.outcome != "sealed":
        raise NoSetError("this receipt tells of a backup that made no archive", path=path, hint=_NO_ARCHIVE)
    log = found.backup.get("log")
    try:
        return BackupSet(
            label=str(path),
            id=bytes.fromhex(found.archive["id"]),
            root=bytes.fromhex(found.archive["root"]),
            kind="full" if found.backup.get("took") in {"full", "copy"} else "logs",
            profile=found.backup.get("profile", ""),
            server=found.backup.get("server"),
            receipt=_range_of(found.backup.get("generations")),
            stream=bytes.fromhex(log.get("stream", "")) if log else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("this receipt lacks what a set is known by", path=path, hint=CHANGED_RECEIPT) from error


def _range_of(generations: Generations | tuple[int, int] | None) -> tuple[int, int]:
    """Return the generations in a receipt, whether as an object or as a pair; (0, 0) where there are none."""
    if generations is None:
        return 0, 0
    low, high = (generations["low"], generations["high"]) if isinstance(generations, dict) else generations
    if not 0 <= low <= high <= _MAX_GENERATION:
        raise ValueError(low, high)
    return low, high


@dataclass(frozen=True, slots=True)
class FoundSets:
    """The sets that were found."""

    sets: tuple[BackupSet, ...]  # The sets
    problems: tuple[ArchiveError, ...]  # Archives and receipts that cannot be read, each with the reason
    named: tuple[ArchiveError, ...] = ()  # Those of them that were named, and did not only lie in a folder
    # Which archives those are that cannot be read, by their paths.
    ids: Mapping[str, KnownBy] = field(default_factory=dict)
    receipts: Mapping[str, BackupSet] = field(default_factory=dict)  # Their receipts, by the same

    @property
    def is_one(self) -> bool:
        """Whether there is one archive or receipt and nothing else, readable or not."""
        return len(self.sets) + len(self.problems) == 1

    def missed(self, reached: Mapping[bytes, int] | None = None) -> list[ArchiveError]:
        """Return what cannot be read, was named or may belong to the sets, by name.

        Of what only lies in a folder nothing is missed in an archive that is here a second time, and whole: of the same
        id, and of the same root where its end still names one. Where what is here can be restored, nothing is missed
        either in a file that nobody knows for an archive, and in an archive that has no later log of its stream by its
        receipt: generations of two streams do not compare.

        Args:
            reached: The last log to which what is here of each stream can be restored; None where something cannot.
        """
        whole = {KnownBy(one.id, root) for one in self.sets if one.receipt is None for root in (one.root, b"")}
        found = []
        for problem in self.problems:
            own = self.ids.get(str(problem.path))
            receipt = self.receipts.get(str(problem.path))
            spared = own in whole or (own is None and reached is not None)
            if receipt is not None and receipt.receipt is not None and reached is not None:
                spared = spared or 0 < receipt.receipt[1] <= reached.get(receipt.stream or b"", 0)
            if problem in self.named or not spared:
                found.append(problem)
        return sorted(found, key=lambda one: str(one.path))


def find_sets(
    paths: Iterable[Path | str],
    *,
    examine: bool = False,
    keyring: Keyring | None = None,
    signers: AllowedSigners | None = None,
    strict: bool = True,
) -> FoundSets:
    """Return the sets in archives, receipts and folders, without subfolders.

    What is named must be readable where that is strict; what is in a folder and is not is a problem, and stops only who
    needs it.

    Args:
        paths: Archives, receipts and folders.
        examine: Whether to check all content, and all pages and log segments in it, as well.
        keyring: What opens encrypted content; where it does not, facts are enough.
        signers: Those of whom one must have signed every archive.
        strict: Whether what is named must be readable.

    Raises:
        ArchiveError: An archive or receipt that was named cannot be read.
        InputError: There is no archive at all.
        NotSignedError: None of the signers signed one of the archives, be it only one that lies in a folder.
    """
    load = partial(_load, examine=examine, signers=signers, keyring=keyring)
    sets: list[BackupSet] = []
    problems: list[ArchiveError] = []
    wanted: list[ArchiveError] = []
    ids: dict[str, KnownBy] = {}
    named = {path for path in map(Path, paths) if not os.path.isdir(path)}  # noqa: PTH112 - no name is too long for it
    for path in map(Path, paths):
        for one in [path] if path in named else files_in(path):
            try:
                if path in named or is_set(one):
                    sets.append(load(one))
            except (OverwritesInputError, NotSignedError, SigningError):
                raise
            except ArchiveError as error:
                if path in named and strict:
                    raise
                if path in named or not isinstance(error, NoSetError):  # which in a folder is in nobody's way
                    problems.append(error)
                    ids |= ids_of([one])
                wanted += [error] if path in named else []
    if not sets and not problems:
        raise InputError("there is no archive there", hint="name archives, or folders with archives")
    compared = compared_together(sets, keyring)
    return _with_receipts(FoundSets(tuple(compared), tuple(problems), tuple(wanted), ids))


def _with_receipts(found: FoundSets) -> FoundSets:
    """Return what was found, where receipts of archives that cannot be read say what these hold, and are no sets."""
    told = {one.label.removesuffix(RECEIPT_SUFFIX): one for one in found.sets if one.receipt is not None}
    receipts = {path: one for path, one in told.items() if (known := found.ids.get(path)) and known.id in {b"", one.id}}
    for problem in found.problems:
        if (own := receipts.get(str(problem.path))) and own.receipt:
            low, high = own.receipt
            problem.add_note(f"its receipt says that it holds {logs_text([range(low, high + 1)])[0]}")
    beside = {one.label for one in receipts.values()}
    return replace(found, sets=tuple(one for one in found.sets if one.label not in beside), receipts=receipts)


def found_beside(sets: Iterable[BackupSet], problems: Iterable[ArchiveError], paths: Iterable[Path]) -> FoundSets:
    """Return as what was found sets that were read one by one, and why other archives cannot be.

    Args:
        sets: The sets.
        problems: Why the others cannot be read, each with the path of its archive.
        paths: What was named: archives, and folders that they lie in.
    """
    unread, named = tuple(problems), {str(path) for path in paths}
    ids = ids_of(Path(one.path) for one in unread if one.path)
    told = []
    for path in ids:
        with suppress(ArchiveError):
            told.append(set_of_receipt(receipt_path(Path(path))))
    wanted = tuple(one for one in unread if str(one.path) in named)
    return _with_receipts(FoundSets((*sets, *told), unread, wanted, ids))


def ids_of(paths: Iterable[Path]) -> dict[str, KnownBy]:
    """Return which archives those are that cannot be read, by their paths; nothing of other files.

    An archive is what is called one, or begins like one.
    """
    found = {}
    for path in paths:
        if path.name.endswith(RECEIPT_SUFFIX):
            continue
        try:
            found[str(path)] = identity_of(path)
        except StorageError:
            found |= {str(path): KnownBy()} if path.name.endswith(ARCHIVE_SUFFIX) else {}
        except ArchiveError:
            found[str(path)] = KnownBy()
    return found


def _load(
    path: Path,
    *,
    examine: bool,
    signers: AllowedSigners | None,
    keyring: Keyring | None,
) -> BackupSet:
    if path.name.endswith(RECEIPT_SUFFIX):
        return set_of_receipt(path)
    try:
        with Archive(path) as archive:
            if signers is not None:
                signers.demand(archive)
            if keyring is not None:
                with suppress(LockedError):  # its facts may be enough, and another set may be the wanted one
                    archive.unlock(keyring)
            if not examine or archive.is_locked:  # who asked for it sees that it was not done
                return replace(set_of_archive(archive, label=str(path)), damage=tuple(spare_damage(archive)))
            seen = SeenFiles(archive.head.profile)
            report = verify(archive, content=True, watch=seen.watch)
            report.demand_files()
            found = set_of_archive(archive, label=str(path), examine=True, seen=seen.take)
            return replace(found, damage=tuple(fault.error for fault in report.faults))
    except ArchiveError as error:
        error.path = error.path or path
        raise


def open_again(found: BackupSet, copies: Sequence[str] = ()) -> Archive:
    """Open the archive of a set that was looked at before.

    Args:
        found: The set.
        copies: Other files with the same archive, which are read where it is damaged.

    Raises:
        StorageError: It cannot be read, or another archive has taken its place: what was judged was not this one.
        FormatError: It is damaged.
    """
    path = Path(found.label)
    archive = TwinArchive(path, [*map(Path, copies)]) if copies else Archive(path)
    if (archive.id, archive.root) != (found.id, found.root):
        archive.close()
        raise StorageError("the archive was replaced while it was being looked at", path=path, hint="run again")
    return archive


def examined(
    found: FoundSets, labels: Container[str], keyring: Keyring | None = None, watch: Watch = unwatched
) -> FoundSets:
    """Return what was found, with the content of some of the sets examined, as far as it can be read.

    Args:
        found: What was found.
        labels: Which sets, by their labels.
        keyring: What opens encrypted content.
        watch: Shows how far that is.
    """
    sets = [_examined(one, keyring, watch) if one.label in labels else one for one in found.sets]
    return replace(found, sets=tuple(compared_together(sets, keyring)))


def compared_together(
    sets: Sequence[BackupSet], keyring: Keyring | None = None, files: Mapping[bytes, Sequence[Located]] = _NO_FILES
) -> list[BackupSet]:
    """Return sets in which it stands how logs that were being written are to copies of them in other sets.

    Args:
        sets: The sets.
        keyring: What opens encrypted content.
        files: Where the files of those lie that are in no archive, by root.
    """
    if len(sets) < 2:  # of one by itself it stands there
        return [*sets]

    @contextmanager
    def open_log(at: int, log: LogFacts) -> Iterator[ByteSource]:
        found, number = sets[at], log.number or 0
        if found.root in files:
            with FileSource(files[found.root][number].path) as source:
                yield source
            return
        with open_again(found) as archive:
            if keyring is not None:
                archive.unlock(keyring)
            archive.demand_key()
            yield archive.entry_source(archive.entry(number))

    facts = with_states_compared([one.facts for one in sets], open_log)
    return [replace(one, facts=its) for one, its in zip(sets, facts, strict=True)]


def _examined(found: BackupSet, keyring: Keyring | None, watch: Watch) -> BackupSet:
    with suppress(ArchiveError), open_again(found) as archive:
        if keyring is not None:
            archive.unlock(keyring)
        if not archive.is_locked:
            with watch(archive.summary.content_size, found.label) as progress:
                return replace(
                    found, facts=set_of_archive(archive, label=found.label, examine=True, progress=progress).facts
                )
    return found


def files_in(folder: Path) -> list[Path]:
    """Return the files in a folder by name, without hidden ones: archives that are being written are."""
    with storage_errors("read the folder", folder):
        return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.is_file())


def is_set(path: Path) -> bool:
    """Return whether a file is an archive or a receipt by its name, or begins like an archive.

    Raises:
        StorageError: It cannot be read.
    """
    return path.name.endswith((RECEIPT_SUFFIX, ARCHIVE_SUFFIX)) or read_start(path, len(MAGIC)) == MAGIC


def sets_in(folder: Path, *, receipts: bool = True) -> Iterator[Path]:
    """Yield the archives and receipts in a folder, by name; what cannot be read is none.

    Raises:
        StorageError: The folder cannot be read.
    """
    for one in files_in(folder):
        with suppress(StorageError):
            if is_set(one) and (receipts or not one.name.endswith(RECEIPT_SUFFIX)):
                yield one


def archives_of(paths: Iterable[Path | str]) -> list[Path]:
    """Return the archives that are meant, where a folder stands for those in it.

    Raises:
        InputError: There is none in a folder.
        StorageError: A folder cannot be read.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        inside = [*sets_in(path, receipts=False)] if os.path.isdir(path) else [path]  # noqa: PTH112 - as above
        if not inside:
            raise InputError("there is no archive in the folder", path=path, hint=_NAME_ONE)
        found += inside
    return found
