"""What files say of themselves while they go by."""

from __future__ import annotations

import pytest
from backup_files import OTHER_STREAM, database_file, log_file
from hypothesis import given, settings
from hypothesis import strategies as st

from tokar.collect.setfacts import FileExaminer, SetFacts

DATABASE, LOG, PATCH = 0x44, 0x21, 0x25


def look(name: str, content: bytes, token: int, *, step: int = 4096, profile: str = "ese") -> SetFacts:
    facts = SetFacts()
    examiner = FileExaminer(
        facts, token=token, raw_name=name.encode(), encoding=65001, size=len(content), profile=profile
    )
    for start in range(0, len(content), step):
        examiner(memoryview(content)[start : start + step])
    examiner.finish()
    return facts


def test_a_log_says_generation_stream_and_link() -> None:
    facts = look("edb00005.log", log_file(5), LOG)
    (log,) = facts.logs
    assert log.generation == 5
    assert log.created is not None
    assert log.previous_created != log.created
    assert look("x", log_file(5, stream=OTHER_STREAM), LOG).logs[0].stream != log.stream
    assert facts.generations == {"low": 5, "high": 5}
    assert (facts.damaged, facts.unexamined) == ([], [])


def test_a_dirty_database_says_what_it_needs() -> None:
    (needed,) = look("a.edb", database_file(5, 7), DATABASE, step=1 << 20).needed
    assert (needed.low, needed.high) == (5, 7)


def test_a_damaged_page_is_found() -> None:
    content = bytearray(database_file(5, 7))
    content[3 * 4096 + 77] ^= 1
    assert "1 damaged pages" in look("a.edb", bytes(content), DATABASE, step=1 << 20).damaged[0]


def test_a_database_that_is_cut_short_is_damage() -> None:
    assert "cut short" in look("a.edb", database_file(5, 7)[:-100], DATABASE, step=1 << 20).damaged[0]


def test_a_log_that_is_cut_short_is_damage() -> None:
    assert "-541" in look("edb00005.log", log_file(5)[:-4096], LOG).damaged[0]


def test_a_database_that_is_none_is_damage() -> None:
    assert "not recognised" in look("a.edb", b"x" * 9000, DATABASE).damaged[0]


def test_a_log_of_an_unknown_format_is_taken_by_its_name() -> None:
    (log,) = look("edb0000A.log", b"x" * 9000, LOG).logs
    assert (log.generation, log.stream) == (10, None)


def test_a_log_without_any_generation_is_told() -> None:
    assert "cannot be told" in look("strange.bin", b"x" * 9000, LOG).unexamined[0]


@pytest.mark.parametrize(
    ("token", "name", "profile"), [(PATCH, "priv.x", "ese"), (0x28, "a.b", "edbbcli"), (LOG, "a.pat", "ese")]
)
def test_a_patch_file_is_no_log(token: int, name: str, profile: str) -> None:
    facts = look(name, b"x" * 9000, token, profile=profile)
    assert (facts.logs, facts.unexamined, facts.damaged) == ([], [], [])


def test_logs_are_sorted_by_value() -> None:
    facts = SetFacts()
    for name in ("edb00100000.log", "edbFFFFF.log"):
        facts.logs += look(name, b"x" * 5000, LOG).logs
    assert [log.name for log in facts.sorted_logs] == ["edbFFFFF.log", "edb00100000.log"]


def test_a_set_without_logs_has_no_generations() -> None:
    assert SetFacts().generations is None


@settings(deadline=None, max_examples=40)
@given(st.binary(max_size=5000), st.integers(1, 255), st.text(min_size=1, max_size=20))
def test_no_content_crashes_it(content: bytes, token: int, name: str) -> None:
    look(name, content, token)
