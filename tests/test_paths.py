from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

from tokar.errors import InputError, RestoreError
from tokar.paths import PathMap, PathResolver, last_component, native, parse_map, same_place, take_apart

if TYPE_CHECKING:
    from pathlib import Path


def resolve(text: str, *maps: tuple[str, str], windows: bool = False, host: str = "HERE", by_hand: bool = False) -> str:
    resolver = PathResolver(tuple(PathMap(*one) for one in maps), windows=windows, hosts=frozenset({host}))
    return resolver.resolve(text, by_hand=by_hand)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\\CA1\C$\Windows\CertLog", r"\\ca1\c$\WINDOWS\certlog"),
        (r"\\CA1\C$\Windows", "\\\\CA1\\C$\\Windows\\"),
        (r"\\CA1\C$\Windows", "//CA1/C$/Windows".replace("/", "\\")),
        (r"\\?\UNC\CA1\C$\L", r"\\CA1\C$\L"),
        (r"\\?\D:\L", r"d:\l"),
        ("D:/logs", r"d:\logs"),
        ("/srv/logs/", "/srv//logs"),
    ],
)
def test_two_spellings_of_one_path_are_the_same_place(one: str, other: str) -> None:
    assert same_place(one) == same_place(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\\CA1\C$\L", r"\\CA2\C$\L"),
        (r"\\CA1\C$\L", r"\\CA1\D$\L"),
        (r"\\CA1\C$\L", r"\\CA1\C\L"),
        ("/srv/logs", "/srv/LOGS"),
        (r"D:\x", r"\\CA1\D$\x"),
    ],
)
def test_two_paths_are_two_places(one: str, other: str) -> None:
    assert same_place(one) != same_place(other)


@pytest.mark.parametrize("text", ["", "logs", r"logs\x", "D:logs", "\\\\", r"\\?\GLOBALROOT\Device", "..", r"\logs"])
def test_a_relative_path_is_not_taken_apart(text: str) -> None:
    assert take_apart(text) is None


@pytest.mark.parametrize(
    ("text", "last"), [(r"\\CA1\C$\L\CA.edb", "CA.edb"), ("/srv/logs/", "logs"), ("x.edb", "x.edb"), ("/", "")]
)
def test_the_last_component_ignores_a_trailing_separator(text: str, last: str) -> None:
    assert last_component(text) == last


def test_a_map_is_applied_by_component() -> None:
    assert resolve(r"\\SERVER2\MDBDATA\PRIVATE", (r"\\SERVER2\MDBDATA", "/srv/r")) == "/srv/r/PRIVATE"


def test_a_map_does_not_match_half_a_component() -> None:
    with pytest.raises(RestoreError, match="names another machine"):
        resolve(r"\\SERVER2\MDBDATA2\PRIVATE", (r"\\SERVER2\MDBDATA", "/srv/r"))


def test_a_map_is_applied_whatever_the_case_and_the_spelling() -> None:
    assert resolve(r"\\Server2\mdbdata\Private", ("\\\\SERVER2\\MDBDATA\\", "/srv/r")) == "/srv/r/Private"


@pytest.mark.parametrize("prefix", [r"D:\exchsrvr", r"d:/EXCHSRVR/", r"\\SERVER\D$\exchsrvr", r"\\server\d$\exchsrvr"])
def test_an_administrative_share_is_its_drive(prefix: str) -> None:
    assert resolve(r"\\SERVER\D$\exchsrvr\mdbdata", (prefix, "/srv/r")) == "/srv/r/mdbdata"


def test_a_drive_of_one_machine_does_not_stand_for_a_bare_drive() -> None:
    with pytest.raises(RestoreError, match="names another machine"):
        resolve(r"D:\exchsrvr", (r"\\SERVER\D$", "/srv/r"))


def test_a_host_alone_can_be_mapped() -> None:
    assert resolve(r"\\S1\D$\L", (r"\\S1", "/srv/r")) == "/srv/r/D$/L"


def test_a_path_that_is_the_prefix_is_the_directory() -> None:
    assert resolve(r"\\S1\D$\L", (r"\\S1\D$\L", "/srv/r")) == "/srv/r"


def test_the_longest_prefix_wins() -> None:
    maps = [(r"\\S1\D$", "/srv/all"), (r"\\S1\D$\L", "/srv/logs"), (r"D:", "/srv/any")]
    assert resolve(r"\\S1\D$\L\x", *maps) == "/srv/logs/x"
    assert resolve(r"\\S1\D$\M", *maps) == "/srv/all/M"


def test_two_maps_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(RestoreError, match="two maps fit"):
        resolve(r"\\S1\D$\L", (r"\\S1\D$", "/srv/a"), (r"\\s1\d$", "/srv/b"))


def test_the_same_map_twice_is_one_map() -> None:
    assert resolve(r"\\S1\D$\L", (r"\\S1\D$", "/srv/a"), (r"\\s1\d$", "/srv/a")) == "/srv/a/L"


def test_a_posix_path_can_be_mapped_too() -> None:
    assert resolve("/lab/logs/x", ("/lab", "/srv/r")) == "/srv/r/logs/x"


@pytest.mark.parametrize("text", [r"\\SERVER\D$\L", r"D:\L", r"\\?\D:\L", "\\\\HERE\\D$\\L"])
@pytest.mark.parametrize("by_hand", [False, True])
def test_without_a_map_no_windows_path_is_local_on_posix(text: str, by_hand: bool) -> None:
    with pytest.raises(RestoreError, match="names another machine") as caught:
        resolve(text, by_hand=by_hand)
    assert "--map" in str(caught.value.hint)


