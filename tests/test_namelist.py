from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import each, examples

from tokar import names
from tokar.errors import LocationListError
from tokar.namelist import ListedName, build_names, parse_names

# Worked bytes, computed from the grammar: an A list of logs, a W list of databases, a W list of locations.
LOGS_A = bytes.fromhex(
    "21 5c 5c 53 31 5c 44 24 5c 4c 5c 45 44 42 30 30 30 30 31 2e 4c 4f 47 00 25 5c 5c 53 31 5c 44 24"
    "5c 4c 5c 50 55 42 2e 50 41 54 00 00"
)
DATABASES_W = bytes.fromhex(
    "44 00 5c 00 5c 00 43 00 41 00 31 00 5c 00 43 00 24 00 5c 00 4c 00 5c 00 43 00 41 00 2e 00 65 00"
    "64 00 62 00 00 00 00 00"
)
LOCATIONS_W = bytes.fromhex(
    "44 00 5c 00 5c 00 43 00 41 00 31 00 5c 00 43 00 24 00 5c 00 4c 00 5c 00 43 00 41 00 2e 00 65 00"
    "64 00 62 00 00 00 82 00 5c 00 5c 00 43 00 41 00 31 00 5c 00 43 00 24 00 5c 00 4c 00 00 00 83 00"
    "5c 00 5c 00 43 00 41 00 31 00 5c 00 43 00 24 00 5c 00 4c 00 00 00 00 00"
)


def test_the_worked_a_list_of_logs() -> None:
    assert len(LOGS_A) == 44
    assert parse_names(LOGS_A, wide=False, encoding=1252) == (
        ListedName(0x21, rb"\\S1\D$\L\EDB00001.LOG", 1252, 0),
        ListedName(0x25, rb"\\S1\D$\L\PUB.PAT", 1252, 24),
    )


def test_the_worked_w_list_of_databases() -> None:
    assert len(DATABASES_W) == 40
    assert parse_names(DATABASES_W, wide=True) == (ListedName(0x44, r"\\CA1\C$\L\CA.edb".encode("utf-16-le"), 1200, 0),)


def test_the_worked_w_list_of_locations() -> None:
    assert len(LOCATIONS_W) == 88
    found = parse_names(LOCATIONS_W, wide=True)
    assert [(entry.token, entry.offset) for entry in found] == [(0x44, 0x00), (0x82, 0x26), (0x83, 0x3E)]
    assert [names.decode(entry.raw_name, entry.encoding) for entry in found] == [
        r"\\CA1\C$\L\CA.edb",
        r"\\CA1\C$\L",
        r"\\CA1\C$\L",
    ]


@pytest.mark.parametrize("wide", [False, True])
def test_the_worked_lists_build_back_to_the_same_bytes(wide: bool) -> None:
    for data in (DATABASES_W, LOCATIONS_W) if wide else (LOGS_A,):
        found = parse_names(data, wide=wide)
        assert build_names(((entry.token, entry.raw_name) for entry in found), wide=wide) == data


@pytest.mark.parametrize("data", [None, b"", b"\0\0", b"\0\0\0\0"])
def test_an_empty_w_list_has_four_forms(data: bytes | None) -> None:
    assert parse_names(data, wide=True) == ()


@pytest.mark.parametrize("data", [None, b"", b"\0", b"\0\0"])
def test_an_empty_a_list_has_four_forms(data: bytes | None) -> None:
    assert parse_names(data, wide=False) == ()


@pytest.mark.parametrize("token", [0x82, 0x83])
@pytest.mark.parametrize("page", [932, 936, 949, 950])
def test_a_token_that_is_a_lead_byte_does_not_swallow_the_name(token: int, page: int) -> None:
    (found,) = parse_names(bytes([token]) + b"\\\\S1\\D$\0\0", wide=False, encoding=page)
    assert found.token == token
    assert names.decode(found.raw_name, found.encoding) == r"\\S1\D$"


def test_zero_bytes_astride_two_characters_do_not_end_a_name() -> None:
    text = "A\u0100B"
    data = b"\x44\0" + text.encode("utf-16-le") + b"\0\0\0\0"
    assert b"\0\0" in text.encode("utf-16-le")
    (found,) = parse_names(data, wide=True)
    assert names.decode(found.raw_name, 1200) == text


