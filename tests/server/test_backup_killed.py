"""The process is killed at each call in turn: what lies on the disk afterwards is the whole story.

Each run is a process of its own, forked from a small one without threads, and killed without any cleaning up.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tokar
from tokar.format.verify import verify
from tokar.sets.receipt import Truncation, read_receipt, receipt_path

HERE = Path(__file__).parents[1] / "support"
SCRIPT = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from backup_files import fill
from tokar.testing.scripted_server import ScriptedServer
from tokar.server.run_backup import run_backup
from tokar.server.contract import BackupKind

def run(folder, number):
    def kill(at, call):
        if at == number:
            (folder / "killed").write_text(call)
            os._exit(9)
    run_backup(fill(ScriptedServer(fault=kill)), folder / "a.tokar", BackupKind.FULL)
    os._exit(0)

for number in range(1000):
    folder = Path(sys.argv[2]) / str(number)
    folder.mkdir()
    child = os.fork()
    if not child:
        try:
            run(folder, number)
        finally:
            os._exit(1)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 9:
        break
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_at_any_call_leaves_a_whole_archive_or_none(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", SCRIPT, str(HERE), str(tmp_path)], check=True, timeout=300)
    folders = sorted(tmp_path.iterdir(), key=lambda path: int(path.name))
    calls = [(folder / "killed").read_text() for folder in folders[:-1]]
    assert {"prepare", "read", "backup_logs", "truncate_logs", "end"} <= set(calls)
    assert not (folders[-1] / "killed").exists(), "the last run went through"
    for folder, call in zip(folders, calls, strict=False):
        out = folder / "a.tokar"
        assert out.exists() is (call in {"truncate_logs", "end"}), call
        if out.exists():
            with tokar.open(out) as archive:
                verify(archive, content=True).demand()
            told = read_receipt(receipt_path(out)).truncation
            assert told is Truncation.TRUNCATING, "the last word, since nobody could write another"