def test_a_posix_path_of_a_list_is_this_machine_s_on_posix() -> None:
    assert resolve("/srv//restore/") == "/srv/restore"


def test_a_posix_path_is_nowhere_on_windows() -> None:
    with pytest.raises(RestoreError, match="names another machine"):
        resolve("/srv/restore", windows=True)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (r"\\HERE\D$\logs\x", r"D:\logs\x"),
        (r"\\here\d$", "D:\\"),
        (r"\\here\share\x", r"\\here\share\x"),
        (r"e:\logs", r"E:\logs"),
        (r"\\?\UNC\HERE\D$\logs", r"D:\logs"),
    ],
)
def test_on_windows_a_path_that_names_this_machine_is_local(text: str, path: str) -> None:
    assert resolve(text, windows=True) == path


@pytest.mark.parametrize("text", [r"\\OTHER\D$\logs", r"\\HERE.example.org\D$\logs"])
def test_on_windows_another_machine_needs_a_map(text: str) -> None:
    with pytest.raises(RestoreError, match="names another machine"):
        resolve(text, windows=True)


def test_on_windows_a_share_that_the_user_names_is_a_place() -> None:
    assert resolve(r"\\OTHER\D$\logs", windows=True, by_hand=True) == r"\\OTHER\D$\logs"


def test_on_windows_a_map_comes_before_the_local_path() -> None:
    assert resolve(r"\\HERE\D$\logs\x", (r"D:\logs", r"E:\restore"), windows=True) == r"E:\restore\x"


@pytest.mark.parametrize("text", ["logs", r"..\logs", "D:logs"])
def test_a_relative_location_is_refused(text: str) -> None:
    with pytest.raises(RestoreError, match="not an absolute path"):
        resolve(text)


@pytest.mark.parametrize(
    "text",
    [
        r"\\S1\D$\..\..\etc",
        r"\\S1\D$\.\x",
        r"\\S1\D$\a:b",
        r"\\S1\D$\NUL",
        "\\\\S1\\D$\\a\x1bb",
        "\\\\S1\\D$\\a\0b",
        r"\\S1\D$\x ",
    ],
)
def test_a_location_with_an_unsafe_component_is_refused(text: str) -> None:
    with pytest.raises(RestoreError, match="is not safe") as caught:
        resolve(text, (r"\\S1\D$", "/srv/r"))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("text", [r"\\HERE\..\x", r"\\HERE\D$\..\x", r"D:\..\x", r"D:\a:b", r"\\HERE\a:b\x"])
def test_a_local_windows_path_with_an_unsafe_component_is_refused(text: str) -> None:
    with pytest.raises(RestoreError, match="is not safe"):
        resolve(text, windows=True)


def test_a_posix_location_that_climbs_is_refused() -> None:
    with pytest.raises(RestoreError, match="is not safe"):
        resolve("/srv/../etc")


def test_map_text_is_split_at_the_first_equals_sign() -> None:
    assert parse_map(r"\\S1\D$=/srv/a=b", "/base") == PathMap(r"\\S1\D$", "/srv/a=b")


def test_the_directory_of_a_map_starts_from_the_base() -> None:
    assert parse_map(r"D:=out", "/base").directory == native("out", "/base")


@pytest.mark.parametrize("text", ["", "=", r"\\S1", r"\\S1=", "=/srv", "logs=/srv"])
def test_what_is_no_map_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"no map|no absolute path"):
        parse_map(text, "/base")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("logs", "/base/logs"),
        ("../logs/", "/logs"),
        ("/srv/./logs", "/srv/logs"),
        (r"\\S1\x", r"\\S1\x"),
        (r"D:\x", r"D:\x"),
    ],
)
def test_a_path_of_this_machine_is_made_absolute(text: str, path: str) -> None:
    assert native(text, "/base", windows=False) == path


@pytest.mark.parametrize("text", ["link/../x", "{0}/link/../x", "a/../link/.//../x/"])
def test_above_a_link_is_where_the_system_goes(text: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real/deep")
    assert native(text.format(tmp_path), str(tmp_path)) == str(tmp_path / "real" / "x")


@pytest.mark.parametrize(("text", "path"), [("/..", "/"), ("/../x", "/x"), ("/a/b/../../..", "/"), ("..", "/")])
def test_nothing_is_above_the_root(text: str, path: str) -> None:
    assert native(text, "/no-such-folder") == path


@pytest.mark.parametrize(("text", "path"), [("logs", r"C:\base\logs"), ("/x", r"C:\x"), (r"\\S1\s\x", r"\\S1\s\x")])
def test_a_path_of_this_machine_is_made_absolute_on_windows(text: str, path: str) -> None:
    assert native(text, r"C:\base", windows=True) == path


@examples(300)
@given(st.text(st.sampled_from("\\/.:?DS1$ ab\0\x1b")), st.booleans(), st.booleans())
def test_a_mapped_path_never_leaves_its_directory(text: str, windows: bool, by_hand: bool) -> None:
    directory = r"E:\restore" if windows else "/srv/restore"
    maps = tuple(PathMap(prefix, directory) for prefix in (r"\\S1", "D:", "/S1"))
    try:
        path = PathResolver(maps, windows=windows).resolve(text, by_hand=by_hand)
    except RestoreError as error:
        assert str(error).isprintable()  # noqa: PT017 - both outcomes are right
        return
    separator = "\\" if windows else "/"
    assert ".." not in path.split(separator)
    assert "\0" not in path
