"""What a lab remembers of its server between two lives of its engine: JSON files, replaced whole.

`lab.json` is the server. `restore-in-progress.json` is what Register leaves behind for the next start, in place of the
registry key; its fields are those of "Restore in Progress" (Microsoft Knowledge Base Q200941). Several sets may be
registered one after the other, the full first: LowLog stays that of the full, HighLog is that of the last one.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PureWindowsPath
from typing import Final

from tokar import tokens
from tokar.errors import InputError, StorageError
from tokar.lab.engine import era_of
from tokar.lab.instance import Place
from tokar.lab.own_files import demand_inside
from tokar.server.contract import Registration
from tokar.storage.bytesource import read_start
from tokar.storage.stored_json import parse_json, typed

CONFIG_NAME: Final = "lab.json"
_NO_SUCH: Final = (FileNotFoundError, NotADirectoryError)
_REGISTRATION_NAME: Final = "restore-in-progress.json"
_MOST_DATABASES: Final = 12  # more attachments do not fit a log header
_DBIDS: Final = frozenset(range(1, 256))
_MOST_LIVES: Final = 30_000  # a life is a day of a calendar that ends
_MAX_SIZE: Final = 1 << 20
_DRIVE: Final = re.compile(r"[A-Za-z]:\\")


@dataclass(frozen=True, slots=True)
class DatabaseConfig:
    r"""One database of a server."""

    dbid: int  # Its number inside the instance
    path: str  # Where it lies, as the server says it: `D:\exchsrvr\priv\PRIV.EDB`
    token: int  # The token of its name in lists

    @property
    def name(self) -> str:
        """The leaf name."""
        return PureWindowsPath(self.path).name


@dataclass(frozen=True, slots=True)
class Config:
    """A server at rest."""

    profile: str  # The dialect it speaks
    server: str  # Its name
    seed: int  # What its chances follow from
    lives: int  # How often its engine was started
    circular: bool  # Whether circular logging is on
    # Whether HrSetCurrentBackupLog(0xFFFFFFFF) has refused logs-only backups until the next full.
    incremental_disabled: bool
    logs: str  # Folder of the logs, as the server says it
    system: str  # Folder of the checkpoint
    databases: tuple[DatabaseConfig, ...]  # The databases

    def place(self, folder: Path) -> Place:
        """Return where the instance of a lab lives."""
        return Place(
            local_path(folder, self.logs),
            local_path(folder, self.system),
            {database.dbid: local_path(folder, database.path) for database in self.databases},
            {database.dbid: database.path for database in self.databases},
        )

    def path_maps(self, folder: Path) -> tuple[tuple[str, str], ...]:
        """Return what the names in the server's lists stand for on this machine, drive by drive."""
        drives = {path[0].upper() for path in (self.logs, self.system, *(each.path for each in self.databases))}
        return tuple((self.unc(f"{drive}:"), str(folder.absolute() / drive)) for drive in sorted(drives))

    def unc(self, path: str) -> str:
        """Return a path of the server as its lists name it: through the administrative share of its drive."""
        return f"\\\\{self.server}\\{path[0]}${path[2:]}"


def local_path(folder: Path, path: str) -> Path:
    r"""Return where something that the server calls `D:\a\b` lies: in the lab's folder, under `D/a/b`.

    UNC names through an administrative share are taken as well, of whatever server; a path that is neither is taken as
    it is.
    """
    parts = PureWindowsPath(path)
    if len(parts.drive) == 2:
        return folder.joinpath(parts.drive[0].upper(), *parts.parts[1:])
    if parts.drive.startswith("\\\\") and parts.drive.endswith("$"):
        return folder.joinpath(parts.drive[-2].upper(), *parts.parts[1:])
    return Path(path)


def default_config(profile: str, databases: int, seed: int) -> Config:
    """Return the server that a new lab simulates.

    Raises:
        InputError: There is no such profile, or the number of databases makes no sense.
    """
    if not 0 < databases <= _MOST_DATABASES:
        raise InputError(f"a lab has 1 to {_MOST_DATABASES} databases, not {databases}")
    era_of(profile)
    server, root, logs, system, paths = _SERVERS[profile]
    rows = [*paths[:-1], *(paths[-1].format(number) for number in range(len(paths), databases + 1))][:databases]
    found = tuple(
        DatabaseConfig(dbid, f"{root}\\{path}", _token(profile, path)) for dbid, path in enumerate(rows, start=1)
    )
    return Config(
        profile, server, seed, 0, circular=False, incremental_disabled=False, logs=logs, system=system, databases=found
    )


_NTDS, _CERT, _EXCHSRVR = "C:\\WINDOWS\\NTDS", "C:\\Windows\\System32\\CertLog", "D:\\exchsrvr"
# Name, folder of databases, of logs and of the checkpoint, databases; the last one stands for all further ones.
_SERVERS: Final = {
    "edbbcli": (
        "EXCHANGE1",
        _EXCHSRVR,
        f"{_EXCHSRVR}\\logs",
        f"{_EXCHSRVR}\\working",
        ("priv\\PRIV.EDB", "pub\\PUB.EDB", "dir\\DIR.EDB", "priv{0}\\PRIV{0}.EDB"),
    ),
    "ntdsbcli": ("DC1", _NTDS, "E:\\NTDSLOG", _NTDS, ("ntds.dit", "adam{0}\\adamntds{0}.dit")),
    "certadm": ("CA1.lab.example", _CERT, _CERT, _CERT, ("Lab CA.edb", "Lab CA {0}.edb")),
}


