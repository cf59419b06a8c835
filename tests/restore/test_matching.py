from __future__ import annotations

import pytest
from sweeps import each

from tokar.errors import AmbiguousLocationError, RestoreError, UnknownTokenError
from tokar.location_list import Kind, Location
from tokar.restore.matching import Matcher


def at(token: int, path: str) -> Location:
    kind = Kind.DIRECTORY if token & 0x80 else Kind.UNSETTLED
    return Location(token, path, kind, "list")


DATABASE = at(0x44, r"\\CA1\C$\L\CA.edb")
LOGS = at(0x82, r"\\CA1\C$\L")
CHECKPOINT = at(0x83, r"\\CA1\C$\L")
CA = [DATABASE, LOGS, CHECKPOINT]


def match(token: int, locations: list[Location], *, leaf: str | None = "x", others: tuple[int, ...] = ()) -> Location:
    return Matcher(locations, {token, *others}, "certadm").match(token, leaf).location


def expected(token: int) -> Location | None:
    """The rule, written down a second time: by the columns of the table in spec/tokens.md."""
    if token & 0x80:
        return None
    if token == 0x44:
        return DATABASE
    return {0x40: DATABASE, 0x20: LOGS}.get(token & 0x60)


@each(range(256))
def test_every_byte_goes_where_the_rule_says(token: int) -> None:
    matcher = Matcher(CA, {token}, "certadm")
    if expected(token) is None:
        with pytest.raises(UnknownTokenError):
            matcher.match(token, "x")
    else:
        assert matcher.match(token, "x").location == expected(token)


@each(range(0x80))
def test_every_byte_goes_to_a_location_of_its_own(token: int) -> None:
    own = at(token, r"\\CA1\C$\own")
    assert match(token, [*CA, own] if token != 0x44 else [LOGS, own]) == own


@each(range(0x80, 0x100))
def test_a_token_of_a_directory_is_no_file_even_with_a_location_of_its_own(token: int) -> None:
    with pytest.raises(UnknownTokenError, match="names a directory, not a file"):
        match(token, [at(token, r"\\CA1\C$\own")])


@each(range(256))
def test_without_locations_nothing_is_placed(token: int) -> None:
    with pytest.raises(UnknownTokenError):
        match(token, [])


def test_the_rule_that_decided_is_said() -> None:
    matcher = Matcher(CA, {0x44, 0x21}, "certadm")
    assert matcher.match(0x44, "x").rule == "same token 0x44"
    assert matcher.match(0x21, "x").rule == "bit 0x20: the log directory"
    assert Matcher(CA, {0x48}, "certadm").match(0x48, "x").rule == "bit 0x40: the one database location"


def test_with_the_private_location_missing_its_database_never_lands_in_public() -> None:
    public = at(0x46, r"\\SERVER2\MDBDATA\PUBLIC")
    with pytest.raises(UnknownTokenError, match="databases of this set have 2 tokens"):
        match(0x45, [public, LOGS], others=(0x46,))


def test_all_databases_of_the_set_count_also_those_without_a_location() -> None:
    with pytest.raises(UnknownTokenError, match="2 tokens"):
        match(0x48, [DATABASE], others=(0x49,))


def test_a_contradictory_token_counts_as_a_database() -> None:
    with pytest.raises(UnknownTokenError, match="2 tokens"):
        match(0x48, [DATABASE], others=(0x60,))


def test_the_one_database_location_takes_the_one_database_token() -> None:
    assert match(0x48, [DATABASE, LOGS], others=(0x21, 0x25, 0xC4)) == DATABASE


def test_two_database_locations_are_ambiguous() -> None:
    with pytest.raises(AmbiguousLocationError, match="2 are for databases"):
        match(0x48, [DATABASE, at(0x45, r"\\CA1\C$\M")])


def test_two_log_directories_are_ambiguous() -> None:
    with pytest.raises(AmbiguousLocationError, match="2 are log directories"):
        match(0x21, [LOGS, at(0x82, r"\\CA1\C$\M")])


def test_one_log_directory_said_twice_is_one() -> None:
    assert match(0x21, [LOGS, at(0x82, "\\\\ca1\\c$\\l\\")]) == LOGS


def test_of_several_locations_the_one_that_names_the_file_takes_it() -> None:
    first, second = at(0x44, r"\\S\M\one.edb"), at(0x44, r"\\S\M\TWO.EDB")
    found = Matcher([first, second], {0x44}, "ese").match(0x44, "two.edb")
    assert found.location == second
    assert found.by_leaf


@pytest.mark.parametrize("leaf", ["three.edb", None])
def test_of_several_locations_none_takes_a_file_that_none_names(leaf: str | None) -> None:
    with pytest.raises(AmbiguousLocationError, match="not exactly one names the file"):
        match(0x44, [at(0x44, r"\\S\M\one.edb"), at(0x44, r"\\S\M\two.edb")], leaf=leaf)


def test_of_several_locations_two_that_name_the_file_are_ambiguous() -> None:
    with pytest.raises(AmbiguousLocationError, match="not exactly one names the file"):
        match(0x44, [at(0x44, r"\\S\M\one.edb"), at(0x44, r"\\S\N\one.edb")], leaf="one.edb")


def test_a_location_for_logs_alone_does_not_take_patch_files() -> None:
    logs = at(0x21, "/srv/logs")
    assert match(0x21, [logs]) == logs
    with pytest.raises(UnknownTokenError, match="no log directory") as caught:
        match(0x25, [logs])
    assert "--to log-dir=DIR/" in str(caught.value.hint)


def test_a_patch_file_goes_to_the_log_directory_not_to_the_checkpoint() -> None:
    assert match(0x25, [DATABASE, at(0x82, "/logs"), at(0x83, "/check")]).path == "/logs"


@pytest.mark.parametrize("token", [0x60, 0x6F, 0x7F])
def test_a_contradictory_token_is_refused(token: int) -> None:
    with pytest.raises(UnknownTokenError, match="bits of a database and of a log"):
        match(token, CA)


@pytest.mark.parametrize("token", [0x00, 0x0F, 0x1F])
def test_a_token_without_role_bits_is_refused(token: int) -> None:
    with pytest.raises(UnknownTokenError, match="no bit that says where"):
        match(token, CA)


def test_a_refusal_can_be_asked_for_again_and_again() -> None:
    matcher = Matcher([], {0x21}, "ese")
    depths = []
    for _ in range(3):
        with pytest.raises(RestoreError) as caught:
            matcher.match(0x21, "x")
        depths.append(len(caught.traceback))
    assert len(set(depths)) == 1


@pytest.mark.parametrize(("token", "option"), [(0x44, "--to database=DIR/"), (0x21, "--to log-dir=DIR/")])
def test_where_a_server_says_where_files_go_an_option_helps_only_without_it(token: int, option: str) -> None:
    with pytest.raises(UnknownTokenError) as caught:
        Matcher([], {token}, "certadm", from_server=True).match(token, "x")
    assert str(caught.value.hint).startswith(f"restore without --server, and register by hand: {option}")
