"""The logs that are played onto a database where two histories lie beside each other, one of them under wrong names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from loose_facts import facts_of_folder
from recovery_sets import DATABASE, database, dirty, logs, write

from tokar.ese.database import DatabaseHeader
from tokar.ese.values import NO_TIME, LogPosition
from tokar.sets.faults import FaultKind, Severity
from tokar.sets.judge import judge_set

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.sets.judge import SetVerdict

OWN = logs(5, 9)
FORK = logs(6, 9, after=OWN["edb00005.log"], branch=500)
LATE = logs(8, 9, after=OWN["edb00007.log"], branch=500)
STOPPED = {DATABASE: bytes(database(consistent_position=LogPosition(generation=7, sector=1)))}
CRASHED = bytes(dirty(6, 7))
UNTOLD = {DATABASE: replace(DatabaseHeader.unpack(CRASHED), last_log_time=NO_TIME).build() * 2 + CRASHED[8192:]}
CURRENT = {**{name: OWN[name] for name in ("edb00005.log", "edb00006.log")}, "edb.log": OWN["edb00007.log"]}


def copies(files: dict[str, bytes], *names: str) -> dict[str, bytes]:
    """Files under names that the engine does not find."""
    return {name.replace(".log", " - Copy.log"): data for name, data in files.items() if not names or name in names}


def verdict_of(folder: Path, files: dict[str, bytes], *, examine: bool = True) -> SetVerdict:
    return judge_set(facts_of_folder(write(folder, files), examine=examine))


SETS = {
    "the one after the need": ({DATABASE: bytes(dirty(5, 7)), **OWN}, copies(LATE)),
    "one after the need, in part": ({DATABASE: bytes(dirty(5, 7)), **OWN}, copies(LATE, "edb00009.log")),
    "beside a database that was shut down": ({**STOPPED, **CURRENT}, copies(FORK, "edb00007.log")),
    "beside that, and before": ({**STOPPED, **CURRENT}, copies(FORK)),
    "beside that, and numbered logs": ({**STOPPED, **OWN}, copies(FORK)),
    "in the need, and no time is kept": ({**UNTOLD, **OWN}, copies(FORK)),
}


@pytest.mark.parametrize("examine", [False, True])
@pytest.mark.parametrize("title", SETS)
def test_a_misnamed_log_of_another_history_is_left_out_and_named(title: str, tmp_path: Path, *, examine: bool) -> None:
    files, beside = SETS[title]
    found = verdict_of(tmp_path, {**files, **beside}, examine=examine)
    assert found.blocking == ()
    assert {one.file.name for one in found.left_out} == {*beside}
    assert {log.name for log in found.placed_logs()} == {*files} - {DATABASE}


@pytest.mark.parametrize("files", [{**STOPPED, **OWN}, {**UNTOLD, **OWN}, {DATABASE: bytes(dirty(5, 7)), **OWN}])
def test_histories_of_which_recovery_finds_both_are_refused(files: dict[str, bytes], tmp_path: Path) -> None:
    other = FORK if files[DATABASE] != bytes(dirty(5, 7)) else LATE
    found = verdict_of(tmp_path, {**files, **{f"old/{name}": data for name, data in other.items()}})
    assert next(one.kind for one in found.blocking if one.severity is Severity.ERROR) is FaultKind.LOG_FORKED


def test_histories_of_which_recovery_finds_neither_are_refused(tmp_path: Path) -> None:
    own = {name.replace(".log", ".old"): OWN[name] for name in ("edb00008.log", "edb00009.log")}
    rest = {name: data for name, data in OWN.items() if name < "edb00008"}
    found = verdict_of(tmp_path, {DATABASE: bytes(dirty(5, 7)), **rest, **copies(LATE), **own})
    assert FaultKind.LOG_FORKED in {one.kind for one in found.blocking}


def test_the_history_that_the_header_proves_is_wanted_whatever_its_names(tmp_path: Path) -> None:
    wrong = {f"edb{number:05X}.log": FORK[f"edb{number:05X}.log"] for number in (6, 7)}
    files = {DATABASE: bytes(dirty(5, 7)), "edb00005.log": OWN["edb00005.log"], **wrong}
    found = verdict_of(tmp_path, {**files, **copies(OWN, "edb00006.log", "edb00007.log")})
    assert {one.code for one in found.blocking} == {-543}
    assert all("Copy" in name for one in found.blocking for name in one.files)
