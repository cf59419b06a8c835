"""The preamble and the bodies of FILE, DATA, DONE, ROOT and TAIL: built, read back, and refused."""

from __future__ import annotations

from typing import Any

import pytest
from format_tools import pattern, rle_block, zstd_frame
from hypothesis import given, settings
from hypothesis import strategies as st
from sweeps import examples

from tokar.errors import BadMagicError, FormatError, UnsealedError, UnsupportedError
from tokar.format import bodies
from tokar.format.bodies import (
    DATA_PACKER,
    FILE_PACKER,
    Codec,
    DataRecord,
    DoneRecord,
    FileList,
    FileRecord,
    Preamble,
    Root,
    Tail,
    parse_data,
)
from tokar.format.compression import check_frame, decode_content
from tokar.format.records import RecordHead

ARCHIVE_ID = bytes(range(16))
BUILT_PREAMBLE = Preamble(ARCHIVE_ID).build()


@given(st.binary(min_size=16, max_size=16))
def test_an_id_comes_back(archive_id: bytes) -> None:
    assert Preamble.parse(Preamble(archive_id).build()) == Preamble(archive_id)


def test_the_bytes_of_the_preamble_are_those_of_the_specification() -> None:
    assert len(BUILT_PREAMBLE) == bodies.PREAMBLE_SIZE == 32
    assert BUILT_PREAMBLE[:12] == bytes.fromhex("89544b520d0a1a0a 0100 0000")
    assert BUILT_PREAMBLE[16:] == ARCHIVE_ID


def test_the_tag_is_the_first_half_of_the_id() -> None:
    assert Preamble(ARCHIVE_ID).tag == ARCHIVE_ID[:8]


@pytest.mark.parametrize("size", range(8))
def test_less_than_the_magic_is_no_archive(size: int) -> None:
    with pytest.raises(BadMagicError):
        Preamble.parse(BUILT_PREAMBLE[:size])


@pytest.mark.parametrize("size", range(8, 32))
def test_a_cut_preamble_is_unsealed(size: int) -> None:
    with pytest.raises(UnsealedError) as caught:
        Preamble.parse(BUILT_PREAMBLE[:size])
    assert (caught.value.rule, caught.value.offset) == ("STATE-1", 0)


@pytest.mark.parametrize("major", [0, 2, 0x100, 0xFFFF])
@pytest.mark.parametrize("size", [10, 20, 32])
def test_another_major_version_is_unsupported_whatever_follows(major: int, size: int) -> None:
    with pytest.raises(UnsupportedError, match=str(major)) as caught:
        Preamble.parse((BUILT_PREAMBLE[:8] + major.to_bytes(2, "little") + b"\xff" * 22)[:size])
    assert caught.value.rule == "PRE-2"


@pytest.mark.parametrize("position", range(32))
def test_every_flipped_bit_is_found(position: int) -> None:
    for bit in range(8):
        spoilt = bytearray(BUILT_PREAMBLE)
        spoilt[position] ^= 1 << bit
        with pytest.raises(FormatError) as caught:
            Preamble.parse(bytes(spoilt))
        expected = (
            {"PRE-1"} if position < 8 else {"PRE-2"} if position < 10 else {"PRE-3"} if position < 12 else {"PRE-4"}
        )
        assert caught.value.rule in expected


def test_a_reserved_byte_is_judged_when_the_field_is_complete() -> None:
    with pytest.raises(UnsealedError):
        Preamble.parse(BUILT_PREAMBLE[:10] + b"\x01")
    with pytest.raises(FormatError, match="reserved"):
        Preamble.parse(BUILT_PREAMBLE[:10] + b"\x01\x00")


@settings(max_examples=100)
@given(st.binary(max_size=40))
def test_any_bytes_give_a_typed_error_or_an_id(data: bytes) -> None:
    for start in (b"", BUILT_PREAMBLE[:8], BUILT_PREAMBLE[:10], BUILT_PREAMBLE[:12]):
        with pytest.raises(FormatError):
            Preamble.parse(start + data)


