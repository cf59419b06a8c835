"""Instances in folders of their own: what a restore that keeps the folders says of each, and how each is recovered."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from command_line import tokar as run
from loose_facts import facts_of_folder
from recovery_sets import (
    DATABASE,
    DATABASE_SIGNATURE,
    OTHER_STREAM,
    archive,
    checkpoint,
    database,
    dirty,
    logs,
    moment,
    write,
)

import tokar
from tokar.errors import RestoreError
from tokar.ese.values import LogPosition, Signature
from tokar.restore.chosen import OpenSets
from tokar.restore.options import RestoreOptions
from tokar.restore.prepare import place_sets, plan_restore
from tokar.sets.instances import instances_of
from tokar.sets.judge import judge_set

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.restore.prepare import RestorePlan

OTHER_DATABASE = Signature(random=51, created=moment(51))
DAY = logs(5, 9)


def below(folder: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{name}": data for name, data in files.items()}


def current(files: dict[str, bytes], low: int, high: int) -> dict[str, bytes]:
    """Logs of a range, the last one under the name of the current log."""
    found = {f"edb{number:05X}.log": files[f"edb{number:05X}.log"] for number in range(low, high)}
    return {**found, "edb.log": files[f"edb{high:05X}.log"]}


def other(**options: Any) -> dict[str, bytes]:
    """The database and the logs of another server, of the same names."""
    its = logs(5, 7, stream=OTHER_STREAM, attached=((r"D:\main.edb", OTHER_DATABASE),))
    own = {"log_signature": OTHER_STREAM, "signature": OTHER_DATABASE, **options}
    return {DATABASE: bytes(dirty(5, 7, **own)), **its}


def stopped(generation: int, dbtime: int) -> bytes:
    at = LogPosition(generation=generation, sector=1)
    return bytes(database(consistent_position=at, dbtime=dbtime, last_log_time=moment(generation)))


TWO = {**below("a", {DATABASE: bytes(dirty(5, 7)), **current(DAY, 5, 7)}), **below("b", other())}
DAYS = {
    **below("mon", {DATABASE: stopped(6, 10), **current(DAY, 5, 6)}),
    **below("tue", {DATABASE: stopped(9, 20), **current(DAY, 8, 9)}),
}


def planned(folder: Path, files: dict[str, bytes], **options: Any) -> RestorePlan:
    with tokar.open(archive(folder / "a.tokar", files).path) as opened:
        return plan_restore(opened, RestoreOptions(**{"tree": folder / "o", **options}))


def steps(plan: RestorePlan, folder: Path) -> list[str]:
    assert plan.recovery is not None
    return [one.replace(str(folder / "o"), "O") for one in plan.recovery.next_steps]


def test_each_instance_has_a_recovery_of_its_own(tmp_path: Path) -> None:
    plan = planned(tmp_path, {**TWO, "b/edbtmp.log": bytes(8192)})
    assert steps(plan, tmp_path) == ["esentutl /r edb /l O/a /s O/a /d O/a", "esentutl /r edb /l O/b /s O/b /d O/b"]
    assert plan.outcome is not None
    assert plan.outcome.word in {"RESTORABLE", "NOT PROVEN"}
    assert plan.met == ()


def test_the_highest_log_is_renamed_in_the_folder_that_has_no_current_one(tmp_path: Path) -> None:
    first, second, *_ = steps(planned(tmp_path, TWO), tmp_path)
    assert first == "esentutl /r edb /l O/a /s O/a /d O/a"
    assert second.startswith("ren O/b/edb00007.log edb.log && esentutl /r edb /l O/b")


def test_the_next_log_belongs_to_the_instance_in_whose_folder_it_lies(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {**TWO, "b/edbtmp.log": bytes(8192), "a/edbtmp.log": bytes(8192)})
    left_out = judge_set(facts_of_folder(folder)).left_out
    assert [one.file.name for one in left_out] == ["a/edbtmp.log"]


def test_a_next_log_in_a_folder_of_its_own_is_judged_beside_all_logs_of_its_name(tmp_path: Path) -> None:
    files = {DATABASE: bytes(dirty(5, 7)), **current(DAY, 5, 7), "tmp/edbtmp.log": bytes(8192)}
    left_out = judge_set(facts_of_folder(write(tmp_path, files))).left_out
    assert [one.file.name for one in left_out] == ["tmp/edbtmp.log"]


def test_the_days_of_one_server_in_folders_are_each_as_good_as_alone(tmp_path: Path) -> None:
    plan = planned(tmp_path, DAYS)
    assert plan.parts[0][0].problems == ()
    assert plan.outcome is not None
    assert plan.outcome.word in {"RESTORABLE", "NOT PROVEN"}
    assert plan.met == ()
    assert not [note for note in plan.parts[0][0].notes if "all the same" in note]


def test_what_recovery_must_not_meet_in_one_folder_is_still_named(tmp_path: Path) -> None:
    plan = planned(tmp_path, {**DAYS, "mon/edb00003.log": logs(3, 3)["edb00003.log"], "tue/edb.chk": checkpoint(8)})
    assert [one.name for one in plan.met] == ["mon/edb00003.log", "tue/edb.chk"]
    assert (
        str(plan.outcome) == "NOT RESTORABLE: mon/edb00003.log: no unbroken run of logs leads from it to what is needed"
    )


def test_a_folder_that_is_no_good_alone_decides_the_last_line(tmp_path: Path) -> None:
    old = {DATABASE: bytes(dirty(5, 7, dbtime=5)), **current(DAY, 6, 7)}
    plan = planned(tmp_path, {**below("mon", old), **below("tue", {DATABASE: stopped(9, 20), **current(DAY, 8, 9)})})
    assert plan.outcome is not None
    assert plan.outcome.word == "NOT RESTORABLE"
    assert "0x5" in plan.outcome.why
    with pytest.raises(RestoreError, match=r"mon/main\.edb cannot be recovered"):
        plan.raise_for_problems()


@pytest.mark.parametrize(
    ("files", "count"),
    [
        (TWO, 2),
        (DAYS, 2),
        ({**below("a", {DATABASE: bytes(dirty(5, 7)), **current(DAY, 5, 7)}), "b/x.txt": b"x"}, 1),
        ({"db/main.edb": bytes(dirty(5, 7)), **below("logs", current(DAY, 5, 7))}, 1),
        ({"db/main.edb": bytes(dirty(5, 7)), **below("logs", current(DAY, 5, 7)), **below("b", other())}, 2),
        ({"a/main.edb": stopped(6, 1), "b/main.edb": stopped(7, 2)}, 1),
        ({**below("a", current(DAY, 5, 7)), **below("b", current(DAY, 5, 7))}, 1),
        ({}, 1),
    ],
    ids=["two servers", "two days", "other files", "apart", "one apart", "no logs", "no databases", "nothing"],
)
def test_an_instance_is_a_folder_with_a_database_and_its_logs(
    files: dict[str, bytes], count: int, tmp_path: Path
) -> None:
    tmp_path.joinpath("in").mkdir()
    facts = facts_of_folder(write(tmp_path / "in", files))
    found = instances_of(facts)
    assert len(found) == count
    assert sorted(log.name for one in found for log in one.logs) == sorted(log.name for log in facts.logs)


def test_the_files_of_an_instance_are_known_by_number_and_made_when_asked_for(tmp_path: Path) -> None:
    chosen = planned(tmp_path, TWO).chosen
    names = [{entry.name for entry in one.entries[0]} for one in chosen.instances]
    assert names == [{name for name in TWO if name.startswith(folder)} for folder in ("a/", "b/")]
    own = chosen.instances[0].entries[0]
    assert own[0] == next(iter(own))
    assert own[0] is not own[0]  # an entry that is kept takes 540 bytes, and there may be a million


def test_without_a_tree_the_set_is_one(tmp_path: Path) -> None:
    plan = planned(tmp_path, DAYS, tree=None, into=tmp_path / "o", all_files=True)
    assert plan.chosen.instances == ()


def test_where_the_set_is_refused_no_instance_says_otherwise(tmp_path: Path) -> None:
    broken = {name: data for name, data in TWO.items() if name != "b/edb00006.log"}
    plan = planned(tmp_path, broken)
    assert plan.is_refused
    assert plan.outcome is not None
    assert plan.outcome.word == "NOT RESTORABLE"


def test_facts_of_an_instance_keep_what_is_beside_its_files(tmp_path: Path) -> None:
    files = {**TWO, "b/edbtmp.log": bytes(8192), "a/edb.chk": checkpoint(5)}
    first, second = instances_of(replace(facts_of_folder(write(tmp_path, files)), profile="ese"))
    assert [len(first.checkpoints), len(first.next_logs), first.profile] == [1, 0, "ese"]
    assert [len(second.checkpoints), len(second.next_logs)] == [0, 1]


def chained(folder: Path, sets: list[dict[str, bytes]]) -> RestorePlan:
    paths = [archive(folder / f"{at}.tokar", files, kind="logs").path for at, files in enumerate(sets)]
    asked = RestoreOptions(tree=folder / "o")
    with OpenSets(paths) as opened:
        return plan_restore(opened.select(options=asked), asked)


def test_older_logs_of_another_set_that_lead_to_the_run_do_no_harm(tmp_path: Path) -> None:
    late = {name: data for name, data in DAY.items() if name > "edb00005.log"}
    plan = chained(tmp_path, [{DATABASE: bytes(dirty(7, 8))}, late])
    assert [(one.name, one.is_harmless) for one in plan.met] == [("edb00006.log", True)]
    assert plan.outcome is not None
    assert plan.outcome.word in {"RESTORABLE", "NOT PROVEN"}
    assert "edb00006.log" not in plan.outcome.why
    assert plan.parts[0][0].notes == ()


def test_older_logs_of_another_set_below_a_hole_are_still_named(tmp_path: Path) -> None:
    holed = {name: data for name, data in DAY.items() if name != "edb00006.log"}
    plan = chained(tmp_path, [{DATABASE: bytes(dirty(7, 8))}, holed])
    assert [(one.name, one.is_harmless) for one in plan.met] == [("edb00005.log", False)]
    assert plan.outcome is not None
    assert "edb00005.log" in plan.outcome.why


def test_the_next_log_beside_a_current_one_does_no_harm(tmp_path: Path) -> None:
    files = {DATABASE: bytes(dirty(5, 7)), **current(DAY, 5, 7), "edbtmp.log": bytes(8192)}
    plan = planned(tmp_path, files)
    assert [(one.name, one.is_harmless) for one in plan.met] == [("edbtmp.log", True)]
    assert plan.outcome is not None
    assert "edbtmp.log" not in plan.outcome.why


def test_of_a_chain_that_keeps_its_folders_each_folder_is_judged_too(tmp_path: Path) -> None:
    own = below("a", {DATABASE: bytes(dirty(5, 7)), **logs(5, 6)})
    plan = chained(tmp_path, [own, below("b", {"edb00007.log": DAY["edb00007.log"]})])
    with pytest.raises(RestoreError, match="log 0x7 is missing"):
        plan.raise_for_problems()
    assert plan.outcome is not None
    assert plan.outcome.word == "NOT RESTORABLE"


def test_a_chain_in_one_folder_is_as_good_as_its_logs(tmp_path: Path) -> None:
    own = below("a", {DATABASE: bytes(dirty(5, 7)), **logs(5, 6)})
    plan = chained(tmp_path, [own, below("a", {"edb00007.log": DAY["edb00007.log"]})])
    plan.raise_for_problems()
    assert plan.outcome is not None
    assert plan.outcome.word == "NOT PROVEN"  # nobody looked at pages and segments


def test_folders_are_judged_by_themselves_with_a_branch_too(tmp_path: Path) -> None:
    first = {DATABASE: bytes(dirty(5, 7)), **logs(5, 7), "old/edb00007.log": logs(7, 7, branch=500)["edb00007.log"]}
    other_one = below("b", {one: data for one, data in other().items() if one != "edb00006.log"})
    plan = planned(tmp_path, {**below("a", first), **other_one}, branch="a/edb00007.log")
    with pytest.raises(RestoreError, match="log 0x6 is missing"):
        plan.raise_for_problems()


OTHERS = logs(5, 11, stream=OTHER_STREAM, attached=((r"D:\main.edb", OTHER_DATABASE),))


def some_of(files: dict[str, bytes], low: int, high: int) -> dict[str, bytes]:
    return {f"edb{number:05X}.log": files[f"edb{number:05X}.log"] for number in range(low, high + 1)}


OURS = {DATABASE: bytes(dirty(5, 7)), **some_of(DAY, 5, 7)}
THEIRS = {DATABASE: bytes(dirty(5, 7, log_signature=OTHER_STREAM, signature=OTHER_DATABASE)), **some_of(OTHERS, 5, 7)}
MONDAY = {DATABASE: bytes(dirty(5, 6, dbtime=5)), **some_of(DAY, 5, 6)}
TUESDAY = {DATABASE: stopped(7, 20), **some_of(DAY, 7, 7)}


@pytest.mark.parametrize(
    ("sets", "ends"),
    [
        (
            [
                {**below("a", OURS), **below("b", THEIRS)},
                {**below("a", some_of(DAY, 8, 9)), **below("b", some_of(OTHERS, 8, 11))},
            ],
            (9, 11),
        ),
        (
            [
                {**below("a", OURS), **below("b", THEIRS)},
                below("a", some_of(DAY, 8, 8)),
                {**below("a", some_of(DAY, 9, 9)), **below("b", some_of(OTHERS, 8, 9))},
            ],
            (9, 9),
        ),
        ([{**below("a", OURS), **below("b", THEIRS)}, below("b", some_of(OTHERS, 8, 9))], (7, 9)),
        (
            [
                {**below("a", OURS), **below("b", OURS)},
                {**below("a", some_of(DAY, 8, 9)), **below("b", some_of(DAY, 8, 8))},
            ],
            (9, 8),
        ),
        (
            [
                {**below("a", MONDAY), **below("b", TUESDAY)},
                {**below("a", some_of(DAY, 7, 7)), **below("b", some_of(DAY, 8, 9))},
            ],
            (7, 9),
        ),
    ],
    ids=["two servers", "in turn", "one goes on", "a copy", "two days"],
)
def test_of_a_chain_each_folder_gets_the_logs_that_it_has_in_any_set(
    sets: list[dict[str, bytes]], ends: tuple[int, int], tmp_path: Path
) -> None:
    paths = [archive(tmp_path / f"{at}.tokar", files, kind="logs").path for at, files in enumerate(sets)]
    asked = RestoreOptions(tree=tmp_path / "o")
    with OpenSets(paths) as opened:
        plan = plan_restore(opened.select(options=asked), asked)
        place_sets(plan)
    placed = {str(path.relative_to(tmp_path / "o")): path.read_bytes() for path in (tmp_path / "o").glob("*/*")}
    assert placed == {name: data for files in sets for name, data in files.items()}
    assert plan.outcome is not None
    assert (plan.outcome.word, plan.outcome.exit_code, plan.met) == ("NOT PROVEN", 0, ())  # nobody looked at content
    assert "not verified" in plan.outcome.why
    first, _, second, _ = steps(plan, tmp_path)
    for folder, end, step in zip("ab", ends, (first, second), strict=True):
        begin = f"esentutl /r edb /l O/{folder} /s O/{folder} /d O/{folder}"
        assert step.startswith(f"ren O/{folder}/edb{end:05X}.log edb.log && {begin}")
    selection = plan.chosen.selection
    assert selection is not None
    assert (selection.sets[0].low, selection.sets[0].high) == (5, 7)
    assert selection.unused == ()


def test_of_a_chain_a_hole_in_the_logs_of_one_folder_is_a_hole(tmp_path: Path) -> None:
    added = {**below("a", some_of(DAY, 8, 9)), **below("b", some_of(DAY, 9, 9))}
    with pytest.raises(RestoreError, match="log 0x8 is in none of the sets"):
        chained(tmp_path, [{**below("a", OURS), **below("b", OURS)}, added])


def test_of_a_chain_what_one_folder_does_not_place_is_named(tmp_path: Path) -> None:
    added = {**below("a", some_of(DAY, 8, 9)), **below("b", some_of(DAY, 7, 9)), "b/edb.chk": checkpoint(5)}
    plan = chained(tmp_path, [{**below("a", OURS), **below("b", OURS)}, added])
    assert [(one.at, one.name) for one in plan.chosen.left_out] == [(1, "b/edb00007.log"), (1, "b/edb.chk")]


def test_folders_of_which_one_is_no_good_are_judged_as_they_were_chosen(tmp_path: Path) -> None:
    holed = {name: data for name, data in THEIRS.items() if name != "edb00006.log"}
    added = {**below("a", some_of(DAY, 8, 9)), "a/edb.chk": checkpoint(5), "x.txt": b""}
    with pytest.raises(RestoreError, match="0x6"):
        chained(tmp_path, [{**below("a", OURS), **below("b", holed)}, added]).raise_for_problems()


BOTH = ((r"C:\db\main.edb", DATABASE_SIGNATURE), (r"C:\db\pub.edb", OTHER_DATABASE))
SHARED = logs(5, 9, attached=BOTH)
PUB = {"b/pub.edb": bytes(dirty(5, 7, signature=OTHER_DATABASE))}
APART = {"a/main.edb": bytes(dirty(5, 7)), **below("a", some_of(SHARED, 5, 7)), **PUB}


@pytest.mark.parametrize("later", [{}, below("a", some_of(SHARED, 8, 9))])
def test_what_a_folder_lacks_and_another_one_has_is_said_to_lie_there(later: dict[str, bytes], tmp_path: Path) -> None:
    paths = [archive(tmp_path / f"{at}.tokar", one).path for at, one in enumerate([APART, later]) if one]
    assert run("check", *paths).exit_code == 0
    assert run("restore", "--dry-run", "--into", tmp_path / "out", *paths).exit_code == 0
    result = run("restore", "--dry-run", "--tree", tmp_path / "out", *paths)
    lacks = "logs 0x5-0x7 are missing: what is missing is in another folder, a, and each folder is recovered by itself"
    misses = r"C:\db\pub.edb is in another folder, b/pub.edb, and each folder is recovered by itself"
    assert result.exit_code == 6
    assert result.stdout.splitlines()[-1].endswith(f": {lacks}")
    said = " ".join(result.stderr.split())
    assert (lacks in said, misses in said) == (True, True)
    assert result.hint.startswith("put them together: tokar restore --into DIR, and not --tree")
    assert ("--accept-unrecoverable" in said) is (not later)  # which is for one archive alone


def test_databases_of_one_stream_with_its_logs_in_each_folder_miss_each_other(tmp_path: Path) -> None:
    path = archive(tmp_path / "0.tokar", {**APART, **below("b", some_of(SHARED, 5, 7))}).path
    result = run("restore", "--dry-run", "--tree", tmp_path / "out", path)
    line = r"a/main.edb: C:\db\pub.edb is in another folder, b/pub.edb, and each folder is recovered by itself"
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (6, f"RESTORABLE WITH LOSS: {line}")


@pytest.mark.parametrize("way", [["--tree"], ["--all-files", "--into"]])
@pytest.mark.parametrize("later", [True, False])
def test_an_older_current_log_that_is_placed_all_the_same_is_no_restorable_set(
    way: list[str], later: bool, tmp_path: Path
) -> None:
    day = {**below("x", {DATABASE: bytes(dirty(5, 7)), **some_of(DAY, 5, 7)}), "x/edb.log": DAY["edb00008.log"]}
    more = below("x", some_of(DAY, 8, 9))
    paths = [archive(tmp_path / "0.tokar", day if later else day | more).path]
    paths += [archive(tmp_path / "1.tokar", more, kind="logs").path] if later else []
    out = tmp_path / "out"
    assert run("restore", "--dry-run", "--into", out, *paths).exit_code == 0  # it is left out
    result = run("restore", "--dry-run", *way, out, *paths)
    last = result.stdout.splitlines()[-1]
    assert (result.exit_code, last.startswith(f"ACCEPTED ({way[0]}): NOT RESTORABLE: x/edb.log: ")) == (0, True)
    answer = run("restore", "--dry-run", "--json", *way, out, *paths).json()
    assert (answer["outcome"]["word"], answer["outcome"]["accepted"]) == ("NOT RESTORABLE", [way[0]])
    assert "x/edb.log is placed all the same" in result.stdout
    assert "recovery will answer JET_errInvalidLogSequence, -515" in result.stdout
    assert "\nnext: before recovery begins, move away x/edb.log (" in result.stdout


def last_lines(*paths: Path) -> set[tuple[int, str]]:
    """What check and chain say of archives together."""
    verbs = (["check"], ["check", "--content"], ["chain"], ["chain", "--content"])
    found = [run(*verb, *paths) for verb in verbs]
    return {(one.exit_code, one.stdout.splitlines()[-1]) for one in found}


THEIR_DAY = logs(3, 9, stream=OTHER_STREAM, attached=((r"D:\main.edb", OTHER_DATABASE),))


def test_logs_of_one_of_two_instances_from_before_its_full_are_older_and_those_of_the_other_are_not(
    tmp_path: Path,
) -> None:
    full = {**below("a", OURS), **below("b", THEIRS)}
    older, later = below("b", some_of(THEIR_DAY, 3, 3)), below("a", some_of(DAY, 8, 9))
    paths = [archive(tmp_path / f"{at}.tokar", one).path for at, one in enumerate([full, {**older, **later}])]
    unproven = "NOT PROVEN: pages and log segments were not verified (tokar check --content)"
    assert last_lines(*paths) == {(0, unproven), (0, "RESTORABLE")}
    said = run("chain", "--json", *paths).json()["sets"]
    (remark,) = [one for each in said for one in each["faults"] if "older" in one["message"]]
    assert remark["severity"] == "warning"
    assert remark["message"].startswith(f"b/edb00003.log of {paths[1]} is older than {paths[0]}")
    result = run("restore", "--tree", tmp_path / "out", *paths)
    assert result.exit_code == 0


@pytest.mark.parametrize("gone", ["edb00006.log", ""])
def test_two_instances_that_are_split_over_archives_are_restored_one_by_one(gone: str, tmp_path: Path) -> None:
    """A log that one database needs lies in the archive of the other one, where it is of another stream."""
    ours, theirs = below("a", OURS), below("b", THEIRS)
    lent = {f"a/{one}": ours.pop(f"a/{one}") for one in ("edb00005.log", "edb00006.log") if one != gone}
    away = {"b/edb00005.log": theirs.pop("b/edb00005.log")}
    ours.pop(f"a/{gone}", None)
    parts = [away, {**theirs, **lent}, ours]
    paths = [archive(tmp_path / f"{at}.tokar", one).path for at, one in enumerate(parts)]
    (ends,) = {code for code, _ in last_lines(*paths)}
    assert ends == (9 if gone else 0)
    for at, number in ((1, 0), (2, 6 if gone else 0)):
        result = run("restore", "--full", paths[at], "--into", tmp_path / f"out{at}", *paths)
        assert result.exit_code == number, result.stderr
