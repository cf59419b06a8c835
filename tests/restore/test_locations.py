from __future__ import annotations

from time import process_time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

from tokar.errors import InputError, LocationListError, StorageError
from tokar.location_list import Kind, Location, parse_location_list
from tokar.namelist import build_names
from tokar.paths import PathMap
from tokar.restore.locations import (
    MAX_FILE_SIZE,
    LocationFile,
    NameTarget,
    location_by_hand,
    override,
    parse_location_file,
    parse_to,
    read_location_file,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def wide(*entries: tuple[int, str]) -> bytes:
    return build_names([(token, path.encode("utf-16-le")) for token, path in entries], wide=True)


def ca_locations() -> bytes:
    """The list of a CA with a long name: three entries, 398 bytes, as a listing of certbkxp.dat shows it."""
    folder = r"\\PKI-SRV01.corp.cvilab.local\C$\Windows\System32\CertLog"
    return wide((0x44, rf"{folder}\CVI Issuing CA 1.edb"), (0x82, folder), (0x83, folder))


def built(locations: Iterable[Location]) -> bytes:
    return wide(*((one.token, one.path) for one in locations))


def test_the_list_of_a_ca_has_the_size_that_was_seen() -> None:
    data = ca_locations()
    assert len(data) == 398
    assert [(one.token, one.kind) for one in parse_location_list(data, wide=True)] == [
        (0x44, Kind.UNSETTLED),
        (0x82, Kind.DIRECTORY),
        (0x83, Kind.DIRECTORY),
    ]


def test_the_list_of_a_ca_builds_back_to_the_same_bytes() -> None:
    assert built(parse_location_list(ca_locations(), wide=True)) == ca_locations()


@pytest.mark.parametrize(("spelled", "token"), [(0x82, 0x82), (0x22, 0x82), (0x21, 0x82), (0x83, 0x83), (0x23, 0x83)])
def test_directories_are_read_in_every_documented_spelling(spelled: int, token: int) -> None:
    (found,) = parse_location_list(wide((spelled, r"\\CA1\C$\L")), wide=True)
    assert (found.token, found.kind) == (token, Kind.DIRECTORY)


@pytest.mark.parametrize("token", [0x0F, 0x25, 0x44, 0x45, 0x99, 0xFF])
def test_other_tokens_stay_what_they_are(token: int) -> None:
    (found,) = parse_location_list(wide((token, r"\\CA1\C$\L")), wide=True)
    assert found.token == token


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


@examples(200)
@given(st.lists(st.tuples(st.integers(1, 255).filter(lambda token: token not in {0x21, 0x22, 0x23}), PATHS)))
def test_location_lists_survive_a_round_trip(entries: list[tuple[int, str]]) -> None:
    data = wide(*entries)
    found = parse_location_list(data, wide=True)
    assert [(one.token, one.path) for one in found] == entries
    assert built(found) == data


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("log-dir=/srv/logs", Location(0x82, "/srv/logs", Kind.DIRECTORY, "--to", by_hand=True)),
        ("0x44=x.edb", Location(0x44, "/base/x.edb", Kind.UNSETTLED, "--to", by_hand=True)),
        ("68=/srv/d/", Location(0x44, "/srv/d", Kind.DIRECTORY, "--to", by_hand=True)),
        ("database=dir:/srv/x.edb", Location(0x44, "/srv/x.edb", Kind.DIRECTORY, "--to", by_hand=True)),
        ("database=file:/srv/x", Location(0x44, "/srv/x", Kind.FILE, "--to", by_hand=True)),
        ("CSBFT_LOG=/srv/a=b", Location(0x21, "/srv/a=b", Kind.UNSETTLED, "--to", by_hand=True)),
        (r"log-dir=\\S1\D$\L", Location(0x82, r"\\S1\D$\L", Kind.DIRECTORY, "--to", by_hand=True)),
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
        Location(0x45, "/base/priv", Kind.DIRECTORY, "location file", by_hand=True),
        Location(0x82, "/srv/logs", Kind.DIRECTORY, "location file", by_hand=True),
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


@examples(300)
@given(st.one_of(st.binary(), st.text().map(lambda text: text.encode("utf-8", "replace"))))
def test_any_bytes_give_locations_or_a_typed_error(data: bytes) -> None:
    try:
        parse(data)
    except LocationListError as error:
        assert str(error).isprintable()  # noqa: PT017 - both outcomes are right


def test_the_time_to_read_a_file_grows_with_its_size() -> None:
    def seconds(rows: int) -> float:
        text = "".join(f'[[location]]\ntoken = "log-dir"\npath = "C:/a{number}"\n' for number in range(rows))
        begun = process_time()
        assert len(parse_location_file(text.encode(), "ese", base="/").locations) == rows
        return process_time() - begun

    few = min(seconds(1000) for _ in range(3))
    assert min(seconds(8000) for _ in range(2)) < 24 * few  # 8 where it is linear, 64 where it is not


@pytest.mark.parametrize(
    "text",
    [
        "a." * 200_000 + "a = 1",
        "[" + "a." * 200_000 + "a]",
        "x = {" + "a . " * 100_000 + "a = 1}",
        '"a".' * 100_000 + "a = 1",
        '"\\".".' * 100_000 + "a = 1",
        "'a b'." * 100_000 + "a = 1",
    ],
    ids=lambda text: text[:8],
)
def test_a_key_of_very_many_parts_is_refused_at_once(text: str) -> None:
    begun = process_time()
    with pytest.raises(LocationListError, match="parts or more"):
        parse_location_file(text.encode(), "ese", base="/")
    assert process_time() - begun < 5


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"[t{number}]\n" for number in range(90_000)),
        "".join(f"[[t{number}]]\n" for number in range(80_000)),
        "".join(f"[a.t{number}]\n" for number in range(70_000)),
        "".join(f"k{number}=1\n" for number in range(90_000)),
        "[[location]]\n" + "".join(f"k{number}=1\n" for number in range(90_000)),
        "".join(f"a{number}.b.c.d.e.f.g.h.i.j.k.l.m=1\n" for number in range(30_000)),
        "".join(f"a{number}=" + "[" * 400 + "]" * 400 + "\n" for number in range(1300)),
        "a=[" + "1," * 500_000 + "1]",
        "a=[" + "{a=1}," * 150_000 + "]",
        '[[location]]\ntoken="log"\npath="' + "a" * 1_000_000 + '"',
        '[[location]]\ntoken="log"\npath="""' + "a\n" * 500_000 + '"""',
    ],
    ids=lambda text: text[:20],
)
def test_what_is_large_and_no_list_of_locations_is_refused_in_few_words(text: str) -> None:
    begun = process_time()
    with pytest.raises(LocationListError) as caught:
        parse_location_file(text.encode(), "ese", base="/")
    assert process_time() - begun < 1.5  # on a busy machine; a fifth of it where nothing else is at work
    assert len(str(caught.value)) < 200


