"""Logs that are there already: which stay, which are set aside, and which refuse the restore."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from chain_sets import DATABASE, OTHER_STREAM, TOP, branch, checkpoint, database, dirty, logs, name_of, part, streaming
from engine_by_hand import new_story
from lab_sets import fork_of
from real_sets import rewritten
from recovery_sets import flip
from small_sets import write

from tokar.ese.database import DatabaseHeader
from tokar.ese.log import LogHeader
from tokar.ese.page import seal_segment
from tokar.ese.values import LogPosition
from tokar.restore.inventory import (
    Found,
    FoundList,
    NameKind,
    TargetDirectory,
    TargetState,
    engine_file,
    take_inventory,
)
from tokar.restore.rollforward import RolledForward, RollForward, given_up, is_earlier_state, look_for_continuing
from tokar.sets.facts import DatabaseFacts, LogFacts
from tokar.storage.bytesource import BytesSource, FileSource

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


def look(
    folder: Path,
    files: dict[str, bytes],
    placed: Sequence[LogFacts] = PLACED,
    databases: Sequence[DatabaseFacts] = (),
    content: bytes | None = None,
) -> RollForward:
    """Look at logs that are there; `content` is that of the last log that is placed."""
    write(folder, files)
    source = None if content is None else BytesSource(content)
    known = RolledForward(placed, databases, 4, source)
    return look_for_continuing(take_inventory([str(folder)], engine_file).directories[str(folder)], known)


def staying(found: RollForward) -> list[str]:
    return sorted(name for _, name in found.stays)


def problem(found: RollForward) -> str:
    (one,) = found.problems
    return one.error.message


def said(folder: Path, files: dict[str, bytes], placed: Sequence[LogFacts] = PLACED) -> list[str]:
    """What is said of logs that are there where they are to be set aside."""
    write(folder, files)
    return [*given_up(str(folder), take_inventory([str(folder)], engine_file), RolledForward(placed))]


@pytest.mark.parametrize(
    ("files", "logs"),
    [
        (part(6, 10), "3 logs in {} continue the set, to 0xA"),
        (part(8, 8), "1 log in {} continues the set, to 0x8"),
        ({"edb.log": TOP[8]}, "1 log in {} continues the set, to 0x8"),
        (part(8, 8) | {"edb.log": TOP[9]}, "2 logs in {} continue the set, to 0x9"),
    ],
)
def test_where_logs_that_continue_the_set_are_set_aside_it_is_said_what_that_gives_up(
    files: dict[str, bytes], logs: str, tmp_path: Path
) -> None:
    (one,) = said(tmp_path, files)
    rest = (
        "setting aside gives up what came after the backup; --existing roll-forward (without --server) lets them stay"
    )
    assert one == f"{logs.format(tmp_path)}: {rest}"


@pytest.mark.parametrize(
    "files",
    [
        {},
        part(5, 7),
        part(9, 10),
        {name_of(8): bytes(8192)},
        {"edb.log": TOP[7]},
        {"edb.log": bytes(8192)},
        {name_of(8): logs(8, 8, stream=OTHER_STREAM)[name_of(8)]},
    ],
)
def test_of_logs_that_do_not_continue_the_set_nothing_is_given_up(files: dict[str, bytes], tmp_path: Path) -> None:
    assert said(tmp_path, files) == []


def test_nothing_is_given_up_where_no_log_is_placed_or_nobody_looks(tmp_path: Path) -> None:
    assert said(tmp_path, part(8, 10), []) == []
    assert [*given_up(None, take_inventory([], engine_file), RolledForward(PLACED))] == []


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


def jtx(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name.replace(".log", ".jtx"): data for name, data in files.items()}


@pytest.mark.parametrize(
    "there", [{**part(8, 8), **jtx(part(9, 9)), "edb.log": TOP[10]}, {**part(8, 8), **jtx(part(9, 9))}]
)
def test_a_log_of_the_other_suffix_continues_nothing(tmp_path: Path, there: dict[str, bytes]) -> None:
    found = look(tmp_path, there)
    assert problem(found) == "edb00009.jtx holds generation 0x9, and the engine looks for another name (-543)"
    assert found.problems[0].error.hint is not None
    assert found.problems[0].error.hint.startswith("call it edb00009.log, or")


def test_logs_of_the_other_suffix_than_those_that_are_placed_refuse(tmp_path: Path) -> None:
    assert "edb00008.jtx holds generation 0x8" in problem(look(tmp_path, jtx({**part(8, 8), "edb.log": TOP[9]})))


def test_a_log_of_the_other_suffix_is_set_aside_where_it_is_there_under_its_name_too(tmp_path: Path) -> None:
    found = look(tmp_path, {**part(8, 9), **jtx(part(7, 8)), "edbtmp.jtx": TOP[5]})
    assert (staying(found), found.high, found.problems) == ([name_of(8), name_of(9)], 9, ())
    assert problem(look(tmp_path / "other", {**part(8, 9), **jtx(branch(9, 9))})).startswith("edb00009.jtx")


def test_logs_that_are_all_of_the_newer_suffix_stay(tmp_path: Path) -> None:
    placed = [facts(one, name=name_of(one).replace(".log", ".jtx")) for one in (5, 6, 7)]
    found = look(tmp_path, jtx({**part(8, 8), "edb.log": TOP[9]}), placed)
    assert (staying(found), found.high, found.problems) == (["edb.jtx", "edb00008.jtx"], 9, ())


def test_a_numbered_log_after_the_current_one_refuses(tmp_path: Path) -> None:
    assert "is the current log, and 0x9 is later" in problem(look(tmp_path, {"edb.log": TOP[8], name_of(9): TOP[9]}))


@pytest.mark.parametrize("placed", [[], [facts(7, signature=None)]])
def test_without_a_log_of_a_known_format_there_is_nothing_to_go_on_from(tmp_path: Path, placed: list[LogFacts]) -> None:
    found = look(tmp_path, part(8, 8), placed)
    assert "nothing to roll forward from" in problem(found)
    assert found.problems[0].error.hint is not None
    assert found.problems[0].error.hint.startswith("restore into an empty directory")
    assert found.stays == frozenset()


def of_database(data: Any) -> DatabaseFacts:
    return DatabaseFacts(name=DATABASE, size=len(bytes(data)), header=DatabaseHeader.parse(bytes(data)[:4096]))


NEEDS = [of_database(dirty(7, 8))]
STOPPED = [of_database(database(consistent_position=LogPosition(generation=7, sector=1)))]


@pytest.mark.parametrize("databases", [NEEDS, STOPPED])
def test_logs_that_a_database_alone_needs_or_goes_on_from_stay(tmp_path: Path, databases: list[DatabaseFacts]) -> None:
    found = look(tmp_path, {**part(7, 8), "edb.log": TOP[9], "edb.chk": checkpoint(8)}, [], databases)
    assert (staying(found), found.high, found.problems) == (["edb.log", name_of(7), name_of(8)], 9, ())


@pytest.mark.parametrize(
    ("there", "low"),
    [
        (part(5, 8), 5),
        ({**part(5, 5), **part(7, 8)}, 7),
        ({**part(7, 8), **branch(6, 6)}, 7),
        ({**part(5, 8), name_of(6): flip(flip(TOP[6], 9000), 9100, 3)}, 7),
        ({**part(5, 5), **jtx(part(6, 6)), **part(7, 8)}, 7),
        ({**part(5, 8), **jtx(part(6, 6))}, 5),
    ],
)
def test_earlier_logs_that_lead_to_them_stay_too_for_other_databases_may_need_them(
    tmp_path: Path, there: dict[str, bytes], low: int
) -> None:
    found = look(tmp_path, there, [], NEEDS)
    assert (staying(found), found.problems) == ([name_of(one) for one in range(low, 9)], ())


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (part(9, 9), "after a gap: log 0x7 is missing"),
        ({**part(7, 7), **part(9, 9)}, "after a gap: log 0x8 is missing"),
        (logs(7, 8, stream=OTHER_STREAM), "another log stream"),
        ({**part(7, 7), **{f"e00{name[3:]}": data for name, data in part(8, 8).items()}}, "another log stream"),
        ({**jtx(part(7, 7)), "edb.log": TOP[8]}, "edb00007.jtx holds generation 0x7, and the engine looks for another"),
    ],
)
def test_logs_that_do_not_go_on_from_a_database_alone_refuse(tmp_path: Path, files: dict[str, bytes], why: str) -> None:
    found = look(tmp_path, files, [], NEEDS)
    assert why in found.problems[0].error.message
    assert found.problems[0].error.hint is not None


def test_copies_from_a_backup_and_databases_of_two_streams_do_not_say_where_logs_go_on(tmp_path: Path) -> None:
    other = of_database(dirty(7, 8, log_signature=OTHER_STREAM))
    for databases in ([of_database(streaming(7, 8))], [*NEEDS, other]):
        assert "nothing to roll forward from" in problem(look(tmp_path, part(7, 8), [], databases))


BEGUN = logs(7, 7, after=TOP[6], filled=2)[name_of(7)]
"""Log 7 as it was before it was closed."""
SNAPSHOT = [facts(6), facts(7, name="edb.log", named_generation=None, current=True)]


@pytest.mark.parametrize(
    "there",
    [
        {**part(7, 8), "edb.log": TOP[9]},
        part(7, 7),
        {"edb.log": TOP[7]},
        {**part(6, 7), "edb.log": TOP[8]},
        {**part(7, 8), "edbtmp.log": TOP[5]},
    ],
)
def test_the_current_log_of_the_set_gives_way_to_a_later_state_that_is_there(
    tmp_path: Path, there: dict[str, bytes]
) -> None:
    found = look(tmp_path, there, SNAPSHOT, content=BEGUN)
    assert (staying(found), found.problems) == (sorted({*there} - {name_of(6)}), ())
    assert "an earlier state of log 0x7" in found.gives_way[4].reason


@pytest.mark.parametrize("name", [name_of(8), name_of(10), "edb.log"])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_link_in_the_place_of_a_log_that_may_continue_the_set_refuses(kind: str, name: str, tmp_path: Path) -> None:
    elsewhere = write(tmp_path / "elsewhere", {"real.log": TOP[8]}) / "real.log"
    folder = write(tmp_path / "there", part(8, 9) if name == name_of(10) else {"readme.txt": b"x"})
    if kind == "link":
        (folder / name).symlink_to(elsewhere)
    else:
        os.mkfifo(folder / name)
    found = look(folder, {})
    assert problem(found) == f"{name} is a link or a special file, not looked at"
    assert "copy the file that it leads to here" in (found.problems[0].error.hint or "")


@pytest.mark.parametrize("name", [name_of(7), name_of(3), "e0100008.log", "edb.chk", "edbtmp.log", "readme.log"])
def test_a_link_that_is_in_no_place_of_a_later_log_refuses_nothing(name: str, tmp_path: Path) -> None:
    elsewhere = write(tmp_path / "elsewhere", {"real.log": TOP[8]}) / "real.log"
    folder = write(tmp_path / "there", part(8, 8))
    (folder / name).symlink_to(elsewhere)
    found = look(folder, {})
    assert (staying(found), found.problems) == ([name_of(8)], ())


def test_the_same_current_log_stays(tmp_path: Path) -> None:
    found = look(tmp_path, {"edb.log": BEGUN}, SNAPSHOT, content=BEGUN)
    assert (staying(found), [*found.gives_way], found.problems) == (["edb.log"], [4], ())


def test_an_earlier_state_of_the_current_log_of_the_set_is_set_aside(tmp_path: Path) -> None:
    found = look(tmp_path, {"edb.log": BEGUN}, SNAPSHOT, content=TOP[7])
    assert (staying(found), found.gives_way, found.problems) == ([], {}, ())


@pytest.mark.parametrize("there", [{}, part(5, 6), {"edb.log": TOP[5]}])
def test_where_nothing_continues_it_the_current_log_of_the_set_is_placed(
    tmp_path: Path, there: dict[str, bytes]
) -> None:
    found = look(tmp_path, there, SNAPSHOT, content=BEGUN)
    assert (staying(found), found.gives_way, found.problems) == ([], {}, ())


def test_a_current_log_of_the_other_suffix_stands_for_none_of_the_set(tmp_path: Path) -> None:
    found = look(tmp_path, jtx({"edb.log": BEGUN}), SNAPSHOT, content=BEGUN)
    assert (staying(found), found.gives_way, found.problems) == ([], {}, ())
    later = look(tmp_path, jtx({"edb.log": TOP[7]}), SNAPSHOT, content=BEGUN)
    assert problem(later).startswith("edb.jtx holds generation 0x7, and the engine looks for another name")


def ended_at(log: bytes, used: int) -> bytes:
    """A log whose last segment, the first of it, was filled so far."""
    return log[:4096] + seal_segment(log[4096 : 4096 + used].ljust(4096, b"\0"), 1) + bytes(len(log) - 8192)


def test_of_two_states_that_end_in_one_segment_the_later_one_counts(tmp_path: Path) -> None:
    earlier, later = ended_at(TOP[7], 900), ended_at(TOP[7], 1700)
    found = look(tmp_path, {"edb.log": later}, SNAPSHOT, content=earlier)
    assert (len(found.gives_way), found.problems) == (1, ())
    found = look(tmp_path, {"edb.log": earlier}, SNAPSHOT, content=later)
    assert (staying(found), found.gives_way, found.problems) == ([], {}, ())
    parted = bytearray(later)
    parted[4096 + 60] ^= 1
    found = look(tmp_path, {"edb.log": ended_at(bytes(parted), 1700)}, SNAPSHOT, content=earlier)
    assert "neither is proven to be an earlier state" in problem(found)


OTHER_RECORDS = {"edb.log": BEGUN}
rewritten("edb.log", 1)(OTHER_RECORDS)


@pytest.mark.parametrize(
    ("there", "content", "why"),
    [
        (part(8, 9), BEGUN, "after a gap: log 0x7, as it was closed, is missing (-565)"),
        (part(7, 8), OTHER_RECORDS["edb.log"], "neither is proven to be an earlier state"),
        ({name_of(7): flip(flip(TOP[7], 9000), 9100, 3)}, BEGUN, "neither is proven to be an earlier state"),
        (part(7, 8), None, "neither is proven to be an earlier state"),
        (branch(7, 8), BEGUN, "histories parted"),
        ({name_of(7): BEGUN, "edb.log": TOP[8]}, TOP[7], "neither is proven to be an earlier state"),
    ],
)
def test_what_is_no_later_state_of_the_current_log_of_the_set_refuses(
    tmp_path: Path, there: dict[str, bytes], content: bytes | None, why: str
) -> None:
    found = look(tmp_path, there, SNAPSHOT, content=content)
    assert why in problem(found)
    assert found.gives_way == {}


def test_a_log_of_ranges_is_known_as_the_earlier_state_wherever_its_last_range_begins(tmp_path: Path) -> None:
    """The checksum record of the last range says where the next one begins, and lies before the last sector."""
    story = new_story(tmp_path / "lab", "edbbcli", databases=1, seed=5, work=20)
    current = story.lab.place.logs / "edb.log"
    early = BytesSource(current.read_bytes())
    fork = fork_of(story, tmp_path / "fork")
    while LogHeader.read(now := BytesSource(current.read_bytes())).generation == LogHeader.read(early).generation:
        assert is_earlier_state(early, now)
        early = now
        story.lab.work(1)
    closed = story.lab.place.logs / name_of(LogHeader.read(early).generation)
    fork.lab.work(12)
    with FileSource(closed) as later, FileSource(fork.lab.place.logs / closed.name) as other:
        assert is_earlier_state(early, later)
        assert not is_earlier_state(later, early)
        assert not is_earlier_state(early, other)


def test_the_problem_with_the_lowest_log_is_told_first(tmp_path: Path) -> None:
    """In whatever order the file system has them."""
    names = [name_of(generation) for generation in (8, 9, 10, 11, 12)]
    folder = write(tmp_path, dict.fromkeys(names, b"no log" * 1000))
    found = [Found(name, NameKind.FILE, "log") for name in reversed(names)]
    directory = TargetDirectory(str(folder), TargetState.DIRECTORY, found=FoundList(found))
    problems = look_for_continuing(directory, RolledForward(PLACED)).problems
    assert [one.error.message.partition(" ")[0] for one in problems] == names
