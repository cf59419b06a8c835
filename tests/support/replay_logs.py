"""Builds logs of real records, and finds the real sets that replay is tried on."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ese_files import log_header

from conftest import samples_folder
from tokar.ese.log import SEGMENT_SIZE
from tokar.ese.logrecords import TYPES
from tokar.ese.page import seal_segment
from tokar.ese.record import Sized
from tokar.ese.values import LogPosition

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tokar.ese.log import LogHeader
    from tokar.ese.pagerecords import EseRecord

NUMBERS = {one.name: number for number, one in TYPES.items()}
_HEAD = 40
_LEAST_PIECE = 32


def record(name: str, **values: Any) -> Any:
    """A record of a type; what is not named is zero, lengths follow from the bytes."""
    made = TYPES[NUMBERS[name]].record
    full: dict[str, Any] = {"type": NUMBERS[name]}
    for field in fields(made):
        form = getattr(field.type, "__metadata__", (None,))[0]
        if isinstance(form, Sized):
            full[field.name] = values.get(field.name, b"")
            full[form.field] = full[form.field] | len(full[field.name]) if form.mask < 256 else len(full[field.name])
        elif field.name not in full:
            full[field.name] = values.get(field.name, _zero(field.type))
    return made(**full)


def _zero(kind: Any) -> Any:
    if isinstance(kind, type):
        return kind()
    return 0 if kind.__origin__ is int else bytes(kind.__metadata__[0].length)


def segments_of(records: Iterable[EseRecord | bytes], generation: int) -> bytes:
    """The segments of a log of format 8 with these records, sealed; what does not fit is cut."""
    datas = [one if isinstance(one, bytes) else one.pack() for one in records]
    made, current = bytearray(), bytearray()

    def close() -> None:
        nonlocal current
        number = len(made) // SEGMENT_SIZE + 1
        head = bytes(8) + LogPosition(generation=generation, sector=number).pack() + bytes(24)
        made.extend(seal_segment((head + current).ljust(SEGMENT_SIZE, b"\0"), number))
        current = bytearray()

    for data in datas:
        room = SEGMENT_SIZE - _HEAD - len(current)
        if len(data) <= room:
            current += data
            continue
        if room < _LEAST_PIECE:
            close()
            room = SEGMENT_SIZE - _HEAD
            if len(data) <= room:
                current += data
                continue
        size = room - 7
        current += b"\x4c" + len(data).to_bytes(4, "little") + size.to_bytes(2, "little") + data[:size]
        rest = data[size:]
        while rest:
            close()
            size = min(len(rest), SEGMENT_SIZE - _HEAD - 3)
            current += b"\x4d" + size.to_bytes(2, "little") + rest[:size]
            rest = rest[size:]
    if current:
        close()
    return bytes(made)


def log_of(records: Iterable[EseRecord | bytes], header: LogHeader | None = None) -> bytes:
    """A whole log of format 8 with these records."""
    header = header or log_header()
    return (header.build() + segments_of(records, header.generation)).ljust(header.file_size, b"\0")


def sample_logs() -> list[Path]:
    """Every real log with records."""
    folder = samples_folder()
    if folder is None:
        return []
    found = [
        *folder.glob("win10-srum-rathbun/*.log"),
        *folder.glob("win10-srum-belkasoft-dirty/SRU*.log"),
        *folder.glob("xp64-catroot2/edb*.log"),
        *(folder.parent / "replay").glob("*/*.log"),
    ]
    return sorted(path for path in found if path.parent.name + path.name != "win10-srum-belkasoft-dirtySRUtmp.log")
