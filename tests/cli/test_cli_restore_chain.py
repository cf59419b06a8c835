"""`tokar restore` with several sets, with a server, with logs in a folder of their own, and with guidance."""

from __future__ import annotations

import gc
import json
import shutil
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from chain_sets import DATABASE, TOP, archive, branch, checkpoint, database, dirty, full, increment, name_of, part
from chain_stories import Contents, Story, content_of, new_story, take, target_for
from command_line import Result, done, tokar
from recovery_sets import DATABASE_SIGNATURE, OTHER_STREAM, flip, streaming
from recovery_sets import logs as logs_of_recovery
from small_sets import contents, write

from tokar import create
from tokar import open as tokar_open
from tokar.ese.values import LogPosition
from tokar.format.metadata import location_list_json
from tokar.lab.lab import open_lab
from tokar.lab.server import SimulatedServer
from tokar.namelist import build_names
from tokar.server.contract import BackupKind, Registration
from tokar.sets.receipt import ArchiveTold, BackupTold, Receipt, Truncation, write_receipt

if TYPE_CHECKING:
    from chain_stories import Kept


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """A folder with a full (5 to 7) and two sets that continue it (8 to 9, 9 to 11)."""
    folder = tmp_path / "sets"
    folder.mkdir()
    full(folder)
    increment(folder, "inc1", part(8, 9))
    increment(folder, "inc2", part(9, 11))
    return folder


def refused(result: Result, words: str, code: int) -> None:
    assert (result.exit_code, words in result.error) == (code, True), result.stderr


def content_of_lab(folder: Path) -> Contents:
    return open_lab(folder).contents()


def logs_of(low: int, high: int) -> set[str]:
    return {name_of(generation) for generation in range(low, high + 1)}


def test_a_folder_of_sets_is_restored_as_a_chain(sets: Path, tmp_path: Path) -> None:
    result = done("restore", "--chain", sets, "--into", tmp_path / "out")
    assert set(contents(tmp_path / "out")) == {DATABASE, "main.pat", *logs_of(5, 11)}
    lines = result.stdout.splitlines()
    assert lines[0] == f"set 1: {sets}/full.tokar: databases, logs 0x5-0x7"
    assert f"left out: {name_of(9)} of set 3: this generation comes from another set or file" in lines
    assert "recovery: hard, logs 0x5-0xB" in lines
    assert lines[-2].startswith("restored 9 files")
    assert lines[-1] == "NOT PROVEN: pages and log segments were not verified (tokar check --content)"


def test_the_order_of_the_archives_does_not_matter(sets: Path, tmp_path: Path) -> None:
    done("restore", sets / "inc2.tokar", sets / "full.tokar", sets / "inc1.tokar", "--into", tmp_path / "out")
    assert len(contents(tmp_path / "out")) == 9


@pytest.mark.parametrize("until", ["0x8", name_of(8)])
def test_a_restore_stops_at_a_generation(sets: Path, tmp_path: Path, until: str) -> None:
    result = done("restore", "--chain", sets, "--until", until, "--into", tmp_path / "out")
    assert set(contents(tmp_path / "out")) == {DATABASE, "main.pat", *logs_of(5, 8)}
    assert f"takes no part: {sets}/inc2.tokar: no log is wanted from it" in result.stdout.splitlines()


def test_a_number_names_an_entry_of_one_archive_and_of_no_chain(sets: Path, tmp_path: Path) -> None:
    done("restore", sets / "full.tokar", "--only", "#1", "--into", tmp_path / "one")
    with tokar_open(sets / "full.tokar") as opened:
        assert set(contents(tmp_path / "one")) == {opened.entry(1).leaf}
    refused(
        tokar("restore", "--chain", sets, "--only", "#1", "--into", tmp_path / "out"), "no entry has the name #1", 2
    )


