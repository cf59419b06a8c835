"""A server whose files lie on this machine, for engines that have a call for everything but reading.

Whoever derives from it says which files there are, and what begins and ends a backup; the order of the calls, the
lists, reading and the account of what was read to its end are here (see `tokar.server.contract`).
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from tokar import codes, names, tokens
from tokar.errors import storage_errors
from tokar.namelist import ListedName
from tokar.server.contract import (
    BackupContext,
    BackupType,
    NameList,
    Outcome,
    RestoreContext,
    Server,
    ServerError,
)

_NOT_IMPLEMENTED: Final = 0xC0000001


class FileServer(Server):
    """A server whose files can be opened here while it is at work."""

    _busy = False

    @abstractmethod
    def begin(self, backup_type: BackupType) -> None:
        """Tell the engine that a backup begins.

        Raises:
            ServerError: It is not possible now.
        """

    @abstractmethod
    def find_databases(self) -> Iterable[Path]:
        """Return the databases; asked for in a full only."""

    @abstractmethod
    def find_logs(self) -> Iterable[Path]:
        """Return the logs that a restore needs, as they stand when the databases have been read; asked for once."""

    @abstractmethod
    def locations(self) -> Mapping[int, Path]:
        """Return the folders by the token of what goes there: databases, `tokens.LOG_DIR`, `tokens.CHECKPOINT_DIR`."""

    @abstractmethod
    def remove(self, logs: Sequence[Path]) -> None:
        """Delete those of the logs of this backup that the engine no longer needs itself."""

    @abstractmethod
    def finish(self, outcome: Outcome) -> None:
        """Tell the engine that the backup is over."""

    def prepare_backup(self, backup_type: BackupType) -> BackupContext:
        """Begin a backup.

        Raises:
            ServerError: One is under way, or this type is not possible.
        """
        if self._busy:
            raise ServerError(codes.BACKUP_IN_PROGRESS, call="prepare_backup")
        if backup_type not in self.dialect.types:
            raise ServerError(codes.INVALID_PARAMETER, call="prepare_backup")
        self.begin(backup_type)
        self._busy = True
        return FileBackup(self, backup_type)

    def prepare_restore(self, expiry_token: bytes | None = None) -> RestoreContext:
        """Refuse: there is nothing to register with.

        Raises:
            ServerError: Always.
        """
        del expiry_token
        hint = "restore its files to folders (--to, --into), and let its engine recover them"
        raise ServerError(_NOT_IMPLEMENTED, call="prepare_restore", hint=hint)

    def release(self) -> None:
        """Note that its backup is over."""
        self._busy = False


class LocalBackup(BackupContext):
    """A backup of files on this machine: what is the same whoever finds them."""

    _over = False

    def dynamic_files(self) -> NameList:
        """Return nothing."""
        self._demand_live("dynamic_files")
        return NameList(())

    def _demand_live(self, call: str) -> None:
        if self._over:
            raise ServerError(codes.INVALID_HANDLE, call=call)


class FileBackup(LocalBackup):
    """A backup of such a server."""

    def __init__(self, server: FileServer, backup_type: BackupType) -> None:
        self.backup_type = backup_type
        self._server = server
        self._databases: dict[bytes, Path] = {}
        self._logs: dict[bytes, Path] | None = None
        self._unread: set[bytes] = set()
        self._file: BinaryIO | None = None
        self._name = b""
        self._left = 0

    def database_locations(self) -> NameList:
        """Return where everything lives."""
        self._demand_live("database_locations")
        return listed((token, os.fspath(path)) for token, path in self._server.locations().items())

    def database_names(self) -> NameList:
        """Return the databases."""
        self._demand_live("database_names")
        if self.backup_type is not BackupType.FULL or self._logs is not None or self._file is not None:
            raise ServerError(codes.INVALID_BACKUP_SEQUENCE, call="database_names")
        if not self._databases:
            self._databases = self._found(self._server.find_databases())
        return listed((tokens.DATABASE, os.fsdecode(name)) for name in self._databases)

    def backup_logs(self) -> NameList:
        """Return the logs."""
        self._demand_live("backup_logs")
        if self._file is not None:
            raise ServerError(codes.ALREADY_OPEN, call="backup_logs")
        if self._logs is None:
            self._logs = self._found(self._server.find_logs())
        return listed((tokens.LOG, os.fsdecode(name)) for name in self._logs)

    def open(self, raw_name: bytes) -> int:
        """Open a file; what is announced is what it has now.

        Raises:
            ServerError: It is not in the list that is being read, or a file is open.
            StorageError: It cannot be opened.
        """
        self._demand_live("open")
        if self._file is not None:
            raise ServerError(codes.ALREADY_OPEN, call="open")
        if self._logs is not None and raw_name in self._databases:
            raise ServerError(codes.INVALID_BACKUP_SEQUENCE, call="open")
        path = (self._databases if self._logs is None else self._logs).get(raw_name)
        if path is None:
            raise ServerError(codes.FILE_NOT_FOUND, call="open", detail=names.display(raw_name, names.UTF_8))
        with storage_errors("open", path):
            self._file = path.open("rb", buffering=0)
            self._left = os.fstat(self._file.fileno()).st_size
        self._name = raw_name
        self._mark()
        return self._left

    def read(self, buffer: memoryview) -> int:
        """Read on, no further than was announced.

        Raises:
            ServerError: No file is open.
            StorageError: The operating system refused.
        """
        self._demand_live("read")
        if self._file is None:
            raise ServerError(codes.INVALID_HANDLE, call="read")
        with storage_errors("read", self._file.name):
            data = self._file.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        self._mark()
        return len(data)

    def close(self) -> None:
        """Close the file.

        Raises:
            ServerError: None is open.
        """
        self._demand_live("close")
        if self._file is None:
            raise ServerError(codes.INVALID_HANDLE, call="close")
        self._file.close()
        self._file = None

    def truncate_logs(self) -> None:
        """Delete the logs of this backup that the engine no longer needs.

        Raises:
            ServerError: Not every listed file was read to its end.
        """
        self._demand_live("truncate_logs")
        if self._logs is None or self._file is not None:
            raise ServerError(codes.INVALID_BACKUP_SEQUENCE, call="truncate_logs")
        if self._unread:
            raise ServerError(codes.LOG_FILE_NOT_COPIED, call="truncate_logs")
        self._server.remove([*self._logs.values()])

    def end(self, outcome: Outcome) -> None:
        """End the backup."""
        self._demand_live("end")
        self._over = True
        if self._file is not None:
            self._file.close()
            self._file = None
        self._server.release()
        self._server.finish(outcome)

    def _found(self, paths: Iterable[Path]) -> dict[bytes, Path]:
        found = {_raw(path): path for path in paths}
        self._unread |= set(found)
        return found

    def _mark(self) -> None:
        if not self._left:
            self._unread.discard(self._name)


def _raw(path: Path) -> bytes:
    return os.fsencode(path)


def listed(rows: Iterable[tuple[int, str]]) -> NameList:
    """Return a list of tokens and names."""
    return NameList(tuple(ListedName(token, *names.encode(name), 0) for token, name in rows))
