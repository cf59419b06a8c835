"""Logs of a service that all bear another base name than the one that it looks for."""

from __future__ import annotations

from pathlib import Path

import pytest
from chain_sets import DATABASE, OTHER_STREAM, database, logs, streaming
from command_line import done, tokar
from recovery_sets import archive, write
from small_sets import contents

from tokar.ese.values import LogPosition
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


@pytest.mark.parametrize("content", [[], ["--content"]])
def test_logs_of_a_service_that_are_alone_under_another_base_name_are_refused_at_once(
    content: list[str], tmp_path: Path
) -> None:
    path = archive(tmp_path / "logs.tokar", renamed(LATER), profile="certadm", kind="logs").path
    assert [*unlike_together([path])] == []
    code, text = said("check", *content, path)
    wanted = f"{Word.NOT_RESTORABLE}: E0000008.log holds generation 0x8, and the engine looks for another name"
    assert (code, text.splitlines()[-1]) == (9, wanted)


def test_logs_of_another_base_name_that_are_alone_are_refused_only_where_their_service_finds_none_of_them(
    tmp_path: Path,
) -> None:
    twice = {**LATER, **renamed(LATER)}  # each is here under its own name too
    strays = {**LATER, **renamed(logs(3, 4, stream=OTHER_STREAM))}  # of another server: with a full they are a remark
    for at, (files, profile) in enumerate([(twice, "certadm"), (strays, "certadm"), (renamed(LATER), "ese")]):
        path = archive(tmp_path / f"{at}.tokar", files, profile=profile, kind="logs").path
        code, text = said("check", path)
        assert (code, text.splitlines()[-1].partition(":")[0]) == (0, Word.PART_OF_A_CHAIN), text
    mixed = {"edb00008.log": LATER["edb00008.log"], "E0000009.log": LATER["edb00009.log"]}
    path = archive(tmp_path / "mixed.tokar", mixed, profile="certadm", kind="logs").path
    assert "E0000009.log holds generation 0x9" in said("check", path)[1].splitlines()[-1]


@pytest.mark.parametrize(("base", "is_said"), [("E00", True), ("edb", False)])
def test_create_says_that_the_engine_begins_a_new_stream_where_all_logs_of_a_clean_database_are_left_out(
    base: str, is_said: bool, tmp_path: Path
) -> None:
    clean = database(consistent_position=LogPosition(generation=7, sector=1))
    folder = write(tmp_path / "set", renamed({DATABASE: bytes(clean), **logs(6, 7)}, base))
    text = " ".join(done("create", "--profile", "certadm", tmp_path / "a.tokar", folder).stderr.split())
    assert (f"note: no log here continues {DATABASE}: the engine starts a new log stream" in text) is is_said
    assert ("note: E0000007.log holds generation 0x7, and the engine looks for another name" in text) is is_said
