"""The lab among others: one process at a time, a kill at any point of a roll-over, and nothing outside its folder."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

import pytest
from command_line import InThisProcess, done, tokar
from engine_by_hand import new_story

from tokar.errors import InputError, StorageError
from tokar.lab.engine import ERAS, EngineError
from tokar.lab.lab import open_lab
from tokar.storage.directory import is_held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine_by_hand import Story

PROFILES = sorted(ERAS)


class Killed(BaseException):
    """The process is gone."""


class Strikes:
    """Lets one write, rename or removal be the first that does not happen any more."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int) -> None:
        self.at, self.count = at, 0
        for name in ("rename", "replace", "unlink"):
            patch.setattr(os, name, self._counted(getattr(os, name)))
        patch.setattr(Path, "open", self._opened(Path.open))

    def strike(self) -> None:
        self.count += 1
        if self.count >= self.at:
            raise Killed

    def _counted(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.strike()
            return original(*arguments, **options)

        return call

    def _opened(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            return Struck(original(*arguments, **options), self.strike)

        return call


class Struck:
    """A file that is on disk after each write."""

    def __init__(self, inner: Any, strike: Callable[[], None]) -> None:
        self._inner, self._strike = inner, strike

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._inner.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, data: bytes) -> int:
        self._strike()
        written = int(self._inner.write(data))
        self._inner.flush()
        return written

    def truncate(self, size: int | None = None) -> int:
        self._strike()
        return int(self._inner.truncate(size))


def killed_in(story: Story, work: Callable[[], object], at: int) -> bool:
    """Return whether the process was killed at a point of some work."""
    with pytest.MonkeyPatch.context() as patch:
        strikes = Strikes(patch, at)
        with suppress(Killed):
            work()
    story.lab.crash()
    return strikes.count >= at


def points(folder: Path, profile: str, work: Callable[[Story], Callable[[], object]], stride: int) -> Iterator[Story]:
    """Yield stories that were killed, each some points later than the one before, until the work comes to its end."""
    for at in range(1, 200, stride):
        place = folder / str(at)
        story = new_story(place, profile, databases=1, work=25)
        if not killed_in(story, work(story), at):
            return
        yield story
        shutil.rmtree(place)


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("kind", ["roll-over", "circular", "checkpoint", "stop"])
@pytest.mark.parametrize("stride", [3, pytest.param(1, marks=pytest.mark.torture)])
def test_a_kill_at_any_point_leaves_what_its_engine_recovers(
    profile: str, kind: str, stride: int, tmp_path: Path
) -> None:
    def work(story: Story) -> Callable[[], object]:
        instance = story.lab.instance
        instance.log.circular = kind == "circular"
        return {"checkpoint": instance.write_checkpoint, "stop": story.lab.stop}.get(kind, instance.log.roll)

    seen = 0
    for story in points(tmp_path, profile, work, stride):
        seen += 1
        lab = open_lab(story.lab.folder)
        lab.start()
        assert lab.contents() == story.expected(), seen
        lab.work(5)
        lab.stop()
    assert seen > 3 // stride


HOLDER = """
import sys, time
from pathlib import Path
from tokar.lab.lab import open_lab
lab = open_lab(Path(sys.argv[1]))
lab.start()
print("started", flush=True)
time.sleep(60)
"""


def test_two_processes_never_work_in_one_lab(tmp_path: Path) -> None:
    done("lab", "new", tmp_path / "a", "--profile", "certadm")
    done("lab", "work", tmp_path / "a", "-n", "20")
    full = ("backup", f"lab:{tmp_path / 'a'}", tmp_path / "f.tokar", "--type", "full", "--quiet")
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path / "a"], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"started\n"
        try:
            refused = tokar(*full)
            assert (refused.exit_code, "BackupInProgress" in refused.error) == (1, True)
            assert "another process works in this lab" in refused.error
            for words in (("lab", "work"), ("lab", "recover"), ("lab", "defragment")):
                result = tokar(*words, tmp_path / "a")
                assert (result.exit_code, "-1032" in result.error) == (1, True)
                assert "wait until it has ended" in result.hint
            assert tokar("lab", "set", tmp_path / "a", "circular=on").exit_code == 1
            done("lab", "show", "--json", tmp_path / "a")
        finally:
            other.kill()
    assert (tmp_path / "a" / ".in-use").exists()  # and nobody holds it
    done(*full)
    done("lab", "work", tmp_path / "a")
    assert not is_held(str(tmp_path / "a"), ".in-use")


def test_where_no_lock_can_be_made_nobody_else_is_blamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done("lab", "new", tmp_path / "a", "--profile", "certadm")

    def refuse(*_: object) -> NoReturn:
        raise StorageError("cannot open the file: Read-only file system") from OSError(errno.EROFS, "Read-only")

    monkeypatch.setattr("tokar.storage.directory.Directory.open_or_create", refuse)
    monkeypatch.setattr("tokar.server.deadline.DeadlineServer", InThisProcess)
    for words in (
        ("lab", "work", tmp_path / "a"),
        ("backup", f"lab:{tmp_path / 'a'}", tmp_path / "f.tokar", "--type", "full"),
    ):
        result = tokar(*words)
        assert (result.exit_code, result.error) == (1, "cannot open the file: Read-only file system")
        assert result.hint == "nothing can be written there: name another place"


def test_a_restore_keeps_other_restores_from_a_lab(tmp_path: Path) -> None:
    story = new_story(tmp_path / "a", "certadm", databases=1)
    story.lab.stop()
    other = open_lab(tmp_path / "a")
    with story.lab.hold(), pytest.raises(EngineError, match="another process works in this lab"):
        other.recover()
    other.recover()


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("part", ["C", "C/Windows", "C/Windows/System32/CertLog"])
def test_a_lab_whose_folders_lead_elsewhere_is_refused(part: str, tmp_path: Path) -> None:
    done("lab", "new", tmp_path / "a", "--profile", "certadm")
    (tmp_path / "a" / part).rename(tmp_path / "elsewhere")
    (tmp_path / "a" / part).symlink_to(tmp_path / "elsewhere")
    for words in (("work", "-n", "1"), ("show",), ("recover",)):
        result = tokar("lab", words[0], tmp_path / "a", *words[1:])
        assert (result.exit_code, "leads out of the lab" in result.error) == (2, True)


@pytest.mark.parametrize("path", ["/etc", "..", "C:\\..\\..\\..", "\\\\S\\C$\\..\\..\\..\\..", "C:\\a\0b"])
def test_a_registration_whose_folder_is_elsewhere_is_refused(path: str, tmp_path: Path) -> None:
    story = new_story(tmp_path / "a", "certadm", databases=1)
    story.lab.stop()
    told = {"low_log": 1, "high_log": 1, "restore_map": [], "log_path": None, "checkpoint_path": None, "status": 0}
    (tmp_path / "a" / "restore-in-progress.json").write_text(json.dumps({**told, "backup_log_path": path}))
    with pytest.raises(InputError, match=r"leads out of the lab|was changed"):
        open_lab(tmp_path / "a").recover()
