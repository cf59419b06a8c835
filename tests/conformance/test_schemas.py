"""The schemas in spec/schema accept what the fixtures call good, refuse what breaks the tables, and name their keys."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import pytest
from conformance_cases import ROOT, Expectation, names, split
from jsonschema import Draft202012Validator

KINDS = {b"HEAD": "head", b"SUMM": "summ", b"PROC": "proc", b"fact": "fact"}
# What a schema cannot say, each with the reason.
BEYOND_A_SCHEMA = {
    "head-2-time-no-date": "the length of a month",
    "head-2-time-no-leap-day": "the length of a month",
    "head-2-profile-line-end": "for Python $ matches before a line end at the end",
    "summ-1-count-too-large": "a bound for a number that is text",
    "summ-1-generations-swapped": "an order between two values",
}
BREAKING = [
    *names("head-2-"),
    *names("enc-1-"),
    *names("summ-1-"),
    *names("proc-1-"),
]
SECTIONS = {"head": "### 6.1 HEAD", "summ": "### 6.2 SUMM", "proc": "### 6.3 PROC", "fact": "## 3. Facts"}


@cache
def schema(name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((ROOT / "spec" / "schema" / f"{name}.json").read_text(encoding="utf-8"))
    return value


def bodies(data: bytes) -> list[tuple[str, bytes]]:
    return [(KINDS[part.kind], bytes(part.body)) for part in split(data) if part.kind in KINDS]


@pytest.mark.parametrize("name", KINDS.values())
def test_a_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))


def test_every_body_of_a_good_fixture_keeps_its_schema() -> None:
    encrypted = names("head-1-encrypted")
    assert encrypted
    for name in (*names("good-"), *names("may-"), *encrypted):
        for kind, body in bodies(Expectation.load(name).data):
            if kind != "fact":
                assert Draft202012Validator(schema(kind)).is_valid(json.loads(body)), name


def test_only_the_facts_that_are_facts_keep_their_schema() -> None:
    valid = set()
    for name in names("good-fact-"):
        body = next(body for kind, body in bodies(Expectation.load(name).data) if kind == "fact")
        try:
            if Draft202012Validator(schema("fact")).is_valid(json.loads(body)):
                valid.add(name)
        except json.JSONDecodeError:
            continue
    assert valid == {
        f"good-fact-{name}" for name in ("chain", "file", "none", "not-canonical", "other-version", "twice", "untrue")
    }


@pytest.mark.parametrize("name", BREAKING)
def test_a_body_that_breaks_its_table_breaks_its_schema(name: str) -> None:
    case = Expectation.load(name)
    assert case.position is not None
    at = int(case.encryption.get("position", case.position))
    length = int.from_bytes(case.data[at + 4 : at + 8], "little")
    kind, body = KINDS[case.data[at : at + 4]], case.data[at + 64 : at + 64 + length]
    assert Draft202012Validator(schema(kind)).is_valid(json.loads(body)) == (name in BEYOND_A_SCHEMA)


def test_what_is_beyond_a_schema_is_a_fixture() -> None:
    assert BEYOND_A_SCHEMA.keys() <= set(BREAKING)


@pytest.mark.parametrize("name", SECTIONS)
def test_a_schema_has_the_keys_of_its_table(name: str) -> None:
    page = ROOT / "spec" / ("registry.md" if name == "fact" else "format.md")
    section = page.read_text(encoding="utf-8").partition(SECTIONS[name])[2].partition("\n### ")[0].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|", section, re.MULTILINE))
    assert set(schema(name)["properties"]) == set(rows)
    assert set(schema(name)["required"]) == {key for key, presence in rows.items() if presence == "required"}


def test_the_schema_of_facts_has_the_keys_of_their_tables() -> None:
    section = (ROOT / "spec" / "registry.md").read_text(encoding="utf-8").partition("## 3. Facts")[2]
    tables = [set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) for table in section.split("\n### ")[1:]]
    defined = schema("fact")["$defs"]
    faults = defined["page_fault"]["properties"].keys() | defined["log_fault"]["properties"].keys()
    assert tables == [
        defined["fact"]["properties"].keys() - {"entry"},
        defined["pages"]["properties"].keys(),
        defined["log"]["properties"].keys(),
        faults,
        defined["chain"]["properties"].keys() - {"entry"},
        defined["off_chain"]["properties"].keys(),
        defined["attached"]["properties"].keys(),
    ]
