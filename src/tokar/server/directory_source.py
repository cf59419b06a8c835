"""A quiescent set on disk (cleanly shut down, or a snapshot) behind the contract: `dir:DIR`.

Nothing else knows whether the set is at rest, so the files are watched: one that changes between the first and the last
look is refused. Only full backups without truncation, which is to say copies; nothing is ever deleted or written here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from blake3 import blake3

from tokar import codes, names, tokens
from tokar.collect import certutil
from tokar.collect.found import Candidate, FileState, digest_of, hides_changes, settle
from tokar.collect.gather import Gatherer
from tokar.errors import InputError, SourceChangedError, storage_errors
from tokar.server.contract import (
    DIALECTS,
    BackupContext,
    BackupType,
    NameList,
    Outcome,
    RestoreContext,
    Server,
    ServerError,
    SourceKind,
)
from tokar.server.file_server import LocalBackup, listed

# O_NONBLOCK so that a pipe that took the place of a file does not keep us waiting.
_OPEN_FLAGS: Final = sum(getattr(os, name, 0) for name in ("O_RDONLY", "O_BINARY", "O_CLOEXEC", "O_NONBLOCK"))
_DATABASES: Final = {"database", "streaming-file"}


def open_source(place: str, *, restoring: bool = False) -> DirectoryServer:
    """Return the server that `dir:DIR` names.

    Raises:
        InputError: There is no such directory, or it is to be restored to.
    """
    if restoring:
        raise InputError(
            f"not a server to restore to: dir:{place}", hint="a directory is restored to without a server: --into DIR"
        )
    if not place or not os.path.isdir(place):  # noqa: PTH112 - no name is too long for it
        raise InputError("there is no such directory", path=place or None, hint="name the folder of a set: dir:FOLDER")
    return DirectoryServer(place)


class DirectoryServer(Server):
    """A directory with a set at rest.

    Args:
        folder: The directory; its subfolders are searched too.
        profile: The token profile; `ese` unless the files are known to be of one service.
    """

    truncates = False

    def __init__(self, folder: Path | str, *, profile: str = "ese") -> None:
        self.folder = Path(folder)
        self.dialect = replace(
            DIALECTS["ese"],
            profile=profile,
            title="a directory at rest",
            types=frozenset({BackupType.FULL}),
            source="this project",
        )
        self._busy = False

    def prepare_backup(self, backup_type: BackupType) -> BackupContext:
        """Look through the directory.

        Raises:
            ServerError: Another backup of it is running, or the type is not full.
            StorageError: It cannot be read.
            InputError: It holds the logs of two streams, or several folders that certutil wrote.
        """
        if self._busy:
            raise ServerError(codes.BACKUP_IN_PROGRESS, call="prepare_backup")
        if backup_type is not BackupType.FULL:
            raise ServerError(codes.INVALID_PARAMETER, call="prepare_backup", detail="a directory has full copies only")
        gatherer = Gatherer(self.dialect.profile)
        folder = os.fspath(self.folder)
        gatherer.add_folder(folder)
        found = gatherer.result()
        inside = certutil.folders_inside([folder], (one.name for one in found.left_out))
        if len(inside) > 1:
            command = "tokar backup {folder} OUT{number} --type copy"
            raise certutil.several_error(folder, [f"dir:{one}" for one in inside], "make a backup of each", command)
        self._busy = True
        return _DirectoryBackup(self, found.candidates)

    def prepare_restore(self, expiry_token: bytes | None = None) -> RestoreContext:  # noqa: ARG002 - the contract's
        """Refuse: restoring into a directory takes no server."""
        raise ServerError(
            codes.INVALID_PARAM, call="prepare_restore", detail="a directory is restored to without a server"
        )

    def release(self) -> None:
        """Note that the backup is over."""
        self._busy = False


def _folder_of(candidate: Candidate) -> str:
    return os.path.dirname(os.path.abspath(candidate.path))  # noqa: PTH100, PTH120 - paths are text here


class _DirectoryBackup(LocalBackup):
    """One look through a directory; the lists are fixed when it begins."""

    backup_type = BackupType.FULL

    def __init__(self, server: DirectoryServer, candidates: Sequence[Candidate]) -> None:
        self._server = server
        self._candidates = candidates
        numbered = [(names.encode(one.name)[0], at, one.kind in _DATABASES) for at, one in enumerate(candidates)]
        self._databases = {name: at for name, at, is_database in numbered if is_database}
        self._others = {name: at for name, at, is_database in numbered if not is_database}
        self._logs_listed = False
        self._names_listed = False
        self._open: Candidate | None = None
        self._descriptor = -1
        self._digest: blake3 | None = None  # Of what was read, where a file hides changes
        self._read = 0  # How much that is

    def database_locations(self) -> NameList:
        """Return the folders that the files lie in, where all files of a token lie in one."""
        self._demand_live("database_locations")
        folders: dict[int, set[str]] = {}
        for one in self._of(self._databases):
            folders.setdefault(one.token, set()).add(_folder_of(one))
        for one in self._of(self._others):
            if one.kind == "log":
                folders.setdefault(tokens.LOG_DIR, set()).add(_folder_of(one))
        return listed((token, next(iter(found))) for token, found in folders.items() if len(found) == 1)

    def database_names(self) -> NameList:
        """Return the databases."""
        self._demand_live("database_names")
        if self._logs_listed or self._open is not None:
            raise ServerError(codes.INVALID_BACKUP_SEQUENCE, call="database_names")
        self._names_listed = True
        return self._give(self._databases)

    def backup_logs(self) -> NameList:
        """Return logs and patch files.

        Raises:
            SourceChangedError: A database changed since it was found.
        """
        self._demand_live("backup_logs")
        if self._open is not None:
            raise ServerError(codes.INVALID_BACKUP_SEQUENCE, call="backup_logs")
        self._demand_unchanged(self._databases)
        self._logs_listed = True
        return self._give(self._others)

    def open(self, raw_name: bytes) -> int:
        """Open a file that was found.

        Raises:
            ServerError: It is not in a list, or a file is open.
            SourceChangedError: It is not what was found.
            StorageError: It cannot be opened.
        """
        self._demand_live("open")
        if self._open is not None:
            raise ServerError(codes.ALREADY_OPEN, call="open")
        if self._logs_listed and raw_name in self._databases:
            raise ServerError(codes.INVALID_BACKUP_SEQUENCE, call="open")
        listed = self._others if self._logs_listed else self._databases if self._names_listed else {}
        if raw_name not in listed:
            raise ServerError(codes.FILE_NOT_FOUND, call="open", detail=names.display(raw_name, names.UTF_8))
        found = self._candidates[listed[raw_name]]
        with storage_errors("open", found.path):
            self._descriptor = os.open(found.path, _OPEN_FLAGS)
        self._open = found
        self._demand_state(found, os.fstat(self._descriptor))
        settle(self._descriptor, found.state)
        self._digest = blake3() if hides_changes(found.state.device, found.path) else None
        self._read = 0
        return found.state.size

    def read(self, buffer: memoryview) -> int:
        """Read on.

        Raises:
            ServerError: No file is open.
            StorageError: The operating system refused.
        """
        self._demand_live("read")
        if self._open is None:
            raise ServerError(codes.INVALID_HANDLE, call="read")
        with storage_errors("read", self._open.path):
            data = os.read(self._descriptor, len(buffer))
        buffer[: len(data)] = data
        if self._digest is not None:
            self._digest.update(data)
            self._read += len(data)
        return len(data)

    def close(self) -> None:
        """Close the file.

        Raises:
            ServerError: None is open.
            SourceChangedError: It changed while it was read, or another one did that was read before.
        """
        self._demand_live("close")
        if self._open is None:
            raise ServerError(codes.INVALID_HANDLE, call="close")
        found, self._open = self._open, None
        with storage_errors("read", found.path):
            try:
                status = os.fstat(self._descriptor)
                digest = self._digest if self._read == found.state.size else None  # else it was given up
                is_same = digest is None or digest_of(self._descriptor, blake3()) == digest.digest()
            finally:
                os.close(self._descriptor)
        self._demand_state(found, status, is_same=is_same)
        last = next(reversed(self._others.values()), None)
        if last is not None and found == self._candidates[last]:  # the last look at the whole set
            self._demand_unchanged(self._databases)
            self._demand_unchanged(self._others)

    def truncate_logs(self) -> None:
        """Refuse: nothing is deleted from a directory."""
        raise ServerError(codes.INVALID_PARAM, call="truncate_logs", detail="nothing is deleted from a directory")

    def end(self, outcome: Outcome) -> None:  # noqa: ARG002 - a directory does not care
        """Let go of the directory."""
        self._demand_live("end")
        self._over = True
        if self._open is not None:
            os.close(self._descriptor)
            self._open = None
        self._server.release()

    def _of(self, files: dict[bytes, int]) -> Iterator[Candidate]:
        return map(self._candidates.__getitem__, files.values())

    def _give(self, files: dict[bytes, int]) -> NameList:
        return listed((one.token, one.name) for one in self._of(files))

    def _demand_unchanged(self, files: dict[bytes, int]) -> None:
        for one in self._of(files):
            try:
                status = os.stat(one.path, follow_symlinks=True)  # noqa: PTH116 - a path is text here
            except OSError as error:
                raise SourceChangedError(f"it was there, and now: {error.strerror}", path=one.path) from error
            self._demand_state(one, status)

    def _demand_state(self, found: Candidate, status: os.stat_result, *, is_same: bool = True) -> None:
        if not is_same or FileState.of(status) != found.state:
            raise SourceChangedError("it changed while the set was being read", path=found.path)


SOURCE: Final = SourceKind(place="DIR", title="a set on disk that nobody writes to; only copies", open=open_source)
