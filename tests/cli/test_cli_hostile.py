"""Whatever comes in, each verb ends with an exit code and a message; an exception would fail the test."""

from __future__ import annotations

import io
import json
import math
import os
import shlex
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import zstandard
from command_line import command as process_words
from command_line import done, tokar, without_rights
from hypothesis import given, settings
from hypothesis import strategies as st
from small_sets import database, log, write

import tokar as library

if TYPE_CHECKING:
    from collections.abc import Callable

    from command_line import Result

FEW = settings(deadline=None, max_examples=25)


RESTORED = {"db.edb": database(), "edb00001.log": log(1), "db.pat": b""}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a good archive in it."""
    path = tmp_path_factory.mktemp("hostile")
    with library.create(path / "good.tokar", profile="ese") as writer:
        for token, name, content in (
            (0x44, "db.edb", database()),
            (0x21, "edb00001.log", log(1)),
            (0x25, "db.pat", b""),
        ):
            writer.add(token, name, io.BytesIO(content))
    return path


def looked_at(path: Path) -> list[int]:
    """Run every verb that reads an archive; return the exit codes."""
    into = path.parent / "out"
    results = [
        tokar("verify", "--content", path),
        tokar("verify", "-", stdin=path.read_bytes()),
        tokar("inspect", "--json", path),
        tokar("inspect", "--entries", path),
        tokar("inspect", "--records", path),
        tokar("restore", "--json", path, "--into", into),
        tokar("extract", path, "db.edb", "-o", path.parent / "extracted"),
    ]
    for result in results:
        assert (result.exit_code == 0) == ("tokar: error: " not in result.stderr)
    assert not into.exists() or results[-2].exit_code == 0
    assert not (path.parent / "extracted").exists() or results[-1].exit_code == 0
    return [result.exit_code for result in results]


@FEW
@given(data=st.data())
def test_a_changed_byte_is_found_by_whoever_reads_it(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray((folder / "good.tokar").read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("changed") / "a.tokar"
    path.write_bytes(content)
    codes = looked_at(path)
    assert set(codes) <= {0, 3, 4, 5, 6}
    assert codes[0] in {3, 4, 5}
    assert codes[1] in {3, 4, 5}
    # A restore reads one HEAD, and FILE from the index: what it has not read may be damaged, what it writes is right.
    out = path.parent / "out"
    assert codes[5] != 0 or {one.name: one.read_bytes() for one in out.iterdir()} == RESTORED


@FEW
@given(data=st.data())
def test_a_cut_archive_is_never_read_as_a_whole_one(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = (folder / "good.tokar").read_bytes()
    path = tmp_path_factory.mktemp("cut") / "a.tokar"
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    assert set(looked_at(path)) <= {3, 5}


@FEW
@given(content=st.binary(max_size=300))
def test_bytes_of_any_kind_are_no_archive(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("bytes") / "a.tokar"
    path.write_bytes(content)
    assert set(looked_at(path)) <= {3, 5}


@FEW
@given(content=st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_a_locations_file_of_any_kind_ends_in_a_plan_or_a_refusal(folder: Path, content: bytes) -> None:
    (folder / "locations").write_bytes(content)
    result = tokar("restore", folder / "good.tokar", "--locations", folder / "locations", "--dry-run")
    assert result.exit_code in {0, 2, 6}


ARGUMENT = st.text(max_size=12).filter(lambda text: "\0" not in text) | st.sampled_from(
    [
        "log=",
        "=x",
        "database=/",
        "dir:",
        "file:=",
        "db.edb=.",
        "\\\\=x",
        "C:\\=",
        "0x82=\\\\S\\x",
        "//=..",
        "#0",
        "..",
        "\udcff=\udcfe",
    ]
)


@FEW
@given(to=ARGUMENT, map_=ARGUMENT, only=ARGUMENT)
def test_places_of_any_kind_end_in_a_plan_or_a_refusal(folder: Path, to: str, map_: str, only: str) -> None:
    for options in (["--to", to], ["--map", map_], ["--only", only], ["--to", to, "--map", map_, "--only", only]):
        result = tokar("restore", folder / "good.tokar", "--dry-run", "--into", folder / "nowhere", *options)
        assert result.exit_code in {0, 1, 2, 6}
        assert "Traceback" not in result.stderr
    assert not (folder / "nowhere").exists()


@FEW
@given(name=ARGUMENT, token=ARGUMENT)
def test_names_of_any_kind_are_found_or_refused(folder: Path, name: str, token: str) -> None:
    for options in ([], ["--token", token]):
        result = tokar("extract", folder / "good.tokar", "-o", folder / "x", "--force", *options, "--", name)
        assert result.exit_code in {0, 2}


@FEW
@given(words=st.lists(ARGUMENT | st.sampled_from(["create", "inspect", "--json", "-", "--all", "--help"]), max_size=4))
def test_words_of_any_kind_end_in_usage_or_an_error(tmp_path_factory: pytest.TempPathFactory, words: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("words"))
        assert tokar(*words).exit_code in {0, 1, 2, 3, 6}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab with a full backup `f.tokar` beside it, and work since then."""
    path = tmp_path_factory.mktemp("server")
    done("lab", "new", path / "a", "--profile", "certadm")
    done("lab", "work", path / "a", "-n", "40")
    done("backup", f"lab:{path / 'a'}", path / "f.tokar", "--type", "full", "--quiet")
    done("lab", "work", path / "a", "-n", "40")
    return path


