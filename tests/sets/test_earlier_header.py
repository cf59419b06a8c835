"""The header of an earlier shutdown before pages of a later one, with all logs from there on."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import done, tokar
from engine_by_hand import Story, new_story, outcome_of
from lab_sets import Files, read_place
from recovery_sets import write

from tokar.lab.engine import era_of
from tokar.lab.lab import open_lab
from tokar.sets.outcome import Word
from verbs import unlike_together


def put_back(story: Story, files: Files) -> None:
    """Let the folders of a server hold these files and no others."""
    place = story.lab.place
    for path in [*place.logs.iterdir(), *place.system.iterdir()]:
        path.unlink(missing_ok=True)
    for name, data in files.items():
        home = next((path for path in place.databases.values() if path.name == name), place.logs / name)
        home.write_bytes(data)


@pytest.mark.parametrize("profile", ["certadm", "ntdsbcli", "edbbcli"])
@pytest.mark.parametrize("pages", ["of that shutdown", "later"])
def test_the_header_of_an_earlier_shutdown_on_later_pages_is_refused_although_all_logs_are_here(
    profile: str, pages: str, tmp_path: Path
) -> None:
    story = new_story(tmp_path / "lab", profile, databases=1, seed=3, work=30)
    story.lab.stop()
    before = read_place(story)
    story.lab.start()
    story.lab.work(30)
    story.lab.stop()
    after, expected = read_place(story), story.expected()
    (database,) = (path.name for path in story.lab.place.databases.values())
    header = 2 * era_of(profile).page_size
    files = {name: data for name, data in after.items() if not name.endswith(".chk")}
    files[database] = before[database][:header] + (after if pages == "later" else before)[database][header:]
    archive = tmp_path / "a.tokar"
    done("create", "-q", archive, write(tmp_path / "set", files))
    assert [*unlike_together([archive])] == []
    put_back(story, files)
    found = outcome_of(open_lab(story.lab.folder))
    for options in ([], ["--content"]):
        result = tokar("check", *options, archive)
        line = result.stdout.splitlines()[-1]
        if pages == "later":
            assert (result.exit_code, line.startswith(Word.NOT_RESTORABLE), found) == (9, True, -625)
            assert "has pages from after its shutdown" in line
        else:
            assert (result.exit_code, line, found) == (0, Word.RESTORABLE, expected)
