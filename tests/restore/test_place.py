from __future__ import annotations

import errno
import os
import stat
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from chain_sets import checkpoint
from disk_faults import WindowsMoves
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from restore_helpers import STAMP, Reader, entries, entry, piece, plan_of, timed, to, tree

from tokar.errors import ExistingFileError, IntegrityError, PartialError, RestoreError, StorageError
from tokar.restore import place as place_module
from tokar.restore import staging
from tokar.restore.place import Placing, PlacingStoppedError, Report, place
from tokar.restore.plan import Existing, Plan
from tokar.restore.staging import SecondLook, whole_directories
from tokar.storage import durable
from tokar.storage.directory import Directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tokar.format.entry_reader import Chunk
    from tokar.format.index import Entry

FILES = entries(
    (0x44, r"\\CA1\C$\L\CA.edb"),
    (0x21, r"\\CA1\C$\L\edb00001.log"),
    (0x21, r"\\CA1\C$\L\edb00002.log"),
    (0x25, r"\\CA1\C$\L\CA.pat"),
)
LEAVES = {"CA.edb": 0, "edb00001.log": 1, "edb00002.log": 2, "CA.pat": 3}
CONTENT = {leaf: Reader.expected(FILES[number]) for leaf, number in LEAVES.items()}


def ca_plan(folder: Path, times: dict[int, int] | None = None, **options: Any) -> Plan:
    return plan_of(timed(FILES, times or {}), **to(f"log-dir={folder}/logs", f"database={folder}/data/"), **options)


def make_directories(folder: Path) -> None:
    """Make the target directories beforehand, so that files are renamed one by one."""
    for name in ("logs", "data"):
        (folder / name).mkdir(parents=True, exist_ok=True)


def placed(folder: Path) -> dict[str, bytes]:
    return {path.rpartition("/")[2]: data for path, data in tree(folder).items()}


