"""Text of the command line as values, without what typer would load for it.

typer hands every argument to pydantic, whose import takes longer than most commands do. Nearly all arguments are text,
a path or a default; these are taken here, and all others, and all refusals, are left to typer. One that works in
another way, as before 0.29, is not meddled with.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any, get_args


def take_directly(command: Any) -> Any:
    """Return a command that takes what needs no conversion as it is, and so do those below it."""
    all_parameters = command.get_params  # with that for help

    def get_params(ctx: Any) -> Any:
        parameters = all_parameters(ctx)
        for one in parameters:
            if hasattr(one, "get_runtime_param") and "get_runtime_param" not in vars(one):
                one.get_runtime_param = _Directly(one).converter
                _say_plainly(one)
        return parameters

    command.get_params = get_params
    for below in getattr(command, "commands", {}).values():
        take_directly(below)
    return command


def _say_plainly(parameter: Any) -> None:
    """Let the help text name an argument by its word alone, and no option by a type of the language."""
    shown = parameter.display_type_rich
    if parameter.param_type_name == "argument":
        word = parameter.metavar or parameter.name.upper()
        word += "..." * (parameter.nargs == -1 and not word.endswith("..."))
        parameter.get_usage_pieces = lambda _: [word if parameter.required else f"[{word}]"]
        parameter.display_type_rich = lambda ctx: ""  # noqa: ARG005 - that is how it is called
    else:
        parameter.display_type_rich = lambda ctx: shown(ctx).replace("list[", "").replace("]>", ">")


class _Directly:
    """What converts the values of one parameter.

    Args:
        parameter: Of typer.
    """

    def __init__(self, parameter: Any) -> None:
        self._converter_of_typer = parameter.get_runtime_param
        annotation = parameter.type_descriptor.annotation
        self._many = parameter.multiple or parameter.nargs == -1
        self._type: Any = next(iter(get_args(annotation)), None) if self._many else annotation
        self._is_choice = isinstance(self._type, type) and issubclass(self._type, StrEnum)

    def converter(self) -> _Directly:
        """Return this, in the place of the converter of typer."""
        return self

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return a value as the type that the command asks for."""
        if value is None:
            return () if self._many else None
        if not self._many and self._is_plain(value):
            return self._plain(value)
        if self._many and isinstance(value, list | tuple) and all(map(self._is_plain, value)):
            return [self._plain(one) for one in value]
        return self._converter_of_typer().coerce(value, param=param, ctx=ctx)

    def _is_plain(self, value: Any) -> bool:
        """Return whether a value is of the type, the text of a choice, or of a path, whoever may read what is there."""
        if self._type is Path and isinstance(value, str):
            return "\0" not in value
        if self._is_choice and value in list(self._type):
            return True
        return isinstance(self._type, type) and isinstance(value, self._type)

    def _plain(self, value: Any) -> Any:
        return self._type(value) if self._type is Path or self._is_choice else value