def refused_kindly(result: Result) -> None:
    """An error of ours, with a next step or at least a reason, and not the last net."""
    assert result.exit_code in range(1, 10)
    assert result.error
    assert "fault of tokar" not in result.stderr


RECEIPTS = [
    {"backup": {"server": 7}},
    {"backup": {"log": {"generation": math.inf}}},
    {"backup": {"log": [1]}},
    {"backup": {"generations": {"low": 1, "high": math.inf}}},
    {"backup": {"generations": {"low": 1, "high": 1 << 60}}},
    {"backup": {"generations": [1]}},
    {"backup": {"generations": 5}},
    {"backup": {"took": ["full"]}},
    {"archive": {"id": "zz"}},
    {"archive": {"id": 5, "root": 5}},
    {"calls": [5]},
    {"notes": 5},
]


@pytest.mark.parametrize("change", RECEIPTS, ids=str)
def test_a_receipt_that_was_changed_is_refused_by_whoever_reads_it(
    change: dict[str, Any], server: Path, tmp_path: Path
) -> None:
    found = json.loads((server / "f.tokar.receipt.json").read_text())
    for key, value in change.items():
        found[key] = {**found[key], **value} if isinstance(value, dict) else value
    (tmp_path / "x.receipt.json").write_text(json.dumps(found))
    shutil.copytree(server / "a", tmp_path / "a")
    refused_kindly(tokar("chain", tmp_path / "x.receipt.json"))
    shutil.copy(server / "f.tokar", tmp_path / "f.tokar")
    assert "fault of tokar" not in tokar("chain", tmp_path).stderr
    assert "fault of tokar" not in tokar("restore", "--chain", tmp_path, "--into", tmp_path / "z", "--dry-run").stderr
    after = ("--type", "incremental", "--after", tmp_path / "x.receipt.json", "--quiet")
    result = tokar("backup", f"lab:{tmp_path / 'a'}", tmp_path / "y.tokar", *after)
    assert "fault of tokar" not in result.stderr


