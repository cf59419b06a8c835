"""The contract for scripts: every JSON value keeps its schema, every verb has one, and the page is made from them."""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import json_story
import pytest
from command_line import tokar
from docs.__main__ import SCHEMAS
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tokar import cli
from tokar.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[ T]")
ISO_8601 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z?")


@cache
def schema(name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    return value


@cache
def validator(verb: str) -> Draft202012Validator:
    registry: Registry[Any] = Registry().with_resource("common.json", Resource.from_contents(schema("common")))
    return Draft202012Validator(schema(verb), registry=registry)


def faults(verb: str, value: object) -> list[str]:
    """What in a value is not as its schema says."""
    found = validator(verb).iter_errors(value)
    return [f"{verb}: {'.'.join(map(str, one.absolute_path))}: {one.message[:200]}" for one in found]


def commands(command: Any, *names: str) -> Iterator[tuple[str, Any]]:
    """Every command with its whole name."""
    below = getattr(command, "commands", None)
    if below is None:
        yield " ".join(names), command
    for name, one in (below or {}).items():
        yield from commands(one, *names, name)


def moments(value: object) -> Iterator[str]:
    """Every text that begins like a date."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from moments(one)
    elif isinstance(value, str) and MOMENT.match(value):
        yield value


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[str, list[str], Any]]]:
    folder, before = tmp_path_factory.mktemp("story"), Path.cwd()
    os.chdir(folder)
    try:
        yield list(json_story.run(folder))
    finally:
        os.chdir(before)


@pytest.mark.slow
def test_every_value_keeps_its_schema_and_names_it(told: list[tuple[str, list[str], Any]]) -> None:
    assert not [fault for verb, _, value in told for fault in faults(verb, value)]
    assert {value["schema"] for _, _, value in told} == {f"tokar/{verb}/1" for verb in cli.VERBS}


@pytest.mark.slow
def test_every_time_is_iso_8601(told: list[tuple[str, list[str], Any]]) -> None:
    found = [one for _, _, value in told for one in moments(value)]
    assert found
    assert [one for one in found if not ISO_8601.fullmatch(one)] == []


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_a_schema_and_takes_json(verb: str) -> None:
    Draft202012Validator.check_schema(schema(verb))
    assert schema(verb)["properties"]["schema"] == {"const": f"tokar/{verb}/1"}
    for name, command in commands(cli.VerbGroup(name="tokar").get_command(None, verb), verb):
        assert any("--json" in one.opts for one in command.params), name


def test_no_schema_is_of_no_verb() -> None:
    assert {path.stem for path in SCHEMAS.glob("*.json")} == {*cli.VERBS, "common"}


def test_every_kind_of_error_is_listed() -> None:
    def kinds(error: type[ArchiveError]) -> Iterator[str]:
        if error.__module__.startswith("tokar."):
            yield error.word
        for one in error.__subclasses__():
            yield from kinds(one)

    listed = schema("common")["$defs"]["error"]["properties"]["kind"]["enum"]
    assert set(kinds(ArchiveError)) <= set(listed)
    assert listed == sorted(listed)


@pytest.mark.parametrize("arguments", [("nothing", "--json"), ("--nothing", "--json")])
def test_before_a_verb_is_known_there_is_an_error_alone(arguments: tuple[str, ...]) -> None:
    result = tokar(*arguments)
    assert (result.exit_code, result.json()["schema"]) == (2, "tokar/error/1")


def test_a_schema_refuses_what_it_does_not_list() -> None:
    assert faults("demo", {"schema": "tokar/demo/1", "archives": [], "records": 1, "equal": True}) == []
    assert faults("demo", {"schema": "tokar/demo/1", "archives": [], "records": 1, "equal": True, "x": 1})
    assert faults("demo", {"schema": "tokar/demo/2", "archives": [], "records": 1, "equal": True})
    assert faults("demo", {"schema": "tokar/demo/1"})


def test_what_is_redacted_is_a_value_or_text(tmp_path: Path) -> None:
    value, text = tmp_path / "a.json", tmp_path / "b.txt"
    value.write_text('{"host": "ca1.example.com", "size": 5}')
    text.write_text("on ca1.example.com\n")
    assert tokar("redact", "--json", value).json()["report"] == {"host": "host-1", "size": 5}
    assert tokar("redact", "--json", text, "--name", "ca1.example.com").json()["report"] is None
    assert "ca1" not in tokar("redact", "--json", text, "--name", "ca1.example.com").stdout