@pytest.mark.parametrize(
    ("only", "said"),
    [
        ([name_of(8)], "PART OF A CHAIN: needs a full that reaches 0x7"),
        ([name_of(8), name_of(10)], "NOT RESTORABLE: log 0x9 is in the archives, and not asked for"),
        ([DATABASE], f"NOT RESTORABLE: {DATABASE}: logs 0x5-0x7 are in the archives, and not asked for"),
        (
            [DATABASE, *sorted(logs_of(5, 8))],
            "NOT PROVEN: pages and log segments were not verified (tokar check --content)",
        ),
    ],
)
def test_a_choice_of_files_of_several_sets_is_judged_by_itself(
    sets: Path, tmp_path: Path, only: list[str], said: str
) -> None:
    """As one of a single archive: the last line and the next steps are of nothing that was not asked for."""
    options = ["restore", "--chain", str(sets), "--into", f"{tmp_path}/out", *[f"--only={one}" for one in only]]
    result, fails = tokar(*options), said.startswith("NOT RESTORABLE")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (6 if fails else 0, said)
    if fails:
        assert not (tmp_path / "out").exists()
        result = done(*options, "--accept-unrecoverable")
    assert set(contents(tmp_path / "out")) == {*only}
    lines = result.stdout.splitlines()
    accepted = "ACCEPTED (--accept-unrecoverable): " if fails else ""
    assert lines[-1] == accepted + said
    assert not any(line.startswith(("recovery: ", "next: ", "register ")) for line in lines)


def test_no_choice_of_files_of_several_sets_is_rolled_forward(sets: Path, tmp_path: Path) -> None:
    options = ("--existing", "roll-forward", "--only", DATABASE)
    refused(tokar("restore", "--chain", sets, "--into", tmp_path / "out", *options), "takes a whole set", 2)


def test_one_archive_with_a_target_is_a_chain_of_one(sets: Path, tmp_path: Path) -> None:
    done("restore", sets / "full.tokar", "--until", "0x7", "--into", tmp_path / "out")
    assert set(contents(tmp_path / "out")) == {DATABASE, "main.pat", *logs_of(5, 7)}


def test_an_archive_that_is_being_written_beside_them_is_passed_over(sets: Path, tmp_path: Path) -> None:
    (sets / ".next.tokar.0badcafe.part").write_bytes((sets / "inc2.tokar").read_bytes()[:2000])
    result = done("restore", "--chain", sets, "--into", tmp_path / "out")
    assert len(contents(tmp_path / "out")) == 9
    assert ".part" not in result.stdout + result.stderr


def test_a_damaged_archive_that_the_chain_does_not_need_is_reported(sets: Path, tmp_path: Path) -> None:
    (sets / "twin.tokar").write_bytes((sets / "inc2.tokar").read_bytes()[:-9])
    result = done("restore", "--chain", sets, "--into", tmp_path / "out")
    assert len(contents(tmp_path / "out")) == 9
    assert "cannot be read, and takes no part: " in result.stderr
    assert f"{sets}/twin.tokar" in result.stderr


def test_a_damaged_archive_that_the_chain_needs_is_named_in_the_error(sets: Path, tmp_path: Path) -> None:
    (sets / "inc1.tokar").write_bytes((sets / "inc1.tokar").read_bytes()[:-9])
    result = tokar("restore", "--chain", sets, "--into", tmp_path / "out")
    refused(result, "it ends inside a TAIL record", 5)
    assert "also: not all logs can be played: log 0x8 is in none of the sets" in result.stderr
    assert f"{sets}/inc1.tokar" in result.stderr
    assert result.stdout.splitlines()[-1].startswith("NOT RESTORABLE: cannot be read: it ends")
    assert not (tmp_path / "out").exists()


def test_damage_that_only_the_restore_meets_is_named_with_its_archive_and_a_last_line(
    sets: Path, tmp_path: Path
) -> None:
    (sets / "inc2.tokar").unlink()
    done("create", "-q", "--kind", "logs", sets / "inc2.tokar", write(tmp_path / "day", part(9, 11)))  # with its facts
    with tokar_open(sets / "inc2.tokar") as opened:
        last = opened.find(name_of(11))
        position = opened.records(last).data_positions[0] + 99
    (sets / "inc2.tokar").write_bytes(flip((sets / "inc2.tokar").read_bytes(), position))
    result = tokar("restore", "--chain", sets, "--into", tmp_path / "out")
    assert result.exit_code == 4
    assert f"({sets}/inc2.tokar, at byte" in result.error
    assert result.stdout.splitlines()[-1].startswith("NOT PROVEN: cannot be read: ")
    told = tokar("restore", "--json", "--chain", sets, "--into", tmp_path / "out").json()
    assert (told["outcome"]["word"], told["placed"]) == ("NOT PROVEN", None)
    assert told["error"]["path"] == f"{sets}/inc2.tokar"


