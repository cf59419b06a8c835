from __future__ import annotations

import hashlib
import io
import os
from typing import TYPE_CHECKING

import pytest
from blake3 import blake3
from command_line import done, in_words_of_ours, tokar
from small_sets import TAKEN, instance, log, write

import tokar as library
from tokar.format.after_root import append_records
from tokar.format.metadata import location_list_json
from tokar.format.records import TrailingRecord

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ARCHIVE_KEYS = ("path", "size", "id", "root", "state", "format", "profile", "kind", "created", "server", "annotation")
ENTRY_KEYS = ["number", "token", "token_name", "role", "name", "leaf", "size", "stored_size", "digest", "modified"]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = write(tmp_path / "in", {**instance(), "deep/more.edb": instance()["db.edb"]})
    done(
        "create",
        "-q",
        tmp_path / "a.tokar",
        folder,
        "--server",
        "DC1",
        "--annotation",
        "before <the> move",
        "--name",
        "n",
    )
    return tmp_path / "a.tokar"


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """An archive with names and tokens that need care."""
    path = tmp_path / "odd.tokar"
    raw = location_list_json("w", "\x82\\\\S\\l\0\0".encode("utf-16-le"))
    with library.create(path, profile="ese", location_list=raw) as writer:
        writer.add(0x99, b"\xff\xfe", io.BytesIO(b"1"))
        writer.add(0x61, "evil\x1b[31m\u202egpj.exe", io.BytesIO(b"2"))
        writer.add(0x21, "\\\\S\\C$\\資料\\ログ.log", io.BytesIO(b"3"))
    return path


def damaged(path: Path, kind: bytes) -> Path:
    """Change a byte in the body of the record of a kind that stands outside entries."""
    with library.open(path) as opened:
        (*_, position) = [head.body_position for head in (*opened.rows, opened.root_head) if head.kind == kind]
    data = bytearray(path.read_bytes())
    data[position + 6] ^= 1
    path.write_bytes(data)
    return path


def test_the_summary_tells_what_it_is_at_a_glance(archive: Path) -> None:
    out = done("inspect", archive).stdout
    lines = [line.strip() for line in out.splitlines()]
    assert lines[0] == f"{archive}: sealed tokar archive, format 1; records not verified: tokar verify"
    for label, text in (
        ("kind", "collected"),
        ("profile", "ese"),
        ("server", "DC1"),
        ("name", "n"),
        ("annotation", "before <the> move"),
        ("logs", "generations 0x1-0x3"),
        ("entries", "6 (3 log, 1 patch, 2 database)"),
    ):
        assert f"{label:<10}  {text}" in lines
    assert "not in it (6 files left out):" in out
    assert "a checkpoint file, rebuilt by the engine" in out


def test_json_has_the_keys_that_are_promised(archive: Path) -> None:
    answer = done("inspect", "--json", archive).json()
    assert {"archive", "locations", "entries"} <= set(answer)
    assert set(ARCHIVE_KEYS) <= set(answer["archive"])
    assert all(list(entry) == ENTRY_KEYS for entry in answer["entries"])
    assert [entry["name"] for entry in answer["entries"]] == ["db.edb", "deep/more.edb", *TAKEN[1:]]
    assert answer["archive"]["state"] == "sealed"
    assert answer["archive"]["annotation"] == "before <the> move"


def test_json_tells_tokens_as_integers_and_digests_as_hex(archive: Path) -> None:
    first = done("inspect", "--json", archive).json()["entries"][0]
    content = instance()["db.edb"]
    assert (first["token"], first["token_name"], first["role"]) == (0x44, "database", "database")
    assert first["digest"] == blake3(content).hexdigest()
    assert first["size"] == len(content)


def test_json_tells_locations(odd: Path) -> None:
    answer = done("inspect", "--json", odd).json()
    assert answer["locations"] == [{"token": 0x82, "name": "log-dir", "path": "\\\\S\\l", "kind": "directory"}]


def test_json_is_ascii_whatever_the_names(odd: Path) -> None:
    result = done("inspect", "--json", odd)
    assert result.stdout.isascii()
    assert result.json()["entries"][2]["leaf"] == "ログ.log"


