"""What a backup came to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tokar.format.writer import Sealed
from tokar.server.backup_steps import Ending
from tokar.server.contract import BackupKind
from tokar.sets.outcome import LastLine
from tokar.sets.receipt import Truncation


@dataclass(frozen=True, slots=True)
class BackupResult:
    """A backup that is done."""

    path: Path  # The archive
    receipt: Path  # The receipt beside it
    sealed: Sealed  # Id, root and sizes of the archive
    asked: BackupKind  # The kind that was asked for
    took: BackupKind  # The kind that was taken: a fallback where logs only was refused
    refusal: str  # Why logs only was refused, in words and code; empty where it was not
    truncation: Truncation  # What became of the logs
    ending: Ending  # How End went
    generations: tuple[int, int] | None  # Lowest and highest log of the set; None without logs
    damaged: tuple[str, ...]  # Files with damage, each in a few words
    notes: tuple[str, ...]  # What a person should know
    outcome: LastLine | None = None  # What the verdict on the set comes to, as `check --content` would say it
