"""How rows are laid out: in columns, or fitted to the width of a terminal; and whether that has colours."""

from __future__ import annotations

import os
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from rich.console import Console

_WIDEST_TERMINAL: Final = 1000


def aligned(row: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> str:
    """Return one row with its columns at their places."""
    placed = []
    for at, (text, width) in enumerate(zip(row, widths, strict=True)):
        blanks = " " * (width - cells(text))
        placed.append(blanks + text if at in right else text + blanks)
    return "  ".join(placed).rstrip() + "\n"


def cells(text: str) -> int:
    """Return how many columns text takes where every character of East Asian width takes two."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )


def wrapped(text: str, columns: int, indent: str) -> Iterator[str]:
    """Yield text in lines that take no more than so many columns; a word that takes more is cut."""
    if text.isascii():
        yield from textwrap.wrap(text, columns, initial_indent=indent, subsequent_indent=indent)
        return
    room, line = columns - cells(indent), ""
    for piece in (piece for word in text.split() for piece in _pieces(word, room)):
        if line and cells(f"{line} {piece}") > room:
            yield indent + line
            line = ""
        line = f"{line} {piece}" if line else piece
    yield indent + line


def _pieces(word: str, room: int) -> Iterator[str]:
    """Yield a word in pieces that take no more than so many columns."""
    piece = ""
    for one in word:
        if piece and cells(piece + one) > room:
            yield piece
            piece = ""
        piece += one
    yield piece


def is_coloured(stream: TextIO) -> bool:
    """Return whether what is printed to a stream may have colours."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def within_reason(console: Console) -> Console:
    """Return a console no wider than a terminal can be: COLUMNS may say anything."""
    console.width = min(console.width, _WIDEST_TERMINAL)
    return console


def print_fitted(titles: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int]) -> None:
    """Print a table within the width of the terminal that standard output is.

    Raises:
        OSError: It was refused.
    """
    from rich.console import Console  # noqa: PLC0415 - start-up time: only for terminals
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    made = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for at, title in enumerate(titles):
        made.add_column(title, justify="right" if at in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    within_reason(Console(highlight=False)).print(made)
