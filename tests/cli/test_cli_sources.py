"""The servers that a person can name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tokar.cli.sources import open_server, parse_source
from tokar.errors import InputError
from tokar.lab.config import load_config
from tokar.lab.lab import create_lab
from tokar.lab.server import SimulatedServer
from tokar.server.directory_source import DirectoryServer

if TYPE_CHECKING:
    from pathlib import Path


def test_lab_names_a_simulated_server_and_starts_it(tmp_path: Path) -> None:
    create_lab(tmp_path / "lab", "certadm")
    server = open_server(f"lab:{tmp_path / 'lab'}")
    assert isinstance(server, SimulatedServer)
    assert server.is_online() is True
    assert server.truncates


def test_dir_names_a_set_at_rest_that_is_never_truncated(tmp_path: Path) -> None:
    server = open_server(f"dir:{tmp_path}")
    assert isinstance(server, DirectoryServer)
    assert not server.truncates
    assert server.folder == tmp_path


def test_the_place_may_hold_colons(tmp_path: Path) -> None:
    folder = tmp_path / "a:b"
    create_lab(folder)
    assert open_server(f"lab:{folder}").name == "EXCHANGE1"


@pytest.mark.parametrize("source", ["", "lab", "LAB:x", "server1", "ftp:x", "C:\\data", ":x"])
def test_anything_else_is_refused_with_what_there_is(source: str) -> None:
    with pytest.raises(InputError, match="not a source") as caught:
        open_server(source)
    assert caught.value.hint is not None
    assert "lab:DIR" in caught.value.hint
    assert "dir:DIR" in caught.value.hint


@pytest.mark.parametrize("place", ["", "nowhere"])
def test_a_folder_that_is_no_lab_is_refused(place: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no lab"):
        open_server(f"lab:{tmp_path / place}")


@pytest.mark.parametrize("place", ["", "nowhere", "file"])
def test_what_is_no_directory_is_refused(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="no such directory"):
        open_server(f"dir:{tmp_path / place}" if place else "dir:")


def test_to_look_at_a_source_opens_nothing(tmp_path: Path) -> None:
    lab = create_lab(tmp_path / "lab")
    before = sorted(tmp_path.rglob("*"))
    assert parse_source(f"lab:{lab.folder}") == ("lab", lab.folder)
    assert parse_source(f"dir:{tmp_path}") == ("dir", tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
    assert load_config(lab.folder).lives == 0
