"""Random access to bytes: the one thing that a reader of archives or of ESE files needs from storage.

Anything with `size` and `read(offset, size)` will do: a file on disk, an entry inside an archive, a range request to
remote storage.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from tokar.errors import InputError, StorageError

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Buffer


@runtime_checkable
class ByteSource(Protocol):
    """Bytes that can be read at any offset."""

    @property
    def size(self) -> int:
        """The number of bytes there are."""

    def read(self, offset: int, size: int) -> bytes:
        """Return the bytes at `offset`: `size` of them, fewer only where the source ends."""


class BytesSource:
    """A byte source over bytes in memory."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = memoryview(data)

    @property
    def size(self) -> int:
        """The number of bytes there are."""
        return len(self._data)

    def read(self, offset: int, size: int) -> bytes:
        """Return the bytes at `offset`, fewer than `size` only at the end."""
        return bytes(self._data[offset : offset + size])


class FileSource:
    """A byte source over a regular file, opened for reading. Safe to use from several threads.

    Args:
        path: The file.

    Raises:
        StorageError: The file cannot be opened, or is not a regular file or block device with a size.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
        except OSError as error:
            raise StorageError(f"cannot open: {error.strerror}", path=path) from error
        try:
            self._size = os.lseek(self._descriptor, 0, os.SEEK_END)
            if os.path.isdir(path):  # noqa: PTH112 - a descriptor of a directory opens without complaint on POSIX
                raise IsADirectoryError(21, "it is a directory")
        except OSError as error:
            os.close(self._descriptor)
            raise StorageError(f"cannot read: {error.strerror}", path=path) from error

    @property
    def size(self) -> int:
        """The number of bytes the file had when it was opened."""
        return self._size

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def read(self, offset: int, size: int) -> bytes:
        """Return the bytes at `offset`, fewer than `size` only at the end.

        Raises:
            StorageError: The operating system refused the read.
        """
        pieces = []
        while size > 0:
            try:
                piece = _pread(self._descriptor, size, offset)
            except OSError as error:
                raise StorageError(f"cannot read: {error.strerror}", path=self.path, offset=offset) from error
            if not piece:
                break
            pieces.append(piece)
            offset += len(piece)
            size -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def readinto(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset`; return the bytes read, fewer than asked only at the end.

        Raises:
            StorageError: The operating system refused the read.
        """
        done = 0
        while done < len(buffer):
            try:
                count = _preadinto(self._descriptor, buffer[done:], offset + done)
            except OSError as error:
                raise StorageError(f"cannot read: {error.strerror}", path=self.path, offset=offset + done) from error
            if not count:
                break
            done += count
        return done

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SourceFile(io.RawIOBase):
    """A byte source as a file that is read.

    Args:
        source: The source.
        name: What the file is called in messages.
    """

    def __init__(self, source: ByteSource, name: str) -> None:
        super().__init__()
        self._source = source
        self._position = 0
        self.name = name

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that every position can be gone to."""
        return True

    def readinto(self, buffer: Buffer) -> int:
        """Read bytes into a buffer; return how many, zero at the end.

        Raises:
            ArchiveError: The source cannot be read there.
        """
        view = memoryview(buffer).cast("B")
        data = self._source.read(self._position, len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a position, and return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._source.size}.get(whence)
        if base is None or base + offset < 0:
            raise InputError(f"no position in a file: {offset} from {whence}")
        self._position = base + offset
        return self._position


class SequentialReader:
    """Reads a byte source from the front, as a stream."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._offset = 0

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; fewer only at the end."""
        data = self._source.read(self._offset, size)
        self._offset += len(data)
        return data


if hasattr(os, "preadv"):

    def _pread(descriptor: int, size: int, offset: int) -> bytes:
        return os.pread(descriptor, size, offset)

    def _preadinto(descriptor: int, buffer: memoryview, offset: int) -> int:
        return os.preadv(descriptor, [buffer], offset)

else:  # Windows has no positioned read: one lock makes seek and read a pair
    import threading

    _LOCK = threading.Lock()

    def _pread(descriptor: int, size: int, offset: int) -> bytes:
        with _LOCK:
            os.lseek(descriptor, offset, os.SEEK_SET)
            return os.read(descriptor, size)

    def _preadinto(descriptor: int, buffer: memoryview, offset: int) -> int:
        data = _pread(descriptor, len(buffer), offset)
        buffer[: len(data)] = data
        return len(data)
