"""The script of the first contact: every step runs, whatever came of the one before, and no name is left to be sent."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from ca_parts import authority
from command_line import command

from tokar.lab.lab import create_lab

ROOT = Path(__file__).parents[2]
PAGES = [one.relative_to(ROOT / "docs").as_posix() for one in sorted((ROOT / "docs").rglob("*.md"))]
SCRIPT = ROOT / "examples" / "first_contact.py"
pytestmark = pytest.mark.slow


def contact(*arguments: str | Path) -> tuple[int, str]:
    """Run the script here, with every command of tokar as a process; return its exit code and what it printed."""
    script = runpy.run_path(str(SCRIPT), run_name="first_contact")
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
        patch.setattr(script["Contact"], "tokar", lambda self, name, *words: self.run(name, *command(*words)))
        code: int = script["main"]()
    return code, printed.getvalue()


def test_all_steps_run_and_what_is_sent_has_no_names(tmp_path: Path) -> None:
    lab = create_lab(tmp_path / "lab", "certadm")
    lab.work(20)
    lab.stop()
    out = tmp_path / "acme-out"
    done = contact(f"lab:{lab.folder}", out, "--truncate", "--name", "acme-out")
    assert done[0] == 0, done
    steps = [line.partition(":")[0] for line in (out / "send" / "summary.txt").read_text().splitlines()]
    expected = [
        "version",
        "sources",
        "probe",
        "copy",
        "copy-entries",
        "copy-check",
        "full",
        "full-entries",
        "full-check",
    ]
    assert steps[:9] == expected
    assert steps[9:] == ["incremental", "incremental-entries", "incremental-check"]
    sent = {one.name: one.read_text() for one in (out / "send").iterdir()}
    assert "full.tokar.receipt.json" in sent
    text = re.sub("[0-9a-f]{32,}", "", "".join(sent.values()).lower())  # a digest may hold ca1 by chance
    assert "host-1" in text
    assert not [name for name in ("ca1", "lab.example", "lab ca", "acme-out") if name in text]


def test_over_the_network_every_step_is_traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CA_PASSWORD", "Secret-1")
    with authority(tmp_path) as double:
        who = ("--option=--user=LAB\\backup", "--option=--password-env=CA_PASSWORD")
        out = tmp_path / "out"
        done = contact(f"ca://{double.host}:{double.port}", out, "--truncate", *who, "--name", "LAB")
        assert done[0] == 0, done
        assert double.log.count("TRUNCATE") == 2
    sent = {one.name: one.read_text() for one in (out / "send").iterdir()}
    assert {"probe.trace", "copy.trace", "full.trace", "incremental.trace"} <= sent.keys()
    text = "".join(sent.values()).lower()
    hidden = ("\\\\ca1", "lab.example", "lab ca", "rootca", "secret-1", "lab\\")
    assert not [name for name in hidden if name in text]
    for name in (*hidden, "ca1"):
        assert name.encode("utf-16-le").hex() not in text


def test_a_server_that_cannot_be_reached_ends_in_a_report_too(tmp_path: Path) -> None:
    words = [sys.executable, str(SCRIPT), "certadm:PKI7", str(tmp_path / "out")]
    assert subprocess.run(words, capture_output=True, check=False, timeout=240).returncode == 1
    sent = (tmp_path / "out" / "send" / "copy.stderr").read_text()
    assert "certadm: cannot be used here" in sent
    assert "exit code 2" in sent


@pytest.mark.parametrize(
    "page", ["README.md", *(str(one.relative_to(ROOT)) for one in sorted((ROOT / "docs").rglob("*.md")))]
)
def test_commands_of_a_page_take_tokar_from_the_checkout_and_scripts_from_where_they_are(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for script in re.findall(r"python3? ([\w./\\\\]+\.py)\b", text):
        made_there = f'title="{script}"' in text
        assert made_there or (ROOT / script.replace("\\", "/")).is_file(), script
    for what in re.findall(r"pip install '?(tokar\S*)", text):
        pytest.fail(f"no index has {what}")
