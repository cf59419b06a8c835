"""The source keeps the contract, and what was written comes back."""

from __future__ import annotations

from pathlib import Path

from journal_source import Journal, JournalServer

import tokar
from tokar.server.prior import load_prior
from tokar.testing.server_contract import LogsOnlyContract


class TestJournal(LogsOnlyContract):
    """Everything that tokar relies on."""

    def make_server(self, folder: Path) -> JournalServer:
        server = JournalServer(folder)
        server.journal.write("a", "first")
        return server


def test_every_line_comes_back_from_a_full_and_two_incrementals(tmp_path: Path) -> None:
    """And the logs are truncated meanwhile."""
    (tmp_path / "journal").mkdir()
    server = JournalServer(tmp_path / "journal")
    kinds = [tokar.BackupKind.FULL, tokar.BackupKind.INCREMENTAL, tokar.BackupKind.INCREMENTAL]
    sets: list[Path] = []
    for number, kind in enumerate(kinds):
        server.journal.write(f"key {number}", "line")
        prior = load_prior(sets[-1]) if sets else None
        done = tokar.backup(server, tmp_path / f"{number}.tokar", kind, tokar.BackupOptions(prior=prior))
        assert done.truncation == "done"
        sets.append(done.path)
    assert len(server.journal.logs()) == 1
    places = [f"{token}={tmp_path / 'restored'}/" for token in ("0x44", "0x82")]
    for path in sets:
        with tokar.open(path) as archive:
            tokar.place(tokar.plan_restore(archive, tokar.RestoreOptions(to=places)))
    assert Journal(tmp_path / "restored").lines() == server.journal.lines()
