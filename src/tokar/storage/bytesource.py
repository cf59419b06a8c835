"""Random access to bytes: the one thing that a reader of archives or of ESE files needs from storage.

Anything with `size` and `read(offset, size)` will do: a file on disk, an entry inside an archive, a range request to
remote storage.
"""

from __future__ import annotations

import contextlib
import errno
import io
import mmap
import os
import stat
import threading
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol, Self, runtime_checkable

from tokar.errors import InputError, StorageError, reason_of, storage_errors
from tokar.storage import windows

Buffer = bytes | bytearray | memoryview
"""Bytes in memory, whoever owns them."""
PIECE: Final = 1 << 20
"""Bytes of large content that are read at a time."""
_ZEROS: Final = bytes(PIECE)


# O_NONBLOCK so that a pipe that took the place of a file is not waited for.
_OPEN_FLAGS: Final = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_BINARY", "O_CLOEXEC", "O_NONBLOCK"))


_outputs: dict[tuple[int, int], int] = {}  # Descriptors that this process writes to, by device and inode


class OverwritesInputError(InputError):
    """What this process prints leads into a file that it reads.

    Args:
        descriptor: Where it prints.
    """

    hint_text = "send the output to another file"

    def __init__(self, descriptor: int) -> None:
        super().__init__(f"standard {'output' if descriptor == 1 else 'error'} leads into the file that is read")
        self.descriptor = descriptor


def never_read(*descriptors: int) -> None:
    """Say which descriptors this process prints to: a file that one of them leads into is not read."""
    _outputs.clear()
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            info = os.fstat(descriptor)
            if stat.S_ISREG(info.st_mode):
                _outputs[info.st_dev, info.st_ino] = descriptor


def demand_no_output(info: os.stat_result) -> None:
    """Check that this process does not print into a file.

    Raises:
        OverwritesInputError: It does.
    """
    if _outputs and (descriptor := _outputs.get((info.st_dev, info.st_ino))) is not None:
        raise OverwritesInputError(descriptor)


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
        self.size = len(self._data)  # The number of bytes there are

    def read(self, offset: int, size: int) -> bytes:
        """Return the bytes at `offset`, fewer than `size` only at the end."""
        return bytes(self._data[offset : offset + size])


def open_file(path: Path | str) -> int:
    """Open a file for reading, and return its descriptor. A pipe or a device is never waited for.

    Raises:
        StorageError: It cannot be opened, or is neither a regular file nor a block device.
    """
    descriptor = -1
    try:
        real = windows.long_path(str(path))
        _demand_file(os.stat(real), path)  # noqa: PTH116 - before it is opened: that alone does something to a device
        descriptor = os.open(real, _OPEN_FLAGS)
        _demand_file(os.fstat(descriptor), path)
    except (OSError, ValueError) as error:
        raise StorageError(f"cannot open: {reason_of(error)}", path=path) from error
    except StorageError:
        if descriptor >= 0:
            os.close(descriptor)
        raise
    return descriptor


def _demand_file(info: os.stat_result, path: Path | str) -> None:
    if stat.S_ISDIR(info.st_mode):
        raise StorageError("cannot read: it is a directory", path=path, hint="name a file in it")
    if stat.S_ISFIFO(info.st_mode):
        hint = "where the command takes -, give that, and lead the pipe into it; else save it to a file, and name that"
        raise StorageError("it is a pipe, and a file is wanted", path=path, hint=hint)
    if not (stat.S_ISREG(info.st_mode) or stat.S_ISBLK(info.st_mode)):
        raise StorageError("it is a device or a socket, and a file is wanted", path=path, hint="name a file")


def read_start(path: Path | str, size: int) -> bytes:
    """Return the first bytes of a file, fewer where it ends.

    Raises:
        StorageError: It cannot be read, or is neither a regular file nor a block device.
    """
    with storage_errors("read", path), open(open_file(path), "rb") as file:
        return file.read(size) or b""  # None of what has nothing yet, as a file of /proc may


def read_handed(path: Path | str, size: int) -> bytes:
    """Return the first bytes of a file, or of a pipe without a name, such as `<(...)`: one with a name may never end.

    Raises:
        StorageError: As `read_start`.
    """
    with contextlib.suppress(OSError, ValueError):
        is_pipe = stat.S_ISFIFO(os.stat(path).st_mode)  # noqa: PTH116 - a path or text
        if is_pipe and (str(path).startswith("/dev/fd/") or not os.path.exists(os.path.realpath(path))):  # noqa: PTH110
            with open(path, "rb") as pipe:  # noqa: PTH123 - as above
                return pipe.read(size)
    return read_start(path, size)


def read_whole(path: Path | str, most: int) -> bytes:
    """Return all of a file that is small by nature, before another program is let read it, which may wait for ever.

    Raises:
        StorageError: As `read_start`, or it would have to be waited for.
        InputError: It is larger than `most`.
    """
    with storage_errors("read", path), open(open_file(path), "rb") as file:
        data = file.read(most + 1)
    if data is None:  # of a device in the shape of a file, as /proc has
        raise StorageError("nothing can be read of it yet, and a file is wanted", path=path, hint="name a file")
    if len(data) > most:
        hint = "was another file meant? name a shorter one"
        raise InputError(f"it has more than {most:,} bytes, and so is not what belongs there", path=path, hint=hint)
    return data


