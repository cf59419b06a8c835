from __future__ import annotations

import pytest
from command_line import done, tokar


def test_a_code_is_explained_with_its_name_its_meaning_and_what_to_do() -> None:
    assert done("explain", "-1216").stdout.splitlines() == [
        "JET_errAttachedDatabaseMismatch",
        "  means    an attached database is missing or another one",
        "  do       restore all databases of the logs; where no service owns them, esentutl /r BASE /i goes on without",
        "  from     the engine (ESE)",
        "  written  -1216, 4294966080, 0xC80004C0, 3355444416, -939522880, 939522880",
    ]


@pytest.mark.parametrize("words", [["JET -1216"], ["JET", "-1216"], ["jet", "error:", "-1216"], ["hresult=0xC80004C0"]])
def test_what_people_write_around_a_code_does_not_matter(words: list[str]) -> None:
    assert done("explain", *words).stdout.startswith("JET_errAttachedDatabaseMismatch\n")


def test_several_codes_are_explained_in_turn() -> None:
    shown = [line for line in done("explain", "-530", "0x80070020").stdout.splitlines() if not line.startswith(" ")]
    assert shown == ["JET_errBadLogSignature", "ERROR_SHARING_VIOLATION"]


def test_json_says_the_same() -> None:
    (one,) = done("explain", "--json", "%%939523546").json()["codes"]
    assert (one["asked"], one["name"], one["number"]) == ("%%939523546", "JET_errDatabaseDirtyShutdown", -550)
    assert one["hresult"] == "0xC8000226"
    assert "939523546" in one["spellings"]


def test_of_a_code_without_a_name_its_spellings_are_given_and_the_exit_code_says_so() -> None:
    result = tokar("explain", "-4999")
    assert result.exit_code == 1
    assert result.stdout.startswith("-4999: no name is known here\n  from     the engine (ESE)\n  written  -4999, ")


@pytest.mark.parametrize("words", [["nonsense"], ["JET"], [""], ["-1216", "nonsense"]])
def test_what_is_no_code_is_a_usage_error_with_an_example(words: list[str]) -> None:
    result = tokar("explain", *words)
    assert result.exit_code == 2
    assert "-1216" in result.hint
    assert ("nonsense" in result.stdout, "-1216" in result.stdout) == (False, "-1216" in words)