@pytest.fixture(params=["descriptors", "paths"])
def manner(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test twice: relative to open directories, and by path as on Windows."""
    if request.param == "paths":
        for module in (place_module, staging):
            monkeypatch.setattr(module, "Directory", partial(Directory, by_path=True))


@pytest.mark.usefixtures("manner")
def test_files_are_placed_with_content_time_and_mode(tmp_path: Path) -> None:
    report = place(ca_plan(tmp_path, {1: 1_500_000_000_123_456_700}), Reader())
    assert report == Report(files=4, size=40, asides=(), without_time=0)
    assert tree(tmp_path) == {
        "data/CA.edb": CONTENT["CA.edb"],
        "logs/CA.pat": CONTENT["CA.pat"],
        "logs/edb00001.log": CONTENT["edb00001.log"],
        "logs/edb00002.log": CONTENT["edb00002.log"],
    }
    log = (tmp_path / "logs" / "edb00001.log").stat()
    assert log.st_mtime_ns == 1_500_000_000_123_456_700
    assert stat.S_IMODE(log.st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "logs").stat().st_mode) == 0o700


@pytest.mark.usefixtures("manner")
def test_an_empty_file_is_placed(tmp_path: Path) -> None:
    place(plan_of([entry(0, 0x21, "edb.log", size=0)], into=str(tmp_path)), Reader())
    assert tree(tmp_path) == {"edb.log": b""}


def test_an_empty_set_is_placed(tmp_path: Path) -> None:
    assert place(plan_of([], into=str(tmp_path / "new")), Reader()).files == 0
    assert list((tmp_path / "new").iterdir()) == []


def test_the_location_list_is_written_beside_the_files(tmp_path: Path) -> None:
    place(plan_of(FILES, certutil=str(tmp_path), location_list=b"\x82\0A\0\0\0\0\0"), Reader())
    assert set(tree(tmp_path)) == {f"DataBase/{leaf}" for leaf in (*LEAVES, "certbkxp.dat")}
    assert (tmp_path / "DataBase" / "certbkxp.dat").read_bytes() == b"\x82\0A\0\0\0\0\0"


DATA = os.urandom(1 << 16)
ZEROS = piece(1 << 20, None)


@pytest.mark.parametrize(
    "pieces",
    [
        [ZEROS],
        [ZEROS, ZEROS, piece(5, None)],
        [ZEROS, piece(len(DATA), DATA)],
        [piece(len(DATA), DATA), ZEROS],
        [piece(3, b"abc"), ZEROS, piece(len(DATA), DATA), ZEROS, ZEROS, piece(1, b"x")],
        [piece(1, None)],
    ],
)
def test_zeros_become_holes(tmp_path: Path, pieces: list[Chunk]) -> None:
    content = b"".join(bytes(piece.size) if piece.data is None else piece.data for piece in pieces)
    place(plan_of([entry(0, 0x44, "x.edb", size=len(content))], into=str(tmp_path)), Reader({0: pieces}))
    path = tmp_path / "x.edb"
    assert path.read_bytes() == content
    assert path.stat().st_blocks * 512 < len(content) or len(content) < ZEROS.size


def test_a_buffer_that_is_used_again_is_written_before(tmp_path: Path) -> None:
    def pieces() -> Iterator[Chunk]:
        buffer = bytearray(4)
        for number in range(3):
            buffer[:] = bytes([number]) * 4
            yield piece(4, memoryview(buffer))

    place(plan_of([entry(0, 0x44, "x.edb", size=12)], into=str(tmp_path)), Reader({0: pieces()}))
    assert (tmp_path / "x.edb").read_bytes() == b"\0\0\0\0\1\1\1\1\2\2\2\2"


def test_short_writes_are_carried_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, bytes(memoryview(data)[:3])))
    place(plan_of(FILES, certutil=str(tmp_path), location_list=b"0123456789"), Reader())
    monkeypatch.undo()
    assert placed(tmp_path) == {**CONTENT, "certbkxp.dat": b"0123456789"}


def test_progress_adds_up_to_the_size(tmp_path: Path) -> None:
    seen: list[int] = []
    pieces = [piece(1 << 19, bytes(1 << 19))] * 5
    files = [entry(0, 0x44, "x.edb", size=5 << 19), entry(1, 0x21, "x.log", size=7)]
    place(plan_of(files, into=str(tmp_path)), Reader({0: pieces}), progress=seen.append)
    assert sum(seen) == (5 << 19) + 7
    assert len(seen) == 3


def test_a_time_that_cannot_be_set_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OverflowError

    monkeypatch.setattr(os, "utime", refuse)
    report = place(ca_plan(tmp_path, {1: 10**18, 2: 10**18}), Reader())
    assert (report.without_time, report.files) == (2, 4)


def test_a_plan_with_problems_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "edb00001.log").write_bytes(b"old")
    with pytest.raises(ExistingFileError):
        place(ca_plan(tmp_path), Reader())
    assert tree(tmp_path) == {"logs/edb00001.log": b"old"}
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]


@pytest.mark.parametrize("count", [3, durable.SYNC_BATCH])
def test_many_files_are_synced_with_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    calls: list[str] = []
    real = durable.sync_file_system
    files = [entry(number, 0x21, f"edb{number:05x}.log") for number in range(count)]

    def together(descriptor: int, path: Path | str) -> bool:
        calls.append("all")
        return real(descriptor, path)

    monkeypatch.setattr(durable, "sync_file_system", together)
    monkeypatch.setattr(durable, "sync_descriptor", lambda _, path: calls.append(str(path)))
    place(plan_of(files, into=str(tmp_path)), Reader())
    single = [call for call in calls if call.endswith(".log")]
    assert (calls.count("all"), len(single)) == ((0, 3) if count == 3 else (1, 0))


def test_many_files_are_synced_one_by_one_where_no_call_does_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    files = [entry(number, 0x21, f"edb{number:05x}.log") for number in range(durable.SYNC_BATCH)]
    monkeypatch.setattr(durable, "sync_file_system", lambda *_: False)
    monkeypatch.setattr(durable, "sync_descriptor", lambda _, path: synced.append(str(path)))
    place(plan_of(files, into=str(tmp_path)), Reader())
    assert len([path for path in synced if path.endswith(".log")]) == durable.SYNC_BATCH


class BrokenReader(Reader):
    """Fails inside the content of one entry."""

    def __init__(self, number: int, error: BaseException) -> None:
        super().__init__()
        self.number = number
        self.error = error
        self.closed = False

    def chunks(self, entry: Entry) -> Iterator[Chunk]:
        if entry.number != self.number:
            yield from super().chunks(entry)
            return
        try:
            yield piece(3, b"abc")
            raise self.error
        finally:
            self.closed = True


@pytest.mark.usefixtures("manner")
@pytest.mark.parametrize("error", [IntegrityError("wrong"), KeyboardInterrupt(), MemoryError()])
@pytest.mark.parametrize("number", range(4))
def test_content_that_fails_leaves_nothing(tmp_path: Path, error: BaseException, number: int) -> None:
    reader = BrokenReader(number, error)
    with pytest.raises(type(error)):
        place(ca_plan(tmp_path), reader)
    assert list(tmp_path.iterdir()) == []
    assert reader.closed


@pytest.mark.parametrize("size", [9, 11])
def test_content_of_another_size_is_damage(tmp_path: Path, size: int) -> None:
    with pytest.raises(IntegrityError, match=f"has {size} bytes of content, the index says 10"):
        place(ca_plan(tmp_path), Reader({2: [piece(size, bytes(size))]}))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    plan = ca_plan(tmp_path)
    monkeypatch.setattr(os, "write", refuse)
    with pytest.raises(StorageError, match="cannot write: No space left on device") as caught:
        place(plan, Reader())
    assert str(caught.value.path).endswith("CA.edb")
    assert list(tmp_path.iterdir()) == []


def test_directories_that_were_there_stay(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    with pytest.raises(IntegrityError):
        place(ca_plan(tmp_path), BrokenReader(3, IntegrityError("wrong")))
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]
    assert list((tmp_path / "logs").iterdir()) == []


@pytest.mark.usefixtures("manner")
@pytest.mark.parametrize("intruder", ["file", "link", "directory"])
def test_what_appears_at_the_target_after_the_plan_is_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, intruder: str
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    make_directories(tmp_path)
    plan = ca_plan(tmp_path)
    target = tmp_path / "logs" / "edb00001.log"
    if intruder == "file":
        target.write_bytes(b"new")
    elif intruder == "link":
        target.symlink_to(outside)
    else:
        target.mkdir()
    for look, match, where in ((True, "appeared since the plan was made", target.parent), (False, "already", target)):
        with monkeypatch.context() as context:
            if not look:  # it appears even later
                context.setattr(SecondLook, "before_renaming", lambda *_: None)
            with pytest.raises(ExistingFileError, match=match) as caught:
                place(plan, Reader())
        assert caught.value.path == str(where)
        assert outside.read_bytes() == b"precious"
        assert [path.name for path in (tmp_path / "logs").iterdir()] == ["edb00001.log"]
        assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.usefixtures("manner")
@pytest.mark.parametrize("intruder", ["file", "link", "directory"])
def test_a_target_directory_that_appears_after_the_plan_is_never_replaced(tmp_path: Path, intruder: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    plan = ca_plan(tmp_path)
    target = tmp_path / "logs"
    if intruder == "file":
        target.write_bytes(b"new")
    elif intruder == "link":
        target.symlink_to(outside)
    else:
        target.mkdir()
    with pytest.raises(ExistingFileError) as caught:
        place(plan, Reader())
    assert caught.value.path == str(target)
    assert {path.name for path in tmp_path.iterdir()} == {"outside", "logs"}
    assert list(outside.iterdir()) == []


@pytest.mark.usefixtures("manner")
def test_a_target_directory_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    make_directories(tmp_path)
    plan = ca_plan(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "logs").rmdir()
    (tmp_path / "logs").symlink_to("elsewhere")
    with pytest.raises(StorageError, match="cannot open the directory"):
        place(plan, Reader())
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.usefixtures("manner")
def test_a_link_above_the_target_directory_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    place(ca_plan(tmp_path / "link"), Reader())
    assert placed(tmp_path / "real") == CONTENT


def test_a_missing_directory_gets_its_name_with_all_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    plan = ca_plan(tmp_path / "new")
    watch(monkeypatch, lambda _, method, name: order.append(name) if method == "rename" else None)
    place(plan, Reader())
    assert [name for name in order if name.endswith((".log", ".edb", ".draft"))] == [order[0]], "only the journal"
    assert [name.startswith(".tokar-restore-") for name in order[1:]] == [True, True]
    assert placed(tmp_path) == CONTENT


@pytest.mark.parametrize(
    ("logs", "data", "whole"),
    [
        ("a", "b", {"a", "b"}),
        ("a", "a", {"a"}),
        ("a", "a/b", {"a/b"}),
        ("a/b", "a", {"a/b"}),
        ("A", "a", set()),
        ("there", "there/b", {"there/b"}),
        ("there", "there", set()),
    ],
)
def test_a_directory_is_staged_as_a_whole_where_that_is_safe(
    tmp_path: Path, logs: str, data: str, whole: set[str]
) -> None:
    (tmp_path / "there").mkdir()
    plan = plan_of(FILES, **to(f"log-dir={tmp_path}/{logs}", f"database={tmp_path}/{data}/"))
    assert whole_directories(plan) == {str(tmp_path / name) for name in whole}
    place(plan, Reader())
    assert placed(tmp_path) == CONTENT


def test_two_directories_that_mix_databases_and_logs_are_not_staged_as_a_whole(tmp_path: Path) -> None:
    files = entries((0x45, "a.edb"), (0x46, "b.edb"), (0x21, "a.log"), (0x25, "b.pat"))
    places = ("0x45={0}/a/", "0x21=dir:{0}/a", "0x46={0}/b/", "0x25=dir:{0}/b")
    plan = plan_of(files, **to(*(place.format(tmp_path) for place in places)))
    assert whole_directories(plan) == set()
    place(plan, Reader())
    assert set(tree(tmp_path)) == {"a/a.edb", "a/a.log", "b/b.edb", "b/b.pat"}


class Disturbed(Reader):
    """Content during which something happens to the disk."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__()
        self.act = act

    def chunks(self, entry: Entry) -> Iterator[Chunk]:
        if entry.number == 1:
            self.act()
        yield from super().chunks(entry)


@pytest.mark.usefixtures("manner")
@pytest.mark.parametrize("made", ["logs", "data", ""], ids=["all there", "one missing", "both missing"])
@pytest.mark.parametrize("swapped", ["logs", "."], ids=["the directory", "the one above"])
def test_a_directory_swapped_for_a_link_while_placing_refuses_the_restore(
    tmp_path: Path, made: str, swapped: str
) -> None:
    base = tmp_path / "base"
    for name in {"logs": ("logs", "data"), "data": ("data",), "": ()}[made]:
        (base / name).mkdir(parents=True)
    base.mkdir(exist_ok=True)
    for name in ("elsewhere", "elsewhere/logs", "elsewhere/data"):
        (tmp_path / name).mkdir()
    plan = ca_plan(base)

    def swap() -> None:
        path = base / swapped
        if path.exists():
            path.rename(tmp_path / "moved")
        path.symlink_to(tmp_path / ("elsewhere" if swapped == "." else "elsewhere/logs"))

    with pytest.raises((RestoreError, StorageError)):
        place(plan, Disturbed(swap))
    assert not any(path.is_file() for path in (tmp_path / "elsewhere").rglob("*"))
    left = [path for path in tmp_path.rglob("*") if path.name in LEAVES]
    assert all(".tokar-restore-" in path.parent.name for path in left), "without descriptors it cannot be removed"


@pytest.mark.parametrize("swapped", ["logs", ""], ids=["the directory", "the one above"])
def test_a_directory_swapped_for_another_after_the_plan_refuses_the_restore(tmp_path: Path, swapped: str) -> None:
    make_directories(tmp_path / "base")
    plan = ca_plan(tmp_path / "base")
    (tmp_path / "base" / swapped).rename(tmp_path / "moved")
    make_directories(tmp_path / "base")
    with pytest.raises(RestoreError, match="not the one that the plan was made for"):
        place(plan, Reader())
    assert tree(tmp_path) == {}


@pytest.mark.usefixtures("manner")
@pytest.mark.parametrize("name", ["logs/edb.chk", "logs/other.edb", "data/strange", "check/edb.chk"])
@pytest.mark.parametrize("there", [True, False])
def test_a_file_of_the_engine_that_appears_while_placing_refuses_the_restore(
    tmp_path: Path, name: str, there: bool
) -> None:
    if there:
        make_directories(tmp_path)
    if there or name.startswith("check"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
    options = to(f"log-dir={tmp_path}/logs", f"database={tmp_path}/data/", f"checkpoint-dir={tmp_path}/check")
    plan = plan_of(FILES, **options)

    def appear() -> None:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(checkpoint(9))

    with pytest.raises(ExistingFileError, match=r"appeared since|is there now"):
        place(plan, Disturbed(appear))
    assert tree(tmp_path) == {name: checkpoint(9)}


def swap(old: Path, new: Callable[[Path], object] | None = None) -> None:
    old.rename(old.with_name("moved"))
    if new is not None:
        new(old)


SWAPS: dict[str, Callable[[Path], None]] = {
    "for a link": lambda folder: swap(folder / "data", lambda path: path.symlink_to(folder / "elsewhere")),
    "for another directory": lambda folder: swap(folder / "logs", Path.mkdir),
    "for a file": lambda folder: swap(folder / "data", lambda path: path.write_bytes(b"")),
    "away": lambda folder: swap(folder / "logs"),
}


@pytest.mark.parametrize("how", SWAPS)
@pytest.mark.parametrize("there", [True, False])
def test_a_directory_that_is_moved_at_the_last_moment_is_not_called_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, there: bool
) -> None:
    if there:
        make_directories(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    plan, sync = ca_plan(tmp_path), Placing._sync_directories

    def moved(self: Placing) -> None:
        sync(self)
        if (tmp_path / "data" / "CA.edb").exists():
            SWAPS[how](tmp_path)

    monkeypatch.setattr(Placing, "_sync_directories", moved)
    with pytest.raises(PlacingStoppedError) as caught:
        place(plan, Reader())
    assert caught.value.missing > 0
    assert all(Path(path).is_file() for path in caught.value.placed)
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_bytes(b"another")])
def test_a_staged_file_that_is_gone_or_another_one_is_not_called_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object], there: bool
) -> None:
    if there:
        make_directories(tmp_path)
    plan, look = ca_plan(tmp_path), SecondLook.before_renaming

    def spoil(self: SecondLook, journals: Any) -> None:
        look(self, journals)
        for path in tmp_path.glob("**/.tokar-restore-*/edb00001.log"):
            change(path)

    monkeypatch.setattr(SecondLook, "before_renaming", spoil)
    with pytest.raises(PlacingStoppedError):
        place(plan, Reader())


