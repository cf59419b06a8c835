"""The environment block of logs and checkpoints: paths and sizes of the instance that wrote them."""

# Records: no `from __future__ import annotations` (see tokar.ese.record).

from dataclasses import dataclass
from typing import Annotated, Final

from tokar.ese.record import U8, U32, Record, raw
from tokar.ese.values import text

PATH_SIZE = 261


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment(Record):
    """Paths and sizes of an engine instance (567 bytes). For display only: the paths are lossy and may have leftovers after the NUL."""

    # fmt: off
    # Folder of checkpoint and temporary database, NUL terminated.
    raw_system_path: Annotated[bytes, raw(PATH_SIZE)] = bytes(PATH_SIZE)  # 0
    # Folder of the logs, NUL terminated.
    raw_log_path:    Annotated[bytes, raw(PATH_SIZE)] = bytes(PATH_SIZE)  # 261
    # Bit 0: circular logging.
    flags:           U8                               = 0                 # 522
    # Sessions at most.
    sessions:        U32                              = 0                 # 523
    # Open tables at most.
    open_tables:     U32                              = 0                 # 527
    # Version pages at most.
    version_pages:   U32                              = 0                 # 531
    # Cursors at most.
    cursors:         U32                              = 0                 # 535
    # Log buffers, in sectors.
    log_buffers:     U32                              = 0                 # 539
    # Log file size, in sectors.
    log_sectors:     U32                              = 0                 # 543
    # Cache size, in pages.
    cache_pages:     U32                              = 0                 # 547
    reserved_551:    Annotated[bytes, raw(16)]        = bytes(16)         # 551
    # fmt: on

    @property
    def system_path(self) -> str:
        """The system path as text."""
        return text(self.raw_system_path)

    @property
    def log_path(self) -> str:
        """The log path as text."""
        return text(self.raw_log_path)

    @property
    def circular_logging(self) -> bool:
        """Whether logs were being recycled instead of kept."""
        return bool(self.flags & 1)


NO_ENVIRONMENT: Final = Environment()


def path_bytes(path: str) -> bytes:
    """Return a path as the environment stores it: single-byte, cut to fit, `?` for what has no place."""
    return path.encode("ascii", "replace")[: PATH_SIZE - 1].ljust(PATH_SIZE, b"\0")
