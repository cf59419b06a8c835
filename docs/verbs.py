"""What the command line takes, read from the command line itself: for the reference and for the man pages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any

import typer.main

from tokar import cli
from tokar.cli.shared import shared_options


@dataclass(frozen=True, slots=True)
class Verb:
    """A command, or the program itself."""

    words: tuple[str, ...]  # Such as tokar, lab, new
    usage: str  # In one line
    text: tuple[str, ...]  # Paragraphs, without the examples
    examples: tuple[str, ...]  # Command lines
    arguments: tuple[tuple[str, str], ...]  # The word, and what it is
    options: tuple[tuple[str, str], ...]  # Of its own
    shared: tuple[tuple[str, str], ...]  # That every verb has
    below: tuple[Verb, ...]  # The commands of a group

    @property
    def name(self) -> str:
        """The words that call it."""
        return " ".join(self.words)

    @property
    def line(self) -> str:
        """What it does, in one line without a full stop."""
        known = cli.VERBS.get(" ".join(self.words[1:]), "")
        return (known or self.text[0]).rstrip(".")


def program() -> Verb:
    """Return the program with all its verbs."""
    command: Any = typer.main.get_command(cli.app)
    return _verb(command, None)


def _verb(command: Any, above: Any, word: str = "tokar") -> Verb:
    settings = {} if above else command.context_settings
    context = typer.Context(command, info_name=word, parent=above, **settings)
    rows: dict[str, list[tuple[str, str]]] = {"argument": [], "option": [], "shared": []}
    for one in command.get_params(context):
        row = one.get_help_record(context)
        if row is not None:
            rows["shared" if _is_shared(one) else one.param_type_name].append((row[0], " ".join(row[1].split())))
    return Verb(
        words=tuple(context.command_path.split()),
        usage=f"{context.command_path} {' '.join(command.collect_usage_pieces(context))}",
        text=tuple(" ".join(one.split()) for one in cleandoc(command.help or "").split("\n\n")),
        examples=getattr(command, "examples", ()),
        arguments=tuple(rows["argument"]),
        options=tuple(rows["option"]),
        shared=tuple(rows["shared"]),
        below=tuple(_below(command, context)),
    )


def _below(command: Any, context: Any) -> Iterator[Verb]:
    for word in getattr(command, "list_commands", lambda _: ())(context):
        yield _verb(command.get_command(context, word), context, word)


def _is_shared(option: Any) -> bool:
    return bool({*option.opts} & {"--help", "--json", *_shared_names()})


def _shared_names() -> set[str]:
    return {name for one in shared_options() for name in one.opts}