def test_a_checkpoint_with_the_name_of_one_that_was_set_aside_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_directories(tmp_path)
    (tmp_path / "logs" / "edb.chk").write_bytes(checkpoint(1))
    plan = ca_plan(tmp_path, existing=Existing.SET_ASIDE)

    def appear(_: int, method: str, name: str) -> None:
        if method == "rename" and name == "CA.pat":
            (tmp_path / "logs" / "edb.chk").write_bytes(b"again")

    watch(monkeypatch, appear)
    with pytest.raises(PlacingStoppedError, match=r"appeared since the plan was made: edb\.chk"):
        place(plan, Reader())


def test_a_checkpoint_that_appears_while_logs_are_renamed_stops_it_before_the_databases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_directories(tmp_path)
    plan = ca_plan(tmp_path)

    def appear(_: int, method: str, name: str) -> None:
        if method == "rename" and name == "CA.pat":
            (tmp_path / "logs" / "edb.chk").write_bytes(b"old")

    watch(monkeypatch, appear)
    with pytest.raises(PlacingStoppedError, match=r"3 of 4 files .* appeared since the plan was made: edb\.chk"):
        place(plan, Reader())
    assert not (tmp_path / "data" / "CA.edb").exists()


def test_an_old_file_that_goes_away_while_placing_refuses_the_restore(tmp_path: Path) -> None:
    put_old_files(tmp_path)
    plan = ca_plan(tmp_path, existing=Existing.SET_ASIDE)
    with pytest.raises(ExistingFileError, match=r"gone since the plan was made: edb\.chk"):
        place(plan, Disturbed((tmp_path / "logs" / "edb.chk").unlink))
    assert set(tree(tmp_path)) == {*OLD} - {"logs/edb.chk"}


