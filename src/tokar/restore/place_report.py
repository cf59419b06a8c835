"""What placing says it has done: the report of a restore that ended, and the error of one that stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokar.errors import PartialError

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.restore.plan import Aside


@dataclass(frozen=True, slots=True)
class Report:
    """What placing has done."""

    files: int  # How many files are in place
    size: int  # Their bytes
    asides: tuple[Aside, ...]  # The files that were set aside
    without_time: int  # How many files could not be given their modification time


class PlacingStoppedError(PartialError):
    """Placing stopped after the first rename: some files are in place, others are not.

    Args:
        message: What stopped it, in one line.
        placed: The paths of the files that are in place, each of them whole.
        asides: The renames of old files that were done.
        missing: How many files are not in place.
        path: The file at which it stopped.
    """

    hint_text = "run it again with --existing set-aside; nothing was deleted"

    def __init__(
        self,
        message: str,
        *,
        placed: tuple[str, ...],
        asides: tuple[Aside, ...],
        missing: int,
        path: Path | str | None = None,
    ) -> None:
        super().__init__(message, path=path)
        self.placed = placed
        self.asides = asides
        self.missing = missing
