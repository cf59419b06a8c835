from __future__ import annotations

import io
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from format_tools import CHUNK, pattern

from tokar.errors import StorageError
from tokar.format.compression import Compression
from tokar.format.pipeline import ChunkTarget, Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokar.format.entry_writer import EncodedChunk


@pytest.fixture(params=[None, 1], ids=["stored", "compressed"])
def pipeline(request: pytest.FixtureRequest) -> Iterator[Pipeline]:
    made = Pipeline(Compression(request.param), CHUNK, threads=3)
    yield made
    made.close()


def send(pipeline: Pipeline, number: int, content: bytes, write: Any) -> None:
    buffer = pipeline.buffer()
    buffer[: len(content)] = content
    pipeline.put(ChunkTarget(0, None, write), number, buffer, len(content))


def test_chunks_are_written_in_order_in_one_thread(pipeline: Pipeline) -> None:
    seen: list[bytes] = []
    threads: set[int] = set()

    def write(chunk: EncodedChunk) -> None:
        seen.append(bytes(chunk.content))
        threads.add(threading.get_ident())

    contents = [number.to_bytes(2, "big") * (100 + number) for number in range(60)]
    for number, content in enumerate(contents):
        send(pipeline, number, content, write)
    pipeline.drain()
    assert seen == contents
    assert len(threads - {threading.get_ident()}) == 1


def test_a_caller_that_is_ahead_waits_for_a_buffer(pipeline: Pipeline) -> None:
    gate = threading.Event()
    started = threading.Event()
    sent: list[int] = []

    def write(_: EncodedChunk) -> None:
        started.set()
        gate.wait(10)

    def run() -> None:
        for number in range(40):
            send(pipeline, number, b"x", write)
            sent.append(number)

    caller = threading.Thread(target=run)
    caller.start()
    started.wait(10)
    time.sleep(0.1)
    held_back = len(sent)
    gate.set()
    caller.join(10)
    pipeline.drain()
    assert held_back <= 12
    assert len(sent) == 40


def test_a_write_that_fails_surfaces_at_the_end(pipeline: Pipeline) -> None:
    def write(_: EncodedChunk) -> None:
        raise StorageError("cannot write")

    send(pipeline, 0, b"x", write)
    with pytest.raises(StorageError):
        pipeline.drain()


def test_a_write_that_fails_surfaces_while_chunks_still_come(pipeline: Pipeline) -> None:
    def write(_: EncodedChunk) -> None:
        raise StorageError("cannot write")

    def send_all() -> None:
        for number in range(1000):
            send(pipeline, number, b"x", write)

    with pytest.raises(StorageError):
        send_all()


def test_after_a_write_that_fails_nothing_more_is_written(pipeline: Pipeline) -> None:
    seen: list[bytes] = []

    def write(chunk: EncodedChunk) -> None:
        seen.append(bytes(chunk.content))
        if len(seen) == 2:
            raise StorageError("cannot write")

    def send_all() -> None:
        for number in range(50):
            send(pipeline, number, number.to_bytes(), write)
        pipeline.drain()

    with pytest.raises(StorageError):
        send_all()
    assert seen == [b"\0", b"\1"]


def test_an_encoder_that_fails_surfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    def fall_over(_: Any, __: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(Compression, "encode", fall_over)
    pipeline = Pipeline(Compression(1), CHUNK, threads=1)
    try:
        send(pipeline, 0, pattern(CHUNK), lambda _: None)
        with pytest.raises(MemoryError):
            pipeline.drain()
    finally:
        pipeline.close()


def test_a_failure_stays_a_failure(pipeline: Pipeline) -> None:
    def write(_: EncodedChunk) -> None:
        raise StorageError("cannot write")

    send(pipeline, 0, b"x", write)
    for again in (pipeline.drain, pipeline.drain, pipeline.buffer):
        with pytest.raises(StorageError):
            again()


def test_closing_ends_every_thread() -> None:
    before = threading.active_count()
    pipeline = Pipeline(Compression(1), CHUNK, threads=3)
    send(pipeline, 0, b"x", lambda _: None)
    pipeline.close()
    assert threading.active_count() == before


def test_a_buffer_that_was_not_used_comes_back(pipeline: Pipeline) -> None:
    buffers = [pipeline.buffer() for _ in range(4)]
    for buffer in buffers:
        pipeline.give_back(buffer)
    assert len(pipeline.buffer()) == CHUNK


def test_what_is_to_be_written_between_chunks_keeps_its_place_and_frees_its_buffer(pipeline: Pipeline) -> None:
    seen: list[bytes] = []
    for number in range(30):
        send(pipeline, number, b"chunk", lambda chunk: seen.append(bytes(chunk.content)))
        pipeline.put_write(lambda: seen.append(b"between"), pipeline.buffer())
    pipeline.drain()
    assert seen == [b"chunk", b"between"] * 30


def test_after_a_write_that_failed_nothing_more_is_written(pipeline: Pipeline) -> None:
    def fail() -> None:
        raise StorageError("cannot write")

    seen: list[int] = []
    pipeline.put_write(fail, pipeline.buffer())
    pipeline.put_write(lambda: seen.append(1), bytearray())
    with pytest.raises(StorageError):
        pipeline.drain()
    with pytest.raises(StorageError):
        pipeline.buffer()
    assert not seen


@pytest.mark.parametrize(("size", "parts"), [(0, []), (1, [1]), (CHUNK, [CHUNK]), (2 * CHUNK + 5, [CHUNK, CHUNK, 5])])
def test_a_stream_comes_in_full_buffers_but_for_the_last(pipeline: Pipeline, size: int, parts: list[int]) -> None:
    content, seen = pattern(size), []
    for buffer, count in pipeline.chunks(io.BytesIO(content)):
        seen.append(bytes(memoryview(buffer)[:count]))
        pipeline.give_back(buffer)
    assert [len(part) for part in seen] == parts
    assert b"".join(seen) == content
