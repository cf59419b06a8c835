"""Threads of the writer: reading with hashing, compression, and writing overlap for large files.

    caller              reads a chunk into a buffer and hashes it for the digest
    encoders            compress a chunk and hash it for its check; only with compression
    output              in order: completes the check, writes

Without compression the hashing for the check goes to whichever of caller and output has less to do: neither reading
with one hash nor writing with none is half of the work, on any machine.

The number of buffers bounds the memory: a caller that is ahead waits for one to come back. blake3, zstandard and file
calls release the interpreter lock while they work on a chunk.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from tokar.format.bodies import DataRecord
from tokar.format.entry_writer import EncodedChunk, encode_chunk

if TYPE_CHECKING:
    from tokar.format.compression import Compression
    from tokar.format.encryption import StreamCipher

_SPARE_BUFFERS: Final = 8
_SPARE_SIZE: Final = 1 << 26  # bytes of all of them together, as far as there are more than it takes
_BEHIND: Final = 3  # chunks that wait to be written, from which on the caller hashes for the check


class InputStream(Protocol):
    """What content is read from: binary files have it."""

    def readinto(self, buffer: Any, /) -> int | None:
        """Fill the buffer as far as the source can now; 0 at the end."""


class WatchedStream:
    """A stream that shows its content to others, chunk by chunk, while it is in memory.

    Args:
        stream: The content.
        watchers: Each is called with the content of each chunk, in order; it must not change it.
    """

    def __init__(self, stream: InputStream, *watchers: Callable[[memoryview], object]) -> None:
        self._stream = stream
        self._watchers = watchers
        self._ended = False

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the whole buffer, or less at the end, and show what came."""
        size = 0 if self._ended else _fill(self._stream, buffer)
        self._ended = size < len(buffer)
        if size:
            for watch in self._watchers:
                watch(buffer[:size])
        return size


def _fill(stream: InputStream, buffer: memoryview) -> int:
    """Read until the buffer is full or the stream ends; return the bytes read."""
    done = 0
    while done < len(buffer) and (count := stream.readinto(buffer[done:])):
        done += count
    return done


class ChunkTarget(NamedTuple):
    """The entry that chunks go to."""

    entry: int  # Its number
    cipher: StreamCipher | None  # What seals its content
    write: Callable[[EncodedChunk], None]  # Called in the output thread, in order


class Pipeline:
    """Takes chunks of entries and hands them, encoded and in order, to a function in the output thread.

    Args:
        compression: How chunks are stored.
        chunk_size: Bytes of a buffer.
        threads: Encoder threads; the number of processors by default.
    """

    def __init__(self, compression: Compression, chunk_size: int, *, threads: int | None = None) -> None:
        self._compression = compression
        self.chunk_size = chunk_size
        count = threads or os.cpu_count() or 1
        self._encoders = _encoders(count) if compression.level is not None else None
        self._buffers: SimpleQueue[bytearray] = SimpleQueue()
        spare = min(_SPARE_BUFFERS, max(_SPARE_SIZE // chunk_size, _BEHIND + 1))
        self._to_make = spare + (count if self._encoders else 0)  # buffers; small files need but one
        self._jobs: SimpleQueue[_Job | threading.Event | None] = SimpleQueue()
        self._failure: BaseException | None = None
        self._output = threading.Thread(target=self._run, name="tokar-output", daemon=True)
        self._output.start()

    def buffer(self) -> bytearray:
        """Return a buffer to read the next chunk into; waits until one is free."""
        self._raise_failure()
        if self._to_make and self._buffers.empty():
            self._to_make -= 1
            return bytearray(self.chunk_size)
        return self._buffers.get()

    def give_back(self, buffer: bytearray) -> None:
        """Take back a buffer that was not used."""
        self._buffers.put(buffer)

    def chunks(self, stream: InputStream) -> Iterator[tuple[bytearray, int]]:
        """Yield a stream buffer by buffer, each with the bytes that are in it: all that fit, but for the last."""
        is_full = True
        while is_full:
            buffer = self.buffer()
            size = _fill(stream, memoryview(buffer))
            is_full = size == len(buffer)
            if size:
                yield buffer, size
            else:
                self.give_back(buffer)

    def put(self, target: ChunkTarget, chunk: int, buffer: bytearray, size: int) -> None:
        """Send the chunk in the first `size` bytes of a buffer on its way."""
        content = memoryview(buffer)[:size]
        encode: Callable[[], EncodedChunk] = partial(self._encode, target, chunk, content)
        if self._encoders is not None:
            encode = self._encoders.submit(encode).result
        elif self._jobs.qsize() >= _BEHIND:
            encode = partial(_given, encode())
        self._jobs.put(_Job(partial(_write, target.write, encode), buffer))

    def put_write(self, write: Callable[[], None], buffer: bytearray) -> None:
        """Let the output thread call a function in its turn; the buffer is free when that was done."""
        self._jobs.put(_Job(write, buffer))

    def drain(self) -> None:
        """Wait until everything that was put is written.

        Raises:
            ArchiveError: What went wrong in another thread.
        """
        done = threading.Event()
        self._jobs.put(done)
        done.wait()
        self._raise_failure()

    def close(self) -> None:
        """End the threads; what is still under way is finished or dropped."""
        self._jobs.put(None)
        self._output.join()
        if self._encoders is not None:
            self._encoders.shutdown(wait=True, cancel_futures=True)

    def _encode(self, target: ChunkTarget, chunk: int, content: memoryview) -> EncodedChunk:
        codec, stored = self._compression.encode(content)
        data = DataRecord(target.entry, chunk, content.nbytes, codec)
        return encode_chunk(data, stored, content, cipher=target.cipher)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            if isinstance(job, threading.Event):
                job.set()
                continue
            if self._failure is None:
                try:
                    job.run()
                except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                    self._failure = error
            self._buffers.put(job.buffer)


def _encoders(count: int) -> Executor:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - start-up time

    return ThreadPoolExecutor(count, "tokar-encode")


class _Job(NamedTuple):
    """What to call in the output thread, and the buffer that is free then."""

    run: Callable[[], None]
    buffer: bytearray


def _write(write: Callable[[EncodedChunk], None], encode: Callable[[], EncodedChunk]) -> None:
    write(encode())


def _given(encoded: EncodedChunk) -> EncodedChunk:
    return encoded
