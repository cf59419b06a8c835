"""Where an archive is written to: a file that appears under its name only when it is whole, or a pipe."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from tokar.errors import ExistingFileError, InputError, StorageError, storage_errors
from tokar.names import TEMPORARY_FILE
from tokar.storage import durable, windows
from tokar.storage.bytesource import PIECE, Buffer, FileSource
from tokar.storage.durable import Capability

_EXISTS_HINT = "choose another name, or pass --force to replace it once the new archive is complete"

_SPECIAL_HINT = "to write into it, name - as the output and send standard output there"

OLD_SUFFIX: Final = ".old.part"  # in place of `.part`: the second name of what is going to be replaced
_KEPT_CHARACTERS = 60  # of the name, in the temporary one: 240 bytes at most, of 255 that file systems allow
_FLAGS: Final = sum(getattr(os, name, 0) for name in ("O_BINARY", "O_CLOEXEC", "O_NOFOLLOW"))
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS
_TRIES: Final = 8
_SHARE_CONTENT: Final = 0x40049409  # FICLONE of Linux: where it is not known, the content is copied


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

    The temporary name is `.NAME.XXXXXXXX.part`, mode 0600, and it is locked until it has its final name. If the process
    dies half-way only that file is left, without its lock; nothing is ever half-written under the final name.

    Args:
        path: The final name.
        replace: Whether a regular file of that name may be replaced at the end; anything else never is.
        reads: Files, or descriptors, that the content is made from: none of them is replaced.

    Raises:
        ExistingFileError: The name is taken, and `replace` was not asked for; or a pipe or a device has it.
        InputError: It is one of `reads`, by whatever name, or it is no name.
        StorageError: The temporary file cannot be made.
    """

    def __init__(self, path: Path | str, *, replace: bool = False, reads: Sequence[Path | str | int] = ()) -> None:
        self.path = Path(path)
        self.capabilities: frozenset[Capability] = frozenset()  # What `commit` could promise
        self._replace = replace
        self._old: Path | None = None  # The second name of what is going to be replaced
        self._old_descriptor = -1  # Holds its lock, so that `clean` lets it be
        self._reads = reads
        self._size = 0  # Bytes written
        self._begun = 0  # How many of them are on their way to the medium
        demand_name(self.path)
        self._demand_replaceable()
        if not replace and os.path.lexists(self.path):
            raise ExistingFileError("the archive is there already", path=self.path, hint=_EXISTS_HINT)
        self._temporary, self._descriptor = make_temporary(self.path)
        self._made = os.fstat(self._descriptor)

    def write(self, parts: Sequence[Buffer]) -> None:
        """Write all parts. Raises StorageError where the operating system refuses: the disk may be full."""
        with storage_errors("write", self.path):
            self._size += write_all(self._descriptor, parts)
        if self._size - self._begun >= durable.WRITE_BEHIND:
            durable.write_behind(self._descriptor, self._begun, self._size - self._begun)
            self._begun = self._size

    @property
    def temporary(self) -> Path:
        """Where the file lies until it gets its name."""
        return self._temporary

    def take_over(self, source: FileSource, size: int) -> None:
        """Begin with the first bytes of another file, and its permissions.

        Where the file system can, both files share those bytes on the disk.

        Raises:
            StorageError: The operating system refused.
        """
        with storage_errors("write", self.path):
            _keep_permissions(source.fileno(), self._descriptor)
            if _share_content(source.fileno(), self._descriptor):
                os.ftruncate(self._descriptor, size)
                os.lseek(self._descriptor, 0, os.SEEK_END)
            else:
                for offset in range(0, size, PIECE):
                    write_all(self._descriptor, [source.read(offset, min(PIECE, size - offset))])
        self._size = self._begun = size

    def sync(self) -> None:
        """Make what was written durable under the temporary name. Raises StorageError."""
        durable.sync_descriptor(self._descriptor, self.path)

    def commit(self) -> None:
        """Sync the file, give it its name, sync the directory.

        Raises:
            ExistingFileError: The name was taken in the meantime; the temporary file is removed.
            StorageError: The operating system refused; the temporary file is removed. Where only the sync of the
                directory failed, what was replaced is put back, or a note says that it could not be.
        """
        kept = {Capability.SYNC}
        try:
            self.sync()
            if os.name == "nt":
                self._close()  # an open file is not renamed there; elsewhere it stays locked until it has its name
            if self._replace:
                self._demand_replaceable()
                self._keep_old()
                durable.replace(self._temporary, self.path)
            elif durable.rename_no_replace(self._temporary, self.path):
                kept.add(Capability.NO_REPLACE)
        except ExistingFileError as error:
            self.discard()
            error.hint = _SPECIAL_HINT if self._replace else _EXISTS_HINT
            raise
        except BaseException:
            self.discard()
            raise
        self._close()
        try:
            if durable.sync_directory(self.path.parent):
                kept.add(Capability.NAME_SYNC)
        except StorageError as error:
            done = "what was there is replaced, and the new file is whole" if self._replace else "the file is whole"
            note = f"{done}, but a power cut may still take its name {self.path.name}"
            error.add_note("what was there has its name again" if self._put_old_back() else note)
            raise
        finally:
            self._drop_old()
        self.capabilities = frozenset(kept)

    def _keep_old(self) -> None:
        """Give what is going to be replaced a second name, where there are such, until the new file is durable."""
        name = self._old = self._temporary.with_suffix(OLD_SUFFIX)  # noted first: a signal may come after the link
        try:
            os.link(self.path, name, follow_symlinks=False)
        except OSError:
            self._old = None
            return
        with contextlib.suppress(OSError):
            if os.name != "nt":  # an open file is not replaced there
                self._old_descriptor = os.open(name, os.O_RDONLY | _FLAGS)
                durable.lock(self._old_descriptor)

    def _put_old_back(self) -> bool:
        """Put what was there back under its name, if it is kept; return whether that was done."""
        if self._old is None:
            return False
        try:
            durable.replace(self._old, self.path)
        except StorageError:
            return False
        self._old = None
        return True

    def _drop_old(self) -> None:
        try:
            if self._old is not None:
                with contextlib.suppress(OSError):
                    self._old.unlink()
                self._old = None
        finally:
            if self._old_descriptor >= 0:
                os.close(self._old_descriptor)
                self._old_descriptor = -1

    def has_its_name(self) -> bool:
        """Return whether the file that this sink wrote, and no other, is under the final name."""
        try:
            return os.path.samestat(self._made, self.path.lstat())
        except OSError:
            return False

    def discard(self) -> None:
        """Remove the temporary file."""
        self._close()
        self._drop_old()
        with contextlib.suppress(OSError):
            self._temporary.unlink()

    def _demand_replaceable(self) -> None:
        """Check that the name leads to nothing that must not be replaced."""
        try:
            there = self.path.stat()
        except OSError:
            return  # nothing, or a link that leads nowhere
        if not stat.S_ISREG(there.st_mode) and not stat.S_ISDIR(there.st_mode):
            message = f"{_kind_of(there.st_mode)} has this name, and only a file is replaced"
            raise ExistingFileError(message, path=self.path, hint=_SPECIAL_HINT)
        for read in self._reads:
            with contextlib.suppress(OSError):
                if os.path.samestat(os.stat(read), there):  # noqa: PTH116 - by whatever name, links included
                    raise InputError(
                        "it would replace the file that is being read", path=self.path, hint="choose another name"
                    )

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def demand_name(path: Path) -> None:
    """Check that a path to write to has a name.

    Raises:
        InputError: It is empty, or a folder by its form.
        StorageError: No file here can have that name.
    """
    if not path.name:
        raise InputError("there is no name to write to", path=path, hint="give the file a name")
    told_later = FileNotFoundError, NotADirectoryError, PermissionError
    with storage_errors("write here", path), contextlib.suppress(*told_later):
        os.lstat(windows.long_path(str(path)))  # one that is too long would else be told when all is written


