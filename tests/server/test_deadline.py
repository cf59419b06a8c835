"""Deadlines on calls, and what becomes of a server that hangs or dies."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from dataclasses import replace
from functools import partial
from multiprocessing import resource_tracker, util
from pathlib import Path
from typing import Any

import pytest
from backup_files import fill

from tokar import codes, signals
from tokar.errors import ArchiveError, ExhaustedError, SourceError, StorageError
from tokar.server.contract import BackupType, NoAnswerError, Outcome, ServerError
from tokar.server.deadline import Deadlines, DeadlineServer
from tokar.testing.scripted_server import ScriptedServer

QUICK = Deadlines(start=60, call=30, first_read=0.5, read=0.5, end=2)


class Sleeper(ScriptedServer):
    """Sleeps, or dies, at one call."""

    def __init__(self, call: str, seconds: float | None) -> None:
        super().__init__()
        fill(self)
        self._call = call
        self._seconds = seconds

    def step(self, call: str) -> None:
        if call.split()[0] == self._call:  # noqa: PLC0207 - a test, not a hot path
            if self._seconds is None:
                os._exit(3)
            time.sleep(self._seconds)
        super().step(call)


@pytest.mark.skipif(sys.platform == "win32", reason="no process group is asked to end there")
@pytest.mark.parametrize("name", ["SIGHUP", "SIGTERM", "SIGINT"])
def test_a_signal_while_the_process_begins_ends_it_without_a_word(
    name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    number = getattr(signal, name)
    before = signal.signal(number, signals._stop)
    monkeypatch.setattr(signals, "_last", -signals._REPEATED)
    begin, begun = util.spawnv_passfds, []

    def struck(*arguments: Any) -> int:
        begun.append(begin(*arguments))
        os.kill(begun[-1], number)
        os.kill(os.getpid(), number)
        return begun[-1]

    resource_tracker.ensure_running()
    monkeypatch.setattr(util, "spawnv_passfds", struck)
    try:
        with pytest.raises(signals.Stopped):
            DeadlineServer(ScriptedServer)
    finally:
        signal.signal(number, before)
    while Path(f"/proc/{begun[-1]}").exists() and "Z" not in Path(f"/proc/{begun[-1]}/stat").read_text():
        time.sleep(0.02)
    assert capfd.readouterr() == ("", "")


class Broken(ScriptedServer):
    def __init__(self) -> None:
        raise OSError(2, "no library")


class ReadOnly(ScriptedServer):
    def __init__(self) -> None:
        raise StorageError("cannot open the file: no") from OSError(errno.EROFS, "no")


def test_what_the_system_refuses_the_server_has_its_next_step() -> None:
    with pytest.raises(SourceError, match="cannot open the file: no") as caught:
        DeadlineServer(ReadOnly, QUICK)
    assert caught.value.hint == "nothing can be written there: name another place"


class OutOf(ScriptedServer):
    def __init__(self, error: Exception) -> None:
        raise error


@pytest.mark.parametrize(
    ("error", "kind", "said", "hint"),
    [
        (OSError(errno.ENOSPC, "No space left", "a/lab"), SourceError, "No space left (a/lab)", "free some room there"),
        (OSError(errno.ENOSPC, "No space left"), SourceError, "No space left", "free some room there"),
        (MemoryError(), ExhaustedError, "there is too little memory for the server's process", "end other programs"),
    ],
)
def test_what_the_server_lacks_is_said_in_words_with_what_helps(
    error: Exception, kind: type[ArchiveError], said: str, hint: str
) -> None:
    with pytest.raises(kind) as caught:
        DeadlineServer(partial(OutOf, error), QUICK)
    assert str(caught.value) == said
    assert (caught.value.hint or "").startswith(hint)


def child(call: str, seconds: float | None, *, end: float = QUICK.end) -> DeadlineServer:
    return DeadlineServer(partial(Sleeper, call, seconds), replace(QUICK, end=end))


def test_a_stuck_read_ends_in_an_error_and_end_is_unanswered() -> None:
    with child("read", 60, end=0.2) as server:
        context = server.prepare_backup(BackupType.FULL)
        names = context.database_names()
        context.open(names.entries[0].raw_name)
        begun = time.monotonic()
        with pytest.raises(NoAnswerError, match=r"read was not answered: nothing came in 0\.5 seconds"):
            context.read(memoryview(bytearray(4096)))
        with pytest.raises(NoAnswerError, match="close was not answered: it was not made, since read still hangs"):
            context.close()
        with pytest.raises(NoAnswerError, match="end was not answered"):
            context.end(Outcome.ABORT)
        assert time.monotonic() - begun < 10


def test_a_call_that_comes_back_late_still_lets_end_through() -> None:
    with child("read", 0.9) as server:
        context = server.prepare_backup(BackupType.FULL)
        names = context.database_names()
        context.open(names.entries[0].raw_name)
        with pytest.raises(NoAnswerError):
            context.read(memoryview(bytearray(4096)))
        context.end(Outcome.ABORT)


def test_after_an_unanswered_end_a_new_process_serves() -> None:
    with child("end", 60, end=0.2) as server:
        with pytest.raises(NoAnswerError):
            server.prepare_backup(BackupType.FULL).end(Outcome.ABORT)
        assert server.prepare_backup(BackupType.FULL).database_names().entries


def test_a_process_that_dies_is_told_from_one_that_hangs() -> None:
    with child("open", None) as server:
        context = server.prepare_backup(BackupType.FULL)
        names = context.database_names()
        with pytest.raises(NoAnswerError, match=r"the process of the server is gone \(exit code 3\)"):
            context.open(names.entries[0].raw_name)


def test_a_code_comes_through_the_process() -> None:
    with child("never", 0) as server:
        context = server.prepare_backup(BackupType.FULL)
        with pytest.raises(ServerError) as caught:
            context.close()
        assert caught.value.code == codes.INVALID_HANDLE
        context.end(Outcome.ABORT)


def test_a_server_that_cannot_be_made_is_an_error() -> None:
    with pytest.raises(SourceError, match="no library"):
        DeadlineServer(Broken, QUICK)
