"""Real sets as dictionaries of bytes, and what can happen to them; the samples themselves are never changed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tokar.ese.page import seal_page, seal_segment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Files = dict[str, bytes]
PAGE = 4096
_CACHE: dict[Path, Files] = {}


def load(folder: Path) -> Files:
    """All files of a sample set, by name; read once."""
    if folder not in _CACHE:
        names = sorted(path for path in folder.rglob("*") if path.is_file())
        _CACHE[folder] = {path.relative_to(folder).as_posix(): path.read_bytes() for path in names}
    return dict(_CACHE[folder])


def change(name: str, edit: Callable[[bytes], bytes]) -> Callable[[Files], None]:
    def work(files: Files) -> None:
        files[name] = edit(files[name])

    return work


def drop(*names: str) -> Callable[[Files], None]:
    def work(files: Files) -> None:
        for name in names:
            del files[name]

    return work


def only(*names: str) -> Callable[[Files], None]:
    def work(files: Files) -> None:
        for name in set(files) - set(names):
            del files[name]

    return work


def empty(name: str) -> Callable[[Files], None]:
    return change(name, lambda _: b"")


def zero(name: str) -> Callable[[Files], None]:
    return change(name, lambda data: bytes(len(data)))


def garbage(name: str) -> Callable[[Files], None]:
    return change(name, lambda data: random.Random(7).randbytes(len(data)))


def cut(name: str, size: int) -> Callable[[Files], None]:
    """Keep so many bytes; a negative number takes away from the end."""
    return change(name, lambda data: data[:size])


def append(name: str, data: bytes) -> Callable[[Files], None]:
    return change(name, lambda old: old + data)


def blank(name: str, start: int = PAGE) -> Callable[[Files], None]:
    """Zeros from an offset on, the length stays."""
    return change(name, lambda data: data[:start].ljust(len(data), b"\0"))


def zeros(name: str, start: int, size: int) -> Callable[[Files], None]:
    return change(name, lambda data: data[:start] + bytes(size) + data[start + size :])


def zero_page(name: str, number: int, size: int = PAGE) -> Callable[[Files], None]:
    return zeros(name, (number + 1) * size, size)


def bits(name: str, *offsets: int) -> Callable[[Files], None]:
    """Flip a bit at each offset, each at another place in its byte."""

    def edit(data: bytes) -> bytes:
        changed = bytearray(data)
        for at, offset in enumerate(offsets):
            changed[offset] ^= 1 << at % 8
        return bytes(changed)

    return change(name, edit)


def swap_pages(name: str, one: int, other: int, size: int = PAGE) -> Callable[[Files], None]:
    def edit(data: bytes) -> bytes:
        changed, first, second = bytearray(data), (one + 1) * size, (other + 1) * size
        changed[first : first + size] = data[second : second + size]
        changed[second : second + size] = data[first : first + size]
        return bytes(changed)

    return change(name, edit)


def bring_page(folder: Callable[[], Files], source: str, name: str, number: int) -> Callable[[Files], None]:
    """Put a page of a database of another sample set in the place of the same page."""

    def work(files: Files) -> None:
        data, at = files[name], (number + 1) * PAGE
        files[name] = data[:at] + folder()[source][at : at + PAGE] + data[at + PAGE :]

    return work


def bring_segments(folder: Callable[[], Files], source: str, name: str, *numbers: int) -> Callable[[Files], None]:
    """Put segments of a log of another sample set in the place of the same ones; without numbers all of them."""

    def work(files: Files) -> None:
        data, other = files[name], folder()[source]
        for number in numbers or range(1, len(data) // PAGE):
            data = data[: number * PAGE] + other[number * PAGE : (number + 1) * PAGE] + data[(number + 1) * PAGE :]
        files[name] = data

    return work


def page_dbtime(name: str, number: int, dbtime: int, size: int = PAGE) -> Callable[[Files], None]:
    """Let a page say that it was changed at another time, with a right checksum."""
    return page_field(name, number, 8, dbtime.to_bytes(8, "little"), size)


def page_field(name: str, number: int, offset: int, value: bytes, size: int = PAGE) -> Callable[[Files], None]:
    """Write a field of a page, with a right checksum."""

    def edit(data: bytes) -> bytes:
        at = (number + 1) * size
        page = data[at : at + offset] + value + data[at + offset + len(value) : at + size]
        return data[:at] + seal_page(page, number) + data[at + size :]

    return change(name, edit)


def rename(old: str, new: str) -> Callable[[Files], None]:
    def work(files: Files) -> None:
        files[new] = files.pop(old)

    return work


def copy(old: str, new: str) -> Callable[[Files], None]:
    def work(files: Files) -> None:
        files[new] = files[old]

    return work


def swap(one: str, other: str) -> Callable[[Files], None]:
    def work(files: Files) -> None:
        files[one], files[other] = files[other], files[one]

    return work


def bring(folder: Callable[[], Files], source: str, name: str) -> Callable[[Files], None]:
    """Put a file of another sample set in, in the place of one of this or as one more."""

    def work(files: Files) -> None:
        files[name] = folder()[source]

    return work


def sealed(block: bytes) -> bytes:
    """A header block with the right checksum: 0x89ABCDEF and all words but the first, by XOR."""
    total = 0x89ABCDEF
    for at in range(4, len(block), 4):
        total ^= int.from_bytes(block[at : at + 4], "little")
    return total.to_bytes(4, "little") + block[4:]


def header(name: str, *fields: tuple[int, bytes], size: int = PAGE) -> Callable[[Files], None]:
    """Write fields at offsets of both header copies of a database, or the one of a log, with right checksums."""
    copies = 1 if name.endswith(".log") else 2

    def edit(data: bytes) -> bytes:
        block = bytearray(data[:size])
        for offset, value in fields:
            block[offset : offset + len(value)] = value
        return sealed(bytes(block)) * copies + data[copies * size :]

    return change(name, edit)


def u32(value: int) -> bytes:
    return (value & 0xFFFFFFFF).to_bytes(4, "little")


def state(value: int) -> tuple[int, bytes]:
    return 52, u32(value)


def consistent(generation: int, sector: int = 1) -> tuple[int, bytes]:
    return 56, bytes(2) + sector.to_bytes(2, "little") + u32(generation)


def attached(generation: int, sector: int = 1) -> tuple[int, bytes]:
    return 80, consistent(generation, sector)[1]


def needs(low: int, high: int, committed: int | None = None) -> tuple[tuple[int, bytes], ...]:
    return (296, u32(low)), (300, u32(high)), (416, u32(high if committed is None else committed))


def dirty(name: str, last: str, low: int, high: int, committed: int | None = None) -> Callable[[Files], None]:
    """Make a database say that it was not shut down and which logs it needs; `last` is the highest of them."""

    def work(files: Files) -> None:
        created = files[last][16:24]
        header(name, state(2), *needs(low, high, committed), (348, created))(files)

    return work


def rewritten(name: str, sector: int) -> Callable[[Files], None]:
    """Other records in one segment of a log, with the right checksum: another writer went on from there."""

    def edit(data: bytes) -> bytes:
        block = bytearray(data[sector * PAGE : (sector + 1) * PAGE])
        block[200:216] = random.Random(sector).randbytes(16)
        return data[: sector * PAGE] + seal_segment(bytes(block), sector) + data[(sector + 1) * PAGE :]

    return change(name, edit)


def checkpoint_at(name: str, generation: int) -> Callable[[Files], None]:
    def edit(data: bytes) -> bytes:
        block = bytearray(data[:PAGE])
        block[12:20] = bytes(2) + b"\1\0" + u32(generation)
        return sealed(bytes(block)) * 2

    return change(name, edit)


def both(*works: Callable[[Files], None]) -> Callable[[Files], None]:
    def work(files: Files) -> None:
        for one in works:
            one(files)

    return work
