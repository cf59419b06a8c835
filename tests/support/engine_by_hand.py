"""Backups and restores done by hand against a lab: through the contract, without tokar's procedure or restore.

The test keeps its own account of what must be there: every commit, and the state at each closing of a log.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

from tokar import codes
from tokar.lab.engine import EngineError
from tokar.lab.instance import Listener
from tokar.lab.lab import Lab, create_lab
from tokar.lab.server import SimulatedServer
from tokar.server.contract import BackupType, EndOfFile, Outcome, Registration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokar.lab.tables import Change
    from tokar.namelist import ListedName
    from tokar.server.contract import BackupContext

READ_SIZE = 8192
_numbers = count()


class Account(Listener):
    """What must be in the databases, by dbid: now, and at the closing of each log."""

    def __init__(self) -> None:
        self.now: dict[int, dict[bytes, bytes]] = {}
        self.at: dict[int, dict[int, dict[bytes, bytes]]] = {}

    def committed(self, changes: list[Change]) -> None:
        for dbid, key, value in changes:
            records = self.now.setdefault(dbid, {})
            records.pop(key, None)
            if value is not None:
                records[key] = value

    def closed(self, generation: int) -> None:
        self.at[generation] = {dbid: dict(records) for dbid, records in self.now.items()}


@dataclass(frozen=True)
class Taken:
    """One file as read."""

    token: int
    name: str
    data: bytes

    @property
    def leaf(self) -> str:
        return PureWindowsPath(self.name).name


@dataclass(frozen=True)
class HandSet:
    """One backup set, taken by hand."""

    full: bool
    databases: tuple[Taken, ...]
    logs: tuple[Taken, ...]
    patches: tuple[Taken, ...]
    expiry_token: bytes | None = None

    @property
    def generations(self) -> list[int]:
        return sorted(int(PureWindowsPath(log.name).stem[3:], 16) for log in self.logs)

    @property
    def low(self) -> int:
        return self.generations[0]

    @property
    def high(self) -> int:
        return self.generations[-1]


@dataclass
class Story:
    """A lab at work with the account of it."""

    lab: Lab
    account: Account = field(default_factory=Account)

    def expected(self, generation: int | None = None) -> dict[str, dict[bytes, bytes]]:
        """What must be there now, or must have been at the closing of a log."""
        known = self.account.now if generation is None else self.account.at[generation]
        return {each.name: dict(known.get(each.dbid, {})) for each in self.lab.config.databases}


@cache
def _kept() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tokar-stories-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT"))


def kept_folder() -> Path:
    """A name for a folder that is kept as long as this process runs: for what many tests look at and none changes."""
    return Path(_kept().name, str(next(_numbers)))


def new_story(folder: Path, profile: str = "edbbcli", *, databases: int = 2, seed: int = 1, work: int = 30) -> Story:
    account = Account()
    lab = create_lab(folder, profile, databases, seed, account)
    story = Story(lab, account)
    if work:
        lab.work(work)
    return story


def server_of(story: Story, *, busy: int = 4) -> SimulatedServer:
    return SimulatedServer(story.lab, busy=busy)


def decoded(entry: ListedName) -> str:
    return entry.raw_name.decode("utf-16-le" if entry.encoding == 1200 else "cp1252")


def read_open_file(context: BackupContext, size: int, end_of_file: EndOfFile) -> bytes:
    """Read to the announced size; a size of 0 is not read at all."""
    data = b""
    while len(data) < size:
        buffer = bytearray(READ_SIZE)
        got = context.read(memoryview(buffer))
        data += buffer[:got]
        if got == 0 or (end_of_file is EndOfFile.SHORT_READ and got < READ_SIZE):
            break
    assert len(data) == size
    return data


def take_file(context: BackupContext, entry: ListedName, end_of_file: EndOfFile) -> Taken:
    size = context.open(entry.raw_name)
    data = read_open_file(context, size, end_of_file)
    context.close()
    assert entry.token is not None
    return Taken(entry.token, decoded(entry), data)


def take_all(context: BackupContext, entries: Sequence[ListedName], end_of_file: EndOfFile) -> tuple[Taken, ...]:
    return tuple(take_file(context, entry, end_of_file) for entry in entries)


def back_up(server: SimulatedServer, *, full: bool = True, truncate: bool = True) -> HandSet:
    """The nine steps, in order."""
    convention = server.dialect.end_of_file
    context = server.prepare_backup(BackupType.FULL if full else BackupType.LOGS_ONLY)
    databases: tuple[Taken, ...] = ()
    if full:
        names = context.database_names()
        databases = take_all(context, names.entries, convention)
        names.free()
    listed = context.backup_logs()
    taken = take_all(context, listed.entries, convention)
    listed.free()
    if truncate:
        context.truncate_logs()
    context.end(Outcome.SUCCESS)
    logs = tuple(each for each in taken if each.token == 0x21)
    patches = tuple(each for each in taken if each.token != 0x21)
    return HandSet(full, databases, logs, patches, context.expiry_token)


def wipe(lab: Lab) -> None:
    """Lose all databases, logs and the checkpoint, as a broken disk does; the server's settings stay."""
    lab.crash()
    place = lab.place
    paths = [*place.databases.values(), *place.logs.iterdir(), *place.system.iterdir()]
    for path in {path for path in paths if path.is_file()}:
        path.unlink()


def target_for(story: Story, folder: Path) -> Lab:
    """An empty server of the same kind, to restore to."""
    config = story.lab.config
    return create_lab(folder, config.profile, len(config.databases), config.seed + 1000, empty=True)


def place(lab: Lab, sets: Sequence[HandSet]) -> None:
    """Copy the files where they belong: databases by leaf name, logs and patch files into the log folder."""
    places = {each.name.lower(): lab.place.databases[each.dbid] for each in lab.config.databases}
    for each in sets:
        for taken in each.databases:
            places[taken.leaf.lower()].write_bytes(taken.data)
        for taken in (*each.logs, *each.patches):
            (lab.place.logs / taken.leaf).write_bytes(taken.data)


def register(lab: Lab, sets: Sequence[HandSet], *, low: int | None = None) -> None:
    """Register the sets one after the other, each complete, as the dialects want it."""
    server = SimulatedServer(lab, running=False)
    context = server.prepare_restore(sets[0].expiry_token)
    full = sets[0]
    rows = tuple((taken.name, lab.config.unc(_path_of(lab, taken.leaf))) for taken in full.databases)
    logs, system = lab.config.unc(lab.config.logs), lab.config.unc(lab.config.system)
    for each in sets:
        with_map = each.full or server.dialect.map_with_logs_sets
        first = each.low if low is None or not each.full else low
        context.register(Registration(system, logs, rows if with_map else None, logs, first, each.high))
        context.register_complete(codes.NONE)
    context.end()


def restore(story: Story, folder: Path, *sets: HandSet) -> Lab:
    """Place and register sets on an empty server; recovery is the caller's."""
    lab = target_for(story, folder)
    place(lab, sets)
    register(lab, sets)
    return lab


def outcome_of(lab: Lab) -> dict[str, dict[bytes, bytes]] | int:
    """Recover and return the contents, or the number of the engine error that prevented it."""
    try:
        lab.recover()
        return lab.contents()
    except EngineError as error:
        return error.code


def without_patches(taken: HandSet) -> HandSet:
    return replace(taken, patches=())


def _path_of(lab: Lab, leaf: str) -> str:
    return next(each.path for each in lab.config.databases if each.name.lower() == leaf.lower())
