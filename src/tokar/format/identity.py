"""Which archive a file is, also where it cannot be read: its id, and the root that its end names."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tokar.errors import FormatError
from tokar.format import records
from tokar.format.bodies import PREAMBLE_SIZE, TAIL_SIZE, Preamble, Tail
from tokar.format.entry_reader import read_record
from tokar.storage.bytesource import FileSource


class KnownBy(NamedTuple):
    """What an archive is known by."""

    id: bytes = b""  # Archive id, 16 bytes; empty where that is lost
    root: bytes = b""  # Root, 32 bytes; empty where its end is lost


def identity_of(path: Path | str) -> KnownBy:
    """Return which archive a file is, by its preamble and its TAIL alone.

    Raises:
        StorageError: It cannot be read.
        FormatError: It does not begin as an archive does.
    """
    source = FileSource(path)
    try:
        start = Preamble.parse(source.read(0, PREAMBLE_SIZE))
        position = max(source.size - TAIL_SIZE, 0)
        try:
            _, body = read_record(memoryview(source.read(position, TAIL_SIZE)), start.tag, position, records.TAIL)
            return KnownBy(start.id, Tail.parse(body, position=position).root)
        except FormatError:
            return KnownBy(start.id)
    finally:
        source.close()