def test_a_damaged_archive_whose_receipt_goes_beyond_the_others_is_needed(sets: Path, tmp_path: Path) -> None:
    data = (sets / "inc2.tokar").read_bytes()
    with tokar_open(sets / "inc2.tokar") as opened:
        named: ArchiveTold = {"id": opened.id.hex(), "root": opened.root.hex()}
    backup: BackupTold = {"took": "incremental", "generations": {"low": 9, "high": 11}}
    write_receipt(sets / "inc2.tokar", Receipt("sealed", Truncation.DONE, archive=named, backup=backup))
    (sets / "inc2.tokar").write_bytes(data[:-9])
    result = tokar("restore", "--chain", sets, "--into", tmp_path / "out")
    refused(result, "inc2.tokar", 5)
    assert "its receipt says that it holds logs 0x9-0xB" in result.stderr
    done("restore", "--chain", sets, "--until", "0x9", "--into", tmp_path / "out")


def test_a_target_that_is_not_reached_is_an_error(sets: Path, tmp_path: Path) -> None:
    refused(tokar("restore", "--chain", sets, "--until", "0xC", "--into", tmp_path / "out"), "cannot be reached", 6)
    assert not (tmp_path / "out").exists()


def test_a_target_below_the_full_is_refused(sets: Path, tmp_path: Path) -> None:
    refused(tokar("restore", "--chain", sets, "--until", "0x6", "--into", tmp_path / "out"), "below what", 2)


def test_a_target_that_is_no_generation_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    result = tokar("restore", "--chain", tmp_path / "gone", "--until", "10")
    refused(result, "not a log generation: 10", 2)
    assert "0x1A" in result.hint


def test_a_set_that_is_missing_is_an_error_with_what_can_be_reached(sets: Path, tmp_path: Path) -> None:
    result = tokar("restore", sets / "full.tokar", sets / "inc2.tokar", "--into", tmp_path / "out")
    refused(result, "log 0x8 is in none of the sets", 6)
    assert result.stdout.splitlines() == [
        "this plan is refused; the verdict on the files alone:",
        "NOT RESTORABLE: log 0x8 is in none of the sets",
    ]
    answer = tokar("restore", "--json", sets / "full.tokar", sets / "inc2.tokar", "--into", tmp_path / "out").json()
    assert answer["outcome"] == {"word": "NOT RESTORABLE", "why": "log 0x8 is in none of the sets"}
    assert answer["error"]["exit_code"] == 6
    assert "--until 0x7" in result.hint


def test_a_log_that_differs_between_sets_is_an_error(sets: Path, tmp_path: Path) -> None:
    changed = bytearray(TOP[9])
    changed[-1] ^= 1
    increment(sets, "inc3", {name_of(9): bytes(changed)})
    assert tokar("restore", "--chain", sets, "--into", tmp_path / "out").exit_code == 6
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damaged", ["full", "inc"])
def test_of_unlike_copies_of_a_log_a_restore_looks_which_is_whole(tmp_path: Path, damaged: str) -> None:
    sets = tmp_path / "sets"
    sets.mkdir()
    bad = {name_of(7): flip(flip(TOP[7], 5000), 5400, 3)}
    full(sets, files=bad if damaged == "full" else None)
    increment(sets, "inc", part(7, 9) | (bad if damaged == "inc" else {}))
    for verb in ("check", "chain"):
        assert done(verb, sets, "--json").json()["outcome"]["word"] == "NOT PROVEN"
        assert done(verb, "--content", sets, "--json").json()["outcome"]["word"] == "RESTORABLE"
    done("restore", "--chain", sets, "--into", tmp_path / "out")
    assert (tmp_path / "out" / name_of(7)).read_bytes() == TOP[7]


