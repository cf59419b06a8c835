"""What of replay is proved, on what, and what is refused: one row for each type of record."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple

from tokar.ese.logrecords import FRAGMENT, FRAGMENT_BEGIN, TYPES
from tokar.replay.player import REFUSED

NOTHING: Final = "changes nothing that is played"


class Support(StrEnum):
    """How far a type of record is supported."""

    PROVED = "proved"  # pages that it changed ended equal to those of a real file
    PLAYED = "played"  # by rules that no real file confirms from end to end
    FOLLOWED = "followed"  # it changes no page; what it says was held against real files, unless none has it
    PARSED = "parsed only"  # it changes no page
    REFUSED = "refused"  # nothing shows what it does


class SupportRow(NamedTuple):
    """One type of record."""

    number: int
    name: str
    support: Support
    basis: str  # On what that rests


# Changes of pages that ended equal to pages of real files: made from nothing or from an earlier state of the file.
_PROVED: Final = {
    29: "inserts", 62: "splits with and without images", 95: "new pages", 33: "replaces", 34: "diffs, narrow form",
    31: "inserts of flagged nodes", 32: "flagged nodes", 38: "space headers", 25: "trees of one extent",
    39: "operations taken back", 35: "deletes", 58: "trees that get space trees", 24: "trees with space trees",
}  # fmt: skip
_PLAYED: Final = {
    27: "splits without images (Windows XP, 2003): read back and forth on one store",
    37: "deltas: read back and forth",
    63: "merges: pointers, chains and later images fit",
}
_FOLLOWED: Final = {
    5: "transactions", 6: "transactions", 7: "transactions", 8: "transactions", 9: "transactions",
    11: "changes that belong together", 12: "changes that belong together",
    13: "changes that are dropped together: in no file at hand",
    14: "databases that come to be", 15: "attachments", 16: "attachments", 36: "what an operation found",
    49: "starts", 50: "stops", 52: "recoveries", 68: "growth",
    81: "inside the logs that are needed, else refused: in no file at hand",
    92: "versions",
}  # fmt: skip
_ENDINGS: Final = {1: "starts", 2: "stops", 18: "recoveries", 80: "recoveries"}
"""They end what is open, as those that are followed; no file at hand has one."""
NO_LAYOUT: Final = (40, 41, 43, 44, 47, 56)
"""Types of streaming files, whose layout is not public: a log with one of them is refused."""


def support_rows() -> Iterator[SupportRow]:
    """Yield a row for each type, in the order of their numbers."""
    for number in sorted({*TYPES, *NO_LAYOUT} - {FRAGMENT, FRAGMENT_BEGIN}):
        if number in NO_LAYOUT:
            yield SupportRow(number, "(streaming file)", Support.REFUSED, "its layout is not public")
            continue
        name = TYPES[number].name
        if number in REFUSED:
            yield SupportRow(number, name, Support.REFUSED, REFUSED[number])
            continue
        tables = ((Support.PROVED, _PROVED), (Support.PLAYED, _PLAYED), (Support.FOLLOWED, _FOLLOWED))
        found = next(((support, table[number]) for support, table in tables if number in table), None)
        support, basis = found or (Support.PARSED, _ENDINGS.get(number, NOTHING))
        yield SupportRow(number, name, support, basis)
