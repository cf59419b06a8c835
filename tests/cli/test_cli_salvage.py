from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from command_line import done, tokar
from small_sets import instance, write

import tokar as library

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "in", instance()))
    return tmp_path / "a.tokar"


def spoil_content(path: Path, number: int) -> None:
    """Change a byte in the first DATA record of an entry."""
    with library.open(path) as opened:
        position = opened.records(opened.entry(number)).data_positions[0]
    data = bytearray(path.read_bytes())
    data[position + 100] ^= 1
    path.write_bytes(data)


def test_a_lost_end_is_derived_again_and_nothing_is_lost(archive: Path, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-60])
    result = done("salvage", archive, tmp_path / "b.tokar")
    assert "with the id and the root of the original" in result.stdout
    assert (tmp_path / "b.tokar").read_bytes() == whole


def test_a_lost_file_is_named_and_the_exit_code_says_partial(archive: Path, tmp_path: Path) -> None:
    spoil_content(archive, 0)
    with library.open(archive) as opened:
        name, count = opened.entry(0).name, opened.entry_count
    result = tokar("salvage", archive, tmp_path / "b.tokar")
    assert result.exit_code == 8
    assert name in result.stdout
    with library.open(tmp_path / "b.tokar") as opened:
        assert opened.entry_count == count - 1
        assert opened.summary.outcome == "partial"
    done("verify", "--content", tmp_path / "b.tokar")


def test_the_report_as_json_lists_ranges_and_files(archive: Path, tmp_path: Path) -> None:
    spoil_content(archive, 1)
    result = tokar("salvage", "--json", archive, tmp_path / "b.tokar")
    assert result.exit_code == 8
    report = result.json()
    assert report["lost"] is True
    assert report["ranges"]
    assert [file["number"] for file in report["files"]["listed"]] == [1]


def test_incomplete_files_are_written_only_when_asked(archive: Path, tmp_path: Path) -> None:
    spoil_content(archive, 0)
    result = tokar("salvage", "--partial", archive, tmp_path / "b.tokar")
    assert result.exit_code == 8
    with library.open(tmp_path / "b.tokar") as opened:
        assert opened.summary.extra["lost"]


def test_a_whole_archive_is_refused(archive: Path, tmp_path: Path) -> None:
    result = tokar("salvage", archive, tmp_path / "b.tokar")
    assert result.exit_code == 2
    assert "nothing to salvage" in result.error
    assert not (tmp_path / "b.tokar").exists()


def test_what_is_no_archive_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"no archive" * 50)
    result = tokar("salvage", tmp_path / "x", tmp_path / "b.tokar")
    assert result.exit_code == 3
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


def test_a_file_under_the_name_of_the_result_is_kept(archive: Path, tmp_path: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-1])
    (tmp_path / "b.tokar").write_bytes(b"mine")
    result = tokar("salvage", archive, tmp_path / "b.tokar")
    assert result.exit_code == 6
    assert (tmp_path / "b.tokar").read_bytes() == b"mine"


def test_the_damaged_archive_is_not_replaced_by_what_is_saved_of_it(archive: Path) -> None:
    spoil_content(archive, 0)
    before = archive.read_bytes()
    result = tokar("salvage", "--force", archive, archive)
    assert result.exit_code == 2
    assert result.error == f"it would replace the file that is being read ({archive})"
    assert archive.read_bytes() == before


def test_another_archive_behind_is_found_by_the_place_that_is_named(archive: Path, tmp_path: Path) -> None:
    first, second = archive.read_bytes(), tmp_path / "second.tokar"
    done("create", "-q", second, write(tmp_path / "other", instance()))
    archive.write_bytes(first + second.read_bytes())
    result = tokar("salvage", "--json", archive, tmp_path / "b.tokar")
    assert (result.exit_code, result.json()["lost"]) == (8, True)
    (place,) = result.json()["others"]
    assert archive.read_bytes()[place:] == second.read_bytes()
    assert (tmp_path / "b.tokar").read_bytes() == first
