from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_line import done, in_words_of_ours, tokar, without_rights
from small_sets import TAKEN, checkpoint, contents, database, instance, log, temporary_database, write

import tokar as library
from tokar.collect.certutil import KEY_REMINDER
from tokar.collect.collect import collect
from tokar.namelist import build_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokar.format.archive import Archive


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "in", instance())


def read(path: Path) -> Archive:
    return library.open(path)


def test_a_folder_becomes_a_sealed_archive(folder: Path, tmp_path: Path) -> None:
    done("create", tmp_path / "a.tokar", folder)
    with read(tmp_path / "a.tokar") as archive:
        assert [entry.name for entry in archive] == list(TAKEN)
        assert (archive.head.profile, archive.head.kind) == ("ese", "collected")


def test_what_was_taken_and_what_was_not_is_said_on_standard_error(folder: Path, tmp_path: Path) -> None:
    result = done("create", tmp_path / "a.tokar", folder)
    assert result.stdout == ""
    assert "tokar:   0x44 database             16.0 KiB  db.edb\n" in result.stderr
    assert "tokar: not inside: edb.chk: a checkpoint file, rebuilt by the engine\n" in result.stderr
    assert f"tokar: sealed {tmp_path / 'a.tokar'}: 5 entries, 52.0 KiB in " in result.stderr


def test_quiet_says_nothing(folder: Path, tmp_path: Path) -> None:
    result = done("create", "--quiet", tmp_path / "a.tokar", folder)
    assert result.stdout + result.stderr == ""


def test_quiet_still_says_what_is_lost(folder: Path, tmp_path: Path) -> None:
    (folder / "db.edb").write_bytes(bytes(16384))
    result = done("create", "--quiet", tmp_path / "a.tokar", folder)
    first = result.stderr.splitlines()[0]
    assert first == (
        "tokar: warning: db.edb: taken as a damaged database by its name; there is nothing but zeros in it"
    )
    with read(tmp_path / "a.tokar") as archive:
        assert archive.summary.outcome == "partial"
        assert archive.entry(0).token == 0x44
        assert archive.summary.extra["notes"] == [first.removeprefix("tokar: warning: ")]
    assert "partial: something is known to be missing" in done("inspect", tmp_path / "a.tokar").stdout


def test_the_summary_ends_with_what_is_not_inside(folder: Path, tmp_path: Path) -> None:
    lines = done("create", tmp_path / "a.tokar", folder).stderr.splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("tokar: sealed "))
    kinds = [line.removeprefix("tokar: ").partition(":")[0] for line in lines[start + 1 :]]
    assert kinds == ["content", *["not inside"] * 6, "RESTORABLE"]


def test_where_there_is_nothing_to_archive_it_is_said_what_was_seen(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {"tmp.edb": temporary_database(), "x.txt": b"x"})
    result = tokar("create", tmp_path / "a.tokar", folder)
    assert result.exit_code == 2
    temporary = "seen: tmp.edb: a temporary database: the engine makes it anew\n"
    assert f"{temporary}seen: x.txt: not recognised\n" in result.stderr


def test_a_long_list_is_cut_with_a_count(tmp_path: Path) -> None:
    files = {f"edb{number:05X}.log": log(number) for number in range(1, 31)}
    texts = {f"{number:02}.txt": b"x" for number in range(25)}
    result = done("create", tmp_path / "a.tokar", write(tmp_path / "in", {**files, **texts}))
    assert "tokar:   ... and 10 more\n" in result.stderr
    assert "tokar: not inside: 5 more; the archive lists the first 1,000\n" in result.stderr


def test_json_tells_the_same(folder: Path, tmp_path: Path) -> None:
    answer = done("create", "--json", tmp_path / "a.tokar", folder).json()
    with read(tmp_path / "a.tokar") as archive:
        assert answer["archive"] == {
            "path": str(tmp_path / "a.tokar"),
            "size": archive.size,
            "id": archive.id.hex(),
            "root": archive.root.hex(),
            "profile": "ese",
            "kind": "collected",
            "entries": 5,
            "content_size": 53248,
            "signatures": [],
        }
    assert {"name": "edb.chk", "reason": "a checkpoint file, rebuilt by the engine"} in answer["left_out"]
    assert answer["notes"] == []
    assert answer["outcome"] == {"word": "RESTORABLE", "why": None}


