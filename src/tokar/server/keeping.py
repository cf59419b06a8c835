"""Where an archive is kept: what its place does not survive, and how one that was not proven gives up its name."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tokar.errors import ExistingFileError, StorageError
from tokar.server.contract import Server
from tokar.storage import durable

UNVERIFIED_SUFFIX: Final = ".unverified"
"""What is put behind the name of an archive that was sealed and could not be proven afterwards."""


def rename_aside(path: Path) -> Path:
    """Rename an archive that was not proven to `NAME.unverified`, or the first free `NAME.unverified-N`; return that.

    Raises:
        StorageError: The operating system refused.
    """
    for number in itertools.count(1):
        aside = path.with_name(path.name + UNVERIFIED_SUFFIX + (f"-{number}" if number > 1 else ""))
        with contextlib.suppress(ExistingFileError):
            durable.rename_no_replace(path, aside)
            break
    with contextlib.suppress(StorageError):
        durable.sync_directory(path.parent)
    return aside


def place_notes(out: Path, server: Server) -> Iterator[str]:
    """Yield what a person should know of the place of an archive: what it does not survive."""
    kind = durable.file_system_kind(out.parent)
    if kind in {"tmpfs", "ramfs"}:
        yield f"{out.parent} is in memory ({kind}): the archive is gone with the next start of this machine"
        return
    with contextlib.suppress(OSError):
        own = out.parent.stat().st_dev
        if any(Path(place).stat().st_dev == own for _, place in server.path_maps if Path(place).exists()):
            yield "the archive lies on the disk of the server's own files: what takes that disk takes both"
