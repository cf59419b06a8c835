"""`tokar explain`: what a code of the engine, the backup layer or Windows means, and what to do."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from tokar import codes
from tokar.cli import output
from tokar.cli.options import Json
from tokar.cli.several import Answers
from tokar.errors import ArchiveError, InputError

app = typer.Typer(add_completion=False, rich_markup_mode=None)
# What people write around a code; `JET -1216` is two arguments.
_ELSEWHERE = "look for it where it came from: its documentation, or the line before it in the same log"
_AROUND = {"code", "ecode", "error", "ese", "esent", "hresult", "hr", "jet", "jet_err", "service-specific", "win32"}


@app.command("explain", context_settings={"ignore_unknown_options": True})
def explain_codes(
    words: Annotated[
        list[str], typer.Argument(metavar="CODE...", help="Codes in any spelling: -1216, 0xC8000713, FileNotFound.")
    ],
    *,
    as_json: Json = False,
) -> None:
    """Say what codes mean and what to do: numbers of the engine, result codes, Windows errors, names.

    A service-specific error in decimal is good too, with its sign or without: 3355443750, -939523546, 939523546.
    Exit 1 if a code is not known here; what can be said of it is said.

    Example: tokar explain -1216
    Example: tokar explain 0xC8000713 JET_errFileNotFound
    """
    parts = [part for word in words for part in re.split("[:=\\s]+", word) if part]
    wanted = [part for part in parts if part.lower() not in _AROUND]
    if not wanted:
        raise InputError("no code was given", hint="such as: tokar explain -1216")
    answers = Answers("codes", as_json=as_json)
    for word in wanted:
        with answers.of(asked=word):
            value = codes.parse(word)
            unknown = None if codes.find(value) else ArchiveError(f"{word}: no name is known here", hint=_ELSEWHERE)
            answers.add(_json(word, value), unknown)
            if not as_json:
                _print(word, value)
    answers.end()


def _json(word: str, value: int) -> dict[str, Any]:
    code = codes.find(value)
    return {
        "asked": word,
        "name": code.name if code else None,
        "meaning": code.meaning if code else None,
        "next_step": code.next_step if code else None,
        "number": codes.jet_number(value),
        "hresult": f"0x{codes.wrapped(value):08X}",
        "spellings": list(codes.spellings(value)),
        "from": codes.facility(value),
    }


def _print(word: str, value: int) -> None:
    code = codes.find(value)
    output.line(output.safe(code.name if code else f"{word}: no name is known here"))
    rows = [
        ("means", code.meaning if code else ""),
        ("do", code.next_step if code else ""),
        ("from", codes.facility(value)),
        ("written", ", ".join(codes.spellings(value))),
    ]
    output.pairs(rows, indent="  ")