REGISTERED = (
    '{"low_log":1,"high_log":2,"restore_map":%s,"log_path":null,'
    '"backup_log_path":null,"checkpoint_path":null,"status":0}'
)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "x",
        "[" * 100_000,
        REGISTERED % "5",
        REGISTERED % '[["a","b","c"]]',
    ],
    ids=lambda text: str(text)[:60],
)
def test_a_registration_that_was_changed_is_refused(text: str, server: Path, tmp_path: Path) -> None:
    shutil.copytree(server / "a", tmp_path / "a")
    (tmp_path / "a" / "restore-in-progress.json").write_text(text)
    for command in ("recover", "show"):
        result = tokar("lab", command, tmp_path / "a")
        assert result.exit_code == 0 or "registration" in result.error
        assert "fault of tokar" not in result.stderr
    assert "remove it" in tokar("lab", "recover", tmp_path / "a").hint


@pytest.mark.parametrize(
    "change",
    [
        {"logs": 5},
        {"logs": ""},
        {"logs": "C:\\..\\..\\x"},
        {"logs": "\\\\other\\C$\\x"},
        {"logs": "/tmp/x"},
        {"logs": "C:\\a\x00"},
        {"lives": "x"},
        {"lives": 10**9},
        {"lives": -1},
        {"lives": True},
        {"seed": None},
        {"profile": "none"},
        {"databases": []},
        {"databases": [{"dbid": 1, "path": "C:\\x.edb", "token": 300}]},
        {"databases": [{"dbid": 1, "path": "C:\\x.edb", "token": 68}, {"dbid": 1, "path": "C:\\y.edb", "token": 68}]},
        {"databases": [{"dbid": 1, "path": "x.edb", "token": 68}]},
        {"databases": [5]},
    ],
    ids=str,
)
def test_what_a_lab_remembers_and_was_changed_is_refused(change: dict[str, Any], server: Path, tmp_path: Path) -> None:
    shutil.copytree(server / "a", tmp_path / "a")
    found = json.loads((tmp_path / "a" / "lab.json").read_text())
    (tmp_path / "a" / "lab.json").write_text(json.dumps(found | change))
    for command in (("lab", "work", tmp_path / "a", "-n", "1"), ("lab", "show", tmp_path / "a")):
        result = tokar(*command)
        refused_kindly(result)
        assert "lab.json of this lab was changed" in result.error


