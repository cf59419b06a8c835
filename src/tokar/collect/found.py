"""What was found on disk: files that go into an archive, and those that do not. Plain data, and the walk to them."""

from __future__ import annotations

import os
import struct
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, overload

from tokar import tokens
from tokar.errors import SourceChangedError, StorageError, reason_of, storage_errors
from tokar.storage.durable import file_system_kind, write_back

if TYPE_CHECKING:
    from blake3 import blake3

TIME_BOUND: Final = 1 << 63
MOST_NOTES: Final = 1000
"""How many notes of one kind there are, and files that SUMM lists as left out; all are counted."""
_TICK: Final = 20_000_000  # nanoseconds; the clock of file times is no finer than that of the kernel
_PIECE: Final = 1 << 20
# Where what is mapped into memory is written to without any time, or times can be put back.
_HIDING: Final = {"tmpfs", "ramfs", "vfat", "msdos", "exfat"}
_hiding_devices: dict[int, bool] = {}


class FileState(NamedTuple):
    """What changes when a file is written to: size, times in nanoseconds, and which file it is."""

    size: int
    modified: int  # Whoever writes can put it back
    changed: int  # That of the inode, which nobody can put back; on Windows that at which the file was made
    inode: int
    device: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileState:
        """Take it from a stat result."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)

    @property
    def kept_time(self) -> int | None:
        """The modification time as an archive keeps it: None outside the years 1677 to 2262, which 64 bits hold."""
        return self.modified if -TIME_BOUND <= self.modified < TIME_BOUND else None


def settle(descriptor: int, state: FileState) -> None:
    """Make every later change of a file show in its state, before it is read.

    What is mapped into memory is written back, so that the next write to it is noticed; and a change within the tick of
    the clock in which the file was changed last would have the same time.
    """
    with suppress(OSError):
        write_back(descriptor)
    age = time.time_ns() - state.changed
    if 0 <= age < _TICK:
        time.sleep((_TICK - age) / 1e9)


def hides_changes(device: int, path: str) -> bool:
    """Return whether a file can be written to without a change of its state: then its content is read a second time.

    Args:
        device: What it is on; asked once for each.
        path: A path there.
    """
    if device not in _hiding_devices:
        _hiding_devices[device] = os.name == "nt" or file_system_kind(Path(path)) in _HIDING
    return _hiding_devices[device]


def digest_of(descriptor: int, digest: blake3) -> bytes:
    """Return the digest of an open file, read from its start, by a new hasher."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    while piece := os.read(descriptor, _PIECE):
        digest.update(piece)
    return digest.digest()


class OtherFile(NamedTuple):
    """A file that is taken along and that nobody has looked at."""

    path: str  # Where it is
    name: str  # The name it is stored under
    token: int = tokens.UNKNOWN  # Its token


class Candidate(NamedTuple):
    """A file that goes into the archive."""

    path: str  # Where it is
    name: str  # The name it is stored under: relative, with `/`
    token: int  # Its token
    kind: str  # What it is: `database`, `streaming-file`, `log`, `patch` or `unknown`
    state: FileState  # Its first look, which the last one must equal
    generation: int | None = None  # Of a log, where known
    base: str | None = None  # The base name of a log's stream, in lower case, where known


class Candidates(Sequence[Candidate]):
    """Files that go into an archive, of which there may be very many: kept in little room, made when asked for.

    Args:
        files: The files.
    """

    # State but for the device, generation, where the name ends, and the number of what others have too.
    _ROW: Final = struct.Struct("<QqqQqQI")
    _NO_GENERATION: Final = -1 << 63

    def __init__(self, files: Iterable[Candidate] = ()) -> None:
        self._rows = bytearray()
        self._names = bytearray()
        self._shared: dict[tuple[Any, ...], int] = {}
        self._values: list[tuple[Any, ...]] = []  # the same by number
        self._odd: dict[int, Candidate] = {}  # those with numbers that no row holds
        for one in files:
            self.append(one)

    def append(self, one: Candidate) -> None:
        """Add a file."""
        size, modified, changed, inode, device = one.state
        has_end = one.path.endswith(one.name)
        start = one.path.removesuffix(one.name) if has_end else one.path
        values = start, has_end, one.token, one.kind, device, one.base
        name = one.name.encode("utf-8", "surrogatepass")
        generation = self._NO_GENERATION if one.generation is None else one.generation
        number = self._shared.setdefault(values, len(self._values))
        end = len(self._names) + len(name)
        try:
            row = self._ROW.pack(size, modified, changed, inode, generation, end, number)
        except struct.error:
            self._odd[len(self)] = one
            row = self._ROW.pack(0, 0, 0, 0, 0, end, number)
        if number == len(self._values):
            self._values.append(values)
        self._rows += row
        self._names += name

    def __len__(self) -> int:
        return len(self._rows) // self._ROW.size

    @overload
    def __getitem__(self, at: int) -> Candidate: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[Candidate, ...]: ...

    def __getitem__(self, at: int | slice) -> Candidate | tuple[Candidate, ...]:
        places = range(len(self))[at]
        return self._made(places) if isinstance(places, int) else tuple(map(self._made, places))

    def __iter__(self) -> Iterator[Candidate]:
        return map(self._made, range(len(self)))

    def _made(self, at: int) -> Candidate:
        if at in self._odd:
            return self._odd[at]
        width = self._ROW.size
        size, modified, changed, inode, generation, end, number = self._ROW.unpack_from(self._rows, at * width)
        begin = self._ROW.unpack_from(self._rows, (at - 1) * width)[-2] if at else 0
        name = self._names[begin:end].decode("utf-8", "surrogatepass")
        start, has_end, token, kind, device, base = self._values[number]
        state = FileState(size, modified, changed, inode, device)
        known = None if generation == self._NO_GENERATION else generation
        return Candidate(start + name if has_end else start, name, token, kind, state, known, base)

    def sorted(self, key: Callable[[Candidate], Any]) -> Candidates:
        """Return the same files in another order."""
        return Candidates(map(self._made, sorted(range(len(self)), key=lambda at: key(self._made(at)))))


