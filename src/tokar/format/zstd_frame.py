"""One Zstandard frame, checked before it is decompressed (spec/format.md DATA-6 and DATA-7; RFC 8878 section 3.1)."""

from __future__ import annotations

import threading
from typing import Final

import zstandard

from tokar.errors import FormatError

_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_SINGLE_SEGMENT: Final = 0x20
_UNUSED_AND_RESERVED: Final = 0x18
_CHECKSUM: Final = 0x04
_DICTIONARY: Final = 0x03
_SIZE_BYTES: Final = (0, 2, 4, 8)
_RLE_BLOCK: Final = 1
_RESERVED_BLOCK: Final = 3
_BLOCK_HEADER_SIZE: Final = 3
_MAX_BLOCK_SIZE: Final = 128 * 1024
_local: Final = threading.local()


def check(frame: memoryview, content_size: int, *, position: int) -> None:
    """Demand that `frame` is exactly one frame of the allowed kind, that claims `content_size` bytes of content.

    Args:
        frame: The stored bytes of a chunk.
        content_size: Bytes, from the DATA record.
        position: Of the record in the archive, for the error.

    Raises:
        FormatError: DATA-6 (not one frame) or DATA-7 (a parameter that is not allowed).
    """
    if bytes(frame[:4]) != _MAGIC or len(frame) < 6:
        raise FormatError("the stored bytes do not begin with a Zstandard frame", rule="DATA-6", offset=position)
    descriptor = frame[4]
    single = bool(descriptor & _SINGLE_SEGMENT)
    size_bytes = _SIZE_BYTES[descriptor >> 6] or (1 if single else 0)
    at = 5 if single else 6
    if descriptor & (_UNUSED_AND_RESERVED | _DICTIONARY) or not size_bytes or len(frame) < at + size_bytes:
        raise FormatError("the frame uses a dictionary or hides its content size", rule="DATA-7", offset=position)
    claimed = int.from_bytes(frame[at : at + size_bytes], "little") + (256 if size_bytes == 2 else 0)
    window = claimed if single else _window_size(frame[5])
    if claimed != content_size or window > content_size:
        message = f"the frame claims {claimed} bytes and a window of {window}, the chunk has {content_size}"
        raise FormatError(message, rule="DATA-7", offset=position)
    end = _walk_blocks(frame, at + size_bytes, position) + (4 if descriptor & _CHECKSUM else 0)
    if end != len(frame):
        raise FormatError("the stored bytes are not exactly one frame", rule="DATA-6", offset=position)


def _window_size(descriptor: int) -> int:
    base = 1 << (10 + (descriptor >> 3))
    return base + (base >> 3) * (descriptor & 7)


def _walk_blocks(frame: memoryview, at: int, position: int) -> int:
    """Return where the last block ends."""
    while True:
        header = int.from_bytes(frame[at : at + _BLOCK_HEADER_SIZE], "little")
        kind, size = header >> 1 & 3, header >> 3
        if at + _BLOCK_HEADER_SIZE > len(frame) or kind == _RESERVED_BLOCK or size > _MAX_BLOCK_SIZE:
            raise FormatError("a block of the frame is not valid", rule="DATA-6", offset=position)
        at += _BLOCK_HEADER_SIZE + (1 if kind == _RLE_BLOCK else size)
        if header & 1:
            return at


def decompress(frame: memoryview, content_size: int, *, position: int) -> bytes:
    """Return the content of a frame that `check` has passed.

    Raises:
        FormatError: DATA-6, the frame does not give exactly `content_size` bytes.
    """
    try:
        data = _decompressor().decompress(frame, max_output_size=content_size)
    except zstandard.ZstdError as error:
        raise FormatError(f"the chunk does not decompress: {error}", rule="DATA-6", offset=position) from error
    if len(data) != content_size:
        raise FormatError("the chunk decompresses to another size", rule="DATA-6", offset=position)
    return data


def version() -> str:
    """Return the version of the compressor, which identical bytes depend on."""
    return ".".join(map(str, zstandard.ZSTD_VERSION))


def compressor(level: int) -> zstandard.ZstdCompressor:
    """Return a compressor for frames of the allowed kind, one for each thread and level."""
    known: dict[int, zstandard.ZstdCompressor] = _local.__dict__.setdefault("compressors", {})
    if level not in known:
        known[level] = zstandard.ZstdCompressor(level=level, write_checksum=False, write_content_size=True)
    return known[level]


def _decompressor() -> zstandard.ZstdDecompressor:
    if not hasattr(_local, "decompressor"):
        _local.decompressor = zstandard.ZstdDecompressor()
    tool: zstandard.ZstdDecompressor = _local.decompressor
    return tool
