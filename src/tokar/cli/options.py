"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ArchivePath = Annotated[Path, typer.Argument(metavar="ARCHIVE", help="The archive.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value instead of text.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress and no remarks.")]
Force = Annotated[bool, typer.Option("--force", help="Replace OUT if it is there, once the new one is complete.")]
