"""Examining in a thread of its own: in order, on the caller's bytes, never on bytes that were changed meanwhile."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from tokar.collect.examine import BackgroundExaminer
from tokar.errors import StorageError

TIMEOUT = 10  # seconds; only a hang takes so long


@contextmanager
def examined_by(examine: Callable[[memoryview], object]) -> Iterator[BackgroundExaminer]:
    with BackgroundExaminer() as background, background.file(examine):
        yield background


def test_chunks_are_looked_at_in_order_and_all_of_them() -> None:
    seen: list[int] = []
    with examined_by(lambda chunk: seen.append(chunk[0])) as background:
        for number in range(100):
            background(memoryview(bytes([number])))
    assert seen == list(range(100))


def test_it_works_in_another_thread() -> None:
    threads: list[int] = []
    with examined_by(lambda _: threads.append(threading.get_ident())) as background:
        background(memoryview(b"x"))
    assert threads != [threading.get_ident()]


def test_a_buffer_is_not_filled_before_it_has_been_looked_at() -> None:
    """Buffers are used in turn, as a writer does; the examiner waits until the stream wants the first one again."""
    go, seen = threading.Event(), bytearray()

    def examine(chunk: memoryview) -> None:
        go.wait(TIMEOUT)
        seen.extend(chunk)

    content = bytes(range(1, 200))
    buffers = [bytearray(10) for _ in range(3)]
    with examined_by(examine) as background:
        stream = background.guard(io.BytesIO(content))
        threading.Timer(0.05, go.set).start()
        turn = 0
        while count := stream.readinto(memoryview(buffers[turn % 3])):
            background(memoryview(buffers[turn % 3])[:count])
            turn += 1
    assert bytes(seen) == content


def test_waiting_for_other_memory_does_not_wait() -> None:
    go = threading.Event()

    def examine(chunk: memoryview) -> None:
        del chunk
        go.wait(TIMEOUT)

    with examined_by(examine) as background:
        background(memoryview(b"held up"))
        background.wait_for(memoryview(bytearray(5)))
        go.set()


def test_what_the_examiner_raises_is_raised_by_the_next_chunk() -> None:
    done = threading.Event()

    def fail(chunk: memoryview) -> None:
        del chunk
        done.set()
        raise StorageError("broken")

    def feed() -> None:
        with examined_by(fail) as background:
            buffer = memoryview(bytearray(1))
            background(buffer)
            done.wait(TIMEOUT)
            background.wait_for(buffer)
            background(buffer)

    with pytest.raises(StorageError, match="broken"):
        feed()


def test_what_the_examiner_raises_over_the_last_chunk_is_raised_at_the_end() -> None:
    def fail(chunk: memoryview) -> None:
        raise StorageError(f"broken: {len(chunk)}")

    def feed() -> None:
        with examined_by(fail) as background:
            background(memoryview(b"last"))

    with pytest.raises(StorageError, match="broken: 4"):
        feed()


def test_after_a_failure_nothing_more_is_looked_at() -> None:
    go, seen = threading.Event(), []

    def fail(chunk: memoryview) -> None:
        go.wait(TIMEOUT)
        seen.append(chunk[0])
        raise StorageError("broken")

    def feed() -> None:
        with examined_by(fail) as background:
            for number in range(3):
                background(memoryview(bytes([number])))
            go.set()

    with pytest.raises(StorageError):
        feed()
    assert seen == [0]


def test_an_error_of_the_caller_ends_the_thread_and_drops_what_waits() -> None:
    go, begun, seen = threading.Event(), threading.Event(), []

    def examine(chunk: memoryview) -> None:
        begun.set()
        go.wait(TIMEOUT)
        seen.append(chunk[0])

    def feed() -> None:
        with examined_by(examine) as background:
            for number in range(3):
                background(memoryview(bytes([number])))
            begun.wait(TIMEOUT)
            threading.Timer(0.05, go.set).start()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        feed()
    assert seen == [0]
    assert "tokar-examine" not in [thread.name for thread in threading.enumerate()]


def test_without_a_chunk_it_ends_at_once() -> None:
    with examined_by(lambda _: None):
        pass


def _note(seen: set[int], _: memoryview) -> None:
    seen.add(threading.get_ident())


def test_one_thread_looks_at_one_file_after_the_other() -> None:
    threads: dict[str, set[int]] = {"first": set(), "second": set()}
    with BackgroundExaminer() as background:
        for seen in threads.values():
            with background.file(partial(_note, seen)):
                background(memoryview(b"x"))
            assert len(seen) == 1  # at its end, not later
    assert threads["first"] == threads["second"]


def test_a_file_over_which_the_examiner_failed_says_nothing_of_the_next() -> None:
    def fail(chunk: memoryview) -> None:
        raise StorageError(f"broken: {len(chunk)}")

    seen: list[int] = []
    with BackgroundExaminer() as background:
        with pytest.raises(StorageError, match="broken: 5"), background.file(fail):
            background(memoryview(b"first"))
        with background.file(lambda chunk: seen.append(len(chunk))):
            background(memoryview(b"next"))
    assert seen == [4]
