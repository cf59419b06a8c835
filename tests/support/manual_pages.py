"""Runs the commands of a page of the manual as a reader would, from its first to its last, and holds what it shows.

A block ```console has lines that begin with `$ `, each followed by what it prints; `...` stands for any text in a line,
alone in a line for any lines, and a command without output shown may print anything. `# exit code N` after a command
says how it ends. A block with title="NAME" is the file of that name.
"""

from __future__ import annotations

import io
import os
import re
import runpy
import shlex
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from unittest.mock import patch

from command_line import tokar

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK: Final = re.compile(r"^```(?P<kind>[\w-]*)(?P<rest>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_TITLE: Final = re.compile(r'title="([^"]+)"')
_ENDS: Final = re.compile(r"#\s*exit code (\d+)\s*$")
_SHELL: Final = re.compile(r"[|;&<>$*~]")
_TIMEOUT: Final = 60


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    kind: str  # The language; empty where none is said
    title: str | None  # The file that it is
    text: str  # What is in it


@dataclass(frozen=True, slots=True)
class Command:
    """A command, and what the page shows of it."""

    line: str
    exit_code: int
    shown: tuple[str, ...]


def blocks(text: str) -> list[Block]:
    """Every fenced block of a page."""
    found = []
    for one in _BLOCK.finditer(text):
        title = _TITLE.search(one["rest"])
        found.append(Block(one["kind"], title[1] if title else None, one["text"]))
    return found


def commands(block: Block) -> Iterator[Command]:
    """The commands of a console block."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        first, *shown = part.replace("\\\n", " ").splitlines()
        ends = _ENDS.search(first)
        yield Command(first, int(ends[1]) if ends else 0, tuple(shown))


def follow(text: str, folder: Path) -> Iterator[str]:
    """Do what a page says, in a folder; yield every way in which it is not as the page says."""
    for block in blocks(text):
        if block.title is not None:
            (folder / block.title).write_text(block.text, encoding="utf-8")
        if block.kind == "console":
            for one in commands(block):
                exit_code, printed = _run(one.line, folder)
                if exit_code != one.exit_code:
                    yield f"$ {one.line}\nended with {exit_code}:\n{printed}"
                elif one.shown and not _is_shown(one.shown, printed):
                    yield f"$ {one.line}\nprinted:\n{printed}"


def _run(line: str, folder: Path) -> tuple[int, str]:
    """Run a command: in this process where it is one of ours, or of Python, and needs no shell."""
    plain, _, into = _ENDS.sub("", line).strip().partition(" > ")
    if line.startswith(("tokar ", "python ")) and not _SHELL.search(plain + into):
        program, *words = shlex.split(plain)
        exit_code, output, errors, printed = _ours(words) if program == "tokar" else _script(words)
        if into:
            (folder / into).write_text(output, encoding="utf-8")
        return exit_code, errors if into else printed
    shell = f'tokar() {{ "{sys.executable}" -m tokar "$@"; }}; python() {{ "{sys.executable}" "$@"; }}; {line}'
    done = subprocess.run(
        ["bash", "-c", shell],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=_TIMEOUT,
    )
    return done.returncode, done.stdout.decode()


def _ours(words: list[str]) -> tuple[int, str, str, str]:
    result = tokar(*words)
    return result.exit_code, result.stdout, result.stderr, result.printed


def _script(words: list[str]) -> tuple[int, str, str, str]:
    """Run a script, or what stands behind -c, as Python does."""
    both, exit_code = io.StringIO(), 0
    with redirect_stdout(both), redirect_stderr(both), patch.object(sys, "argv", words):
        try:
            if words[0] == "-c":
                exec(words[1], {"__name__": "__main__"})
            else:
                runpy.run_path(words[0], run_name="__main__")
        except SystemExit as ending:
            exit_code = int(ending.code or 0)
    return exit_code, both.getvalue(), both.getvalue(), both.getvalue()


def _is_shown(shown: tuple[str, ...], printed: str) -> bool:
    """Tell whether what was printed is what the page shows."""
    pattern = ""
    for line in shown:
        if line.strip() == "...":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += "[^\n]*".join(re.escape(part) for part in line.rstrip().split("...")) + r"[ ]*\n"
    return re.fullmatch(pattern, printed if printed.endswith("\n") else printed + "\n") is not None


if __name__ == "__main__":  # prints what a page would show: python -m tests.support.manual_pages PAGE
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        page = Path(sys.argv[1]).read_text(encoding="utf-8")
        os.chdir(scratch)
        for each in blocks(page):
            if each.title is not None:
                Path(each.title).write_text(each.text, encoding="utf-8")
            for step in commands(each) if each.kind == "console" else ():
                code, text = _run(step.line, Path(scratch))
                sys.stdout.write(f"$ {step.line}\n{text}{'' if code == step.exit_code else f'*** exit code {code}'}\n")
