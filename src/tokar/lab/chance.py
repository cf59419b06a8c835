"""Where the engine's times and its dice come from. Both follow from a seed: the same calls give the same bytes."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol, TypeVar

from tokar.ese.values import LogTime

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


class Clock(Protocol):
    """Anything that can tell the time of the next event."""

    def now(self) -> LogTime:
        """Return a moment that differs from all moments returned before."""


class LifeClock:
    """A clock for one life of an engine, from its start to its stop. Every question is a second later than the one before.

    Lives are a day apart, so two logs with the same number that were made in different lives never carry the same
    creation time: that is how a fork of the log stream is told.

    Args:
        seed: Of the lab; moves the first day by some seconds.
        life: How often the engine has been started.
        utc: Whether to give UTC with milliseconds, else local time without.
    """

    def __init__(self, seed: int, life: int, *, utc: bool) -> None:
        self._moment = datetime(2001, 1, 1, tzinfo=UTC) + timedelta(days=life, seconds=seed % 79_999)
        self._utc = utc

    def now(self) -> LogTime:
        """Return the next moment."""
        self._moment += timedelta(seconds=1, milliseconds=self._utc * 7)
        return LogTime.from_datetime(self._moment if self._utc else self._moment.replace(tzinfo=None))


class Dice:
    """Repeatable chance.

    Args:
        seed: Of the lab.
        life: How often the engine has been started: each life has its own chances.
    """

    def __init__(self, seed: int, life: int = 0) -> None:
        self._random = random.Random(f"{seed}/{life}")  # noqa: S311 - a simulation must be repeatable, nothing is secret

    def happens(self, probability: float) -> bool:
        """Tell whether something of that probability happens this time."""
        return self._random.random() < probability

    def number(self, low: int, high: int) -> int:
        """Return a number from `low` to `high`, both included."""
        return self._random.randint(low, high)

    def one_of(self, choices: Sequence[T]) -> T:
        """Return one of the choices."""
        return self._random.choice(choices)

    def some_bytes(self, size: int) -> bytes:
        """Return that many arbitrary bytes."""
        return self._random.randbytes(size)
