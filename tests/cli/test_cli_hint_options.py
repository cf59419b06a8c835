"""Options in hints: whatever verb prints one, it can be typed."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from command_line import done, tokar

from tokar import cli
from tokar.cli import hints

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(cli.__file__).parent.parent
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
OF_OTHERS = {"--help", "--version"}  # which all verbs have, or tokar itself


def commands() -> dict[str, Any]:
    """All verbs, and verbs below verbs, by name."""
    found: dict[str, Any] = {}
    for verb in cli.VERBS:
        command = cli._command(verb)
        found |= {verb: command, **{f"{verb} {name}": one for name, one in getattr(command, "commands", {}).items()}}
    return {name: one for name, one in found.items() if not getattr(one, "commands", None)}


def options_of(command: Any) -> set[str]:
    return {name for one in command.params for name in one.opts} | OF_OTHERS


def texts() -> Iterator[str]:
    """All texts of the sources that name an option: not what says what is wrong, help, or an option alone."""
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        left = {id(one) for node in ast.walk(tree) for one in no_hints_in(node)}
        for node in ast.walk(tree):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            text = "".join(str(one.value) if isinstance(one, ast.Constant) else "X" for one in parts)
            if id(node) not in left and OPTION.search(text) and not OPTION.fullmatch(text.strip()):
                yield text


def no_hints_in(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Expr):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield from node.values
    elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in {"Option", "Argument"}:
        yield from ast.walk(node)
    elif isinstance(node, ast.Call) and getattr(node.func, "id", "").endswith("Error"):
        yield from node.args


def wrong(hint: str, verb: str, known: dict[str, set[str]]) -> list[str]:
    """The options in a hint that cannot be typed, as the verb prints it."""
    hints.begin()
    try:
        hints._AtWork.options = frozenset(known[verb])
        said = hints.typeable(hint)
    finally:
        hints.begin()
    found = []
    for one in OPTION.finditer(said):
        own = known[verb] | known.get(verb.partition(" ")[0], set())
        named = [m.group(1) for m in re.finditer(r"\btokar ([a-z]+)", said[: one.start()])][-1:]
        if one.group() not in own and not any(one.group() in known.get(name, set()) for name in named):
            found.append(one.group())
    return [f"{verb}: {said}"] if found else []


def test_every_option_in_a_hint_can_be_typed_in_the_verb_that_prints_it_or_stands_behind_the_verb_that_has_it() -> None:
    known = {name: options_of(one) for name, one in commands().items()}
    found = [*texts()]
    assert len(found) > 100
    assert [one for text in found for verb in known for one in wrong(text, verb, known)] == []


def test_each_verb_that_is_named_for_an_option_has_it() -> None:
    known = {name: options_of(one) for name, one in commands().items()}
    named = {option for text in texts() for option in OPTION.findall(text)}
    assert [option for option in [*hints._OF, *named] if option not in known[hints.verb_for(option)]] == []


@pytest.mark.parametrize(
    ("hint", "printed"),
    [
        ("name the one to take: --base NAME", "name the one to take: tokar create --base NAME"),
        ("examine it: tokar check --content", "examine it: tokar check --content"),
        ("take --to A, or --into DIR", "take tokar restore --to A, or --into DIR"),
        ("take --content", "take --content"),
    ],
)
def test_an_option_of_another_verb_is_named_with_that_verb(hint: str, printed: str) -> None:
    hints._AtWork.options = frozenset({"--content"})
    try:
        assert hints.typeable(hint) == printed
    finally:
        hints.begin()


@pytest.mark.parametrize(
    ("arguments", "verb"),
    [
        (("restore",), "restore"),
        (("verify", "a", "b", "--root", "00"), "verify"),
        (("inspect", "x", "--page", "3"), "inspect"),
        (("lab", "set", "{}", "--busy", "-1"), "lab set"),
    ],
)
def test_the_verb_at_work_is_named_where_its_help_is_the_next_step(
    arguments: tuple[str, ...], verb: str, tmp_path: Path
) -> None:
    done("lab", "new", tmp_path / "lab")
    result = tokar(*(one.format(tmp_path / "lab") for one in arguments))
    assert result.exit_code == 2
    assert f"tokar {verb} --help shows" in (result.hint or "")
    assert tokar(*verb.split(), "--help").exit_code == 0


def test_a_folder_with_two_log_streams_says_which_verb_takes_one_of_them(tmp_path: Path) -> None:
    for name in ("edb00001.log", "SRU00001.log"):
        (tmp_path / name).write_bytes(bytes(4096))
    for verb in ("check", "chain"):
        said = tokar(verb, tmp_path)
        assert "--base" not in said.stderr or "tokar create --base" in said.stderr, said.stderr
    assert "name the one to take: --base NAME" in tokar("create", tmp_path / "x.tokar", tmp_path).stderr
