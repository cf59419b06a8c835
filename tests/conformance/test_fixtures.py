"""The fixtures themselves: complete, small, made by the code beside them, one for every rule."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

from conformance_cases import FIXTURES, ROOT, Expectation, names

if TYPE_CHECKING:
    from pathlib import Path

ANSWERS = {"sealed", "unsealed", "damaged", "unsupported", "not-an-archive"}
SPECIFICATION = (ROOT / "spec" / "format.md").read_text(encoding="utf-8")
RULES = set(re.findall(r"\*\*([A-Z]+-\d+)\*\*", SPECIFICATION)) - {"CRC-32"}
LIMITS = set(re.findall(r"^\| (LIM-\d) \|", SPECIFICATION, re.MULTILINE))

# Rules that no small archive can break, each with the reason.
WITHOUT_FIXTURE = {
    "ANS-1": "what a reader says first",
    "ANS-2": "what a reader says with an answer",
    "FILE-2": "the length of the body says it, so that REC-7 is broken first",
    "FACT-1": "a duty of writers",
    "FACT-2": "a duty of readers that have the content",
    "ENC-4": "a duty of readers that are given a key: `opens` says so in enc-4-*",
    "ENC-5": "a duty of writers; what it adds is no damage (LOW-1)",
    "LOW-2": "a duty of writers that no reader can see",
    "LIM-1": "needs 2^24 entries; tested with a lower limit",
    "LIM-2": "needs 2^20 chunks; tested with a lower limit",
    "LIM-3": "needs 2^16 records; tested with a lower limit",
    "LIM-4": "needs 2^63 bytes; tested with a lower limit",
    "STATE-2": "a duty of readers",
    "STATE-3": "a duty of readers from the tail",
    "STATE-4": "a duty of readers from the tail; from the front the same faults break SEQ and REC rules",
    **{rule: "a duty of salvage" for rule in RULES if rule.startswith("SALV-")},
}


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        f"{path.parent.name}/{path.name}": path.read_bytes()
        for pattern in ("*/archive.tokar", "*/expect.toml")
        for path in folder.glob(pattern)
    }


def test_the_generator_makes_every_fixture_again_byte_for_byte(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fixtures.generate", "--output", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    made, kept = snapshot(tmp_path), snapshot(FIXTURES)
    assert sorted(made) == sorted(kept)
    assert [name for name in made if made[name] != kept[name]] == []


def test_the_worked_example_of_the_specification_is_the_fixture() -> None:
    code = (
        "import sys; from fixtures.generate import worked_example; "
        "sys.stdout.buffer.write(worked_example(sys.stdin.buffer.read().decode()).encode())"
    )
    made = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, input=SPECIFICATION.encode()
    ).stdout
    assert made.decode() == SPECIFICATION


def test_the_bytes_in_the_worked_example_are_those_of_the_fixture() -> None:
    dump = SPECIFICATION.partition("<!-- worked example")[2]
    lines = re.findall(r"^([0-9a-f]{8})  ((?:[0-9a-f]{2} ?)+)(?: |$)", dump, re.MULTILINE)
    assert b"".join(bytes.fromhex(line) for _, line in lines) == Expectation.load("good-worked-example").data


def test_the_worked_example_gives_every_line_its_position() -> None:
    dump = SPECIFICATION.partition("<!-- worked example")[2]
    lines = re.findall(r"^([0-9a-f]{8})  ((?:[0-9a-f]{2} ?)+)(?: |$)", dump, re.MULTILINE)
    position = 0
    for place, line in lines:
        assert int(place, 16) == position
        position += len(bytes.fromhex(line))


def test_there_are_good_and_bad_fixtures_and_they_are_small() -> None:
    assert len(names("good")) >= 30
    assert len(names()) >= 110
    assert sum(map(len, snapshot(FIXTURES).values())) < 3 << 20


def test_every_fixture_says_in_one_sentence_what_it_shows() -> None:
    for name in names():
        case = Expectation.load(name)
        assert case.answer in ANSWERS, name
        assert re.fullmatch(r"[^\s].{8,140}\.", case.title), name
        assert name.startswith(("good-", "may-")) == (case.answer == "sealed"), name
        assert name.startswith("may-") == bool(case.permitted), name
        rules = {case.rule, case.encryption.get("rule"), *(answer["rule"] for answer in case.permitted)} - {None}
        assert name.startswith("enc-4-") == (not case.opens), name
        assert (
            not case.opens
            or not rules
            or any(name.removeprefix("may-").upper().startswith(f"{rule}-") for rule in rules)
        ), name


def test_every_permitted_answer_is_one_that_a_reader_can_give() -> None:
    for name in names("may-"):
        case = Expectation.load(name)
        for answer in case.permitted:
            assert answer["answer"] in ANSWERS, name
            assert answer["rule"] in RULES, name
            assert 32 <= answer["position"] < len(case.data), name
            assert answer["released"] <= len(case.entries), name


def test_an_encrypted_archive_is_unsupported_without_the_feature() -> None:
    encrypted = [case for case in map(Expectation.load, names()) if case.encryption]
    assert len(encrypted) > 10
    for case in encrypted:
        assert (case.answer, case.rule, case.position, case.entries) == ("unsupported", "HEAD-1", 32, ()), case.name
        assert (case.encryption["answer"] == "sealed") == ("rule" not in case.encryption), case.name


def broken_rules() -> set[str]:
    cases = [Expectation.load(name) for name in names()]
    return {rule for case in cases for rule in (case.rule, case.encryption.get("rule")) if rule}


def test_every_rule_that_an_archive_can_break_has_a_fixture() -> None:
    broken = broken_rules()
    assert (RULES | LIMITS) - broken - WITHOUT_FIXTURE.keys() == set()


def test_no_rule_is_excused_that_has_a_fixture_or_does_not_exist() -> None:
    broken = broken_rules()
    assert WITHOUT_FIXTURE.keys() & broken == set()
    assert WITHOUT_FIXTURE.keys() <= RULES | LIMITS


def test_no_fixture_names_a_rule_that_does_not_exist() -> None:
    for name in names():
        case = Expectation.load(name)
        assert {rule for rule in (case.rule, *case.also, *case.encryption.get("also", ())) if rule} <= RULES, name


def test_no_two_fixtures_are_the_same_archive() -> None:
    seen: dict[bytes, str] = {}
    for name in names():
        data = Expectation.load(name).data
        assert data not in seen, f"{name} is {seen[data]}"
        seen[data] = name
