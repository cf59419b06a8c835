"""What examining costs while archiving: `create` against `create --no-examine`, on the same set, in turns.

    python benchmarks/examine.py [--size MIB] [--rounds N] [--folder DIR] [--compress none zstd]

Three sets: databases of sealed pages of 4, 8 and 32 KiB, half of each page zeros, as in real ones; logs of 64 KiB; and
files of 1 KiB that are no ESE files, which must cost nothing. The best round counts. Time is what a clock on the wall
shows; processor time of all threads is given as well, since on two busy cores that is what an examination adds.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

import numpy as np

from tokar.collect.collect import CollectRequest, collect, gather
from tokar.collect.examine import Findings
from tokar.ese.blocksums import BlockSums
from tokar.ese.database import DatabaseHeader
from tokar.ese.log import SEGMENT_SIZE, LogHeader
from tokar.ese.page import LARGE_PAGE_SIZE, NEW_FORMAT, block_size_of, page_is_sealed, seal_segment
from tokar.ese.values import LogPosition, Signature
from tokar.format.compression import Compression
from tokar.storage.sink import FileSink

STREAM = Signature(random=2)
BATCH = 1 << 20


def make_database(path: Path, page_size: int, size: int) -> None:
    """Write a database of sealed pages; `page.seal_page` would take a minute for each gigabyte."""
    count, block_size = BATCH // page_size, block_size_of(page_size)
    sums = BlockSums(block_size, BATCH // block_size)
    rng = np.random.default_rng(page_size)
    header = DatabaseHeader(raw_page_size=page_size, revision=20, signature=Signature(random=1), log_signature=STREAM)
    with path.open("wb") as file:
        file.write(header.build() * 2)
        for first in range(1, size // page_size - 1, count):
            pages = rng.integers(0, 1 << 64, size=(count, page_size // 8), dtype=np.uint64)
            pages[:, page_size // 16 :] = 0
            pages[:, 0] = 0
            pages[:, 4] = np.uint64(NEW_FORMAT << 32)
            numbers = np.arange(first, first + count, dtype=np.uint64)
            if page_size >= LARGE_PAGE_SIZE:
                seal_blocks(pages, numbers, sums)
            else:
                pages[:, 0] = sums.sums(pages)[1] ^ numbers
            assert page_is_sealed(pages[0].tobytes(), first)
            file.write(pages[: size // page_size - 1 - first].tobytes())


def seal_blocks(pages: np.ndarray[tuple[int, int], np.dtype[np.uint64]], numbers: np.ndarray, sums: BlockSums) -> None:
    """Seal large pages: the last three blocks first, since the first holds their checksums."""
    blocks = pages.reshape(len(pages) * 4, -1)
    pages[:, 5:10] = 0
    pages[:, 8] = numbers
    pages[:, 5:8] = (sums.sums(blocks)[1].reshape(-1, 4) ^ numbers[:, None])[:, 1:]
    pages[:, 0] = sums.sums(blocks)[1].reshape(-1, 4)[:, 0] ^ numbers


def make_log(path: Path, generation: int, segments: list[bytes]) -> None:
    header = LogHeader(generation=generation, sectors=16, signature=STREAM)
    position = LogPosition(generation=generation).pack()
    body = b"".join(
        seal_segment(bytes(8) + LogPosition(generation=generation, sector=sector).pack() + segments[sector], sector)
        for sector in range(1, 15)
    )
    assert len(position) == 8
    path.write_bytes((header.build() + body).ljust(header.file_size, b"\0"))


def make_sets(folder: Path, size: int) -> dict[str, tuple[Path, bool]]:
    """Make the sets; each with whether everything in it is taken."""
    databases, logs, others = folder / "databases", folder / "logs", folder / "others"
    for one in (databases, logs, others):
        one.mkdir()
    for page_size in (4096, 8192, 32768):
        make_database(databases / f"{page_size}.edb", page_size, size // 3 // BATCH * BATCH)
    rng = random.Random(1)
    segments = [bytes(20) + b"\x00\x20\0\0" + rng.randbytes(SEGMENT_SIZE - 40) for _ in range(16)]
    for generation in range(1, 1001):
        make_log(logs / f"edb{generation:05X}.log", generation, segments)
    content = rng.randbytes(1 << 20)
    for number in range(20_000):
        at = number * 37 % (len(content) - 1024)
        (others / f"{number:05}").write_bytes(content[at : at + 1024])
    return {"databases": (databases, False), "logs": (logs, False), "others": (others, True)}


def run(path: Path, out: Path, compress: str, findings: Findings | None, *, take_all: bool) -> tuple[float, float]:
    """Archive a set once; return the time on the wall and of the processors, in seconds."""
    collection = gather(CollectRequest(paths=[str(path)], take_all=take_all))
    wall, processor = time.perf_counter(), time.process_time()
    collect(collection, FileSink(out, replace=True), compression=Compression.parse(compress), findings=findings)
    times = time.perf_counter() - wall, time.process_time() - processor
    out.unlink()
    return times


def compare(path: Path, out: Path, compress: str, rounds: int, *, take_all: bool) -> str:
    best = {True: (float("inf"), float("inf")), False: (float("inf"), float("inf"))}
    ratios = []
    for _ in range(rounds):
        walls = {}
        for examine in (False, True):
            findings = Findings() if examine else None
            wall, processor = run(path, out, compress, findings, take_all=take_all)
            assert findings is None or not (findings.bad or findings.not_verified), findings
            walls[examine] = wall
            best[examine] = (min(best[examine][0], wall), min(best[examine][1], processor))
        ratios.append(walls[True] / walls[False])
    wall, processor = (best[True][at] / best[False][at] for at in (0, 1))
    median = sorted(ratios)[len(ratios) // 2]
    return (
        f"{best[False][0]:6.2f} s without, {best[True][0]:6.2f} s with = {wall:4.2f} x "
        f"(median of rounds {median:4.2f} x, processor time {processor:4.2f} x)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=768, help="MiB of databases")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to put the files (default: the folder for temporary files)")
    parser.add_argument("--compress", nargs="+", default=["zstd", "none"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        sets = make_sets(folder, arguments.size << 20)
        for title, (path, take_all) in sets.items():
            for compress in arguments.compress:
                result = compare(path, folder / "out.tokar", compress, arguments.rounds, take_all=take_all)
                print(f"{title:9} {compress:5} {result}", flush=True)


if __name__ == "__main__":
    main()
