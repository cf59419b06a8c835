from __future__ import annotations

import pytest

from tokar.errors import HeaderError
from tokar.ese.flushmap import FlushMap
from tokar.ese.values import Signature
from tokar.storage.bytesource import BytesSource

FLUSH_MAP = FlushMap(flags=1, signature=Signature(random=4))


def test_a_built_flush_map_is_read_back() -> None:
    header = FlushMap.read(BytesSource(FLUSH_MAP.build() + bytes(8192)))
    assert header.is_clean
    assert header.signature == Signature(random=4)


def test_a_flush_map_in_use_is_not_clean() -> None:
    assert not FlushMap.read(BytesSource(FlushMap().build())).is_clean


def test_a_damaged_flush_map_is_refused() -> None:
    data = bytearray(FLUSH_MAP.build())
    data[8000] ^= 1
    with pytest.raises(HeaderError, match="damaged"):
        FlushMap.read(BytesSource(data))


def test_a_short_flush_map_is_refused() -> None:
    with pytest.raises(HeaderError, match="damaged"):
        FlushMap.read(BytesSource(FLUSH_MAP.build()[:4096]))
