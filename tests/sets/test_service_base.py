"""Logs of a service that all bear another base name than the one that it looks for."""

from __future__ import annotations

from pathlib import Path

import pytest
from chain_sets import DATABASE, logs, streaming
from command_line import done, tokar
from recovery_sets import archive
from small_sets import contents

from tokar.sets.outcome import Word
from verbs import unlike_together

Files = dict[str, bytes]
FULL: Files = {DATABASE: bytes(streaming(5, 7)), **logs(5, 7)}
LATER: Files = logs(8, 9, after=FULL["edb00007.log"])


def renamed(files: Files, base: str = "E00") -> Files:
    return {base + name.removeprefix("edb") if name.startswith("edb") else name: data for name, data in files.items()}


def said(verb: str, *arguments: object) -> tuple[int, str]:
    result = tokar(verb, *map(str, arguments))
    return result.exit_code, result.printed


@pytest.mark.parametrize("profile", ["certadm", "ntdsbcli"])
@pytest.mark.parametrize("which", [(True, True), (True, False), (False, True)], ids=["all", "the full", "the later"])
def test_logs_of_a_service_under_another_base_name_are_not_found(
    profile: str, which: tuple[bool, bool], tmp_path: Path
) -> None:
    full, later = (renamed(files) if wrong else files for files, wrong in zip((FULL, LATER), which, strict=True))
    sets = [archive(tmp_path / "full.tokar", full, profile=profile).path]
    sets.append(archive(tmp_path / "logs.tokar", later, profile=profile, kind="logs").path)
    assert [*unlike_together(sets)] == []
    for verb in ("check", "chain"):
        code, text = said(verb, "--content", *sets)
        line = text.splitlines()[-1]
        assert (code, line.startswith(Word.NOT_RESTORABLE)) == (9, True), line
        assert "and the engine looks for another name" in line
    assert said("restore", "--into", tmp_path / "out", *sets)[0] == 6
    done("restore", "--right-names", "--into", tmp_path / "out", *sets)
    assert contents(tmp_path / "out") == {**FULL, **LATER}


@pytest.mark.parametrize("profile", ["certadm", "ntdsbcli"])
def test_one_set_of_a_service_under_another_base_name_is_refused(profile: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "full.tokar", renamed(FULL), profile=profile).path
    for options in ([], ["--content"]):
        code, text = said("check", *options, path)
        assert (code, "E0000005.log holds generation 0x5" in text.splitlines()[-1]) == (9, True)
    result = tokar("restore", "--into", tmp_path / "out", path)
    assert (result.exit_code, "tokar restore --right-names does" in result.hint) == (6, True)
    done("restore", "--right-names", "--into", tmp_path / "out", path)
    assert contents(tmp_path / "out") == FULL


@pytest.mark.parametrize(("profile", "base"), [("certadm", "EDB"), ("edbbcli", "E00"), ("ese", "E00"), ("ese", "j50")])
def test_the_base_name_of_a_service_in_capitals_and_any_one_of_others_are_found(
    profile: str, base: str, tmp_path: Path
) -> None:
    files = renamed(FULL, base)
    path = archive(tmp_path / "full.tokar", files, profile=profile).path
    assert "another name" not in said("check", "--content", path)[1]
    done("restore", "--into", tmp_path / "out", path)
    assert contents(tmp_path / "out") == files
