"""What is damaged in one archive and whole in another: restore reads that, or says where it is."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from chain_sets import DATABASE, part, streaming
from command_line import Result, tokar
from recovery_sets import write

import tokar as library
from tokar.format.index import find_entries

WHY = "the check of a DATA record is wrong"


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """Archives that keep what was found in their files, so that nobody reads these before a restore does."""
    files = {"a": {DATABASE: bytes(streaming(5, 7)), **part(5, 7)}, "b": part(7, 9), "c": part(8, 10)}
    (tmp_path / "sets").mkdir()
    for name, own in files.items():
        source = write(tmp_path / "source" / name, own)
        assert tokar("create", tmp_path / "sets" / f"{name}.tokar", source).exit_code == 0
    return tmp_path / "sets"


def spoil(path: Path, leaf: str) -> None:
    data = bytearray(path.read_bytes())
    with library.open(path) as archive:
        (one,) = find_entries(archive.entries, [leaf])
    data[(one.file_position + one.done_position) // 2] ^= 1
    path.write_bytes(data)


def said(result: Result) -> tuple[int, str]:
    outcome = result.json()["outcome"]
    return result.exit_code, outcome["word"]


@pytest.mark.parametrize("damaged", ["edb00006.log", DATABASE])
def test_of_an_archive_that_is_there_twice_a_restore_reads_the_whole_copy(sets: Path, damaged: str) -> None:
    shutil.copy(sets / "a.tokar", sets / "z.tokar")
    spoil(sets / "a.tokar", damaged)
    out = sets.parent / "out"
    for verb in (["check", "--content"], ["chain", "--content"], ["restore", "--json", "--into", out, "--chain"]):
        result = tokar(*verb, sets, *["--json"] * (verb[0] != "restore"))
        assert said(result) == (0, "RESTORABLE")
        spared = result.json()["chain"]["spared"] if verb[0] == "restore" else result.json()["spared"]
        assert [(Path(one["path"]).name, one["outcome"]["why"][:35]) for one in spared] == [("a.tokar", WHY)]
    assert (out / damaged).read_bytes() == (sets.parent / "source" / "a" / damaged).read_bytes()
    again = tokar("restore", "--into", sets.parent / "again", "--chain", sets)
    assert again.exit_code == 0
    assert f"takes no part: {sets / 'a.tokar'}: NOT RESTORABLE: {WHY}" in again.stdout


def test_a_damaged_archive_that_was_named_is_refused_with_the_copy_of_it(sets: Path) -> None:
    shutil.copy(sets / "a.tokar", sets / "z.tokar")
    spoil(sets / "a.tokar", "edb00006.log")
    named = [sets / f"{one}.tokar" for one in "azbc"]
    checked = tokar("check", "--content", "--json", *named)
    result = tokar("restore", "--into", sets.parent / "out", "--json", *named)
    assert said(result) == said(checked) == (4, "NOT PROVEN")
    assert result.hint == f"leave it out: {sets / 'z.tokar'} is the same archive"
    assert tokar("restore", "--into", sets.parent / "out", *named[1:]).exit_code == 0


def test_a_log_that_another_archive_has_whole_is_named_with_the_way_to_restore_with_it(sets: Path) -> None:
    spoil(sets / "a.tokar", "edb00007.log")
    paths = [sets / f"{one}.tokar" for one in "abc"]
    checked = tokar("check", "--content", "--json", *paths)
    result = tokar("restore", "--into", sets.parent / "out", "--json", *paths)
    assert said(result) == said(checked) == (4, "NOT RESTORABLE")
    saved = sets / "OUT"
    step = f"tokar salvage {paths[0]} OUT"
    assert result.hint == f"edb00007.log is in {paths[1]} too: {step}, and restore with OUT in its place"
    assert tokar("salvage", paths[0], saved).exit_code == 8
    for verb in (["check"], ["restore", "--into", sets.parent / "out"]):
        assert said(tokar(*verb, "--json", saved, *paths[1:])) == (0, "RESTORABLE")


@pytest.mark.parametrize("damaged", ["edb00006.log", DATABASE])
def test_of_what_no_other_archive_has_nothing_is_promised(sets: Path, damaged: str) -> None:
    spoil(sets / "a.tokar", damaged)
    result = tokar("restore", "--into", sets.parent / "out", *(sets / f"{one}.tokar" for one in "abc"))
    assert (result.exit_code, result.hint) == (4, "tokar salvage DAMAGED OUT keeps every file that is still whole")


UNREAD = "whether the archives are damaged (tokar check)"


@pytest.mark.parametrize("several", [False, True])
def test_a_verb_that_reads_no_content_says_that_it_did_not_look_for_damage(several: bool, sets: Path) -> None:
    with library.open(sets / "a.tokar") as archive:
        (one,) = find_entries(archive.entries, ["edb00006.log"])
    data = bytearray((sets / "a.tokar").read_bytes())
    data[one.file_position + 40] ^= 1  # in FILE, which no file needs
    (sets / "a.tokar").write_bytes(data)
    paths, out = [sets / "a.tokar", *[sets / "b.tokar"] * several], sets.parent / "out"
    for options in ([], ["--content"]):
        assert said(tokar("check", "--json", *options, *paths)) == (4, "NOT PROVEN")
    assert said(tokar("chain", "--json", "--content", *paths)) == (4, "NOT PROVEN")
    restore: Sequence[str | Path] = ["restore", "--into", out]
    taken = write(sets.parent / "taken", {"edb00006.log": b"there already"})
    refused: Sequence[str | Path] = ["restore", "--into", taken]
    verbs: list[tuple[Sequence[str | Path], int]] = [(["chain"], 0), ([*restore, "--dry-run"], 0), (refused, 6)]
    for verb, code in (*verbs, ([*refused, "--dry-run"], 6)):
        result = tokar(*verb, "--json", *paths)
        assert said(result) == (code, "RESTORABLE")
        assert result.json()["not_looked_at"] == [UNREAD]
        lines = tokar(*verb, *paths).stdout.splitlines()
        assert lines[-2] == f"not looked at: {UNREAD}"
        assert lines[-1].endswith("RESTORABLE")
    placed = tokar(*restore, "--json", *paths)
    assert (*said(placed), placed.json()["not_looked_at"]) == (0, "NOT PROVEN", [])
    again = tokar(*restore, "--json", *paths)  # all is there already
    assert (*said(again), again.json()["not_looked_at"]) == (0, "RESTORABLE", [UNREAD])
