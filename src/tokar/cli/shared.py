"""What every verb takes: options, and defaults from the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from functools import cache, partial
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from tokar.cli import hints, output
from tokar.cli.progress import ProgressForm
from tokar.errors import InputError, StorageError

# Options whose defaults the environment may set: how things are done, never what, and nothing that accepts a risk.
_FROM_ENVIRONMENT: Final = {
    *("--annotation", "--auth", "--code-page", "--compress", "--deadline", "--identity", "--log", "--no-examine"),
    *("--profile", "--progress", "--quiet", "--recipient", "--recipients-file", "--sign", "--user", "--verbose"),
}
_EXAMPLE: Final = "Example: "
_LOG: Final = "tokar.log"  # the key in the context of a verb
_ALWAYS_WORK: Final = {"config", "help"}  # they say what the environment sets, and what it may be: it never stops them
_app = typer.Typer(add_completion=False, rich_markup_mode=None)


def _keep_log(context: typer.Context, path: Path | None) -> None:
    """Keep where the log goes until all is read: only then is it known what else the command writes and reads."""
    context.meta[_LOG] = path


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
            callback=_keep_log,
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
def shared_options() -> tuple[Any, ...]:
    """Return the options that every verb takes."""
    return tuple(one for one in typer.main.get_command(_app).params if "--help" not in one.opts)


def with_shared(command: Any, *names: str) -> Any:
    """Return a command, and those below it, with the options that all have and defaults from the environment."""
    below = getattr(command, "commands", None)
    if below is None:
        _examples_last(command)
        command.params.extend(map(copy, shared_options()))
        for one, variables in variables_of(command, *names):
            one.envvar, one.show_envvar = variables, False  # tokar config lists them
        command.invoke = partial(_invoked, command.invoke)
    for name, one in (below or {}).items():
        with_shared(one, *names, name)
    return command


def _invoked(run: Callable[[Any], Any], context: Any) -> Any:
    """Run a command with its log; name the variables of the environment that an error may come from."""
    hints.begin(context.command_path.partition(" ")[2], context.command.params)
    if _only_looks(context):
        output.only_look()
    try:
        log = context.meta.get(_LOG)
        if log is not None:
            _demand_apart(log, context.params.values())
            output.log_to(log)
        return run(context)
    except (InputError, StorageError) as error:
        if told := [*_from_environment(error, context)]:
            error.add_note(f"set in the environment: {', '.join(told)}")
        raise


def _only_looks(context: Any) -> bool:
    """Return whether a verb that changes things, most of the time, changes nothing as it was called."""
    is_listing = context.info_name == "clean" and not context.params["remove"]
    return is_listing or context.info_name == "show" or bool(context.params.get("dry_run"))


def _demand_apart(log: Path, values: Iterable[Any]) -> None:
    """Check that a log is no file that the command writes or reads, nor what it writes beside an archive.

    Raises:
        InputError: It is one.
    """
    from tokar.sets.receipt import RECEIPT_SUFFIX  # noqa: PLC0415 - start-up time: few ask for a log
    from tokar.trust.signatures import SUFFIX  # noqa: PLC0415

    for value in values:
        for one in value if isinstance(value, list | tuple) else [value]:
            beside = ("", RECEIPT_SUFFIX, SUFFIX) if isinstance(one, str | Path) and str(one) else ()
            if any(os.path.realpath(f"{one}{suffix}") == os.path.realpath(log) for suffix in beside):
                raise InputError("the command has another use for this file", path=log, hint="name another with --log")


def _from_environment(error: InputError | StorageError, context: Any) -> Iterator[str]:
    """Yield the variables that an error may come from: all for one of usage, else those that name its file."""
    for one in context.command.params:
        source = context.get_parameter_source(one.name)
        if source is not None and source.name == "ENVIRONMENT" and one.envvar:
            name = next(each for each in one.envvar if os.environ.get(each))
            if isinstance(error, InputError) or str(error.path) in os.environ[name]:
                yield name


def _examples_last(command: Any) -> None:
    """Let the help text end with the examples, which stand behind all that is long in it."""
    lines = cleandoc(command.help or "").splitlines()
    command.examples = tuple(one.removeprefix(_EXAMPLE) for one in lines if one.startswith(_EXAMPLE))
    command.help = "\n".join(one for one in lines if not one.startswith(_EXAMPLE)).strip()
    command.epilog = "\n".join(("\b", "Examples:", *(f"  {one}" for one in command.examples)))


def variables_of(command: Any, *names: str) -> Iterator[tuple[Any, list[str]]]:
    """Yield the options of a command that the environment may set, each with its variables, the first one counts."""
    for one in command.params if names[0] not in _ALWAYS_WORK else ():
        long = next((text for text in one.opts if text in _FROM_ENVIRONMENT), None)
        if long is not None:
            word = long.removeprefix("--")
            yield one, [_variable(*names, word), _variable(word)]


def _variable(*words: str) -> str:
    return "_".join(("tokar", *words)).upper().replace("-", "_")


def no_such_command(word: str, *known: str, before: str = "tokar") -> InputError:
    """Return the error for a word that is no command, with those that look like it."""
    from difflib import get_close_matches  # noqa: PLC0415 - start-up time

    alike = get_close_matches(word.lower(), known, n=2)
    meant = " or ".join(f"{before} {one}" for one in alike)
    return InputError(
        f"no such command {word!r}", hint=f"did you mean: {meant}" if alike else "tokar help lists the verbs"
    )


def set_by(error: Any) -> str | None:
    """Return the variable of the environment that a refused value came from; None where none set it."""
    option, context = getattr(error, "param", None), getattr(error, "ctx", None)
    if option is None or context is None:
        return None
    source = context.get_parameter_source(option.name)
    variables = option.envvar if isinstance(option.envvar, list) else ()
    given = (one for one in variables if os.environ.get(one))
    return next(given, None) if source is not None and source.name == "ENVIRONMENT" else None
