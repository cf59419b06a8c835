"""Files as they lie on disk, taken for the set that an archive of them would be: the same files, facts and judge.

All of their content is read, as it is when they are archived; nothing is written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from blake3 import blake3

from tokar import names
from tokar.collect.collect import Collection, CollectRequest, gather
from tokar.collect.found import Candidate, FileState
from tokar.errors import ArchiveError, FormatError, NothingFoundError, NotSignedError, SetError, StorageError
from tokar.ese import identify as ese
from tokar.ese.filenames import DATABASE_SUFFIXES, NameRole, parse_file_name
from tokar.ese.inspect import Inspection, PassingFile, inspect_file
from tokar.format.archive import Archive
from tokar.format.encryption import Keyring
from tokar.replay.files import LeftFile, SetFiles
from tokar.replay.together import chain_followed, followed, followed_together, was_read
from tokar.restore.chosen import placed_of
from tokar.restore.locations import kept_locations
from tokar.sets.backup_set import (
    BackupSet,
    FoundSets,
    archives_of,
    files_in,
    find_sets,
    is_set,
    sets_in,
)
from tokar.sets.chain import Chain
from tokar.sets.choose import NotRestorableError, restorable
from tokar.sets.compared import with_states_compared
from tokar.sets.idle import idle_in
from tokar.sets.joining import build_chain
from tokar.sets.linked import with_links_among
from tokar.sets.not_taken import with_not_taken
from tokar.sets.outcome import (
    LastLine,
    SparedSet,
    Word,
    one_by_one,
    passes,
    refusal,
    with_damage,
    with_idle,
    with_unread,
    worst,
)
from tokar.sets.read import SetFile, SetReader
from tokar.sets.server_list import list_facts
from tokar.sets.start import reached_by
from tokar.storage.bytesource import PIECE, FileSource, OverwritesInputError, parts_of
from tokar.trust.signatures import AllowedSigners
from tokar.words import some

_BY_NAME: Final = (*DATABASE_SUFFIXES, ".stm")


@dataclass(frozen=True, slots=True)
class SetOnDisk:
    """A set of files as they lie."""

    backup_set: BackupSet  # What they say of themselves
    collection: Collection  # What is of the set and what is not
    changed: tuple[str, ...] = ()  # Files that were written to while they were read: nothing is proven of them

    @property
    def files(self) -> Sequence[Candidate]:
        """Where its files are, by their numbers."""
        return self.collection.gathered.candidates

    def without_files(self) -> SetOnDisk:
        """Return it without where its files are: once they were read no verdict needs that, and it takes room."""
        gathered = replace(self.collection.gathered, candidates=())
        return replace(self, collection=replace(self.collection, gathered=gathered))


@dataclass(frozen=True, slots=True)
class Given:
    """What the paths that were given are."""

    sets: tuple[Path, ...]  # Archives, receipts and folders with them, and what nobody can tell
    files: tuple[tuple[str, ...], ...]  # Files and folders as they lie: each group is one set
    beside: tuple[str, ...] = ()  # Files of an engine beside archives in a folder, which take no part

    @classmethod
    def of(cls, paths: Iterable[Path | str]) -> Given:
        """Tell archives from files of an engine. A folder without archives is a set; files beside each other are one.

        Raises:
            StorageError: A folder or file cannot be read.
        """
        sets: list[Path] = []
        groups: list[tuple[str, ...]] = []
        loose: list[str] = []
        beside: list[str] = []
        for path in map(Path, paths):
            if os.path.isdir(path):  # noqa: PTH112 - no name is too long for it
                inside = False
                with suppress(StorageError):  # whoever looks into it says so, and goes on with the others
                    inside = any(sets_in(path))
                if inside:
                    sets.append(path)
                    beside += _beside(path)
                else:
                    groups.append((str(path),))
            elif is_set(path) or not _is_of_engine(path):
                sets.append(path)
            else:
                loose.append(str(path))
        return cls(tuple(sets), (*groups, *([tuple(loose)] if loose else [])), tuple(beside))


def _beside(folder: Path) -> Iterator[str]:
    """Yield the files of an engine in a folder of archives; what cannot be read, or is printed into, is none."""
    for one in files_in(folder):
        with suppress(StorageError, OverwritesInputError):
            if not is_set(one) and _is_of_engine(one):
                yield str(one)


def _is_of_engine(path: Path) -> bool:
    by_name = parse_file_name(path.name).role
    if by_name is NameRole.PATCH or path.name.lower().endswith(_BY_NAME):
        return path.is_file()
    if not path.is_file():
        return False
    with FileSource(path) as source:
        return ese.identify(source).kind is not ese.FileKind.UNKNOWN


def set_on_disk(
    paths: Sequence[str], *, examine: bool = True, progress: Callable[[int], None] | None = None
) -> SetOnDisk:
    """Return what files say of themselves as one set, as an archive of them would.

    Args:
        paths: A folder, or files.
        examine: Whether all pages and log segments are verified, as they are when files are archived.
        progress: Called with numbers of bytes as they are read.

    Raises:
        NothingFoundError: There is nothing of a set.
        InputError: The logs of two streams are in one folder.
        StorageError: A file cannot be read.
    """
    try:
        collection = gather(CollectRequest(paths=paths))
    except NothingFoundError as error:
        error.message = "neither an archive nor a database, log or patch file is there"
        error.path, error.hint = paths[0], "name archives, or folders with archives or with files of an engine"
        raise
    reader, whole, changed = SetReader(examine=examine), blake3(), []
    for number, one in enumerate(collection.gathered.candidates):
        seen, digest, same = _read(one, examine=examine, progress=progress)
        file = SetFile(
            name=names.display(*names.encode(one.name)),
            size=one.state.size,
            token=one.token,
            profile=collection.profile,
            number=number,
            digest=digest,
        )
        whole.update(one.name.encode("utf-8", "surrogateescape") + b"\0" + digest)
        if not same:
            changed.append(file.name)
        if reader.wants(file):
            reader.add(file, seen)
    label = some(paths)
    facts = replace(reader.facts(label), locations=list_facts(collection.head()))
    left_out = [(names.printable(one.name), one.reason) for one in collection.gathered.left_out]
    candidates = collection.gathered.candidates
    if examine:
        (facts,) = with_states_compared([facts], lambda _, log: FileSource(candidates[log.number or 0].path))
    backup_set = BackupSet(
        label=label,
        id=b"",
        root=whole.digest(),
        kind=collection.kind,
        profile=collection.profile,
        facts=with_not_taken(with_links_among(facts, left_out), left_out),
    )
    return SetOnDisk(backup_set, collection, tuple(changed))


def _read(one: Candidate, *, examine: bool, progress: Callable[[int], None] | None) -> tuple[Inspection, bytes, bool]:
    """Return what a file says, the digest of it, and whether it stayed as it was when it was found."""
    with FileSource(one.path) as source:
        if not examine:
            return inspect_file(source), b"", True
        passing, hasher = PassingFile(source.size), _Hasher(source.size)
        for part in parts_of(source):
            if isinstance(part, int):
                passing.zeros(part)
                hasher.zeros(part)
            else:
                passing(memoryview(part))
                hasher.update(part)
            if progress is not None:
                progress(part if isinstance(part, int) else len(part))
        seen = passing.finish()
        if not seen.is_sure:
            seen = inspect_file(source, examine=True)
        return seen, hasher.digest(), FileState.of(os.fstat(source.fileno())) == one.state


class _Hasher:
    """Makes what the content of a file is told by: its digest, by which logs are held against those in archives.

    Of what is larger than any log nothing is. It is told by what is other than zeros in it, and where that is.

    Args:
        size: Bytes of the file.
    """

    def __init__(self, size: int) -> None:
        self._hasher = blake3()
        self._is_large = size > ese.LARGEST_LOG
        self._done = 0

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._is_large:
            self._hasher.update(self._done.to_bytes(8, "little"))
        self._hasher.update(data)
        self._done += len(data)

    def zeros(self, count: int) -> None:
        """Take so many zeros as the next bytes."""
        if self._is_large:
            self._done += count
            return
        while count > 0:
            part = min(count, PIECE)
            self._hasher.update(bytes(part))
            count -= part

    def digest(self) -> bytes:
        """Return what tells the content; the size tells as well."""
        if self._is_large:
            self._hasher.update(self._done.to_bytes(8, "little"))
        return self._hasher.digest()


def open_set(
    paths: Iterable[Path | str], keyring: Keyring | None = None, *, signers: AllowedSigners | None = None
) -> SetFiles:
    """Return archives, and files as they lie, as one set whose files can be opened; all content is read first.

    Of several sets it is what a restore of all of them would place, and no other is read whole.

    Args:
        paths: The archives, and folders or files of an engine.
        keyring: What opens encrypted content.
        signers: Those of whom one must have signed every archive.

    Raises:
        NotSignedError: None of the signers signed one of the archives, or files lie as they are.
        ArchiveError: One of them cannot be read, or holds nothing.
        SetError: There are several, and a restore of them is refused.
    """
    given = Given.of(paths)
    demand_signable(given, signers)
    archives, files = archives_of(given.sets), SetFiles()
    try:
        if len(archives) + len(given.files) > 1:
            _take_chosen(files, given, keyring, signers)
        elif archives:
            files.take_archive(archives[0], keyring, signers)
        else:
            for group in given.files:
                on_disk = set_on_disk(group)
                files.take_files(on_disk.backup_set.facts, on_disk.files)
        files.server_folders += [one for archive in files.archives for one in _folders(archive)]
    except BaseException:
        files.close()
        raise
    return files


def _take_chosen(files: SetFiles, given: Given, keyring: Keyring | None, signers: AllowedSigners | None) -> None:
    """Take what a restore of several sets would place.

    Raises:
        ArchiveError: One that was named, or is needed, cannot be read.
        SetError: The restore is refused.
    """
    found, lying = find_all(given, signers=signers, keyring=keyring)
    chain = build_chain((*found.sets, *(one.backup_set for one in lying)))
    try:
        if found.named:  # what was named must be there
            raise refusal(chain.outcome, found.missed())
        selection = restorable(chain)
    except NotRestorableError as error:
        if missed := found.missed():
            raise refusal(chain.outcome, missed, error) from None
        raise SetError(error.message, hint=error.hint) from error
    start = next(one for one in chain.starts if chain.sets[one.number].root == selection.sets[0].root)
    if missed := found.missed(start.reached(selection.target)):
        raise refusal(chain.outcome, missed)
    on_disk, taken = {one.backup_set.root: one for one in lying}, []
    for one in selection.sets:
        its = on_disk.get(one.root)
        if its is None:
            taken.append(files.take_archive(Path(one.label), keyring, signers))
        else:
            taken.append(files.take_files(its.backup_set.facts, its.files))
    logs = [{log.number: log for log in one.logs} for one in taken]
    placed = (logs[one.at][one.entry] for one in selection.logs)
    excluded = selection.excluded()
    why: dict[int | None, str] = {one.entry: one.reason for one in selection.left_out if one.at == 0}
    apart: list[LeftFile] = [(one, why[one.number]) for one in taken[0].databases if one.number in why]
    apart += [(one, why[one.number]) for one in taken[0].logs if one.number in why]
    files.choose(placed_of(taken[0], excluded, placed), apart)
    files.unused = [*selection.unused_with_why, *(f"{one} (cannot be read)" for one in found.problems)]


def _folders(archive: Archive) -> Iterator[str]:
    """Yield the folders that an archive names; where it names a file, the one that it lies in."""
    for _, path, kind in kept_locations(archive.head):
        yield path
        if kind != "directory":
            yield path.replace("\\", "/").rpartition("/")[0]


def demand_signable(given: Given, signers: AllowedSigners | None) -> None:
    """Check that there is nothing but archives, where all must be signed.

    Raises:
        NotSignedError: Files lie as they are.
    """
    if signers is not None and given.files:
        hint = "archive them and sign that: tokar create OUT PATH --sign KEY; or pass --accept-unsigned this time"
        raise NotSignedError("files as they lie have no signature", path=some(given.files[0]), hint=hint)


def find_all(
    given: Given,
    *,
    examine: bool = False,
    signers: AllowedSigners | None = None,
    keyring: Keyring | None = None,
) -> tuple[FoundSets, tuple[SetOnDisk, ...]]:
    """Return the sets in archives, receipts and folders, and those of files as they lie.

    Where content is examined, as that of files as they lie always is, pages are followed through the logs too.

    Args:
        given: Where they are.
        examine: Whether to check all pages and log segments of archives as well.
        signers: Those of whom one must have signed every archive.
        keyring: What opens encrypted content; what it does not open is not examined.

    Raises:
        NotSignedError: None of the signers signed one of the archives, or files lie as they are.
        ArchiveError: The one archive or receipt that was named cannot be read, and it is not its format that is broken.
        InputError: A folder holds nothing.
    """
    demand_signable(given, signers)
    alone = len(given.sets) + len(given.files) == 1
    found = FoundSets((), ())
    if given.sets:
        try:
            found = find_sets(given.sets, examine=examine, signers=signers, keyring=keyring, strict=alone)
        except FormatError as error:  # that is what it comes to, as of several
            found = FoundSets((), (error,), (error,))
    lying = [set_on_disk(one) for one in given.files]
    files = {one.backup_set.root: one.files for one in lying}
    sets = (*found.sets, *(one.backup_set for one in lying))
    apart = [replace(one, facts=followed(one.facts, [one], files, keyring)) if was_read(one) else one for one in sets]
    together, count = followed_together(apart, files, keyring), len(found.sets)
    on_disk = (replace(one, backup_set=its) for one, its in zip(lying, together[count:], strict=True))
    return replace(found, sets=tuple(together[:count])), tuple(on_disk)


@dataclass(frozen=True, slots=True)
class Together:
    """How all that was found fits together, and what it comes to."""

    chain: Chain  # How the sets fit together
    outcome: LastLine | None  # What it comes to; None where there is nothing
    needed: tuple[ArchiveError, ...]  # What cannot be read and is needed, or was named: it is in the way
    spared: tuple[SparedSet, ...]  # What else cannot be read, each with what it comes to
    locked: LastLine | None  # What is encrypted, where content was asked for


def judge_together(
    found: FoundSets, lying: Sequence[SetOnDisk], *, examine: bool = False, keyring: Keyring | None = None
) -> Together:
    """Return what sets come to together, with what is missed in archives that cannot be read.

    Args:
        found: What is in archives, receipts and folders.
        lying: What lies as it is.
        examine: Whether content was asked for.
        keyring: What opens encrypted content.
    """
    on_disk = [one.backup_set for one in lying]
    chain = chain_followed((*found.sets, *on_disk), keyring, [one.root for one in on_disk])
    needed = missed_by(chain, found)
    unread = with_unread(with_damage(chain.outcome, chain.damage), needed, alone=found.is_one and not lying)
    closed = [one.label for one in found.sets if examine and not one.facts.examined and one.receipt is None]
    why = f"content of {some(closed)}: it is encrypted, and nothing that was given opens it (--identity)"
    locked = LastLine(Word.NOT_PROVEN, why, SetError.exit_code) if closed else None
    outcome = worst(one for one in (unread, locked) if one is not None)
    if changing := [name for one in lying for name in one.changed]:
        outcome = LastLine(Word.NOT_PROVEN, f"{some(changing)}: written to while it was read", SetError.exit_code)
    outcome = with_idle(outcome, idle_in(chain))
    return Together(chain, one_by_one(outcome, chain.choice), needed, spared_by(found.problems, needed), locked)


def missed_by(chain: Chain, found: FoundSets) -> tuple[ArchiveError, ...]:
    """Return what cannot be read and is missed by sets together: it is in the verdict of every verb."""
    return tuple(found.missed(reached_by(chain.starts) if passes(chain.outcome) else None))


def spared_by(problems: Iterable[ArchiveError], missed: Container[ArchiveError]) -> tuple[SparedSet, ...]:
    """Return what cannot be read and is not missed, each with what it comes to alone."""
    found = ((str(one.path), with_unread(None, [one], alone=True)) for one in problems if one not in missed)
    return tuple(SparedSet(label, outcome) for label, outcome in found if outcome is not None)
