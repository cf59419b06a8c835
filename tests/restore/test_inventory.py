from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tokar.errors import StorageError
from tokar.restore import inventory
from tokar.restore.inventory import (
    Found,
    FoundList,
    NameKind,
    TargetDirectory,
    TargetState,
    engine_kind,
    take_inventory,
)

if TYPE_CHECKING:
    from pathlib import Path


def look(path: Path) -> TargetDirectory:
    return take_inventory([str(path)]).directories[str(path)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("edb.chk", "checkpoint"),
        ("EDB.JCP", "checkpoint"),
        ("priv.edb", "database"),
        ("ntds.dit", "database"),
        ("dhcp.mdb", "database"),
        ("priv1.stm", "database"),
        ("E0000001.LOG", "log"),
        ("edb00001.jtx", "log"),
        ("PUB.PAT", "patch"),
        ("edbres00001.jrs", "reserve"),
        ("srudb.jfm", "flush-map"),
        ("certbkxp.dat", None),
        ("log", None),
        ("edb.log.txt", None),
        ("", None),
    ],
)
def test_files_of_the_engine_are_known_by_name(name: str, kind: str | None) -> None:
    assert engine_kind(name) == kind


def test_a_directory_is_listed_with_the_kinds_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "edb.log").write_bytes(b"")
    (tmp_path / "notes.txt").write_bytes(b"")
    (tmp_path / "old.edb").mkdir()
    (tmp_path / "link.chk").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    assert sorted(look(tmp_path).found, key=lambda one: one.name) == [
        Found("edb.log", NameKind.FILE, "log"),
        Found("link.chk", NameKind.LINK, "checkpoint"),
        Found("notes.txt", NameKind.FILE),
        Found("old.edb", NameKind.DIRECTORY),
        Found("pipe", NameKind.OTHER),
    ]


def test_content_is_asked_where_the_name_says_nothing(tmp_path: Path) -> None:
    for name in ("SRUDB.dat", "edb.log", "edb.chk.tokar-aside-20240131T235958Z-1"):
        (tmp_path / name).write_bytes(b"")
    asked = []

    def identify(path: Path) -> str | None:
        asked.append(path.name)
        return "database"

    inventory = take_inventory([str(tmp_path)], identify)
    assert asked == ["SRUDB.dat"]
    assert {one.name: one.engine for one in inventory.directories[str(tmp_path)].found} == {
        "SRUDB.dat": "database",
        "edb.log": "log",
        "edb.chk.tokar-aside-20240131T235958Z-1": None,
    }


@pytest.mark.parametrize("error", [PermissionError(13, "no"), StorageError("no")])
def test_a_file_whose_content_cannot_be_read_is_nothing_known(tmp_path: Path, error: Exception) -> None:
    (tmp_path / "x.dat").write_bytes(b"")

    def identify(path: Path) -> str | None:
        del path
        raise error

    assert take_inventory([str(tmp_path)], identify).directories[str(tmp_path)].found.at(0).engine is None


def test_a_directory_that_is_missing_takes_its_room_from_the_one_above(tmp_path: Path) -> None:
    seen = look(tmp_path / "a" / "b")
    assert seen.state is TargetState.MISSING
    assert seen.device == look(tmp_path).device
    assert seen.free > 0
    assert seen.fault_as_target() is None


def test_one_directory_by_two_paths_is_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert look(tmp_path / "link" / "x").identity == look(tmp_path / "real" / "X").identity
    assert look(tmp_path / "link" / ".." / "real").identity == look(tmp_path / "real").identity
    assert look(tmp_path / "x").identity != look(tmp_path / "real" / "x").identity


def test_a_link_is_no_target_directory(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert look(tmp_path / "link").fault_as_target() == "the target directory is a symbolic link"


def test_a_file_is_no_target_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert look(tmp_path / "file").fault_as_target() == "the target directory is not a directory"


@pytest.mark.parametrize("below", ["x", "x/y"])
def test_nothing_can_be_made_below_a_file(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert "cannot be looked at" in str(look(tmp_path / "file" / below).fault_as_target())


def test_a_path_that_cannot_be_is_reported(tmp_path: Path) -> None:
    assert look(tmp_path / ("x" * 300)).state is TargetState.UNREADABLE
    assert take_inventory(["/a\0b"]).directories["/a\0b"].state is TargetState.UNREADABLE


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the administrator may do everything")
def test_a_directory_without_rights_is_reported(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    assert look(closed).fault_as_target() == "there is no right to write in the target directory"


def test_a_file_system_that_takes_no_files_is_called_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = [*os.statvfs(tmp_path)]
    numbers[8] |= os.ST_RDONLY
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(numbers))
    assert look(tmp_path).fault_as_target() == "the file system of the target directory is read-only"
    assert look(tmp_path / "new").fault_as_target() == "the file system of the target directory is read-only"


def test_what_is_in_a_directory_comes_back_from_little_room() -> None:
    found = [
        Found("edb.log", NameKind.FILE, "log"),
        Found("\udcff\ud800ä", NameKind.LINK),
        Found("", NameKind.OTHER),
        Found("edb.log", NameKind.DIRECTORY),
    ]
    kept = FoundList(found)
    assert [*kept] == found
    assert kept == FoundList(found)
    assert kept != FoundList(found[1:])


def test_looking_changes_nothing(tmp_path: Path) -> None:
    look(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_room_that_changes_makes_no_other_plan_and_anything_else_does() -> None:
    seen = TargetDirectory(path="/x", state=TargetState.DIRECTORY, free=5, free_files=7)
    assert replace(seen, free=6, free_files=None) == seen
    assert replace(seen, busy=True) != seen
    assert replace(seen, found=FoundList([Found("edb.log", NameKind.FILE)])) != seen


@pytest.mark.parametrize(
    ("below", "state"), [("", TargetState.DIRECTORY), ("/new", TargetState.MISSING)], ids=["there", "to be made"]
)
def test_every_call_takes_a_path_as_long_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str, state: TargetState
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "edb.log").touch()
    monkeypatch.setattr(inventory, "long_path", lambda path: path.replace("/long", "/real"))
    path = f"{tmp_path}/long{below}"
    found = take_inventory([path]).directories[path]
    assert (found.state, found.path, [one.name for one in found.found]) == (state, path, [] if below else ["edb.log"])


def test_what_is_above_many_directories_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    looked = inventory._above

    def above(path: str) -> TargetDirectory | None:
        asked.append(path)
        return looked(path)

    monkeypatch.setattr(inventory, "_above", above)
    paths = [str(tmp_path / f"{number}") for number in range(50)]
    found = take_inventory(paths).directories
    assert asked == [str(tmp_path)]
    assert len({one.identity for one in found.values()}) == 50
    assert [one.path for one in found.values()] == paths


@pytest.mark.parametrize("end", ["/", "//"])
def test_a_separator_at_the_end_makes_no_other_directory(tmp_path: Path, end: str) -> None:
    one, other = (take_inventory([path]).directories[path] for path in (f"{tmp_path}/a", f"{tmp_path}//a{end}"))
    assert one.identity == other.identity
