"""The demo: the whole story in a few seconds, with nothing staged."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import pytest

import tokar
from tokar.errors import ArchiveError, ExistingFileError, SourceError
from tokar.format.verify import verify
from tokar.lab import demo as demo_module
from tokar.lab.demo import Account, run_demo
from tokar.lab.lab import Lab, open_lab
from tokar.sets.backup_set import set_of_archive
from tokar.sets.joining import build_chain

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], demo_module.DemoResult, float]:
    folder = tmp_path_factory.mktemp("demo") / "demo"
    lines: list[str] = []
    start = time.process_time()
    result = run_demo(folder, lines.append)
    return folder, lines, result, time.process_time() - start


Told = tuple["Path", list[str], demo_module.DemoResult, float]


def test_it_ends_with_contents_that_are_equal(told: Told) -> None:
    _, lines, result, _ = told
    assert result.equal
    assert result.records > 100
    assert sum("exactly what was committed" in line for line in lines) == 2


def test_it_takes_less_than_ten_seconds(told: Told) -> None:
    assert told[3] < 10


def test_it_tells_every_part_of_the_story(told: Told) -> None:
    _, lines, _, _ = told
    text = "\n".join(lines)
    for command in ("tokar backup", "tokar inspect", "tokar verify", "tokar restore", "tokar lab recover"):
        assert f"$ {command}" in text
    assert [line for line in lines if "--type full" in line]
    assert len([line for line in lines if "--type incremental" in line]) == 2
    assert len([line for line in lines if "--type differential" in line]) == 1
    assert "error: " in text, "the damage"


def test_its_archives_are_whole_and_form_a_chain(told: Told) -> None:
    _, _, result, _ = told
    sets = []
    for path in result.archives:
        with tokar.open(path) as archive:
            verify(archive, content=True).demand()
            sets.append(set_of_archive(archive))
    assert build_chain(sets).is_restorable


def test_the_damage_is_in_a_copy_alone(told: Told) -> None:
    folder, _, result, _ = told
    whole, copy = result.archives[1].read_bytes(), (folder / "damaged-copy.tokar").read_bytes()
    assert sum(one != other for one, other in zip(whole, copy, strict=True)) == 1


def test_what_it_leaves_is_a_server_that_works(told: Told) -> None:
    lab = open_lab(told[0] / "other-server")
    assert sum(map(len, lab.contents().values())) == told[2].records
    lab.work(5)
    lab.stop()


def test_an_earlier_demo_is_replaced(tmp_path: Path, told: Told) -> None:
    folder = tmp_path / "demo"
    shutil.copytree(told[0], folder)
    (folder / "left.txt").touch()
    assert run_demo(folder, lambda _: None).equal
    assert not (folder / "left.txt").exists()


@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_place_that_is_no_earlier_demo_is_left_alone(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "mine"
    if what == "folder":
        folder.mkdir()
        (folder / "precious").touch()
    else:
        folder.touch()
    with pytest.raises(ExistingFileError, match="no earlier demo"):
        run_demo(folder, lambda _: None)
    assert folder.exists()
    assert what == "file" or (folder / "precious").exists()


def test_damage_that_is_not_found_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Blind:
        def demand(self) -> None:
            pass

    monkeypatch.setattr(demo_module, "verify", lambda _: Blind())
    with pytest.raises(ArchiveError, match="the damage was not found"):
        run_demo(tmp_path / "demo", lambda _: None)


def test_contents_that_differ_are_said_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forget = iter(range(1000))
    original = Account.committed

    def committed(self: Account, changes: list[object]) -> None:
        if next(forget) % 50:
            original(self, changes)  # type: ignore[arg-type] # they are passed on as they come

    monkeypatch.setattr(Account, "committed", committed)
    lines: list[str] = []
    assert not run_demo(tmp_path / "demo", lines.append).equal
    assert any("NOT what was committed" in line for line in lines)


def test_an_engine_that_does_not_recover_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Lab) -> None:
        raise SourceError("it does not recover")

    monkeypatch.setattr(Lab, "recover", fail)
    with pytest.raises(SourceError, match="does not recover"):
        run_demo(tmp_path / "demo", lambda _: None)
