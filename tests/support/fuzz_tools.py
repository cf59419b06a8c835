"""What fuzz targets share: the target itself, and stand-ins for the files that parsers read."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PAGE: Final = 4096
PAGE_SIZES: Final = (2048, 4096, 8192, 16384, 32768)


class Target(NamedTuple):
    """A parser, or several that each get the same bytes."""

    run: Callable[[bytes], object]  # Takes any bytes; whatever it raises but an ArchiveError is a fault
    seeds: Callable[[], Sequence[bytes]]  # What to begin from
    of: tuple[str, ...]  # The modules whose parsers it feeds: they are what coverage is measured in
    largest: int = 4096  # Bytes that are worth trying
    slowness: int = 1  # How many times fewer cases a short run has


@cache
def folder() -> Path:
    """A folder of this process; it goes when the process ends."""
    made = tempfile.TemporaryDirectory(prefix="tokar-fuzz-")
    _kept.append(made)
    return Path(made.name)


_kept: list[object] = []


def file(name: str, data: bytes) -> Path:
    """Return the path of a file with these bytes."""
    path = folder() / name
    path.write_bytes(data)
    return path


def flagged(data: bytes) -> tuple[int, bytes]:
    """Return the first byte as a number, and the rest."""
    return (data[0], data[1:]) if data else (0, b"")


@contextmanager
def stand_in(module: Any, **others: object) -> Iterator[None]:
    """Give a module other functions for a moment; `mock.patch` takes ten times as long."""
    space = vars(module)
    before = {name: space.get(name) for name in others}
    space.update(others)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del space[name]
            else:
                space[name] = value
