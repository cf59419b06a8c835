"""Shows how far the reading of content has come, where it shows late that all of it has to be read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from tokar.storage.bytesource import ByteSource

Progress = Callable[[int], None]
"""Is called with the bytes that were read since the last call."""
Watch = Callable[[int, str], AbstractContextManager[Progress | None]]
"""Shows the reading of so many bytes of what is called so while its block runs."""


def unwatched(_size: int, _of: str) -> AbstractContextManager[None]:
    """Show nothing."""
    return nullcontext()


class BytesRead:
    """Says how much of a file was read, each byte once.

    Args:
        size: Its bytes.
        progress: Is called with those that were read.
    """

    def __init__(self, size: int, progress: Progress | None) -> None:
        self._size = size
        self._progress = progress
        self._done = 0

    def advance(self, begin: int, end: int) -> None:
        """Take note of a range that was read; one that is ahead of what was read before does not count yet."""
        if self._progress is not None and begin <= self._done < end:
            self._progress(end - self._done)
            self._done = end

    def finish(self) -> None:
        """Say that nothing more of it is read."""
        self.advance(self._done, self._size)


class WatchedSource:
    """A byte source of which it is counted how much was read."""

    def __init__(self, source: ByteSource, done: BytesRead) -> None:
        self._source = source
        self._bytes_read = done
        self.size = source.size  # The number of bytes there are

    def read(self, offset: int, size: int) -> bytes:
        """Return the bytes at `offset`, fewer than `size` only at the end."""
        data = self._source.read(offset, size)
        self._bytes_read.advance(offset, offset + len(data))
        return data
