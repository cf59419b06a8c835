"""The contract's own parts: dialects, lists, errors."""

from __future__ import annotations

import pytest

from tokar import codes, namelist, tokens
from tokar.errors import ArchiveError, LocationListError, hint_of
from tokar.server.contract import DIALECTS, BackupType, NameList, ServerError


def test_every_token_profile_has_a_dialect() -> None:
    assert set(DIALECTS) == set(tokens.PROFILES)


def test_every_dialect_knows_a_full_backup() -> None:
    assert all(BackupType.FULL in dialect.types for dialect in DIALECTS.values())


def test_the_directory_service_knows_no_logs_only() -> None:
    assert BackupType.LOGS_ONLY not in DIALECTS["ntdsbcli"].types


def test_no_dialect_reads_more_at_once_than_servers_bear() -> None:
    assert all(0 < dialect.read_size <= 65536 for dialect in DIALECTS.values())


def test_a_server_error_prints_all_spellings_and_the_meaning() -> None:
    error = ServerError(-560, call="prepare_backup", detail="priv.edb")
    assert str(error) == (
        "prepare_backup failed with JET_errMissingFullBackup, -560, 0xC8000230: "
        "an incremental without a full (priv.edb)"
    )
    assert (error.code, error.jet, error.name) == (codes.MISSING_FULL_BACKUP, -560, "JET_errMissingFullBackup")
    assert isinstance(error, ArchiveError)


def test_a_server_error_has_the_next_step_of_its_code_unless_it_says_one_itself() -> None:
    assert "wait until the other one has ended" in (hint_of(ServerError(-505, call="prepare_backup")) or "")
    assert hint_of(ServerError(-505, call="prepare_backup", hint="other")) == "other"


def test_a_server_error_with_an_unknown_code_has_no_name() -> None:
    error = ServerError(0x80041234, call="read")
    assert error.name is None
    assert "the log of the server" in (hint_of(error) or "")


def test_a_list_is_held_until_it_is_freed() -> None:
    names = NameList.from_bytes(namelist.build_names([(0x21, b"E\0")], wide=True), wide=True)
    held = not names.freed
    names.free()
    assert (held, names.freed) == (True, True)
    assert names.entries[0].token == 0x21


def test_a_list_cannot_be_freed_twice() -> None:
    names = NameList(())
    names.free()
    with pytest.raises(ServerError) as caught:
        names.free()
    assert caught.value.code == codes.INVALID_PARAM
    assert names.freed


@pytest.mark.parametrize("data", [None, b"", b"\0", b"\0\0"])
def test_all_forms_of_an_empty_list_are_empty(data: bytes | None) -> None:
    assert NameList.from_bytes(data, wide=False).entries == ()


def test_a_list_that_is_cut_is_refused() -> None:
    with pytest.raises(LocationListError):
        NameList.from_bytes(b"!name", wide=False)


def test_a_list_of_dynamic_files_has_no_tokens() -> None:
    names = NameList.from_bytes(b"\\\\S\\a.crl\0\0", wide=False, with_tokens=False)
    assert [(entry.token, entry.raw_name) for entry in names.entries] == [(None, b"\\\\S\\a.crl")]
