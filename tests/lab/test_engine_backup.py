"""The engine's own rules for a backup: what it refuses, what it lists, what it deletes, what it remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from engine_by_hand import back_up, new_story, server_of

from tokar.ese.database import DatabaseHeader
from tokar.ese.trailer import BackupTrailer
from tokar.lab.backup import Backup, BackupFile, FileRole
from tokar.lab.database_file import DatabaseFile
from tokar.lab.engine import ERAS, EngineError
from tokar.server.contract import DIALECTS, BackupType
from tokar.storage.bytesource import BytesSource

if TYPE_CHECKING:
    from pathlib import Path

PROFILES = sorted(ERAS)
LOGS_ONLY = sorted(name for name in ERAS if BackupType.LOGS_ONLY in DIALECTS[name].types)


def read_all(backup: Backup, file: BackupFile) -> bytes:
    backup.open(file)
    data = b""
    while piece := backup.read(8192):
        data += piece
    backup.close()
    return data


def code_of(error: pytest.ExceptionInfo[EngineError]) -> int:
    return error.value.code


@pytest.mark.parametrize("profile", PROFILES)
def test_the_current_log_is_never_listed_and_rolls_over_at_the_list(tmp_path: Path, profile: str) -> None:
    lab = new_story(tmp_path, profile).lab
    backup = lab.backup(full=True)
    current = lab.instance.log.generation
    listed = [file for file in backup.list_logs() if file.role is FileRole.LOG]
    assert listed[-1].number == current
    assert lab.instance.log.generation == current + 1
    assert [file.number for file in listed] == list(range(backup.generation_low, current + 1))


@pytest.mark.parametrize("profile", PROFILES)
def test_the_list_of_logs_is_fixed_once(tmp_path: Path, profile: str) -> None:
    lab = new_story(tmp_path, profile).lab
    backup = lab.backup(full=True)
    first = list(backup.list_logs())
    lab.work(60)
    assert backup.list_logs() == first
    assert lab.instance.log.generation > first[-1].number + 1


@pytest.mark.parametrize("profile", PROFILES)
def test_a_full_lists_from_the_checkpoint_of_its_beginning(tmp_path: Path, profile: str) -> None:
    lab = new_story(tmp_path, profile).lab
    at_begin = lab.instance.checkpoint.generation
    backup = lab.backup(full=True)
    lab.work(40)
    lab.instance.cache.flush_all()
    lab.instance.write_checkpoint()
    assert lab.instance.checkpoint.generation > at_begin
    assert backup.list_logs()[0].number == at_begin


@pytest.mark.parametrize("profile", LOGS_ONLY)
def test_logs_only_lists_from_the_lowest_log_on_disk(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path, profile)
    back_up(server_of(story))
    story.lab.work(20)
    lowest = min(story.lab.instance.log.closed())
    assert Backup(story.lab.instance, full=False).list_logs()[0].number == lowest


def test_a_second_backup_at_once_is_refused(tmp_path: Path) -> None:
    lab = new_story(tmp_path).lab
    lab.backup(full=True)
    with pytest.raises(EngineError) as caught:
        lab.backup(full=True)
    assert code_of(caught) == -505


def test_logs_only_has_no_databases(tmp_path: Path) -> None:
    story = new_story(tmp_path)
    back_up(server_of(story))
    backup = story.lab.backup(full=False)
    with pytest.raises(EngineError) as caught:
        backup.databases()
    assert code_of(caught) == -521


@pytest.mark.parametrize("profile", ["ntdsbcli", "certadm"])
def test_logs_are_not_listed_while_a_database_is_open(tmp_path: Path, profile: str) -> None:
    backup = new_story(tmp_path, profile).lab.backup(full=True)
    backup.open(backup.databases()[0])
    with pytest.raises(EngineError) as caught:
        backup.list_logs()
    assert code_of(caught) == -521


@pytest.mark.parametrize("profile", PROFILES)
def test_no_database_is_opened_after_the_logs_are_listed(tmp_path: Path, profile: str) -> None:
    backup = new_story(tmp_path, profile).lab.backup(full=True)
    backup.list_logs()
    with pytest.raises(EngineError) as caught:
        backup.open(backup.databases()[0])
    assert code_of(caught) == -521


def test_reading_and_closing_need_an_open_file(tmp_path: Path) -> None:
    backup = new_story(tmp_path).lab.backup(full=True)
    for call in (lambda: backup.read(4096), backup.close):
        with pytest.raises(EngineError) as caught:
            call()
        assert code_of(caught) == -521


@pytest.mark.parametrize("profile", PROFILES)
def test_truncation_before_the_logs_are_listed_is_refused(tmp_path: Path, profile: str) -> None:
    backup = new_story(tmp_path, profile).lab.backup(full=True)
    with pytest.raises(EngineError) as caught:
        backup.truncate()
    assert code_of(caught) == -521


@pytest.mark.parametrize("profile", PROFILES)
def test_truncation_with_a_log_unread_is_refused(tmp_path: Path, profile: str) -> None:
    backup = new_story(tmp_path, profile).lab.backup(full=True)
    for file in backup.databases():
        read_all(backup, file)
    for file in backup.list_logs()[1:]:
        read_all(backup, file)
    with pytest.raises(EngineError) as caught:
        backup.truncate()
    assert code_of(caught) == -616


def test_a_log_read_twice_hides_one_that_was_never_read(tmp_path: Path) -> None:
    """The hole of the real engine's test: it adds up generation numbers and accepts more than is due."""
    story = new_story(tmp_path)
    backup = story.lab.backup(full=True)
    story.lab.work(40)
    for file in backup.databases():
        read_all(backup, file)
    first, *rest = [file for file in backup.list_logs() if file.role is FileRole.LOG]
    for file in (*rest, rest[-1]):
        read_all(backup, file)
    story.lab.instance.cache.flush_all()
    story.lab.instance.write_checkpoint()
    backup.truncate()
    assert first.number not in story.lab.instance.log.closed()


