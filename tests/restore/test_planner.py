from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from itertools import repeat
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from restore_helpers import NOW, STAMP, entries, entry, listed, plan_of, targets, to, wide
from sweeps import examples

from tokar.errors import (
    AmbiguousLocationError,
    CollisionError,
    ExistingFileError,
    InputError,
    NoRoomError,
    NoSuchEntryError,
    RestoreError,
    UnknownTokenError,
    UnsafeNameError,
)
from tokar.paths import PathMap
from tokar.restore import collisions, planner
from tokar.restore.inventory import Found, FoundList, Inventory, NameKind, TargetDirectory, TargetState
from tokar.restore.options import Request, places_to_look_at
from tokar.restore.plan import Action, Existing
from tokar.restore.planner import make_plan
from tokar.restore.targets import Targets

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.format.index import Entry
    from tokar.restore.plan import Plan

CA = entries((0x44, r"\\CA1\C$\L\CA.edb"), (0x21, r"\\CA1\C$\L\edb00001.log"), (0x21, r"\\CA1\C$\L\edb00002.log"))
CA_LIST = ((0x44, r"\\CA1\C$\L\CA.edb"), (0x82, r"\\CA1\C$\L"), (0x83, r"\\CA1\C$\L"))

# Exchange Server SDK, "Backup File Locations".
EXCHANGE = entries(
    (0x45, r"\\SERVER1\MDBDATA\PRIV\PRIV.EDB"),
    (0x46, r"\\SERVER1\MDBDATA\PUB\PUB.EDB"),
    (0x21, r"\\SERVER1\MDBDATA\LOGS\EDB00001.LOG"),
    (0x21, r"\\SERVER1\MDBDATA\LOGS\EDB00002.LOG"),
    (0x28, r"\\SERVER1\MDBDATA\WORKING\PUB.PAT"),
)
SERVER2 = (
    (0x83, r"\\SERVER2\MDBDATA\WORK"),
    (0x82, r"\\SERVER2\MDBDATA\TRAN_LOGS"),
    (0x45, r"\\SERVER2\MDBDATA\PRIVATE"),
    (0x46, r"\\SERVER2\MDBDATA\PUBLIC"),
)


def kinds(plan: Plan) -> list[type[RestoreError]]:
    return [type(problem.error) for problem in plan.problems]


def exchange_plan(tmp_path: Path, *missing: int) -> Plan:
    places = tuple(place for place in SERVER2 if place[0] not in missing)
    return plan_of(
        EXCHANGE,
        profile="edbbcli",
        locations=listed(*places),
        maps=(PathMap(r"\\SERVER2\MDBDATA", str(tmp_path)),),
    )


def test_the_sdk_example_goes_where_the_sdk_says(tmp_path: Path) -> None:
    plan = exchange_plan(tmp_path)
    assert plan.problems == ()
    assert targets(plan) == {
        "PRIV.EDB": str(tmp_path / "PRIVATE" / "PRIV.EDB"),
        "PUB.EDB": str(tmp_path / "PUBLIC" / "PUB.EDB"),
        "EDB00001.LOG": str(tmp_path / "TRAN_LOGS" / "EDB00001.LOG"),
        "EDB00002.LOG": str(tmp_path / "TRAN_LOGS" / "EDB00002.LOG"),
        "PUB.PAT": str(tmp_path / "TRAN_LOGS" / "PUB.PAT"),
    }
    assert {one.path for one in plan.directories} == {
        str(tmp_path / name) for name in ("PRIVATE", "PUBLIC", "TRAN_LOGS")
    }


def test_the_sdk_example_without_the_private_location_is_refused(tmp_path: Path) -> None:
    plan = exchange_plan(tmp_path, 0x45)
    assert targets(plan)["PRIV.EDB"] is None
    with pytest.raises(UnknownTokenError, match=r"private-database \(0x45\).*needed for .*PRIV.EDB"):
        plan.raise_for_problems()


def test_the_sdk_example_without_a_map_is_refused_for_every_location_that_a_file_needs() -> None:
    plan = plan_of(EXCHANGE, profile="edbbcli", locations=listed(*SERVER2))
    assert kinds(plan) == [RestoreError] * 3
    with pytest.raises(RestoreError, match=r"^private-database \(0x45\): the location .* names another") as caught:
        plan.raise_for_problems()
    assert caught.value.hint == r"--map '\\SERVER2\MDBDATA=DIR' or --to private-database=DIR/"
    assert [note.partition(":")[2].partition(":")[0] for note in caught.value.__notes__] == [
        " public-database (0x46)",
        " log-dir (0x82)",
    ]
    assert all(r"--map '\\SERVER2\MDBDATA=DIR'" in note for note in caught.value.__notes__)


