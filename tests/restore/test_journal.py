"""A restore that died is run again: it goes on from what is whole, and trusts nothing else."""

from __future__ import annotations

import itertools
import os
import shutil
import warnings
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from chain_sets import DATABASE, TOP, archive, checkpoint, full, name_of, part, streaming
from command_line import done
from restore_helpers import entry, plan_of, plan_one
from small_sets import contents, write

import tokar
from tokar.errors import ExistingFileError, StorageError
from tokar.restore.journal import staging_name, write_journal
from tokar.restore.place import PlacingStoppedError, Report, place
from tokar.restore.plan import Aside
from tokar.restore.stager import Stager
from tokar.storage.directory import Directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokar.format.index import Entry
    from tokar.restore.plan import Plan

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a process that dies is made with fork")

EVERY = pytest.mark.parametrize("stride", [4, pytest.param(1, marks=pytest.mark.torture)])
CHANGES = ("create", "rename", "sync", "make", "remove", "remove_directory")
HEAD = '{"form": "tokar restore journal 2", "registered": false}\n'
OLD = {"data/edb.chk": checkpoint(9), f"data/{DATABASE}": b"old", f"logs/{name_of(5)}": b"old log"}


def planned(path: str | Path, folder: str | Path, existing: str, **options: Any) -> Plan:
    with tokar.open(Path(path)) as opened:
        to = [f"database=dir:{folder}/data", f"log-dir={folder}/logs"]
        return plan_one(opened, **{"to": to, "existing": existing, **options})


def restored(path: str | Path, folder: str | Path, existing: str, **options: Any) -> Report:
    with tokar.open(Path(path)) as opened:
        to = [f"database=dir:{folder}/data", f"log-dir={folder}/logs"]
        return place(plan_one(opened, **{"to": to, "existing": existing, **options}), opened)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return full(tmp_path_factory.mktemp("set")).path


WHOLE = {f"logs/{name}": data for name, data in {**part(5, 7), "main.pat": b""}.items()}


def demand_whole(folder: Path, path: Path) -> None:
    """All files are there with their content, and nothing of the work is left."""
    found = {name: data for name, data in contents(folder).items() if ".tokar-aside-" not in name}
    with tokar.open(path) as opened:
        database = opened.read(opened.find(DATABASE))
    assert found == {**WHOLE, f"data/{DATABASE}": database}
    assert not list(folder.rglob(".tokar-restore-*"))


def die(work: Path, path: Path, prepare: Callable[[Path], None], existing: str, changes: range) -> tuple[int, int]:
    """Let a restore die at each of some changes of the disk, each time in a folder of its own.

    Returns the last one, and the exit code of the process: 0 if the restore came to its end before that change.
    """
    for at in changes:
        prepare(work / str(at))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which the copy does not need
            child = os.fork()
        if not child:
            try:
                run_until(at, path, work / str(at), existing)
            finally:
                os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code != 9:
            break
    return at, code


def run_until(change: int, path: Path, folder: Path, existing: str) -> None:
    """Restore, and die at the n-th change of the disk."""
    with before_each_change(lambda number: os._exit(9) if number == change else None):
        restored(path, folder, existing)
    os._exit(0)


@contextmanager
def before_each_change(act: Callable[[int], object]) -> Iterator[None]:
    """Do something before each change of the disk; it gets the number of the change."""
    count = itertools.count(1)

    def acting(step: Callable[..., object]) -> Callable[..., object]:
        def acted(*arguments: object, **named: object) -> object:
            act(next(count))
            return step(*arguments, **named)

        return acted

    with pytest.MonkeyPatch.context() as patch:
        for name in CHANGES:
            patch.setattr(Directory, name, acting(getattr(Directory, name)))
        yield


def die_everywhere(
    tmp_path: Path, path: Path, prepare: Callable[[Path], None], existing: str, stride: int
) -> list[Path]:
    """Return a folder for each change of the disk at which a restore died, or for each n-th one."""
    last, code = die(tmp_path / "work", path, prepare, existing, range(1, 100, stride))
    assert code == 0
    assert last > 15
    return [tmp_path / "work" / str(number) for number in range(1, last, stride)]


