"""The timeline of log streams in a terminal: with the characters and the width that it has, and clear without colour.

Each row has its name, its generations, its place on the line, and a word; where that is too much for one line, the
place has a line of its own.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass
from typing import Final

from tokar.cli import output
from tokar.cli.tables import cells, is_coloured, wrapped
from tokar.report.timeline import Mark, Row, StreamLine, Tone, shown_streams, timeline_of
from tokar.sets.chain import Chain
from tokar.words import some, spans

_NARROW, _WIDE = 60, 200  # columns
_LEAST_BAR: Final = 24  # columns for the place of a row beside all else
_MOST_OF_A_LOG: Final = 3  # columns
_COLOURS: Final = {Tone.GOOD: 32, Tone.OPEN: 33, Tone.BAD: 31}
Paint = Callable[[str, Tone], str]


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The characters of the picture."""

    held: str  # None, some, or all of the logs in a place
    needed: str  # The first, those between, the last, one alone, and those that are only committed
    marked: str  # What is wrong, and what is only said
    more: str  # Where text is cut


UNICODE: Final = Glyphs("·▒█", "├─┤│╌", "!○", "…")
ASCII: Final = Glyphs(".-=", "[-]|~", "!o", "~")


def print_timeline(chain: Chain) -> None:
    """Print the log streams of a chain."""
    columns = min(max(shutil.get_terminal_size((80, 24)).columns, _NARROW), _WIDE)
    coloured = is_coloured(sys.stdout)
    paint = (lambda text, tone: f"\x1b[{_COLOURS[tone]}m{text}\x1b[0m") if coloured else (lambda text, _: text)
    for line in draw(timeline_of(chain), columns, glyphs_of(sys.stdout.encoding), paint):
        output.write(f"{line}\n")


def glyphs_of(encoding: str | None) -> Glyphs:
    """Return the characters that a terminal of an encoding can show."""
    try:
        "".join(astuple(UNICODE)).encode(encoding or "ascii")
    except (UnicodeError, LookupError):
        return ASCII
    return ASCII if os.environ.get("TERM") == "dumb" else UNICODE


def draw(streams: Iterable[StreamLine], columns: int, glyphs: Glyphs, paint: Paint) -> Iterator[str]:
    """Yield the lines of streams.

    Args:
        streams: The streams.
        columns: How many columns a line may take.
        glyphs: The characters.
        paint: Gives text the colour of what it says.
    """
    shown, more = shown_streams(streams)
    for stream in shown:
        name = f" {stream.base}" if stream.base else ""
        yield output.safe(
            f"log stream{name}, {_generations([(stream.low, stream.high)])}" if stream.high else "no logs"
        )
        yield from _Drawing(stream, columns - 2, glyphs, paint).lines()
    if more:
        yield f"... and {more:,} more log streams, of strays"


class _Drawing:
    """Draws one stream."""

    def __init__(self, stream: StreamLine, columns: int, glyphs: Glyphs, paint: Paint) -> None:
        self._stream, self._columns, self._glyphs, self._paint = stream, columns, glyphs, paint
        count = stream.high - stream.low + 1
        self._heads = [_head(row) for row in stream.rows]
        self._widths = [max(map(cells, texts), default=0) for texts in zip(*self._heads, strict=True)]
        self._word = max((len(row.word) for row in stream.rows), default=0)
        room = columns - sum(width + 2 for width in (*self._widths, self._word) if width)
        self._beside = room >= min(_LEAST_BAR, count)
        room = room if self._beside else columns - 2
        self._bar = count * min(room // count, _MOST_OF_A_LOG) or room

    def lines(self) -> Iterator[str]:
        """Yield the lines."""
        for row, head in zip(self._stream.rows, self._heads, strict=True):
            bar = self._paint(self._place(row), row.tone) if self._stream.high else ""
            word = self._paint(row.word, row.tone) if row.word else ""
            if self._beside:
                yield f"  {self._aligned(head)}{bar}  {word}".rstrip()
            else:
                yield from self._apart(row, head, word)
                yield f"    {bar}".rstrip()
            if row.mark is Mark.LEFT_OUT:
                yield from wrapped(row.note, self._columns, " " * 6)

    def _aligned(self, head: tuple[str, ...]) -> str:
        found = zip(head, self._widths, strict=True)
        return "".join(text + " " * (width - cells(text) + 2) for text, width in found if width)

    def _apart(self, row: Row, head: tuple[str, ...], word: str) -> Iterator[str]:
        """Yield what stands above a place: the name, as much of it as there is room for, and the word at the end."""
        label, *rest = head
        tail = "  ".join(text for text in rest if text)
        room = self._columns - len(tail) - len(row.word) - 2 * bool(tail) - 2 * bool(word)
        label = _fitted(label, room, self._glyphs.more)
        line = f"{label}  {tail}" if tail else label
        gap = self._columns - cells(line) - len(row.word)
        yield f"  {line}{' ' * max(gap, 2)}{word}".rstrip()

    def _place(self, row: Row) -> str:
        found = row.cells(self._stream.low, self._stream.high, self._bar)
        none = self._glyphs.held[0]
        if row.mark is Mark.SET:
            return "".join(self._glyphs.held[one] for one in found)
        if row.mark is not Mark.NEED:
            marked = self._glyphs.marked[row.tone is not Tone.BAD]
            return "".join(marked if one else none for one in found)
        first, between, last, alone, committed = tuple(self._glyphs.needed)
        at = [place for place, one in enumerate(found) if one]
        shown = [between if one else none for one in found]
        if row.committed:
            begin = (row.committed[0] - self._stream.low) * self._bar // (self._stream.high - self._stream.low + 1)
            shown[begin : at[-1] + 1 if at else begin] = committed * (at[-1] + 1 - begin if at else 0)
        if at:
            shown[at[0]], shown[at[-1]] = (alone, alone) if at[0] == at[-1] else (first, last)
        return "".join(shown)


def _head(row: Row) -> tuple[str, str, str]:
    """Return what stands before the place of a row: its name, the kind of a set, generations."""
    if row.mark is Mark.SET:
        low_to_high = [(row.runs[0][0], row.runs[-1][1])] if row.runs else []
        return (
            f"{'  ' * row.depth}{output.as_called(row.label)}",
            row.note,
            _generations(low_to_high) if row.runs else "no logs",
        )
    return f"{row.mark.value} {row.label}".rstrip(), "", _generations(row.every)


def _generations(runs: Iterable[tuple[int, int]]) -> str:
    return some((spans([range(low, high + 1)]) for low, high in runs), 2)


def _fitted(label: str, room: int, more: str) -> str:
    """Return a name, cut in its middle where it takes more columns than there are."""
    kept = room if cells(label) > room else len(label)
    shown = label
    while cells(shown) > room and kept > len(more):
        left = (kept - len(more)) // 2
        shown = f"{label[:left]}{more}{label[len(label) - (kept - len(more) - left) :]}"
        kept -= 1
    return shown
