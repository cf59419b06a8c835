"""The simulated server keeps the contract, in every dialect it speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokar.lab.lab import create_lab
from tokar.lab.server import SimulatedServer
from tokar.server.contract import BackupKind, BackupType
from tokar.server.run_backup import run_backup
from tokar.testing.server_contract import LogsOnlyContract

if TYPE_CHECKING:
    from pathlib import Path


class TestSimulated(LogsOnlyContract):
    @pytest.fixture(params=["edbbcli", "ntdsbcli", "certadm"])
    def server(self, request: pytest.FixtureRequest, tmp_path: Path) -> SimulatedServer:
        lab = create_lab(tmp_path / "lab", request.param)
        lab.start()
        lab.work(20)
        return SimulatedServer(lab)

    @pytest.fixture
    def after_full(self, server: SimulatedServer, tmp_path: Path) -> None:
        if BackupType.LOGS_ONLY not in server.dialect.types:
            pytest.skip("the dialect has no logs only")
        run_backup(server, tmp_path / "full.tokar", BackupKind.FULL)
        server.lab.work(20)
