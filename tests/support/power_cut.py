"""What a disk may hold after a power cut: records what a run changes and syncs, and makes the states that may be left.

The model is the strictest that file systems allow: what was written is there from the sync of its file on, a name or a
rename from the sync of its directory on. Until then content may be lost, zeros or cut short, and every change of a
directory may be there or not, whatever the order in which they were made; each by itself is atomic. A sync of the file
system makes all of it durable. What another program writes meanwhile is durable at once.
"""

from __future__ import annotations

import os
import random
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tokar.storage import directory, durable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Place = tuple[int, str]  # A directory, and a name in it
ROOT = 0

assert directory.HAS_DESCRIPTORS, "it is loaded before calls are replaced"


@dataclass(frozen=True)
class Change:
    """A change of names, which is done as a whole: names that go, and names that come with what they are of."""

    directory: int  # Whose sync makes it durable
    gone: tuple[Place, ...] = ()
    come: tuple[tuple[Place, int], ...] = ()


@dataclass(frozen=True)
class Moment:
    """The disk at one moment."""

    what: str  # What was done last
    durable: dict[Place, int]  # The names that are there in any case
    pending: tuple[Change, ...]  # The changes that may be there
    synced: dict[int, bytes]  # Content that is there in any case; a directory has none
    written: dict[int, bytes]  # Content that may be there
    told: bool = False  # What the watch said before the next thing was done


