"""The defaults that the environment sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from command_line import done

if TYPE_CHECKING:
    import pytest


def test_variables_are_listed_with_what_they_set_and_are_set_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKAR_COMPRESS", "zstd:19")
    rows = {one["name"]: one for one in done("config", "--json").json()["variables"]}
    assert (rows["TOKAR_COMPRESS"]["value"], rows["TOKAR_COMPRESS"]["option"]) == ("zstd:19", "--compress")
    assert {"create", "backup"} <= set(rows["TOKAR_COMPRESS"]["verbs"])
    assert rows["TOKAR_CREATE_COMPRESS"] == {
        **rows["TOKAR_COMPRESS"],
        "name": "TOKAR_CREATE_COMPRESS",
        "value": None,
    } | {"verbs": ["create"]}
    assert {"NO_COLOR", "TOKAR_DEBUG"} < set(rows)
    line = next(line for line in done("config").stdout.splitlines() if line.startswith("TOKAR_COMPRESS"))
    assert line.split()[1:3] == ["zstd:19", "--compress"]


def test_nothing_that_accepts_a_risk_is_among_them() -> None:
    options = {one["option"] for one in done("config", "--json").json()["variables"]}
    assert not options & {"--force", "--remove", "--take-over", "--accept-damage", "--all-files", "--existing"}


def test_a_variable_that_means_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKAR_COMPRES", "none")
    assert "TOKAR_COMPRES is set, and means nothing here" in done("config").stderr
    assert "TOKAR_COMPRES" in done("config", "--json").json()["unknown"]