def test_a_name_that_is_no_text_comes_as_bytes_too(odd: Path) -> None:
    first = done("inspect", "--json", odd).json()["entries"][0]
    assert (first["name"], first["leaf"], first["name_base64"]) == ("<FF><FE>", None, "//4=")


def test_the_table_of_entries_has_token_role_size_leaf_and_digest(archive: Path) -> None:
    lines = done("inspect", "--entries", archive).stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("#"))
    assert lines[at].split() == ["#", "token", "role", "size", "stored", "modified", "digest", "leaf", "name"]
    row = lines[at + 2].split()
    assert row[:5] == ["1", "0x44", "database", "database", "16,384"]
    assert row[6][-1] == "Z"
    assert row[7:] == [blake3(instance()["db.edb"]).hexdigest()[:16], "more.edb", "deep/more.edb"]


def test_nothing_in_a_name_reaches_the_terminal_as_it_is(odd: Path) -> None:
    for option in ("--entries", "--json", "--b3sums"):
        result = done("inspect", option, odd)
        assert "\x1b" not in result.stdout + result.stderr
        assert "\u202e" not in result.stdout + result.stderr


def test_wide_characters_keep_the_columns_in_place(odd: Path) -> None:
    out = done("inspect", "--entries", odd).stdout
    assert "ログ.log  \\\\S\\C$\\資料\\ログ.log" in out
    assert "(unsafe)  <FF><FE>" in out


def test_digests_come_as_b3sum_takes_them(archive: Path) -> None:
    lines = done("inspect", "--b3sums", archive).stdout.splitlines()
    contents = {name.rpartition("/")[2]: data for name, data in instance().items()} | {"more.edb": instance()["db.edb"]}
    assert len(lines) == 6
    for line in lines:
        digest, name = line.split("  ", 1)
        assert blake3(contents[name]).hexdigest() == digest


def test_a_name_that_cannot_be_restored_is_left_out_of_the_digests_with_a_word(odd: Path) -> None:
    result = done("inspect", "--b3sums", odd)
    assert [line[66:] for line in result.stdout.splitlines()] == ["ログ.log"]
    assert "tokar: <FF><FE>: has no safe file name, left out of the list" in result.stderr


def test_paths_and_another_hash_are_for_chains_of_custody(archive: Path) -> None:
    done("verify", "-q", archive)
    wanted = {f"{hashlib.sha256(data).hexdigest()}  {name}" for name, data in instance().items()}
    lines = done("inspect", "--sums", "sha256", "--tree", archive).stdout.splitlines()
    assert wanted >= {line for line in lines if "deep" not in line}
    assert f"{hashlib.sha256(instance()['db.edb']).hexdigest()}  deep/more.edb" in lines
    assert done("inspect", "--b3sums", "--tree", archive).stdout.splitlines()[1].endswith("  deep/more.edb")
    listed = done("inspect", "--json", "--sums", "sha256", archive).json()["entries"]
    assert [one["sha256"] for one in listed] == [line[:64] for line in lines]


@pytest.mark.parametrize(
    "options", [("--tree",), ("--b3sums", "--sums", "sha256"), ("--json", "--b3sums"), ("--tree", "--json", "--b3sums")]
)
def test_hashes_that_make_no_sense_together_are_refused(archive: Path, options: tuple[str, ...]) -> None:
    assert tokar("inspect", *options, archive).exit_code == 2


def test_the_records_are_walked_with_their_positions(archive: Path) -> None:
    lines = done("inspect", "--records", archive).stdout.splitlines()
    assert lines[0].split() == ["position", "kind", "length", "check"]
    assert lines[1].split()[:2] == ["32", "HEAD"]
    assert [line.split()[1] for line in lines[-5:]] == ["SUMM", "HEAD", "INDX", "ROOT", "TAIL"]
    position, _, length, _ = lines[-1].split()
    assert int(position) + 64 + int(length) == archive.stat().st_size


