"""A lock is held by a process, not by the name of its file."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from command_line import without_rights

from tokar.errors import StorageError
from tokar.storage.directory import Directory, Lock, is_held

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Directory]:
    with Directory(str(tmp_path)) as opened:
        yield opened


def test_a_lock_keeps_others_out_until_it_is_released(folder: Directory) -> None:
    with Lock(folder, "lock", "busy"):
        assert is_held(folder.path, "lock")
        with pytest.raises(StorageError, match="busy"):
            Lock(folder, "lock", "busy")
        Lock(folder, "other", "busy").release()
    assert not is_held(folder.path, "lock")
    assert folder.names() == []
    Lock(folder, "lock", "busy").release()


def test_releasing_twice_leaves_the_lock_of_another_alone(folder: Directory) -> None:
    first = Lock(folder, "lock", "busy")
    first.release()
    with Lock(folder, "lock", "busy"):
        first.release()
        assert is_held(folder.path, "lock")


@pytest.mark.skipif(os.name == "nt", reason="rights are others there")
def test_a_lock_that_can_not_be_looked_at_any_more_is_released_and_its_file_left() -> None:
    with without_rights() as path, Directory(str(path)) as held:
        lock = Lock(held, "lock", "busy")
        path.chmod(0)
        lock.release()
        path.chmod(0o700)
        assert (held.names(), is_held(held.path, "lock")) == (["lock"], False)


def test_a_file_that_is_left_is_no_lock(folder: Directory, tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    assert not is_held(folder.path, "lock")
    Lock(folder, "lock", "busy").release()
    assert folder.names() == []


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be removed there")
def test_a_lock_on_a_file_that_was_removed_is_taken_anew(
    folder: Directory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Directory.open_or_create
    opened: list[int] = []

    def slow(self: Directory, name: str) -> int:
        descriptor = real(self, name)
        if not opened:
            (tmp_path / name).unlink()  # by who held it
        opened.append(descriptor)
        return descriptor

    monkeypatch.setattr(Directory, "open_or_create", slow)
    with Lock(folder, "lock", "busy"):
        assert len(opened) == 2
        assert is_held(folder.path, "lock")


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_is_not_followed(folder: Directory, tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError):
        Lock(folder, "lock", "busy")
    assert not is_held(folder.path, "lock")
    assert not (tmp_path / "elsewhere").exists()


def test_a_lock_ends_with_its_process(folder: Directory) -> None:
    script = (
        "import os, sys; from tokar.storage.directory import Directory; from tokar.storage.directory import Lock; "
        "lock = Lock(Directory(sys.argv[1]), 'lock', 'busy'); print('held', flush=True); sys.stdin.read(); os._exit(9)"
    )
    arguments = [sys.executable, "-c", script, folder.path]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert is_held(folder.path, "lock")
        process.communicate()
    assert folder.names() == ["lock"]
    Lock(folder, "lock", "busy").release()
