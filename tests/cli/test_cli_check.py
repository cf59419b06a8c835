from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from command_line import done, tokar
from recovery_sets import DATABASE, archive, checkpoint, database, dirty, flip, logs, streaming, write

from tokar.ese.values import NO_SIGNATURE
from tokar.sets.outcome import NOTHING_TO_JUDGE, NOTHING_TO_RECOVER

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return archive(tmp_path / "good.tokar", {DATABASE: bytes(streaming(5, 7)), **logs(5, 7)}).path


@pytest.fixture
def incomplete(tmp_path: Path) -> Path:
    return archive(tmp_path / "bad.tokar", {DATABASE: bytes(dirty(5, 7)), **logs(5, 5)}).path


def test_every_rung_is_shown_with_its_state(good: Path) -> None:
    lines = done("check", good).stdout.splitlines()
    assert lines[0] == str(good)
    picture = lines.index("log stream edb, 0x5-0x7")
    shown = [line.split()[0] for line in lines[:picture] if line.startswith("  ") and not line.startswith("    ")]
    assert shown == ["readable", "sealed", "intact", "consistent", "chained", "placeable", "rehearsed"]
    assert [line.split()[-2:] for line in lines[picture + 1 : -1]] == [
        ["not", "proven"],
        ["├───────┤", "present"],
    ]
    assert "    main.edb: recoverable: streaming copy, needs logs 0x5-0x7: present" in lines


def test_a_fault_comes_with_the_error_that_follows_and_the_next_step(incomplete: Path) -> None:
    result = tokar("check", incomplete)
    assert result.exit_code == 9
    assert "  chained     FAILED" in result.stdout
    assert "    ! logs 0x6-0x7 are missing\n      for: main.edb\n" in result.stdout
    assert "      the engine's error: JET_errRequiredLogFilesMissing, -543, 0xC800021F" in result.stdout
    assert "      next: add the archive or folder that has it" in result.stdout


def test_of_several_archives_each_has_its_word_and_the_last_line_is_that_of_the_worst(
    good: Path, tmp_path: Path
) -> None:
    bad = archive(tmp_path / "bad.tokar", {DATABASE: bytes(dirty(5, 9))}).path
    result = tokar("check", good, bad)
    lines = result.stdout.splitlines()
    assert lines[0] == f"{good}: NOT PROVEN"
    assert f"{bad}: NOT RESTORABLE" in lines
    assert lines[-1] == "NOT RESTORABLE: main.edb: logs 0x8-0x9 are missing"
    assert result.exit_code == 9
    whole = tokar("check", "--json", good, bad).json()
    assert whole["outcome"] == whole["archives"][1]["outcome"]


@pytest.mark.parametrize(
    ("files", "more", "code"),
    [
        ({"a.txt": b"plain", "b.cfg": b"files"}, [], 0),
        ({"a.txt": b"plain", "edb.chk": checkpoint(5)}, [], 9),
        ({"tmp.edb": bytes(database(raw_state=1, log_signature=NO_SIGNATURE)), "edb.chk": checkpoint(5)}, [], 9),
        ({"a.txt": b"plain", "edb.log.tokar-aside-20260101T000000Z-1": b"x"}, [], 9),
        ({"a.txt": b"plain", "x.pat": b""}, [], 9),
        ({"a.txt": b"plain", "a copy": checkpoint(5).ljust(8192, b"\0")}, [], 9),
        ({"a.txt": b"plain"}, ["--profile", "certadm"], 9),
    ],
)
def test_where_no_database_and_no_log_is_in_a_set_every_verb_says_so(
    tmp_path: Path, files: dict[str, bytes], more: list[str], code: int
) -> None:
    path, out = tmp_path / "sets" / "a.tokar", tmp_path / "out"
    path.parent.mkdir()
    created = done("create", "--all", "--json", "-q", *more, path, write(tmp_path / "files", files))
    said = {"create": created.json()["outcome"]}
    for verb, options in {
        "check": [],
        "check --content": ["--content"],
        "chain": [],
        "chain --content": ["--content"],
    }.items():
        result = tokar(verb.split()[0], *options, "--json", path)
        assert result.exit_code == code, verb
        said[verb] = result.json()["outcome"]
    said["restore"] = done("restore", "--dry-run", "--json", "--into", out, path).json()["outcome"]
    refused = tokar("restore", "--dry-run", "--json", "--into", out, "--chain", path.parent)
    said["restore --chain"] = refused.json()["outcome"]
    assert said["restore --chain"].pop("refused") == "no set with databases is here"
    why = NOTHING_TO_JUDGE if code else NOTHING_TO_RECOVER
    assert said == {verb: {"word": "NOT PROVEN", "why": why} for verb in said}


def test_json_holds_rungs_and_verdict(incomplete: Path) -> None:
    result = tokar("check", incomplete, "--json")
    (one,) = result.json()["archives"]
    assert result.json()["ok"] is False
    assert one["verdict"]["databases"][0]["missing"] == [{"low": 6, "high": 7}]
    assert [rung["state"] for rung in one["rungs"]] == [
        *["passed"] * 4,
        "failed",
        *["not looked at"] * 2,
    ]


def test_quiet_prints_nothing_and_keeps_the_exit_code(good: Path, incomplete: Path) -> None:
    assert done("check", "-q", good).stdout == ""
    assert tokar("check", "-q", incomplete).exit_code == 9


@pytest.mark.parametrize(("cut", "code"), [(slice(0, 0), 3), (slice(0, -10), 5), (slice(5, None), 3)])
def test_a_broken_archive_keeps_its_own_exit_code(good: Path, cut: slice, code: int) -> None:
    good.write_bytes(good.read_bytes()[cut])
    assert tokar("check", good).exit_code == code


def test_a_damaged_archive_exits_4(good: Path) -> None:
    good.write_bytes(flip(good.read_bytes(), 3000))
    assert tokar("check", good).exit_code == 4


def test_an_archive_without_a_place_exits_6(good: Path, tmp_path: Path) -> None:
    result = tokar("check", good, "--to", f"log={tmp_path}/logs/")
    assert result.exit_code == 6
    assert "  placeable   FAILED" in result.stdout


def test_a_rehearsal_is_asked_for_by_its_directory(good: Path, tmp_path: Path) -> None:
    out = done("check", good, "--content", "--rehearse", tmp_path).stdout
    assert "  rehearsed   passed         4 files" in out


def test_a_directory_that_is_not_there_is_a_usage_error(good: Path, tmp_path: Path) -> None:
    result = tokar("check", good, "--rehearse", tmp_path / "none")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no such directory" in result.error


def test_an_archive_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    assert tokar("check", tmp_path / "none.tokar").exit_code == 1


@pytest.mark.parametrize("verb", ["check", "chain"])
def test_files_of_no_engine_are_part_of_nothing(tmp_path: Path, verb: str) -> None:
    (tmp_path / "plain.bin").write_bytes(b"hello")
    done("create", "-q", "--all", tmp_path / "a.tokar", tmp_path / "plain.bin")
    result = done(verb, tmp_path / "a.tokar")
    assert "CHAIN" not in result.stdout
    assert "-560" not in result.stdout
