"""Many small files are staged by several processes; whatever becomes of them, the result is that of one."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest
from recovery_sets import archive, flip
from restore_helpers import Reader, entry, piece, plan_of, timed, tree

import tokar
from tokar import processes
from tokar.errors import IntegrityError, StorageError
from tokar.restore import stager as contents
from tokar.restore.options import RestoreOptions
from tokar.restore.place import PlacingStoppedError, Report, place
from tokar.restore.prepare import place_sets, plan_restore
from tokar.restore.staging import Stage
from tokar.restore.workers import Tally, WorkerPool
from tokar.storage import durable
from tokar.storage.directory import Directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tokar.format.entry_reader import Chunk
    from tokar.format.index import Entry

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")

SIZES = random.Random(7).choices((0, 1, 10, 1000, contents._SMALL_SIZE, contents._SMALL_SIZE + 1), k=100)
FILES = [entry(number, 0x21, f"edb{number:05x}.log", size=size) for number, size in enumerate(SIZES)]
EXPECTED = {f"edb{one.number:05x}.log": Reader.expected(one) for one in FILES}


@pytest.fixture(autouse=True)
def few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "_MANY_FILES", 10)
    monkeypatch.setattr(contents, "_BLOCK", 4)


class Troubled(Reader):
    """Does something at one entry, in the process that placing was called in, or in the others."""

    def __init__(self, number: int, *, here: bool, act: object) -> None:
        super().__init__()
        self.number = number
        self.home = os.getpid()
        self.here = here
        self.act = act

    def chunks(self, entry: Entry) -> Iterator[Chunk]:
        if entry.number == self.number and (os.getpid() == self.home) is self.here:
            yield piece(1, b"?")
            if callable(self.act):
                self.act()
            assert isinstance(self.act, BaseException)
            raise self.act
        yield from super().chunks(entry)


def helped() -> list[int]:
    """Return the numbers of small files that another process stages."""
    return [one.number for one in FILES if one.size <= contents._SMALL_SIZE and one.number // 4 % 3]


@pytest.fixture(autouse=True)
def processes_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Demand that every process that a test forks is gone, and was waited for."""
    forked: list[int] = []
    original = os.fork

    def fork() -> int:
        process = original()
        forked.append(process)
        return process

    monkeypatch.setattr(os, "fork", fork)
    yield
    for process in forked:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
def test_the_result_is_the_same_for_any_number_of_processes(tmp_path: Path, processes: int) -> None:
    seen: list[int] = []
    plan = plan_of(timed(FILES, {one.number: 10**18 + one.number for one in FILES}), into=str(tmp_path / "out"))
    report = place(plan, Reader(), progress=seen.append, processes=processes)
    assert report == Report(files=100, size=sum(SIZES), asides=(), without_time=0)
    assert tree(tmp_path / "out") == EXPECTED
    assert sum(seen) == sum(SIZES)
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert times == {name: 10**18 + number for number, name in enumerate(EXPECTED)}


def test_progress_is_told_in_the_process_that_placing_was_called_in_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tell(_: int) -> None:
        (tmp_path / str(os.getpid())).touch()

    monkeypatch.setattr(contents, "_PROGRESS_STEP", 1)
    place(plan_of(FILES, into=str(tmp_path / "out")), Reader(), progress=tell, processes=3)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [str(os.getpid())]


@pytest.mark.parametrize("number", [helped()[0], helped()[20], helped()[-1]])
@pytest.mark.parametrize("act", [MemoryError(), lambda: os._exit(0), lambda: os.kill(os.getpid(), signal.SIGKILL)])
def test_what_a_process_could_not_do_is_done_by_the_one_it_was_forked_from(
    tmp_path: Path, number: int, act: object
) -> None:
    reader = Troubled(number, here=False, act=act)
    report = place(plan_of(FILES, into=str(tmp_path / "out")), reader, processes=3)
    assert report == Report(files=100, size=sum(SIZES), asides=(), without_time=0)
    assert tree(tmp_path / "out") == EXPECTED


@pytest.mark.parametrize("number", range(0, 100, 9))
def test_damage_gives_the_same_error_and_leaves_nothing_whoever_meets_it(tmp_path: Path, number: int) -> None:
    reader = Reader({number: [piece(SIZES[number] + 1, bytes(SIZES[number] + 1))]})
    with pytest.raises(IntegrityError, match=f"edb{number:05x}.log has {SIZES[number] + 1} bytes of content"):
        place(plan_of(FILES, into=str(tmp_path / "out")), reader, processes=3)
    assert list(tmp_path.iterdir()) == []


def test_what_could_not_be_written_while_others_were_staged_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []

    def sync(descriptor: int, path: Path | str) -> bool:
        told.append(descriptor)
        if len(told) == 1:  # the system says it once
            raise StorageError("cannot make it durable", path=path)
        return True

    class Waiting(Reader):
        """Waits at the first entry until there was a sync."""

        def chunks(self, entry: Entry) -> Iterator[Chunk]:
            if entry.number == 0:
                deadline = time.monotonic() + 60
                while not told and time.monotonic() < deadline:
                    time.sleep(0.001)
            return super().chunks(entry)

    monkeypatch.setattr(durable, "_SYNC_BEHIND", 0.001)
    monkeypatch.setattr(durable, "sync_file_system", sync)
    with pytest.raises(StorageError, match="cannot make it durable"):
        place(plan_of(FILES, into=str(tmp_path / "out")), Waiting(), processes=3)
    assert len(told) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), IntegrityError("wrong")])
