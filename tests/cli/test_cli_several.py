"""Several in, several out: what is wrong with one hides no other, and the exit code is that of the worst."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from command_line import done, tokar, without_rights
from small_sets import instance, write
from test_cli_json import commands, faults

from tokar import cli
from tokar.errors import ArchiveError, BadMagicError, InputError, StorageError, worst_of

if TYPE_CHECKING:
    from pathlib import Path

# What holds the answers of a verb. A restore, a recovery and a replay take one set or chain, a report makes one page.
SEVERAL = {
    "verify": "archives",
    "check": "archives",
    "keys": "archives",
    "sign": "archives",
    "inspect": "results",
    "chain": "sets",
    "explain": "codes",
}
ONE_SET = {"create", "restore", "recover", "replay", "report", "lab set", "help"}
OPTIONS: dict[str, tuple[str, ...]] = {"sign": ("--key", "nokey")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("several")
    done("create", "-q", made / "good.tokar", write(made / "in", instance()))
    (made / "text.txt").write_text("no archive")
    (made / "cut.tokar").write_bytes((made / "good.tokar").read_bytes()[:-100])
    return made


def answers(folder: Path, verb: str, *given: str) -> tuple[int, Any]:
    before = os.getcwd()  # noqa: PTH109
    os.chdir(folder)
    try:
        result = tokar(verb, "--json", *OPTIONS.get(verb, ()), *given)
    finally:
        os.chdir(before)
    value = result.json()
    assert faults(verb, value) == []
    return result.exit_code, value


def test_every_verb_that_takes_several_is_held() -> None:
    group = cli.VerbGroup(name="tokar")
    every = [pair for verb in cli.VERBS for pair in commands(group.get_command(None, verb), verb)]
    taking = {name for name, one in every if any(each.nargs == -1 for each in one.params)}
    assert taking == {*SEVERAL} | ONE_SET


@pytest.mark.parametrize("verb", [*SEVERAL.keys() - {"sign", "explain"}])
@pytest.mark.parametrize("order", [("good.tokar", "nothing.tokar"), ("nothing.tokar", "good.tokar")])
def test_what_is_not_there_hides_no_other(folder: Path, verb: str, order: tuple[str, str]) -> None:
    code, value = answers(folder, verb, *order)
    assert (code, value["error"]["kind"], value["error"]["path"]) == (1, "storage", "nothing.tokar")
    assert "good.tokar" in str(value[SEVERAL[verb]])


@pytest.mark.parametrize("verb", ["verify", "check", "keys", "inspect"])
@pytest.mark.parametrize(("wrong", "code", "kind"), [("text.txt", 3, "not-an-archive"), ("cut.tokar", 5, "unsealed")])
def test_each_answer_has_its_error_and_all_have_the_worst(
    folder: Path, verb: str, wrong: str, code: int, kind: str
) -> None:
    ended, value = answers(folder, verb, "good.tokar", wrong)
    rows = value[SEVERAL[verb]]
    assert (ended, value["error"]["kind"], len(rows)) == (code, kind, 2)
    assert [row.get("error", {}).get("kind") for row in rows] == [None, kind]
    assert value["error"] == rows[1]["error"]


@pytest.mark.parametrize("verb", ["verify", "check", "keys", "inspect"])
def test_of_one_alone_there_is_an_error_too(folder: Path, verb: str) -> None:
    code, value = answers(folder, verb, "text.txt")
    assert (code, value["error"]["kind"]) == (3, "not-an-archive")


def test_signing_goes_on_with_the_next(folder: Path) -> None:
    code, value = answers(folder, "sign", "nothing.tokar", "text.txt")
    assert (code, [row["error"]["kind"] for row in value["archives"]]) == (1, ["storage", "storage"])


def test_a_word_that_is_no_code_hides_none(folder: Path) -> None:
    code, value = answers(folder, "explain", "nonsense", "-1216")
    assert (code, value["error"]["kind"]) == (2, "usage")
    assert [row.get("name") for row in value["codes"]] == [None, "JET_errAttachedDatabaseMismatch"]


def test_a_folder_without_archives_hides_none(folder: Path) -> None:
    code, value = answers(folder, "verify", "in", "good.tokar")
    assert (code, [row["ok"] for row in value["archives"]]) == (2, [False, True])


def test_the_worst_error_has_the_lowest_code() -> None:
    errors: list[ArchiveError] = [BadMagicError("a"), StorageError("b"), InputError("c")]
    assert (worst_of(errors), worst_of([])) == (errors[1], None)


@pytest.mark.parametrize("order", [("locked", "good.tokar"), ("good.tokar", "locked")])
def test_a_folder_that_cannot_be_listed_hides_none(order: tuple[str, str]) -> None:
    with without_rights() as place:
        done("create", "-q", place / "good.tokar", write(place / "in", instance()))
        (place / "locked").mkdir(mode=0o000)
        code, value = answers(place, "check", *order)
        alone = tokar("check", place / "locked")
    assert (code, value["error"]["kind"], alone.exit_code) == (1, "storage", 1)
    found = {row["path"]: (row.get("error") or {}).get("kind") for row in value["archives"]}
    assert found == {"good.tokar": None, "locked": "storage"}
