"""The script of the first contact: every step runs, whatever came of the one before, and no name is left to be sent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tokar.lab.lab import create_lab

SCRIPT = Path(__file__).parents[2] / "examples" / "first_contact.py"
pytestmark = pytest.mark.slow


def contact(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


def test_all_steps_run_and_what_is_sent_has_no_names(tmp_path: Path) -> None:
    lab = create_lab(tmp_path / "lab", "certadm")
    lab.work(20)
    lab.stop()
    out = tmp_path / "acme-out"
    done = contact(f"lab:{lab.folder}", out, "--truncate", "--name", "acme-out")
    assert done.returncode == 0, done.stdout
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
    text = "".join(sent.values()).lower()
    assert "host-1" in text
    assert not [name for name in ("ca1", "lab.example", "lab ca", "acme-out") if name in text]


def test_over_the_network_the_trace_is_kept_too_and_has_no_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca_parts = pytest.importorskip("ca_parts", reason="pyspnego is not here: pip install '.[ca]'")
    monkeypatch.setenv("CA_PASSWORD", "Secret-1")
    options = ["--option=--user=LAB\\backup", "--option=--password-env=CA_PASSWORD", "--option=--auth=ntlm"]
    with ca_parts.authority(tmp_path) as double:
        done = contact(f"ca://{double.host}:{double.port}/RootCA", tmp_path / "out", *options)
    assert done.returncode == 0, done.stdout
    sent = {one.name: one.read_text() for one in (tmp_path / "out" / "send").iterdir()}
    assert sent["wire.trace"]
    text = "".join(sent.values()).lower()
    assert not [name for name in ("rootca", "secret-1", "lab.example", "lab ca", "lab\\\\backup") if name in text]


def test_a_server_that_cannot_be_reached_ends_in_a_report_too(tmp_path: Path) -> None:
    done = contact("certadm:PKI7", tmp_path / "out")
    assert done.returncode == 1
    sent = (tmp_path / "out" / "send" / "copy.stderr").read_text()
    assert "certadm: cannot be used here" in sent
    assert "exit code 2" in sent
