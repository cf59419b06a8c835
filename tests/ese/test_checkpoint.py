from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

from tokar.errors import HeaderError
from tokar.ese.attachment import Attachment, build_attachments
from tokar.ese.checkpoint import Checkpoint
from tokar.ese.values import LogPosition, Signature
from tokar.storage.bytesource import BytesSource

CHECKPOINT = Checkpoint(
    checkpoint=LogPosition(generation=9, sector=7),
    signature=Signature(random=3),
    attachment_area=build_attachments([Attachment(dbid=1, path="C:\\a.edb", signature=Signature(random=5))]),
)


def test_a_built_checkpoint_is_read_back() -> None:
    copies = Checkpoint.read(BytesSource(CHECKPOINT.build() * 2))
    assert str(copies.header.checkpoint) == "(9,7,0)"
    assert copies.header.attachments[0].path == "C:\\a.edb"
    assert copies.valid == (True, True)
    assert copies.identical


def test_a_torn_first_copy_gives_way_to_the_second() -> None:
    data = bytearray(CHECKPOINT.build() * 2)
    data[12] ^= 1
    copies = Checkpoint.read(BytesSource(data))
    assert copies.used == 1
    assert copies.header.checkpoint.generation == 9


def test_one_copy_alone_is_enough() -> None:
    assert Checkpoint.read(BytesSource(CHECKPOINT.build())).valid == (True, False)


@pytest.mark.parametrize("data", [b"", bytes(8192), b"\xff" * 8192])
def test_a_file_without_a_valid_copy_is_refused_with_the_engines_error(data: bytes) -> None:
    with pytest.raises(HeaderError, match="neither copy") as caught:
        Checkpoint.read(BytesSource(data))
    assert caught.value.code == -533


@examples(40)
@given(st.binary(max_size=8200))
def test_no_bytes_can_make_reading_crash(data: bytes) -> None:
    with pytest.raises(HeaderError):
        Checkpoint.read(BytesSource(data))
