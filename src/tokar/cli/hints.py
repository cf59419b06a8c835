"""Hints that can be typed: an option that the verb at work does not have is named with the verb that has it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

_OF: Final = {
    **dict.fromkeys(("--all", "--base", "--compress", "--force", "--recipient", "--sign", "--with-key"), "create"),
    **dict.fromkeys(("--accept-damage", "--after", "--deadline", "--or-full", "--trace"), "backup"),
    **dict.fromkeys(("--password-env", "--password-fd", "--recipients-file", "--truncate", "--type"), "backup"),
    **dict.fromkeys(("--b3sums", "--entries", "--headers", "--page", "--pages", "--records", "--sums"), "inspect"),
    **dict.fromkeys(("--content", "--rehearse", "--replay"), "check"),
    **dict.fromkeys(("--embed", "--key"), "sign"),
    "--list": "probe",
    "--out": "recover",
    "--output": "extract",
    "--partial": "salvage",
    "--remove": "clean",
    "--root": "verify",
    "--user": "backup",
}
"""The verb that is named for an option; `restore` for all others."""
_OPTION: Final = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
_ENDS: Final = re.compile("[;:]")  # What is said of one verb
_VERB: Final = re.compile(r"\btokar ([a-z]+)\b")
_EVERYWHERE: Final = {"--help"}
"""What every verb takes, though it is none of its parameters."""


class _AtWork:
    """The verb that was asked for."""

    verb: str = ""  # As it is typed, with what it is a part of: `lab new`; empty as long as that is not known
    options: frozenset[str] | None = None  # What it takes; None as long as that is not known


def begin(verb: str = "", parameters: Iterable[Any] | None = None) -> None:
    """Begin a command, with its verb and the parameters of that as soon as these are known."""
    known = None if parameters is None else frozenset(name for one in parameters for name in one.opts)
    _AtWork.verb, _AtWork.options = verb, None if known is None else known | _EVERYWHERE


def verb_for(option: str) -> str:
    """Return the verb that is named for an option that another one does not have."""
    return _OF.get(option, "restore")


def typeable(hint: str) -> str:
    """Return a hint that can be typed.

    Each option is one of the verb at work, or stands behind the verb that has it; `VERB` is the verb at work.
    """
    known = _AtWork.options
    hint = hint.replace("tokar VERB", f"tokar {_AtWork.verb}") if _AtWork.verb else hint
    if known is None or "--" not in hint:
        return hint
    named, parts, at = "", list[str](), 0
    for found in _OPTION.finditer(hint):
        option, between = found.group(), hint[at : found.start()]
        named = "" if _ENDS.search(between) else named
        named = next((one.group(1) for one in [*_VERB.finditer(_ENDS.split(between)[-1])][-1:]), named)
        if option not in known and not named:
            named = verb_for(option)
            between += f"tokar {named} "
        parts += [between, option]
        at = found.end()
    return "".join([*parts, hint[at:]])