def make_temporary(beside: Path) -> tuple[Path, int]:
    """Make a temporary file `.NAME.XXXXXXXX.part` beside a path, and lock it; return its path and its descriptor.

    Until it is locked, `clean` may take it for one of a run that died; then another one is made.

    Raises:
        StorageError: It cannot be made.
    """
    with storage_errors("write here", beside):
        for _ in range(_TRIES):
            path = beside.with_name(f".{beside.name[:_KEPT_CHARACTERS]}.{secrets.token_hex(4)}.part")
            try:
                descriptor = os.open(windows.long_path(str(path)), _CREATE, 0o600)
                windows.make_private(str(path))
                if durable.lock(descriptor) and _is_name_of(path, descriptor):
                    return path, descriptor
            except KeyboardInterrupt:  # perhaps before it was known that it is made
                path.unlink(missing_ok=True)
                raise
            os.close(descriptor)
            path.unlink(missing_ok=True)
    message = "cannot write here: what is made is removed or locked at once by somebody else"
    raise StorageError(message, path=beside, hint="end what cleans or scans this folder, or name another place")


def _share_content(source: int, target: int) -> bool:
    """Let a file have the content of another without a copy; return whether the file system can."""
    if not sys.platform.startswith("linux"):
        return False
    import fcntl  # noqa: PLC0415 - not there on Windows

    try:
        fcntl.ioctl(target, _SHARE_CONTENT, source)
    except OSError:
        return False
    return True


