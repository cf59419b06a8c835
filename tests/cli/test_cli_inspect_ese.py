"""`inspect` on ESE files: on disk, inside archives, and in the summary of one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from backup_files import OTHER_STREAM, database_file, log_file
from command_line import done, tokar
from hypothesis import given
from hypothesis import strategies as st
from small_sets import checkpoint, flush_map, reserve, temporary_database, write
from sweeps import examples

import tokar as library
from tokar.cli import ese_files
from tokar.ese.content_facts import ContentVerdict
from tokar.ese.database import MAGIC
from tokar.ese.inspect import Inspection, check_content
from tokar.ese.log import LogHeader
from tokar.format import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def damaged_database(*pages: int) -> bytes:
    data = bytearray(database_file(5, 5, pages=12))
    for page in pages:
        data[(page + 1) * 4096 + 200] ^= 255
    return bytes(data)


def rows(text: str) -> dict[str, str]:
    """The labels and values below the first line."""
    return dict(re.split(r" {2,}", line.strip(), maxsplit=1) for line in text.splitlines()[1:])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {"a.edb": damaged_database(2, 5), "edb00005.log": log_file(5), "edb.log": log_file(6), "a.pat": b""}
    return write(tmp_path / "in", files)


@pytest.fixture
def archive(tmp_path: Path, folder: Path) -> Path:
    done("create", "-q", tmp_path / "a.tokar", folder)
    return tmp_path / "a.tokar"


def test_a_database_on_disk_shows_its_header(folder: Path) -> None:
    result = done("inspect", folder / "a.edb")
    assert result.stdout.startswith(f"{folder / 'a.edb'}: database, 56.0 KiB\n")
    shown = rows(result.stdout)
    assert (shown["state"], shown["log required"]) == ("Dirty Shutdown", "5-5 (0x5-0x5)")
    assert "content" not in shown


def test_a_log_on_disk_shows_its_header(folder: Path) -> None:
    assert rows(done("inspect", folder / "edb.log").stdout)["generation"] == "6 (0x6)"


@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        ("edb.chk", checkpoint(), "checkpoint, 8.0 KiB"),
        ("a.jfm", flush_map(), "flush map, 8.0 KiB"),
        ("x.jrs", reserve(), "reserve, 8.0 KiB"),
        ("tmp.edb", temporary_database(), "temporary database, 16.0 KiB"),
        ("a.pat", b"", "empty patch file, as it should be, 0 bytes"),
        ("a.pat", b"x" * 3000, "patch file of an old format, kept as it is, 2.9 KiB"),
        ("old.log", bytes(24) + b"\x04\0\0\0\xe3\x03\0\0" + bytes(5000), "log, 4.9 KiB"),
        ("old.edb", bytes(4) + MAGIC.to_bytes(4, "little") + b"\0\5\0\0" + bytes(9000), "database, 8.8 KiB"),
    ],
)
def test_every_kind_is_told(tmp_path: Path, name: str, data: bytes, what: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert done("inspect", path).stdout.splitlines()[0] == f"{path}: {what}"
    value = done("inspect", "--json", path).json()["file"]
    assert (value["path"], value["size"]) == (str(path), len(data))


def test_several_files_are_shown_one_after_the_other(folder: Path, archive: Path) -> None:
    result = done("inspect", folder / "a.edb", archive, folder / "edb.log")
    heads = [line for line in result.stdout.splitlines() if line.startswith(str(folder.parent))]
    assert [head.rpartition("/")[2].split(",")[0] for head in heads] == [
        "a.edb: database",
        "a.tokar: sealed tokar archive",
        "edb.log: log",
    ]


def test_json_of_a_file_has_all_fields(folder: Path) -> None:
    value = done("inspect", "--json", folder / "edb.log").json()["file"]
    assert (value["kind"], value["header"]["generation"], value["damaged"]) == ("log", 6, False)
    assert "content" not in value


def test_damaged_pages_of_a_file_are_listed_with_their_places(folder: Path) -> None:
    result = tokar("inspect", "--pages", folder / "a.edb")
    assert result.exit_code == 9
    assert re.search(r"content +12 pages verified, 2 BAD", result.stdout)
    assert re.search(r"0x3000 +page 2 +bad +-1018", result.stdout)
    assert re.search(r"0x6000 +page 5 +bad +-1018", result.stdout)
    assert "state" not in result.stdout


def test_pages_and_headers_go_together(folder: Path) -> None:
    shown = tokar("inspect", "--pages", "--headers", folder / "a.edb").stdout
    assert "Dirty Shutdown" in shown
    assert "2 BAD" in shown


def test_what_is_written_to_while_it_is_read_is_not_called_damaged(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written_to(inspection: Inspection, pieces: Iterable[memoryview]) -> ContentVerdict:
        with (folder / "a.edb").open("r+b") as file:
            file.write(b"x")
        return check_content(inspection, pieces)

    monkeypatch.setattr(ese_files, "check_content", written_to)
    result = done("inspect", "--pages", folder / "a.edb")
    assert rows(result.stdout)["content"].startswith("not verified: the file changed while it was being read")
    assert "BAD" not in result.stdout


def test_damaged_pages_in_json(folder: Path) -> None:
    result = tokar("inspect", "--pages", "--json", folder / "a.edb")
    assert result.exit_code == 9
    content = result.json()["file"]["content"]
    assert [(fault["page"], fault["offset"], fault["code"]) for fault in content["faults"]] == [
        (2, 0x3000, -1018),
        (5, 0x6000, -1018),
    ]


def test_good_content_ends_well(folder: Path) -> None:
    result = done("inspect", "--pages", folder / "edb.log", folder / "edb00005.log")
    assert result.stdout.count("1 segment verified, none bad") == 2


def test_a_file_that_is_cut_short_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "edb.log").write_bytes(log_file(5)[:-4096])
    result = tokar("inspect", "--pages", tmp_path / "edb.log")
    assert result.exit_code == 9
    assert "its header says 12288 (-541)" in result.stdout


@pytest.mark.parametrize("name", ["tmp.edb", "edb.chk", "a.jfm", "x.jrs"])
def test_what_has_no_checksums_is_not_damaged(tmp_path: Path, name: str) -> None:
    data = {"tmp.edb": temporary_database(), "edb.chk": checkpoint(), "a.jfm": flush_map(), "x.jrs": reserve()}[name]
    (tmp_path / name).write_bytes(data)
    assert "content" in done("inspect", "--pages", tmp_path / name).stdout


@pytest.mark.parametrize("options", [[], ["--headers"], ["--pages"], ["--json"]])
def test_a_damaged_header_ends_with_4(tmp_path: Path, options: list[str]) -> None:
    data = bytearray(log_file(5))
    data[60] ^= 1
    (tmp_path / "edb.log").write_bytes(bytes(data))
    result = tokar("inspect", *options, tmp_path / "edb.log")
    assert result.exit_code == 4
    assert result.error.startswith("the log header is damaged: checksum 0x")
    if "--json" not in options:
        assert "its header is DAMAGED" in result.stdout


@pytest.mark.parametrize("options", [[], ["--headers"], ["--pages"], ["--json"]])
@pytest.mark.parametrize("data", [b"", b"x", b"PK\3\4" * 5000], ids=["empty", "short", "zip"])
def test_something_else_is_neither(tmp_path: Path, options: list[str], data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    result = tokar("inspect", *options, tmp_path / "x")
    assert result.exit_code == 3
    assert result.error.startswith("neither a tokar archive nor an ESE file: ")


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    result = tokar("inspect", "--headers", tmp_path / "none.edb")
    assert result.exit_code == 1
    assert "cannot open" in result.error


@pytest.mark.parametrize(
    "options",
    [
        ["--headers", "--entries"],
        ["--pages", "--records"],
        ["--headers", "--b3sums"],
        ["--only", "a.edb"],
        ["--only", "a.edb", "--entries"],
    ],
)
def test_options_that_make_no_sense_together_are_refused(archive: Path, options: list[str]) -> None:
    assert tokar("inspect", *options, archive).exit_code == 2


def test_a_file_and_an_archive_are_two_results(folder: Path, archive: Path) -> None:
    answer = done("inspect", "--json", folder / "a.edb", archive).json()
    assert [next(iter(one)) for one in answer["results"]] == ["file", "archive"]


def test_headers_inside_an_archive(archive: Path) -> None:
    lines = done("inspect", "--headers", archive).stdout.splitlines()
    heads = [line for line in lines if line and not line.startswith(" ")]
    assert heads == ["a.edb: database, 56.0 KiB", "edb00005.log: log, 12.0 KiB", "edb.log: log, 12.0 KiB"]


@pytest.mark.parametrize("name", ["edb.log", "#2"])
def test_a_name_after_an_archive_is_an_entry_of_it(archive: Path, name: str) -> None:
    result = done("inspect", archive, "--headers", name)
    assert rows(result.stdout)["generation"] == "6 (0x6)"


def test_a_file_of_that_name_goes_first(archive: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    result = done("inspect", "--headers", archive, "edb.log")
    assert re.findall(r"generation +(\d)", result.stdout) == ["5", "6", "6"]


def test_an_entry_can_be_named_by_option(archive: Path) -> None:
    result = done("inspect", archive, "--headers", "--only", "edb.log", "--only", "edb00005.log")
    assert [line.split(":")[0] for line in result.stdout.splitlines() if line.startswith("edb")] == [
        "edb.log",
        "edb00005.log",
    ]


@pytest.mark.parametrize("arguments", [["none.edb"], ["--only", "none.edb"]])
def test_a_name_after_a_file_that_is_no_archive_is_refused(folder: Path, arguments: list[str]) -> None:
    result = tokar("inspect", "--headers", folder / "a.edb", *arguments)
    assert result.exit_code == 2
    assert "there is no file none.edb" in result.error


def test_a_name_that_is_not_there_is_an_error(archive: Path) -> None:
    result = tokar("inspect", archive, "--headers", "none.edb")
    assert result.exit_code == 2
    assert "no entry has the name none.edb" in result.error


def test_an_entry_that_is_no_engine_file_says_so(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {"x.txt": b"text" * 1000})
    done("create", "-q", "--all", tmp_path / "a.tokar", folder)
    assert "x.txt: not an ESE file" in done("inspect", tmp_path / "a.tokar", "--headers", "--only", "x.txt").stdout
    assert done("inspect", tmp_path / "a.tokar", "--headers").stdout == "no ESE files\n"


def test_damaged_pages_inside_an_archive(archive: Path) -> None:
    result = tokar("inspect", "--pages", archive)
    assert result.exit_code == 9
    assert re.search(r"0x6000 +page 5 +bad +-1018", result.stdout)
    assert done("inspect", "--pages", archive, "edb.log").stdout.count("none bad") == 1


def test_damaged_pages_inside_an_archive_in_json(archive: Path) -> None:
    result = tokar("inspect", "--pages", "--json", archive)
    assert result.exit_code == 9
    value = result.json()
    assert value["archive"]["examination"]["bad"] == 2
    assert [(one["name"], one["content"]["bad"]) for one in value["files"]] == [
        ("a.edb", 2),
        ("edb00005.log", 0),
        ("edb.log", 0),
    ]


def test_zeros_inside_an_archive_are_pages_too(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {"a.edb": database_file(5, 5, pages=2) + bytes(3 << 20)})
    done("create", "-q", tmp_path / "a.tokar", folder)
    assert "770 pages verified, none bad" in done("inspect", "--pages", tmp_path / "a.tokar").stdout


def test_a_damaged_archive_is_refused_before_its_files(archive: Path) -> None:
    with library.open(archive) as opened:
        entry = opened.find("a.edb")
    data = bytearray(archive.read_bytes())
    data[entry.file_position + 400] ^= 1
    archive.write_bytes(bytes(data))
    assert tokar("inspect", "--headers", archive).exit_code == 4
    assert tokar("inspect", "--pages", "--json", archive).json()["error"]["exit_code"] == 4


def summary(archive: Path) -> str:
    return done("inspect", archive).stdout


def pack(tmp_path: Path, **files: bytes) -> Path:
    """An archive of files whose names are given with `_` for the dot."""
    folder = write(tmp_path / "set", {name.replace("_", "."): data for name, data in files.items()})
    done("create", "-q", "--force", tmp_path / "set.tokar", folder)
    return tmp_path / "set.tokar"


def test_the_summary_says_whether_the_logs_are_there(archive: Path) -> None:
    text = summary(archive)
    assert re.search(r"a\.edb  Dirty Shutdown, needs log 0x5: present", text)
    assert re.search(r"content when it was archived: 12 pages and \d log segments? verified, 2 BAD", text)
    assert "damaged: a.edb has 2 damaged pages" in text


def test_the_summary_names_the_logs_that_are_missing(tmp_path: Path) -> None:
    archive = pack(tmp_path, a_edb=database_file(3, 9), edb00004_log=log_file(4), edb00006_log=log_file(6))
    assert "needs logs 0x3-0x9: MISSING 0x3, 0x5, 0x7-0x9" in summary(archive)
    (one,) = done("inspect", "--json", archive).json()["databases"]
    assert one["missing"] == [{"low": 3, "high": 3}, {"low": 5, "high": 5}, {"low": 7, "high": 9}]
    assert (one["state"], one["need"]["low"], one["need"]["high"]) == ("Dirty Shutdown", 3, 9)


def test_the_current_log_counts_by_its_header(tmp_path: Path) -> None:
    archive = pack(tmp_path, a_edb=database_file(4, 5), edb00004_log=log_file(4), edb_log=log_file(5))
    assert "present" in summary(archive)


def test_numbers_alone_count_here(tmp_path: Path) -> None:
    archive = pack(tmp_path, a_edb=database_file(4, 4), edb00004_log=log_file(4, stream=OTHER_STREAM))
    assert "content was not compared" in summary(archive)
    assert "present" in summary(archive)


def test_a_huge_range_is_no_work(tmp_path: Path) -> None:
    archive = pack(tmp_path, a_edb=database_file(1, (1 << 31) - 1), edb00004_log=log_file(4))
    assert "MISSING 0x1-0x3, 0x5-0x7FFFFFFF" in summary(archive)


def test_a_database_without_a_readable_header_is_told(tmp_path: Path) -> None:
    data = bytearray(database_file(4, 5))
    data[100] ^= 1
    data[4096 + 100] ^= 1
    archive = pack(tmp_path, a_edb=bytes(data))
    assert re.search(r"a\.edb +its header cannot be read: the database header is damaged", summary(archive))
    assert tokar("inspect", "--headers", archive).exit_code == 9


def test_a_set_without_databases_has_no_such_lines(tmp_path: Path) -> None:
    text = summary(pack(tmp_path, edb00004_log=log_file(4)))
    assert "databases (" not in text


def test_an_entry_that_cannot_be_read_ends_the_summary_with_4(archive: Path) -> None:
    with library.open(archive) as opened:
        entry = opened.find("a.edb")
    data = bytearray(archive.read_bytes())
    data[entry.file_position + 400] ^= 1
    archive.write_bytes(bytes(data))
    result = tokar("inspect", archive)
    assert result.exit_code == 4
    assert "content when it was archived" in result.stdout
    value = tokar("inspect", "--json", archive)
    assert value.exit_code == 4
    assert value.json()["databases"][0]["error"]


def test_many_databases_are_not_all_printed(tmp_path: Path) -> None:
    archive = pack(tmp_path, **{f"x{number:02}_edb": database_file(5, 5, pages=1) for number in range(12)})
    assert "... and 2 more (--json lists them)" in summary(archive)
    assert len(done("inspect", "--json", archive).json()["databases"]) == 12


def test_an_archive_without_an_examination_says_nothing_of_it(tmp_path: Path) -> None:
    with library.create(tmp_path / "a.tokar", profile="ese") as writer:
        writer.add_bytes(0x21, "edb00005.log", log_file(5))
    assert "content" not in summary(tmp_path / "a.tokar")
    assert done("inspect", "--json", tmp_path / "a.tokar").json()["archive"]["examination"] is None


def test_text_of_a_hostile_archive_is_made_safe(tmp_path: Path) -> None:
    evil = "\x1b[31mevil\u202e"
    fact = {"damaged": True, "entry": 1, "kind": "database", "note": evil}
    header = LogHeader(generation=5, sectors=1)
    environment = header.environment.__class__(raw_log_path=b"C:\x1b[31m".ljust(261, b"\0"))
    writer = library.create(tmp_path / "a.tokar", profile="ese")
    writer.add_bytes(0x21, "x.log", LogHeader(generation=5, sectors=1, environment=environment).build())
    writer.add_bytes(0x44, evil, b"no database")
    writer.add_extra(b"fact", canonical_json.encode({"facts": [fact], "facts_version": 7}))
    writer.seal()
    text = summary(tmp_path / "a.tokar") + done("inspect", "--headers", tmp_path / "a.tokar").stdout
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "<U+001B>[31mevil<U+202E>" in text


@examples(40)
@given(
    data=st.sampled_from([database_file(5, 7), log_file(5), checkpoint(), flush_map()]),
    change=st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 30_000),
)
def test_no_file_crashes_it(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, change: list[tuple[int, int]], cut: int
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "x"
    changed = bytearray(data[:cut])
    for at, value in change:
        if at < len(changed):
            changed[at] = value
    path.write_bytes(bytes(changed))
    for options in ([], ["--headers", "--pages"], ["--json", "--pages"]):
        assert tokar("inspect", *options, path).exit_code in (0, 3, 4, 9)


WITHOUT_NUMPY = [
    ["inspect", "a.edb"],
    ["inspect", "--headers", "a.tokar"],
    ["verify", "a.tokar"],
    ["check", "a.tokar"],
    ["chain", "a.tokar"],
    ["restore", "a.tokar", "--into", "out"],
]


@pytest.mark.parametrize(
    ("commands", "loaded"),
    [
        (WITHOUT_NUMPY, [False] * len(WITHOUT_NUMPY)),
        ([["check", "--content", "a.tokar"]], [True]),
        ([["inspect", "--pages", "a.edb"]], [True]),
    ],
)
def test_numpy_is_loaded_only_to_check_content(folder: Path, commands: list[list[str]], loaded: list[bool]) -> None:
    done("create", folder / "a.tokar", folder)
    code = (
        f"import sys; from tokar.cli import main\nfor words in {commands}:\n"
        "    sys.argv = ['tokar', *words]\n"
        "    try: main()\n"
        "    except SystemExit: pass\n"
        "    print('\\nnumpy:', 'numpy' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder)
    assert [line for line in run.stdout.splitlines() if line.startswith("numpy:")] == [
        f"numpy: {one}" for one in loaded
    ]


@pytest.mark.samples
def test_the_damaged_pages_of_a_sample_are_listed(samples: Path) -> None:
    result = tokar("inspect", "--pages", "--json", samples / "dissect" / "SRUDB.dat")
    assert result.exit_code == 9
    content = result.json()["file"]["content"]
    assert (content["units"], content["bad"]) == (158, 16)
    assert [fault["offset"] for fault in content["faults"]] == [0x90000 + 0x1000 * number for number in range(16)]


@pytest.mark.samples
@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("win10-srum-belkasoft-dirty", "SRUDB.dat  Dirty Shutdown, needs log 0x51: present"),
        ("win10-srum-rathbun", "SRUDB.dat  Clean Shutdown, needs no logs"),
        (
            "ual-hyperv",
            "Current.mdb         Dirty Shutdown, needs log 0x7C: MISSING 0x7C",
        ),
        (
            "dhcp-streaming-backup-redacted",
            "dhcp.mdb  Dirty Shutdown, streaming copy, needs logs 0x1E2E4-0x1E2EC: present",
        ),
        ("xp64-catroot2", "F750E6C3/catdb  Clean Shutdown, needs no logs"),
    ],
)
def test_the_summary_of_the_samples(tmp_path: Path, samples: Path, name: str, line: str) -> None:
    done("create", "-q", tmp_path / "a.tokar", samples / name)
    assert line in summary(tmp_path / "a.tokar")


@pytest.mark.samples
def test_every_sample_is_shown_on_disk_and_from_an_archive_alike(tmp_path: Path, samples: Path) -> None:
    folder = samples / "win10-srum-rathbun"
    done("create", "-q", "--all", tmp_path / "a.tokar", folder)
    inside: dict[str, Any] = {
        one["name"]: one
        for one in json.loads(done("inspect", "--headers", "--json", tmp_path / "a.tokar").stdout)["files"]
    }
    assert len(inside) == 11
    for name, one in inside.items():
        on_disk = done("inspect", "--json", folder / name).json()["file"]
        assert {key: one[key] for key in on_disk if key != "path"} == {
            key: value for key, value in on_disk.items() if key != "path"
        }
