"""The native libraries keep the contract, behind a double in C: the scripted server answers, and the simulated one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from backup_files import fill
from native_double import doubled

from tokar.lab.lab import create_lab
from tokar.lab.server import SimulatedServer
from tokar.server.contract import DIALECTS
from tokar.testing.scripted_server import ScriptedServer
from tokar.testing.server_contract import LogsOnlyContract, RestoreContract

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.server.contract import Server


class TestAuthority(LogsOnlyContract, RestoreContract):
    def make_server(self, folder: Path) -> Server:
        del folder
        return doubled(fill(ScriptedServer(dialect=DIALECTS["certadm"])))


class TestDirectoryService(LogsOnlyContract, RestoreContract):
    @pytest.fixture(params=[None, 1000])
    def server(self, request: pytest.FixtureRequest) -> Server:
        return doubled(fill(ScriptedServer(dialect=DIALECTS["ntdsbcli"], most=request.param)))


class TestOverTheSimulatedEngine(LogsOnlyContract):
    @pytest.fixture(params=["ntdsbcli", "certadm"])
    def server(self, request: pytest.FixtureRequest, tmp_path: Path) -> Server:
        lab = create_lab(tmp_path / "lab", request.param)
        lab.start()
        lab.work(20)
        return doubled(SimulatedServer(lab))
