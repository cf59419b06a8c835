"""An authority over the network keeps the contract, with each way to log on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ca_parts import authority, server_of

from tokar.lab.server import SimulatedServer
from tokar.rpc.auth import Mechanism
from tokar.server.contract import BackupKind
from tokar.server.run_backup import run_backup
from tokar.testing.server_contract import LogsOnlyContract

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ca_double import CaDouble

    from tokar.live.ca import CaServer


class TestAuthority(LogsOnlyContract):
    @pytest.fixture
    def double(self, tmp_path: Path) -> Iterator[CaDouble]:
        with authority(tmp_path) as double:
            yield double

    @pytest.fixture(params=[Mechanism.NTLM, Mechanism.NEGOTIATE], ids=["ntlm", "negotiate"])
    def server(self, request: pytest.FixtureRequest, double: CaDouble) -> CaServer:
        return server_of(double, mechanism=request.param)

    @pytest.fixture
    def after_full(self, server: CaServer, double: CaDouble, tmp_path: Path) -> None:
        run_backup(server, tmp_path / "full.tokar", BackupKind.FULL)
        assert isinstance(double.server, SimulatedServer)
        double.server.lab.work(20)
