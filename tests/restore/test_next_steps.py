"""What follows a restore: kind of recovery, Register arguments, next commands, and what not to run."""

from __future__ import annotations

from typing import Any

import pytest
from chain_sets import database, dirty, streaming

from tokar.ese.database import DatabaseHeader
from tokar.restore.next_steps import Guidance, Places, Recovery, RestoredSet, make_guidance, recovery_of
from tokar.server.contract import DIALECTS
from tokar.sets.facts import DatabaseFacts
from tokar.storage.bytesource import BytesSource

FULL = RestoredSet(label="full", low=5, high=7, has_databases=True)
LATER = RestoredSet(label="later", low=8, high=9, has_databases=False)
PLACES = Places(
    databases=(("C:\\db\\main.edb", "/new/db/main.edb"),),
    log_path="/new/logs",
    checkpoint_path="/new/system",
    backup_log_path="/new/logs",
    base="edb",
)


def facts(data: bytes | bytearray, **fields: Any) -> DatabaseFacts:
    return DatabaseFacts(name="main.edb", header=DatabaseHeader.read(BytesSource(bytes(data))).header, **fields)


def guidance(profile: str = "ese", recovery: Recovery = Recovery.HARD, **options: Any) -> Guidance:
    return make_guidance(
        **{"profile": profile, "recovery": recovery, "sets": (FULL, LATER), "places": PLACES, **options}
    )


def test_a_clean_database_needs_no_recovery() -> None:
    assert recovery_of([facts(database())]) is Recovery.NONE


def test_a_clean_database_with_logs_of_other_sets_is_played_forward() -> None:
    assert recovery_of([facts(database())], more_logs=True) is Recovery.SOFT


def test_one_database_that_was_not_shut_down_is_enough_for_soft_recovery() -> None:
    assert recovery_of([facts(database()), facts(dirty(5, 7))]) is Recovery.SOFT


def test_one_streaming_copy_is_enough_for_hard_recovery() -> None:
    assert recovery_of([facts(database()), facts(streaming(5, 7))]) is Recovery.HARD


def test_a_temporary_database_has_no_say() -> None:
    assert recovery_of([facts(database()), facts(dirty(5, 7), temporary=True)]) is Recovery.NONE


def test_without_a_database_nothing_can_be_said() -> None:
    assert recovery_of([]) is Recovery.NOT_CHECKED


def test_a_database_whose_header_is_unknown_is_not_checked() -> None:
    assert recovery_of([DatabaseFacts(name="x.edb", note="of another format")]) is Recovery.NOT_CHECKED


@pytest.mark.parametrize("profile", ["edbbcli", "ntdsbcli", "certadm", "ese"])
def test_register_gets_the_range_of_each_set_and_the_map_with_the_full_alone(profile: str) -> None:
    first, second = guidance(profile).registrations
    assert (first.low, first.high, first.restore_map) == (5, 7, PLACES.databases)
    assert (second.low, second.high, second.restore_map) == (8, 9, None)
    assert second.to_json()["restore_map_count"] == 0


def test_no_dialect_that_wants_no_map_with_logs_sets_gets_one() -> None:
    assert [name for name, one in DIALECTS.items() if not one.map_with_logs_sets] == ["certadm"]
    assert guidance("certadm").registrations[1].restore_map is None


def test_the_backup_log_path_is_the_log_path_unless_it_is_another() -> None:
    assert guidance(places=Places(log_path="/l")).registrations[0].backup_log_path == "/l"
    assert guidance(places=Places(log_path="/l", backup_log_path="/b")).registrations[0].backup_log_path == "/b"


def test_a_set_without_logs_registers_nothing() -> None:
    found = guidance(sets=(RestoredSet(label="full", low=0, high=0, has_databases=True),))
    assert found.registrations == ()
    assert (found.low, found.high) == (0, 0)


