"""Two states of the last log that end in one segment: which holds more is known, and what parted before is refused."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from chain_sets import DATABASE, dirty, logs
from command_line import done, tokar
from encrypted import make_identity
from engine_by_hand import new_story, outcome_of
from lab_sets import Files, read_place
from recovery_sets import write
from small_sets import contents

from tokar.ese.content_facts import LogReport
from tokar.ese.inspect import inspect_file
from tokar.ese.page import seal_segment
from tokar.lab.lab import open_lab
from tokar.sets.outcome import Word
from tokar.storage.bytesource import BytesSource
from verbs import unlike_together

ALL = logs(5, 7)
LAST, CURRENT, SEGMENT = "edb00007.log", "edb.log", 4096
BASE = {DATABASE: bytes(dirty(5, 7)), "edb00005.log": ALL["edb00005.log"], "edb00006.log": ALL["edb00006.log"]}


def report_of(data: bytes) -> LogReport:
    report = inspect_file(BytesSource(data), examine=True).report
    assert isinstance(report, LogReport)
    return report


def state(used: int, *, other: int | None = None, sector: int = 3) -> bytes:
    """The last log as its last segment was filled to some place, and as other records were written at another one."""
    data = bytearray(ALL[LAST])
    for number in range(2, 4):
        block = bytearray(data[number * SEGMENT : (number + 1) * SEGMENT])
        if number == 3:
            block[used:] = bytes(SEGMENT - used)
        if other is not None and number == sector:
            block[other : other + 16] = random.Random(other).randbytes(16)
        data[number * SEGMENT : (number + 1) * SEGMENT] = seal_segment(bytes(block), number)
    return bytes(data)


EARLIER, LATER = state(1500), state(2300)
PARTED = {
    "before the end of the earlier one": state(2300, other=1480),
    "in the first record of the segment": state(2300, other=40),
    "in an earlier segment": state(2300, other=900, sector=2),
    "and both end at one place": state(1500, other=700),
}


def made(folder: Path, *sets: Files, options: tuple[str, ...] = ()) -> list[Path]:
    paths = [folder / f"{at}.tokar" for at in range(len(sets))]
    for path, files in zip(paths, sets, strict=True):
        done("create", "-q", *options, path, write(path.with_suffix(""), files))
    return paths


def last_line(verb: str, *arguments: object) -> tuple[int, str]:
    result = tokar(verb, *map(str, arguments))
    return result.exit_code, result.stdout.splitlines()[-1]


@pytest.mark.parametrize("names", [(CURRENT, CURRENT), (CURRENT, LAST), (LAST, CURRENT)], ids="{0[0]} {0[1]}".format)
@pytest.mark.parametrize("turned", [False, True])
def test_the_state_that_holds_more_of_the_same_segment_is_placed(
    names: tuple[str, str], turned: bool, tmp_path: Path
) -> None:
    states = [{names[0]: EARLIER}, {names[1]: LATER}]
    sets = made(tmp_path, BASE, *(states[::-1] if turned else states))
    assert [*unlike_together(sets)] == []
    for verb, *options in (("check",), ("check", "--content"), ("chain",), ("chain", "--content")):
        code, line = last_line(verb, *options, *sets)
        assert (code, line.startswith(Word.RESTORABLE if options else (Word.RESTORABLE, Word.NOT_PROVEN))) == (0, True)
    done("restore", "--into", tmp_path / "out", *sets)
    placed = contents(tmp_path / "out")
    assert (placed.get(names[1]), EARLIER in placed.values()) == (LATER, False)


@pytest.mark.parametrize(("current", "numbered"), [(EARLIER, LATER), (LATER, EARLIER)])
def test_a_current_log_and_its_numbered_self_in_one_set_are_compared_inside_the_segment(
    current: bytes, numbered: bytes, tmp_path: Path
) -> None:
    (path,) = made(tmp_path, {**BASE, CURRENT: current, LAST: numbered})
    for options in ([], ["--content"]):
        assert last_line("check", *options, path) == (0, Word.RESTORABLE)
    done("restore", "--into", tmp_path / "out", path)
    placed = contents(tmp_path / "out")
    assert {name: placed.get(name) for name in (CURRENT, LAST)} == {
        CURRENT: current if current == LATER else None,
        LAST: numbered if numbered == LATER else None,
    }


@pytest.mark.parametrize("parted", PARTED.values(), ids=[*PARTED])
def test_states_that_parted_are_refused_wherever_they_are(parted: bytes, tmp_path: Path) -> None:
    sets = made(tmp_path, BASE, {CURRENT: EARLIER}, {CURRENT: parted})
    assert [*unlike_together(sets)] == []
    for options in ([], ["--content"]):
        code, line = last_line("check", *options, *sets)
        assert (code, line.startswith(Word.NOT_RESTORABLE), "its bytes differ" in line) == (9, True, True)
    assert tokar("restore", "--into", tmp_path / "out", *sets).exit_code == 6
    (tmp_path / "one").mkdir()
    (path,) = made(tmp_path / "one", {**BASE, CURRENT: EARLIER, LAST: parted})
    code, line = last_line("check", path)
    assert (code, "their content disagrees" in line) == (9, True)


@pytest.mark.parametrize("hidden", ["not examined", "encrypted"])
@pytest.mark.parametrize("later", [LATER, PARTED["in the first record of the segment"]], ids=["written on", "parted"])
def test_where_nobody_knows_the_end_of_the_segment_it_is_not_proven(hidden: str, later: bytes, tmp_path: Path) -> None:
    key = make_identity(tmp_path, "key")
    options = ("--no-examine",) if hidden == "not examined" else ("--recipients-file", f"{key}.pub")
    sets = made(tmp_path, BASE, {CURRENT: EARLIER}, {CURRENT: later}, options=options)
    code, line = last_line("check", *sets)
    assert (code, line.startswith(Word.NOT_PROVEN)) == (0, True)
    opened = ("--identity", key) if hidden == "encrypted" else ()
    code, line = last_line("check", "--content", *opened, *sets)
    assert (code, line.startswith(Word.RESTORABLE)) == ((0, True) if later == LATER else (9, False))
    result = tokar("restore", "--into", tmp_path / "out", *opened, *sets)
    assert result.exit_code == (0 if later == LATER else 6)
    assert result.exit_code or contents(tmp_path / "out")[CURRENT] == LATER


@pytest.mark.parametrize("profile", ["certadm", "edbbcli"])
def test_two_snapshots_of_a_server_some_operations_apart_restore_together(profile: str, tmp_path: Path) -> None:
    story = new_story(tmp_path / "lab", profile, databases=1, seed=3, work=30)
    before = read_place(story)
    for _ in range(20):
        story.lab.work(1)
        after, expected = read_place(story), story.expected()
        one, other = report_of(before[CURRENT]), report_of(after[CURRENT])
        if one.valid == other.valid and one.segments_xor != other.segments_xor:
            break
        before = after
    sets = made(tmp_path, *({name: one[name] for name in one if not name.endswith(".chk")} for one in (before, after)))
    assert [*unlike_together(sets)] == []
    assert last_line("check", *sets)[0] == 0
    assert last_line("check", "--content", *sets) == (0, Word.RESTORABLE)
    done("restore", "--into", tmp_path / "out", *sets)
    assert contents(tmp_path / "out")[CURRENT] == after[CURRENT]
    story.lab.crash()
    place = story.lab.place
    for path in place.logs.iterdir():
        path.unlink()
    for name, data in contents(tmp_path / "out").items():
        home = next((path for path in place.databases.values() if path.name == name), place.logs / name)
        home.write_bytes(data)
    assert outcome_of(open_lab(story.lab.folder)) == expected