class Names:
    """Names of which it is only asked whether one is among them: eight bytes of each.

    Two that share them would be taken for one: no choice of names leads there, and `Rest.demand_all` would notice.
    """

    def __init__(self) -> None:
        self._hashes = array("q")
        self._is_sorted = True

    def add(self, name: str) -> None:
        """Add a name."""
        self._hashes.append(hash(name))
        self._is_sorted = False

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def __contains__(self, name: str) -> bool:
        if not self._is_sorted:
            self._hashes, self._is_sorted = array("q", sorted(self._hashes)), True
        at = bisect_left(self._hashes, wanted := hash(name))
        return at < len(self._hashes) and self._hashes[at] == wanted


@dataclass(frozen=True, slots=True)
class NotTaken:
    """A file that was seen and not taken."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rest:
    """Everything else in the folders, where everything is taken: counted, and looked up again when it is written.

    There may be millions of such files, so they are not kept one by one.
    """

    # The folders, each with what stands before its names, and those that were taken as part of the set or left out.
    folders: tuple[tuple[str, str, Names], ...] = ()
    count: int = 0  # How many files there are
    size: int = 0  # Bytes of all of them

    def walk(self) -> Iterator[OtherFile]:
        """Yield the files, in the order of their names.

        Raises:
            StorageError: A folder cannot be read.
        """
        for folder, prefix, decided in self.folders:
            files = starmap(OtherFile, walk(folder, prefix))
            yield from (one for one in files if one.name not in decided) if decided else files

    def demand_all(self, count: int, size: int) -> None:
        """Check that there were as many files and bytes as before.

        Raises:
            SourceChangedError: There were not.
        """
        if (count, size) != (self.count, self.size):
            raise SourceChangedError(
                "files came, went or grew while the folder was being archived", path=self.folders[0][0]
            )


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was found."""

    # What goes into the archive, databases first, then logs by generation, then the rest.
    candidates: Sequence[Candidate]
    left_out: tuple[NotTaken, ...]  # What does not, and why
    notes: tuple[str, ...]  # What a person should know about the set
    warnings: tuple[str, ...] = ()  # The same of databases that cannot be read: the set is not complete
    rest: Rest = Rest()  # Everything else, where everything is taken; it comes after the candidates

    @property
    def count(self) -> int:
        """How many files there are."""
        return len(self.candidates) + self.rest.count

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(one.state.size for one in self.candidates) + self.rest.size

    @property
    def generations(self) -> tuple[int, int] | None:
        """The lowest and the highest generation of the logs, if there are any."""
        known = [one.generation for one in self.candidates if one.generation is not None]
        return (min(known), max(known)) if known else None


def walk(folder: str, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield path and relative name of all files, in the order of names: only names are kept, there may be millions."""
    levels = [_Level(folder, prefix)]  # not by recursion: folders may be thousands deep
    while levels:
        level = levels[-1]
        start, before, folders = level.start, level.prefix, level.folders  # once a folder, not once a file
        for leaf in level.leaves:
            if leaf in folders:
                levels.append(_Level(start + leaf, f"{before}{leaf}/"))
                break
            yield start + leaf, before + leaf
        else:
            levels.pop()


class _Level:
    """A folder that is being walked.

    Raises:
        StorageError: It cannot be listed.
    """

    def __init__(self, folder: str, prefix: str) -> None:
        self.prefix = prefix
        self.start = os.path.join(folder, "")  # noqa: PTH118 - called once a file
        self.folders: set[str] = set()
        leaves = []
        with storage_errors("list the folder", folder), os.scandir(folder) as entries:
            for entry in entries:
                leaves.append(entry.name)
                if entry.is_dir(follow_symlinks=False):
                    self.folders.add(entry.name)
        leaves.sort()
        self.leaves = _parts("/".join([*leaves, ""]))  # those that are still to come: a text is a sixth of a list


def _parts(text: str) -> Iterator[str]:
    """Yield what stands before each slash."""
    begin = 0
    while (end := text.find("/", begin)) >= 0:
        yield text[begin:end]
        begin = end + 1


def status_of(path: str) -> os.stat_result:
    """Return what the system says of a file, without following a link.

    Raises:
        StorageError: It cannot be looked at.
    """
    try:  # called once a file: a context would take as long as the call
        return os.lstat(path)
    except OSError as error:
        raise StorageError(f"cannot look at it: {reason_of(error)}", path=path) from error


class Notes:
    """What a person should know of files, of which there may be very many: the first are kept, the others counted."""

    def __init__(self) -> None:
        self._kept: list[str] = []
        self._more = 0

    def append(self, text: str) -> None:
        """Add a note."""
        if len(self._kept) < MOST_NOTES:
            self._kept.append(text)
        else:
            self._more += 1

    def __iter__(self) -> Iterator[str]:
        yield from self._kept
        if self._more:
            yield f"... and {self._more:,} more"


class BoundedFile:
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
