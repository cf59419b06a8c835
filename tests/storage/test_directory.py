from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tokar.errors import ExistingFileError, StorageError
from tokar.storage.directory import Directory

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=[False, True], ids=["descriptors", "paths"])
def by_path(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def folder(tmp_path: Path, by_path: bool) -> Directory:
    return Directory(str(tmp_path), by_path=by_path)


def test_a_file_is_made_for_its_owner_alone(folder: Directory, tmp_path: Path) -> None:
    os.close(folder.create("x"))
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("there", ["file", "link", "dangling"])
def test_a_file_that_is_there_is_not_made_again(folder: Directory, tmp_path: Path, there: str) -> None:
    if there == "file":
        (tmp_path / "x").write_bytes(b"")
    else:
        (tmp_path / "x").symlink_to(tmp_path if there == "link" else "nowhere")
    with pytest.raises(StorageError, match="cannot make the file") as caught:
        folder.create("x")
    assert caught.value.path == str(tmp_path / "x")
    assert not (tmp_path / "nowhere").exists()


def test_a_directory_made_in_it_is_private(folder: Directory, tmp_path: Path) -> None:
    with folder.make("inner") as inner:
        os.close(inner.create("x"))
    assert (tmp_path / "inner").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "inner" / "x").exists()


def test_a_directory_that_is_there_is_not_made_again(folder: Directory, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    with pytest.raises(StorageError, match="cannot make the directory"):
        folder.make("inner")


def test_a_rename_moves_a_file_between_directories(folder: Directory) -> None:
    with folder.make("inner") as inner:
        os.close(inner.create("x"))
        inner.rename("x", folder, "y")
        assert inner.names() == []
    assert sorted(folder.names()) == ["inner", "y"]


def test_a_rename_never_replaces(folder: Directory, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"new")
    (tmp_path / "y").write_bytes(b"old")
    with pytest.raises(ExistingFileError) as caught:
        folder.rename("x", folder, "y")
    assert caught.value.path == str(tmp_path / "y")
    assert (tmp_path / "y").read_bytes() == b"old"


def test_a_rename_of_nothing_is_refused(folder: Directory) -> None:
    with pytest.raises(StorageError, match="cannot rename"):
        folder.rename("x", folder, "y")


def test_a_link_is_seen_as_itself(folder: Directory, tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to("nowhere")
    assert folder.has("x")
    assert not folder.has("nowhere")


def test_files_and_directories_are_removed(folder: Directory) -> None:
    os.close(folder.create("x"))
    folder.make("inner").close()
    folder.remove("x")
    folder.remove_directory("inner")
    assert folder.names() == []


@pytest.mark.parametrize("method", ["remove", "remove_directory", "open"])
def test_what_is_not_there_cannot_be_removed_or_opened(folder: Directory, method: str) -> None:
    with pytest.raises(StorageError, match="cannot"):
        getattr(folder, method)("x")


def test_a_link_is_not_opened(tmp_path: Path, by_path: bool) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(StorageError, match="cannot open the directory"):
        Directory(str(tmp_path / "link"), by_path=by_path)


@pytest.mark.parametrize("name", ["file", "none"])
def test_what_is_no_directory_is_not_opened(tmp_path: Path, by_path: bool, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot open the directory"):
        Directory(str(tmp_path / name), by_path=by_path)


def test_it_can_be_synced_and_closed_twice(folder: Directory) -> None:
    folder.sync()
    folder.close()
    folder.close()
    assert folder.descriptor is None


def test_a_directory_that_is_gone_is_reported(tmp_path: Path, by_path: bool) -> None:
    (tmp_path / "x").mkdir()
    with Directory(str(tmp_path / "x"), by_path=by_path) as gone:
        (tmp_path / "x").rmdir()
        with pytest.raises(StorageError, match="cannot make the file"):
            gone.create("y")
