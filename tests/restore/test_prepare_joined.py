"""A chain whose sets stay apart, for certutil, is one restore: all is staged before anything is in place."""

from __future__ import annotations

import itertools
import os
import warnings
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from chain_sets import DATABASE, full, increment, name_of, part
from small_sets import contents

from tokar.errors import FormatError, NoRoomError, StorageError
from tokar.format.metadata import location_list_json
from tokar.namelist import build_names
from tokar.restore.chosen import OpenSets
from tokar.restore.merged import MergedSet
from tokar.restore.options import RestoreOptions
from tokar.restore.place import PlacingStoppedError, Report
from tokar.restore.prepare import place_sets, plan_restore
from tokar.storage.directory import Directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tokar.format.entry_reader import Chunk
    from tokar.format.index import Entry

EVERY = pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.torture)])
CHANGES = ("create", "rename", "sync", "make", "remove", "remove_directory")
PLACES = ((0x44, "C:\\CA\\main.edb"), (0x82, "C:\\CA"))


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    listed = build_names([(token, path.encode("utf-16-le")) for token, path in PLACES], wide=True)
    full(folder, location_list=location_list_json("w", listed))
    increment(folder, "inc1", part(8, 9))
    increment(folder, "inc2", part(9, 11))
    return folder


def restored(sets: Path, out: Path) -> Report:
    with OpenSets([sets]) as found:
        return place_sets(plan_restore(found.select(), RestoreOptions(certutil=out)))


def names_in(out: Path) -> dict[str, set[str]]:
    """Return the names of the files with final names, by set."""
    found: dict[str, set[str]] = {}
    for path in contents(out):
        number, _, leaf = path.partition("/DataBase/")
        if leaf and ".tokar-" not in path:
            found.setdefault(number, set()).add(leaf)
    return found


WHOLE = {
    "1": {DATABASE, "main.pat", "certbkxp.dat", *part(5, 7)},
    "2": {name_of(8), name_of(9)},
    "3": {name_of(9), name_of(10), name_of(11)},
}


def demand_whole(out: Path) -> None:
    assert names_in(out) == WHOLE
    assert not [path for path in out.parent.rglob(".tokar-restore-*") if out in path.parents]


def striking(at: int, strike: Callable[[], None], patch: pytest.MonkeyPatch) -> Iterator[int]:
    """Let the n-th change of the disk be struck; return the counter."""
    count = itertools.count(1)
    for name in CHANGES:
        real = getattr(Directory, name)

        def struck(*arguments: object, real: Callable[..., object] = real) -> object:
            if next(count) == at:
                strike()
            return real(*arguments)

        patch.setattr(Directory, name, struck)
    return count


def test_sets_that_stay_apart_come_back_in_their_folders(sets: Path, tmp_path: Path) -> None:
    assert restored(sets, tmp_path / "out").files == 11
    demand_whole(tmp_path / "out")


@pytest.mark.parametrize("kind", [StorageError, KeyboardInterrupt])
@EVERY
def test_after_an_error_at_any_change_the_same_restore_goes_on(
    sets: Path, tmp_path: Path, kind: type[BaseException], stride: int
) -> None:
    stopped = 0
    for at in range(1, 200, stride):
        out = tmp_path / str(at) / "out"

        def fail() -> None:
            raise kind("it burns")

        with pytest.MonkeyPatch.context() as patch:
            count = striking(at, fail, patch)
            try:
                restored(sets, out)
            except (StorageError, PlacingStoppedError, KeyboardInterrupt) as error:
                notes = [note for note in getattr(error, "__notes__", []) if note.startswith("set ")]
                assert len(notes) in {0, 3}, "every set is named, or nothing was begun"
                if not notes:
                    assert names_in(out) == {}
                stopped += bool(notes)
            if next(count) <= at:
                break
        if names_in(out) == WHOLE and not list(out.rglob("*.journal-*")):
            continue  # all was done: clearing up was struck
        restored(sets, out)
        demand_whole(out)
    assert stopped > 3 // stride


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process that dies is made with fork")
@EVERY
def test_wherever_it_dies_the_same_restore_goes_on(sets: Path, tmp_path: Path, stride: int) -> None:
    for at in range(1, 200, stride):
        out = tmp_path / str(at) / "out"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            with pytest.MonkeyPatch.context() as patch:
                striking(at, lambda: os._exit(9), patch)
                try:
                    restored(sets, out)
                    os._exit(0)
                finally:
                    os._exit(1)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 9:
            break
        if names_in(out) == WHOLE and not list(out.rglob("*.journal-*")):
            continue
        restored(sets, out)
        demand_whole(out)
    assert at > 20
    demand_whole(out)


def test_damage_in_the_last_set_is_met_before_anything_is_in_place(
    sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = MergedSet.chunks

    def damaged(self: MergedSet, entry: Entry) -> Iterator[Chunk]:
        if name_of(11) in entry.name:
            raise FormatError("damaged")
        return chunks(self, entry)

    monkeypatch.setattr(MergedSet, "chunks", damaged)
    with pytest.raises(FormatError):
        restored(sets, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_room_is_judged_for_all_sets_together(sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = SimpleNamespace(f_bavail=1 << 40, f_frsize=1, f_files=0, f_favail=0, f_namemax=255, f_flag=0)
    monkeypatch.setattr("os.statvfs", lambda _: free)
    with OpenSets([sets]) as found:
        plan = plan_restore(found.select(), RestoreOptions(certutil=tmp_path / "out"))
        needed = [sum(one.room for one in part.directories) for part, _ in plan.parts]
        free.f_bavail = sum(needed) - 1
        assert max(needed) < free.f_bavail
        with pytest.raises(NoRoomError):
            plan_restore(found.select(), RestoreOptions(certutil=tmp_path / "out")).raise_for_problems()


def test_the_plan_says_of_each_set_what_an_interrupted_run_left(sets: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        real = Directory.rename

        def fail(self: Directory, name: str, target: Directory, new_name: str) -> None:
            if target.path == str(out / "1") and new_name == "DataBase":
                raise StorageError("it burns")
            real(self, name, target, new_name)

        patch.setattr(Directory, "rename", fail)
        with pytest.raises(PlacingStoppedError, match="5 of 11 files are in place"):
            restored(sets, out)
    with OpenSets([sets]) as found:
        plan = plan_restore(found.select(), RestoreOptions(certutil=out))
    left = [part.to_json()["continues"] for part, _ in plan.parts]
    assert [len(one["in_place"]) for one in left] == [0, 2, 3]
    assert left[0]["staged"] == 5
