from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokar.errors import FormatError
from tokar.format.bodies import DoneRecord, FileList, FileRecord

DIGEST, FILE_CHECK = b"d" * 32, b"f" * 32


def done(content_size: int, chunks: int) -> DoneRecord:
    return DoneRecord(7, content_size, DIGEST, FILE_CHECK, list(range(16, 16 + chunks)), bytes(range(32)) * chunks)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, (1 << 64) - 1), st.integers(0, 40))
def test_a_record_comes_back(content_size: int, chunks: int) -> None:
    record = done(content_size, chunks)
    parsed = DoneRecord.parse(record.build(), entry=7, position=0)
    assert parsed.build() == record.build()
    assert (parsed.chunk_count, parsed.content_size) == (chunks, content_size)
    assert list(parsed.data_lengths) == list(record.data_lengths)


def test_the_bytes_are_those_of_the_specification() -> None:
    expected = (
        bytes.fromhex("07000000 01000000 0600000000000000")
        + DIGEST
        + FILE_CHECK
        + bytes.fromhex("10000000")
        + bytes(range(32))
    )
    assert done(6, 1).build() == expected


@pytest.mark.parametrize("entry", [0, 6, 8])
def test_a_record_of_another_entry_is_refused(entry: int) -> None:
    with pytest.raises(FormatError) as caught:
        DoneRecord.parse(done(6, 1).build(), entry=entry, position=99)
    assert (caught.value.rule, caught.value.offset) == ("DONE-1", 99)


@pytest.mark.parametrize("change", [-36, -1, 1, 36])
def test_a_record_of_another_length_is_refused(change: int) -> None:
    body = done(6, 2).build()
    body = body[:change] if change < 0 else body + bytes(change)
    with pytest.raises(FormatError) as caught:
        DoneRecord.parse(body, entry=7, position=99)
    assert caught.value.rule == "DONE-1"


def file(announced_size: int | None, *, incomplete: bool) -> FileRecord:
    return FileRecord(7, 0, 0x21, FileList.BY_HAND, announced_size, None, incomplete, 16, b"x")


@pytest.mark.parametrize(("content_size", "chunks"), [(0, 0), (1, 1), (65536, 1), (65537, 2), (131072, 2)])
def test_a_size_that_fits_its_chunks_is_accepted(content_size: int, chunks: int) -> None:
    done(content_size, chunks).demand_shape(file(content_size, incomplete=False), position=99)


@pytest.mark.parametrize(("content_size", "chunks"), [(0, 1), (1, 0), (65536, 2), (65537, 1), ((1 << 64) - 1, 1)])
def test_a_size_that_does_not_fit_its_chunks_is_refused(content_size: int, chunks: int) -> None:
    with pytest.raises(FormatError) as caught:
        done(content_size, chunks).demand_shape(file(None, incomplete=True), position=99)
    assert (caught.value.rule, caught.value.offset) == ("DONE-3", 99)


@pytest.mark.parametrize("announced", [0, 5, 7])
def test_a_size_other_than_announced_is_refused(announced: int) -> None:
    with pytest.raises(FormatError, match=f"{announced} were announced") as caught:
        done(6, 1).demand_shape(file(announced, incomplete=False), position=99)
    assert caught.value.rule == "DONE-4"


@pytest.mark.parametrize("announced", [None, 5])
def test_incomplete_content_may_have_any_size(announced: int | None) -> None:
    done(6, 1).demand_shape(file(announced, incomplete=True), position=99)