PLAIN = FileRecord(3, 65001, 0x21, FileList.BACKUP_LOGS, 6, -1, False, 20, b"E.LOG")
U16, U32, U64 = (st.integers(0, (1 << bits) - 1) for bits in (16, 32, 64))
RECORDS = st.builds(
    FileRecord,
    U32,
    U16,
    st.integers(0, 255),
    st.sampled_from(FileList),
    st.none() | U64,
    st.none() | st.integers(-(1 << 63), (1 << 63) - 1),
    st.booleans(),
    st.integers(16, 24),
    st.binary(min_size=1, max_size=80),
    stream=st.just(0),
)


def spoilt(**fields: Any) -> bytes:
    values = dict(zip(FILE_PACKER.fields, FILE_PACKER.unpack(PLAIN.build()), strict=True))
    values.update(fields)
    return FILE_PACKER.pack(*values.values()) + PLAIN.name


def rule_of_file(body: bytes, entry: int = 3) -> str | None:
    with pytest.raises(FormatError) as caught:
        FileRecord.parse(body, entry=entry, position=99)
    assert caught.value.offset == 99
    return caught.value.rule


@examples(150)
@given(RECORDS)
def test_a_file_record_comes_back(record: FileRecord) -> None:
    assert FileRecord.parse(record.build(), entry=record.entry, position=0) == record


@examples(150)
@given(st.binary(min_size=33, max_size=60))
def test_any_body_is_refused_or_comes_back(body: bytes) -> None:
    try:
        record = FileRecord.parse(body, entry=int.from_bytes(body[:4], "little"), position=0)
    except FormatError:
        return
    assert record.build() == body


def test_the_bytes_of_file_are_those_of_the_specification() -> None:
    expected = "03000000 e9fd 21 02 0600000000000000 ffffffffffffffff 0300 14 00 00000000"
    assert PLAIN.build() == bytes.fromhex(expected) + b"E.LOG"


def test_the_longest_name_comes_back() -> None:
    record = FileRecord(0, 0, 0, FileList.BY_HAND, None, None, False, 16, b"n" * 0xFFFF)
    assert FileRecord.parse(record.build(), entry=0, position=0) == record


def test_times_and_sizes_of_zero_are_not_absent() -> None:
    record = FileRecord(0, 0, 0, FileList.BY_HAND, 0, 0, False, 16, b"x")
    parsed = FileRecord.parse(record.build(), entry=0, position=0)
    assert (parsed.announced_size, parsed.modified) == (0, 0)


@pytest.mark.parametrize("number", [0, 2, 4, (1 << 32) - 1])
def test_another_number_is_refused(number: int) -> None:
    assert rule_of_file(PLAIN.build(), entry=number) == "FILE-1"


@pytest.mark.parametrize(
    "fields", [{"list": 4}, {"list": 255}, {"chunk_log2": 15}, {"chunk_log2": 25}, {"flags": 8}, {"flags": 0x8003}]
)
def test_a_field_out_of_range_is_refused(fields: dict[str, int]) -> None:
    assert rule_of_file(spoilt(**fields)) == "FILE-3"


@pytest.mark.parametrize("fields", [{"zero": 1}, {"stream": 1}, {"flags": 1}, {"flags": 2}, {"flags": 0}])
def test_a_field_that_must_be_zero_and_is_not_is_refused(fields: dict[str, int]) -> None:
    assert rule_of_file(spoilt(**fields)) == "FILE-4"


CHUNK_SIZE = 4096


def parse(body: bytes, *, entry: int = 1, chunk: int = 2) -> DataRecord:
    return parse_data(body, entry=entry, chunk=chunk, chunk_size=CHUNK_SIZE, position=99)


def rule_of_data(body: bytes, *, entry: int = 1, chunk: int = 2) -> str | None:
    with pytest.raises(FormatError) as caught:
        parse(body, entry=entry, chunk=chunk)
    assert caught.value.offset == 99
    return caught.value.rule