@pytest.mark.parametrize("number", [0, 3, 50])
def test_an_error_here_ends_the_others_and_leaves_nothing(tmp_path: Path, number: int, error: BaseException) -> None:
    reader = Troubled(number, here=True, act=error)
    assert number not in helped()
    with pytest.raises(type(error)):
        place(plan_of(FILES, into=str(tmp_path / "out")), reader, processes=3)
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_forked_one_process_does_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise OSError(11, "try again")

    monkeypatch.setattr(os, "fork", refuse)
    report = place(plan_of(FILES, into=str(tmp_path / "out")), Reader(), processes=3)
    assert report == Report(files=100, size=sum(SIZES), asides=(), without_time=0)
    assert tree(tmp_path / "out") == EXPECTED


def test_a_share_that_is_said_to_be_done_and_is_not_is_noticed(tmp_path: Path) -> None:
    reader = Troubled(helped()[5], here=False, act=lambda: os._exit(processes.DONE))
    with pytest.raises(StorageError, match="of 100 files were staged"):
        place(plan_of(FILES, into=str(tmp_path / "out")), reader, processes=3)
    assert list(tmp_path.iterdir()) == []


def test_times_that_cannot_be_set_are_counted_in_all_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OverflowError

    monkeypatch.setattr(os, "utime", refuse)
    plan = plan_of(timed(FILES, dict.fromkeys(range(100), 1)), into=str(tmp_path / "out"))
    assert place(plan, Reader(), processes=3).without_time == 100


def test_a_large_file_is_on_its_way_to_the_medium_while_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[int, int]] = []
    monkeypatch.setattr(durable, "WRITE_BEHIND", 100)
    monkeypatch.setattr(durable, "write_behind", lambda _, offset, size: begun.append((offset, size)))
    large = entry(0, 0x21, "edb00001.log", size=400)
    pieces = [piece(60, b"x" * 60), piece(60, None), piece(280, b"y" * 280)]
    place(plan_of([large], into=str(tmp_path / "out")), Reader({0: pieces}), processes=1)
    assert begun == [(0, 120), (120, 280)]


@pytest.mark.parametrize("number", range(0, 100, 9))
def test_a_file_that_is_gone_at_the_end_is_missed_whichever_process_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    name = f"edb{number:05x}.log"
    whole = Stage.commit_whole

    def removing(stage: Stage) -> None:
        stage.opened.remove(name)
        whole(stage)

    monkeypatch.setattr(Stage, "commit_whole", removing)
    with pytest.raises(PlacingStoppedError, match="it was placed, and is gone or replaced") as caught:
        place(plan_of(FILES, into=str(tmp_path / "out")), Reader(), processes=3)
    assert str(caught.value.path).endswith(name)


def test_many_files_are_looked_at_by_several_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    tallies = WorkerPool.tallies

    def counted(pool: WorkerPool, *, wait: bool) -> Iterator[Tally]:
        for tally in tallies(pool, wait=wait):
            if (tmp_path / "out").exists():
                looked.append(tally.files)
            yield tally

    monkeypatch.setattr(WorkerPool, "tallies", counted)
    place(plan_of(FILES, into=str(tmp_path / "out")), Reader(), processes=3)
    assert sum(looked) == len(helped())


def test_what_a_process_could_not_look_at_is_looked_at_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, size_of = os.getpid(), Directory.size_of

    def dies(directory: Directory, name: str) -> int | None:
        return size_of(directory, name) if os.getpid() == home else os._exit(0)

    monkeypatch.setattr(Directory, "size_of", dies)
    report = place(plan_of(FILES, into=str(tmp_path / "out")), Reader(), processes=3)
    assert report == Report(files=100, size=sum(SIZES), asides=(), without_time=0)


@pytest.mark.parametrize("processes", [1, 3])
def test_damage_of_file_records_is_named_whichever_process_meets_it(processes: int, tmp_path: Path) -> None:
    made = archive(tmp_path / "a.tokar", {f"{number:03}.txt": b"text" * number for number in range(100)}).path
    with tokar.open(made) as opened:
        places = [opened.entry(number).file_position + 10 for number in range(0, 100, 7)]
    data = made.read_bytes()
    for at in places:
        data = flip(data, at)
    made.write_bytes(data)
    with tokar.open(made) as opened:
        plan = plan_restore(opened, RestoreOptions(into=tmp_path / "out"))
        assert "FILE" not in str(plan.outcome)
        place_sets(plan, processes=processes)
        assert str(plan.outcome).startswith("NOT PROVEN: ")
        assert str(plan.outcome).endswith(
            f"({made}, at byte {places[0] - 10} (0x{places[0] - 10:x})): no file needs that record"
        )
    assert len(tree(tmp_path / "out")) == 100
