from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sweeps import each

from tokar import tokens
from tokar.errors import InputError
from tokar.tokens import Role

ROOT = Path(__file__).parents[1]
SPEC = (ROOT / "spec" / "tokens.md").read_text(encoding="utf-8")
RULES = re.compile(r"\b(TOK|LST|LOC|MAT|NAM|PLC)-(\d+)")
MODERN = ("ntdsbcli", "certadm", "ese")


def test_there_are_four_profiles() -> None:
    assert set(tokens.PROFILES) == {"edbbcli", "ntdsbcli", "certadm", "ese"}


@pytest.mark.parametrize("profile", MODERN)
def test_the_modern_profiles_share_their_numbers(profile: str) -> None:
    table = {row.name: row.token for row in tokens.PROFILES[profile].rows}
    assert table == {
        "log": 0x21,
        "log-dir": 0x82,
        "checkpoint-dir": 0x83,
        "database": 0x44,
        "patch": 0x25,
        "unknown": 0x0F,
    }


def test_exchange_has_three_databases_and_its_own_patch_number() -> None:
    table = {row.name: row.token for row in tokens.PROFILES["edbbcli"].rows}
    assert table == {
        "log": 0x21,
        "log-dir": 0x82,
        "checkpoint-dir": 0x83,
        "private-database": 0x45,
        "public-database": 0x46,
        "directory-database": 0x47,
        "patch": 0x28,
        "unknown": 0x0F,
    }


def test_only_four_numbers_are_provisional() -> None:
    found = {(p.name, row.token) for p in tokens.PROFILES.values() for row in p.rows if row.provisional}
    assert found == {("edbbcli", 0x45), ("edbbcli", 0x46), ("edbbcli", 0x47), ("edbbcli", 0x28)}


def test_every_row_says_where_it_comes_from() -> None:
    assert all(row.source and row.meaning for p in tokens.PROFILES.values() for row in p.rows)


def test_a_provisional_number_still_has_the_bits_of_its_role() -> None:
    roles = {row.name: tokens.role(row.token) for row in tokens.PROFILES["edbbcli"].rows if row.provisional}
    assert roles == {
        "private-database": Role.DATABASE,
        "public-database": Role.DATABASE,
        "directory-database": Role.DATABASE,
        "patch": Role.LOG,
    }


@pytest.mark.parametrize(
    ("text", "profile", "token"),
    [
        ("log", "certadm", 0x21),
        ("LOG-DIR", "ese", 0x82),
        (" checkpoint-dir ", "ntdsbcli", 0x83),
        ("database", "ese", 0x44),
        ("patch", "certadm", 0x25),
        ("patch", "edbbcli", 0x28),
        ("unknown", "edbbcli", 0x0F),
        ("private-database", "edbbcli", 0x45),
        ("public-database", "edbbcli", 0x46),
        ("directory-database", "edbbcli", 0x47),
        ("BFT_LOG", "ntdsbcli", 0x21),
        ("csbft_log_dir", "certadm", 0x82),
        ("BFT_CHECKPOINT_DIR", "edbbcli", 0x83),
        ("BFT_NTDS_DATABASE", "ntdsbcli", 0x44),
        ("CSBFT_CERTSERVER_DATABASE", "certadm", 0x44),
        ("CSBFT_CERTSERVER_DATABASE", "ese", 0x44),
        ("BFT_NTDS_DATABASE", "ese", 0x44),
        ("BFT_PATCH_FILE", "ntdsbcli", 0x25),
        ("BFT_PATCH_FILE", "edbbcli", 0x28),
        ("BFT_MDB_PRIVATE_DATABASE", "edbbcli", 0x45),
        ("BFT_MDB_PUBLIC_DATABASE", "edbbcli", 0x46),
        ("BFT_DSA_DATABASE", "edbbcli", 0x47),
        ("BFT_UNKNOWN", "ese", 0x0F),
        ("0x21", "edbbcli", 0x21),
        ("0X0f", "ese", 0x0F),
        ("33", "certadm", 0x21),
        ("0", "certadm", 0),
        ("255", "certadm", 255),
        ("0x99", "a profile of the future", 0x99),
    ],
)
def test_a_token_is_named_in_many_ways(text: str, profile: str, token: int) -> None:
    assert tokens.parse_token(text, profile) == token


