from __future__ import annotations

import random
import subprocess
import sys
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sweeps import examples

from tokar.ese.checkpoint import Checkpoint
from tokar.ese.checksum import with_header_checksum
from tokar.ese.database import PAGE_SIZES, DatabaseHeader, DatabaseState
from tokar.ese.flushmap import FlushMap
from tokar.ese.identify import HEAD_SIZE, FileKind, Identity, has_pages, has_segments, identify, looks_like_ese
from tokar.ese.log import LogHeader
from tokar.ese.values import LogPosition, Signature
from tokar.storage.bytesource import BytesSource

DATABASE = DatabaseHeader(log_signature=Signature(random=2))
LOG = LogHeader(generation=0x51, signature=Signature(random=2))
CHECKPOINT = Checkpoint(checkpoint=LogPosition(generation=9), signature=Signature(random=2))
FILL = b"".join(bytes([(0xDA + 16 * line) & 0xFF]) + b"\xda" * 15 for line in range(16))


def database(header: DatabaseHeader = DATABASE) -> bytes:
    return header.build() * 2 + bytes(header.page_size * 2)


def old_log(values: dict[int, int]) -> bytes:
    data = bytearray(b"\xa5" * 8000)
    for offset, value in values.items():
        data[offset : offset + 4] = value.to_bytes(4, "little")
    return bytes(data)


def typed(file_type: int, size: int = 4096) -> bytes:
    body = bytearray(size)
    body[667:671] = file_type.to_bytes(4, "little")
    return with_header_checksum(bytes(body))


def identified(data: bytes | bytearray) -> Identity:
    return identify(BytesSource(data))


KNOWN = {
    "database": (database(), FileKind.DATABASE),
    "database of 32 KiB pages": (database(replace(DATABASE, raw_page_size=32768)), FileKind.DATABASE),
    "log": (LOG.build() + bytes(61440), FileKind.LOG),
    "log without a file type": (replace(LOG, major=7, minor=3704, file_type=0).build(), FileKind.LOG),
    "checkpoint": (CHECKPOINT.build() * 2, FileKind.CHECKPOINT),
    "checkpoint without a file type": (replace(CHECKPOINT, file_type=0).build() * 2, FileKind.CHECKPOINT),
    "flush map": (FlushMap().build() + bytes(8192), FileKind.FLUSH_MAP),
    "streaming file": (database(replace(DATABASE, attribute=1, file_type=2)), FileKind.STREAMING_FILE),
    "temporary database": (
        database(replace(DATABASE, file_type=5, log_signature=Signature())),
        FileKind.TEMPORARY_DATABASE,
    ),
    "trace": (typed(6), FileKind.TRACE),
    "block cache": (typed(8), FileKind.BLOCK_CACHE),
    "revert snapshot": (typed(10, 8192), FileKind.REVERT_SNAPSHOT),
    "revert checkpoint": (typed(11), FileKind.REVERT_CHECKPOINT),
    "zeros": (bytes(65536), FileKind.RESERVE),
    "fill pattern": (FILL * 512, FileKind.RESERVE),
    "JET 500 log": (old_log({24: 4, 28: 909, 32: 0}), FileKind.LOG),
    "JET 400 log": (old_log({20: 443, 24: 0, 28: 0}), FileKind.LOG),
    "JET 200 log": (old_log({44: 0, 48: 0x0CA0001}), FileKind.LOG),
    "ESE97 log": (replace(LOG, major=6, minor=1518, file_type=0).build(), FileKind.LOG),
}


@pytest.mark.parametrize("name", KNOWN)
def test_every_kind_is_told_from_content(name: str) -> None:
    data, kind = KNOWN[name]
    identity = identified(data)
    assert identity.kind is kind
    assert not identity.damaged


@pytest.mark.parametrize("name", KNOWN)
def test_the_cheap_test_passes_every_kind(name: str) -> None:
    data, _ = KNOWN[name]
    assert looks_like_ese(data[:HEAD_SIZE], len(data))
    assert looks_like_ese(memoryview(data), len(data))
    assert looks_like_ese(bytearray(data), len(data))


