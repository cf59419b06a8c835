"""The template of a source: its tests pass with pytest alone, and as an add-on it is found by its scheme."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_line import done, tokar

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[2] / "examples" / "own_source"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The template as pip would install it, by what its pyproject.toml says."""
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (points,) = project["entry-points"].items()
    site = tmp_path / "site"
    info = site / "tokar_journal-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    rows = "".join(f"{name} = {value}\n" for name, value in points[1].items())
    (info / "entry_points.txt").write_text(f"[{points[0]}]\n{rows}")
    (site / "journal_source.py").write_bytes((FOLDER / "journal_source.py").read_bytes())
    monkeypatch.syspath_prepend(site)
    yield
    sys.modules.pop("journal_source", None)


@pytest.mark.slow
def test_its_own_tests_pass_with_pytest_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist"]
    command += ["-c", os.devnull, "--rootdir", str(FOLDER), "--basetemp", str(tmp_path / "tests"), str(FOLDER)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stdout
    assert " passed" in ran.stdout


@pytest.mark.usefixtures("installed")
def test_it_is_listed_and_backed_up_by_its_scheme(tmp_path: Path) -> None:
    assert "journal:DIR" in done("sources").stdout
    (tmp_path / "mine").mkdir()
    out = tmp_path / "full.tokar"
    printed = done("backup", f"journal:{tmp_path / 'mine'}", out, "--type", "full").stdout
    assert "truncation: done" in printed
    assert "NOT PROVEN" in printed
    done("restore", out, "--to", f"0x44={tmp_path}/new/", "--to", f"0x82={tmp_path}/new/")
    assert (tmp_path / "new" / "lines.db").is_file()


@pytest.mark.usefixtures("installed")
def test_what_it_refuses_is_an_error_with_the_next_step(tmp_path: Path) -> None:
    result = tokar("backup", "journal:nowhere", tmp_path / "a.tokar", "--type", "full")
    assert (result.exit_code, result.error) == (2, "there is no such folder (nowhere)")
