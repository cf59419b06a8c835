"""Each parser that `make fuzz` feeds for long, fed for a moment: the same cases every time."""

from __future__ import annotations

import random

import pytest
from fixtures.mutations import spoil_bytes
from fuzz_targets import TARGETS, attempt

CASES = 60  # of each parser; slow ones get fewer


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_takes_or_refuses_whatever_it_is_given(name: str) -> None:
    target, chance = TARGETS[name], random.Random(name)
    seeds = [*target.seeds(), b"", b"\0" * 64]
    for case in range(CASES // target.slowness):
        data = spoil_bytes(chance.choice(seeds) or b"\0", chance.choice(seeds), chance)
        error = attempt(target, data)
        assert error is None or error.message, case