def test_where_a_server_says_the_places_only_a_map_helps() -> None:
    plan = plan_of(EXCHANGE[:1], profile="edbbcli", locations=listed(*SERVER2), from_server=True)
    assert plan.problems[0].error.hint == r"--map '\\SERVER2\MDBDATA=DIR'"


def test_on_windows_the_ready_made_line_is_quoted_for_its_shell() -> None:
    plan = plan_of(EXCHANGE[:1], profile="edbbcli", locations=listed(*SERVER2), windows=True, hosts=frozenset())
    assert str(plan.problems[0].error.hint).startswith(r'--map "\\SERVER2\MDBDATA=DIR" or ')


def test_a_location_that_no_file_needs_is_not_asked_for(tmp_path: Path) -> None:
    kept = listed((0x83, r"\\CA1\C$\L"), (0x45, r"\\CA1\C$\M"))
    places = to(f"database={tmp_path}/x/", f"log-dir={tmp_path}/y/")["locations"]
    plan = plan_of(CA, locations=(*kept, *places))
    assert plan.problems == ()
    assert plan.notes == (r"the checkpoint directory \\CA1\C$\L is not known here: no old checkpoint may stay in it",)


def test_a_plan_makes_nothing(tmp_path: Path) -> None:
    exchange_plan(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_ca_list_names_the_database_file(tmp_path: Path) -> None:
    plan = plan_of(CA, locations=listed(*CA_LIST), maps=(PathMap(r"\\CA1\C$\L", str(tmp_path / "L")),))
    assert targets(plan)["CA.edb"] == str(tmp_path / "L" / "CA.edb")
    assert [one.path for one in plan.directories] == [str(tmp_path / "L")]


def test_a_database_location_that_names_the_file_is_a_file_whatever_its_extension(tmp_path: Path) -> None:
    plan = plan_of(entries((0x44, "store.bin")), **to(f"database={tmp_path}/new/STORE.BIN"))
    assert targets(plan) == {"store.bin": str(tmp_path / "new" / "STORE.BIN")}


def test_a_database_location_that_looks_like_a_database_gives_it_a_new_name(tmp_path: Path) -> None:
    plan = plan_of(entries((0x44, "CA.edb")), **to(f"database={tmp_path}/other.edb"))
    assert targets(plan) == {"CA.edb": str(tmp_path / "other.edb")}


def test_a_database_location_that_looks_like_a_folder_is_one(tmp_path: Path) -> None:
    plan = plan_of(entries((0x44, "CA.edb")), **to(f"database={tmp_path}/private"))
    assert targets(plan) == {"CA.edb": str(tmp_path / "private" / "CA.edb")}


def test_a_directory_that_is_there_settles_that_a_location_is_one(tmp_path: Path) -> None:
    (tmp_path / "x.edb").mkdir()
    plan = plan_of(entries((0x44, "CA.edb")), **to(f"database={tmp_path}/x.edb"))
    assert targets(plan) == {"CA.edb": str(tmp_path / "x.edb" / "CA.edb")}


@pytest.mark.parametrize(
    ("prefix", "ending", "result"), [("dir:", "", "x.edb/CA.edb"), ("", "/", "x.edb/CA.edb"), ("file:", "", "x.edb")]
)
def test_the_user_can_say_what_a_location_is(tmp_path: Path, prefix: str, ending: str, result: str) -> None:
    plan = plan_of(entries((0x44, "CA.edb")), **to(f"database={prefix}{tmp_path}/x.edb{ending}"))
    assert targets(plan) == {"CA.edb": str(tmp_path / result)}


def test_a_file_matched_by_bits_keeps_its_own_name_beside_the_database(tmp_path: Path) -> None:
    plan = plan_of(entries((0x48, "extra.edb")), **to(f"database={tmp_path}/CA.edb"))
    assert targets(plan) == {"extra.edb": str(tmp_path / "extra.edb")}


def test_a_file_sent_by_name_needs_no_location(tmp_path: Path) -> None:
    plan = plan_of(entries((0x0F, r"x\odd.bin")), **to(f"odd.bin={tmp_path}/new.bin"))
    assert plan.problems == ()
    assert targets(plan) == {"odd.bin": str(tmp_path / "new.bin")}
    assert next(iter(plan.steps)).rule == "named by --to"


def test_a_file_sent_by_name_into_a_directory_keeps_its_leaf(tmp_path: Path) -> None:
    for text in (f"odd.bin={tmp_path}", f"odd.bin=dir:{tmp_path}/x", f"ODD.BIN={tmp_path}/x/"):
        assert str(targets(plan_of(entries((0x0F, r"x\odd.bin")), **to(text)))["odd.bin"]).endswith("/odd.bin")


def test_a_name_that_cannot_be_decoded_is_refused_until_it_is_sent_somewhere(tmp_path: Path) -> None:
    files = [entry(0, 0x21, b"bad\xff.log", encoding=0)]
    plan = plan_of(files, **to(f"log-dir={tmp_path}"))
    with pytest.raises(UnsafeNameError, match="cannot be decoded") as caught:
        plan.raise_for_problems()
    assert caught.value.hint == "say where it goes: --to NAME=PATH"
    plan = plan_of(files, **to(f"bad<FF>.log={tmp_path}/edb00001.log"))
    plan.raise_for_problems()
    (step,) = plan.steps
    assert (step.leaf, step.target) == (None, str(tmp_path / "edb00001.log"))
    assert step.to_json()["name_base64"] == "YmFk/y5sb2c="


def test_an_undecodable_database_may_go_to_a_location_that_is_a_file(tmp_path: Path) -> None:
    plan = plan_of([entry(0, 0x44, b"\xff.edb", encoding=65001)], **to(f"database={tmp_path}/CA.edb"))
    plan.raise_for_problems()
    assert [step.target for step in plan.steps] == [str(tmp_path / "CA.edb")]


@pytest.mark.parametrize("name", ["", "a\\", "..", "a\\NUL.log", "a:b", "x.log.", "x\x1b.log"])
def test_an_unsafe_leaf_is_refused(tmp_path: Path, name: str) -> None:
    plan = plan_of([entry(0, 0x21, name or "\\")], **to(f"log-dir={tmp_path}"))
    with pytest.raises(UnsafeNameError):
        plan.raise_for_problems()
    assert [step.action for step in plan.steps] == [Action.REFUSE]


def test_all_problems_are_collected_the_most_important_first(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "edb.chk").write_bytes(b"")
    files = entries((0x44, "a.edb"), (0x21, "x.log"), (0x21, "X.LOG"), (0x21, "nul"), (0x0F, "odd"), (0x25, "x.pat"))
    files += entries((0x45, "z.edb"))
    locations = (
        *to(f"log-dir={tmp_path}/logs")["locations"],
        *listed((0x44, r"\\S\a"), (0x44, r"\\S\b"), (0x45, r"\\S\c")),
        *to(f"checkpoint-dir={tmp_path}/logs")["locations"],
    )
    plan = plan_of(files, locations=locations)
    assert list(dict.fromkeys(kinds(plan))) == [
        RestoreError,
        UnknownTokenError,
        AmbiguousLocationError,
        UnsafeNameError,
        CollisionError,
        ExistingFileError,
    ]
    with pytest.raises(RestoreError) as caught:
        plan.raise_for_problems()
    assert len(caught.value.__notes__) == len(plan.problems) - 1


def test_one_cause_is_one_problem_for_all_its_files(tmp_path: Path) -> None:
    files = entries(*((0x25, f"{number}.pat") for number in range(11)))
    plan = plan_of(files, **to(f"database={tmp_path}/"))
    (problem,) = plan.problems
    assert problem.entries == tuple(range(11))
    assert problem.error.message.endswith("7.pat and 3 more")


@pytest.mark.parametrize(("one", "other"), [("EDB.LOG", "edb.log"), ("A\u0308.log", "ä.log"), (r"a\x.log", r"b\x.log")])
def test_leaves_that_meet_in_one_directory_collide(tmp_path: Path, one: str, other: str) -> None:
    plan = plan_of(entries((0x21, one), (0x25, "fine.pat"), (0x21, other)), **to(f"log-dir={tmp_path}"))
    with pytest.raises(CollisionError, match="would be one file"):
        plan.raise_for_problems()
    assert plan.problems[0].entries == (0, 2)


def test_of_very_many_leaves_that_meet_the_first_are_told_and_the_others_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collisions, "MOST_LISTED", 2)
    files = entries(*((0x21, rf"{folder}\{number}.log") for folder in "ab" for number in range(5)))
    told = [one.error.message for one in plan_of(files, **to(f"log-dir={tmp_path}")).problems]
    assert told == [
        r"a\0.log, b\0.log would be one file",
        r"a\1.log, b\1.log would be one file",
        "and 3 more names that several files would get",
    ]
    assert len(plan_of(files[:7], **to(f"log-dir={tmp_path}")).problems) == 2


