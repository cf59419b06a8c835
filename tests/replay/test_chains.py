"""Pages followed through the logs without playing them: real sets, and what chains alone can see."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from engine_by_hand import new_story
from lab_sets import read_place
from replay_logs import record
from replay_pages import older, page_in, put_page
from replay_sets import after, belkasoft, catroot, rathbun
from test_recover import advancing, as_it_lies, lay
from test_redo import a_page, a_store, change

from tokar.collect.on_disk import open_set
from tokar.ese.attachment import Attachment
from tokar.ese.content_facts import PageReport
from tokar.ese.database import DatabaseHeader
from tokar.ese.pagerecords import EseRecord
from tokar.ese.values import LogPosition, Signature
from tokar.replay.chains import Attaching, Follower, _ChainPlayer, _code_of, with_chains
from tokar.replay.nodepage import NodePage
from tokar.replay.redo import Bounds
from tokar.replay.stream import RecordsError, position_of
from tokar.replay.whole import Target, streams_of
from tokar.sets.facts import ChainFacts, DatabaseFacts, LogFacts, OffChain
from tokar.sets.faults import FaultKind
from tokar.sets.judge import judge_set

if TYPE_CHECKING:
    from replay_sets import RealSet

    from tokar.sets.facts import SetFacts


def follower(*pages: NodePage, settled: int = -1, ahead: int = 1 << 62, low: int = 0) -> Follower:
    return Follower(a_store(*pages), Bounds(settled, ahead), low)


def found(one: Follower, *changes: Any, must: bool = False) -> list[str]:
    for position, each in enumerate(changes, 1):
        one.follow(each, position, must=must)
    return [off.text for off in one.finish().off]


STEPS = [change("Insert", before=100, dbtime=101), change("Delete", before=101, dbtime=105)]


@pytest.mark.parametrize("dbtime", [100, 101, 105])
def test_a_page_may_stand_anywhere_on_its_chain(dbtime: int) -> None:
    assert found(follower(a_page(dbtime=dbtime)), *STEPS) == []


@pytest.mark.parametrize(
    ("dbtime", "text"),
    [
        (99, "page 5 is at 0x63, and the change from 0x64 is next"),
        (103, "page 5 is at 0x67, and the logs lead from 0x65 to 0x69"),
        (106, "page 5 is at 0x6a, and the logs end with 0x69"),
    ],
)
def test_a_page_beside_its_chain_is_named(dbtime: int, text: str) -> None:
    assert found(follower(a_page(dbtime=dbtime)), *STEPS) == [text]


def test_what_was_written_before_must_be_on_the_page() -> None:
    texts = found(follower(a_page(dbtime=101)), *STEPS, must=True)
    assert texts == ["page 5 is at 0x65, and the change to 0x69 was written before"]


def test_a_page_ahead_of_the_logs_that_it_needs_is_named() -> None:
    texts = found(follower(a_page(dbtime=105), ahead=1), *STEPS)
    assert texts == ["page 5 is at 0x69, ahead of the logs that it needs"]


def test_a_chain_with_a_hole_is_of_two_histories() -> None:
    texts = found(follower(a_page(dbtime=100)), STEPS[0], change("Delete", before=102, dbtime=105))
    assert texts == ["the logs leave page 5 at 0x65 and find it at 0x66"]


def test_logs_of_two_histories_that_a_database_does_not_need_prove_nothing_of_its_pages() -> None:
    one = Follower(a_store(a_page(dbtime=100)), Bounds(settled=2, ahead=1 << 62))
    for at, step in enumerate((STEPS[0], change("Delete", before=102, dbtime=105), STEPS[1])):
        one.follow(step, at, must=True)
    facts = one.finish()
    assert (facts.off_count, facts.is_halted) == (0, False)
    assert "find it at 0x66, at (0,0,1): logs that it does not need are of two histories" in facts.why_not


def test_pages_are_followed_through_the_logs_of_their_database_alone() -> None:
    one = Follower(a_store(a_page(dbtime=100)), Bounds(ahead=1 << 62), generations={4})
    one.follow(STEPS[0], 4 << 32, must=False)
    one.follow(change("Delete", before=102, dbtime=105), 6 << 32, must=False)
    facts = one.finish()
    assert (facts.off_count, facts.changes) == (0, 1)


def test_where_logs_are_given_up_what_pages_lack_is_lost() -> None:
    one = Follower(a_store(a_page(dbtime=99)), Bounds(ahead=1 << 62))
    one.follow(STEPS[0], 1, must=False)
    given_up, damaged = one.halt("a record", -586), one.halt("a record", -501)
    assert (given_up.off_count, given_up.code, given_up.is_halted) == (1, -586, True)
    assert (damaged.off_count, damaged.code) == (0, -501)


def test_a_page_that_is_not_there_lacks_what_began_before() -> None:
    assert found(follower(), *STEPS) == ["page 5 is blank or not there, and the logs change it"]


def test_a_page_that_the_logs_make_may_be_anything_before() -> None:
    made = record("NewPage", page=5, dbtime=99)
    after_it = change("Insert", before=99, dbtime=100)
    for pages in ((), (a_page(dbtime=3),), (a_page(dbtime=99),), (a_page(dbtime=100),)):
        assert found(follower(*pages), made, after_it) == []


def test_a_page_that_must_have_been_made_is_there() -> None:
    made = record("NewPage", page=5, dbtime=99)
    assert found(follower(), made, must=True) == ["page 5 is blank or not there, and the logs change it"]


@pytest.mark.parametrize(
    ("name", "source", "target", "patched", "is_lost"),
    [
        ("Split", 101, 90, False, True),
        ("Split", 101, None, False, True),
        ("Split", 101, 101, False, False),
        ("Split", 100, 90, False, False),  # the nodes are still there
        ("Split", 101, 90, True, False),  # a patch file may have the page
        ("Split2", 101, 90, False, False),  # with an image
    ],
)
def test_nodes_that_a_split_without_an_image_has_moved_must_be_on_the_page_that_took_them(
    name: str, source: int, target: int | None, patched: bool, is_lost: bool
) -> None:
    pages = [a_page(dbtime=source), *([a_page(number=6, dbtime=target)] if target is not None else [])]
    one = Follower(a_store(*pages), Bounds(ahead=1 << 62), patched=patched)
    texts = found(one, change(name, new_page=6))
    told = "page 5 has given nodes away at 0x65, and page 6, which took them, is older"
    assert texts == ([told] if is_lost else [])
    later = Follower(a_store(*pages), Bounds(ahead=1 << 62), patched=patched)
    again = record("NewPage", page=6, dbtime=110)
    assert found(later, change(name, new_page=6), again) == []  # whatever was to be on it


def test_a_blank_page_that_pages_in_use_name_must_be_written_by_a_log_or_given_back() -> None:
    report = PageReport(page_size=4096, lost=(5, 6, 7, 9))
    one = Follower(a_store(a_page(dbtime=100)), Bounds(), report=report)
    one.follow(record("NewPage", page=6, dbtime=99), 1, must=False)
    one.follow(STEPS[0], 2, must=False)
    assert one.finish().unwritten == (7, 9)
    player = _ChainPlayer({}, ())
    player.follower = lambda _: one  # type: ignore[method-assign, assignment]
    player.trim(record("TrimDB", dbid=1, first=8, pages=4))
    assert one.finish().unwritten == (7,)


def test_pages_that_do_not_fit_each_other_must_be_changed_by_recovery_or_given_back() -> None:
    report = PageReport(page_size=4096, unlinked=((5, 7), (7, 8), (9, 4)))
    one = Follower(a_store(a_page(dbtime=105)), Bounds(), report=report)
    for at, step in enumerate(STEPS):
        one.follow(step, at, must=False)
    assert one.finish().unlinked == ((5, 7), (7, 8), (9, 4))  # page 5 has all of it
    one = Follower(a_store(a_page(dbtime=101)), Bounds(), report=report)
    one.follow(STEPS[1], 1, must=False)
    assert one.finish().unlinked == ((7, 8), (9, 4))
    player = _ChainPlayer({}, ())
    player.follower = lambda _: one  # type: ignore[method-assign, assignment]
    player.trim(record("TrimDB", dbid=1, first=8, pages=1))
    assert one.finish().unlinked == ((9, 4),)


LOGGED, STREAM, OLD_STREAM = 3 << 32 | 5 << 16, Signature(random=7), Signature(random=8)


def attaching(*, shut_down: int = 0, attached: int = LOGGED, state: int = 2) -> Attaching:
    """Whether logs attach a database that needs logs 3 to 4, of which 5 is committed."""
    header = DatabaseHeader(
        raw_state=state,
        log_signature=STREAM,
        consistent_position=position_of(shut_down),
        attach_position=position_of(attached),
        required_low=3,
        required_high=4,
        committed_high=5,
    )
    return Attaching(Target(DatabaseFacts(name="a.edb", header=header)))


def listed(attached: int, shut_down: int = 0) -> Attachment:
    places = position_of(attached), position_of(shut_down)
    return Attachment(dbid=1, path="a.edb", signature=STREAM, attach_position=places[0], consistent_position=places[1])


@pytest.mark.parametrize(
    ("own", "code"),
    [
        ({}, None),
        ({"shut_down": 2 << 32}, None),
        ({"shut_down": 1 << 32}, -551),
        ({"shut_down": 6 << 32}, -1216),
        ({"attached": LOGGED + 1}, -1216),
        ({"attached": LOGGED - 1}, -1216),
    ],
)
def test_a_database_is_attached_where_the_first_log_names_its_state(own: dict[str, int], code: int | None) -> None:
    one = attaching(**own)
    one.meet_listed(LOGGED, listed(LOGGED, 2 << 32))
    found = one.finish(9 << 32)
    assert (found and found.code) == code


@pytest.mark.parametrize(
    ("own", "before", "code"),
    [
        ({}, position_of(2 << 32), None),
        ({"shut_down": 2 << 32, "attached": 2 << 32}, position_of(2 << 32), None),  # copied back from before it
        ({"shut_down": 1 << 32}, position_of(2 << 32), -551),
        ({"attached": 4 << 32}, position_of(2 << 32), -1216),
        ({"shut_down": 2 << 32}, position_of(9 << 32), None),  # a position in logs of before
    ],
)
def test_a_database_is_attached_by_the_record_of_that(own: dict[str, int], before: LogPosition, code: int) -> None:
    one = attaching(**own)
    one.meet(LOGGED, before, STREAM)
    found = one.finish(9 << 32)
    assert (found and found.code) == code


def test_a_database_of_older_logs_is_attached_by_its_own_record_only() -> None:
    one = attaching(attached=2 << 32)
    one.meet(LOGGED, position_of(9 << 32), OLD_STREAM)
    assert one.finish(0) is not None
    one = attaching()
    one.meet(LOGGED, position_of(9 << 32), OLD_STREAM)
    assert one.finish(0) is None


def test_an_attachment_that_comes_later_is_waited_for_and_none_is_said() -> None:
    one = attaching(attached=LOGGED + 9)
    one.meet_listed(LOGGED, listed(LOGGED))
    one.meet(LOGGED + 9)
    assert one.finish(0) is None
    never = attaching().finish(5 << 32)
    assert never is not None
    assert (never.position, never.code) == ("(5,0,0)", -1216)


def test_a_page_that_no_log_changes_is_not_ahead_of_header_and_logs() -> None:
    for dbtime, off in ((100, []), (101, [5])):
        one = follower(a_page(dbtime=dbtime))
        one.highest = 100
        one.note_ahead(PageReport(page_size=4096, highest_dbtime=dbtime), 99)
        assert [each.page for each in one.finish().off] == off


def test_where_following_ends_only_what_no_later_record_mends_counts() -> None:
    lost, foreign = follower(a_page(dbtime=99)), follower(a_page(dbtime=103))
    for one in (lost, foreign):
        for at, step in enumerate(STEPS):
            one.follow(step, at, must=False)
    assert lost.halt("why", None) == ChainFacts(why_not="why", changes=2, is_halted=True)
    assert [off.page for off in foreign.halt("why", None).off] == [5]
    assert foreign.halt("why", -501).code == -501


def test_where_following_ends_no_blank_page_is_called_lost_for_what_later_logs_write() -> None:
    report = PageReport(page_size=4096, lost=(7,), unlinked=((7, 8),))
    one = Follower(a_store(a_page(dbtime=103)), Bounds(-1, 1 << 62), report=report)
    for at, step in enumerate(STEPS):
        one.follow(step, at, must=False)
    halted = one.halt("why", None)
    assert (halted.off_count, halted.unwritten, halted.unlinked) == (1, (), ())


def _unknown(_: _ChainPlayer, position: int, record: EseRecord) -> None:
    error = RecordsError(f"there is no record of type {record.type}")
    error.position = position
    raise error


@pytest.mark.parametrize("is_written", [True, False])
@pytest.mark.parametrize(
    ("known", "told"), [(True, "header and logs come to"), (False, "edb.log, the last log, has no record after")]
)
def test_pages_from_after_a_last_log_without_records_are_named(
    is_written: bool, known: bool, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its records are: its header says how far the database had come when it was begun."""
    story = new_story(tmp_path / "lab", "certadm", databases=1)
    story.lab.stop()
    story.lab.work(10)
    instance = story.lab.instance
    instance.log.roll()
    if is_written:  # else no page was, since that log was begun
        transactions = instance.transactions
        number = transactions.begin()
        transactions.put(number, 1, b"key", b"value")
        transactions.commit(number)
        instance.cache.flush_all()
    story.lab.crash()
    for name, data in read_place(story).items():
        (tmp_path / name).write_bytes(data[:4096].ljust(len(data), b"\0") if name == "edb.log" else data)
    if not known:
        monkeypatch.setattr(_ChainPlayer, "feed", _unknown)
    with open_set([*tmp_path.glob("*.*")]) as found:
        facts = with_chains(found.facts, found.open)
    (chain,) = [one.chain for one in facts.databases]
    assert chain is not None
    assert all(told in one.text for one in chain.off)
    assert bool(chain.off) is is_written


