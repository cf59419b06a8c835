"""Who is attached, which sessions are open, what is passed over, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from replay_logs import record
from test_redo import OPEN, a_page, a_redo, change, page_of

from tokar.ese.attachment import Attachment
from tokar.ese.values import LogPosition, Signature
from tokar.replay.player import OpenSession, Played, Player, RefusedError
from tokar.replay.redo import Bounds, PageRedo, inside
from tokar.replay.stream import number_of
from tokar.replay.support import Support, support_rows

SIGNATURE = Signature(random=7)
OTHER = Signature(random=8)


def a_player(redo: PageRedo | None = None, *, expected: int = 0) -> tuple[PageRedo, Player]:
    redo = redo or a_redo(a_page())
    played = Played(redo, expected=expected)
    return redo, Player({SIGNATURE.pack(): played}, [Attachment(dbid=2, path="", signature=SIGNATURE)])


def insert(**values: Any) -> Any:
    return change("Insert", **{"suffix": b"k", "data": b"d", "dbid": 2, "session": 3, **values})


def feed(player: Player, *records: Any, start: int = 1) -> None:
    for position, one in enumerate(records, start):
        player.feed(position, one)


BEGIN = record("Begin0", session=3, levels=0x10)


def test_a_change_of_an_open_session_is_played() -> None:
    redo, player = a_player()
    feed(player, BEGIN, insert())
    assert page_of(redo).lines == 1


def test_what_a_session_did_before_its_first_begin_must_be_on_the_pages() -> None:
    redo, player = a_player(a_redo(a_page(dbtime=101)))
    feed(player, insert())
    assert (player.skipped, redo.doubts) == ({"of sessions that began before the logs": 1}, {})


def test_a_page_that_lacks_such_a_change_is_in_doubt() -> None:
    redo, player = a_player()
    feed(player, insert())
    assert list(redo.doubts) == [5]
    assert page_of(redo).lines == 0


def test_what_stands_before_the_attachment_in_the_header_is_passed_over() -> None:
    redo, player = a_player(a_redo(a_page(), bounds=Bounds(settled=5)))
    feed(player, BEGIN, insert(), insert(before=101, dbtime=102))
    assert player.skipped == {"from before the database was attached": 2}
    assert redo.highest_dbtime == 102


def test_databases_are_told_by_their_signature_and_not_by_number() -> None:
    redo, player = a_player()
    feed(player, record("DetachDB", dbid=2), record("AttachDB", dbid=2, signature=OTHER), BEGIN, insert())
    assert player.skipped == {"of other databases": 1}
    feed(player, record("AttachDB", dbid=1, signature=SIGNATURE), insert(dbid=1), start=5)
    assert page_of(redo).lines == 1


@pytest.mark.parametrize("name", ["Term2", "Init2", "RecoveryQuit2"])
def test_all_attachments_and_sessions_end_with_the_instance(name: str) -> None:
    _, player = a_player()
    feed(player, BEGIN, record("Commit0", session=3), record(name), insert())
    assert player.skipped == {"of other databases": 1}


def test_an_instance_that_stops_leaves_nothing_open() -> None:
    _, player = a_player()
    feed(player, BEGIN, insert(level=1, rceid=7, flags=OPEN))
    with pytest.raises(RefusedError, match="leaves transactions open"):
        player.feed(4, record("Term2"))


def test_a_database_in_another_state_than_the_logs_say_is_refused() -> None:
    at = LogPosition(generation=5, sector=1, byte=40)
    _, player = a_player(expected=number_of(at))
    player.feed(1, record("AttachDB", dbid=2, signature=SIGNATURE, consistent_position=at))
    _, player = a_player(expected=number_of(at))
    with pytest.raises(RefusedError, match=r"as of \(0,0,0\), it is of \(5,1,28\)"):
        player.feed(1, record("AttachDB", dbid=2, signature=SIGNATURE))


@pytest.mark.parametrize(
    ("records", "text"),
    [
        ([BEGIN, BEGIN], "begins level 1 on level 1"),
        ([BEGIN, record("Begin", session=3, levels=0x12)], "begins level 3 on level 1"),
        ([BEGIN, record("Commit", session=3, level=1)], "commits to level 1 from 1"),
        ([BEGIN, record("Rollback", session=3, levels=2)], "rolls back, and has not"),
        ([BEGIN, insert(level=1, rceid=7, flags=OPEN), record("Rollback", session=3, levels=1)], "has not taken back"),
        ([BEGIN, insert(), record("Merge2", session=3, dbid=2)], "stands alone"),
        (
            [
                BEGIN,
                record("MacroBegin", session=3, dbtime=101),
                insert(),
                record("MacroCommit", session=3, dbtime=101),
            ],
            "neither",
        ),
    ],
)
def test_an_order_that_no_engine_writes_is_refused(records: list[Any], text: str) -> None:
    _, player = a_player()
    with pytest.raises(RefusedError, match=text):
        feed(player, *records)


@pytest.mark.parametrize("name", ["FlagInsert", "EmptyTree", "Scrub", "PageMove", "Delta64", "ConvertFDP", "Merge"])
def test_types_that_no_file_shows_are_refused(name: str) -> None:
    _, player = a_player()
    with pytest.raises(RefusedError, match=f"{name} is not played: no file at hand"):
        feed(player, BEGIN, change(name, dbid=2, session=3))


@pytest.mark.parametrize("name", ["ShrinkDB", "ShrinkDB3"])
def test_shrinking_is_refused_for_a_database_that_is_played_on(name: str) -> None:
    _, player = a_player()
    player.feed(1, record(name, dbid=9))
    with pytest.raises(RefusedError, match=name):
        player.feed(2, record(name, dbid=2))


@pytest.mark.parametrize("name", ["BeginDT", "PrepCommit", "PrepRollback"])
def test_prepared_transactions_are_refused(name: str) -> None:
    _, player = a_player()
    with pytest.raises(RefusedError, match="distributed"):
        player.feed(1, record(name, session=3))


def test_an_aborted_macro_changes_nothing() -> None:
    redo, player = a_player()
    feed(
        player,
        BEGIN,
        record("MacroBegin", session=3, dbtime=101),
        insert(),
        record("MacroAbort", session=3, dbtime=101),
    )
    assert page_of(redo).lines == 0


def test_a_macro_that_never_ends_changes_nothing() -> None:
    redo, player = a_player()
    feed(player, BEGIN, record("MacroBegin", session=3, dbtime=101), insert())
    assert page_of(redo).lines == 0


def test_macros_of_two_sessions_may_be_open_at_once() -> None:
    redo, player = a_player()
    other = record("Begin0", session=4, levels=0x10)
    feed(player, BEGIN, other, record("MacroBegin", session=3, dbtime=101), insert(session=4))
    assert page_of(redo).lines == 1


def test_pages_that_are_trimmed_inside_the_range_are_in_no_doubt_any_more() -> None:
    redo, player = a_player(a_redo(bounds=Bounds(ahead=100)))
    feed(player, BEGIN, insert(page=8), record("TrimDB", dbid=2, first=7, pages=4))
    assert redo.doubts == {}
    with pytest.raises(RefusedError, match="trimmed after"):
        player.feed(101, record("TrimDB", dbid=2, first=7, pages=4))


def test_the_logs_say_how_large_a_database_is_and_of_which_version() -> None:
    _, player = a_player()
    grows = record("ExtendDB", data=b"\x02" + (300).to_bytes(4, "little"))
    feed(player, grows, record("SetDbVersion", dbid=2, version=0x620, update_major=20, update_minor=5))
    played = player.databases[SIGNATURE.pack()]
    assert (played.last_page, played.version) == (300, (0x620, 20, 5))


def test_a_growth_that_the_header_knows_is_passed_over() -> None:
    _, player = a_player()
    player.databases[SIGNATURE.pack()].grown_until = 5
    player.feed(4, record("ExtendDB", data=b"\x02" + (300).to_bytes(4, "little")))
    assert player.databases[SIGNATURE.pack()].last_page == 0


def test_a_database_that_was_shut_down_is_changed_only_once_it_is_attached_again() -> None:
    _, player = a_player(expected=7)
    with pytest.raises(RefusedError, match="have not attached it again"):
        feed(player, BEGIN, insert())


@pytest.mark.parametrize(("first", "count"), [(5, 3), (5, 1 << 32), (0, 1 << 32), (9, 0), (40, 2)])
def test_pages_in_a_range_are_found_whatever_is_longer(first: int, count: int) -> None:
    for numbers in ({}, dict.fromkeys(range(4, 12), 1), {6: 1}):
        assert sorted(inside(numbers, first, count)) == [one for one in numbers if first <= one < first + count]


@pytest.mark.parametrize("number", [1, 2, 18, 80])
def test_what_ends_sessions_is_not_said_to_change_nothing(number: int) -> None:
    (row,) = [one for one in support_rows() if one.number == number]
    assert row.support is Support.PARSED
    assert row.basis in {"starts", "stops", "recoveries"}


@pytest.mark.parametrize("number", [13, 81])
def test_types_that_no_file_has_are_not_said_to_be_tried(number: int) -> None:
    assert [one.basis.endswith("in no file at hand") for one in support_rows() if one.number == number] == [True]


class Change:
    """A change that can be taken back, which counts how often it is looked at."""

    looks = 0

    def __init__(self, rceid: int, redo: object) -> None:
        self.redo, self._rceid = redo, rceid

    @property
    def rceid(self) -> int:
        Change.looks += 1
        return self._rceid


def session(*changes: Change) -> OpenSession:
    versions: Any = list(changes)
    return OpenSession(versions=versions)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_one_change_is_dropped_and_the_others_stay_in_order(at: int) -> None:
    redo: Any = object()
    changes = [Change(number, redo) for number in (5, 6, 7)]
    open_session = session(*changes)
    open_session.drop(5 + at, redo)
    kept: Any = open_session.versions
    assert kept == changes[:at] + changes[at + 1 :]


def test_what_is_of_another_database_or_not_there_stays() -> None:
    redo: Any = object()
    other: Any = object()
    open_session = session(Change(5, redo))
    open_session.drop(5, other)
    open_session.drop(6, redo)
    assert len(open_session.versions) == 1


def test_a_long_rollback_looks_at_each_change_once() -> None:
    redo: Any = object()
    open_session = session(*(Change(number, redo) for number in range(2000)))
    Change.looks = 0
    for number in reversed(range(2000)):
        open_session.drop(number, redo)
    assert (open_session.versions, Change.looks) == ([], 2000)
