"""`tokar clean`: what runs that died left in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tokar import names
from tokar.as_json import fields_json
from tokar.cli import output
from tokar.cli.options import Json
from tokar.errors import PartialError, StorageError, hint_of
from tokar.restore.leftovers import Leftover, Owner, find_leftovers, remove_leftovers

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def clean(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder; its subfolders are not looked at.")],
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Remove what is listed, where its owner is gone.")] = False,
    as_json: Json = False,
) -> None:
    """List what runs that died left in a folder, and remove it when asked.

    Those are temporary files of archives, and what restores had staged. An interrupted restore goes on with what it
    staged when it is run again, so remove that only if it is not to go on. What is still being written is kept.

    Example: tokar clean backups
    Example: tokar clean backups --remove
    """
    found = find_leftovers(folder)
    removed: set[Path] = set()
    first: StorageError | None = None
    for one, error in remove_leftovers(one for one in found if remove and one.owner is Owner.GONE):
        if error is None:
            removed.add(one.path)
        first = first or error
    if as_json:
        output.as_json({"leftovers": (_json(one, removed) for one in found)})
    else:
        for one in found:
            state = "removed" if one.path in removed else f"owner {one.owner.value}"
            output.line(f"{names.printable(one.path.name)}: {one.what}, {output.size_text(one.size)}; {state}")
        _sum_up(folder, found, remove=remove)
    if first is not None:
        message = f"not all could be removed: {first.message}"
        raise PartialError(message, path=first.path, hint=hint_of(first)) from first


def _json(one: Leftover, removed: set[Path]) -> dict[str, Any]:
    return {**fields_json(one, "path", "what", "size", "owner"), "removed": one.path in removed}


def _sum_up(folder: Path, found: list[Leftover], *, remove: bool) -> None:
    gone = [one for one in found if one.owner is Owner.GONE]
    if not found:
        output.line("nothing is left over here")
    elif gone and not remove:
        output.line(f"tokar clean --remove {names.typed(str(folder))} removes what has no owner any more")
