"""Sets of which a restore does not choose by itself: several log streams, and databases in several sets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from chain_sets import DATABASE, OTHER_STREAM, dirty, increment, logs
from command_line import Result, tokar
from recovery_sets import DATABASE_SIGNATURE, archive, database, flip, moment, streaming

from tokar.ese.values import LogPosition, Signature
from verbs import unlike_together

Files = dict[str, bytes]
OTHER = Signature(random=41, created=moment(41))
THEIR_STREAM = replace(OTHER_STREAM, random=9)
BOTH = ((r"C:\db\main.edb", DATABASE_SIGNATURE), (r"C:\db\pub.edb", OTHER))
ALL = logs(5, 12, attached=BOTH)
THEIRS = logs(5, 9, stream=OTHER_STREAM, attached=((r"C:\db\main.edb", OTHER),))


def name(generation: int) -> str:
    return f"edb{generation:05X}.log"


def part(low: int, high: int, all_logs: Files = ALL) -> Files:
    return {name(at): all_logs[name(at)] for at in range(low, high + 1)}


MAIN = {DATABASE: bytes(dirty(5, 7)), **part(5, 7)}
PUB = {"pub.edb": bytes(dirty(8, 10, signature=OTHER)), **part(8, 10)}
TOGETHER = {**MAIN, "pub.edb": bytes(dirty(5, 7, signature=OTHER))}
LATER_MAIN = {DATABASE: bytes(dirty(8, 10)), **part(8, 10)}
SERVER = {DATABASE: bytes(dirty(5, 7, log_signature=OTHER_STREAM, signature=OTHER)), **part(5, 7, THEIRS)}
LATER_SERVER = {DATABASE: bytes(dirty(7, 8, log_signature=OTHER_STREAM, signature=OTHER)), **part(7, 8, THEIRS)}
SERVERS = "the sets are of more than one server or log stream: "
APART = "no one of the sets has all databases, and all logs: "


def damaged(files: Files) -> Files:
    return {**files, DATABASE: flip(flip(files[DATABASE], 5 * 4096 + 500), 5 * 4096 + 900)}


def made(folder: Path, **sets: Files) -> list[Path]:
    """Archives; the last one of nothing but logs to the end of the one stream."""
    paths = [archive(folder / f"{one}.tokar", files).path for one, files in sets.items()]
    return [*paths, increment(folder, "later", {**part(11, 11), "edb.log": ALL[name(12)]}).path]


def planned(sets: list[Path], *options: str | Path) -> Result:
    return tokar("restore", "--dry-run", "--into", sets[0].parent / "out", *options, *sets)


def took(result: Result) -> list[str]:
    return [Path(one["path"]).stem for one in result.json()["chain"]["sets"]]


def demand_one_is_chosen(sets: list[Path], why: str) -> None:
    """Check that no verb takes one of them, and that all say the same."""
    out = sets[0].parent / "out"
    for verb in (["check"], ["check", "--content"], ["chain"], ["chain", "--content"]):
        result = tokar(*verb, *sets)
        line = result.stdout.splitlines()[-1]
        assert result.exit_code == 0
        assert "each by itself: " + why in line
        assert line.endswith("; a restore begins with one: tokar restore --full ARCHIVE")
    refusals = [tokar("restore", "--into", out, *sets), tokar("restore", "--into", out, "--chain", sets[0].parent)]
    for result in refusals:
        assert result.exit_code == 6
        assert result.stdout.splitlines()[-1].startswith(f"REFUSED: {why}")
    for result in (tokar("recover", "--out", out, *sets), tokar("replay", *sets)):
        assert result.exit_code == 9
        assert f"tokar: error: {why}" in result.stderr
    assert not out.exists()


def test_of_several_streams_the_last_line_says_that_one_is_chosen_and_how(tmp_path: Path) -> None:
    sets = made(tmp_path, main=TOGETHER, pub=PUB, theirs=SERVER)
    demand_one_is_chosen(sets, SERVERS)
    for number in ("0x7", "0x9"):  # which only one of them comes to
        result = planned(sets, "--until", number)
        assert result.exit_code == 6
        assert result.stdout.splitlines()[-1].startswith(f"REFUSED: {SERVERS}")
    assert took(planned(sets, "--full", "theirs.tokar", "--json")) == ["theirs"]
    assert took(planned(sets, "--full", sets[0], "--json")) == ["main", "pub", "later"]
    assert took(planned(sets[:2] + sets[3:], "--json")) == ["main", "pub", "later"]


def test_databases_of_one_stream_in_several_sets_are_not_chosen_among(tmp_path: Path) -> None:
    sets = made(tmp_path, main=MAIN, pub=PUB)
    demand_one_is_chosen(sets, f"{APART}{sets[0]} has main.edb up to log 0xC, {sets[1]} has pub.edb up to log 0xC")
    refused = planned(sets)
    assert f"begin with the one that needs the lowest log: tokar restore --full {sets[0]}" in refused.stderr
    assert took(planned(sets, "--full", sets[0], "--json")) == ["main", "pub", "later"]


@pytest.mark.parametrize(
    ("options", "step"),
    [
        (["--full", "main.tokar"], "put it beside before recovery begins: tokar restore {1} --only pub.edb "),
        (["--full", "pub.tokar"], "begin with the set that needs the lowest log: tokar restore --full {0}"),
        (["--full", "main.tokar", "--until", "0x7"], "that needs logs up to 0xA: stop there or later (--until 0xA)"),
    ],
)
def test_a_database_that_is_not_placed_with_the_chosen_full_is_in_the_last_line(
    options: list[str], step: str, tmp_path: Path
) -> None:
    sets = made(tmp_path, main=MAIN, pub=PUB)
    result = planned(sets, *options)
    assert (result.exit_code, tokar("check", *sets).exit_code) == (0, 0)  # it was asked for by name
    line = result.stdout.splitlines()[-1]
    accepted, _, line = line.partition(": ")
    assert (accepted, line.partition(": ")[0]) == ("ACCEPTED (--full)", "RESTORABLE WITH LOSS")
    assert " is not placed: " + step.format(*sets) in line
    assert f"next: {line.partition(': ')[2].partition(': ')[2]}" in result.stdout
    (missed,) = planned(sets, "--json", *options).json()["chain"]["missed"]
    assert missed["engine"]["number"] == -1216
    notes = [one for one in result.stdout.splitlines() if one.startswith("note: the logs are also about")]
    assert len(notes) == 1  # and none about the database that is placed


@pytest.mark.parametrize("number", ["0x7", "0x9"])
def test_no_restore_stops_where_a_database_of_a_later_set_is_attached(number: str, tmp_path: Path) -> None:
    sets = made(tmp_path, main=MAIN, pub=PUB)
    refused = planned(sets, "--until", number)
    assert refused.exit_code == 6
    assert refused.error == rf"where the logs end C:\db\pub.edb is attached, and pub.edb of {sets[1]} is not placed"
    assert refused.hint.endswith(f"; or do without: tokar restore --full {sets[0]}")
    assert refused.stdout.splitlines()[-1].startswith("RESTORABLE WITH LOSS: ")


def replaced(place: str = r"C:\db\main.edb", *others: tuple[str, Signature]) -> Files:
    """Logs that name a database up to 7, and another one at a place from then on."""
    before = logs(5, 7, attached=BOTH[:1])
    return {**before, **logs(8, 12, after=before[name(7)], attached=((place, OTHER), *others))}


def of_two_days(folder: Path, found: Files) -> list[Path]:
    days = {
        "monday": {DATABASE: bytes(dirty(5, 7)), **part(5, 7, found)},
        "tuesday": {DATABASE: bytes(dirty(8, 10, signature=OTHER)), **part(8, 10, found)},
        "later": part(11, 12, found),
    }
    return [archive(folder / f"{one}.tokar", files).path for one, files in days.items()]


def test_a_database_that_another_one_replaced_is_not_missed(tmp_path: Path) -> None:
    sets = of_two_days(tmp_path, replaced())
    for verb in (["check"], ["check", "--content"], ["chain"], ["chain", "--content"]):
        result = tokar(*verb, *sets)
        line = (
            "RESTORABLE" if verb[1:] else "NOT PROVEN: pages and log segments were not verified (tokar check --content)"
        )
        assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, line)
    for options in ([], ["--until", "0xB"], ["--full", "tuesday.tokar"]):
        result = planned(sets, "--json", *options)
        assert (result.exit_code, took(result)) == (0, ["tuesday", "later"])


def test_databases_of_one_name_in_two_places_replace_none(tmp_path: Path) -> None:
    elsewhere = r"D:\other\main.edb"
    found = [replaced(elsewhere), replaced(elsewhere, *BOTH[:1]), replaced(r"C:\db\main.edb", (elsewhere, BOTH[0][1]))]
    for at, all_logs in enumerate(found):
        (tmp_path / f"{at}").mkdir()
        sets = of_two_days(tmp_path / f"{at}", all_logs)
        demand_one_is_chosen(sets, APART)
        assert planned(sets, "--full", sets[0]).exit_code == 0  # the other one is put beside it


def test_a_restore_that_begins_with_a_database_that_was_replaced_is_refused_unless_it_stops_before(
    tmp_path: Path,
) -> None:
    sets = of_two_days(tmp_path, replaced())
    why = rf"where the logs end another database has this place, C:\db\main.edb: main.edb of {sets[1]}"
    for options in ([], ["--until", "0xB"], ["--until", "0x8"]):
        result = planned(sets, "--full", "monday.tokar", *options)
        assert result.exit_code == 6
        assert result.error == f"{sets[0]} cannot be restored: {why}"
        assert result.hint.startswith("begin with the set that has it, or stop before it: ")
    for options in ([], ["--full", "monday.tokar"]):
        result = planned(sets, "--json", "--until", "0x7", *options)
        assert (result.exit_code, result.json()["outcome"]["word"], took(result)) == (0, "NOT PROVEN", ["monday"])


def test_a_restore_that_stops_before_another_database_was_attached_does_not_miss_it(tmp_path: Path) -> None:
    before = logs(5, 7, attached=BOTH[:1])
    found = {**before, **logs(8, 12, after=before[name(7)], attached=BOTH)}
    sets = of_two_days(tmp_path, found)
    sets[1].unlink()
    sets[1] = archive(tmp_path / "tuesday.tokar", part(8, 10, found)).path
    result = planned(sets, "--json", "--until", "0x7")
    assert (result.exit_code, result.json()["outcome"]["word"], took(result)) == (0, "NOT PROVEN", ["monday"])
    for options in ([], ["--until", "0x8"]):
        result = planned(sets, *options)
        assert (result.exit_code, "a database that is not here" in result.stderr) == (6, True)


def test_the_set_that_has_all_databases_is_taken_although_a_later_one_has_some(tmp_path: Path) -> None:
    sets = made(tmp_path, together=TOGETHER, main=LATER_MAIN)
    result = planned(sets, "--json")
    assert took(result) == ["together", "main", "later"]
    assert result.json()["plans"][0]["steps"][0]["name"] == DATABASE
    for verb in ("check", "chain"):
        checked = tokar(verb, "--json", *sets)
        assert (checked.json()["outcome"], checked.exit_code) == (result.json()["outcome"], 0)


def test_a_database_that_was_made_anew_under_its_name_is_one_to_a_choice(tmp_path: Path) -> None:
    """Defragmentation gives a database another signature, in the same log stream."""
    anew = ((BOTH[0][0], OTHER),)
    all_logs = logs(5, 12, attached=(BOTH[0],)) | {
        one: data for one, data in logs(5, 12, attached=anew).items() if one >= name(9) or one == name(12)
    }
    later = {DATABASE: bytes(dirty(10, 11, signature=OTHER)), **part(10, 11, all_logs)}
    sets = [
        archive(tmp_path / "before.tokar", {DATABASE: bytes(dirty(5, 7)), **part(5, 7, all_logs)}).path,
        archive(tmp_path / "after.tokar", later).path,
    ]
    assert took(planned(sets, "--json")) == ["after"]
    for verb in ("check", "chain"):
        result = tokar(verb, *sets)
        assert result.exit_code == 0
        assert "each by itself" not in result.stdout.splitlines()[-1]


def test_a_set_of_all_databases_that_does_not_come_to_the_end_is_not_taken(tmp_path: Path) -> None:
    later = {DATABASE: bytes(dirty(10, 11)), **part(10, 11)}
    sets = made(tmp_path, together=TOGETHER, main=later)
    why = f"{sets[0]} has main.edb, pub.edb up to log 0x7, {sets[1]} has main.edb up to log 0xC"
    demand_one_is_chosen(sets, APART + why)


def test_a_database_that_was_shut_down_later_is_taken_although_its_logs_are_not_here(tmp_path: Path) -> None:
    shut_down = {DATABASE: bytes(database(consistent_position=LogPosition(generation=20, sector=1)))}
    sets = [archive(tmp_path / f"{one}.tokar", files).path for one, files in (("a", MAIN), ("b", shut_down))]
    assert took(planned(sets, "--json")) == ["b"]


def test_the_days_of_a_server_with_two_streams_are_of_one(tmp_path: Path) -> None:
    def day(own: Files, their: Files) -> Files:
        return {f"{at}/{one}": data for at, files in (("a", own), ("b", their)) for one, data in files.items()}

    paths = [
        archive(tmp_path / "monday.tokar", day(TOGETHER, SERVER)).path,
        archive(tmp_path / "tuesday.tokar", day({**LATER_MAIN, "pub.edb": PUB["pub.edb"]}, LATER_SERVER)).path,
    ]
    for verb in ("check", "chain"):
        result = tokar(verb, "--json", *paths)
        assert "each by itself" not in result.json()["outcome"]["why"]
        assert result.exit_code == 0
    assert took(tokar("restore", "--dry-run", "--json", "--tree", tmp_path / "out", *paths)) == ["tuesday"]


@pytest.mark.parametrize("later", [True, False])
def test_a_damaged_full_of_one_of_two_streams_is_done_without(later: bool, tmp_path: Path) -> None:
    sets = made(tmp_path, old=damaged(MAIN), main=LATER_MAIN if later else PUB, theirs=SERVER)
    for verb in ("check", "chain"):
        result = tokar(verb, "--content", "--json", *sets)
        assert result.exit_code == (0 if later else 9)
        assert [Path(one["path"]).stem for one in result.json()["spared"]] == ["old"] * later


@pytest.mark.parametrize("lacks_a_log", [True, False])
def test_a_full_of_another_server_is_not_done_without_although_its_databases_have_the_same_names(
    lacks_a_log: bool, tmp_path: Path
) -> None:
    mine = Signature(random=43)
    named = logs(
        5, 7, stream=OTHER_STREAM, attached=((r"C:\db\main.edb", mine), (r"C:\db\pub.edb", replace(mine, random=44)))
    )
    both = [dirty(5, 7, log_signature=OTHER_STREAM, signature=one) for one in (mine, replace(mine, random=44))]
    whole = {DATABASE: bytes(both[0]), "pub.edb": bytes(both[1]), **named}
    theirs = {one: data for one, data in whole.items() if one != name(6)} if lacks_a_log else damaged(whole)
    sets = made(tmp_path, main=TOGETHER, between=part(8, 10), theirs=theirs)
    for verb in (["check", "--content"], ["chain", "--content"]):
        result = tokar(*verb, "--json", *sets)
        found = result.json()
        assert (result.exit_code, found["outcome"]["word"], found["spared"]) == (9, "NOT RESTORABLE", [])
    assert planned(sets).exit_code == 6
    assert planned([one for one in sets if one.stem != "theirs"]).exit_code == 0


def two_histories(folder: Path, *, low: int = 5) -> list[Path]:
    """A full, and one of each of two histories after it, of which the second one needs the later logs."""
    found = logs(5, 9)
    theirs = logs(8, 10, after=found[name(7)], branch=1000)
    sets = {
        "first": {DATABASE: bytes(dirty(5, 7)), **part(5, 7, found)},
        "one": {DATABASE: bytes(dirty(9, 9)), **part(low, 9, found)},
        "other": {DATABASE: bytes(dirty(9, 10, branch=1000)), **part(low, 7, found), **theirs},
    }
    return [archive(folder / f"{one}.tokar", files).path for one, files in sets.items()]


@pytest.mark.parametrize("low", [5, 8])
def test_of_fulls_of_two_histories_the_last_line_says_that_a_branch_is_chosen(low: int, tmp_path: Path) -> None:
    sets = two_histories(tmp_path, low=low)
    for given in (sets, sets[1:]):
        why = f"histories parted at generation 0x8: it is another log in {given[-1]} "
        for verb in (["check"], ["check", "--content"], ["chain"], ["chain", "--content"]):
            result = tokar(*verb, *given)
            line = result.stdout.splitlines()[-1]
            assert (result.exit_code, "each by itself: " + why in line) == (0, True)
            assert "; choose one: tokar restore --branch LOG, a log of the history that is wanted" in line
        refused = planned(given)
        assert refused.exit_code == 6
        assert refused.stdout.splitlines()[-1].startswith(f"REFUSED: not all logs can be played: {why}")
        assert refused.hint.startswith("choose one: tokar restore --branch LOG, a log of the history that is wanted")
        again = planned(given, "--full", "one.tokar")
        assert again.stdout.splitlines()[-1].startswith("REFUSED: not all logs can be played: histories parted at ")
        for log in ("one.tokar:edb00009.log", "other.tokar:edb00009.log"):
            chosen = planned(given, "--branch", log, "--json")
            assert (chosen.exit_code, took(chosen)[0]) == (0, log.partition(".")[0])
            assert chosen.json()["outcome"]["word"] == "NOT PROVEN"
            assert chosen.json()["chain"]["spared"] == []
            if given is sets[1:]:
                assert len(chosen.json()["chain"]["unused"]) == 1


def test_a_full_of_another_history_than_the_branch_is_refused_where_it_is_named(tmp_path: Path) -> None:
    result = planned(two_histories(tmp_path), "--branch", "one.tokar:edb00009.log", "--full", "other.tokar")
    assert result.exit_code == 2
    assert result.error.endswith("other.tokar is of another history than the log of --branch")


MIXED = {DATABASE: bytes(streaming(5, 7)), "pub.edb": bytes(database(signature=OTHER)), **part(5, 7)}  # -615


def test_a_hole_beside_a_full_that_is_refused_for_another_reason_than_logs_is_no_fault_of_the_program(
    tmp_path: Path,
) -> None:
    sets = [archive(tmp_path / f"{one}.tokar", files).path for one, files in (("mixed", MIXED), ("main", MAIN))]
    sets.append(increment(tmp_path, "later", part(9, 9)).path)
    for verb in ("check", "chain"):
        assert tokar(verb, *sets).exit_code == 9
    refused = planned(sets)
    assert (refused.exit_code, refused.error.startswith(f"{sets[0]} cannot be restored: pub.edb is no copy")) == (
        6,
        True,
    )


def test_a_full_that_gives_logs_alone_is_nothing_to_a_restore_by_its_databases(tmp_path: Path) -> None:
    later = {
        DATABASE: bytes(dirty(7, 7)),
        "pub.edb": bytes(dirty(7, 7, signature=OTHER)),
    }
    sets = [archive(tmp_path / f"{one}.tokar", files).path for one, files in (("mixed", MIXED), ("later", later))]
    plan = planned(sets, "--json")
    assert (plan.exit_code, took(plan)) == (0, ["later", "mixed"])
    for verb in ("check", "chain"):
        result = tokar(verb, "--json", *sets)
        assert (result.exit_code, result.json()["outcome"]) == (0, plan.json()["outcome"])
        (spared,) = result.json()["spared"]
        assert (spared["path"], spared["outcome"]["word"]) == (str(sets[0]), "NOT RESTORABLE")
    assert plan.json()["chain"]["spared"] == []  # it takes part


@pytest.mark.parametrize("last", ["edb0000A.log", "edb.log"])
def test_of_a_log_that_others_follow_the_closed_one_is_placed_from_whichever_set_has_it(
    last: str, tmp_path: Path
) -> None:
    sets = [
        archive(tmp_path / "full.tokar", {**TOGETHER, "edb.log": ALL[name(8)]}).path,
        increment(tmp_path, "closed", part(8, 8)).path,
        increment(tmp_path, "later", {**part(9, 9), last: ALL[name(10)]}).path,
    ]
    for verb in ("check", "chain"):
        assert tokar(verb, *sets).exit_code == 0
    plan = planned(sets, "--json")
    assert (plan.exit_code, took(plan)) == (0, ["full", "closed", "later"])
    assert [one["name"] for one in plan.json()["chain"]["logs"]] == [*part(5, 9), last]
    assert [one["name"] for one in plan.json()["chain"]["left_out"]] == ["edb.log"]


def test_a_name_that_is_of_no_set_with_databases_chooses_none(tmp_path: Path) -> None:
    sets = made(tmp_path, main=MAIN, theirs=SERVER)
    for wrong in ("later.tokar", "nowhere.tokar"):
        result = planned(sets, "--full", wrong)
        assert result.exit_code == 2
        assert f"no set with databases is called {wrong}" in result.stderr
        assert f"the sets with databases here: {sets[0]}, {sets[1]}" in " ".join(result.stderr.split())
    alone = tokar("restore", "--into", tmp_path / "out", "--full", sets[0], sets[0])
    assert (alone.exit_code, "--full is for several sets; leave it out" in alone.stderr) == (2, True)


def test_content_does_not_decide_to_which_full_logs_belong(tmp_path: Path) -> None:
    """Of one full only content says that a database is missing, and these logs parted from it; of the other all do."""
    other = {**ALL, **logs(7, 8, after=ALL[name(6)], branch=1000, attached=BOTH)}
    shut = database(consistent_position=LogPosition(generation=8, sector=1), last_log_time=moment(8))
    sets = {
        "own": {DATABASE: bytes(dirty(6, 7, branch=1000)), **part(6, 7, other)},
        "parted": {DATABASE: bytes(shut), **part(7, 8)},
        "logs": part(5, 8, other),
    }
    paths = [archive(tmp_path / f"{one}.tokar", files).path for one, files in sets.items()]
    for verb in (["check"], ["check", "--content"], ["chain"], ["chain", "--content"]):
        line = tokar(*verb, *paths).stdout.splitlines()[-1]
        assert line.startswith("RESTORABLE WITH LOSS: main.edb: the logs are also about a database that is not here")


def test_content_does_not_decide_of_which_of_two_bad_fulls_the_cause_is_named(tmp_path: Path) -> None:
    """Of each a log is missing, and of one content says more than that."""
    every = logs(5, 10)
    spoilt = {name(9): flip(flip(every[name(9)], 5000), 5400, 3)}
    sets = {
        "own": {DATABASE: bytes(dirty(5, 7)), **part(5, 5, every), **part(7, 7, every)},
        "later": {DATABASE: bytes(dirty(7, 9)), **part(7, 7, every), **spoilt},
        "logs": part(10, 10, every),
    }
    paths = [archive(tmp_path / f"{one}.tokar", files).path for one, files in sets.items()]
    assert [*unlike_together(paths)] == []