def test_other_files_may_come_and_go_while_placing(tmp_path: Path) -> None:
    make_directories(tmp_path)
    (tmp_path / "logs" / "readme.txt").write_bytes(b"x")
    plan = ca_plan(tmp_path)
    place(plan, Disturbed(lambda: (tmp_path / "logs" / "readme.txt").rename(tmp_path / "logs" / "other.txt")))
    assert {name: data for name, data in placed(tmp_path).items() if name != "other.txt"} == CONTENT


@pytest.mark.usefixtures("manner")
@pytest.mark.parametrize("there", [True, False])
def test_another_set_is_not_restored_into_the_same_folder_at_the_same_time(tmp_path: Path, there: bool) -> None:
    if there:
        (tmp_path / "new").mkdir()
    plan = plan_of(FILES, into=str(tmp_path / "new"))
    other = plan_of([entry(0, 0x21, "other.log")], into=str(tmp_path / "new"))
    assert other.problems == ()
    refused: list[object] = []

    def second() -> None:
        with pytest.raises(StorageError, match="another restore is at work here"):
            place(other, Reader())
        again = plan_of([entry(0, 0x21, "other.log")], into=str(tmp_path / "new"))
        refused.extend(one.error.message for one in again.problems)
        assert not any("interrupted" in note for note in again.notes)

    place(plan, Disturbed(second))
    assert refused == ["another restore is at work here; wait until it has ended"]
    assert placed(tmp_path) == CONTENT


