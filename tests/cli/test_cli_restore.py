from __future__ import annotations

import io
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from command_line import Result, done, tokar, without_rights
from recovery_sets import DATABASE, checkpoint, logs, streaming
from recovery_sets import archive as set_of
from small_sets import TAKEN, contents, database, instance, write
from sweeps import sampled

import tokar as library
from tokar.format.metadata import location_list_json
from tokar.namelist import build_names

if TYPE_CHECKING:
    from collections.abc import Callable

SET = {name: instance()[name] for name in TAKEN}
LOGS = {name: data for name, data in SET.items() if name != "db.edb"}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "in", instance()))
    return tmp_path / "a.tokar"


def made(path: Path, *entries: tuple[int, str | bytes, bytes], **head: Any) -> Path:
    """An archive of certain entries."""
    with library.create(path, profile="ese", **head) as writer:
        for token, name, content in entries:
            writer.add(token, name, io.BytesIO(content))
    return path


def refused(result: Result, error: str, code: int = 6) -> None:
    assert (result.exit_code, result.error[: len(error)]) == (code, error)


def test_files_go_to_the_directories_that_their_tokens_call_for(archive: Path, tmp_path: Path) -> None:
    done("restore", archive, "--to", f"database={tmp_path}/db/", "--to", f"log-dir={tmp_path}/logs")
    assert contents(tmp_path / "db") == {"db.edb": SET["db.edb"]}
    assert contents(tmp_path / "logs") == LOGS


def test_one_folder_takes_everything(archive: Path, tmp_path: Path) -> None:
    done("restore", archive, "--into", tmp_path / "out")
    assert contents(tmp_path / "out") == SET


def many_files(tmp_path: Path) -> tuple[Path, dict[str, bytes]]:
    files = {f"f{number:05d}.dat": number.to_bytes(4) * (number % 300) for number in range(2500)}
    with library.create(tmp_path / "many.tokar", profile="ese") as writer:
        for name, content in files.items():
            writer.add_bytes(0x0F, name, content)
    return tmp_path / "many.tokar", files


def test_many_small_files_come_back(tmp_path: Path) -> None:
    archive, files = many_files(tmp_path)
    result = done("restore", archive, "--into", tmp_path / "out", "--json")
    assert contents(tmp_path / "out") == files
    placed = json.loads(result.stdout)["placed"]
    assert (placed["files"], placed["size"]) == (2500, sum(map(len, files.values())))


@pytest.mark.parametrize("number", sampled([0, 300, 2499], lambda number: number == 300))
def test_one_damaged_file_of_many_is_named_and_nothing_is_left(tmp_path: Path, number: int) -> None:
    archive, _ = many_files(tmp_path)
    with library.open(archive) as opened:
        at = opened.entry(number).done_position
    data = bytearray(archive.read_bytes())
    data[at + 70] ^= 1
    archive.write_bytes(data)
    result = tokar("restore", archive, "--into", tmp_path / "out")
    refused(result, f"the check of a DONE record is wrong ({archive}, at byte {at}", 4)
    assert list(tmp_path.iterdir()) == [archive]


def test_the_plan_is_shown_with_the_rule_that_decided(archive: Path, tmp_path: Path) -> None:
    result = done("restore", archive, "--to", f"0x44={tmp_path}/db/new.edb", "--to", f"log-dir={tmp_path}/logs")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["file", "token", "rule", "target", "action"]
    assert lines[1].split() == [
        *("db.edb", "0x44", "database", "same", "token", "0x44"),
        f"{tmp_path}/db/new.edb",
        "place",
    ]
    assert lines[5].startswith("db.pat        0x25 patch     bit 0x20: the log directory")
    assert f"{tmp_path}/logs: 4 files, 36.0 KiB (will be made)" in lines
    assert lines[-2] == "restored 5 files, 52.0 KiB; every digest was right"
    assert lines[-1] == "RESTORABLE"