def test_the_records_come_as_json_too(archive: Path) -> None:
    answer = done("inspect", "--records", "--json", archive).json()
    assert answer["archive"] == {"path": str(archive), "size": archive.stat().st_size}
    assert answer["records"][0]["kind"] == "HEAD"
    assert answer["records"][-1]["kind"] == "TAIL"


def test_several_archives_are_shown_one_after_the_other(archive: Path, odd: Path) -> None:
    out = done("inspect", archive, odd).stdout
    assert out.index(f"{archive}: sealed") < out.index(f"{odd}: sealed")


def test_an_empty_set_is_shown(tmp_path: Path) -> None:
    with library.create(tmp_path / "e.tokar", profile="ese"):
        pass
    assert "entries   0 (none)" in done("inspect", "--entries", tmp_path / "e.tokar").stdout
    assert done("inspect", "--json", tmp_path / "e.tokar").json()["entries"] == []
    assert done("inspect", "--b3sums", tmp_path / "e.tokar").stdout == ""


def test_a_cut_archive_is_shown_as_far_as_it_goes(archive: Path) -> None:
    with library.open(archive) as opened:
        cut = opened.entry(2).file_position + 200
    archive.write_bytes(archive.read_bytes()[:cut])
    result = tokar("inspect", "--entries", archive)
    assert result.exit_code == 5
    assert f"{archive}: UNSEALED tokar archive" in result.stdout
    assert "2 complete entries" in result.stdout
    assert "deep/more.edb" in result.stdout
    assert result.error.startswith(f"it ends inside a DATA record ({archive}, at byte ")
    assert "tokar salvage" in result.hint


def test_json_of_a_cut_archive_is_one_value_with_the_same_keys(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-1])
    result = tokar("inspect", "--json", archive)
    assert result.exit_code == 5
    answer = result.json()
    assert {"archive", "locations", "entries", "error"} <= set(answer)
    assert set(ARCHIVE_KEYS) <= set(answer["archive"])
    assert (answer["archive"]["state"], answer["archive"]["root"]) == ("unsealed", None)
    assert len(answer["entries"]) == 6
    assert answer["error"]["rule"] == "STATE-1"


@pytest.mark.parametrize("kind", [b"HEAD", b"SUMM", b"INDX", b"ROOT"])
@pytest.mark.parametrize("option", ["--json", "--entries", "--b3sums"])
def test_a_damaged_archive_is_never_shown_as_good(archive: Path, kind: bytes, option: str) -> None:
    damaged(archive, kind)
    result = tokar("inspect", option, archive)
    assert result.exit_code == 4
    assert "sealed tokar archive" not in result.stdout.replace("UNSEALED", "")
    if option == "--json":
        assert result.json()["archive"]["state"] == "damaged"
        assert result.json()["error"]["kind"] == "check-mismatch"
    if option == "--b3sums":
        assert result.stdout == ""


def test_an_archive_damaged_in_its_first_bytes_is_no_archive(archive: Path) -> None:
    archive.write_bytes(b"\0" + archive.read_bytes()[1:])
    result = tokar("inspect", "--json", archive)
    assert result.exit_code == 3
    assert result.json()["error"]["kind"] == "not-an-archive"


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    ("change", "code", "records"),
    [
        (lambda data: data[:-1], 5, None),
        (lambda data: data[:100], 5, 1),
        (lambda data: data[:40], 5, 0),
        (lambda data: data + b"more", 4, None),
        (lambda data: data[:32] + b"x" + data[33:], 4, 0),
    ],
    ids=["one byte short", "in a record", "in a head", "trailing", "damaged head"],
)
def test_a_walk_over_the_records_ends_with_what_is_wrong(
    archive: Path, change: Callable[[bytes], bytes], code: int, records: int | None, as_json: bool
) -> None:
    archive.write_bytes(change(archive.read_bytes()))
    result = tokar("inspect", "--records", *(["--json"] if as_json else []), archive)
    assert result.exit_code == code
    assert str(archive) in result.error
    listed = result.json()["records"] if as_json else result.stdout.splitlines()[1:]
    assert records in (None, len(listed))
    if as_json:
        assert result.json()["error"]["exit_code"] == code


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(("place", "kind"), [(1, "kkkk"), (2, "note"), (3, "TAIL")])
def test_a_walk_over_the_records_proves_those_that_no_root_covers(
    archive: Path, place: int, kind: str, *, as_json: bool
) -> None:
    root = bytes.fromhex(done("inspect", "--json", archive).json()["archive"]["root"])
    append_records(archive, [TrailingRecord(b"kkkk", b"first"), TrailingRecord(b"note", b"second")], root=root)
    heads = tokar("inspect", "--records", "--json", archive).json()["records"][-3:]
    assert heads[place - 1]["kind"] == kind
    data = bytearray(archive.read_bytes())
    data[heads[place - 1]["position"] + 64 + 2] ^= 1
    archive.write_bytes(data)
    result = tokar("inspect", "--records", *(["--json"] if as_json else []), archive)
    assert result.exit_code == 4
    assert f"the check of a {kind} record is wrong" in result.error
    listed = result.json()["records"] if as_json else result.stdout.splitlines()[1:]
    assert len(listed) == len(tokar("inspect", "--records", archive).stdout.splitlines()[1:])
    assert "TAIL" in str(listed[-1])


