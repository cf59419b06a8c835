r"""What Windows keeps in calls of its own: rights, owners, locks, holes, reads at a place, long paths.

Everywhere else nothing is done. `system` is what makes the calls; tests put a stand-in in its place.

Sources: Win32 documentation of SetFileSecurity, Security Descriptor Definition Language, FSCTL_SET_SPARSE, ReadFile
("Synchronization and File Position"), Maximum Path Length Limitation.
"""

from __future__ import annotations

import ntpath
import os
import sys
from contextlib import suppress
from typing import Final, Protocol

PRIVATE: Final = "D:P(A;OICI;FA;;;{user})(A;OICI;FA;;;SY)"
"""This user and SYSTEM may do everything, nobody else anything, and nothing is inherited from the folder."""
_NO_LISTS: Final = {1, 50}  # ERROR_INVALID_FUNCTION, ERROR_NOT_SUPPORTED: FAT has no access lists
_LONGEST: Final = 240  # characters of a path that every call takes, with room for the names of temporary files


class SystemCalls(Protocol):
    """The calls; each raises OSError where the system refuses."""

    def user(self) -> str:
        """Return the SID of this user as text."""

    def set_access(self, path: str, descriptor: str) -> None:
        """Set the access list of a file or directory."""

    def is_own(self, path: str) -> bool:
        """Return whether a file or directory belongs to this user."""

    def set_sparse(self, descriptor: int) -> None:
        """Let a file have holes."""

    def read_at(self, descriptor: int, size: int, offset: int) -> bytes:
        """Return bytes at a place; none at the end."""

    def lock(self, descriptor: int) -> bool:
        """Keep others out of a file until it is closed; return whether that is so, False if somebody else has it."""


