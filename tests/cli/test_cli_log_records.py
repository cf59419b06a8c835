"""`inspect --records` of logs, on disk and inside archives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from backup_files import database_file, log_file
from command_line import done, tokar
from docs.__main__ import SCHEMAS
from replay_logs import log_of, record
from small_sets import write

if TYPE_CHECKING:
    from pathlib import Path


def an_insert(page: int, dbtime: int) -> Any:
    return record("Insert", session=3, page=page, dbtime=dbtime, before=dbtime - 1, suffix=b"k", data=b"d")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    records = [record("Begin0", session=3, levels=16), an_insert(5, 9), an_insert(6, 10), record("Commit0", session=3)]
    return write(tmp_path / "in", {"edb00005.log": log_of(records), "a.edb": database_file(5, 5)})


@pytest.fixture
def log(folder: Path) -> Path:
    return folder / "edb00005.log"


def test_every_record_is_listed_with_place_and_type(log: Path) -> None:
    lines = done("inspect", "--records", log).stdout.splitlines()
    assert lines[0] == f"{log}: log, generation 0x5"
    assert lines[3].split()[:3] == ["(5,1,30)", "Insert", "52"]
    assert "page 5 8 -> 9" in lines[3]


def test_a_summary_by_type_and_the_account_of_all_bytes_end_it(log: Path) -> None:
    text = done("inspect", "--records", log).stdout
    assert "  Insert   2\n  Begin0   1\n" in text
    expected = "4,096 bytes: 40 of heads, 120 of 4 records, 0 around pieces of 0, 3,936 of filler; nothing is left over"
    assert text.endswith(f"{expected}\n")


def test_one_page_can_be_followed(log: Path) -> None:
    result = done("inspect", "--records", "--page", "6", "--json", log).json()
    assert [one["page"] for one in result["records"]] == [6]
    assert result["records"][0]["changes"] == [{"page": 6, "after": 10, "before": 9}]
    assert result["types"] == {"Insert": 1}
    assert result["tiling"]["exact"] is True


def test_a_log_inside_an_archive_is_named_behind_it(tmp_path: Path, folder: Path, log: Path) -> None:
    done("create", "-q", tmp_path / "a.tokar", folder)
    inside = done("inspect", "--records", "--json", tmp_path / "a.tokar", "edb00005.log").json()
    assert inside["records"] == done("inspect", "--records", "--json", log).json()["records"]
    assert done("inspect", "--records", "--only", "EDB00005.LOG", tmp_path / "a.tokar").stdout.count("Insert  ") == 3


def test_without_a_name_the_records_of_the_archive_are_meant(tmp_path: Path, folder: Path) -> None:
    done("create", "-q", tmp_path / "a.tokar", folder)
    assert "HEAD" in done("inspect", "--records", tmp_path / "a.tokar").stdout


def test_a_database_has_no_such_records(folder: Path) -> None:
    result = tokar("inspect", "--records", folder / "a.edb")
    assert (result.exit_code, "a.edb is no log" in result.stderr) == (2, True)


def test_a_log_of_another_engine_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    (tmp_path / "edb.log").write_bytes(log_file(5))
    result = tokar("inspect", "--records", "--json", tmp_path / "edb.log")
    assert (result.exit_code, "not ESE log records" in result.stderr) == (4, True)
    assert result.json()["records"] == []
    assert result.json()["error"]["kind"] == "records"


def test_a_damaged_log_is_shown_up_to_the_damage(tmp_path: Path) -> None:
    data = bytearray(log_of([an_insert(5, 9), b"\x28"]))
    (tmp_path / "edb.log").write_bytes(data)
    result = tokar("inspect", "--records", tmp_path / "edb.log")
    assert (result.exit_code, "Insert" in result.stdout) == (4, True)
    assert "there is no record of type 40, at (5,1,5C)" in result.stderr


def test_there_are_no_pages_below_the_first(log: Path) -> None:
    assert tokar("inspect", "--records", "--page", "-3", log).exit_code == 2


def test_a_log_that_is_cut_is_named_torn_wherever_it_ends(log: Path) -> None:
    log.write_bytes(log.read_bytes()[:8192])
    assert "it ends in a file of 8,192 bytes, where its header says" in done("inspect", "--records", log).stdout


def test_a_page_needs_records(log: Path) -> None:
    assert tokar("inspect", "--page", "6", log).exit_code == 2


def test_a_page_needs_a_log(tmp_path: Path, folder: Path) -> None:
    done("create", "-q", tmp_path / "a.tokar", folder)
    assert tokar("inspect", "--records", "--page", "6", tmp_path / "a.tokar").exit_code == 2


def test_several_logs_are_several_results(tmp_path: Path, folder: Path) -> None:
    (folder / "edb00006.log").write_bytes((folder / "edb00005.log").read_bytes())
    done("create", "-q", tmp_path / "a.tokar", folder)
    names = ["edb00005.log", "edb00006.log"]
    answer = done("inspect", "--records", "--json", tmp_path / "a.tokar", *names).json()
    assert [one["file"]["path"] for one in answer["results"]] == names
    assert tokar("inspect", "--records", tmp_path / "a.tokar", *names).exit_code == 0


def test_what_all_records_come_to_stands_in_the_schema(log: Path) -> None:
    schema = json.loads((SCHEMAS / "inspect.json").read_text(encoding="utf-8"))
    assert set(done("inspect", "--records", "--json", log).json()) <= set(schema["properties"])
