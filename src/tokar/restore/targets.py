"""The target directories of a plan: who claims which name, what is there already, and whether there is room.

Pure: it holds claims against the inventory. One directory that is named by two paths is one directory.
"""

from __future__ import annotations

import os
import re
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from heapq import nsmallest
from itertools import chain, repeat

from blake3 import blake3

from tokar import names
from tokar.errors import ExistingFileError, NoRoomError, RestoreError, UnsafeNameError
from tokar.format.index import Entry
from tokar.restore.inventory import (
    LOCK_NAME,
    Found,
    FoundList,
    Inventory,
    NameKind,
    TargetDirectory,
    TargetState,
)
from tokar.restore.plan import BAD_TARGET, UNPLACED, Aside, Asides, AsidesOf, Existing, PlannedDirectory, Problem
from tokar.tokens import DATABASE_DIRECTORY
from tokar.words import MOST_IN_WORDS, noun, some

_PIECE = 1 << 16  # bytes that are hashed at once
# Old checkpoints and databases go aside first: what is left if it stops there cannot be taken for a whole set.
_ASIDE_ORDER = {"checkpoint": 0, "database": 1, "streaming-file": 1}


class _Target:
    """One directory that files go to. Paths of one directory share its names: the hashes of their collision keys."""

    def __init__(self, info: TargetDirectory, claimed: names.NameHashes) -> None:
        self.info = info
        self.claimed = claimed
        self.files = 0
        self.databases = 0
        self.size = 0
        self.room = 0
        self.receives = False
        # Four bytes are the longest UTF-8 character: a name this short needs no look at its bytes.
        self.surely_short = 255 if info.name_limit is None else info.name_limit // 4


