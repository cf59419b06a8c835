from __future__ import annotations

import pytest
from command_line import done, tokar

from tokar.tokens import PROFILES


def test_every_token_of_every_profile_is_shown_with_its_source() -> None:
    out = done("tokens").stdout
    for profile in PROFILES.values():
        assert f"{profile.name}: {profile.title}\n" in out
        for row in profile.rows:
            assert f"0x{row.token:02X}   {row.name}" in out
            assert row.source in out


def test_numbers_that_no_primary_source_gives_are_marked() -> None:
    lines = [line for line in done("tokens", "--profile", "edbbcli").stdout.splitlines() if "provisional" in line]
    assert [line.split()[0] for line in lines] == ["0x45", "0x46", "0x47", "0x28"]


def test_one_profile_can_be_asked_for() -> None:
    out = done("tokens", "--profile", "certadm").stdout
    assert out.startswith("certadm: ")
    assert "edbbcli: " not in out


def test_json_tells_the_same() -> None:
    profiles = done("tokens", "--json").json()["profiles"]
    assert [one["profile"] for one in profiles] == list(PROFILES)
    database = next(row for row in profiles[1]["tokens"] if row["name"] == "database")
    assert (database["token"], database["role"], database["constants"]) == (0x44, "database", ["BFT_NTDS_DATABASE"])


@pytest.mark.parametrize("profile", ["", "exch", "ESE"])
def test_a_profile_that_does_not_exist_is_refused(profile: str) -> None:
    result = tokar("tokens", "--profile", profile)
    assert result.exit_code == 2
    assert result.hint == "choose one of edbbcli, ntdsbcli, certadm, ese"
