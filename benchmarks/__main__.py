"""What tokar costs beside `cp` and `tar`, measured in turn in one run.

    python -m benchmarks [--folder DIR] [--size MIB] [--files N] [--entries N] [--rounds N] [--only NAME...]

Every command is a whole process, run once without counting and then in rounds, each in another order, so that what one
leaves behind (dirty pages, memory that a host takes back) does not always meet the same other. What it wrote is removed
after each run, unless a later group reads it, so that memory and room do not decide. Medians and best times are printed
with their ratio to the named peer, so that a machine whose speed drifts does not decide either. Python keeps its
compiled modules, as an installed program does. `--folder` should be on the file system that matters; for the speed of
the code alone, one in memory (/dev/shm).
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import statistics
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyrage

from benchmarks.sets import make_set, make_small_files
from benchmarks.timing import TOKAR, Job, remove, run
from tokar.format.canonical_json import to_time
from tokar.format.compression import Compression
from tokar.format.metadata import Head
from tokar.format.writer import ArchiveWriter, system_clock
from tokar.storage.sink import FileSink

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Group:
    """Commands that are compared with each other: the first is the peer.

    Attributes:
        name: What they do.
        make: Makes the input of the group, unless it is there.
        jobs: The commands.
        needs: Commands that are run once, before, whose outputs the others read.
        keep: Whether outputs are moved aside and removed at the end: after a hundred thousand files have been removed,
            ext4 is slow at making new ones for a while, and whoever comes next would pay for it.
    """

    name: str
    make: Callable[[], None]
    jobs: tuple[Job, ...]
    needs: tuple[Job, ...] = ()
    keep: bool = False


def make_index(path: Path, count: int) -> None:
    """Write an archive with many tiny entries."""
    head = Head(to_time(system_clock()), "collected", "ese", "benchmark")
    with ArchiveWriter(FileSink(path), head, compression=Compression(None)) as writer:
        for number in range(count):
            writer.add_bytes(0x21, f"dir{number // 1000:03d}/f{number:07d}.dat", b"x")


def groups(work: Path, mebibytes: int, files: int, entries: int) -> list[Group]:
    """Return what is measured; everything lies in `work`."""
    big, small, index = work / "set", work / "small", work / "index.tokar"
    out, tar, zst = work / "out", work / "out.tar", work / "out.zst"
    stored, packed = work / "stored.tokar", work / "packed.tokar"
    make_big, make_small = partial(make_set, big, mebibytes), partial(make_small_files, small, files)
    cp = Job("cp", f"cp -r {big} {out}", out)
    tar_big = Job("tar cf", f"tar cf {tar} -C {big} .", tar)
    create_stored = Job("create --compress none", f"{TOKAR} create -q --all --compress none {stored} {big}", stored)
    create = Job("create", f"{TOKAR} create -q --all {packed} {big}", packed)
    tar_small = Job("tar cf; sync", f"tar cf {tar} -C {small} . && sync", tar)
    create_small = Job("create", f"{TOKAR} create -q --all {packed} {small}", packed)
    return [
        Group("one large set: writing", make_big, (cp, tar_big, create_stored)),
        Group(
            "one large set: compressing",
            make_big,
            (Job("tar | zstd -1 -T2", f"tar cf - -C {big} . | zstd -q -1 -T2 -o {zst}", zst), create),
        ),
        Group(
            "one large set: verifying",
            make_big,
            (
                cp,
                Job("verify", f"{TOKAR} verify -q {stored}"),
                Job("verify --content", f"{TOKAR} verify -q --content {stored}"),
            ),
            needs=(create_stored,),
        ),
        Group(
            "one large set: restoring",
            make_big,
            (
                cp,
                Job("tar xf", f"mkdir {out} && tar xf {tar} -C {out}", out),
                Job("restore", f"{TOKAR} restore -q {stored} --into {out}", out),
                Job("restore, compressed", f"{TOKAR} restore -q {packed} --into {out}", out),
            ),
            needs=(tar_big, create_stored, create),
        ),
        Group("small files: writing", make_small, (tar_small, create_small)),
        Group(
            "small files: reading",
            make_small,
            (
                Job("tar xf; sync", f"mkdir {out} && tar xf {tar} -C {out} && sync", out),
                Job("restore", f"{TOKAR} restore -q {packed} --into {out}", out),
                Job("verify", f"{TOKAR} verify -q {packed}"),
            ),
            needs=(tar_small, create_small),
            keep=True,
        ),
        *encryption_groups(work, big, small, make_big, make_small),
        Group(
            "starting, and a large index",
            partial(make_index, index, entries),
            (
                Job("python with typer", f"{sys.executable} -c 'import typer; typer.run(lambda: None)'"),
                Job("inspect, few entries", f"{TOKAR} inspect {packed}"),
                Job("inspect, large index", f"{TOKAR} inspect {index}"),
            ),
            needs=(Job("create", f"{TOKAR} create -q --all {packed} 0x0F={__file__}", packed),),
        ),
    ]


def encryption_groups(
    work: Path, big: Path, small: Path, make_big: Callable[[], None], make_small: Callable[[], None]
) -> list[Group]:
    """Return what encryption costs: the same work without it is the peer."""
    out, plain, sealed = work / "out", work / "plain.tokar", work / "sealed.tokar"
    identity, recipients = work / "identity", work / "recipients"
    if not identity.exists():
        made = pyrage.x25519.Identity.generate()
        identity.write_text(f"{made}\n")
        recipients.write_text(f"{made.to_public()}\n")
    found = []
    for what, folder, make in (("one large set", big, make_big), ("small files", small, make_small)):
        create = Job("create", f"{TOKAR} create -q --all {plain} {folder}", plain)
        seal = Job(
            "create, encrypted", f"{TOKAR} create -q --all {sealed} {folder} --recipients-file {recipients}", sealed
        )
        restore = (
            Job("restore", f"{TOKAR} restore -q {plain} --into {out}", out),
            Job("restore, encrypted", f"{TOKAR} restore -q {sealed} --into {out} --identity {identity}", out),
        )
        verify = (Job("verify", f"{TOKAR} verify -q {plain}"), Job("verify, encrypted", f"{TOKAR} verify -q {sealed}"))
        found += [
            Group(f"encryption, {what}: writing", make, (create, seal)),
            Group(f"encryption, {what}: restoring", make, restore, needs=(create, seal)),
            Group(f"encryption, {what}: verifying", make, verify, needs=(create, seal)),
        ]
    return found


def measure(group: Group, rounds: int) -> None:
    """Run a group in turn and print its table."""
    results: dict[str, list[tuple[float, float]]] = {job.name: [] for job in group.jobs}
    aside: list[Path] = []
    # In a process of its own: a child's peak memory begins with that of its parent.
    maker = multiprocessing.Process(target=group.make)
    maker.start()
    maker.join()
    for job in group.needs:
        run(job)
    for number in range(rounds + 1):
        for job in random.Random(number).sample(group.jobs, len(group.jobs)):
            result = run(job)
            if group.keep and job.output is not None:
                aside.append(job.output.rename(job.output.with_name(f"aside-{len(aside)}")))
            remove(job.output)
            if number:
                results[job.name].append(result)
    for path in (*aside, *(job.output for job in group.needs)):
        remove(path)
    peer = group.jobs[0].name
    print(f"\n{group.name} (ratio to `{peer}`, its time over theirs: more is faster)")
    print(f"  {'':<24} {'median':>10} {'best':>10}   {'ratio of medians, of bests':<28} {'peak':>8}")
    base = [one for one, _ in results[peer]]
    for name, measured in results.items():
        seconds = [one for one, _ in measured]
        median, best = statistics.median(seconds), min(seconds)
        memory = max(peak for _, peak in measured)
        ratios = f"x {statistics.median(base) / median:5.2f}    x {min(base) / best:5.2f}"
        print(f"  {name:<24} {median:8.2f} s {best:8.2f} s   {ratios:<28} {memory:4.0f} MiB", flush=True)


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
        for group in groups(Path(name), arguments.size, arguments.files, arguments.entries):
            if not arguments.only or any(word in group.name for word in arguments.only):
                measure(group, arguments.rounds)


main()