STOPPED = bytes(database(consistent_position=LogPosition(generation=6, sector=1)))
BOTH = ((r"C:\db\main.edb", DATABASE_SIGNATURE), (r"C:\db\pub.edb", OTHER_STREAM))
AWAY = logs_of_recovery(8, 9, after=TOP[7], attached=BOTH)
CRASHED = {DATABASE: bytes(dirty(5, 7))}
OPEN: dict[str, tuple[dict[str, bytes], str]] = {
    "another name": ({"main - Copy.edb": STOPPED, **part(6, 9)}, "is called main.edb in the logs"),
    "two histories": (CRASHED | part(5, 8) | {f"old/{name_of(8)}": branch(8, 8)[name_of(8)]}, "more than once"),
    "a database that later logs name": (CRASHED | part(5, 7) | AWAY, "about a database that is not here"),
}


@pytest.mark.parametrize(("title", "apart"), [*product(OPEN, [()]), *product([*OPEN][::2], [("8.log", "9.log")])])
def test_what_rests_on_logs_that_nobody_examined_is_not_proven_and_a_restore_looks(
    tmp_path: Path, title: str, apart: tuple[str, ...]
) -> None:
    files, words = OPEN[title]
    later = {name: data for name, data in files.items() if name.endswith(apart)}
    own = {name: data for name, data in files.items() if name not in later}
    sets = [archive(tmp_path / "a.tokar", own, kind="collected").path]
    sets += [archive(tmp_path / "b.tokar", later, kind="logs").path] if later else []
    (line,) = {done(verb, *sets).stdout.splitlines()[-1] for verb in ("check", "chain")}
    assert line.startswith("NOT PROVEN: ")
    assert words in line
    refusal = "RESTORABLE WITH LOSS: " if "not here" in words else "NOT RESTORABLE: "
    result = tokar("check", "--content", *sets)
    assert (result.exit_code, result.stdout.splitlines()[-1][: len(refusal)]) == (9, refusal)
    result = tokar("restore", "--dry-run", "--progress", "json", "--into", tmp_path / "out", *sets)
    assert (result.exit_code, words in result.stdout.splitlines()[-1]) == (6, True)
    shown = [json.loads(line) for line in result.stderr.splitlines() if '"phase": "examining"' in line]
    sizes = {str(path): sum(map(len, part.values())) for path, part in zip(sets, (own, later), strict=False)}
    assert {one["of"]: (one["bytes"], one["total"]) for one in shown} == {of: (n, n) for of, n in sizes.items()}


@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize("named", [True, False])
def test_a_restore_looks_at_logs_that_no_database_needs_and_places_none_behind_a_damaged_one(
    tmp_path: Path, soft: bool, named: bool
) -> None:
    """Damage there refuses nothing, so who asked was told that the set passes, and recovery met the log."""
    database_file = STOPPED if soft else bytes(streaming(5, 7))
    (tmp_path / "sets").mkdir()
    whole, damaged = part(5, 10), {name_of(9): flip(flip(TOP[9], 5000), 5400, 3)}
    one = archive(tmp_path / "sets" / "a.tokar", {DATABASE: database_file, **whole, **damaged}, kind="full").path
    assert done("check", one, "--json").json()["outcome"]["word"] == "NOT PROVEN"
    assert done("check", "--content", one, "--json").json()["outcome"]["word"] == "RESTORABLE"
    way = [str(one)] if named else ["--chain", str(one.parent)]
    result = done("restore", *way, "--into", tmp_path / "out")
    assert result.stdout.splitlines()[-1].startswith("NOT PROVEN: pages and log segments were not verified")
    assert set(contents(tmp_path / "out")) - {DATABASE} <= logs_of(5, 8)
    assert (tmp_path / "out" / name_of(7)).read_bytes() == TOP[7]


def test_unlike_copies_of_a_log_that_cannot_be_read_are_refused_and_not_called_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full(tmp_path)
    increment(tmp_path, "inc", {**part(7, 9), name_of(7): flip(TOP[7], 5000)})
    monkeypatch.setattr("tokar.sets.joining.examined", lambda found, *_: found)
    result = tokar("restore", "--chain", tmp_path, "--into", tmp_path / "out")
    refused(result, "which of them is whole nobody looked at", 6)
    assert "the files alone: NOT PROVEN" in result.stdout.splitlines()[-1]


