"""A directory keeps the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from backup_files import database_file, log_file

from tokar.server.directory_source import DirectoryServer
from tokar.testing.server_contract import BackupContract

if TYPE_CHECKING:
    from pathlib import Path


class TestDirectory(BackupContract):
    @pytest.fixture
    def server(self, tmp_path: Path) -> DirectoryServer:
        (tmp_path / "priv.edb").write_bytes(database_file(5, 6))
        (tmp_path / "edb00005.log").write_bytes(log_file(5))
        (tmp_path / "edb.log").write_bytes(log_file(6))
        return DirectoryServer(tmp_path)
