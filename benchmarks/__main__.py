"""What tokar costs beside the bare work: `cp`, reading, `tar`, a bare start of Python.

    python -m benchmarks [--only NAME...] [--rounds N] [--folder DIR] [--size MIB] [--logs N] [--databases MIB]
                         [--files N] [--entries N] [--list]

A row is some commands that are run in turn: each is a whole process, run once without counting and then in rounds, each
in another order, so that what one leaves behind (dirty pages, memory that a host takes back) does not always meet the
same other. What is printed is the time of a command over that of its peer in the same round: the median of all rounds,
with its 95 % interval. Less is faster. What writes is timed until all is on the disk, for both sides: each command is
followed by a sync of its file system, for those that sync themselves too. What is read lies in the cache. What a
command wrote is removed after each run, unless a later row reads it. Python keeps its compiled modules, as an installed
program does. `--folder` should be on the file system that matters.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import statistics
import tempfile
from pathlib import Path

from benchmarks.rows import Row, Sizes, rows
from benchmarks.timing import Cost, Job, ratio, remove, run


def measure(row: Row, rounds: int) -> dict[str, list[Cost]]:
    """Run the commands of a row in turn; return what each took."""
    results: dict[str, list[Cost]] = {job.name: [] for job in row.jobs}
    aside: list[Path] = []
    # In a process of its own: a child's peak memory begins with that of its parent.
    maker = multiprocessing.Process(target=row.make)
    maker.start()
    maker.join()
    if maker.exitcode:
        raise SystemExit(f"the set of {row.name} could not be made")
    for job in row.needs:
        run(job)
    for number in range(rounds + 1):
        for job in random.Random(number).sample(row.jobs, len(row.jobs)):
            command = f"({job.command}) && sync -f {job.output}" if row.synced else job.command
            cost = run(Job(job.name, command, job.output))
            if row.keep and job.output is not None:
                aside.append(job.output.rename(job.output.with_name(f"aside-{len(aside)}")))
            remove(job.output)
            if number:
                results[job.name].append(cost)
    for path in (*aside, *(job.output for job in row.needs)):
        remove(path)
    return results


def lines(row: Row, results: dict[str, list[Cost]]) -> list[list[str]]:
    """Return a line for each command but the first, and one more for each further peer that it must reach."""
    limits = {(name, peer): limit for name, peer, limit in row.limits}
    first = row.jobs[0].name
    pairs = [(job.name, first) for job in row.jobs[1:]]
    found = []
    for name, peer in [*pairs, *(pair for pair in limits if pair not in pairs)]:
        costs = results[name]
        times = {one: [cost.processor if row.cpu else cost.seconds for cost in results[one]] for one in (name, peer)}
        median, low, high = ratio(times[name], times[peer])
        wanted = f"<= {limits[name, peer]}" if (name, peer) in limits else ""
        seconds, memory = statistics.median(times[name]), max(cost.memory for cost in costs)
        ratios = f"{median:.2f} [{low:.2f}-{high:.2f}]"
        found.append([row.name, name, peer, ratios, wanted, f"{seconds:.2f} s", f"{memory:.0f} MiB"])
    return found


def main() -> None:
    """Make the inputs, measure, clean up."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder by default")
    parser.add_argument("--size", type=int, default=4096, help="size of the one large file in MiB")
    parser.add_argument("--logs", type=int, default=1000, help="how many logs of 1 MiB")
    parser.add_argument("--databases", type=int, default=1024, help="size of each database in MiB")
    parser.add_argument("--files", type=int, default=100_000, help="how many small files")
    parser.add_argument("--entries", type=int, default=1_000_000, help="entries of the large index")
    parser.add_argument("--rounds", type=int, default=15, help="counted rounds")
    parser.add_argument("--only", nargs="*", default=[], help="only rows whose name contains one of these")
    parser.add_argument("--list", action="store_true", help="only print the names of the rows")
    arguments = parser.parse_args()
    sizes = Sizes(arguments.size, arguments.logs, arguments.databases, arguments.files, arguments.entries)
    layout = "{:<21} {:<18} {:<19} {:<19} {:<7} {:>9} {:>9}"
    with tempfile.TemporaryDirectory(prefix="tokar-bench-", dir=arguments.folder) as name:
        chosen = [one for one in rows(Path(name), sizes) if not arguments.only or one.is_called(arguments.only)]
        if arguments.list:
            print(*(f"{one.name:<21} {one.what}" for one in chosen), sep="\n")
            return
        print(layout.format("row", "command", "over", "time over time", "wanted", "median", "peak"))
        for row in chosen:
            for line in lines(row, measure(row, arguments.rounds)):
                print(layout.format(*line), flush=True)


main()
