"""How fast pages are checked: GB/s on one core, and the ratio to `cp` in the same run.

    python benchmarks/pages.py [--size MIB] [--rounds N] [--folder DIR]

For each kind of page a file of sealed random pages is written and then, in turns, copied with `cp`, checked from memory
that is already there (as `create` does with the buffers it has just read), and read and checked (as `tokar check`
does). The best round counts. One process, one thread: a figure is per core.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tokar.ese.blocksums import BlockSums
from tokar.ese.database import DatabaseHeader
from tokar.ese.page import LARGE_PAGE_SIZE, LEAF_PAGE, NEW_FORMAT, PageHeader, block_size_of, seal_page
from tokar.ese.pages import BUFFER_SIZE, PageChecker
from tokar.storage.bytesource import FileSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

CASES = [*((size, True) for size in (2048, 4096, 8192, 16384, 32768)), *((size, False) for size in (2048, 4096, 8192))]


def make_database(path: Path, page_size: int, size: int, *, ecc: bool) -> DatabaseHeader:
    """Write a database of random pages with right checksums."""
    header = DatabaseHeader(raw_page_size=page_size, revision=20 if ecc else 9)
    rng = random.Random(page_size)
    with path.open("wb") as file:
        file.write(header.build() * 2)
        for number in range(1, size // page_size - 1):
            head = PageHeader(dbtime=number, flags=(NEW_FORMAT if ecc else 0) | LEAF_PAGE).pack()
            file.write(seal_page(head + rng.randbytes(page_size - len(head)), number))
    return header


def read_buffers(source: FileSource) -> Iterator[bytes]:
    return (source.read(offset, BUFFER_SIZE) for offset in range(0, source.size, BUFFER_SIZE))


def check_memory(buffers: Iterable[bytes], header: DatabaseHeader, size: int) -> None:
    checker = PageChecker(header, size)
    for buffer in buffers:
        checker.update(buffer)
    report = checker.finish()
    assert report.is_good, report


def best(rounds: int, prepare: Callable[[], object], *actions: Callable[[], object]) -> list[float]:
    """Run the actions in turns, each round after an untimed `prepare`; return the best time of each, in seconds."""
    times = [float("inf")] * len(actions)
    for _ in range(rounds):
        prepare()
        for number, action in enumerate(actions):
            begin = time.perf_counter()
            action()
            times[number] = min(times[number], time.perf_counter() - begin)
    return times


def run_case(folder: Path, page_size: int, size: int, rounds: int, *, ecc: bool) -> None:
    path, copy = folder / "pages.edb", folder / "copy.edb"
    header = make_database(path, page_size, size, ecc=ecc)
    with FileSource(path) as source:
        buffers = list(read_buffers(source))
        sums = BlockSums(block_size_of(page_size), BUFFER_SIZE // block_size_of(page_size))
        blocks = np.frombuffer(buffers[1], "<u8").reshape(-1, block_size_of(page_size) // 8)
        times = best(
            rounds,
            lambda: copy.unlink(missing_ok=True),
            lambda: subprocess.run(["cp", path, copy], check=True),
            lambda: check_memory(buffers, header, size),
            lambda: check_memory(read_buffers(source), header, size),
            lambda: [sums.sums(blocks) if ecc else sums.fold(blocks) for _ in buffers],
        )
    cp, memory, whole, kernel = (size / seconds / 1e9 for seconds in times)
    name = "old XOR" if not ecc else "4 blocks" if page_size >= LARGE_PAGE_SIZE else "ECC"
    print(
        f"{page_size:>6} {name:9} cp {cp:5.2f}   in memory {memory:5.2f} = {memory / cp:4.2f} x cp   "
        f"read and check {whole:5.2f} = {whole / cp:4.2f} x cp   sums alone, in cache {kernel:5.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256, help="MiB of pages for each case")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to put the files (default: the folder for temporary files)")
    arguments = parser.parse_args()
    print("GB/s on one core; the file is in the page cache")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for page_size, ecc in CASES:
            run_case(Path(folder), page_size, arguments.size << 20, arguments.rounds, ecc=ecc)


if __name__ == "__main__":
    main()