@pytest.mark.parametrize("there", [True, False])
def test_where_the_lock_is_removed_by_hand_only_one_of_two_restores_goes_on(tmp_path: Path, there: bool) -> None:
    if there:
        (tmp_path / "new").mkdir()
    plan = plan_of(FILES, into=str(tmp_path / "new"))
    other = Placing(plan_of([entry(0, 0x21, "other.log")], into=str(tmp_path / "new")), Reader())

    def second() -> None:
        (lock,) = tmp_path.rglob(".tokar-restore-lock*")
        lock.unlink()
        other.stage()

    with pytest.raises(StorageError, match="the lock was removed or replaced"):
        place(plan, Disturbed(second))
    with other:
        other.commit()
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["other.log"]


def test_neighbours_are_restored_at_the_same_time(tmp_path: Path) -> None:
    other = plan_of([entry(0, 0x21, "other.log")], into=str(tmp_path / "b"))
    place(plan_of(FILES, into=str(tmp_path / "a")), Disturbed(lambda: place(other, Reader())))
    assert len(tree(tmp_path)) == 5


def test_a_staging_directory_that_was_replaced_is_not_given_a_final_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(FILES, into=str(tmp_path / "new"))

    def replace_it(_: int, method: str, name: str) -> None:
        if method == "create" and name.endswith(".draft"):
            (staging_folder,) = tmp_path.glob(".tokar-restore-*-0")
            staging_folder.rename(tmp_path / "taken")
            staging_folder.mkdir()

    watch(monkeypatch, replace_it)
    with pytest.raises(StorageError, match="moved or replaced"):
        place(plan, Reader())
    assert not (tmp_path / "new").exists()


