"""`tokar clean` as it is run: a list first, and removed when asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from command_line import TIMEOUT, done, tokar
from small_sets import instance, write

from tokar.storage.sink import FileSink

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name == "nt", reason="locks of directories")
PART = ".a.tokar.01234567.part"


def test_a_folder_without_leftovers_says_so(tmp_path: Path) -> None:
    assert done("clean", tmp_path).stdout == "nothing is left over here\n"


def test_it_lists_first_and_removes_when_asked(tmp_path: Path) -> None:
    (tmp_path / PART).write_bytes(b"part")
    listed = done("clean", tmp_path).stdout
    assert f"{PART}: an archive or file that was being written, 4 bytes; owner gone\n" in listed
    assert f"tokar clean --remove {tmp_path} removes" in listed
    assert (tmp_path / PART).exists()
    assert "; removed\n" in done("clean", "--remove", tmp_path).stdout
    assert not list(tmp_path.iterdir())


def test_what_is_at_work_is_kept(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "a.tokar")
    found = done("clean", "--remove", "--json", tmp_path).json()
    assert [(one["owner"], one["removed"]) for one in found["leftovers"]] == [("at work", False)]
    sink.commit()


def test_what_cannot_be_removed_is_partial(tmp_path: Path) -> None:
    folder = tmp_path / ".tokar-restore-0123456789abcdef-1"
    folder.mkdir()
    folder.chmod(0o777)
    result = tokar("clean", "--remove", tmp_path)
    assert result.exit_code == 8
    assert "others may have written in it" in result.error


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert tokar("clean", tmp_path / "gone").exit_code == 1


def test_what_a_run_that_was_killed_left_is_named_by_the_next_and_removed(tmp_path: Path) -> None:
    parked = (
        "import sys, time; from tokar.storage import durable; durable.sync_descriptor = lambda *_: time.sleep(600); "
        "from tokar.cli import main; main()"
    )
    folder = write(tmp_path / "in", instance())
    running = subprocess.Popen(
        [sys.executable, "-c", parked, "create", "-q", str(tmp_path / "a.tokar"), str(folder)], stderr=subprocess.PIPE
    )
    until = time.monotonic() + TIMEOUT
    while not any(one.stat().st_size for one in tmp_path.glob(".a.tokar.*.part")):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert "owner at work" in done("clean", tmp_path).stdout
    running.send_signal(signal.SIGKILL)
    running.communicate(timeout=TIMEOUT)
    result = done("create", tmp_path / "b.tokar", folder)
    assert "tokar: left over of a run that died: .a.tokar." in result.stderr
    done("clean", "--remove", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tokar", "in"]