def test_a_log_tells_its_generation_page_size_and_stream() -> None:
    identity = identified(replace(LOG, raw_page_size=32768).build())
    assert identity.generation == 0x51
    assert identity.page_size == 32768
    assert identity.log_signature == Signature(random=2)
    assert isinstance(identity.header, LogHeader)


def test_a_database_tells_its_page_size_and_stream() -> None:
    identity = identified(database(replace(DATABASE, raw_page_size=8192)))
    assert identity.page_size == 8192
    assert identity.log_signature == Signature(random=2)
    assert isinstance(identity.header, DatabaseHeader)


@pytest.mark.parametrize("page_size", PAGE_SIZES)
@pytest.mark.parametrize("filler", [b"\0", b"\xee"])
def test_a_database_without_its_first_copy_is_recognised(page_size: int, filler: bytes) -> None:
    data = bytearray(database(replace(DATABASE, raw_page_size=page_size)))
    data[:page_size] = filler * page_size
    assert looks_like_ese(data[:HEAD_SIZE], len(data))
    identity = identified(data)
    assert identity.kind is FileKind.DATABASE
    assert "second was used" in identity.note


def test_a_database_with_both_copies_damaged_is_a_damaged_database() -> None:
    data = bytearray(database())
    data[99] ^= 1
    data[4096 + 99] ^= 1
    identity = identified(data)
    assert identity.kind is FileKind.DATABASE
    assert identity.damaged
    assert identity.header is None
    assert "checksum" in identity.note


def test_a_database_of_an_older_engine_is_named_and_not_called_damaged() -> None:
    identity = identified(database(replace(DATABASE, version=0x500)))
    assert identity.kind is FileKind.DATABASE
    assert not identity.damaged
    assert "JET 500" in identity.note


def test_a_just_created_database_outside_any_log_stream_is_temporary() -> None:
    header = DatabaseHeader(raw_state=DatabaseState.JUST_CREATED)
    assert identified(database(header)).kind is FileKind.TEMPORARY_DATABASE


def test_a_just_created_database_of_a_log_stream_is_a_database() -> None:
    assert identified(database(replace(DATABASE, raw_state=DatabaseState.JUST_CREATED))).kind is FileKind.DATABASE


def test_a_log_with_a_damaged_header_is_a_damaged_log_without_generation() -> None:
    data = bytearray(LOG.build())
    data[4] ^= 1
    identity = identified(data)
    assert identity.kind is FileKind.LOG
    assert identity.damaged
    assert identity.generation is None


def test_a_log_of_an_unknown_format_is_named_and_not_called_damaged() -> None:
    identity = identified(replace(LOG, major=9).build())
    assert identity.kind is FileKind.LOG
    assert not identity.damaged
    assert "9.4000" in identity.note


def test_an_old_log_is_named() -> None:
    identity = identified(KNOWN["JET 500 log"][0])
    assert "JET 500 (Windows NT 4)" in identity.note
    assert identity.generation is None


def test_a_whole_exchange_55_log_tells_its_generation() -> None:
    assert identified(KNOWN["ESE97 log"][0]).generation == 0x51


def test_a_checkpoint_with_a_torn_first_copy_is_recognised() -> None:
    data = bytearray(CHECKPOINT.build() * 2)
    data[:512] = bytes(512)
    identity = identified(data)
    assert identity.kind is FileKind.CHECKPOINT
    assert "second was used" in identity.note


def test_a_checkpoint_whose_first_copy_is_gone_is_recognised() -> None:
    identity = identified(bytes(4096) + CHECKPOINT.build())
    assert identity.kind is FileKind.CHECKPOINT


def test_an_empty_file_is_unknown_and_says_why() -> None:
    identity = identified(b"")
    assert identity.kind is FileKind.UNKNOWN
    assert identity.note.startswith("empty")
    assert not looks_like_ese(b"", 0)


