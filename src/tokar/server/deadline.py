"""A server in a process of its own, with a deadline on every call.

Real servers hang: client and server wait for each other (Q192440), large buffers are never filled (Q197500), reads past
the end do not return (Q264102), a stopped job leaves a deadlocked thread (Q185694). A call in this process could not be
taken back; a process can be ended.

What happens when a deadline passes:

* The call ends with NoAnswerError. What it did on the server is not known.
* Every further call fails at once, except End: it is sent, since the stuck call may come back, and has a deadline of
  its own.
* Is End not answered either, the process is killed, which takes its connections down and lets the server clean up after
  it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from tokar import codes, signals
from tokar.errors import ArchiveError, ExhaustedError, InputError, SourceError, hint_of, reason_of
from tokar.server.contract import (
    BackupContext,
    BackupType,
    NameList,
    NoAnswerError,
    Outcome,
    Registration,
    RestoreContext,
    Server,
    ServerError,
)

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_HINT: Final = "the server hangs; see its event log, and restart its service if a new try hangs as well"
_FACTS: Final = (
    "dialect",
    "name",
    "annotation",
    "truncates",
    "truncation_off",
    "seen_against",
    "path_maps",
    "database_places",
    "recovery_steps",
)
"""What the server in the child is asked for once, when it is made."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each kind of call may take, in seconds."""

    start: float = 60.0  # Until the process and its server are there
    call: float = 600.0  # Any call that is not named here. Prepare may flush much, so it is long
    first_read: float = 1800.0  # The first read of a file: scrubbing and large caches delay it (Q243601)
    read: float = 300.0  # Every further read
    end: float = 120.0  # End, also after another call did not answer


class DeadlineServer(Server):
    """A server that runs in a child process. Use it as a context manager: leaving it ends the process.

    Args:
        factory: Makes the server, in the child; it must be picklable, such as a class, or `functools.partial` of one.
        deadlines: How long calls may take.

    Raises:
        InputError: There is no such server.
        SourceError: The server cannot be made.
        NoAnswerError: The process does not come up.
    """

    def __init__(self, factory: Callable[[], Server], deadlines: Deadlines | None = None) -> None:
        self._factory = factory
        self._deadlines = deadlines or Deadlines()
        self._link: _Link | None = None
        self._running()

    def is_online(self) -> bool | None:
        """Ask the server in the child."""
        online: bool | None = self._running().call("is_online", self._deadlines.call)
        return online

    def prepare_backup(self, backup_type: BackupType) -> BackupContext:
        """Begin a backup in the child."""
        link = self._running()
        token = link.call("prepare_backup", self._deadlines.call, backup_type)
        return _RemoteBackup(link, self._deadlines, backup_type, token)

    def prepare_restore(self, expiry_token: bytes | None = None) -> RestoreContext:
        """Begin a restore in the child."""
        link = self._running()
        link.call("prepare_restore", self._deadlines.call, expiry_token)
        return _RemoteRestore(link, self._deadlines)

    def close(self) -> None:
        """End the process: by asking, where it answers, else by force."""
        if self._link is not None:
            self._link.stop()
            self._link = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _running(self) -> _Link:
        """Return the process; a new one, with its server made, where there is none or the last one is lost."""
        if self._link is None or self._link.is_lost:
            self.close()
            link = self._link = _Link(self._factory)
            try:
                facts = link.call("describe", self._deadlines.start)
            except BaseException:
                self.close()
                raise
            for name, value in zip(_FACTS, facts, strict=True):
                setattr(self, name, value)
        return self._link


class _Link:
    """The child process, and the calls to it."""

    def __init__(self, factory: Callable[[], Server]) -> None:
        context = multiprocessing.get_context("spawn")  # fork would copy threads' locks, and Windows has no fork
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, factory), daemon=True, name="tokar-server")
        if sys.platform != "win32":
            from multiprocessing import resource_tracker  # noqa: PLC0415 - a process of its own, which start begins

            with signals.held():
                resource_tracker.ensure_running()  # at its end it lets them through, whatever was before
        with signals.held():
            self._process.start()
        theirs.close()
        self._number = 0
        self._stuck: str | None = None

    @property
    def is_lost(self) -> bool:
        """Whether the process is gone, or hangs in a call."""
        return self._stuck is not None or not self._process.is_alive()

    def call(self, call: str, deadline: float, *arguments: object, last: bool = False) -> Any:
        """Make a call in the child.

        Args:
            call: Its name.
            deadline: Seconds.
            arguments: What it is called with.
            last: Whether it is worth sending although an earlier call hangs: End.

        Raises:
            ServerError: It failed in the child with a code.
            InputError: The server cannot be made from what was given.
            SourceError: It failed otherwise.
            NoAnswerError: There was no answer.
        """
        if self._stuck is not None and not last:
            raise NoAnswerError(call, f"it was not made, since {self._stuck} still hangs", hint=_HINT)
        self._number += 1
        try:
            self._connection.send((self._number, call, arguments))
            reply = self._receive(deadline)
        except (EOFError, OSError) as error:
            self._process.join(1)
            raise NoAnswerError(
                call, f"the process of the server is gone (exit code {self._process.exitcode})"
            ) from error
        except BaseException:
            self._stuck = self._stuck or call  # an interrupt: the answer may come later, and belongs to nothing
            raise
        if reply is None:
            self._stuck = self._stuck or call
            raise NoAnswerError(call, f"nothing came in {deadline:g} seconds", hint=_HINT)
        failure, value = reply
        if failure is not None:
            raise failure()
        return value

    def _receive(self, deadline: float) -> tuple[Callable[[], ArchiveError] | None, Any] | None:
        """Return the answer to the last call, dropping late ones to earlier calls; None when the deadline passes."""
        until = time.monotonic() + deadline
        while self._connection.poll(max(0.0, until - time.monotonic())):
            number, failure, value = self._connection.recv()
            if number == self._number:
                return failure, value
        return None

    def stop(self) -> None:
        """End the process."""
        if not self.is_lost:
            with contextlib.suppress(OSError):
                self._connection.send((self._number + 1, "stop", ()))
                self._process.join(5)
        self.kill()

    def kill(self) -> None:
        """End the process by force."""
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._connection.close()


