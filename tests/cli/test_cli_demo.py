"""`tokar demo`, and the commands that it says to try next."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING

import pytest
from command_line import Result, done, tokar

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("demo") / "demo"
    start = time.process_time()
    result = done("demo", folder)
    assert time.process_time() - start < 10
    return folder, result


def test_it_proves_that_nothing_is_missing(told: tuple[Path, Result]) -> None:
    assert "records came back, none more, none less" in told[1].stdout
    assert told[1].stderr == ""


def test_every_command_it_says_to_try_next_works(told: tuple[Path, Result]) -> None:
    _, _, following = told[1].stdout.partition("Next:\n")
    commands = [shlex.split(line) for line in following.splitlines()]
    assert len(commands) > 4
    for program, *arguments in commands:
        assert program == "tokar"
        done(*arguments)


def test_the_commands_in_its_story_are_commands_that_there_are(told: tuple[Path, Result], tmp_path: Path) -> None:
    """Played again by hand, in its folder, on a server of one's own."""
    folder, result = told
    lines = [line.strip().removeprefix("$ ") for line in result.stdout.splitlines() if line.strip().startswith("$ ")]
    verbs = {line.split()[1] for line in lines}
    assert verbs == {"backup", "inspect", "verify", "restore", "lab"}
    restore = next(line for line in lines if line.startswith("tokar restore"))
    sets = [folder / "sets" / name for name in shlex.split(restore)[2:] if name.endswith(".tokar")]
    done("lab", "new", tmp_path / "again", "--empty")
    done("restore", *sets, "--server", f"lab:{tmp_path / 'again'}")
    assert "hard recovery" in done("lab", "recover", tmp_path / "again").stdout


def test_a_folder_of_ones_own_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    result = tokar("demo", tmp_path)
    assert result.exit_code == 6
    assert "no earlier demo" in result.error
    assert "another folder" in result.hint
    assert (tmp_path / "precious").exists()


def test_a_story_that_does_not_end_well_is_exit_9(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokar.lab.demo.Account.committed", lambda *_: None)
    result = tokar("demo", tmp_path / "demo")
    assert result.exit_code == 9
    assert "do not hold what was committed" in result.error


def test_it_wants_a_folder() -> None:
    assert tokar("demo").exit_code == 2
