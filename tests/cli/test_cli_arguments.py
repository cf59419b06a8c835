from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from command_line import done, tokar, without_rights

if TYPE_CHECKING:
    from pathlib import Path


# On Windows the library asks for the name of the machine.
NOT_YET = ("pydantic", "importlib.metadata", "tomllib", *(() if os.name == "nt" else ("socket",)))


def test_usual_commands_load_neither_pydantic_nor_add_ons(tmp_path: Path) -> None:
    archive, content = tmp_path / "a.tokar", tmp_path / "f"
    content.write_bytes(b"x")
    code = """
import sys
from tokar.cli import app
archive, content, out = sys.argv[1:]
for arguments in (
    ["create", "-q", archive, f"0x0F={content}"],
    ["verify", "-q", archive],
    ["inspect", "--entries", archive],
    ["restore", "-q", archive, "--into", out, "--only", "f"],
):
    assert not app(arguments, standalone_mode=False)
print(*[one for one in NOT_YET if one in sys.modules])
""".replace("NOT_YET", repr(NOT_YET))
    arguments: list[str | Path] = [sys.executable, "-c", code, archive, content, tmp_path / "out"]
    printed = subprocess.run(arguments, capture_output=True, check=True, text=True).stdout
    assert printed.splitlines()[-1] == ""
    assert (tmp_path / "out" / "f").read_bytes() == b"x"


@pytest.mark.parametrize(("option", "error"), [("x", "it is no whole number"), ("0", "greater than or equal to 1")])
def test_a_number_is_converted_and_judged_by_typer(tmp_path: Path, option: str, error: str) -> None:
    result = tokar("lab", "new", tmp_path / "lab", "--databases", option)
    assert result.exit_code == 2
    assert "'--databases'" in result.error
    assert error in result.error.lower()
    assert not (tmp_path / "lab").exists()


def test_a_number_is_taken(tmp_path: Path) -> None:
    done("lab", "new", tmp_path / "lab", "--databases", "3")


@pytest.mark.skipif(os.name == "nt", reason="rights are not in the mode")
def test_a_path_that_may_not_be_read_is_refused_by_whoever_reads_it() -> None:
    with without_rights() as folder:
        path = folder / "lab"
        path.mkdir(0o000)
        for words in (("lab", "show"), ("lab", "new"), ("clean",), ("verify",), ("restore", "--chain")):
            result = tokar(*words, path)
            assert (result.exit_code, "Permission denied" in result.error) == (1, True)
            assert result.hint == "run it as a user who may do that, or change the rights there"


def test_what_must_be_given_is_missed() -> None:
    result = tokar("create", "x.tokar")
    assert (result.exit_code, result.error) == (2, "missing argument 'PATH...'")


def test_options_that_may_be_repeated_are_all_taken(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    (tmp_path / "g").write_bytes(b"y")
    done("create", tmp_path / "a.tokar", f"0x0F={tmp_path / 'f'}", f"0x0F={tmp_path / 'g'}")
    done("restore", tmp_path / "a.tokar", "--into", tmp_path / "out", "--only", "f", "--only", "g")
    assert {one.name for one in (tmp_path / "out").iterdir()} == {"f", "g"}


def test_a_choice_is_taken_by_its_text_and_refused_by_typer(tmp_path: Path) -> None:
    done("lab", "new", tmp_path / "lab")
    done("backup", f"lab:{tmp_path / 'lab'}", tmp_path / "a.tokar", "--type", "copy")
    result = tokar("backup", f"lab:{tmp_path / 'lab'}", tmp_path / "b.tokar", "--type", "half")
    assert result.exit_code == 2
    assert "'full', 'incremental', 'differential', 'copy'" in result.error
