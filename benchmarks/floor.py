"""What a restore in this stack cannot do without, and nothing else: the floor below `tokar restore`.

    python -m benchmarks.floor FOLDER OUT

The files of a folder are read, hashed, written beside OUT and made durable, and then get that name: no archive, so no
index, records and proof of them, and no plan, lock or journal. As `restore` does, files of more than a chunk are hashed
twice (digest and check) while they are on their way to the disk, by two threads, and many small ones are shared by two
processes.
"""

from __future__ import annotations

import ctypes
import os
import queue
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from blake3 import blake3

_PIECE = 1 << 20
_SMALL = 1 << 16  # bytes; larger files are handed from thread to thread
_MANY = 2000  # small files from which on a second process is forked
_BEHIND = 1 << 23  # bytes after which some are sent to the disk
_LAG = 1 << 25  # bytes that may not have been there yet when they were sent

Pieces = queue.Queue[tuple[Path, bytes | None]]


def read(paths: Iterable[Path], pieces: Pieces) -> None:
    """Read and hash files, and hand over their pieces; none after the last."""
    for path in paths:
        digest = blake3()
        with path.open("rb", buffering=0) as file:
            while data := file.read(_PIECE):
                digest.update(data)
                pieces.put((path, data))
        digest.digest()
        pieces.put((path, None))


def handed(paths: list[Path]) -> Iterator[tuple[Path, bytes | None]]:
    """Yield the pieces of files that a second thread reads."""
    pieces: Pieces = queue.Queue(8)
    thread = threading.Thread(target=read, args=(paths, pieces))
    thread.start()
    for _ in paths:
        while True:
            path, data = pieces.get()
            yield path, data
            if data is None:
                break
    thread.join()


def write_large(paths: list[Path], out: Path) -> None:
    """Write files that a second thread reads, and send them to the disk meanwhile."""
    descriptor, done, begun = -1, 0, 0
    for path, data in handed(paths):
        if descriptor < 0:
            descriptor = os.open(out / path.name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        if data is not None:
            if path.stat().st_size > _PIECE:
                blake3(data).digest()
            done += os.write(descriptor, data)
        if done - begun >= _BEHIND or data is None:
            start = max(begun - _LAG, 0)
            os.posix_fadvise(descriptor, start, done - start, os.POSIX_FADV_DONTNEED)
            begun = done
        if data is None:
            os.utime(descriptor, ns=(0, 0))
            os.close(descriptor)
            descriptor, done, begun = -1, 0, 0


def write_small(paths: Iterable[Path], out: Path) -> None:
    """Read, hash and write small files."""
    for path in paths:
        data = path.read_bytes()
        blake3(data).digest()
        descriptor = os.open(out / path.name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        os.write(descriptor, data)
        os.utime(descriptor, ns=(0, 0))
        os.close(descriptor)


def main(folder: Path, out: Path) -> None:
    """Write the files of a folder into another, which is there only when all of them are."""
    staging = out.with_name(out.name + ".staging")
    staging.mkdir(mode=0o700)
    sizes = {path: path.stat().st_size for path in sorted(folder.iterdir())}
    small = [path for path, size in sizes.items() if size <= _SMALL]
    half = len(small) // 2 if len(small) >= _MANY else 0
    child = os.fork() if half else -1
    if child == 0:
        write_small(small[:half], staging)
        os._exit(0)
    write_large([path for path, size in sizes.items() if size > _SMALL], staging)
    write_small(small[half:], staging)
    if child > 0 and os.waitpid(child, 0)[1]:
        raise SystemExit("the other process failed")
    descriptor = os.open(staging, os.O_RDONLY)
    if ctypes.CDLL(None).syncfs(descriptor):
        raise SystemExit("nothing could be made durable")
    staging.rename(out)
    above = os.open(out.parent, os.O_RDONLY)
    os.fsync(above)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
