"""The last line of a verdict, and beside it what no verdict on files says."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Final

from tokar.cli import output
from tokar.sets.outcome import LastLine, Word, beside

_COLOURS: Final = {Word.RESTORABLE: 32, Word.PART_OF_A_CHAIN: 32, Word.NOT_RESTORABLE: 31}
_YELLOW: Final = 33


def show_outcome(found: LastLine | None, profile: str = "", *, say: Callable[[str], None] = output.line) -> None:
    """Print the last line of a verdict if there is one, in colour on a terminal, and before it what no verdict says."""
    if found is None:
        return
    for text in beside(profile):
        say(f"beside: {text}")
    word, why = str(found.word), output.safe(str(found)).removeprefix(found.word)
    if (sys.stdout if say is output.line else sys.stderr).isatty() and "NO_COLOR" not in os.environ:
        word = f"\x1b[1;{_COLOURS.get(found.word, _YELLOW)}m{word}\x1b[0m"
    say(f"{word}{why}")
