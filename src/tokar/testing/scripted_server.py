"""A small server in memory that keeps the contract to the letter, and breaks at any call it is told to."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from tokar import codes, namelist
from tokar.server.contract import (
    DIALECTS,
    BackupContext,
    BackupType,
    Dialect,
    EndOfFile,
    NameList,
    NoAnswerError,
    Outcome,
    Registration,
    RestoreContext,
    Server,
    ServerError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

DATABASE = 0x44
LOG = 0x21
LOG_DIR = 0x82
CHECKPOINT_DIR = 0x83


def wide(name: str) -> bytes:
    """Return a name as it stands in a W list."""
    return name.encode("utf-16-le")


class CallFault(StrEnum):
    """What goes wrong at a call."""

    FAIL = "fail"
    HANG = "hang"
    INTERRUPT = "interrupt"
    SHORT = "short"  # a read returns one byte
    EARLY_END = "early-end"  # a read says that the file ends here
    WRONG_SIZE = "wrong-size"  # open announces one byte more than there is
    TOO_SMALL = "too-small"  # open announces one byte less


@dataclass
class ScriptedServer(Server):
    """Files in memory, and a script of faults."""

    dialect: Dialect = DIALECTS["ese"]
    name: str = "SERVER1"
    databases: dict[str, bytes] = field(default_factory=dict)  # Content by name, as listed; their token is 0x44
    logs: dict[str, bytes] = field(default_factory=dict)  # Likewise, token 0x21
    tokens: dict[str, int] = field(default_factory=dict)  # Other tokens, by name
    dynamic: tuple[str, ...] = ()  # Names of dynamic files
    refuse_logs_only: int | None = None  # The code that Prepare(logs only) is refused with
    fault: Callable[[int, str], CallFault | None] | None = (
        None  # Asked at each call, with its number from 0 and its name
    )
    most: int | None = None  # Bytes that one read returns at most; None for as many as are asked for
    online: bool | None = None  # What `is_online` answers
    locations: tuple[tuple[int, str], ...] = (
        (DATABASE, r"\\S1\D$\db"),
        (LOG_DIR, r"\\S1\D$\log"),
        (CHECKPOINT_DIR, r"\\S1\D$\sys"),
    )
    history: list[str] = field(default_factory=list)  # Every call, as `name` or `name argument`
    ended: list[Outcome] = field(default_factory=list)  # What End was told, each time
    truncated: bool = False  # Whether the logs were truncated
    calls: int = 0  # How many calls were made
    busy: bool = False  # Whether a backup is under way
    leaks: int = 0  # Lists that were held at End
    registered: Registration | None = None  # What is registered and not complete
    completed: list[int] = field(default_factory=list)  # What RegisterComplete was told, each time

    def is_online(self) -> bool | None:
        return self.online

    def prepare_backup(self, backup_type: BackupType) -> BackupContext:
        self.step(f"prepare {backup_type}")
        if self.busy:
            raise ServerError(codes.BACKUP_IN_PROGRESS, call="prepare_backup")
        if backup_type not in self.dialect.types:
            raise ServerError(codes.INVALID_PARAMETER, call="prepare_backup")
        if backup_type is BackupType.LOGS_ONLY and self.refuse_logs_only is not None:
            raise ServerError(self.refuse_logs_only, call="prepare_backup")
        self.busy = True
        return ScriptedBackup(self, backup_type)

    def prepare_restore(self, expiry_token: bytes | None = None) -> RestoreContext:
        self.step("restore_prepare")
        return ScriptedRestore(self, restricted=self.dialect.has_expiry_token and expiry_token is None)

    def step(self, call: str) -> CallFault | None:
        """Count a call, and break where the script says so."""
        number = self.calls
        self.calls += 1
        self.history.append(call)
        fault = self.fault(number, call.split(maxsplit=1)[0]) if self.fault else None
        if fault is CallFault.FAIL:
            raise ServerError(codes.COMMUNICATION_ERROR, call=call)
        if fault is CallFault.HANG:
            raise NoAnswerError(call, "nothing came in 5 seconds")
        if fault is CallFault.INTERRUPT:
            raise KeyboardInterrupt
        return fault


class ScriptedBackup(BackupContext):
    """A backup of it."""

    def __init__(self, server: ScriptedServer, backup_type: BackupType) -> None:
        self.backup_type = backup_type
        self.expiry_token = b"\x01expiry\x00" if server.dialect.has_expiry_token else None
        self._server = server
        self._given: list[NameList] = []
        self._logs: dict[str, bytes] | None = None
        self._names_given = False
        self._unread: set[bytes] = set()
        self._open: bytes | None = None
        self._content = b""
        self._offset = 0
        self._over = False

    def _listed(self, data: bytes | None, *, wide: bool, with_tokens: bool = True) -> NameList:
        """Return a list that is remembered, so that `end` can count those still held."""
        self._given.append(NameList.from_bytes(data, wide=wide, with_tokens=with_tokens))
        return self._given[-1]

    def database_locations(self) -> NameList:
        self._begin("database_locations")
        rows = [(token, wide(path)) for token, path in self._server.locations]
        return self._listed(namelist.build_names(rows, wide=True), wide=True)

    def dynamic_files(self) -> NameList:
        self._begin("dynamic_files")
        data = namelist.build_names([(None, wide(name)) for name in self._server.dynamic], wide=True)
        return self._listed(data, wide=True, with_tokens=False)

    def database_names(self) -> NameList:
        self._begin("database_names")
        if self.backup_type is not BackupType.FULL or self._logs is not None or self._open is not None:
            raise ServerError(codes.INVALID_BACKUP_SEQUENCE, call="database_names")
        if not self._names_given:
            self._unread |= {wide(name) for name in self._server.databases}
        self._names_given = True
        return self._give(self._server.databases, DATABASE)

    def backup_logs(self) -> NameList:
        self._begin("backup_logs")
        if self._open is not None:
            raise ServerError(codes.INVALID_BACKUP_SEQUENCE, call="backup_logs")
        if self._logs is None:
            self._logs = dict(self._server.logs)
            self._unread |= {wide(name) for name in self._logs}
        return self._give(self._logs, LOG)

    def _give(self, files: dict[str, bytes], token: int) -> NameList:
        rows = [(self._server.tokens.get(name, token), wide(name)) for name in files]
        return self._listed(namelist.build_names(rows, wide=True) if rows else None, wide=True)

    def open(self, raw_name: bytes) -> int:
        fault = self._begin(f"open {raw_name.decode('utf-16-le', 'replace')}")
        if self._open is not None:
            raise ServerError(codes.ALREADY_OPEN, call="open")
        name = raw_name.decode("utf-16-le", "replace")
        if self._logs is None and self._names_given and name in self._server.databases:
            self._content = self._server.databases[name]
        elif self._logs is not None and name in self._logs:
            self._content = self._logs[name]
        elif self._logs is not None and name in self._server.databases:
            raise ServerError(codes.INVALID_BACKUP_SEQUENCE, call="open")
        else:
            raise ServerError(codes.FILE_NOT_FOUND, call="open", detail=name)
        self._open, self._offset = raw_name, 0
        return len(self._content) + (fault is CallFault.WRONG_SIZE) - (fault is CallFault.TOO_SMALL)

    def read(self, buffer: memoryview) -> int:
        fault = self._begin("read")
        if self._open is None:
            raise ServerError(codes.INVALID_HANDLE, call="read")
        left = len(self._content) - self._offset
        count = min(left, len(buffer))
        if self._server.most is not None and self._server.dialect.end_of_file is not EndOfFile.SHORT_READ:
            count = min(count, self._server.most)
        if fault is CallFault.SHORT:
            count = min(count, 1)
        if not left or fault is CallFault.EARLY_END:
            self._unread.discard(self._open)
            if self._server.dialect.end_of_file is EndOfFile.HANDLE_EOF:
                raise ServerError(38, call="read")
            return 0
        buffer[:count] = self._content[self._offset : self._offset + count]
        self._offset += count
        if self._offset == len(self._content):
            self._unread.discard(self._open)
        return count

    def close(self) -> None:
        self._begin("close")
        if self._open is None:
            raise ServerError(codes.INVALID_HANDLE, call="close")
        if not self._content:
            self._unread.discard(self._open)
        self._open = None

    def truncate_logs(self) -> None:
        self._begin("truncate_logs")
        if self._logs is None or self._open is not None:
            raise ServerError(codes.INVALID_BACKUP_SEQUENCE, call="truncate_logs")
        if self._unread:
            raise ServerError(codes.LOG_FILE_NOT_COPIED, call="truncate_logs")
        self._server.truncated = True

    def end(self, outcome: Outcome) -> None:
        self._server.leaks += sum(not one.freed for one in self._given)
        self._begin(f"end {outcome}")
        self._over = True
        self._server.busy = False
        self._server.ended.append(outcome)

    def _begin(self, call: str) -> CallFault | None:
        fault = self._server.step(call)
        if self._over:
            raise ServerError(codes.INVALID_HANDLE, call=call)
        return fault


class ScriptedRestore(RestoreContext):
    """A restore to it."""

    def __init__(self, server: ScriptedServer, *, restricted: bool) -> None:
        self._server = server
        self._restricted = restricted
        self._full_done = False
        self._over = False

    def database_locations(self) -> NameList:
        self._begin("database_locations")
        rows = [(token, wide(path)) for token, path in self._server.locations]
        return NameList.from_bytes(namelist.build_names(rows, wide=True), wide=True)

    def register(self, registration: Registration) -> None:
        self._begin("register")
        if self._restricted:
            raise ServerError(codes.MISSING_EXPIRY_TOKEN, call="register")
        if self._server.registered is not None:
            raise ServerError(codes.RESTORE_IN_PROGRESS, call="register")
        if not self._full_done and registration.restore_map is None:
            raise ServerError(codes.NO_FULL_RESTORE, call="register")
        self._server.registered = registration

    def register_complete(self, status: int) -> None:
        self._begin(f"register_complete {status:#x}")
        if self._server.registered is None:
            raise ServerError(codes.INVALID_PARAM, call="register_complete")
        self._full_done |= status == 0
        self._server.registered = None
        self._server.completed.append(status)

    def end(self) -> None:
        self._begin("restore_end")
        self._over = True

    def _begin(self, call: str) -> None:
        self._server.step(call)
        if self._over:
            raise ServerError(codes.INVALID_HANDLE, call=call)
