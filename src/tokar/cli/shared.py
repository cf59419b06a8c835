"""What every verb takes: options, and defaults from the environment."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from tokar.cli import output
from tokar.cli.progress import ProgressForm

# Options whose defaults the environment may set: how things are done, never what, and nothing that accepts a risk.
_FROM_ENVIRONMENT: Final = {
    *("--annotation", "--auth", "--code-page", "--compress", "--deadline", "--identity", "--log", "--no-examine"),
    *("--profile", "--progress", "--quiet", "--recipient", "--recipients-file", "--sign", "--user", "--verbose"),
}
_app = typer.Typer(add_completion=False, rich_markup_mode=None)


@_app.command()
def _shared(
    *,
    progress: Annotated[
        ProgressForm,
        typer.Option(
            callback=output.choose_progress, help="How progress is shown on standard error.", expose_value=False
        ),
    ] = ProgressForm.BAR,
    log: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            callback=output.log_to,
            help="Add what goes to standard error to a file too, with times and details.",
            expose_value=False,
        ),
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", callback=output.talk, help="Print details too.", expose_value=False),
    ] = False,
) -> None:
    """Take what every verb takes."""


@cache
def _options() -> tuple[Any, ...]:
    return tuple(one for one in typer.main.get_command(_app).params if "--help" not in one.opts)


def with_shared(command: Any, *names: str) -> Any:
    """Return a command, and those below it, with the options that all have and defaults from the environment."""
    below = getattr(command, "commands", None)
    if below is None:
        command.params.extend(map(copy, _options()))
        for one, variables in variables_of(command, *names):
            one.envvar, one.show_envvar = variables, False  # tokar config lists them
    for name, one in (below or {}).items():
        with_shared(one, *names, name)
    return command


def variables_of(command: Any, *names: str) -> Iterator[tuple[Any, list[str]]]:
    """Yield the options of a command that the environment may set, each with its variables, the first one counts."""
    for one in command.params:
        long = next((text for text in one.opts if text in _FROM_ENVIRONMENT), None)
        if long is not None:
            word = long.removeprefix("--")
            yield one, [_variable(*names, word), _variable(word)]


def _variable(*words: str) -> str:
    return "_".join(("tokar", *words)).upper().replace("-", "_")
