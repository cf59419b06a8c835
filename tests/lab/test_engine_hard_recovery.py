"""Restores by hand, then hard recovery: exactly the contents at the log roll-over, or a named engine error."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import pytest
from engine_by_hand import (
    HandSet,
    Taken,
    back_up,
    decoded,
    kept_folder,
    new_story,
    outcome_of,
    place,
    read_open_file,
    register,
    restore,
    server_of,
    take_all,
    take_file,
    target_for,
    without_patches,
)
from sweeps import sampled

from tokar.lab.config import local_path
from tokar.lab.database_file import DatabaseFile
from tokar.lab.engine import ERAS, Chance, Clock, EngineError
from tokar.lab.engine_recovery import RegisteredSet, hard_recovery
from tokar.lab.instance import Life
from tokar.lab.log_stream import closed_logs
from tokar.lab.tables import dump
from tokar.server.contract import DIALECTS, BackupType, EndOfFile, Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from engine_by_hand import Story

    from tokar.lab.lab import Lab

PROFILES = sorted(ERAS)
LOGS_ONLY = sorted(name for name in ERAS if BackupType.LOGS_ONLY in DIALECTS[name].types)


# Sets that many tests begin with are made once. Their servers are looked at and left alone; whoever wants one to go on
# makes a story of its own.
@cache
def full_of(profile: str, seed: int = 1) -> tuple[Story, HandSet]:
    story = new_story(kept_folder(), profile, seed=seed)
    return story, back_up(server_of(story))


@cache
def two_fulls_of(profile: str) -> tuple[Story, HandSet, HandSet]:
    story = new_story(kept_folder(), profile)
    server = server_of(story)
    return story, back_up(server), back_up(server)


@cache
def chain_of(profile: str, seed: int = 1) -> tuple[Story, list[HandSet]]:
    """A full and three incrementals, each of several logs."""
    story = new_story(kept_folder(), profile, seed=seed)
    server = server_of(story, busy=4)
    sets = [back_up(server)]
    for _ in range(3):
        story.lab.work(40)
        sets.append(back_up(server, full=False))
    return story, sets


@cache
def logs_of_another_server(profile: str) -> dict[str, bytes]:
    """The closed logs of a server that has worked for long, by name."""
    other = new_story(kept_folder(), profile, seed=2, work=500)
    return {path.name: path.read_bytes() for path in other.lab.instance.log.closed().values()}


def damaged(taken: Taken, offset: int) -> Taken:
    data = bytearray(taken.data)
    data[offset] ^= 1
    return replace(taken, data=bytes(data))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("seed", sampled(range(5), lambda seed: seed < 2))
def test_a_full_gives_exactly_the_contents_at_its_roll_over(tmp_path: Path, profile: str, seed: int) -> None:
    story, full = full_of(profile, seed)
    lab = restore(story, tmp_path / "b", full)
    assert outcome_of(lab) == story.expected(full.high)
    lab.work(10)
    lab.stop()


@pytest.mark.parametrize("profile", LOGS_ONLY)
@pytest.mark.parametrize("seed", sampled(range(2), lambda seed: seed == 1))
def test_a_chain_gives_exactly_the_contents_at_each_roll_over(tmp_path: Path, profile: str, seed: int) -> None:
    story, sets = chain_of(profile, seed)
    for count in range(1, len(sets) + 1):
        lab = restore(story, tmp_path / f"b{count}", *sets[:count])
        assert outcome_of(lab) == story.expected(sets[count - 1].high)


@pytest.mark.parametrize("profile", LOGS_ONLY)
def test_a_differential_stands_in_for_the_incrementals_it_covers(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path / "a", profile)
    server = server_of(story)
    full = back_up(server)
    story.lab.work(20)
    back_up(server, full=False, truncate=False)
    story.lab.work(20)
    last = back_up(server, full=False, truncate=False)
    assert outcome_of(restore(story, tmp_path / "b", full, last)) == story.expected(last.high)


@pytest.mark.parametrize("profile", PROFILES)
def test_logs_left_on_disk_are_rolled_forward_to_the_last_commit(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path, profile)
    full = back_up(server_of(story))
    story.lab.work(40)
    expected = story.expected()
    story.lab.crash()
    for path in (*story.lab.place.databases.values(), story.lab.place.checkpoint):
        path.unlink()
    place(story.lab, [full])
    register(story.lab, [full])
    assert outcome_of(story.lab) == expected


@pytest.mark.parametrize("profile", PROFILES)
def test_hard_recovery_ignores_the_checkpoint(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path / "a", profile)
    full = back_up(server_of(story))
    lab = restore(story, tmp_path / "b", full)
    expected = story.expected(full.high)
    story.lab.work(40)
    shutil.copy(story.lab.place.checkpoint, lab.place.checkpoint)
    assert outcome_of(lab) == expected


@pytest.mark.parametrize("profile", PROFILES)
def test_a_hard_recovery_that_is_cut_off_is_begun_again(
    tmp_path: Path, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    story, full = full_of(profile)
    lab = restore(story, tmp_path / "b", full)
    original, cuts = DatabaseFile.write_raw, 0
    for after in (0, 1, 2):
        left = [after]

        def write_or_die(file: DatabaseFile, number: int, data: bytes, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            original(file, number, data)

        with monkeypatch.context() as patched:
            patched.setattr(DatabaseFile, "write_raw", write_or_die)
            try:
                lab.recover()
            except KeyboardInterrupt:
                cuts += 1
    assert cuts == 3
    assert outcome_of(lab) == story.expected(full.high)


@pytest.mark.parametrize("profile", LOGS_ONLY)
def test_after_a_restore_only_a_full_is_possible(tmp_path: Path, profile: str) -> None:
    story, full = full_of(profile)
    lab = restore(story, tmp_path / "b", full)
    lab.start()
    with pytest.raises(EngineError) as caught:
        lab.backup(full=False)
    assert caught.value.code == -560


def test_without_its_patch_file_an_early_copy_is_refused(tmp_path: Path) -> None:
    story, full = full_of("edbbcli")
    assert outcome_of(restore(story, tmp_path / "b", without_patches(full))) == -538


def test_without_the_pages_of_its_patch_file_an_early_copy_loses_data(tmp_path: Path) -> None:
    for seed in range(8):
        story = new_story(tmp_path / f"a{seed}", "edbbcli", seed=seed, work=60)
        full = back_up(server_of(story, busy=12))
        bare = replace(full, patches=tuple(replace(each, data=each.data[:8192]) for each in full.patches))
        if outcome_of(restore(story, tmp_path / f"b{seed}", bare)) != story.expected(full.high):
            return
    pytest.fail("with no seed it loses anything")


def test_the_patch_file_of_another_backup_is_refused(tmp_path: Path) -> None:
    story, earlier, full = two_fulls_of("edbbcli")
    assert outcome_of(restore(story, tmp_path / "b", replace(full, patches=earlier.patches))) == -552


def test_patch_files_in_each_others_place_are_refused(tmp_path: Path) -> None:
    story, full = full_of("edbbcli")
    first, second = full.patches
    swapped = (replace(first, data=second.data), replace(second, data=first.data))
    assert outcome_of(restore(story, tmp_path / "b", replace(full, patches=swapped))) == -552


@pytest.mark.parametrize("cut", [100, 8192 + 100])
def test_a_patch_file_that_is_cut_is_refused(tmp_path: Path, cut: int) -> None:
    story, full = full_of("edbbcli")
    patches = tuple(replace(each, data=each.data.ljust(12288, b"\1")[:cut]) for each in full.patches)
    assert outcome_of(restore(story, tmp_path / "b", replace(full, patches=patches))) == -535


@pytest.mark.parametrize("profile", ["ntdsbcli", "certadm"])
def test_later_copies_do_not_need_their_empty_patch_file(tmp_path: Path, profile: str) -> None:
    story, full = full_of(profile)
    assert outcome_of(restore(story, tmp_path / "b", without_patches(full))) == story.expected(full.high)


@pytest.mark.parametrize(("change", "code"), [("empty", -534), ("damaged", -535), ("missing", -535), ("other", -552)])
@pytest.mark.parametrize("profile", ["ntdsbcli", "certadm"])
def test_a_trailer_that_does_not_fit_is_refused(tmp_path: Path, profile: str, change: str, code: int) -> None:
    story, earlier, full = two_fulls_of(profile)
    size = ERAS[profile].page_size
    first, *rest = full.databases
    body, trailer = first.data[:-size], first.data[-size:]
    if not any(body[-size:]):
        body = body[:-size] + bytes(4) + b"\1" + bytes(size - 5)  # so that cutting the trailer off leaves no empty page
    tails = {
        "empty": bytes(size),
        "damaged": trailer[:50] + b"\xff" + trailer[51:],
        "missing": b"",
        "other": earlier.databases[0].data[-size:],
    }
    broken = replace(full, databases=(replace(first, data=body + tails[change]), *rest))
    assert outcome_of(restore(story, tmp_path / "b", broken)) == code


@pytest.mark.parametrize("profile", PROFILES)
def test_a_copy_that_is_cut_inside_a_page_is_refused(tmp_path: Path, profile: str) -> None:
    story, full = full_of(profile)
    first, *rest = full.databases
    short = replace(full, databases=(replace(first, data=first.data[:-100]), *rest))
    assert outcome_of(restore(story, tmp_path / "b", short)) == -561


@pytest.mark.parametrize("profile", PROFILES)
def test_a_database_that_is_no_streaming_copy_is_refused(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path / "a", profile)
    full = back_up(server_of(story))
    lab = restore(story, tmp_path / "b", full)
    story.lab.stop()
    shutil.copy(story.lab.place.databases[1], lab.place.databases[1])
    assert outcome_of(lab) == -615


@pytest.mark.parametrize("profile", PROFILES)
def test_every_log_of_the_set_is_needed(tmp_path: Path, profile: str) -> None:
    story, full = full_of(profile)
    for index in range(len(full.logs)):
        lab = restore(story, tmp_path / f"b{index}", full)
        (lab.place.logs / full.logs[index].leaf).unlink()
        assert outcome_of(lab) == -557


@pytest.mark.parametrize("profile", PROFILES)
def test_beginning_one_log_late_is_refused(tmp_path: Path, profile: str) -> None:
    story, full = full_of(profile)
    lab = target_for(story, tmp_path / "b")
    place(lab, [full])
    register(lab, [full], low=full.low + 1)
    assert outcome_of(lab) == -554


@pytest.mark.parametrize("profile", PROFILES)
def test_a_damaged_log_of_the_set_is_refused(tmp_path: Path, profile: str) -> None:
    story, full = full_of(profile)
    last = damaged(damaged(full.logs[-1], 4096 + 60), 8192 + 60)  # of the newer format its shadow too
    assert outcome_of(restore(story, tmp_path / "b", replace(full, logs=(*full.logs[:-1], last)))) == -573


@pytest.mark.parametrize("profile", PROFILES)
def test_the_logs_of_another_server_are_refused(tmp_path: Path, profile: str) -> None:
    story, full = full_of(profile)
    strange = logs_of_another_server(profile)
    logs = tuple(replace(log, data=strange[log.leaf]) for log in full.logs)
    assert outcome_of(restore(story, tmp_path / "b", replace(full, logs=logs))) == -555


@pytest.mark.parametrize("profile", PROFILES)
def test_one_log_of_another_server_is_refused(tmp_path: Path, profile: str) -> None:
    story, full = full_of(profile)
    strange = logs_of_another_server(profile)
    logs = (*full.logs[:-1], replace(full.logs[-1], data=strange[full.logs[-1].leaf]))
    assert outcome_of(restore(story, tmp_path / "b", replace(full, logs=logs))) == -555


def test_databases_in_each_others_place_are_refused(tmp_path: Path) -> None:
    story, full = full_of("certadm")
    first, second = full.databases
    swapped = (replace(first, data=second.data), replace(second, data=first.data))
    assert outcome_of(restore(story, tmp_path / "b", replace(full, databases=swapped))) == -531


def test_a_database_of_an_older_full_with_newer_logs_is_refused(tmp_path: Path) -> None:
    story = new_story(tmp_path / "a", "certadm")
    server = server_of(story)
    old = back_up(server)
    story.lab.work(60)
    new = back_up(server)
    assert new.low > old.low
    mixed = replace(new, databases=old.databases)
    assert outcome_of(restore(story, tmp_path / "b", mixed)) == -554


@pytest.mark.parametrize("profile", LOGS_ONLY)
def test_a_set_that_is_left_out_is_noticed(tmp_path: Path, profile: str) -> None:
    story, (full, first, second, third) = chain_of(profile)
    only_new = replace(third, logs=tuple(log for log in third.logs if log not in (*first.logs, *second.logs)))
    assert only_new.low > first.high + 1
    assert outcome_of(restore(story, tmp_path / "b", full, first, only_new)) == -557


def test_the_early_engine_deletes_the_logs_after_a_gap(tmp_path: Path) -> None:
    story, sets = chain_of("edbbcli")
    lab = target_for(story, tmp_path / "b")
    place(lab, sets)
    register(lab, sets[:1])
    gap = sets[0].high + 2
    last = sets[-1].high
    assert gap < last
    (lab.place.logs / f"edb{gap:05X}.log").unlink()
    recovered = lab.recover()
    assert recovered.high == gap - 1
    assert lab.contents() == story.expected(gap - 1)
    assert len(recovered.deleted) == last - gap
    assert max(closed_logs(lab.place.logs, "edb"), default=0) <= gap


def test_later_engines_refuse_a_gap(tmp_path: Path) -> None:
    story, sets = chain_of("certadm")
    lab = target_for(story, tmp_path / "b")
    place(lab, sets)
    register(lab, sets[:1])
    (lab.place.logs / f"edb{sets[0].high + 2:05X}.log").unlink()
    assert outcome_of(lab) == -565


@pytest.mark.parametrize(("profile", "deletes"), [("edbbcli", True), ("certadm", False)])
def test_stray_logs_of_another_server_in_the_log_folder(tmp_path: Path, profile: str, deletes: bool) -> None:
    story, full = full_of(profile)
    lab = restore(story, tmp_path / "b", full)
    stray = f"edb{full.high + 1:05X}.log"
    (lab.place.logs / stray).write_bytes(logs_of_another_server(profile)[stray])
    assert outcome_of(lab) == (story.expected(full.high) if deletes else -610)


def test_defragmentation_between_two_sets_cannot_be_played_over(tmp_path: Path) -> None:
    story = new_story(tmp_path / "a", "certadm")
    full = back_up(server_of(story))
    story.lab.defragment(story.lab.config.databases[0].name)
    story.lab.work(10)
    story.lab.instance.log.roll()
    on_disk = [
        Taken(0x21, path.name, path.read_bytes())
        for number, path in story.lab.instance.log.closed().items()
        if number > full.high
    ]
    since = HandSet(full=False, databases=(), logs=tuple(on_disk), patches=())
    assert outcome_of(restore(story, tmp_path / "b", full, replace(since, databases=full.databases[:1]))) == -531
    later = back_up(server_of(story))
    assert outcome_of(restore(story, tmp_path / "c", later)) == story.expected(later.high)


def own_folder(story: Story, folder: Path, full: HandSet) -> tuple[Lab, Path]:
    """Restore the logs and patch files into a folder of their own."""
    lab = target_for(story, folder)
    place(lab, [replace(full, logs=(), patches=())])
    aside = folder / "aside"
    aside.mkdir()
    for taken in (*full.logs, *full.patches):
        (aside / taken.leaf).write_bytes(taken.data)
    return lab, aside


@pytest.mark.parametrize("profile", PROFILES)
def test_a_folder_of_their_own_holds_exactly_the_logs_of_the_set(tmp_path: Path, profile: str) -> None:
    story, full = next(one for seed in range(1, 20) if (one := full_of(profile, seed))[1].low > 1)
    lab, aside = own_folder(story, tmp_path / "b", full)

    def recover(low: int, high: int) -> int:
        try:
            hard_recovery(Life(lab.place, lab.era, Clock(1, 1, utc=True), Chance(1)), RegisteredSet(aside, low, high))
        except EngineError as error:
            return error.code
        return 0

    low, high = full.low, full.high
    strays = {low - 1: -554, high + 1: -553}
    for number, code in strays.items():
        stray = aside / f"edb{number:05X}.log"
        shutil.copy(aside / full.logs[0].leaf, stray)
        assert recover(low, high) == code
        stray.unlink()
    assert recover(low, high) == 0
    assert lab.contents() == story.expected(full.high)


@pytest.mark.parametrize("profile", PROFILES)
def test_one_database_of_two_is_restored_alone(tmp_path: Path, profile: str) -> None:
    """The restore map names what is restored; what the logs say of the other database is passed over (Q188650)."""
    story, full = full_of(profile)
    first, _ = full.databases
    lab = restore(story, tmp_path / "b", replace(full, databases=(first,)))
    lab.recover()
    name = story.lab.config.databases[0].name
    assert dump(lab.place.databases[1], lab.era) == story.expected(full.high)[name]


def test_a_restore_map_row_without_its_database_is_refused(tmp_path: Path) -> None:
    story, full = full_of("edbbcli")
    lab = restore(story, tmp_path / "b", full)
    lab.place.databases[2].unlink()
    assert outcome_of(lab) == -1811


def early_list(story: Story, work: int) -> HandSet:
    """The order of Q256347: the list of logs is asked for while the last database is still being read."""
    server = server_of(story)
    context = server.prepare_backup(BackupType.FULL)
    *names, last = context.database_names().entries
    databases = [take_file(context, name, EndOfFile.HANDLE_EOF) for name in names]
    size = context.open(last.raw_name)
    buffer = bytearray(8192)
    count = context.read(memoryview(buffer))
    listed = context.backup_logs()
    story.lab.work(work)
    data = bytes(buffer[:count]) + read_open_file(context, size - count, EndOfFile.HANDLE_EOF)
    context.close()
    assert last.token is not None
    databases.append(Taken(last.token, decoded(last), data))
    taken = take_all(context, listed.entries, EndOfFile.HANDLE_EOF)
    context.truncate_logs()
    context.end(Outcome.SUCCESS)
    logs = tuple(each for each in taken if each.token == 0x21)
    return HandSet(True, tuple(databases), logs, tuple(each for each in taken if each.token != 0x21))


def test_a_log_list_before_the_databases_are_closed_is_accepted_and_worthless(tmp_path: Path) -> None:
    for seed in range(3):
        story = new_story(tmp_path / f"a{seed}", "edbbcli", seed=seed)
        taken = early_list(story, work=25)
        assert outcome_of(restore(story, tmp_path / f"b{seed}", taken)) != story.expected(taken.high)


@pytest.mark.parametrize("profile", PROFILES)
def test_truncation_without_a_kept_copy_leaves_nothing_to_roll_forward_with(tmp_path: Path, profile: str) -> None:
    """Rule 8: the logs are gone, the older full cannot reach the present any more."""
    story = new_story(tmp_path, profile)
    server = server_of(story)
    kept = back_up(server)
    story.lab.work(40)
    back_up(server)  # truncates, and its copy is lost
    story.lab.work(5)
    expected = story.expected()
    story.lab.crash()
    for path in (*story.lab.place.databases.values(), story.lab.place.checkpoint):
        path.unlink()
    place(story.lab, [kept])
    register(story.lab, [kept])
    assert outcome_of(story.lab) != expected


def test_paths_of_the_server_are_found_below_the_lab(tmp_path: Path) -> None:
    assert local_path(tmp_path, "D:\\a\\b.edb") == tmp_path / "D" / "a" / "b.edb"
    assert local_path(tmp_path, "\\\\S\\d$\\a\\b.edb") == tmp_path / "D" / "a" / "b.edb"
    assert local_path(tmp_path, str(tmp_path / "x")) == tmp_path / "x"


def test_a_log_left_unread_and_truncated_is_lost_for_good(tmp_path: Path) -> None:
    """Rule 7, through the hole of the engine's own test: another log is read twice in its stead."""
    story = new_story(tmp_path / "a", work=60)
    context = server_of(story).prepare_backup(BackupType.FULL)
    databases = take_all(context, context.database_names().entries, EndOfFile.HANDLE_EOF)
    listed = context.backup_logs().entries
    logs = [entry for entry in listed if entry.token == 0x21]
    patches = take_all(context, listed[len(logs) :], EndOfFile.HANDLE_EOF)
    taken = take_all(context, [*logs[1:], logs[-1]], EndOfFile.HANDLE_EOF)
    story.lab.instance.cache.flush_all()
    story.lab.instance.write_checkpoint()
    context.truncate_logs()
    context.end(Outcome.SUCCESS)
    short = HandSet(True, databases, taken[:-1], patches)
    assert short.low - 1 not in story.lab.instance.log.closed()
    assert outcome_of(restore(story, tmp_path / "b", short)) == -554
