"""The lab among others: one process at a time, a kill at any point of a roll-over, and nothing outside its folder."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

import pytest
from command_line import InThisProcess, done, tokar
from engine_by_hand import new_story

from tokar import lab as lab_package
from tokar.errors import InputError, StorageError, hint_of
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
            assert refused.hint == "wait until it has ended, or end it: what it holds is free then"
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


LOGS = Path("C", "Windows", "System32", "CertLog")
WRITTEN = [
    Path("lab.tmp"),
    Path("lab.json"),
    *(LOGS / one for one in ("edb.log", "edbtmp.log", "edb.chk", "Lab CA.edb")),
]


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A lab that has worked."""
    done("lab", "new", tmp_path / "a", "--profile", "certadm")
    done("lab", "work", tmp_path / "a", "-n", "20")
    return tmp_path / "a"


def refused_everywhere(lab: Path, complaint: str) -> None:
    for words in (("work", lab, "-n", "30"), ("recover", lab), ("defragment", lab), ("set", lab, "circular=on")):
        result = tokar("lab", *words)
        assert (result.exit_code, complaint in result.error) == (2, True), (words, result.stderr)
        assert "files of its own" in result.hint


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("name", WRITTEN[:-1], ids=str)
def test_nothing_is_written_through_a_link_in_a_lab(name: Path, lab: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    if (lab / name).exists():
        (lab / name).rename(outside)
    else:
        outside.write_bytes(b"a file of somebody")
    (lab / name).symlink_to(outside)
    before = outside.read_bytes()
    refused_everywhere(lab, "a link stands where the lab has files")
    assert outside.read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="no pipes with names")
@pytest.mark.parametrize("name", [*WRITTEN, Path("restore-in-progress.json"), LOGS / "edb00009.log"], ids=str)
@pytest.mark.parametrize("kind", ["a pipe", "a directory"])
def test_no_pipe_and_no_directory_is_taken_for_a_file_of_a_lab(kind: str, name: Path, lab: Path) -> None:
    (lab / name).unlink(missing_ok=True)
    if kind == "a pipe":
        os.mkfifo(lab / name)
    else:
        (lab / name).mkdir()
    if name == Path("lab.json"):
        result = tokar("lab", "work", lab)
        assert (result.exit_code, kind.removeprefix("a ") in result.error) == (1, True)
    else:
        refused_everywhere(lab, f"{kind} stands where the lab has files")


@pytest.mark.skipif(os.name == "nt", reason="names are counted in another way there")
def test_a_file_that_has_a_name_outside_of_the_lab_is_not_changed(lab: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.hardlink_to(lab / LOGS / "edb.log")
    before = outside.read_bytes()
    refused_everywhere(lab, "another name outside the lab")
    assert outside.read_bytes() == before
    outside.rename(lab / LOGS / "inside.bin")
    done("lab", "work", lab)


def test_other_files_and_folders_in_a_lab_are_in_nobodys_way(lab: Path) -> None:
    (lab / "notes").mkdir()
    (lab / LOGS / "old").mkdir()
    (lab / LOGS / "notes.txt").write_text("mine")
    done("lab", "work", lab)


@pytest.mark.parametrize("is_file", [False, True])
@pytest.mark.parametrize(("key", "code"), [("logs", -1025), ("system", -1024)])
def test_a_lab_without_a_folder_says_which_and_what_to_do(key: str, code: int, is_file: bool, lab: Path) -> None:
    config = json.loads((lab / "lab.json").read_text())
    (lab / "lab.json").write_text(json.dumps({**config, key: "E:\\gone"}))
    if is_file:
        (lab / "E").mkdir()
        (lab / "E" / "gone").write_text("a file")
    backup = ("backup", f"lab:{lab}", lab.parent / "f.tokar", "--type", "copy")
    for words in (
        *(("lab", one, lab) for one in ("show", "work", "recover", "defragment")),
        ("probe", backup[1]),
        backup,
    ):
        result = tokar(*words)
        assert (result.exit_code, f"{code} (" in result.error, "gone" in result.error) == (1, True, True), words
        assert "put it back" in result.hint


def test_a_registration_whose_folder_is_gone_says_so(lab: Path) -> None:
    told = {"low_log": 1, "high_log": 1, "restore_map": [], "log_path": None, "checkpoint_path": None, "status": 0}
    (lab / "restore-in-progress.json").write_text(json.dumps({**told, "backup_log_path": "E:\\gone"}))
    result = tokar("lab", "recover", lab)
    assert (result.exit_code, "there is no folder of the restored logs" in result.error) == (1, True)
    assert "put it back" in result.hint


def test_a_server_that_has_lost_its_folders_can_be_restored_to(lab: Path, tmp_path: Path) -> None:
    done("backup", f"lab:{lab}", tmp_path / "f.tokar", "--type", "full")
    shutil.rmtree(lab / "C")
    assert "tokar restore --server" in tokar("lab", "recover", lab).hint
    done("restore", "--server", f"lab:{lab}", tmp_path / "f.tokar")
    done("lab", "recover", lab)
    done("lab", "show", lab)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_lab_may_be_named_by_a_link_to_it(lab: Path, tmp_path: Path) -> None:
    (tmp_path / "b").symlink_to(lab)
    done("lab", "work", tmp_path / "b")
    (lab / "C" / "Windows").rename(lab / "elsewhere")
    (lab / "C" / "Windows").symlink_to("Windows")
    result = tokar("lab", "work", lab)
    assert (result.exit_code, "links lead in a circle" in result.hint) == (1, True)


def test_every_refusal_of_the_engine_has_a_next_step() -> None:
    folder = Path(str(lab_package.__file__)).parent
    raised = {
        int(one[1]) for path in folder.glob("*.py") for one in re.finditer(r"EngineError\(\s*(-\d+)", path.read_text())
    }
    assert {-615, -1811} < raised
    assert [code for code in raised if not hint_of(EngineError(code, "no"))] == []
    assert hint_of(EngineError(-615, "no", hint="another")) == "another"