def body_of(size: int, codec: int, stored: bytes, *, zero: bytes = bytes(3)) -> bytes:
    return stored + DATA_PACKER.pack(1, 2, size, codec, zero)


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=100))
def test_stored_content_comes_back(stored: bytes) -> None:
    body = body_of(len(stored), Codec.STORED, stored)
    found = decode_content(parse(body), body, position=99)
    assert found is not None
    assert bytes(found) == stored


def test_zeros_have_no_bytes() -> None:
    body = body_of(CHUNK_SIZE, Codec.ZEROS, b"")
    assert decode_content(parse(body), body, position=99) is None


def test_a_frame_is_decompressed() -> None:
    body = body_of(1000, Codec.ZSTD, zstd_frame(1000, rle_block(b"z", 1000)))
    assert decode_content(parse(body), body, position=99) == b"z" * 1000


def test_the_fields_are_those_of_the_specification() -> None:
    assert DataRecord(1, 2, 6, Codec.ZSTD).build() == bytes.fromhex("01000000 02000000 06000000 01 000000")


def test_stored_bytes_and_fields_come_apart() -> None:
    body = b"stored" + DataRecord(1, 2, 6, Codec.STORED).build()
    assert bytes(bodies.stored_bytes(body)) == b"stored"
    assert bodies.data_fields(body) == ((1, 2, 6, 0), bytes(3))


def test_content_of_a_body_in_a_larger_buffer_is_not_copied() -> None:
    body = memoryview(body_of(8, Codec.STORED, pattern(8)))
    found = decode_content(parse_data(body, entry=1, chunk=2, chunk_size=8, position=0), body, position=0)
    assert isinstance(found, memoryview)


@pytest.mark.parametrize(("entry", "chunk"), [(0, 2), (2, 2), (1, 1), (1, 3)])
def test_a_chunk_of_another_place_is_refused(entry: int, chunk: int) -> None:
    assert rule_of_data(body_of(1, Codec.STORED, b"x"), entry=entry, chunk=chunk) == "DATA-1"


@pytest.mark.parametrize("size", [0, CHUNK_SIZE + 1, (1 << 32) - 1])
@pytest.mark.parametrize("codec", Codec)
def test_a_chunk_of_no_content_or_too_much_is_refused(size: int, codec: int) -> None:
    assert rule_of_data(body_of(size, codec, b"")) == "DATA-2"


@pytest.mark.parametrize("codec", [3, 255])
def test_an_unknown_codec_is_refused(codec: int) -> None:
    assert rule_of_data(body_of(1, codec, b"x")) == "DATA-3"


@pytest.mark.parametrize("place", range(3))
def test_a_reserved_byte_is_refused(place: int) -> None:
    zero = bytearray(3)
    zero[place] = 1
    assert rule_of_data(body_of(1, Codec.STORED, b"x", zero=bytes(zero))) == "DATA-3"


@pytest.mark.parametrize("stored", [b"", b"xx"])
def test_stored_bytes_of_another_size_are_refused(stored: bytes) -> None:
    assert rule_of_data(body_of(1, Codec.STORED, stored)) == "DATA-4"


def test_zeros_with_stored_bytes_are_refused() -> None:
    assert rule_of_data(body_of(1, Codec.ZEROS, b"\0")) == "DATA-5"


@pytest.mark.parametrize("stored", [b"x" * 10, b"x" * 11])
def test_a_frame_that_is_not_smaller_is_refused(stored: bytes) -> None:
    body = body_of(10, Codec.ZSTD, stored)
    with pytest.raises(FormatError, match="not smaller") as caught:
        check_frame(parse(body), body, position=99)
    assert caught.value.rule == "DATA-6"


def test_other_codecs_have_no_frame_to_check() -> None:
    body = body_of(1, Codec.STORED, b"x")
    check_frame(parse(body), body, position=99)


