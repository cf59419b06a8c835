"""Logs that are there already: which stay, which are set aside, and which refuse the restore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from chain_sets import OTHER_STREAM, TOP, branch, checkpoint, logs, name_of, part
from small_sets import write

from tokar.ese.log import LogHeader
from tokar.restore.inventory import engine_file, take_inventory
from tokar.restore.rollforward import RollForward, look_for_continuing
from tokar.sets.facts import LogFacts
from tokar.storage.bytesource import BytesSource

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def facts(generation: int, **fields: Any) -> LogFacts:
    data = TOP[generation]
    header = LogHeader.read(BytesSource(data))
    known: dict[str, Any] = {
        "name": name_of(generation),
        "size": len(data),
        "generation": generation,
        "named_generation": generation,
        "base": "edb",
        "signature": header.signature,
        "created": header.created,
        "previous_created": header.previous_created,
    }
    return LogFacts(**{**known, **fields})


PLACED = [facts(5), facts(6), facts(7)]


def look(folder: Path, files: dict[str, bytes], placed: Sequence[LogFacts] = PLACED) -> RollForward:
    write(folder, files)
    return look_for_continuing(take_inventory([str(folder)], engine_file).directories[str(folder)], placed)


def staying(found: RollForward) -> list[str]:
    return sorted(name for _, name in found.stays)


def problem(found: RollForward) -> str:
    (one,) = found.problems
    return one.error.message


def test_logs_that_continue_the_set_stay(tmp_path: Path) -> None:
    found = look(tmp_path, part(8, 10))
    assert (staying(found), found.high, found.problems) == ([name_of(8), name_of(9), name_of(10)], 10, ())


def test_the_current_log_is_known_by_its_header(tmp_path: Path) -> None:
    found = look(tmp_path, {**part(8, 8), "EDB.LOG": TOP[9]})
    assert (staying(found), found.high, found.problems) == (["EDB.LOG", name_of(8)], 9, ())


def test_older_logs_checkpoints_and_foreign_files_do_not_stay(tmp_path: Path) -> None:
    files = {"edb.chk": checkpoint(8), "edbtmp.log": TOP[9], "readme.txt": b"x", "edbres00001.jrs": bytes(8192)}
    found = look(tmp_path, {**files, name_of(5): TOP[5]}, PLACED[1:])
    assert (staying(found), found.high, found.problems) == ([], 0, ())


def test_a_log_that_the_set_has_too_is_set_aside(tmp_path: Path) -> None:
    found = look(tmp_path, part(7, 8))
    assert (staying(found), found.problems) == ([name_of(8)], ())


def test_a_log_with_other_bytes_than_in_the_set_refuses(tmp_path: Path) -> None:
    found = look(tmp_path, part(7, 8), [facts(7, digest=bytes(32))])
    assert "with other bytes" in problem(found)


def test_a_log_of_another_history_refuses(tmp_path: Path) -> None:
    assert "histories parted" in problem(look(tmp_path, branch(7, 7)))


def test_logs_after_another_history_refuse(tmp_path: Path) -> None:
    after = branch(7, 9)
    del after[name_of(7)]
    assert "does not continue log 0x7" in problem(look(tmp_path, after))


def test_logs_after_a_gap_refuse(tmp_path: Path) -> None:
    found = look(tmp_path, part(9, 10))
    assert "after a gap: log 0x8 is missing (-565)" in problem(found)


def test_a_log_of_another_stream_refuses(tmp_path: Path) -> None:
    assert "another log stream" in problem(look(tmp_path, logs(8, 8, stream=OTHER_STREAM)))


def test_a_log_of_another_base_name_refuses(tmp_path: Path) -> None:
    assert "another log stream" in problem(look(tmp_path, {"e0000008.log": TOP[8]}))


def test_a_log_whose_name_and_header_disagree_refuses(tmp_path: Path) -> None:
    assert "is log 0x9 by its header (-513)" in problem(look(tmp_path, {name_of(8): TOP[9]}))


def test_a_log_with_a_damaged_header_refuses(tmp_path: Path) -> None:
    assert "cannot be proven to continue" in problem(look(tmp_path, {name_of(8): b"\xff" * 24576}))


def test_a_log_under_another_name_refuses(tmp_path: Path) -> None:
    assert "is a log under a name that is none" in problem(look(tmp_path, {"copy of a log.bin": TOP[8]}))


def test_a_log_that_was_cut_refuses(tmp_path: Path) -> None:
    assert "its header says 24,576" in problem(look(tmp_path, {name_of(8): TOP[8][:8192]}))


def test_one_generation_under_two_names_refuses(tmp_path: Path) -> None:
    assert "there twice" in problem(look(tmp_path, {name_of(8): TOP[8], "edb.log": TOP[8]}))


def test_a_numbered_log_after_the_current_one_refuses(tmp_path: Path) -> None:
    assert "is the current log, and 0x9 is later" in problem(look(tmp_path, {"edb.log": TOP[8], name_of(9): TOP[9]}))


@pytest.mark.parametrize("placed", [[], [facts(7, signature=None)], [facts(7, current=True)]])
def test_without_a_closed_log_at_the_end_there_is_nothing_to_go_on_from(tmp_path: Path, placed: list[LogFacts]) -> None:
    found = look(tmp_path, part(8, 8), placed)
    assert "nothing to roll forward from" in problem(found)
    assert found.stays == frozenset()
