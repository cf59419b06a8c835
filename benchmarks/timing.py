"""How a command is timed: a whole process, which finds disk and memory as every other one does.

What it wrote is removed, all goes to the disk, and then nothing happens for three seconds. Otherwise a command would be
timed by what ran before it: a file system is still giving back the room of what was removed, and memory that is free
for a second goes back from a guest to its host, so that whoever begins sooner finds memory in which it is several times
as fast. So the same `cp` twice in turn (`--only twice`) comes to about 1.0; how wide its interval is
says how far other rows can be believed.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
TOKAR = f"{sys.executable} -m tokar"
_RESAMPLES = 2000
_QUIET = 3.0  # seconds


@dataclass(frozen=True)
class Job:
    """One command of a group, and what it writes."""

    name: str
    command: str
    output: Path | None = None


class Cost(NamedTuple):
    """What one run took."""

    seconds: float  # By a clock on the wall
    processor: float  # Seconds of all processors, in the program and in the system
    memory: float  # Most that one process had, in MiB


def run(job: Job) -> Cost:
    """Run a command, and return what it took."""
    remove(job.output)
    os.sync()
    time.sleep(_QUIET)
    start = time.perf_counter()
    child = subprocess.Popen(["sh", "-c", job.command], stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    _, status, usage = os.wait4(child.pid, 0)
    elapsed = time.perf_counter() - start
    child.returncode = status
    if status:
        raise SystemExit(f"failed: {job.command}")
    return Cost(elapsed, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def remove(path: Path | None) -> None:
    """Remove a file or folder, if it is there."""
    if path is not None:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def ratio(measured: Sequence[float], peer: Sequence[float]) -> tuple[float, float, float]:
    """Return the median of the ratios of rounds that were run side by side, and its 95 % interval (bootstrap)."""
    rounds = [one / other for one, other in zip(measured, peer, strict=True)]
    dice = random.Random(0)
    medians = sorted(statistics.median(dice.choices(rounds, k=len(rounds))) for _ in range(_RESAMPLES))
    return statistics.median(rounds), medians[_RESAMPLES // 40], medians[-_RESAMPLES // 40]
