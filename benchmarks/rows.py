"""What is compared with what: every row of `python -m benchmarks`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyrage

from benchmarks.sets import make_logs_and_databases, make_mixed, make_one_file, make_small_files
from benchmarks.timing import TOKAR, Job
from tokar.format.canonical_json import to_time
from tokar.format.compression import Compression
from tokar.format.metadata import Head
from tokar.format.writer import ArchiveWriter, system_clock
from tokar.storage.sink import FileSink

_CREATE = f"{TOKAR} create -q --all --compress none"
_RESTORE = f"{TOKAR} restore -q"
_FLOOR = f"{sys.executable} -m benchmarks.floor"


@dataclass(frozen=True)
class Sizes:
    """How large the sets are."""

    large: int  # MiB of the one large file, and of the set that is compressed
    logs: int  # How many logs of 1 MiB
    databases: int  # MiB of each database
    files: int  # How many files of 1 KiB
    entries: int  # Entries of the large index


@dataclass(frozen=True, kw_only=True)
class Row:
    """Commands that are compared with each other."""

    name: str  # What `--only` calls it
    what: str  # What it shows
    make: Callable[[], None]  # Makes its input, unless that is there
    jobs: tuple[Job, ...]  # The first is the peer of all others
    limits: tuple[tuple[str, str, float], ...] = ()  # A command, its peer, and the most that the ratio should be
    needs: tuple[Job, ...] = ()  # Run once, before; the others read what they write
    synced: bool = False  # Whether a time ends when all is on the disk
    cpu: bool = False  # Whether processor time counts: a start is too short for a clock on a shared machine
    # Whether outputs are removed only at the end: after a hundred thousand files have been removed ext4 is slow at
    # making new ones for a while, and whoever comes next would pay for it.
    keep: bool = False

    def is_called(self, words: Sequence[str]) -> bool:
        """Return whether its name contains one of these."""
        return any(word in self.name for word in words)


def rows(work: Path, sizes: Sizes) -> Iterator[Row]:
    """Yield all rows; everything lies in `work`."""
    one = partial(make_one_file, work / "large", sizes.large)
    usual = partial(make_logs_and_databases, work / "set", sizes.logs, sizes.databases)
    yield _twice(work, one)
    yield from _large(work, "large", "one large file", one, (1.2, 1.15, 1.3))
    yield from _large(work, "set", "many logs and two databases", usual, (1.2, 1.2, 1.4))
    yield from _small(work, sizes.files)
    yield from _pages(work, sizes.databases)
    yield _start(work)
    yield _index(work, sizes.entries)
    yield from _more(work, sizes)


def _twice(work: Path, make: Callable[[], None]) -> Row:
    """Return a row that shows how far its own ratios can be believed."""
    out = work / "out"
    jobs = tuple(Job(name, f"cp -r {work / 'large'} {out}", out) for name in ("cp", "cp again"))
    return Row(
        name="twice",
        what="one large file: the same copy twice, which should come to 1.00",
        make=make,
        jobs=jobs,
        synced=True,
    )


def _large(
    work: Path, name: str, what: str, make: Callable[[], None], limits: tuple[float, float, float]
) -> Iterator[Row]:
    folder, out, tar, stored = work / name, work / "out", work / "out.tar", work / "stored.tokar"
    cp = Job("cp", f"cp -r {folder} {out}", out)
    tarred, created = (
        Job("tar", f"tar cf {tar} -C {folder} .", tar),
        Job("create", f"{_CREATE} {stored} {folder}", stored),
    )
    yield Row(
        name=f"create-{name}",
        what=f"{what}: create, on the disk",
        make=make,
        jobs=(cp, tarred, Job("floor", f"{_FLOOR} create {stored} {folder}", stored), created),
        limits=(("create", "cp", limits[0]), ("create", "floor", 1.1)),
        synced=True,
    )
    yield Row(
        name=f"restore-{name}",
        what=f"{what}: restore with every digest, on the disk",
        make=make,
        jobs=(
            cp,
            Job("tar", f"mkdir {out} && tar xf {tar} -C {out}", out),
            Job("floor", f"{_FLOOR} restore {folder} {out}", out),
            Job("restore", f"{_RESTORE} {stored} --into {out}", out),
        ),
        limits=(("restore", "cp", limits[1]), ("restore", "floor", 1.1)),
        needs=(tarred, created),
        synced=True,
    )
    yield Row(
        name=f"verify-{name}",
        what=f"{what}: verify",
        make=make,
        jobs=(
            Job("cat", f"cat {stored} > /dev/null"),
            Job("floor", f"{_FLOOR} verify {stored}"),
            Job("verify", f"{TOKAR} verify -q {stored}"),
        ),
        limits=(("verify", "cat", limits[2]), ("verify", "floor", 1.1)),
        needs=(created,),
    )


def _small(work: Path, count: int) -> Iterator[Row]:
    folder, out, tar, stored, zipped = (work / name for name in ("files", "out", "out.tar", "stored.tokar", "out.7z"))
    make = partial(make_small_files, folder, count)
    tarred, created = (
        Job("tar", f"tar cf {tar} -C {folder} .", tar),
        Job("create", f"{_CREATE} {stored} {folder}", stored),
    )
    seven = (Job("7z", f"cd {folder} && 7z a -t7z -mx=0 {zipped} .", zipped),) if shutil.which("7z") else ()
    unzip = tuple(Job("7z", f"7z x -o{out} {zipped}", out) for _ in seven)
    yield Row(
        name="create-files",
        what="many files of 1 KiB: create, on the disk",
        make=make,
        jobs=(tarred, *seven, Job("floor", f"{_FLOOR} create {stored} {folder}", stored), created),
        limits=(("create", "tar", 2.5), ("create", "floor", 1.1), *(("create", "7z", 1.0) for _ in seven)),
        synced=True,
    )
    yield Row(
        name="restore-files",
        what="many files of 1 KiB: restore, on the disk",
        make=make,
        jobs=(
            Job("tar", f"mkdir {out} && tar xf {tar} -C {out}", out),
            *unzip,
            Job("floor", f"{_FLOOR} restore {folder} {out}", out),
            Job("restore", f"{_RESTORE} {stored} --into {out}", out),
        ),
        limits=(("restore", "tar", 2.0), ("restore", "floor", 1.1), *(("restore", "7z", 1.0) for _ in seven)),
        needs=(tarred, *seven, created),
        synced=True,
        keep=True,
    )


def _make_databases(folder: Path, mebibytes: int) -> None:
    from benchmarks.databases import make_databases  # noqa: PLC0415 - numpy: a child's peak begins with ours

    make_databases(folder, mebibytes)


def _make_database(path: Path, mebibytes: int) -> None:
    from benchmarks.databases import make_database  # noqa: PLC0415

    make_database(path, 8192, mebibytes)


def _pages(work: Path, mebibytes: int) -> Iterator[Row]:
    folder, stored, one = work / "pages", work / "stored.tokar", work / "database"
    created = Job("create", f"{_CREATE} {stored} {folder}", stored)
    yield Row(
        name="create-pages",
        what="databases with pages of 4, 8 and 32 KiB: create with pages examined, and without",
        make=partial(_make_databases, folder, 2 * mebibytes),
        jobs=(
            Job("create --no-examine", f"{_CREATE} --no-examine {stored} {folder}", stored),
            Job("floor", f"{_FLOOR} create --sums {stored} {folder}", stored),
            created,
        ),
        limits=(("create", "create --no-examine", 1.15), ("create", "floor", 1.1)),
        synced=True,
    )
    file, archive = one / "8192.edb", work / "database.tokar"
    yield Row(
        name="check-pages",
        what="a database: the bare reading, reading with sums and nothing else, and what checks pages",
        make=partial(_make_database, file, 2 * mebibytes),
        jobs=(
            Job("cat", f"cat {file} > /dev/null"),
            Job("reading and sums", f"{sys.executable} -m benchmarks.pages --read {file}"),
            Job("inspect --pages", f"{TOKAR} inspect --pages {file}"),
            Job("check, folder", f"{TOKAR} check --content {one}"),
            Job("check, archive", f"{TOKAR} check --content {archive}"),
        ),
        needs=(Job("create", f"{_CREATE} {archive} {one}", archive),),
    )


def _nothing() -> None:
    pass


def _start(work: Path) -> Row:
    packed, app = work / "packed.tokar", "import typer; typer.run(lambda: None)"
    verbs = ("verify", "inspect", "check", "chain")
    jobs = [Job("--help", f"{TOKAR} --help"), *(Job(verb, f"{TOKAR} {verb} {packed}") for verb in verbs)]
    return Row(
        name="start",
        what="a small archive: processor time beside that of Python with typer",
        make=_nothing,
        jobs=(Job("python, typer", f"{sys.executable} -c '{app}'"), *jobs),
        limits=tuple((job.name, "python, typer", 2.0) for job in jobs),
        needs=(Job("create", f"{_CREATE} {packed} 0x0F={__file__}", packed),),
        cpu=True,
    )


def _make_index(path: Path, count: int) -> None:
    """Write an archive with many tiny entries."""
    if path.exists():
        return
    head = Head(to_time(system_clock()), "collected", "ese", "benchmark")
    with ArchiveWriter(FileSink(path), head, compression=Compression(None)) as writer:
        for number in range(count):
            writer.add_bytes(0x21, f"dir{number // 1000:03d}/f{number:07d}.dat", b"x")


def _index(work: Path, entries: int) -> Row:
    few, many = work / "few.tokar", work / "many.tokar"
    return Row(
        name="index",
        what="inspect of an archive with many entries, beside one with few",
        make=partial(_make_index, many, entries),
        jobs=(Job("few entries", f"{TOKAR} inspect {few}"), Job("many entries", f"{TOKAR} inspect {many}")),
        needs=(Job("create", f"{_CREATE} {few} 0x0F={__file__}", few),),
    )


def _more(work: Path, sizes: Sizes) -> Iterator[Row]:
    """Yield what compression and encryption cost."""
    big, small = work / "mixed", work / "files"
    make_big, make_small = partial(make_mixed, big, sizes.large), partial(make_small_files, small, sizes.files)
    zst, packed = work / "out.zst", work / "packed.tokar"
    yield Row(
        name="compress",
        what="files of which half compress: create as it is by default",
        make=make_big,
        jobs=(
            Job("tar | zstd -1 -T2", f"tar cf - -C {big} . | zstd -q -1 -T2 -o {zst}", zst),
            Job("create", f"{TOKAR} create -q --all {packed} {big}", packed),
        ),
        synced=True,
    )
    for name, folder, make in (("large", big, make_big), ("files", small, make_small)):
        yield from _encryption(work, name, folder, make)


def _encryption(work: Path, name: str, folder: Path, make: Callable[[], None]) -> Iterator[Row]:
    out, plain, sealed = work / "out", work / "plain.tokar", work / "sealed.tokar"
    identity, recipients = work / "identity", work / "recipients"
    if not identity.exists():
        made = pyrage.x25519.Identity.generate()
        identity.write_text(f"{made}\n")
        recipients.write_text(f"{made.to_public()}\n")
    create = Job("create", f"{TOKAR} create -q --all {plain} {folder}", plain)
    seal = Job("create, encrypted", f"{TOKAR} create -q --all {sealed} {folder} --recipients-file {recipients}", sealed)
    restore = (
        Job("restore", f"{_RESTORE} {plain} --into {out}", out),
        Job("restore, encrypted", f"{_RESTORE} {sealed} --into {out} --identity {identity}", out),
    )
    verify = (Job("verify", f"{TOKAR} verify -q {plain}"), Job("verify, encrypted", f"{TOKAR} verify -q {sealed}"))
    for verb, jobs, needs in (
        ("create", (create, seal), ()),
        ("restore", restore, (create, seal)),
        ("verify", verify, (create, seal)),
    ):
        what = f"{name}: {verb} with encryption, beside the same without"
        yield Row(name=f"encrypt-{verb}-{name}", what=what, make=make, jobs=jobs, needs=needs, synced=verb != "verify")