def test_a_folder_may_be_deeper_than_the_interpreter_recurses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    depth = sys.getrecursionlimit() + 200
    monkeypatch.chdir(tmp_path)
    Path("deep").mkdir()
    with ExitStack() as stack:
        monkeypatch.chdir("deep")
        for level in range(depth):
            Path("a").mkdir()
            stack.callback(os.rmdir, "a")
            stack.callback(os.chdir, "..")
            os.chdir("a")
            if level == depth // 2:
                Path("x").write_bytes(b"x")
                stack.callback(os.remove, "x")
        monkeypatch.chdir(tmp_path)
        done("create", "y.tokar", "deep", "--all")
        assert "1 " in done("inspect", "y.tokar").stdout
        os.chdir(Path("deep", *["a"] * depth))


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("can't start new thread"), zstandard.ZstdError("cannot allocate memory")],
    ids=repr,
)
def test_a_resource_that_gives_out_is_an_error_with_a_next_step(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("tokar.tokens.role", fail)
    result = tokar("tokens")
    assert (result.exit_code, "ulimit" in result.hint) == (1, True)


def test_too_little_memory_is_never_taken_for_damage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def decompressor() -> Any:
        return SimpleNamespace(decompress=fail)

    def fail(*_: object, **__: object) -> None:
        raise zstandard.ZstdError("decompression error: Allocation error : not enough memory")

    monkeypatch.setattr("tokar.format.zstd_frame._decompressor", decompressor)
    result = tokar("extract", folder / "good.tokar", "db.edb", "-o", folder / "never")
    assert (result.exit_code, result.error) == (1, "there is too little memory")


def keeps(folder: Path, seconds: int) -> bool:
    """Whether a folder is there that keeps such a time for its files."""
    try:
        os.utime(folder, ns=(0, seconds * 10**9))
    except OSError:
        return False
    return int(folder.stat().st_mtime_ns) == seconds * 10**9


@pytest.mark.skipif(os.name == "nt", reason="its file times end elsewhere")
@pytest.mark.parametrize("year", [-3_000_000, -1, 1600, 2400, 30_828, 2_000_000])  # FILETIME ends in 30828
@pytest.mark.parametrize("everything", [True, False])
def test_a_modification_time_that_cannot_be_kept_is_left_out_and_named(
    year: int, everything: bool, tmp_path: Path
) -> None:
    seconds = (year - 1970) * 31_556_952
    folder = tmp_path / "in"
    folder.mkdir()
    if not keeps(folder, seconds):
        pytest.skip("the file system keeps no such time")
    write(folder, {"edb00001.log": log(1), "x.txt": b"x"})
    for path in folder.iterdir():
        os.utime(path, ns=(0, seconds * 10**9))
    result = done("create", tmp_path / "a.tokar", folder, *(["--all"] if everything else []))
    assert "edb00001.log and 1 more: the modification time is not kept" in result.stderr
    done("restore", tmp_path / "a.tokar", "--into", tmp_path / "z")
    assert [path.stat().st_mtime > 1e9 for path in (tmp_path / "z").iterdir()] == [True] * (1 + everything)


@pytest.mark.parametrize("modified", [-(1 << 63), -1, 0, (1 << 63) - 1])
def test_the_ends_of_what_is_kept_of_a_time_are_shown_and_restored(modified: int, tmp_path: Path) -> None:
    with library.create(tmp_path / "a.tokar", profile="ese") as writer:
        writer.add_bytes(0x0F, "x", b"x", modified=modified)
    assert done("inspect", "--json", tmp_path / "a.tokar").json()["entries"][0]["modified"][-1] == "Z"
    done("inspect", "--entries", tmp_path / "a.tokar")
    done("restore", tmp_path / "a.tokar", "--into", tmp_path / "z")


def test_inspect_goes_on_after_a_file_that_cannot_be_shown(folder: Path) -> None:
    good = folder / "good.tokar"
    again = shutil.copy(good, folder / "again.tokar")
    result = tokar("inspect", good, folder / "nothere", again)
    assert (result.exit_code, result.stdout.count("sealed tokar archive")) == (1, 2)
    assert "nothere" in result.error


def test_an_archive_from_a_pipe_is_shown_and_extracted_like_any_other(folder: Path, tmp_path: Path) -> None:
    data = (folder / "good.tokar").read_bytes()
    assert "sealed tokar archive" in tokar("inspect", "-", stdin=data).stdout
    assert len(tokar("inspect", "--json", "--entries", "-", stdin=data).json()["entries"]) == 3
    assert tokar("inspect", "-", stdin=database()).exit_code == 0
    done("extract", "-", "edb00001.log", "-o", tmp_path / "x", stdin=data)
    assert (tmp_path / "x").read_bytes() == log(1)
    assert tokar("extract", "-", "edb00001.log", "-o", tmp_path / "y", stdin=data[:-50]).exit_code == 5


@pytest.mark.skipif(os.name == "nt", reason="no pipes with names")
def test_a_pipe_or_a_device_in_the_place_of_a_file_is_refused_at_once(folder: Path, tmp_path: Path) -> None:
    good = folder / "good.tokar"
    os.mkfifo(tmp_path / "p")
    os.mkfifo(tmp_path / "p.receipt.json")
    for path in (tmp_path / "p", Path(os.devnull)):
        for command in (
            ("verify", path),
            ("inspect", path),
            ("inspect", "--records", path),
            ("salvage", path, tmp_path / "s"),
            ("extract", path, "x", "-o", tmp_path / "s"),
            ("check", path),
            ("chain", path),
            ("restore", path, "--into", tmp_path / "z"),
            ("restore", good, "--locations", path, "--dry-run"),
            ("create", tmp_path / "s", "--locations", path, folder),
            ("check", good, "--locations", path),
        ):
            result = tokar(*command)
            assert result.exit_code
            assert "a file is wanted" in result.stdout + result.stderr, command
    assert tokar("chain", tmp_path / "p.receipt.json").exit_code == 1


def test_several_certutil_folders_are_refused_with_the_commands_to_type(tmp_path: Path) -> None:
    for name in ("mon/DataBase", "tue/DataBase"):
        (tmp_path / "p" / name).mkdir(parents=True)
        (tmp_path / "p" / name / "certbkxp.dat").write_bytes(b"\0\0")
        (tmp_path / "p" / name / "CA.edb").write_bytes(database())
    result = tokar("create", tmp_path / "a.tokar", tmp_path / "p")
    assert (result.exit_code, (tmp_path / "a.tokar").exists()) == (2, False)
    for at, name in enumerate(("mon", "tue"), 1):
        assert f"tokar create OUT{at} {tmp_path / 'p' / name}" in result.hint
    shutil.rmtree(tmp_path / "p" / "tue")
    (tmp_path / "p" / "mon" / "DataBase").rename(tmp_path / "p" / "mon" / "DataBase-1")
    result = done("create", tmp_path / "a.tokar", tmp_path / "p" / "mon")
    assert f"tokar create OUT {tmp_path / 'p' / 'mon' / 'DataBase-1'}" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("verify", "-"),
        ("verify", "--json", "-"),
        ("inspect", "-"),
        ("inspect", "--json", "-"),
        ("inspect", "--records", "--json", "-"),
        ("inspect", "--pages", "--headers", "-"),
        ("check", "-"),
        ("check", "--content", "--json", "-"),
        ("chain", "-"),
        ("chain", "--json", "-"),
        ("restore", "-", "--dry-run", "--into", "{}"),
        ("restore", "-", "--dry-run", "--json", "--into", "{}"),
        ("extract", "-", "#0", "-o", "{}"),
        ("salvage", "--json", "-", "{}"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("spoil", [bytes, lambda data: data[:-50] + b"x" + data[-49:], lambda data: b"x" + data[1:]])
def test_standard_input_is_read_by_every_verb_and_called_what_the_person_called_it(
    words: tuple[str, ...], spoil: Callable[[bytes], bytes], folder: Path, tmp_path: Path
) -> None:
    data = spoil((folder / "good.tokar").read_bytes())
    result = tokar(*(word.format(tmp_path / "o") for word in words), stdin=data)
    assert (result.exit_code in {0, 2}) == ((data[:1] != b"x" and data[-50:-49] != b"x") or words[0] == "salvage")
    assert "standard-input." not in result.stdout + result.stderr  # how the temporary file begins


@pytest.mark.parametrize(
    "words",
    [
        ("restore", "{good}", "--locations", "-", "--dry-run"),
        ("create", "{out}", "-"),
        ("create", "{out}", "--locations", "-", "{good}"),
        ("check", "{good}", "--locations", "-"),
        ("backup", "dir:{out}", "{out}", "--type", "copy", "--after", "-"),
        ("clean", "-"),
    ],
    ids=" ".join,
)
def test_a_dash_where_standard_input_is_not_read_ends_in_a_hint(
    words: tuple[str, ...], folder: Path, tmp_path: Path
) -> None:
    result = tokar(*(word.format(good=folder / "good.tokar", out=tmp_path / "o") for word in words), stdin=b"x")
    assert result.exit_code
    assert "standard input is not read here" in result.stdout + result.stderr


@pytest.mark.skipif(os.name == "nt", reason="no such rights")
@pytest.mark.parametrize("options", [[], ["--force"]])
def test_a_folder_that_may_be_written_to_and_not_read_takes_an_archive(options: list[str]) -> None:
    with without_rights() as place:
        write(place / "in", {"edb00001.log": log(1)})
        (place / "drop").mkdir()
        if options:
            (place / "drop" / "a.tokar").write_bytes(b"old")
        (place / "drop").chmod(0o300)
        done("create", "-q", *options, place / "drop" / "a.tokar", place / "in")
        assert tokar("restore", place / "drop" / "a.tokar", "--into", place / "drop" / "new").exit_code == 1
        (place / "drop").chmod(0o700)
        assert [path.name for path in (place / "drop").iterdir()] == ["a.tokar"]
        assert library.open(place / "drop" / "a.tokar").entry(0).name == "edb00001.log"


@pytest.mark.skipif(os.name == "nt", reason="no such rights")
def test_what_needs_no_look_into_a_folder_is_done_in_one_that_may_only_be_written_to(folder: Path) -> None:
    good = (folder / "good.tokar").read_bytes()
    with without_rights() as place:
        (place / "good.tokar").write_bytes(good)
        (place / "drop").mkdir(0o300)
        done("check", place / "good.tokar", "--rehearse", place / "drop")
        done("restore", place / "good.tokar", "--into", place / "z", "--aside", place / "drop")
        refused = tokar("restore", place / "good.tokar", "--into", place / "drop")
        assert (refused.exit_code, "cannot be looked at: Permission denied" in refused.error) == (6, True)
        (place / "drop").chmod(0o700)
        assert not [*(place / "drop").iterdir()]


NAUGHTY = "a b'\x1b[31m\n\u202e\udcff"  # a blank, a quote, an escape, a line feed, right to left, no text


@pytest.mark.skipif(os.name == "nt", reason="no such names")
def test_a_path_with_anything_in_it_is_printed_safely_and_its_commands_can_be_typed(tmp_path: Path) -> None:
    """Every verb over paths that try to write to the terminal; what it tells to type works in a shell."""
    place = tmp_path / NAUGHTY
    write(place / "in", {"edb00001.log": log(1), "db.edb": database()})
    archive, lab = place / "a.tokar", place / "lab"
    damaged, data = place / "b.tokar", b""
    said = [done("create", archive, place / "in")]
    data = archive.read_bytes()
    damaged.write_bytes(data[:3000] + b"x" + data[3001:])
    said += [
        done("lab", "new", lab, "--profile", "certadm"),
        done("lab", "work", lab, "-n", "20", "--crash"),
        done("backup", f"lab:{lab}", place / "f.tokar", "--type", "full"),
        done("inspect", "--entries", archive),
        done("inspect", place / "in" / "db.edb"),
        tokar("verify", archive, damaged, place / "gone"),
        tokar("check", archive, damaged),
        tokar("chain", place, place / "f.tokar.receipt.json"),
        done("restore", archive, "--into", place / "out"),
        tokar("restore", archive, "--into", place / "out"),
        done("extract", archive, "db.edb", "-o", place / "x"),
        tokar("salvage", damaged, place / "s.tokar"),
        done("demo", place / "demo"),
    ]
    (place / f".{NAUGHTY}.0123abcd.part").write_bytes(b"")
    said.append(done("clean", place))
    for result in said:
        printed = result.stdout + result.stderr
        assert all(line.isprintable() for line in printed.split("\n")), printed
        assert "(31m" not in printed
    commands = [line for line in said[-1].stdout.splitlines() if line.startswith("tokar clean --remove ")]
    words = commands[0].removesuffix(" removes what has no owner any more").replace("tokar", '"$@"', 1)
    subprocess.run(["bash", "-c", words, "bash", *process_words()], check=True, capture_output=True, env={**os.environ})
    assert not list(place.glob("*.part"))
    assert not list(place.glob(".*.part"))


@pytest.mark.parametrize("given", [["p"], ["p/mon", "p/tue"], ["p/mon/DataBase", "p/tue/DataBase"], ["p/mon", "x"]])
def test_each_folder_of_certutil_is_named_by_a_command_that_works(given: list[str], tmp_path: Path) -> None:
    for name in ("p/mon", "p/tue"):
        write(tmp_path / name / "DataBase", {"certbkxp.dat": b"\0\0", f"CA {name[-3:]}.edb": database()})
    write(tmp_path / "x", {"edb00001.log": log(1)})
    result = tokar("create", tmp_path / "a.tokar", *(tmp_path / name for name in given))
    if given[-1] == "x":
        assert (result.exit_code, "certutil wrote this folder" in result.stderr) == (0, True)
        return
    assert result.exit_code == 2
    for name in ("p/mon", "p/tue"):
        assert f" {shlex.quote(str(tmp_path / name))}" in result.hint


@pytest.mark.parametrize("seconds", ["nan", "inf", "1e300", "1e9"])
def test_a_deadline_that_no_clock_can_wait_for_is_refused(seconds: str, server: Path, tmp_path: Path) -> None:
    words = ("backup", f"lab:{server / 'a'}", tmp_path / "x.tokar", "--type", "full", "--deadline", seconds)
    assert tokar(*words).exit_code == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="no pipes with names")
def test_a_pipe_is_waited_for_neither_as_an_identity_nor_as_a_log(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    good = folder / "good.tokar"
    for words in (
        ("check", good, "--content", "--identity", tmp_path / "p"),
        ("create", tmp_path / "o", folder, "--recipients-file", tmp_path / "p"),
    ):
        assert "it is a pipe, and a file is wanted" in tokar(*words).error
    assert "it is a pipe, and a file is wanted" in tokar("redact", tmp_path / "p").error
    assert "a log is a file" in tokar("verify", good, "--log", tmp_path / "p").error


@pytest.mark.parametrize("name", ["", ".", "/"])
def test_an_output_without_a_name_is_refused(name: str, folder: Path, server: Path) -> None:
    good = folder / "good.tokar"
    for words in (
        ("create", "--force", name, good),
        ("backup", f"lab:{server / 'a'}", name, "--type", "full"),
    ):
        result = tokar(*words)
        assert (result.exit_code, result.error[:28]) == (2, "there is no name to write to"), words


@pytest.mark.skipif(not os.path.exists("/proc/kmsg"), reason="needs a file that is waited for, as Linux has")  # noqa: PTH110
def test_a_file_that_is_waited_for_is_no_log(folder: Path) -> None:
    words = process_words("verify", folder / "good.tokar", "--log", "/proc/kmsg")
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode
    assert "tokar: error: " in ended.stderr
    assert "(/proc/kmsg)" in ended.stderr


def test_a_log_that_goes_on_is_written_to_and_another_file_is_named_with_a_next_step(
    folder: Path, tmp_path: Path
) -> None:
    mine, other = tmp_path / "mine.log", tmp_path / "other"
    other.write_text("not a log")
    for _ in range(2):
        done("verify", folder / "good.tokar", "--log", mine)
    assert len(mine.read_text().splitlines()) % 2 == 0
    result = tokar("verify", folder / "good.tokar", "--log", other)
    assert result.exit_code == 2
    assert result.hint == "name another file, or one that is not there yet"
    assert other.read_text() == "not a log"


def test_what_is_no_file_or_folder_is_refused_with_a_next_step(folder: Path, tmp_path: Path) -> None:
    assert tokar("extract", tmp_path, "x").hint == "name a file in it"
    assert tokar("check", folder / "good.tokar", "--rehearse", tmp_path / "none").hint == "make it first"
    done("check", folder / "good.tokar", "--rehearse", tmp_path)


@pytest.mark.parametrize(
    ("words", "error", "help_of"),
    [
        (["lab", "new", "--nothing"], "no such option", "tokar lab new"),
        (["lab", "--nothing"], "no such option", "tokar lab"),
        (["lab"], "a command is missing", "tokar lab"),
        (["verify", "--nothing"], "no such option", "tokar verify"),
    ],
)
def test_the_hint_names_the_help_that_shows_the_option(words: list[str], error: str, help_of: str) -> None:
    result = tokar(*words)
    assert result.exit_code == 2
    assert error in result.error
    assert "usage:" not in result.error.lower()
    assert result.hint == f"{help_of} --help shows what it takes"
