"""A process that is killed in the middle of its work, for real, and what the next one finds."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from engine_by_hand import Account, Story

from tokar.lab.lab import create_lab, open_lab

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.lab.tables import Change

WORKER = """
import os, sys
from pathlib import Path
from tokar.lab.lab import create_lab

class Teller:
    def committed(self, changes):
        os.write(1, b".")
    def closed(self, generation):
        pass

create_lab(Path(sys.argv[1]), sys.argv[2], 2, 11, Teller()).work(100_000)
"""


class States(Account):
    """Keeps what was there after every commit, up to a number of commits."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.states: list[dict[int, dict[bytes, bytes]]] = [{}]

    def committed(self, changes: list[Change]) -> None:
        super().committed(changes)
        self.states.append({dbid: dict(records) for dbid, records in self.now.items()})
        if len(self.states) > self.most:
            raise StopIteration


@pytest.mark.parametrize("profile", ["edbbcli", "ntdsbcli", "certadm"])
def test_a_killed_process_leaves_every_commit_it_told_of_and_at_most_one_more(tmp_path: Path, profile: str) -> None:
    """Work follows from the seed, so a twin that is not killed goes through the same states."""
    folder = tmp_path / "killed"
    with subprocess.Popen([sys.executable, "-c", WORKER, str(folder), profile], stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        told = len(worker.stdout.read(60))
        time.sleep(0.02)
        worker.kill()
        told += len(worker.stdout.read())
    lab = open_lab(folder)
    lab.start()
    twin = States(most=told + 2)
    story = Story(create_lab(tmp_path / "twin", profile, 2, 11, twin), twin)
    with pytest.raises(StopIteration):
        story.lab.work(100_000)
    names = {each.dbid: each.name for each in lab.config.databases}
    candidates = [{name: state.get(dbid, {}) for dbid, name in names.items()} for state in twin.states[told : told + 2]]
    assert lab.contents() in candidates
