"""Whether the current log, with which soft recovery ends, ends where it says."""

from __future__ import annotations

from typing import Any

import pytest

from tokar.ese.content_facts import LogReport
from tokar.ese.database import DatabaseHeader
from tokar.ese.values import LogPosition, Signature
from tokar.sets.attaching import attaching_faults, open_end
from tokar.sets.facts import AttachedDatabase, ChainFacts, CheckpointFacts, DatabaseFacts, LogFacts
from tokar.sets.need import Basis, Need

NEED = Need(basis=Basis.REQUIRED_RANGE, low=5, high=7, committed=7)
FOLLOWED = ChainFacts(high=7, attached=())
UNREAD = ChainFacts(why_not="not ESE log records", is_halted=True)


def said(chain: ChainFacts | None, need: Need = NEED, *, current: bool = True, **content: Any) -> list[str]:
    report = LogReport(
        **{"unit": "segments", "valid": 3, "end": 0x4000, "expected_size": 0x10000, "size": 1, **content}
    )
    last = LogFacts(name="edb.log", generation=7, current=current, content=report)
    return [*open_end(DatabaseFacts(name="main.edb", chain=chain), need, [last])]


def test_where_nobody_read_the_records_and_no_shadow_follows_more_may_have_been_there() -> None:
    (text,) = said(UNREAD)
    assert text == "edb.log: whether more was in it behind 0x4000: no second copy of its last segment follows"


def test_a_log_that_ends_inside_a_record_may_have_gone_on() -> None:
    (text,) = said(ChainFacts(high=7, attached=(), torn="20 of the 60 bytes of a record"))
    assert text == "edb.log: whether more was in it behind 0x4000: it ends in 20 of the 60 bytes of a record"


def test_logs_that_were_followed_to_another_end_tell_nothing_of_this_one() -> None:
    assert len(said(ChainFacts(high=6, attached=()))) == 1


@pytest.mark.parametrize(
    "content",
    [{"shadow": 1}, {"rescued": 1}, {"end": 0xF000}, {"unit": "ranges"}, {"end": 0}, {"bad": 1}, {"not_verified": "x"}],
)
def test_an_end_that_its_segments_tell_is_no_question(content: dict[str, Any]) -> None:
    assert said(UNREAD, **content) == []


@pytest.mark.parametrize(
    ("chain", "need", "current"),
    [
        (FOLLOWED, NEED, True),
        (None, NEED, True),  # that nobody followed is said elsewhere
        (UNREAD, NEED, False),  # a closed log ends where it was closed
        (UNREAD, Need(basis=Basis.CLEAN), True),
        (UNREAD, Need(basis=Basis.TRAILER, low=5, high=7, committed=7, hard=True), True),
    ],
)
def test_elsewhere_it_is_no_question_either(chain: ChainFacts | None, need: Need, current: bool) -> None:
    assert said(chain, need, current=current) == []


def closed(generation: int, *, repeats: int | None = None, **content: Any) -> LogFacts:
    """A closed log; `repeats` is what it says of the content of the one before."""
    report = LogReport(
        **{"unit": "segments", "valid": 3, "end": 0x4000, "expected_size": 0x10000, "size": 1, **content}
    )
    name = f"edb{generation:05X}.log"
    return LogFacts(name=name, generation=generation, content=report, previous_segments_xor=repeats)


def test_a_closed_log_may_have_gone_on_where_the_next_one_does_not_repeat_what_was_in_it() -> None:
    run = [closed(5), closed(6), closed(7, repeats=1)]
    (text,) = open_end(DatabaseFacts(name="main.edb", chain=FOLLOWED), NEED, run)
    assert text.startswith("edb00005.log: whether more was in it behind 0x4000: edb00006.log is of a format that")


@pytest.mark.parametrize("content", [{"end": 0xF000}, {"shadow": 1}, {"unit": "ranges"}])
def test_a_closed_log_that_is_full_or_whose_end_it_tells_is_no_question(content: dict[str, Any]) -> None:
    assert not [*open_end(DatabaseFacts(name="main.edb", chain=FOLLOWED), NEED, [closed(5, **content), closed(6)])]


STREAM = Signature.unpack(b"\1" * Signature.layout_size())


BEHIND = LogPosition(generation=7, sector=9)
CHECKPOINTS: list[tuple[LogPosition, Signature | None, int]] = [
    (LogPosition(generation=7, sector=4), STREAM, 0),  # where the next record would be
    (LogPosition(generation=7, sector=4, byte=1), STREAM, 1),
    (BEHIND, STREAM, 1),
    (LogPosition(generation=8, sector=9), STREAM, 0),
    (BEHIND, None, 0),
]


@pytest.mark.parametrize(("at", "signature", "doubts"), CHECKPOINTS)
@pytest.mark.parametrize("chain", [FOLLOWED, UNREAD, None])
def test_a_checkpoint_behind_the_end_of_the_current_log_tells_that_more_was_in_it(
    at: LogPosition, signature: Signature | None, doubts: int, chain: ChainFacts | None
) -> None:
    report = LogReport(unit="segments", valid=3, shadow=1, end=0x4000, expected_size=0x10000, size=1)
    last = LogFacts(name="edb.log", generation=7, current=True, content=report, signature=STREAM, sector_size=0x1000)
    one = CheckpointFacts(name="edb.chk", position=at, signature=signature)
    found = [*open_end(DatabaseFacts(name="main.edb", chain=chain), NEED, [last], [one])]
    assert len(found) == doubts
    assert all("the checkpoint edb.chk stands at (7," in text for text in found)


OWN, OTHER = Signature(random=1), Signature(random=2)
COPY = Need(basis=Basis.TRAILER, low=5, high=5, committed=5, hard=True)
PLACE, ELSEWHERE = "D:\\data\\main.edb", "E:\\old\\MAIN.edb"


def taken(*named: tuple[Signature, str] | None, at_end: tuple[Signature, str] | None = None, need: Need = COPY) -> Any:
    """The generations of what is said of logs that name a database each, from the one that the copy needs on."""
    header = DatabaseHeader(signature=OWN, attach_position=LogPosition(generation=4))
    runs = [
        LogFacts(
            name=f"edb{at:05X}.log",
            generation=at,
            content=LogReport(unit="segments", expected_size=1, size=1),
            attached=(AttachedDatabase(one[1], one[0], LogPosition(generation=at - 1)),) if one else (),
        )
        for at, one in enumerate(named, 5)
    ]
    chain = ChainFacts(high=4 + len(named), attached=(AttachedDatabase(at_end[1], at_end[0]),)) if at_end else None
    faults = attaching_faults(DatabaseFacts(name="main.edb", header=header, chain=chain), need, runs)
    return [one.generations for one in faults if one.blocks]


MINE, ANOTHER = (OWN, PLACE), (OTHER, PLACE)


def test_another_database_in_the_place_of_a_copy_stops_hard_recovery_from_the_log_before_its_name_on() -> None:
    assert taken(MINE, MINE, ANOTHER, None) == [(6, 7)]
    assert taken(MINE, MINE, at_end=ANOTHER) == [(6,)]
    assert taken(MINE, MINE, (OTHER, PLACE.upper())) == [(6, 7)]


def test_a_database_that_is_attached_again_or_elsewhere_takes_no_place() -> None:
    assert taken(MINE, ANOTHER, MINE) == []
    assert taken(MINE, ANOTHER, at_end=MINE) == []
    assert taken(MINE, (OTHER, ELSEWHERE)) == []
    assert taken(MINE, ANOTHER, need=Need(basis=Basis.REQUIRED_RANGE, low=5, high=5, committed=5)) == []
