"""What of the manual is made from the code is as the code has it, and man pages can be shown."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
import sys
from difflib import unified_diff
from pathlib import Path

import pytest
from docs.__main__ import MAN
from docs.verbs import Verb, program

from tokar import cli, codes, errors
from tokar.errors import ArchiveError
from tokar.sets.faults import FaultKind

ROOT = Path(__file__).parents[2]


PRINTED = (
    "import json; from docs.__main__ import made; print(json.dumps({str(at): text for at, text in made().items()}))"
)


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    """What would be made, by a process in which no other test has had a hand in the verbs."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOKAR_")}
    command = [sys.executable, "-c", PRINTED]
    result = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    return {Path(path).relative_to(ROOT).as_posix(): text for path, text in json.loads(result.stdout).items()}


def test_the_files_are_as_they_would_be_made_now(files: dict[str, str]) -> None:
    stale = {
        name: [*unified_diff(there.splitlines(), text.splitlines(), lineterm="", n=0)]
        for name, text in files.items()
        if (there := (ROOT / name).read_text(encoding="utf-8")) != text
    }
    assert stale == {}, "make docs"
    assert {path.relative_to(ROOT).as_posix() for path in MAN.iterdir()} == {one for one in files if one.endswith(".1")}


def test_every_verb_has_a_man_page_and_a_place_in_the_reference(files: dict[str, str]) -> None:
    assert {f"docs/man/tokar-{verb}.1" for verb in cli.VERBS} <= files.keys()
    commands = files["docs/reference/commands.md"]
    assert [verb for verb in cli.VERBS if f"\n## tokar {verb}\n" not in commands] == []


def test_every_option_is_in_both(files: dict[str, str]) -> None:
    def rows(verb: Verb) -> set[str]:
        return {name for name, _ in verb.options}.union(*map(rows, verb.below))

    text = files["docs/reference/commands.md"].replace("&#124;", "|")
    commands = html.unescape(re.sub("</?code>", "`", text))
    for verb in program().below:
        page = files[f"docs/man/{'-'.join(verb.words)}.1"].replace("\\-", "-")
        assert [name for name in rows(verb) if f"\\fB{name}\\fR" not in page] == [], verb.name
        assert [name for name in rows(verb) if f"| `{name}` |" not in commands] == []


def test_every_error_code_and_fault_is_listed(files: dict[str, str]) -> None:
    def all_of(error: type[ArchiveError]) -> set[type[ArchiveError]]:
        return {error}.union(*map(all_of, error.__subclasses__()))

    words = {one.word for one in all_of(ArchiveError) if one.__module__ == errors.__name__}
    assert words <= set(
        re.findall(r"^\| `([a-z-]+)`(?:<br>`\w+`)? \| \d+ \|", files["docs/reference/errors.md"], re.MULTILINE)
    )
    listed = re.findall(r"^\| `([a-z-]+)` \|", files["docs/reference/faults.md"], re.MULTILINE)
    assert set(listed) == {one.value for one in FaultKind}
    assert all(f"`{one.name}`" in files["docs/reference/codes.md"] for one in codes.CODES.values())


def test_exit_codes_are_those_of_the_errors(files: dict[str, str]) -> None:
    listed = re.findall(r"^\| (\d+) \|", files["docs/reference/exit-codes.md"], re.MULTILINE)
    assert {int(one) for one in listed} == {*range(12), errors.INTERRUPTED}


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_man_pages_are_shown_without_a_warning(files: dict[str, str]) -> None:
    pages = [str(ROOT / name) for name in files if name.endswith(".1")]
    done = subprocess.run(["groff", "-ww", "-man", "-Tutf8", *pages], capture_output=True, check=True, timeout=60)
    assert done.stderr == b""
    shown = re.sub(r"\x1b\[[\d;]*m|.\x08", "", done.stdout.decode())
    assert "Put files back into the directories" in " ".join(shown.split())
    assert "--dry-run" in shown.replace("\u2010", "-").replace("\u2212", "-")


def test_no_line_of_a_man_page_is_a_request_by_chance() -> None:
    verb = Verb(
        words=("tokar", "x"),
        usage="tokar x",
        text=(".so /etc/passwd", "'br", "a\\fBb", "one. .two"),
        examples=(),
        arguments=((".x", "'y"),),
        options=(),
        shared=(),
        below=(),
    )
    from docs.manpages import man_pages  # noqa: PLC0415

    whole = Verb(("tokar",), "tokar", ("All.",), (), (), (), (), (verb,))
    page = man_pages(whole, [], [])["tokar-x.1"]
    requests = {line.split()[0] for line in page.splitlines() if line.startswith((".", "'"))}
    assert requests <= {".TH", ".SH", ".TP", ".PP"}
    assert "a\\efBb" in page