def test_zeros_with_anything_behind_them_are_no_reserve_log() -> None:
    assert identified(bytes(65535) + b"x").kind is FileKind.UNKNOWN


def test_the_fill_pattern_with_anything_else_in_it_is_no_reserve_log() -> None:
    data = bytearray(FILL * 512)
    data[70000] ^= 1
    assert identified(data).kind is FileKind.UNKNOWN


class EndlessZeros:
    """A sparse file far larger than any log; reading it to its end would take minutes."""

    size = 1 << 50

    def __init__(self) -> None:
        self.bytes_read = 0

    def read(self, offset: int, size: int) -> bytes:
        assert offset < self.size
        self.bytes_read += size
        return bytes(size)


def test_a_huge_file_of_zeros_is_not_read_to_its_end() -> None:
    source = EndlessZeros()
    assert identify(source).kind is FileKind.UNKNOWN
    assert source.bytes_read < 1 << 20


@pytest.mark.parametrize(
    "data",
    [
        b"MZ" + random.Random(1).randbytes(50000),
        b"%PDF-1.7\n" * 1000,
        bytes(20) + b"text",
        typed(12),
        typed(3)[:-1] + b"x",
        typed(4)[:-1] + b"x",
        typed(7, 8192)[:-1] + b"x",
        typed(9)[:-1] + b"x",
        b"x" * 8192,
    ],
)
def test_other_files_are_unknown_and_say_why(data: bytes) -> None:
    identity = identified(data)
    assert identity.kind is FileKind.UNKNOWN
    assert identity.note


@pytest.mark.parametrize("data", [b"MZ" + b"\xa5" * 50000, b"text " * 9000, b"x" * 2047])
def test_the_cheap_test_turns_hopeless_files_away(data: bytes) -> None:
    assert not looks_like_ese(data[:HEAD_SIZE], len(data))


def test_the_cheap_test_never_says_no_to_what_it_cannot_see() -> None:
    assert looks_like_ese(b"x" * 600, 4096)


@examples(150)
@given(
    st.sampled_from(sorted(KNOWN)),
    st.lists(st.tuples(st.integers(0, 9000), st.binary(max_size=8)), max_size=4),
    st.integers(0, 70000),
)
@example("database", [], 0)
def test_the_cheap_test_has_no_false_negatives_and_nothing_crashes(
    name: str, changes: list[tuple[int, bytes]], size: int
) -> None:
    data = bytearray(KNOWN[name][0])
    for offset, change in changes:
        data[offset : offset + len(change)] = change
    data = data[:size]
    identity = identified(data)
    if identity.kind is not FileKind.UNKNOWN:
        assert looks_like_ese(data[:HEAD_SIZE], len(data))


@examples(100)
@given(st.binary(max_size=9000))
def test_no_bytes_can_make_it_crash(data: bytes) -> None:
    assert identified(data).kind in FileKind


def test_importing_it_loads_neither_construct_nor_numpy() -> None:
    script = (
        "import sys, tokar.ese.identify, tokar.ese.filenames; print('construct' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("file_type", range(12))
def test_content_behind_a_whole_header_without_a_file_type_is_not_taken_for_one(file_type: int) -> None:
    header = replace(LOG, major=7, minor=3704, file_type=0).build()
    content = bytearray(4096)
    content[667:671] = file_type.to_bytes(4, "little")
    found = identified(header + bytes(content))
    assert found.kind is FileKind.LOG
    assert found.generation == LOG.generation


class Zeros:
    """A sparse file of 16 GiB."""

    size = 1 << 34

    def read(self, _offset: int, size: int) -> bytes:
        return bytes(size)


def test_to_look_for_pages_takes_the_same_memory_for_any_size() -> None:
    tracemalloc.start()
    try:
        assert not has_pages(Zeros())
        assert not has_segments(Zeros())
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