def test_a_dry_run_shows_the_plan_and_writes_nothing(archive: Path, tmp_path: Path) -> None:
    before = contents(tmp_path)
    result = done("restore", archive, "--into", tmp_path / "out", "--dry-run")
    assert f"{tmp_path}/out/db.edb" in result.stdout
    assert "restored" not in result.stdout
    assert contents(tmp_path) == before
    assert not (tmp_path / "out").exists()


def test_quiet_says_nothing(archive: Path, tmp_path: Path) -> None:
    result = done("restore", "--quiet", archive, "--into", tmp_path / "out")
    assert result.stdout + result.stderr == ""


def test_json_has_the_plan_and_what_was_placed(archive: Path, tmp_path: Path) -> None:
    answer = done("restore", "--json", archive, "--into", tmp_path / "out").json()
    assert [step["target"] for step in answer["plans"][0]["steps"]] == [f"{tmp_path}/out/{name}" for name in TAKEN]
    assert answer["placed"] == {"files": 5, "size": 53248, "set_aside": [], "without_time": 0}


def test_json_of_a_dry_run_places_nothing(archive: Path, tmp_path: Path) -> None:
    answer = done("restore", "--json", "--dry-run", archive, "--into", tmp_path / "out").json()
    assert answer["placed"] is None
    assert answer["plans"][0]["problems"] == []
    assert not (tmp_path / "out").exists()


def test_json_of_a_refusal_is_one_value_with_plan_and_error(archive: Path) -> None:
    result = tokar("restore", "--json", archive)
    refused(result, "no location has the token database (0x44), and none is for databases; needed for db.edb")
    answer = result.json()
    assert answer["placed"] is None
    assert answer["error"]["kind"] == "unknown-token"
    assert answer["error"]["exit_code"] == 6
    assert [problem["kind"] for problem in answer["plans"][0]["problems"]] == ["unknown-token"] * 3


def test_without_any_location_every_missing_one_is_named(archive: Path) -> None:
    result = tokar("restore", archive)
    refused(result, "no location has the token database (0x44)")
    assert result.hint == "--to database=DIR/"
    ready = "(--to log-dir=DIR/ takes logs and patch files)"
    also = [line for line in result.stderr.splitlines() if line.startswith("also: ")]
    assert [line.partition(",")[0] for line in also] == [
        "also: no location has the token log (0x21)",
        "also: no location has the token patch (0x25)",
    ]
    assert all(line.endswith(ready) for line in also)


def test_a_set_with_a_location_missing_is_refused_as_a_whole(archive: Path, tmp_path: Path) -> None:
    refused(tokar("restore", archive, "--to", f"database={tmp_path}/db/"), "no location has the token log")
    assert not (tmp_path / "db").exists()


def test_only_some_entries_can_be_asked_for(archive: Path, tmp_path: Path) -> None:
    done("restore", archive, "--into", tmp_path / "out", "--only", "edb.log", "--only", "DB.EDB")
    assert set(contents(tmp_path / "out")) == {"edb.log", "db.edb"}


def test_an_entry_that_is_not_there_cannot_be_asked_for(archive: Path, tmp_path: Path) -> None:
    result = tokar("restore", archive, "--into", tmp_path / "out", "--only", "gone")
    refused(result, "no entry has the name gone", 2)
    assert result.hint == "list the entries with: tokar inspect --entries ARCHIVE"


@pytest.mark.parametrize("options", [[], ["--dry-run"], ["--chain"], ["--right-names"], ["--all-files"]])
def test_a_name_of_no_entry_beside_good_ones_is_refused_with_those_that_are_like_it(
    archive: Path, tmp_path: Path, options: list[str]
) -> None:
    result = tokar(
        "restore", *options, archive, "--into", tmp_path / "out", "--only", "db.edb", "--only", "bd.edb", "--only", "no"
    )
    refused(result, "no entry has the name bd.edb", 2)
    assert result.hint == "did you mean: db.edb; list the entries with: tokar inspect --entries ARCHIVE"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "command",
    [
        ["inspect", "--headers", "--only", "db.edb", "--only", "bd.edb"],
        ["inspect", "--pages", "--only", "db.edb", "--only", "bd.edb"],
        ["extract"],
        ["restore", "--dry-run", "--into", "out", "--to", "bd.edb=out/x"],
    ],
    ids=" ".join,
)
def test_whoever_takes_names_of_entries_says_which_are_like_one_that_none_has(
    archive: Path, command: list[str]
) -> None:
    result = tokar(*command, archive, *(["bd.edb", "-o", "out"] if command == ["extract"] else []))
    refused(result, "no entry has the name bd.edb", 2)
    assert result.hint == "did you mean: db.edb; list the entries with: tokar inspect --entries ARCHIVE"