def test_the_last_line_is_that_of_check(folder: Path, tmp_path: Path) -> None:
    for at, (gone, word) in enumerate((("edb.log", "RESTORABLE"), ("db.edb", "PART OF A CHAIN"))):
        (folder / gone).unlink()
        last = done("create", tmp_path / f"{at}.tokar", folder).stderr.splitlines()[-1]
        assert last == f"tokar: {tokar('check', tmp_path / f'{at}.tokar').stdout.splitlines()[-1]}"
        assert last.startswith(f"tokar: {word}")


def test_what_is_said_about_the_set_is_kept(folder: Path, tmp_path: Path) -> None:
    options = [
        "--name",
        "weekly",
        "--server",
        "DC1",
        "--annotation",
        "before the move",
        "--profile",
        "ntdsbcli",
        "--kind",
        "full",
    ]
    done("create", tmp_path / "a.tokar", folder, *options)
    with read(tmp_path / "a.tokar") as archive:
        head = archive.head
    assert [head.text(key) for key in ("name", "server", "annotation")] == ["weekly", "DC1", "before the move"]
    assert (head.profile, head.kind) == ("ntdsbcli", "full")


def test_files_are_named_one_by_one_with_their_tokens(tmp_path: Path) -> None:
    write(tmp_path, {"a": b"1", "b": b"2", "edb.log": log(1)})
    done("create", tmp_path / "a.tokar", f"database={tmp_path}/a", f"0x25={tmp_path}/b", tmp_path / "edb.log")
    with read(tmp_path / "a.tokar") as archive:
        assert [(entry.name, entry.token) for entry in archive] == [("edb.log", 0x21), ("a", 0x44), ("b", 0x25)]


def test_everything_is_taken_when_asked(folder: Path, tmp_path: Path) -> None:
    done("create", "--all", tmp_path / "a.tokar", folder)
    with read(tmp_path / "a.tokar") as archive:
        assert {entry.name for entry in archive} == set(instance())
        assert {entry.token for entry in archive if entry.name not in TAKEN} == {0x0F}


def test_locations_are_kept(folder: Path, tmp_path: Path) -> None:
    raw = build_names([(0x82, "\\\\S\\L".encode("utf-16-le"))], wide=True)
    (tmp_path / "list").write_bytes(raw)
    done("create", tmp_path / "a.tokar", folder, "--locations", tmp_path / "list")
    with read(tmp_path / "a.tokar") as archive:
        assert archive.head.location_list is not None
        assert archive.head.location_list.data == raw


@pytest.mark.parametrize("compress", ["none", "zstd", "zstd:3", "zstd:22"])
def test_every_compression_gives_the_files_back(folder: Path, tmp_path: Path, compress: str) -> None:
    done("create", "--compress", compress, tmp_path / "a.tokar", folder)
    with read(tmp_path / "a.tokar") as archive:
        assert {entry.name: archive.read(entry) for entry in archive} == {name: instance()[name] for name in TAKEN}


@pytest.mark.parametrize("compress", ["gzip", "zstd:", "zstd:0", "zstd:23", "zstd:x", "none:1", ""])
def test_a_compression_that_does_not_exist_is_refused(folder: Path, tmp_path: Path, compress: str) -> None:
    result = tokar("create", "--compress", compress, tmp_path / "a.tokar", folder)
    assert result.exit_code == 2
    assert result.error == f"not a compression: {compress}"
    assert not (tmp_path / "a.tokar").exists()


