"""Files whose name says another thing than their header: the verdict says what they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from command_line import done, tokar
from loose_facts import facts_of_folder
from real_sets import load
from recovery_sets import DATABASE, OTHER_STREAM, checkpoint, database, dirty, logs, write

from tokar.ese.values import LogPosition
from tokar.sets.faults import FaultKind, Severity
from tokar.sets.file_faults import database_faults
from tokar.sets.judge import judge_set

if TYPE_CHECKING:
    from pathlib import Path

SET = {DATABASE: bytes(dirty(5, 7)), **logs(5, 7)}
FOREIGN = bytes(database(signature=OTHER_STREAM, log_signature=OTHER_STREAM))
A_DATABASE = "a database by its header"


def renamed(old: str, new: str, files: dict[str, bytes] = SET) -> dict[str, bytes]:
    return {new if name == old else name: data for name, data in files.items()}


WITH_CURRENT = renamed("edb00007.log", "edb.log")


def last_lines(folder: Path, files: dict[str, bytes]) -> set[tuple[int, str]]:
    """What every verb says of files in a folder, and of an archive of it."""
    write(folder / "in", files)
    done("create", "-q", folder / "a.tokar", folder / "in")
    found = set()
    for path in (folder / "in", folder / "a.tokar"):
        for verb in (["check"], ["check", "--content"], ["chain"], ["chain", "--content"]):
            result = tokar(*verb, path)
            found.add((result.exit_code, result.stdout.splitlines()[-1]))
    result = tokar("restore", "--dry-run", "--into", folder / "out", folder / "a.tokar")
    found.add((9 if result.exit_code == 6 else result.exit_code, result.stdout.splitlines()[-1]))
    return found


@pytest.mark.parametrize("main", [dirty(5, 7), database()], ids=["dirty", "clean"])
@pytest.mark.parametrize("name", ["SRUtmp.log", "edbtmp.log", "edb.log", "E00.log"])
def test_a_database_under_the_name_of_a_log_is_a_database(tmp_path: Path, name: str, main: bytearray) -> None:
    text = f"{name} is called {DATABASE} in the logs: recovery does not find it here"
    files = renamed(DATABASE, name, SET | {DATABASE: bytes(main)})
    assert last_lines(tmp_path, files) == {(9, f"NOT RESTORABLE: {text}")}


@pytest.mark.parametrize("name", ["SRUtmp.log", "edbtmp.log", "edb.log", "edb00003.log"])
@pytest.mark.parametrize("data", [SET[DATABASE], FOREIGN], ids=["a copy", "another"])
def test_a_database_under_the_name_of_a_log_beside_a_whole_set_decides_nothing(
    tmp_path: Path, name: str, data: bytes
) -> None:
    assert last_lines(tmp_path, SET | {name: data}) == {(0, "RESTORABLE")}


@pytest.mark.parametrize("name", ["edb00006.log", "edb.log"])
@pytest.mark.parametrize(
    ("data", "what"),
    [
        (SET[DATABASE], A_DATABASE),
        (bytes(database()), A_DATABASE),
        (FOREIGN, A_DATABASE),
        (checkpoint(5), "a checkpoint by its header"),
        (bytes(24576), "nothing but zeros"),
        (b"text\n" * 4000, "no header of an ESE file"),
        (b"", "empty"),
    ],
    ids=["its database", "an earlier one", "another database", "a checkpoint", "zeros", "text", "nothing"],
)
def test_what_stands_under_the_name_of_a_needed_log_is_named(tmp_path: Path, name: str, data: bytes, what: str) -> None:
    files = {**renamed("edb00007.log", "edb.log"), name: data}
    text = f"{DATABASE}: {name} cannot be read: {what}"
    assert last_lines(tmp_path, files) == {(9, f"NOT RESTORABLE: {text}")}


def test_the_database_itself_under_the_name_of_a_needed_log_is_named(tmp_path: Path) -> None:
    files = {**logs(5, 7), "edb00006.log": SET[DATABASE]}
    assert last_lines(tmp_path, files) == {(9, f"NOT RESTORABLE: edb00006.log cannot be read: {A_DATABASE}")}


@pytest.mark.parametrize(
    ("files", "old", "generation"),
    [
        (SET, "edb00007.log", 7),
        (WITH_CURRENT, "edb.log", 7),
        (WITH_CURRENT, "edb00006.log", 6),
        (WITH_CURRENT, "edb00005.log", 5),
        ({DATABASE: bytes(dirty(7, 7)), **logs(7, 7)}, "edb00007.log", 7),
    ],
    ids=["the last", "the current one", "one between", "the first", "the only one"],
)
def test_a_needed_log_that_is_called_as_the_next_one_is_named(
    tmp_path: Path, files: dict[str, bytes], old: str, generation: int
) -> None:
    text = f"{DATABASE}: edbtmp.log holds generation 0x{generation:X}, and the engine looks for another name"
    assert last_lines(tmp_path, renamed(old, "edbtmp.log", files)) == {(9, f"NOT RESTORABLE: {text}")}
    if "edb.log" not in files:
        done("restore", "-q", "--right-names", "--into", tmp_path / "out", tmp_path / "a.tokar")
        assert (tmp_path / "out" / f"edb{generation:05X}.log").read_bytes() == files[old]


@pytest.mark.parametrize("files", [SET, WITH_CURRENT], ids=["no current log", "current log"])
def test_the_header_of_the_log_that_it_was_before_says_nothing(tmp_path: Path, files: dict[str, bytes]) -> None:
    """A log is made ready from an older one that nobody needs any more."""
    assert last_lines(tmp_path, files | {"edbtmp.log": logs(4, 4)["edb00004.log"]}) == {(0, "RESTORABLE")}


def test_a_log_with_records_that_is_called_as_the_next_one_is_remarked(tmp_path: Path) -> None:
    files = renamed("edb00007.log", "edbtmp.log", {**SET, DATABASE: bytes(dirty(5, 6))})
    verdict = judge_set(facts_of_folder(write(tmp_path / "one", files), examine=True))
    remark = next(one for one in verdict.faults if one.files == ("edbtmp.log",))
    assert (remark.severity, remark.message.partition(":")[0]) == (
        Severity.WARNING,
        "edbtmp.log is log 0x7 by its header, with records",
    )
    begun = {**files, "edbtmp.log": logs(5, 7, filled=0)["edb00007.log"]}
    verdict = judge_set(facts_of_folder(write(tmp_path / "two", begun), examine=True))
    assert [one for one in verdict.faults if "edbtmp.log" in one.files] == []


CLEAN = {DATABASE: bytes(database(consistent_position=LogPosition(generation=7, sector=1))), **logs(5, 7)}


def remarks_on(name: str, folder: Path, files: dict[str, bytes]) -> list[str]:
    """What is said of a file beside a verdict that every verb passes."""
    assert last_lines(folder, files) == {(0, "RESTORABLE")}
    (one,) = tokar("check", "--json", folder / "a.tokar").json()["archives"]
    return [each["message"] for rung in one["rungs"] for each in rung["remarks"] if name in each["files"]]


@pytest.mark.parametrize("files", [SET, CLEAN], ids=["dirty", "clean"])
@pytest.mark.parametrize("name", ["ca.edb", "x.dit", "y.mdb"])
def test_a_log_that_has_the_name_of_a_database_is_named_and_left_out(
    name: str, files: dict[str, bytes], tmp_path: Path
) -> None:
    said = f"{name} has the name of a database, and is log 0x6 by its header"
    assert remarks_on(name, tmp_path, files | {name: files["edb00006.log"]}) == [said]
    done("restore", "-q", "--into", tmp_path / "out", tmp_path / "a.tokar")
    assert not (tmp_path / "out" / name).exists()


@pytest.mark.parametrize("name", ["copy.dat", "ca.edb.old"])
def test_a_log_under_a_name_that_is_none_of_a_database_is_not_called_one(name: str, tmp_path: Path) -> None:
    assert remarks_on(name, tmp_path, SET | {name: SET["edb00006.log"]}) == []


def test_a_checkpoint_that_has_the_name_of_a_database_is_named(tmp_path: Path) -> None:
    said = "ca.edb has the name of a database, and is a checkpoint by its header"
    files = SET | {"ca.edb": checkpoint(5)}
    assert remarks_on("ca.edb", tmp_path, files) == []  # it is not taken
    for options in ([], ["--all"]):
        result = done("create", *options, "--force", tmp_path / "a.tokar", tmp_path / "in")
        assert said in " ".join(result.printed.split()) or options
    (one,) = done("check", "--json", tmp_path / "a.tokar").json()["archives"]
    assert said in [each["message"] for rung in one["rungs"] for each in rung["remarks"]]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("edb.chk", "checkpoint"), ("edb.log", "current log"), ("edbres00001.jrs", "reserve"), ("x.jfm", "flush map")],
)
def test_a_database_that_is_called_as_another_file_of_the_engine_is_named(name: str, kind: str, tmp_path: Path) -> None:
    said = f"{name} has the name of a {kind}, and is a database by its header"
    (found,) = remarks_on(name, tmp_path, {name: CLEAN[DATABASE]})
    assert found.startswith(said)


@pytest.mark.parametrize("name", ["main.edb", "main.dat", "tmp2.edb"])
def test_a_database_under_a_name_of_its_own_is_not_remarked(name: str, tmp_path: Path) -> None:
    assert remarks_on(name, tmp_path, {name: CLEAN[DATABASE]}) == []


@pytest.mark.parametrize(
    "name", ["x.chk", "main.jfm", "main.stm", "ca.edb", "tmp.edb", "edbres00001.jrs", "edbtmp.log"]
)
@pytest.mark.parametrize("old", ["edb00006.log", "edb.log"])
def test_a_needed_log_under_the_name_of_any_other_file_is_named(name: str, old: str, tmp_path: Path) -> None:
    generation = 6 if old == "edb00006.log" else 7
    said = f"{name} holds generation 0x{generation:X}, and the engine looks for another name"
    found = last_lines(tmp_path, renamed(old, name, WITH_CURRENT))
    assert found == {(9, f"NOT RESTORABLE: {DATABASE}: {said}")}


def test_a_needed_log_that_is_called_as_the_next_one_is_named_where_everything_was_taken(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", renamed("edb00006.log", "edbtmp.log", WITH_CURRENT))
    done("create", "-q", "--all", tmp_path / "a.tokar", folder)
    line = tokar("check", tmp_path / "a.tokar").stdout.splitlines()[-1]
    assert line.endswith("edbtmp.log holds generation 0x6, and the engine looks for another name")


def test_a_database_under_the_name_of_a_temporary_one_is_a_database(tmp_path: Path) -> None:
    text = f"tmp.edb is called {DATABASE} in the logs: recovery does not find it here"
    assert last_lines(tmp_path, renamed(DATABASE, "tmp.edb")) == {(9, f"NOT RESTORABLE: {text}")}


def test_a_block_that_is_doubled_is_called_that_and_not_blank(tmp_path: Path, samples: Path) -> None:
    data = load(samples / "dissect")["default.edb"]
    at = 11 * 4096  # page 10
    for doubled in (data[:at] + data[at : at + 4096] + data[at:], data):
        (database,) = facts_of_folder(write(tmp_path, {"default.edb": doubled}), examine=True).databases
        faults = [one for one in database_faults(database) if one.blocks]
        assert [one.kind for one in faults] == [FaultKind.PAGES_MISPLACED] * (doubled is not data)
        assert all("blank" in one.consequences[0] for one in faults)


@pytest.mark.parametrize("name", ["edb00009.log", "edb.log", "EDB00009.JTX"])
def test_a_database_is_not_placed_beside_the_logs_under_the_name_of_one(tmp_path: Path, name: str) -> None:
    clean = bytes(database(consistent_position=LogPosition(generation=7, sector=1)))
    write(tmp_path / "in", {**logs(5, 7, attached=()), name: clean})
    done("create", "-q", tmp_path / "a.tokar", tmp_path / "in")
    found = tmp_path / "out"
    result = tokar("restore", "--into", found, tmp_path / "a.tokar")
    text = f"{name} is a database, and would lie beside the logs under the name of one: recovery takes it for that"
    assert (result.exit_code, text) == (6, result.error.partition(" (")[0])
    assert result.stdout.splitlines()[-1] == f"REFUSED: {text} ({found}); the files alone: RESTORABLE"
    assert result.hint == "give it the name of a database: tokar restore --to NAME=PATH"
    done("restore", "--into", found, "--to", f"{name}={found / DATABASE}", tmp_path / "a.tokar")
    assert {one.name for one in found.iterdir()} == {DATABASE, *logs(5, 7, attached=())}


@pytest.mark.parametrize("how", ["chosen", "chosen of two", "named so", "with logs that stay"])
def test_a_database_is_not_placed_beside_the_logs_under_the_name_of_one_however_they_come_there(
    tmp_path: Path, how: str
) -> None:
    found, clean = logs(5, 7, attached=()), bytes(database(consistent_position=LogPosition(generation=7, sector=1)))
    out, own = tmp_path / "out", DATABASE if how == "named so" else "edb00009.log"
    sets = [{own: clean}, found] if how in {"chosen of two", "with logs that stay"} else [{own: clean, **found}]
    paths = [tmp_path / f"{at}.tokar" for at in range(len(sets))]
    for path, files in zip(paths, sets, strict=True):
        done("create", "-q", "--all", path, write(path.with_suffix(""), files))
    options: list[str | Path] = ["--only", "edb*"]
    if how == "named so":
        options = ["--to", f"{own}={out / 'edb00009.log'}"]
    if how == "with logs that stay":
        paths.pop()
        options = ["--existing", "roll-forward"]
        write(out, found)
    result = tokar("restore", "--into", out, *options, *paths)
    assert (result.exit_code, "would lie beside the logs under the name of one" in result.error) == (6, True)
    assert not (out / "edb00009.log").exists()
    done("restore", "--into", out, *(options if how != "named so" else ()), "--to", f"{own}={out / DATABASE}", *paths)
    assert {DATABASE, "edb00009.log"} & {one.name for one in out.iterdir()} == {DATABASE}


def test_a_database_that_is_chosen_alone_lies_beside_no_log_whatever_it_is_called(tmp_path: Path) -> None:
    files = {**logs(5, 7, attached=()), "edb00009.log": CLEAN[DATABASE]}
    done("create", "-q", "--all", tmp_path / "a.tokar", write(tmp_path / "in", files))
    done("restore", "--only", "edb00009.log", "--into", tmp_path / "out", tmp_path / "a.tokar")
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["edb00009.log"]


@pytest.mark.parametrize("name", ["e0000009.log", "edbtmp.log", "edb.log.dat"])
def test_a_database_under_another_name_is_placed_beside_the_logs(tmp_path: Path, name: str) -> None:
    clean = bytes(database(consistent_position=LogPosition(generation=7, sector=1)))
    write(tmp_path / "in", {**logs(5, 7, attached=()), name: clean})
    done("create", "-q", "--base", "edb", "--all", tmp_path / "a.tokar", tmp_path / "in")
    done("restore", "--into", tmp_path / "out", tmp_path / "a.tokar")
    assert (tmp_path / "out" / name).read_bytes() == clean


@pytest.mark.parametrize("main", [dirty(5, 7), database()], ids=["dirty", "clean"])
@pytest.mark.parametrize("name", ["main.pat", "x.pat"])
def test_a_database_under_the_name_of_a_patch_file_is_a_database(tmp_path: Path, name: str, main: bytearray) -> None:
    text = f"{name} is called {DATABASE} in the logs: recovery does not find it here"
    files = renamed(DATABASE, name, SET | {DATABASE: bytes(main)})
    assert last_lines(tmp_path, files) == {(9, f"NOT RESTORABLE: {text}")}
    done("restore", "-q", "--right-names", "--into", tmp_path / "out", tmp_path / "a.tokar")
    assert (tmp_path / "out" / DATABASE).read_bytes() == files[name]


@pytest.mark.parametrize("size", [8192, 81920])
def test_a_database_alone_under_the_name_of_a_patch_file_is_judged_and_named(size: int, tmp_path: Path) -> None:
    data = CLEAN[DATABASE][:8192].ljust(size, b"\0")
    folder = write(tmp_path / "in", {"main.pat": data})
    (only,) = facts_of_folder(folder).databases
    assert (only.name, only.header is None) == ("main.pat", False)
    said = [one.message for one in judge_set(facts_of_folder(folder)).faults if one.kind is FaultKind.FILE_NAME]
    assert [one.partition(": ")[0] for one in said] == [
        "main.pat has the name of a patch file, and is a database by its header"
    ]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("main.pat", SET[DATABASE]),
        ("main.pat", FOREIGN),
        ("x.pat", SET[DATABASE]),
        ("x.pat", b"\1\2" * 4096),
    ],
    ids=["its name and signature", "its name", "its signature", "no header"],
)
def test_what_may_be_the_patch_file_of_a_database_stays_one(tmp_path: Path, name: str, data: bytes) -> None:
    text = f"{name}: a patch file with content; its layout is not known, it is kept as it is"
    assert last_lines(tmp_path, SET | {name: data}) == {(0, f"NOT PROVEN: {text}")}


@pytest.mark.parametrize("name", ["main.pat", "x.pat"])
@pytest.mark.parametrize("old", ["edb00005.log", "edb00006.log", "edb.log"])
def test_a_needed_log_under_the_name_of_a_patch_file_is_named(tmp_path: Path, name: str, old: str) -> None:
    generation = {"edb.log": 7}.get(old) or int(old[3:8], 16)
    text = f"{DATABASE}: {name} holds generation 0x{generation:X}, and the engine looks for another name"
    assert last_lines(tmp_path, renamed(old, name, WITH_CURRENT)) == {(9, f"NOT RESTORABLE: {text}")}
    done("restore", "-q", "--right-names", "--into", tmp_path / "out", tmp_path / "a.tokar")
    (found,) = [one for one in (tmp_path / "out").iterdir() if one.read_bytes() == WITH_CURRENT[old]]
    assert found.suffix == ".log"


def test_a_copy_of_a_log_under_the_name_of_a_patch_file_decides_nothing(tmp_path: Path) -> None:
    assert last_lines(tmp_path, SET | {"x.pat": SET["edb00006.log"]}) == {(0, "RESTORABLE")}


def test_what_has_the_token_of_a_patch_file_is_one_whatever_its_header_says(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", SET)
    patch = write(tmp_path / "other", {"x.pat": SET["edb00006.log"]}) / "x.pat"
    done("create", "-q", tmp_path / "a.tokar", folder, f"patch={patch}")
    line = done("check", tmp_path / "a.tokar").stdout.splitlines()[-1]
    assert line == "NOT PROVEN: x.pat: a patch file with content; its layout is not known, it is kept as it is"