def test_a_branch_that_no_log_has_is_refused_with_those_that_are_like_it(archive: Path, tmp_path: Path) -> None:
    result = tokar("restore", archive, "--into", tmp_path / "out", "--branch", "ebd.log")
    refused(result, "no log here is called ebd.log", 2)
    assert (result.hint or "").startswith("did you mean: edb.log")
    assert not (tmp_path / "out").exists()


def test_a_single_file_can_be_sent_elsewhere(archive: Path, tmp_path: Path) -> None:
    done("restore", archive, "--into", tmp_path / "out", "--to", f"db.edb={tmp_path}/other/new.edb")
    assert contents(tmp_path / "other") == {"new.edb": SET["db.edb"]}
    assert contents(tmp_path / "out") == LOGS


def test_locations_come_from_a_file(archive: Path, tmp_path: Path) -> None:
    toml = '[[location]]\ntoken = "database"\npath = "dir:db"\n[[location]]\ntoken = "log-dir"\npath = "logs"\n'
    (tmp_path / "l.toml").write_text(toml)
    done("restore", archive, "--locations", tmp_path / "l.toml")
    assert set(contents(tmp_path / "db")) == {"db.edb"}
    assert set(contents(tmp_path / "logs")) == set(LOGS)


def test_the_locations_of_the_archive_are_used_where_they_are_of_this_machine(tmp_path: Path) -> None:
    listed = [
        {"token": 0x44, "path": f"{tmp_path}/db/db.edb", "kind": "file"},
        {"token": 0x82, "path": f"{tmp_path}/logs", "kind": "directory"},
    ]
    path = made(tmp_path / "b.tokar", (0x44, "x.edb", b"1"), (0x21, "edb.log", b"2"), locations=listed)
    done("restore", path)
    assert contents(tmp_path / "db") == {"db.edb": b"1"}
    assert contents(tmp_path / "logs") == {"edb.log": b"2"}


def test_a_list_of_single_bytes_needs_its_code_page(tmp_path: Path) -> None:
    raw = b"\x21\\\\S\\C$\\caf\xe9\0\0"
    path = made(tmp_path / "b.tokar", (0x21, "edb.log", b"2"), location_list=location_list_json("a", raw))
    maps = ("--map", f"\\\\S\\C$={tmp_path}")
    refused(tokar("restore", path, *maps), "the path \\\\S\\C$\\caf<E9> cannot be decoded")
    done("restore", "--accept-unrecoverable", path, *maps, "--code-page", "1252")
    assert contents(tmp_path / "café") == {"edb.log": b"2"}


def test_a_path_of_another_machine_needs_a_map(tmp_path: Path) -> None:
    raw = build_names([(0x82, "\\\\DC1\\D$\\logs".encode("utf-16-le"))], wide=True)
    path = made(tmp_path / "b.tokar", (0x21, "edb.log", b"2"), location_list=location_list_json("w", raw))
    result = tokar("restore", path)
    refused(result, "log-dir (0x82): the location \\\\DC1\\D$\\logs names another machine; needed for edb.log")
    assert result.hint == "--map '\\\\DC1\\D$=DIR' or --to log-dir=DIR/"
    done("restore", "--accept-unrecoverable", path, "--map", f"\\\\dc1\\d:={tmp_path}/d")
    assert contents(tmp_path / "d") == {"logs/edb.log": b"2"}


