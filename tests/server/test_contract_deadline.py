"""A server in a child process keeps the contract of the server it stands for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from backup_files import fill

from tokar.server.contract import DIALECTS
from tokar.server.deadline import Deadlines, DeadlineServer
from tokar.testing.scripted_server import ScriptedServer
from tokar.testing.server_contract import LogsOnlyContract, RestoreContract

if TYPE_CHECKING:
    from collections.abc import Iterator


def scripted(profile: str) -> ScriptedServer:
    return fill(ScriptedServer(dialect=DIALECTS[profile], most=1000))


@pytest.fixture(scope="module")
def child() -> Iterator[DeadlineServer]:
    with DeadlineServer(partial(scripted, "edbbcli"), Deadlines(60, 60, 60, 60, 60)) as server:
        yield server


class TestChild(LogsOnlyContract, RestoreContract):
    @pytest.fixture
    def server(self, child: DeadlineServer) -> DeadlineServer:
        return child

    @pytest.fixture
    def after_full(self) -> None:
        pass