def _token(profile: str, path: str) -> int:
    """Return the token of a database: Exchange tells its stores apart."""
    if profile != "edbbcli":
        return tokens.DATABASE
    return {"pub": 0x46, "dir": 0x47}.get(path[:3], 0x45)


def load_config(folder: Path) -> Config:
    """Return what a lab remembers.

    Raises:
        InputError: The folder is no lab.
        StorageError: The system does not let it be read.
    """
    try:
        found = typed(Config, parse_json(read_start(folder / CONFIG_NAME, _MAX_SIZE)))
        _demand_sense(found)
    except StorageError as error:
        if not isinstance(error.__cause__, _NO_SUCH):
            raise
        raise InputError("this is no lab", path=folder, hint="make one with: tokar lab new DIR") from error
    except InputError as error:
        hint = "put back what it was, or make another lab with: tokar lab new DIR"
        raise InputError(f"{CONFIG_NAME} of this lab was changed: {error.message}", path=folder, hint=hint) from error
    place = found.place(folder)
    demand_inside(folder, place.logs, place.system, *place.databases.values())
    return found


def _demand_sense(config: Config) -> None:
    """Check what a lab remembers: a server that there can be, all of whose files lie in the lab's folder.

    Raises:
        InputError: It was not written by a lab.
    """
    era_of(config.profile)
    default_config(config.profile, len(config.databases), config.seed)
    if not 0 <= config.lives <= _MOST_LIVES:
        raise InputError(f"lives: {config.lives}")
    for path in (config.logs, config.system, *(one.path for one in config.databases)):
        parts = PureWindowsPath(path)
        if not _DRIVE.fullmatch(parts.anchor) or ".." in parts.parts or len(parts.parts) < 2 or ":" in path[2:]:
            raise InputError(f"it has a path that is none of the server: {path!r}")
    ids, paths = ({getattr(one, key) for one in config.databases} for key in ("dbid", "path"))
    if min(len(ids), len(paths)) < len(config.databases) or not ids <= _DBIDS:
        raise InputError("databases: numbers or paths that it cannot have")
    if not all(0 <= one.token <= 0xFF for one in config.databases):
        raise InputError("databases: a token that it cannot have")


def save_config(folder: Path, config: Config) -> None:
    """Write down what a lab remembers, whole or not at all."""
    save_json(folder / CONFIG_NAME, asdict(config))


def save_json(path: Path, content: object) -> None:
    """Write a JSON file under another name, then rename it into place."""
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(content, indent=1), encoding="utf-8")
    draft.replace(path)


@dataclass(frozen=True, slots=True)
class RestoreInProgress:
    """A restore that is registered."""

    low_log: int  # First log to play
    high_log: int  # Last log of the restored sets
    restore_map: tuple[tuple[str, str], ...]  # Old and new path of each restored database
    log_path: str | None  # Folder of the logs
    backup_log_path: str | None  # Folder of the restored logs and patch files
    checkpoint_path: str | None  # Folder of the checkpoint; kept, and not used: the lowest log stands in for it
    status: int | None = None  # What RegisterComplete said; None: it has not been called

    @classmethod
    def of(cls, told: Registration) -> RestoreInProgress:
        """Return what Register was told."""
        rows, paths = told.restore_map or (), (told.log_path, told.backup_log_path, told.checkpoint_path)
        return cls(told.generation_low, told.generation_high, rows, *paths)

    def with_set(self, told: Registration) -> RestoreInProgress:
        """Return this registration with another set added to it."""
        return replace(
            self,
            low_log=min(self.low_log, told.generation_low),
            high_log=told.generation_high,
            backup_log_path=told.backup_log_path or self.backup_log_path,
            status=None,
        )


def load_registration(folder: Path) -> RestoreInProgress | None:
    """Return the registered restore of a lab, or None.

    Raises:
        InputError: It is there, and is not what a lab writes.
        StorageError: It cannot be read.
    """
    path = folder / _REGISTRATION_NAME
    if not path.exists():
        return None
    try:
        return typed(RestoreInProgress, parse_json(read_start(path, _MAX_SIZE)))
    except InputError as error:
        hint = "remove it, and restore again with: tokar restore --server"
        raise InputError(f"this registration was changed: {error.message}", path=path, hint=hint) from error


def save_registration(folder: Path, registration: RestoreInProgress) -> None:
    """Write a registration down."""
    save_json(folder / _REGISTRATION_NAME, asdict(registration))


def remove_registration(folder: Path) -> None:
    """Forget the registration, after a recovery that went well."""
    (folder / _REGISTRATION_NAME).unlink(missing_ok=True)