def _keep_permissions(source: int, target: int) -> None:
    """Give a file the permissions of another, and its owner where that is allowed."""
    if os.name == "nt":
        return
    there = os.fstat(source)
    with contextlib.suppress(OSError):  # first: it takes permissions away
        os.fchown(target, there.st_uid, there.st_gid)
    os.fchmod(target, stat.S_IMODE(there.st_mode) & 0o777)


def _is_name_of(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def spooled(stream: BinaryIO) -> Iterator[Path]:
    """Write a stream to a temporary file that only its owner can read, and remove it at the end.

    If the process dies, it is left in the folder for temporary files as one of a sink is, and `clean` finds it there.

    Raises:
        StorageError: It cannot be kept.
    """
    import tempfile  # noqa: PLC0415 - start-up time: only for pipes

    try:
        path, descriptor = make_temporary(Path(tempfile.gettempdir(), "standard-input"))
    except OSError as error:
        raise _not_kept(error.strerror) from error
    except StorageError as error:
        raise _not_kept(error.message, error.path) from error
    try:
        try:
            while piece := stream.read(PIECE):
                write_all(descriptor, [piece])
        except OSError as error:
            raise _not_kept(error.strerror, path) from error
        yield path
    finally:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            path.unlink()


def _not_kept(why: str | None, path: Path | str | None = None) -> StorageError:
    hint = "TMPDIR says where it is kept"
    return StorageError(f"cannot keep what comes from standard input: {why}", path=path, hint=hint)


def temporary_files(folder: Path) -> list[str]:
    """Return the names of the temporary files in a folder, those that are being written and those left over.

    Raises:
        StorageError: The folder cannot be listed.
    """
    with storage_errors("list the folder", folder), os.scandir(folder) as entries:
        return sorted(one.name for one in entries if TEMPORARY_FILE.fullmatch(one.name))


class PipeSink:
    """Writes to a descriptor that cannot be taken back: a pipe, a socket, standard output.

    Args:
        descriptor: Where to write; it stays open.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, parts: Sequence[Buffer]) -> None:
        """Write all parts. Raises StorageError where the reader has gone away."""
        with storage_errors("write to the pipe"):
            write_all(self._descriptor, parts)

    def commit(self) -> None:
        """Do nothing: whoever reads the pipe decides what is durable."""

    def discard(self) -> None:
        """Do nothing: the reader sees an archive without an end, which is unsealed."""


def _kind_of(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def write_all(descriptor: int, parts: Sequence[Buffer]) -> int:
    """Write all parts to a descriptor, however the operating system cuts them; return their bytes."""
    total = sum(memoryview(part).nbytes for part in parts)
    if hasattr(os, "writev") and len(parts) > 1:
        written = os.writev(descriptor, parts)
        if written == total:
            return total
        parts = _remaining(parts, written)
    for part in parts:
        view = memoryview(part).cast("B")
        while view:
            view = view[os.write(descriptor, view) :]
    return total


def _remaining(parts: Sequence[Buffer], written: int) -> list[memoryview]:
    left = []
    for part in parts:
        view = memoryview(part).cast("B")
        skipped = min(written, len(view))
        written -= skipped
        left.append(view[skipped:])
    return left
