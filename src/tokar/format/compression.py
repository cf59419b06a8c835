"""How the content of a chunk is stored and read: zeros, compressed, or as it is (spec/format.md section 8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tokar.errors import FormatError, InputError
from tokar.format import zstd_frame
from tokar.format.bodies import Codec, DataRecord, stored_bytes
from tokar.format.encryption import TAG_SIZE, StreamCipher, opened
from tokar.storage.bytesource import Buffer

_STORED_CODEC, _ZSTD_CODEC, _ZEROS_CODEC = (int(codec) for codec in (Codec.STORED, Codec.ZSTD, Codec.ZEROS))
_ZEROS: Final = bytes(1 << 16)
_MIN_COMPRESSED_SIZE: Final = 64  # smaller chunks cannot shrink by as much as a frame header costs


@dataclass(frozen=True, slots=True)
class Compression:
    """What the writer may do to shrink chunks, and by how many threads."""

    # Level of Zstandard, or None to store chunks as they are (chunks of zeros are recognised all the same).
    level: int | None = 1
    threads: int | None = None  # Of the encoder; the number of processors by default. Bytes do not depend on it

    @classmethod
    def parse(cls, text: str) -> Compression:
        """Read `none`, `zstd` or `zstd:LEVEL`.

        Raises:
            InputError: It is something else, or the level is not from 1 to 22.
        """
        method, colon, level = text.partition(":")
        if text == "none":
            return cls(None)
        if method == "zstd" and (not colon or (level.isascii() and level.isdigit() and 1 <= int(level) <= 22)):
            return cls(int(level or 1))
        raise InputError(f"not a compression: {text}", hint="use none, zstd or zstd:LEVEL with a level from 1 to 22")

    def encode(self, content: Buffer) -> tuple[int, Buffer]:
        """Return the codec for a chunk, and the bytes to store."""
        view = content if isinstance(content, bytes) else memoryview(content)
        size = len(view)
        if not size:
            return _STORED_CODEC, b""
        if not (view[0] or view[-1]) and is_zero(view):
            return _ZEROS_CODEC, b""
        if self.level is not None and size >= _MIN_COMPRESSED_SIZE:
            frame = zstd_frame.compress(content, self.level)
            if len(frame) < size:
                return _ZSTD_CODEC, frame
        return _STORED_CODEC, content


def is_zero(content: Buffer) -> bool:
    """Whether all bytes are zero."""
    view = content if isinstance(content, bytes) else memoryview(content)
    if view[0] or view[-1] or view[len(view) // 2]:
        return False
    step = len(_ZEROS)
    # bytes() makes the comparison one memcmp; a memoryview would compare item by item
    return all(bytes(view[at : at + step]) == _ZEROS[: len(view) - at] for at in range(0, len(view), step))


def check_frame(record: DataRecord, body: Buffer, *, position: int, encrypted: bool = False) -> None:
    """Check the Zstandard frame of a chunk without decompressing it; other codecs pass. Of an encrypted one the length.

    Raises:
        FormatError: DATA-6 or DATA-7.
    """
    if record.codec == Codec.ZSTD:
        stored = stored_bytes(body)
        _demand_smaller(record, stored.nbytes - (TAG_SIZE if encrypted else 0), position)
        if not encrypted:
            zstd_frame.check(stored, record.content_size, position=position)


def _demand_smaller(record: DataRecord, size: int, position: int) -> None:
    if size >= record.content_size:
        raise FormatError("the compressed chunk is not smaller than its content", rule="DATA-6", offset=position)


def decode_content(
    record: DataRecord, body: Buffer, *, position: int, cipher: StreamCipher | None = None
) -> Buffer | None:
    """Return the content of a chunk, or None if it is all zeros by its codec.

    Raises:
        FormatError: DATA-6 or DATA-7; ENC-3 where it is encrypted and its tag is wrong.
        LockedError: It is encrypted, and the key is not there.
    """
    stored = opened(cipher, record, stored_bytes(body), position=position)
    if record.codec == Codec.ZEROS:
        return None
    if record.codec == Codec.STORED:
        return stored
    _demand_smaller(record, stored.nbytes, position)
    zstd_frame.check(stored, record.content_size, position=position)
    return zstd_frame.decompress(stored, record.content_size, position=position)
