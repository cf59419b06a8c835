"""What is in the target directories now: the one look at the disk that a plan is made from.

The plan itself is pure and takes an `Inventory` as data. Between the look and the placing the disk may change; placing
therefore creates exclusively and renames without replacing, whatever the plan says.
"""

from __future__ import annotations

import os
import stat
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from shutil import disk_usage
from typing import Final

from blake3 import blake3

from tokar import names
from tokar.errors import ArchiveError, reason_of
from tokar.ese.identify import FileKind, identify
from tokar.paths import same_place
from tokar.restore.plan import Interrupted
from tokar.storage.bytesource import FileSource
from tokar.storage.directory import inode_of, is_held
from tokar.storage.windows import long_path

# Names that files of the engine have (ESE documentation, "Extensible Storage Engine Files"). A name alone is enough for
# a file to be in the way of a restore: an old checkpoint or log that stays is believed by recovery.
_ENGINE_EXTENSIONS: Final = {
    extension: kind
    for kind, extensions in (
        ("checkpoint", "chk jcp"),
        ("database", "edb dit mdb stm"),
        ("log", "log jtx"),
        ("patch", "pat"),
        ("reserve", "jrs"),
        ("flush-map", "jfm"),
    )
    for extension in extensions.split()
}

LOCK_NAME: Final = f"{names.STAGING_PREFIX}lock"  # held in a target directory as long as a restore is at work there


AT_WORK: Final = "another restore is at work here; wait until it has ended"


