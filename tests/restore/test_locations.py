from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokar.errors import InputError, LocationListError
from tokar.namelist import build_names
from tokar.restore.locations import (
    Kind,
    Location,
    NameTarget,
    build_location_list,
    location_by_hand,
    override,
    parse_location_list,
    parse_to,
)


def wide(*entries: tuple[int, str]) -> bytes:
    return build_names([(token, path.encode("utf-16-le")) for token, path in entries], wide=True)


def ca_locations() -> bytes:
    """The list of a CA with a long name: three entries, 398 bytes, as a listing of certbkxp.dat shows it."""
    folder = r"\\PKI-SRV01.corp.cvilab.local\C$\Windows\System32\CertLog"
    return wide((0x44, rf"{folder}\CVI Issuing CA 1.edb"), (0x82, folder), (0x83, folder))


def test_the_list_of_a_ca_has_the_size_that_was_seen() -> None:
    data = ca_locations()
    assert len(data) == 398
    assert [(one.token, one.kind) for one in parse_location_list(data, wide=True)] == [
        (0x44, Kind.UNSETTLED),
        (0x82, Kind.DIRECTORY),
        (0x83, Kind.DIRECTORY),
    ]


def test_the_list_of_a_ca_builds_back_to_the_same_bytes() -> None:
    assert build_location_list(parse_location_list(ca_locations(), wide=True)) == ca_locations()


@pytest.mark.parametrize(("spelled", "token"), [(0x82, 0x82), (0x22, 0x82), (0x21, 0x82), (0x83, 0x83), (0x23, 0x83)])
def test_directories_are_read_in_every_documented_spelling(spelled: int, token: int) -> None:
    (found,) = parse_location_list(wide((spelled, r"\\CA1\C$\L")), wide=True)
    assert (found.token, found.spelled, found.kind) == (token, spelled, Kind.DIRECTORY)


def test_a_writer_emits_only_the_right_spelling() -> None:
    found = parse_location_list(wide((0x22, r"\\CA1\C$\L"), (0x23, r"\\CA1\C$\L"), (0x21, r"\\CA1\C$\M")), wide=True)
    assert build_location_list(found) == wide((0x82, r"\\CA1\C$\L"), (0x83, r"\\CA1\C$\L"), (0x82, r"\\CA1\C$\M"))


@pytest.mark.parametrize("token", [0x0F, 0x25, 0x44, 0x45, 0x99, 0xFF])
def test_other_tokens_stay_what_they_are(token: int) -> None:
    (found,) = parse_location_list(wide((token, r"\\CA1\C$\L")), wide=True)
    assert found.token == found.spelled == token


def test_a_database_location_with_a_trailing_separator_is_a_directory() -> None:
    (found,) = parse_location_list(wide((0x44, "\\\\S\\M\\PRIVATE\\")), wide=True)
    assert found.kind is Kind.DIRECTORY


@pytest.mark.parametrize("data", [None, b"", b"\0\0", b"\0\0\0\0"])
def test_an_empty_list_has_no_locations(data: bytes | None) -> None:
    assert parse_location_list(data, wide=True) == ()


def test_an_a_list_of_ascii_needs_no_code_page() -> None:
    (found,) = parse_location_list(b"\x82\\\\S1\\D$\\L\0\0", wide=False)
    assert (found.token, found.path) == (0x82, r"\\S1\D$\L")


def test_an_a_list_beyond_ascii_asks_for_its_code_page() -> None:
    with pytest.raises(LocationListError, match="cannot be decoded") as caught:
        parse_location_list(b"\x44\\\\S1\\x\0\x82\\\\S1\\\x83\x5c\0\0", wide=False)
    assert caught.value.offset == 8
    assert caught.value.hint == "give the code page of the list"


def test_an_a_list_is_decoded_by_its_code_page() -> None:
    (found,) = parse_location_list(b"\x83\\\\S1\\\x83\x5c\0\0", wide=False, encoding=932)
    assert (found.token, found.path) == (0x83, "\\\\S1\\ソ")


def test_a_path_with_a_lone_surrogate_is_refused_with_its_place() -> None:
    with pytest.raises(LocationListError, match="cannot be decoded") as caught:
        parse_location_list(b"\x44\0\x00\xd8\0\0\0\0", wide=True)
    assert caught.value.offset == 0


def test_a_cut_list_is_refused() -> None:
    with pytest.raises(LocationListError, match="no terminator"):
        parse_location_list(ca_locations()[:-2], wide=True)


PATHS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(1, 255).filter(lambda token: token not in {0x21, 0x22, 0x23}), PATHS)))
def test_location_lists_survive_a_round_trip(entries: list[tuple[int, str]]) -> None:
    data = wide(*entries)
    found = parse_location_list(data, wide=True)
    assert [(one.token, one.path) for one in found] == entries
    assert build_location_list(found) == data


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("log-dir=/srv/logs", Location(0x82, "/srv/logs", Kind.DIRECTORY, "--to", True, 0x82)),
        ("0x44=x.edb", Location(0x44, "/base/x.edb", Kind.UNSETTLED, "--to", True, 0x44)),
        ("68=/srv/d/", Location(0x44, "/srv/d", Kind.DIRECTORY, "--to", True, 0x44)),
        ("database=dir:/srv/x.edb", Location(0x44, "/srv/x.edb", Kind.DIRECTORY, "--to", True, 0x44)),
        ("database=file:/srv/x", Location(0x44, "/srv/x", Kind.FILE, "--to", True, 0x44)),
        ("CSBFT_LOG=/srv/a=b", Location(0x21, "/srv/a=b", Kind.UNSETTLED, "--to", True, 0x21)),
        (r"log-dir=\\S1\D$\L", Location(0x82, r"\\S1\D$\L", Kind.DIRECTORY, "--to", True, 0x82)),
    ],
)
def test_to_takes_a_token(text: str, location: Location) -> None:
    assert parse_to(text, "certadm", base="/base") == location


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("PRIV.EDB=/srv/x.edb", NameTarget("PRIV.EDB", "/srv/x.edb", Kind.UNSETTLED, "--to")),
        ("a<83>=file:x", NameTarget("a<83>", "/base/x", Kind.FILE, "--to")),
        (r"\\S\D$\a.log=/srv/", NameTarget(r"\\S\D$\a.log", "/srv", Kind.DIRECTORY, "--to")),
    ],
)
def test_to_takes_a_name(text: str, target: NameTarget) -> None:
    assert parse_to(text, "certadm", base="/base") == target


def test_a_token_of_another_profile_is_a_name() -> None:
    assert isinstance(parse_to("private-database=/srv", "certadm", base="/"), NameTarget)


@pytest.mark.parametrize("text", ["", "log", "log=", "=/srv", "log=dir:", "="])
def test_to_without_a_place_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="says no place"):
        parse_to(text, "certadm", base="/")


def test_the_tolerance_of_raw_lists_is_not_for_people() -> None:
    location = parse_to("0x22=/srv", "certadm", base="/")
    assert isinstance(location, Location)
    assert location.token == 0x22


def test_a_later_group_replaces_all_that_was_said_of_its_tokens() -> None:
    listed = parse_location_list(wide((0x44, r"\\S\a"), (0x44, r"\\S\b"), (0x82, r"\\S\c")), wide=True)
    mine = location_by_hand(0x44, "/srv/x", Kind.FILE, base="/", source="--to")
    assert override(listed, [mine]) == (listed[2], mine)
