"""What the tests of restore share: entries without an archive, and requests without a command line."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from tokar.format.bodies import FileList
from tokar.format.entry_reader import Chunk
from tokar.format.index import Entry
from tokar.location_list import Location, parse_location_list
from tokar.namelist import build_names
from tokar.restore.inventory import take_inventory
from tokar.restore.locations import NameTarget, parse_to
from tokar.restore.options import Request, RestoreOptions, places_to_look_at
from tokar.restore.planner import make_plan
from tokar.restore.prepare import plan_restore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from tokar.format.archive import Archive
    from tokar.restore.plan import Plan
    from tokar.storage.bytesource import Buffer

NOW = datetime(2024, 1, 31, 23, 59, 58, tzinfo=UTC)
STAMP = "20240131T235958Z"


def entry(number: int, token: int, name: str | bytes, size: int = 10, encoding: int = 1200) -> Entry:
    raw = name.encode("utf-16-le") if isinstance(name, str) else name
    made = Entry(
        number, token, FileList.BY_HAND, encoding, raw, size, bytes(32), number * 1000, number * 1000 + 500, b""
    )
    return made._replace(digest=blake3(Reader.expected(made)).digest())


def timed(files: Iterable[Entry], times: dict[int, int]) -> list[Entry]:
    """Return entries with the modification times that these numbers have."""
    return [one._replace(modified=times.get(one.number)) for one in files]


def entries(*files: tuple[int, str]) -> list[Entry]:
    return [entry(number, token, name) for number, (token, name) in enumerate(files)]


def wide(*places: tuple[int, str]) -> bytes:
    return build_names([(token, path.encode("utf-16-le")) for token, path in places], wide=True)


def listed(*places: tuple[int, str]) -> tuple[Location, ...]:
    return parse_location_list(wide(*places), wide=True)


def to(*texts: str, profile: str = "certadm") -> dict[str, Any]:
    """Return what `--to` options put into a request."""
    parsed = [parse_to(text, profile, base="/") for text in texts]
    return {
        "profile": profile,
        "locations": tuple(one for one in parsed if isinstance(one, Location)),
        "targets": tuple(one for one in parsed if isinstance(one, NameTarget)),
    }


def plan_of(files: Sequence[Entry], **options: Any) -> Plan:
    """Return the plan of a request, with the real inventory."""
    request = Request(**{"profile": "certadm", "now": NOW, **options})
    return make_plan(files, request, replace(take_inventory(places_to_look_at(request)), stays=frozenset()))


def plan_one(archive: Archive, **options: Any) -> Plan:
    """Return the plan of restoring a single archive."""
    ((plan, _),) = plan_restore(archive, RestoreOptions(**options)).parts
    return plan


def targets(plan: Plan) -> dict[str, str | None]:
    return {step.entry.name.rpartition("\\")[2]: step.target for step in plan.steps}


def piece(size: int, data: Buffer | None) -> Chunk:
    """A piece of content: bytes, or zeros of a size."""
    return Chunk(size, data, 0)


class Reader:
    """Content without an archive: pieces by entry number, or something made from the number."""

    def __init__(self, content: dict[int, Iterable[Chunk]] | None = None) -> None:
        self.content = content or {}

    def chunks(self, entry: Entry) -> Iterator[Chunk]:
        if entry.number in self.content:
            yield from self.content[entry.number]
        elif entry.size:
            yield piece(entry.size, self.expected(entry))

    @staticmethod
    def expected(entry: Entry) -> bytes:
        return (sha256(str(entry.number).encode()).digest() * (entry.size // 32 + 1))[: entry.size]


def tree(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder with their contents."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