@pytest.mark.parametrize("option", ["--records", "--entries", "--json", "--b3sums"])
@pytest.mark.parametrize(
    ("content", "code"), [(b"", 3), (b"\x89TKR", 3), (b"PK\3\4" * 50, 3)], ids=["empty", "magic", "zip"]
)
def test_something_else_is_no_archive(tmp_path: Path, option: str, content: bytes, code: int) -> None:
    (tmp_path / "x").write_bytes(content)
    result = tokar("inspect", option, tmp_path / "x")
    assert result.exit_code == code
    assert "a tokar archive" in result.error


def test_a_newer_archive_says_so(archive: Path) -> None:
    data = bytearray(archive.read_bytes())
    data[8] = 2
    archive.write_bytes(data)
    result = tokar("inspect", archive)
    assert result.exit_code == 3
    assert result.hint == "a newer tokar may read it"


@pytest.mark.parametrize(
    ("path", "code", "error"),
    [
        ("gone", 1, "cannot open: No such file or directory"),
        (".", 2, "neither an archive nor a database, log or patch file is there"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, code: int, error: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = tokar("inspect", path)
    error = in_words_of_ours(f"{error} ({path})")
    assert (result.exit_code, result.error[: len(error)], result.hint != "") == (code, error, True)


@pytest.mark.parametrize("options", [(), ("--entries",), ("--headers",), ("--records",)])
def test_several_files_are_several_results_in_one_value(archive: Path, odd: Path, options: tuple[str, ...]) -> None:
    answer = done("inspect", "--json", *options, archive, odd).json()
    assert answer["schema"] == "tokar/inspect/1"
    apart = [done("inspect", "--json", *options, one).json() for one in (archive, odd)]
    assert [{"schema": "tokar/inspect/1", **one} for one in answer["results"]] == apart


def test_one_that_cannot_be_read_is_one_of_the_results(archive: Path, tmp_path: Path) -> None:
    result = tokar("inspect", "--json", tmp_path / "nothing", archive)
    first, second = result.json()["results"]
    assert (result.exit_code, first["error"]["kind"], second["archive"]["path"]) == (1, "storage", str(archive))


@pytest.mark.parametrize("options", [["--entries", "--records"], ["--b3sums", "--records"], ["--b3sums", "--json"]])
def test_two_forms_at_once_are_refused(archive: Path, options: list[str]) -> None:
    result = tokar("inspect", archive, *options)
    assert result.exit_code == 2
    assert "exclude each other" in result.error


def test_the_modification_time_of_an_entry_is_in_json(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_bytes(log(1))
    os.utime(tmp_path / "x.log", ns=(0, 1_580_608_922_000_000_999))
    done("create", "-q", tmp_path / "a.tokar", f"0x21={tmp_path / 'x.log'}")
    (entry,) = done("inspect", "--json", tmp_path / "a.tokar").json()["entries"]
    assert entry["modified"] == "2020-02-02T02:02:02.000000Z"