def test_of_very_many_problems_of_a_kind_the_first_are_told_and_the_files_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "_MOST_LISTED", 2)
    files = entries(*((0x21, f"a{chr(9 + number)}") for number in range(12)))
    *told, rest = plan_of(files, **to(f"log-dir={tmp_path}")).problems
    assert [one.entries for one in told] == [(0,), (1,)]
    assert rest.entries == tuple(range(2, 12))
    assert rest.error.message.startswith("more like that; needed for ")
    assert rest.error.message.endswith(" and 2 more")


def test_leaves_that_meet_in_two_directories_do_not_collide(tmp_path: Path) -> None:
    files = entries((0x44, "x.edb"), (0x21, "x.edb"))
    assert plan_of(files, **to(f"database={tmp_path}/a/", f"log-dir={tmp_path}/b")).problems == ()


def test_one_directory_by_two_paths_is_watched_as_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    files = entries((0x44, "x"), (0x21, "x"))
    plan = plan_of(files, **to(f"database=dir:{tmp_path}/real/new", f"log-dir={tmp_path}/link/new"))
    assert kinds(plan) == [CollisionError]


def test_a_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    plan = plan_of(CA, **to(f"log-dir={tmp_path}/link", f"database={tmp_path}/"))
    with pytest.raises(RestoreError, match="symbolic link"):
        plan.raise_for_problems()


