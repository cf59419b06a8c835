"""The restore side of the simulated server: what may be registered when, and what a start makes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from engine_by_hand import back_up, decoded, new_story, outcome_of, place, register, server_of, target_for

from tokar import codes, tokens
from tokar.lab.config import load_registration
from tokar.lab.engine import EngineError
from tokar.lab.server import SHARING_VIOLATION, SimulatedServer
from tokar.server.contract import Registration, ServerError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tokar.lab.lab import Lab
    from tokar.server.contract import RestoreContext


def refused(call: Callable[[], object]) -> int:
    with pytest.raises(ServerError) as caught:
        call()
    return caught.value.code


def empty_lab(folder: Path, profile: str = "edbbcli") -> Lab:
    return target_for(new_story(folder / "source", profile, work=0), folder / "target")


def prepared(folder: Path, profile: str = "edbbcli") -> tuple[Lab, RestoreContext]:
    lab = empty_lab(folder, profile)
    return lab, SimulatedServer(lab, running=False).prepare_restore()


def wanted(lab: Lab, low: int = 3, high: int = 9, **changes: Any) -> Registration:
    config = lab.config
    rows = tuple((config.unc(each.path), config.unc(each.path)) for each in config.databases)
    logs = config.unc(config.logs)
    plain = Registration(config.unc(config.system), logs, rows, logs, low, high)
    return replace(plain, **changes)


def test_a_restore_wants_the_service_stopped(tmp_path: Path) -> None:
    server = server_of(new_story(tmp_path))
    assert refused(server.prepare_restore) == SHARING_VIOLATION


def test_one_restore_is_made_at_a_time(tmp_path: Path) -> None:
    server = SimulatedServer(empty_lab(tmp_path), running=False)
    context = server.prepare_restore()
    assert refused(server.prepare_restore) == codes.RESTORE_IN_PROGRESS
    context.end()
    server.prepare_restore().end()


def test_locations_are_given_by_a_stopped_exchange_and_not_by_a_stopped_authority(tmp_path: Path) -> None:
    _, exchange = prepared(tmp_path / "a", "edbbcli")
    listed = exchange.database_locations()
    assert [entry.token for entry in listed.entries] == [0x45, 0x46, tokens.LOG_DIR, tokens.CHECKPOINT_DIR]
    assert decoded(listed.entries[0]) == "\\\\EXCHANGE1\\D$\\exchsrvr\\priv"
    assert not listed.freed
    _, authority = prepared(tmp_path / "b", "certadm")
    assert refused(authority.database_locations) == codes.COULD_NOT_CONNECT


def test_a_second_register_before_complete_is_refused(tmp_path: Path) -> None:
    lab, context = prepared(tmp_path)
    context.register(wanted(lab))
    assert refused(lambda: context.register(wanted(lab))) == codes.RESTORE_IN_PROGRESS


def test_low_log_stays_that_of_the_full_and_high_log_is_that_of_the_last_set(tmp_path: Path) -> None:
    lab, context = prepared(tmp_path)
    for low, high in ((3, 9), (10, 12), (13, 20)):
        context.register(wanted(lab, low, high))
        context.register_complete(0)
    found = load_registration(lab.folder)
    assert found is not None
    assert (found.low_log, found.high_log, found.status) == (3, 20, 0)


def test_another_map_is_refused_while_one_is_registered(tmp_path: Path) -> None:
    lab, context = prepared(tmp_path)
    context.register(wanted(lab))
    context.register_complete(0)
    other = wanted(lab, restore_map=(("\\\\X\\C$\\a.edb", "\\\\X\\C$\\b.edb"),))
    assert refused(lambda: context.register(other)) == codes.RESTORE_MAP_EXISTS


@pytest.mark.parametrize("profile", ["edbbcli", "certadm"])
def test_logs_without_a_full_are_refused(tmp_path: Path, profile: str) -> None:
    lab, context = prepared(tmp_path, profile)
    assert refused(lambda: context.register(wanted(lab, restore_map=None))) == codes.NO_FULL_RESTORE


@pytest.mark.parametrize(
    "changes",
    [{"log_path": None}, {"backup_log_path": None}, {"generation_low": 0}, {"generation_low": 10}],
    ids=["no log path", "no backup log path", "no low log", "low above high"],
)
def test_a_registration_that_makes_no_sense_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    lab, context = prepared(tmp_path)
    assert refused(lambda: context.register(wanted(lab, **changes))) == codes.INVALID_PARAM
    assert load_registration(lab.folder) is None


def test_complete_without_register_is_refused(tmp_path: Path) -> None:
    _, context = prepared(tmp_path)
    assert refused(lambda: context.register_complete(0)) == codes.INVALID_PARAM


def test_the_service_does_not_start_between_register_and_complete(tmp_path: Path) -> None:
    lab, context = prepared(tmp_path)
    context.register(wanted(lab))
    with pytest.raises(EngineError) as caught:
        lab.start()
    assert caught.value.code == -506


def test_after_a_failure_the_service_does_not_start_until_a_valid_restore(tmp_path: Path) -> None:
    story = new_story(tmp_path / "a")
    full = back_up(server_of(story))
    lab = target_for(story, tmp_path / "b")
    context = SimulatedServer(lab, running=False).prepare_restore()
    context.register(wanted(lab, full.low, full.high))
    context.register_complete(codes.from_jet(-1808))
    context.end()
    with pytest.raises(EngineError) as caught:
        lab.start()
    assert caught.value.code == -506
    place(lab, [full])
    register(lab, [full])
    assert outcome_of(lab) == story.expected(full.high)
    assert load_registration(lab.folder) is None


def test_nothing_is_answered_after_end(tmp_path: Path) -> None:
    _, context = prepared(tmp_path)
    context.end()
    assert refused(context.database_locations) == codes.INVALID_HANDLE


def test_without_its_token_a_directory_restore_may_only_ask_for_locations(tmp_path: Path) -> None:
    lab, context = prepared(tmp_path, "ntdsbcli")
    context.database_locations()
    assert refused(lambda: context.register(wanted(lab))) == codes.MISSING_EXPIRY_TOKEN


def test_an_unknown_token_is_refused(tmp_path: Path) -> None:
    server = SimulatedServer(empty_lab(tmp_path, "ntdsbcli"), running=False)
    assert refused(lambda: server.prepare_restore(b"what")) == codes.UNKNOWN_EXPIRY_TOKEN


def test_a_token_older_than_the_tombstones_is_refused(tmp_path: Path) -> None:
    story = new_story(tmp_path, "ntdsbcli", databases=1, work=10)
    full = back_up(server_of(story, busy=1))
    story.lab.stop()
    server = SimulatedServer(story.lab, running=False)
    server.prepare_restore(full.expiry_token).end()
    story.lab.config = replace(story.lab.config, lives=story.lab.config.lives + 61)
    assert refused(lambda: server.prepare_restore(full.expiry_token)) == codes.CONTENTS_EXPIRED
