"""A dozen verdicts as they are read at three in the morning: the whole text of `check`, in `verdicts.txt`."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from command_line import done, tokar
from recovery_sets import DATABASE, OTHER_STREAM, database, dirty, flip, logs, streaming, write

from tokar.ese.values import LogPosition

ALL = logs(1, 12)
FOREIGN = logs(6, 6, stream=OTHER_STREAM)
TEXTS = Path(__file__).parent / "verdicts.txt"
Files = dict[str, bytes]


def part(low: int, high: int, *without: int) -> Files:
    return {f"edb{at:05X}.log": ALL[f"edb{at:05X}.log"] for at in range(low, high + 1) if at not in without}


def crash(*parts: Files, committed: int = 0, high: int = 7) -> Files:
    return {DATABASE: bytes(dirty(5, high, committed)), **{name: data for one in parts for name, data in one.items()}}


def twice(data: bytes, offset: int) -> bytes:
    return flip(flip(data, offset), offset + 400, 3)


SHUT_DOWN = bytes(database(consistent_position=LogPosition(generation=9, sector=1)))
OTHER = bytes(database(signature=OTHER_STREAM))
CASES: dict[str, tuple[Files, str]] = {
    "good": (crash(part(5, 8)), "ese"),
    "a streaming full of an authority": ({DATABASE: bytes(streaming(5, 7)), **part(5, 7)}, "certadm"),
    "logs alone": (part(8, 11), "ese"),
    "logs alone with a hole": (part(8, 11, 9), "ese"),
    "a hole below": (crash(part(2, 7, 4)), "ese"),
    "logs that end too early": ({DATABASE: SHUT_DOWN, **part(3, 6)}, "ese"),
    "committed logs are missing": (crash(part(5, 6), committed=8, high=6), "ese"),
    "in a state that nobody knows": ({DATABASE: bytes(database(raw_state=5)), **part(5, 6)}, "ese"),
    "a needed log is missing": (crash(part(5, 7, 6)), "ese"),
    "an older current log": (crash(part(5, 5), {"edb.log": ALL["edb00006.log"]}), "ese"),
    "a log of another server": (crash(part(5, 7), FOREIGN), "ese"),
    "a damaged log": (crash(part(5, 7), {"edb00006.log": twice(ALL["edb00006.log"], 5000)}), "ese"),
    "a damaged log, and whole in a folder": (
        crash(part(5, 7), {"edb00006.log": twice(ALL["edb00006.log"], 5000), "old/edb00006.log": ALL["edb00006.log"]}),
        "ese",
    ),
    "two databases of one name": ({f"{at}/{DATABASE}": data for at, data in (("a", SHUT_DOWN), ("b", OTHER))}, "ese"),
    "a damaged page": ({**crash(part(5, 7)), DATABASE: twice(crash()[DATABASE], 4096 * 3 + 500)}, "ese"),
    "a database of zeros": ({**crash(part(5, 7)), DATABASE: bytes(24576)}, "ese"),
}


def said(folder: Path, title: str) -> str:
    """What check prints, without what changes from run to run."""
    files, profile = CASES[title]
    path = folder / "set.tokar"
    done("create", "-q", "--profile", profile, path, write(folder / "set", files))
    text = tokar("check", path).stdout.replace(f"{folder}{os.sep}", "")
    text = re.sub(r"root [0-9a-f]{64}", "root ...", text)
    return re.sub(r"entries, [0-9,]+ bytes", "entries, ... bytes", text)


@pytest.mark.parametrize("title", CASES)
def test_a_verdict_reads_as_it_is_written_down(title: str, tmp_path: Path) -> None:
    written = dict(one.split("\n", 1) for one in TEXTS.read_text(encoding="utf-8").split("=== ")[1:])
    assert said(tmp_path, title) == written[title].rstrip("\n") + "\n"


def test_no_rung_passes_above_a_contrary_verdict(tmp_path: Path) -> None:
    lines = said(tmp_path, "a damaged log").splitlines()
    assert lines[-1] == "NOT RESTORABLE: main.edb: edb00006.log has 1 damaged segment at 0x1000"
    assert any(line.startswith("  chained     not looked at") for line in lines)
