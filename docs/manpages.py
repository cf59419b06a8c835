"""The man pages, from the command line: tokar.1 and one for each verb."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from docs.verbs import Verb

Rows = Iterable[tuple[str, str]]
_HEAD: Final = '.TH {} 1 "" tokar "tokar manual"'
_MEANT: Final = {"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha"}
_ENVIRONMENT: Final = "Variables set the defaults of options; tokar config lists them, also those of one verb."


def man_pages(program: Verb, exit_codes: Iterable[tuple[int, str]], variables: Rows) -> dict[str, str]:
    """Return every page by its file name."""
    codes = [(str(code), meaning) for code, meaning in exit_codes]
    pages = {_file(one): _of_verb(one) for one in program.below}
    return {_file(program): _of_program(program, codes, variables), **pages}


def _file(verb: Verb) -> str:
    return f"{'-'.join(verb.words)}.1"


def _of_program(program: Verb, exit_codes: Rows, variables: Rows) -> str:
    lines = [*_begin(program), '.SH "COMMANDS"']
    for one in program.below:
        lines += [".TP", f"\\fB{_safe('-'.join(one.words))}\\fR(1)", _text(f"{one.line}.")]
    lines += ['.SH "OPTIONS"', *_rows(program.options)]
    lines += ['.SH "EXIT STATUS"', *_rows(exit_codes)]
    lines += ['.SH "ENVIRONMENT"', _text(_ENVIRONMENT), *_rows(variables)]
    return "\n".join(lines) + "\n"


def _of_verb(verb: Verb) -> str:
    lines = list(_begin(verb))
    for one in verb.below:
        lines += [f'.SH "{_safe(one.name.upper())}"', f"\\fB{_safe(one.usage)}\\fR", *_paragraphs(one)]
        lines += [*_rows(one.arguments), *_rows(one.options)]
    if verb.arguments:
        lines += ['.SH "ARGUMENTS"', *_rows(verb.arguments)]
    lines += ['.SH "OPTIONS"', *_rows((*verb.options, *(verb.below or (verb,))[0].shared))]
    if shown := verb.examples or tuple(example for one in verb.below for example in one.examples):
        lines += ['.SH "EXAMPLES"', ".nf", *map(_safe, shown), ".fi"]
    lines += ['.SH "EXIT STATUS"', "See", "\\fBtokar\\fR(1)."]
    lines += ['.SH "SEE ALSO"', "\\fBtokar\\fR(1)"]
    return "\n".join(lines) + "\n"


def _begin(verb: Verb) -> Iterator[str]:
    name = "-".join(verb.words)
    yield _HEAD.format(_safe(name.upper()))
    yield from ('.SH "NAME"', f"{_safe(name)} \\- {_safe(verb.line)}")
    yield from ('.SH "SYNOPSIS"', f"\\fB{_safe(verb.name)}\\fR {_safe(verb.usage.removeprefix(verb.name).strip())}")
    told = [one for one in verb.text if one.rstrip(".") != verb.line]
    yield from ('.SH "DESCRIPTION"',) if told else ()
    for number, one in enumerate(told):
        yield from (*([".PP"] if number else []), _text(one))


def _paragraphs(verb: Verb) -> Iterator[str]:
    for one in verb.text:
        yield from (".PP", _text(one))


def _rows(rows: Rows) -> Iterator[str]:
    for name, meaning in rows:
        yield from (".TP", f"\\fB{_safe(name)}\\fR", _text(meaning))


def _text(text: str) -> str:
    """Return text as lines, none of which is a request by chance."""
    shown = _safe(text).replace(". ", ".\n")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in shown.split("\n"))


def _safe(text: str) -> str:
    """Return text in which nothing means anything to troff."""
    return "".join(_MEANT.get(one, one) for one in text)
