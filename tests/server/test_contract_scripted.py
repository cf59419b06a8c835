"""The scripted server of these tests keeps the contract, in every dialect and with short reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from backup_files import fill

from tokar.server.contract import DIALECTS
from tokar.testing.scripted_server import ScriptedServer
from tokar.testing.server_contract import BackupContract, LogsOnlyContract, RestoreContract

if TYPE_CHECKING:
    from pathlib import Path


class TestScriptedServer(LogsOnlyContract, RestoreContract):
    @pytest.fixture(params=[(name, most) for name in DIALECTS for most in (None, 1000)], ids=str)
    def server(self, request: pytest.FixtureRequest) -> ScriptedServer:
        profile, most = request.param
        return fill(ScriptedServer(dialect=DIALECTS[profile], most=most))


class TestByFactory(LogsOnlyContract, RestoreContract):
    def make_server(self, folder: Path) -> ScriptedServer:
        assert not list(folder.iterdir())
        return fill(ScriptedServer())


def test_a_contract_without_a_factory_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(NotImplementedError, match="say here how a server is made"):
        BackupContract().make_server(tmp_path)