def test_two_files_sent_to_one_database_file_collide(tmp_path: Path) -> None:
    plan = plan_of(entries((0x44, "a.edb"), (0x44, "b.edb")), **to(f"database={tmp_path}/x.edb"))
    assert kinds(plan) == [CollisionError]


@pytest.mark.parametrize("name", ["edb00001.log", "EDB00001.LOG"])
def test_a_file_that_is_there_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"old")
    plan = plan_of(CA, **to(f"log-dir={tmp_path}", f"database={tmp_path}/"))
    with pytest.raises(ExistingFileError, match=f"there already: {name}") as caught:
        plan.raise_for_problems()
    assert caught.value.path == str(tmp_path)


@pytest.mark.parametrize("name", ["edb.chk", "other.edb", "j500000A.log", "x.pat", "edbres00001.jrs"])
def test_a_file_of_the_engine_in_a_target_directory_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    plan = plan_of(CA, **to(f"log-dir={tmp_path}", f"database={tmp_path}/"))
    with pytest.raises(ExistingFileError, match="files of the engine are there already"):
        plan.raise_for_problems()


def test_files_that_are_there_are_listed_by_their_numbers_and_those_behind_them_counted(tmp_path: Path) -> None:
    """In whatever order the file system has them."""
    numbers = (11, 3, 7, 1, 5, 2, 12, 9, 4, 8, 6)
    found = FoundList(Found(f"edb{number:05X}.log", NameKind.FILE, "log") for number in numbers)
    directory = TargetDirectory(str(tmp_path), TargetState.DIRECTORY, found=found)
    there = Targets(Inventory({str(tmp_path): directory}), Existing.REFUSE, NOW)
    there.use(str(tmp_path))
    there.judge()
    (problem,) = there.problems
    named = ", ".join(f"edb{number:05X}.log (log)" for number in range(1, 9))
    assert problem.error.message == f"files of the engine are there already: {named} and 3 more"