@examples(200)
@given(st.integers(0, 20), st.integers(0, 3), st.integers(0, 1), st.binary(max_size=30))
def test_any_body_is_refused_or_gives_its_content(size: int, codec: int, zero: int, rest: bytes) -> None:
    body = body_of(size, codec, rest, zero=bytes(2) + bytes([zero]))
    try:
        found = decode_content(parse(body), body, position=99)
    except FormatError as error:
        assert error.rule is not None  # noqa: PT017 - either way is right here
    else:
        assert found is None or len(memoryview(found)) == size


DIGEST, FILE_CHECK = b"d" * 32, b"f" * 32


def done(content_size: int, chunks: int) -> DoneRecord:
    return DoneRecord(7, content_size, DIGEST, FILE_CHECK, list(range(16, 16 + chunks)), bytes(range(32)) * chunks)


@examples(50)
@given(st.integers(0, (1 << 64) - 1), st.integers(0, 40))
def test_a_done_record_comes_back(content_size: int, chunks: int) -> None:
    record = done(content_size, chunks)
    parsed = DoneRecord.parse(record.build(), entry=7, position=0)
    assert parsed.build() == record.build()
    assert (parsed.chunk_count, parsed.content_size) == (chunks, content_size)
    assert list(parsed.data_lengths) == list(record.data_lengths)


def test_the_bytes_of_done_are_those_of_the_specification() -> None:
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


PREAMBLE = bytes(range(32))
ROWS = [RecordHead(b"HEAD", 99, 32, b"h" * 32), RecordHead(b"SUMM", 199, 562, b"s" * 32)]
ANY_ROW = st.builds(RecordHead, st.binary(min_size=4, max_size=4), U32, U64, st.binary(min_size=32, max_size=32))


@given(U32, st.lists(ANY_ROW, max_size=6))
def test_a_root_comes_back(entry_count: int, rows: list[RecordHead]) -> None:
    built = Root(PREAMBLE, entry_count, rows)
    assert Root.parse(built.build(), position=0) == built


def test_the_bytes_of_root_are_those_of_the_specification() -> None:
    body = Root(PREAMBLE, 1, ROWS).build()
    assert len(body) == 40 + 48 * 2
    assert body[:40] == PREAMBLE + bytes.fromhex("01000000 02000000")
    assert body[40:88] == b"HEAD" + bytes.fromhex("63000000 2000000000000000") + b"h" * 32


@pytest.mark.parametrize("count", [0, 1, 3, (1 << 32) - 1])
def test_a_root_with_another_number_of_rows_is_refused(count: int) -> None:
    body = bytearray(Root(PREAMBLE, 1, ROWS).build())
    body[36:40] = count.to_bytes(4, "little")
    with pytest.raises(FormatError) as caught:
        Root.parse(bytes(body), position=99)
    assert (caught.value.rule, caught.value.offset) == ("ROOT-1", 99)


@pytest.mark.parametrize("change", [-1, 1, 48])
def test_a_root_of_another_length_is_refused(change: int) -> None:
    body = Root(PREAMBLE, 1, ROWS).build()
    with pytest.raises(FormatError):
        Root.parse(body[:change] if change < 0 else body + bytes(change), position=99)


@given(U64, st.binary(min_size=32, max_size=32))
def test_a_tail_comes_back(root_position: int, root: bytes) -> None:
    built = Tail(root_position, root)
    assert Tail.parse(built.build(), position=0) == built


def test_a_tail_takes_the_last_112_bytes() -> None:
    assert bodies.TAIL_SIZE == 112
    assert len(Tail(0, bytes(32)).build()) == bodies.TAIL_BODY_SIZE == 48
    assert Tail(0, bytes(32)).build()[-8:] == bytes.fromhex("0a1a0a0d524b5489")


@pytest.mark.parametrize("place", range(40, 48))
def test_another_end_magic_is_refused(place: int) -> None:
    body = bytearray(Tail(1, bytes(32)).build())
    body[place] ^= 1
    with pytest.raises(FormatError) as caught:
        Tail.parse(bytes(body), position=99)
    assert (caught.value.rule, caught.value.offset) == ("TAIL-1", 99)
