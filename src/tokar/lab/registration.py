"""What Register leaves behind for the next start: `restore-in-progress.json`, in place of the registry key.

The fields are those of "Restore in Progress" (Microsoft Knowledge Base Q200941). Several sets may be registered one
after the other, the full first: LowLog stays that of the full, HighLog is that of the last one.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from tokar.lab.config import save_json

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "restore-in-progress.json"


@dataclass(frozen=True, slots=True)
class RestoreInProgress:
    """A restore that is registered."""

    low_log: int  # First log to play
    high_log: int  # Last log of the restored sets
    restore_map: tuple[tuple[str, str], ...]  # Old and new path of each restored database
    log_path: str | None  # Folder of the logs
    backup_log_path: str | None  # Folder of the restored logs and patch files
    checkpoint_path: str | None  # Folder of the checkpoint; kept, and not used: the lowest log stands in for it
    status: int | None = None  # What RegisterComplete said; None: it has not been called

    def with_set(self, other: RestoreInProgress) -> RestoreInProgress:
        """Return this registration with another set added to it."""
        return replace(
            self,
            low_log=min(self.low_log, other.low_log),
            high_log=other.high_log,
            backup_log_path=other.backup_log_path or self.backup_log_path,
            status=None,
        )

    def completed(self, status: int) -> RestoreInProgress:
        """Return this registration with the word of RegisterComplete."""
        return replace(self, status=status)


def load_registration(folder: Path) -> RestoreInProgress | None:
    """Return the registered restore of a lab, or None."""
    path = folder / NAME
    if not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    found["restore_map"] = tuple((old, new) for old, new in found["restore_map"])
    return RestoreInProgress(**found)


def save_registration(folder: Path, registration: RestoreInProgress) -> None:
    """Write a registration down."""
    save_json(folder / NAME, asdict(registration))


def remove_registration(folder: Path) -> None:
    """Forget the registration, after a recovery that went well."""
    (folder / NAME).unlink(missing_ok=True)
