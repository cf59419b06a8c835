"""Every command of the manual runs, and prints what the page shows."""

from __future__ import annotations

import re
import shlex
import shutil
from collections import Counter
from pathlib import Path

import pytest
from command_line import InThisProcess, tokar
from manual_pages import Block, blocks, commands, follow

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*.md")))]
# Blocks that are not run here, by page: Windows, a real authority, an installation.
NOT_RUN = {
    "README.md": {"sh": 1},
    "docs/explanation/speed.md": {"sh": 1},
    "docs/how-to/ca-from-linux.md": {"sh": 2, "bat": 1},
    "docs/how-to/first-contact.md": {"sh": 1, "bat": 3},
    "docs/how-to/move-a-ca.md": {"bat": 3},
    "docs/how-to/native.md": {"bat": 2},
    "docs/how-to/recover.md": {"sh": 1},
    "docs/tutorials/ca.md": {"sh": 1},
}
TOOLS = ("perl", "ssh-keygen")  # what some pages need besides, and not every system has
INERT = {"python", "text", "toml", "json", "console"}


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader's folder, and an environment that is always the same."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"COLUMNS": "100", "NO_COLOR": "1", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("tokar.server.deadline.DeadlineServer", InThisProcess)
    return tmp_path


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("page", [one for one in PAGES if "```console" in text_of(one)])
def test_a_page_can_be_followed_word_for_word(page: str, reader: Path) -> None:
    for tool in TOOLS:
        if f"$ {tool} " in text_of(page) and shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    told = list(follow(text_of(page), reader))
    if told:
        pytest.fail("\n".join(told), pytrace=False)


def test_what_is_not_run_is_listed() -> None:
    pages = [page for page in PAGES if page != "docs/reference/commands.md"]  # examples, which the help texts hold
    found = {
        page: Counter(one.kind for one in blocks(text_of(page)) if one.kind not in INERT and one.title is None)
        for page in pages
    }
    assert {page: dict(kinds) for page, kinds in found.items() if kinds} == NOT_RUN


@pytest.mark.parametrize("page", PAGES)
def test_what_is_not_run_has_verbs_and_options_that_exist(page: str) -> None:
    text = text_of(page)
    lines = [line for one in blocks(text) if one.kind in {"sh", "bat"} for line in one.text.splitlines()]
    lines += re.findall(r"(?<![`\\])`(tokar [a-z][^`\n]*)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    wrong = []
    for line in lines:
        if line.startswith("tokar "):
            words = shlex.split(line.replace("\\", "/").partition(" #")[0])[1:]
            if tokar(*words[: words.index("--") if "--" in words else None], "--help").exit_code:
                wrong.append(line)
    assert wrong == []


@pytest.mark.parametrize("page", PAGES)
def test_every_command_stands_in_a_fence(page: str) -> None:
    assert re.findall(r"^(?:    |\t)[$>] .*", text_of(page), re.MULTILINE) == []


def test_every_link_leads_somewhere_in_a_checkout_too() -> None:
    made_with_the_site = "library.md"
    pages = [*PAGES, "CONTRIBUTING.md", *(path.relative_to(ROOT).as_posix() for path in (ROOT / "spec").glob("*.md"))]
    broken = [
        (page, target)
        for page in pages
        for target in re.findall(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)", text_of(page))
        if not ((ROOT / page).parent / target).exists() and target != made_with_the_site
    ]
    assert broken == []


def test_output_that_differs_is_told(reader: Path) -> None:
    page = "```console\n$ tokar explain -1216\nJET_err...\n...\n$ tokar explain -1216\nJET_errNothing\n...\n```\n"
    (told,) = follow(page, reader)
    assert told.startswith("$ tokar explain -1216\nprinted:\nJET_errAttachedDatabaseMismatch\n")


def test_an_exit_code_that_differs_is_told(reader: Path) -> None:
    page = "```console\n$ tokar verify nothing.tokar\n$ tokar verify nothing.tokar # exit code 1\n```\n"
    (told,) = follow(page, reader)
    assert "ended with 1" in told


def test_a_command_over_several_lines_and_a_file_are_taken() -> None:
    page = '```toml title="a.toml"\nx = 1\n```\n\n```console\n$ tokar \\\n    tokens\n```\n'
    first, second = blocks(page)
    assert first == Block("toml", "a.toml", "x = 1\n")
    assert [one.line.split() for one in commands(second)] == [["tokar", "tokens"]]
