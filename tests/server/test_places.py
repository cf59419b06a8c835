"""Databases that a server has no place for: refused, or not proven, before anything is written (RES-10)."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from chain_stories import new_story, outcome_of, take
from command_line import done, tokar
from server_parts import parts_of

from tokar.cli import sources
from tokar.errors import RestoreError
from tokar.format.archive import Archive
from tokar.lab.lab import Lab, create_lab
from tokar.lab.server import SimulatedServer
from tokar.paths import PathMap
from tokar.server.contract import DIALECTS, BackupKind
from tokar.server.run_restore import restore_to_server
from tokar.testing.scripted_server import ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chain_stories import Kept


def full_of(folder: Path, profile: str = "certadm", databases: int = 2) -> Kept:
    story = new_story(folder / "server", profile, work=10, databases=databases)
    return take(story, folder / "full.tokar", BackupKind.FULL)


def empty_lab(folder: Path, databases: int, profile: str = "certadm") -> Lab:
    return create_lab(folder / f"lab{databases}", profile, databases, 7, empty=True)


def files_of(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and path.name != ".in-use"}


def test_a_database_that_the_server_does_not_have_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    kept, lab = full_of(tmp_path), empty_lab(tmp_path, 1)
    before = files_of(lab.folder)
    for options in ((), ("--dry-run",)):
        result = tokar("restore", kept.path, "--server", f"lab:{lab.folder}", *options)
        assert (result.exit_code, files_of(lab.folder)) == (6, before)
        last = result.stdout.splitlines()[-1]
        assert last.startswith("REFUSED: CA1.lab.example has no database \\\\CA1.lab.example\\C$")
        assert last.endswith("Lab CA.edb; the files alone: RESTORABLE")


def test_the_engine_answers_1811_to_a_restore_map_that_names_such_a_database(tmp_path: Path) -> None:
    kept, lab = full_of(tmp_path), empty_lab(tmp_path, 1)
    server = SimulatedServer(lab, running=False)
    server.database_places = None  # so that nobody refuses it
    with Archive(kept.path) as archive:
        restore_to_server(server, parts_of([archive]))
    assert outcome_of(lab) == -1811


def test_a_server_that_has_each_database_takes_them(tmp_path: Path) -> None:
    kept, lab = full_of(tmp_path), empty_lab(tmp_path, 2)
    result = done("restore", kept.path, "--server", f"lab:{lab.folder}")
    assert result.stdout.splitlines()[-1] == "RESTORABLE"
    assert outcome_of(lab) == kept.expected


def test_one_location_takes_no_two_databases(tmp_path: Path) -> None:
    """One that is a directory would hold both, and the server looks there for one."""
    kept = full_of(tmp_path, "ntdsbcli")
    here = r"\\S1\D$"
    locations = tuple((token, f"{here}\\{name}\\") for token, name in ((0x44, "db"), (0x82, "log"), (0x83, "sys")))
    server = ScriptedServer(dialect=DIALECTS["ntdsbcli"], locations=locations)
    with Archive(kept.path) as archive:
        parts, maps = parts_of([archive]), [PathMap(here, str(tmp_path / "out"))]
        with pytest.raises(RestoreError, match=r"SERVER1 has one place, .* for 2 databases"):
            restore_to_server(server, parts, maps=maps)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("databases", "last"),
    [
        (1, "RESTORABLE"),
        (2, "NOT PROVEN: CA1.lab.example does not say whether it has a place for each of 2 databases: "),
    ],
)
def test_of_several_databases_it_is_not_proven_where_the_server_does_not_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, databases: int, last: str
) -> None:
    kept, lab = full_of(tmp_path, databases=databases), empty_lab(tmp_path, databases)

    @contextmanager
    def silent(_source: str, _settings: object) -> Iterator[SimulatedServer]:
        server = SimulatedServer(lab, running=False)
        server.database_places = None
        yield server

    monkeypatch.setattr(sources, "opened_server", silent)
    for options in (["--dry-run"], []):
        result = done("restore", kept.path, "--server", f"lab:{lab.folder}", *options)
        assert result.stdout.splitlines()[-1].startswith(last)
    assert outcome_of(lab) == kept.expected
