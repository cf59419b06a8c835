from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokar.errors import LocationListError, StorageError
from tokar.namelist import build_names
from tokar.restore.location_file import MAX_FILE_SIZE, LocationFile, parse_location_file, read_location_file
from tokar.restore.locations import Kind, Location, NameTarget
from tokar.restore.paths import PathMap

if TYPE_CHECKING:
    from pathlib import Path

TOML = r"""
# where things go
[[location]]
token = "private-database"
path = "priv"
kind = "directory"

[[location]]
token = 0x82
path = "/srv/logs"

[[file]]
name = "PUB.EDB"
path = "dir:/srv/pub"

[[map]]
prefix = '\\SERVER2\MDBDATA'
directory = "out"
"""


def parse(text: str | bytes, profile: str = "edbbcli", encoding: int = 0) -> LocationFile:
    data = text.encode() if isinstance(text, str) else text
    return parse_location_file(data, profile, base="/base", encoding=encoding)


def test_a_toml_file_says_tokens_names_and_maps() -> None:
    found = parse(TOML)
    assert found.locations == (
        Location(0x45, "/base/priv", Kind.DIRECTORY, "location file", True, 0x45),
        Location(0x82, "/srv/logs", Kind.DIRECTORY, "location file", True, 0x82),
    )
    assert found.targets == (NameTarget("PUB.EDB", "/srv/pub", Kind.DIRECTORY, "location file"),)
    assert found.maps == (PathMap(r"\\SERVER2\MDBDATA", "/base/out"),)
    assert found.raw is None


def test_a_byte_order_mark_before_toml_is_ignored() -> None:
    assert parse(b"\xef\xbb\xbf" + TOML.encode()) == parse(TOML)


def test_an_empty_file_is_an_empty_list() -> None:
    assert parse(b"") == LocationFile(raw=b"")


@pytest.mark.parametrize("data", [b"\0", b"\0\0", b"\0\0\0\0"])
def test_an_empty_raw_list_is_recognised(data: bytes) -> None:
    assert parse(data).locations == ()
    assert parse(data).raw == data


def test_a_raw_w_list_is_recognised() -> None:
    data = build_names([(0x82, r"\\CA1\C$\L".encode("utf-16-le"))], wide=True)
    found = parse(data)
    assert (found.raw, found.wide) == (data, True)
    assert [(one.token, one.path) for one in found.locations] == [(0x82, r"\\CA1\C$\L")]


def test_a_raw_a_list_is_recognised() -> None:
    data = build_names([(0x83, b"\\\\S1\\D$\\\x83\x5c")], wide=False)
    found = parse(data, encoding=932)
    assert (found.raw, found.wide) == (data, False)
    assert [(one.token, one.path) for one in found.locations] == [(0x83, r"\\S1\D$" + "\\ソ")]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[[location]\n", "no TOML.*line 1"),
        ("[[location]]\ntoken = 'log'\n", r"\[\[location\]\] \(line 1\) has no path"),
        ("\n\n[[location]]\npath = '/x'\n", r"\(line 3\) has no token"),
        ("[[location]]\ntoken='log'\npath='/x'\nkindd='file'\n", "unknown key 'kindd'"),
        ("[[location]]\ntoken='log'\npath='/x'\n[[location]]\ntoken='log'\npath=7\n", r"\(line 4\): path is no text"),
        ("[[location]]\ntoken='log'\npath=''\n", "path is no text"),
        ("[[location]]\ntoken='log'\npath='dir:'\n", "path is empty"),
        ("[[location]]\ntoken='databse'\npath='/x'\n", r"'databse' is no token.*\(line 1\)"),
        ("[[location]]\ntoken=256\npath='/x'\n", "no number from 0 to 255"),
        ("[[location]]\ntoken=-1\npath='/x'\n", "no number from 0 to 255"),
        ("[[location]]\ntoken=true\npath='/x'\n", "no text and no number"),
        ("[[location]]\ntoken=0x" + "f" * 9000 + "\npath='/x'\n", "no number from 0 to 255"),
        ("[[location]]\ntoken=" + "9" * 9000 + "\npath='/x'\n", "no TOML"),
        ("[[location]]\ntoken='log'\npath='/x'\nkind='folder'\n", 'kind is "directory" or "file"'),
        ("[location]\ntoken='log'\npath='/x'\n", r"double brackets \(line 1\)"),
        ("location = ['x']\n", "double brackets"),
        ("token='log'\n", "unknown table 'token'"),
        ("[[file]]\nname='x'\n", "has no path"),
        ("[[file]]\npath='x'\n", "has no name"),
        ("[[map]]\nprefix='logs'\ndirectory='/x'\n", "no absolute path"),
        ("[[map]]\nprefix='D:'\n", "has no directory"),
        ("a=" + "[" * 5000, "no TOML"),
        ("a\nb", "no TOML"),
    ],
)
def test_a_slip_in_a_toml_file_is_an_error(text: str, what: str) -> None:
    with pytest.raises(LocationListError, match=what):
        parse(text, "certadm")


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_toml_saved_as_utf_16_is_named_as_such(mark: bytes) -> None:
    with pytest.raises(LocationListError, match="save it as UTF-8"):
        parse(mark + "[[map]]".encode("utf-16-le"))


def test_bytes_that_are_nothing_are_refused_with_their_place() -> None:
    with pytest.raises(LocationListError, match="neither a raw list nor UTF-8 text") as caught:
        parse(b"ab\xffc")
    assert caught.value.offset == 2


def test_a_file_on_disk_gives_its_folder_and_name(tmp_path: Path) -> None:
    path = tmp_path / "where.toml"
    path.write_text(TOML, encoding="utf-8")
    found = read_location_file(path, "edbbcli")
    assert found.locations[0].path == str(tmp_path / "priv")
    assert found.locations[0].source == "where.toml"


def test_an_error_in_a_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.dat"
    path.write_bytes(b"\x44\0A\0\0\0")
    with pytest.raises(LocationListError, match="no terminator") as caught:
        read_location_file(path, "certadm")
    assert caught.value.path == path
    assert caught.value.offset == 6


def test_a_file_that_is_not_there_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot read the locations"):
        read_location_file(tmp_path / "none.toml", "certadm")


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_SIZE + 1)
    with pytest.raises(LocationListError, match="too large"):
        read_location_file(path, "certadm")


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.binary(), st.text().map(lambda text: text.encode("utf-8", "replace"))))
def test_any_bytes_give_locations_or_a_typed_error(data: bytes) -> None:
    try:
        parse(data)
    except LocationListError as error:
        assert str(error).isprintable()  # noqa: PT017 - both outcomes are right
