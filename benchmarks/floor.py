"""What work in this stack (Python, typer, BLAKE3) cannot do without, and nothing else: the floors below tokar.

    python -m benchmarks.floor verify ARCHIVE          reads and hashes every byte once, in two threads
    python -m benchmarks.floor create ARCHIVE FOLDER   reads, hashes, writes and syncs, in two threads; with --sums a
                                                       third sums up all pages of 8 KiB
    python -m benchmarks.floor restore FOLDER OUT      writes the files of FOLDER as new ones, which are then called OUT

There is no plan, lock or journal, nothing is compared or parsed, and what `create` writes is no archive. As in tokar,
files of more than a chunk are hashed twice (digest and check) while they are on their way to the disk, and many small
ones are shared by two processes, while a thread of `restore` syncs what is written. Of small ones `create` makes the
records and rows that the format asks for, with their sums.
"""

from __future__ import annotations

import ctypes
import os
import queue
import struct
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated
from zlib import crc32

import typer
from blake3 import blake3

from tokar.storage.durable import WRITE_BEHIND, SyncBehind, write_behind

_PIECE = 1 << 20
_VERIFIED = 1 << 19  # bytes that a thread of `verify` reads at once: they stay in the processor's own memory
_WRITTEN = 1 << 16  # bytes that are written at once: for larger writes Linux takes larger pieces of memory, at a price
_PAGE = 8 << 10
_SUMMED = 1 << 18  # bytes of pages that are summed up at once: they stay in the processor's own memory
_BATCH = 8 << 20  # bytes that such a thread reads before it takes others
_SMALL = 1 << 16  # bytes; larger files are handed from thread to thread
_HEAD, _FILE, _DATA = struct.Struct("<4sI8sQ"), struct.Struct("<IHBBQqHBBI"), struct.Struct("<IIIB3x")
_DONE, _ROW = struct.Struct("<IIQ32s32sI32s"), struct.Struct("<QQQQq32s32sIIHHBBB")  # all as tokar has them
_MANY = 2000  # small files from which on a second process is forked

Pieces = queue.SimpleQueue[tuple[str, bytearray, int, bool]]
app = typer.Typer()


@app.command()
def verify(archive: Path) -> None:
    """Read and hash every byte once."""
    descriptor = os.open(archive, os.O_RDONLY)
    size = os.fstat(descriptor).st_size
    starts = iter(range(0, size, _BATCH))

    def work() -> None:
        buffer = memoryview(bytearray(_VERIFIED))
        for start in starts:
            for at in range(start, min(start + _BATCH, size), _VERIFIED):
                blake3(buffer[: os.preadv(descriptor, [buffer], at)]).digest()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()


@app.command()
def create(archive: Path, folder: Path, sums: Annotated[bool, typer.Option("--sums")] = False) -> None:
    """Write the files of a folder one after the other into one."""
    target = os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    output = _Output(target)
    small, large = _by_size(folder)
    given: queue.SimpleQueue[memoryview | None] = queue.SimpleQueue()
    summed: queue.SimpleQueue[None] = queue.SimpleQueue()
    if sums:
        threading.Thread(target=_sum, args=(given, summed)).start()
    for _, data in _handed(large):
        if sums:
            given.put(data)
        output.write(data)
        if sums:
            summed.get()
    given.put(None)
    half = len(small) // 2 if len(small) >= _MANY else 0
    at = output.done + sum(_packed_size(path) for path in small[:half])
    child = os.fork() if half else -1
    if child == 0:
        _pack(small[:half], target, output.done)
        os._exit(0)
    _pack(small[half:], target, at)
    if child > 0 and os.waitpid(child, 0)[1]:
        raise SystemExit("the other process failed")
    os.fsync(target)


@app.command()
def restore(folder: Path, out: Path) -> None:
    """Write the files of a folder into another, which is there only when all of them are."""
    staging = out.with_name(out.name + ".staging")
    staging.mkdir(mode=0o700)
    small, large = _by_size(folder)
    half = len(small) // 2 if len(small) >= _MANY else 0
    child = os.fork() if half else -1
    if child == 0:
        _write_small(small[:half], staging)
        os._exit(0)
    descriptor = os.open(staging, os.O_RDONLY)
    with SyncBehind([(descriptor, staging)] if half else []):
        _write_large(large, staging)
        _write_small(small[half:], staging)
        if child > 0 and os.waitpid(child, 0)[1]:
            raise SystemExit("the other process failed")
    if ctypes.CDLL(None).syncfs(descriptor):
        raise SystemExit("nothing could be made durable")
    staging.rename(out)
    above = os.open(out.parent, os.O_RDONLY)
    os.fsync(above)


