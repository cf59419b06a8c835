"""Logs that stay in the log directory: whether anything tells that they are of the history of what is placed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from chain_sets import OTHER_STREAM, TOP, dirty
from chain_stories import new_story
from command_line import done, tokar
from reverted import PROFILES, Reverted, logs_among
from small_sets import write

from tokar.ese.database import DatabaseHeader
from tokar.ese.log import LogHeader
from tokar.restore import onto_logs
from tokar.sets.facts import ChainFacts, DatabaseFacts, LogFacts
from tokar.sets.outcome import Word
from tokar.sets.staying import untied

if TYPE_CHECKING:
    from pathlib import Path

    from lab_sets import Files


@pytest.mark.parametrize("profile", PROFILES)
def test_a_database_is_followed_through_logs_that_are_there_before_anything_is_placed(
    profile: str, tmp_path: Path
) -> None:
    server = Reverted(tmp_path, profile)
    out = write(tmp_path / "out", server.there)
    options = "--existing", "roll-forward", "--into", out, server.archive
    planned = done("restore", "--dry-run", *options).stdout.splitlines()[-1]
    answer = done("restore", "--json", *options).json()
    word, why = Word(answer["outcome"]["word"]), answer["outcome"]["why"]
    assert planned == (f"{word}: {why}" if why else word)
    assert word is (Word.NOT_PROVEN if profile == "edbbcli" else Word.RESTORABLE)  # it has a patch file
    assert "followed" not in "".join(answer["recovery"]["not_checked"])
    assert server.recover(out, answer["recovery"]["generations"])


@pytest.mark.parametrize("profile", PROFILES)
def test_a_closed_log_of_another_history_among_those_that_are_there_is_refused(profile: str, tmp_path: Path) -> None:
    server = Reverted(tmp_path, profile)
    out = write(tmp_path / "out", server.forked)
    options = "--existing", "roll-forward", "--into", out, server.archive
    result = tokar("restore", *options)
    assert (result.exit_code, sorted(one.name for one in out.iterdir())) == (6, sorted(server.forked))
    if profile == "certadm":
        assert "edb00006.log does not continue the set" in result.stderr
        return
    assert "pages that the logs do not lead to" in result.stderr
    answer = done("restore", "--json", "--accept-unrecoverable", *options).json()
    assert server.fails_on(out, answer["recovery"]["generations"])


def test_through_more_logs_than_take_some_seconds_nobody_follows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onto_logs, "MOST_LOGS", 4096)
    server = Reverted(tmp_path, "ntdsbcli")
    out = write(tmp_path / "out", server.there)
    result = done("restore", "--existing", "roll-forward", "--into", out, server.archive)
    assert "its pages were not followed through these logs (tokar check --content " in result.stdout
    assert result.stdout.splitlines()[-1].startswith("NOT PROVEN: ")


STREAM = LogHeader.parse(TOP[7]).signature
UNREAD = ChainFacts(why_not="a record that nobody can read", is_halted=True)


def database(chain: ChainFacts | None = UNREAD, **fields: Any) -> DatabaseFacts:
    return DatabaseFacts(name="main.edb", header=DatabaseHeader.parse(bytes(dirty(5, 7, **fields))[:4096]), chain=chain)


def logs(low: int, high: int, checksum: int | None = None) -> list[LogFacts]:
    """Logs of a run; `checksum`: what each repeats of the one before it."""
    known: dict[str, Any] = {"signature": STREAM, "previous_segments_xor": checksum}
    return [LogFacts(name=f"edb{at:05X}.log", generation=at, **known) for at in range(low, high + 1)]


def told(placed: list[LogFacts], staying: list[LogFacts], **given: Any) -> str:
    """What is said of logs that stay, up to what follows from it."""
    known: dict[str, Any] = {"databases": [database()], "run": [*placed, *staying], "gone": None}
    return "".join(untied(**{**known, **given}, staying=staying)).partition(" nobody can tell")[0]


MAIN = "in the log directory {} of the history of main.edb"


def test_each_log_that_stays_may_be_the_one_of_another_history() -> None:
    assert told(logs(5, 6), logs(7, 7)) == f"whether log 0x7 {MAIN.format('is')}"
    assert told(logs(5, 6), logs(7, 9)) == f"whether logs 0x7-0x9 {MAIN.format('are')}"
    assert told([], logs(5, 9)) == f"whether logs 0x5-0x9 {MAIN.format('are')}"


def test_logs_that_repeat_the_checksum_of_the_one_before_are_of_its_history() -> None:
    assert told(logs(5, 6), logs(7, 9, checksum=1)) == ""
    assert told(logs(5, 6), logs(7, 7) + logs(8, 9, checksum=1)) == f"whether log 0x7 {MAIN.format('is')}"
    assert told([], logs(5, 9, checksum=1)) == f"whether log 0x5 {MAIN.format('is')}"


def test_a_later_state_of_the_last_log_of_the_set_is_of_its_history() -> None:
    (last,) = logs(7, 7)
    assert told(logs(5, 6), logs(7, 7), gone=last) == ""
    assert told(logs(5, 6), logs(7, 8), gone=last) == f"whether log 0x8 {MAIN.format('is')}"


@pytest.mark.parametrize(
    "one",
    [
        database(None),
        database(ChainFacts(high=9)),
        database(ChainFacts(why_not="no log is here", is_explained=True)),
        database(replace(UNREAD, changes=3)),
        database(log_signature=OTHER_STREAM),
        DatabaseFacts(name="main.edb", chain=UNREAD),
    ],
)
def test_of_a_database_that_logs_can_be_followed_to_or_that_is_of_another_stream_nothing_is_said(
    one: DatabaseFacts,
) -> None:
    assert told(logs(5, 6), logs(7, 9), databases=[one]) == ""
    assert told(logs(5, 6), logs(7, 9), databases=[one, database()]) != ""


@pytest.mark.parametrize("existing", ["refuse", "set-aside"])
def test_a_restore_says_that_logs_which_continue_its_current_log_are_given_up(existing: str, tmp_path: Path) -> None:
    story = new_story(tmp_path / "lab", "certadm", databases=1, seed=5, work=20)
    snapshot = story.lab.place.logs
    done("create", tmp_path / "set.tokar", snapshot)
    story.lab.work(60)
    before = sorted(one.name for one in snapshot.iterdir())
    options = "--dry-run", "--into", snapshot, tmp_path / "set.tokar"
    result = tokar("restore", "--existing", existing, *options)
    (note,) = [line for line in result.stdout.splitlines() if "continue the set" in line]
    assert "setting aside gives up what came after the backup; --existing roll-forward" in note
    assert result.exit_code == (6 if existing == "refuse" else 0)
    assert done("restore", "--dry-run", "--into", tmp_path / "elsewhere", tmp_path / "set.tokar").stdout.find(note) < 0
    assert sorted(one.name for one in snapshot.iterdir()) == before


NEW_STREAM = "the engine starts a new log stream"


@pytest.mark.parametrize("sets", [1, 2])
@pytest.mark.parametrize("profile", ["ntdsbcli", "certadm"])
def test_no_new_log_stream_is_announced_where_logs_that_stay_lead_to_a_database_that_was_shut_down(
    profile: str, sets: int, tmp_path: Path
) -> None:
    story = new_story(tmp_path / "lab", profile, databases=1, seed=3, work=61)
    story.lab.stop()
    files = {name: data for name, data in lab_files(story.lab.folder).items() if not name.endswith(".chk")}
    there, lower = logs_among(files), {"edb00001.log", "edb00002.log"}
    wanted = [{name for name in files if name not in there} | lower, {"edb00003.log"}][:sets]
    paths = [tmp_path / f"{at}.tokar" for at in range(sets)]
    for path, names in zip(paths, wanted, strict=True):
        done("create", "-q", path, write(path.with_suffix(""), {name: files[name] for name in names}))
    assert NEW_STREAM in done("restore", "--dry-run", "--into", tmp_path / "elsewhere", *paths).stdout
    out = write(tmp_path / "out", there)
    result = done("restore", "--dry-run", "--existing", "roll-forward", "--into", out, *paths)
    assert f"{len(there)} logs in {out} continue the set and stay" in result.stdout
    assert [text for text in (NEW_STREAM, "no run of logs leads from there") if text in result.stdout] == []


def lab_files(folder: Path) -> Files:
    found = (path for path in folder.rglob("*") if path.suffix in {".log", ".edb", ".dit", ".chk"})
    return {path.name: path.read_bytes() for path in found}
