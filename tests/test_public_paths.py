"""Names that no system takes, handed to the library: a typed error whoever takes them, and nothing is left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from small_sets import database, log, write

import tokar
from tokar.check.ladder import CheckRequest
from tokar.errors import ArchiveError
from tokar.lab.lab import create_lab, open_lab
from tokar.report.render import report
from tokar.restore.leftovers import find_leftovers
from tokar.server.contract import BackupKind, BackupType
from tokar.server.directory_source import DirectoryServer, open_source
from tokar.sets.backup_set import find_sets
from tokar.storage.sink import FileSink

if TYPE_CHECKING:
    from collections.abc import Callable

NO_NAMES = ["a\0b", "folder/a\0b", "\ud800x", "a" * 300, "x" * 5000]


def _create(path: Path) -> None:
    with tokar.create(path, profile="ese") as writer:
        writer.add_bytes(0x0F, "x", b"x")


def _restore(path: Path) -> None:
    with tokar.open("good.tokar") as archive:
        tokar.place(tokar.plan_restore(archive, tokar.RestoreOptions(into=path)))


def _check(path: Path) -> None:
    for one in tokar.check([path], CheckRequest()).archives:
        if one.error is not None:
            raise one.error


DOORS: dict[str, Callable[[Path], Any]] = {
    "open": tokar.open,
    "create": _create,
    "check": _check,
    "restore": _restore,
    "sink": FileSink,
    "backup": lambda path: tokar.backup(DirectoryServer("set"), path, BackupKind.COPY),
    "server": lambda path: DirectoryServer(path).prepare_backup(BackupType.FULL),
    "source": lambda path: open_source(str(path)),
    "set": lambda path: tokar.open_set([path]),
    "sets": lambda path: find_sets([path]),
    "recover": lambda path: tokar.recover(tokar.open_set(["set"]), path),
    "prior": tokar.load_prior,
    "page": lambda path: report(["good.tokar"], path),
    "report": lambda path: report([path], "page.html"),
    "lab": open_lab,
    "new lab": create_lab,
    "leftovers": find_leftovers,
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "set", {"db.edb": database(), "edb00001.log": log(1)})
    with tokar.create("good.tokar", profile="ese") as writer:
        writer.add_bytes(0x44, "db.edb", database())
    return tmp_path


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", NO_NAMES, ids=lambda name: ascii(name)[:12])
def test_a_name_that_no_file_can_have_is_a_typed_error(door: str, name: str, place: Path) -> None:
    with pytest.raises(ArchiveError) as caught:
        DOORS[door](Path(name))
    assert str(caught.value)
    assert {path.name for path in place.iterdir()} <= {"set", "good.tokar"}