class NameKind(StrEnum):
    """What a name in a directory is."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "symbolic link"
    OTHER = "device or the like"


class TargetState(StrEnum):
    """What a path that may become a target directory is now."""

    DIRECTORY = "directory"
    MISSING = "missing"  # it can be made
    LINK = "a symbolic link"
    NOT_A_DIRECTORY = "not a directory"
    UNREADABLE = "unreadable"
    ELSEWHERE = "on another machine"  # nobody looks at it


@dataclass(frozen=True, slots=True)
class Found:
    """One name in a directory."""

    name: str  # The name
    kind: NameKind  # What it is
    # What it is to the engine (`log`, `database`, ...), by its name or its content; None if nothing.
    engine: str | None = None


class FoundList:
    """The names in a directory, of which there may be very many: kept in little room, made when they are asked for."""

    def __init__(self, found: Iterable[Found] = ()) -> None:
        self._text = bytearray()
        self._ends = array("Q", [0])
        self._what = array("B")  # For each, which of the below
        self._whats: dict[tuple[NameKind, str | None], int] = {}
        for one in found:
            self._text += one.name.encode(errors="surrogatepass")
            self._ends.append(len(self._text))
            self._what.append(self._whats.setdefault((one.kind, one.engine), len(self._whats)))
        self._kinds = tuple(self._whats)

    def __len__(self) -> int:
        return len(self._what)

    def __iter__(self) -> Iterator[Found]:
        return map(self.at, range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FoundList) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # equal by content, and long

    def at(self, place: int) -> Found:
        """Return the name at a place."""
        name = self._text[self._ends[place] : self._ends[place + 1]].decode(errors="surrogatepass")
        return Found(name, *self._kinds[self._what[place]])


@dataclass(frozen=True, slots=True)
class TargetDirectory:
    """A directory that files may be placed in, as it is now."""

    path: str  # Its path
    state: TargetState  # What is there
    fault: str = ""  # Why it could not be looked at, in the words of the operating system; empty where it could
    identity: str = ""  # The same for two paths of one directory, also of one that is yet to be made
    device: str = ""  # The same for all directories of one file system
    # What is free changes by the minute and makes no other directory.
    free: int = field(default=0, compare=False)  # Bytes free on the file system
    # How many files it can still take; None where it does not count them.
    free_files: int | None = field(default=None, compare=False)
    block: int = 4096  # Bytes that a file's size is rounded up to
    name_limit: int | None = 255  # The longest name in bytes; None where names are not measured in bytes
    writable: bool = True  # Whether files can be made in it, or in the directory in which it would be made
    read_only: bool = False  # Whether the file system takes no files from anybody
    found: FoundList = field(default_factory=FoundList)  # What is in it
    busy: bool = False  # Whether another restore is at work in it

    def fault_as_target(self) -> str | None:
        """Return why no file can be placed here, or None where one can."""
        if self.state in {TargetState.LINK, TargetState.NOT_A_DIRECTORY}:
            return f"the target directory is {self.state.value}"
        if self.state is TargetState.UNREADABLE:
            return f"the target directory cannot be looked at: {self.fault}"
        if self.busy:
            return AT_WORK
        if self.read_only:
            return "the file system of the target directory is read-only"
        return None if self.writable else "there is no right to write in the target directory"


@dataclass(frozen=True, slots=True)
class Inventory:
    """The target directories by path."""

    directories: Mapping[str, TargetDirectory] = field(default_factory=dict)  # The directories
    # For `--existing roll-forward`, directory and name of the logs that are proven to continue the set and stay where
    # they are; None where nobody has looked.
    stays: frozenset[tuple[str, str]] | None = None
    interrupted: Interrupted | None = None  # What an interrupted run of the same plan left behind


def engine_kind(name: str) -> str | None:
    """Return what a file is to the engine by its name, or None."""
    _, dot, extension = name.rpartition(".")
    return _ENGINE_EXTENSIONS.get(extension.lower()) if dot else None


def lock_beside(path: str) -> str:
    """Return the name of the lock of a directory that has yet to be made, in the directory above it."""
    key = names.collision_key(os.path.basename(path))  # noqa: PTH119 - text, as everywhere in a plan
    return f"{LOCK_NAME}-{blake3(key.encode(errors='surrogateescape')).hexdigest(8)}"


def engine_file(path: Path) -> str | None:
    """Return what a file of a database engine is, told by its content, or None for any other file."""
    with FileSource(path) as source:
        kind = identify(source).kind
    return None if kind is FileKind.UNKNOWN else kind.value


def take_inventory(paths: Iterable[str], identify: Callable[[Path], str | None] | None = None) -> Inventory:
    """Look at directories, and change nothing.

    Args:
        paths: The directories; absolute.
        identify: Tells from content what a file is to the engine, or None; asked for regular files whose names say
            nothing. An error that it raises counts as None.
    """
    rooms: dict[str, TargetDirectory] = {}
    return Inventory({path: _look(path, identify, rooms) for path in dict.fromkeys(paths)})


def not_looked_at(paths: Iterable[str]) -> Inventory:
    """Return directories of another machine: nothing is known of them but that equal paths are one."""
    return Inventory(
        {
            path: TargetDirectory(path, TargetState.ELSEWHERE, identity="/".join(same_place(path)))
            for path in dict.fromkeys(paths)
        }
    )


def _look(
    path: str, identify: Callable[[Path], str | None] | None, rooms: dict[str, TargetDirectory]
) -> TargetDirectory:
    """Return what is at one path; `rooms` is what is known of directories in which others would be made."""
    try:
        info = os.lstat(long_path(path))
    except FileNotFoundError:
        return _missing(path, rooms)
    except (OSError, ValueError) as error:
        return TargetDirectory(path, TargetState.UNREADABLE, fault=_why(error))
    if stat.S_ISLNK(info.st_mode):
        return TargetDirectory(path, TargetState.LINK)
    if not stat.S_ISDIR(info.st_mode):
        return TargetDirectory(path, TargetState.NOT_A_DIRECTORY)
    try:
        found = FoundList(_list(path, identify))
    except OSError as error:
        return TargetDirectory(path, TargetState.UNREADABLE, fault=_why(error))
    seen = _with_room(path, TargetState.DIRECTORY, path, inode_of(info), found)
    return replace(seen, busy=is_held(path, LOCK_NAME))


def _missing(path: str, rooms: dict[str, TargetDirectory]) -> TargetDirectory:
    """Return what there is to know of a directory that would have to be made."""
    below, missing = str(Path(path)), list[str]()
    while (ancestor := os.path.dirname(below) or os.curdir) != below:  # noqa: PTH120 - text, as everywhere in a plan
        missing.append(names.collision_key(os.path.basename(below)))  # noqa: PTH119
        below = ancestor
        if (room := rooms.get(ancestor)) is None:
            if (room := _above(ancestor)) is None:
                continue
            rooms[ancestor] = room
        if room.state is TargetState.UNREADABLE:
            return replace(room, path=path)
        identity = "/".join((room.identity, *reversed(missing)))
        busy = len(missing) == 1 and is_held(os.path.realpath(ancestor), lock_beside(path))
        return replace(room, path=path, identity=identity, busy=busy)
    return TargetDirectory(path, TargetState.UNREADABLE, fault="no directory above it exists")


def _above(ancestor: str) -> TargetDirectory | None:
    """Return what a directory in which others would be made says of them, or None where there is none."""
    try:
        info = os.stat(long_path(ancestor))  # noqa: PTH116 - a path that is made longer
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        return TargetDirectory(ancestor, TargetState.UNREADABLE, fault=_why(error))
    if not stat.S_ISDIR(info.st_mode):
        return TargetDirectory(ancestor, TargetState.UNREADABLE, fault=f"{ancestor} is not a directory")
    return _with_room(ancestor, TargetState.MISSING, ancestor, inode_of(info), FoundList())


def _with_room(path: str, state: TargetState, above: str, identity: str, found: FoundList) -> TargetDirectory:
    """Return a directory with the room that its file system has."""
    existing = Path(long_path(above))
    try:
        device = str(existing.stat().st_dev)
        if sys.platform == "win32":
            free, files, block, limit, fixed = disk_usage(existing).free, None, 4096, None, False
        else:
            numbers = os.statvfs(existing)
            free = numbers.f_bavail * numbers.f_frsize
            files = numbers.f_favail if numbers.f_files else None
            block, limit = numbers.f_frsize or 4096, numbers.f_namemax
            fixed = bool(numbers.f_flag & os.ST_RDONLY)
    except OSError as error:
        return TargetDirectory(path, TargetState.UNREADABLE, fault=_why(error))
    writable = os.access(existing, os.W_OK | os.X_OK)
    return TargetDirectory(path, state, "", identity, device, free, files, block, limit, writable, fixed, found)


def _list(path: str, identify: Callable[[Path], str | None] | None) -> Iterable[Found]:
    """Yield what is in a directory."""
    with os.scandir(long_path(path)) as entries:
        for entry in entries:
            kind = kind_of(entry)
            yield Found(entry.name, kind, None if names.is_aside(entry.name) else engine_of(entry, kind, identify))


def engine_of(entry: os.DirEntry[str], kind: NameKind, identify: Callable[[Path], str | None] | None) -> str | None:
    """Return what is found is to the engine, by its name or else by its content."""
    if kind is NameKind.DIRECTORY:
        return None
    engine = engine_kind(entry.name)
    if engine is None and kind is NameKind.FILE and identify is not None:
        return _identified(Path(entry.path), identify)
    return engine


def kind_of(entry: os.DirEntry[str]) -> NameKind:
    """Return what a name is, without following a link."""
    if entry.is_symlink():
        return NameKind.LINK
    if entry.is_dir(follow_symlinks=False):
        return NameKind.DIRECTORY
    return NameKind.FILE if entry.is_file(follow_symlinks=False) else NameKind.OTHER


def _identified(path: Path, identify: Callable[[Path], str | None]) -> str | None:
    """Return what a file's content says; a file that cannot be read says nothing."""
    try:
        return identify(path)
    except (OSError, ArchiveError):
        return None


def _why(error: OSError | ValueError) -> str:
    return reason_of(error)
