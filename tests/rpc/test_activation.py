"""Making an object: what impacket asks for is read, and what a server answers, in whatever order it does."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from ca_double import CaDouble
from ca_parts import authority

from tokar.errors import ArchiveError
from tokar.live import csra
from tokar.rpc import activation
from tokar.rpc.activation import ActivationError, blob_bytes, create_request, parse_blob, parse_created
from tokar.rpc.ndr import NdrWriter, com_guid, type_1
from tokar.rpc.objref import StandardRef, custom_bytes, interface_bytes, parse_custom, parse_standard
from tokar.rpc.wire_errors import WireError

if TYPE_CHECKING:
    from collections.abc import Iterator

# A RemoteCreateInstance for CertAdminD and ICertAdminD that impacket 0.13.1 made: stub, with its own padding and order.
BY_IMPACKET = bytes.fromhex(
    "050007000100000000000000b46eaa07be7a425e68b73e66f0caf6790000000000000000da250000a0010000a00100004d45"
    "4f5704000000a201000000000000c0000000000000463803000000000000c000000000000046000000007801000068010000"
    "0000000001100800cccccccc88000000cccccccc680100009800000000000000020000000400000000000000000000000000"
    "000000000000a83c0000224e00000000000004000000ab01000000000000c000000000000046a501000000000000c0000000"
    "00000046a401000000000000c000000000000046aa01000000000000c0000000000000460400000058000000280000002000"
    "00003000000001100800cccccccc44000000cccccccc736e9ed988fcd011b49800a0c90312f3000000000000000000000000"
    "0100000000000000e4910000000000000500070001000000716e9ed988fcd011b49800a0c90312f3fafafafa01100800cccc"
    "cccc18000000cccccccc00000000000000000000000000000000000000000000000001100800cccccccc10000000cccccccc"
    "0000000000000000000000000000000001100800cccccccc1a000000cccccccc000000000e6e0000000000000100aaaa1073"
    "0000010000000700fafafafafafa"
)
OTHER = com_guid(0x999)


@pytest.fixture(scope="module")
def double(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CaDouble]:
    with authority(tmp_path_factory.mktemp("ca")) as double:
        yield double


def made(double: CaDouble) -> StandardRef:
    found = double._export(7, csra.ADMIN.identifier)
    assert found is not None
    return found


def answer(data: bytes | None, code: int = 0) -> bytes:
    return interface_bytes(NdrWriter().u32(0, 0), data).u32(code).done()


def test_a_request_of_impacket_is_read() -> None:
    version, class_id, interfaces = CaDouble._asked(BY_IMPACKET)
    assert (version, class_id, interfaces) == ((5, 7), csra.ADMIN_CLASS, [csra.ADMIN.identifier])


def test_our_request_has_the_six_properties_of_windows() -> None:
    body = create_request(csra.ADMIN_CLASS, csra.ADMIN.identifier)
    reference = body[16:]
    names = list(parse_blob(parse_custom(reference, activation.PROPERTIES_IN)))
    assert names == [com_guid(number) for number in (0x1B9, 0x1AB, 0x1A5, 0x1A6, 0x1A4, 0x1AA)]


def test_an_answer_gives_object_process_and_ways(double: CaDouble) -> None:
    reference = made(double)
    found = parse_created(answer(double._reply([csra.ADMIN.identifier], [reference])), csra.ADMIN.identifier)
    assert found.reference == reference
    assert [(one.host, one.port) for one in found.bindings] == [(double.host, double.exporter.port)]
    assert found.remote_unknown == double._unknown


def test_the_order_of_properties_does_not_matter(double: CaDouble) -> None:
    data = double._reply([csra.ADMIN.identifier], [made(double)])
    blob = parse_custom(data, activation.PROPERTIES_OUT)
    both = [(name, type_1(reader.take(reader.left))) for name, reader in parse_blob(blob).items()]
    swapped = custom_bytes(com_guid(0x1A3), activation.PROPERTIES_OUT, blob_bytes(both[::-1]))
    assert parse_created(answer(swapped), csra.ADMIN.identifier).bindings


def test_an_interface_that_is_not_there_is_its_error(double: CaDouble) -> None:
    data = double._reply([OTHER, csra.ADMIN.identifier], [None, made(double)])
    assert parse_created(answer(data), csra.ADMIN.identifier).reference.interface == csra.ADMIN.identifier
    with pytest.raises(ActivationError) as caught:
        parse_created(answer(data), OTHER)
    assert caught.value.code == 0x80004002


@pytest.mark.parametrize("code", [0x80070005, 0x80040154, 0x80080005])
def test_a_refusal_is_its_code(code: int) -> None:
    with pytest.raises(ActivationError) as caught:
        parse_created(answer(None, code), csra.ADMIN.identifier)
    assert caught.value.code == code


def test_another_interface_than_was_asked_for_is_refused(double: CaDouble) -> None:
    data = double._reply([csra.ADMIN.identifier], [made(double)])
    with pytest.raises(WireError, match="asked for"):
        parse_created(answer(data), OTHER)


def test_an_object_of_another_process_is_refused(double: CaDouble) -> None:
    data = double._reply([csra.ADMIN.identifier], [replace(made(double), exporter=1)])
    with pytest.raises(WireError, match="another process"):
        parse_created(answer(data), csra.ADMIN.identifier)


def test_every_cut_and_every_change_is_read_or_refused(double: CaDouble) -> None:
    stub = answer(double._reply([csra.ADMIN.identifier], [made(double)]))
    chance = random.Random(1)
    refused = 0
    for case in range(4 * len(stub)):
        data = bytearray(stub[: case % len(stub)] if case % 4 == 0 else stub)
        if case % 4:
            data[case % len(stub)] = chance.randrange(256)
        try:
            parse_created(bytes(data), csra.ADMIN.identifier)
        except ArchiveError:
            refused += 1
    assert refused > len(stub)


@pytest.mark.parametrize("data", [b"", bytes(40), b"MEOW" + bytes(40), b"MEOW\1\0\0\0" + bytes(40)])
def test_what_is_no_reference_is_refused(data: bytes) -> None:
    with pytest.raises(ArchiveError):
        parse_custom(data, activation.PROPERTIES_OUT)
    with pytest.raises(ArchiveError):
        parse_standard(data)


@pytest.mark.parametrize("number", [0, 2, 17, 0xFFFFFFFF])
def test_a_blob_that_miscounts_its_properties_is_refused(number: int) -> None:
    blob = bytearray(blob_bytes([(OTHER, type_1(b"x"))]))
    at = 8 + 16 + 16
    assert blob[at] == 1
    blob[at : at + 4] = number.to_bytes(4, "little")
    with pytest.raises(WireError):
        parse_blob(bytes(blob))