def test_in_place_is_said_only_of_what_was_read_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_directories(tmp_path)
    plan = ca_plan(tmp_path)

    def fail(_: int, method: str, name: str) -> None:
        if method == "rename" and name == "CA.pat":
            (tmp_path / "logs" / "edb00001.log").write_bytes(b"torn")
            raise StorageError("no")

    watch(monkeypatch, fail)
    with pytest.raises(PlacingStoppedError, match="1 of 4 files are in place") as caught:
        place(plan, Reader())
    assert caught.value.placed == (str(tmp_path / "logs" / "edb00002.log"),)
    assert f"neither staged nor whole in its place: {tmp_path / 'logs' / 'edb00001.log'}" in caught.value.__notes__


OLD = {"logs/edb.chk": b"old checkpoint", "logs/edb00001.log": b"old log", "data/old.edb": b"old database"}


def put_old_files(folder: Path) -> None:
    for name, data in OLD.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.mark.usefixtures("manner")
def test_old_files_are_set_aside_and_kept(tmp_path: Path) -> None:
    put_old_files(tmp_path)
    report = place(ca_plan(tmp_path, existing=Existing.SET_ASIDE), Reader())
    found = tree(tmp_path)
    assert {name: found.pop(f"{name}.tokar-aside-{STAMP}-1") for name in OLD} == OLD
    assert {name.rpartition("/")[2]: data for name, data in found.items()} == CONTENT
    assert [one.name for one in report.asides] == ["edb.chk", "old.edb", "edb00001.log"]


