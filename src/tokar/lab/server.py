"""The simulated server: the contract of `tokar.server.contract` on top of a lab.

Between any two calls of a backup its users go on working, so what is read is never at rest. Which work, which reads
come short, follows from the lab's seed. Codes are those of the interfaces: the layer's own where it has one (circular
logging, no full, a missing log), else the engine's number as a result code.

How the dialects differ here, beside `tokar.server.contract.DIALECTS`:

* `edbbcli` accepts the list of logs while a database is open, as Exchange did, with a set that cannot be restored
  (Q256347).
* `certadm` gives no short reads, for these mean the end of the file, and no locations at restore, for the service is
  stopped then.
* `ntdsbcli` gives an expiry token; a restore without it may only ask for locations, and one with a token too old is
  refused.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

from tokar import codes, names, tokens
from tokar.lab.backup import BackupFile, FileRole
from tokar.lab.calls import Calls, FaultInjector, Injection, InjectionKind, InjectionPlan, called
from tokar.lab.config import RestoreInProgress, load_registration, save_registration
from tokar.lab.engine import FILE_IN_USE, EngineError
from tokar.lab.lab import Lab, open_lab
from tokar.server.contract import (
    DIALECTS,
    BackupContext,
    BackupType,
    EndOfFile,
    NameList,
    Outcome,
    Registration,
    RestoreContext,
    Server,
    ServerError,
    SourceKind,
)

T = TypeVar("T")

SHARING_VIOLATION: Final = 0x80070020
"""ERROR_SHARING_VIOLATION: a restore while the service runs (as Restore-CARoleService gives it)."""
_LAYER_CODES: Final = {-526: codes.CIRCULAR_LOGGING, -560: codes.FULL_BACKUP_NOT_TAKEN, -569: codes.LOG_FILE_NOT_FOUND}
"""What Prepare answers for logs only, where the layer has a code of its own."""
_TOKEN: Final = struct.Struct("<4sII")  # magic, life of the engine at the backup, lives that it may be old
_TOKEN_MAGIC: Final = b"LABX"
_TOMBSTONE_LIVES: Final = 60
"""Lives of the lab's engine are a day apart, and 60 days is the first tombstone lifetime of Active Directory."""
_DROPPED_BY: Final = {"open", "read", "close"}
"""After a failure of these the engine has dropped the backup: only close and end are left."""


def open_source(place: str, *, restoring: bool = False) -> SimulatedServer:
    """Return the server that `lab:DIR` names, its service stopped where it is to be restored to.

    Raises:
        InputError: The folder is no lab.
        EngineError: The service cannot be started.
        ServerError: Another process works in it.
    """
    try:
        return SimulatedServer(open_lab(Path(place)), running=not restoring)
    except EngineError as error:
        if error.code != FILE_IN_USE:
            raise
        code, detail = codes.BACKUP_IN_PROGRESS, str(error)
        raise ServerError(code, call="prepare_backup", detail=detail, hint=error.hint) from error


class SimulatedServer(Server):
    """A lab behind the contract.

    Args:
        lab: The server.
        faults: What is to go wrong.
        injector: How it hangs and dies; by default for ever and for good.
        busy: How many steps the users take between two calls, at most; 0: nobody works.
        running: Whether to start the service, as a backup wants it; a restore wants it stopped.

    Raises:
        EngineError: The service cannot be started.
    """

    may_hang = True

    def __init__(
        self,
        lab: Lab,
        *,
        faults: Sequence[Injection] = (),
        injector: FaultInjector | None = None,
        busy: int = 3,
        running: bool = True,
    ) -> None:
        self.lab = lab
        self.dialect = DIALECTS[lab.config.profile]
        self.name = lab.config.server
        self.path_maps = lab.config.path_maps(lab.folder)
        self.database_places = tuple(lab.config.unc(one.path) for one in lab.config.databases)
        self.recovery_steps = (f"tokar lab recover {names.typed(str(lab.folder))}",)
        self._calls = Calls(lab, InjectionPlan(faults), injector or FaultInjector(), busy)
        self._restoring: SimulatedRestore | None = None
        self._held = ExitStack()  # What keeps other processes away during a restore
        if running:
            lab.start()

    @property
    def calls(self) -> tuple[str, ...]:
        """Every call of the contract that was made, by name, in order."""
        return tuple(self._calls.plan.calls)

    def is_online(self) -> bool | None:
        """Tell whether the service runs; Exchange's interface cannot."""
        return None if self.dialect.profile == "edbbcli" else self.lab.is_running

    @called
    def prepare_backup(self, backup_type: BackupType) -> BackupContext:
        """Begin a backup.

        Raises:
            ServerError: This type is not possible now; `code` says why.
        """
        call = "prepare_backup"
        if not self.lab.is_running:
            raise ServerError(codes.COULD_NOT_CONNECT, call=call)
        if backup_type not in self.dialect.types:
            raise ServerError(0x80070057, call=call, detail="only full backups are supported")
        full = backup_type is BackupType.FULL
        if not full and self.lab.config.incremental_disabled:
            raise ServerError(codes.INCREMENTAL_DISABLED, call=call)
        try:
            return SimulatedBackup(self._calls, full=full)
        except EngineError as error:
            code = error.code if full else _LAYER_CODES.get(error.code, error.code)
            raise ServerError(code, call=call, detail=str(error)) from error

    @called
    def prepare_restore(self, expiry_token: bytes | None = None) -> RestoreContext:
        """Begin a restore.

        Raises:
            ServerError: The service runs, another restore is being made, or the token is unknown or too old.
        """
        call = "prepare_restore"
        if self._restoring is not None:
            raise ServerError(codes.RESTORE_IN_PROGRESS, call=call)
        if self.lab.is_running:
            raise ServerError(SHARING_VIOLATION, call=call, detail="stop the service first")
        restricted = self.dialect.has_expiry_token and expiry_token is None
        if self.dialect.has_expiry_token and expiry_token is not None:
            self._check_token(expiry_token)
        try:
            self._held.enter_context(self.lab.hold())
        except EngineError as error:
            raise ServerError(codes.RESTORE_IN_PROGRESS, call=call, detail=str(error)) from error
        self._restoring = SimulatedRestore(self._calls, self._restore_ended, restricted=restricted)
        return self._restoring

    def make(self, call: str, action: Callable[[], T]) -> T:
        """Make a call."""
        return self._calls.make(call, action)

    def _restore_ended(self) -> None:
        self._restoring = None
        self._held.close()

    def _check_token(self, token: bytes) -> None:
        if len(token) != _TOKEN.size or not token.startswith(_TOKEN_MAGIC):
            raise ServerError(codes.UNKNOWN_EXPIRY_TOKEN, call="prepare_restore")
        _, life, lives = _TOKEN.unpack(token)
        if self.lab.config.lives - life > lives:
            raise ServerError(codes.CONTENTS_EXPIRED, call="prepare_restore")


