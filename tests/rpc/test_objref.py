"""Ways to a server, and the head of answers."""

from __future__ import annotations

import struct

import pytest

from tokar.rpc.ndr import NdrReader, NdrWriter
from tokar.rpc.objref import Binding, skip_that, take_bindings
from tokar.rpc.wire_errors import WireError


def array(*bindings: tuple[int, str], lengths: tuple[int, int] | None = None) -> NdrReader:
    units = b"".join(struct.pack("<H", kind) + f"{text}\0".encode("utf-16-le") for kind, text in bindings) + bytes(2)
    security = struct.pack("<HHHH", 10, 0xFFFF, 0, 0)
    count = (len(units) + len(security)) // 2
    first, second = lengths or (count, count)
    return NdrReader(NdrWriter().u32(first).u16(second).u16(len(units) // 2).raw(units + security).done())


def test_ways_are_read_in_their_order_without_their_protection() -> None:
    found = take_bindings(array((7, "ca1.lab.example[49670]"), (15, "\\\\CA1[\\PIPE\\cert]"), (7, "10.0.0.1[49670]")))
    assert [(one.kind, one.host, one.port) for one in found] == [
        (7, "ca1.lab.example", 49670),
        (15, "\\\\CA1", None),
        (7, "10.0.0.1", 49670),
    ]


@pytest.mark.parametrize("address", ["ca1", "ca1[]", "ca1[x]", "ca1[0]", "ca1[65536]", "ca1[-1]", "ca1[١٢]", "["])
def test_a_port_that_is_none_is_none(address: str) -> None:
    assert Binding(7, address).port is None


def test_no_ways_are_none() -> None:
    assert take_bindings(array()) == ()


@pytest.mark.parametrize("lengths", [(1 << 31, 1), (0xFFFFFFFF, 0xFFFF), (3, 4), (200, 200)])
def test_an_array_that_claims_more_than_there_is_is_refused(lengths: tuple[int, int]) -> None:
    with pytest.raises(WireError):
        take_bindings(array((7, "ca1[1]"), lengths=lengths))


def test_a_way_without_an_end_goes_to_the_end_of_the_array() -> None:
    data = NdrWriter().u32(3).u16(3).u16(3).raw("\7ca".encode("utf-16-le")).done()
    assert take_bindings(NdrReader(data)) == (Binding(7, "ca"),)


@pytest.mark.parametrize(
    "stub",
    [
        b"",
        bytes(4),
        NdrWriter().u32(0, 1, 1, 0, 1, 1000).done(),
        NdrWriter().u32(0, 1, 1, 0, 1, 65, *([0] * 65)).done(),
        NdrWriter().u32(0, 1, 1, 0, 1, 1, 1, 0xFFFFFFFF).done(),
    ],
)
def test_a_head_that_is_cut_or_claims_too_much_is_refused(stub: bytes) -> None:
    with pytest.raises(WireError):
        skip_that(NdrReader(stub))
