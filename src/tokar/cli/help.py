"""`tokar help`: what a verb does and takes."""

from __future__ import annotations

from typing import Annotated

import typer

from tokar.cli import output
from tokar.cli.options import Json
from tokar.cli.shared import no_such_command

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("help")
def print_help(
    context: typer.Context,
    verb: Annotated[list[str] | None, typer.Argument(metavar="VERB", help="A verb; all of them by default.")] = None,
    *,
    as_json: Json = False,
) -> None:
    """Print what tokar, or a verb, does and takes: as --help.

    Example: tokar help
    Example: tokar help lab new
    """
    above = context.parent
    assert above is not None
    command, shown = above.command, above
    for word in verb or ():
        found = getattr(command, "get_command", lambda *_: None)(shown, word)
        if found is None:
            raise no_such_command(
                word, *getattr(command, "list_commands", lambda _: ())(shown), before=shown.command_path
            )
        command, shown = found, type(context)(found, info_name=word, parent=shown)
    text = command.get_help(shown)
    if as_json:
        below = list(getattr(command, "list_commands", lambda _: ())(shown))
        output.as_json({"command": shown.command_path, "commands": below, "text": text})
    else:
        output.write(text + "\n")