def test_sets_without_a_full_are_an_error(sets: Path, tmp_path: Path) -> None:
    refused(tokar("restore", sets / "inc1.tokar", sets / "inc2.tokar", "--into", tmp_path), "no set with databases", 6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name the archives, or the folder"),
        (["--chain", "sets", "sets/full.tokar"], "name the archives, or the folder"),
        (["-", "-", "--into", "x"], "standard input can be read once"),
        (["--chain", "sets", "--accept-unrecoverable"], "is for one archive"),
        (
            ["sets/full.tokar", "--until", "0x7", "--into", "x", "--accept-unrecoverable"],
            "--until stops where everything",
        ),
        (
            ["sets/full.tokar", "--server", "lab:x", "--accept-unrecoverable"],
            "has its service recover what is restored",
        ),
        (["--chain", "sets", "--existing", "keep"], "--existing takes"),
        (["--chain", "sets", "--certutil", "x", "--backup-logs", "y"], "leave --backup-logs out"),
        (["--chain", "sets", "--certutil", "x", "--existing", "roll-forward"], "has no meaning there"),
        (["--chain", "sets", "--into", "x", "--until", "0x8", "--existing", "roll-forward"], "--until names the end"),
        (["sets/full.tokar", "--into", "x", "--existing", "roll-forward", "--only", "main.edb"], "takes a whole set"),
        (["--chain", "sets", "--into", "x", "--take-over"], "--take-over goes with --server"),
        (["--chain", "sets", "--server", "dir:x"], "not a server to restore to"),
        (["--chain", "sets", "--server", "lab:x", "--into", "y"], "leave --into out"),
        (["--chain", "sets", "--server", "lab:x", "--backup-logs", "y"], "leave --backup-logs out"),
        (["--chain", "sets", "--server", "lab:x", "--existing", "roll-forward"], "takes refuse or set-aside"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused(
    sets: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(sets.parent)
    refused(tokar("restore", *arguments), words, 2)
    assert [path.name for path in sets.parent.iterdir()] == ["sets"]


@pytest.mark.parametrize(
    ("options", "way"),
    [
        (["--accept-unrecoverable"], "--until GENERATION stops before what cannot; or name one archive alone"),
        (["--server", "lab:x", "--right-names"], "restore without --server (--right-names --into DIR)"),
        (["--server", "lab:x", "--existing", "roll-forward"], "(--existing roll-forward --into DIR, or --to for"),
    ],
)
def test_what_cannot_be_asked_for_together_says_what_to_do_instead(sets: Path, options: list[str], way: str) -> None:
    result = tokar("restore", "--chain", sets, *options)
    assert (result.exit_code, way in str(result.hint)) == (2, True)


def test_files_that_lie_below_no_folder_are_kept_by_no_tree_and_that_is_said_once(tmp_path: Path) -> None:
    archive(tmp_path / "a.tokar", {f"C:\\db\\{name}": bytes(database()) for name in ("main.edb", "pub.edb")})
    result = tokar("restore", tmp_path / "a.tokar", "--tree", tmp_path / "out")
    assert (result.exit_code, result.stderr.count("no path below a folder")) == (6, 1)
    assert result.error.endswith("needed for C:\\db\\main.edb, C:\\db\\pub.edb")
    assert result.hint == "put all into one directory: --into DIR, and not --tree"
    done("restore", tmp_path / "a.tokar", "--into", tmp_path / "out")


def test_a_dry_run_shows_the_chain_and_writes_nothing(sets: Path, tmp_path: Path) -> None:
    result = done("restore", "--chain", sets, "--into", tmp_path / "out", "--dry-run")
    assert "register 2:" in result.stdout
    assert not (tmp_path / "out").exists()


def test_quiet_says_nothing(sets: Path, tmp_path: Path) -> None:
    result = done("restore", "-q", "--chain", sets, "--into", tmp_path / "out")
    assert result.stdout + result.stderr == ""


def test_json_has_chain_plan_recovery_and_what_was_placed(sets: Path, tmp_path: Path) -> None:
    answer = done("restore", "--json", "--chain", sets, "--into", tmp_path / "out").json()
    assert [Path(one["path"]).name for one in answer["chain"]["sets"]] == ["full.tokar", "inc1.tokar", "inc2.tokar"]
    assert [one["generation_low"] for one in answer["recovery"]["registrations"]] == [5, 8, 9]
    assert answer["placed"]["files"] == 9


def test_json_of_a_refusal_has_the_plan_and_the_error(sets: Path, tmp_path: Path) -> None:
    write(tmp_path / "out", {"edb.chk": checkpoint(5)})
    result = tokar("restore", "--json", "--chain", sets, "--into", tmp_path / "out")
    answer = result.json()
    assert (result.exit_code, answer["placed"], answer["error"]["kind"]) == (6, None, "existing-file")
    assert answer["plans"][0]["problems"]


def test_a_chain_for_certutil_is_one_folder_a_set(sets: Path, tmp_path: Path) -> None:
    (sets / "full.tokar").unlink()
    listed = build_names([(0x82, "C:\\CA".encode("utf-16-le"))], wide=True)
    full(sets, location_list=location_list_json("w", listed))
    result = done("restore", "--chain", sets, "--certutil", tmp_path / "out")
    steps = [line for line in result.stdout.splitlines() if line.startswith("next: certutil ")]
    assert steps == [f"next: certutil -f -restoreDB {tmp_path}/out/{number}" for number in (1, 2, 3)]
    assert {path.name for path in (tmp_path / "out" / "3" / "DataBase").iterdir()} == logs_of(9, 11)


def test_a_chain_for_certutil_without_a_location_list_is_refused_and_has_no_next_steps(
    sets: Path, tmp_path: Path
) -> None:
    result = tokar("restore", "--chain", sets, "--certutil", tmp_path / "out")
    refused(result, "keeps no location list", 6)
    assert "next: " not in result.stdout
    assert f"{tmp_path}/out/3/DataBase: 3 files" in result.stdout
    assert not (tmp_path / "out").exists()


def test_logs_of_their_own_and_a_stray_one(sets: Path, tmp_path: Path) -> None:
    arguments = ("restore", "--chain", sets, "--into", tmp_path / "out", "--backup-logs", tmp_path / "logs")
    write(tmp_path / "logs", {name_of(4): TOP[5]})
    refused(tokar(*arguments), "files of the engine are there already", 6)
    shutil.rmtree(tmp_path / "logs")
    done(*arguments)
    assert set(contents(tmp_path / "logs")) == {"main.pat", *logs_of(5, 11)}
    assert set(contents(tmp_path / "out")) == {DATABASE}


def test_rolling_forward_keeps_the_logs_that_continue(sets: Path, tmp_path: Path) -> None:
    out = write(tmp_path / "out", {**part(12, 12), "edb.log": TOP[13], "edb.chk": checkpoint(12)})
    result = done("restore", "--chain", sets, "--into", out, "--existing", "roll-forward")
    assert {name for name in contents(out) if "aside" not in name} == {DATABASE, "main.pat", "edb.log", *logs_of(5, 12)}
    assert "2 logs" in result.stdout


def test_rolling_forward_over_another_history_is_refused(sets: Path, tmp_path: Path) -> None:
    out = write(tmp_path / "out", branch(11, 12))
    refused(tokar("restore", "--chain", sets, "--into", out, "--existing", "roll-forward"), "histories parted", 6)
    assert set(contents(out)) == logs_of(11, 12)


def test_one_archive_rolls_forward_too(sets: Path, tmp_path: Path) -> None:
    out = write(tmp_path / "out", part(8, 9))
    done("restore", sets / "full.tokar", "--into", out, "--existing", "roll-forward")
    assert set(contents(out)) == {DATABASE, "main.pat", *logs_of(5, 9)}


def test_one_archive_that_cannot_be_recovered_is_refused_unless_accepted(tmp_path: Path) -> None:
    made = archive(tmp_path / "a.tokar", {DATABASE: bytes(dirty(5, 7)), **part(5, 6)}, kind="collected")
    result = tokar("restore", made.path, "--into", tmp_path / "out")
    refused(result, "main.edb cannot be recovered from this set: log 0x7 is missing", 6)
    assert "--accept-unrecoverable" in result.hint
    assert not (tmp_path / "out").exists()
    done("restore", made.path, "--into", tmp_path / "out", "--accept-unrecoverable")
    assert set(contents(tmp_path / "out")) == {DATABASE, *logs_of(5, 6)}


def test_one_archive_says_what_follows(sets: Path, tmp_path: Path) -> None:
    answer = done("restore", "--json", sets / "full.tokar", "--into", tmp_path / "out").json()
    assert answer["recovery"] == answer["plans"][0]["recovery"]
    assert answer["recovery"]["kind"] == "hard"
    (told,) = answer["recovery"]["registrations"]
    assert (told["generation_low"], told["generation_high"], told["restore_map_count"]) == (5, 7, 1)


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return new_story(tmp_path / "server", seed=5)


def backed_up(story: Story, folder: Path) -> list[Kept]:
    folder.mkdir()
    first = take(story, folder / "1.tokar", BackupKind.FULL)
    story.lab.work(20)
    second = take(story, folder / "2.tokar", BackupKind.INCREMENTAL, before=(first,))
    story.lab.work(20)
    return [first, second, take(story, folder / "3.tokar", BackupKind.DIFFERENTIAL, before=(first, second))]


def test_a_chain_goes_to_a_server_by_its_procedure(story: Story, tmp_path: Path) -> None:
    kept = backed_up(story, tmp_path / "shelf")
    target = target_for(story, tmp_path / "target")
    result = done("restore", "--chain", tmp_path / "shelf", "--server", f"lab:{target.folder}")
    assert f"next: tokar lab recover {target.folder}" in result.stdout
    lines = result.stdout.splitlines()
    assert lines[-1].endswith("the last log that is needed stands in the patch file, which is not interpreted")
    taking_part = [line for line in lines if line.startswith("set ") and ": " in line and "aside" not in line]
    assert next(line for line in lines if line.startswith("registered ")).endswith("2 rows in the restore map")
    assert sum(line.startswith("registered ") for line in lines) == len(taking_part)
    done("lab", "recover", target.folder)
    assert content_of_lab(target.folder) == kept[-1].expected


def test_a_chain_goes_to_a_server_up_to_a_generation(story: Story, tmp_path: Path) -> None:
    kept = backed_up(story, tmp_path / "shelf")
    target = target_for(story, tmp_path / "target")
    until = f"0x{kept[1].high:X}"
    answer = done(
        "restore", "--json", "--chain", tmp_path / "shelf", "--until", until, "--server", f"lab:{target.folder}"
    ).json()
    assert answer["outcome"]["word"] == "NOT PROVEN"
    assert answer["recovery"]["registrations"][-1]["generation_high"] == kept[1].high
    done("lab", "recover", target.folder)
    assert content_of_lab(target.folder) == kept[1].expected


def test_logs_behind_a_damaged_one_that_no_database_needs_do_not_go_to_a_server(tmp_path: Path) -> None:
    """They are neither placed nor registered, and what is left out is not asked for again."""
    story = new_story(tmp_path / "server", "certadm", seed=5)
    first, second, _ = backed_up(story, tmp_path / "shelf")
    files: dict[bytes, tuple[int, int, bytes]] = {}
    for one in (first, second):
        with tokar_open(one.path) as opened:
            files |= {each.raw_name: (each.token, each.encoding, content_of(opened, each)) for each in opened}
    bad = f"edb{first.high + 1:05X}.log".encode("utf-16-le")
    with tokar_open(first.path) as opened:
        known = opened.head.extra
    with create(tmp_path / "one.tokar", profile="certadm", kind="full", **known) as writer:
        for raw, (token, encoding, data) in files.items():
            content = flip(data, 0x6010) if raw.endswith(bad) else data
            writer.add_bytes(token, raw, content, encoding=encoding)
    target = target_for(story, tmp_path / "target")
    answer = done("restore", "--json", tmp_path / "one.tokar", "--server", f"lab:{target.folder}").json()
    assert answer["recovery"]["registrations"][-1]["generation_high"] == first.high
    done("lab", "recover", target.folder)
    assert content_of_lab(target.folder) == first.expected


def test_a_dry_run_leaves_a_server_alone(story: Story, tmp_path: Path) -> None:
    backed_up(story, tmp_path / "shelf")
    target = target_for(story, tmp_path / "target")
    before = contents(target.folder)
    result = done("restore", "--chain", tmp_path / "shelf", "--server", f"lab:{target.folder}", "--dry-run")
    assert "PRIV.EDB" in result.stdout
    assert contents(target.folder) == before


def test_a_server_with_databases_is_refused_and_set_aside_on_request(story: Story, tmp_path: Path) -> None:
    kept = backed_up(story, tmp_path / "shelf")
    story.lab.crash()
    arguments = ("restore", "--chain", tmp_path / "shelf", "--server", f"lab:{story.lab.folder}")
    refused(tokar(*arguments), "there already", 6)
    done(*arguments, "--existing", "set-aside")
    done("lab", "recover", story.lab.folder)
    assert content_of_lab(story.lab.folder) == kept[-1].expected


def test_a_restore_that_died_is_taken_over_on_request_alone(story: Story, tmp_path: Path) -> None:
    kept = backed_up(story, tmp_path / "shelf")
    target = target_for(story, tmp_path / "target")
    context = SimulatedServer(open_lab(target.folder), running=False).prepare_restore(None)
    logs, system = target.config.unc(target.config.logs), target.config.unc(target.config.system)
    rows = ((f"{logs}\\PRIV.EDB", f"{logs}\\PRIV.EDB"),)
    context.register(Registration(system, logs, rows, logs, kept[0].low, kept[0].high))
    del context
    gc.collect()  # the process is gone, and its lock with it
    arguments = ("restore", "--chain", tmp_path / "shelf", "--server", f"lab:{target.folder}")
    assert tokar(*arguments).exit_code == 1
    target.place.databases[1].write_bytes(b"in the way")
    before = contents(target.folder)
    refused(tokar(*arguments, "--take-over"), "there already", 6)
    assert contents(target.folder) == before, "a restore that is refused tells the server nothing"
    done(*arguments, "--take-over", "--existing", "set-aside")
    done("lab", "recover", target.folder)
    assert content_of_lab(target.folder) == kept[-1].expected


def test_json_of_a_server_that_refuses_has_the_plan_and_the_error(story: Story, tmp_path: Path) -> None:
    backed_up(story, tmp_path / "shelf")
    story.lab.crash()
    result = tokar("restore", "--json", "--chain", tmp_path / "shelf", "--server", f"lab:{story.lab.folder}")
    answer = result.json()
    assert (result.exit_code, answer["placed"], answer["error"]["exit_code"]) == (6, None, 6)
    assert answer["plans"][0]["problems"]


def test_a_set_without_logs_cannot_be_registered(tmp_path: Path) -> None:
    made = archive(tmp_path / "clean.tokar", {DATABASE: bytes(database())}, kind="collected")
    story = new_story(tmp_path / "server", seed=5, work=0)
    refused(tokar("restore", made.path, "--server", f"lab:{story.lab.folder}"), "nothing can be registered", 6)


@pytest.mark.parametrize("is_there", [True, False], ids=["damaged", "gone"])
def test_a_later_full_that_is_no_good_is_the_cause_in_the_last_line_and_in_the_error(
    tmp_path: Path, *, is_there: bool
) -> None:
    full(tmp_path, "old")
    increment(tmp_path, "later", part(8, 8))
    assert tokar("restore", "--dry-run", "--into", tmp_path / "out", "--chain", tmp_path).exit_code == 0
    log = {name_of(10): flip(TOP[10], 100)} if is_there else {}
    files = {DATABASE: bytes(streaming(9, 12)), **part(9, 9), **log, **part(11, 12), "main.pat": b""}
    archive(tmp_path / "new.tokar", files, kind="full")
    result = tokar("restore", "--dry-run", "--into", tmp_path / "out", "--chain", tmp_path)
    assert result.exit_code == 6
    cause = f"{name_of(10)} cannot be read" if is_there else "log 0xA is missing"
    assert cause in result.stdout.splitlines()[-1]
    assert f"new.tokar cannot be restored: {cause}" in result.error