def test_other_files_in_a_target_directory_are_in_nobody_s_way(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_bytes(b"")
    (tmp_path / "edb.chk.tokar-aside-20240101T000000Z-1").write_bytes(b"")
    assert plan_of(CA, **to(f"log-dir={tmp_path}", f"database={tmp_path}/")).problems == ()


def test_an_old_checkpoint_is_looked_for_where_no_file_goes(tmp_path: Path) -> None:
    (tmp_path / "check").mkdir()
    (tmp_path / "check" / "edb.chk").write_bytes(b"")
    options = to(f"log-dir={tmp_path}/l", f"database={tmp_path}/d/", f"checkpoint-dir={tmp_path}/check")
    plan = plan_of(CA, **options)
    assert kinds(plan) == [ExistingFileError]
    plan = plan_of(CA, existing=Existing.SET_ASIDE, **options)
    assert plan.problems == ()
    assert [(one.directory, one.name) for one in plan.asides] == [(str(tmp_path / "check"), "edb.chk")]
    assert str(tmp_path / "check") not in {one.path for one in plan.directories}


def test_what_is_there_is_set_aside_checkpoints_and_databases_first(tmp_path: Path) -> None:
    for name in ("edb.log", "CA.edb", "edb.chk", "edb00001.log", "readme.txt"):
        (tmp_path / name).write_bytes(b"")
    plan = plan_of(CA, existing=Existing.SET_ASIDE, **to(f"log-dir={tmp_path}", f"database={tmp_path}/"))
    assert plan.problems == ()
    names = [one.name for one in plan.asides]
    assert names[:2] == ["edb.chk", "CA.edb"]
    assert {*names[2:]} == {"edb.log", "edb00001.log"}
    assert all(one.new_name == f"{one.name}.tokar-aside-{STAMP}-1" for one in plan.asides)


def test_a_name_that_was_used_for_setting_aside_is_not_used_again(tmp_path: Path) -> None:
    for name in ("edb.chk", f"edb.chk.tokar-aside-{STAMP}-1", f"EDB.CHK.tokar-aside-{STAMP}-2"):
        (tmp_path / name).write_bytes(b"")
    plan = plan_of(CA, existing=Existing.SET_ASIDE, **to(f"log-dir={tmp_path}", f"database={tmp_path}/"))
    assert [one.new_name for one in plan.asides] == [f"edb.chk.tokar-aside-{STAMP}-3"]


def test_files_whose_new_names_would_be_one_are_set_aside_under_two(tmp_path: Path) -> None:
    for name in ("edb.chk", "EDB.CHK", f"x.tokar-aside-{STAMP}-7", f"x.tokar-aside-{STAMP}-{'9' * 200}"):
        (tmp_path / name).write_bytes(b"")
    plan = plan_of(CA, existing=Existing.SET_ASIDE, **to(f"log-dir={tmp_path}", f"database={tmp_path}/"))
    assert {one.new_name.rpartition("-")[2] for one in plan.asides} == {"8", "9"}
    assert {one.name for one in plan.asides} == {"edb.chk", "EDB.CHK"}


def test_a_name_that_a_file_gets_is_not_used_for_setting_aside(tmp_path: Path) -> None:
    (tmp_path / "edb.chk").write_bytes(b"")
    content = entries((0x44, "CA.edb"), (0x21, "edb00001.log"), (0x0F, f"edb.chk.tokar-aside-{STAMP}-1"))
    plan = plan_of(content, existing=Existing.SET_ASIDE, into=str(tmp_path))
    assert [one.new_name for one in plan.asides] == [f"edb.chk.tokar-aside-{STAMP}-2"]


def test_no_name_is_left_of_one_that_is_cut_where_names_are_very_short() -> None:
    there = TargetDirectory(
        "/t", TargetState.DIRECTORY, name_limit=8, found=FoundList([Found("a.chk", NameKind.FILE, "log")])
    )
    plan = make_plan(
        CA, Request(profile="certadm", into="/t", existing=Existing.SET_ASIDE, now=NOW), Inventory({"/t": there})
    )
    assert [one.new_name for one in plan.asides] == [f".tokar-aside-{STAMP}-1"]


def test_the_error_of_very_many_problems_notes_all() -> None:
    alike = entries(*((0x0F, f"{at}/x{at % 100}.dat") for at in range(200)))
    plan = plan_of(alike, into="/nowhere/t")
    with pytest.raises(CollisionError) as error:
        plan.raise_for_problems()
    assert len(error.value.__notes__) + 1 == len(plan.to_json()["problems"]) == 100


def test_a_long_name_is_cut_when_it_is_set_aside(tmp_path: Path) -> None:
    name = "ä" * 120 + ".edb"
    (tmp_path / name).write_bytes(b"")
    plan = plan_of(CA, existing=Existing.SET_ASIDE, **to(f"log-dir={tmp_path}", f"database={tmp_path}/"))
    (aside,) = plan.asides
    assert len(aside.new_name.encode()) <= 255
    assert aside.new_name.startswith("ä" * 100)
    assert aside.new_name.endswith(f".tokar-aside-{STAMP}-1")


@pytest.mark.parametrize("existing", list(Existing))
def test_a_directory_under_the_name_of_a_file_is_always_refused(tmp_path: Path, existing: Existing) -> None:
    (tmp_path / "CA.edb").mkdir()
    plan = plan_of(CA, existing=existing, **to(f"log-dir={tmp_path}", f"database=dir:{tmp_path}"))
    assert kinds(plan) == [ExistingFileError]
    assert "cannot be set aside: CA.edb (directory)" in plan.problems[0].error.message


def test_a_link_under_the_name_of_a_file_is_set_aside_itself(tmp_path: Path) -> None:
    (tmp_path / "CA.edb").symlink_to("/etc/passwd")
    plan = plan_of(CA, existing=Existing.SET_ASIDE, **to(f"log-dir={tmp_path}", f"database=dir:{tmp_path}"))
    assert plan.problems == ()
    assert [one.name for one in plan.asides] == ["CA.edb"]


def test_what_an_interrupted_restore_left_is_pointed_out(tmp_path: Path) -> None:
    (tmp_path / ".tokar-restore-0a1b2c3d").mkdir()
    plan = plan_of(CA, **to(f"log-dir={tmp_path}", f"database={tmp_path}/"))
    assert plan.problems == ()
    assert ".tokar-restore-0a1b2c3d is left of an interrupted restore" in plan.notes[0]


def with_directory(files: list[Entry], **values: object) -> Plan:
    """Plan with an inventory of one directory that has these values."""
    there = TargetDirectory("/t", TargetState.DIRECTORY, identity="i", device="d", free=10**9)
    info = replace(there, **values)  # type: ignore[arg-type]
    return make_plan(files, Request(profile="ese", into="/t", now=NOW), Inventory({"/t": info}))


def test_too_little_room_is_refused_counting_whole_blocks() -> None:
    files = entries((0x21, "a"), (0x21, "b"))
    assert with_directory(files, free=8192).problems == ()
    with pytest.raises(NoRoomError, match="8,192 bytes are needed and 8,191 are free"):
        with_directory(files, free=8191).raise_for_problems()


def test_too_few_free_files_are_refused() -> None:
    with pytest.raises(NoRoomError, match="2 files are to be placed"):
        with_directory(entries((0x21, "a"), (0x21, "b")), free_files=1).raise_for_problems()


def test_room_is_added_up_over_directories_of_one_file_system() -> None:
    directories = {
        path: TargetDirectory(path, TargetState.DIRECTORY, identity=path, device="d", free=8191)
        for path in ("/a", "/b")
    }
    request = Request(now=NOW, **to("log-dir=/a", "database=/b/", profile="ese"))
    plan = make_plan(entries((0x21, "a"), (0x44, "b")), request, Inventory(directories))
    assert kinds(plan) == [NoRoomError]


def test_a_name_that_is_too_long_for_the_file_system_is_refused() -> None:
    with pytest.raises(UnsafeNameError, match="more than 255 bytes"):
        with_directory(entries((0x21, "ä" * 128))).raise_for_problems()
    assert with_directory(entries((0x21, "ä" * 127))).problems == ()
    assert with_directory(entries((0x21, "ä" * 128)), name_limit=None).problems == ()


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"state": TargetState.UNREADABLE, "fault": "Permission denied"}, "cannot be looked at: Permission denied"),
        ({"writable": False}, "no right to write"),
        ({"writable": False, "read_only": True}, "file system of the target directory is read-only"),
        ({"state": TargetState.NOT_A_DIRECTORY}, "is not a directory"),
    ],
)
def test_a_directory_that_takes_no_file_is_refused(values: dict[str, object], what: str) -> None:
    with pytest.raises(RestoreError, match=what):
        with_directory(entries((0x21, "a")), **values).raise_for_problems()


