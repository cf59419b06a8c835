"""Real sets to play logs on, and what their pages come to."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Self

from conftest import samples_folder
from tokar.ese.database import DatabaseHeader
from tokar.ese.log import LogHeader
from tokar.replay.pagestore import PageStore
from tokar.replay.player import Played, Player
from tokar.replay.redo import Bounds, PageRedo
from tokar.replay.stream import RecordStream, number_of
from tokar.storage.bytesource import BytesSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tokar.ese.pagerecords import EseRecord
    from tokar.replay.nodepage import NodePage

Located = tuple[int, "EseRecord"]
EVERYTHING_MAY_BE_AHEAD = 1 << 63


@dataclass(frozen=True)
class RealSet:
    """A database with the logs that lead to it."""

    database: Path
    logs: tuple[Path, ...]

    @property
    def header(self) -> DatabaseHeader:
        return header_of(self.database)

    def records(self) -> list[list[Located]]:
        return [records_of(path) for path in self.logs]


def _real(folder: str, database: str, *logs: str) -> RealSet:
    samples = samples_folder()
    assert samples is not None
    root = samples.parent if folder.startswith("replay") else samples
    return RealSet(root / folder / database, tuple((root / folder / name).resolve() for name in logs))


def before() -> RealSet:
    return _real("replay/server2022-before", "SRUDB.dat", "SRU00001.log", "SRU.log")


def after(*, whole: bool = False) -> RealSet:
    """The database a day later, with logs 2 to 5, or from the first one on."""
    first = ("../server2022-before/SRU00001.log",) if whole else ()
    return _real(
        "replay/server2022-after", "SRUDB.dat", *first, "SRUtmp.log", "SRU00003.log", "SRU00004.log", "SRU.log"
    )


def rathbun() -> RealSet:
    names = [f"SRU0000{number}.log" for number in range(3, 9)]
    return _real("win10-srum-rathbun", "SRUDB.dat", *names, "SRU.log")


def belkasoft() -> RealSet:
    names = [f"SRU000{number}.log" for number in ("4E", "4F", "50", "51")]
    return _real("win10-srum-belkasoft-dirty", "SRUDB.dat", *names, "SRU.log")


def catroot() -> RealSet:
    return _real("xp64-catroot2", "F750E6C3/catdb", "edb00081.log", "edb00082.log", "edb.log")


@cache
def header_of(path: Path) -> DatabaseHeader:
    return DatabaseHeader.read(BytesSource(path.read_bytes())).header


@cache
def records_of(path: Path) -> list[Located]:
    data = path.read_bytes()
    return list(RecordStream(BytesSource(data), LogHeader.parse(data)))


def settled_bounds(header: DatabaseHeader) -> Bounds:
    """What is known of the pages of a database that was shut down."""
    settled = number_of(header.consistent_position)
    return Bounds(settled, settled)


class PlayedSet:
    """Logs that are played on a database; a context manager."""

    def __init__(self, database: bytes | None, real: RealSet, bounds: Bounds, player: type[Player] = Player) -> None:
        header = real.header
        self._stack = ExitStack()
        source = None if database is None else BytesSource(database)
        self.store = self._stack.enter_context(PageStore(source, header.page_size))
        self.redo = PageRedo(self.store, bounds)
        self.played = Played(self.redo)
        attachments = LogHeader.parse(real.logs[0].read_bytes()).attachments
        self.player = player({header.signature.pack(): self.played}, attachments)

    def feed(self, records: Iterable[Located]) -> None:
        for position, record in records:
            self.player.feed(position, record)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def pages_of(database: Path) -> PageStore:
    """The pages of a file, as they are."""
    return PageStore(BytesSource(database.read_bytes()), header_of(database).page_size)


def unequal(found: PageStore, real: PageStore, numbers: Iterable[int]) -> Iterator[int]:
    """Yield the pages that are not what they should be, in whatever history decides."""
    for number in numbers:
        one, other = found.get(number), real.get(number)
        if one is None or other is None:
            if one is not other:
                yield number
        elif content_of(one) != content_of(other):
            yield number


def content_of(page: NodePage) -> object:
    return page.content() | {"uncommitted": page.uncommitted}