def test_what_is_there_is_never_replaced(archive: Path, tmp_path: Path) -> None:
    write(tmp_path / "out", {"EDB.LOG": b"mine"})
    result = tokar("restore", archive, "--into", tmp_path / "out")
    refused(result, f"there already: EDB.LOG ({tmp_path}/out)")
    assert "--existing set-aside" in result.hint
    assert contents(tmp_path / "out") == {"EDB.LOG": b"mine"}


@pytest.mark.parametrize("name", ["edb.chk", "other.edb", "j5000001.log", "holiday.jpeg"])
def test_any_file_of_the_engine_in_a_target_is_in_the_way(archive: Path, tmp_path: Path, name: str) -> None:
    write(tmp_path / "out", {name: database(7)})
    refused(tokar("restore", archive, "--into", tmp_path / "out"), f"files of the engine are there already: {name}")
    assert contents(tmp_path / "out") == {name: database(7)}


def test_a_file_of_something_else_is_not_in_the_way(archive: Path, tmp_path: Path) -> None:
    write(tmp_path / "out", {"notes.txt": b"mine"})
    done("restore", archive, "--into", tmp_path / "out")
    assert contents(tmp_path / "out") == {**SET, "notes.txt": b"mine"}


def test_setting_aside_renames_and_deletes_nothing(archive: Path, tmp_path: Path) -> None:
    old = {"edb.log": b"old log", "edb.chk": b"old checkpoint", "notes.txt": b"mine"}
    write(tmp_path / "out", old)
    result = done("restore", archive, "--into", tmp_path / "out", "--existing", "set-aside", "--json")
    aside = {one["new_name"]: one["name"] for one in result.json()["placed"]["set_aside"]}
    assert set(aside.values()) == {"edb.log", "edb.chk"}
    assert all(datetime.now(UTC).strftime(".tokar-aside-%Y") in new for new in aside)
    assert contents(tmp_path / "out") == {
        **SET,
        "notes.txt": b"mine",
        **{new: old[name] for new, name in aside.items()},
    }


def test_what_is_set_aside_is_shown_before(archive: Path, tmp_path: Path) -> None:
    write(tmp_path / "out", {"edb.chk": b"old"})
    result = done("restore", archive, "--into", tmp_path / "out", "--existing", "set-aside", "--dry-run")
    assert f"set aside: {tmp_path}/out/edb.chk -> edb.chk.tokar-aside-" in result.stdout
    assert contents(tmp_path / "out") == {"edb.chk": b"old"}


def test_two_files_of_one_name_are_a_collision(tmp_path: Path) -> None:
    path = made(tmp_path / "b.tokar", (0x21, "a/edb.log", b"1"), (0x21, "b/EDB.LOG", b"2"))
    result = tokar("restore", path, "--into", tmp_path / "out")
    refused(result, f"a/edb.log, b/EDB.LOG would be one file ({tmp_path}/out/edb.log)")
    assert not (tmp_path / "out").exists()
    done(
        "restore",
        "--accept-unrecoverable",
        path,
        "--into",
        tmp_path / "out",
        "--to",
        f"b/EDB.LOG={tmp_path}/two/edb.log",
    )
    assert contents(tmp_path) == {"b.tokar": path.read_bytes(), "out/edb.log": b"1", "two/edb.log": b"2"}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("..", "names a directory, not a file"),
        ("x/..", "names a directory, not a file"),
        ("a:b", "has the character : in its file name"),
        ("con.log", "has a file name that is a device on Windows"),
        ("end.", "has a file name that ends in a dot"),
        ("dir/", "ends in a separator, so no file name is left"),
        (b"\xff\xfe", "cannot be decoded (code page 0)"),
    ],
)
def test_a_name_that_is_not_safe_needs_a_place_of_its_own(tmp_path: Path, name: str | bytes, why: str) -> None:
    path = made(tmp_path / "b.tokar", (0x21, name, b"1"))
    shown = "<FF><FE>" if isinstance(name, bytes) else name
    result = tokar("restore", path, "--into", tmp_path / "out")
    refused(result, f"the name {shown} {why}")
    assert result.hint == "say where it goes: --to NAME=PATH"
    done("restore", "--accept-unrecoverable", path, "--into", tmp_path / "out", "--to", f"{shown}={tmp_path}/safe.log")
    assert (tmp_path / "safe.log").read_bytes() == b"1"


