from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from small_sets import database, log, write

from tokar.collect.certutil import CertutilFolder, recognise
from tokar.errors import LocationListError, StorageError

if TYPE_CHECKING:
    from pathlib import Path

FULL = {"DataBase/certbkxp.dat": b"list", "DataBase/CA 1.edb": database(), "DataBase/edb00001.log": log(1)}
LOGS = {"DataBase/edb00002.log": log(2), "DataBase/edb00003.log": log(3)}


def recognised(folder: Path) -> CertutilFolder:
    found = recognise(str(folder))
    assert found is not None
    return found


@pytest.mark.parametrize("level", ["", "DataBase"], ids=["outer", "inner"])
def test_a_full_backup_is_recognised_at_both_levels(tmp_path: Path, level: str) -> None:
    found = recognised(write(tmp_path, FULL) / level)
    assert found == CertutilFolder(str(tmp_path / "DataBase"), b"list", "full", prefix="" if level else "DataBase/")


@pytest.mark.parametrize("level", ["", "DataBase"], ids=["outer", "inner"])
def test_an_incremental_backup_has_logs_and_no_locations(tmp_path: Path, level: str) -> None:
    found = recognised(write(tmp_path, LOGS) / level)
    assert found == CertutilFolder(str(tmp_path / "DataBase"), None, "logs", prefix="" if level else "DataBase/")


@pytest.mark.parametrize("level", ["", "DataBase"], ids=["outer", "inner"])
def test_a_full_backup_that_lost_its_list_is_recognised(tmp_path: Path, level: str) -> None:
    files = {name: data for name, data in FULL.items() if not name.endswith(".dat")}
    found = recognised(write(tmp_path, {**files, "DataBase/CA 1.pat": b""}) / level)
    assert (found.location_list, found.kind) == (None, "full")


def test_a_folder_of_another_name_is_recognised_by_its_location_file(tmp_path: Path) -> None:
    found = recognised(write(tmp_path / "renamed", {"CERTBKXP.DAT": b"list", "ca.edb": database()}))
    assert found == CertutilFolder(str(tmp_path / "renamed"), b"list", "full")


def test_the_names_are_known_in_any_case(tmp_path: Path) -> None:
    found = recognised(write(tmp_path, {"DATABASE/certBKXP.dat": b"list", "DATABASE/CA.EDB": database()}))
    assert (found.location_list, found.kind) == (b"list", "full")


def test_what_lies_beside_the_inner_folder_is_told(tmp_path: Path) -> None:
    found = recognised(write(tmp_path, {**FULL, "CA 1.p12": b"key", "readme.txt": b"x"}))
    assert found.beside == (str(tmp_path / "CA 1.p12"), str(tmp_path / "readme.txt"))


def test_locations_without_a_database_belong_to_logs(tmp_path: Path) -> None:
    found = recognised(write(tmp_path, {**LOGS, "DataBase/certbkxp.dat": b"list"}))
    assert (found.location_list, found.kind) == (b"list", "logs")


def test_an_empty_location_file_is_a_location_file(tmp_path: Path) -> None:
    assert recognised(write(tmp_path, {**FULL, "DataBase/certbkxp.dat": b""})).location_list == b""


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"db.edb": database(), "edb00001.log": log(1)},
        {"edb00001.log": log(1)},
        {"DataBase/edb00001.log": log(1), "DataBase/notes.txt": b"x"},
        {"DataBase/CA.edb": database(), "DataBase/edb00001.log": log(1), "DataBase/edb.chk": b"x"},
        {"DataBase/priv1.edb": database(), "DataBase/E0000001.log": log(1)},
    ],
    ids=["empty", "a database", "logs in any folder", "logs and something else", "an engine at work", "Exchange"],
)
def test_other_folders_are_not_recognised(tmp_path: Path, files: dict[str, bytes]) -> None:
    assert recognise(str(write(tmp_path / "some", files))) is None


def test_an_empty_inner_folder_is_not_recognised(tmp_path: Path) -> None:
    (tmp_path / "DataBase").mkdir()
    assert recognise(str(tmp_path)) is None


def test_a_file_with_the_name_of_the_inner_folder_is_none(tmp_path: Path) -> None:
    assert recognise(str(write(tmp_path, {"DataBase": b"x"}))) is None


def test_a_location_file_of_absurd_size_is_refused(tmp_path: Path) -> None:
    write(tmp_path, {**FULL, "DataBase/certbkxp.dat": bytes((1 << 18) + 1)})
    with pytest.raises(LocationListError, match="too large to be a location list") as caught:
        recognise(str(tmp_path))
    assert caught.value.path == str(tmp_path / "DataBase" / "certbkxp.dat")


def test_a_location_file_that_is_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "certbkxp.dat").mkdir()
    with pytest.raises(StorageError, match="it is a directory"):
        recognise(str(tmp_path))


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot list the folder"):
        recognise(str(tmp_path / "gone"))
