"""Where an archive is written to: a file that appears under its name only when it is whole, or a pipe."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tokar.errors import ExistingFileError, StorageError
from tokar.storage import durable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

_EXISTS_HINT = "choose another name, or pass --force to replace it once the new archive is complete"

_KEPT_CHARACTERS = 60  # of the name, in the temporary one: 240 bytes at most, of 255 that file systems allow


class Sink(Protocol):
    """Takes the bytes of an archive in order."""

    def write(self, parts: Sequence[Buffer]) -> None:
        """Write all parts, one after the other.

        Raises:
            StorageError: The operating system refused; the sink cannot be used any more.
        """

    def commit(self) -> None:
        """Make what was written durable and visible."""

    def discard(self) -> None:
        """Leave nothing behind, as far as the medium allows."""


class FileSink:
    """Writes to a temporary file beside the target and renames it at the end.

    The temporary name is `.NAME.XXXXXXXX.part`, mode 0600. If the process dies half-way only that file is left; nothing
    is ever half-written under the final name.

    Args:
        path: The final name.
        replace: Whether a file of that name may be replaced at the end.

    Raises:
        ExistingFileError: The name is taken, and `replace` was not asked for.
        StorageError: The temporary file cannot be made.
    """

    def __init__(self, path: Path | str, *, replace: bool = False) -> None:
        self.path = Path(path)
        self._replace = replace
        if not replace and os.path.lexists(self.path):
            raise ExistingFileError("the archive is there already", path=self.path, hint=_EXISTS_HINT)
        self._temporary = self.path.with_name(f".{self.path.name[:_KEPT_CHARACTERS]}.{secrets.token_hex(4)}.part")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        flags |= getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
        try:
            self._descriptor = os.open(self._temporary, flags, 0o600)
        except OSError as error:
            raise StorageError(f"cannot write here: {error.strerror}", path=self.path) from error

    def write(self, parts: Sequence[Buffer]) -> None:
        """Write all parts. Raises StorageError where the operating system refuses: the disk may be full."""
        try:
            write_all(self._descriptor, parts)
        except OSError as error:
            raise StorageError(f"cannot write: {error.strerror}", path=self.path) from error

    def commit(self) -> None:
        """Sync the file, give it its name, sync the directory.

        Raises:
            ExistingFileError: The name was taken in the meantime; the temporary file is removed.
            StorageError: The operating system refused; the temporary file is removed.
        """
        try:
            durable.sync_descriptor(self._descriptor, self.path)
            self._close()
            if self._replace:
                durable.replace(self._temporary, self.path)
            else:
                durable.rename_no_replace(self._temporary, self.path)
        except ExistingFileError as error:
            self.discard()
            error.hint = _EXISTS_HINT
            raise
        except BaseException:
            self.discard()
            raise
        durable.sync_directory(self.path.parent)

    def discard(self) -> None:
        """Remove the temporary file."""
        self._close()
        with contextlib.suppress(OSError):
            self._temporary.unlink()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class PipeSink:
    """Writes to a descriptor that cannot be taken back: a pipe, a socket, standard output.

    Args:
        descriptor: Where to write; it stays open.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, parts: Sequence[Buffer]) -> None:
        """Write all parts. Raises StorageError where the reader has gone away."""
        try:
            write_all(self._descriptor, parts)
        except OSError as error:
            raise StorageError(f"cannot write to the pipe: {error.strerror}") from error

    def commit(self) -> None:
        """Do nothing: whoever reads the pipe decides what is durable."""

    def discard(self) -> None:
        """Do nothing: the reader sees an archive without an end, which is unsealed."""


def write_all(descriptor: int, parts: Sequence[Buffer]) -> None:
    """Write all parts to a descriptor, however the operating system cuts them."""
    if hasattr(os, "writev") and len(parts) > 1:
        total = sum(memoryview(part).nbytes for part in parts)
        written = os.writev(descriptor, parts)
        if written == total:
            return
        parts = _remaining(parts, written)
    for part in parts:
        view = memoryview(part).cast("B")
        while view:
            view = view[os.write(descriptor, view) :]


def _remaining(parts: Sequence[Buffer], written: int) -> list[memoryview]:
    left = []
    for part in parts:
        view = memoryview(part).cast("B")
        skipped = min(written, len(view))
        written -= skipped
        left.append(view[skipped:])
    return left
