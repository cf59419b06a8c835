"""What reading, decoding and playing log records costs, as ratios to reading the same logs.

    python benchmarks/replay.py [--logs N] [--rounds N] [--samples DIR]

Logs of 1 MiB are made: transactions of inserts, diffs, deletes and new pages, in the sizes and shares of real ones; or
the logs in a folder are taken. Each step includes those before it: the bytes alone, their checksums, the places of all
records with the proof that they fill the logs, the records as objects, and these played on a database that they make
from nothing. The best round counts, in processor time, of which other programs take none.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tokar.errors import FormatError
from tokar.ese.attachment import Attachment
from tokar.ese.log import SEGMENT_SIZE, LogHeader
from tokar.ese.logrecords import OutermostBeginRecord, OutermostCommitRecord
from tokar.ese.page import seal_segment
from tokar.ese.pagerecords import InsertRecord, NodeRecord, ReplaceRecord, SingleExtentRecord
from tokar.ese.values import LogPosition, Signature
from tokar.replay.pagestore import PageStore
from tokar.replay.player import Played, Player
from tokar.replay.redo import Bounds, PageRedo
from tokar.replay.stream import RecordStream, check_log
from tokar.storage.bytesource import FileSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

DATABASE = Signature(random=1)
STREAM = Signature(random=2)
PER_PAGE = 24
SECTORS = 256


def transactions() -> Iterator[list[bytes]]:
    """Yield the records of transactions: a page comes to be, gets nodes, a few are changed, flagged and removed."""
    chance, dbtime, page = random.Random(1), 1, 1
    while True:
        page += 1
        nil = 0xFFFFFFFFFFFFFFFF
        head = (5, 1, page)
        made = [OutermostBeginRecord(8, 5, 0x10, page).pack()]
        dbtime += 1
        made.append(SingleExtentRecord(25, *head, dbtime, nil, page, 1, 0, 4, 9, 1, 1, 0).pack())
        for line in range(PER_PAGE):
            key, data = line.to_bytes(4, "big") * 3, chance.randbytes(chance.randrange(20, 90))
            node = (dbtime + 1, dbtime, page, 1, line, 5, dbtime, page, 9)
            made.append(InsertRecord(29, *head, *node, len(key), 0, len(data), b"", key, data).pack())
            dbtime += 1
            if line % 4 == 1:
                node = (dbtime + 1, dbtime, page, 1, line, 5, dbtime, page, 9)
                diff = b"\x02\x20\x04" + chance.randbytes(4)
                made.append(ReplaceRecord(34, *head, *node, len(diff), len(data), len(data), diff).pack())
                dbtime += 1
        for line in range(PER_PAGE - 1, PER_PAGE - 5, -1):
            for kind in (32, 35):
                made.append(NodeRecord(kind, *head, dbtime + 1, dbtime, page, 1, line, 5, dbtime, page, 9).pack())
                dbtime += 1
        made.append(OutermostCommitRecord(9, 5, 0, page).pack())
        yield made


def make_logs(folder: Path, count: int) -> None:
    """Write logs of 1 MiB."""
    records = (one for made in transactions() for one in made)
    waiting = next(records)
    attachment = Attachment(dbid=1, path="a.edb", signature=DATABASE)
    area = attachment.pack().ljust(2048, b"\0")
    for generation in range(1, count + 1):
        header = LogHeader(generation=generation, sectors=SECTORS, signature=STREAM, attachment_area=area)
        body = bytearray()
        for number in range(1, SECTORS - 1):
            segment = bytearray(bytes(8) + LogPosition(generation=generation, sector=number).pack() + bytes(24))
            while len(segment) + len(waiting) <= SEGMENT_SIZE:
                segment += waiting
                waiting = next(records)
            body += seal_segment(bytes(segment.ljust(SEGMENT_SIZE, b"\0")), number)
        (folder / f"edb{generation:05X}.log").write_bytes((header.build() + body).ljust(header.file_size, b"\0"))


def best(work: Callable[[], object], rounds: int) -> float:
    """The least processor time of some rounds."""
    found = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def play(sources: Sequence[FileSource], headers: Sequence[LogHeader]) -> tuple[int, int]:
    """Play logs on a database that they make; return how many records there were, and changes of pages."""
    with PageStore(None, headers[0].page_size) as store:
        redo = PageRedo(store, Bounds(-1, 1 << 63))
        played = {one.signature.pack(): Played(redo) for one in headers[0].attachments}
        player = Player(played, headers[0].attachments)
        for source, header in zip(sources, headers, strict=True):
            for position, record in RecordStream(source, header):
                player.feed(position, record)
        return player.records.total(), redo.applied.total()


def measure(folder: Path, rounds: int) -> None:
    sources = [FileSource(path) for path in folder.glob("*.log")]
    sources.sort(key=lambda source: LogHeader.read(source).generation)
    headers = [LogHeader.read(source) for source in sources]
    size = sum(source.size for source in sources)
    both = [*zip(sources, headers, strict=True)]
    steps: dict[str, Callable[[], object]] = {
        "read": lambda: [source.read(0, source.size) for source in sources],
        "checksums": lambda: [check_log(*one) for one in both],
        "places": lambda: sum(1 for one in both for _ in RecordStream(*one).tiles()),
        "records": lambda: sum(1 for one in both for _ in RecordStream(*one)),
    }
    peer = 0.0
    for name, work in steps.items():
        seconds = best(work, rounds)
        peer = peer or seconds
        print(f"{name:<10} {size / seconds / 1e6:8.1f} MB/s   {seconds / peer:7.1f} x reading", flush=True)
    try:
        records, changes = play(sources, headers)
    except FormatError as error:
        print(f"played     not: {error}")
        return
    seconds = best(lambda: play(sources, headers), rounds)
    print(f"played     {size / seconds / 1e6:8.1f} MB/s   {seconds / peer:7.1f} x reading")
    rates = f"{records / seconds:,.0f} records and {changes / seconds:,.0f} changes a second"
    print(f"{len(sources)} logs, {size:,} bytes, {rates}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=int, default=10, help="how many logs of 1 MiB to make")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=Path, help="a folder with logs of one stream, to take in their place")
    arguments = parser.parse_args()
    if arguments.samples is not None:
        if not any(arguments.samples.glob("*.log")):
            parser.error("there are no logs in that folder itself")
        measure(arguments.samples, arguments.rounds)
        return
    with tempfile.TemporaryDirectory() as name:
        make_logs(Path(name), arguments.logs)
        measure(Path(name), arguments.rounds)


if __name__ == "__main__":
    main()
