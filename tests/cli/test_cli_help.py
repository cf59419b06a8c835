"""`tokar help` prints what `--help` prints."""

from __future__ import annotations

import shlex
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import typer
from command_line import done, tokar
from test_cli_json import commands

from tokar import cli

if TYPE_CHECKING:
    from collections.abc import Iterator


@cache
def verbs() -> dict[str, Any]:
    """Every command by its whole name."""
    group = cli.VerbGroup(name="tokar")
    return dict(pair for verb in cli.VERBS for pair in commands(group.get_command(None, verb), verb))


def parsed(line: str) -> str:
    """Take a command line as the command would, and return the name of the command."""
    words = shlex.split(line)
    assert words.pop(0) == "tokar", line
    name = next(one for one in (" ".join(words[:2]), words[0]) if one in verbs())
    with verbs()[name].make_context(name, words[len(name.split()) :], parent=typer.Context(verbs()[name])):
        return name


def examples(name: str) -> Iterator[str]:
    """Yield the examples at the end of a help text."""
    shown = done(*name.split(), "--help").stdout.rstrip().splitlines()
    for line in shown[len(shown) - shown[::-1].index("  Examples:") :]:
        yield line.strip()


def test_every_help_ends_with_two_examples_that_are_taken() -> None:
    found = {name: list(examples(name)) for name in verbs()}
    assert {name: shown for name, shown in found.items() if len(shown) != 2} == {}
    assert {line: name for name, shown in found.items() for line in shown if parsed(line) != name} == {}


@pytest.mark.parametrize("line", ["tokar verify", "tokar verify a --nothing", "tokar inspect a --page x"])
def test_a_line_that_is_not_taken_is_no_example(line: str) -> None:
    with pytest.raises(Exception, match=r"Missing|No such|valid"):
        parsed(line)


@pytest.mark.parametrize("words", [(), ("verify",), ("lab",), ("lab", "new")])
def test_help_is_what_the_option_prints(words: tuple[str, ...]) -> None:
    assert done("help", *words).stdout == done(*words, "--help").stdout


@pytest.mark.parametrize("words", [("nothing",), ("verify", "more"), ("lab", "nothing")])
def test_help_of_nothing_is_refused(words: tuple[str, ...]) -> None:
    result = tokar("help", *words)
    assert (result.exit_code, result.hint) == (2, "tokar help lists the verbs")


@pytest.mark.parametrize(("words", "meant"), [(("retore",), "tokar restore"), (("lab", "nw"), "tokar lab new")])
def test_a_slip_in_a_verb_is_told(words: tuple[str, ...], meant: str) -> None:
    result = tokar("help", *words)
    assert (result.exit_code, result.hint.startswith(f"did you mean: {meant}")) == (2, True)