@pytest.mark.parametrize("profile", ["ntdsbcli", "certadm"])
def test_truncation_with_a_database_unread_is_refused(tmp_path: Path, profile: str) -> None:
    backup = new_story(tmp_path, profile).lab.backup(full=True)
    read_all(backup, backup.databases()[0])
    for file in backup.list_logs():
        read_all(backup, file)
    with pytest.raises(EngineError) as caught:
        backup.truncate()
    assert code_of(caught) == -616


@pytest.mark.parametrize("profile", PROFILES)
def test_truncation_stops_at_the_checkpoint(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path, profile)
    story.lab.workload.write_late = lambda: None  # type: ignore[method-assign] # pages and checkpoint lag
    checkpoint = story.lab.instance.checkpoint.generation
    story.lab.work(40)
    taken = back_up(server_of(story, busy=0))
    left = story.lab.instance.log.closed()
    assert taken.high > checkpoint
    assert min(left) == checkpoint


def test_truncation_spares_what_a_database_that_was_not_copied_still_needs(tmp_path: Path) -> None:
    story = new_story(tmp_path)
    backup = story.lab.backup(full=True)
    read_all(backup, backup.databases()[0])
    for file in backup.list_logs():
        read_all(backup, file)
    assert backup.truncate() == []
    backup.end()
    headers = [file.header for file in story.lab.instance.files.values()]
    assert [header.previous_full.is_set for header in headers] == [True, False]


@pytest.mark.parametrize("profile", PROFILES)
def test_a_backup_that_listed_no_logs_is_not_remembered(tmp_path: Path, profile: str) -> None:
    lab = new_story(tmp_path, profile).lab
    backup = lab.backup(full=True)
    for file in backup.databases():
        read_all(backup, file)
    with pytest.raises(EngineError) as caught:
        backup.end()
    assert code_of(caught) == -800
    assert not any(file.header.previous_full.is_set for file in lab.instance.files.values())
    lab.backup(full=True)


