"""How a restore goes on after a crash: what an interrupted run of the same plan left, and the journal that proves it.

The staging directories of a restore have a name that follows from the plan: from the roots of its archives, and from
where every file goes. A rerun of the same restore finds them again. Before the first rename a journal is written and
made durable, `NAME.journal-N` beside the first staging directory, with the files that are to be set aside. So:

* Staging directories without a journal: it died while files were being staged, and nothing has a final name. What is
  staged and whole, held against its digest again, is not written again.
* With a journal: everything had been staged, and renaming may have begun. A file under a final name that has exactly
  the size and the digest that it must have is taken for one that was renamed. Any other file there is in the way, as
  always.
* Where files of the plan are there so, and nothing else is in the way, they are taken as they are, journal or not, and
  the others are placed; where all are, all is done already.

A journal is JSON in lines, so that one of any length is written and read without being held: what it is, one line for
each file that is to be set aside, and one that ends it.

Nothing in a staging directory is believed: it must be private to this user, and every file in it a regular one with a
single name.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

from blake3 import blake3

from tokar.as_json import as_json
from tokar.errors import ArchiveError, InputError, LockedError, StorageError, storage_errors
from tokar.format.index import Entry
from tokar.names import STAGING_PREFIX
from tokar.restore.plan import Aside, Interrupted, Plan
from tokar.restore.written import WrittenFiles
from tokar.storage.bytesource import open_file, read_start
from tokar.storage.directory import Directory, inode_of
from tokar.storage.sink import write_all
from tokar.storage.stored_json import parse_json, typed

Planned = Callable[[Interrupted | None], list[Plan]]  # Makes plans, with what an earlier run left

T = TypeVar("T")
_FORM: Final = "tokar restore journal 2"
_SUFFIX: Final = ".journal-"
DRAFT: Final = ".draft"  # the end of the name of a journal that is being written
_KEY_SIZE: Final = 8  # bytes of the digest that a name is made of
_MAX_LINE: Final = 1 << 18  # bytes of a line of a journal: a path and two names, each character spelt out
_LAST: Final = {"is_whole": True}
_PIECE: Final = 1 << 20
_LINES: Final = 100  # of a journal that are written at once, and held: three times for a moment


def staging_name(plan: Plan) -> str:
    """Return what the names of the staging directories of a plan begin with; the number of the directory follows.

    Equal for equal roots and placements, whatever has to be set aside.
    """
    digest = blake3("\0".join(plan.roots).encode())
    for extra in plan.extras:
        digest.update(os.fsencode(f"\0{extra.directory}\0{extra.name}\0") + extra.data)
    digest.update(plan.steps.digest)
    return STAGING_PREFIX + digest.digest(_KEY_SIZE).hex()


def numbered(name: str, number: int) -> str:
    """Return the name of the staging directory of one target directory: several may be in one place."""
    return f"{name}-{number}"


def holds(path: Path, data: bytes) -> bool:
    """Return whether a file that is no link has exactly these bytes. Raises StorageError where it cannot be read."""
    return not path.is_symlink() and path.is_file() and read_start(path, len(data) + 1) == data


def is_whole(directory: Directory, name: str, entry: Entry, *, sync: bool = False) -> bool:
    """Return whether a file, read anew, has size and digest of an entry, and nobody else can change it.

    With `sync` it is made durable first, by the descriptor that it is read with; one that cannot be is not whole.
    """
    try:
        descriptor = directory.open(name)
    except StorageError:
        return False
    try:
        info = os.fstat(descriptor)
        own = os.name == "nt" or (info.st_uid == os.geteuid() and info.st_nlink == 1)
        if not stat.S_ISREG(info.st_mode) or not own or info.st_size != entry.size:
            return False
        if sync:
            os.fsync(descriptor)
        digest = entry.hasher()
        while piece := os.read(descriptor, _PIECE):
            digest.update(piece)
        return digest.digest() == entry.digest
    except (OSError, LockedError):
        return False
    finally:
        os.close(descriptor)


def find_interrupted(plan: Plan) -> Interrupted | None:
    """Return what an interrupted run of the same plan left behind; None where there is nothing.

    Files under final names are read whole, if there is a journal.
    """
    holders = list(_holders(plan))
    if not any(name.startswith(STAGING_PREFIX) for holder in holders for name in _names(holder)):
        return None
    name = staging_name(plan)
    journals = [(holder, one) for holder in holders for one in _names(holder) if one.startswith(name + _SUFFIX)]
    written = [found for place in journals if (found := _read(*place)) is not None]
    if not any(one.startswith(name) for holder in holders for one in _names(holder)):
        return None
    asides = dict.fromkeys(aside for one in written for aside in one.asides)
    return Interrupted(
        name=name,
        placed=WrittenFiles(_placed(plan) if written else ()),
        staged=WrittenFiles(_staged(plan, name)),
        asides=tuple(asides),
        journals=tuple((*place, _identity(*place)) for place in journals),
        registered=any(one.registered for one in written),
    )


def plans_that_go_on(first: Plan, planned: Planned) -> list[Plan]:
    """Return plans that go on from what an earlier run of the same restore left, also where files are there.

    Args:
        first: The plan, all plans of a chain as one, as if nothing had been left.
        planned: Makes the plans anew, with what was left.
    """
    left = find_interrupted(first)
    if left is None or not left.placed:
        there = _there_by_size(first, left)
        plans = planned(there) if there is not None else []
        # All is read only where nothing else is in the way: a recovered database has the size that it had, but a
        # checkpoint lies beside it.
        if there is not None and _is_free(first, plans):
            whole = there.placed.among(_placed(first, there.placed))
            if whole is there.placed:
                return plans
            if whole:
                return planned(replace(there, placed=whole, is_done=False))
    return planned(left)


def _there_by_size(plan: Plan, left: Interrupted | None) -> Interrupted | None:
    """Return what would be left if all files had been placed that have the right size; None where there is none."""
    sized = ((path, name) for path, name, entry in plan.steps.placements() if _size(path, name) == entry.size)
    placed = WrittenFiles(sized)
    if not placed:
        return None
    for one in plan.extras:
        if _size(one.directory, one.name) == len(one.data):
            placed.add(one.directory, one.name)
    found = left or Interrupted(staging_name(plan), WrittenFiles(), WrittenFiles(), (), ())
    count = len(plan.extras) + sum(1 for _ in plan.steps.placements())
    return replace(found, placed=placed, is_done=len(placed) == count)


def _is_free(first: Plan, plans: Iterable[Plan]) -> bool:
    """Return whether nothing is in the way of plans but files that have the names of theirs."""
    plans = [*plans]
    asides = {(one.directory, one.name) for plan in plans for one in plan.asides}
    if asides:
        asides -= {(path, name) for path, name, _ in first.steps.placements()}
        asides -= {(one.directory, one.name) for one in first.extras}
    return not asides and all(one.is_taken for plan in plans for one in plan.problems)


def journal_name(holder: Directory, name: str) -> str:
    """Return a free name for a journal.

    Raises:
        StorageError: The directory cannot be looked at.
    """
    number = 1
    while holder.has(own := f"{name}{_SUFFIX}{number}"):
        number += 1
    return own


def write_journal(holder: Directory, own: str, asides: Iterable[Aside], *, registered: bool = False) -> None:
    """Write a journal before the first rename, durably. It has its name only when it is whole.

    Args:
        holder: The directory that it is in.
        own: Its name.
        asides: The files that are to be set aside.
        registered: Whether something is going to be registered with a server.

    Raises:
        StorageError: The operating system refused.
    """
    lines = _lines_of(asides, registered=registered)
    draft = own.partition(_SUFFIX)[0] + DRAFT
    if holder.has(draft):
        holder.remove(draft)
    descriptor = holder.create(draft)
    try:
        with storage_errors("write", holder.path_of(draft)):
            while text := "".join(islice(lines, _LINES)):
                write_all(descriptor, [text.encode()])
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    holder.rename(draft, holder, own)
    holder.sync()


def _holders(plan: Plan) -> Iterator[str]:
    """Yield the directories that staging directories or journals of a plan may be in."""
    seen = dict.fromkeys(
        holder
        for one in plan.directories
        for holder in (one.path, os.path.dirname(one.path))  # noqa: PTH120 - text, as everywhere in a plan
    )
    yield from seen


def _tried(look: Callable[[], T], otherwise: T) -> T:
    """Return what a look at the disk gives, and something else where it cannot be had."""
    try:
        return look()
    except (OSError, ValueError, ArchiveError):
        return otherwise


def _names(directory: str) -> list[str]:
    return _tried(lambda: os.listdir(directory), [])  # noqa: PTH208 - names are all that is wanted


def _lines_of(asides: Iterable[Aside], *, registered: bool) -> Iterator[str]:
    for value in chain([_Head(_FORM, registered)], asides, [_LAST]):
        yield json.dumps(as_json(value)) + "\n"


@dataclass(frozen=True, slots=True)
class _Head:
    """The first line of a journal."""

    form: str
    registered: bool = False


@dataclass(frozen=True, slots=True)
class _Journal:
    """What a journal says."""

    registered: bool
    asides: list[Aside]  # Those that were done


def _read(directory: str, name: str) -> _Journal | None:
    """Return what a journal says; None for one that is cut short or not ours."""
    try:
        path = Path(directory, name)
        info = path.lstat()
        own = os.name == "nt" or info.st_uid == os.geteuid()
        if not stat.S_ISREG(info.st_mode) or not own:
            return None
        with os.fdopen(open_file(path), "rb") as file:
            return _parsed(file)
    except (OSError, ArchiveError):
        return None


def _parsed(file: BinaryIO) -> _Journal:
    """Return what a journal says.

    Raises:
        InputError: It is none, or cut short.
    """
    lines = _values(file)
    head = typed(_Head, next(lines, None))
    if head.form != _FORM:
        raise InputError("it is a journal of another form")
    asides: list[Aside] = []
    for line in lines:
        if line == _LAST:
            return _Journal(head.registered, asides)
        one = typed(Aside, line)
        if _is_done(one):
            asides.append(replace(one, directory=sys.intern(one.directory), why=sys.intern(one.why)))
    raise InputError("it is cut short")


def _values(file: BinaryIO) -> Iterator[Any]:
    while line := file.readline(_MAX_LINE):
        if not line.endswith(b"\n"):
            raise InputError("a line of it is cut short, or too long")
        yield parse_json(line)


def _identity(directory: str, name: str) -> str:
    return _tried(lambda: inode_of(os.lstat(os.path.join(directory, name))), "")  # noqa: PTH118 - text


def _is_done(aside: Aside) -> bool:
    return os.path.lexists(os.path.join(aside.directory, aside.new_name))  # noqa: PTH118 - text


def _placed(plan: Plan, among: Container[tuple[str, str]] | None = None) -> Iterator[tuple[str, str]]:
    """Yield directory and name of the files that are whole under their final names: of all, or among some.

    They are made durable first, whoever wrote them: nothing is done with them later.
    """
    sync = os.name != "nt"  # what is open to be read cannot be synced there
    opened: dict[str, Directory | None] = {}
    used: dict[str, Directory] = {}
    with ExitStack() as stack:
        for path, name, entry in plan.steps.placements():
            if among is not None and (path, name) not in among:
                continue
            if path not in opened:
                opened[path] = _opened(path, stack)
            directory = opened[path]
            if directory is not None and is_whole(directory, name, entry, sync=sync):
                used[path] = directory
                yield path, name
        for extra in plan.extras:
            target = Path(extra.directory, extra.name)
            if holds(target, extra.data):
                yield extra.directory, extra.name
        for directory in used.values():
            directory.sync()


def _opened(path: str, stack: ExitStack) -> Directory | None:
    return _tried(lambda: stack.enter_context(Directory(path)), None)


def _staged(plan: Plan, name: str) -> Iterator[tuple[str, str]]:
    """Yield directory and name of the staged files that have the right size; placing reads them."""
    present: dict[str, dict[str, int]] = {}
    for number, one in enumerate(plan.directories):
        holder = os.path.dirname(one.path) if one.make else one.path  # noqa: PTH120 - text
        folder = os.path.join(holder, numbered(name, number))  # noqa: PTH118 - text
        present[one.path] = {found: _size(folder, found) for found in _names(folder)}
    for path, leaf, entry in plan.steps.placements():
        if present[path].get(leaf) == entry.size:
            yield path, leaf


def _size(folder: str, name: str) -> int:
    return _tried(lambda: os.lstat(os.path.join(folder, name)).st_size, -1)  # noqa: PTH118 - text
