"""Links in the place of logs: named, and the root cause where what they stand for is missing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from command_line import done, tokar
from loose_facts import facts_of_folder
from recovery_sets import DATABASE, database, dirty, logs, write

from tokar.sets.faults import Severity
from tokar.sets.judge import judge_set

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.sets.judge import SetVerdict

DIRTY = {DATABASE: bytes(dirty(5, 7)), **logs(5, 7)}
TEXT = "is a link or a special file, not looked at"


def verdict_on(folder: Path, files: dict[str, bytes], *links: str) -> SetVerdict:
    return judge_set(replace(facts_of_folder(write(folder, files)), links=links))


@pytest.mark.parametrize(
    ("gone", "link"), [("edb00006.log", "edb00006.log"), ("edb00006.log", "EDB00006.LOG"), ("edb00007.log", "edb.log")]
)
def test_a_link_in_the_place_of_a_needed_log_decides(tmp_path: Path, gone: str, link: str) -> None:
    files = {name: data for name, data in DIRTY.items() if name != gone}
    (fault,) = verdict_on(tmp_path, files, link).blocking
    assert (fault.message, fault.code, fault.databases) == (f"{link} {TEXT}", -543, (DATABASE,))


def test_of_several_logs_that_are_missing_the_links_are_named(tmp_path: Path) -> None:
    (fault,) = verdict_on(tmp_path, {DATABASE: DIRTY[DATABASE], **logs(5, 5)}, "edb00006.log").blocking
    assert fault.message == f"logs 0x6-0x7 are missing: edb00006.log {TEXT}"


def test_a_link_in_the_place_of_a_log_between_others_decides_in_a_set_of_logs(tmp_path: Path) -> None:
    files = {name: data for name, data in logs(5, 7).items() if name != "edb00006.log"}
    assert [one.message for one in verdict_on(tmp_path, files, "edb00006.log").blocking] == [f"edb00006.log {TEXT}"]


@pytest.mark.parametrize("main", [database(), dirty(5, 7)], ids=["clean", "dirty"])
@pytest.mark.parametrize("link", ["edb00002.log", "edb.log"])
def test_a_link_that_nobody_needs_is_a_remark(tmp_path: Path, main: bytearray, link: str) -> None:
    verdict = verdict_on(tmp_path, {**DIRTY, DATABASE: bytes(main)}, link)
    assert verdict.blocking == ()
    assert f"{link} {TEXT}" in {one.message for one in verdict.faults if one.severity is Severity.WARNING}


def test_every_verb_names_the_link_in_the_place_of_a_needed_log(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", DIRTY)
    (folder / "edb00006.log").rename(tmp_path / "real.log")
    (folder / "edb00006.log").symlink_to(tmp_path / "real.log")
    last = f"NOT RESTORABLE: {DATABASE}: edb00006.log {TEXT}"
    done("create", "-q", tmp_path / "a.tokar", folder)
    for path in (folder, tmp_path / "a.tokar"):
        for verb in (["check"], ["check", "--content"], ["chain"], ["chain", "--content"]):
            result = tokar(*verb, path)
            assert (result.exit_code, result.stdout.splitlines()[-1]) == (9, last), (verb, path)
    result = tokar("restore", "--into", tmp_path / "out", tmp_path / "a.tokar")
    assert (result.exit_code, result.stdout.splitlines()[-1], (tmp_path / "out").exists()) == (6, last, False)
    (folder / "edb00006.log").unlink()
    (tmp_path / "real.log").rename(folder / "edb00006.log")
    assert tokar("check", folder).exit_code == 0