def test_a_directory_that_nobody_looked_at_is_refused() -> None:
    plan = make_plan(CA, Request(profile="certadm", into="/t", now=NOW), Inventory())
    with pytest.raises(RestoreError, match="not in the inventory"):
        plan.raise_for_problems()


@pytest.mark.parametrize("token", [0x0F, 0x44, 0x60, 0x82, 0xFF])
def test_one_folder_takes_every_token(tmp_path: Path, token: int) -> None:
    plan = plan_of(entries((token, "x.bin")), into=str(tmp_path / "out"))
    assert plan.problems == ()
    assert targets(plan) == {"x.bin": str(tmp_path / "out" / "x.bin")}


def test_a_name_can_be_sent_elsewhere_than_the_one_folder(tmp_path: Path) -> None:
    options = {**to(f"CA.edb={tmp_path}/x.edb"), "into": str(tmp_path / "out")}
    assert targets(plan_of(CA, **options))["CA.edb"] == str(tmp_path / "x.edb")


def test_the_certutil_folder_has_the_list_byte_for_byte(tmp_path: Path) -> None:
    raw = wide(*CA_LIST)
    plan = plan_of(CA, certutil=str(tmp_path), location_list=raw, locations=listed(*CA_LIST))
    assert plan.problems == ()
    assert targets(plan)["CA.edb"] == str(tmp_path / "DataBase" / "CA.edb")
    assert [(one.directory, one.name, one.data) for one in plan.extras] == [
        (str(tmp_path / "DataBase"), "certbkxp.dat", raw)
    ]