@dataclass
class Recorder:
    """Records what a run does below a folder.

    Args:
        folder: The folder; what is in it is on the disk.
        watch: Asked at each moment for something that the run has done elsewhere.
    """

    folder: Path
    watch: Callable[[], bool] = bool
    moments: list[Moment] = field(default_factory=list)
    elsewhere: bool = False  # Whether another program is at work
    _ids: dict[int, int] = field(default_factory=dict)  # What an inode is called here
    _directories: set[int] = field(default_factory=lambda: {ROOT})

    def __post_init__(self) -> None:
        self._ids[self.folder.stat().st_ino] = ROOT
        names: dict[Place, int] = {}
        content: dict[int, bytes] = {}
        for path in sorted(self.folder.rglob("*")):
            names[self._place(path)] = number = self._new(path.stat().st_ino)
            if path.is_dir():
                self._directories.add(number)
            else:
                content[number] = path.read_bytes()
        self.moments.append(Moment("start", names, (), content, dict(content)))

    def _new(self, inode: int) -> int:
        self._ids[inode] = number = max(self._ids.values(), default=0) + 1 + len(self._directories) + len(self.moments)
        return number

    def _place(self, path: Path) -> Place:
        return self._ids[path.parent.stat().st_ino], path.name

    def _note(self, what: str, **changed: Any) -> None:
        last = self.moments[-1] = replace(self.moments[-1], told=self.watch())
        self.moments.append(replace(last, what=what, **changed))

    def _change(self, what: str, change: Change) -> None:
        self._note(what, pending=(*self.moments[-1].pending, change))

    def content(self, descriptor: int) -> None:
        """Note what a file holds."""
        number = self._ids.get(os.fstat(descriptor).st_ino)
        if number is not None:
            data = Path(f"/proc/self/fd/{descriptor}").read_bytes()
            self._note("write", written={**self.moments[-1].written, number: data})

    def sync(self, descriptor: int) -> None:
        """Note that a file or directory is on the disk."""
        number, last = self._ids.get(os.fstat(descriptor).st_ino), self.moments[-1]
        if number in self._directories:
            names = dict(last.durable)
            apply(names, [one for one in last.pending if one.directory == number])
            rest = tuple(one for one in last.pending if one.directory != number)
            self._note("sync of a directory", durable=names, pending=rest)
        elif number is not None:
            self._note("sync", synced={**last.synced, number: last.written[number]})

    def sync_all(self) -> None:
        """Note that all is on the disk."""
        last = self.moments[-1]
        names = dict(last.durable)
        apply(names, list(last.pending))
        self._note("sync of the file system", durable=names, pending=(), synced=dict(last.written))

    @contextmanager
    def another_program(self) -> Iterator[None]:
        """Note what another program does in the block to the files right in the folder; it is durable at once."""
        self.elsewhere, before = True, self.elsewhere
        try:
            yield
        finally:
            self.elsewhere = before
        last = self.moments[-1]
        names, synced, written = dict(last.durable), dict(last.synced), dict(last.written)
        for place, number in last.durable.items():
            if place[0] == ROOT and number in written:
                del names[place]
        for path in filter(Path.is_file, self.folder.iterdir()):
            number = names[self._place(path)] = self._new(path.stat().st_ino)
            synced[number] = written[number] = path.read_bytes()
        self._note("another program", durable=names, synced=synced, written=written)

    def made(self, path: Path, *, directory: bool = False) -> None:
        """Note a new file or directory."""
        number = self._new(path.lstat().st_ino)
        if directory:
            self._directories.add(number)
        else:
            last = self.moments[-1]
            self.moments[-1] = replace(last, synced={**last.synced, number: b""}, written={**last.written, number: b""})
        place = self._place(path)
        self._change(f"new {path.name}", Change(place[0], (), ((place, number),)))

    def moved(self, inode: int, source: Place, target: Place, what: str) -> None:
        """Note a rename; of a link the source stays."""
        gone = () if what == "link" else (source,)
        self._change(f"{what} {source[1]} to {target[1]}", Change(target[0], gone, ((target, self._ids[inode]),)))

    def removed(self, place: Place, inode: int, links: int) -> None:
        """Note that a name is gone."""
        if links < 2:
            self._ids.pop(inode)
        self._change(f"remove {place[1]}", Change(place[0], (place,)))

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record what is done in the block."""
        with pytest.MonkeyPatch.context() as patch:
            for name in ("write", "writev", "ftruncate", "fsync"):
                noted = self.sync if name == "fsync" else self.content
                patch.setattr(os, name, self._after(getattr(os, name), noted))
            for name in ("open", "mkdir", "unlink", "rmdir", "link", "replace", "rename"):
                patch.setattr(os, name, getattr(self, f"_{name}")(getattr(os, name)))
            patch.setattr(durable, "_rename_exclusively", self._exclusively(durable._rename_exclusively))
            if (sync := durable._syncfs) is not None:
                patch.setattr(durable, "_syncfs", self._after(sync, lambda _: self.sync_all()))
            yield
        self.moments[-1] = replace(self.moments[-1], told=self.watch())

    def _after(self, original: Callable[..., Any], noted: Callable[[int], None]) -> Callable[..., Any]:
        def call(descriptor: int, *arguments: Any) -> Any:
            result = original(descriptor, *arguments)
            if not self.elsewhere:
                noted(descriptor)
            return result

        return call

    def _path(self, path: Any, directory: int | None = None) -> Path | None:
        """Return the path of a name, links above it followed; None for one that is not of the run below the folder."""
        if self.elsewhere:
            return None
        above = os.getcwd() if directory is None else os.readlink(f"/proc/self/fd/{directory}")  # noqa: PTH109, PTH115 - quick
        full = Path(above, os.fsdecode(path))
        full = Path(os.path.realpath(full.parent), full.name)
        return full if full.is_relative_to(self.folder) else None

    def _open(self, original: Callable[..., int]) -> Callable[..., int]:
        def call(path: Any, flags: int, *arguments: Any, dir_fd: int | None = None) -> int:
            where = self._path(path, dir_fd) if flags & os.O_CREAT else None
            is_new = where is not None and not os.path.lexists(where)
            descriptor = original(path, flags, *arguments, dir_fd=dir_fd)
            if where is not None and is_new:
                self.made(where)
            return descriptor

        return call

    def _mkdir(self, original: Callable[..., None]) -> Callable[..., None]:
        def call(path: Any, *arguments: Any, dir_fd: int | None = None) -> None:
            where = self._path(path, dir_fd)
            original(path, *arguments, dir_fd=dir_fd)
            if where is not None:
                self.made(where, directory=True)

        return call

    def _unlink(self, original: Callable[..., None]) -> Callable[..., None]:
        def call(path: Any, *, dir_fd: int | None = None) -> None:
            where = self._path(path, dir_fd)
            info = where.lstat() if where is not None and os.path.lexists(where) else None
            original(path, dir_fd=dir_fd)
            if where is not None and info is not None:
                self.removed(self._place(where), info.st_ino, 1 if where.is_dir() else info.st_nlink)

        return call

    _rmdir = _unlink

    def _moving(
        self, what: str, original: Callable[..., Any], source: Any, target: Any, *rest: Any, **named: Any
    ) -> Any:
        directories = rest or (named.get("src_dir_fd"), named.get("dst_dir_fd"))
        here, there = self._path(source, directories[0]), self._path(target, directories[1])
        inode = here.lstat().st_ino if here is not None and os.path.lexists(here) else 0
        result = original(source, target, *rest, **named)
        if here is not None and there is not None and not result:
            self.moved(inode, self._place(here), self._place(there), what)
        return result

    def _link(self, original: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *places, **named: self._moving("link", original, *places, **named)

    def _replace(self, original: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *places, **named: self._moving("rename", original, *places, **named)

    _rename = _exclusively = _replace


def apply(names: dict[Place, int], changes: list[Change]) -> None:
    """Carry changes out."""
    for change in changes:
        for place in change.gone:
            names.pop(place, None)
        names.update(change.come)


WAYS = ("lost", "zeros", "half", "written", "names lost", "last name alone", "some")


def left(moment: Moment, way: str, seed: int = 0) -> dict[str, bytes | None]:
    """Return what is on the disk after a power cut: files with their content, directories with None.

    Args:
        moment: When it comes.
        way: What became of what was not synced: with all names, content lost, zeros, half or there; without any change
            of names; with the last change alone; or with some of both, by chance.
        seed: Of chance.
    """
    chance = random.Random(seed)
    changes = list(moment.pending)
    if way == "names lost":
        changes = []
    elif way == "last name alone":
        changes = changes[-1:]
    elif way == "some":
        changes = [one for one in changes if chance.random() < 0.5]
    names = dict(moment.durable)
    apply(names, changes)
    found: dict[str, bytes | None] = {}

    def walk(directory: int, path: str) -> None:
        for (above, name), number in names.items():
            if above != directory:
                continue
            if number in moment.written:
                how = chance.choice(WAYS[:4]) if way == "some" else way
                found[path + name] = content_left(moment.synced[number], moment.written[number], how)
            else:
                found[path + name] = None
                walk(number, f"{path}{name}/")

    walk(ROOT, "")
    return found


def content_left(synced: bytes, written: bytes, how: str) -> bytes:
    """Return what a file holds: what was synced, and of the rest what became of it."""
    if synced == written or how == "written":
        return written
    if how == "zeros":
        return synced + bytes(max(0, len(written) - len(synced)))
    if how == "half":
        return written[: (len(synced) + len(written)) // 2]
    return synced


def build(folder: Path, found: dict[str, bytes | None]) -> Path:
    """Write a state of the disk into a folder."""
    folder.mkdir()
    for name, data in found.items():
        if data is None:
            (folder / name).mkdir(mode=0o700)
        else:
            (folder / name).write_bytes(data)
            (folder / name).chmod(0o600)
    return folder
