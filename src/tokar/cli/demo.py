"""`tokar demo`: the whole story in a few seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tokar.cli import output
from tokar.errors import SetError
from tokar.lab.demo import run_demo

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def demo(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder to make for it; one of an earlier demo is replaced.")
    ],
) -> None:
    """Back a simulated server up, damage a copy, lose the server, restore the chain elsewhere, and recover.

    The end proves that nothing is missing.
    """
    result = run_demo(folder, output.line)
    if not result.equal:
        raise SetError("the restored databases do not hold what was committed", path=folder)
    output.line()
    output.line(f"{result.records} records came back, none more, none less. Next:")
    first = result.archives[0]
    for command in (
        f"tokar inspect {first}",
        f"tokar inspect --json {first}",
        f"tokar restore {first} --into {folder / 'loose'} --dry-run",
        f"tokar lab work {folder / 'other-server'} -n 100",
        f"tokar backup lab:{folder / 'other-server'} {folder / 'sets' / 'new-full.tokar'} --type full",
        "tokar --help",
    ):
        output.line(f"  {command}")
