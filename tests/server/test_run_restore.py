"""Restores driven over a server: what is planned, judged, registered and placed, and what is refused before that."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from chain_stories import Kept, Story, new_story, outcome_of, restore, take, target_for, used_target, wipe
from server_parts import generation_of, parts_of

import tokar
from tokar import codes
from tokar.errors import (
    CollisionError,
    ExistingFileError,
    InputError,
    LocationListError,
    ProcedureError,
    RestoreError,
    SetError,
    StorageError,
)
from tokar.format.archive import Archive
from tokar.format.metadata import Head
from tokar.lab.config import load_registration
from tokar.lab.server import SimulatedServer
from tokar.paths import PathMap
from tokar.restore.place import Placing, PlacingStoppedError
from tokar.restore.plan import Existing
from tokar.server.contract import DIALECTS, BackupKind, BackupType, NameList, NoAnswerError, Registration, ServerError
from tokar.server.restore_steps import RestoreProcedure, SetToRestore
from tokar.server.run_restore import prepared_restore, restore_to_server
from tokar.server.transcript import Transcript
from tokar.sets.choose import NotRestorableError
from tokar.testing.scripted_server import CallFault, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tokar.lab.lab import Lab

PROFILES = ("edbbcli", "ntdsbcli", "certadm")
LOGS_ONLY = ("edbbcli", "certadm")


def full_of(folder: Path, profile: str = "certadm", **options: object) -> tuple[Story, Kept]:
    folder.mkdir(exist_ok=True)
    story = new_story(folder / "lab", profile, work=10, **options)  # type: ignore[arg-type]
    return story, take(story, folder / "full.tokar", BackupKind.FULL)


def after(story: Story, sets: Sequence[Kept], name: str, kind: BackupKind, work: int = 25) -> Kept:
    story.lab.work(work)
    return take(story, sets[0].path.with_name(name), kind, before=tuple(sets))


@pytest.fixture
def archives() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def opened(stack: ExitStack, *paths: Path) -> list[Archive]:
    return [stack.enter_context(Archive(path)) for path in paths]


def tree(lab: Lab) -> set[Path]:
    return {path for path in lab.folder.rglob("*") if path.is_file() and path.name not in {"lab.json", ".in-use"}}


@pytest.mark.parametrize("profile", PROFILES)
def test_a_full_comes_back_as_it_was_at_its_roll_over(profile: str, tmp_path: Path) -> None:
    story, full = full_of(tmp_path, profile)
    lab = target_for(story, tmp_path / "target")
    result = restore(lab, [full])
    assert outcome_of(lab) == full.expected
    assert (result.files, len(result.registrations)) == (len(result.plan.steps), 1)
    assert [one["call"] for one in result.calls].count("register_complete") == 1


@pytest.mark.parametrize("profile", LOGS_ONLY)
def test_a_chain_comes_back_up_to_its_last_set(profile: str, tmp_path: Path) -> None:
    story, full = full_of(tmp_path, profile)
    first = after(story, [full], "1.tokar", BackupKind.INCREMENTAL)
    second = after(story, [full, first], "2.tokar", BackupKind.DIFFERENTIAL)
    for number, sets in enumerate(([full], [full, first], [full, first, second])):
        lab = target_for(story, tmp_path / f"target{number}")
        result = restore(lab, sets)
        assert [one.generation_high for one in result.registrations] == [one.high for one in sets]
        assert outcome_of(lab) == sets[-1].expected


@pytest.mark.parametrize("profile", LOGS_ONLY)
def test_a_set_that_overlaps_the_full_and_begins_below_it_is_registered_from_the_full_on(
    profile: str, tmp_path: Path
) -> None:
    story = new_story(tmp_path / "lab", profile, work=60)
    first = take(story, tmp_path / "1.tokar", BackupKind.FULL)
    story.lab.work(60)
    story.lab.stop()  # the checkpoint moves on, and the logs of the full go with the next truncation
    copy = take(story, tmp_path / "2.tokar", BackupKind.COPY)
    later = after(story, [first], "3.tokar", BackupKind.DIFFERENTIAL)
    assert later.low < copy.low <= copy.high < later.high
    lab = target_for(story, tmp_path / "target")
    result = restore(lab, [copy, later])
    assert [one.generation_low for one in result.registrations] == [copy.low, copy.low]
    assert outcome_of(lab) == later.expected


def test_sets_are_in_order_by_where_they_end_not_by_where_they_begin() -> None:
    def item(low: int, high: int, rows: tuple[tuple[str, str], ...] | None = None) -> SetToRestore:
        kind = BackupType.FULL if rows else BackupType.LOGS_ONLY
        return SetToRestore(f"{low}-{high}", kind, Registration("s", "l", rows, "l", low, high))

    procedure = RestoreProcedure(ScriptedServer(dialect=DIALECTS["edbbcli"]), Transcript(str))
    procedure.prepare()
    for one in (item(5, 7, (("a", "b"),)), item(8, 9), item(3, 12), item(9, 12)):
        procedure.restore(one, lambda _: None)
    with pytest.raises(ProcedureError, match="10-11 ends before the set that was restored last"), procedure:
        procedure.restore(item(10, 11), lambda _: None)


def test_another_restore_is_taken_over_before_anything_is_restored_and_never_afterwards() -> None:
    server = ScriptedServer(dialect=DIALECTS["edbbcli"])
    full = SetToRestore("full", BackupType.FULL, Registration("s", "l", (("a", "b"),), "l", 5, 7))
    procedure = RestoreProcedure(server, Transcript(str))
    procedure.prepare()
    procedure.take_over()  # nothing is registered, so there is nothing to do
    server.registered = full.registration
    with pytest.raises(ServerError) as caught:
        procedure.restore(full, lambda _: None)
    assert caught.value.hint is not None
    procedure = RestoreProcedure(server, Transcript(str))
    procedure.prepare()
    procedure.take_over()
    procedure.restore(full, lambda _: None)
    with pytest.raises(ProcedureError, match="before anything is restored"), procedure:
        procedure.take_over()
    assert server.completed == [codes.ERROR, codes.NONE]


def test_a_server_that_does_not_answer_is_not_taken_over() -> None:
    server = ScriptedServer(dialect=DIALECTS["certadm"])
    procedure = RestoreProcedure(server, Transcript(str))
    procedure.prepare()
    server.fault = lambda _, call: CallFault.HANG if call == "register_complete" else None
    with pytest.raises(NoAnswerError), procedure:
        procedure.take_over()


@pytest.mark.parametrize("profile", ["ntdsbcli", "certadm"])
def test_databases_of_one_token_are_told_apart_by_their_leaf(profile: str, tmp_path: Path) -> None:
    story, full = full_of(tmp_path, profile, databases=3)
    lab = target_for(story, tmp_path / "target")
    result = restore(lab, [full])
    rows = result.registrations[0].restore_map
    assert rows is not None
    assert (
        [old for old, _ in rows]
        == [new for _, new in rows]
        == [lab.config.unc(one.path) for one in lab.config.databases]
    )
    assert outcome_of(lab) == full.expected


def test_a_log_that_is_in_two_sets_is_placed_once(tmp_path: Path) -> None:
    story, full = full_of(tmp_path)
    first = after(story, [full], "1.tokar", BackupKind.DIFFERENTIAL)
    second = after(story, [full], "2.tokar", BackupKind.DIFFERENTIAL)
    assert second.low <= first.high
    lab = target_for(story, tmp_path / "target")
    result = restore(lab, [full, first, second])
    placed = [name for _, name, _ in result.plan.steps.placements()]
    assert len(set(placed)) == len(placed) == result.files
    assert outcome_of(lab) == second.expected


def test_the_plan_is_there_before_anything_is_written(tmp_path: Path, archives: ExitStack) -> None:
    story, full = full_of(tmp_path)
    lab = target_for(story, tmp_path / "target")
    counted: list[int] = []
    with prepared_restore(SimulatedServer(lab, running=False), parts_of(opened(archives, full.path))) as restoring:
        planned = len(restoring.plan.steps)
        assert not tree(lab)
        result = restoring.run(counted.append)
    assert planned == result.files
    assert sum(counted) == result.size


def test_files_in_the_way_are_refused_and_nothing_is_registered(tmp_path: Path) -> None:
    story, full = full_of(tmp_path)
    lab = used_target(story, tmp_path / "target")
    before = tree(lab)
    with pytest.raises(ExistingFileError):
        restore(lab, [full])
    assert tree(lab) == before
    assert load_registration(lab.folder) is None


@pytest.mark.parametrize("profile", PROFILES)
def test_files_in_the_way_are_set_aside_when_asked(profile: str, tmp_path: Path) -> None:
    story, full = full_of(tmp_path, profile)
    story.lab.work(40)
    lab = used_target(story, tmp_path / "target")
    before = {path: path.read_bytes() for path in tree(lab)}
    restore(lab, [full], existing=Existing.SET_ASIDE)
    assert set(before.values()) <= {path.read_bytes() for path in tree(lab)}, "nothing is deleted"
    assert outcome_of(lab) == full.expected


def test_a_gap_between_sets_is_refused_before_the_server_is_called(tmp_path: Path, archives: ExitStack) -> None:
    story, full = full_of(tmp_path)
    story.lab.work(60)
    story.lab.stop()
    first = after(story, [full], "1.tokar", BackupKind.INCREMENTAL, work=60)
    story.lab.stop()
    second = after(story, [full, first], "2.tokar", BackupKind.INCREMENTAL, work=60)
    assert second.low > full.high + 1
    lab = target_for(story, tmp_path / "target")
    server = SimulatedServer(lab, running=False)
    with pytest.raises(NotRestorableError, match="are in none of the sets") as caught:
        restore_to_server(server, parts_of(opened(archives, full.path, second.path)))
    assert caught.value.exit_code == 6
    assert server.calls == ()
    assert not tree(lab)


def test_sets_from_before_and_after_a_restore_are_not_mixed(tmp_path: Path) -> None:
    story, full = full_of(tmp_path)
    first = after(story, [full], "1.tokar", BackupKind.INCREMENTAL)
    wipe(story.lab)
    restore(story.lab, [full])
    story.lab.recover()
    story.lab.work(30)
    second_full = take(story, tmp_path / "2.tokar", BackupKind.FULL)
    second = after(story, [second_full], "3.tokar", BackupKind.INCREMENTAL, work=60)
    with pytest.raises((SetError, CollisionError)):
        restore(target_for(story, tmp_path / "target"), [full, first, second])


@pytest.mark.parametrize("profile", LOGS_ONLY)
def test_a_chain_ends_at_a_defragmentation(profile: str, tmp_path: Path) -> None:
    story, full = full_of(tmp_path, profile)
    first = after(story, [full], "1.tokar", BackupKind.DIFFERENTIAL)
    story.lab.defragment(story.lab.config.databases[1].name)
    held = story.lab.instance.transactions.begin()  # holds the checkpoint, and so the logs since the last set
    story.lab.instance.transactions.put(held, 1, b"held", b"")
    second_full = take(story, tmp_path / "2.tokar", BackupKind.FULL, busy=0)
    later = after(story, [second_full], "3.tokar", BackupKind.DIFFERENTIAL)
    assert later.low <= first.high + 1
    with pytest.raises(SetError, match=r"was written while .* was not attached, or another of its name"):
        restore(target_for(story, tmp_path / "a"), [full, first, later])
    lab = target_for(story, tmp_path / "b")
    restore(lab, [second_full, later])
    assert outcome_of(lab) == later.expected, "although logs of its full begin before the defragmentation"


def test_a_chain_may_be_cut_before_a_defragmentation(tmp_path: Path, archives: ExitStack) -> None:
    story, full = full_of(tmp_path, "edbbcli")
    story.lab.work(40)
    until = story.lab.instance.log.generation - 1
    story.lab.defragment(story.lab.config.databases[0].name)
    copy = take(story, tmp_path / "1.tokar", BackupKind.COPY)  # Exchange counts it as a full, and no log goes
    across = after(story, [copy], "2.tokar", BackupKind.DIFFERENTIAL)
    assert across.low <= full.high + 1 < until < across.high
    whole, later = parts_of(opened(archives, full.path, across.path))
    logs = tuple(one for one in later.entries if (generation_of(one) or 0) <= until)
    lab = target_for(story, tmp_path / "target")
    parts = (whole, replace(later, entries=logs, generation_high=until))
    restore_to_server(SimulatedServer(lab, running=False), parts)
    assert outcome_of(lab) == story.expected(until)


def test_a_set_of_older_logs_alone_is_refused(tmp_path: Path, archives: ExitStack) -> None:
    story, full = full_of(tmp_path)
    story.lab.work(60)
    first = after(story, [full], "1.tokar", BackupKind.DIFFERENTIAL)
    story.lab.stop()
    story.lab.work(60)
    story.lab.stop()
    newest = take(story, tmp_path / "2.tokar", BackupKind.COPY)
    assert newest.low > first.high
    with pytest.raises(SetError, match="no log that the chain needs"):
        parts_of(opened(archives, newest.path, first.path))


def test_a_set_without_databases_cannot_come_first(tmp_path: Path, archives: ExitStack) -> None:
    story, full = full_of(tmp_path)
    first = after(story, [full], "1.tokar", BackupKind.INCREMENTAL)
    lab = target_for(story, tmp_path / "target")
    with pytest.raises(InputError, match="no set with databases"):
        restore_to_server(SimulatedServer(lab, running=False), parts_of(opened(archives, first.path)))
    assert not tree(lab)


def test_a_second_full_in_a_chain_is_refused(tmp_path: Path) -> None:
    story, full = full_of(tmp_path)
    story.lab.work(20)
    second = take(story, tmp_path / "2.tokar", BackupKind.COPY)
    lab = target_for(story, tmp_path / "target")
    with pytest.raises(tokar.errors.ArchiveError):
        restore(lab, [full, second])
    assert not tree(lab)


def test_only_logs_have_a_generation(tmp_path: Path, archives: ExitStack) -> None:
    _, full = full_of(tmp_path)
    (archive,) = opened(archives, full.path)
    found = {entry.token: generation_of(entry) for entry in archive}
    assert found[0x44] is None
    assert found[0x25] is None, "a patch file"
    assert found[0x21] == full.high
    unsafe = next(entry for entry in archive if entry.token == 0x21)._replace(raw_name=b"a\x00:\x00")
    assert generation_of(unsafe) is None


def test_a_directory_service_is_restored_with_its_token_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story, full = full_of(tmp_path, "ntdsbcli")
    monkeypatch.setattr(Head, "blob", lambda *_: None)
    lab = target_for(story, tmp_path / "target")
    with pytest.raises(ProcedureError, match="expiry token"):
        restore(lab, [full])
    assert not tree(lab)


def test_a_path_that_is_not_mapped_is_refused(tmp_path: Path, archives: ExitStack) -> None:
    story, full = full_of(tmp_path)
    lab = target_for(story, tmp_path / "target")
    server = SimulatedServer(lab, running=False)
    server.path_maps = ()
    with pytest.raises(RestoreError, match="names another machine"):
        restore_to_server(server, parts_of(opened(archives, full.path)))
    assert load_registration(lab.folder) is None


def scripted(profile: str, locations: Sequence[tuple[int, str]]) -> ScriptedServer:
    return ScriptedServer(dialect=DIALECTS[profile], locations=tuple(locations))


HERE = r"\\S1\D$"


def rows_for(full: Kept, folder: Path, locations: Sequence[tuple[int, str]]) -> list[str]:
    """Restore to a server that says these locations; return the new names in the restore map."""
    with ExitStack() as stack:
        result = restore_to_server(
            scripted("ntdsbcli", locations),
            parts_of(opened(stack, full.path)),
            maps=[PathMap(HERE, str(folder))],
        )
    rows = result.registrations[0].restore_map
    assert rows is not None
    for _, new in rows:
        assert folder.joinpath(*new.removeprefix(HERE + "\\").split("\\")).is_file(), "the map names what was placed"
    return [new for _, new in rows]


REST = ((0x82, HERE + r"\log"), (0x83, HERE + r"\sys"))


def test_the_map_names_the_files_as_they_were_placed(tmp_path: Path) -> None:
    _, full = full_of(tmp_path, "ntdsbcli", databases=1)
    (tmp_path / "b" / "db").mkdir(parents=True)
    assert rows_for(full, tmp_path / "a", [(0x44, HERE + r"\db\ntds.dit"), *REST]) == [HERE + r"\db\ntds.dit"]
    assert rows_for(full, tmp_path / "b", [(0x44, HERE + r"\db"), *REST]) == [HERE + r"\db\ntds.dit"], "a directory"
    assert rows_for(full, tmp_path / "c", [(0x44, HERE + r"\db\other.dit"), *REST]) == [HERE + r"\db\other.dit"]
    by_bits = rows_for(full, tmp_path / "d", [(0x45, HERE + r"\db\priv.edb"), *REST])
    assert by_bits == [HERE + r"\db\ntds.dit"], "another token's file says which directory it is, and no more"


@pytest.mark.parametrize("missing", [0x82, 0x83])
def test_a_server_without_a_location_that_register_needs_is_refused(missing: int, tmp_path: Path) -> None:
    _, full = full_of(tmp_path, "ntdsbcli", databases=1)
    locations = [(0x44, HERE + r"\db\ntds.dit"), *(one for one in REST if one[0] != missing)]
    with pytest.raises((InputError, RestoreError)):
        rows_for(full, tmp_path / "a", locations)


def test_a_location_list_that_cannot_be_read_names_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, full = full_of(tmp_path, "ntdsbcli", databases=1)
    monkeypatch.setattr(RestoreProcedure, "locations", lambda _: NameList((), data=b"\x44\x00", wide=True))
    with pytest.raises(LocationListError) as caught:
        rows_for(full, tmp_path / "a", REST)
    assert caught.value.path == "SERVER1"


def test_the_locations_of_the_backup_stand_in_where_the_server_does_not_say(tmp_path: Path) -> None:
    story, full = full_of(tmp_path, "ntdsbcli", databases=1)
    config = story.lab.config
    server = scripted("ntdsbcli", ())
    server.fault = lambda _, call: CallFault.FAIL if call == "database_locations" else None
    maps = [PathMap(config.unc(f"{drive}:"), str(tmp_path / drive)) for drive in "CE"]
    with ExitStack() as stack:
        restore_to_server(server, parts_of(opened(stack, full.path)), maps=maps)
    assert (tmp_path / "C" / "WINDOWS" / "NTDS" / "ntds.dit").is_file()


def test_a_server_that_does_not_say_where_things_go_is_an_error_where_nothing_else_does(tmp_path: Path) -> None:
    _, full = full_of(tmp_path, "edbbcli")  # Exchange is not asked during a backup
    server = scripted("edbbcli", ())
    server.fault = lambda _, call: CallFault.FAIL if call == "database_locations" else None
    with ExitStack() as stack, pytest.raises(ServerError):
        restore_to_server(server, parts_of(opened(stack, full.path)))
    assert server.completed == []


def damage(path: Path, token: int, at: int = -1) -> None:
    """Flip a bit in the content of an entry with a token, by default the last: of logs, one that no other set has."""
    data = bytearray(path.read_bytes())
    with Archive(path) as archive:
        entry = [entry for entry in archive if entry.token == token][at]
        data[archive.records(entry).data_positions[0] + 100] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("token", [0x45, 0x21, 0x28])
def test_damage_in_an_archive_is_met_while_staging_before_anything_is_registered(token: int, tmp_path: Path) -> None:
    story, full = full_of(tmp_path, "edbbcli")
    damage(full.path, token)
    lab = target_for(story, tmp_path / "target")
    with pytest.raises(tokar.errors.FormatError):
        restore(lab, [full])
    assert load_registration(lab.folder) is None
    assert tree(lab) == set()


def test_a_disk_that_is_full_is_told_to_the_server_as_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story, full = full_of(tmp_path, "edbbcli")
    lab = target_for(story, tmp_path / "target")

    def refuse(*_: object, **__: object) -> None:
        raise StorageError("no space left on device")

    monkeypatch.setattr(Placing, "commit", refuse)
    with pytest.raises(StorageError):
        restore(lab, [full])
    assert outcome_of(lab) == -506, "the service does not start on half a database"
    monkeypatch.undo()
    restore(lab, [full])
    assert outcome_of(lab) == full.expected, "a valid restore makes it start"


def test_maps_of_a_lab_name_every_drive_of_its_server(tmp_path: Path) -> None:
    lab = new_story(tmp_path, "ntdsbcli", work=0).lab
    maps = SimulatedServer(lab, running=False).path_maps
    assert [prefix for prefix, _ in maps] == [r"\\DC1\C$", r"\\DC1\E$"]


def test_a_registration_is_written_where_the_engine_looks_for_it(tmp_path: Path) -> None:
    story, full = full_of(tmp_path, "edbbcli")
    lab = target_for(story, tmp_path / "target")
    restore(lab, [full])
    found = json.loads((lab.folder / "restore-in-progress.json").read_text())
    assert (found["low_log"], found["high_log"], found["status"]) == (full.low, full.high, 0)


def chain_of(folder: Path, profile: str) -> tuple[Story, list[Kept]]:
    story, full = full_of(folder, profile)
    sets = [full]
    for name in ("1.tokar", "2.tokar"):
        sets.append(after(story, sets, name, BackupKind.INCREMENTAL))
    return story, sets


@pytest.mark.parametrize("profile", LOGS_ONLY)
@pytest.mark.parametrize("at", [1, 2])
def test_a_failure_after_the_first_set_keeps_the_service_down_and_names_every_set(
    profile: str, at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story, sets = chain_of(tmp_path, profile)
    lab = target_for(story, tmp_path / "target")
    commit = Placing.commit

    def refuse(self: Placing, group: int = 0) -> None:
        if group == at:
            raise StorageError("input/output error")
        commit(self, group)

    with monkeypatch.context() as context:
        context.setattr(Placing, "commit", refuse)
        with pytest.raises(PlacingStoppedError) as caught:
            restore(lab, sets)
    assert caught.value.exit_code == 8
    assert outcome_of(lab) == -506, "not on half a chain"
    notes = [note for note in caught.value.__notes__ if note.startswith("set ")]
    assert [note.partition(": ")[2].partition(";")[0] for note in notes] == [
        *["registered and complete"] * at,
        *["not complete"] * (3 - at),
    ]
    assert all(str(one.path) in note for one, note in zip(sets, notes, strict=True))
    assert caught.value.__notes__[-1].startswith("the service was told of the failure")
    restore(lab, sets)
    assert outcome_of(lab) == sets[-1].expected, "the same restore, made again, goes on"
    assert not [path for path in tree(lab) if ".tokar-" in str(path)]


@pytest.mark.parametrize("profile", LOGS_ONLY)
def test_everything_is_staged_before_the_first_register(
    profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story, sets = chain_of(tmp_path, profile)
    damage(sets[-1].path, 0x21)
    lab = target_for(story, tmp_path / "target")
    calls: list[str] = []
    monkeypatch.setattr(RestoreProcedure, "_register", lambda *_: calls.append("register"))
    with pytest.raises(tokar.errors.FormatError):
        restore(lab, sets)
    assert calls == []
    assert tree(lab) == set()


def test_a_damaged_log_that_comes_from_another_set_hinders_nothing(tmp_path: Path) -> None:
    story, sets = chain_of(tmp_path, "certadm")
    damage(sets[-1].path, 0x21, 0)
    lab = target_for(story, tmp_path / "target")
    restore(lab, sets)
    assert outcome_of(lab) == sets[-1].expected


def test_a_service_that_cannot_be_told_is_said_to_be_left_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archives: ExitStack
) -> None:
    story, sets = chain_of(tmp_path, "certadm")
    lab = target_for(story, tmp_path / "target")
    commit = Placing.commit

    def refuse(self: Placing, group: int = 0) -> None:
        if group == 1:
            monkeypatch.setattr("tokar.lab.server.SimulatedRestore.register", gone)
            raise StorageError("input/output error")
        commit(self, group)

    def gone(*_: object) -> None:
        raise ServerError(0xC7FF0064, call="register")

    server = SimulatedServer(lab, running=False)
    monkeypatch.setattr(Placing, "commit", refuse)
    with pytest.raises(PlacingStoppedError) as caught:
        restore_to_server(server, parts_of(opened(archives, *(one.path for one in sets))))
    assert "leave it stopped" in caught.value.__notes__[-1]


def test_a_registration_of_another_restore_is_not_taken_over_by_a_rerun(tmp_path: Path) -> None:
    story, full = full_of(tmp_path)
    lab = target_for(story, tmp_path / "target")
    context = SimulatedServer(lab, running=False).prepare_restore()
    logs = lab.config.unc(lab.config.logs)
    rows = tuple((lab.config.unc(one.path), lab.config.unc(one.path)) for one in lab.config.databases)
    context.register(Registration(logs, logs, rows, logs, full.low, full.high))
    for _ in range(2):
        with pytest.raises(PlacingStoppedError, match="a restore is registered") as caught:
            restore(lab, [full])
        assert "--take-over" in str(caught.value.hint)
    context.register_complete(codes.ERROR)
    restore(lab, [full])
    assert outcome_of(lab) == full.expected
