"""Limits that only huge archives reach, with smaller ones in their place: the writer stops, both readers refuse."""

from __future__ import annotations

import io

import pytest
from format_tools import CHUNK, ZEROS, begun, from_the_front, from_the_tail, new_writer, opened

from tokar.errors import FormatError, InputError
from tokar.format import records


def test_the_writer_makes_no_entry_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_ENTRIES", 1)
    writer = new_writer()
    writer.add_bytes(0x21, "1", b"")
    with pytest.raises(FormatError) as caught:
        writer.add(0x21, "2", io.BytesIO())
    assert caught.value.rule == "LIM-1"


def test_the_writer_makes_no_small_entry_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_ENTRIES", 0)
    with pytest.raises(FormatError, match="entries"):
        new_writer().add_bytes(0x21, "1", b"")


def test_the_writer_makes_no_chunk_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_CHUNKS", 2)
    with new_writer() as writer:
        assert writer.add(0x21, "as many as allowed", io.BytesIO(bytes(2 * CHUNK))).size == 2 * CHUNK
    writer = new_writer()
    with pytest.raises(FormatError) as caught:
        writer.add(0x21, "one too many", io.BytesIO(bytes(2 * CHUNK + 1)))
    assert caught.value.rule == "LIM-2"
    writer.discard()


def test_the_writer_takes_larger_chunks_for_a_file_that_would_have_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_CHUNKS", 2)
    content = bytes(5 * CHUNK)
    with new_writer() as writer:
        assert writer.add(0x21, "large", io.BytesIO(content), announced_size=len(content)).size == len(content)


def test_the_writer_makes_no_record_outside_entries_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_OUTSIDE_RECORDS", 4)  # the first, and SUMM and HEAD at the end
    with new_writer() as writer:
        writer.add_extra(b"note", b"")
    writer = new_writer()
    writer.add_extra(b"note", b"")
    with pytest.raises(FormatError) as caught:
        writer.add_extra(b"note", b"")
    assert caught.value.rule == "LIM-3"


def test_the_writer_takes_no_entry_for_which_the_index_has_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_OUTSIDE_RECORDS", 5)
    monkeypatch.setattr(records, "MAX_PAGE_ENTRIES", 1)
    with new_writer() as writer:
        writer.add_bytes(0x21, "1", b"")
        writer.add_bytes(0x21, "2", b"")
    writer = new_writer()
    writer.add_bytes(0x21, "1", b"")
    end = writer.add_bytes(0x21, "2", b"").done_position + 64 + 80
    with pytest.raises(FormatError) as caught:
        writer.add_bytes(0x21, "3", b"")
    assert (caught.value.rule, caught.value.offset) == ("LIM-3", end)


def test_a_page_of_the_index_takes_the_room_of_a_record_outside_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_OUTSIDE_RECORDS", 4)
    writer = new_writer()
    writer.add_bytes(0x21, "1", b"")
    with pytest.raises(FormatError) as caught:
        writer.add_extra(b"note", b"")
    assert caught.value.rule == "LIM-3"


def test_the_writer_makes_no_archive_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = new_writer()
    writer.add_bytes(0x21, "1", b"x" * 1000)
    monkeypatch.setattr(records, "MAX_ARCHIVE_SIZE", 400)
    with pytest.raises(FormatError) as caught:
        writer.add_bytes(0x21, "2", b"")
    assert caught.value.rule == "LIM-4"


def test_a_transcript_that_is_too_long_for_a_record_is_refused_and_the_writer_goes_on() -> None:
    with new_writer() as writer:
        with pytest.raises(FormatError) as caught:
            writer.add_calls([{"call": "x" * records.MAX_JSON_SIZE}])
        writer.add_bytes(0x21, "1", b"")
    assert caught.value.rule == "REC-7"


def test_a_transcript_that_just_fits_is_accepted() -> None:
    frame = len('{"calls":[{"call":""}]}')
    archive = begun().proc("x" * (records.MAX_JSON_SIZE - frame)).finish()
    assert from_the_front(bytes(archive.data)).answer == from_the_tail(bytes(archive.data)).answer == "sealed"


def test_the_largest_head_is_accepted() -> None:
    room = records.MAX_JSON_SIZE - len(begun(annotation="").data) + 32 + 64
    archive = begun(annotation="a" * room).finish()
    assert archive.rows[0].length == records.MAX_JSON_SIZE
    assert from_the_front(bytes(archive.data)).answer == from_the_tail(bytes(archive.data)).answer == "sealed"


def test_a_head_one_byte_too_long_is_refused() -> None:
    room = records.MAX_JSON_SIZE - len(begun(annotation="").data) + 32 + 64
    archive = begun(annotation="a" * (room + 1)).finish()
    assert (from_the_front(bytes(archive.data)).rule, from_the_tail(bytes(archive.data)).rule) == ("REC-7", "REC-7")


def test_more_content_than_an_archive_may_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = begun().entry(name=b"1").file(name=b"2").chunk(bytes(CHUNK), codec=ZEROS)
    archive.fault().chunk(bytes(CHUNK), codec=ZEROS).finish()
    monkeypatch.setattr(records, "MAX_ARCHIVE_SIZE", 2 * CHUNK)
    front, tail = from_the_front(bytes(archive.data)), from_the_tail(bytes(archive.data))
    assert (front.rule, front.position) == ("LIM-4", archive.fault_position)
    assert tail.rule == "LIM-4"


def test_a_summary_that_is_too_long_is_refused_at_the_end() -> None:
    writer = new_writer()
    with pytest.raises(FormatError) as caught:
        writer.seal(notes=["n" * records.MAX_JSON_SIZE])
    assert caught.value.rule == "REC-7"
    writer.discard()


@pytest.mark.parametrize(("size", "good"), [(records.MAX_EXTRA_SIZE, True), (records.MAX_EXTRA_SIZE + 1, False)])
def test_a_lower_case_record_has_its_limit(size: int, *, good: bool) -> None:
    archive = begun().lower_case(bytes(size)).finish()
    answer = "sealed" if good else "damaged"
    assert from_the_front(bytes(archive.data)).answer == from_the_tail(bytes(archive.data)).answer == answer
    if not good:
        with pytest.raises(InputError):
            new_writer().add_extra(b"note", bytes(size))


def test_the_reader_from_the_tail_refuses_one_entry_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = begun().entry(name=b"1").entry(name=b"2").finish()
    monkeypatch.setattr(records, "MAX_ENTRIES", 1)
    with pytest.raises(FormatError) as caught:
        opened(archive)
    assert caught.value.rule == "LIM-1"


def test_the_reader_from_the_tail_never_sees_rows_beyond_the_limit() -> None:
    # LIM-3 is the limit of ROOT's length in other words.
    assert 40 + 48 * records.MAX_OUTSIDE_RECORDS == 3_145_768


def test_a_file_of_the_largest_chunks_is_read_by_both() -> None:
    archive = begun().file(chunk_log2=24).chunk(bytes(1 << 24), codec=ZEROS).chunk(b"x").finish()
    assert from_the_front(bytes(archive.data)).answer == from_the_tail(bytes(archive.data)).answer == "sealed"