def _sum(given: queue.SimpleQueue[memoryview | None], summed: queue.SimpleQueue[None]) -> None:
    """Sum up the pages of 8 KiB in what is given."""
    import numpy as np  # noqa: PLC0415 - start-up time

    from tokar.ese.blocksums import BlockSums  # noqa: PLC0415

    sums = BlockSums(_PAGE, _PIECE // _PAGE)
    while (data := given.get()) is not None:
        for start in range(0, len(data), _SUMMED):
            part = data[start : start + _SUMMED]
            sums.sums(np.frombuffer(part[: len(part) // _PAGE * _PAGE], "<u8").reshape(-1, _PAGE // 8))
        summed.put(None)


def _by_size(folder: Path) -> tuple[list[str], list[str]]:
    """Return the paths of small and of larger files."""
    found = sorted((one.path, one.stat().st_size) for one in os.scandir(folder))
    return [path for path, size in found if size <= _SMALL], [path for path, size in found if size > _SMALL]


def _hashed(path: str) -> bytes:
    """Return the content of a small file that was hashed."""
    descriptor = os.open(path, os.O_RDONLY)
    data = os.read(descriptor, _SMALL + 1)
    os.close(descriptor)
    blake3(data).digest()
    return data


def _packed_size(path: str) -> int:
    """Return the bytes of the records of a small file and of its row of the index."""
    fixed = 3 * (_HEAD.size + 40) + _FILE.size + _DATA.size + _DONE.size + _ROW.size
    return fixed + len(os.path.basename(path)) + os.lstat(path).st_size  # noqa: PTH119 - as tokar does


def _record(kind: bytes, body: bytes, hasher: blake3, position: int) -> tuple[bytes, bytes]:
    """Return a record, without what the hasher had already, and its check."""
    head = _HEAD.pack(kind, len(body), b"12345678", position)
    check = hasher.update(body + head).digest()
    head += check + bytes(4)
    return head + crc32(head).to_bytes(4, "little") + body, check


def _pack(paths: Iterable[str], target: int, position: int) -> None:
    """Write what tokar has of small files, at places that are known: three records with their sums, and rows."""
    batch = bytearray()
    begun = position
    for number, path in enumerate(paths):
        descriptor = os.open(path, os.O_RDONLY)
        before = os.fstat(descriptor)
        data = os.read(descriptor, _SMALL + 1)
        if len(data) != before.st_size or os.fstat(descriptor).st_mtime_ns != before.st_mtime_ns:
            raise SystemExit("a file changed")
        os.close(descriptor)
        name, size, time = os.path.basename(path).encode(), len(data), before.st_mtime_ns  # noqa: PTH119
        body = _FILE.pack(number, 0, 15, 0, size, time, 3, 20, 0, 0) + name
        first, check = _record(b"FILE", body, blake3(), position)
        hasher = blake3(data)
        digest = hasher.digest()
        second, data_check = _record(b"DATA", _DATA.pack(number, 0, size, 0), hasher, position)
        third, done_check = _record(
            b"DONE", _DONE.pack(number, 1, size, digest, check, size, data_check), blake3(), position
        )
        blake3(name).digest(15)
        row = _ROW.pack(size, position, position, size, time, digest, done_check, 0, 0, 0, 0, 0, 0, 0)
        batch += b"".join((first, data, second, third, row))
        if len(batch) >= _WRITTEN:
            os.pwrite(target, batch, begun)
            begun += len(batch)
            batch.clear()
        position = begun + len(batch)
    os.pwrite(target, batch, begun)


class _Output:
    """A file that is sent to the disk while it is written."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.done = self._begun = 0

    def write(self, data: memoryview | bytearray) -> None:
        """Write a piece, and send those of some time on their way."""
        for start in range(0, len(data), _WRITTEN):
            self.done += os.write(self.descriptor, data[start : start + _WRITTEN])
        if self.done - self._begun >= WRITE_BEHIND:
            self.send()

    def send(self) -> None:
        """Send what was written since the last time."""
        write_behind(self.descriptor, self._begun, self.done - self._begun)
        self._begun = self.done


def _read(paths: Iterable[str], free: queue.SimpleQueue[bytearray], pieces: Pieces) -> None:
    for path in paths:
        digest, size = blake3(), _PIECE
        descriptor = os.open(path, os.O_RDONLY)
        is_hashed_twice = os.fstat(descriptor).st_size > _PIECE
        while size == _PIECE:
            buffer = free.get()
            size = os.readv(descriptor, [buffer])
            digest.update(memoryview(buffer)[:size])
            pieces.put((path, buffer, size, is_hashed_twice))
        digest.digest()
        os.close(descriptor)


def _handed(paths: list[str]) -> Iterator[tuple[str, memoryview]]:
    """Yield the pieces of files that a second thread reads and hashes; the last of each is less than a whole one."""
    free: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
    pieces: Pieces = queue.SimpleQueue()
    for _ in range(8):
        free.put(bytearray(_PIECE))
    threading.Thread(target=_read, args=(paths, free, pieces)).start()
    for _ in paths:
        size = _PIECE
        while size == _PIECE:
            path, buffer, size, is_hashed_twice = pieces.get()
            data = memoryview(buffer)[:size]
            if is_hashed_twice:
                blake3(data).digest()
            yield path, data
            free.put(buffer)


def _write_large(paths: list[str], out: Path) -> None:
    output = None
    for path, data in _handed(paths):
        if output is None:
            output = _Output(os.open(f"{out}/{os.path.basename(path)}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # noqa: PTH119 - text
        output.write(data)
        if len(data) < _PIECE:
            output.send()
            os.utime(output.descriptor, ns=(0, 0))
            os.close(output.descriptor)
            output = None


def _write_small(paths: Iterable[str], out: Path) -> None:
    for path in paths:
        data = _hashed(path)
        descriptor = os.open(f"{out}/{os.path.basename(path)}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)  # noqa: PTH119 - text
        os.write(descriptor, data)
        os.utime(descriptor, ns=(0, 0))
        os.close(descriptor)


if __name__ == "__main__":
    app()
