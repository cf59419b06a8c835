"""The checkpoint on disk: where recovery would begin. It lags behind on purpose, as the real one does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokar.ese.checkpoint import Checkpoint
from tokar.ese.errors import HeaderError
from tokar.lab.engine import EngineError
from tokar.storage.bytesource import FileSource

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.ese.values import LogPosition, Signature
    from tokar.lab.engine import Era


def checkpoint_path(folder: Path, base: str) -> Path:
    """Return where the checkpoint of a log stream lies."""
    return folder / f"{base}.chk"


def write_checkpoint(path: Path, position: LogPosition, signature: Signature, era: Era) -> None:
    """Write both copies of a checkpoint, one after the other."""
    copy = Checkpoint(checkpoint=position, signature=signature, file_type=era.file_type(4)).build()
    if not path.exists():
        path.write_bytes(copy * 2)
        return
    with path.open("r+b") as file:
        file.write(copy)
        file.flush()
        file.write(copy)


def read_checkpoint(path: Path) -> Checkpoint | None:
    """Return the checkpoint, None where there is none.

    Raises:
        EngineError: Neither copy is readable (-533).
    """
    if not path.exists():
        return None
    try:
        with FileSource(path) as source:
            return Checkpoint.read(source).header
    except HeaderError as error:
        raise EngineError(-533, "the checkpoint is not readable", path=path) from error
