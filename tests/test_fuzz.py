"""Each parser that `make fuzz` feeds for long, fed for a moment: the same cases every time."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from fixtures.mutations import spoil_bytes
from fuzz_targets import TARGETS, attempt

CASES = 60  # of each parser; slow ones get fewer
SOURCE = Path(__file__).parents[1] / "src"
# What makes a value of bytes or text, and functions that take a whole of it.
PARSES = re.compile(
    r"json\.loads|tomllib\.loads|parse_json\(|\.unpack\(|unpack_from\(|from_bytes\(|frombuffer\(|b64decode\(|fromhex\("
    r"|\bdef _?(?:parse|decode|take|load)\w*\(.*(?:data|text|body|reader|stub|blob)\b"
)
NOTHING_OF_OTHERS = {
    "tokar.collect.found": "what it packed itself",
    "tokar.collect.packers": "what copies of its own process send",
    "tokar.ese.content_facts": "bits of any value, of the length that is given with them",
    "tokar.lab.backup": "pages, which `lab-page` takes apart",
    "tokar.lab.calls": "a list, which `namelist` takes apart",
    "tokar.lab.server": "a token that it made itself, in the same process",
    "tokar.salvage.losses": "what it packed itself",
    "tokar.server.contract": "a list, which `namelist` takes apart",
    "tokar.sets.by_generation": "what it packed itself",
    "tokar.testing.scripted_server": "a list that a test gave it",
}


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_takes_or_refuses_whatever_it_is_given(name: str) -> None:
    target, chance = TARGETS[name], random.Random(name)
    seeds = [*target.seeds(), b"", b"\0" * 64]
    for case in range(CASES // target.slowness):
        data = spoil_bytes(chance.choice(seeds) or b"\0", chance.choice(seeds), chance)
        error = attempt(target, data)
        assert error is None or error.message, case


def test_every_module_that_takes_bytes_apart_is_fed_by_a_target() -> None:
    fed = {module for target in TARGETS.values() for module in target.of}
    paths = {
        ".".join(path.relative_to(SOURCE).with_suffix("").parts): path for path in (SOURCE / "tokar").rglob("*.py")
    }
    assert {module for module, path in paths.items() if PARSES.search(path.read_text(encoding="utf-8"))} - fed == set(
        NOTHING_OF_OTHERS
    )
    folders = {module.rpartition(".")[0] for module in paths}
    assert fed <= paths.keys() | folders
