"""One of several log streams in a folder: `--base` takes what belongs to it, and nothing of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from command_line import tokar
from recovery_sets import OTHER_STREAM, database, dirty, logs, write

from tokar.collect.gather import Gatherer
from tokar.ese.values import Signature

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.collect.found import Gathered

OTHER = Signature(random=9, created=OTHER_STREAM.created)
OF_OTHER = logs(3, 4, stream=OTHER_STREAM, base="j50", attached=((r"C:\dhcp\dhcp.mdb", OTHER),))
FILES = {
    "main.edb": bytes(dirty(5, 6)),
    "main.pat": b"",
    **logs(5, 6),
    "dhcp.mdb": bytes(database(signature=OTHER, log_signature=OTHER_STREAM)),
    "dhcp.pat": b"",
    **OF_OTHER,
}


def gathered(folder: Path, base: str, files: dict[str, bytes]) -> Gathered:
    write(folder, files)
    found = Gatherer("ese", base=base)
    found.add_folder(str(folder))
    return found.result()


@pytest.mark.parametrize(
    ("base", "taken"),
    [
        ("EDB", {"main.edb", "main.pat", "edb00005.log", "edb00006.log"}),
        ("j50", {"dhcp.mdb", "dhcp.pat", "j5000003.log", "j5000004.log"}),
    ],
)
def test_what_belongs_to_the_stream_is_taken_and_the_rest_is_listed_with_the_reason(
    base: str, taken: set[str], tmp_path: Path
) -> None:
    found = gathered(tmp_path, base, FILES)
    other = "j50" if base == "EDB" else "edb"
    assert {one.name for one in found.candidates} == taken
    left = {one.name: one.reason for one in found.left_out}
    assert left.keys() == FILES.keys() - taken
    assert {left[name] for name in left if name.endswith(("edb", "mdb"))} == {f"a database of another stream, {other}"}
    assert {left[name] for name in left if name.endswith("pat")} == {
        f"it belongs to a database of another stream, {other}"
    }


def test_a_database_that_only_logs_of_the_other_stream_attach_is_left_out(tmp_path: Path) -> None:
    moved = bytes(database(signature=OTHER, log_signature=Signature(random=5, created=OTHER_STREAM.created)))
    found = gathered(tmp_path, "edb", FILES | {"dhcp.mdb": moved})
    assert "dhcp.mdb" not in {one.name for one in found.candidates}


def test_a_database_without_a_header_goes_with_the_logs_that_have_its_name(tmp_path: Path) -> None:
    files = FILES | {"dhcp.mdb": bytes(8192)}
    assert "dhcp.mdb" not in {one.name for one in gathered(tmp_path, "edb", files).candidates}
    assert "dhcp.mdb" in {one.name for one in gathered(tmp_path, "j50", files).candidates}


def test_a_database_that_no_log_here_is_about_is_taken(tmp_path: Path) -> None:
    lone = bytes(database(signature=Signature(random=6), log_signature=Signature(random=5)))
    found = gathered(tmp_path, "edb", FILES | {"lone.edb": lone})
    assert "lone.edb" in {one.name for one in found.candidates}


def test_the_set_of_one_of_two_streams_is_not_worse_for_the_other(tmp_path: Path) -> None:
    write(tmp_path / "two", FILES | {"dhcp.mdb": bytes(dirty(3, 9, signature=OTHER, log_signature=OTHER_STREAM))})
    assert tokar("create", tmp_path / "x.tokar", tmp_path / "two", "--base", "edb").exit_code == 0
    assert "dhcp" not in tokar("check", tmp_path / "x.tokar").stdout
