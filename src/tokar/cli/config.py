"""`tokar config`: the defaults that the environment sets."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import typer

from tokar import names
from tokar.as_json import as_json as to_json
from tokar.cli import output
from tokar.cli.options import Json
from tokar.cli.shared import variables_of
from tokar.words import some

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_OTHERS: Final = {
    "TOKAR_SIGNERS": "who may sign, where --signed-by names no list",
    "TOKAR_PASSPHRASE": "the passphrase, where --passphrase asks for one",
    "TOKAR_DEBUG": "an unexpected fault is shown in full",
    "NO_COLOR": "no colours",
}


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the environment."""

    name: str  # Its name
    value: str | None  # What it is set to; None where it is not
    option: str | None  # The option whose default it sets
    verbs: tuple[str, ...]  # The verbs that have it
    meaning: str  # What it means


@app.command("config")
def print_config(context: typer.Context, *, as_json: Json = False) -> None:
    """List the variables of the environment that set defaults, and what they are set to.

    TOKAR_NAME counts for every verb that has the option, TOKAR_VERB_NAME for one verb and comes first. An option that
    is given comes before both.

    Example: tokar config
    Example: tokar config --json
    """
    assert context.parent is not None
    rows = list(_variables(context.parent.command))
    known = {one.name for one in rows}
    strange = sorted(one for one in os.environ if one.startswith("TOKAR_") and one not in known)
    if as_json:
        output.as_json({"variables": to_json(rows), "unknown": strange})
        return
    shown = [
        (one.name, names.printable(one.value or ""), one.option or one.meaning, some(one.verbs, 4))
        for one in rows
        if one.value is not None or len(one.verbs) != 1
    ]
    output.table(("variable", "is", "sets", "of"), shown)
    for one in strange:
        output.note(f"{names.printable(one)} is set, and means nothing here")


def _variables(group: Any) -> Iterator[Variable]:
    """Yield all variables: those for every verb first."""
    verbs: dict[str, list[str]] = defaultdict(list)
    options: dict[str, tuple[str, str]] = {}
    for verb in group.list_commands(None):
        for names_, command in _commands(group.get_command(None, verb), verb):
            for one, variables in variables_of(command, *names_):
                for variable in variables:
                    verbs[variable].append(" ".join(names_))
                    options[variable] = max(one.opts, key=len), (one.help or "").partition(".")[0]
    shared = [name for name, found in verbs.items() if len(found) > 1]
    for name in (*sorted(shared), *sorted(set(verbs) - set(shared))):
        option, meaning = options[name]
        yield Variable(name, os.environ.get(name), option, tuple(verbs[name]), meaning)
    for name, meaning in _OTHERS.items():
        value = os.environ.get(name)
        yield Variable(name, "***" if value and name == "TOKAR_PASSPHRASE" else value, None, (), meaning)


def _commands(command: Any, *names_: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield names_, command
    for name, one in (below or {}).items():
        yield from _commands(one, *names_, name)