def nothing(folder: Path) -> None:
    folder.mkdir(parents=True)


def empty_directories(folder: Path) -> None:
    for name in ("data", "logs"):
        (folder / name).mkdir(parents=True)


def old_files(folder: Path) -> None:
    write(folder, OLD)


@pytest.mark.parametrize(
    ("prepare", "existing"), [(nothing, "refuse"), (empty_directories, "refuse"), (old_files, "set-aside")]
)
@EVERY
def test_wherever_it_dies_the_same_restore_goes_on(
    tmp_path: Path, path: Path, prepare: Callable[[Path], None], existing: str, stride: int
) -> None:
    continued = 0
    for folder in die_everywhere(tmp_path, path, prepare, existing, stride):
        before = {name for name in contents(folder) if ".tokar-" not in name}
        if f"data/{DATABASE}" in before and contents(folder)[f"data/{DATABASE}"] != b"old":
            assert {*WHOLE, f"data/{DATABASE}"} <= before, "it looks whole and is not"
        continued += planned(path, folder, existing).interrupted is not None
        restored(path, folder, existing)
        demand_whole(folder, path)
        asides = [data for name, data in contents(folder).items() if ".tokar-aside-" in name]
        assert sorted(asides) == (sorted(OLD.values()) if existing == "set-aside" else [])
    assert continued > 10 // stride


_FOUND: dict[Callable[[Path], bool], int] = {}


def dead(tmp_path: Path, path: Path, choose: Callable[[Path], bool]) -> Path:
    """Return a folder that a dead restore left as it is wanted: before the last change before which that holds."""
    if choose not in _FOUND:
        search = tmp_path / "search"
        empty_directories(search)
        with before_each_change(lambda number: choose(search) and _FOUND.update({choose: number})):
            restored(path, search, "refuse")
    at = _FOUND[choose]
    die(tmp_path / "work", path, empty_directories, "refuse", range(at, at + 1))
    return tmp_path / "work" / str(at)


def is_all_staged(folder: Path) -> bool:
    staged = [one for one in folder.rglob("*") if one.is_file() and ".tokar-restore-" in str(one.parent)]
    return len(staged) == 5


def has_some_in_place(folder: Path) -> bool:
    return (folder / "logs" / name_of(5)).exists() and not (folder / "data" / DATABASE).exists()


def staged(folder: Path, name: str) -> Path:
    (found,) = folder.rglob(f".tokar-restore-*/{name}")
    return found


