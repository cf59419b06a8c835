"""One Zstandard frame, checked before it is decompressed (spec/format.md DATA-6 and DATA-7; RFC 8878 section 3.1)."""

from __future__ import annotations

import threading
from typing import Final

import zstandard

from tokar.errors import ArchiveError, FormatError
from tokar.storage.bytesource import Buffer

_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_DESCRIPTOR_MASK: Final = 0x3F
_SINGLE_SEGMENT: Final = 0x20  # and no dictionary id, no checksum, nothing unused or reserved
_SIZE_BYTES: Final = (1, 2, 4, 8)  # of the content size in a frame of a single segment
_RLE_BLOCK: Final = 1
_COMPRESSED_BLOCK: Final = 2
_RESERVED_BLOCK: Final = 3
_BLOCK_HEADER_SIZE: Final = 3
_MAX_BLOCK_SIZE: Final = 128 * 1024
_MIN_COMPRESSED_BLOCK_SIZE: Final = 2
_MIN_WINDOW_LOG: Final = 10  # the least that a frame can have
_MIN_WINDOW: Final = 1 << _MIN_WINDOW_LOG
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
    if descriptor & _DESCRIPTOR_MASK != _SINGLE_SEGMENT:
        raise FormatError(f"a frame with descriptor 0x{descriptor:02x}", rule="DATA-7", offset=position)
    blocks_at = 5 + _SIZE_BYTES[descriptor >> 6]
    claimed = int.from_bytes(frame[5:blocks_at], "little") + (256 if descriptor >> 6 == 1 else 0)
    if claimed != content_size or len(frame) < blocks_at:
        message = f"the frame claims {claimed} bytes of content, the chunk has {content_size}"
        raise FormatError(message, rule="DATA-7", offset=position)
    if _walk_blocks(frame, blocks_at, min(content_size, _MAX_BLOCK_SIZE), position) != len(frame):
        raise FormatError("the stored bytes are not exactly one frame", rule="DATA-6", offset=position)


def _walk_blocks(frame: memoryview, at: int, most: int, position: int) -> int:
    """Return where the last block ends."""
    while True:
        header = int.from_bytes(frame[at : at + _BLOCK_HEADER_SIZE], "little")
        kind, size = header >> 1 & 3, header >> 3
        least = _MIN_COMPRESSED_BLOCK_SIZE if kind == _COMPRESSED_BLOCK else 0
        if at + _BLOCK_HEADER_SIZE > len(frame) or kind == _RESERVED_BLOCK or not least <= size <= most:
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
        _demand_memory(error)
        raise FormatError(f"the chunk does not decompress: {error}", rule="DATA-6", offset=position) from error
    if len(data) != content_size:
        raise FormatError("the chunk decompresses to another size", rule="DATA-6", offset=position)
    return data


def _demand_memory(error: zstandard.ZstdError) -> None:
    """Tell too little memory from a bad frame.

    Raises:
        MemoryError: It was that.
    """
    if "alloc" in str(error).lower() or "memory" in str(error).lower():
        raise MemoryError(str(error)) from error


def version() -> str:
    """Return the version of the compressor, which identical bytes depend on."""
    return ".".join(map(str, zstandard.ZSTD_VERSION))


def compress(content: Buffer, level: int) -> bytes:
    """Return a frame of the allowed kind.

    Raises:
        ArchiveError: The compressor gives up.
    """
    size = len(content) if isinstance(content, bytes) else memoryview(content).nbytes
    window_log = (size - 1).bit_length() if size > _MIN_WINDOW else _MIN_WINDOW_LOG
    try:
        frame: bytes = _compressor(level, window_log).compress(content)
    except zstandard.ZstdError as error:
        _demand_memory(error)
        raise ArchiveError(f"the compressor fails: {error}", hint="store without it: --compress none") from error
    return frame


def _compressor(level: int, window_log: int) -> zstandard.ZstdCompressor:
    """Return the compressor of this thread for a level, whose window holds the whole content: a single segment."""
    known = _local.__dict__.setdefault("compressors", {})
    if (level, window_log) not in known:
        parameters = zstandard.ZstdCompressionParameters.from_level(
            level, source_size=1 << window_log, window_log=window_log, write_content_size=True, write_checksum=False
        )
        known[level, window_log] = zstandard.ZstdCompressor(compression_params=parameters)
    tool: zstandard.ZstdCompressor = known[level, window_log]
    return tool


def _decompressor() -> zstandard.ZstdDecompressor:
    if not hasattr(_local, "decompressor"):
        _local.decompressor = zstandard.ZstdDecompressor()
    tool: zstandard.ZstdDecompressor = _local.decompressor
    return tool
