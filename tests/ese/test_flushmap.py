from __future__ import annotations

from pathlib import Path

import pytest
from command_line import done

from tokar.errors import HeaderError
from tokar.ese.checksum import ecc_checksum
from tokar.ese.flushmap import FlushMap
from tokar.ese.inspect import check_flush_map
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


def sealed(number: int) -> bytes:
    """A page of a flush map."""
    body = bytes(8) + bytes([number + 1]) * 8184
    return ecc_checksum(body, number).to_bytes(8, "little") + body[8:]


def test_the_pages_of_a_flush_map_are_verified_by_their_number() -> None:
    whole = FLUSH_MAP.build() + sealed(0) + bytes(8192) + sealed(2)
    for size in (5000, 8192, len(whole)):
        verdict = check_flush_map(whole[at : at + size] for at in range(0, len(whole), size))
        assert (verdict.units, verdict.bad, verdict.problems) == (3, 0, ())


def test_a_damaged_and_a_misplaced_page_of_a_flush_map_are_found() -> None:
    torn = bytearray(sealed(0))
    torn[100] ^= 1
    verdict = check_flush_map([FLUSH_MAP.build(), bytes(torn), sealed(0)])
    assert [one.offset for one in verdict.faults] == [8192, 16384]
    assert verdict.problems == ("has 2 damaged pages; the engine makes a new one",)


def test_a_flush_map_that_ends_inside_a_page_is_cut() -> None:
    assert (
        check_flush_map([FLUSH_MAP.build(), sealed(0)[:99]]).problems[0].startswith("has 99 bytes after its last page")
    )


@pytest.mark.samples
@pytest.mark.parametrize("name", ["win10-srum-rathbun", "win10-srum-belkasoft-dirty"])
def test_real_flush_maps_are_verified(samples: Path, name: str) -> None:
    data = (samples / name / "SRUDB.jfm").read_bytes()
    assert (check_flush_map([data]).units, check_flush_map([data]).problems) == (1, ())
    assert "1 page verified, none bad" in done("inspect", "--pages", samples / name / "SRUDB.jfm").stdout
