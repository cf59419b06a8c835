"""A long run of spoilt archives: readers must answer with a typed error or agree that the archive is good.

Run it from the top of the project::

    python -m tests.fuzz --seconds 180 [--seed N]

The run ends at the first case with: an error that is no `FormatError`; an archive that one reader accepts and the other
refuses, or in which they find other entries; more than ten seconds or 1 GiB of memory. That case is written to a file,
with the seed that makes it again.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fixtures.expect import Expectation, names
from fixtures.mutations import spoil
from fixtures.readers import Outcome, from_the_front, from_the_tail

if TYPE_CHECKING:
    from types import FrameType

_SECONDS_A_CASE: Final = 10
_MEMORY: Final = 1 << 30  # bytes of address space over what the process has at the start
_LARGEST: Final = 20_000  # bytes of a fixture that is taken
# Kinds of content that cost seconds without showing anything: chunks of 16 MiB of zeros.
_LEFT_OUT: Final = frozenset({"good-zeros-largest-chunk"})


def _limit_memory() -> None:
    """Make the operating system refuse memory beyond the bound, where it can."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    pages = (
        int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) if Path("/proc/self/statm").exists() else 0
    )
    bound = pages * resource.getpagesize() + _MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (bound, bound))


def _too_slow(_signal: int, _frame: FrameType | None) -> None:
    raise TimeoutError("the case takes too long")


def _judge(data: bytes) -> Outcome:
    """Return the answer of the front-to-back reader.

    Raises:
        AssertionError: The readers disagree about whether the archive is good.
    """
    front, tail = from_the_front(data), from_the_tail(data)
    assert (front.answer == "sealed") == (tail.answer == "sealed"), (
        f"front: {front.answer} {front.rule}, tail: {tail.answer} {tail.rule}"
    )
    if front.answer == "sealed":
        assert front.entries == tail.entries
    else:
        assert front.rule is not None
        assert front.position is not None
    quick = from_the_front(data, decode=False)
    assert quick.answer == front.answer or front.rule in {"DONE-5", "DATA-6"}, (
        f"without content: {quick.answer} {quick.rule}"
    )
    return front


def run(seconds: float, seed: int) -> Counter[str]:
    """Spoil archives until the time is over; return how often each answer came.

    Raises:
        Exception: What the first bad case ended with; a note names the file that holds it.
    """
    archives = [
        case.data
        for name in names()
        if name not in _LEFT_OUT and len((case := Expectation.load(name)).data) <= _LARGEST
    ]
    good = [
        case.data
        for name in names("good")
        if name not in _LEFT_OUT and len((case := Expectation.load(name)).data) <= _LARGEST
    ]
    answers: Counter[str] = Counter()
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        chance = random.Random(f"{seed}/{number}")
        data = spoil(chance.choice(good if chance.random() < 0.7 else archives), chance.choice(archives), chance)
        if hasattr(signal, "SIGALRM"):
            signal.alarm(_SECONDS_A_CASE)
        try:
            outcome = _judge(data)
        except BaseException as error:
            kept = Path(tempfile.gettempdir()) / f"tokar-fuzz-{seed}-{number}.tokar"
            kept.write_bytes(data)
            error.add_note(f"seed {seed}, case {number}, kept as {kept}")
            raise
        finally:
            if hasattr(signal, "SIGALRM"):
                signal.alarm(0)
        answers[outcome.rule or outcome.answer] += 1
        number += 1
    return answers


def main() -> None:
    """Run for the time that was asked for, and say what came."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Spoil archives and read them.")
    parser.add_argument("--seconds", type=float, default=60, help="how long to run (default: 60)")
    parser.add_argument("--seed", type=int, default=None, help="for the same cases again (default: the time)")
    options = parser.parse_args()
    seed = int(time.time()) if options.seed is None else options.seed
    sys.stdout.write(f"seed {seed}\n")
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, _too_slow)
    _limit_memory()
    answers = run(options.seconds, seed)
    for answer, count in sorted(answers.items()):
        sys.stdout.write(f"{count:8} {answer}\n")
    sys.stdout.write(f"{sum(answers.values()):8} cases, only typed errors, both readers agree\n")


if __name__ == "__main__":
    main()