class Targets:
    """Collects the claims of a plan and judges them.

    Args:
        inventory: The directories as they are now.
        existing: What to do about files that are there.
        now: The time for names of files that are set aside.
    """

    def __init__(self, inventory: Inventory, existing: Existing, now: datetime) -> None:
        self._inventory = inventory
        self._existing = existing
        left = inventory.interrupted
        self._written = (left.placed, left.staged) if left is not None else ()
        self._stamp = now.strftime("%Y%m%dT%H%M%SZ")
        self._targets: dict[str, _Target] = {}
        self._names: dict[str, names.NameHashes] = {}
        self._ending = names.collision_key(f"{names.ASIDE_MARK}{self._stamp}-")
        self._claimed, self._claims = blake3(), bytearray()
        self._named_alike: list[str] = []  # Keys of names that files get, and that look like those of files set aside
        self.problems: list[Problem] = []  # What stands in the way; complete after `judge`
        self.asides = Asides()  # The renames that make room, in their order
        self.directories: tuple[PlannedDirectory, ...] = ()  # The directories that get files
        self.notes: list[str] = []  # What is good to know

    @property
    def seen(self) -> tuple[TargetDirectory, ...]:
        """The directories that are judged, as they are now."""
        return tuple(target.info for target in self._targets.values())

    def watch(self, path: str) -> _Target:
        """Have a directory judged although it may get no file."""
        target = self._targets.get(path)
        if target is None:
            unseen = TargetDirectory(path, TargetState.UNREADABLE, fault="it is not in the inventory")
            info = self._inventory.directories.get(path, unseen)
            identity = info.identity or path
            if identity not in self._names:
                self._names[identity] = names.NameHashes()
            target = self._targets[path] = _Target(info, self._names[identity])
        return target

    def use(self, path: str) -> None:
        """Have a directory judged as one that gets files."""
        self.watch(path).receives = True

    def claim(self, directory: str, name: str, size: int, entry: Entry | None = None) -> None:
        """Reserve a name in a directory.

        Args:
            directory: The path of the directory.
            name: The name.
            size: The bytes that the file will have.
            entry: The entry; None where the file is none.
        """
        target = self._targets.get(directory) or self.watch(directory)
        target.receives = True
        target.files += 1
        if entry is not None:
            if entry.token & DATABASE_DIRECTORY:
                target.databases += 1
            self._claims += os.fsencode(f"{directory}\0{name}\0") + entry.digest + size.to_bytes(8, "little")
            if len(self._claims) >= _PIECE:
                self.digest()
        target.size += size
        if not self._written or not any((directory, name) in which for which in self._written):
            target.room += -(-size // target.info.block) * target.info.block
        key = names.collision_key(name)
        target.claimed.add(key)
        if self._ending in key:
            self._named_alike.append(key)
        if len(name) > target.surely_short:
            self._check_length(target, name, entry)

    def digest(self) -> bytes:
        """Return the digest of where all entries go, in their order, and of what they are."""
        self._claimed.update(self._claims)
        self._claims.clear()
        return self._claimed.digest()

    def _problem(self, error: RestoreError, entries: tuple[int, ...] = (), urgency: int = UNPLACED) -> None:
        self.problems.append(Problem(error, entries, urgency))

    def _check_length(self, target: _Target, name: str, entry: Entry | None) -> None:
        """Note a name that the file system of the target cannot hold."""
        limit = target.info.name_limit
        if limit is not None and len(os.fsencode(name)) > limit:
            message = f"the file name {names.printable(name)} has more than {limit} bytes, the most that fit here"
            concerned = () if entry is None else (entry.number,)
            self._problem(UnsafeNameError(message, path=target.info.path), concerned)

    def suspicious(self) -> dict[str, set[int]]:
        """Return, by path of the directory, the hashes of collision keys that more than one file may share."""
        shared = {identity: found for identity, one in self._names.items() if (found := one.alike())}
        return {
            path: shared[identity]
            for path, target in self._targets.items()
            if (identity := target.info.identity or path) in shared
        }

    def directories_as_files(self) -> dict[tuple[str, str], str]:
        """Return the directories, or those above them, whose names files may claim too: where, the key, and a path."""
        found = {}
        for path, target in self._targets.items():
            above, *missing = target.info.identity.split("/")
            for part in missing:
                if above in self._names and part in self._names[above]:
                    found[above, part] = path
                above = f"{above}/{part}"
        return found

    def identity(self, path: str) -> str:
        """Return what all paths of one directory share."""
        return self.watch(path).info.identity or path

    def judge(self) -> None:
        """Hold all claims against the inventory and fill the attributes."""
        asides: list[tuple[int, AsidesOf]] = []
        judged: set[str] = set()
        for target in self._targets.values():
            fault = target.info.fault_as_target()
            if fault is not None:
                hint = "see what is there, or name another directory, and run again"
                self._problem(RestoreError(fault, path=target.info.path, hint=hint), urgency=BAD_TARGET)
            elif target.info.identity not in judged:
                judged.add(target.info.identity)
                asides.extend(self._judge_existing(target))
        self.asides = Asides(aside for _, aside in sorted(asides, key=lambda one: one[0]))
        receiving = [target for target in self._targets.values() if target.receives]
        self.directories = tuple(
            PlannedDirectory(
                path=target.info.path,
                make=target.info.state is TargetState.MISSING,
                files=target.files,
                databases=target.databases,
                size=target.size,
                identity=target.info.identity,
                room=target.room,
            )
            for target in receiving
        )
        self.problems.extend(room_problems(self.directories, self.seen))

    def _judge_existing(self, target: _Target) -> list[tuple[int, AsidesOf]]:
        """Judge what is in a directory: refuse it, or return the renames that put it aside, with their order."""
        path, there = target.info.path, target.info.found
        taken, engine, fixed = array("I"), array("I"), array("I")  # their places, as there may be very many
        for place, found in enumerate(there):
            if self._is_known(path, found.name):
                continue
            if found.name.startswith(names.STAGING_PREFIX):
                self.notes.append(f"{path}: {found.name} is left of an interrupted restore and may be removed")
            elif names.collision_key(found.name) in target.claimed:
                (fixed if found.kind in {NameKind.DIRECTORY, NameKind.OTHER} else taken).append(place)
            elif found.engine is not None:
                engine.append(place)
        if fixed:
            listed = _listed(there, fixed, lambda found: f" ({found.kind.value})")
            message = f"what is there under the same name cannot be set aside: {listed}"
            self._problem(ExistingFileError(message, path=path, hint="restore into another directory"))
        if self._existing is not Existing.REFUSE:
            return self._put_aside(target, taken + engine)
        if taken:
            listed = _listed(there, taken)
            left = self._inventory.interrupted
            right = sum(1 for found in there if left is not None and (path, found.name) in left.placed)
            rest = f"; of the others {right:,} {noun(right, 'is', 'are')} right" if right else ""
            error = ExistingFileError(f"there already: {listed}{rest}", path=path)
            self.problems.append(Problem(error, is_taken=True))
        if engine:
            listed = _listed(there, engine, lambda found: f" ({found.engine})")
            self._problem(ExistingFileError(f"files of the engine are there already: {listed}", path=path))
        return []

    def _is_known(self, path: str, name: str) -> bool:
        """Return whether a name is in no one's way: it stays, is a lock, or an interrupted run of the plan left it."""
        left = self._inventory.interrupted
        if name.startswith(LOCK_NAME):
            return True
        if left is not None and (name.startswith(left.name) or (path, name) in left.placed):
            return True
        return (path, name) in (self._inventory.stays or frozenset())

    def _put_aside(self, target: _Target, places: array[int]) -> list[tuple[int, AsidesOf]]:
        """Return the renames that put files aside, with their order."""
        info = target.info
        last = re.compile(re.escape(self._ending) + r"(\d{1,9})\Z")
        keys = chain((names.collision_key(one.name) for one in info.found), self._named_alike)
        used = [int(match[1]) for key in keys if (match := last.search(key))]
        number, limit = 1 + max(used, default=0), info.name_limit or 255
        whole = AsidesOf(info.path, info.found, places, self._stamp, number, {}, limit)
        if alike := names.NameHashes(map(_new_key, whole)).alike():
            same = (at for at, one in zip(places, whole, strict=True) if hash(_new_key(one)) in alike)
            whole = replace(whole, numbers={at: number + more for more, at in enumerate(same)})
        ordered: dict[int, array[int]] = defaultdict(lambda: array("I"))
        for place in places:
            ordered[_ASIDE_ORDER.get(info.found.at(place).engine or "", 2)].append(place)
        return [(order, replace(whole, places=own)) for order, own in ordered.items()]


def _listed(there: FoundList, places: Sequence[int], what: Callable[[Found], str] = lambda _: "") -> str:
    """Return names that are there in words: the first of them by the order in which logs are numbered."""
    first = nsmallest(MOST_IN_WORDS, map(there.at, places), key=lambda one: (len(one.name), one.name.lower()))
    rest = repeat("", len(places) - len(first))
    return some(chain((f"{names.printable(one.name)}{what(one)}" for one in first), rest), MOST_IN_WORDS)


def _new_key(aside: Aside) -> str:
    """Return the collision key of the name that a file gets that is set aside."""
    return names.collision_key(aside.new_name)


def room_problems(directories: Iterable[PlannedDirectory], seen: Iterable[TargetDirectory]) -> Iterator[Problem]:
    """Hold what is to be written against what is free, for each file system."""
    infos = {one.path: one for one in seen}
    by_device: dict[str, list[PlannedDirectory]] = defaultdict(list)
    for directory in directories:
        if device := infos[directory.path].device:
            by_device[device].append(directory)
    for sharing in by_device.values():
        info = infos[sharing[0].path]
        needed, files = (sum(getattr(one, what) for one in sharing) for what in ("room", "files"))
        if needed > info.free:
            yield Problem(NoRoomError(f"{needed:,} bytes are needed and {info.free:,} are free", path=info.path))
        if info.free_files is not None and files > info.free_files:
            message = f"{files:,} files are to be placed, and the file system takes {info.free_files:,} more"
            yield Problem(NoRoomError(message, path=info.path))
