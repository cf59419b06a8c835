"""The least that `verify` and `create` can cost in Python with typer and blake3: only what cannot be left out.

    python -m benchmarks.least verify ARCHIVE        reads it and hashes every byte once, in two threads
    python -m benchmarks.least create ARCHIVE FILE   reads, hashes twice, writes, syncs, in two threads

Nothing is compared or parsed, and what is written is no archive. `--only verify` and `--only create-large` show it.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from queue import SimpleQueue

import typer
from blake3 import blake3

from tokar.storage.durable import WRITE_BEHIND, write_behind

_PIECE = 1 << 20
_BUFFERS = 8
_BATCH = 8 << 20  # bytes that a thread reads before it takes others


def _verify(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    size = os.fstat(descriptor).st_size
    starts = iter(range(0, size, _BATCH))

    def work() -> None:
        buffer = memoryview(bytearray(_PIECE // 8))
        for start in starts:
            for at in range(start, min(start + _BATCH, size), len(buffer)):
                blake3(buffer[: os.preadv(descriptor, [buffer], at)]).digest()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()


def _create(archive: Path, path: Path) -> None:
    source, target = os.open(path, os.O_RDONLY), os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    free: SimpleQueue[bytearray] = SimpleQueue()
    full: SimpleQueue[tuple[bytearray, int]] = SimpleQueue()
    for _ in range(_BUFFERS):
        free.put(bytearray(_PIECE))

    def write() -> None:
        done = begun = 0
        while (item := full.get())[1]:
            blake3(part := memoryview(item[0])[: item[1]]).digest()
            done += os.write(target, part)
            if done - begun >= WRITE_BEHIND:
                write_behind(target, begun, done - begun)
                begun = done
            free.put(item[0])

    writer, digest, size = threading.Thread(target=write), blake3(), 1
    writer.start()
    while size:
        buffer = free.get()
        size = os.readv(source, [buffer])
        digest.update(memoryview(buffer)[:size])
        full.put((buffer, size))
    writer.join()
    os.fsync(target)


def main(verb: str, paths: list[Path]) -> None:
    """Do one of both."""
    if verb == "verify":
        _verify(paths[0])
    else:
        _create(paths[0], paths[1])


if __name__ == "__main__":
    typer.run(main)
