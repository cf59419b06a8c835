"""A set of nothing but a current log: a server is told nothing of it, and recovery goes on with it (HRD-1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from chain_stories import new_story, outcome_of, take, target_for
from command_line import done, tokar
from lab_sets import read_place
from recovery_sets import write

from tokar.server.contract import BackupKind

if TYPE_CHECKING:
    from pathlib import Path

PROFILES = ("edbbcli", "ntdsbcli", "certadm")


@pytest.mark.parametrize("work", [2, 25], ids=["at once", "behind closed logs"])
@pytest.mark.parametrize("profile", PROFILES)
def test_a_current_log_that_is_a_set_of_its_own_is_placed_and_not_registered(
    profile: str, work: int, tmp_path: Path
) -> None:
    story = new_story(tmp_path / "lab", profile, databases=1, seed=3, work=21)
    full = take(story, tmp_path / "full.tokar", BackupKind.FULL)
    story.lab.work(work)
    logs = {name: data for name, data in read_place(story).items() if name.endswith(".log")}
    current = {"edb.log": logs.pop("edb.log")}
    sets = [full.path]
    for name, files in (("current", current), ("closed", logs)):  # whichever is given first
        done("create", "-q", "--all", tmp_path / f"{name}.tokar", write(tmp_path / name, files))
        sets.insert(1, tmp_path / f"{name}.tokar")
    lab = target_for(story, tmp_path / "target")
    lab.crash()
    told = done("restore", "--json", *sets, "--server", f"lab:{lab.folder}").json()["recovery"]["registrations"]
    assert "current.tokar" not in {one["set"].rpartition("/")[2] for one in told}
    assert f"edb{told[-1]['generation_high']:05X}.log" in logs.keys() | {f"edb{full.high:05X}.log"}
    assert outcome_of(lab) == story.expected()


def test_a_set_with_databases_and_nothing_to_register_is_refused_before_anything_is(tmp_path: Path) -> None:
    story = new_story(tmp_path / "lab", "certadm", databases=1, work=0)
    story.lab.stop()
    files = {name: data for name, data in read_place(story).items() if not name.endswith((".chk", ".jfm"))}
    done("create", "-q", "--all", tmp_path / "a.tokar", write(tmp_path / "a", files))
    lab = target_for(story, tmp_path / "target")
    lab.crash()
    before = {path for path in lab.folder.rglob("*") if path.is_file()}
    result = tokar("restore", tmp_path / "a.tokar", "--server", f"lab:{lab.folder}")
    assert (result.exit_code, "has no log under its number" in result.error) == (6, True)
    assert result.stdout.splitlines()[-1].endswith("; the files alone: RESTORABLE")
    assert {path for path in lab.folder.rglob("*") if path.is_file()} == before