@pytest.mark.parametrize(
    ("profile", "full", "truncate", "field"),
    [
        ("edbbcli", True, True, "previous_full"),
        ("edbbcli", True, False, "previous_full"),
        ("edbbcli", False, True, "previous_incremental"),
        ("edbbcli", False, False, "previous_incremental"),
        ("certadm", True, True, "previous_full"),
        ("certadm", True, False, "previous_copy"),
        ("certadm", False, True, "previous_incremental"),
        ("certadm", False, False, "previous_differential"),
    ],
)
def test_headers_remember_a_backup_as_their_era_knows_it(
    tmp_path: Path, profile: str, full: bool, truncate: bool, field: str
) -> None:
    story = new_story(tmp_path, profile)
    server = server_of(story)
    if not full:
        back_up(server)
    taken = back_up(server, full=full, truncate=truncate)
    for file in story.lab.instance.files.values():
        assert getattr(file.header, field).generation_high == taken.high


@pytest.mark.parametrize("profile", LOGS_ONLY)
def test_logs_only_without_a_full_is_refused(tmp_path: Path, profile: str) -> None:
    with pytest.raises(EngineError) as caught:
        new_story(tmp_path, profile).lab.backup(full=False)
    assert code_of(caught) == -560


def test_a_copy_does_not_stand_in_for_a_full_where_the_era_tells_them_apart(tmp_path: Path) -> None:
    story = new_story(tmp_path, "certadm")
    back_up(server_of(story), truncate=False)
    with pytest.raises(EngineError) as caught:
        story.lab.backup(full=False)
    assert code_of(caught) == -560


@pytest.mark.parametrize("profile", LOGS_ONLY)
def test_logs_only_under_circular_logging_is_refused(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path, profile)
    back_up(server_of(story))
    story.lab.set_circular(True)
    with pytest.raises(EngineError) as caught:
        story.lab.backup(full=False)
    assert code_of(caught) == -526


@pytest.mark.parametrize("profile", LOGS_ONLY)
def test_logs_that_circular_logging_deleted_are_missed_later(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path, profile)
    taken = back_up(server_of(story))
    story.lab.set_circular(True)
    story.lab.work(80)
    story.lab.instance.cache.flush_all()
    story.lab.instance.write_checkpoint()
    story.lab.work(40)
    assert min(story.lab.instance.log.closed(), default=story.lab.instance.log.generation) > taken.high + 1
    story.lab.set_circular(False)
    with pytest.raises(EngineError) as caught:
        story.lab.backup(full=False)
    assert code_of(caught) == -569
    back_up(server_of(story))
    back_up(server_of(story), full=False)


@pytest.mark.parametrize("profile", LOGS_ONLY)
def test_a_gap_in_the_logs_is_missed(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path, profile)
    back_up(server_of(story), truncate=True)
    story.lab.work(80)
    list(story.lab.instance.log.closed().values())[-2].unlink()
    with pytest.raises(EngineError) as caught:
        story.lab.backup(full=False)
    assert code_of(caught) == -569


@pytest.mark.parametrize("profile", LOGS_ONLY)
def test_after_a_defragmentation_only_a_full_is_possible(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path, profile)
    back_up(server_of(story))
    name = story.lab.config.databases[0].name
    before = story.lab.instance.files[1].header.signature
    story.lab.defragment(name)
    assert story.lab.contents() == story.expected()
    assert story.lab.instance.files[1].header.signature != before
    with pytest.raises(EngineError) as caught:
        story.lab.backup(full=False)
    assert code_of(caught) == -560


def test_a_damaged_page_ends_the_backup(tmp_path: Path) -> None:
    lab = new_story(tmp_path, "certadm").lab
    lab.instance.cache.flush_all()
    path = lab.place.databases[1]
    data = bytearray(path.read_bytes())
    data[2 * 4096 + 100 : 2 * 4096 + 104] = b"rots"
    path.write_bytes(data)
    backup = lab.backup(full=True)
    with pytest.raises(EngineError) as caught:
        read_all(backup, backup.databases()[0])
    assert code_of(caught) == -1018


@pytest.mark.parametrize("profile", PROFILES)
def test_a_damaged_log_ends_the_backup(tmp_path: Path, profile: str) -> None:
    lab = new_story(tmp_path, profile).lab
    backup = lab.backup(full=True)
    listed = backup.list_logs()
    path = lab.place.logs / listed[0].name
    data = bytearray(path.read_bytes())
    data[4096 + 100] ^= 1
    path.write_bytes(data)
    with pytest.raises(EngineError) as caught:
        backup.open(listed[0])
    assert code_of(caught) == -612


