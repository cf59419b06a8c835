"""The restore side of the simulated server keeps the contract, in every dialect it speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from engine_by_hand import back_up, new_story, server_of, target_for

from tokar import codes
from tokar.lab.server import SimulatedServer
from tokar.testing.server_contract import RestoreContract, fails

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.server.contract import RestoreContext, Server


class WithTokenServer(SimulatedServer):
    """Takes the contract's token for the one that came with a backup."""

    expiry_token: bytes | None = None

    def prepare_restore(self, expiry_token: bytes | None = None) -> RestoreContext:
        return super().prepare_restore(self.expiry_token if expiry_token == b"token" else expiry_token)


def empty_server(folder: Path, profile: str) -> WithTokenServer:
    story = new_story(folder / "source", profile, work=5)
    taken = back_up(server_of(story, busy=0))
    server = WithTokenServer(target_for(story, folder / "target"), running=False)
    server.expiry_token = taken.expiry_token
    return server


class TestSimulatedRestore(RestoreContract):
    @pytest.fixture(params=["edbbcli", "ntdsbcli"])
    def server(self, request: pytest.FixtureRequest, tmp_path: Path) -> Server:
        return empty_server(tmp_path, request.param)


class TestAuthorityRestore(RestoreContract):
    @pytest.fixture
    def server(self, tmp_path: Path) -> Server:
        return empty_server(tmp_path, "certadm")

    def test_locations_say_where_things_go(self, server: Server) -> None:
        """They do not: the service that knows is stopped, so the backup asks (CertSrvBackupGetDatabaseNames)."""
        context = server.prepare_restore()
        assert fails(context.database_locations) == codes.COULD_NOT_CONNECT
        context.end()
