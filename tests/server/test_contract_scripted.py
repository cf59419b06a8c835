"""The scripted server of these tests keeps the contract, in every dialect and with short reads."""

from __future__ import annotations

import pytest
from backup_files import fill
from scripted_server import ScriptedServer
from server_contract import LogsOnlyContract, RestoreContract

from tokar.server.contract import DIALECTS, BackupType


@pytest.fixture(params=[(name, most) for name in DIALECTS for most in (None, 1000)], ids=str)
def server(request: pytest.FixtureRequest) -> ScriptedServer:
    profile, most = request.param
    return fill(ScriptedServer(dialect=DIALECTS[profile], most=most))


class TestScriptedServer(LogsOnlyContract, RestoreContract):
    @pytest.fixture
    def after_full(self, server: ScriptedServer) -> None:
        if BackupType.LOGS_ONLY not in server.dialect.types:
            pytest.skip("the dialect has no logs only")
