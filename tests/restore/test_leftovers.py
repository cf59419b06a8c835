"""What runs that died left in a folder: found, told from what is at work, and removed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tokar.errors import StorageError
from tokar.restore.inventory import LOCK_NAME, lock_beside
from tokar.restore.leftovers import Owner, find_leftovers, remove_leftover
from tokar.storage import durable
from tokar.storage.directory import Directory, Lock
from tokar.storage.sink import FileSink

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name == "nt", reason="locks of directories")

PART = ".a.tokar.01234567.part"
STAGED = ".tokar-restore-0123456789abcdef-1"
JOURNAL = ".tokar-restore-0123456789abcdef.journal-1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / PART).write_bytes(b"part")
    (tmp_path / STAGED).mkdir(mode=0o700)
    (tmp_path / STAGED / "PRIV.EDB").write_bytes(b"staged")
    (tmp_path / JOURNAL).write_bytes(b"{}")
    (tmp_path / LOCK_NAME).write_bytes(b"")
    for name in ("a.tokar", ".hidden.part", ".a.tokar.0123456.part", "b.01234567.part"):
        (tmp_path / name).write_bytes(b"mine")
    (tmp_path / ".a.tokar.76543210.part").symlink_to("a.tokar")
    return tmp_path


def owners(folder: Path) -> dict[str, Owner]:
    return {one.path.name: one.owner for one in find_leftovers(folder)}


def test_what_has_no_owner_is_found_and_nothing_else(folder: Path) -> None:
    assert owners(folder) == dict.fromkeys((PART, STAGED, JOURNAL, LOCK_NAME), Owner.GONE)
    assert {one.path.name: one.size for one in find_leftovers(folder)}[STAGED] == 6


def test_all_of_it_is_removed_and_nothing_else(folder: Path) -> None:
    for one in find_leftovers(folder):
        remove_leftover(one)
    assert sorted(path.name for path in folder.iterdir()) == [
        ".a.tokar.0123456.part",
        ".a.tokar.76543210.part",
        ".hidden.part",
        "a.tokar",
        "b.01234567.part",
    ]


def test_a_file_that_is_being_written_is_kept(folder: Path) -> None:
    gone = next(one for one in find_leftovers(folder) if one.path.name == PART)
    sink = FileSink(folder / "c.tokar")
    (at_work,) = (name for name, owner in owners(folder).items() if owner is Owner.AT_WORK)
    assert at_work.startswith(".c.tokar.")
    with pytest.raises(StorageError, match="owner is at work"):
        remove_leftover(type(gone)(folder / at_work, gone.what, gone.size, Owner.GONE))
    sink.commit()
    assert (folder / "c.tokar").exists()


def test_what_is_going_to_be_replaced_is_kept_as_long_as_its_successor_is_at_work(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "c.tokar")
    (part,) = tmp_path.iterdir()
    old = part.with_suffix(".old.part")
    old.write_bytes(b"old")
    assert set(owners(tmp_path).values()) == {Owner.AT_WORK}
    sink.commit()
    assert owners(tmp_path) == {old.name: Owner.GONE}


@pytest.mark.parametrize("name", [LOCK_NAME, lock_beside("/x/new")])
def test_what_a_restore_at_work_has_staged_is_kept(folder: Path, name: str) -> None:
    found = find_leftovers(folder)
    with Directory(str(folder)) as holder, Lock(holder, name, "another"):
        now = owners(folder)
        assert {now[STAGED], now[JOURNAL], now[name]} == {Owner.AT_WORK}
        for one in found:
            if one.path.name in {STAGED, JOURNAL}:
                with pytest.raises(StorageError, match="a restore is at work here"):
                    remove_leftover(one)
    assert (folder / STAGED / "PRIV.EDB").exists()


def test_a_staging_directory_that_is_locked_is_kept(folder: Path) -> None:
    (found,) = (one for one in find_leftovers(folder) if one.path.name == STAGED)
    with Directory(str(folder / STAGED)) as staging:
        staging.lock("at work")
        assert owners(folder)[STAGED] is Owner.AT_WORK
        with pytest.raises(StorageError, match="at work"):
            remove_leftover(found)
    assert (folder / STAGED / "PRIV.EDB").exists()


def test_where_there_are_no_locks_nothing_is_known_to_be_left(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "try_lock", lambda _: None)
    assert set(owners(folder).values()) == {Owner.UNKNOWN}
    (part,) = (one for one in find_leftovers(folder) if one.path.name == PART)
    with pytest.raises(StorageError, match="no locks"):
        remove_leftover(part)


def test_a_link_in_the_place_of_a_staging_directory_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_bytes(b"mine")
    (tmp_path / STAGED).symlink_to("mine")
    (found,) = find_leftovers(tmp_path)
    assert found.owner is Owner.UNKNOWN
    with pytest.raises(StorageError):
        remove_leftover(found)
    assert (tmp_path / "mine" / "file").exists()
