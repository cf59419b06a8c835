"""Copies that share work: how they end is known, and nothing is left of them."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tokar import signals
from tokar.processes import ForkedCopy, fork, useful_processes

if TYPE_CHECKING:
    from collections.abc import Callable

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")


def copied(work: Callable[[], object]) -> ForkedCopy:
    reading, writing = os.pipe()
    with signals.held():
        process = fork(work)
    os.close(writing)
    return ForkedCopy(process, reading)


def broken() -> None:
    raise ValueError("no")


def test_there_is_at_least_one_useful_process() -> None:
    assert 1 <= useful_processes() <= min(os.cpu_count() or 1, 4)


def test_where_nothing_is_forked_one_process_is_useful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert useful_processes() == 1


@on_linux
def test_only_a_copy_that_did_all_of_its_work_is_done() -> None:
    works: list[Callable[[], object]] = [
        lambda: None,
        broken,
        lambda: os._exit(0),
        lambda: os.kill(os.getpid(), signal.SIGKILL),
    ]
    copies = [*map(copied, works)]
    for one in copies:
        one.wait()
        os.close(one.pipe)
    assert [one.is_done for one in copies] == [True, False, False, False]


@on_linux
def test_a_copy_that_is_ended_is_gone_and_so_is_its_pipe() -> None:
    one = copied(lambda: time.sleep(60))
    one.end()
    assert not one.is_done
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(one.pipe)
    with pytest.raises(ProcessLookupError):
        os.kill(one.process, 0)
    one.end()  # again does nothing
