"""The calls byte for byte: requests and answers as Wine's RPC runtime made them with stubs compiled from the IDL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokar.live import csra
from tokar.rpc.ndr import NdrReader, NdrWriter, guid
from tokar.rpc.objref import OrpcThis, skip_that
from tokar.rpc.wire_errors import WireError
from tokar.server.contract import BackupType

if TYPE_CHECKING:
    from collections.abc import Callable

THIS = bytes.fromhex("0500070000000000000000003322110055447766 8899aabbccddeeff00000000")
THAT = bytes(8)
ROOT_CA = bytes.fromhex("0000020007000000000000000700000052006f006f007400430041000000")
PATH = "\\\\ca1\\C$\\CertLog\\CA.edb".encode("utf-16-le")
LISTED = "D\\\\ca1\\C$\\CertLog\\CA.edb\0\0".encode("utf-16-le")


def answered(data: bytes) -> NdrReader:
    reader = NdrReader(data)
    skip_that(reader)
    return reader


def test_the_head_of_every_call() -> None:
    assert OrpcThis(causality=guid("00112233-4455-6677-8899-aabbccddeeff")).pack() == THIS


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (csra.authority_body("RootCA"), ROOT_CA),
        (csra.prepare_body("RootCA", BackupType.FULL), ROOT_CA + bytes(2) + bytes(4) + bytes(4) + bytes(8)),
        (csra.open_body(PATH), bytes.fromhex("00000200 18000000 00000000 18000000") + PATH + bytes(2)),
        (csra.read_body(4096), bytes.fromhex("00100000")),
    ],
    ids=["state", "prepare", "open", "read"],
)
def test_requests(body: bytes, expected: bytes) -> None:
    assert body == expected


def test_logs_only_is_one_number() -> None:
    body = csra.prepare_body("RootCA", BackupType.LOGS_ONLY)
    assert body == ROOT_CA + bytes(2) + b"\1\0\0\0" + bytes(4) + bytes(8)


@pytest.mark.parametrize("annotation_is_a_pointer", [False, True])
def test_prepare_reads_the_same_with_the_annotation_by_value_and_as_a_null_pointer(
    annotation_is_a_pointer: bool,
) -> None:
    reader = NdrReader(csra.prepare_body("RootCA", BackupType.FULL))
    assert (reader.unique_string(), reader.u32(), reader.u32()) == ("RootCA".encode("utf-16-le"), 0, 0)
    assert (reader.u32() if annotation_is_a_pointer else reader.u16()) == 0
    assert (reader.u32(), reader.left) == (0, 0)


def test_the_answer_of_state() -> None:
    assert csra.take_number(answered(bytes.fromhex("00000000000000000100000000000000"))) == (1, 0)


def test_the_answer_of_prepare() -> None:
    assert answered(bytes(12)).u32() == 0


def test_the_answer_of_database_names() -> None:
    stub = THAT + bytes.fromhex("00000200 1a000000") + LISTED + bytes.fromhex("1a000000 00000000")
    assert len(stub) == 76
    assert csra.take_list(answered(stub)) == (LISTED, 0)


def test_a_list_with_an_odd_number_of_units_is_padded() -> None:
    units = "DAA\0\0".encode("utf-16-le")
    stub = THAT + bytes.fromhex("00000200 05000000") + units + bytes(2) + bytes.fromhex("05000000 00000000")
    assert csra.take_list(answered(stub)) == (units, 0)


@pytest.mark.parametrize("stub", [THAT + bytes(12), THAT + bytes.fromhex("00000200 00000000 00000000 00000000")])
def test_an_empty_list_has_no_array_or_an_empty_one(stub: bytes) -> None:
    assert csra.take_list(answered(stub)) == (b"", 0)


def test_the_answer_of_open() -> None:
    stub = THAT + bytes.fromhex("400d030000000000 00000000")
    assert csra.take_size(answered(stub)) == (200_000, 0)


def test_the_answer_of_read() -> None:
    content = bytes(range(256)) * 16
    stub = THAT + bytes.fromhex("00100000") + content + bytes.fromhex("00100000 00000000")
    assert len(stub) == 4116
    assert csra.take_content(answered(stub)) == (content, 0)


def test_the_answer_of_close_without_an_open_file() -> None:
    assert answered(THAT + bytes.fromhex("ffff0080")).u32() == 0x8000FFFF


def test_extensions_of_an_answer_are_skipped() -> None:
    writer = NdrWriter().u32(0).pointer(present=True).u32(1, 0).pointer(present=True).u32(2)
    writer.pointer(present=True).pointer(present=False).u32(8).guid(bytes(16)).u32(5).raw(bytes(8)).u32(1, 0)
    assert csra.take_number(answered(writer.done())) == (1, 0)


def test_the_name_of_an_authority() -> None:
    name = "RootCA\0".encode("utf-16-le")
    writer = NdrWriter().u32(len(name)).pointer(present=True).array(name).u32(0)
    assert csra.take_name(NdrReader(writer.done())) == ("RootCA", 0)


@pytest.mark.parametrize(
    ("stub", "take"),
    [
        (bytes.fromhex("00000200 1a000000"), csra.take_list),
        (bytes.fromhex("00000200 ffffffff 0000"), csra.take_list),
        (bytes.fromhex("00000200 01000000 00000000 02000000 00000000"), csra.take_list),
        (bytes.fromhex("00000000 ffffffff 00000000"), csra.take_list),
        (bytes.fromhex("01000000 00000000"), csra.take_size),
        (bytes.fromhex("ffffff7f 00"), csra.take_content),
        (bytes.fromhex("04000000 00000000 05000000 00000000"), csra.take_content),
        (bytes.fromhex("04000000 00000000 ffffffff 00000000"), csra.take_content),
        (bytes.fromhex("01000000"), csra.take_number),
        (bytes.fromhex("ff000000 00000200 ff000000 00"), csra.take_name),
    ],
)
def test_an_answer_that_claims_more_than_it_has_is_refused(stub: bytes, take: Callable[[NdrReader], object]) -> None:
    with pytest.raises(WireError):
        take(NdrReader(stub))