class SimulatedBackup(BackupContext):
    """A backup of a lab.

    Args:
        calls: What stands around every call.
        full: Whether databases are copied.

    Raises:
        EngineError: A backup of this type is not possible now.
    """

    def __init__(self, calls: Calls, *, full: bool) -> None:
        self._lab = calls.lab
        self._dialect = DIALECTS[self._lab.config.profile]
        self._calls = calls
        self._backup = self._lab.backup(full=full)
        self._files: dict[bytes, BackupFile] = {}
        self._is_open = self._is_over = self._is_dropped = False
        self._left = 0
        self.backup_type = BackupType.FULL if full else BackupType.LOGS_ONLY
        if self._dialect.has_expiry_token:
            self.expiry_token = _TOKEN.pack(_TOKEN_MAGIC, self._lab.config.lives, _TOMBSTONE_LIVES)

    @called
    def database_locations(self) -> NameList:
        """Return where databases, logs and checkpoint live."""
        return self._calls.locations()

    @called
    def database_names(self) -> NameList:
        """Return the databases to back up. Full only (-521)."""
        return self._give(self._backup.databases())

    @called
    def backup_logs(self) -> NameList:
        """Return the logs and patch files to back up. Fixed at the first call."""
        return self._give(self._backup.list_logs())

    @called
    def dynamic_files(self) -> NameList:
        """Return the revocation lists of the certification authority: names without tokens."""
        if not self._dialect.has_dynamic_files:
            raise ServerError(0xC0000001, call="dynamic_files")  # hrNyi
        folder = f"\\\\{self._lab.config.server}\\CertEnroll\\"
        lists = [f"{folder}{one.name.rpartition('.')[0]}.crl" for one in self._lab.config.databases]
        return self._calls.list([(None, name) for name in lists], with_tokens=False)

    @called
    def open(self, raw_name: bytes) -> int:
        """Open a listed file and return its size in bytes."""
        if self._is_open:
            raise ServerError(codes.ALREADY_OPEN, call="open")
        if raw_name not in self._files:
            raise ServerError(codes.FILE_NOT_FOUND, call="open", detail="the name is in none of the lists")
        self._left = self._backup.open(self._files[raw_name])
        self._is_open = True
        fault = self._calls.fault
        return self._left + (fault.size if fault is not None and fault.kind is InjectionKind.ANNOUNCE else 0)

    @called
    def read(self, buffer: memoryview) -> int:
        """Read on into `buffer` and return how many bytes came."""
        if not self._is_open:
            raise ServerError(codes.INVALID_HANDLE, call="read", detail="no file is open")
        if self._left == 0 and self._dialect.end_of_file is EndOfFile.HANDLE_EOF:
            raise ServerError(codes.HANDLE_EOF, call="read")
        piece = self._backup.read(self._wanted(len(buffer)))
        self._left -= len(piece)
        buffer[: len(piece)] = piece
        return len(piece)

    @called
    def close(self) -> None:
        """Close the open file."""
        if not self._is_open:
            raise ServerError(codes.INVALID_HANDLE, call="close", detail="no file is open")
        self._is_open = False
        self._backup.close()

    @called
    def truncate_logs(self) -> None:
        """Delete the logs that this backup covers and the engine no longer needs; it may leave some, or all."""
        self._backup.truncate()

    @called
    def end(self, outcome: Outcome) -> None:
        """End the backup. Where the dialect has no abort, the engine judges by what was read, whatever the outcome."""
        self._is_over = True
        told = outcome is Outcome.ABORT and self._dialect.has_abort
        try:
            self._backup.end(success=not told and not self._is_dropped)
        except EngineError:
            return  # -800: the engine does not remember this backup; End itself has done what it is for
        if self.backup_type is BackupType.FULL:
            self._lab.enable_incremental()

    def make(self, call: str, action: Callable[[], T]) -> T:
        """Make a call, as long as the backup is not over, and the engine has not dropped it."""
        if self._is_over:
            raise ServerError(codes.INVALID_HANDLE, call=call, detail="the backup is over")
        if self._is_dropped and call not in {"close", "end"}:
            raise ServerError(-520, call=call, detail="the engine dropped the backup after a failure")
        try:
            return self._calls.make(call, action)
        except ServerError as error:
            broken = error.__cause__ is not None or error.detail == "injected"
            self._is_dropped = self._is_dropped or (call in _DROPPED_BY and broken and error.jet != -521)
            raise

    def _wanted(self, size: int) -> int:
        """Return how many bytes a read brings: where short reads are normal, now and then fewer than asked for."""
        fault, chance = self._calls.fault, self._calls.chance
        if fault is not None and fault.kind is InjectionKind.SHORT:
            return min(size, fault.size)
        if self._dialect.end_of_file is EndOfFile.SHORT_READ or size < 2 or chance.happens(0.5):
            return size
        return chance.number(1, size)

    def _give(self, files: list[BackupFile]) -> NameList:
        rows = [self._row(file) for file in files]
        self._files |= {self._calls.encode(name): file for (_, name), file in zip(rows, files, strict=True)}
        return self._calls.list(rows)

    def _row(self, file: BackupFile) -> tuple[int, str]:
        """Return token and name of a file in the lists."""
        config = self._lab.config
        if file.role is FileRole.DATABASE:
            found = next(one for one in config.databases if one.dbid == file.number)
            return found.token, config.unc(found.path)
        if file.role is FileRole.LOG:
            return tokens.LOG, config.unc(f"{config.logs}\\{file.name}")
        return tokens.parse_token("patch", self._dialect.profile), config.unc(f"{config.system}\\{file.name}")