def test_a_session_that_does_not_fit_does_not_end_it() -> None:
    player = _ChainPlayer({})
    for at, one in enumerate((record("Begin0", session=3, levels=0x10), record("Commit", session=3, level=4))):
        player.feed(at, one)
    assert "session 3 commits to level 4" in player.odd
    player.feed(9, record("Rollback", session=3, levels=1))
    player.feed(10, record("Begin0", session=3, levels=0x10))
    assert player.sessions[3].level == 1


@pytest.mark.parametrize(
    ("owned", "position", "committed", "code"),
    [(9, 4 << 32, 5, -501), (9, 5 << 32, 5, -586), (9, 6 << 32, 5, -501), (0, 4 << 32, 5, None), (9, None, 5, None)],
)
def test_records_that_do_not_fill_a_log_are_damage_only_where_that_is_sure(
    owned: int, position: int | None, committed: int, code: int | None
) -> None:
    header = DatabaseHeader(raw_state=2, required_low=3, required_high=4, committed_high=committed)
    pages = PageReport(page_size=4096, owned=owned)
    assert _code_of(Target(DatabaseFacts(name="a.edb", header=header, pages=pages)), position) == code


def test_what_chains_came_to_is_said() -> None:
    assert str(ChainFacts(pages=2, changes=1)) == (
        "2 pages followed through 1 change in the logs: all where they must be"
    )
    assert "1 NOT where" in str(ChainFacts(pages=2, changes=1, off_count=1))
    assert str(ChainFacts(why_not="x")) == "its pages were not followed through the logs: x"
    assert str(ChainFacts(unattached=OffChain(0, "(1,2,3)", "x", -1216))) == "the logs do NOT attach it: x"