def test_one_of_two_streams_is_chosen_by_its_base(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {"edb00001.log": log(1), "j5000001.log": log(1)})
    refused = tokar("create", tmp_path / "a.tokar", folder)
    assert refused.exit_code == 2
    assert refused.error == f"the logs of 2 streams are in one folder: edb, j50 ({folder}{os.sep})"
    assert refused.hint == "name the one to take: --base NAME"
    done("create", tmp_path / "a.tokar", folder, "--base", "j50")
    with read(tmp_path / "a.tokar") as archive:
        assert [entry.name for entry in archive] == ["j5000001.log"]


def test_a_name_and_a_header_that_disagree_are_reported(tmp_path: Path) -> None:
    result = done("create", tmp_path / "a.tokar", write(tmp_path / "in", {"edb00005.log": log(6)}))
    note = "edb00005.log: its header says generation 0x6, its name 0x5 (the header counts)"
    assert f"tokar: note: {note}\n" in result.stderr
    with read(tmp_path / "a.tokar") as archive:
        assert archive.summary.extra["notes"] == [note]


def test_an_archive_that_is_there_is_refused_and_kept(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.tokar").write_bytes(b"old")
    result = tokar("create", tmp_path / "a.tokar", folder)
    assert result.exit_code == 6
    assert result.error == f"the archive is there already ({tmp_path / 'a.tokar'})"
    assert "--force" in result.hint
    assert contents(tmp_path) == {**{f"in/{name}": data for name, data in instance().items()}, "a.tokar": b"old"}


def test_force_replaces_an_archive_once_the_new_one_is_complete(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.tokar").write_bytes(b"old")
    done("create", "--force", tmp_path / "a.tokar", folder)
    with read(tmp_path / "a.tokar") as archive:
        assert len(archive) == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tokar", "in"]


def test_a_forgotten_name_for_the_archive_costs_no_database(folder: Path) -> None:
    for option in ([], ["--force"]):
        result = tokar("create", *option, folder / "db.edb", folder / "edb.log", folder / "db.edb")
        assert result.exit_code == (2 if option else 6)
    assert contents(folder) == instance()


def test_a_failure_keeps_the_archive_that_was_to_be_replaced(tmp_path: Path) -> None:
    write(tmp_path, {"a.tokar": b"old", "x/db.edb": database(), "y/db.edb": database()})
    result = tokar("create", "--force", tmp_path / "a.tokar", tmp_path / "x" / "db.edb", tmp_path / "y" / "db.edb")
    assert result.exit_code == 2
    assert result.error == f"two files would be one entry: token 0x44, name db.edb ({tmp_path / 'y' / 'db.edb'})"
    assert (tmp_path / "a.tokar").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tokar", "x", "y"]


def test_a_link_in_the_place_of_the_archive_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.tokar").symlink_to("elsewhere")
    assert tokar("create", tmp_path / "a.tokar", folder).exit_code == 6
    done("create", "--force", tmp_path / "a.tokar", folder)
    assert not (tmp_path / "a.tokar").is_symlink()
    assert not (tmp_path / "elsewhere").exists()


def test_a_missing_folder_for_the_archive_is_named(folder: Path, tmp_path: Path) -> None:
    result = tokar("create", tmp_path / "gone" / "a.tokar", folder)
    assert result.exit_code == 1
    assert result.error == f"cannot write here: No such file or directory ({tmp_path / 'gone' / 'a.tokar'})"


def test_a_folder_in_the_place_of_the_archive_is_refused_with_force_too(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.tokar").mkdir()
    assert tokar("create", tmp_path / "a.tokar", folder).exit_code == 6
    assert tokar("create", "--force", tmp_path / "a.tokar", folder).exit_code == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tokar", "in"]


def test_a_folder_that_cannot_be_written_is_named() -> None:
    with without_rights() as place:
        write(place / "in", instance())
        (place / "out").mkdir(mode=0o500)
        result = tokar("create", place / "out" / "a.tokar", place / "in")
        assert result.exit_code == 1
        assert result.error == f"cannot write here: Permission denied ({place}/out/a.tokar)"


def test_a_file_that_cannot_be_read_is_named() -> None:
    with without_rights() as place:
        write(place / "in", instance())
        (place / "in" / "db.edb").chmod(0)
        result = tokar("create", place / "a.tokar", place / "in")
        assert result.exit_code == 1
        assert result.error == f"cannot open: Permission denied ({place}/in/db.edb)"
        assert not (place / "a.tokar").exists()


def test_a_subfolder_that_cannot_be_listed_is_named() -> None:
    with without_rights() as place:
        write(place / "in", {**instance(), "deep/x": b"1"})
        (place / "in" / "deep").chmod(0)
        result = tokar("create", place / "a.tokar", place / "in")
        assert result.exit_code == 1
        assert result.error == f"cannot list the folder: Permission denied ({place}/in/deep)"


def test_a_file_that_changes_while_it_is_read_is_an_error(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change_first(*arguments: object, **options: object) -> object:
        (folder / "edb00002.log").write_bytes(log(2) + b"more")
        return collect(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("tokar.cli.create.collect", change_first)
    result = tokar("create", tmp_path / "a.tokar", folder)
    assert result.exit_code == 1
    assert result.error == f"the file changed while it was being archived ({folder / 'edb00002.log'})"
    assert result.hint == "stop the service that owns the file, or use its backup procedure, and run again"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_an_interrupt_leaves_nothing_and_says_so(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tokar.collect.collecting.Collecting.add", interrupt)
    result = tokar("create", tmp_path / "a.tokar", folder)
    assert result.exit_code == 130
    assert result.stderr == "tokar: interrupted; nothing was left under a final name that is not whole\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["gone"], 1, "cannot look at it: No such file or directory (gone)"),
        (["log=gone"], 1, "cannot look at it: No such file or directory (gone)"),
        (["log="], 1, "cannot look at it: No such file or directory"),
        ([""], 1, "cannot look at it: No such file or directory"),
        (["=x"], 2, "'' is no token of the profile ese"),
        (["logg=in/db.edb"], 2, "'logg' is no token of the profile ese"),
        (["256=in/db.edb"], 2, "'256' is no token of the profile ese"),
        (["0x100=in/db.edb"], 2, "'0x100' is no token of the profile ese"),
        (["log=in"], 1, "not a regular file (in)"),
        (["in/empty"], 2, "there is nothing to archive: no database, log or patch file was recognised"),
        (["in", "--profile", "exch"], 2, "there is no profile exch"),
        (["in", "--kind", "most"], 2, "there is no kind most"),
        (["in", "--base", "e00"], 2, "no log has the base name e00"),
        (
            ["in", "--profile", "edbbcli"],
            2,
            "the profile edbbcli has a token for each of its databases, and this name is none of theirs (db.edb)",
        ),
        (["in", "--locations", "gone"], 1, "cannot read the locations: No such file or directory (gone)"),
        (["in", "--locations", "in/edb.chk"], 6, "it is no location list: "),
        (
            ["in", "--locations", "in/readme.txt"],
            6,
            f"it is no TOML: Expected '=' after a key in a key/value pair (at line 1, column 5) (in{os.sep}readme.txt)",
        ),
    ],
)
def test_what_cannot_be_archived_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, error: str
) -> None:
    monkeypatch.chdir(folder.parent)
    (folder / "empty").mkdir()
    result = tokar("create", "a.tokar", *arguments)
    error = in_words_of_ours(error)
    assert (result.exit_code, result.error[: len(error)]) == (code, error)
    assert not Path("a.tokar").exists()


def test_an_archive_in_a_folder_that_is_taken_whole_is_refused(folder: Path) -> None:
    result = tokar("create", "--all", folder / "a.tokar", folder)
    assert result.exit_code == 2
    assert result.error == f"the archive would lie in a folder that it takes whole ({folder / 'a.tokar'})"
    assert contents(folder) == instance()


def test_json_and_the_archive_do_not_share_standard_output(folder: Path) -> None:
    result = tokar("create", "--json", "-", folder)
    assert result.exit_code == 2
    assert result.error == "--json and the archive both want standard output"


def test_a_remark_with_bytes_that_are_no_text_is_refused(folder: Path, tmp_path: Path) -> None:
    result = tokar("create", tmp_path / "a.tokar", folder, "--annotation", "\udcff")
    assert result.exit_code == 2
    assert result.error.startswith("the description of the set cannot be kept")


def test_a_name_that_cannot_be_shown_is_shown_escaped(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9\x1b[31m.log")
    result = done("create", tmp_path / "a.tokar", write(tmp_path / "in", {name: log(1)}))
    assert "caf<U+DCE9><U+001B>[31m.log" in result.stderr
    assert "\x1b" not in result.stderr


CERTUTIL = {"DataBase/certbkxp.dat": b"\0\0", "DataBase/CA.edb": database(), "DataBase/edb00001.log": log(1)}


def test_a_folder_of_certutil_is_recognised_with_a_reminder_of_the_key(tmp_path: Path) -> None:
    result = done("create", tmp_path / "a.tokar", write(tmp_path / "ca", {**CERTUTIL, "CA.p12": b"key"}))
    assert "note: CA.p12, a private key beside DataBase, is not in this archive: --with-key takes it" in result.stderr
    assert "tokar: not inside: CA.p12: a private key: taken only when it is named\n" in result.stderr
    with read(tmp_path / "a.tokar") as archive:
        assert (archive.head.profile, archive.head.kind) == ("certadm", "full")


@pytest.mark.parametrize("spelling", [lambda path: path, lambda path: f"unknown={path}"], ids=["named", "with token"])
def test_the_private_key_is_taken_when_it_is_named(tmp_path: Path, spelling: Callable[[Path], str | Path]) -> None:
    folder = write(tmp_path / "ca", {**CERTUTIL, "CA.p12": b"key"})
    result = done("create", tmp_path / "a.tokar", folder, spelling(folder / "CA.p12"))
    assert KEY_REMINDER not in result.stderr
    with read(tmp_path / "a.tokar") as archive:
        assert [(entry.name, entry.token) for entry in archive][-1] == ("CA.p12", 0x0F)


def test_a_checkpoint_alone_is_taken_when_it_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"edb.chk": checkpoint()})
    result = done("create", tmp_path / "a.tokar", tmp_path / "edb.chk")
    assert "taken because it was named, with the token for unknown files" in result.stderr


def test_the_archive_is_private(folder: Path, tmp_path: Path) -> None:
    done("create", tmp_path / "a.tokar", folder)
    assert Path(tmp_path / "a.tokar").stat().st_mode & 0o777 == 0o600


# --- what --force never replaces --------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["create", "salvage"])
def test_an_archive_never_replaces_a_file_of_an_engine(tmp_path: Path, verb: str) -> None:
    write(tmp_path, {"db.edb": database(), "old.tokar": b"cut"})
    result = tokar(verb, "--force", tmp_path / "db.edb", tmp_path / "old.tokar")
    if verb == "salvage":  # which names what it reads first
        result = tokar(verb, "--force", cut_archive(tmp_path), tmp_path / "db.edb")
    assert result.exit_code == 2
    assert "a database has this name, and would be replaced by an archive" in result.error
    assert (tmp_path / "db.edb").read_bytes() == database()


def cut_archive(folder: Path) -> Path:
    done("create", "-q", folder / "cut.tokar", folder / "db.edb")
    (folder / "cut.tokar").write_bytes((folder / "cut.tokar").read_bytes()[:-10])
    return folder / "cut.tokar"


def test_the_locations_that_it_reads_are_not_replaced(tmp_path: Path) -> None:
    write(tmp_path, {"db.edb": database(), "places": b'[[location]]\ntoken = "log-dir"\npath = "/x"\n'})
    result = tokar("create", "--force", tmp_path / "places", tmp_path / "db.edb", "--locations", tmp_path / "places")
    assert result.exit_code == 2
    assert "would replace the file that is being read" in result.error
    assert (tmp_path / "places").read_bytes().startswith(b"[[location]]")