def test_what_is_staged_and_whole_is_not_written_again(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = dead(tmp_path, path, is_all_staged)
    made: list[str] = []
    create = Directory.create

    def watched(self: Directory, name: str) -> int:
        made.append(name)
        return create(self, name)

    monkeypatch.setattr(Directory, "create", watched)
    report = restored(path, folder, "refuse")
    assert [name for name in made if not name.endswith(".draft")] == [], "but a new journal"
    assert report.files == 5
    demand_whole(folder, path)


def test_what_is_kept_is_made_durable_by_the_descriptor_that_it_is_read_with(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = dead(tmp_path, path, is_all_staged)
    staged_names = {one.name for one in folder.rglob("*") if one.is_file() and one.parent.name.startswith(".tokar-")}
    synced: set[str] = set()
    fsync, opening = os.fsync, Directory.open
    names: dict[int, str] = {}

    def opened(self: Directory, name: str) -> int:
        names[descriptor := opening(self, name)] = name
        return descriptor

    def noted(descriptor: int) -> None:
        if os.lseek(descriptor, 0, os.SEEK_CUR) == 0:
            synced.add(names.get(descriptor, ""))
        fsync(descriptor)

    def refuse(*_: object) -> None:
        raise StorageError("looked far enough")

    monkeypatch.setattr(Directory, "open", opened)
    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(Stager, "sync", refuse)
    with pytest.raises(StorageError, match="far enough"):
        restored(path, folder, "refuse")
    assert staged_names <= synced


def test_a_kept_file_that_cannot_be_made_durable_is_written_again(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = dead(tmp_path, path, is_all_staged)
    made: list[str] = []
    create, fsync, failed = Directory.create, os.fsync, itertools.count()

    def watched(self: Directory, name: str) -> int:
        made.append(name)
        return create(self, name)

    def fail_once(descriptor: int) -> None:
        if next(failed) == 0:
            raise OSError(5, "Input/output error")
        fsync(descriptor)

    monkeypatch.setattr(Directory, "create", watched)
    monkeypatch.setattr(os, "fsync", fail_once)
    restored(path, folder, "refuse")
    assert len([name for name in made if not name.endswith(".draft")]) == 1
    demand_whole(folder, path)


def test_a_journal_that_is_replaced_meanwhile_refuses_the_restore(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = dead(tmp_path, path, has_some_in_place)
    (journal,) = folder.rglob("*.journal-1")
    sync = Stager.sync

    def swap(self: Stager) -> None:
        sync(self)
        data = journal.read_bytes()
        journal.rename(tmp_path / "taken")
        journal.write_bytes(data)

    monkeypatch.setattr(Stager, "sync", swap)
    with pytest.raises(StorageError, match="journal of this restore was moved or replaced"):
        restored(path, folder, "refuse")
    assert not (folder / "data" / DATABASE).exists()


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "5",
        "null",
        "",
        '{"form": "tokar restore journal 1", "set_aside": []}\n{"is_whole": true}\n',
        HEAD,
        HEAD + '{"is_whole": true}',
        HEAD + '{"directory": 5, "name": "", "new_name": "", "why": ""}\n{"is_whole": true}\n',
        HEAD + "7\n",
        HEAD + "x" * (1 << 19) + '\n{"is_whole": true}\n',
        "[" * 100_000,
    ],
)
def test_a_journal_that_is_none_says_nothing(tmp_path: Path, path: Path, text: str) -> None:
    folder = dead(tmp_path, path, has_some_in_place)
    (journal,) = folder.rglob("*.journal-1")
    journal.write_text(text)
    plan = planned(path, folder, "refuse")
    assert plan.interrupted is not None
    assert plan.interrupted.asides == ()
    (placed,) = list(plan.interrupted.placed)[:1]
    Path(*placed).write_bytes(b"another")
    with pytest.raises(ExistingFileError):
        restored(path, folder, "refuse")


def test_a_journal_of_many_files_is_read_whole(tmp_path: Path, path: Path) -> None:
    folder = dead(tmp_path, path, has_some_in_place)
    (found,) = folder.rglob("*.journal-1")
    asides = [Aside(f"/{'x' * 200_000}", f"{number}", "", "") for number in range(90)]
    write_journal(Directory(str(found.parent)), f"{found.name}0", asides)
    assert (found.parent / f"{found.name}0").stat().st_size > 1 << 24
    found.unlink()
    restored(path, folder, "refuse")
    demand_whole(folder, path)


def test_after_an_error_between_renames_nothing_is_read_from_the_archive_again(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    empty_directories(folder)
    rename = Directory.rename

    def fail(self: Directory, name: str, target: Directory, new_name: str) -> None:
        if name == name_of(6):
            raise StorageError("input/output error")
        rename(self, name, target, new_name)

    with monkeypatch.context() as context:
        context.setattr(Directory, "rename", fail)
        with pytest.raises(PlacingStoppedError) as caught:
            restored(path, folder, "refuse")
    assert "run the same restore again" in str(caught.value.hint)
    made: list[str] = []
    create = Directory.create

    def watched(self: Directory, name: str) -> int:
        made.append(name)
        return create(self, name)

    monkeypatch.setattr(Directory, "create", watched)
    restored(path, folder, "refuse")
    assert [name for name in made if not name.endswith(".draft")] == []
    demand_whole(folder, path)


def test_a_staged_file_with_a_flipped_bit_is_written_again(tmp_path: Path, path: Path) -> None:
    folder = dead(tmp_path, path, is_all_staged)
    target = staged(folder, DATABASE)
    data = bytearray(target.read_bytes())
    data[5000] ^= 1
    target.write_bytes(data)
    restored(path, folder, "refuse")
    demand_whole(folder, path)


def test_a_staged_file_with_a_second_name_is_written_again(tmp_path: Path, path: Path) -> None:
    folder = dead(tmp_path, path, is_all_staged)
    other = tmp_path / "other"
    os.link(staged(folder, DATABASE), other)
    restored(path, folder, "refuse")
    other.write_bytes(b"changed afterwards")
    demand_whole(folder, path)


def test_a_link_among_the_staged_files_is_not_followed(tmp_path: Path, path: Path) -> None:
    folder = dead(tmp_path, path, is_all_staged)
    target = staged(folder, DATABASE)
    target.rename(tmp_path / "elsewhere")
    target.symlink_to(tmp_path / "elsewhere")
    restored(path, folder, "refuse")
    assert not (folder / "data" / DATABASE).is_symlink()
    demand_whole(folder, path)


def test_a_stray_file_among_the_staged_ones_is_removed(tmp_path: Path, path: Path) -> None:
    folder = dead(tmp_path, path, is_all_staged)
    (staged(folder, DATABASE).parent / "stray.log").write_bytes(b"x")
    restored(path, folder, "refuse")
    demand_whole(folder, path)


def test_a_staging_directory_that_others_may_write_in_is_refused(tmp_path: Path, path: Path) -> None:
    folder = dead(tmp_path, path, is_all_staged)
    staged(folder, DATABASE).parent.chmod(0o777)
    with pytest.raises(StorageError, match="others may have written in it"):
        restored(path, folder, "refuse")
    assert not (folder / "data" / DATABASE).exists()


def test_a_run_that_is_still_at_work_is_left_alone(tmp_path: Path, path: Path) -> None:
    folder = dead(tmp_path, path, is_all_staged)
    holder = Directory(str(staged(folder, DATABASE).parent))
    holder.lock("busy")
    with pytest.raises(StorageError, match="another run of this restore is at work"):
        restored(path, folder, "refuse")
    assert staged(folder, DATABASE).exists()
    holder.close()
    restored(path, folder, "refuse")
    demand_whole(folder, path)


def test_files_in_place_that_changed_since_are_in_the_way(tmp_path: Path, path: Path) -> None:
    folder = dead(tmp_path, path, has_some_in_place)
    (folder / "logs" / name_of(5)).write_bytes(TOP[6])
    with pytest.raises(ExistingFileError, match="there already"):
        restored(path, folder, "refuse")
    restored(path, folder, "set-aside")
    demand_whole(folder, path)


def test_without_a_whole_journal_files_in_place_are_taken_for_what_they_are(tmp_path: Path, path: Path) -> None:
    folder = dead(tmp_path, path, has_some_in_place)
    (journal,) = folder.rglob("*.journal-1")
    journal.write_bytes(journal.read_bytes()[:-3])
    restored(path, folder, "refuse")
    demand_whole(folder, path)


def test_another_restore_does_not_go_on_from_it(tmp_path: Path, path: Path) -> None:
    folder = dead(tmp_path, path, has_some_in_place)
    other = archive(tmp_path / "b.tokar", {DATABASE: bytes(streaming(5, 7)), **part(5, 7)}, kind="full")
    plan = planned(other.path, folder, "refuse")
    assert plan.interrupted is None
    assert any("left of an interrupted restore" in note for note in plan.notes)
    with pytest.raises(ExistingFileError):
        plan.raise_for_problems()


def test_a_failure_of_the_second_run_keeps_what_the_first_had_done(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = dead(tmp_path, path, has_some_in_place)

    def fail(*_: object) -> None:
        raise StorageError("no space left on device")

    with monkeypatch.context() as context:
        context.setattr(Directory, "lock", fail)
        with pytest.raises(StorageError):
            restored(path, folder, "refuse")
    assert (folder / "logs" / name_of(5)).exists()
    restored(path, folder, "refuse")
    demand_whole(folder, path)


def test_the_plan_says_that_it_goes_on(tmp_path: Path, path: Path) -> None:
    folder = dead(tmp_path, path, has_some_in_place)
    plan = planned(path, folder, "refuse")
    assert any(note.startswith("goes on from an interrupted run of this restore") for note in plan.notes)
    value = plan.to_json()["continues"]
    assert str(folder / "logs" / name_of(5)) in value["in_place"]
    assert value["staged"] >= 1


def test_the_command_goes_on_too(tmp_path: Path, path: Path) -> None:
    folder = dead(tmp_path, path, has_some_in_place)
    result = done("restore", path, "--to", f"database=dir:{folder}/data", "--to", f"log-dir={folder}/logs")
    assert "note: goes on from an interrupted run of this restore" in result.stdout
    assert "restored 5 files" in result.stdout
    demand_whole(folder, path)


def test_room_that_is_used_already_is_not_asked_for_twice(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = dead(tmp_path, path, is_all_staged)
    nearly_full = SimpleNamespace(f_bavail=10, f_frsize=1, f_files=0, f_favail=0, f_namemax=255, f_flag=0)
    monkeypatch.setattr("os.statvfs", lambda _: nearly_full)
    plan = planned(path, folder, "refuse")
    assert plan.problems == ()
    assert plan.size > 10


# --- after all was done -----------------------------------------------------------------------------------------------


@pytest.fixture
def finished(tmp_path: Path, path: Path) -> Path:
    """A folder in which the restore came to its end."""
    restored(path, tmp_path / "out", "refuse")
    return tmp_path / "out"


@pytest.mark.parametrize("existing", ["refuse", "set-aside", "roll-forward"])
def test_what_is_done_is_done_already(finished: Path, path: Path, existing: str) -> None:
    before = {one: one.stat().st_ino for one in finished.rglob("*") if one.is_file()}
    plan = planned(path, finished, existing)
    assert (plan.problems, [*plan.asides]) == ((), [])
    assert plan.notes[-1] == "all is done already: 5 files are in place, each with the content that it must have"
    report = restored(path, finished, existing)
    assert (report.files, report.found) == (5, 5)
    assert {one: one.stat().st_ino for one in finished.rglob("*") if one.is_file()} == before


@pytest.mark.skipif(os.name == "nt", reason="what is open to be read cannot be synced there")
@pytest.mark.parametrize("missing", [[], [f"logs/{name_of(6)}"]])
def test_what_is_there_already_is_made_durable_whoever_wrote_it(
    finished: Path, path: Path, missing: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in missing:
        (finished / one).unlink()
    there = {one.stat().st_ino for one in finished.rglob("*")}
    synced: set[int] = set()
    monkeypatch.setattr("os.fsync", lambda descriptor: synced.add(os.fstat(descriptor).st_ino))
    report = restored(path, finished, "refuse")
    assert report.found == 5 - len(missing)
    assert there <= synced


def test_the_command_says_that_all_is_done(finished: Path, path: Path) -> None:
    result = done("restore", path, "--to", f"database=dir:{finished}/data", "--to", f"log-dir={finished}/logs")
    assert "all is done already: 5 files, " in result.stdout


@pytest.mark.parametrize("name", [f"data/{DATABASE}", f"logs/{name_of(6)}"])
def test_one_byte_that_differs_is_in_the_way(finished: Path, path: Path, name: str) -> None:
    data = bytearray((finished / name).read_bytes())
    data[-1] ^= 1
    (finished / name).write_bytes(data)
    with pytest.raises(ExistingFileError, match="there already"):
        restored(path, finished, "refuse")


def test_beside_another_file_of_the_engine_nothing_is_read(
    finished: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (finished / "logs" / "edb.chk").write_bytes(checkpoint(9))
    monkeypatch.setattr("tokar.restore.journal.is_whole", None)
    with pytest.raises(ExistingFileError, match=r"files of the engine are there already: edb\.chk"):
        restored(path, finished, "refuse")


@pytest.mark.parametrize("existing", ["refuse", "set-aside"])
def test_a_file_that_is_missing_again_is_placed_and_the_others_stay(finished: Path, path: Path, existing: str) -> None:
    before = {one: one.stat().st_ino for one in finished.rglob("*") if one.is_file()}
    (finished / "logs" / name_of(6)).unlink()
    plan = planned(path, finished, existing)
    assert any("are there already, each with the content that it must have" in note for note in plan.notes)
    assert not any("all is done already" in note for note in plan.notes)
    del before[finished / "logs" / name_of(6)]
    restored(path, finished, existing)
    demand_whole(finished, path)
    assert {one: one.stat().st_ino for one in before} == before
    assert not [*finished.rglob("*.tokar-aside-*")]


@pytest.mark.parametrize("size", [-1, 0])
def test_a_file_that_differs_is_named_and_the_right_ones_are_counted(finished: Path, path: Path, size: int) -> None:
    wrong = finished / "logs" / name_of(6)
    data = wrong.read_bytes()
    wrong.write_bytes(bytes(len(data) + size))
    with pytest.raises(ExistingFileError) as caught:
        restored(path, finished, "refuse")
    assert caught.value.message.startswith(f"there already: {name_of(6)}; of the others ")
    assert caught.value.message.endswith(" right")
    assert wrong.read_bytes() == bytes(len(data) + size)
    restored(path, finished, "set-aside")
    asides = [*finished.rglob("*.tokar-aside-*")]
    assert [one.read_bytes() for one in asides] == [bytes(len(data) + size)]
    assert wrong.read_bytes() == data


def test_where_the_engine_was_at_work_what_is_there_is_in_the_way_as_a_whole(finished: Path, path: Path) -> None:
    (finished / "logs" / name_of(6)).unlink()
    (finished / "logs" / "edb.chk").write_bytes(b"x" * 8192)
    with pytest.raises(ExistingFileError, match=name_of(5)):
        restored(path, finished, "refuse")


def test_a_file_that_has_a_second_name_is_in_the_way(finished: Path, path: Path) -> None:
    (finished / "logs" / name_of(6)).unlink()
    (finished / "second").hardlink_to(finished / "logs" / name_of(5))
    with pytest.raises(ExistingFileError, match=f"there already: {name_of(5)}"):
        restored(path, finished, "refuse")


@EVERY
def test_a_rerun_that_died_although_all_was_done_leaves_it_done(
    tmp_path: Path, path: Path, finished: Path, stride: int
) -> None:
    def prepare(folder: Path) -> None:
        shutil.copytree(finished, folder)

    for folder in die_everywhere(tmp_path, path, prepare, "refuse", stride):
        restored(path, folder, "refuse")
        demand_whole(folder, path)


@EVERY
@pytest.mark.parametrize("existing", ["refuse", "set-aside"])
def test_a_rerun_that_died_where_only_some_was_there_goes_on(
    tmp_path: Path, path: Path, finished: Path, stride: int, existing: str
) -> None:
    def prepare(folder: Path) -> None:
        shutil.copytree(finished, folder)
        (folder / "logs" / name_of(6)).unlink()
        (folder / "data" / DATABASE).unlink()

    for folder in die_everywhere(tmp_path, path, prepare, existing, stride):
        restored(path, folder, existing)
        demand_whole(folder, path)


ALIKE = [entry(0, 0x20, "a.log"), entry(1, 0x20, "b.log")]


def test_the_name_of_the_staging_directories_follows_from_where_every_file_goes() -> None:
    name = staging_name(plan_of(ALIKE, into="/somewhere"))
    assert name == staging_name(plan_of(ALIKE, into="/somewhere", existing="set-aside"))
    assert name.startswith(".tokar-restore-")


@pytest.mark.parametrize(
    "other",
    [
        [ALIKE[0]],
        ALIKE[::-1],
        [ALIKE[0], ALIKE[1]._replace(digest=bytes(32))],
        [ALIKE[0], ALIKE[1]._replace(size=11)],
        [ALIKE[0], entry(1, 0x20, "c.log")],
    ],
)
def test_where_another_file_goes_there_nothing_is_taken_for_what_is_staged(other: list[Entry]) -> None:
    assert staging_name(plan_of(other, into="/somewhere")) != staging_name(plan_of(ALIKE, into="/somewhere"))


def test_where_files_go_elsewhere_nothing_is_taken_for_what_is_staged() -> None:
    assert staging_name(plan_of(ALIKE, into="/elsewhere")) != staging_name(plan_of(ALIKE, into="/somewhere"))
