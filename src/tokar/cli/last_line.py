"""The last line of a verdict, and beside it what no verdict on files says."""

from __future__ import annotations

import os
import sys
from typing import Final

from tokar.cli import output
from tokar.sets.outcome import LastLine, Word, beside

_COLOURS: Final = {Word.RESTORABLE: 32, Word.PART_OF_A_CHAIN: 32, Word.NOT_RESTORABLE: 31}
_YELLOW: Final = 33


def show_outcome(found: LastLine, profile: str = "") -> None:
    """Print the last line of a verdict, in colour on a terminal."""
    for text in beside(profile):
        output.line(f"beside: {text}")
    word, why = str(found.word), output.safe(str(found)).removeprefix(found.word)
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        word = f"\x1b[1;{_COLOURS.get(found.word, _YELLOW)}m{word}\x1b[0m"
    output.line(f"{word}{why}")
