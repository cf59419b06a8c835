"""Coverage-guided fuzzing of every parser, by atheris (libFuzzer): each must take or refuse whatever it is given.

Run it from the top of the project::

    python -m tests.fuzz --seconds 60 [--corpus build/fuzz] [TARGET...]

Each target runs in a process of its own, for so many seconds. What reached new code is kept in the corpus and is where
the next run begins. A target stops at its first fault: an exception that is no `ArchiveError`, readers that disagree,
more than ten seconds or 2 GiB of memory. The case is kept beside the corpus, and the exit code is 1.

What all runs on a corpus come to is kept in its `counts.tsv`: the goal for each target is five million executions, or
an hour in which no new code was reached. `--least N` runs the N targets that are furthest from it. Cases that have to
be files lie in the folder for temporary files: `TMPDIR` can name one in memory, which is faster.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

sys.path[:0] = [str(Path(__file__).parent / "support"), str(Path(__file__).parent)]

_LIMITS: Final = ("-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1")
_GOAL: Final = 5_000_000
_EVENT: Final = re.compile(r"^#(\d+)\s+(\w+)\s+cov: (\d+)", re.MULTILINE)
_RUNS: Final = re.compile(r"^stat::number_of_executed_units: (\d+)", re.MULTILINE)
_WORD: Final = re.compile(rb"[A-Za-z][A-Za-z_-]{2,23}")  # in seeds: what is put into other places too
_MOST_WORDS: Final = 200
_SPOILT: Final = {
    "archive",
    "archive-checks",
    "salvage",
    "verbs",
}  # targets that take archives: their records are changed as well


class Count(NamedTuple):
    """What the runs of a target come to."""

    runs: int = 0
    seconds: float = 0
    edges: int = 0  # Reached of the code
    since: float = 0  # Seconds since the last new one

    def __add__(self, other: Any) -> Count:
        since = other.since + (self.since if other.edges <= self.edges or other.since == other.seconds else 0)
        return Count(self.runs + other.runs, self.seconds + other.seconds, max(self.edges, other.edges), since)


def fuzz(name: str, corpus: Path, seconds: float, modules: list[str]) -> None:
    """Run one target until its time is over; libFuzzer ends the process."""
    import atheris  # noqa: PLC0415 # type: ignore[import-not-found] - only this needs it

    # atheris takes the names of whole packages, but of single modules to leave out
    others = [one for one in _modules() if not any(one == of or one.startswith(f"{of}.") for of in modules)]
    with atheris.instrument_imports(include=["tokar"], exclude=others, enable_loader_override=False):
        import fuzz_targets  # noqa: PLC0415 - what it imports is instrumented
    target = fuzz_targets.TARGETS[name]
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = {word for seed in target.seeds() for word in _WORD.findall(seed)}
    listed = "# of seeds\n" + "".join(f'"{word.decode()}"\n' for word in sorted(words)[:_MOST_WORDS])
    (named := corpus.with_name(f"{name}.words")).write_text(listed, encoding="ascii")
    options = [
        f"-max_total_time={seconds:.0f}",
        f"-max_len={target.largest}",
        f"-artifact_prefix={corpus}-",
        f"-dict={named}",
    ]
    mutate = {"custom_mutator": _mutate} if name in _SPOILT else {}

    def attempt(data: bytes) -> None:
        fuzz_targets.attempt(target, data)

    atheris.Setup([name, str(corpus), *_LIMITS, *options], attempt, **mutate)
    atheris.Fuzz()


def _modules() -> list[str]:
    """Return the names of all modules of the package."""
    source = Path(str(find_spec("tokar").origin)).parent  # type: ignore[union-attr] # it is there
    found = [path.relative_to(source.parent).with_suffix("").parts for path in source.rglob("*.py")]
    return [".".join(parts).removesuffix(".__init__") for parts in found]


def _mutate(data: bytes, size: int, seed: int) -> bytes:
    """Return an archive changed: its bytes, or its records, whose checks are put right then."""
    from fixtures.mutations import spoil, spoil_bytes  # noqa: PLC0415 - what it imports is instrumented by then

    chance = random.Random(seed)
    at = data.find(b"\x89TKR")
    if at < 0 or not data:
        return spoil_bytes(data or b"\0", data, chance)[:size]
    head = bytes([chance.randrange(256)]) if at == 1 and chance.random() < 0.2 else data[:at]
    return head + spoil(data[at:], data[at:], chance)[: size - at]


def _counted(log: str, seconds: float) -> Count:
    """Return what the log of one run says; what the corpus reaches before anything is tried is not new."""
    events = [(int(one[1]), int(one[3])) for one in _EVENT.finditer(log)]
    runs = max([int(found[1]) for found in _RUNS.finditer(log)], default=events[-1][0] if events else 0)
    begun = max((int(one[1]) for one in _EVENT.finditer(log) if one[2] == "INITED"), default=0)
    reached, last = 0, 0
    for number, coverage in events:
        if coverage > reached:
            reached, last = coverage, number
    return Count(runs, seconds, reached, seconds * (1 - last / runs) if last > begun else seconds)


def _counts(corpus: Path) -> dict[str, Count]:
    """Return what all runs on a corpus come to."""
    path = corpus / "counts.tsv"
    rows = [line.split("\t") for line in path.read_text().splitlines()[1:]] if path.exists() else []
    return {
        name: Count(int(runs), float(seconds), int(edges), float(since)) for name, runs, seconds, edges, since in rows
    }


def _keep(corpus: Path, counts: dict[str, Count]) -> None:
    rows = [
        f"{name}\t{one.runs}\t{one.seconds:.0f}\t{one.edges}\t{one.since:.0f}" for name, one in sorted(counts.items())
    ]
    corpus.mkdir(parents=True, exist_ok=True)
    (corpus / "counts.tsv").write_text("\n".join(["target\truns\tseconds\tedges\tseconds since a new one", *rows, ""]))


def main() -> int:
    """Run the targets that are asked for, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Feed parsers what nobody would write.")
    parser.add_argument("targets", nargs="*", help="which parsers (default: all)")
    parser.add_argument("--seconds", type=float, default=60, help="how long to run each (default: 60)")
    parser.add_argument("--corpus", type=Path, default=Path("build/fuzz"), help="where what was found is kept")
    parser.add_argument("--least", type=int, metavar="N", help="only the N that ran least so far")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        name = options.targets[0]
        fuzz(name, options.corpus / name, options.seconds, options.inside.split(","))
        return 0
    import fuzz_targets  # noqa: PLC0415 - needs the path above

    wanted, counts = options.targets or list(fuzz_targets.TARGETS), _counts(options.corpus)
    if options.least:
        wanted = sorted(wanted, key=lambda name: counts.get(name, Count()).runs)[: options.least]
    return max(_in_a_process(name, fuzz_targets.TARGETS[name].of, options) for name in wanted)


def _in_a_process(name: str, modules: tuple[str, ...], options: argparse.Namespace) -> int:
    """Run one target, and say what came of it; return 1 for a fault."""
    common = [sys.executable, "-m", "tests.fuzz", name, "--inside", ",".join(modules), "--corpus", str(options.corpus)]
    common += ["--seconds", str(options.seconds)]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as place:  # a target that libFuzzer ends cannot tidy up
        env = {**os.environ, "TMPDIR": place}
        done = subprocess.run(common, stderr=subprocess.PIPE, text=True, errors="replace", check=False, env=env)
    found = _counted(done.stderr, min(options.seconds, time.monotonic() - begun))  # a fault ends it sooner
    counts = _counts(options.corpus)
    counts[name] = all_of = counts.get(name, Count()) + found
    _keep(options.corpus, counts)
    sys.stdout.write(
        f"{name:16} {found.runs:>10,} runs, {all_of.runs:>11,} in all ({all_of.runs / _GOAL:.0%}), "
        f"{all_of.edges:>5} edges, {all_of.since:,.0f} s since a new one\n"
    )
    if done.returncode:
        sys.stdout.write(done.stderr[-4000:] + "\n")
    sys.stdout.flush()
    return int(done.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
