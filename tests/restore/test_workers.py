from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tokar.restore.workers import Tally, WorkerPool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")


def count_up(share: int) -> Iterator[Tally]:
    for step in range(share * 100):
        yield Tally(1, step, 0)


def total(pool: WorkerPool) -> Tally:
    tallies = list(pool.tallies(wait=True))
    return Tally(*map(sum, zip(*tallies, strict=True))) if tallies else Tally(0, 0, 0)


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208 - with the one that it is read through, each time


def is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def test_every_share_is_done_and_every_step_counted() -> None:
    pool = WorkerPool(3, count_up)
    assert total(pool) == Tally(600, sum(range(100)) + sum(range(200)) + sum(range(300)), 0)
    assert pool.undone() == []
    pool.end()


def test_an_interrupt_while_copies_are_made_ends_those_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    fork = os.fork
    made: list[int] = []

    def interrupted() -> int:
        if made:
            raise KeyboardInterrupt
        made.append(fork())
        return made[0]

    monkeypatch.setattr(os, "fork", interrupted)
    with pytest.raises(KeyboardInterrupt):
        WorkerPool(2, lambda _: iter(lambda: time.sleep(1), None))
    assert is_gone(made[0])


def test_a_signal_to_a_copy_that_is_just_made_is_not_taken_for_one_to_the_process(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    fork = os.fork

    def struck() -> int:
        if not (process := fork()):
            os.kill(os.getpid(), signal.SIGINT)
        return process

    monkeypatch.setattr(os, "fork", struck)
    pool = WorkerPool(1, count_up)
    assert total(pool).files == 100
    assert pool.undone() == []
    assert capfd.readouterr() == ("", "")


def test_no_copies_are_a_pool_with_nothing_to_do() -> None:
    pool = WorkerPool(0, count_up)
    assert total(pool) == Tally(0, 0, 0)
    assert pool.undone() == []


def test_looking_without_waiting_comes_back_at_once(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    def work(_: int) -> Iterator[Tally]:
        while not gate.exists():
            time.sleep(0.01)
        yield Tally(1, 2, 3)

    pool = WorkerPool(1, work)
    assert list(pool.tallies(wait=False)) == []
    gate.touch()
    assert list(pool.tallies(wait=True)) == [Tally(1, 2, 3)]
    pool.end()


@pytest.mark.parametrize("how", ["error", "interrupt", "exit", "exit 0", "kill"])
def test_a_copy_that_fails_leaves_its_share_undone_with_what_was_counted(how: str) -> None:
    def work(share: int) -> Iterator[Tally]:
        yield Tally(5, 50, 1)
        if share == 2:
            if how == "error":
                raise ValueError("no")
            if how == "interrupt":
                raise KeyboardInterrupt
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            os._exit(0 if how == "exit 0" else 7)
        yield Tally(1, 1, 0)

    pool = WorkerPool(3, work)
    assert total(pool) == Tally(17, 152, 3)
    assert pool.undone() == [(2, Tally(5, 50, 1))]
    pool.end()


def test_where_the_system_refuses_the_share_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise OSError(errno.EAGAIN, "try again")

    monkeypatch.setattr(os, "fork", refuse)
    before = descriptors()
    pool = WorkerPool(2, count_up)
    assert total(pool) == Tally(0, 0, 0)
    assert pool.undone() == [(1, Tally(0, 0, 0)), (2, Tally(0, 0, 0))]
    assert descriptors() == before


def test_ending_it_leaves_no_process_and_no_descriptor() -> None:
    def work(_: int) -> Iterator[Tally]:
        yield Tally(os.getpid(), 0, 0)
        time.sleep(60)

    before = descriptors()
    pool = WorkerPool(2, work)
    tallies = pool.tallies(wait=True)
    processes = [next(tallies).files, next(tallies).files]
    pool.end()
    assert all(map(is_gone, processes))
    assert descriptors() == before


def test_an_interrupt_is_for_the_process_that_was_copied(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    def work(_: int) -> Iterator[Tally]:
        yield Tally(os.getpid(), 0, 0)
        while not gate.exists():
            time.sleep(0.01)
        yield Tally(1, 0, 0)

    pool = WorkerPool(1, work)
    tallies = pool.tallies(wait=True)
    os.kill(next(tallies).files, signal.SIGINT)
    gate.touch()
    assert list(tallies) == [Tally(1, 0, 0)]
    assert pool.undone() == []
    pool.end()


def test_where_nobody_may_ask_how_a_copy_ended_its_share_is_undone() -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        pool = WorkerPool(1, count_up)
        assert total(pool).files == 100
        assert pool.undone() == [(1, Tally(100, sum(range(100)), 0))]
        pool.end()
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_copy_whose_process_died_ends_itself() -> None:
    script = """
import os, signal, time
from tokar.restore.workers import WorkerPool, Tally
def work(_):
    while True:
        yield Tally(os.getpid(), 0, 0)
        time.sleep(0.01)
pool = WorkerPool(1, work)
print(next(pool.tallies(wait=True)).files, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    completed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert completed.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while not is_gone(int(completed.stdout)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_gone(int(completed.stdout))
