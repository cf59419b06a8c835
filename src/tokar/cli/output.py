"""What the command line prints, and where: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from tokar import names
from tokar.errors import ArchiveError, FormatError, IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def line(text: str = "") -> None:
    """Print a line of the result."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """Print a line that is not part of the result."""
    sys.stderr.write(f"tokar: {text}\n")


def as_json(value: Any) -> None:
    """Print a JSON value as the result."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def report(error: ArchiveError) -> None:
    """Print an error: one line, a hint, and with `--json` one object more on standard output."""
    sys.stdout.flush()
    sys.stderr.write(f"tokar: error: {names.printable(str(error))}\n")
    rule = error.rule if isinstance(error, FormatError) else None
    if rule:
        sys.stderr.write(f"rule: {rule} of the format\n")
    for also in getattr(error, "__notes__", ()):
        sys.stderr.write(f"{names.printable(also)}\n")
    if error.hint:
        sys.stderr.write(f"hint: {names.printable(error.hint)}\n")
    if "--json" in sys.argv:
        as_json({"error": error_json(error)})


def error_json(error: ArchiveError) -> dict[str, Any]:
    """Return an error as a JSON object."""
    value: dict[str, Any] = {
        "kind": type(error).__name__,
        "message": error.message,
        "path": None if error.path is None else str(error.path),
        "offset": error.offset,
        "hint": error.hint,
        "exit_code": error.exit_code,
    }
    if isinstance(error, FormatError):
        value["rule"] = error.rule
    if isinstance(error, IntegrityError):
        value["expected"] = error.expected.hex() if error.expected else None
        value["actual"] = error.actual.hex() if error.actual else None
    return value


def close_quietly() -> None:
    """Point standard output at nothing, so that the interpreter does not complain about a reader that went away."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def size_text(size: int) -> str:
    """Return a size for a person: `1.4 MiB`, and bytes below one KiB."""
    if size < 1024:
        return f"{size} bytes" if size != 1 else "1 byte"
    power = min((size.bit_length() - 1) // 10, len(_UNITS))
    return f"{size / 1024**power:.1f} {_UNITS[power - 1]}"


def count_text(count: int, singular: str, plural: str | None = None) -> str:
    """Return a number with its noun: `1 entry`, `1,200 entries`."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def pairs(rows: Iterable[tuple[str, str]], *, indent: str = "") -> None:
    """Print names and values in two aligned columns."""
    listed = [(label, text) for label, text in rows if text]
    width = max((len(label) for label, _ in listed), default=0)
    for label, text in listed:
        line(f"{indent}{label:<{width}}  {text}")


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print a table; columns in `right` are set to the right. On a terminal it is fitted to the width."""
    from rich.console import Console  # noqa: PLC0415 - start-up time: most runs print no table
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    made = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for at, title in enumerate(titles):
        made.add_column(title, justify="right" if at in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    console = Console(soft_wrap=False, highlight=False)
    if not console.is_terminal:
        console = Console(width=10_000, highlight=False)  # a file or a pipe has no width to fit into
    console.print(made)
