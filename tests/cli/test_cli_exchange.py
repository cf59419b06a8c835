r"""The worked example of the Exchange Server SDK, "Backup File Locations", through the command line.

Server 1 backs up two stores, two logs and a patch file; server 2 has other directories. Each store goes to its own
directory, both logs and the patch file go to the log directory, although the patch file came from the working
directory, and nothing goes to the checkpoint directory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from command_line import done, tokar
from small_sets import contents, database, log, write

from tokar.namelist import build_names

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "MDBDATA/PRIV/PRIV.EDB": ("private-database", database(1)),
    "MDBDATA/PUB/PUB.EDB": ("BFT_MDB_PUBLIC_DATABASE", database(2)),
    "MDBDATA/LOGS/EDB00001.LOG": ("log", log(1)),
    "MDBDATA/LOGS/EDB00002.LOG": ("0x21", log(2)),
    "MDBDATA/WORKING/PUB.PAT": ("patch", b"pages of the public store that changed"),
}
CHECKPOINT_DIR, LOG_DIR, PRIVATE, PUBLIC = 0x83, 0x82, 0x45, 0x46
LOCATIONS = {CHECKPOINT_DIR: "WORK", LOG_DIR: "TRAN_LOGS", PRIVATE: "PRIVATE", PUBLIC: "PUBLIC"}
EXPECTED = {
    "PRIVATE/PRIV.EDB": FILES["MDBDATA/PRIV/PRIV.EDB"][1],
    "PUBLIC/PUB.EDB": FILES["MDBDATA/PUB/PUB.EDB"][1],
    "TRAN_LOGS/EDB00001.LOG": FILES["MDBDATA/LOGS/EDB00001.LOG"][1],
    "TRAN_LOGS/EDB00002.LOG": FILES["MDBDATA/LOGS/EDB00002.LOG"][1],
    "TRAN_LOGS/PUB.PAT": FILES["MDBDATA/WORKING/PUB.PAT"][1],
}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """The set of server 1, each file named with its token."""
    folder = write(tmp_path / "server1", {name: content for name, (_, content) in FILES.items()})
    named = [f"{token}={folder / name}" for name, (token, _) in FILES.items()]
    done("create", "-q", tmp_path / "a.tokar", *named, "--profile", "edbbcli", "--server", "SERVER1")
    return tmp_path / "a.tokar"


def location_list(path: Path, *left_out: int, wide: bool = True) -> Path:
    """Write the list of server 2's locations as the API returns it."""
    encoding = "utf-16-le" if wide else "ascii"
    rows = [
        (token, f"\\\\SERVER2\\MDBDATA\\{name}".encode(encoding))
        for token, name in LOCATIONS.items()
        if token not in left_out
    ]
    path.write_bytes(build_names(rows, wide=wide))
    return path


def test_the_tokens_are_those_of_the_profile(archive: Path) -> None:
    entries = done("inspect", "--json", archive).json()["entries"]
    assert {entry["leaf"]: (entry["token"], entry["token_name"]) for entry in entries} == {
        "PRIV.EDB": (0x45, "private-database"),
        "PUB.EDB": (0x46, "public-database"),
        "EDB00001.LOG": (0x21, "log"),
        "EDB00002.LOG": (0x21, "log"),
        "PUB.PAT": (0x28, "patch"),
    }


@pytest.mark.parametrize("wide", [True, False], ids=["W list", "A list"])
def test_each_file_goes_to_the_directory_that_its_token_calls_for(archive: Path, tmp_path: Path, wide: bool) -> None:
    places = location_list(tmp_path / "list", wide=wide)
    target = tmp_path / "server2"
    (target / "WORK").mkdir(parents=True)
    done("restore", archive, "--locations", places, "--map", f"\\\\SERVER2\\MDBDATA={target}")
    assert contents(target) == EXPECTED
    assert not list((target / "WORK").iterdir())


