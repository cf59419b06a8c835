"""Logs that stay in the log directory: whether anything tells that they are of the history of what is placed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from chain_sets import OTHER_STREAM, TOP, dirty
from chain_stories import new_story, take
from command_line import done, tokar
from lab_sets import LabSet, Maker, fork_of, lab_names, recovered
from small_sets import write

from tokar.ese.database import DatabaseHeader
from tokar.ese.filenames import NameRole, parse_file_name
from tokar.ese.log import LogHeader
from tokar.lab.engine import EngineError
from tokar.server.contract import BackupKind
from tokar.sets.facts import ChainFacts, DatabaseFacts, LogFacts
from tokar.sets.outcome import Word
from tokar.sets.staying import untied

if TYPE_CHECKING:
    from pathlib import Path

    from lab_sets import Files

TOLD = "{} nobody can tell (-566 or -567 if not): nothing repeats the checksum of the log before, and the records"


class Reverted:
    """A server with a full, and what its log directory holds later, in the history that it went on with or another."""

    def __init__(self, folder: Path, profile: str) -> None:
        self.profile, self.folder = profile, folder
        maker = Maker(profile, folder)
        story = new_story(folder / "lab", profile, databases=1, seed=5, work=20)
        take(story, self.archive, BackupKind.COPY)
        story.lab.work(30)
        story.lab.stop()
        self.parted = LogHeader.parse((story.lab.place.logs / "edb.log").read_bytes()).generation
        fork = fork_of(story, folder / "fork")
        fork.lab.work(40)
        story.lab.work(40)
        self.there, self.other = _logs(maker.note(story)), _logs(maker.note(fork))
        paths = {one.dbid: one.path for one in story.lab.config.databases}
        self.set = LabSet(profile, lab_names(story), paths, {}, hard=True, known=maker.known)

    @property
    def archive(self) -> Path:
        return self.folder / "full.tokar"

    def rolled_forward(self, there: Files) -> tuple[Word, str]:
        """Restore onto logs; return the verdict, and all that it leaves open."""
        out = write(self.folder / "out", there)
        options = "--existing", "roll-forward", "--into", out, self.archive
        planned = done("restore", "--dry-run", *options).stdout.splitlines()[-1]
        answer = done("restore", "--json", *options).json()
        self.bounds = answer["recovery"]["generations"]["low"], answer["recovery"]["generations"]["high"]
        word, why = Word(answer["outcome"]["word"]), answer["outcome"]["why"]
        assert planned == (f"{word}: {why}" if why else word)
        left_open = answer["recovery"]["not_checked"]
        assert left_open if why else not left_open
        return word, "\n".join(left_open)

    def recover(self) -> bool:
        """Recover what was placed; return whether everything is in it."""
        contents, expected = recovered(self.set, self.folder / "out", self.bounds)
        return contents == expected


def _logs(files: Files) -> Files:
    roles = {NameRole.NUMBERED_LOG, NameRole.CURRENT_LOG}
    return {name: data for name, data in files.items() if parse_file_name(name).role in roles}


@pytest.mark.parametrize("profile", ["edbbcli", "ntdsbcli", "certadm"])
def test_whether_logs_that_are_there_are_of_one_history_is_proven_by_their_checksums_alone(
    profile: str, tmp_path: Path
) -> None:
    server = Reverted(tmp_path, profile)
    word, left_open = server.rolled_forward(server.there)
    assert word is (Word.RESTORABLE if profile == "certadm" else Word.NOT_PROVEN)
    (name,) = server.set.names.values()
    assert (TOLD.format(name) in left_open) is (profile != "certadm")
    assert server.recover()


def test_a_closed_log_of_another_history_among_those_that_are_there_is_not_passed(tmp_path: Path) -> None:
    server = Reverted(tmp_path, "ntdsbcli")
    name = f"edb{server.parted:05X}.log"
    assert server.there[name] != server.other[name]
    word, left_open = server.rolled_forward({**server.there, name: server.other[name]})
    assert (word, "--existing set-aside restores without" in left_open) == (Word.NOT_PROVEN, True)
    with pytest.raises(EngineError, match=r"-56[67]"):
        server.recover()


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
    there, lower = _logs(files), {"edb00001.log", "edb00002.log"}
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
