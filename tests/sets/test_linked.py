"""Links in the place of databases and logs: named, and the root cause where what they stand for is missing."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from command_line import done, tokar
from loose_facts import facts_of_folder
from recovery_sets import DATABASE, DATABASE_SIGNATURE, OTHER_STREAM, database, dirty, logs, write

from tokar.ese.values import LogPosition, Signature
from tokar.sets.facts import ChainFacts
from tokar.sets.faults import FaultKind, Severity
from tokar.sets.judge import judge_set

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.sets.judge import SetVerdict

DIRTY = {DATABASE: bytes(dirty(5, 7)), **logs(5, 7)}
TEXT = "is a link or a special file, not looked at"
SECOND = "pub.edb"
OTHER = (r"C:\db\pub.edb", OTHER_STREAM)
BOTH = ((rf"C:\db\{DATABASE}", DATABASE_SIGNATURE), OTHER)


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
@pytest.mark.parametrize("link", ["old.edb", "edb00002.log", "edb.log"])
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


@pytest.mark.parametrize("link", [DATABASE, DATABASE.upper(), f"db/{DATABASE}"])
def test_a_link_in_the_place_of_the_database_decides(tmp_path: Path, link: str) -> None:
    (fault,) = verdict_on(tmp_path, logs(5, 7), link, "notes.txt").blocking
    assert (fault.kind, fault.message) == (FaultKind.DATABASE_UNREADABLE, f"{link} {TEXT}")
    step = "copy the file that it leads to into this folder, in its place, or name that file as well"
    assert fault.next_step == step


def test_a_link_with_the_ending_of_a_database_decides_where_no_log_names_one(tmp_path: Path) -> None:
    unnamed = logs(5, 7, attached=())
    assert [one.message for one in verdict_on(tmp_path, unnamed, "x.edb").blocking] == [f"x.edb {TEXT}"]
    for other in ("x.txt", "tmp.edb"):
        assert verdict_on(tmp_path, unnamed, other).faults == ()


def test_a_link_beside_logs_that_name_another_database_is_a_remark(tmp_path: Path) -> None:
    verdict = verdict_on(tmp_path, logs(5, 7), "other.edb")
    assert [(one.message, one.severity) for one in verdict.faults] == [(f"other.edb {TEXT}", Severity.WARNING)]


@pytest.mark.parametrize("main", [dirty(5, 7), database()], ids=["dirty", "clean"])
def test_the_second_database_of_a_stream_is_not_called_absent_where_it_is_a_link(
    tmp_path: Path, main: bytearray
) -> None:
    files = {DATABASE: bytes(main), **logs(5, 7, attached=BOTH)}
    verdict = verdict_on(tmp_path, files, SECOND)
    (fault,) = (one for one in verdict.faults if SECOND in one.message)
    assert fault.message == f"{SECOND} {TEXT}"
    is_clean = bytes(main) == bytes(database())  # then it hangs on logs that nobody looked at
    assert (fault.severity is Severity.ERROR, fault.is_open) == (not is_clean, is_clean)


@pytest.mark.parametrize("end", [5, 7], ids=["at the shutdown", "behind it"])
def test_beside_a_database_that_was_shut_down_a_link_decides_where_something_stands_behind_that(
    end: int, tmp_path: Path
) -> None:
    files = logs(5, end, attached=BOTH)
    files["edb.log"] = files.pop(f"edb{end:05X}.log")
    (last, *_) = (one for one in facts_of_folder(write(tmp_path / "logs", files), examine=True).logs if one.current)
    assert last.content is not None
    shut_down = LogPosition(generation=5, sector=last.content.end // last.sector_size)
    files[DATABASE] = bytes(database(consistent_position=shut_down))
    facts = facts_of_folder(write(tmp_path / "all", files), examine=True)
    nobody_can_read = ChainFacts(is_halted=True, why_not="no records")
    facts = replace(facts, databases=tuple(replace(one, chain=nobody_can_read) for one in facts.databases))
    (fault,) = (one for one in judge_set(replace(facts, links=(SECOND,))).faults if SECOND in one.message)
    assert (fault.message, fault.blocks) == (f"{SECOND} {TEXT}", end > 5)


@pytest.mark.parametrize(("high", "committed"), [(7, 7), (6, 7)], ids=["needed", "committed"])
def test_a_link_is_missed_where_the_last_needed_log_names_no_database_although_it_must(
    high: int, committed: int, tmp_path: Path
) -> None:
    """What is attached at the end the log before tells then, of a link as of any other database (`SFT-12`)."""
    at = LogPosition(generation=5, sector=1)
    first = logs(5, 6, attached=BOTH, attached_at=at)
    main = dirty(5, high, committed, attach_position=at)
    files = {DATABASE: bytes(main), **first, **logs(7, 7, after=first["edb00006.log"], attached=())}
    for links, severity in (((SECOND,), Severity.ERROR), ((), Severity.LOSS)):
        (fault,) = verdict_on(tmp_path, files, *links).blocking
        assert (fault.severity, fault.code) == (severity, -1216)
        assert (fault.message == f"{SECOND} {TEXT}") is bool(links)


def attached_until(last: int) -> dict[str, bytes]:
    """Logs of which those after one name one database less."""
    first = logs(5, last, attached=BOTH)
    return {**first, **logs(last + 1, 8, after=first[f"edb{last:05X}.log"], attached=BOTH[:1])}


@pytest.mark.parametrize("main", [dirty(5, 7), database(), None], ids=["dirty", "clean", "logs alone"])
def test_a_link_that_only_logs_before_the_last_one_name_is_a_remark(tmp_path: Path, main: bytearray | None) -> None:
    files = {**({DATABASE: bytes(main)} if main else {}), **attached_until(6)}
    verdict = verdict_on(tmp_path, files, SECOND)
    assert verdict.blocking == ()
    assert [one.severity for one in verdict.faults if one.message == f"{SECOND} {TEXT}"] == [Severity.WARNING]
    assert [one.message for one in verdict.faults if "not here" in one.message] == []


def test_a_link_that_logs_name_which_are_played_onto_no_database_here_is_a_remark(tmp_path: Path) -> None:
    files = {DATABASE: bytes(database()), **logs(10, 12, attached=BOTH)}
    verdict = verdict_on(tmp_path, files, SECOND)
    assert verdict.blocking == ()
    assert f"{SECOND} {TEXT}" in {one.message for one in verdict.faults}


def test_a_link_that_the_last_log_names_decides_where_logs_are_alone(tmp_path: Path) -> None:
    found = verdict_on(tmp_path, attached_until(6), DATABASE)
    assert [one.message for one in found.blocking] == [f"{DATABASE} {TEXT}"]


def test_a_link_to_the_database_of_logs_of_another_stream_decides_beside_a_good_set(tmp_path: Path) -> None:
    strays = logs(5, 7, stream=OTHER_STREAM, base="e01", attached=(OTHER,))
    assert verdict_on(tmp_path, {**DIRTY, **strays}).blocking == ()
    assert [one.message for one in verdict_on(tmp_path, {**DIRTY, **strays}, SECOND).blocking] == [f"{SECOND} {TEXT}"]


@pytest.mark.parametrize("main", [DIRTY[DATABASE], b"x" * 40960], ids=["good", "unreadable"])
def test_a_link_of_the_name_of_a_database_that_is_here_is_in_nobodys_way(tmp_path: Path, main: bytes) -> None:
    verdict = verdict_on(tmp_path, {**DIRTY, DATABASE: main}, f"old/{DATABASE}")
    assert [one.message for one in verdict.faults if TEXT in one.message] == []


@pytest.fixture(params=["link", "pipe"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    made = write(tmp_path / "in", DIRTY)
    (made / DATABASE).rename(tmp_path / DATABASE)
    if request.param == "link":
        (made / DATABASE).symlink_to(tmp_path / DATABASE)
    else:
        os.mkfifo(made / DATABASE)
    return made


def test_every_verb_names_the_link_in_the_place_of_the_database(tmp_path: Path, folder: Path) -> None:
    last = f"NOT RESTORABLE: {DATABASE} {TEXT}"
    made = done("create", tmp_path / "a.tokar", folder)
    assert made.stderr.splitlines()[-1] == f"tokar: ARCHIVED AS IT IS: {last}"
    for path in (folder, tmp_path / "a.tokar"):
        for verb in (["check"], ["check", "--content"], ["chain"], ["chain", "--content"]):
            result = tokar(*verb, path)
            assert (result.exit_code, result.stdout.splitlines()[-1]) == (9, last), (verb, path)
        recovered = tokar("recover", path, "--out", tmp_path / "out")
        assert (recovered.exit_code, recovered.error) == (9, f"there is no database here; {DATABASE} {TEXT}")
        named = tokar("recover", path, "--out", tmp_path / "out", "--only", DATABASE)
        assert named.error == f"there is no such database here: {DATABASE}; {DATABASE} {TEXT}"
        replayed = tokar("replay", path)
        assert (replayed.exit_code, f"{DATABASE} {TEXT}" in replayed.stdout) == (9, True)
    result = tokar("restore", "--into", tmp_path / "out", tmp_path / "a.tokar")
    assert (result.exit_code, result.stdout.splitlines()[-1], (tmp_path / "out").exists()) == (6, last, False)
    assert "--accept-unrecoverable" in result.stderr
    done("restore", "--accept-unrecoverable", "--into", tmp_path / "out", tmp_path / "a.tokar")


def test_a_database_of_another_set_of_the_chain_stands_for_the_link(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "db").mkdir()
    (tmp_path / DATABASE).rename(tmp_path / "db" / DATABASE)
    done("create", "-q", tmp_path / "full.tokar", tmp_path / "db" / DATABASE)
    done("create", "-q", tmp_path / "logs.tokar", folder)
    for both in ([tmp_path / "full.tokar", tmp_path / "logs.tokar"], [folder, tmp_path / "db" / DATABASE]):
        assert tokar("chain", *both).exit_code == 0
    done("restore", "--dry-run", "--into", tmp_path / "out", tmp_path / "full.tokar", tmp_path / "logs.tokar")


def test_the_link_in_a_set_of_logs_decides_where_the_full_lacks_its_second_database(tmp_path: Path) -> None:
    files = logs(5, 8, attached=BOTH)
    later = write(tmp_path / "later", {name: data for name, data in files.items() if name >= "edb00008"})
    (later / SECOND).symlink_to(tmp_path / "elsewhere.edb")
    full = write(tmp_path / "full", {DATABASE: DIRTY[DATABASE], **{k: v for k, v in files.items() if k < "edb00008"}})
    found = tokar("chain", full, later)
    assert (found.exit_code, found.stdout.splitlines()[-1]) == (9, f"NOT RESTORABLE: {DATABASE}: {SECOND} {TEXT}")
    assert "that is not here" not in found.stdout


def test_recover_and_replay_name_a_second_database_that_is_a_link(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {DATABASE: bytes(database()), **logs(5, 7, attached=BOTH)})
    (folder / SECOND).symlink_to(tmp_path / "elsewhere.edb")
    for verb in (["replay"], ["replay", "--json"]):
        assert f"{SECOND} {TEXT}" in tokar(*verb, folder).stderr, verb


def test_where_everything_keeps_its_folder_a_link_is_that_of_its_own_folder(tmp_path: Path) -> None:
    good = {f"a/{name}": data for name, data in DIRTY.items()}
    other = logs(5, 7, stream=OTHER_STREAM, attached=((rf"C:\db\{DATABASE}", OTHER_STREAM),))
    folder = write(tmp_path / "in", {**good, **{f"b/{name}": data for name, data in other.items()}})
    (folder / "b" / DATABASE).symlink_to(tmp_path / "elsewhere.edb")
    done("create", "-q", tmp_path / "a.tokar", folder)
    for options in (["--tree"], ["--into"]):
        result = tokar("restore", "--dry-run", *options, tmp_path / "out", tmp_path / "a.tokar")
        assert (result.exit_code, f"b/{DATABASE} {TEXT}" in result.stdout) == (6, True), options


def test_a_file_in_place_of_the_link_passes(tmp_path: Path, folder: Path) -> None:
    (folder / DATABASE).unlink()
    (tmp_path / DATABASE).rename(folder / DATABASE)
    done("create", "-q", tmp_path / "a.tokar", folder)
    assert TEXT not in done("check", "--content", tmp_path / "a.tokar").stdout


def test_a_choice_of_files_is_judged_without_the_database_that_is_a_link(tmp_path: Path, folder: Path) -> None:
    done("create", "-q", tmp_path / "a.tokar", folder)
    chosen = done("restore", "--only", "edb00005.log", "--into", tmp_path / "out", tmp_path / "a.tokar")
    assert TEXT not in chosen.stdout


def linked(folder: Path, name: str, files: dict[str, bytes], *links: str) -> Path:
    """An archive of a folder in which files are links."""
    source, real = write(folder / f"{name}-in", files), folder / f"{name}-real"
    real.mkdir()
    for one in links:
        (source / one).rename(real / one)
        (source / one).symlink_to(real / one)
    done("create", "-q", folder / f"{name}.tokar", source)
    return folder / f"{name}.tokar"


def some_logs(*numbers: int, of: dict[str, bytes] | None = None) -> dict[str, bytes]:
    found = logs(5, 10) if of is None else of
    return {f"edb{one:05X}.log": found[f"edb{one:05X}.log"] for one in numbers}


TWO = logs(5, 7, attached=BOTH)
PUB = {DATABASE: bytes(dirty(5, 7)), **TWO, SECOND: b"x"}
DETACHED = {**TWO, **logs(8, 9, after=TWO["edb00007.log"], attached=BOTH[:1])}
ATTACHED = {**logs(5, 7), **logs(8, 9, after=logs(5, 7)["edb00007.log"], attached=BOTH)}
ROLLED = {
    "the last needed log, which is there": (DIRTY, ["edb00007.log"], some_logs(7, 8), ""),
    "all logs, which are there": (DIRTY, ["edb00005.log", "edb00006.log", "edb00007.log"], some_logs(5, 6, 7, 8), ""),
    "a log between others": (DIRTY, ["edb00006.log"], some_logs(6, 7, 8), f"edb00006.log {TEXT}"),
    "a later log, which is there": (DIRTY | some_logs(8), ["edb00008.log"], some_logs(8, 9), ""),
    "the current log, which is there": (
        {**DIRTY, "edb.log": some_logs(8)["edb00008.log"]},
        ["edb.log"],
        {**some_logs(8), "edb.log": some_logs(9)["edb00009.log"]},
        "",
    ),
    "a second database": (PUB, [SECOND], logs(8, 8, after=TWO["edb00007.log"], attached=BOTH), f"{SECOND} {TEXT}"),
    "a second database that logs detach which are there": (PUB, [SECOND], some_logs(8, 9, of=DETACHED), ""),
    "a second database that logs attach which are there": (
        {**DIRTY, SECOND: b"x"},
        [SECOND],
        some_logs(8, 9, of=ATTACHED),
        f"{SECOND} {TEXT}",
    ),
}


@pytest.mark.parametrize("title", ROLLED)
def test_logs_that_are_there_are_rolled_forward_whatever_was_a_link_that_nobody_misses(
    title: str, tmp_path: Path
) -> None:
    files, links, there, why = ROLLED[title]
    path, out = linked(tmp_path, "a", files, *links), write(tmp_path / "out", there)
    result = tokar("restore", "--existing", "roll-forward", "--into", out, path)
    last = result.stdout.splitlines()[-1]
    placed = {one.name: one.read_bytes() for one in out.iterdir()}
    if why:
        assert (result.exit_code, last) == (6, f"NOT RESTORABLE: {DATABASE}: {why}")
        assert result.error.startswith(f"{DATABASE} cannot be recovered from this set: {why}")
        assert " missing" not in result.stderr
        assert placed == there
    else:
        untied = "NOT PROVEN: whether log 0x5 in the log directory is of the history of"  # nothing leads to that one
        assert (result.exit_code, last.startswith(("RESTORABLE", untied))) == (0, True)
        assert placed == {name: data for name, data in files.items() if name not in links} | there


def test_every_verb_names_the_link_in_the_place_of_a_log_between_two_sets(tmp_path: Path) -> None:
    sets = [linked(tmp_path, "full", DIRTY), linked(tmp_path, "later", some_logs(8, 9), "edb00008.log")]
    for verb in (["check"], ["check", "--content"], ["chain"], ["restore", "--into", tmp_path / "out"]):
        result = tokar(*verb, *sets)
        last = f"NOT RESTORABLE: edb00008.log {TEXT}"
        assert (result.exit_code, result.stdout.splitlines()[-1]) == (6 if verb[0] == "restore" else 9, last)


AT = LogPosition(generation=5, sector=1)


def history(*named: tuple[int, int, tuple[tuple[str, Signature], ...]]) -> dict[str, bytes]:
    """Logs that name these databases as attached, from one generation to another."""
    found: dict[str, bytes] = {}
    for low, high, attached in named:
        before = found.get(f"edb{low - 1:05X}.log")
        found |= logs(low, high, after=before, attached=attached, attached_at=AT)
    return found


UNTIL: dict[str, tuple[dict[str, bytes], dict[int | None, bool]]] = {
    "detached behind it": (history((5, 8, BOTH), (9, 12, BOTH[:1])), {8: False, 10: True, None: True}),
    "attached behind it": (history((5, 8, BOTH[:1]), (9, 12, BOTH)), {8: True, 10: False, None: False}),
    "where the last log names none": (history((5, 6, BOTH), (7, 7, ()), (8, 12, BOTH[:1])), {7: False, 9: True}),
    "where no log names another one": (history((5, 12, BOTH[:1])), {7: True, 9: True, None: True}),
}


@pytest.mark.parametrize("title", UNTIL)
@pytest.mark.parametrize("link", [True, False], ids=["a link", "gone"])
def test_a_restore_that_stops_misses_the_database_that_is_attached_where_it_stops(
    title: str, link: bool, tmp_path: Path
) -> None:
    every, passes = UNTIL[title]
    folder = write(
        tmp_path / "full", {DATABASE: bytes(dirty(5, 7, attach_position=AT)), **some_logs(5, 6, 7, of=every)}
    )
    if link:
        (folder / SECOND).symlink_to(tmp_path / "elsewhere")
    tokar("create", "-q", "--kind", "full", tmp_path / "full.tokar", folder)
    later = write(tmp_path / "later", some_logs(*range(8, 13), of=every))
    tokar("create", "-q", "--kind", "logs", tmp_path / "later.tokar", later)
    for until, good in passes.items():
        options = ["--until", f"0x{until:X}"] if until else []
        sets = [tmp_path / "full.tokar", tmp_path / "later.tokar"]
        result = tokar("restore", "--dry-run", "--into", tmp_path / "out", *options, *sets)
        assert (until, result.exit_code) == (until, 0 if good else 6), result.printed
        name = f"{SECOND} is a link" if link else "a database that is not here"
        assert (name in result.stdout.splitlines()[-1]) is not good