class FileSource:
    """A byte source over a regular file, opened for reading. Safe to use from several threads.

    Args:
        path: The file.

    Raises:
        StorageError: The file cannot be opened, or is not a regular file or block device with a size.
        OverwritesInputError: This process prints into it.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self._descriptor = open_file(path)
        try:
            demand_no_output(os.fstat(self._descriptor))
            self.size = os.lseek(self._descriptor, 0, os.SEEK_END)
        except OSError as error:
            os.close(self._descriptor)
            raise StorageError(f"cannot read: {reason_of(error)}", path=path) from error
        except InputError as error:
            os.close(self._descriptor)
            error.path = path
            raise

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
                raise StorageError(f"cannot read: {reason_of(error)}", path=self.path, offset=offset) from error
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
                raise StorageError(f"cannot read: {reason_of(error)}", path=self.path, offset=offset + done) from error
            if not count:
                break
            done += count
        return done

    def next_data(self, offset: int) -> int:
        """Return where the first bytes from `offset` on stand that may be other than zero: holes are passed over."""
        if not hasattr(os, "SEEK_DATA"):
            return offset
        try:
            return min(os.lseek(self._descriptor, offset, os.SEEK_DATA), self.size)
        except OSError as error:  # not all file systems tell of holes
            is_end = error.errno == errno.ENXIO and os.lseek(self._descriptor, 0, os.SEEK_END) >= self.size
            return self.size if is_end else offset

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Reread(StrEnum):
    """Where the bytes of a file that was just written come from when it is read again."""

    DIRECT = "direct"  # From the medium: the page cache is bypassed
    EVICTED = "evicted"  # From the medium as far as is known: the system was asked to drop what it kept
    CACHE = "cache"  # From memory, perhaps: this system offers nothing better


_ALIGNMENT: Final = 4096  # of offsets, sizes and memory for reads past the cache


class MediumSource(FileSource):
    """A file that was made durable, read from the medium and not from the page cache, as far as the system allows.

    Args:
        path: The file.

    Raises:
        StorageError: It cannot be opened.
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        self.reread = Reread.CACHE  # How it is read
        self._direct: io.FileIO | None = None
        self._lock = threading.Lock()
        if hasattr(os, "posix_fadvise"):
            with contextlib.suppress(OSError):
                os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                self.reread = Reread.EVICTED
        if hasattr(os, "O_DIRECT"):
            with contextlib.suppress(OSError):
                flags = os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC
                self._direct = io.FileIO(path, opener=lambda name, _: os.open(name, flags))
                try:
                    self._read_direct(0, _ALIGNMENT)
                except OSError as error:
                    if error.errno == errno.EINVAL:  # not on this file system; any other error shows when it is read
                        self._close_direct()
        if self._direct is not None:
            self.reread = Reread.DIRECT

    def read(self, offset: int, size: int) -> bytes:
        """Return the bytes at `offset`, fewer than `size` only at the end.

        Raises:
            StorageError: The operating system refused the read.
        """
        if self._direct is None:
            return super().read(offset, size)
        start = offset - offset % _ALIGNMENT
        try:
            return self._read_direct(start, offset + size - start)[offset - start :]
        except OSError as error:
            raise StorageError(f"cannot read: {reason_of(error)}", path=self.path, offset=offset) from error

    def readinto(self, offset: int, buffer: memoryview) -> int:
        """Fill `buffer` from `offset`; return the bytes read, fewer than asked only at the end.

        Raises:
            StorageError: The operating system refused the read.
        """
        data = self.read(offset, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _read_direct(self, start: int, size: int) -> bytes:
        """Read from an aligned offset into aligned memory."""
        assert self._direct is not None
        with mmap.mmap(-1, -(-size // _ALIGNMENT) * _ALIGNMENT) as memory, memoryview(memory) as whole, self._lock:
            self._direct.seek(start)
            done = 0
            while done < size:
                with whole[done:] as part:
                    count = self._direct.readinto(part) or 0
                done += count
                if not count or count % _ALIGNMENT:
                    break  # the end of the file
            return bytes(whole[: min(done, size)])

    def _close_direct(self) -> None:
        if self._direct is not None:
            self._direct.close()
            self._direct = None

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        super().close()
        self._close_direct()


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

    def readinto(self, buffer: Any) -> int:
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


def pieces_of(source: ByteSource) -> Iterator[bytes]:
    """Yield the content of a source from the first byte to the last."""
    for offset in range(0, source.size, PIECE):
        yield source.read(offset, PIECE)


def parts_of(source: ByteSource) -> Iterator[bytes | int]:
    """Yield the content of a source from the first byte to the last: of what is nothing but zeros how many they are.

    Holes of a file are passed over; what lies there as zeros comes as they do, and so nothing depends on where it lies.
    """
    offset = 0
    while offset < source.size:
        data = source.next_data(offset) if isinstance(source, FileSource) else offset
        zeros = data - offset if data >= source.size else (data - offset) // PIECE * PIECE
        if not zeros:
            piece = source.read(offset, PIECE)
            yield len(piece) if piece == _ZEROS[: len(piece)] else piece
        else:
            yield zeros
        offset += zeros or PIECE


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

else:  # Windows

    def _pread(descriptor: int, size: int, offset: int) -> bytes:
        assert windows.system is not None
        return windows.system.read_at(descriptor, size, offset)

    def _preadinto(descriptor: int, buffer: memoryview, offset: int) -> int:
        data = _pread(descriptor, len(buffer), offset)
        buffer[: len(data)] = data
        return len(data)
