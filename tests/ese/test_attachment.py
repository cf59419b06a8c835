from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

from tokar.errors import InputError
from tokar.ese.attachment import (
    AREA_SIZE,
    PATH_SIZE,
    Attachment,
    Environment,
    build_attachments,
    is_escaped,
    parse_attachments,
    path_bytes,
    split_names,
)
from tokar.ese.values import LogPosition, Signature

ONE = Attachment(
    dbid=1,
    path="C:\\Windows\\system32\\dhcp\\dhcp.mdb",
    signature=Signature(random=7),
    dbtime=99,
    attach_position=LogPosition(generation=3, sector=1),
)
NARROW = Attachment(dbid=2, path="D:\\data\\PRIV.EDB", signature=Signature(random=8), flags=0, more_names=b"other\0")


def test_attachments_survive_the_round_trip() -> None:
    area = build_attachments([ONE, NARROW])
    assert len(area) == AREA_SIZE
    assert parse_attachments(area) == (ONE, NARROW)


def test_an_empty_area_lists_nothing() -> None:
    assert parse_attachments(bytes(AREA_SIZE)) == ()


def test_an_entry_whose_names_run_past_the_area_ends_the_list() -> None:
    area = bytearray(build_attachments([ONE, NARROW]))
    second = 64 + len((ONE.path + "\0").encode("utf-16-le"))
    area[second + 2 : second + 4] = b"\xff\xff"
    assert parse_attachments(bytes(area)) == (ONE,)


def test_a_wide_name_without_terminator_is_taken_whole() -> None:
    area = bytearray(build_attachments([ONE]))
    area[2:4] = (8).to_bytes(2, "little")
    assert parse_attachments(bytes(area))[0].path == "C:\\W"


def test_a_lone_surrogate_in_a_path_is_shown_escaped() -> None:
    area = bytearray(build_attachments([ONE]))
    area[64:66] = b"\x00\xd8"
    assert parse_attachments(bytes(area))[0].path.startswith("\\x00\\xd8")


@pytest.mark.parametrize("name", [b"m\xe4in.edb", b"\x83\x5c.edb", b"\x83\x5cA\x83\x5c.edb", b"main\xe4"])
def test_a_name_of_single_bytes_beyond_ascii_is_known_as_one(name: bytes) -> None:
    assert is_escaped(split_names(b"C:\\m\xe4\\db\\" + name + b"\0", wide=False)[0])


@pytest.mark.parametrize(
    "path", ["C:\\db\\main.edb", "C:\\xe4\\db\\main.edb", "D:\\x86\\db\\xmain.edb", "m\xe4in.edb", ""]
)
def test_a_name_of_ascii_and_a_wide_one_are_known_as_they_are(path: str) -> None:
    assert not is_escaped(path)


@examples(60)
@given(st.binary(max_size=AREA_SIZE))
def test_no_bytes_can_make_the_list_fail_or_grow_without_bound(area: bytes) -> None:
    assert len(parse_attachments(area)) <= AREA_SIZE // 64


def test_too_many_attachments_are_refused() -> None:
    with pytest.raises(InputError, match="2048"):
        build_attachments([ONE] * 20)


def test_a_narrow_path_that_is_not_ascii_is_refused() -> None:
    with pytest.raises(InputError, match="ascii"):
        Attachment(dbid=1, path="C:\\Bücher", signature=Signature(), flags=0).pack()


def test_a_dbid_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="_Entry"):
        Attachment(dbid=256, path="x", signature=Signature()).pack()


def test_paths_are_read_up_to_their_terminator() -> None:
    environment = Environment(
        raw_system_path=path_bytes("C:\\NTDS"), raw_log_path=b"D:\\LOGS\0old rest".ljust(PATH_SIZE)
    )
    assert environment.system_path == "C:\\NTDS"
    assert environment.log_path == "D:\\LOGS"


def test_a_path_is_cut_to_fit_and_loses_what_has_no_place() -> None:
    assert path_bytes("x" * 300) == b"x" * (PATH_SIZE - 1) + b"\0"
    assert path_bytes("ü").startswith(b"?\0")
