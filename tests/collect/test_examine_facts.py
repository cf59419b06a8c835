"""The facts of files that are archived while their content goes by, and what in them is damage."""

from __future__ import annotations

import pytest
from backup_files import OTHER_STREAM, STREAM, database_file, log_file, old_log
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

from tokar.collect.examine import ContentExaminer, Findings
from tokar.server.licence import damage_of, fault_text
from tokar.sets.database_verdict import Verdict
from tokar.sets.facts import SetFacts
from tokar.sets.judge import judge_set
from tokar.sets.need import need_of
from tokar.sets.read import SetFile, SetReader

DATABASE, LOG, PATCH = 0x44, 0x21, 0x25


def pass_by(
    reader: SetReader, name: str, content: bytes, token: int, *, step: int = 4096, profile: str = "ese"
) -> None:
    file = SetFile(name=name, size=len(content), token=token, profile=profile)
    examiner = ContentExaminer(Findings(), file, reader)
    for start in range(0, len(content), step):
        examiner(memoryview(content)[start : start + step])
    examiner.finish()


def look(name: str, content: bytes, token: int, *, step: int = 4096, profile: str = "ese") -> SetFacts:
    reader = SetReader(examine=True)
    pass_by(reader, name, content, token, step=step, profile=profile)
    return reader.facts()


def damage(facts: SetFacts) -> list[str]:
    return [fault_text(fault) for fault in damage_of(judge_set(facts))]


def test_a_log_says_generation_stream_and_link() -> None:
    facts = look("edb00005.log", log_file(5), LOG)
    (log,) = facts.logs
    assert (log.generation, log.signature) == (5, STREAM)
    assert log.previous_created != log.created
    assert look("x", log_file(5, stream=OTHER_STREAM), LOG).logs[0].signature == OTHER_STREAM
    assert facts.generations == (5, 5)
    assert damage(facts) == []


def test_a_dirty_database_says_what_it_needs() -> None:
    (database,) = look("a.edb", database_file(5, 7), DATABASE, step=1 << 20).databases
    assert need_of(database).generations == range(5, 8)


def test_a_damaged_page_is_found() -> None:
    content = bytearray(database_file(5, 7))
    content[3 * 4096 + 77] ^= 1
    found = damage(look("a.edb", bytes(content), DATABASE, step=1 << 20))
    assert len(found) == 1
    assert found[0].startswith("a.edb has 1 damaged page: page 2 at 0x3000 (JET_errReadVerifyFailure, -1018")


def test_a_database_that_is_cut_short_is_damage() -> None:
    assert "cut short" in damage(look("a.edb", database_file(5, 7)[:-100], DATABASE, step=1 << 20))[0]


def test_a_log_that_is_cut_short_is_damage() -> None:
    assert "-541" in damage(look("edb00005.log", log_file(5)[:-4096], LOG))[0]


def test_a_log_under_another_number_is_damage() -> None:
    assert "by its header" in damage(look("edb00006.log", log_file(5), LOG))[0]


def test_a_file_that_should_be_a_log_and_is_none_is_damage() -> None:
    assert "cannot be read: no header of an ESE file" in damage(look("edb0000A.log", b"x" * 9000, LOG))[0]


def test_a_file_that_should_be_a_database_and_is_none_is_not_proven() -> None:
    (verdict,) = judge_set(look("a.edb", b"x" * 9000, DATABASE)).databases
    assert (verdict.verdict, "not a database of a known format" in str(verdict)) == (Verdict.NOT_CHECKED, True)


def test_a_log_of_an_old_format_is_taken_as_it_is() -> None:
    facts = look("edb0000A.log", old_log(10), LOG)
    assert (facts.logs[0].generation, facts.logs[0].signature, damage(facts)) == (10, None, [])


@pytest.mark.parametrize(
    ("token", "name", "profile"), [(PATCH, "priv.x", "ese"), (0x28, "a.b", "edbbcli"), (LOG, "a.pat", "ese")]
)
def test_a_patch_file_is_no_log(token: int, name: str, profile: str) -> None:
    facts = look(name, b"x" * 9000, token, profile=profile)
    assert (facts.logs, damage(facts)) == ((), [])
    assert len(facts.patches) == 1


def test_logs_are_sorted_by_value() -> None:
    reader = SetReader()
    for name in ("edb00100000.log", "edbFFFFF.log"):
        pass_by(reader, name, b"x" * 5000, LOG)
    assert [log.name for log in reader.facts().logs] == ["edbFFFFF.log", "edb00100000.log"]


def test_a_set_without_logs_has_no_generations() -> None:
    assert SetFacts().generations is None


@examples(40)
@given(st.binary(max_size=5000), st.integers(1, 255), st.text(min_size=1, max_size=20))
def test_no_content_crashes_it(content: bytes, token: int, name: str) -> None:
    look(name, content, token)
