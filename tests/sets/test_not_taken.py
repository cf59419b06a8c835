"""Sets of logs beside which a database lies that is left out, and temporary databases, which nobody misses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from command_line import done, tokar
from recovery_sets import DATABASE, archive, dirty, logs, write

from tokar.ese.database import DatabaseHeader, DatabaseState
from tokar.sets.backup_set import find_sets
from tokar.sets.faults import FaultKind, Severity
from tokar.sets.judge import judge_set
from tokar.sets.outcome import NOTHING_TO_JUDGE

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import Result

TEMPORARY = DatabaseHeader(raw_page_size=4096, revision=20, raw_state=DatabaseState.JUST_CREATED).build() * 2 + bytes(
    8192
)
ASIDE = ".tokar-aside-20260101T000000Z-1"
STAGED = ".tokar-restore-e0ceb9fdcdfe196b-0/"
SQLITE = b"SQLite format 3\0" + bytes(20_000)
NEEDS = "PART OF A CHAIN: needs a full that reaches 0x4"
GONE = (
    "has no database",
    "database that is not here",
    "no database here belongs to",
    "cannot be recovered from this copy",
)


def said(folder: Path, path: Path) -> dict[str, Result]:
    """What every verb that judges says of a folder as it lies, or of an archive."""
    found = {" ".join(verb): tokar(*verb, path) for verb in (["check"], ["check", "--content"], ["chain"])}
    if path.is_file():
        found["restore"] = tokar("restore", "--dry-run", path, "--into", folder / "out")
    return found


def last_line(result: Result) -> str:
    return result.stdout.splitlines()[-1]


LEFT_OUT = {
    "set aside": (f"{DATABASE}{ASIDE}", bytes(dirty(5, 7)), "an earlier restore set it aside"),
    "set aside under another name": (f"other.edb{ASIDE}", bytes(dirty(5, 7)), "an earlier restore set it aside"),
    "staged by a restore that died": (f"{STAGED}{DATABASE}", bytes(dirty(5, 7)), "of a restore that did not end"),
    "being written by a run that died": (f".{DATABASE}.0f1e2d3c.part", bytes(dirty(5, 7)), "it was being written"),
    "of another format": ("other.edb", SQLITE, "SQLite"),
}


@pytest.mark.parametrize("what", LEFT_OUT)
def test_logs_beside_which_a_database_is_left_out_say_which_and_why(what: str, tmp_path: Path) -> None:
    name, content, why = LEFT_OUT[what]
    folder = write(tmp_path / "set", {name: content, **logs(5, 7)})
    done("create", "-q", tmp_path / "a.tokar", folder)
    for path in (folder, tmp_path / "a.tokar"):
        for verb, result in said(tmp_path, path).items():
            assert last_line(result).startswith(f"{NEEDS}; {name} is here, and left out: "), verb
            assert why in last_line(result), verb
        complete = tokar("check", "--complete", path)
        assert "has logs alone" in last_line(complete)
        assert (complete.exit_code, why in last_line(complete)) == (9, True)
        assert "add the full that these logs go on from" not in complete.stdout


def test_a_database_that_is_a_link_decides_where_its_logs_are_alone(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", logs(5, 7))
    (folder / DATABASE).symlink_to(tmp_path / "elsewhere.edb")
    done("create", "-q", tmp_path / "a.tokar", folder)
    for path in (folder, tmp_path / "a.tokar"):
        for verb, result in said(tmp_path, path).items():
            assert last_line(result) == f"NOT RESTORABLE: {DATABASE} is a link or a special file, not looked at", verb
            assert result.exit_code == (6 if verb == "restore" else 9), verb


def test_a_link_that_the_logs_do_not_name_is_named_where_they_are_alone(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", logs(5, 7))
    (folder / "other.edb").symlink_to(tmp_path / "elsewhere.edb")
    done("create", "-q", tmp_path / "a.tokar", folder)
    for path in (folder, tmp_path / "a.tokar"):
        for verb, result in said(tmp_path, path).items():
            assert last_line(result) == f"{NEEDS}; other.edb is here, and left out: a link or a special file", verb


def test_what_was_set_aside_is_named_in_an_archive_of_everything_too(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", {f"{DATABASE}{ASIDE}": bytes(dirty(5, 7)), **logs(5, 7)})
    done("create", "-q", "--all", tmp_path / "a.tokar", folder)
    for verb, result in said(tmp_path, tmp_path / "a.tokar").items():
        assert f"{DATABASE}{ASIDE} is here, and left out: an earlier restore set it aside" in last_line(result), verb


@pytest.mark.parametrize("name", ["readme.txt", "tmp.edb", "temp.edb", "other.edb", "edb.chk"])
def test_what_is_no_database_is_no_reason_for_logs_alone(name: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "set", {name: TEMPORARY, **logs(5, 7)})
    done("create", "-q", tmp_path / "a.tokar", folder)
    for path in (folder, tmp_path / "a.tokar"):
        for verb, result in said(tmp_path, path).items():
            assert last_line(result) == NEEDS, verb


def test_a_database_that_is_here_is_no_reason_to_speak_of_one_that_is_left_out(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", {f"{DATABASE}{ASIDE}": b"x" * 9000, DATABASE: bytes(dirty(5, 7)), **logs(5, 7)})
    done("create", "-q", tmp_path / "a.tokar", folder)
    assert "is here, and left out" not in done("check", "--content", tmp_path / "a.tokar").stdout


def test_a_temporary_database_in_the_place_of_a_database_is_called_that_and_nothing_else_is_said(
    tmp_path: Path,
) -> None:
    folder = write(tmp_path / "set", {DATABASE: TEMPORARY, **logs(5, 7)})
    done("create", "-q", tmp_path / "a.tokar", folder)
    for path in (folder, tmp_path / "a.tokar"):
        for verb, result in said(tmp_path, path).items():
            assert last_line(result) == f"NOT RESTORABLE: {DATABASE} cannot be read: a temporary database by its header"
            assert [text for text in GONE if text in result.stdout + result.stderr] == [], verb
        assert "consistent  FAILED         0 databases, 3 logs" in tokar("check", path).stdout
    refused = tokar("recover", folder, "--out", tmp_path / "recovered", "--only", DATABASE)
    assert refused.error == f"{DATABASE} is a temporary database: the engine makes it anew"


@pytest.mark.parametrize("name", ["tmp.edb", "other.edb"])
@pytest.mark.parametrize("base", [{}, {DATABASE: bytes(dirty(5, 7))}], ids=["logs alone", "beside a database"])
def test_a_temporary_database_counts_as_none_in_an_archive(name: str, base: dict[str, bytes], tmp_path: Path) -> None:
    made = archive(tmp_path / "a.tokar", {name: TEMPORARY, **base, **logs(5, 7)})
    (found,) = find_sets([made.path]).sets
    verdict = judge_set(found.facts)
    assert [(one.kind, one.severity) for one in verdict.faults] == [(FaultKind.STATE_UNUSABLE, Severity.WARNING)]
    assert [(one.file.name, one.reason) for one in verdict.left_out] == [
        (name, "a temporary database: the engine makes it anew")
    ]
    for verb, result in said(tmp_path, made.path).items():
        word = "RESTORABLE" if base else NEEDS
        assert last_line(result) in {
            word,
            "NOT PROVEN: pages and log segments were not verified (tokar check --content)",
        }
        said_of_it = GONE if base else GONE[1:]  # logs alone do lack one
        assert [text for text in said_of_it if text in result.stdout + result.stderr] == [], verb
    assert f"{len(base)} database" in done("check", made.path).stdout
    assert f"{name} is a temporary database (Just Created): the engine makes it anew" in done("check", made.path).stdout


@pytest.mark.parametrize("token", ["", "database=", "0x0F="])
def test_an_archive_of_nothing_but_a_temporary_database_gets_one_answer(token: str, tmp_path: Path) -> None:
    write(tmp_path, {"tmp.edb": TEMPORARY})
    path = tmp_path / "a.tokar"
    created = done("create", path, f"{token}{tmp_path / 'tmp.edb'}")
    assert created.stderr.splitlines()[-1] == f"tokar: NOT PROVEN: {NOTHING_TO_JUDGE}"
    for verb, result in said(tmp_path, path).items():
        assert (last_line(result), result.exit_code) == (f"NOT PROVEN: {NOTHING_TO_JUDGE}", 9 * (verb != "restore")), (
            verb
        )
    assert "restored 0 files" in done("restore", path, "--into", tmp_path / "out").stdout


def test_a_temporary_database_that_was_taken_with_everything_is_left_out(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", {"tmp.edb": TEMPORARY, DATABASE: bytes(dirty(5, 7)), **logs(5, 7)})
    done("create", "-q", "--all", tmp_path / "a.tokar", folder)
    done("restore", tmp_path / "a.tokar", "--into", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([DATABASE, *logs(5, 7)])


def test_a_temporary_database_that_is_placed_as_it_lay_does_no_harm(tmp_path: Path) -> None:
    made = archive(tmp_path / "a.tokar", {"tmp.edb": TEMPORARY, DATABASE: bytes(dirty(5, 7)), **logs(5, 7)})
    plain = last_line(done("restore", "--dry-run", made.path, "--into", tmp_path / "out"))
    for options in (["--all-files", "--into"], ["--tree"]):
        assert last_line(done("restore", "--dry-run", made.path, *options, tmp_path / "out")) == plain, options
