"""The native client libraries behind the contract: `certadm:[HOST]` and `ntdsbcli:[HOST]`, on Windows only.

Both libraries have the same calls under other names; what differs is in the two classes at the end. Nothing that a
library says is believed beyond its bounds: a list has a limit and must end, a read returns no more than was asked for,
and a code that is not 0 is a failure, also a positive one (0x57 was seen bare, Q159170). A list is copied at once and
given back when the client frees it. What crashes or hangs takes its own process down (see `tokar.server.deadline`).

Not seen on Windows yet: the prototypes are held against the public headers, the calls against a double in C.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from tokar import codes
from tokar.errors import LocationListError, SourceError
from tokar.live.privileges import enable_privileges
from tokar.live.prototypes import CERTADM, NTDSBCLI, OLE32, MapRow, load, wide
from tokar.namelist import parse_names
from tokar.server.contract import (
    DIALECTS,
    BackupContext,
    BackupType,
    NameList,
    Outcome,
    Registration,
    RestoreContext,
    Server,
    ServerError,
    SourceKind,
)

_LONGEST_LIST: Final = 16 << 20  # bytes; a hundred thousand names
_LONGEST_TOKEN: Final = 1 << 20
_TYPES: Final = {BackupType.FULL: 1, BackupType.LOGS_ONLY: 2}  # BACKUP_TYPE_FULL, ..._LOGS_ONLY


class NativeLibrary:
    """The calls of a library: a failure is an error with its code, and what comes back is bounded.

    Args:
        functions: Its functions by name, as `load` returns them.
        prefix: What their names begin with.
    """

    def __init__(self, functions: Mapping[str, Any], prefix: str) -> None:
        self._functions = functions
        self._prefix = prefix

    def call(self, operation: str, *arguments: object, code_of: str = "") -> None:
        """Make a call.

        Args:
            operation: Its name in the library, without prefix and W.
            arguments: What it takes.
            code_of: What the contract calls it, for the error.

        Raises:
            ServerError: It failed.
        """
        if result := self._find(operation)(*arguments):
            raise ServerError(result, call=code_of or operation)

    def free(self, pointer: ctypes.c_void_p) -> None:
        """Give memory of the library back."""
        if pointer.value:
            self._find("BackupFree")(pointer)

    def list_of(self, operation: str, handle: ctypes.c_void_p, *, code_of: str, with_tokens: bool = True) -> NameList:
        """Make a call that gives a list.

        Raises:
            ServerError: It failed.
            SourceError: What came is no list, or longer than any.
        """
        pointer, size = ctypes.c_void_p(), ctypes.c_uint32()
        self.call(operation, handle, ctypes.byref(pointer), ctypes.byref(size), code_of=code_of)
        try:
            data = copied(pointer, size.value, _LONGEST_LIST, code_of)
            entries = parse_names(data, wide=True, with_tokens=with_tokens)
        except LocationListError as error:
            self.free(pointer)
            raise SourceError(f"{code_of} gave a list that cannot be read: {error}") from error
        except BaseException:
            self.free(pointer)
            raise
        return NameList(entries, data=data, on_free=partial(self.free, pointer))

    def _find(self, operation: str) -> Any:
        name = self._prefix + operation
        return self._functions[name if name in self._functions else f"{name}W"]


def copied(pointer: ctypes.c_void_p, size: int, most: int, call: str) -> bytes | None:
    """Return a copy of memory that a library gave; None for a null pointer.

    Raises:
        SourceError: There is more of it than there can be, or there is no memory and yet a size.
    """
    if size > most:
        raise SourceError(f"{call} gave {size} bytes, and at most {most} can be right")
    if not pointer.value and size:
        raise SourceError(f"{call} gave no memory, and says that it has {size} bytes")
    return ctypes.string_at(pointer, size) if pointer.value else None


class NativeServer(Server):
    """A server behind its native library.

    Args:
        functions: The functions of the library.
        host: The server's name; empty for this machine.
        truncates: Whether its logs may be truncated.
    """

    may_hang = True
    seen_against = "the public headers, and a double in C"
    truncation_off = ("this source is experimental: it has not been seen on Windows", "--truncate, or --type copy")
    prefix = ""  # What the names of its functions begin with
    online_call = "IsServerOnline"  # The call that tells whether the service runs
    read_hint = 0  # What Open is told about the size of reads
    smallest_read = 1  # A read asks for a multiple of 8192 bytes, and at least this, where it is more than 1

    def __init__(self, functions: Mapping[str, Any], host: str = "", *, truncates: bool = False) -> None:
        self.truncates = truncates
        self.name = host or platform.node()
        self.library = NativeLibrary(functions, self.prefix)

    def is_online(self) -> bool | None:
        """Ask whether the service runs."""
        answer = ctypes.c_int32()
        self.library.call(self.online_call, wide(self.name), ctypes.byref(answer), code_of="is_online")
        return bool(answer.value)

    def prepare_backup(self, backup_type: BackupType) -> BackupContext:
        """Begin a backup.

        Raises:
            ServerError: It is not possible now.
            SourceError: The library gave no context, or no usable token.
        """
        handle = ctypes.c_void_p()
        token = self.begin_backup(_TYPES[backup_type], handle)
        return NativeBackup(self, _demand_handle(handle, "prepare_backup"), backup_type, token)

    def prepare_restore(self, expiry_token: bytes | None = None) -> RestoreContext:
        """Begin a restore.

        Raises:
            ServerError: It is not possible now.
            SourceError: The library gave no context.
        """
        handle = ctypes.c_void_p()
        self.begin_restore(expiry_token, handle)
        return NativeRestore(self, _demand_handle(handle, "prepare_restore"))

    def begin_backup(self, kind: int, handle: ctypes.c_void_p) -> bytes | None:
        """Call Prepare for a backup; return the expiry token, where there is one."""
        raise NotImplementedError

    def begin_restore(self, expiry_token: bytes | None, handle: ctypes.c_void_p) -> None:
        """Call Prepare for a restore."""
        raise NotImplementedError


def _demand_handle(handle: ctypes.c_void_p, call: str) -> ctypes.c_void_p:
    if not handle.value:
        raise SourceError(f"{call} succeeded, and gave no context")
    return handle


class _Context:
    """What backup and restore share: a handle that is good until End."""

    def __init__(self, server: NativeServer, handle: ctypes.c_void_p) -> None:
        self._server = server
        self._library = server.library
        self._handle = handle
        self._over = False

    def database_locations(self) -> NameList:
        return self._list("RestoreGetDatabaseLocations", "database_locations")

    def _list(self, operation: str, code_of: str, *, with_tokens: bool = True) -> NameList:
        self._demand_live(code_of)
        return self._library.list_of(operation, self._handle, code_of=code_of, with_tokens=with_tokens)

    def _call(self, operation: str, code_of: str, *arguments: object) -> None:
        self._demand_live(code_of)
        self._library.call(operation, self._handle, *arguments, code_of=code_of)

    def _finish(self, operation: str) -> None:
        """Call End. Whatever it answers, the handle is not used again."""
        self._demand_live("end")
        self._over = True
        self._library.call(operation, self._handle, code_of="end")

    def _demand_live(self, call: str) -> None:
        if self._over:  # the library would follow a pointer to nowhere
            raise ServerError(codes.INVALID_HANDLE, call=call)


class NativeBackup(_Context, BackupContext):
    """A backup by a native library."""

    def __init__(
        self, server: NativeServer, handle: ctypes.c_void_p, backup_type: BackupType, expiry_token: bytes | None
    ) -> None:
        super().__init__(server, handle)
        self.backup_type = backup_type
        self.expiry_token = expiry_token
        self._left = 0  # Bytes of the open file that are still to come, as announced
        self._ahead = b""  # What was read beyond what was asked for, where the library takes no small reads

    def database_names(self) -> NameList:
        """Return the databases."""
        return self._list("BackupGetDatabaseNames", "database_names")

    def backup_logs(self) -> NameList:
        """Return logs and patch files."""
        return self._list("BackupGetBackupLogs", "backup_logs")

    def dynamic_files(self) -> NameList:
        """Return the dynamic files, where the library has a call for them."""
        if self._server.dialect.has_dynamic_files:
            return self._list("BackupGetDynamicFileList", "dynamic_files", with_tokens=False)
        self._demand_live("dynamic_files")
        return NameList(())

    def open(self, raw_name: bytes) -> int:
        """Open a file.

        Raises:
            ServerError: The library refused, or the name is none.
            SourceError: It announces less than nothing.
        """
        size = ctypes.c_int64()
        self._call("BackupOpenFile", "open", _text(raw_name, "open"), self._server.read_hint, ctypes.byref(size))
        if size.value < 0:
            self._call("BackupClose", "close")
            raise SourceError(f"open announced {size.value} bytes")
        self._left, self._ahead = size.value, b""
        return size.value

    def read(self, buffer: memoryview) -> int:
        """Read on.

        Raises:
            ServerError: The library refused.
            SourceError: It read more than was asked for, or more than was announced.
        """
        smallest = self._server.smallest_read
        if smallest == 1 or (not self._ahead and len(buffer) >= smallest and len(buffer) % 8192 == 0):
            return self._read(buffer)
        if not self._ahead:
            larger = bytearray(self._server.dialect.read_size)
            self._ahead = bytes(larger[: self._read(memoryview(larger))])
        part, self._ahead = self._ahead[: len(buffer)], self._ahead[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)

    def _read(self, buffer: memoryview) -> int:
        most = min(len(buffer), self._left)
        target = (ctypes.c_char * len(buffer)).from_buffer(buffer)
        count = ctypes.c_uint32()
        try:
            self._call("BackupRead", "read", target, len(buffer), ctypes.byref(count))
        finally:
            del target  # an error that is kept must not keep the buffer from being resized
        if count.value > most:
            raise SourceError(f"read gave {count.value} bytes where {most} were left")
        self._left -= count.value
        return count.value

    def close(self) -> None:
        """Close the file."""
        self._ahead = b""
        self._call("BackupClose", "close")

    def truncate_logs(self) -> None:
        """Delete the logs that this backup covers."""
        self._call("BackupTruncateLogs", "truncate_logs")

    def end(self, outcome: Outcome) -> None:  # noqa: ARG002 - neither library can be told
        """End the backup."""
        self._finish("BackupEnd")


class NativeRestore(_Context, RestoreContext):
    """A restore by a native library."""

    def register(self, registration: Registration) -> None:
        """Leave instructions for the engine's next start.

        Raises:
            ServerError: The library refused, or a path cannot be passed.
        """
        pairs = [tuple(_text(one, "register") for one in pair) for pair in registration.restore_map or ()]
        rows = (MapRow * len(pairs))(*(MapRow(*map(ctypes.addressof, pair)) for pair in pairs))
        paths = (registration.checkpoint_path, registration.log_path, registration.backup_log_path)
        checkpoint, logs, backup_logs = (None if one is None else _text(one, "register") for one in paths)
        low, high = registration.generation_low, registration.generation_high
        if not 0 <= low <= high <= 0xFFFFFFFF:
            raise ServerError(codes.INVALID_PARAM, call="register", detail=f"generations {low} to {high}")
        given = (checkpoint, logs, rows if pairs else None, len(pairs), backup_logs, low, high)
        self._call("RestoreRegister", "register", *given)

    def register_complete(self, status: int) -> None:
        """Say how placing the files went."""
        self._call("RestoreRegisterComplete", "register_complete", status)

    def end(self) -> None:
        """End the restore."""
        self._finish("RestoreEnd")


def _text(text: str | bytes, call: str) -> ctypes.Array[ctypes.c_uint16]:
    try:
        return wide(text)
    except ValueError as error:
        raise ServerError(codes.INVALID_PARAM, call=call, detail=str(error)) from error


class AuthorityServer(NativeServer):
    """A certification authority behind certadm.dll."""

    dialect = DIALECTS["certadm"]
    prefix = "CertSrv"
    recovery_steps = ("start the service, which recovers what was registered: net start certsvc",)

    def begin_backup(self, kind: int, handle: ctypes.c_void_p) -> bytes | None:
        """Call Prepare; the kind goes into the flags, and grbit stays 0."""
        self.library.call("BackupPrepare", wide(self.name), 0, kind, ctypes.byref(handle), code_of="prepare_backup")
        return None

    def begin_restore(self, expiry_token: bytes | None, handle: ctypes.c_void_p) -> None:
        """Call Prepare for CSRESTORE_TYPE_FULL."""
        del expiry_token
        self.library.call("RestorePrepare", wide(self.name), 1, ctypes.byref(handle), code_of="prepare_restore")


class DirectoryServiceServer(NativeServer):
    """A domain controller behind ntdsbcli.dll, which takes the local one only."""

    dialect = DIALECTS["ntdsbcli"]
    prefix = "Ds"
    online_call = "IsNTDSOnline"
    read_hint = 65536
    smallest_read = 24576  # DsBackupRead: a multiple of 8192, and at least this
    recovery_steps = ("restart the machine in its normal mode: the directory recovers what was registered",)

    def begin_backup(self, kind: int, handle: ctypes.c_void_p) -> bytes | None:
        """Call Prepare, which gives the expiry token too."""
        pointer, size = ctypes.c_void_p(), ctypes.c_uint32()
        given = (ctypes.byref(pointer), ctypes.byref(size), ctypes.byref(handle))
        self.library.call("BackupPrepare", wide(self.name), 0, kind, *given, code_of="prepare_backup")
        try:
            return copied(pointer, size.value, _LONGEST_TOKEN, "prepare_backup")
        except SourceError:
            with suppress(ServerError):
                self.library.call("BackupEnd", handle)
            raise
        finally:
            self.library.free(pointer)

    def begin_restore(self, expiry_token: bytes | None, handle: ctypes.c_void_p) -> None:
        """Call Prepare for RESTORE_TYPE_CATCHUP."""
        token = None if expiry_token is None else ctypes.create_string_buffer(expiry_token, len(expiry_token))
        given = (wide(self.name), 4, token, len(expiry_token or b""), ctypes.byref(handle))
        self.library.call("RestorePrepare", *given, code_of="prepare_restore")


def _hindrance() -> str | None:
    return None if sys.platform == "win32" else "it needs Windows"


def open_authority(place: str, *, restoring: bool = False, truncate: bool = False) -> AuthorityServer:
    """Return the authority that `certadm:[HOST]` names.

    Raises:
        SourceError: The library is not there, or the privileges are not.
    """
    del restoring
    enable_privileges()
    if sys.platform == "win32":  # the library goes by DCOM to the service; who initialised it before is no matter
        load("ole32.dll", OLE32)["CoInitializeEx"](None, 0)
    return AuthorityServer(load("certadm.dll", CERTADM), place, truncates=truncate)


def open_directory_service(place: str, *, restoring: bool = False, truncate: bool = False) -> DirectoryServiceServer:
    """Return the domain controller that `ntdsbcli:[HOST]` names.

    Raises:
        SourceError: The library is not there, or the privileges are not.
    """
    del restoring
    enable_privileges()
    return DirectoryServiceServer(load("ntdsbcli.dll", NTDSBCLI), place, truncates=truncate)


AUTHORITY: Final = SourceKind(
    place="[HOST]",
    title="a certification authority, by certadm.dll (experimental)",
    needs="Windows, with the AD CS role or its tools; the backup and restore privileges",
    open=open_authority,
    hindrance=_hindrance,
    takes=frozenset({"truncate"}),
)
DIRECTORY_SERVICE: Final = SourceKind(
    place="[HOST]",
    title="Active Directory on this machine, by ntdsbcli.dll (experimental)",
    needs="Windows, with ntdsbcli.dll, which newer ones may lack; the backup and restore privileges",
    open=open_directory_service,
    hindrance=_hindrance,
    takes=frozenset({"truncate"}),
)