def test_a_name_that_climbs_out_stays_in(tmp_path: Path) -> None:
    path = made(tmp_path / "b.tokar", (0x21, "../../../../etc/up.log", b"1"), (0x21, "C:\\x\\drive.log", b"2"))
    done("restore", "--accept-unrecoverable", path, "--into", tmp_path / "out")
    assert contents(tmp_path / "out") == {"up.log": b"1", "drive.log": b"2"}


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (0x82, "names a directory, not a file"),
        (0x61, "has the bits of a database and of a log"),
        (0x0F, "has no bit that says where"),
    ],
)
def test_a_token_that_leads_nowhere_is_refused(tmp_path: Path, token: int, why: str) -> None:
    path = made(tmp_path / "b.tokar", (token, "f", b"1"))
    result = tokar("restore", path, "--to", f"database={tmp_path}/d/", "--to", f"log-dir={tmp_path}/l")
    assert result.exit_code == 6
    assert why in result.error


def test_a_damaged_archive_leaves_nothing_behind(archive: Path, tmp_path: Path) -> None:
    with library.open(archive) as opened:
        position = opened.entry(4).file_position - 500  # in the middle of the last log
    data = bytearray(archive.read_bytes())
    data[position] ^= 1
    archive.write_bytes(data)
    before = contents(tmp_path)
    result = tokar("restore", archive, "--into", tmp_path / "out" / "deep")
    assert result.exit_code == 4
    assert str(archive) in result.error
    assert contents(tmp_path) == before
    assert not (tmp_path / "out").exists()


def test_a_damaged_archive_leaves_what_was_there(archive: Path, tmp_path: Path) -> None:
    with library.open(archive) as opened:
        position = opened.entry(0).file_position + 300
    data = bytearray(archive.read_bytes())
    data[position] ^= 1
    archive.write_bytes(data)
    write(tmp_path / "out", {"edb.chk": b"old"})
    result = tokar("restore", "--json", archive, "--into", tmp_path / "out", "--existing", "set-aside")
    assert result.exit_code == 4
    assert result.json()["error"]["exit_code"] == 4
    assert contents(tmp_path / "out") == {"edb.chk": b"old"}


def test_an_archive_comes_from_standard_input(archive: Path, tmp_path: Path) -> None:
    done("restore", "-", "--into", tmp_path / "out", stdin=archive.read_bytes())
    assert contents(tmp_path / "out") == SET


