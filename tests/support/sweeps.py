"""Sweeps: what tests try at many points. A sample is tried always, all of it in the torture run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SHARE = 1 if "TOKAR_ALL_EXAMPLES" in os.environ else 6


def examples(count: int) -> settings:
    """Return how often a property is tried: so often in the torture run, a sixth of that else, but ten times."""
    return settings(deadline=None, max_examples=max(count // _SHARE, min(count, 10)))


def sampled(values: Iterable[Any], is_kept: Callable[..., bool]) -> list[Any]:
    """Return the values for `parametrize`: those that are not kept are left to the torture run."""
    return [
        value if is_kept(*parts) else pytest.param(*parts, marks=pytest.mark.torture)
        for value in values
        for parts in [value if isinstance(value, tuple) else (value,)]
    ]


def each(values: Iterable[Any]) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """Try many values in one test, where a test for each costs more than what it tries; each that fails is named."""

    def decorate(test: Callable[..., None]) -> Callable[[], None]:
        def run() -> None:
            failed = []
            for value in values:
                try:
                    test(*value if isinstance(value, tuple) else (value,))
                except Exception as error:  # noqa: BLE001 - it is raised below
                    error.add_note(f"the value is {value!r}")
                    failed.append(error)
            if failed:
                raise ExceptionGroup(f"{test.__name__}: {len(failed)} values", failed)

        run.__name__, run.__qualname__, run.__module__ = test.__name__, test.__qualname__, test.__module__
        return run

    return decorate
