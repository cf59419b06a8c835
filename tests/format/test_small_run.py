"""A run that was packed apart makes the archive that adding its files one by one makes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tokar.errors import InputError
from tokar.format import records
from tokar.format.compression import Compression
from tokar.format.ledger import RunSizes, RunStart
from tokar.format.metadata import Head
from tokar.format.writer import ArchiveWriter
from tokar.storage.sink import FileSink

if TYPE_CHECKING:
    from pathlib import Path

HEAD = Head("2026-01-02T03:04:05.000006Z", "collected", "ese", "test 1")
END = datetime(2026, 1, 2, tzinfo=UTC)
CONTENTS = [b"", bytes(70), b"x", b"tokar\n" * 500, bytes(range(256)) * 3]


def new_writer(path: Path, level: int | None = None) -> ArchiveWriter:
    return ArchiveWriter(
        FileSink(path), HEAD, archive_id=bytes(range(16)), compression=Compression(level), clock=lambda: END
    )


def add_as_run(writer: ArchiveWriter, *names: str) -> int:
    run = writer.new_run(writer.entry_count)
    for name, content in zip(names, CONTENTS, strict=False):
        run.add(writer.file_record(0x21, name, announced_size=len(content), modified=7, number=run.next), content)
    assert writer.takes_run(writer.run_start, run.sizes)
    return writer.add_run(run.pack(writer.run_start))


@pytest.mark.parametrize("level", [None, 1])
def test_a_run_becomes_the_records_of_its_files(tmp_path: Path, level: int | None) -> None:
    for path in (tmp_path / "one by one", tmp_path / "as a run"):
        with new_writer(path, level) as writer:
            writer.add_bytes(0x44, "before", b"before")
            if path.name == "as a run":
                assert add_as_run(writer, *"vwxyz") == len(CONTENTS)
            else:
                for name, content in zip("vwxyz", CONTENTS, strict=True):
                    writer.add_bytes(0x21, name, content, modified=7)
            writer.add_bytes(0x44, "after", b"after")
    assert (tmp_path / "one by one").read_bytes() == (tmp_path / "as a run").read_bytes()


def test_a_name_that_is_there_already_stops_the_writer(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "a")
    writer.add_bytes(0x21, "y", b"")
    assert add_as_run(writer, "x", "y", "z") == 1
    with pytest.raises(InputError, match="the archive is broken"):
        writer.seal()
    writer.discard()
    assert not (tmp_path / "a").exists()


def test_a_name_that_comes_twice_in_a_run_stops_the_writer(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "a")
    assert add_as_run(writer, "x", "y", "x") == 2
    with pytest.raises(InputError, match="the archive is broken"):
        writer.add_bytes(0x21, "z", b"")
    writer.discard()


@pytest.mark.parametrize(
    ("start", "sizes"),
    [
        (RunStart(records.MAX_PAGE_ENTRIES - 1, 0, 0), RunSizes(2, 0, 2, 0)),
        (RunStart(0, 0, records.MAX_PAGE_NAMES - 1), RunSizes(1, 0, 2, 0)),
        (RunStart(0, records.MAX_ARCHIVE_SIZE >> 1, 0), RunSizes(1, 1, 1, 0)),
    ],
    ids=["entries", "names", "size"],
)
def test_a_run_is_not_taken_over_a_limit(tmp_path: Path, start: RunStart, sizes: RunSizes) -> None:
    writer = new_writer(tmp_path / "a")
    assert not writer.takes_run(start, sizes)
    assert writer.takes_run(RunStart(0, 0, 0), sizes)
    writer.discard()


def test_no_run_is_taken_where_records_outside_entries_come_to_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = new_writer(tmp_path / "a")
    monkeypatch.setattr(records, "MAX_OUTSIDE_RECORDS", 4)
    assert not writer.takes_run(writer.run_start, RunSizes(1, 1, 1, 1))
    writer.discard()


def test_a_name_that_no_entry_has_is_refused_before_it_is_in_a_run(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "a")
    with pytest.raises(InputError, match="a name of 0 bytes"):
        writer.file_record(0x21, "", announced_size=0, modified=None)
    writer.discard()
