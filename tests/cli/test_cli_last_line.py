"""The last line of a verb and its exit code never contradict each other, whatever a set comes to."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from chain_sets import DATABASE, OTHER_STREAM, archive, database, dirty, logs, part, streaming
from command_line import done, tokar

from tokar import create as tokar_create
from tokar.ese.values import Signature
from tokar.sets.outcome import NOTHING_TO_RECOVER

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import Result

SETS = {
    "shut down": {DATABASE: bytes(database())},
    "all that is needed": {DATABASE: bytes(dirty(5, 7)), **part(5, 7)},
    "a log is missing": {DATABASE: bytes(dirty(5, 7)), **part(5, 6)},
    "a committed log is missing": {DATABASE: bytes(dirty(5, 6, 8)), **part(5, 6)},
    "logs": part(5, 7),
    "logs with a hole": {**part(5, 5), **part(7, 7)},
    "logs that nobody can read": {"edb00005.log": b"x"},
    "a log of another stream": {DATABASE: bytes(dirty(5, 6)), **part(5, 6), **logs(7, 7, stream=OTHER_STREAM)},
    "a copy beside what is none": {DATABASE: bytes(streaming(5, 7)), **part(5, 7), "b.edb": bytes(database())},
    "other files": {"notes.txt": b"x"},
}
WAYS = {
    "whole": [],
    "the database": ["--only", DATABASE],
    "all logs": ["--only", "edb*.log"],
    "one log": ["--only", "edb00005.log"],
    "all files": ["--all-files"],
    "accepted": ["--accept-unrecoverable"],
    "a choice, accepted": ["--only", "*", "--accept-unrecoverable"],
    "everything by name": ["--only", "*"],
    "up to a log": ["--until", "0x6"],
}
FAILS = ("NOT RESTORABLE", "RESTORABLE WITH LOSS", "REFUSED")


def partly(folder: Path, files: dict[str, bytes]) -> Path:
    """An archive of these files and a large one, of which salvage saved only a part."""
    made, saved = folder / "damaged.tokar", folder / "partly.tokar"
    with tokar_create(made, profile="ese", compress="none") as writer:
        writer.add(0x0F, "big.bin", io.BytesIO(b"abcd" * 700_000))
        for name, data in files.items():
            writer.add_bytes(0x0F, name, data)
    content = bytearray(made.read_bytes())
    content[500_000] ^= 1
    made.write_bytes(content)
    assert tokar("salvage", "--partial", made, saved).exit_code == 8
    return saved


def test_the_last_line_says_that_a_part_of_a_file_is_placed_and_which(tmp_path: Path) -> None:
    path = partly(tmp_path, {"small.bin": b"whole"})
    part_of_it = "NOT PROVEN: big.bin: salvage saved only a part of it"
    into = "--into", tmp_path / "out"
    for verb in ("check", "chain"):
        assert tokar(verb, path).stdout.splitlines()[-1] == part_of_it
    assert tokar("restore", *into, path).stdout.splitlines()[-1].endswith(f"; the files alone: {part_of_it}")
    assert (
        done("restore", *into, "--accept-incomplete", path).stdout.splitlines()[-1]
        == f"ACCEPTED (--accept-incomplete): {part_of_it}"
    )
    answer = done("restore", "--json", *into, "--accept-incomplete", path).json()
    assert answer["outcome"]["accepted"] == ["--accept-incomplete"]


def test_where_no_part_of_a_file_is_placed_nothing_is_accepted(tmp_path: Path) -> None:
    path = partly(tmp_path, {"small.bin": b"whole"})
    options = "--accept-incomplete", "--only", "small.bin"
    last = done("restore", "--into", tmp_path / "out", *options, path).stdout.splitlines()[-1]
    assert last == f"NOT PROVEN: {NOTHING_TO_RECOVER}"


def demand_agreement(result: Result, last: str) -> None:
    assert last, result
    if result.exit_code == 0:
        assert not last.startswith(FAILS), last
    else:
        assert not last.startswith(("RESTORABLE:", "PART OF A CHAIN", "ACCEPTED")), last
        assert last != "RESTORABLE"


def test_the_last_line_names_each_option_with_which_files_are_placed_all_the_same(tmp_path: Path) -> None:
    """And JSON says so too: the word alone would be that of a restore which ended well."""
    files = {DATABASE: bytes(dirty(5, 7)), **part(5, 6), **logs(7, 7, stream=OTHER_STREAM)}
    path = archive(tmp_path / "a.tokar", files, kind="collected").path
    both = ("--accept-unrecoverable", "--all-files")
    for options in (both, both[:1]):
        line = done("restore", "--into", tmp_path / "out", *options, path, "--dry-run").stdout.splitlines()[-1]
        assert line.startswith(f"ACCEPTED ({', '.join(options)}): NOT RESTORABLE: {DATABASE}: edb00007.log ")
        answer = done("restore", "--into", tmp_path / "out", *options, path, "--dry-run", "--json").json()
        assert (answer["outcome"]["word"], answer["outcome"]["accepted"]) == ("NOT RESTORABLE", [*options])
    assert "accepted" not in tokar("restore", "--into", tmp_path / "out", path, "--json").json()["outcome"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("title", SETS)
def test_a_restore_is_refused_where_its_last_line_says_so(title: str, way: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tokar", SETS[title], kind="collected").path
    planned = tokar("restore", "--dry-run", "--into", tmp_path / "out", *WAYS[way], path)
    if planned.exit_code == 2:
        return  # it names what is not there, and nothing was judged
    result = tokar("restore", "--into", tmp_path / "out", *WAYS[way], path)
    assert planned.exit_code == result.exit_code
    for one in (planned, result):
        demand_agreement(one, one.stdout.splitlines()[-1])
    assert (tmp_path / "out").exists() is (result.exit_code == 0)
    if "accepted" in way:
        assert result.exit_code == 0


@pytest.mark.parametrize("how", [[], ["--dry-run"], ["--all-files"]])
def test_a_restore_of_several_sets_of_logs_alone_says_that_it_is_refused(how: list[str], tmp_path: Path) -> None:
    sets = [archive(tmp_path / f"{at}.tokar", part(at, at), kind="logs").path for at in (5, 6)]
    result = tokar("restore", "--into", tmp_path / "out", *how, *sets)
    last = result.stdout.splitlines()[-1]
    refused = "REFUSED: no set with databases is here; the files alone: PART OF A CHAIN: needs a full that reaches 0x"
    assert (result.exit_code, last.startswith(refused)) == (6, True), last


@pytest.mark.parametrize("title", SETS)
def test_a_verdict_and_its_exit_code_agree(title: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tokar", SETS[title], kind="collected").path
    for verb in (["check"], ["check", "--content"], ["chain"], ["chain", "--content"]):
        result = tokar(*verb, path)
        demand_agreement(result, result.stdout.splitlines()[-1])


@pytest.mark.parametrize("title", SETS)
def test_an_archive_of_what_does_not_restore_says_that_it_was_made_all_the_same(title: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, data in SETS[title].items():
        (folder / name).write_bytes(data)
    result = done("create", "--all", tmp_path / "a.tokar", folder)
    demand_agreement(result, result.stderr.splitlines()[-1].removeprefix("tokar: "))


def test_what_is_advised_for_a_copy_beside_what_is_none_can_be_done(tmp_path: Path) -> None:
    mine = Signature(random=5)
    other = logs(5, 7, stream=OTHER_STREAM, attached=((r"C:\db\b.edb", mine),))
    own = {f"abc{name[3:]}": data for name, data in other.items()}
    crashed = bytes(dirty(5, 7, log_signature=OTHER_STREAM, signature=mine))
    files = {DATABASE: bytes(streaming(5, 7)), **part(5, 7), "b.edb": crashed, **own}
    path = archive(tmp_path / "a.tokar", files, kind="collected").path
    said = tokar("check", path).stdout
    (line,) = (line.split(": ", 1)[1] for line in said.splitlines() if "next: tokar restore ARCHIVE" in line)
    for at, command in enumerate(line.split(", and then ")):
        words = command.replace("ARCHIVE", str(path)).replace("ANOTHER_DIR", "DIR").replace("DIR", f"{tmp_path}/{at}")
        done(*(one.strip("'") for one in words.split()[1:]))
    assert {one.name for at in "01" for one in (tmp_path / at).iterdir()} == {*files}
