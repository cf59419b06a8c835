"""A server that was reverted to an earlier state and worked on: its logs beside those of the history that went on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from command_line import done
from engine_by_hand import back_up, new_story, server_of
from lab_sets import PROFILES, Maker, fork_of, shut_of

if TYPE_CHECKING:
    from pathlib import Path

Files = dict[str, bytes]


def two_histories(folder: Path, profile: str) -> tuple[Files, Files]:
    """The files of a server some logs after it was started again, and of its copy that parted from it there."""
    folder.mkdir()
    maker, story = Maker(profile, folder), new_story(folder / "lab", profile, databases=2, seed=7, work=40)
    story.lab.stop()
    maker.known |= shut_of(story)
    fork = fork_of(story, folder / "fork")
    story.lab.start()
    story.lab.work(35)
    back_up(server_of(story, busy=3), truncate=False)  # from here on no log of the parting is needed
    story.lab.work(20)
    own = maker.note(story)
    fork.lab.work(30)
    other = maker.note(fork)
    return {name: data for name, data in own.items() if not name.endswith(".chk")}, other


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
def test_no_log_of_a_reverted_server_is_placed_between_those_of_the_other_history(profile: str, tmp_path: Path) -> None:
    own, other = two_histories(tmp_path / "made", profile)
    folder = tmp_path / "set"
    (folder / "reverted").mkdir(parents=True)
    for name, data in own.items():
        (folder / name).write_bytes(data)
    for name, data in other.items():
        if name.endswith(".log"):
            (folder / "reverted" / name).write_bytes(data)
    archive = tmp_path / "a.tokar"
    done("create", "--all", "-q", archive, folder)
    done("restore", archive, "--into", tmp_path / "out")
    placed = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert placed
    assert [name for name, data in placed.items() if own[name] != data] == []
