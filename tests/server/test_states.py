"""Every pair of state and event: in the table, or refused with an error that names both."""

from __future__ import annotations

from itertools import product

import pytest
from sweeps import each

from tokar.server.states import (
    BACKUP,
    RESTORE,
    BackupEvent,
    BackupState,
    Machine,
    OutOfOrderError,
    RestoreEvent,
    RestoreState,
)

B, R = BackupState, RestoreState


@each(list(product(BackupState, BackupEvent)))
def test_every_pair_of_a_backup_leads_on_or_is_refused(state: BackupState, event: BackupEvent) -> None:
    machine: Machine[BackupState, BackupEvent] = Machine(BACKUP, state)
    following = BACKUP.get((state, event))
    assert machine.allows(event) is (following is not None)
    if following is not None:
        machine.fire(event)
        assert machine.state is following
    else:
        with pytest.raises(OutOfOrderError, match=f"{event} is not allowed in the state {state}") as caught:
            machine.fire(event)
        assert (caught.value.state, caught.value.event) == (state, event)
        assert caught.value.exit_code == 7
        assert machine.state is state


@each(list(product(RestoreState, RestoreEvent)))
def test_every_pair_of_a_restore_leads_on_or_is_refused(state: RestoreState, event: RestoreEvent) -> None:
    machine: Machine[RestoreState, RestoreEvent] = Machine(RESTORE, state)
    following = RESTORE.get((state, event))
    if following is not None:
        machine.fire(event)
        assert machine.state is following
    else:
        with pytest.raises(OutOfOrderError, match=f"{event} is not allowed in the state {state}"):
            machine.demand(event)
        assert machine.state is state


def test_truncation_follows_nothing_but_the_seal() -> None:
    assert [state for state, event in BACKUP if event is BackupEvent.TRUNCATE] == [B.SEALED]


def test_the_seal_follows_nothing_but_the_end_of_the_logs() -> None:
    assert [state for state, event in BACKUP if event is BackupEvent.SEAL] == [B.LOGS_DONE]


def test_logs_are_listed_only_after_all_databases_or_without_any() -> None:
    states = {state for state, event in BACKUP if event is BackupEvent.GET_BACKUP_LOGS}
    assert states == {B.DATABASES_DONE, B.PREPARED_LOGS}


def test_database_names_are_listed_in_a_full_only() -> None:
    assert [state for state, event in BACKUP if event is BackupEvent.GET_DATABASE_NAMES] == [B.PREPARED_FULL]


def test_success_is_never_said_before_the_seal() -> None:
    states = {state for state, event in BACKUP if event is BackupEvent.END_SUCCESS}
    assert states == {B.SEALED, B.TRUNCATED, B.NOT_TRUNCATED}


def _reachable(table: dict[object, set[object]], start: object) -> set[object]:
    seen, todo = {start}, [start]
    while todo:
        for following in table.get(todo.pop(), set()) - seen:
            seen.add(following)
            todo.append(following)
    return seen


@pytest.mark.parametrize("state", [state for state in B if state not in {B.IDLE, B.ENDED}])
def test_a_backup_can_be_ended_from_every_state(state: BackupState) -> None:
    graph: dict[object, set[object]] = {}
    for (one, _), other in BACKUP.items():
        graph.setdefault(one, set()).add(other)
    assert B.ENDED in _reachable(graph, state)


@pytest.mark.parametrize("state", [state for state in R if state not in {R.IDLE, R.ENDED}])
def test_a_restore_can_be_ended_from_every_state(state: RestoreState) -> None:
    graph: dict[object, set[object]] = {}
    for (one, _), other in RESTORE.items():
        graph.setdefault(one, set()).add(other)
    assert R.ENDED in _reachable(graph, state)


def test_a_restore_never_ends_while_something_is_registered() -> None:
    registered = {R.REGISTERED, R.REGISTERED_THEN_PLACED, R.PLACED_THEN_REGISTERED, R.FAILED_REGISTERED}
    assert not {state for state, event in RESTORE if event is RestoreEvent.END} & registered


def test_nothing_follows_the_end() -> None:
    assert not [pair for pair in BACKUP if pair[0] is B.ENDED]
    assert not [pair for pair in RESTORE if pair[0] is R.ENDED]
