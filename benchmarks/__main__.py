"""What tokar costs beside `cp` and `tar`, measured in turn in one run.

    python -m benchmarks [--folder DIR] [--size MIB] [--files N] [--entries N] [--rounds N] [--only NAME...]

Every command is a whole process, run once without counting and then in rounds: A B C ..., A B C .... The medians are printed with their
ratio to the named peer, so that a machine whose speed drifts does not decide. `--folder` should be on the file system that matters; for the speed of the
code alone, one in memory (/dev/shm).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tokar.format.compression import Compression
from tokar.format.json_fields import to_time
from tokar.format.metadata import Head
from tokar.format.sink import FileSink
from tokar.format.writer import ArchiveWriter, system_clock

TOKAR = f"{sys.executable} -m tokar"


@dataclass(frozen=True)
class Job:
    """One command of a group; `clean` is removed before each run, outside the measured time."""

    name: str
    command: str
    clean: str | None = None


@dataclass(frozen=True)
class Group:
    """Commands that are compared with each other: the first is the peer."""

    name: str
    jobs: tuple[Job, ...]


def make_set(folder: Path, mebibytes: int) -> None:
    """Write eight files: half of their megabytes do not compress, half look like text, one in sixteen is zeros."""
    dice = random.Random(1)
    noise = dice.randbytes(8 << 20)
    words = [dice.randbytes(dice.randint(3, 9)).hex().encode() for _ in range(4000)]
    text = b" ".join(dice.choice(words) for _ in range(1 << 20))[: 8 << 20]
    folder.mkdir()
    for number in range(8):
        with (folder / f"db{number}.edb").open("wb") as file:
            for part in range(mebibytes // 8):
                source = noise if (part + number) % 2 else text
                start = part * 4099 % (7 << 20)
                file.write(bytes(1 << 20) if part % 16 == 15 else source[start : start + (1 << 20)])


def make_small_files(folder: Path, count: int) -> None:
    """Write files of 1 KiB that do not compress."""
    dice = random.Random(2)
    folder.mkdir()
    for number in range(count):
        (folder / f"f{number:06d}.dat").write_bytes(dice.randbytes(1024))


def make_index(path: Path, count: int) -> None:
    """Write an archive with many tiny entries."""
    head = Head(to_time(system_clock()), "collected", "ese", "benchmark")
    with ArchiveWriter(FileSink(path), head, compression=Compression(None)) as writer:
        for number in range(count):
            writer.add_bytes(0x21, f"dir{number // 1000:03d}/f{number:07d}.dat", b"x")


def make_inputs(work: Path, mebibytes: int, files: int, entries: int) -> None:
    """Make everything that is measured."""
    make_set(work / "set", mebibytes)
    make_small_files(work / "small", files)
    make_index(work / "index.tokar", entries)


def groups(work: Path) -> list[Group]:
    """Return what is measured; the inputs are in `work`."""
    big, small = work / "set", work / "small"
    return [
        Group(
            "one large set: writing",
            (
                Job("cp", f"cp -r {big} {work}/cp", f"{work}/cp"),
                Job("tar cf", f"tar cf {work}/big.tar -C {big} .", f"{work}/big.tar"),
                Job("tar | zstd -1 -T2", f"tar cf - -C {big} . | zstd -q -1 -T2 -o {work}/big.zst", f"{work}/big.zst"),
                Job(
                    "create --compress none",
                    f"{TOKAR} create -q --all --compress none {work}/n.tokar {big}",
                    f"{work}/n.tokar",
                ),
                Job("create", f"{TOKAR} create -q --all {work}/z.tokar {big}", f"{work}/z.tokar"),
            ),
        ),
        Group(
            "one large set: reading",
            (
                Job("cp", f"cp -r {big} {work}/cp", f"{work}/cp"),
                Job("tar xf", f"mkdir {work}/xt && tar xf {work}/big.tar -C {work}/xt", f"{work}/xt"),
                Job("verify", f"{TOKAR} verify -q {work}/n.tokar"),
                Job("verify --content", f"{TOKAR} verify -q --content {work}/n.tokar"),
                Job("restore", f"{TOKAR} restore -q {work}/n.tokar --into {work}/xk", f"{work}/xk"),
                Job("restore, compressed", f"{TOKAR} restore -q {work}/z.tokar --into {work}/xk", f"{work}/xk"),
            ),
        ),
        Group(
            "small files: writing",
            (
                Job("tar cf; sync", f"tar cf {work}/small.tar -C {small} . && sync", f"{work}/small.tar"),
                Job("create", f"{TOKAR} create -q --all {work}/s.tokar {small}", f"{work}/s.tokar"),
            ),
        ),
        Group(
            "small files: reading",
            (
                Job("tar xf; sync", f"mkdir {work}/st && tar xf {work}/small.tar -C {work}/st && sync", f"{work}/st"),
                Job("restore", f"{TOKAR} restore -q {work}/s.tokar --into {work}/sk", f"{work}/sk"),
                Job("verify", f"{TOKAR} verify -q {work}/s.tokar"),
            ),
        ),
        Group(
            "starting, and a large index",
            (
                Job("python with typer", f"{sys.executable} -c 'import typer; typer.run(lambda: None)'"),
                Job("inspect, few entries", f"{TOKAR} inspect {work}/z.tokar"),
                Job("inspect, large index", f"{TOKAR} inspect {work}/index.tokar"),
            ),
        ),
    ]


def run(job: Job) -> tuple[float, float]:
    """Return seconds and peak memory in MiB of one run."""
    if job.clean:
        path = Path(job.clean)
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    start = time.perf_counter()
    child = subprocess.Popen(["sh", "-c", job.command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    elapsed = time.perf_counter() - start
    child.returncode = status
    if status:
        raise SystemExit(f"failed: {job.command}")
    return elapsed, usage.ru_maxrss / 1024


def measure(group: Group, rounds: int) -> None:
    """Run a group in turn and print its table."""
    results: dict[str, list[tuple[float, float]]] = {job.name: [] for job in group.jobs}
    for number in range(rounds + 1):
        for job in group.jobs:
            result = run(job)
            if number:
                results[job.name].append(result)
    peer = group.jobs[0].name
    print(f"\n{group.name} (ratio to `{peer}`, its time over theirs: more is faster)")
    for name, measured in results.items():
        seconds = statistics.median(one for one, _ in measured)
        ratios = [base / one for (base, _), (one, _) in zip(results[peer], measured, strict=True)]
        memory = max(peak for _, peak in measured)
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"  {name:<24} {seconds:8.2f} s   x {statistics.median(ratios):5.2f} ({spread})   peak {memory:6.0f} MiB")


def main() -> None:
    """Make the inputs, measure, clean up."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder by default")
    parser.add_argument("--size", type=int, default=1024, help="size of the large set in MiB")
    parser.add_argument("--files", type=int, default=20_000, help="how many small files")
    parser.add_argument("--entries", type=int, default=1_000_000, help="entries of the large index")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds")
    parser.add_argument("--only", nargs="*", default=[], help="only groups whose name contains one of these")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tokar-bench-", dir=arguments.folder) as name:
        work = Path(name)
        # In a process of its own: a child's peak memory begins with that of its parent.
        maker = multiprocessing.Process(
            target=make_inputs, args=(work, arguments.size, arguments.files, arguments.entries)
        )
        maker.start()
        maker.join()
        for group in groups(work):
            if not arguments.only or any(word in group.name for word in arguments.only):
                measure(group, arguments.rounds)


main()