system: SystemCalls | None = None
if sys.platform == "win32":
    import ctypes
    import msvcrt
    from ctypes import byref, wintypes

    _kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    _security = ctypes.WinDLL("advapi32", use_last_error=True)
    _kernel.GetCurrentProcess.restype = wintypes.HANDLE
    _kernel.CloseHandle.argtypes = (wintypes.HANDLE,)
    _kernel.LocalFree.argtypes = (ctypes.c_void_p,)
    _LIST: Final = 4  # DACL_SECURITY_INFORMATION
    _PROTECTED: Final = 0x80000000  # PROTECTED_DACL_SECURITY_INFORMATION
    _SET_SPARSE: Final = 0x900C4  # FSCTL_SET_SPARSE
    _EXCLUSIVELY_AT_ONCE: Final = 3  # LOCKFILE_EXCLUSIVE_LOCK, LOCKFILE_FAIL_IMMEDIATELY
    _LOCKED: Final = {33, 997}  # ERROR_LOCK_VIOLATION, ERROR_IO_PENDING
    _LOCK_AT: Final = 1 << 62  # far behind all content; the C library reaches 2 GiB
    _AT_END: Final = 38  # ERROR_HANDLE_EOF

    class _Overlapped(ctypes.Structure):
        _fields_ = (
            ("internal", ctypes.c_void_p),
            ("internal_high", ctypes.c_void_p),
            ("offset", wintypes.DWORD),
            ("offset_high", wintypes.DWORD),
            ("event", wintypes.HANDLE),
        )

    def _demand(done: int) -> None:
        if not done:
            raise ctypes.WinError(ctypes.get_last_error())

    class _Windows:
        """The calls of Windows itself."""

        def user(self) -> str:
            text = ctypes.c_wchar_p()
            _demand(_security.ConvertSidToStringSidW(_identity(1), byref(text)))
            try:
                return text.value or ""
            finally:
                _kernel.LocalFree(text)

        def set_access(self, path: str, descriptor: str) -> None:
            made = ctypes.c_void_p()
            convert = _security.ConvertStringSecurityDescriptorToSecurityDescriptorW
            _demand(convert(ctypes.c_wchar_p(descriptor), 1, byref(made), None))
            try:
                _demand(_security.SetFileSecurityW(ctypes.c_wchar_p(path), ctypes.c_uint(_LIST | _PROTECTED), made))
            finally:
                _kernel.LocalFree(made)

        def is_own(self, path: str) -> bool:
            owner, made = ctypes.c_void_p(), ctypes.c_void_p()
            code = _security.GetNamedSecurityInfoW(
                ctypes.c_wchar_p(path), 1, 1, byref(owner), None, None, None, byref(made)
            )
            if code:
                raise ctypes.WinError(code)
            try:
                return any(_security.EqualSid(owner, _identity(kind)) for kind in (1, 4))  # TokenUser, TokenOwner
            finally:
                _kernel.LocalFree(made)

        def set_sparse(self, descriptor: int) -> None:
            handle, count = wintypes.HANDLE(msvcrt.get_osfhandle(descriptor)), wintypes.DWORD()
            _demand(_kernel.DeviceIoControl(handle, _SET_SPARSE, None, 0, None, 0, byref(count), None))

        def read_at(self, descriptor: int, size: int, offset: int) -> bytes:
            handle, count = wintypes.HANDLE(msvcrt.get_osfhandle(descriptor)), wintypes.DWORD()
            place = _Overlapped(offset=offset & 0xFFFFFFFF, offset_high=offset >> 32)
            buffer = ctypes.create_string_buffer(size)
            if not _kernel.ReadFile(handle, buffer, size, byref(count), byref(place)):
                code = ctypes.get_last_error()
                if code == _AT_END:
                    return b""
                raise ctypes.WinError(code)
            return ctypes.string_at(buffer, count.value)

        def lock(self, descriptor: int) -> bool:
            handle = wintypes.HANDLE(msvcrt.get_osfhandle(descriptor))
            place = _Overlapped(offset=_LOCK_AT & 0xFFFFFFFF, offset_high=_LOCK_AT >> 32)
            if _kernel.LockFileEx(handle, _EXCLUSIVELY_AT_ONCE, 0, 1, 0, byref(place)):
                return True
            code = ctypes.get_last_error()
            if code in _LOCKED:
                return False
            raise ctypes.WinError(code)

    def _identity(kind: int) -> ctypes.c_void_p:
        """Return the SID of the user of this process, or of the owner of what it makes."""
        token, size = wintypes.HANDLE(), wintypes.DWORD()
        _demand(_security.OpenProcessToken(wintypes.HANDLE(_kernel.GetCurrentProcess()), 8, byref(token)))
        try:
            _security.GetTokenInformation(token, kind, None, 0, byref(size))
            buffer = ctypes.create_string_buffer(size.value)
            _demand(_security.GetTokenInformation(token, kind, buffer, size, byref(size)))
        finally:
            _kernel.CloseHandle(token)
        found = ctypes.cast(buffer, ctypes.POINTER(ctypes.c_void_p))[0]
        value = ctypes.c_void_p(found)
        value.buffer = buffer  # type: ignore[attr-defined]  # it points into that
        return value

    system = _Windows()


def make_private(path: str) -> None:
    """Let nobody but the owner and SYSTEM at a file or directory that was just made; elsewhere its mode says so.

    Raises:
        OSError: The system refused.
    """
    if system is not None:
        try:
            system.set_access(long_path(path), PRIVATE.format(user=system.user()))
        except OSError as error:
            if getattr(error, "winerror", 0) not in _NO_LISTS:
                raise


def make_sparse(descriptor: int) -> None:
    """Let a file have holes where it has to be told, and can have any."""
    if system is not None:
        with suppress(OSError):
            system.set_sparse(descriptor)


def is_foreign(path: str) -> bool:
    """Return whether a file or directory belongs to another user; never where that cannot be told.

    Raises:
        OSError: The system refused.
    """
    return system is not None and not system.is_own(path)


def long_path(path: str, *, windows: bool = os.name == "nt") -> str:
    r"""Return a path as calls take it however long it is: on Windows with `\\?\` before one that may be too long."""
    if not windows or len(path) < _LONGEST or path.startswith("\\\\?\\"):
        return path
    whole = ntpath.normpath(path)
    if whole.startswith("\\\\"):
        return "\\\\?\\UNC\\" + whole[2:]
    return "\\\\?\\" + whole if ntpath.isabs(whole) and whole[1:2] == ":" else path