@pytest.mark.parametrize("recovery", [Recovery.NONE, Recovery.SOFT])
def test_nothing_is_registered_where_recovery_is_not_hard(recovery: Recovery) -> None:
    assert guidance(recovery=recovery).registrations == ()


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ("edbbcli", "net start MSExchangeIS"),
        ("ntdsbcli", "restart into normal mode"),
        ("certadm", "net start CertSvc"),
        ("ese", "JetExternalRestore"),
    ],
)
def test_the_next_steps_of_hard_recovery_are_those_of_the_service(profile: str, words: str) -> None:
    assert any(words in step for step in guidance(profile).next_steps)


def test_exchange_and_the_directory_register_first_and_the_authority_places_first() -> None:
    for profile in ("edbbcli", "ntdsbcli"):
        order = next(step for step in guidance(profile).next_steps if "RestoreRegister," in step)
        assert order.index("RestoreRegister,") < order.index("place")
    order = next(step for step in guidance("certadm").next_steps if "CertSrvRestoreRegisterW" in step)
    assert order.index("place") < order.index("CertSrvRestoreRegisterW")


def test_soft_recovery_gets_the_command_with_its_directories() -> None:
    places = Places(databases=(("a", "/my db/main.edb"),), log_path="/logs", checkpoint_path="/system", base="e00")
    assert guidance(recovery=Recovery.SOFT, places=places).next_steps == (
        'esentutl /r e00 /l /logs /s /system /d "/my db"',
    )


def test_soft_recovery_without_known_places_names_none() -> None:
    assert guidance(recovery=Recovery.SOFT, places=Places()).next_steps == ("esentutl /r BASE",)


def test_soft_recovery_of_a_service_is_left_to_it() -> None:
    full = "take a full backup: the sets from before the restore end here"
    for recovery, what in (
        (Recovery.SOFT, "soft recovery runs at its start"),
        (Recovery.NONE, "no recovery is needed"),
    ):
        assert guidance("certadm", recovery).next_steps[-2:] == (f"net start CertSvc: {what}", full)


def test_logs_alone_are_to_be_restored_with_their_full() -> None:
    found = guidance(recovery=Recovery.NOT_CHECKED, sets=(LATER,), places=Places(log_path="/l"))
    assert "tokar restore FULL SET..." in found.next_steps[0]


def test_certutil_registers_by_itself_folder_by_folder_and_the_service_starts_last() -> None:
    found = guidance("certadm", certutil=("D:\\x\\1", "D:\\my x\\2"))
    assert found.registrations == ()
    assert found.next_steps[0].startswith("net stop CertSvc")
    assert found.next_steps[1:3] == ("certutil -f -restoreDB D:\\x\\1", 'certutil -f -restoreDB "D:\\my x\\2"')
    assert found.next_steps[3].startswith("net start CertSvc")


@pytest.mark.parametrize("recovery", list(Recovery))
def test_repair_is_never_to_be_run(recovery: Recovery) -> None:
    assert "esentutl /p" in guidance(recovery=recovery).never[0]


def test_plain_recovery_on_a_streaming_copy_is_named_with_its_error() -> None:
    assert any("-544" in one for one in guidance().never)
    assert not any("-544" in one for one in guidance(recovery=Recovery.SOFT).never)


def test_the_service_must_not_start_between_two_sets() -> None:
    assert any("between the sets" in one for one in guidance().never)
    assert not any("between the sets" in one for one in guidance(sets=(FULL,)).never)


def test_as_json_it_says_the_same() -> None:
    value = guidance(not_checked=("x: y",)).to_json()
    assert value["kind"] == "hard"
    assert value["generations"] == {"low": 5, "high": 9}
    assert value["registrations"][0]["restore_map"] == [{"old": "C:\\db\\main.edb", "new": "/new/db/main.edb"}]
    assert value["not_checked"] == ["x: y"]


@pytest.mark.parametrize("profile", ["edbbcli", "ntdsbcli", "certadm"])
def test_a_database_that_nobody_can_read_is_registered_with_its_service(profile: str) -> None:
    found = guidance(profile, Recovery.NOT_CHECKED, sets=(FULL,))
    assert found.registrations[0].restore_map == PLACES.databases
    assert found.next_steps[0].startswith("esentutl /mh")
    assert found.next_steps[1:] == guidance(profile, Recovery.HARD).next_steps
