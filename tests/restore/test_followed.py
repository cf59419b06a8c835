"""Pages are followed through the logs of all sets by every verb, where these are few: a restore refuses before it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from chain_stories import new_story, take
from command_line import done, tokar
from encrypted import make_identity
from lab_sets import LabSet, lab_names, read_place, recovered
from reverted import PROFILES, Reverted, logs_among
from small_sets import write

from tokar.lab.engine import EngineError
from tokar.replay import together
from tokar.server.contract import BackupKind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lab_sets import Files

FOLLOWED = "its pages were not followed through these logs"


def logs_archive(folder: Path, files: Files, *options: str | Path) -> Path:
    folder.mkdir(exist_ok=True)
    done("create", "-q", *options, folder / "logs.tokar", write(folder / "logs", files))
    return folder / "logs.tokar"


def words_of(sets: Sequence[Path]) -> set[str]:
    verbs = ("check",), ("check", "--content"), ("chain",), ("chain", "--content")
    return {tokar(*verb, "--json", *map(str, sets)).json()["outcome"]["word"] for verb in verbs}


@pytest.mark.parametrize("profile", PROFILES)
def test_a_full_and_the_logs_of_another_set_are_proven_by_every_verb(profile: str, tmp_path: Path) -> None:
    server, out = Reverted(tmp_path, profile), tmp_path / "out"
    sets = server.archive, logs_archive(tmp_path, server.there)
    answer = done("restore", "--json", "--into", out, *sets).json()
    assert answer["outcome"]["word"] == ("NOT PROVEN" if profile == "edbbcli" else "RESTORABLE")  # it has a patch file
    assert words_of(sets) == {answer["outcome"]["word"]}
    assert FOLLOWED not in "".join(answer["recovery"]["not_checked"])
    assert server.recover(out, answer["recovery"]["generations"])


@pytest.mark.parametrize("profile", PROFILES)
def test_a_log_of_another_history_in_another_set_is_refused_before_anything_is_placed(
    profile: str, tmp_path: Path
) -> None:
    server, out = Reverted(tmp_path, profile), tmp_path / "out"
    whole = server.archive, logs_archive(tmp_path, server.there)
    sets = server.archive, logs_archive(tmp_path / "forked", server.forked)
    refused = tokar("restore", "--into", out, *sets)
    assert (refused.exit_code, out.exists()) == (6, False)
    assert re.search("pages? that the logs do not lead to|is not the log that .* was written after", refused.stderr)
    assert words_of(sets) == {"NOT RESTORABLE"}
    done("restore", "--into", out, server.archive)
    generations = done("restore", "--dry-run", "--json", "--into", tmp_path / "whole", *whole).json()["recovery"]
    assert server.fails_on(write(out, server.forked), generations["generations"])


def test_copies_of_a_database_in_a_set_are_followed_with_it(tmp_path: Path) -> None:
    story = new_story(tmp_path / "lab", "certadm", databases=1, seed=5, work=30)
    story.lab.crash()
    files = read_place(story)
    logs = logs_among(files)
    (name,) = {one for one in files if one.endswith(".edb")}
    database = write(tmp_path / "database", {name: files[name], f"copy/{name}": files[name]})
    done("create", "-q", tmp_path / "database.tokar", database)
    sets = [tmp_path / "database.tokar", logs_archive(tmp_path, logs)]
    assert words_of(sets) == {"RESTORABLE"}
    assert done("restore", "--into", tmp_path / "out", *sets).stdout.splitlines()[-1] == "RESTORABLE"


def test_through_more_logs_than_take_some_seconds_nobody_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Reverted(tmp_path, "ntdsbcli")
    sets = server.archive, logs_archive(tmp_path, server.there)
    monkeypatch.setattr(together, "MOST_LOGS", 4096)
    last = done("restore", "--into", tmp_path / "out", *sets).stdout.splitlines()[-1]
    assert (last.split(":")[0], FOLLOWED in last) == ("NOT PROVEN", True)


def test_through_logs_that_were_not_looked_at_nobody_follows(tmp_path: Path) -> None:
    server = Reverted(tmp_path, "ntdsbcli")
    sets = server.archive, logs_archive(tmp_path, server.there, "--no-examine")
    last = done("restore", "--into", tmp_path / "out", *sets).stdout.splitlines()[-1]
    assert last.startswith("NOT PROVEN: ")


def test_logs_that_are_encrypted_are_followed_by_whoever_has_the_key(tmp_path: Path) -> None:
    server, key = Reverted(tmp_path, "ntdsbcli"), make_identity(tmp_path)
    sets = server.archive, logs_archive(tmp_path, server.forked, "--recipients-file", f"{key}.pub")
    refused = tokar("restore", "--into", tmp_path / "out", "--identity", key, *sets)
    assert (refused.exit_code, "pages that the logs do not lead to" in refused.stderr) == (6, True)
    planned = tokar("restore", "--dry-run", "--into", tmp_path / "out", *sets)
    assert (planned.exit_code, FOLLOWED in planned.stdout) == (0, True)


@pytest.mark.parametrize("work", [10, 60], ids=["in the last log", "in an earlier log"])
@pytest.mark.parametrize("profile", PROFILES)
def test_a_full_is_not_restored_through_logs_of_the_database_that_took_its_place(
    profile: str, work: int, tmp_path: Path
) -> None:
    story, out = new_story(tmp_path / "lab", profile, databases=1, seed=4, work=20), tmp_path / "out"
    full = take(story, tmp_path / "full.tokar", BackupKind.COPY, busy=0)
    story.lab.work(30)
    story.lab.stop()
    story.lab.defragment(*lab_names(story).values())
    story.lab.work(work)
    files = logs_among(read_place(story))
    sets = full.path, logs_archive(tmp_path, files)
    refused = tokar("restore", "--into", out, *sets)
    assert (refused.exit_code, out.exists()) == (6, False)
    assert "was not attached, or another of its name" in refused.stderr
    assert words_of(sets) == {"NOT RESTORABLE"}
    onto = tokar("restore", "--existing", "roll-forward", "--into", write(tmp_path / "onto", files), full.path)
    assert (onto.exit_code, "was not attached, or another of its name" in onto.stderr) == (6, True)
    done("restore", "--into", tmp_path / "until", "--until", hex(full.high), *sets)
    done("restore", "--into", out, full.path)
    paths = {one.dbid: one.path for one in story.lab.config.databases}
    made = LabSet(profile, lab_names(story), paths, {}, hard=True)
    with pytest.raises(EngineError, match="another database of this name"):
        recovered(made, write(out, files), (full.low, full.high))


@pytest.mark.parametrize("later", ["nothing", "its shutdown", "another attachment"])
def test_a_log_that_ends_inside_the_segment_in_which_its_database_was_shut_down_is_not_passed(
    later: str, tmp_path: Path
) -> None:
    """Where the log ends only its records say; one that attaches the database again goes on behind that."""
    story = new_story(tmp_path / "lab", "certadm", databases=1, seed=4, work=15)
    story.lab.instance.log.flush()
    logs = logs_among(read_place(story))
    story.lab.stop()
    files = {name: data for name, data in read_place(story).items() if not name.endswith(".chk")}
    databases = {name: data for name, data in files.items() if name not in logs}
    if later == "another attachment":
        story.lab.work(1)
        story.lab.crash()
    ended = {"nothing": logs, "its shutdown": files}.get(later) or logs_among(read_place(story))
    assert len(ended["edb.log"]) == len(logs["edb.log"])
    done("create", tmp_path / "set.tokar", write(tmp_path / "set", {**ended, **databases}))
    result = done("restore", "--into", tmp_path / "out", tmp_path / "set.tokar")
    last = result.stdout.splitlines()[-1]
    told = "it ends before Lab CA.edb was shut down at"
    assert (last.split(":")[0], told in last) == (("NOT PROVEN", True) if later == "nothing" else ("RESTORABLE", False))
    assert words_of([tmp_path / "set"]) == {last.split(":")[0]}
