"""From what a good fixture says, the writer makes the fixture again, byte for byte."""

from __future__ import annotations

import io
from datetime import datetime

import pytest
from conformance_cases import Expectation, join, names, split

from tokar.format import records
from tokar.format.archive import Archive
from tokar.format.compression import Compression
from tokar.format.metadata import parse_calls
from tokar.format.scanner import EntryBegun, EntryEnded, RecordRead, Scan
from tokar.format.writer import ArchiveWriter
from tokar.storage.bytesource import BytesSource

# What the writer has no reason to do: keys of PROC that nobody knows, frames of its own making, zeros as they
# are, chunks of several sizes, records after ROOT.
OTHER_WAYS = {
    "good-codecs-mixed",
    "good-incomplete",
    "good-lower-case-after-root",
    "good-lower-case-after-root-longest",
    "good-keys-malformed",
    "good-proc-values",
    *names("good-sign"),
    "good-zeros-largest-chunk",
    "good-zeros-stored",
    *names("good-zstd"),
}


class KeepingSink:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, parts: object) -> None:
        for part in parts:  # type: ignore[attr-defined]
            self.data += part

    def commit(self) -> None:
        pass

    def discard(self) -> None:
        pass


def written_again(data: bytes) -> bytes:
    """Read an archive from the front, and write what comes."""
    archive = Archive(BytesSource(data))
    summary = archive.summary
    sink = KeepingSink()
    finished = datetime.fromisoformat(summary.finished)
    writer = ArchiveWriter(
        sink, archive.head, archive_id=archive.id, compression=Compression(None), chunk_log2=16, clock=lambda: finished
    )
    file = None
    for event in Scan(io.BytesIO(data), decode=True):
        if isinstance(event, EntryBegun):
            file = event.file
        elif isinstance(event, EntryEnded):
            assert file is not None
            content = io.BytesIO(archive.read(event.entry))
            writer.add(
                file.token,
                file.name,
                content,
                encoding=file.encoding,
                file_list=file.file_list,
                announced_size=file.announced_size,
                modified=file.modified,
            )
        elif isinstance(event, RecordRead) and event.head.kind == records.PROC:
            writer.add_calls(parse_calls(bytes(event.body), position=0))
        elif isinstance(event, RecordRead) and event.head.is_extra:
            writer.add_extra(event.head.kind, bytes(event.body))
    writer.seal(outcome=summary.outcome, **summary.extra)
    return bytes(sink.data)


@pytest.mark.parametrize("name", [name for name in names("good-") if name not in OTHER_WAYS])
def test_the_writer_makes_the_fixture_again(name: str) -> None:
    data = Expectation.load(name).data
    assert written_again(data) == data


def test_what_the_writer_does_otherwise_is_still_the_same_to_a_reader() -> None:
    for name in OTHER_WAYS - {"good-incomplete"}:
        case = Expectation.load(name)
        again = Archive(BytesSource(written_again(_without_the_end(case.data))))
        assert [entry.digest.hex() for entry in again] == [entry["digest"] for entry in case.entries], name


def _without_the_end(data: bytes) -> bytes:
    """Leave out lower-case records after ROOT, which the writer does not make."""
    parts = split(data)
    root = next(at for at, part in enumerate(parts) if part.kind == b"ROOT")
    if len(parts) == root + 2:
        return data
    return join(data[:32], [*parts[: root + 1], parts[-1]], derive=True)
