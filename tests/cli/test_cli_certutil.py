r"""Folders of `certutil -backupDB` through the command line: in at either level, and out again byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from command_line import done, tokar
from small_sets import contents, database, log, write

from tokar.namelist import build_names

if TYPE_CHECKING:
    from pathlib import Path

HOST, AUTHORITY = "PKI-SRV01.corp.cvilab.local", "CVI Issuing CA 1"
FOLDER = f"\\\\{HOST}\\C$\\Windows\\system32\\CertLog"
SERVER_LIST = build_names(
    [
        (token, path.encode("utf-16-le"))
        for token, path in ((0x44, f"{FOLDER}\\{AUTHORITY}.edb"), (0x82, FOLDER), (0x83, FOLDER))
    ],
    wide=True,
)
FULL = {
    "DataBase/certbkxp.dat": SERVER_LIST,
    f"DataBase/{AUTHORITY}.edb": database(3),
    "DataBase/edb00001.log": log(1),
    "DataBase/edb00002.log": log(2),
}
LOGS = {"DataBase/edb00003.log": log(3), "DataBase/edb00004.log": log(4)}


def test_the_list_has_the_size_that_a_real_one_was_seen_with() -> None:
    assert len(SERVER_LIST) == 398


@pytest.mark.parametrize("level", ["", "DataBase"], ids=["outer", "inner"])
@pytest.mark.parametrize("files", [FULL, LOGS], ids=["full", "incremental"])
def test_a_folder_comes_back_byte_for_byte(tmp_path: Path, level: str, files: dict[str, bytes]) -> None:
    folder = write(tmp_path / "backup", files)
    done("create", "-q", tmp_path / "a.tokar", folder / level)
    done("verify", "-q", "--content", tmp_path / "a.tokar")
    done("restore", "-q", tmp_path / "a.tokar", "--certutil", tmp_path / "out")
    assert contents(tmp_path / "out") == files


@pytest.mark.parametrize(
    ("files", "kind", "entries"), [(FULL, "full", 3), (LOGS, "logs", 2)], ids=["full", "incremental"]
)
def test_the_archive_knows_where_it_came_from(tmp_path: Path, files: dict[str, bytes], kind: str, entries: int) -> None:
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "backup", files))
    answer = done("inspect", "--json", tmp_path / "a.tokar").json()
    assert (answer["archive"]["profile"], answer["archive"]["kind"]) == ("certadm", kind)
    assert len(answer["entries"]) == entries
    assert "certutil -backupKey" in answer["archive"]["notes"][0]
    assert [one["path"] for one in answer["locations"]] == (
        [f"{FOLDER}\\{AUTHORITY}.edb", FOLDER, FOLDER] if kind == "full" else []
    )


def test_a_full_set_goes_back_to_the_directories_of_the_server(tmp_path: Path) -> None:
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "backup", FULL))
    done("restore", "-q", tmp_path / "a.tokar", "--map", f"\\\\{HOST.upper()}\\c$={tmp_path}/c")
    assert contents(tmp_path / "c") == {
        f"Windows/system32/CertLog/{name.removeprefix('DataBase/')}": data
        for name, data in FULL.items()
        if name != "DataBase/certbkxp.dat"
    }


def test_without_a_map_the_server_is_another_machine(tmp_path: Path) -> None:
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "backup", FULL))
    result = tokar("restore", tmp_path / "a.tokar")
    assert result.exit_code == 6
    assert f"the location {FOLDER}" in result.stderr
    assert "names another machine" in result.error


def test_a_key_that_was_named_stays_in_the_archive_until_a_place_is_said(tmp_path: Path) -> None:
    folder = write(tmp_path / "backup", {**FULL, f"{AUTHORITY}.p12": b"key"})
    done("create", "-q", tmp_path / "a.tokar", folder, folder / f"{AUTHORITY}.p12")
    done("restore", "-q", tmp_path / "a.tokar", "--certutil", tmp_path / "out")
    assert contents(tmp_path / "out") == FULL
    key = f"{AUTHORITY}.p12={tmp_path}/whole/{AUTHORITY}.p12"
    done("restore", "-q", tmp_path / "a.tokar", "--certutil", tmp_path / "whole", "--to", key)
    assert contents(tmp_path / "whole") == contents(folder)


def test_a_list_that_nobody_can_read_comes_back_all_the_same(tmp_path: Path) -> None:
    files = {**FULL, "DataBase/certbkxp.dat": b"no list at all"}
    created = done("create", tmp_path / "a.tokar", write(tmp_path / "backup", files))
    assert "certbkxp.dat is kept as it is, but cannot be read as a location list" in created.stderr
    done("inspect", tmp_path / "a.tokar")
    done("restore", "-q", tmp_path / "a.tokar", "--certutil", tmp_path / "out")
    assert contents(tmp_path / "out") == files


@pytest.mark.parametrize("raw", [b"", b"\0\0", b"\0\0\0\0"], ids=["no bytes", "one NUL", "two NULs"])
def test_an_empty_list_comes_back_as_it_was(tmp_path: Path, raw: bytes) -> None:
    files = {**FULL, "DataBase/certbkxp.dat": raw}
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "backup", files))
    done("restore", "-q", tmp_path / "a.tokar", "--certutil", tmp_path / "out")
    assert contents(tmp_path / "out") == files


def test_what_is_in_the_folder_already_is_not_replaced(tmp_path: Path) -> None:
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "backup", FULL))
    write(tmp_path / "out", {"DataBase/certbkxp.dat": b"older"})
    result = tokar("restore", tmp_path / "a.tokar", "--certutil", tmp_path / "out")
    assert result.exit_code == 6
    assert result.error == f"there already: certbkxp.dat ({tmp_path}/out/DataBase)"
    assert contents(tmp_path / "out") == {"DataBase/certbkxp.dat": b"older"}


def test_a_full_backup_that_lost_its_list_is_no_folder_of_certutil(tmp_path: Path) -> None:
    files = {name: data for name, data in FULL.items() if name != "DataBase/certbkxp.dat"}
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "backup", files))
    assert done("inspect", "--json", tmp_path / "a.tokar").json()["archive"]["profile"] == "ese"
    result = tokar("restore", tmp_path / "a.tokar", "--certutil", tmp_path / "out")
    assert result.exit_code == 6
    assert result.error == "the archive keeps no location list, and certutil needs one as certbkxp.dat"
