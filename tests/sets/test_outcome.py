"""What a verdict comes to, where several things are to be said."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tokar.errors import SetError, StorageError
from tokar.sets.outcome import LastLine, LeftOpen, Word, part_of, weigh

UNJUDGED = LeftOpen(unjudged=["b.edb: its range is no range"])
NOTHING = LeftOpen()


@dataclass(frozen=True)
class Cause:
    """What is in the way."""

    message: str
    is_loss: bool
    databases: tuple[str, ...] = ()
    exit_code: int = SetError.exit_code


LOSS = Cause("log 0x7 is missing", is_loss=True, databases=("a.edb",))
CAUSE = Cause("c.edb cannot be read", is_loss=False, databases=("c.edb",))

REFUSED = Cause("cannot read: Input/output error", is_loss=False, exit_code=StorageError.exit_code)


@pytest.mark.parametrize(
    ("blocking", "left", "part", "word", "code"),
    [
        ([], NOTHING, None, Word.RESTORABLE, 0),
        ([], LeftOpen(unasked=["pages"]), None, Word.NOT_PROVEN, 0),
        ([], UNJUDGED, None, Word.NOT_PROVEN, 9),
        ([], NOTHING, part_of((5, 7)), Word.PART_OF_A_CHAIN, 0),
        ([LOSS], NOTHING, None, Word.WITH_LOSS, 9),
        ([LOSS], LeftOpen(unasked=["pages"]), None, Word.WITH_LOSS, 9),
        ([LOSS], UNJUDGED, None, Word.NOT_PROVEN, 9),
        ([LOSS], UNJUDGED, part_of((5, 7)), Word.WITH_LOSS, 9),
        ([LOSS, CAUSE], UNJUDGED, None, Word.NOT_RESTORABLE, 9),
        ([REFUSED], NOTHING, None, Word.NOT_PROVEN, 1),
        ([REFUSED, LOSS], NOTHING, None, Word.NOT_PROVEN, 1),
        ([REFUSED, CAUSE], NOTHING, None, Word.NOT_RESTORABLE, 9),
    ],
)
def test_no_better_word_is_said_than_what_was_judged_allows(
    blocking: list[Cause], left: LeftOpen, part: LastLine | None, word: Word, code: int
) -> None:
    found = weigh(blocking, left, part)
    assert (found.word, found.exit_code) == (word, code)


def test_a_loss_beside_what_nobody_can_judge_is_told_with_it() -> None:
    found = weigh([LOSS], UNJUDGED)
    assert str(found) == "NOT PROVEN: b.edb: its range is no range; at best with a loss: a.edb: log 0x7 is missing"


@pytest.mark.parametrize(
    ("cause", "why"),
    [
        (LOSS, "a.edb: log 0x7 is missing"),
        (CAUSE, "c.edb cannot be read"),
        (Cause("log 0x7 is missing", is_loss=False), "log 0x7 is missing"),
        (Cause("log 0x7 is missing", is_loss=False, databases=("a.edb", "b.edb")), "a.edb, b.edb: log 0x7 is missing"),
    ],
)
def test_the_last_line_names_the_databases_that_suffer(cause: Cause, why: str) -> None:
    assert weigh([cause], NOTHING).why == why
