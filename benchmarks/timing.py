"""How a command is timed: a whole process, and what it wrote is removed before the next."""

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
