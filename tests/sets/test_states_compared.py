"""Two states of a log that holds more in one of them: the shorter is the beginning of the longer, or history parted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_line import done, tokar
from encrypted import make_identity
from engine_by_hand import Account, kept_folder, new_story
from lab_sets import LabSet, lab_names, read_place, recovered
from recovery_sets import write
from small_sets import contents

from tokar.ese.content_facts import LogReport
from tokar.ese.inspect import inspect_file
from tokar.ese.log import LogHeader
from tokar.ese.log_states import is_beginning
from tokar.lab.lab import open_lab
from tokar.sets.outcome import Word
from tokar.storage.bytesource import BytesSource
from verbs import unlike_together

if TYPE_CHECKING:
    from engine_by_hand import Story
    from lab_sets import Contents, Files

CURRENT = "edb.log"
ERAS = {"ntdsbcli": "format 7", "certadm": "format 8"}


@dataclass(frozen=True)
class Histories:
    """Snapshots of a server that was reverted: of the history that went on, and of the other one, some work apart."""

    story: Story
    own: tuple[Files, ...]
    other: tuple[Files, ...]
    known: tuple[Contents, ...]  # What was in its databases, at any time

    def recovered(self, folder: Path) -> Contents:
        config = self.story.lab.config
        paths = {one.dbid: one.path for one in config.databases}
        return recovered(LabSet(config.profile, lab_names(self.story), paths, {}), folder, None)[0]


def copy_of(story: Story, folder: Path, seed: int) -> Story:
    """The same server in another folder, with chances of its own from here on."""
    shutil.copytree(story.lab.folder, folder)
    config = folder / "lab.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "seed": seed}))
    account = Account()
    account.now = {dbid: dict(records) for dbid, records in story.account.now.items()}
    return type(story)(open_lab(folder, account), account)


def snapshots(story: Story, known: list[Contents]) -> Iterator[Files]:
    """All files but the checkpoint, again and again: the last log grows, and is closed."""
    for _ in range(60):
        story.lab.work(1)
        known.append(story.expected())
        yield {name: data for name, data in read_place(story).items() if not name.endswith(".chk")}
    known += [story.expected(generation) for generation in story.account.at]
    story.lab.crash()


@cache
def histories(profile: str) -> Histories:
    folder = kept_folder()
    story = new_story(folder / "lab", profile, databases=1, seed=3, work=21)
    story.lab.stop()  # the next life goes on in the same log
    known = [story.expected()]
    own, other = (tuple(snapshots(copy_of(story, folder / str(seed), seed), known)) for seed in (501, 777))
    return Histories(story, own, other, tuple(known))


def header_of(data: bytes) -> LogHeader:
    return LogHeader.parse(data)


def report_of(data: bytes) -> LogReport:
    report = inspect_file(BytesSource(data), examine=True).report
    assert isinstance(report, LogReport)
    return report


def logs_of(files: Files) -> Files:
    return {name: data for name, data in files.items() if name.endswith(".log")}


def log_of(files: Files, generation: int) -> bytes:
    return next(data for data in logs_of(files).values() if header_of(data).generation == generation)


def pick(states: tuple[Files, ...], least: int, *, closed: bool = False) -> Files:
    """The first state whose first log after the parting holds so much, or that went on after it."""
    first = header_of(states[0][CURRENT]).generation
    for files in states:
        is_closed = header_of(files[CURRENT]).generation > first
        if is_closed if closed else not is_closed and report_of(files[CURRENT]).valid >= least:
            return files
    raise AssertionError("no such state")


def states_of(profile: str) -> dict[str, Files]:
    made = histories(profile)
    begun = report_of(made.own[0][CURRENT]).valid
    return {
        "short": pick(made.own, begun + 1),
        "longer": pick(made.own, begun + 3),
        "closed": pick(made.own, 0, closed=True),
        "other": pick(made.other, begun + 3),
        "other, closed": pick(made.other, 0, closed=True),
    }


def archives(folder: Path, sets: list[Files], options: tuple[str | Path, ...] = ()) -> list[Path]:
    paths = [folder / f"{at}.tokar" for at in range(len(sets))]
    for path, files in zip(paths, sets, strict=True):
        done("create", "-q", *options, path, write(path.with_suffix(""), files))
    return paths


def together(folder: Path, sets: list[Files], options: tuple[str | Path, ...] = ()) -> list[Path]:
    """The same files in one archive: the first set, and the others in folders beside it."""
    files = {name if not at else f"{at}/{name}": data for at, one in enumerate(sets) for name, data in one.items()}
    done("create", "-q", "--all", *options, folder / "all.tokar", write(folder / "all", files))
    return [folder / "all.tokar"]


Made = Callable[[Path, "list[Files]"], list[Path]]
MADE: dict[str, Made] = {"in two archives": archives, "in one": together}


@pytest.mark.parametrize("profile", ERAS)
def test_a_state_is_the_beginning_of_the_later_ones_of_its_history_alone(profile: str) -> None:
    states = {
        name: log_of(one, header_of(histories(profile).own[0][CURRENT]).generation)
        for name, one in states_of(profile).items()
    }
    short = states.pop("short")
    found = {
        name: is_beginning(report_of(short), BytesSource(short), BytesSource(data)) for name, data in states.items()
    }
    assert found == {"longer": True, "closed": True, "other": False, "other, closed": False}


@pytest.mark.slow
@pytest.mark.parametrize("made", MADE.values(), ids=[*MADE])
@pytest.mark.parametrize("later", ["longer", "closed"])
@pytest.mark.parametrize("profile", ERAS)
def test_a_snapshot_and_the_logs_of_a_later_one_restore_to_the_end(
    profile: str, later: str, made: Made, tmp_path: Path
) -> None:
    states = states_of(profile)
    paths = made(tmp_path, [states["short"], logs_of(states[later])])
    assert said_of(paths) - {Word.NOT_PROVEN} == {Word.RESTORABLE}  # what reads no content follows no pages
    assert [*unlike_together(paths)] == []
    done("restore", "--into", tmp_path / "out", *paths)
    placed = contents(tmp_path / "out")
    assert placed[CURRENT] == states[later][CURRENT]
    assert histories(profile).recovered(tmp_path / "out") in histories(profile).known


def said_of(paths: list[Path], options: tuple[str | Path, ...] = ()) -> set[str]:
    words = set()
    for verb, *content in (("check",), ("check", "--content"), ("chain",), ("chain", "--content")):
        words.add(tokar(verb, "--json", *content, *map(str, options), *map(str, paths)).json()["outcome"]["word"])
    return words


@pytest.mark.slow
@pytest.mark.parametrize("made", MADE.values(), ids=[*MADE])
@pytest.mark.parametrize("later", ["other", "other, closed"])
@pytest.mark.parametrize("profile", ERAS)
def test_logs_of_a_history_that_parted_inside_the_last_log_are_refused(
    profile: str, later: str, made: Made, tmp_path: Path
) -> None:
    states = states_of(profile)
    paths = made(tmp_path, [states["short"], logs_of(states[later])])
    assert said_of(paths) == {Word.NOT_RESTORABLE}
    assert [*unlike_together(paths)] == []
    assert tokar("restore", "--into", tmp_path / "out", *paths).exit_code == 6
    assert not (tmp_path / "out").exists() or not contents(tmp_path / "out")


@pytest.mark.parametrize("profile", ERAS)
@pytest.mark.parametrize("later", ["longer", "other"])
def test_files_as_they_lie_are_compared_as_those_in_archives(profile: str, later: str, tmp_path: Path) -> None:
    states = states_of(profile)
    lying, beside = write(tmp_path / "a", states["short"]), write(tmp_path / "b", logs_of(states[later]))
    (path,) = archives(tmp_path, [logs_of(states[later])])
    expected = {Word.RESTORABLE if later == "longer" else Word.NOT_RESTORABLE}
    assert said_of([lying, path]) == expected
    assert said_of([lying, beside]) == expected


@pytest.mark.parametrize("profile", ERAS)
@pytest.mark.parametrize("later", ["longer", "other"])
def test_of_encrypted_logs_whoever_has_the_key_knows_and_nobody_else(profile: str, later: str, tmp_path: Path) -> None:
    states, key = states_of(profile), make_identity(tmp_path, "key")
    paths = archives(tmp_path, [states["short"], logs_of(states[later])], ("--recipients-file", f"{key}.pub"))
    for verb in ("check", "chain"):
        assert tokar(verb, "--json", *paths).json()["outcome"]["word"] == Word.NOT_PROVEN
    is_good = later == "longer"
    assert said_of(paths, ("--identity", key)) == {Word.RESTORABLE if is_good else Word.NOT_RESTORABLE}
    result = tokar("restore", "--into", tmp_path / "out", "--identity", key, *paths)
    assert (result.exit_code, (tmp_path / "out" / CURRENT).exists()) == (0 if is_good else 6, is_good)


def test_an_archive_without_facts_says_nothing_before_its_content_is_read(tmp_path: Path) -> None:
    states = states_of("certadm")
    paths = archives(tmp_path, [states["short"], logs_of(states["longer"])], ("--no-examine",))
    for verb in ("check", "chain"):
        assert tokar(verb, "--json", *paths).json()["outcome"]["word"] == Word.NOT_PROVEN
        assert tokar(verb, "--json", "--content", *paths).json()["outcome"]["word"] == Word.RESTORABLE


@pytest.mark.parametrize("profile", ERAS)
def test_a_log_of_another_history_below_the_one_that_the_header_names_is_in_nobodys_way(
    profile: str, tmp_path: Path
) -> None:
    made, states = histories(profile), states_of(profile)
    (late,) = made.own[-1:]
    paths = archives(tmp_path, [late, logs_of(states["other"])])
    if ERAS[profile] == "format 8":  # the next log says what was in the one before
        assert said_of(paths) == {Word.RESTORABLE}
    assert [*unlike_together(paths)] == []


@pytest.mark.slow
@pytest.mark.parametrize("made", MADE.values(), ids=[*MADE])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("profile", ERAS)
def test_of_a_log_that_two_next_logs_go_on_from_that_of_the_named_history_is_placed(
    profile: str, turned: bool, made: Made, tmp_path: Path
) -> None:
    both = histories(profile)
    own, other = (both.other, both.own) if turned else (both.own, both.other)
    parted = header_of(own[0][CURRENT]).generation
    assert log_of(own[-1], parted) != log_of(other[-1], parted)
    paths = made(tmp_path, [own[-1], logs_of(other[-1])])
    assert said_of(paths) == {Word.RESTORABLE}
    assert [*unlike_together(paths)] == []
    done("restore", "--into", tmp_path / "out", *paths)
    assert {name: data for name, data in logs_of(contents(tmp_path / "out")).items() if own[-1].get(name) != data} == {}
    assert both.recovered(tmp_path / "out") in both.known


@pytest.mark.slow
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("profile", ERAS)
def test_of_two_fulls_that_both_closed_the_log_in_which_they_parted_a_branch_decides(
    profile: str, turned: bool, tmp_path: Path
) -> None:
    both, states = histories(profile), states_of(profile)
    sets = [states["other, closed" if one else "closed"] for one in (turned, not turned)]
    paths = archives(tmp_path, sets)
    assert said_of(paths) == {Word.RESTORABLE}
    result = tokar("restore", "--into", tmp_path / "out", *paths)
    assert (result.exit_code, "histories parted" in result.stderr, (tmp_path / "out").exists()) == (6, True, False)
    last = f"{header_of(sets[0][CURRENT]).generation - 1:05X}.log"
    done("restore", "--branch", f"0.tokar:edb{last}", "--into", tmp_path / "out", *paths)
    assert {name: data for name, data in logs_of(contents(tmp_path / "out")).items() if sets[0].get(name) != data} == {}
    assert both.recovered(tmp_path / "out") in both.known


@pytest.mark.slow
def test_of_encrypted_fulls_that_parted_the_same_is_said_with_the_key_and_without(tmp_path: Path) -> None:
    """A third set has the log in which they parted once more, under a digest of its own."""
    both, states, key = histories("ntdsbcli"), states_of("ntdsbcli"), make_identity(tmp_path, "key")
    parted = f"edb{header_of(both.own[0][CURRENT]).generation:05X}.log"
    own = states["closed"]
    sets = [own, states["other, closed"], {parted: own[parted]}]
    paths = archives(tmp_path, sets, ("--recipients-file", f"{key}.pub"))
    assert said_of(paths, ("--identity", key)) - {Word.NOT_PROVEN} == {Word.RESTORABLE}
    assert said_of(paths) <= {Word.RESTORABLE, Word.NOT_PROVEN}


def test_copies_of_one_log_beside_which_the_same_next_log_lies_disagree_still(tmp_path: Path) -> None:
    both = histories("ntdsbcli")
    own, parted = both.own[-1], header_of(both.own[0][CURRENT]).generation
    changed = {**own, f"edb{parted:05X}.log": log_of(both.other[-1], parted)}
    paths = archives(tmp_path, [own, changed])
    assert said_of(paths) == {Word.NOT_RESTORABLE}
    assert [*unlike_together(paths)] == []


def hurt(log: bytes) -> bytes:
    """A log with another byte in the first range of its records; more follow."""
    at = header_of(log).header_sectors * header_of(log).sector_size + 64
    changed = log[:at] + bytes([log[at] ^ 1]) + log[at + 1 :]
    assert report_of(changed).bad
    return changed


@pytest.mark.parametrize("made", MADE.values(), ids=[*MADE])
@pytest.mark.parametrize("profile", ERAS)
def test_a_damaged_closed_log_gives_way_to_a_whole_one_that_has_all_that_is_whole_in_it(
    profile: str, made: Made, tmp_path: Path
) -> None:
    """Of format 7, too, where no next log says what must be in it."""
    both, own = histories(profile), states_of(profile)["closed"]
    name = f"edb{header_of(both.own[0][CURRENT]).generation:05X}.log"
    paths = made(tmp_path, [{**own, name: hurt(own[name])}, {name: own[name]}])
    assert said_of(paths) <= {Word.RESTORABLE, Word.NOT_PROVEN}
    assert tokar("check", "--json", "--content", *paths).json()["outcome"]["word"] == Word.RESTORABLE
    assert [*unlike_together(paths)] == []
    done("restore", "--into", tmp_path / "out", *paths)
    assert contents(tmp_path / "out")[name] == own[name]
    assert both.recovered(tmp_path / "out") in both.known


@pytest.mark.parametrize("is_own", [True, False])
@pytest.mark.parametrize("made", MADE.values(), ids=[*MADE])
def test_a_damaged_closed_log_disagrees_with_a_whole_one_of_another_history(
    made: Made, is_own: bool, tmp_path: Path
) -> None:
    """What is whole in it is not in the other one: which of them the database needs nobody can tell."""
    states, name = states_of("ntdsbcli"), f"edb{header_of(histories('ntdsbcli').own[0][CURRENT]).generation:05X}.log"
    own = states["closed" if is_own else "other, closed"]
    other = states["other, closed" if is_own else "closed"]  # of these logs one holds more
    paths = made(tmp_path, [{**own, name: hurt(own[name])}, {name: other[name]}])
    assert said_of(paths) == {Word.NOT_RESTORABLE}
    assert [*unlike_together(paths)] == []
    assert tokar("restore", "--into", tmp_path / "out", *paths).exit_code == 6
