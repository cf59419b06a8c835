"""Builds the double of the native libraries (native_double.c), and lets any server of tests answer behind it."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tokar import codes
from tokar.live.native import AuthorityServer, DirectoryServiceServer, NativeServer
from tokar.live.prototypes import CERTADM, NTDSBCLI, MapRow, load
from tokar.server.contract import BackupType, NameList, Outcome, Registration, Server, ServerError

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCE = Path(__file__).with_suffix(".c")
MINGW = "x86_64-w64-mingw32-gcc"
WARNINGS = ("-Wall", "-Wextra", "-Werror")
_TYPES = {1: BackupType.FULL, 2: BackupType.LOGS_ONLY}


class Request(ctypes.Structure):
    """What a call was given, and what it is to come to; as in the C source."""

    _fields_ = (
        ("texts", ctypes.c_void_p * 3),
        ("rows", ctypes.POINTER(MapRow)),
        ("numbers", ctypes.c_uint32 * 4),
        ("memory", ctypes.c_void_p),
        ("answer", ctypes.c_int64),
        ("given", ctypes.c_char_p),
        ("given_size", ctypes.c_uint32),
        ("told_size", ctypes.c_uint32),
    )


_BACKEND = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_char_p, ctypes.POINTER(Request))


def compiler(name: str = "cc") -> str:
    """Return a C compiler, or skip the test."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(
            f"there is no C compiler {name}: apt-get install {'gcc' if name == 'cc' else 'gcc-mingw-w64-x86-64'}"
        )
    return found


@cache
def built() -> str:
    """Build the double for this system, once a process, and return its path."""
    folder = tempfile.mkdtemp(prefix="tokar-double-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT"))
    path = Path(folder, "double.so")
    build = [compiler(), "-shared", "-fPIC", "-O1", *WARNINGS, "-o", str(path), str(SOURCE)]
    subprocess.run(build, check=True, timeout=60)
    return str(path)


def utf16(pointer: int | None) -> bytes | None:
    """Return the 16-bit units at a pointer, up to their end."""
    if not pointer:
        return None
    size = 0
    while ctypes.string_at(pointer + size, 2) != b"\0\0":
        size += 2
    return ctypes.string_at(pointer, size)


def text(pointer: int | None) -> str | None:
    """Return the text at a pointer."""
    raw = utf16(pointer)
    return None if raw is None else raw.decode("utf-16-le", "surrogatepass")


class Double:
    """The library, with a server of tests behind it.

    Args:
        server: It answers.
        bend: Changes what a call comes to: its name, the code, and the answer; it returns the code.
    """

    def __init__(self, server: Server, bend: Callable[[str, int, Request], int] | None = None) -> None:
        self.server = server
        self.bend = bend
        self.called: list[str] = []
        self.context: Any = None
        self._keep: list[object] = []
        self._library = ctypes.CDLL(built())
        self._backend = _BACKEND(self._answer)
        self._library.double_connect(self._backend)

    def holds(self) -> tuple[int, int, int]:
        """Return how many contexts and lists are held, and how often something was freed that was not."""
        contexts, lists, wrong = (self._library.double_holds(what) for what in range(3))
        return contexts, lists, wrong

    def native(self) -> NativeServer:
        """Return the server as the native library shows it."""
        is_authority = self.server.dialect.profile == "certadm"
        functions = load(built(), CERTADM if is_authority else NTDSBCLI)
        kind = AuthorityServer if is_authority else DirectoryServiceServer
        made: NativeServer = kind(functions, self.server.name, truncates=True)
        made.path_maps, made.double = self.server.path_maps, self  # type: ignore[attr-defined]
        return made

    def _answer(self, name: bytes, pointer: Any) -> int:
        call, request = name.decode(), pointer.contents
        self.called.append(call)
        code = 0
        try:
            self._make(call, request)
        except ServerError as error:
            code = error.code
        except BaseException:  # noqa: BLE001 - what a library does not survive is not its client's business
            code = codes.COMMUNICATION_ERROR
        if self.bend is not None:
            code = self.bend(call, code, request)
        return ctypes.c_int32(code).value

    def _make(self, call: str, request: Request) -> None:
        if call == "is_online":
            request.answer = self.server.is_online() is not False
        elif call.startswith("prepare"):
            self._begin(call, request)
        elif call == "open":
            request.answer = self.context.open(utf16(request.texts[0]))
        elif call == "read":
            buffer = (ctypes.c_char * request.numbers[0]).from_address(request.memory)
            request.answer = self.context.read(memoryview(buffer).cast("B"))
        elif call == "register":
            self.context.register(_registration(request))
        elif call == "register_complete":
            self.context.register_complete(request.numbers[0])
        elif call == "end":
            self.context.end(*[Outcome.SUCCESS] * hasattr(self.context, "truncate_logs"))
        else:
            result = getattr(self.context, call)()
            if isinstance(result, NameList):
                self._give(request, result.data)
                result.free()

    def _begin(self, call: str, request: Request) -> None:
        first, second = request.numbers[:2]
        if call == "prepare_restore":
            token = ctypes.string_at(request.memory, second) if request.memory else None
            self.context = self.server.prepare_restore(token)
            return
        assert second == 0
        self.context = self.server.prepare_backup(_TYPES[first])
        if self.context.expiry_token is not None:
            self._give(request, self.context.expiry_token)

    def _give(self, request: Request, data: bytes | None) -> None:
        self._keep = [data]
        request.given, request.given_size = data, len(data or b"")
        request.told_size = request.given_size


def _registration(request: Request) -> Registration:
    checkpoint, logs, backup_logs = map(text, request.texts)
    count, low, high = request.numbers[:3]
    rows = tuple((text(row.old) or "", text(row.new) or "") for row in request.rows[:count]) if request.rows else None
    assert bool(rows) == bool(count)
    return Registration(checkpoint, logs, rows, backup_logs, low, high)


def doubled(server: Server, **options: Any) -> NativeServer:
    """Return a server as its native library shows it."""
    if sys.platform == "win32":
        pytest.skip("the double stands in for libraries that Windows has")
    return Double(server, **options).native()
