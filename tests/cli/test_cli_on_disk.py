"""Verbs on folders and files as they lie, and on folders of archives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from chain_sets import DATABASE, dirty, full, increment, part
from command_line import done, tokar
from recovery_sets import STREAM
from small_sets import damaged, instance, write

from tokar.ese.log import LogHeader

FILES = {DATABASE: bytes(dirty(5, 7)), **part(5, 7), "edb.chk": b"x" * 8192, "read.me": b"x"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "set", FILES)


def test_check_of_a_folder_ends_as_check_of_its_archive(folder: Path, tmp_path: Path) -> None:
    done("create", "-q", tmp_path / "a.tokar", folder)
    of_files, of_archive = done("check", folder).stdout, done("check", tmp_path / "a.tokar").stdout
    assert of_files.splitlines()[-1] == of_archive.splitlines()[-1] == "RESTORABLE"
    assert "readable    passed         collected set as it lies, profile ese" in of_files


def test_check_of_a_folder_that_lacks_a_log_ends_with_nine(folder: Path) -> None:
    (folder / "edb00006.log").unlink()
    result = tokar("check", folder)
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (9, "NOT RESTORABLE: main.edb: log 0x6 is missing")


def test_chain_takes_folders_beside_archives(tmp_path: Path) -> None:
    base = full(tmp_path).path
    later = write(tmp_path / "later", part(8, 9))
    out = done("chain", base, later).stdout
    assert "full.tokar: logs 0x5-0x9 can be played, by hard recovery" in out
    assert re.search(r"  later +(logs|collected) +0x8-0x9", out)


def test_inspect_of_a_folder_says_of_the_databases_what_it_says_of_the_archive(folder: Path, tmp_path: Path) -> None:
    done("create", "-q", tmp_path / "a.tokar", folder)
    lines = done("inspect", folder).stdout.splitlines()
    assert lines[0] == f"{folder}: files as they lie, in no archive; tokar check judges them"
    of_archive = done("inspect", tmp_path / "a.tokar").stdout.splitlines()
    at, there = (next(n for n, line in enumerate(of) if line.startswith("databases (")) for of in (lines, of_archive))
    assert lines[at + 1] == of_archive[there + 1] == f"  {DATABASE}  Dirty Shutdown, needs logs 0x5-0x7: present"
    assert "not in it (2 files left out):" in lines


def test_inspect_of_a_folder_lists_its_entries_and_its_headers(folder: Path) -> None:
    entries = done("inspect", "--entries", folder).stdout
    assert "0x44 database  database" in entries
    assert done("inspect", "--headers", folder).stdout.count("signature") > 4
    value = done("inspect", "--json", folder).json()
    assert (value["folder"]["entries"], value["folder"]["generations"]) == (4, {"low": 5, "high": 7})
    assert value["databases"][0]["state"] == "Dirty Shutdown"


def test_inspect_pages_of_a_folder_goes_on_after_damage_and_ends_with_its_code(folder: Path) -> None:
    (folder / DATABASE).write_bytes(damaged(FILES[DATABASE], 3 * 4096 + 100))
    result = tokar("inspect", "--pages", folder)
    assert result.exit_code == 9
    assert "edb00007.log" in result.stdout


@pytest.mark.parametrize("options", [["--records"], ["--b3sums"], ["--sums", "sha256"]])
def test_what_a_folder_cannot_show_is_refused(folder: Path, options: list[str]) -> None:
    assert tokar("inspect", *options, folder).exit_code == 2


def test_headers_of_a_folder_are_results_of_its_files(folder: Path) -> None:
    results = done("inspect", "--headers", "--json", folder).json()["results"]
    assert [Path(one["file"]["path"]).name for one in results] == [DATABASE, *part(5, 7)]


def test_inspect_of_a_folder_with_archives_names_one(tmp_path: Path) -> None:
    path = full(tmp_path).path
    result = tokar("inspect", tmp_path)
    assert (result.exit_code, result.error.partition(" (")[0]) == (2, "archives lie in this folder")
    assert str(path) in result.hint


def test_verify_takes_a_folder_of_archives(tmp_path: Path) -> None:
    full(tmp_path)
    increment(tmp_path, "inc", part(8, 9))
    (tmp_path / "notes.txt").write_text("x")
    lines = [line for line in done("verify", tmp_path).stdout.splitlines() if ": intact; " in line]
    assert len(lines) == 2


def test_an_archive_that_does_not_even_begin_like_one_is_not_passed_over(tmp_path: Path) -> None:
    full(tmp_path)
    (tmp_path / "lost.tokar").write_bytes(bytes(5000))
    result = tokar("verify", tmp_path)
    assert (result.exit_code, "lost.tokar" in result.error) == (3, True)
    chain = tokar("chain", tmp_path)  # nobody knows what was in it
    assert (chain.exit_code, "lost.tokar" in chain.stdout.splitlines()[-1]) == (3, True)
    named = tokar("chain", *sorted(tmp_path.glob("*.tokar")))
    assert (named.exit_code, "lost.tokar" in named.stdout) == (3, True)


def test_verify_of_a_folder_without_archives_is_refused(folder: Path) -> None:
    result = tokar("verify", folder)
    assert (result.exit_code, result.error.partition(" (")[0]) == (2, "there is no archive in the folder")
    assert "tokar check FOLDER" in result.hint


def test_verify_holds_an_archive_against_a_root(tmp_path: Path) -> None:
    made = full(tmp_path)
    root = done("verify", "--json", made.path).json()["archives"][0]["root"]
    for text in (root, root.upper()):
        done("verify", "--root", text, made.path)
        done("verify", "--root", text, "-", stdin=made.path.read_bytes())


def test_another_root_is_another_archive(tmp_path: Path) -> None:
    made = full(tmp_path)
    result = tokar("verify", "--root", "ab" * 32, made.path)
    assert result.exit_code == 4
    assert "it is another one: its root is " in result.error
    assert f", not {'ab' * 32}" in result.error
    assert "intact" not in result.stdout
    (one,) = tokar("verify", "--json", "--root", "ab" * 32, made.path).json()["archives"]
    assert (one["ok"], one["faults"][0]["expected"]) == (False, "ab" * 32)


@pytest.mark.parametrize("root", ["", "xyz", "ab", "ab" * 33, "zz" * 32])
def test_what_is_no_root_is_refused(tmp_path: Path, root: str) -> None:
    assert tokar("verify", "--root", root, full(tmp_path).path).exit_code == 2


def test_a_root_is_for_one_archive(tmp_path: Path) -> None:
    full(tmp_path)
    increment(tmp_path, "inc", part(8, 9))
    assert tokar("verify", "--root", "ab" * 32, tmp_path).exit_code == 2


def test_check_of_a_folder_of_archives_checks_all_of_them(tmp_path: Path) -> None:
    full(tmp_path)
    increment(tmp_path, "inc", part(8, 9))
    assert len(done("check", "--json", tmp_path).json()["archives"]) == 2


def test_a_live_folder_of_an_instance_is_taken_as_archiving_takes_it(tmp_path: Path) -> None:
    assert done("check", write(tmp_path / "in", instance())).stdout.splitlines()[-1].startswith("RESTORABLE")


def test_a_generation_that_no_log_has_is_never_printed_as_a_number_that_is_none(folder: Path, tmp_path: Path) -> None:
    odd = LogHeader(generation=-5, sectors=2, signature=STREAM).build() + bytes(4096)
    write(folder, {"edb.log": odd, "edb00003.log": odd})
    done("create", "-q", tmp_path / "a.tokar", folder)
    for verb in ("inspect", "check", "chain"):
        for path in (folder, tmp_path / "a.tokar"):
            assert "0x-" not in tokar(verb, path).stdout
    said = tokar("check", folder).stdout
    assert "edb00003.log cannot be read: its header says generation -5, which no log has" in said
    assert "generation              -5 (-0x5)" in done("inspect", folder / "edb.log").stdout


def test_files_of_an_engine_beside_archives_are_named_and_not_passed_over(tmp_path: Path) -> None:
    full(tmp_path)
    write(tmp_path, part(8, 8))
    for verb in ("check", "chain"):
        said = done(verb, tmp_path).stderr
        assert (
            f"tokar: takes no part beside archives: {tmp_path / 'edb00008.log'}; name it, or put it into a folder"
            in said
        )


def test_the_hint_about_another_root_is_not_to_salvage(tmp_path: Path) -> None:
    assert "look for the archive" in tokar("verify", "--root", "ab" * 32, full(tmp_path).path).hint
