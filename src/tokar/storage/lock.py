"""A lock on a directory, for one process at a time: a file in it that is held, and removed when it is given back.

What holds the lock is the open file, not its name: where the process is gone the lock is free, whatever is left there.
Elsewhere than on Windows it is `flock`, which network file systems keep among machines where they can.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Final, Self

from tokar.errors import StorageError
from tokar.storage import durable
from tokar.storage.directory import Directory

_TRIES: Final = 4  # somebody may only be looking whether it is held
_PAUSE: Final = 0.02


class Lock:
    """A lock that is held until it is released, or the process ends.

    Args:
        directory: The directory that its file is in; it stays open as long as the lock is held.
        name: The name of its file.
        message: What the error says if another process holds it.

    Raises:
        StorageError: Another process holds it, or its file cannot be made.
    """

    def __init__(self, directory: Directory, name: str, message: str) -> None:
        self._directory = directory
        self._name = name
        self._descriptor = self._take(message)

    def _take(self, message: str) -> int:
        for number in range(_TRIES):
            if number:
                time.sleep(_PAUSE)
            descriptor = self._directory.open_or_create(self._name)
            if durable.lock(descriptor) and self._directory.is_same(self._name, descriptor):
                return descriptor
            os.close(descriptor)  # held, or removed by who held it just before
        raise StorageError(message, path=self._directory.path)

    def release(self) -> None:
        """Remove its file and give it back, as far as that can be done; a second call does nothing."""
        if self._descriptor < 0:
            return
        if os.name == "nt":
            self._close()  # an open file cannot be removed there
        try:
            with suppress(StorageError):
                self._directory.remove(self._name)
        finally:
            self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def is_held(directory: str, name: str) -> bool:
    """Return whether a process holds the lock of this name now; nothing is changed."""
    try:
        with Directory(directory) as holder:
            if not holder.has(name):
                return False
            descriptor = holder.open(name)
    except StorageError:
        return False
    try:
        return not durable.lock(descriptor)
    finally:
        os.close(descriptor)