@pytest.mark.parametrize(
    ("text", "profile"),
    [
        ("", "ese"),
        ("databse", "ese"),
        ("database", "edbbcli"),
        ("private-database", "certadm"),
        ("BFT_MDB_PRIVATE_DATABASE", "ntdsbcli"),
        ("256", "ese"),
        ("0x100", "ese"),
        ("-1", "ese"),
        ("0b1", "ese"),
        ("1_0", "ese"),
        ("٣٣", "ese"),
        ("log", "a profile of the future"),
    ],
)
def test_what_is_no_token_is_refused(text: str, profile: str) -> None:
    with pytest.raises(InputError, match="is no token of the profile"):
        tokens.parse_token(text, profile)


def test_the_refusal_lists_what_is_accepted() -> None:
    with pytest.raises(InputError) as caught:
        tokens.parse_token("databse", "edbbcli")
    assert caught.value.hint is not None
    assert "private-database, public-database, directory-database, patch, unknown" in caught.value.hint


def test_a_token_without_a_name_prints_as_its_number() -> None:
    assert tokens.token_name(0x99, "certadm") == "0x99"
    assert tokens.token_name(0x44, "edbbcli") == "0x44"
    assert tokens.token_name(0x05, "certadm") == "0x05"


@settings(deadline=None)
@given(st.integers(0, 255), st.sampled_from([*tokens.PROFILES, "a profile of the future"]))
def test_the_printed_name_of_every_byte_reads_back(token: int, profile: str) -> None:
    assert tokens.parse_token(tokens.token_name(token, profile), profile) == token


@each(range(256))
def test_the_role_of_every_byte_follows_from_its_bits(token: int) -> None:
    expected = (
        Role.DIRECTORY
        if token >= 0x80
        else {0: Role.NONE, 0x20: Role.LOG, 0x40: Role.DATABASE, 0x60: Role.CONTRADICTORY}[token & 0x60]
    )
    assert tokens.role(token) is expected


def test_directories_have_three_misspellings_in_location_lists() -> None:
    changed = {token: tokens.location_token(token) for token in range(256) if tokens.location_token(token) != token}
    assert changed == {0x21: 0x82, 0x22: 0x82, 0x23: 0x83}


def test_the_table_of_the_specification_is_the_data() -> None:
    columns = ("ntdsbcli", "certadm", "ese", "edbbcli")
    rows = re.findall(r"^\| 0x(..) \| `([a-z-]+)` \| (.*) \|$", SPEC, re.MULTILINE)
    written = {
        (profile, int(number, 16), name, "provisional" in cell)
        for number, name, cells in rows
        for profile, cell in zip(columns, cells.split(" | "), strict=True)
        if cell != "-"
    }
    assert written == {
        (profile.name, row.token, row.name, row.provisional)
        for profile in tokens.PROFILES.values()
        for row in profile.rows
    }


def test_the_constants_of_the_specification_are_accepted() -> None:
    for profile in tokens.PROFILES.values():
        column = ("ntdsbcli", "certadm", "ese", "edbbcli").index(profile.name)
        for number, cells in re.findall(r"^\| 0x(..) \| `[a-z-]+` \| (.*) \|$", SPEC, re.MULTILINE):
            for constant in re.findall(r"`(\w+)`", cells.split(" | ")[column]):
                assert tokens.parse_token(constant, profile.name) == int(number, 16)


def test_the_rules_of_the_specification_are_numbered_without_gaps() -> None:
    defined = [(name, int(number)) for name, number in re.findall(r"\*\*([A-Z]{3})-(\d+)\*\*", SPEC)]
    for family in ("TOK", "LST", "LOC", "MAT", "NAM", "PLC"):
        numbers = [number for name, number in defined if name == family]
        assert numbers == list(range(1, len(numbers) + 1))


def test_every_rule_that_the_code_cites_is_in_the_specification() -> None:
    defined = set(re.findall(r"\*\*([A-Z]{3}-\d+)\*\*", SPEC))
    cited = {
        match[0] for path in (ROOT / "src").rglob("*.py") for match in RULES.finditer(path.read_text(encoding="utf-8"))
    }
    assert cited
    assert cited <= defined