@pytest.mark.parametrize(
    ("chain", "is_followed"),
    [
        (ChainFacts(high=5), True),
        (ChainFacts(high=4), False),
        (ChainFacts(why_not="another file is of the same database"), False),
        (ChainFacts(why_not="no log leads to it", is_explained=True), False),
        (ChainFacts(why_not="there is no record of type 245", is_halted=True), True),  # of an engine that is not known
        (ChainFacts(why_not="there is no record of type 245", is_halted=True, changes=1), False),
        (None, False),
    ],
)
def test_a_reason_not_to_follow_pages_is_no_proof(chain: ChainFacts | None, is_followed: bool) -> None:
    database = DatabaseFacts(name="a.edb", pages=PageReport(page_size=4096), chain=chain)
    assert database.is_followed_to(5) is is_followed


def test_copies_of_a_database_are_followed_each_by_itself() -> None:
    headers = [DatabaseHeader(raw_state=2, signature=Signature(random=random)) for random in (1, 2, 1, 3)]
    logs = [LogFacts(name="edb.log")]
    one, other, copy, third = [Target(DatabaseFacts(name="a.edb", header=header), logs) for header in headers]
    assert [stream.targets for stream in streams_of([one, other, copy, third])] == [[one], [other, third], [copy]]


def test_what_is_attached_at_the_end_is_what_records_did_not_take_away() -> None:
    listed = [Attachment(dbid=at, path=f"{at}.edb", signature=Signature(random=at)) for at in (1, 2)]
    player = _ChainPlayer({}, listed)
    player.feed(1, record("DetachDB", dbid=1))
    path = "C:\\new.edb".encode("utf-16-le") + b"\0\0"
    player.feed(2, record("AttachDB", dbid=3, signature=STREAM, flags=8, path=path))
    assert [one.path for one in player.all_attached.values()] == ["2.edb", "C:\\new.edb"]
    player.feed(3, record("Term2"))
    assert player.all_attached == {}