def test_the_plan_says_which_rule_decided(archive: Path, tmp_path: Path) -> None:
    places = location_list(tmp_path / "list")
    answer = done(
        *("restore", archive, "--locations", places, "--map", f"\\\\SERVER2\\MDBDATA={tmp_path}/s2"),
        "--dry-run",
        "--json",
    ).json()
    assert {step["leaf"]: step["rule"] for step in answer["plans"][0]["steps"]} == {
        "PRIV.EDB": "same token 0x45",
        "PUB.EDB": "same token 0x46",
        "EDB00001.LOG": "bit 0x20: the log directory",
        "EDB00002.LOG": "bit 0x20: the log directory",
        "PUB.PAT": "bit 0x20: the log directory",
    }
    assert not (tmp_path / "s2").exists()


@pytest.mark.parametrize(("missing", "file", "name"), [(PRIVATE, "PRIV.EDB", "private"), (PUBLIC, "PUB.EDB", "public")])
def test_a_store_whose_location_is_missing_never_lands_in_that_of_the_other(
    archive: Path, tmp_path: Path, missing: int, file: str, name: str
) -> None:
    places = location_list(tmp_path / "list", missing)
    result = tokar("restore", archive, "--locations", places, "--map", f"\\\\SERVER2\\MDBDATA={tmp_path}/server2")
    assert result.exit_code == 6
    assert result.error.startswith(f"no location has the token {name}-database (0x{missing:02X})")
    assert file in result.error
    assert not (tmp_path / "server2").exists()


def test_without_the_log_directory_nothing_is_written(archive: Path, tmp_path: Path) -> None:
    places = location_list(tmp_path / "list", LOG_DIR)
    result = tokar("restore", archive, "--locations", places, "--map", f"\\\\SERVER2\\MDBDATA={tmp_path}/server2")
    assert result.exit_code == 6
    assert "there is no log directory" in result.stderr
    assert not (tmp_path / "server2").exists()


def test_the_checkpoint_directory_takes_nothing_and_is_not_needed(archive: Path, tmp_path: Path) -> None:
    places = location_list(tmp_path / "list", CHECKPOINT_DIR)
    done("restore", archive, "--locations", places, "--map", f"\\\\SERVER2\\MDBDATA={tmp_path}/server2")
    assert contents(tmp_path / "server2") == EXPECTED


def test_an_old_checkpoint_in_the_working_directory_is_in_the_way(archive: Path, tmp_path: Path) -> None:
    write(tmp_path / "server2", {"WORK/edb.chk": b"old"})
    places = location_list(tmp_path / "list")
    result = tokar("restore", archive, "--locations", places, "--map", f"\\\\SERVER2\\MDBDATA={tmp_path}/server2")
    assert result.exit_code == 6
    assert (
        result.error == f"files of the engine are there already: edb.chk (checkpoint) ({tmp_path / 'server2' / 'WORK'})"
    )
    assert contents(tmp_path / "server2") == {"WORK/edb.chk": b"old"}


def test_paths_of_server_two_mean_nothing_here_without_a_map(archive: Path, tmp_path: Path) -> None:
    result = tokar("restore", archive, "--locations", location_list(tmp_path / "list"))
    assert result.exit_code == 6
    assert "names another machine" in result.error
    assert result.hint == r"--map '\\SERVER2\MDBDATA=DIR' or --to private-database=DIR/"


def test_the_locations_may_travel_in_the_archive(archive: Path, tmp_path: Path) -> None:
    places = location_list(tmp_path / "list")
    folder = tmp_path / "server1"
    named = [f"{token}={folder / name}" for name, (token, _) in FILES.items()]
    done("create", "-q", tmp_path / "b.tokar", *named, "--profile", "edbbcli", "--locations", places)
    kept = done("inspect", "--json", tmp_path / "b.tokar").json()["locations"]
    assert [(one["name"], one["path"].rpartition("\\")[2]) for one in kept] == [
        ("checkpoint-dir", "WORK"),
        ("log-dir", "TRAN_LOGS"),
        ("private-database", "PRIVATE"),
        ("public-database", "PUBLIC"),
    ]
    done("restore", tmp_path / "b.tokar", "--map", f"\\\\server2\\mdbdata={tmp_path}/server2")
    assert contents(tmp_path / "server2") == EXPECTED
    del archive