class _RemoteContext:
    """What the contexts of backup and restore share."""

    def __init__(self, link: _Link, deadlines: Deadlines) -> None:
        self._link = link
        self._deadlines = deadlines

    def _call(self, call: str, *arguments: object) -> Any:
        return self._link.call(call, self._deadlines.call, *arguments)

    def _list(self, call: str) -> NameList:
        handle, entries, data, wide = self._call(call)
        return NameList(entries, data=data, wide=wide, on_free=lambda: self._call("free", handle))

    def _end(self, *arguments: object) -> None:
        try:
            self._link.call("end", self._deadlines.end, *arguments, last=True)
        except NoAnswerError:
            self._link.kill()
            raise


class _RemoteBackup(_RemoteContext, BackupContext):
    def __init__(self, link: _Link, deadlines: Deadlines, backup_type: BackupType, expiry_token: bytes | None) -> None:
        super().__init__(link, deadlines)
        self.backup_type = backup_type
        self.expiry_token = expiry_token
        self._fresh = False

    def database_locations(self) -> NameList:
        return self._list("database_locations")

    def database_names(self) -> NameList:
        return self._list("database_names")

    def backup_logs(self) -> NameList:
        return self._list("backup_logs")

    def dynamic_files(self) -> NameList:
        return self._list("dynamic_files")

    def open(self, raw_name: bytes) -> int:
        size: int = self._call("open", raw_name)
        self._fresh = True
        return size

    def read(self, buffer: memoryview) -> int:
        deadline = self._deadlines.first_read if self._fresh else self._deadlines.read
        data: bytes = self._link.call("read", deadline, len(buffer))
        self._fresh = False
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._call("close")

    def truncate_logs(self) -> None:
        self._call("truncate_logs")

    def end(self, outcome: Outcome) -> None:
        self._end(outcome)


class _RemoteRestore(_RemoteContext, RestoreContext):
    def database_locations(self) -> NameList:
        return self._list("database_locations")

    def register(self, registration: Registration) -> None:
        self._call("register", registration)

    def register_complete(self, status: int) -> None:
        self._call("register_complete", status)

    def end(self) -> None:
        self._end()


def _serve(connection: Connection[Any, Any], factory: Callable[[], Server]) -> None:
    """Serve calls until told to stop, or until the parent is gone. Runs in the child."""
    # What asks a program to end often reaches both processes; the parent decides, and still has to call End.
    signals.ignore()
    child = _Child(factory)
    while True:
        try:
            number, call, arguments = connection.recv()
        except (EOFError, OSError):
            return
        if call == "stop":
            return
        try:
            failure, value = None, child.answer(call, arguments)
        except Exception as error:  # noqa: BLE001 - it must reach the parent, whatever it is
            failure, value = _failure(error), None
        with contextlib.suppress(OSError):
            connection.send((number, failure, value))


def _failure(error: Exception) -> Callable[[], ArchiveError]:
    """Return what makes an error again in another process, with what a caller can act on."""
    if isinstance(error, ServerError):
        return partial(ServerError, error.code, call=error.call, detail=error.detail, hint=error.hint)
    if isinstance(error, InputError):
        return partial(InputError, error.message, path=error.path, hint=error.hint)
    if isinstance(error, ArchiveError):
        return partial(SourceError, str(error), hint=hint_of(error))
    if isinstance(error, OSError):
        refused = SourceError(reason_of(error), path=error.filename)
        refused.__cause__ = error
        return partial(SourceError, str(refused), hint=hint_of(refused))
    if isinstance(error, MemoryError):
        return partial(ExhaustedError, "there is too little memory for the server's process")
    return partial(SourceError, f"{type(error).__name__}: {error}")


class _Child:
    """The server's side: one server, at most one context."""

    def __init__(self, factory: Callable[[], Server]) -> None:
        self._factory = factory
        self._made: Server | None = None
        self._context: Any = None
        self._lists: dict[int, NameList] = {}
        self._handle = 0

    def answer(self, call: str, arguments: tuple[Any, ...]) -> Any:
        """Make a call."""
        if self._made is None:
            self._made = self._factory()
        server = self._made
        if call == "describe":
            return tuple(getattr(server, name) for name in _FACTS)
        if call == "is_online":
            return server.is_online()
        if call in {"prepare_backup", "prepare_restore"}:
            self._context = getattr(server, call)(*arguments)
            return getattr(self._context, "expiry_token", None)
        if self._context is None:
            raise ServerError(codes.INVALID_HANDLE, call=call)
        if call == "read":
            return self._read(*arguments)
        if call == "free":
            return self._lists.pop(arguments[0]).free()
        result = getattr(self._context, call)(*arguments)
        return self._keep(result) if isinstance(result, NameList) else result

    def _read(self, size: int) -> bytes:
        buffer = bytearray(size)
        count = self._context.read(memoryview(buffer))
        return bytes(buffer[:count])

    def _keep(self, given: NameList) -> tuple[int, Any, bytes | None, bool]:
        self._handle += 1
        self._lists[self._handle] = given
        return self._handle, given.entries, given.data, given.wide
