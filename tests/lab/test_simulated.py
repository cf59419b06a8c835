"""The simulated server through the contract: order, codes, lists, reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from engine_by_hand import back_up, decoded, new_story, read_open_file, server_of, take_all, take_file

from tokar import codes, tokens
from tokar.lab.engine import ERAS
from tokar.lab.lab import open_lab
from tokar.server.contract import BackupType, EndOfFile, Outcome, ServerError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tokar.lab.server import SimulatedServer
    from tokar.server.contract import BackupContext

PROFILES = sorted(ERAS)
LOGS_ONLY = ["certadm", "edbbcli"]


def refused(call: Callable[[], object]) -> int:
    with pytest.raises(ServerError) as caught:
        call()
    return caught.value.code


def prepared(folder: Path, profile: str = "edbbcli") -> tuple[SimulatedServer, BackupContext]:
    server = server_of(new_story(folder, profile))
    return server, server.prepare_backup(BackupType.FULL)


@pytest.mark.parametrize("profile", PROFILES)
def test_lists_have_the_tokens_and_unc_names_of_the_dialect(tmp_path: Path, profile: str) -> None:
    server, context = prepared(tmp_path, profile)
    names = context.database_names().entries
    expected = {"edbbcli": [0x45, 0x46], "ntdsbcli": [0x44, 0x44], "certadm": [0x44, 0x44]}
    assert [entry.token for entry in names] == expected[profile]
    logs = context.backup_logs().entries
    assert {entry.token for entry in logs} <= {tokens.LOG, tokens.parse_token("patch", profile)}
    assert all(decoded(entry).startswith(f"\\\\{server.name}\\") for entry in (*names, *logs))
    assert {entry.encoding for entry in names} == {1200 if server.dialect.wide else 1252}


@pytest.mark.parametrize("profile", PROFILES)
def test_patch_files_are_listed_with_the_logs_once_their_database_was_read(tmp_path: Path, profile: str) -> None:
    server, context = prepared(tmp_path, profile)
    take_all(context, context.database_names().entries, server.dialect.end_of_file)
    patches = [decoded(entry) for entry in context.backup_logs().entries if entry.token != tokens.LOG]
    assert len(patches) == 2
    assert all(name.lower().endswith(".pat") for name in patches)


@pytest.mark.parametrize("profile", PROFILES)
def test_locations_name_databases_logs_and_checkpoint(tmp_path: Path, profile: str) -> None:
    _, context = prepared(tmp_path, profile)
    found = [entry.token for entry in context.database_locations().entries]
    assert found[-2:] == [tokens.LOG_DIR, tokens.CHECKPOINT_DIR]
    assert len(found) == 4


def test_exchange_names_databases_by_directory_and_the_others_by_file(tmp_path: Path) -> None:
    exchange = new_story(tmp_path / "a", "edbbcli", work=0).lab.locations()
    authority = new_story(tmp_path / "b", "certadm", work=0).lab.locations()
    assert [location.is_directory for location in exchange] == [True, True, True, True]
    assert [location.is_directory for location in authority] == [False, False, True, True]
    assert all(location.path.exists() for location in (*exchange, *authority))


def test_only_the_authority_has_dynamic_files_and_these_have_no_token(tmp_path: Path) -> None:
    _, context = prepared(tmp_path / "a", "certadm")
    entries = context.dynamic_files().entries
    assert [entry.token for entry in entries] == [None, None]
    assert decoded(entries[0]).endswith("Lab CA.crl")
    _, other = prepared(tmp_path / "b", "edbbcli")
    assert refused(other.dynamic_files) == 0xC0000001


@pytest.mark.parametrize("profile", PROFILES)
def test_a_second_prepare_before_end_is_refused(tmp_path: Path, profile: str) -> None:
    server, context = prepared(tmp_path, profile)
    assert refused(lambda: server.prepare_backup(BackupType.FULL)) == codes.BACKUP_IN_PROGRESS
    context.end(Outcome.ABORT)
    server.prepare_backup(BackupType.FULL)


@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_is_answered_after_end(tmp_path: Path, profile: str) -> None:
    _, context = prepared(tmp_path, profile)
    context.end(Outcome.ABORT)
    for call in (context.database_names, context.backup_logs, context.truncate_logs, context.close):
        assert refused(call) == codes.INVALID_HANDLE


@pytest.mark.parametrize("profile", PROFILES)
def test_one_file_is_open_at_a_time(tmp_path: Path, profile: str) -> None:
    _, context = prepared(tmp_path, profile)
    first, second = context.database_names().entries
    context.open(first.raw_name)
    assert refused(lambda: context.open(second.raw_name)) == codes.ALREADY_OPEN
    context.close()
    context.open(second.raw_name)


def test_read_and_close_need_an_open_file(tmp_path: Path) -> None:
    _, context = prepared(tmp_path)
    assert refused(lambda: context.read(memoryview(bytearray(10)))) == codes.INVALID_HANDLE
    assert refused(context.close) == codes.INVALID_HANDLE


@pytest.mark.parametrize("profile", PROFILES)
def test_a_name_that_was_never_listed_is_not_opened(tmp_path: Path, profile: str) -> None:
    _, context = prepared(tmp_path, profile)
    assert refused(lambda: context.open(b"\\\\S\\C$\\secret.txt")) == codes.FILE_NOT_FOUND
    context.database_names()


@pytest.mark.parametrize("profile", LOGS_ONLY)
def test_database_names_are_refused_in_logs_only(tmp_path: Path, profile: str) -> None:
    server = server_of(new_story(tmp_path, profile))
    back_up(server)
    context = server.prepare_backup(BackupType.LOGS_ONLY)
    assert refused(context.database_names) == codes.INVALID_BACKUP_SEQUENCE


@pytest.mark.parametrize("profile", ["certadm", "ntdsbcli"])
def test_logs_are_refused_while_a_database_is_open(tmp_path: Path, profile: str) -> None:
    _, context = prepared(tmp_path, profile)
    context.open(context.database_names().entries[0].raw_name)
    assert refused(context.backup_logs) == codes.INVALID_BACKUP_SEQUENCE


def test_exchange_lists_logs_while_a_database_is_open(tmp_path: Path) -> None:
    _, context = prepared(tmp_path)
    context.open(context.database_names().entries[0].raw_name)
    assert context.backup_logs().entries


@pytest.mark.parametrize("profile", PROFILES)
def test_no_database_is_opened_after_the_log_list(tmp_path: Path, profile: str) -> None:
    _, context = prepared(tmp_path, profile)
    names = context.database_names().entries
    context.backup_logs()
    assert refused(lambda: context.open(names[0].raw_name)) == codes.INVALID_BACKUP_SEQUENCE


@pytest.mark.parametrize("profile", PROFILES)
def test_the_log_list_is_the_same_every_time(tmp_path: Path, profile: str) -> None:
    server, context = prepared(tmp_path, profile)
    first = context.backup_logs()
    server.lab.work(60)
    second = context.backup_logs()
    assert second.data == first.data
    first.free()
    assert (first.freed, second.freed) == (True, False)


@pytest.mark.parametrize("profile", PROFILES)
def test_truncation_with_files_unread_is_refused(tmp_path: Path, profile: str) -> None:
    _, context = prepared(tmp_path, profile)
    context.backup_logs()
    assert refused(context.truncate_logs) == codes.LOG_FILE_NOT_COPIED


@pytest.mark.parametrize("profile", LOGS_ONLY)
def test_logs_only_is_refused_with_the_code_of_its_reason(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path, profile)
    server = server_of(story)

    def prepare_logs_only() -> object:
        return server.prepare_backup(BackupType.LOGS_ONLY)

    assert refused(prepare_logs_only) == codes.FULL_BACKUP_NOT_TAKEN
    back_up(server)
    story.lab.set_circular(True)
    assert refused(prepare_logs_only) == codes.CIRCULAR_LOGGING
    story.lab.work(80)
    story.lab.instance.cache.flush_all()
    story.lab.instance.write_checkpoint()
    story.lab.work(40)
    story.lab.set_circular(False)
    assert refused(prepare_logs_only) == codes.LOG_FILE_NOT_FOUND
    story.lab.disable_incremental()
    assert refused(prepare_logs_only) == codes.INCREMENTAL_DISABLED
    back_up(server)
    prepare_logs_only()


def test_the_directory_service_refuses_logs_only(tmp_path: Path) -> None:
    server = server_of(new_story(tmp_path, "ntdsbcli"))
    assert refused(lambda: server.prepare_backup(BackupType.LOGS_ONLY)) == 0x80070057


@pytest.mark.parametrize("profile", PROFILES)
def test_a_stopped_service_cannot_be_backed_up(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path, profile)
    server = server_of(story)
    story.lab.stop()
    assert refused(lambda: server.prepare_backup(BackupType.FULL)) == codes.COULD_NOT_CONNECT
    assert server.is_online() is (None if profile == "edbbcli" else False)


@pytest.mark.parametrize("profile", ["edbbcli", "ntdsbcli"])
def test_reads_come_short_and_the_end_has_a_code_of_its_own(tmp_path: Path, profile: str) -> None:
    _, context = prepared(tmp_path, profile)
    size = context.open(context.database_names().entries[0].raw_name)
    counts: list[int] = []
    while sum(counts) < size:
        counts.append(context.read(memoryview(bytearray(4096))))
    assert any(0 < count < 4096 for count in counts[:-1])
    assert refused(lambda: context.read(memoryview(bytearray(4096)))) == codes.HANDLE_EOF
    context.close()


def test_a_read_of_the_authority_comes_short_only_at_the_end(tmp_path: Path) -> None:
    _, context = prepared(tmp_path, "certadm")
    size = context.open(context.database_names().entries[0].raw_name)
    counts: list[int] = []
    while not counts or counts[-1] == 10_000:
        counts.append(context.read(memoryview(bytearray(10_000))))
    assert sum(counts) == size
    assert context.read(memoryview(bytearray(10_000))) == 0


@pytest.mark.parametrize("profile", ["ntdsbcli", "certadm"])
def test_an_empty_patch_file_announces_no_bytes(tmp_path: Path, profile: str) -> None:
    server, context = prepared(tmp_path, profile)
    take_all(context, context.database_names().entries, server.dialect.end_of_file)
    patch = next(entry for entry in context.backup_logs().entries if entry.token == tokens.PATCH)
    assert context.open(patch.raw_name) == 0
    context.close()


def test_a_later_copy_announces_another_size_than_the_file_on_disk(tmp_path: Path) -> None:
    server, context = prepared(tmp_path, "certadm")
    size = context.open(context.database_names().entries[0].raw_name)
    assert size == server.lab.place.databases[1].stat().st_size + 4096


@pytest.mark.parametrize("profile", PROFILES)
def test_users_work_while_the_backup_reads(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path, profile)
    before = story.expected()
    back_up(server_of(story))
    assert story.expected() != before


def test_nobody_works_where_nobody_is_wanted(tmp_path: Path) -> None:
    story = new_story(tmp_path)
    before = story.expected()
    back_up(server_of(story, busy=0))
    assert story.expected() == before


@pytest.mark.parametrize("profile", PROFILES)
def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, profile: str) -> None:
    first, second = (back_up(server_of(new_story(tmp_path / name, profile, seed=5))) for name in "ab")
    assert first == second


def test_an_abort_goes_no_further_where_the_dialect_has_none(tmp_path: Path) -> None:
    story = new_story(tmp_path)
    server = server_of(story)
    context = server.prepare_backup(BackupType.FULL)
    take_all(context, context.database_names().entries, EndOfFile.HANDLE_EOF)
    take_all(context, context.backup_logs().entries, EndOfFile.HANDLE_EOF)
    context.end(Outcome.ABORT)
    assert all(file.header.previous_full.is_set for file in story.lab.instance.files.values())


def test_end_in_the_middle_of_a_file_lets_the_next_backup_begin(tmp_path: Path) -> None:
    server, context = prepared(tmp_path)
    context.open(context.database_names().entries[0].raw_name)
    context.end(Outcome.ABORT)
    back_up(server)


def test_a_killed_server_is_opened_again_and_backed_up(tmp_path: Path) -> None:
    story = new_story(tmp_path)
    context = server_of(story).prepare_backup(BackupType.FULL)
    take_file(context, context.database_names().entries[0], EndOfFile.HANDLE_EOF)
    story.lab.crash()
    lab = open_lab(tmp_path, story.account)
    story.lab = lab
    taken = back_up(server_of(story))
    assert taken.high > 1
    assert lab.contents() == story.expected()


def test_by_hand_reading_counts_to_the_announced_size(tmp_path: Path) -> None:
    _, context = prepared(tmp_path, "certadm")
    size = context.open(context.database_names().entries[0].raw_name)
    assert len(read_open_file(context, size, EndOfFile.SHORT_READ)) == size
