r"""A lab: a simulated server in a folder, whose engine can be started, worked, stopped, crashed and recovered.

Everything that is durable lies in the folder, so a process may be killed at any time and the lab opened again. The
paths of the server are kept below it: `D:\exchsrvr\logs` is `FOLDER/D/exchsrvr/logs`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tokar import tokens
from tokar.errors import InputError, StorageError, storage_errors
from tokar.ese.values import Signature
from tokar.lab.backup import Backup
from tokar.lab.config import (
    CONFIG_NAME,
    Config,
    RestoreInProgress,
    default_config,
    load_config,
    load_registration,
    local_path,
    remove_registration,
    save_config,
)
from tokar.lab.database_file import DatabaseFile, create_database
from tokar.lab.engine import FILE_IN_USE, Chance, Clock, EngineError, Era, era_of
from tokar.lab.engine_recovery import Recovered, RegisteredSet, hard_recovery, soft_recovery
from tokar.lab.instance import Instance, Life, Listener, Place, Workload
from tokar.lab.log_formats import read_log
from tokar.lab.log_stream import closed_logs, current_log
from tokar.lab.own_files import demand_inside, demand_own_files
from tokar.lab.tables import compact, dump
from tokar.storage.directory import Directory, Lock

_LOCK_NAME: Final = ".in-use"
_IN_USE: Final = "another process works in this lab"
_IN_USE_HINT: Final = "wait until it has ended, or end it: what it holds is free then"
_NO_FOLDER_HINT: Final = (
    "put it back with what was in it, or restore to this lab: tokar restore --server lab:DIR ARCHIVE"
)


@dataclass(frozen=True, slots=True)
class LabLocation:
    """Where files with a token go back to."""

    token: int  # The token
    path: Path  # The directory or file on this machine
    name: str  # The same in the server's lists
    is_directory: bool  # Whether it is a directory


class Lab:
    """A simulated server in a folder.

    Args:
        folder: Where it is.
        config: What it remembers.
        listener: Told of commits and of closed logs.
    """

    def __init__(self, folder: Path, config: Config, listener: Listener | None = None) -> None:
        self.folder = folder
        self.config = config
        self.listener = listener
        self.era: Era = era_of(config.profile)
        self._instance: Instance | None = None
        self._workload: Workload | None = None
        self._held: ExitStack | None = None  # The lock on its folder: one engine at a time has the files

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep other processes from the files while the block runs, and after it if the engine runs then.

        Raises:
            EngineError: Another process works with them (-1032).
            StorageError: The lock cannot be made, as where nothing can be written.
        """
        if self._held is None:
            with ExitStack() as stack:
                try:
                    folder = stack.enter_context(Directory(os.path.realpath(self.folder)))
                    stack.enter_context(Lock(folder, _LOCK_NAME, _IN_USE))
                except StorageError as error:
                    if error.message != _IN_USE:
                        raise
                    raise EngineError(FILE_IN_USE, error.message, path=self.folder, hint=_IN_USE_HINT) from error
                self.config = load_config(self.folder)  # as whoever had it before left it
                demand_own_files(self.folder, *self.place.folders)
                self._held = stack.pop_all()
        try:
            yield
        finally:
            if self._instance is None:
                self._give_back()

    def _give_back(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None

    def __del__(self) -> None:
        """Give the lock back where nobody has stopped the engine: its process would have ended."""
        self._give_back()

    @property
    def place(self) -> Place:
        """Where its files are."""
        return self.config.place(self.folder)

    @property
    def is_running(self) -> bool:
        """Whether the engine is started."""
        return self._instance is not None

    @property
    def instance(self) -> Instance:
        """The engine, started if it was not.

        Raises:
            EngineError: It cannot be started.
        """
        if self._instance is None:
            self.start()
        assert self._instance is not None
        return self._instance

    @property
    def workload(self) -> Workload:
        """The users of the server."""
        self.start()
        assert self._workload is not None
        return self._workload

    def start(self) -> Recovered | None:
        """Start the engine as its service would: with the recovery that is due, if any; return what that did.

        Raises:
            EngineError: Recovery fails, or a restore is under way (-506).
        """
        if self._instance is not None:
            return None
        with self.hold():
            return self._start()

    def _start(self) -> Recovered | None:
        recovered = self._recover() if self._recovery_is_due() else None
        life = self._new_life()
        place = life.place
        instance = Instance(life, self._stream_signature(life), self.listener, circular=self.config.circular)
        if current_log(place.logs, place.base) or closed_logs(place.logs, place.base):
            instance.log.resume()
        else:
            instance.log.begin()
        for leftover in place.system.glob("*.PAT"):
            leftover.unlink()
        for dbid in place.databases:
            instance.attach(dbid)
        instance.write_checkpoint()
        self._instance, self._workload = instance, Workload(instance, life.chance)
        return recovered

    def stop(self) -> None:
        """Stop the engine cleanly. Open transactions are undone."""
        if self._instance is not None:
            self._instance.stop()
        self.crash()

    def crash(self) -> None:
        """Stop the engine where it stands: what is in memory alone is gone."""
        self._instance = self._workload = None
        self._give_back()

    def work(self, transactions: int) -> None:
        """Let users work until that many more transactions are over."""
        self.workload.run(transactions)

    def set_circular(self, circular: bool) -> None:
        """Turn circular logging on or off."""
        with self.hold():
            self._change_config(circular=circular)
        if self._instance is not None:
            self._instance.log.circular = circular

    def disable_incremental(self) -> None:
        """Refuse logs-only backups until the next full, as HrSetCurrentBackupLog(0xFFFFFFFF) does."""
        with self.hold():
            self._change_config(incremental_disabled=True)

    def enable_incremental(self) -> None:
        """Let logs-only backups be made again: a full was taken."""
        if self.config.incremental_disabled:
            with self.hold():
                self._change_config(incremental_disabled=False)

    def defragment(self, name: str) -> None:
        """Compact a database offline: it becomes another one, with a new signature, and its chain of backups ends.

        Args:
            name: Its leaf name.

        Raises:
            InputError: There is no such database.
        """
        config = next((each for each in self.config.databases if each.name.lower() == name.lower()), None)
        if config is None:
            names = ", ".join(each.name for each in self.config.databases)
            raise InputError(f"there is no database {name!r}", hint=f"one of {names}")
        was_running = self.is_running
        self.start()
        self.stop()
        with self.hold():
            life = self._new_life()
            compact(life.place.databases[config.dbid], self.era, life.new_signature())
        if was_running:
            self.start()

    def recover(self) -> Recovered:
        """Recover what lies in the folders, as a service does before it starts: hard after a restore, else soft.

        Raises:
            EngineError: Recovery fails; a database is missing (-1811); a restore is registered and not completed, or
                was reported as failed (-506).
        """
        self.crash()
        with self.hold():
            return self._recover()

    def _recover(self) -> Recovered:
        registration = load_registration(self.folder)
        life = self._new_life()
        if registration is None:
            recovered = soft_recovery(life, self.listener)
            for file in life.place.databases.values():
                if not file.exists():
                    raise EngineError(-1811, "the database is missing, so the service does not start", path=file)
            return recovered
        if registration.status != 0:
            state = "is not completed" if registration.status is None else "was reported as failed"
            raise EngineError(-506, f"the registered restore {state}", path=self.folder)
        path, logs = registration.backup_log_path, life.place.logs
        folder = local_path(self.folder, path) if path else logs
        demand_inside(self.folder, folder)
        _demand_folder(folder, "restored logs", -1023)
        demand_own_files(folder)
        restored = RegisteredSet(folder, registration.low_log, registration.high_log)
        recovered = hard_recovery(replace(life, place=self._restored(registration, life.place)), restored)
        remove_registration(self.folder)
        return recovered

    def contents(self) -> dict[str, dict[bytes, bytes]]:
        """Return the committed records of every database by its leaf name; of a stopped engine, what its files hold.

        Raises:
            EngineError: A database is damaged.
        """
        if self._instance is None:
            return {each.name: dump(self.place.databases[each.dbid], self.era) for each in self.config.databases}
        found = self._instance.contents()
        return {each.name: found[each.dbid] for each in self.config.databases}

    def locations(self) -> tuple[LabLocation, ...]:
        """Return where files go back to: databases as files, except in Exchange's lists, then logs, then checkpoint."""
        config, found = self.config, []
        as_directory = config.profile == "edbbcli"
        for each in config.databases:
            path = each.path.rpartition("\\")[0] if as_directory else each.path
            found.append((each.token, path, as_directory))
        found += [(tokens.LOG_DIR, config.logs, True), (tokens.CHECKPOINT_DIR, config.system, True)]
        return tuple(
            LabLocation(token, local_path(self.folder, path), config.unc(path), is_directory)
            for token, path, is_directory in found
        )

    def backup(self, *, full: bool) -> Backup:
        """Begin a backup in the engine's own terms.

        Raises:
            EngineError: It is not possible now.
        """
        return Backup(self.instance, full=full)

    def _recovery_is_due(self) -> bool:
        if load_registration(self.folder) is not None:
            return True
        place = self.place
        headers = [DatabaseFile(path, self.era).header for path in place.databases.values()]
        return any(not header.is_clean or header.current_full.generation_low for header in headers)

    def _restored(self, registration: RestoreInProgress, place: Place) -> Place:
        """Return the place with exactly the databases of the restore map, under their old names."""
        by_path = {path.resolve(): dbid for dbid, path in place.databases.items()}
        databases, names = {}, {}
        for old, new in registration.restore_map:
            path = local_path(self.folder, new)
            dbid = by_path.get(path.resolve())
            if dbid is None:
                raise EngineError(-1811, f"the restore map names {new}, which is no database of this server")
            databases[dbid] = path
            names[dbid] = _drive_path(old)
        return replace(place, databases=databases, names=names)

    def _stream_signature(self, life: Life) -> Signature:
        place = life.place
        path = current_log(place.logs, place.base)
        paths = [path] if path else list(closed_logs(place.logs, place.base).values())
        return read_log(paths[-1]).header.signature if paths else life.new_signature()

    def demand_folders(self) -> None:
        """Check that the folders of logs and checkpoint are there: the engine makes none.

        Raises:
            EngineError: One is missing (-1025, -1024), or is no folder.
        """
        for code, what, folder in ((-1025, "logs", self.place.logs), (-1024, "checkpoint", self.place.system)):
            _demand_folder(folder, what, code)

    def _new_life(self) -> Life:
        self.demand_folders()
        self._change_config(lives=self.config.lives + 1)
        seed, lives = self.config.seed, self.config.lives
        return Life(self.place, self.era, Clock(seed, lives, utc=self.era.utc), Chance(seed, lives))

    def _change_config(self, **changes: int | bool) -> None:
        """Change what it remembers, while the lock is held."""
        self.config = replace(self.config, **changes)  # type: ignore[arg-type] # the names are those of the fields
        save_config(self.folder, self.config)


def _demand_folder(folder: Path, what: str, code: int) -> None:
    with storage_errors("look for the folder", folder):
        is_there = folder.is_dir()
    if not is_there:
        raise EngineError(code, f"there is no folder of the {what}", path=folder, hint=_NO_FOLDER_HINT)


def _drive_path(path: str) -> str:
    r"""Return a UNC name through an administrative share as a path of that server: `D:\a` for `\\S\D$\a`."""
    if path.startswith("\\\\"):
        share, _, rest = path[2:].partition("\\")[2].partition("\\")
        if share.endswith("$"):
            return f"{share[:-1].upper()}:\\{rest}"
    return path


def create_lab(
    folder: Path,
    profile: str = "edbbcli",
    databases: int | None = None,
    seed: int = 1,
    listener: Listener | None = None,
    *,
    empty: bool = False,
) -> Lab:
    """Make a lab in a new or empty folder.

    Args:
        folder: Where.
        profile: `edbbcli`, `ntdsbcli` or `certadm`.
        databases: How many; by default two (private and public) for `edbbcli`, else one.
        seed: What its chances follow from.
        listener: Told of commits and of closed logs.
        empty: Make a server that has lost its databases and logs: one to restore to.

    Raises:
        InputError: The folder holds a lab, or something makes no sense.
    """
    with storage_errors("make a lab there", folder):
        if (folder / CONFIG_NAME).exists():
            raise InputError("there is a lab already", path=folder, hint="name another folder")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError("a lab is made in a new or empty folder", path=folder, hint="name another folder")
    config = default_config(profile, databases or (2 if profile == "edbbcli" else 1), seed)
    era, place = era_of(profile), config.place(folder)
    with storage_errors("make a lab there", folder):
        for each in place.folders:
            each.mkdir(parents=True, exist_ok=True)
    life = Life(place, era, Clock(seed, 0, utc=era.utc), Chance(seed))
    if not empty:
        for dbid, path in place.databases.items():
            create_database(path, era, life.new_signature(), dbid)
    save_config(folder, config)
    return Lab(folder, config, listener)


def open_lab(folder: Path, listener: Listener | None = None) -> Lab:
    """Open a lab; its engine is started by the first thing that needs it.

    Raises:
        InputError: The folder is no lab.
    """
    return Lab(folder, load_config(folder), listener)
