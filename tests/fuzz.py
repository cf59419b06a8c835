"""Coverage-guided fuzzing of every parser, by atheris (libFuzzer): each must take or refuse whatever it is given.

Run it from the top of the project::

    python -m tests.fuzz --seconds 60 [--corpus build/fuzz] [TARGET...]

Each target runs in a process of its own, for so many seconds. What reached new code is kept in the corpus and is where
the next run begins. A target stops at its first fault: an exception that is no `ArchiveError`, readers that disagree,
more than ten seconds or 2 GiB of memory. The case is kept beside the corpus, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

sys.path[:0] = [str(Path(__file__).parent / "support"), str(Path(__file__).parent)]

_LIMITS: Final = ("-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1")
_EVENT: Final = re.compile(r"^#(\d+)\s+\w+\s+cov: (\d+)", re.MULTILINE)
_RUNS: Final = re.compile(r"^stat::number_of_executed_units: (\d+)", re.MULTILINE)
_SPOILT: Final = {"archive", "salvage", "verbs"}  # targets that take archives: their records are changed as well


def fuzz(name: str, corpus: Path, seconds: float) -> None:
    """Run one target until its time is over; libFuzzer ends the process."""
    import atheris  # noqa: PLC0415 # type: ignore[import-not-found] - only this needs it

    with atheris.instrument_imports(include=["tokar"], enable_loader_override=False):
        import fuzz_targets  # noqa: PLC0415 - what it imports is instrumented
    target = fuzz_targets.TARGETS[name]
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [f"-max_total_time={seconds:.0f}", f"-max_len={target.largest}", f"-artifact_prefix={corpus}-"]
    mutate = {"custom_mutator": _mutate} if name in _SPOILT else {}

    def attempt(data: bytes) -> None:
        fuzz_targets.attempt(target, data)

    atheris.Setup([name, str(corpus), *_LIMITS, *options], attempt, **mutate)
    atheris.Fuzz()


def _mutate(data: bytes, size: int, seed: int) -> bytes:
    """Return an archive changed: its bytes, or its records, whose checks are put right then."""
    from fixtures.mutations import spoil, spoil_bytes  # noqa: PLC0415 - what it imports is instrumented by then

    chance = random.Random(seed)
    at = data.find(b"\x89TKR")
    if at < 0 or not data:
        return spoil_bytes(data or b"\0", data, chance)[:size]
    head = bytes([chance.randrange(256)]) if at == 1 and chance.random() < 0.2 else data[:at]
    return head + spoil(data[at:], data[at:], chance)[: size - at]


def _report(name: str, log: str) -> str:
    """Return one line on a run: executions, what of the code was reached, and how far back that grew."""
    events = [(int(one[1]), int(one[2])) for one in _EVENT.finditer(log)]
    runs = max([int(found[1]) for found in _RUNS.finditer(log)], default=events[-1][0] if events else 0)
    reached, last = 0, 0
    for number, coverage in events:
        if coverage > reached:
            reached, last = coverage, number
    return f"{name:14} {runs:>10,} runs, {reached:>5} edges, the last of them in run {last:,}"


def main() -> int:
    """Run the targets that are asked for, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Feed parsers what nobody would write.")
    parser.add_argument("targets", nargs="*", help="which parsers (default: all)")
    parser.add_argument("--seconds", type=float, default=60, help="how long to run each (default: 60)")
    parser.add_argument("--corpus", type=Path, default=Path("build/fuzz"), help="where what was found is kept")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        fuzz(options.targets[0], options.corpus / options.targets[0], options.seconds)
        return 0
    import fuzz_targets  # noqa: PLC0415 - needs the path above

    return max(_in_a_process(name, options) for name in options.targets or fuzz_targets.TARGETS)


def _in_a_process(name: str, options: argparse.Namespace) -> int:
    """Run one target, and say what came of it; return 1 for a fault."""
    common = [sys.executable, "-m", "tests.fuzz", name, "--inside", "--corpus", str(options.corpus)]
    common += ["--seconds", str(options.seconds)]
    with tempfile.TemporaryDirectory(
        dir="/dev/shm" if Path("/dev/shm").is_dir() else None
    ) as place:  # it cannot tidy up
        env = {**os.environ, "TMPDIR": place}
        done = subprocess.run(common, stderr=subprocess.PIPE, text=True, errors="replace", check=False, env=env)
    sys.stdout.write(_report(name, done.stderr) + "\n")
    if done.returncode:
        sys.stdout.write(done.stderr[-4000:] + "\n")
    sys.stdout.flush()
    return int(done.returncode != 0)


if __name__ == "__main__":
    sys.exit(main())
