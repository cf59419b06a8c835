"""Sets of files of the simulated server with what must be in them, and its recovery of whatever lies in a folder."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from engine_by_hand import Account, back_up, new_story, server_of

from tokar import tokens
from tokar.errors import HeaderError
from tokar.ese.database import DatabaseHeader
from tokar.ese.filenames import NameRole, parse_file_name
from tokar.ese.identify import FileKind, identify
from tokar.ese.log import LogHeader
from tokar.lab.engine import Chance, Clock, EngineError, era_of
from tokar.lab.engine_recovery import RegisteredSet, hard_recovery, soft_recovery
from tokar.lab.instance import Life, Place
from tokar.lab.lab import open_lab
from tokar.lab.log_formats import read_log
from tokar.lab.tables import dump
from tokar.storage.bytesource import BytesSource

if TYPE_CHECKING:
    from engine_by_hand import Story
Files = dict[str, bytes]
Contents = dict[str, dict[bytes, bytes]]
Key = tuple[object, ...]
PROFILES = ("edbbcli", "ntdsbcli", "certadm")


@dataclass(frozen=True)
class LabSet:
    """Files as they were copied from a simulated server."""

    profile: str
    names: dict[int, str]  # Leaf names of the databases by their number
    paths: dict[int, str]  # What the server calls them
    files: Files
    hard: bool = False  # A streaming backup made it
    # What is in the databases once a log was played to its end, or as they were shut down.
    known: dict[Key, Contents] = field(default_factory=dict)
    stock: dict[str, Files] = field(default_factory=dict)  # Other files that can get among these, by what they are

    @property
    def label(self) -> str:
        """The profile of an archive of it: what `create` makes of a folder is no backup of a service."""
        return self.profile if self.hard else "ese"


def leaf_of(name: str) -> str:
    return name.rpartition("/")[2]


def token_of(name: str, data: bytes) -> int:
    """The token that `create` gives a file."""
    role, kind = parse_file_name(leaf_of(name)).role, identify(BytesSource(data)).kind
    if role is NameRole.PATCH:
        return 0x25
    if kind is FileKind.DATABASE or name.lower().endswith((".edb", ".dit")):
        return tokens.DATABASE
    logs = {NameRole.NUMBERED_LOG, NameRole.CURRENT_LOG, NameRole.NEXT_LOG}
    return tokens.LOG if kind is FileKind.LOG or role in logs else 0x0F


def log_key(path: Path) -> Key | None:
    """What tells a log, and how far it is written."""
    with suppress(EngineError):
        log = read_log(path)
        header = log.header
        return header.generation, header.signature.pack(), header.created.pack(), len(log.records)
    return None


def is_from(path: Path, generation: int) -> bool:
    """Whether a file is a log of a generation or a later one, by its name or by its header."""
    found = parse_file_name(path.name).generation or 0
    with suppress(HeaderError):
        found = max(found, LogHeader.parse(path.read_bytes()).generation)
    return found >= generation


def shut_key(data: bytes) -> Key:
    """What tells a database as it was shut down."""
    with suppress(HeaderError):
        header = DatabaseHeader.read(BytesSource(data)).header
        return header.signature.pack(), header.consistent_position.pack()
    return ()


def read_place(story: Story) -> Files:
    """All files of a server as they lie on disk in this moment."""
    place = story.lab.place
    folders = {place.logs, place.system, *(path.parent for path in place.databases.values())}
    return {path.name: path.read_bytes() for folder in folders for path in sorted(folder.iterdir()) if path.is_file()}


def states_of(story: Story) -> dict[Key, Contents]:
    """What is in the databases at the end of each log."""
    found = {}
    for path in story.lab.place.logs.iterdir():
        name = parse_file_name(path.name)
        key = log_key(path) if name.role in {NameRole.NUMBERED_LOG, NameRole.CURRENT_LOG} else None
        if key is not None and (name.generation is None or name.generation in story.account.at):
            found[key] = story.expected(name.generation)
    return found


def shut_of(story: Story) -> dict[Key, Contents]:
    now = story.expected()
    paths = story.lab.place.databases.values()
    return {shut_key(path.read_bytes()): {path.name: now[path.name]} for path in paths}


def fork_of(story: Story, folder: Path) -> Story:
    """The same server from here on with another history."""
    shutil.copytree(story.lab.folder, folder)
    account = Account()
    account.now = {dbid: dict(records) for dbid, records in story.account.now.items()}
    fork = type(story)(open_lab(folder, account), account)
    fork.lab.config = replace(fork.lab.config, seed=501)  # so that its clock is another one
    fork.lab.start()
    fork.lab.stop()  # so that databases are attached elsewhere in this history
    return fork


@dataclass
class Maker:
    """Makes the sets of one server."""

    profile: str
    folder: Path
    known: dict[Key, Contents] = field(default_factory=dict)

    def note(self, story: Story) -> Files:
        """Note what must be in the databases, and return all files."""
        self.known |= states_of(story)
        return read_place(story)

    def make(self) -> dict[str, LabSet]:
        story = new_story(self.folder / "lab", self.profile, databases=2, seed=3, work=25)
        lab = story.lab
        foreign = new_story(self.folder / "foreign", self.profile, databases=2, seed=9, work=70)
        stock = {"foreign": self.note(foreign), "older": self.note(story)}
        lab.work(30)
        lab.stop()
        stock["shut"] = self.note(story)
        self.known |= shut_of(story)
        fork = fork_of(story, self.folder / "fork")
        fork.lab.work(60)
        stock["fork"] = self.note(fork)
        lab.work(25)
        crashed = self.note(story)
        lagged = crashed | {name: stock["shut"][name] for name in lab_names(story).values()}
        lab.workload.write_late = lambda: None  # type: ignore[method-assign] # from here on no page is written
        lab.work(25)
        busy = self.note(story)
        lab.stop()
        stopped = self.note(story)
        self.known |= shut_of(story)
        full = back_up(server_of(story, busy=3), truncate=False)
        self.note(story)
        again = back_up(server_of(story, busy=3), truncate=False)
        stock["backup"] = {one.leaf: one.data for one in (*again.databases, *again.logs, *again.patches)}
        self.note(story)
        streamed = {one.leaf: one.data for one in (*full.databases, *full.logs, *full.patches)}
        return {
            f"{self.profile} crashed": self.set_of(story, crashed, stock),
            f"{self.profile} crashed, busy": self.set_of(story, busy, stock),
            f"{self.profile} shut down": self.set_of(story, stopped, stock),
            f"{self.profile} lagged": self.set_of(story, lagged, stock),
            f"{self.profile} streamed": self.set_of(story, streamed, stock, hard=True),
        }

    def set_of(self, story: Story, files: Files, stock: dict[str, Files], *, hard: bool = False) -> LabSet:
        paths = {one.dbid: one.path for one in story.lab.config.databases}
        return LabSet(self.profile, lab_names(story), paths, files, hard, self.known, stock)


def lab_names(story: Story) -> dict[int, str]:
    return {one.dbid: one.name for one in story.lab.config.databases}


@cache
def lab_sets() -> dict[str, LabSet]:
    """The sets that everything here is tried on, made once."""
    with tempfile.TemporaryDirectory(prefix="lab-sets-") as folder:
        found = [Maker(profile, Path(folder, profile)).make() for profile in PROFILES]
    return {title: one for each in found for title, one in each.items()}


def recovered(
    made: LabSet, folder: Path, bounds: tuple[int, int] | None, *, ignore: bool = False, lossy: bool = False
) -> tuple[Contents, Contents | None]:
    """Recover what lies in a folder; return what is in the databases, and what must be.

    Args:
        made: The set that it came from.
        folder: The folder.
        bounds: The logs that were registered, for hard recovery; None for soft recovery.
        ignore: Whether databases that are missing are given up (/i).
        lossy: Whether committed logs that are missing are given up (/a).

    Raises:
        EngineError: Recovery fails, or what it leaves cannot be read.
    """
    era = era_of(made.profile)
    databases = {dbid: folder / name for dbid, name in made.names.items()}
    if bounds is not None:
        databases = {dbid: path for dbid, path in databases.items() if path.exists()}
    place = Place(folder, folder, databases, made.paths)
    life = Life(place, era, Clock(77, 9, utc=era.utc), Chance(77))
    before = [log_key(path) for path in folder.iterdir() if path.suffix.lower() in {".log", ".jtx"}]
    shut = {dbid: shut_key(path.read_bytes()) for dbid, path in databases.items() if path.exists()}
    if bounds is not None:
        done = hard_recovery(life, RegisteredSet(folder, *bounds))
    else:
        done = soft_recovery(life, ignore_missing=ignore, ignore_lost=lossy)
    contents = {path.name: dump(path, era) for path in databases.values() if path.exists()}
    played = [made.known[key] for key in before if key in made.known and key[0] == done.high]
    expected: Contents = {}
    for dbid, key in shut.items():
        name = made.names[dbid]
        known = played[0] if dbid in done.databases and played else {}
        known = known or made.known.get(key, {}) if dbid not in done.databases else known
        if name in known:
            expected[name] = known[name]
    return contents, expected if len(expected) == len(contents) else None
