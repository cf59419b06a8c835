"""Restoring chains through the library: what is found, chosen, planned, placed and refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from chain_sets import (
    DATABASE,
    OTHER_STREAM,
    TOP,
    archive,
    branch,
    checkpoint,
    database,
    dirty,
    full,
    increment,
    logs,
    name_of,
    part,
    streaming,
)
from chain_stories import Story, new_story, outcome_of, take
from small_sets import contents, write

import tokar
from tokar import codes
from tokar.errors import CheckMismatchError, ExistingFileError, InputError, RestoreError, StorageError
from tokar.lab.server import SimulatedServer
from tokar.restore.chosen import OpenSets
from tokar.restore.next_steps import Guidance, Recovery
from tokar.restore.options import RestoreOptions
from tokar.restore.prepare import RestorePlan, place_sets, plan_restore
from tokar.server.contract import BackupKind, Registration
from tokar.server.run_restore import parts_of_chosen
from tokar.sets.choose import NotRestorableError
from tokar.sets.outcome import Word

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """A folder with a full (5 to 7), an incremental (8 to 9) and one that overlaps it (9 to 11)."""
    folder = tmp_path / "sets"
    folder.mkdir()
    full(folder)
    increment(folder, "inc1", part(8, 9))
    increment(folder, "inc2", part(9, 11))
    return folder


@pytest.fixture
def opened(sets: Path) -> Iterator[OpenSets]:
    with OpenSets([sets]) as found:
        yield found


def planned(found: OpenSets, until: int | None = None, **options: Any) -> RestorePlan:
    asked = RestoreOptions(**options)
    return plan_restore(found.select(until, asked), asked)


def guidance(plan: RestorePlan) -> Guidance:
    assert plan.recovery is not None
    return plan.recovery


def restored(folder: Path) -> set[str]:
    return set(contents(folder))


def logs_of(low: int, high: int) -> set[str]:
    return {name_of(generation) for generation in range(low, high + 1)}


def test_a_damaged_archive_that_the_chain_needs_is_named_with_what_is_missing(sets: Path) -> None:
    data = bytearray((sets / "inc1.tokar").read_bytes())
    data[len(data) // 2] ^= 1
    del data[-10:]
    (sets / "inc1.tokar").write_bytes(data)
    with OpenSets([sets]) as found, pytest.raises(CheckMismatchError, match=r"inc1\.tokar") as caught:
        found.select()
    assert "log 0x8 is in none" in caught.value.__notes__[0]


def test_an_archive_that_was_replaced_meanwhile_is_not_restored(sets: Path) -> None:
    with OpenSets([sets]) as found:
        shutil.copy(sets / "inc2.tokar", sets / "inc1.tokar")
        with pytest.raises(StorageError, match="replaced"):
            found.select()


def test_a_receipt_that_says_nothing_is_no_set(sets: Path) -> None:
    (sets / "x.receipt.json").write_text("{}")
    with OpenSets([sets]) as found:
        assert (len(found.chain.sets), len(found.problems)) == (3, 1)


def test_everything_is_placed_once_from_the_sets_that_have_it(opened: OpenSets, tmp_path: Path) -> None:
    plan = planned(opened, into=tmp_path / "out")
    report = place_sets(plan)
    assert restored(tmp_path / "out") == {DATABASE, "main.pat", *logs_of(5, 11)}
    assert contents(tmp_path / "out")[name_of(11)] == TOP[11]
    assert (report.files, report.size) == (9, plan.size)


def test_a_target_leaves_out_what_comes_after_it(opened: OpenSets, tmp_path: Path) -> None:
    plan = planned(opened, 8, into=tmp_path / "out")
    place_sets(plan)
    assert restored(tmp_path / "out") == {DATABASE, "main.pat", *logs_of(5, 8)}
    assert (guidance(plan).low, guidance(plan).high) == (5, 8)
    assert plan.chosen.selection is not None
    assert [Path(label).name for label in plan.chosen.selection.unused] == ["inc2.tokar"]


def test_an_unreachable_target_is_an_error(opened: OpenSets) -> None:
    with pytest.raises(NotRestorableError, match="cannot be reached"):
        opened.select(12)


def test_a_target_below_the_full_is_refused(opened: OpenSets) -> None:
    with pytest.raises(InputError, match="below what the databases need"):
        opened.select(6)


def test_a_hole_is_an_error_with_the_sets_that_are_missing(sets: Path) -> None:
    (sets / "inc1.tokar").unlink()
    with OpenSets([sets]) as found, pytest.raises(NotRestorableError, match="log 0x8 is in none"):
        found.select()


def test_one_log_with_unlike_bytes_in_two_sets_is_refused(sets: Path) -> None:
    changed = bytearray(TOP[9])
    changed[-1] ^= 1
    increment(sets, "inc3", {name_of(9): bytes(changed)})
    with OpenSets([sets]) as found, pytest.raises(NotRestorableError):
        found.select()


def test_histories_that_parted_are_refused(sets: Path) -> None:
    increment(sets, "fork", branch(8, 9))
    with OpenSets([sets]) as found, pytest.raises(NotRestorableError):
        found.select()


def test_a_checkpoint_in_the_first_set_is_left_out_with_the_reason(tmp_path: Path) -> None:
    files = {DATABASE: bytes(streaming(5, 7)), **part(5, 7), "edb.chk": checkpoint(6)}
    made = archive(tmp_path / "a.tokar", files, kind="collected")
    with OpenSets([made.path]) as found:
        plan = planned(found, into=tmp_path / "out")
        place_sets(plan)
    assert "edb.chk" not in restored(tmp_path / "out")
    assert ["checkpoint" in one.reason for one in plan.left_out] == [True]


def test_a_copy_of_an_archive_counts_once(sets: Path) -> None:
    write(sets, {"copy.tokar": (sets / "inc1.tokar").read_bytes()})
    with OpenSets([sets]) as found:
        assert len(found.select().archives) == 3


def test_register_is_told_each_sets_own_range_and_the_map_once(opened: OpenSets, tmp_path: Path) -> None:
    recovery = guidance(planned(opened, into=tmp_path / "out"))
    assert recovery.recovery is Recovery.HARD
    assert [(one.low, one.high) for one in recovery.registrations] == [(5, 7), (8, 9), (9, 11)]
    assert recovery.registrations[0].restore_map == ((r"C:\db\main.edb", str(tmp_path / "out" / DATABASE)),)
    assert [one.restore_map for one in recovery.registrations[1:]] == [None, None]


@pytest.mark.parametrize(
    ("more", "ranges"),
    [
        ({"later": {**part(8, 9), "edb.log": TOP[10]}}, [(5, 7), (8, 9)]),
        ({"later": part(8, 9), "last": {"edb.log": TOP[10]}}, [(5, 7), (8, 9)]),
        ({"later": part(8, 10)}, [(5, 7), (8, 10)]),
    ],
)
def test_the_current_log_is_placed_and_not_registered(
    more: dict[str, dict[str, bytes]], ranges: list[tuple[int, int]], tmp_path: Path
) -> None:
    full(tmp_path)
    for name, files in more.items():
        increment(tmp_path, name, files)
    with OpenSets([tmp_path]) as found:
        plan = planned(found, into=tmp_path / "out")
        place_sets(plan)
    recovery = guidance(plan)
    assert [(one.low, one.high) for one in recovery.registrations] == ranges
    assert (recovery.low, recovery.high) == (5, ranges[-1][1])
    assert restored(tmp_path / "out") >= {name for files in more.values() for name in files}


def test_each_set_gets_a_numbered_folder_for_certutil(sets: Path, tmp_path: Path) -> None:
    (sets / "full.tokar").unlink()
    made = certutil_full(sets)
    with OpenSets([sets]) as found:
        plan = planned(found, certutil=tmp_path / "out")
        place_sets(plan)
    assert made.path.exists()
    assert restored(tmp_path / "out" / "1" / "DataBase") == {DATABASE, "certbkxp.dat", "main.pat", *logs_of(5, 7)}
    assert restored(tmp_path / "out" / "2" / "DataBase") == logs_of(8, 9)
    assert restored(tmp_path / "out" / "3" / "DataBase") == logs_of(9, 11)
    assert [step for step in guidance(plan).next_steps if "-restoreDB" in step] == [
        f"certutil -f -restoreDB {tmp_path}/out/{number}" for number in (1, 2, 3)
    ]
    assert plan.left_out == ()


def certutil_full(folder: Path, **options: Any) -> Any:
    from tokar.format.metadata import location_list_json  # noqa: PLC0415 - one helper
    from tokar.namelist import build_names  # noqa: PLC0415

    listed = build_names(
        [(token, path.encode("utf-16-le")) for token, path in ((0x44, "C:\\CA\\main.edb"), (0x82, "C:\\CA"))], wide=True
    )
    return full(folder, location_list=location_list_json("w", listed), **options)


NO_COPIES: dict[str, dict[str, bytes]] = {
    "crashed": {DATABASE: bytes(dirty(5, 7)), "edb.log": part(7, 7)[name_of(7)]},
    "shut down": {DATABASE: bytes(database())},
    "one of two": {"public.edb": bytes(database(signature=OTHER_STREAM))},
}


@pytest.mark.parametrize("accepted", [False, True], ids=["refused", "accepted"])
@pytest.mark.parametrize("files", NO_COPIES.values(), ids=NO_COPIES)
def test_hard_recovery_is_asked_for_copies_from_a_backup_and_nothing_else(
    files: dict[str, bytes], tmp_path: Path, *, accepted: bool
) -> None:
    made = certutil_full(tmp_path, files=files)
    options = RestoreOptions(certutil=tmp_path / "out", accept_unrecoverable=accepted)
    with tokar.open(made.path) as archive_:
        plan = plan_restore(archive_, options)
    assert plan.outcome is not None
    assert plan.outcome.word is Word.NOT_RESTORABLE
    assert plan.is_refused is not accepted
    (fault,) = plan.chosen.no_copies
    assert (fault.code, fault.next_step[:19]) == (-615, "restore with --into")


@pytest.mark.parametrize("files", NO_COPIES.values(), ids=NO_COPIES)
def test_a_chain_whose_databases_are_no_copies_is_refused_once(files: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "sets").mkdir()
    certutil_full(tmp_path / "sets", files=files if "public.edb" not in files else NO_COPIES["crashed"])
    increment(tmp_path / "sets", "inc1", part(8, 9))
    with OpenSets([tmp_path / "sets"]) as found:
        chosen = found.select()
        plan = plan_restore(chosen, RestoreOptions(certutil=tmp_path / "out"))
        with pytest.raises(NotRestorableError, match=r"no copy from a backup.*-615"):
            parts_of_chosen(chosen)
    with pytest.raises(RestoreError, match=r"no copy from a backup.*-615") as caught:
        plan.raise_for_problems()
    assert not [note for note in getattr(caught.value, "__notes__", ()) if "-615" in note]


def test_sets_that_lack_logs_which_may_lie_elsewhere_are_not_registered(tmp_path: Path) -> None:
    full(tmp_path, high=6, files={DATABASE: bytes(streaming(5, 7))})
    with OpenSets([tmp_path / "full.tokar"]) as found:
        chosen = found.select(options=RestoreOptions(existing="roll-forward"))
        with pytest.raises(RestoreError, match="0x7"):
            parts_of_chosen(chosen)


def test_a_numbered_folder_of_another_chain_is_refused(opened: OpenSets, tmp_path: Path) -> None:
    write(tmp_path / "out", {"4/DataBase/x.log": b""})
    plan = planned(opened, certutil=tmp_path / "out")
    assert any(
        "numbered folders beside those of this chain: 4" in one.error.message for one in plan.parts[0][0].problems
    )
    with pytest.raises(RestoreError):
        plan.raise_for_problems()


def test_a_chain_for_certutil_needs_the_location_list(opened: OpenSets, tmp_path: Path) -> None:
    plan = planned(opened, certutil=tmp_path / "out")
    with pytest.raises(RestoreError, match="keeps no location list"):
        place_sets(plan)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", [{"to": ["main.edb=/x"]}, {"only": ["main.edb"]}])
def test_a_chain_for_certutil_is_taken_whole(opened: OpenSets, tmp_path: Path, option: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="takes them whole"):
        planned(opened, certutil=tmp_path, **option)


def test_logs_go_into_a_folder_of_their_own(opened: OpenSets, tmp_path: Path) -> None:
    plan = planned(opened, into=tmp_path / "out", backup_logs=tmp_path / "logs")
    place_sets(plan)
    assert restored(tmp_path / "out") == {DATABASE}
    assert restored(tmp_path / "logs") == {"main.pat", *logs_of(5, 11)}
    assert {one.backup_log_path for one in guidance(plan).registrations} == {str(tmp_path / "logs")}
    assert {one.log_path for one in guidance(plan).registrations} == {str(tmp_path / "out")}


def test_a_stray_log_in_the_folder_of_their_own_is_refused(opened: OpenSets, tmp_path: Path) -> None:
    write(tmp_path / "logs", {name_of(4): TOP[5]})
    with pytest.raises(ExistingFileError, match="files of the engine are there already"):
        place_sets(planned(opened, into=tmp_path / "out", backup_logs=tmp_path / "logs"))


def test_an_old_log_in_the_log_directory_is_refused_too(opened: OpenSets, tmp_path: Path) -> None:
    write(tmp_path / "out", {name_of(4): TOP[5]})
    with pytest.raises(ExistingFileError):
        planned(opened, into=tmp_path / "out", backup_logs=tmp_path / "logs").raise_for_problems()


def test_the_folder_of_their_own_takes_nothing_else(opened: OpenSets, tmp_path: Path) -> None:
    with pytest.raises(RestoreError, match="takes a folder of its own"):
        planned(opened, into=tmp_path / "out", backup_logs=tmp_path / "out").raise_for_problems()


def test_logs_that_are_there_and_continue_the_chain_stay(opened: OpenSets, tmp_path: Path) -> None:
    out = write(tmp_path / "out", {**part(10, 13), "edb.chk": checkpoint(12), DATABASE: b"old"})
    plan = planned(opened, into=out, existing="roll-forward")
    place_sets(plan)
    assert {name for name in restored(out) if "aside" not in name} == {DATABASE, "main.pat", *logs_of(5, 13)}
    assert contents(out)[name_of(13)] == TOP[13]
    asides = sorted(name.partition(".tokar-aside-")[0] for name in restored(out) if "aside" in name)
    assert asides == ["edb.chk", name_of(10), name_of(11), DATABASE]
    assert any("2 logs" in note and "reach 0xD" in note for note in plan.parts[0][0].notes)


def test_rolling_forward_goes_beyond_a_target_and_is_refused_with_one(opened: OpenSets, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--until names the end"):
        planned(opened, 8, into=tmp_path / "out", existing="roll-forward")


def test_another_history_in_the_log_directory_refuses_to_roll_forward(opened: OpenSets, tmp_path: Path) -> None:
    out = write(tmp_path / "out", branch(12, 13))
    plan = planned(opened, into=out, existing="roll-forward")
    place_sets(plan)  # created anew after the same log 11: it continues the set
    out = write(tmp_path / "other", branch(11, 13))
    with pytest.raises(ExistingFileError, match="histories parted"):
        planned(opened, into=out, existing="roll-forward").raise_for_problems()
    assert restored(out) == logs_of(11, 13)


def test_a_database_that_was_not_shut_down_gets_soft_recovery(tmp_path: Path) -> None:
    made = archive(tmp_path / "a.tokar", {DATABASE: bytes(dirty(5, 7)), **part(5, 7)}, kind="collected")
    with OpenSets([made.path]) as found:
        plan = planned(found, into=tmp_path / "out")
    assert guidance(plan).recovery is Recovery.SOFT
    assert guidance(plan).registrations == ()
    command = f"esentutl /r edb /l {tmp_path}/out /s {tmp_path}/out /d {tmp_path}/out"
    assert guidance(plan).next_steps[0] == f"ren {tmp_path}/out/edb00007.log edb.log && {command}"
    assert f"{command} /a, which gives up" in guidance(plan).next_steps[1]


def test_the_plan_as_json_says_what_is_taken_from_where(opened: OpenSets, tmp_path: Path) -> None:
    value = planned(opened, into=tmp_path / "out").to_json()
    assert [one["generations"] for one in value["chain"]["sets"]] == [
        {"low": 5, "high": 7},
        {"low": 8, "high": 9},
        {"low": 9, "high": 11},
    ]
    assert len(value["plans"]) == 1
    assert value["plans"][0]["roots"] == [one["root"] for one in value["chain"]["sets"]]
    assert value["recovery"]["kind"] == "hard"


def server_with_work_after_its_full(tmp_path: Path, profile: str) -> Story:
    """A server whose full is in tmp_path/full.tokar; users worked on, and the power went."""
    story = new_story(tmp_path / "server", profile, seed=5)
    take(story, tmp_path / "full.tokar", BackupKind.COPY)
    story.lab.work(25)
    story.lab.crash()
    return story


def registered(story: Story, plan: RestorePlan, backup_logs: str | None = None) -> None:
    """Register by hand what the guidance says, with the paths as the server spells them."""
    lab = story.lab
    server = SimulatedServer(lab, running=False)
    logs, system = lab.config.unc(lab.config.logs), lab.config.unc(lab.config.system)
    context = server.prepare_restore(plan.chosen.archives[0].head.blob("expiry_token"))
    for one in guidance(plan).registrations:
        rows = None if one.restore_map is None else tuple((old, old) for old, _ in one.restore_map)
        context.register(Registration(system, logs, rows, backup_logs or logs, one.low, one.high))
        context.register_complete(codes.NONE)
    context.end()


def to_the_server(story: Story) -> list[str]:
    return [f"0x{one.token:02X}={'dir:' if one.is_directory else ''}{one.path}" for one in story.lab.locations()]


@pytest.mark.parametrize("profile", ["edbbcli", "ntdsbcli", "certadm"])
def test_rolling_forward_brings_a_server_back_to_its_last_transaction(tmp_path: Path, profile: str) -> None:
    story = server_with_work_after_its_full(tmp_path, profile)
    with OpenSets([tmp_path / "full.tokar"]) as found:
        plan = planned(found, to=to_the_server(story), existing="roll-forward")
        place_sets(plan)
        registered(story, plan)
    assert outcome_of(story.lab) == story.expected()


def test_with_everything_set_aside_it_comes_back_as_it_was_at_the_backup(tmp_path: Path) -> None:
    story = server_with_work_after_its_full(tmp_path, "edbbcli")
    with OpenSets([tmp_path / "full.tokar"]) as found:
        plan = planned(found, to=to_the_server(story), existing="set-aside")
        place_sets(plan)
        registered(story, plan)
    assert outcome_of(story.lab) == story.expected(guidance(plan).high)


def test_logs_in_a_folder_of_their_own_are_recovered_from_there(tmp_path: Path) -> None:
    story = server_with_work_after_its_full(tmp_path, "edbbcli")
    own = story.lab.folder / "D" / "restored"
    with OpenSets([tmp_path / "full.tokar"]) as found:
        plan = planned(found, to=to_the_server(story), existing="roll-forward", backup_logs=own)
        place_sets(plan)
        registered(story, plan, story.lab.config.unc("D:\\restored"))
    assert outcome_of(story.lab) == story.expected()


@pytest.mark.parametrize(
    ("log", "top", "unused"),
    [(f"inc1.tokar:{name_of(9)}", 11, "fork"), (f"fork.tokar:{name_of(9)}", 9, "inc2"), (name_of(11), 11, "fork")],
)
def test_two_histories_in_a_chain_are_refused_and_a_branch_decides(sets: Path, log: str, top: int, unused: str) -> None:
    increment(sets, "fork", branch(8, 9))
    with OpenSets([sets]) as found:
        with pytest.raises(NotRestorableError, match="parted at generation 0x8") as caught:
            found.select()
        assert "--branch" in str(caught.value.hint)
        chosen = found.select(options=RestoreOptions(branch=log))
        assert chosen.logs[-1].generation == top
        assert f"{sets}/{unused}.tokar" in (chosen.selection.unused if chosen.selection else ())


def test_a_branch_decides_between_two_histories_within_a_set_of_a_chain(sets: Path) -> None:
    full(sets, "both", files={f"old/{name}": data for name, data in branch(6, 7).items()}, high=8)
    with OpenSets([sets / "both.tokar", sets / "inc2.tokar"]) as found:
        chosen = found.select(options=RestoreOptions(branch=name_of(7)))
        assert {one.name: one.reason for one in chosen.left_out}.keys() == {f"old/{name_of(at)}" for at in (6, 7)}


def test_a_name_that_several_logs_have_is_refused_with_the_ones_to_choose_from(sets: Path) -> None:
    increment(sets, "fork", branch(8, 9))
    with OpenSets([sets]) as found, pytest.raises(InputError, match="several logs are called") as caught:
        found.select(options=RestoreOptions(branch=name_of(8)))
    assert f"fork.tokar:{name_of(8)}" in str(caught.value.hint)


def test_a_branch_of_a_log_that_is_nowhere_is_refused(opened: OpenSets) -> None:
    with pytest.raises(InputError, match="no log here is called nothing"):
        opened.select(options=RestoreOptions(branch="nothing.log"))


@pytest.fixture
def littered(tmp_path: Path) -> list[Path]:
    """A full with a checkpoint and an older log beyond a hole, and an incremental with a log of another server."""
    more = {"edb.chk": checkpoint(6), name_of(3): logs(3, 3)[name_of(3)]}
    first = archive(tmp_path / "a.tokar", {DATABASE: bytes(streaming(5, 7)), **part(5, 7), **more}, kind="collected")
    second = increment(tmp_path, "b", {**part(8, 9), **logs(12, 12, stream=OTHER_STREAM)})
    return [first.path, second.path]


def test_what_a_chain_leaves_out_can_be_put_aside_set_by_set(littered: list[Path], tmp_path: Path) -> None:
    with OpenSets(littered) as found:
        plan = planned(found, into=tmp_path / "out", aside=tmp_path / "aside")
        place_sets(plan)
    assert restored(tmp_path / "out") == {DATABASE, *logs_of(5, 9)}
    assert restored(tmp_path / "aside") == {"1/edb.chk", f"1/{name_of(3)}", f"2/{name_of(12)}"}
    assert all(str(tmp_path / "aside") not in str(one) for one in guidance(plan).registrations)


def test_all_files_of_a_chain_can_be_placed_and_the_last_line_says_what_comes_of_it(
    littered: list[Path], tmp_path: Path
) -> None:
    with OpenSets(littered) as found:
        plan = planned(found, into=tmp_path / "out", all_files=True)
        place_sets(plan)
    assert restored(tmp_path / "out") == {DATABASE, "edb.chk", name_of(3), *logs_of(5, 9), name_of(12)}
    assert str(plan.outcome).startswith(f"NOT RESTORABLE: {name_of(3)}: no unbroken run")
    assert plan.left_out == ()


def test_the_sets_of_certutil_take_no_choice_of_files(opened: OpenSets, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="takes them whole"):
        planned(opened, certutil=tmp_path / "out", aside=tmp_path / "aside")


def test_a_chain_plays_the_logs_of_each_stream_of_its_full(tmp_path: Path) -> None:
    files = {DATABASE: bytes(dirty(5, 7)), **part(5, 7)}
    other = {"pub.edb": bytes(dirty(3, 4, signature=OTHER_STREAM, log_signature=OTHER_STREAM))}
    second = logs(3, 6, stream=OTHER_STREAM, base="E00", attached=((r"C:\db\pub.edb", OTHER_STREAM),))
    first = archive(tmp_path / "a.tokar", {**files, **other, **dict(list(second.items())[:2])}, kind="collected").path
    later = increment(tmp_path, "b", {**part(8, 9), **dict(list(second.items())[2:])}).path
    with OpenSets([first, later]) as found:
        plan = planned(found, into=tmp_path / "out")
        place_sets(plan)
    assert restored(tmp_path / "out") == {DATABASE, "pub.edb", *logs_of(5, 9), *second}


def test_logs_of_a_chain_get_their_right_names_when_asked(sets: Path, tmp_path: Path) -> None:
    files = {name_of(12): TOP[12], f"{name_of(13)[:-4]} - Copy.log": TOP[13]}
    increment(sets, "inc3", files, tokens=dict.fromkeys(files, 0x21))
    with OpenSets([sets]) as found:
        chosen = found.select(options=RestoreOptions(right_names=True))
        place_sets(plan_restore(chosen, RestoreOptions(into=tmp_path / "out")))
    assert restored(tmp_path / "out") == {DATABASE, "main.pat", *logs_of(5, 13)}


def test_without_being_asked_a_wrong_name_in_a_chain_is_refused(sets: Path) -> None:
    increment(sets, "inc3", {"edb0000C.bak": TOP[12]}, tokens={"edb0000C.bak": 0x21})
    with OpenSets([sets]) as found, pytest.raises(NotRestorableError) as caught:
        found.select()
    assert "--right-names" in str(caught.value.hint)


def made(folder: Path) -> Path:
    (folder / "sets").mkdir(exist_ok=True)
    return folder / "sets"


@pytest.mark.parametrize("apart", [(), (5,), (5, 6)])
def test_logs_that_stay_in_their_place_are_judged_with_a_chain(apart: tuple[int, ...], tmp_path: Path) -> None:
    archive(made(tmp_path) / "a.tokar", {DATABASE: bytes(dirty(5, 7))}, kind="collected")
    for at in apart:
        archive(made(tmp_path) / f"{at}.tokar", part(at, at), kind="collected")
    out = write(tmp_path / "out", part(5, 8))
    with OpenSets([tmp_path / "sets"]) as found:
        with pytest.raises(NotRestorableError):
            found.select()
        plan = planned(found, into=out, existing="roll-forward")
    plan.raise_for_problems()
    assert plan.outcome is not None
    assert plan.outcome.word == "NOT PROVEN"  # nobody looked at what is in the logs
    assert str(out) in plan.outcome.why


def test_a_log_that_is_neither_in_a_chain_nor_in_its_place_is_missing(tmp_path: Path) -> None:
    archive(made(tmp_path) / "a.tokar", {DATABASE: bytes(dirty(5, 7))}, kind="collected")
    archive(made(tmp_path) / "b.tokar", part(5, 5), kind="collected")
    out = write(tmp_path / "out", part(7, 8))
    with OpenSets([tmp_path / "sets"]) as found:
        plan = planned(found, into=out, existing="roll-forward")
    with pytest.raises(RestoreError, match="log 0x6 is missing"):
        plan.raise_for_problems()


def test_hard_recovery_needs_all_logs_of_its_backup_from_the_sets(tmp_path: Path) -> None:
    archive(made(tmp_path) / "a.tokar", {DATABASE: bytes(streaming(5, 7)), **part(5, 6)})
    out = write(tmp_path / "out", part(7, 8))
    with OpenSets([tmp_path / "sets"]) as found:
        plan = planned(found, into=out, existing="roll-forward")
    with pytest.raises(RestoreError, match="log 0x7 is missing"):
        plan.raise_for_problems()