def test_zero_bytes_astride_the_token_and_the_name_do_not_end_it() -> None:
    (found,) = parse_names(b"\x44\0\0\x01\0\0\0\0", wide=True)
    assert names.decode(found.raw_name, 1200) == "\u0100"


@pytest.mark.parametrize("wide", [False, True])
def test_what_follows_the_terminator_means_nothing(wide: bool) -> None:
    data = build_names([(0x44, b"AB")], wide=wide)
    assert parse_names(data + b"rest of a buffer" * 2, wide=wide) == parse_names(data, wide=wide)


def test_a_list_without_tokens_keeps_whole_names() -> None:
    (found,) = parse_names(b"C:\\x.crl\0\0", wide=False, with_tokens=False)
    assert found == ListedName(None, b"C:\\x.crl", 0, 0)


@pytest.mark.parametrize(
    ("data", "wide", "what", "offset"),
    [
        (DATABASES_W[:-2], True, "no terminator", 38),
        (DATABASES_W[:-4], True, "no end", 0),
        (DATABASES_W[:-1], True, "odd number", 39),
        (LOGS_A[:-1], False, "no terminator", 43),
        (LOGS_A[:-3], False, "no end", 24),
        (b"\0", True, "odd number", 1),
        (b"\x44\0\0\0\0\0", True, "0x44 has no name", 0),
        (b"\x21AB\0\x25\0\0", False, "0x25 has no name", 4),
        (b"\x44\x01A\0\0\0\0\0", True, "token is 0x0144", 0),
        (b"\x44", False, "no end", 0),
    ],
)
def test_a_broken_list_is_refused_with_its_place(data: bytes, wide: bool, what: str, offset: int) -> None:
    with pytest.raises(LocationListError, match=what) as caught:
        parse_names(data, wide=wide)
    assert caught.value.offset == offset


@each(range(2, len(LOCATIONS_W)))
def test_a_list_that_was_cut_is_never_taken_for_whole(cut: int) -> None:
    with pytest.raises(LocationListError):
        parse_names(LOCATIONS_W[:cut], wide=True)


@pytest.mark.parametrize(
    ("token", "name", "wide"),
    [
        (0, b"A\0", True),
        (256, b"A\0", True),
        (0x44, b"", True),
        (0x44, b"ABC", True),
        (0x44, b"A\0\0\0", True),
        (0x44, b"A\0B", False),
    ],
)
def test_what_cannot_stand_in_a_list_is_not_written(token: int, name: bytes, wide: bool) -> None:
    with pytest.raises(LocationListError, match="cannot stand in a list"):
        build_names([(token, name)], wide=wide)


WIDE_NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
NARROW_NAMES = st.binary(min_size=1).map(lambda raw: raw.replace(b"\0", b"?"))


@examples(200)
@given(st.lists(st.tuples(st.one_of(st.none(), st.integers(1, 255)), WIDE_NAMES)), st.binary())
def test_w_lists_survive_a_round_trip(entries: list[tuple[int | None, str]], rest: bytes) -> None:
    for with_tokens in (False, True):
        chosen = [(token, text.encode("utf-16-le")) for token, text in entries if (token is not None) == with_tokens]
        data = build_names(chosen, wide=True) + rest[: len(rest) & ~1]
        found = parse_names(data, wide=True, with_tokens=with_tokens)
        assert [(entry.token, entry.raw_name) for entry in found] == chosen


@examples(200)
@given(st.lists(st.tuples(st.integers(1, 255), NARROW_NAMES)))
def test_a_lists_survive_a_round_trip(entries: list[tuple[int | None, bytes]]) -> None:
    found = parse_names(build_names(entries, wide=False), wide=False)
    assert [(entry.token, entry.raw_name) for entry in found] == entries


@examples(300)
@given(st.binary(), st.booleans(), st.booleans())
def test_any_bytes_give_entries_or_a_typed_error(data: bytes, wide: bool, with_tokens: bool) -> None:
    try:
        found = parse_names(data, wide=wide, with_tokens=with_tokens)
    except LocationListError:
        return
    assert all(entry.raw_name for entry in found)