def facts_of(folder: Path) -> SetFacts:
    with open_set([folder]) as files:
        return with_chains(files.facts, files.open)


def chain_of(folder: Path) -> ChainFacts:
    (one,) = facts_of(folder).databases
    assert one.chain is not None
    return one.chain


@pytest.mark.samples
@pytest.mark.parametrize(
    ("real", "pages", "changes"), [(rathbun, 90, 2207), (belkasoft, 94, 921), (catroot, 512, 1807)]
)
def test_every_page_of_a_real_set_stands_on_its_chain(real: Any, pages: int, changes: int, tmp_path: Path) -> None:
    chain = chain_of(as_it_lies(tmp_path / "in", real()))
    assert (chain.off, chain.pages, chain.changes, chain.why_not) == ((), pages, changes, "")


@pytest.mark.samples
def test_an_older_state_stands_on_the_chain_of_later_logs(tmp_path: Path) -> None:
    chain = chain_of(advancing(tmp_path / "in"))
    assert (chain.off, chain.pages) == ((), 65)


@pytest.mark.samples
@pytest.mark.parametrize(("real", "name"), [(rathbun, "SRUDB.dat"), (belkasoft, "SRUDB.dat"), (after, "SRUDB.dat")])
def test_a_lost_write_is_found_although_all_checksums_are_right(real: Any, name: str, tmp_path: Path) -> None:
    source: RealSet = real()
    folder = as_it_lies(tmp_path / "in", source)
    last = max(position for records in source.records() for position, one in records if one.type == 29)
    page = next(one.page for records in source.records() for position, one in records if position == last)  # type: ignore[attr-defined]
    path = folder / name
    put_page(path, page, older(page_in(path, page), page))
    facts = facts_of(folder)
    (chain,) = [one.chain for one in facts.databases if one.chain is not None]
    assert [off.page for off in chain.off] == [page]
    verdict = judge_set(facts)
    assert [(one.kind, one.code) for one in verdict.blocking] == [(FaultKind.PAGES_OFF_CHAIN, chain.off[0].code)]
    assert str(page) in verdict.blocking[0].message


