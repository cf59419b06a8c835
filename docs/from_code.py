"""The pages of the reference that are made from the code."""

from __future__ import annotations

import html
import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from typer.testing import CliRunner

import tokar
from docs.verbs import Verb
from tokar import cli, codes
from tokar.errors import ArchiveError
from tokar.sets.faults import FaultKind, Rule, Rules

_CODE: Final = re.compile(r"(\d+) ([^,.]+)")
_MANY: Final = 20  # verbs that need not be listed
_COMMANDS: Final = """# Commands

Made from the program. `tokar help VERB` and `man tokar-VERB` say the same.

"""
_EXIT_CODES: Final = """# Exit codes

Of several archives the worst one counts, that of the lowest code. A command that a signal ends has 128 and its
number.

"""
_ERRORS: Final = """# Errors

Each error is one line on standard error, and where it helps a second one, `hint:`, with the next step. In JSON its
`kind` is the word of this table; it never gets another meaning. The class below it is [public](library.md): catch that.

"""
_FAULTS: Final = """# What can be wrong with a set

`check`, `chain` and `restore` name a fault by its kind, root causes first. What stands for a name or a number in the
sentence is `…`. The code is the one with which the engine ends; `tokar explain CODE` says more.

"""
_CODES: Final = """# Codes

What `tokar explain CODE` knows: errors of the engine (ESE), of the backup layer, of services and of Windows. It takes
every spelling: -1216, 0xC8000480, 3355444352, `JET_errAttachedDatabaseMismatch`.

"""
_ENVIRONMENT: Final = """# The environment

Variables set the defaults of options. An option that is given comes before them; the variable of one verb
(`TOKAR_CREATE_COMPRESS`) comes before that of all (`TOKAR_COMPRESS`). Nothing that accepts a risk can be set so.
`tokar config` prints this list with what is set.

"""


def pages(program: Verb) -> dict[str, str]:
    """Return every page by its file name."""
    return {
        "commands.md": _COMMANDS + "".join(_commands(program)),
        "exit-codes.md": _EXIT_CODES + _table(("code", "means", "errors"), _exit_rows()),
        "errors.md": _ERRORS + _table(("kind, and class", "exit code", "means", "next step"), _error_rows()),
        "faults.md": _FAULTS + _table(("kind", "what is said", "code", "next step"), _fault_rows()),
        "codes.md": _CODES + _table(("name, and code", "means", "next step"), _code_rows()),
        "environment.md": _ENVIRONMENT + _table(("variable", "sets", "of"), _variable_rows()),
    }


def exit_codes() -> list[tuple[int, str]]:
    """Return every exit code with its meaning, as `tokar --help` has them."""
    listed = str(cli.app.info.epilog).partition(". Defaults")[0]
    found = [(int(code), meaning.strip()) for code, meaning in _CODE.findall(listed)]
    return [(code, meaning) for code, meaning in found if code != 128]


def _commands(program: Verb) -> Iterator[str]:
    verbs = ((f"[`{one.name}`](#{'-'.join(one.words)})", f"{one.line}.") for one in program.below)
    yield _table(("verb", "what it does"), verbs)
    yield "\n## Options that every verb takes\n\n"
    yield _table(("option", "what it does"), map(_coded, program.below[0].shared))
    for one in program.below:
        yield from _command(one, "##")


def _command(verb: Verb, level: str) -> Iterator[str]:
    yield f"\n{level} {verb.name}\n\n" + "\n\n".join(map(_escaped, verb.text))
    yield f"\n\n```text\n{verb.usage}\n```\n"
    for word, rows in ("argument", verb.arguments), ("option", verb.options):
        if rows:
            yield "\n" + _table((word, "what it is" if word == "argument" else "what it does"), map(_coded, rows))
    if verb.examples:
        yield "\n```sh\n" + "".join(f"{one}\n" for one in verb.examples) + "```\n"
    for one in verb.below:
        yield from _command(one, level + "#")