def test_a_link_is_set_aside_without_following_it(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    (tmp_path / "logs" / "edb00001.log").symlink_to(outside)
    place(ca_plan(tmp_path, existing=Existing.SET_ASIDE), Reader())
    assert outside.read_bytes() == b"precious"
    assert (tmp_path / "logs" / f"edb00001.log.tokar-aside-{STAMP}-1").is_symlink()
    assert (tmp_path / "logs" / "edb00001.log").read_bytes() == CONTENT["edb00001.log"]


def test_an_old_checkpoint_is_set_aside_where_no_file_goes(tmp_path: Path) -> None:
    (tmp_path / "check").mkdir()
    (tmp_path / "check" / "edb.chk").write_bytes(b"old")
    options = to(f"log-dir={tmp_path}/logs", f"database={tmp_path}/data/", f"checkpoint-dir={tmp_path}/check")
    place(plan_of(FILES, existing=Existing.SET_ASIDE, **options), Reader())
    assert [path.name for path in (tmp_path / "check").iterdir()] == [f"edb.chk.tokar-aside-{STAMP}-1"]


def watch(monkeypatch: pytest.MonkeyPatch, act: Callable[[int, str, str], None]) -> None:
    """Call `act(count, method, name)` before each change that placing makes to a directory."""
    count = 0
    for method in ("create", "make", "rename", "remove", "remove_directory", "sync"):
        real = getattr(Directory, method)

        def watched(self: Directory, *arguments: Any, real: Any = real, method: str = method) -> Any:
            nonlocal count
            count += 1
            act(count, method, str(arguments[0]) if arguments else self.path)
            return real(self, *arguments)

        monkeypatch.setattr(Directory, method, watched)


def test_the_order_is_asides_then_logs_then_databases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_old_files(tmp_path)
    order: list[str] = []
    plan = ca_plan(tmp_path, existing=Existing.SET_ASIDE)
    watch(monkeypatch, lambda _, method, name: order.append(name) if method == "rename" else None)
    place(plan, Reader())
    assert order.pop(0).endswith(".draft"), "the journal comes first"
    assert order == ["edb.chk", "old.edb", "edb00001.log", "edb00001.log", "edb00002.log", "CA.pat", "CA.edb"]


def test_directories_are_synced_before_the_first_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    make_directories(tmp_path)
    plan = ca_plan(tmp_path)
    watch(monkeypatch, lambda _, method, name: order.append(f"{method} {name.rpartition('/')[2]}"))
    place(plan, Reader())
    before = order[: order.index("rename CA.edb")]
    assert before[-2:] == ["sync data", "sync logs"] or before[-2:] == ["sync logs", "sync data"]
    assert order.index("rename CA.pat") < len(before) - 2


def begin(folder: Path, *, over_old_files: bool) -> Plan:
    """Return a plan over old files, or into directories that have yet to be made."""
    if over_old_files:
        put_old_files(folder)
        return ca_plan(folder, existing=Existing.SET_ASIDE)
    return ca_plan(folder)


def changes(folder: Path, monkeypatch: pytest.MonkeyPatch, *, over_old_files: bool) -> list[str]:
    """Return the changes that a whole restore makes."""
    seen: list[str] = []
    plan = begin(folder, over_old_files=over_old_files)
    with monkeypatch.context() as context:
        watch(context, lambda _, method, __: seen.append(method))
        place(plan, Reader())
    return seen


def demand_invariants(folder: Path, *, over_old_files: bool) -> None:
    """What holds whenever it stops: old files survive, new ones are whole, and a database comes last."""
    found = tree(folder)
    for name, data in OLD.items() if over_old_files else ():
        assert data in (found.get(name), found.get(f"{name}.tokar-aside-{STAMP}-1"))
    fresh = {
        path.rpartition("/")[2]: data for path, data in found.items() if ".tokar-" not in path and OLD.get(path) != data
    }
    assert fresh.items() <= CONTENT.items()
    if "CA.edb" in fresh:
        assert fresh == CONTENT


class StopError(BaseException):
    """Neither an error nor an interrupt."""


@pytest.mark.parametrize("over_old_files", [False, True])
@pytest.mark.parametrize("kind", [StorageError, KeyboardInterrupt])
def test_a_failure_at_any_change_is_cleaned_up_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[BaseException], over_old_files: bool
) -> None:
    all_changes = changes(tmp_path / "count", monkeypatch, over_old_files=over_old_files)
    while all_changes[-1] in {"remove_directory", "remove"}:  # what is cleared after all is done
        all_changes.pop()
    assert all_changes[-1] == "sync"
    seen = set()
    for stop in range(1, len(all_changes) + 1):
        folder = tmp_path / str(stop)
        plan = begin(folder, over_old_files=over_old_files)

        def fail(number: int, method: str, name: str, stop: int = stop) -> None:
            if number == stop:
                raise kind(f"{method} {name}")

        with monkeypatch.context() as context:
            watch(context, fail)
            with pytest.raises((kind, PartialError)) as caught:
                place(plan, Reader())
        demand_invariants(folder, over_old_files=over_old_files)
        notes = getattr(caught.value, "__notes__", [])
        left = {path.name.partition("-restore-")[2][16:] for path in folder.rglob(".tokar-restore-*")}
        assert left == ({".journal-1", "-0", "-1"} - ({"-0", "-1"} - left) if notes else set()), "as after a crash"
        told = {note.removeprefix("in place: ") for note in notes if note.startswith("in place: ")}
        fresh = {str(folder / path) for path, data in tree(folder).items() if path not in OLD and ".tokar-" not in path}
        fresh |= {
            str(folder / path) for path in OLD if (folder / path).exists() and (folder / path).read_bytes() != OLD[path]
        }
        assert told == fresh
        asides = [note for note in notes if note.startswith("set aside")]
        assert len(asides) == len(list(folder.rglob("*.tokar-aside-*")))
        if not notes:
            assert tree(folder) == (OLD if over_old_files else {})
            assert over_old_files or not folder.exists()
        seen.add(type(caught.value))
    assert seen == ({StorageError, PlacingStoppedError} if kind is StorageError else {KeyboardInterrupt})