def test_the_certutil_folder_of_a_full_set_needs_the_list(tmp_path: Path) -> None:
    plan = plan_of(CA, certutil=str(tmp_path))
    with pytest.raises(RestoreError, match="keeps no location list"):
        plan.raise_for_problems()
    assert plan_of(CA[1:], certutil=str(tmp_path)).problems == ()


def test_the_certutil_folder_leaves_out_what_certutil_does_not_take(tmp_path: Path) -> None:
    plan = plan_of(entries((0x21, "a.log"), (0x0F, "x.crl")), certutil=str(tmp_path))
    assert plan.problems == ()
    assert [(step.action, step.target is None) for step in plan.steps] == [
        (Action.PLACE, False),
        (Action.LEAVE_OUT, True),
    ]


def test_a_file_with_the_name_of_the_list_collides_with_it(tmp_path: Path) -> None:
    plan = plan_of(entries((0x21, "CERTBKXP.DAT")), certutil=str(tmp_path), location_list=b"\0\0")
    with pytest.raises(CollisionError, match=r"would be the file certbkxp\.dat"):
        plan.raise_for_problems()


def test_only_some_entries_can_be_asked_for(tmp_path: Path) -> None:
    plan = plan_of(CA, only=("EDB00002.LOG", r"\\CA1\C$\L\CA.edb"), into=str(tmp_path))
    assert [step.entry.number for step in plan.steps] == [0, 2]
    assert plan.notes == ("1 entries were not asked for",)


def test_only_what_is_asked_for_needs_a_location(tmp_path: Path) -> None:
    locations = (*listed(*CA_LIST[:1]), *to(f"log-dir={tmp_path}")["locations"])
    assert plan_of(CA, only=("edb00001.log",), locations=locations).problems == ()
    assert plan_of(CA[1:], locations=locations).problems == ()
    assert kinds(plan_of(CA, locations=locations)) == [RestoreError]


@pytest.mark.parametrize("option", ["only", "to"])
def test_a_name_that_no_entry_has_is_refused(tmp_path: Path, option: str) -> None:
    options = {"only": ("none.log",)} if option == "only" else to(f"none.log={tmp_path}")
    with pytest.raises(NoSuchEntryError, match=r"no entry has the name none\.log"):
        plan_of(CA, **options)


def test_a_leaf_that_two_entries_have_is_refused_and_the_full_name_is_not(tmp_path: Path) -> None:
    files = entries((0x21, r"a\x.log"), (0x21, r"b\x.log"))
    with pytest.raises(NoSuchEntryError, match=r"2 entries have the name X\.log: #0 a\\x\.log, #1 b\\x\.log"):
        plan_of(files, only=("X.log",), into=str(tmp_path))
    assert len(plan_of(files, only=(r"b\x.log",), into=str(tmp_path)).steps) == 1


def test_a_number_names_an_entry_of_an_archive_and_none_of_a_chain(tmp_path: Path) -> None:
    assert [step.entry.number for step in plan_of(CA, only=("#2",), into=str(tmp_path)).steps] == [2]
    with pytest.raises(NoSuchEntryError, match="no entry has the name #2"):
        plan_of(CA, only=("#2",), into=str(tmp_path), numbered=False)


