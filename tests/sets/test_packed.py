"""The facts of a log are kept in little room, and are what they were."""

from __future__ import annotations

import sys
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recovery_sets import STREAM, moment

from tokar.ese.content_facts import LogFault, LogFaultKind, LogReport
from tokar.sets.facts import AttachedDatabase, LogFacts

REPORT = LogReport(unit="segments", valid=3, end=12288, segments_xor=7, expected_size=24576, size=24576)
ATTACHED = (AttachedDatabase(r"C:\main.edb", STREAM),)
WHOLE: dict[str, Any] = {
    "name": "edb00005.log",
    "size": 24576,
    "number": 4,
    "digest": bytes(range(32)),
    "generation": 5,
    "named_generation": 5,
    "base": "edb",
    "signature": STREAM,
    "created": moment(5),
    "previous_created": moment(4),
    "reached": 9,
    "reached_by": "edb00006.log",
    "previous_segments_xor": 1 << 63,
    "attached": ATTACHED,
    "content": REPORT,
}


def test_what_is_kept_is_what_was_given() -> None:
    log = LogFacts(**WHOLE)
    assert {name: getattr(log, name) for name in WHOLE} == WHOLE
    assert (log.damaged, log.note, log.leaf, log.has_engine_name) == (False, "", "edb00005.log", True)


def test_it_takes_little_room() -> None:
    log = LogFacts(**WHOLE)
    assert sys.getsizeof(log) + sys.getsizeof(log.own) < 230  # type: ignore[attr-defined] # how it is kept


@pytest.mark.parametrize("named", [5, 6, 100_005, 0x7FFF_FFFF])
def test_a_log_that_is_named_as_another_takes_little_room_too(named: int) -> None:
    log = LogFacts(**{**WHOLE, "name": f"edb{named:08x}.log", "named_generation": named})
    assert log.named_generation == named
    assert 0 < len(log.own) < 200  # type: ignore[attr-defined] # packed, as above; nothing is where it is not


NAMES = ("edb0000A.log", "EDB0000000A.LOG", "x/edb0000a.jtx", "edb.log", "edb0000B.log", "edb0000A.verylong", "0000A")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("by", [*NAMES, "edb0000000B.LOG", "x/edb0000b.jtx", ""])
def test_a_name_is_kept_as_it_is_however_its_number_is_spelled(name: str, by: str) -> None:
    log = LogFacts(**{**WHOLE, "name": name, "reached_by": by, "generation": 10, "named_generation": 11})
    assert (log.name, log.reached_by, log.named_generation, log.content) == (name, by, 11, REPORT)


def test_those_that_are_alike_share_what_is_alike() -> None:
    later = {"name": "edb00006.log", "generation": 6, "named_generation": 6, "reached_by": "edb00007.log"}
    one, other = LogFacts(**WHOLE), LogFacts(**{**WHOLE, **later})
    assert one.shared is other.shared  # type: ignore[attr-defined] # how it is kept


DAMAGED = replace(
    REPORT,
    bad=2,
    stale=1,
    faults=(LogFault(LogFaultKind.LOST, 8192, 1), LogFault(LogFaultKind.BAD, 12288, bits=(3, 70_000))),
)
WRONG: dict[str, Any] = {**WHOLE, "note": "its checksum is 0x1", "content": DAMAGED}


def test_what_is_wrong_with_a_log_is_kept_with_what_differs_from_log_to_log() -> None:
    log = LogFacts(**WRONG)
    assert (log.note, log.content, log.name) == (WRONG["note"], DAMAGED, WRONG["name"])
    assert log.shared is LogFacts(**WHOLE).shared  # type: ignore[attr-defined] # how it is kept


@pytest.mark.parametrize("fault", [LogFault(LogFaultKind.BAD, 1 << 40), LogFault(LogFaultKind.BAD, 1, -1)])
def test_a_fault_at_a_place_that_no_log_has_is_kept_as_it_is(fault: LogFault) -> None:
    content = replace(REPORT, bad=1, faults=(fault,))
    assert LogFacts(**{**WHOLE, "content": content}).content == content


ODD: dict[str, Any] = {
    "name": st.text(max_size=9),
    "size": st.integers(-1, 1 << 70),
    "number": st.none() | st.integers(-1, 1 << 40),
    "digest": st.none() | st.binary(min_size=32, max_size=32),
    "generation": st.none() | st.integers(-(1 << 40), 1 << 40),
    "named_generation": st.none() | st.integers(-1, 1 << 33),
    "created": st.integers(0, 99).map(moment),
    "reached": st.integers(0, 1 << 40),
    "reached_by": st.text(max_size=9),
    "note": st.text(max_size=9),
    "signature": st.none() | st.just(STREAM),
    "previous_segments_xor": st.none() | st.integers(0, (1 << 64) - 1),
    "content": st.none()
    | st.builds(
        LogReport,
        unit=st.just("ranges"),
        valid=st.integers(0, 1 << 33),
        segments_xor=st.none() | st.integers(0, (1 << 64) - 1),
        expected_size=st.integers(0, 1 << 40),
        size=st.integers(0, 1 << 40),
        bad=st.integers(0, 9),
        faults=st.just((LogFault(LogFaultKind.BAD, 4096),)),
    ),
}


@given(st.fixed_dictionaries({"name": ODD.pop("name")}, optional=ODD))
def test_values_that_do_not_fit_are_kept_as_they_are(values: dict[str, Any]) -> None:
    log, twin = LogFacts(**values), LogFacts(**values)
    assert {name: getattr(log, name) for name in values} == values
    assert (log, hash(log), replace(log)) == (twin, hash(twin), twin)


@pytest.mark.parametrize("field", [one.name for one in fields(LogFacts)])
def test_another_value_makes_another_log(field: str) -> None:
    log = LogFacts(**WHOLE)
    other = {str: "x", int: 77, bool: True, bytes: bytes(32), type(None): "x"}.get(type(getattr(log, field)))
    changed: dict[str, Any] = {field: other}
    assert replace(log, **changed) != log


@pytest.mark.parametrize("values", [{}, {"name": "edb.log", "gone": 1}], ids=["no name", "no such field"])
def test_what_no_log_has_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        LogFacts(**values)


def test_nothing_of_it_changes() -> None:
    with pytest.raises(AttributeError):
        LogFacts(**WHOLE).name = "other"  # type: ignore[misc] # that is what is tried
