"""Every function of native libraries that is called, as one table: what it returns, and what it takes.

Types have a fixed width whatever the system: a LONG of Windows has 4 bytes on every Windows and 8 elsewhere, a WCHAR 2
and 4. So no `c_long`, no `c_wchar`, and nothing of `ctypes.wintypes` stands here. Beside each type stands what the
public headers call it: the tests write the table out as assertions in C, and a compiler for Windows holds them against
those headers.

Sources: certbcli.h, ntdsbcli.h, windows.h (mingw-w64, public domain); Win32 documentation, "Using the Certificate
Services Backup and Restore Functions" and "Directory Backup Functions".
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tokar.errors import SourceError


@dataclass(frozen=True, slots=True)
class CType:
    """A type of a parameter or of a result."""

    passed: Any  # What ctypes passes
    header: str  # What the headers call it


class MapRow(ctypes.Structure):
    """A row of the restore map: CSEDB_RSTMAPW, EDB_RSTMAPW."""

    _fields_ = (("old", ctypes.c_void_p), ("new", ctypes.c_void_p))


class OnePrivilege(ctypes.Structure):
    """TOKEN_PRIVILEGES with one row."""

    _fields_ = (("count", ctypes.c_uint32), ("luid", ctypes.c_uint32 * 2), ("attributes", ctypes.c_uint32))


_VOID: Final = CType(None, "void")
_RESULT: Final = CType(ctypes.c_int32, "HRESULT")
_BOOL: Final = CType(ctypes.c_int32, "WINBOOL")
_BOOL_OUT: Final = CType(ctypes.POINTER(ctypes.c_int32), "WINBOOL *")
_LONG: Final = CType(ctypes.c_int32, "LONG")
_DWORD: Final = CType(ctypes.c_uint32, "DWORD")
_DWORD_OUT: Final = CType(ctypes.POINTER(ctypes.c_uint32), "DWORD *")
_SIZE_OUT: Final = CType(ctypes.POINTER(ctypes.c_int64), "LARGE_INTEGER *")
_HANDLE: Final = CType(ctypes.c_void_p, "void *")
_HANDLE_OUT: Final = CType(ctypes.POINTER(ctypes.c_void_p), "void **")
_TEXT: Final = CType(ctypes.POINTER(ctypes.c_uint16), "WCHAR const *")
_LIST_OUT: Final = CType(ctypes.POINTER(ctypes.c_void_p), "WCHAR **")
_CS_MAP: Final = CType(ctypes.POINTER(MapRow), "CSEDB_RSTMAPW *")
_DS_MAP: Final = CType(ctypes.POINTER(MapRow), "EDB_RSTMAPW *")
_LUID_OUT: Final = CType(ctypes.POINTER(ctypes.c_uint32), "LUID *")
_PRIVILEGES: Final = CType(ctypes.POINTER(OnePrivilege), "TOKEN_PRIVILEGES *")

SAME_SIZE: Final = (
    *(_RESULT, _BOOL, _LONG, _DWORD, _HANDLE, CType(ctypes.c_uint16, "WCHAR"), CType(ctypes.c_int64, "LARGE_INTEGER")),
    *(CType(MapRow, "CSEDB_RSTMAPW"), CType(MapRow, "EDB_RSTMAPW"), CType(OnePrivilege, "TOKEN_PRIVILEGES")),
)
"""Types of one size on both sides."""

# A function: its result, then its parameters. Names have a W where the header has one.
Table = Mapping[str, tuple[CType, ...]]
CERTADM: Final[Table] = {
    "CertSrvIsServerOnlineW": (_RESULT, _TEXT, _BOOL_OUT),
    "CertSrvBackupPrepareW": (_RESULT, _TEXT, _DWORD, _DWORD, _HANDLE_OUT),
    "CertSrvBackupGetDatabaseNamesW": (_RESULT, _HANDLE, _LIST_OUT, _DWORD_OUT),
    "CertSrvBackupGetBackupLogsW": (_RESULT, _HANDLE, _LIST_OUT, _DWORD_OUT),
    "CertSrvBackupGetDynamicFileListW": (_RESULT, _HANDLE, _LIST_OUT, _DWORD_OUT),
    "CertSrvBackupOpenFileW": (_RESULT, _HANDLE, _TEXT, _DWORD, _SIZE_OUT),
    "CertSrvBackupRead": (_RESULT, _HANDLE, _HANDLE, _DWORD, _DWORD_OUT),
    "CertSrvBackupClose": (_RESULT, _HANDLE),
    "CertSrvBackupTruncateLogs": (_RESULT, _HANDLE),
    "CertSrvBackupEnd": (_RESULT, _HANDLE),
    "CertSrvBackupFree": (_VOID, _HANDLE),
    "CertSrvRestorePrepareW": (_RESULT, _TEXT, _DWORD, _HANDLE_OUT),
    "CertSrvRestoreGetDatabaseLocationsW": (_RESULT, _HANDLE, _LIST_OUT, _DWORD_OUT),
    "CertSrvRestoreRegisterW": (_RESULT, _HANDLE, _TEXT, _TEXT, _CS_MAP, _LONG, _TEXT, _DWORD, _DWORD),
    "CertSrvRestoreRegisterComplete": (_RESULT, _HANDLE, _RESULT),
    "CertSrvRestoreEnd": (_RESULT, _HANDLE),
}
NTDSBCLI: Final[Table] = {
    "DsIsNTDSOnlineW": (_RESULT, _TEXT, _BOOL_OUT),
    "DsBackupPrepareW": (_RESULT, _TEXT, _DWORD, _DWORD, _HANDLE_OUT, _DWORD_OUT, _HANDLE_OUT),
    "DsBackupGetDatabaseNamesW": (_RESULT, _HANDLE, _LIST_OUT, _DWORD_OUT),
    "DsBackupGetBackupLogsW": (_RESULT, _HANDLE, _LIST_OUT, _DWORD_OUT),
    "DsBackupOpenFileW": (_RESULT, _HANDLE, _TEXT, _DWORD, _SIZE_OUT),
    "DsBackupRead": (_RESULT, _HANDLE, _HANDLE, _DWORD, _DWORD_OUT),
    "DsBackupClose": (_RESULT, _HANDLE),
    "DsBackupTruncateLogs": (_RESULT, _HANDLE),
    "DsBackupEnd": (_RESULT, _HANDLE),
    "DsBackupFree": (_VOID, _HANDLE),
    "DsRestorePrepareW": (_RESULT, _TEXT, _DWORD, _HANDLE, _DWORD, _HANDLE_OUT),
    "DsRestoreGetDatabaseLocationsW": (_RESULT, _HANDLE, _LIST_OUT, _DWORD_OUT),
    "DsRestoreRegisterW": (_RESULT, _HANDLE, _TEXT, _TEXT, _DS_MAP, _LONG, _TEXT, _DWORD, _DWORD),
    "DsRestoreRegisterComplete": (_RESULT, _HANDLE, _RESULT),
    "DsRestoreEnd": (_RESULT, _HANDLE),
}
KERNEL32: Final[Table] = {"GetCurrentProcess": (_HANDLE,), "CloseHandle": (_BOOL, _HANDLE)}
OLE32: Final[Table] = {"CoInitializeEx": (_RESULT, _HANDLE, _DWORD)}
ADVAPI32: Final[Table] = {
    "OpenProcessToken": (_BOOL, _HANDLE, _DWORD, _HANDLE_OUT),
    "LookupPrivilegeValueW": (_BOOL, _TEXT, _TEXT, _LUID_OUT),
    "AdjustTokenPrivileges": (_BOOL, _HANDLE, _BOOL, _PRIVILEGES, _DWORD, _PRIVILEGES, _DWORD_OUT),
}


def load(path: str, table: Table) -> dict[str, Any]:
    """Load a library and return its functions by name, each with its prototype.

    Raises:
        SourceError: The library is not there, or lacks a function.
    """
    try:
        if sys.platform == "win32":
            library: Any = ctypes.WinDLL(path, use_last_error=True)
        else:
            library = ctypes.CDLL(path)
    except OSError as error:
        raise SourceError(
            f"{path} cannot be loaded: {error}", hint="is the role, or its management tools, installed?"
        ) from error
    functions = {}
    for name, (result, *parameters) in table.items():
        function = getattr(library, name, None)
        if function is None:
            raise SourceError(f"{path} has no function {name}", hint="it is of another version of Windows")
        function.restype, function.argtypes = result.passed, [one.passed for one in parameters]
        functions[name] = function
    return functions


def wide(text: str | bytes) -> ctypes.Array[ctypes.c_uint16]:
    """Return text, or a name of 16-bit units, as a call takes it: with its end.

    Raises:
        ValueError: It cannot be passed: half a unit, or an end within.
    """
    raw = text if isinstance(text, bytes) else text.encode("utf-16-le", "surrogatepass")
    if len(raw) % 2 or any(raw[at : at + 2] == b"\0\0" for at in range(0, len(raw), 2)):
        raise ValueError("it has an end within, or half a character")
    return (ctypes.c_uint16 * (len(raw) // 2 + 1)).from_buffer_copy(raw + b"\0\0")