def test_opening_a_log_looks_for_no_other_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup of many logs would look through all of them for each."""
    backup = new_story(tmp_path).lab.backup(full=True)
    listed = [file for file in backup.list_logs() if file.role is FileRole.LOG]
    monkeypatch.setattr("tokar.lab.log_stream.closed_logs", lambda *_: pytest.fail("all logs are looked through"))
    assert all(read_all(backup, file) for file in listed)


def test_a_log_that_is_gone_since_it_was_listed_ends_the_backup(tmp_path: Path) -> None:
    lab = new_story(tmp_path).lab
    backup = lab.backup(full=True)
    listed = backup.list_logs()
    (lab.place.logs / listed[0].name).unlink()
    with pytest.raises(EngineError) as caught:
        backup.open(listed[0])
    assert code_of(caught) == -1811


def test_a_patch_file_left_over_is_named(tmp_path: Path) -> None:
    lab = new_story(tmp_path).lab
    assert lab.is_running
    (lab.place.system / "PRIV.PAT").write_bytes(b"left over")
    with pytest.raises(EngineError) as caught:
        lab.backup(full=True)
    assert code_of(caught) == -1811
    lab.crash()
    lab.backup(full=True)


def test_circular_logging_deletes_nothing_that_a_running_backup_will_list(tmp_path: Path) -> None:
    lab = new_story(tmp_path, "certadm").lab
    lab.set_circular(True)
    backup = lab.backup(full=True)
    lab.work(60)
    lab.instance.cache.flush_all()
    lab.instance.write_checkpoint()
    lab.work(30)
    listed = [file.number for file in backup.list_logs() if file.role is FileRole.LOG]
    assert listed == list(range(backup.generation_low, listed[-1] + 1))


@pytest.mark.parametrize("profile", ["ntdsbcli", "certadm"])
def test_a_later_copy_ends_with_a_trailer_that_fits_its_header(tmp_path: Path, profile: str) -> None:
    taken = back_up(server_of(new_story(tmp_path, profile)))
    for database in taken.databases:
        source = BytesSource(database.data)
        header = DatabaseHeader.read(source).header
        assert header.is_streaming_copy
        trailer = BackupTrailer.read(source, header)
        assert header.current_full.generation_low == taken.low
        assert taken.low <= trailer.backup.generation_high <= taken.high
    assert [patch.data for patch in taken.patches] == [b"", b""]


def test_an_early_copy_has_no_trailer_and_a_patch_file_with_the_whole_range(tmp_path: Path) -> None:
    taken = back_up(server_of(new_story(tmp_path)))
    for database, patch in zip(taken.databases, taken.patches, strict=True):
        header = DatabaseHeader.read(BytesSource(database.data)).header
        assert not header.is_streaming_copy
        assert header.current_full.generation_low == taken.low
        ranged = DatabaseHeader.read(BytesSource(patch.data)).header.current_full
        assert (ranged.generation_low, ranged.generation_high) == (taken.low, taken.high)
        assert len(patch.data) >= 8192
        assert len(patch.data) % 4096 == 0


def test_patch_files_collect_pages_while_a_copy_runs(tmp_path: Path) -> None:
    sets = [back_up(server_of(new_story(tmp_path / str(seed), seed=seed), busy=12)) for seed in range(4)]
    assert max(len(patch.data) for taken in sets for patch in taken.patches) > 8192


def test_no_patch_file_is_left_when_a_backup_is_over(tmp_path: Path) -> None:
    story = new_story(tmp_path)
    back_up(server_of(story))
    assert list(story.lab.place.system.glob("*.PAT")) == []


def test_a_missing_database_and_a_damaged_header_are_named(tmp_path: Path) -> None:
    path = tmp_path / "X.EDB"
    with pytest.raises(EngineError) as caught:
        DatabaseFile(path, ERAS["edbbcli"])
    assert code_of(caught) == -1811
    path.write_bytes(bytes(8192))
    with pytest.raises(EngineError) as caught:
        DatabaseFile(path, ERAS["edbbcli"])
    assert code_of(caught) == -1018
