"""The hot path for small entries writes the bytes of the long way, and proves nothing that the long way refuses."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

from tokar.errors import FormatError
from tokar.format.archive import Archive
from tokar.format.bodies import FileList
from tokar.format.compression import Compression
from tokar.format.entry_reader import EntryReader
from tokar.format.metadata import Head
from tokar.format.small_entry import prove_small_entry
from tokar.format.writer import ArchiveWriter
from tokar.storage.bytesource import BytesSource
from tokar.storage.sink import FileSink

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEAD = Head("2026-01-02T03:04:05.000006Z", "collected", "ese", "test 1")
CONTENTS = [b"", b"\x00" * 70, b"x", b"tokar\n" * 500, os.urandom(900)]


def archive(path: Path, add: Callable[[ArchiveWriter], object], level: int | None) -> bytes:
    writer = ArchiveWriter(
        FileSink(path, replace=True), HEAD, archive_id=bytes(range(16)), compression=Compression(level), chunk_log2=16
    )
    with writer:
        add(writer)
    return path.read_bytes()


@pytest.mark.parametrize("level", [None, 1])
@pytest.mark.parametrize("content", CONTENTS, ids=len)
def test_both_ways_write_the_same_entry(tmp_path: Path, content: bytes, level: int | None) -> None:
    def short(writer: ArchiveWriter) -> object:
        return writer.add_bytes(0x21, b"A\xff", content, encoding=932, file_list=FileList.BACKUP_LOGS, modified=-5)

    def long(writer: ArchiveWriter) -> object:
        return writer.add(
            0x21,
            b"A\xff",
            io.BytesIO(content),
            encoding=932,
            file_list=FileList.BACKUP_LOGS,
            announced_size=len(content),
            modified=-5,
        )

    first, second = archive(tmp_path / "a", short, level), archive(tmp_path / "b", long, level)
    entry = Archive(BytesSource(first)).entry(0)
    end = Archive(BytesSource(first)).end_of(entry)
    assert first[entry.file_position : end] == second[entry.file_position : end]


def one_entry(tmp_path: Path, content: bytes, level: int | None = 1) -> bytes:
    return archive(tmp_path / "one", lambda writer: writer.add_bytes(0x44, "x.edb", content, modified=7), level)


@pytest.mark.parametrize("decode", [False, True])
@pytest.mark.parametrize("content", CONTENTS, ids=len)
def test_what_was_written_is_proven(tmp_path: Path, content: bytes, *, decode: bool) -> None:
    data = one_entry(tmp_path, content)
    opened = Archive(BytesSource(data))
    entry = opened.entry(0)
    proven = prove_small_entry(
        memoryview(data)[entry.file_position : opened.end_of(entry)], entry, opened.id[:8], decode=decode
    )
    assert proven is not None
    if decode and content.strip(b"\0"):
        assert proven.content == content


@pytest.mark.parametrize("content", CONTENTS, ids=len)
def test_no_flipped_byte_is_proven(tmp_path: Path, content: bytes) -> None:
    data = one_entry(tmp_path, content)
    opened = Archive(BytesSource(data))
    entry = opened.entry(0)
    records = bytearray(data[entry.file_position : opened.end_of(entry)])
    for at in range(len(records)):
        records[at] ^= 0x40
        assert prove_small_entry(memoryview(bytes(records)), entry, opened.id[:8], decode=False) is None, at
        records[at] ^= 0x40


@examples(60)
@given(content=st.binary(max_size=400), cut=st.integers(0, 900))
def test_what_is_cut_is_not_proven(tmp_path_factory: pytest.TempPathFactory, content: bytes, cut: int) -> None:
    data = one_entry(tmp_path_factory.mktemp("cut"), content)
    opened = Archive(BytesSource(data))
    entry = opened.entry(0)
    records = memoryview(data)[entry.file_position : opened.end_of(entry)][:cut]
    whole = cut >= opened.end_of(entry) - entry.file_position
    assert (prove_small_entry(records, entry, opened.id[:8], decode=True) is not None) == whole


def test_an_index_row_that_says_otherwise_is_not_proven_and_the_long_way_says_why(tmp_path: Path) -> None:
    data = one_entry(tmp_path, b"content")
    opened = Archive(BytesSource(data))
    entry, end = opened.entry(0), opened.end_of(opened.entry(0))
    other = entry._replace(token=0x21)
    assert prove_small_entry(memoryview(data)[entry.file_position : end], other, opened.id[:8], decode=True) is None
    with pytest.raises(FormatError) as caught:
        EntryReader(BytesSource(data), opened.id[:8]).records(other, end)
    assert caught.value.rule == "INDX-2"


@pytest.mark.parametrize(("size", "is_one_piece"), [(1 << 20, True), ((1 << 20) + 1, False)])
def test_a_log_of_one_chunk_is_proven_in_one_go(tmp_path: Path, size: int, *, is_one_piece: bool) -> None:
    with ArchiveWriter(FileSink(tmp_path / "a"), HEAD, compression=Compression(None)) as writer:
        writer.add(0x21, "edb00001.log", io.BytesIO(b"x" * size))
    with Archive(tmp_path / "a") as opened:
        one = opened.entry(0)
        reader = EntryReader(opened.source, opened.id[:8])
        assert (reader.small(one, opened.end_of(one)) is not None) is is_one_piece
