"""How fast pages are checked on one core: GB/s, for the old XOR and for XOR and ECC apart.

    python -m benchmarks.pages [--size MIB] [--rounds N] [--folder DIR]
    python -m benchmarks.pages --read FILE [--page-size BYTES]

For each kind of page a file of sealed pages is written and then, in turns, checked from memory that is already there
(as `create` does with the buffers it has just read), and read and checked (as `tokar inspect --pages` does). The last
column is the sums of a megabyte that stays in the cache. The best round counts. One process, one thread.

`--read` reads a file and sums up its blocks, and nothing else: what no program in this stack can do without.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.databases import make_database
from tokar.ese.blocksums import BlockSums
from tokar.ese.page import LARGE_PAGE_SIZE, block_size_of
from tokar.ese.pages import BUFFER_SIZE, PageChecker
from tokar.storage.bytesource import FileSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tokar.ese.database import DatabaseHeader

CASES = {True: (2048, 4096, 8192, 16384, 32768), False: (2048, 4096, 8192)}


def read_buffers(source: FileSource) -> Iterator[bytes]:
    return (source.read(offset, BUFFER_SIZE) for offset in range(0, source.size, BUFFER_SIZE))


def check(buffers: Iterable[bytes], header: DatabaseHeader, size: int) -> None:
    checker = PageChecker(header, size)
    for buffer in buffers:
        checker.update(buffer)
    report = checker.finish()
    assert report.is_good, report


def best(rounds: int, *actions: Callable[[], object]) -> list[float]:
    """Run the actions in turns; return the best time of each, in seconds."""
    times = [float("inf")] * len(actions)
    for _ in range(rounds):
        for number, action in enumerate(actions):
            begin = time.perf_counter()
            action()
            times[number] = min(times[number], time.perf_counter() - begin)
    return times


def run_case(folder: Path, page_size: int, mebibytes: int, rounds: int, *, ecc: bool) -> None:
    path, size = folder / "pages.edb", mebibytes << 20
    header = make_database(path, page_size, mebibytes, ecc=ecc)
    with FileSource(path) as source:
        buffers = list(read_buffers(source))
        sums = BlockSums(block_size_of(page_size), BUFFER_SIZE // block_size_of(page_size))
        blocks = np.frombuffer(buffers[1], "<u8").reshape(-1, block_size_of(page_size) // 8)
        times = best(
            rounds,
            lambda: check(buffers, header, size),
            lambda: check(read_buffers(source), header, size),
            lambda: [sums.sums(blocks) if ecc else sums.fold(blocks) for _ in buffers],
        )
    path.unlink()
    memory, whole, kernel = (size / seconds / 1e9 for seconds in times)
    name = "old XOR" if not ecc else "4 blocks" if page_size >= LARGE_PAGE_SIZE else "ECC"
    print(f"{page_size:>6} {name:9} in memory {memory:6.2f}   read and checked {whole:6.2f}   sums alone {kernel:6.2f}")


def read_and_sum(path: Path, page_size: int) -> None:
    """Read a file into one buffer, and sum up its blocks."""
    block_size = block_size_of(page_size)
    sums, buffer = BlockSums(block_size, BUFFER_SIZE // block_size), memoryview(bytearray(BUFFER_SIZE))
    with FileSource(path) as source:
        for offset in range(0, source.size, BUFFER_SIZE):
            count = source.readinto(offset, buffer) // block_size
            sums.sums(np.frombuffer(buffer[: count * block_size], "<u8").reshape(count, -1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="MiB of pages for each case")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to put the files (default: the folder for temporary files)")
    parser.add_argument("--read", type=Path, help="only read this file, and sum up its blocks")
    parser.add_argument("--page-size", type=int, default=8192, help="bytes of a page in it")
    arguments = parser.parse_args()
    if arguments.read is not None:
        read_and_sum(arguments.read, arguments.page_size)
        return
    print("GB/s on one core; the file is in the page cache")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for ecc, page_sizes in CASES.items():
            for page_size in page_sizes:
                run_case(Path(folder), page_size, arguments.size, arguments.rounds, ecc=ecc)


if __name__ == "__main__":
    main()
