"""How recovery begins without a current log: the step that `check`, `chain` and `restore` give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from recovery_sets import DATABASE, OTHER_STREAM, archive, database, dirty, logs, streaming

from tokar.ese.values import LogPosition
from tokar.restore.guide import steps_without_current
from tokar.sets.backup_set import find_sets
from tokar.sets.joining import build_chain

if TYPE_CHECKING:
    from pathlib import Path

Files = dict[str, bytes]
ALL, OTHER = logs(5, 8), logs(5, 7, stream=OTHER_STREAM)
BEGIN = (
    "ren edb00007.log edb.log && esentutl /r edb",
    "only if that fails for want of the current log: esentutl /r edb /a, which gives up what was committed in it",
)


def part(low: int, high: int, *without: int) -> Files:
    return {f"edb{at:05X}.log": ALL[f"edb{at:05X}.log"] for at in range(low, high + 1) if at not in without}


CRASHED = {DATABASE: bytes(dirty(5, 7)), **part(5, 7)}
ENDS_WITH_LOGS = bytes(database(consistent_position=LogPosition(generation=7, sector=1)))


def steps(path: Path, *sets: Files, profile: str = "ese", kind: str = "collected") -> list[tuple[str, ...]]:
    """Return the steps of each set, in the order of the sets."""
    for number, files in enumerate(sets):
        archive(path / f"{number}.tokar", files, kind=kind if number == 0 else "logs", profile=profile)
    chain = build_chain(find_sets([path / f"{number}.tokar" for number in range(len(sets))]).sets)
    order = sorted(range(len(sets)), key=lambda number: chain.sets[number].label)
    return [steps_without_current(chain, number) for number in order]


def test_the_highest_log_is_renamed_and_given_up_only_after_that(tmp_path: Path) -> None:
    assert steps(tmp_path, CRASHED) == [BEGIN]


def test_the_highest_log_may_be_one_of_another_set(tmp_path: Path) -> None:
    found = steps(tmp_path, {DATABASE: bytes(dirty(5, 6)), **part(5, 6)}, part(7, 8))
    assert found == [tuple(step.replace("00007", "00008") for step in BEGIN), ()], "logs alone begin nothing"


def test_nothing_is_given_up_for_what_was_shut_down(tmp_path: Path) -> None:
    (found,) = steps(tmp_path, {DATABASE: ENDS_WITH_LOGS, **part(5, 7)})
    assert found[0] == "ren edb00007.log edb.log: the engine begins with no log after it"
    assert found[1:] == ("let the program that owns the database open it, and back it up anew",)


def test_each_instance_begins_with_the_highest_log_of_its_folder(tmp_path: Path) -> None:
    other = {DATABASE: bytes(dirty(5, 7, log_signature=OTHER_STREAM, signature=OTHER_STREAM)), **OTHER}
    files = {f"{folder}/{name}": data for folder, one in (("a", CRASHED), ("b c", other)) for name, data in one.items()}
    (found,) = steps(tmp_path, files)
    assert found[0] == "ren a/edb00007.log edb.log && esentutl /r edb /l a /s a"
    assert found[2] == 'ren "b c/edb00007.log" edb.log && esentutl /r edb /l "b c" /s "b c"'


@pytest.mark.parametrize(
    "files",
    [
        {**CRASHED, "edb.log": ALL["edb00008.log"]},
        {**CRASHED, "edbtmp.log": bytes(8192)},
        {DATABASE: bytes(dirty(5, 7)), **part(5, 7, 6)},
        {DATABASE: bytes(dirty(5, 6, 8)), **part(5, 6)},
        {DATABASE: bytes(streaming(5, 7)), **part(5, 7)},
        {DATABASE: bytes(database())},
        {DATABASE: bytes(database(raw_state=5)), **part(5, 6)},
        part(5, 7),
        {"readme.txt": b"text"},
    ],
    ids=["current", "next", "hole", "with loss", "hard", "no log", "unknown state", "logs alone", "no engine"],
)
def test_no_step_is_given_where_recovery_begins_or_cannot(files: Files, tmp_path: Path) -> None:
    assert steps(tmp_path, files) == [()]


@pytest.mark.parametrize("profile", ["certadm", "ntdsbcli", "edbbcli"])
@pytest.mark.parametrize("kind", ["collected", "full"])
def test_no_step_is_given_for_a_service_which_renames_no_log(profile: str, kind: str, tmp_path: Path) -> None:
    assert steps(tmp_path, CRASHED, profile=profile, kind=kind) == [()]
