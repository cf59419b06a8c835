"""What a person is told to do, over every kind of mutation: it can be done, and where a service owns it, by that."""

from __future__ import annotations

import random
import re
import shlex
from typing import TYPE_CHECKING

import pytest
from command_line import tokar
from field_mutations import ALL_KINDS
from lab_sets import lab_sets, token_of
from sweeps import sampled

import tokar as library
from mutations import NotHere, Tried
from tokar.names import collision_key, leaf_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OF_THE_ENGINE = re.compile(r"esentutl /r|eseutil /r|(?<![\w/])/[ai](?!\w)|(?<!\w)ren ", re.MULTILINE)


def wrong(text: str, *, refused: bool, served: bool) -> Iterator[str]:
    """What no advice may hold; `text` is everything that was printed."""
    for line in text.splitlines():
        named = re.findall(r"--only ('[^']*'|\S+)", line)
        leaves = [collision_key(leaf_of(shlex.split(one)[0])) for one in named if one != "NAME"]
        if len(leaves) != len(set(leaves)):
            yield f"two files for one path: {line}"
        if refused and re.search("(next|after the restore): (net start|esentutl /r|ren )", line):
            yield f"a next step of a refused plan: {line}"
        if served and not line.startswith("never:") and OF_THE_ENGINE.search(line):
            yield f"a step of the engine for a service: {line}"


@pytest.mark.parametrize("served", [False, True], ids=["alone", "served"])
@pytest.mark.parametrize("kind", sampled(ALL_KINDS, lambda kind: sorted(ALL_KINDS).index(kind) % 15 == 0))
def test_what_is_advised_can_be_done(kind: str, *, served: bool, tmp_path: Path) -> None:
    chance = random.Random(kind)
    found = []
    for title in chance.sample(sorted(lab_sets()), 2):
        made = lab_sets()[title]
        it = Tried(made, dict(made.files), chance)
        try:
            ALL_KINDS[kind](it)
        except NotHere:
            continue
        path = tmp_path / f"{title}.tokar"
        label = made.profile if served else "ese"
        with library.create(path, profile=label, kind="full", compress="none") as writer:
            for name, data in it.files.items():
                writer.add_bytes(token_of(name, data), name, data)
        plan = tokar("restore", "--dry-run", "--into", tmp_path / "out", path)
        said = [*wrong(plan.stdout + plan.stderr, refused=plan.exit_code != 0, served=served)]
        said += wrong(tokar("check", "--content", path).stdout, refused=False, served=served)
        found += [(title, one) for one in said]
    assert found == []
