"""How time and memory of `create`, `verify` and `restore` grow with bytes and with entries.

    python -m benchmarks.growth [--sizes GIB...] [--entries N...] [--rounds N] [--folder DIR]

A size is one file that does not compress; entries are files of 1 KiB, or of 16 bytes where there are more than 100,000.
Times end when all is on the disk; the median of the rounds is printed, and beside it the time for one unit (a GiB, a
thousand entries), less the start of the program: where that stays, growth is linear. Memory is the most that one
process had. What is read lies in the cache as far as it fits. Room for three times the largest size is needed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.sets import make_one_file, make_small_files
from benchmarks.timing import TOKAR, Job, remove, run

if TYPE_CHECKING:
    from collections.abc import Callable

_LAYOUT = "{:>12} {:<8} {:>9} {:>14} {:>9}"
_MANY = 100_000


def measure(work: Path, label: str, units: float, make: Callable[[Path], None], rounds: int) -> None:
    """Make a set, run the three commands on it in turn, and print what each took."""
    folder, archive, out = work / "set", work / "set.tokar", work / "out"
    # In a process of its own: a child's peak memory begins with that of its parent.
    maker = multiprocessing.Process(target=make, args=(folder,))
    maker.start()
    maker.join()
    if maker.exitcode:
        raise SystemExit(f"the set of {label} could not be made")
    jobs = (
        Job("create", f"{TOKAR} create -q --all --compress none {archive} {folder} && sync -f {work}", archive),
        Job("verify", f"{TOKAR} verify -q {archive}"),
        Job("restore", f"{TOKAR} restore -q {archive} --into {out} && sync -f {work}", out),
    )
    start = statistics.median(run(Job("start", f"{TOKAR} verify --help")).seconds for _ in range(3))
    costs = []
    for _ in range(rounds):
        created = run(jobs[0])
        run(Job("warm", f"cat {archive} > /dev/null"))
        costs.append([created, *map(run, jobs[1:])])
    for job, found in zip(jobs, zip(*costs, strict=True), strict=True):
        seconds, memory = statistics.median(one.seconds for one in found), max(one.memory for one in found)
        each = f"{max(seconds - start, 0) / units:.3f} s"
        print(_LAYOUT.format(label, job.name, f"{seconds:.2f} s", each, f"{memory:.0f} MiB"), flush=True)
    for path in (folder, archive, out):
        remove(path)


def main() -> None:
    """Measure every size, then every number of entries."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[1, 4, 16], metavar="GIB", help="sizes of one file")
    parser.add_argument(
        "--entries", type=int, nargs="*", default=[1000, 10_000, _MANY, 1_000_000], metavar="N", help="numbers of files"
    )
    parser.add_argument("--rounds", type=int, default=1, help="rounds of each")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tokar-bench-", dir=arguments.folder) as name:
        print(_LAYOUT.format("", "command", "time", "a GiB", "peak"))
        for size in arguments.sizes:
            measure(Path(name), f"{size} GiB", size, partial(make_one_file, mebibytes=size << 10), arguments.rounds)
        print(_LAYOUT.format("", "command", "time", "1,000 entries", "peak"))
        for count in arguments.entries:
            make = partial(make_small_files, count=count, size=1024 if count <= _MANY else 16)
            measure(Path(name), f"{count:,}", count / 1000, make, arguments.rounds)


if __name__ == "__main__":
    main()