def test_one_entry_cannot_be_sent_to_two_places(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sent to two places"):
        plan_of(CA, **to(f"CA.edb={tmp_path}/a", f"ca.EDB={tmp_path}/b"))


@pytest.mark.parametrize(
    "options",
    [
        {"into": "/a", "certutil": "/b"},
        {"into": "relative"},
        {"into": "/a", "locations": to("log-dir=/x")["locations"]},
    ],
)
def test_a_request_that_contradicts_itself_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Request(profile="ese", **options)  # type: ignore[arg-type]


def test_several_locations_for_one_token_are_told_apart_by_the_file(tmp_path: Path) -> None:
    files = entries((0x44, "a.edb"), (0x44, "b.edb"))
    locations = listed((0x44, r"\\S\x\a.edb"), (0x44, r"\\S\y\b.edb"))
    plan = plan_of(files, locations=locations, maps=(PathMap(r"\\S", str(tmp_path)),))
    assert targets(plan) == {"a.edb": str(tmp_path / "x/a.edb"), "b.edb": str(tmp_path / "y/b.edb")}
    with pytest.raises(AmbiguousLocationError):
        plan_of(
            entries((0x44, "c.edb")), locations=locations, maps=(PathMap(r"\\S", str(tmp_path)),)
        ).raise_for_problems()


def test_the_same_arguments_give_an_equal_plan(tmp_path: Path) -> None:
    assert exchange_plan(tmp_path) == exchange_plan(tmp_path)
    assert exchange_plan(tmp_path) != exchange_plan(tmp_path, 0x45)
    assert exchange_plan(tmp_path) != exchange_plan(tmp_path / "x")
    assert exchange_plan(tmp_path).steps != ()


def test_a_plan_is_json(tmp_path: Path) -> None:
    (tmp_path / "TRAN_LOGS").mkdir()
    (tmp_path / "TRAN_LOGS" / "PUB.PAT").write_bytes(b"")
    document = json.loads(json.dumps(exchange_plan(tmp_path).to_json()))
    assert document["profile"] == "edbbcli"
    assert document["steps"][0] == {
        "number": 0,
        "name": r"\\SERVER1\MDBDATA\PRIV\PRIV.EDB",
        "token": 0x45,
        "token_name": "private-database",
        "leaf": "PRIV.EDB",
        "size": 10,
        "digest": EXCHANGE[0].digest.hex(),
        "rule": "same token 0x45",
        "target": str(tmp_path / "PRIVATE" / "PRIV.EDB"),
        "action": "place",
    }
    assert document["problems"] == [
        {
            "kind": "existing-file",
            "message": "there already: PUB.PAT",
            "entries": [],
            "path": str(tmp_path / "TRAN_LOGS"),
            "hint": ExistingFileError.hint_text,
        }
    ]


def test_the_size_of_a_plan_is_what_is_placed(tmp_path: Path) -> None:
    plan = plan_of(CA, certutil=str(tmp_path), location_list=b"\0\0")
    assert plan.size == 32


def test_every_directory_that_matters_is_looked_at() -> None:
    request = Request(**to("log-dir=/l", "database=/d/x.edb", "0x45=file:/f/y", "name.edb=/n/z"))
    assert places_to_look_at(request) == ("/l", "/d/x.edb", "/d", "/f", "/n/z", "/n")


def test_a_directory_of_many_files_is_kept_once() -> None:
    request = Request(profile="certadm", tree="/t")
    one = entry(0, 15, "in/x")
    tracemalloc.start()
    try:
        found = places_to_look_at(request, repeat(one, 5000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == ("/t", "/t/in")
    assert peak < 100_000


@examples(150)
@given(
    st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=12), st.sampled_from([0, 932, 1200, 1252, 65001]))),
    st.booleans(),
)
def test_no_plan_without_problems_leaves_its_directories(files: list[tuple[int, bytes, int]], one_folder: bool) -> None:
    listing = [entry(number, token, name, encoding=page) for number, (token, name, page) in enumerate(files)]
    options = {"into": "/nowhere/x"} if one_folder else to("log-dir=/nowhere/l", "database=/nowhere/d/")
    plan = plan_of(listing, **options)
    seen = set()
    for step in plan.steps:
        assert (step.action is Action.PLACE) == (step.target is not None)
        if step.target is not None and not plan.problems:
            folder, _, name = step.target.rpartition("/")
            assert folder in {"/nowhere/x", "/nowhere/l", "/nowhere/d"}
            assert name not in {"", ".", ".."}
            assert step.target not in seen
            seen.add(step.target)
    if any(step.action is Action.REFUSE for step in plan.steps):
        assert plan.problems


@pytest.mark.parametrize("logs", ["n/PRIV.EDB", "n/priv.edb/deep"])
def test_a_file_where_another_needs_a_directory_is_a_problem_of_the_plan(tmp_path: Path, logs: str) -> None:
    files = entries((0x45, r"D:\PRIV.EDB"), (0x21, r"D:\edb00001.log"))
    places = to(f"0x45={tmp_path}/n/", f"log-dir={tmp_path}/{logs}/", profile="edbbcli")
    plan = plan_of(files, **places)
    assert kinds(plan) == [CollisionError]
    assert plan.problems[0].error.path == f"{tmp_path}/n/PRIV.EDB"
    (tmp_path / "n").mkdir()
    assert kinds(plan_of(files, **places)) == [CollisionError]