@pytest.mark.parametrize("over_old_files", [False, True])
def test_a_machine_that_dies_at_any_change_leaves_what_the_docstring_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, over_old_files: bool
) -> None:
    all_changes = changes(tmp_path / "count", monkeypatch, over_old_files=over_old_files)
    for stop in range(1, len(all_changes) + 1):
        folder = tmp_path / str(stop)
        plan = begin(folder, over_old_files=over_old_files)

        def die(number: int, method: str, name: str, stop: int = stop) -> None:
            if number >= stop:
                raise StopError(f"{method} {name}")

        with monkeypatch.context() as context:
            watch(context, die)
            with pytest.raises(StopError):
                place(plan, Reader())
        demand_invariants(folder, over_old_files=over_old_files)


def test_a_stopped_restore_says_what_is_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_directories(tmp_path)
    plan = ca_plan(tmp_path)

    def fail(_: int, method: str, name: str) -> None:
        if method == "rename" and name == "CA.pat":
            raise StorageError("no", path="x")

    watch(monkeypatch, fail)
    with pytest.raises(PlacingStoppedError, match="2 of 4 files are in place, then it stopped: no") as caught:
        place(plan, Reader())
    error = caught.value
    assert error.exit_code == 8
    assert error.placed == (str(tmp_path / "logs" / "edb00001.log"), str(tmp_path / "logs" / "edb00002.log"))
    assert (error.missing, error.asides) == (2, ())
    found = {name for name in tree(tmp_path) if ".tokar-" not in name}
    assert found == {"logs/edb00001.log", "logs/edb00002.log"}


def test_a_restore_that_was_stopped_can_be_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int, method: str, name: str) -> None:
        if method == "rename" and name == "CA.edb":
            raise StorageError("no")

    make_directories(tmp_path)
    with monkeypatch.context() as context:
        watch(context, fail)
        with pytest.raises(PlacingStoppedError):
            place(ca_plan(tmp_path), Reader())
    place(ca_plan(tmp_path, existing=Existing.SET_ASIDE), Reader())
    assert {name: data for name, data in placed(tmp_path).items() if ".tokar-" not in name} == CONTENT


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.one_of(st.binary(max_size=9000), st.integers(1, 20000)), max_size=6), max_size=5))
def test_whatever_the_pieces_the_content_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, contents: list[list[bytes | int]]
) -> None:
    folder = tmp_path_factory.mktemp("pieces")
    pieces = {
        number: [piece(part, None) if isinstance(part, int) else piece(len(part), part) for part in parts]
        for number, parts in enumerate(contents)
    }
    whole = {
        number: b"".join(bytes(part) if isinstance(part, int) else part for part in parts)
        for number, parts in enumerate(contents)
    }
    files = [entry(number, 0x21, f"{number}.log", size=len(data)) for number, data in whole.items()]
    place(plan_of(files, into=str(folder)), Reader(dict(pieces)))
    assert tree(folder) == {f"{number}.log": data for number, data in whole.items()}


@pytest.mark.skipif(os.name == "nt", reason="a stand-in for what is there")
@pytest.mark.parametrize("there", [True, False])
def test_on_windows_every_file_is_flushed_and_every_move_written_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    if there:
        make_directories(tmp_path)
    for module in (place_module, staging):
        monkeypatch.setattr(module, "Directory", partial(Directory, by_path=True))
    moves = WindowsMoves(monkeypatch)
    place(ca_plan(tmp_path), Reader())
    assert placed(tmp_path) == CONTENT
    moved = {name: flags for name, flags in moves.noted if name != "flush"}
    assert set(moved) >= (set(CONTENT) if there else {"logs", "data"})
    assert set(moved.values()) == {8}, "MOVEFILE_WRITE_THROUGH alone: nothing is replaced"
