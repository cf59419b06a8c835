"""`tokar demo`: the whole story in a few seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tokar.as_json import fields_json
from tokar.cli import output
from tokar.cli.options import Json
from tokar.errors import SetError
from tokar.lab.demo import run_demo
from tokar.names import typed
from tokar.words import count_text

_REPORT = "this is a fault of tokar or of the disk: please report it with what was printed"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def demo(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder to make for it; one of an earlier demo is replaced.")
    ],
    *,
    as_json: Json = False,
) -> None:
    """Back a simulated server up, damage a copy, lose the server, restore the chain elsewhere, and recover.

    The end proves that nothing is missing.

    Example: tokar demo demo
    Example: tokar demo demo --json
    """
    result = run_demo(folder, (lambda _: None) if as_json else output.line)
    if not result.equal:
        raise SetError("the restored databases do not hold what was committed", path=folder, hint=_REPORT)
    if as_json:
        output.as_json(fields_json(result, "archives", "records", "equal"))
        return
    output.line()
    output.line(f"{count_text(result.records, 'record')} came back, none more, none less. Next:")
    first, loose, new = (typed(str(path)) for path in (result.archives[0], folder / "loose", folder / "sets/new.tokar"))
    server = str(folder / "other-server")
    for command in (
        f"tokar inspect {first}",
        f"tokar inspect --json {first}",
        f"tokar restore {first} --into {loose} --dry-run",
        f"tokar lab work {typed(server)} -n 100",
        f"tokar backup {typed('lab:' + server)} {new} --type full",
        "tokar --help",
    ):
        output.line(f"  {command}")
