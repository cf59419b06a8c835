"""How faults are ordered, worded and spelled."""

from __future__ import annotations

import pytest

from tokar import codes
from tokar.sets.by_generation import GenerationRuns
from tokar.sets.facts import LogFacts
from tokar.sets.fault_list import first_of, in_order
from tokar.sets.faults import (
    MOST_LISTED,
    Fault,
    FaultKind,
    Rule,
    Rules,
    Scope,
    Severity,
)


def fault(kind: FaultKind, severity: Severity = Severity.ERROR, **fields: object) -> Fault:
    return Fault(kind=kind, message=kind.value, severity=severity, **fields)  # type: ignore[arg-type] # by name


def test_the_root_cause_comes_first() -> None:
    link, missing = fault(FaultKind.LINK_BROKEN), fault(FaultKind.LOG_MISSING)
    assert in_order([link, missing]) == (missing, link)


def test_what_stops_recovery_comes_before_what_does_not() -> None:
    warning = fault(FaultKind.DATABASE_UNREADABLE, Severity.WARNING)
    loss = fault(FaultKind.COMMITTED_LOG_MISSING, Severity.LOSS)
    error = fault(FaultKind.PAGES_DAMAGED)
    assert in_order([warning, loss, error]) == (error, loss, warning)


def test_lower_generations_come_first() -> None:
    late, early = fault(FaultKind.LOG_MISSING, generations=(9,)), fault(FaultKind.LOG_MISSING, generations=(5,))
    assert in_order([late, early]) == (early, late)


def test_one_fault_of_two_databases_is_told_once() -> None:
    one = fault(FaultKind.LOG_MISSING, databases=("a",), consequences=("x",))
    other = fault(FaultKind.LOG_MISSING, databases=("b",), consequences=("x", "y"))
    (joined,) = in_order([one, other])
    assert (joined.databases, joined.consequences) == (("a", "b"), ("x", "b: y"))


def test_faults_with_other_codes_stay_apart() -> None:
    assert len(in_order([fault(FaultKind.LOG_MISSING, code=-543), fault(FaultKind.LOG_MISSING, code=-557)])) == 2


def test_every_kind_has_a_scope() -> None:
    assert FaultKind.PAGES_DAMAGED.scope is Scope.FILE
    assert FaultKind.LOG_MISSING.scope is Scope.SET
    assert {kind.scope for kind in FaultKind} == set(Scope)


def test_long_lists_are_cut_off() -> None:
    assert len(first_of([range(1, 2**31)])) == MOST_LISTED


def test_logs_are_named_by_their_generations() -> None:
    logs = [LogFacts(name=f"edb{number:05X}.log", size=1, number=0, generation=number) for number in (9, 10, 3, 7)]
    found = Rules.STRAY_LOGS.of_logs(logs)
    assert found.files == ("edb00003.log", "edb00007.log", "edb00009.log", "edb0000A.log")
    assert found.message.startswith("edb00003.log, edb00007.log, edb00009.log, edb0000A.log")


def test_of_very_many_logs_the_first_are_listed_and_all_are_counted() -> None:
    logs = [LogFacts(name=f"edb{at:05X}.log", generation=at) for at in range(1, MOST_LISTED + 10)]
    found = Rules.STRAY_LOGS.of_logs(logs)
    assert (len(found.files), len(found.generations)) == (MOST_LISTED, MOST_LISTED)
    assert f"and {len(logs) - 8:,} more" in found.message


def test_runs_of_generations_are_a_sequence_of_ranges() -> None:
    runs = GenerationRuns([range(3, 3), range(5, 7), range(9, 10)])
    assert [*runs] == runs[:] == [range(5, 7), range(9, 10)]
    assert (len(runs), runs[-1]) == (2, range(9, 10))
    assert [*runs.within(6, 9)] == [range(6, 7)]
    assert not runs.within(7, 9)


def test_a_fault_is_data() -> None:
    value = fault(FaultKind.LOG_MISSING, code=-543, generations=(5,)).to_json()
    assert value["kind"] == "log-missing"
    assert value["severity"] == "error"
    assert value["engine"]["hresult"] == "0xC800021F"


RULES = {name: rule for name, rule in vars(Rules).items() if isinstance(rule, Rule)}


def test_every_kind_has_a_rule() -> None:
    assert {rule.kind for rule in RULES.values()} == set(FaultKind)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_every_rule_says_what_to_do_and_names_known_errors(rule: Rule) -> None:
    assert rule.next_step
    numbers = {rule.code, rule.hard, rule.loss} - {None}
    assert all(codes.find(number) for number in numbers if number)


def test_hard_recovery_and_a_loss_have_errors_of_their_own() -> None:
    rule = Rules.LINK_BROKEN
    assert [rule.fault("b", "a", hard=hard).code for hard in (False, True)] == [-515, -556]
    assert rule.fault("b", "a", severity=Severity.LOSS, hard=True).code == -586
