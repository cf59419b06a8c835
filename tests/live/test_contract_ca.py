"""An authority over the network keeps the contract, with each way to log on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ca_double import CaDouble
from server_contract import LogsOnlyContract

from tokar.lab.lab import create_lab
from tokar.lab.server import SimulatedServer
from tokar.live.ca import CaServer
from tokar.rpc.auth import Credentials, Mechanism
from tokar.rpc.remote_object import Place
from tokar.server.contract import BackupKind
from tokar.server.run_backup import run_backup

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def lab(tmp_path: Path) -> SimulatedServer:
    lab = create_lab(tmp_path / "lab", "certadm")
    lab.start()
    lab.work(20)
    return SimulatedServer(lab)


@pytest.fixture(params=[Mechanism.NTLM, Mechanism.NEGOTIATE])
def server(request: pytest.FixtureRequest, lab: SimulatedServer) -> Iterator[CaServer]:
    with CaDouble(lab) as double:
        credentials = Credentials("LAB\\backup", "Secret-1", request.param)
        place = Place(double.host, double.port, credentials, seconds=10)
        yield CaServer(place, "RootCA", truncates=True)


class TestAuthority(LogsOnlyContract):
    @pytest.fixture
    def after_full(self, server: CaServer, lab: SimulatedServer, tmp_path: Path) -> None:
        run_backup(server, tmp_path / "full.tokar", BackupKind.FULL)
        lab.lab.work(20)
