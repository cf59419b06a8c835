"""The four kinds of backup: two types of the interface, with truncation or without (MS Knowledge Base Q159838, steps 1 and 8)."""

from __future__ import annotations

from enum import StrEnum

from tokar.server.contract import BackupType


class BackupKind(StrEnum):
    """What the person asks for. The server cannot tell incremental from differential: only truncation sets them apart."""

    FULL = "full"
    INCREMENTAL = "incremental"
    DIFFERENTIAL = "differential"
    COPY = "copy"

    @property
    def backup_type(self) -> BackupType:
        """What Prepare is called with."""
        return BackupType.FULL if self in {BackupKind.FULL, BackupKind.COPY} else BackupType.LOGS_ONLY

    @property
    def truncates(self) -> bool:
        """Whether the logs are to be truncated. Never for a differential or a copy (DsBackupTruncateLogs)."""
        return self in {BackupKind.FULL, BackupKind.INCREMENTAL}

    @property
    def fallback(self) -> BackupKind:
        """The full that stands in when logs only is refused; one that truncates only where that was asked for."""
        return BackupKind.FULL if self.truncates else BackupKind.COPY
