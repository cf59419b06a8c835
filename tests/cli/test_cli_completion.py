"""Completion of the names of entries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from command_line import done
from small_sets import log, write

from tokar.cli import completion

if TYPE_CHECKING:
    from pathlib import Path

NAME = "my edb's 1.log"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("with space")
    done("create", "-q", folder / "a b.tokar", write(folder / "set", {NAME: log(1)}))
    return folder / "a b.tokar"


@pytest.mark.parametrize(
    ("shell", "line", "offered"),
    [
        ("bash", "tokar\nextract\n'{}'\nmy", "my\\ edb\\'s\\ 1.log"),
        ("bash", "tokar\nextract\n'{}'\n\"my", NAME),
        ("zsh", "tokar extract '{}' my", NAME),
    ],
    ids=["bare", "within quotes", "zsh escapes by itself"],
)
def test_an_entry_with_spaces_of_an_archive_with_spaces_is_offered_as_the_shell_reads_it(
    archive: Path, monkeypatch: pytest.MonkeyPatch, shell: str, line: str, offered: str
) -> None:
    monkeypatch.setenv("_TOKAR_COMPLETE", f"complete_{shell}")
    monkeypatch.setenv("COMP_WORDS" if shell == "bash" else "_TYPER_COMPLETE_ARGS", line.format(archive))
    assert completion.entries("my") == [offered]


@pytest.mark.parametrize("line", ["", "tokar extract ", "tokar extract 'nothing", "tokar extract \\"])
def test_where_no_archive_is_named_nothing_is_offered(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setenv("COMP_WORDS", line)
    assert completion.entries("") == []
