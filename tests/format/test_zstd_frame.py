from __future__ import annotations

import pytest
import zstandard
from format_tools import pattern, raw_block, rle_block, zstd_frame
from hypothesis import given
from hypothesis import strategies as st
from sweeps import each, examples

from tokar.errors import FormatError
from tokar.format import zstd_frame as frames

CONTENT = b"tokar keeps its tokens\n" * 200
SIZES = [1, 63, 64, 255, 256, 257, 511, 65_791, 65_792, 65_793, 1 << 17, (1 << 17) + 1, 1 << 20, (1 << 20) + 1]


def rule_of_checking(frame: bytes, size: int) -> str | None:
    with pytest.raises(FormatError) as caught:
        frames.check(memoryview(frame), size, position=99)
    assert caught.value.offset == 99
    return caught.value.rule


def rule_of_decompressing(frame: bytes, size: int) -> str | None:
    with pytest.raises(FormatError) as caught:
        frames.decompress(memoryview(frame), size, position=99)
    assert caught.value.offset == 99
    return caught.value.rule


@pytest.mark.parametrize(
    ("level", "size"), [*((1, size) for size in SIZES), *((level, size) for level in (3, 22) for size in SIZES[:10])]
)
def test_what_is_compressed_is_allowed_and_comes_back(level: int, size: int) -> None:
    content = (CONTENT * (size // len(CONTENT) + 1))[:size]
    frame = frames.compress(content, level)
    frames.check(memoryview(frame), size, position=0)
    assert frames.decompress(memoryview(frame), size, position=0) == content


@examples(60)
@given(st.binary(min_size=1, max_size=2000))
def test_anything_that_is_compressed_comes_back(content: bytes) -> None:
    frame = memoryview(frames.compress(content, 1))
    frames.check(frame, len(content), position=0)
    assert frames.decompress(frame, len(content), position=0) == content


def test_the_same_content_gives_the_same_frame_whatever_came_before() -> None:
    first = frames.compress(CONTENT, 3)
    frames.compress(pattern(100_000), 3)
    frames.compress(CONTENT[:100], 5)
    assert frames.compress(CONTENT, 3) == first


def test_the_largest_chunk_is_one_segment() -> None:
    content = b"z" * (1 << 24)
    frame = memoryview(frames.compress(content, 1))
    frames.check(frame, 1 << 24, position=0)
    assert frames.decompress(frame, 1 << 24, position=0) == content


def test_frames_that_are_not_a_single_segment_are_refused() -> None:
    compressor = zstandard.ZstdCompressor(compression_params=zstandard.ZstdCompressionParameters(window_log=10))
    assert rule_of_checking(compressor.compress(CONTENT), len(CONTENT)) == "DATA-7"


def test_frames_with_a_checksum_are_refused() -> None:
    assert rule_of_checking(zstandard.ZstdCompressor(write_checksum=True).compress(CONTENT), len(CONTENT)) == "DATA-7"


def test_frames_without_a_content_size_are_refused() -> None:
    assert (
        rule_of_checking(zstandard.ZstdCompressor(write_content_size=False).compress(CONTENT), len(CONTENT)) == "DATA-7"
    )


def test_frames_with_a_dictionary_are_refused() -> None:
    trained = zstandard.train_dictionary(1024, [pattern(500) + bytes([number]) * 50 for number in range(200)])
    frame = zstandard.ZstdCompressor(dict_data=trained).compress(CONTENT)
    assert rule_of_checking(frame, len(CONTENT)) == "DATA-7"


@each(sorted(set(range(256)) - {0x20, 0x60, 0xA0, 0xE0}))
def test_every_other_descriptor_is_refused(descriptor: int) -> None:
    frame = bytearray(zstd_frame(300, rle_block(b"z", 300)))
    frame[4] = descriptor
    assert rule_of_checking(bytes(frame), 300) == "DATA-7"


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1, 1 << 24])
def test_another_content_size_is_refused(size: int) -> None:
    assert rule_of_checking(frames.compress(CONTENT, 1), size) == "DATA-7"


def test_a_cut_frame_is_refused_wherever_it_is_cut() -> None:
    frame = frames.compress(CONTENT, 1)
    for size in range(len(frame)):
        assert rule_of_checking(frame[:size], len(CONTENT)) in {"DATA-6", "DATA-7"}


@pytest.mark.parametrize("after", [b"\0", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18\0\0\0\0"])
def test_bytes_after_the_frame_are_refused(after: bytes) -> None:
    assert rule_of_checking(frames.compress(CONTENT, 1) + after, len(CONTENT)) == "DATA-6"


def test_a_block_larger_than_blocks_can_be_is_refused() -> None:
    assert rule_of_checking(zstd_frame(200_000, rle_block(b"z", 200_000)), 200_000) == "DATA-6"


@pytest.mark.parametrize("block", [raw_block(b"abcde"), rle_block(b"a", 5), bytes([5, 0, 0])])
def test_a_block_larger_than_the_content_and_a_compressed_one_of_nothing_are_refused(block: bytes) -> None:
    assert rule_of_checking(zstd_frame(4, block), 4) == "DATA-6"


def test_blocks_of_the_greatest_size_are_accepted() -> None:
    frame = zstd_frame(1 << 18, rle_block(b"z", 1 << 17, last=False), rle_block(b"y", 1 << 17))
    frames.check(memoryview(frame), 1 << 18, position=0)
    assert frames.decompress(memoryview(frame), 1 << 18, position=0) == b"z" * (1 << 17) + b"y" * (1 << 17)


@pytest.mark.parametrize(
    "blocks",
    [
        [raw_block(b"abc")],
        [raw_block(b"abc", last=False), raw_block(b"de")],
        [rle_block(b"a", 4, last=False), rle_block(b"b", 1)],
    ],
)
def test_blocks_that_give_another_size_than_claimed_are_refused(blocks: list[bytes]) -> None:
    frame = zstd_frame(4, *blocks)
    frames.check(memoryview(frame), 4, position=0)
    assert rule_of_decompressing(frame, 4) == "DATA-6"


def test_a_bomb_is_stopped_at_the_size_of_the_chunk() -> None:
    frame = zstd_frame(1 << 16, *[rle_block(b"z", 1 << 16, last=False)] * 4000, rle_block(b"z", 1 << 16))
    frames.check(memoryview(frame), 1 << 16, position=0)
    assert rule_of_decompressing(frame, 1 << 16) == "DATA-6"


@examples(200)
@given(st.binary(max_size=40), st.integers(0, 300))
def test_any_bytes_are_refused_or_give_their_content(data: bytes, size: int) -> None:
    for start in (b"", b"\x28\xb5\x2f\xfd", b"\x28\xb5\x2f\xfd\x20" + bytes([size % 256])):
        frame = memoryview(start + data)
        try:
            frames.check(frame, size, position=0)
            content = frames.decompress(frame, size, position=0)
        except FormatError as error:
            assert error.rule in {"DATA-6", "DATA-7"}  # noqa: PT017 - either way is right here
        else:
            assert len(content) == size


def test_every_flipped_byte_is_refused_or_gives_the_claimed_size() -> None:
    frame = frames.compress(CONTENT, 1)
    for place in range(len(frame)):
        spoilt = bytearray(frame)
        spoilt[place] ^= 0x11
        try:
            frames.check(memoryview(spoilt), len(CONTENT), position=0)
            assert len(frames.decompress(memoryview(spoilt), len(CONTENT), position=0)) == len(CONTENT)
        except FormatError:
            continue


def test_the_version_is_that_of_the_library() -> None:
    assert frames.version() == ".".join(map(str, zstandard.ZSTD_VERSION))