def test_a_key_that_is_none_is_shown_in_part() -> None:
    with pytest.raises(LocationListError, match="unknown table 'aaaa") as caught:
        parse("a" * 100_000 + "=1", "ese")
    assert len(str(caught.value)) < 200


def test_long_lists_and_odd_spellings_are_read_as_before() -> None:
    rows = "".join(f"  [[ file ]]  # {number}\n'name' = 'n{number}'\n\t\"path\" = '/x'\n\n" for number in range(15_000))
    assert len(parse(rows).targets) == 15_000
    inline = "location = [\n" + "{token='log', path='/x'},\n" * 5000 + "]\n"
    assert len(parse(inline).locations) == 5000
    lines = '[[file]]\nname = """a\n[b]\nc=1"""\npath=\'/x\'\n'
    assert parse(lines).targets[0].name == "a\n[b]\nc=1"
    assert parse("[[location]]\r\ntoken='log'\r\npath='/x'\r\n\r\n").locations[0].path == "/x"


@pytest.mark.parametrize(
    "row",
    [
        '[[location]]\ntoken = {}\npath = "/srv/x"\n',
        '[[location]]\ntoken=1\npath="a"\n# {}\n',
        "[[location]]\ntoken=1\npath='C:\\a\\b'\n# {}\n",
        '[[file]]\nname = "{}"\npath = "C:\\\\a"\n',
        "[[map]]\nprefix = '\\\\S\\{}'\ndirectory = \"/srv\"\n",
        "# {}\n",
        "\n",
    ],
)
def test_as_many_rows_as_a_file_can_have_are_read_in_a_moment(row: str) -> None:
    text = "".join(row.replace("{}", f"{number % 255 + 1}") for number in range(MAX_FILE_SIZE // (len(row) + 1)))
    text += "#" * (MAX_FILE_SIZE - len(text))
    begun = process_time()
    assert sum(1 for _ in text) == MAX_FILE_SIZE
    counted = process_time()
    parse_location_file(text.encode(), "ese", base="/home/x")
    parsed = process_time()
    assert parsed - counted < 120 * (
        counted - begun
    )  # than to count its characters, on the same machine at that moment


def test_an_error_far_down_names_its_line() -> None:
    text = "".join(f"[[file]]\nname='{number}'\npath='/x'\n" for number in range(100)) + "[[file]]\nname='a'\n"
    with pytest.raises(LocationListError, match=r"\[\[file\]\] \(line 301\) has no path"):
        parse(text)
