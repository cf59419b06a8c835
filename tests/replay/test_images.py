"""What records carry in another form: images and diffs."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replay_logs import sample_logs
from replay_sets import records_of

from tokar.ese.pagerecords import Merge2Record, Split2Record
from tokar.replay.images import UnknownFormError, apply_diff, decompress, is_proven_form, open_image
from tokar.replay.nodepage import NodePage, PageError

XPRESS, LZ4 = b"\x18", b"\x38"


def literals(data: bytes) -> bytes:
    """A plain LZ77 stream that compresses nothing."""
    return b"".join(bytes(4) + data[at : at + 32] for at in range(0, len(data), 32))


@given(st.binary(min_size=1, max_size=300))
def test_literals_come_back(data: bytes) -> None:
    assert decompress(XPRESS + len(data).to_bytes(2, "little") + literals(data), 4096) == data


# The example of [MS-XCA]: 300 letters "abcabc...".
def test_a_long_match_repeats_itself() -> None:
    stream = bytes.fromhex("ffffff1f61626317000fff2601")
    assert decompress(XPRESS + (300).to_bytes(2, "little") + stream, 4096) == b"abc" * 100


def test_a_match_to_before_the_start_is_refused() -> None:
    with pytest.raises(PageError, match="before its start"):
        decompress(XPRESS + b"\x0a\x00" + bytes.fromhex("ffffffff1000"), 4096)


def test_an_lz4_block_is_read() -> None:
    block = b"\x35abc\x03\x00" + b"\x50defgh"
    assert decompress(LZ4 + (3 + 9 + 5).to_bytes(2, "little") + block, 4096) == b"abcabcabcabcdefgh"


def test_long_lengths_of_lz4_are_read() -> None:
    block = b"\xff\x05" + b"x" * 20 + b"\x01\x00\xff\x02" + b"\x10y"
    size = 20 + 15 + 257 + 4 + 1
    assert decompress(LZ4 + size.to_bytes(2, "little") + block, 4096) == b"x" * (size - 1) + b"y"


@pytest.mark.parametrize(("scheme", "name"), [(4, "scrubbed"), (5, "Xpress9"), (6, "Xpress10"), (1, "scheme 1")])
def test_other_schemes_are_named(scheme: int, name: str) -> None:
    with pytest.raises(UnknownFormError, match=name):
        decompress(bytes([scheme << 3]) + bytes(20), 4096)


@pytest.mark.parametrize("data", [b"", XPRESS, XPRESS + b"\x05\x00", LZ4 + b"\x05\x00", LZ4 + b"\x05\x00\xff\xff"])
def test_a_stream_that_ends_too_early_is_refused(data: bytes) -> None:
    with pytest.raises(PageError):
        decompress(data, 4096)


def test_more_than_a_page_is_refused() -> None:
    with pytest.raises(PageError, match="claims 5000 bytes"):
        decompress(XPRESS + (5000).to_bytes(2, "little") + bytes(50), 4096)


@given(st.sampled_from([XPRESS, LZ4]), st.binary(max_size=200))
def test_any_stream_ends(scheme: bytes, data: bytes) -> None:
    with suppress(PageError):
        assert len(decompress(scheme + data, 4096)) <= 4096


def test_an_image_gets_its_middle_back() -> None:
    page = NodePage.new(4096, 7, 3, 100)
    page.consume(2)
    page.insert_node(0, 0, b"key", b"data")
    whole = page.build()
    cut = 40 + page.first_free
    free = (page.free - (4096 - 8 - cut)).to_bytes(2, "little")
    short = whole[:28] + free + whole[30:cut] + whole[-8:]
    assert open_image(short, 1, 4096, 7).content() == page.content()


@pytest.mark.parametrize(
    ("image", "flags", "proven"),
    [(b"", 0, True), (XPRESS, 2, True), (LZ4, 2, False), (XPRESS, 3, False), (b"", 1, False)],
)
def test_forms_that_real_files_have_are_told_from_others(image: bytes, flags: int, proven: bool) -> None:
    assert is_proven_form(image, flags) == proven


@pytest.mark.parametrize("data", [b"", bytes(20), b"\xff" * 60, bytes(5000)])
def test_an_image_that_is_no_part_of_a_page_is_refused(data: bytes) -> None:
    with pytest.raises(PageError):
        open_image(data, 1, 4096, 7)


def test_an_image_of_another_size_is_refused() -> None:
    with pytest.raises(PageError, match="has 100 bytes"):
        open_image(bytes(100), 0, 4096, 7)


@pytest.mark.parametrize(
    ("diff", "new"),
    [
        (b"\x02\x20\x02XY", b"01XY456789"),  # as long as what was there
        (b"\x02\x40\x02XY", b"01XY23456789"),  # put in
        (b"\x02\x00\x01\x03X", b"01X56789"),  # another length
        (b"\x02\x80\x01\x00\x03\x00X", b"01X56789"),  # lengths of two bytes
        (b"\x00\x20\x01A\x09\x20\x01B", b"A12345678B"),
        (b"\x0a\x40\x01!", b"0123456789!"),
        (b"", b"0123456789"),
    ],
)
def test_a_diff_is_laid_over_the_old_data(diff: bytes, new: bytes) -> None:
    assert apply_diff(diff, b"0123456789", wide=False) == new


def test_a_wide_diff_has_its_flags_in_a_byte_of_their_own() -> None:
    assert apply_diff(b"\x02\x00\x40\x02XY", b"0123", wide=True) == b"01XY23"


@pytest.mark.parametrize(
    "diff",
    [b"\x00", b"\x02\x20", b"\x0b\x40\x01!", b"\x05\x20\x01A\x02\x20\x01B", b"\x02\x20\x05AB", b"\x09\x20\x02AB"],
)
def test_a_diff_that_leaves_its_bounds_is_refused(diff: bytes) -> None:
    with pytest.raises(PageError):
        apply_diff(diff, b"0123456789", wide=False)


@given(st.binary(max_size=60), st.binary(max_size=60), st.booleans())
def test_any_diff_ends(diff: bytes, old: bytes, wide: bool) -> None:
    with suppress(PageError):
        apply_diff(diff, old, wide=wide)


@pytest.mark.samples
def test_every_real_image_opens_to_a_page_of_after_its_record() -> None:
    count = 0
    for path in sample_logs():
        for _, record in records_of(path):
            if isinstance(record, Split2Record | Merge2Record) and record.image:
                assert open_image(record.image, record.image_flags, 4096, record.page).dbtime == record.dbtime
                count += 1
    assert count == 35
