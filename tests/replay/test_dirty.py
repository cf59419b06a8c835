"""Databases that crashed, and copies of streaming backups, made of the states of a real one, and recovered."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from replay_history import histories_of
from replay_pages import page_in, put_page
from replay_sets import after, before, pages_of, unequal
from replay_truth import visible_in
from test_recover import rows_by_dissect, run

from tokar.collect.on_disk import open_set
from tokar.errors import SetError
from tokar.ese.database import DatabaseHeader, DatabaseState
from tokar.ese.log import LogHeader
from tokar.ese.page import seal_page
from tokar.ese.trailer import BackupTrailer
from tokar.ese.values import NO_POSITION, NO_TIME, BackupInfo
from tokar.replay.chains import with_chains
from tokar.replay.effects import changes_of
from tokar.replay.recover import recover
from tokar.replay.stream import number_of, position_of
from tokar.replay.whole import Replay
from tokar.sets.faults import FaultKind
from tokar.sets.judge import judge_set

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.samples

PAGE = 4096


def whole() -> Any:
    return after(whole=True)


def crashed_pages(chance: random.Random) -> bytes:
    """All pages, each in one of the states that it had since the last attachment, or that it had then."""
    attached = number_of(after().header.attach_position)
    written = {
        page: dbtime
        for records in whole().records()
        for position, one in records
        for page, dbtime, _ in changes_of(one)
        if position <= attached
    }
    found = histories_of(whole)
    body = bytearray(after().database.read_bytes()[2 * PAGE :])
    for number in found.pages:
        states = [one for one in found.states(number) if int.from_bytes(one[8:16], "little") >= written.get(number, 0)]
        blank = [] if number in written else [bytes(PAGE)]
        state = chance.choice(blank + states)
        body[(number - 1) * PAGE : number * PAGE] = seal_page(state, number) if any(state) else state
    return bytes(body)


def dirty_header(**fields: Any) -> DatabaseHeader:
    newest = LogHeader.parse(after().logs[3].read_bytes())
    return replace(
        after().header,
        raw_state=DatabaseState.DIRTY_SHUTDOWN.value,
        detach_position=NO_POSITION,
        detach_time=NO_TIME,
        consistent_position=position_of(number_of(after().header.attach_position) - 0x100),
        resize_position=NO_POSITION,
        required_low=4,
        required_high=5,
        committed_high=5,
        last_log_time=newest.created,
        **fields,
    )


def lay_logs(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for number, log in enumerate(after().logs, 2):
        shutil.copy(log, folder / ("SRU.log" if number == 5 else f"SRU{number:05X}.log"))
    return folder


def crash(folder: Path, seed: int = 1) -> Path:
    lay_logs(folder)
    (folder / "SRUDB.dat").write_bytes(dirty_header().build() * 2 + crashed_pages(random.Random(seed)))
    return folder


def streaming_copy(folder: Path, seed: int = 1) -> Path:
    lay_logs(folder)
    (folder / "SRU.log").rename(folder / "SRU00005.log")  # a backup has closed logs alone
    mark = position_of(number_of(after().header.attach_position) + 0x100)
    info = BackupInfo(mark=mark, time=after().header.attach_time, generation_low=4)
    header = replace(dirty_header(), current_full=info)
    trailer = BackupTrailer(
        backup=replace(info, generation_high=5), signature=header.signature, log_signature=header.log_signature
    )
    data = header.build() * 2 + crashed_pages(random.Random(seed)) + trailer.build(PAGE)
    (folder / "SRUDB.dat").write_bytes(data)
    return folder


@pytest.mark.parametrize("make", [crash, streaming_copy])
def test_a_database_that_was_in_use_comes_to_what_it_was_when_it_was_shut_down(make: Any, tmp_path: Path) -> None:
    (one,) = run(make(tmp_path / "in"), tmp_path / "out")
    assert one.report.changes > 20
    assert list(unequal(pages_of(one.path), pages_of(after().database), range(1, 159))) == []
    assert one.path.stat().st_size == after().database.stat().st_size
    header = DatabaseHeader.parse(one.path.read_bytes()[:PAGE])
    assert (header.is_clean, header.is_streaming_copy, header.required_high) == (True, False, 0)
    assert rows_by_dissect(one.path) == rows_by_dissect(after().database)


@pytest.mark.torture
@pytest.mark.parametrize("make", [crash, streaming_copy])
def test_thirty_of_each_come_to_it(make: Any, tmp_path: Path) -> None:
    for seed in range(30):
        (one,) = run(make(tmp_path / f"{seed}", seed), tmp_path / f"out{seed}")
        assert list(unequal(pages_of(one.path), pages_of(after().database), range(1, 159))) == []


def with_lost_page(folder: Path, seed: int = 1) -> Path:
    crash(folder, seed)
    put_page(folder / "SRUDB.dat", 11, bytes(PAGE))
    return folder


def test_a_page_in_use_that_no_log_writes_is_lost(tmp_path: Path) -> None:
    folder = with_lost_page(tmp_path / "in")
    with open_set([folder]) as files:
        facts = with_chains(files.facts, files.open)
    (chain,) = [one.chain for one in facts.databases]
    assert chain is not None
    assert (chain.unwritten, chain.off) == ((11,), ())
    assert str(chain).endswith(": 1 NOT where they must be")
    assert [(one.kind, one.code) for one in judge_set(facts).blocking] == [(FaultKind.DATABASE_BLANK, -1019)]
    with pytest.raises(SetError, match="page 11 is blank, and pages in use lead there"):
        run(folder, tmp_path / "out")


@pytest.mark.parametrize("make", [crash, streaming_copy])
def test_a_page_that_its_neighbours_do_not_fit_and_no_log_writes_is_damage(make: Any, tmp_path: Path) -> None:
    folder = make(tmp_path / "in")
    path = folder / "SRUDB.dat"
    page = page_in(path, 41)  # which no log changes after the attachment, as those beside it
    put_page(path, 41, seal_page(page[:16] + (27).to_bytes(4, "little") + page[20:], 41))
    with open_set([folder]) as files:
        facts = with_chains(files.facts, files.open)
    (chain,) = [one.chain for one in facts.databases]
    assert chain is not None
    assert chain.unlinked == ((28, 41), (41, 27))
    assert [(one.kind, one.code) for one in judge_set(facts).blocking] == [(FaultKind.PAGES_DAMAGED, -327)]


def test_blank_pages_that_the_logs_write_are_in_order(tmp_path: Path) -> None:
    """Pages of a crashed database and of a copy made while it was written, each of any time since recovery begins."""
    lost = set()
    for seed in range(10):
        for make in (crash, streaming_copy):
            with open_set([make(tmp_path / f"{make.__name__}{seed}", seed)]) as files:
                facts = with_chains(files.facts, files.open)
            (one,) = facts.databases
            assert one.pages is not None
            lost |= {*one.pages.lost}
            assert [str(each.message) for each in judge_set(facts).faults] == []
    assert lost  # some of them were blank


def test_a_page_ahead_of_the_needed_logs_is_refused(tmp_path: Path) -> None:
    folder = crash(tmp_path / "in")
    body = (folder / "SRUDB.dat").read_bytes()[2 * PAGE :]
    header = replace(dirty_header(), required_high=4, committed_high=4)
    closed = LogHeader.parse((folder / "SRU00004.log").read_bytes())
    (folder / "SRUDB.dat").write_bytes(replace(header, last_log_time=closed.created).build() * 2 + body)
    with open_set([folder]) as files, Replay(files.facts, files.open) as replay:
        (one,) = replay.run()
    assert "ahead of the logs it needs" in one.report.why_not


def test_a_database_that_the_logs_never_attach_is_refused(tmp_path: Path) -> None:
    folder = crash(tmp_path / "in")
    data = (folder / "SRUDB.dat").read_bytes()
    other = replace(dirty_header(), signature=replace(dirty_header().signature, random=1))
    (folder / "SRUDB.dat").write_bytes(other.build() * 2 + data[2 * PAGE :])
    with open_set([folder]) as files, Replay(files.facts, files.open) as replay:
        (one,) = replay.run()
    assert "attach" in one.report.why_not


def cut_last(folder: Path, segments: int) -> Path:
    """The database before, with logs 2 and 3 of which the last ends after so many segments."""
    folder.mkdir()
    shutil.copy(before().database, folder / "SRUDB.dat")
    shutil.copy(after().logs[0], folder / "SRU00002.log")
    data = after().logs[1].read_bytes()
    (folder / "SRU.log").write_bytes(data[: segments * PAGE].ljust(len(data), b"\0"))
    return folder


@pytest.mark.parametrize(("segments", "inserts"), [(2, 147), (13, 414)])
def test_what_was_open_when_the_machine_died_is_taken_back(segments: int, inserts: int, tmp_path: Path) -> None:
    (one,) = run(cut_last(tmp_path / "in", segments), tmp_path / "out")
    assert (one.report.transactions, one.report.undone) == (1, {"insert": inserts})
    (shorter,) = run(cut_last(tmp_path / "before", 1), tmp_path / "out-before")
    # The transaction reaches over all of it: what it brought is gone again, whatever pages it was on. (dissect shows
    # nodes that are flagged as deleted; libesedb does not.)
    assert rows_in(one.path) == rows_in(shorter.path)


def rows_in(path: Path) -> Any:
    with pages_of(path) as store:
        return visible_in(store, range(1, store.last_page + 1))


def test_two_archives_of_a_chain_are_recovered_together(tmp_path: Path) -> None:
    import tokar  # noqa: PLC0415 - the door to archives, here alone

    folder = lay_logs(tmp_path / "in")
    shutil.copy(before().database, folder / "SRUDB.dat")
    parts = {"full": ["SRUDB.dat", "SRU00002.log"], "logs": ["SRU00003.log", "SRU00004.log", "SRU.log"]}
    for name, files in parts.items():
        with tokar.create(tmp_path / f"{name}.tokar", profile="ese") as writer:
            for one in files:
                with (folder / one).open("rb") as file:
                    writer.add(0x21 if one.endswith("log") else 0x44, one, file)
    with open_set([tmp_path / "full.tokar", tmp_path / "logs.tokar"]) as found:
        (written,) = recover(found, tmp_path / "out")
    assert written.report.changes == 1118
