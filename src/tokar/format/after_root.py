"""The same archive with further records after ROOT (spec/format.md section 11.3): signatures, keys for recipients."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from tokar.errors import ArchiveError, IntegrityError, StorageError, storage_errors
from tokar.format import bodies, records
from tokar.format.archive import Archive
from tokar.format.bodies import Tail
from tokar.format.records import TrailingRecord
from tokar.format.verify import verify
from tokar.storage import durable
from tokar.storage.bytesource import FileSource, MediumSource
from tokar.storage.sink import FileSink


def append_records(
    path: Path | str,
    added: Sequence[TrailingRecord],
    *,
    root: bytes,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Put records after ROOT into an archive on disk, behind those that are there. Its root stays the same.

    A new file is made beside the old one, read again from the medium and proven record by record; only then it takes
    its place. Whenever this dies, the old or the new archive is whole under the name. It keeps its permissions, and
    a link that leads to it stays a link; other hard links keep the old archive.

    Args:
        path: The archive.
        added: The records.
        root: The root that the archive must have.
        progress: Called with numbers of bytes that are proven.

    Raises:
        StorageError: It cannot be read or written, or somebody else is changing it.
        FormatError: It is damaged, or there are too many or too large records (LOW-1, REC-7).
        IntegrityError: It is another archive than the one with that root.
    """
    with FileSource(Path(path).resolve()) as source:
        try:
            _append(source, added, root, progress)
        except ArchiveError as error:
            error.path = path
            raise


def _append(
    source: FileSource, added: Sequence[TrailingRecord], root: bytes, progress: Callable[[int], None] | None
) -> None:
    if durable.try_lock(source.fileno()) is False:
        raise StorageError("somebody else is changing this archive", hint="wait until that is done, and run again")
    archive = Archive(source)
    _demand_root(archive, root)
    wanted = [*archive.trailing, *added]
    tail = _tail(archive, added)
    sink = FileSink(source.path, replace=True)
    try:
        sink.take_over(source, archive.size - bodies.TAIL_SIZE)
        sink.write([tail])
        sink.sync()
        with MediumSource(sink.temporary) as copy, Archive(copy) as made:
            _demand_root(made, root)
            verify(made, progress=progress).demand()
            _demand_trailing(made, wanted)
        _demand_in_place(source)
        if os.name == "nt":
            source.close()  # an open file is not replaced there
        sink.commit()
    except BaseException:
        sink.discard()
        raise


def _tail(archive: Archive, added: Sequence[TrailingRecord]) -> bytes:
    """Return the further records and TAIL.

    Raises:
        FormatError: LOW-1 or REC-7.
    """
    tag, position = archive.id[:8], archive.size - bodies.TAIL_SIZE
    parts = []
    end = TrailingRecord(records.TAIL, Tail(archive.root_head.position, archive.root).build())
    for number, (kind, body) in enumerate([*added, end], len(archive.trailing)):
        head, _ = records.build_head(kind, tag, position, body)
        if kind != records.TAIL:
            records.demand_trailing(len(body), position, before=number)
        parts += [head, body]
        position += len(head) + len(body)
    return b"".join(parts)


def _demand_trailing(archive: Archive, wanted: Sequence[TrailingRecord]) -> None:
    if archive.trailing != wanted:
        raise IntegrityError("what was written after ROOT is not what came back from the disk")


def _demand_in_place(source: FileSource) -> None:
    with storage_errors("find it again"):
        if not os.path.samestat(os.fstat(source.fileno()), os.stat(source.path)):  # noqa: PTH116 - text or a path
            raise StorageError("somebody else replaced this archive in the meantime", hint="run again")


def _demand_root(archive: Archive, root: bytes) -> None:
    if archive.root != root:
        raise IntegrityError("this is another archive", expected=root, actual=archive.root)
