"""The backup and restore privileges, which must be enabled in the token of the process, not only held.

Source: Win32 documentation, "Setting the Backup and Restore Privileges".
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from tokar.errors import SourceError
from tokar.live.prototypes import ADVAPI32, KERNEL32, OnePrivilege, load, wide

_ADJUST_AND_QUERY: Final = 0x28  # TOKEN_ADJUST_PRIVILEGES | TOKEN_QUERY
_ENABLED: Final = 2  # SE_PRIVILEGE_ENABLED
_NAMES: Final = ("SeBackupPrivilege", "SeRestorePrivilege")


def enable_privileges() -> None:
    """Enable them in this process; on Windows only.

    Raises:
        SourceError: The account does not hold one.
    """
    if sys.platform == "win32":
        functions = {**load("kernel32.dll", KERNEL32), **load("advapi32.dll", ADVAPI32)}
        enable_with(functions, ctypes.get_last_error)


def enable_with(functions: Mapping[str, Any], last_error: Callable[[], int]) -> None:
    """Enable them by the functions of the system.

    Args:
        functions: The functions by name.
        last_error: Returns the error of the last call. AdjustTokenPrivileges succeeds although it enabled nothing, and
            says so there alone (ERROR_NOT_ALL_ASSIGNED).

    Raises:
        SourceError: The account does not hold one.
    """
    token = ctypes.c_void_p()
    if not functions["OpenProcessToken"](functions["GetCurrentProcess"](), _ADJUST_AND_QUERY, ctypes.byref(token)):
        raise SourceError(f"the token of this process cannot be opened: Windows error {last_error()}")
    try:
        for name in _NAMES:
            row = OnePrivilege(1, (0, 0), _ENABLED)
            found = functions["LookupPrivilegeValueW"](None, wide(name), row.luid)
            if not found or not functions["AdjustTokenPrivileges"](token, 0, ctypes.byref(row), 0, None, None):
                raise _not_enabled(name, last_error())
            if error := last_error():
                raise _not_enabled(name, error)
    finally:
        functions["CloseHandle"](token)


def _not_enabled(name: str, error: int) -> SourceError:
    return SourceError(
        f"{name} cannot be enabled: Windows error {error}",
        hint="run it as a member of Backup Operators or Administrators, in an elevated prompt",
    )
