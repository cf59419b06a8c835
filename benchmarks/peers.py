"""tokar beside the tools that people would pick instead, each as it stores without compressing.

    python -m benchmarks.peers [--folder DIR] [--size MIB] [--logs N] [--databases MIB] [--files N] [--rounds N]
                               [--minutes N] [--only NAME...] [--tools NAME...] [--table]

Three sets: one large file; the set that people have (logs of 1 MiB and two databases); many files of 1 KiB. Three
operations: create, verify, restore. A round runs every tool once, in another order each time, and a time ends when all
is on the disk: each command is followed by a sync of its file system, for those that sync themselves too. What was read
before lies in the cache (warm). A cell is the time over that of `cp` (create, restore) or of reading the bytes with
`cat` (verify) in the same round: the median of the rounds, with its 95 % interval. Less is faster. Nothing is
installed; a tool that is not there is left out. `--minutes` bounds all of it: rounds end where the share of their set
is used up, but not before the third. `--table` writes the tables into the page of the manual as well.

Of many small files nothing is removed before the end of a round, and the next waits a minute then: for that long ext4
does not use what it kept of a removed file, and looks past it for each new one, so that whoever comes after a removal
would take many times as long.

borg and restic deduplicate, and restic always encrypts and compresses a little: they do more than what is asked here.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import random
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.sets import make_logs_and_databases, make_one_file, make_small_files
from benchmarks.timing import ENVIRONMENT, TOKAR, Job, ratio, remove, run

PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "speed.md"
_BEGIN, _END = "<!-- measured -->", "<!-- end -->"
_LEAST_ROUNDS = 3
_AFTER_MANY = 65.0  # seconds


@dataclass(frozen=True)
class Tool:
    """A tool and its commands; `{set}` is the folder, `{to}` the archive, `{out}` where it is restored to.

    Attributes:
        program: What must be on the PATH.
        create: Writes the archive.
        restore: Writes the files again, into a folder that is there.
        verify: Reads the archive and proves it; empty if the tool has nothing of the kind.
    """

    program: str
    create: str
    restore: str
    verify: str = ""


TOOLS = {
    "cp": Tool("cp", "cp -r {set} {to}", "cp -r {to} {out}/"),
    "tokar": Tool(
        "python3",
        f"{TOKAR} create -q --all --compress none {{to}} {{set}}",
        f"{TOKAR} restore -q {{to}} --into {{out}}/set",
        f"{TOKAR} verify -q {{to}}",
    ),
    "tar": Tool("tar", "tar cf {to} -C {set} .", "tar xf {to} -C {out}"),
    "bsdtar": Tool("bsdtar", "bsdtar cf {to} -C {set} .", "bsdtar xf {to} -C {out}"),
    "7z": Tool("7z", "cd {set} && 7z a -t7z -mx=0 {to}.7z . && mv {to}.7z {to}", "7z x -o{out} {to}", "7z t {to}"),
    "dar": Tool(
        "dar",
        "mkdir {to} && dar -Q -c {to}/set -R {set}",
        "dar -Q -x {to}/set -R {out}",
        "dar -Q -t {to}/set",
    ),
    "borg": Tool(
        "borg",
        "borg init -e none {to} && cd {set} && borg create -C none {to}::one .",
        "cd {out} && borg extract {to}::one",
        "borg check --verify-data {to}",
    ),
    "restic": Tool(
        "restic",
        "restic -q init --repo {to} && cd {set} && restic -q --repo {to} backup --compression off .",
        "restic -q --repo {to} restore latest --target {out}",
        "restic -q --repo {to} check --read-data",
    ),
    "wimlib": Tool(
        "wimlib-imagex",
        "wimlib-imagex capture {set} {to} --compress=none --check --quiet",
        "wimlib-imagex apply {to} 1 {out} --quiet",
        "wimlib-imagex verify {to} --quiet",
    ),
}
PEERS_ENVIRONMENT = {
    "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
    "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
    "RESTIC_PASSWORD": "benchmark",
}


class Race:
    """The tools on one set, in turn.

    Args:
        folder: The set.
        work: Where archives and restored files lie.
        tools: Names of `TOOLS`, `cp` first.
        many: Whether it is of many files, so that nothing is removed before the end of a round.
    """

    def __init__(self, folder: Path, work: Path, tools: list[str], *, many: bool) -> None:
        self._folder = folder
        self._work = work
        self._tools = tools
        self._many = many
        self._times: dict[tuple[str, str], list[float]] = {}

    def _archive(self, tool: str) -> Path:
        return self._work / f"archive.{tool}"

    def _out(self, tool: str) -> Path:
        return self._work / f"out.{tool}"

    def _time(self, operation: str, tool: str, command: str, *, synced: bool) -> None:
        command = command.format(set=self._folder, to=self._archive(tool), out=self._out(tool))
        command = f"({command}) && sync -f {self._work}" if synced else command
        self._times.setdefault((operation, tool), []).append(run(Job(tool, command)).seconds)

    def run(self, rounds: int, seconds: float) -> int:
        """Run rounds until there are enough or the time is up; the first, which warms up, does not count."""
        end, number = time.monotonic() + seconds, 0
        while number <= rounds and (number <= _LEAST_ROUNDS or time.monotonic() < end):
            dice = random.Random(number)
            for tool in dice.sample(self._tools, len(self._tools)):
                self._time("create", tool, TOOLS[tool].create, synced=True)
            for tool in self._tools:  # some leave nothing of what they write in the cache
                run(Job(tool, f"find {self._archive(tool)} -type f -exec cat {{}} + > /dev/null"))
            self._time("verify", "cp", "cat {to}/* > /dev/null", synced=False)
            for tool in dice.sample(self._tools, len(self._tools)):
                if TOOLS[tool].verify:
                    self._time("verify", tool, TOOLS[tool].verify, synced=False)
            for tool in dice.sample(self._tools, len(self._tools)):
                self._out(tool).mkdir()
                self._time("restore", tool, TOOLS[tool].restore, synced=True)
                if not self._many:
                    remove(self._out(tool))
            if not number:
                self._times.clear()
            number += 1
            self._remove_all()
        return number - 1

    def _remove_all(self) -> None:
        """Remove what a round wrote."""
        for tool in self._tools:
            remove(self._archive(tool))
            remove(self._out(tool))
        if self._many:
            os.sync()
            time.sleep(_AFTER_MANY)

    def cell(self, operation: str, tool: str) -> str:
        """Return the ratio of one operation to that of `cp`, or a dash."""
        if (operation, tool) not in self._times:
            return "-"
        median, low, high = ratio(self._times[operation, tool], self._times[operation, "cp"])
        return f"{median:.2f} [{low:.2f}-{high:.2f}]"


def write_page(text: str) -> None:
    """Put what was measured between the marks of the page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    PAGE.write_text(f"{before}{_BEGIN}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def machine(folder: Path | None) -> str:
    """Return what kind of machine this is."""
    info = Path("/proc/cpuinfo")
    models = re.findall(r"^model name\s*: (.+)$", info.read_text(), re.MULTILINE) if info.exists() else []
    kind = subprocess.run(["stat", "-f", "-c", "%T", folder or tempfile.gettempdir()], capture_output=True, check=False)
    parts = [f"{os.cpu_count()} processors", *models[:1], f"{platform.system()} {platform.release()}"]
    return ", ".join([*parts, kind.stdout.decode().strip(), f"Python {platform.python_version()}"])


def main() -> None:
    """Make the sets, measure, clean up."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder by default")
    parser.add_argument("--size", type=int, default=4096, help="size of the one large file in MiB")
    parser.add_argument("--logs", type=int, default=1000, help="how many logs of 1 MiB")
    parser.add_argument("--databases", type=int, default=1024, help="size of each of the two databases in MiB")
    parser.add_argument("--files", type=int, default=100_000, help="how many small files")
    parser.add_argument("--rounds", type=int, default=15, help="counted rounds")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="about how long all of it may take")
    parser.add_argument("--only", nargs="*", default=[], help="only sets whose name contains one of these")
    parser.add_argument("--tools", nargs="*", default=list(TOOLS), choices=list(TOOLS), help="only these, and cp")
    parser.add_argument("--table", action="store_true", help=f"write the tables into {PAGE.name} as well")
    arguments = parser.parse_args()
    tools = [name for name, tool in TOOLS.items() if name in {"cp", *arguments.tools} and shutil.which(tool.program)]
    missing = [name for name in arguments.tools if name not in tools]
    if missing:
        print(f"not there, so left out: {', '.join(missing)}")
    size, logs, databases, files = arguments.size, arguments.logs, arguments.databases, arguments.files
    sets: dict[str, tuple[str, Callable[[Path], None]]] = {
        "one-large-file": (f"One file of {size} MiB", partial(make_one_file, mebibytes=size)),
        "logs-and-databases": (
            f"{logs} logs of 1 MiB and two databases of {databases} MiB",
            partial(make_logs_and_databases, logs=logs, mebibytes=databases),
        ),
        "small-files": (f"{files:,} files of 1 KiB", partial(make_small_files, count=files)),
    }
    chosen = [name for name in sets if not arguments.only or any(word in name for word in arguments.only)]
    lines = [f"{machine(arguments.folder)}; warm cache, all on the disk."]
    print(lines[0])
    with tempfile.TemporaryDirectory(prefix="tokar-bench-", dir=arguments.folder) as name:
        work = Path(name)
        ENVIRONMENT.update(PEERS_ENVIRONMENT, BORG_BASE_DIR=f"{work}/borg", RESTIC_CACHE_DIR=f"{work}/restic")
        for one in chosen:
            title, make = sets[one]
            # In a process of its own: a child's peak memory begins with that of its parent.
            maker = multiprocessing.Process(target=make, args=(work / one,))
            maker.start()
            maker.join()
            race = Race(work / one, work, tools, many=one == "small-files")
            rounds = race.run(arguments.rounds, 60 * arguments.minutes / len(chosen))
            table = [f"### {title}", "", f"| {rounds} rounds | create | verify | restore |", "|---|---|---|---|"]
            for tool in tools[1:]:
                cells = [race.cell(operation, tool) for operation in ("create", "verify", "restore")]
                table.append(f"| {tool} | {' | '.join(cells)} |")
            print("", *table, sep="\n", flush=True)
            lines += ["", *table]
            remove(work / one)
    if arguments.table:
        write_page("\n".join(lines))


if __name__ == "__main__":
    main()