def _exit_rows() -> Iterator[tuple[str, ...]]:
    errors = list(_errors())
    for code, meaning in exit_codes():
        kinds = sorted({f"`{one.word}`" for one in errors if one.exit_code == code})
        yield str(code), meaning, ", ".join(kinds)


def _error_rows() -> Iterator[tuple[str, ...]]:
    for one in sorted(_errors(), key=lambda each: (each.exit_code, each.word)):
        name = f"<br>`{one.__name__}`" if one.__name__ in tokar.__all__ else ""
        yield f"`{one.word}`{name}", str(one.exit_code), _escaped(_first_line(one)), _escaped(one.hint_text or "")


def _errors() -> Iterator[type[ArchiveError]]:
    """Yield every error class, wherever it is defined."""
    for _, module, _ in pkgutil.walk_packages(tokar.__path__, "tokar."):
        if not module.endswith("__main__") and not module.startswith(("tokar.testing", "tokar.lab")):
            importlib.import_module(module)
    found: list[type[ArchiveError]] = [ArchiveError]
    for one in found:
        found += [below for below in one.__subclasses__() if below not in found]
        if one.__module__.startswith("tokar.") and not one.__module__.startswith(("tokar.testing", "tokar.lab")):
            yield one


def _first_line(one: type) -> str:
    return " ".join((inspect.getdoc(one) or "").partition("\n\n")[0].split())


def _fault_rows() -> Iterator[tuple[str, ...]]:
    rules = [one for one in vars(Rules).values() if isinstance(one, Rule)]
    order = list(FaultKind)
    for one in sorted(rules, key=lambda each: order.index(each.kind)):
        numbers = sorted({code for code in (one.code, one.hard, one.loss) if code}, reverse=True)
        shown = ", ".join(map(str, numbers))
        yield f"`{one.kind.value}`", _gaps(one.text), shown, _gaps(one.next_step)


def _gaps(text: str) -> str:
    return _escaped(re.sub(r"\{[^}]*\}", "…", text))


def _code_rows() -> Iterator[tuple[str, ...]]:
    for value, one in sorted(codes.CODES.items(), key=lambda each: _place(each[0])):
        number = codes.jet_number(value)
        shown = f"0x{codes.wrapped(value):08X}"
        spelled = shown if number is None else f"{number}, {shown}"
        yield f"`{one.name}`<br>{spelled}", _escaped(one.meaning), _escaped(one.next_step)


def _place(value: int) -> tuple[bool, int]:
    number = codes.jet_number(value)
    return number is None, value if number is None else -number


def variables() -> list[tuple[str, str, list[str]]]:
    """Return the variables that several verbs heed: the name, the option or what it means, and the verbs."""
    listed = json.loads(CliRunner().invoke(cli.app, ["config", "--json"]).stdout)["variables"]
    return [(one["name"], one["option"] or one["meaning"], one["verbs"]) for one in listed if len(one["verbs"]) != 1]


def _variable_rows() -> Iterator[tuple[str, ...]]:
    for name, sets, verbs in variables():
        shown = f"`{sets}`" if sets.startswith("--") else sets
        yield f"`{name}`", shown, ", ".join(verbs) if 0 < len(verbs) < _MANY else "every verb"


def _coded(row: tuple[str, str]) -> tuple[str, str]:
    name = f"`{row[0]}`" if "|" not in row[0] else f"<code>{html.escape(row[0])}</code>"  # a bar ends a cell
    return name, _escaped(row[1])


def _escaped(text: str) -> str:
    """Return text that is text in Markdown too; what stands between backticks stays code."""
    parts = re.split("(`[^`]+`)", text)
    return "".join(one if one[:1] == "`" else re.sub(r"([\\*_`<>\[\]])", r"\\\1", one) for one in parts)


def _table(heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    heads = tuple(heads)
    lines = [heads, ("---",) * len(heads), *rows]
    return "".join(f"| {' | '.join(str(one).replace('|', '&#124;') for one in line)} |\n" for line in lines)