@pytest.mark.parametrize(
    ("change", "code", "error"),
    [
        (lambda data: data[:1000], 5, "it ends inside"),
        (lambda data: data[:-1], 5, "it ends inside a TAIL record"),
        (lambda _: b"", 3, "not a tokar archive"),
        (lambda _: b"PK\3\4" * 100, 3, "not a tokar archive"),
        (lambda data: data[:300] + b"x" + data[301:], 4, ""),
    ],
    ids=["cut", "one byte short", "empty", "something else", "damaged"],
)
def test_what_is_wrong_on_standard_input_is_told_without_a_path_that_means_nothing(
    archive: Path, tmp_path: Path, change: Callable[[bytes], bytes], code: int, error: str
) -> None:
    result = tokar("restore", "-", "--into", tmp_path / "out", stdin=change(archive.read_bytes()))
    refused(result, error, code)
    assert "standard input" in result.error
    assert "spool" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_the_copy_of_standard_input_is_removed(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spool").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "spool"))
    done("restore", "-", "--into", tmp_path / "out", stdin=archive.read_bytes())
    (tmp_path / "out" / "edb.chk").write_bytes(b"")
    assert tokar("restore", "-", "--into", tmp_path / "out", stdin=archive.read_bytes()).exit_code == 6
    assert contents(tmp_path / "spool") == {}
    assert not list((tmp_path / "spool").iterdir())


def test_a_full_disk_for_the_copy_is_an_error(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tokar.storage.sink.write_all", full)
    result = tokar("restore", "-", "--into", "out", stdin=archive.read_bytes())
    refused(result, "cannot keep what comes from standard input: No space left on device", 1)
    assert result.hint == "TMPDIR says where it is kept"


def test_an_interrupt_before_the_first_rename_undoes_everything(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = contents(tmp_path)
    monkeypatch.setattr("tokar.storage.durable.sync_descriptor", interrupt)
    result = tokar("restore", archive, "--into", tmp_path / "out")
    assert result.exit_code == 130
    assert contents(tmp_path) == before
    assert not (tmp_path / "out").exists()


def test_an_interrupt_between_renames_says_what_is_in_place(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tokar.storage import durable  # noqa: PLC0415 - only here

    rename, count = durable.rename_at, iter(range(100))

    def interrupt(*arguments: Any, **options: Any) -> None:
        if next(count) == 3:  # the journal, and two logs
            raise KeyboardInterrupt
        rename(*arguments, **options)

    monkeypatch.setattr(durable, "rename_at", interrupt)
    (tmp_path / "out").mkdir()
    result = tokar("restore", archive, "--into", tmp_path / "out")
    assert result.exit_code == 130
    placed = {name: data for name, data in contents(tmp_path / "out").items() if not name.startswith(".tokar-")}
    assert placed == {name: SET[name] for name in ("edb00001.log", "edb00002.log")}
    assert f"in place: {tmp_path}/out/edb00001.log\n" in result.stderr
    assert f"in place: {tmp_path}/out/edb00002.log\n" in result.stderr
    assert "2 of 5 files are in place" in result.stderr
    monkeypatch.undo()
    done("restore", archive, "--into", tmp_path / "out")
    assert contents(tmp_path / "out") == SET, "the same restore goes on"


def test_a_refusal_of_the_system_between_renames_is_partial(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tokar.errors import StorageError  # noqa: PLC0415
    from tokar.storage import durable  # noqa: PLC0415 - only here

    rename, count = durable.rename_at, iter(range(100))

    def refuse(*arguments: Any, **options: Any) -> None:
        if next(count) == 3:  # the journal, and two logs
            raise StorageError("cannot rename: it burns")
        rename(*arguments, **options)

    monkeypatch.setattr(durable, "rename_at", refuse)
    (tmp_path / "out").mkdir()
    result = tokar("restore", "--json", archive, "--into", tmp_path / "out")
    refused(result, "2 of 5 files are in place, then it stopped: cannot rename: it burns", 8)
    assert result.json()["error"]["notes"] == [f"in place: {tmp_path}/out/edb0000{number}.log" for number in (1, 2)]
    assert "db.edb" not in contents(tmp_path / "out")
    monkeypatch.undo()
    done("restore", archive, "--into", tmp_path / "out")
    assert contents(tmp_path / "out") == SET, "the same restore goes on"


def test_a_folder_that_cannot_be_written_is_refused_in_the_plan() -> None:
    with without_rights() as place:
        done("create", "-q", place / "a.tokar", write(place / "in", instance()))
        (place / "out").mkdir(mode=0o500)
        for target in (place / "out", place / "out" / "deep"):
            refused(
                tokar("restore", place / "a.tokar", "--into", target),
                f"there is no right to write in the target directory ({target})",
            )


def test_too_little_room_is_refused_before_anything_is_written(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nearly_full = SimpleNamespace(f_bavail=10, f_frsize=1, f_files=0, f_favail=0, f_namemax=255, f_flag=0)
    monkeypatch.setattr("os.statvfs", lambda _: nearly_full)
    result = tokar("restore", archive, "--into", tmp_path / "out")
    assert result.exit_code == 6
    assert "bytes are needed and 10 are free" in result.error
    assert result.hint == "free some room, or restore elsewhere"
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_place_of_a_folder_is_refused(archive: Path, tmp_path: Path) -> None:
    write(tmp_path, {"out": b"mine"})
    refused(tokar("restore", archive, "--into", tmp_path / "out"), "the target directory is not a directory")
    assert tokar("restore", archive, "--into", tmp_path / "out" / "deep").exit_code == 6
    assert (tmp_path / "out").read_bytes() == b"mine"


def test_a_link_in_the_place_of_a_folder_is_not_followed(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to("real")
    refused(tokar("restore", archive, "--into", tmp_path / "out"), "the target directory is a symbolic link")
    assert contents(tmp_path / "real") == {}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--existing", "replace"], "--existing takes refuse"),
        (["--to", "x"], "'x' says no place"),
        (["--to", "=x"], "'=x' says no place"),
        (["--map", "x"], "'x' is no map"),
        (["--into", "a", "--certutil", "b"], "--into, --tree and --certutil exclude each other"),
        (
            ["--into", "a", "--to", "log-dir=b"],
            "--into, --tree and --certutil send all files to one folder; leave the locations out",
        ),
        (["--code-page", "latin"], "invalid value for '--code-page'"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], error: str
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(tokar("restore", archive, *arguments), error, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tokar", "in"]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"[[location]]\ntoken = 'log'\n", "[[location]] (line 1) has no path"),
        (b"[[where]]\n", "unknown table 'where'"),
        (b"D\0x\0\0\0", "the list has no terminator"),
        (b"\xff\xfeD\0", "it is UTF-16 text; save it as UTF-8"),
        (bytes((1 << 20) + 1), "it is too large to be a location list"),
    ],
    ids=["no path", "unknown table", "cut list", "UTF-16", "large"],
)
def test_a_locations_file_that_cannot_be_read_is_refused(
    archive: Path, tmp_path: Path, content: bytes, error: str
) -> None:
    (tmp_path / "l").write_bytes(content)
    result = tokar("restore", archive, "--locations", tmp_path / "l")
    refused(result, error)
    assert f"({tmp_path}/l" in result.error


def test_restored_files_are_private(archive: Path, tmp_path: Path) -> None:
    done("restore", archive, "--into", tmp_path / "out")
    assert Path(tmp_path / "out").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()} == {0o600}


def test_restored_files_keep_their_times(archive: Path, tmp_path: Path) -> None:
    done("restore", archive, "--into", tmp_path / "out")
    for name in TAKEN:
        assert (tmp_path / "out" / name).stat().st_mtime_ns == (tmp_path / "in" / name).stat().st_mtime_ns


def test_an_empty_set_is_restored_to_an_empty_folder(tmp_path: Path) -> None:
    result = done("restore", made(tmp_path / "b.tokar"), "--into", tmp_path / "out")
    lines = result.stdout.splitlines()
    assert lines[-2] == "restored 0 files, 0 bytes; every digest was right"
    assert lines[-1].startswith("NOT PROVEN: nothing in it is known as a file of an engine")


def test_certutil_takes_databases_and_logs_and_its_list(tmp_path: Path) -> None:
    raw = build_names([(0x82, "\\\\CA\\C$\\L".encode("utf-16-le"))], wide=True)
    path = made(
        tmp_path / "b.tokar",
        (0x44, "\\\\CA\\C$\\L\\CA.edb", b"1"),
        (0x21, "edb00001.log", b"2"),
        (0x0F, "CA.p12", b"key"),
        (0x0F, "notes.txt", b"other"),
        location_list=location_list_json("w", raw),
    )
    result = done("restore", path, "--certutil", tmp_path / "out")
    assert contents(tmp_path / "out") == {
        "DataBase/CA.edb": b"1",
        "DataBase/edb00001.log": b"2",
        "DataBase/certbkxp.dat": raw,
        "CA.p12": b"key",
    }
    assert "certutil takes databases and logs only" in result.stdout
    assert f"also written: {tmp_path}/out/DataBase/certbkxp.dat" in result.stdout


def test_certutil_without_a_list_is_refused(tmp_path: Path) -> None:
    path = set_of(tmp_path / "a.tokar", {DATABASE: bytes(streaming(5, 7)), **logs(5, 7)}, profile="certadm").path
    result = tokar("restore", path, "--certutil", tmp_path / "out")
    refused(result, "the archive keeps no location list, and certutil needs one as certbkxp.dat")
    assert result.hint == "give one with --locations FILE, or restore with --into DIR"
    assert not (tmp_path / "out").exists()


def test_a_plan_that_is_refused_for_its_places_says_that_the_verdict_is_on_the_files_alone(tmp_path: Path) -> None:
    path = set_of(tmp_path / "a.tokar", {DATABASE: bytes(streaming(5, 7)), **logs(5, 7)}, profile="certadm").path
    write(tmp_path / "out", {DATABASE: b"another"})
    result = tokar("restore", "--into", tmp_path / "out", path)
    assert result.exit_code == 6
    last = result.stdout.splitlines()[-1]
    assert last.startswith("REFUSED: ")
    assert f"({tmp_path}/out); the files alone: NOT PROVEN: pages" in last
    assert "the files alone" not in done("restore", "--into", tmp_path / "else", path).stdout
    told = tokar("restore", "--json", "--into", tmp_path / "out", path).json()["outcome"]
    assert last == f"REFUSED: {told['refused']}; the files alone: {told['word']}: {told['why']}"
    assert "refused" not in done("restore", "--json", "--into", tmp_path / "else", path).json()["outcome"]


def test_a_refused_plan_says_no_next_step_of_a_service_and_ends_with_the_last_line(tmp_path: Path) -> None:
    files = {DATABASE: bytes(streaming(5, 7)), **logs(5, 6)}
    path = set_of(tmp_path / "a.tokar", files, profile="certadm").path
    result = tokar("restore", "--into", tmp_path / "out", path)
    assert result.exit_code == 6
    assert result.stdout.splitlines()[-1] == "NOT RESTORABLE: main.edb: log 0x7 is missing"
    assert "next: " not in result.stdout
    assert not (tmp_path / "out").exists()


def test_the_archive_that_is_restored_from_is_not_set_aside(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    inside = shutil.copy(archive, tmp_path / "out" / "db.edb")
    result = tokar("restore", inside, "--into", tmp_path / "out", "--existing", "set-aside")
    refused(result, "the archive that is restored from has the name of a file in it", 6)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["db.edb"]


@pytest.mark.parametrize("name", ["edb.chk", "edbtmp.log", "edbres00001.jrs", "main.pat", "notes.txt"])
def test_what_needs_no_recovery_gets_one_last_line_from_every_verb(name: str, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / name).write_bytes(checkpoint(5))
    path = tmp_path / "a.tokar"
    made = done("create", "--all", "--json", path, tmp_path / "set")
    plan = done("restore", "--dry-run", "--json", "--into", tmp_path / "out", path)
    said = [made.json()["outcome"], tokar("check", "--json", path).json()["outcome"], plan.json()["outcome"]]
    assert [one["word"] for one in said] == ["NOT PROVEN"] * 3
    is_checkpoint = name != "main.pat"  # by its header, unless the name says what no header could
    steps = [step["action"] for step in plan.json()["plans"][0]["steps"]]
    assert steps == ["leave out" if is_checkpoint else "place"]


def test_a_folder_in_place_of_an_archive_is_refused_with_both_ways_to_go_on(tmp_path: Path) -> None:
    done("lab", "new", tmp_path / "lab")
    result = tokar("restore", tmp_path / "lab", "--into", tmp_path / "out")
    assert (result.exit_code, "it is a folder, and an archive is wanted" in result.stderr) == (1, True)
    assert f"--chain {tmp_path / 'lab'} takes the archives in it" in (result.hint or "")
    assert f"tokar create ARCHIVE {tmp_path / 'lab'}" in (result.hint or "")
    assert not (tmp_path / "out").exists()
