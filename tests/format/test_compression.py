from __future__ import annotations

import pytest
from format_tools import pattern
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

from tokar.errors import InputError
from tokar.format import zstd_frame
from tokar.format.bodies import Codec
from tokar.format.compression import Compression, is_zero


@pytest.mark.parametrize(("text", "level"), [("none", None), ("zstd", 1), ("zstd:1", 1), ("zstd:22", 22)])
def test_a_compression_is_read(text: str, level: int | None) -> None:
    assert Compression.parse(text) == Compression(level)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "gzip",
        "zstd:",
        "zstd:0",
        "zstd:23",
        "zstd:-1",
        "zstd:x",
        "zstd:1:2",
        "none:1",
        "ZSTD",
        "zstd:\u0661",
        "zstd: 1",
    ],
)
def test_what_is_no_compression_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        Compression.parse(text)


@pytest.mark.parametrize("level", [None, 1])
@pytest.mark.parametrize("size", [1, 64, 65_535, 65_536, 65_537, 200_000])
def test_zeros_are_recognised_with_and_without_compression(level: int | None, size: int) -> None:
    assert Compression(level).encode(bytes(size)) == (Codec.ZEROS, b"")


@examples(60)
@given(st.integers(1, 200_000), st.data())
def test_one_byte_that_is_not_zero_is_found_anywhere(size: int, data: st.DataObject) -> None:
    content = bytearray(size)
    assert is_zero(content)
    content[data.draw(st.integers(0, size - 1))] = 1
    assert not is_zero(content)
    assert not is_zero(memoryview(content))


def test_content_that_shrinks_is_compressed() -> None:
    codec, stored = Compression(1).encode(b"tokar\n" * 100)
    assert codec == Codec.ZSTD
    assert zstd_frame.decompress(memoryview(stored), 600, position=0) == b"tokar\n" * 100


def test_content_that_does_not_shrink_is_stored() -> None:
    content = bytes(range(256))
    assert Compression(19).encode(content) == (Codec.STORED, content)


def test_small_content_is_stored_without_trying() -> None:
    assert Compression(1).encode(b"a" * 63)[0] == Codec.STORED
    assert Compression(1).encode(b"a" * 64)[0] == Codec.ZSTD


def test_without_compression_content_is_stored_as_it_is() -> None:
    content = pattern(1000)
    assert Compression(None).encode(content) == (Codec.STORED, content)