@pytest.mark.samples
def test_a_page_of_the_past_is_found(tmp_path: Path) -> None:
    """The database of the day before has the same page, with a right checksum."""
    folder = lay(tmp_path / "in", after().database, list(after().logs))
    old = page_in(advancing(tmp_path / "before") / "SRUDB.dat", 31)
    put_page(folder / "SRUDB.dat", 31, old)
    assert [off.page for off in chain_of(folder).off] == [31]


@pytest.mark.samples
def test_a_blank_page_in_the_place_of_a_written_one_is_found(tmp_path: Path) -> None:
    folder = as_it_lies(tmp_path / "in", rathbun())
    put_page(folder / "SRUDB.dat", 31, bytes(4096))
    facts = facts_of(folder)
    (chain,) = [one.chain for one in facts.databases]
    assert chain is not None
    # Where pages in use lead there, that is the root cause, and no page is followed.
    assert [off.page for off in chain.off] == [31] or "page 31 is blank" in chain.why_not
    assert judge_set(facts).blocking


@pytest.mark.samples
def test_logs_are_open_one_at_a_time(tmp_path: Path) -> None:
    real = rathbun()
    with open_set([as_it_lies(tmp_path / "in", real)]) as files:
        before = len(list(Path("/dev/fd").iterdir()))
        for log in files.facts.logs:
            files.open(log)
        assert len(real.logs) > 1
        assert len(list(Path("/dev/fd").iterdir())) == before + 1