class SimulatedRestore(RestoreContext):
    """A restore to a lab: it leaves instructions, which the next start of the engine follows.

    Args:
        calls: What stands around every call.
        on_end: Told when the restore ends.
        restricted: Whether the expiry token is missing: then only locations may be asked for.
    """

    def __init__(self, calls: Calls, on_end: Callable[[], None], *, restricted: bool) -> None:
        self._lab = calls.lab
        self._calls = calls
        self._on_end = on_end
        self._restricted = restricted
        self._is_over = False

    @called
    def database_locations(self) -> NameList:
        """Return where databases, logs and checkpoint live now; the CA does not say, for its service is stopped."""
        if self._lab.config.profile == "certadm":
            raise ServerError(codes.COULD_NOT_CONNECT, call="database_locations", detail="the service is stopped")
        return self._calls.locations()

    @called
    def register(self, registration: Registration) -> None:
        """Leave instructions for the engine's next start."""
        call, wanted = "register", registration
        if self._restricted:
            raise ServerError(codes.MISSING_EXPIRY_TOKEN, call=call)
        found = load_registration(self._lab.folder)
        if found is not None and found.status is None:
            raise ServerError(codes.RESTORE_IN_PROGRESS, call=call)
        if found is not None and found.status != 0:
            found = None  # a restore that failed is begun anew
        dialect = DIALECTS[self._lab.config.profile]
        paths = (wanted.log_path, wanted.backup_log_path)
        if not 0 < wanted.generation_low <= wanted.generation_high or (dialect.register_first and None in paths):
            raise ServerError(codes.INVALID_PARAM, call=call)
        if not wanted.restore_map and found is None:
            raise ServerError(codes.NO_FULL_RESTORE, call=call)
        if wanted.restore_map and found is not None and found.restore_map != wanted.restore_map:
            raise ServerError(codes.RESTORE_MAP_EXISTS, call=call)
        save_registration(self._lab.folder, found.with_set(wanted) if found else RestoreInProgress.of(wanted))

    @called
    def register_complete(self, status: int) -> None:
        """Say how placing the files went."""
        found = load_registration(self._lab.folder)
        if found is None or found.status is not None:
            raise ServerError(codes.INVALID_PARAM, call="register_complete", detail="nothing is registered")
        save_registration(self._lab.folder, replace(found, status=status))

    @called
    def end(self) -> None:
        """End the restore."""
        self._is_over = True
        self._on_end()

    def make(self, call: str, action: Callable[[], T]) -> T:
        """Make a call, as long as the restore is not over."""
        if self._is_over:
            raise ServerError(codes.INVALID_HANDLE, call=call, detail="the restore is over")
        return self._calls.make(call, action)


SOURCE: Final = SourceKind(place="DIR", title="a simulated server to practise on", open=open_source)
