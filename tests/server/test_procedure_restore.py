"""The restore side: register, place and complete, in the order of the dialect, whatever happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokar import codes
from tokar.errors import ProcedureError, StorageError
from tokar.server.contract import DIALECTS, BackupType, NoAnswerError, Registration, ServerError
from tokar.server.restore_steps import RestoreProcedure, SetToRestore
from tokar.server.states import OutOfOrderError, RestoreState
from tokar.server.transcript import Transcript
from tokar.testing.scripted_server import CallFault, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable

MAP = ((r"\\S1\D$\a.edb", r"\\S2\D$\a.edb"),)
FULL = SetToRestore("full", BackupType.FULL, Registration("C:\\sys", "C:\\log", MAP, "C:\\log", 5, 7))
FIRST = SetToRestore("first", BackupType.LOGS_ONLY, Registration("C:\\sys", "C:\\log", None, "C:\\log", 8, 9))
SECOND = SetToRestore("second", BackupType.LOGS_ONLY, Registration("C:\\sys", "C:\\log", None, "C:\\log", 10, 12))


def server(profile: str, fault: Callable[[int, str], CallFault | None] | None = None) -> ScriptedServer:
    return ScriptedServer(dialect=DIALECTS[profile], fault=fault)


def begin(server: ScriptedServer) -> RestoreProcedure:
    procedure = RestoreProcedure(server, Transcript(lambda: "now"))
    procedure.prepare(b"token" if server.dialect.has_expiry_token else None)
    return procedure


def at(call: str, fault: CallFault) -> Callable[[int, str], CallFault | None]:
    return lambda _, name: fault if name == call else None


@pytest.mark.parametrize("profile", ["edbbcli", "ntdsbcli"])
def test_exchange_and_the_directory_service_register_first(profile: str) -> None:
    target = server(profile)
    with begin(target) as procedure:
        procedure.restore(FULL, lambda item: target.history.append(f"place {item.label}"))
        procedure.restore(FIRST, lambda item: target.history.append(f"place {item.label}"))
    assert target.history == [
        "restore_prepare",
        "register",
        "place full",
        "register_complete 0x0",
        "register",
        "place first",
        "register_complete 0x0",
        "restore_end",
    ]


def test_the_certification_authority_places_first_set_by_set() -> None:
    target = server("certadm")
    with begin(target) as procedure:
        for item in (FULL, FIRST, SECOND):
            procedure.restore(item, lambda item: target.history.append(f"place {item.label}"))
    one = ["register", "register_complete 0x0"]
    assert target.history == [
        "restore_prepare",
        "place full",
        *one,
        "place first",
        *one,
        "place second",
        *one,
        "restore_end",
    ]
    assert procedure.restored == [FULL, FIRST, SECOND]


def test_a_failure_of_placing_is_passed_to_the_completion() -> None:
    target = server("edbbcli")

    def place(_: SetToRestore) -> None:
        raise StorageError("disk full")

    procedure = begin(target)
    with pytest.raises(StorageError), procedure:
        procedure.restore(FULL, place)
    assert target.completed == [codes.ERROR]
    assert target.history[-2:] == [f"register_complete {codes.ERROR:#x}", "restore_end"]
    assert procedure.state is RestoreState.ENDED


def test_an_interrupt_while_placing_is_passed_on_too() -> None:
    target = server("ntdsbcli")

    def place(_: SetToRestore) -> None:
        raise KeyboardInterrupt

    procedure = begin(target)
    with pytest.raises(KeyboardInterrupt), procedure:
        procedure.restore(FULL, place)
    assert target.completed == [codes.ERROR]


def test_a_failure_of_placing_first_registers_nothing() -> None:
    target = server("certadm")

    def place(_: SetToRestore) -> None:
        raise StorageError("disk full")

    procedure = begin(target)
    with pytest.raises(StorageError), procedure:
        procedure.restore(FULL, place)
    assert target.history == ["restore_prepare", "restore_end"]


def test_a_register_that_is_refused_is_not_completed() -> None:
    target = server("edbbcli", at("register", CallFault.FAIL))
    procedure = begin(target)
    with pytest.raises(ServerError), procedure:
        procedure.restore(FULL, lambda _: None)
    assert target.history == ["restore_prepare", "register", "restore_end"]


@pytest.mark.parametrize("profile", ["edbbcli", "certadm"])
def test_a_register_without_an_answer_counts_as_done(profile: str) -> None:
    target = server(profile, at("register", CallFault.HANG))
    procedure = begin(target)
    with pytest.raises(NoAnswerError), procedure:
        procedure.restore(FULL, lambda _: None)
    assert target.history[-2:] == [f"register_complete {codes.ERROR:#x}", "restore_end"]


def test_a_completion_that_fails_is_tried_as_a_failure() -> None:
    target = server("edbbcli", lambda number, _: CallFault.FAIL if number == 2 else None)
    procedure = begin(target)
    with pytest.raises(ServerError), procedure:
        procedure.restore(FULL, lambda _: None)
    assert target.completed == [codes.COMMUNICATION_ERROR]


def test_after_a_failure_nothing_more_is_restored() -> None:
    target = server("edbbcli", at("register", CallFault.FAIL))
    procedure = begin(target)
    with pytest.raises(ServerError):
        procedure.restore(FULL, lambda _: None)
    with pytest.raises((OutOfOrderError, ProcedureError)):
        procedure.restore(FULL, lambda _: None)
    procedure.end()


def test_logs_do_not_come_before_the_full() -> None:
    procedure = begin(server("edbbcli"))
    with pytest.raises(ProcedureError, match="a full comes first"), procedure:
        procedure.restore(FIRST, lambda _: None)


def test_there_is_one_full() -> None:
    procedure = begin(server("edbbcli"))
    procedure.restore(FULL, lambda _: None)
    with pytest.raises(ProcedureError, match="second full"), procedure:
        procedure.restore(FULL, lambda _: None)


def test_logs_sets_go_in_order() -> None:
    procedure = begin(server("edbbcli"))
    for item in (FULL, SECOND):
        procedure.restore(item, lambda _: None)
    with pytest.raises(ProcedureError, match="sets go in order"), procedure:
        procedure.restore(FIRST, lambda _: None)


def test_the_certification_authority_takes_no_map_with_logs() -> None:
    procedure = begin(server("certadm"))
    procedure.restore(FULL, lambda _: None)
    mapped = SetToRestore("logs", BackupType.LOGS_ONLY, Registration(None, None, MAP, None, 8, 9))
    with pytest.raises(ProcedureError, match="no restore map"), procedure:
        procedure.restore(mapped, lambda _: None)


def test_generations_in_a_wrong_order_are_refused() -> None:
    procedure = begin(server("edbbcli"))
    wrong = SetToRestore("full", BackupType.FULL, Registration("C:\\sys", "C:\\log", MAP, "C:\\log", 9, 5))
    with pytest.raises(ProcedureError, match="wrong order"), procedure:
        procedure.restore(wrong, lambda _: None)


def test_a_service_that_runs_is_refused() -> None:
    target = server("certadm")
    target.online = True
    with pytest.raises(ProcedureError, match="the service runs"):
        begin(target)
    assert target.history == []


def test_the_directory_service_needs_its_expiry_token() -> None:
    target = server("ntdsbcli")
    with pytest.raises(ProcedureError, match="expiry token"):
        RestoreProcedure(target, Transcript(lambda: "now")).prepare()
    assert target.history == []


def test_locations_can_be_asked_for() -> None:
    target = server("edbbcli")
    with begin(target) as procedure:
        assert {entry.token for entry in procedure.locations().entries} == {0x44, 0x82, 0x83}


def test_nothing_is_done_before_prepare() -> None:
    procedure = RestoreProcedure(server("edbbcli"), Transcript(lambda: "now"))
    with pytest.raises((OutOfOrderError, ProcedureError)):
        procedure.restore(FULL, lambda _: None)
    procedure.end()
