"""Finding the sets of a chain."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from recovery_sets import DATABASE, archive, logs, prior_of, streaming

from tokar.errors import BadMagicError, InputError, StorageError, UnsealedError
from tokar.sets.backup_set import find_sets
from tokar.sets.receipt import Receipt, Truncation, write_receipt

if TYPE_CHECKING:
    from pathlib import Path


def full(folder: Path) -> Path:
    return archive(folder / "full.tokar", {DATABASE: bytes(streaming(5, 7)), **logs(5, 7)}, server="S1").path


def test_a_named_archive_is_a_member(tmp_path: Path) -> None:
    (backup_set,) = find_sets([full(tmp_path)]).sets
    assert (backup_set.kind, backup_set.server, backup_set.generations, backup_set.has_databases) == (
        "full",
        "S1",
        (5, 7),
        True,
    )


def test_a_folder_gives_its_archives_whatever_their_names(tmp_path: Path) -> None:
    full(tmp_path).rename(tmp_path / "monday.backup")
    (tmp_path / "deeper").mkdir()
    full(tmp_path / "deeper")
    assert [one.label for one in find_sets([tmp_path]).sets] == [str(tmp_path / "monday.backup")]


def test_links_to_prior_and_origin_are_kept(tmp_path: Path) -> None:
    first = archive(tmp_path / "full.tokar", logs(5, 7))
    origin = {"tag": "1122334455667788"}
    archive(tmp_path / "inc.tokar", logs(8, 8), kind="logs", prior=prior_of(first), origin=origin)
    backup_set = find_sets([tmp_path / "inc.tokar"]).sets[0]
    assert backup_set.prior == (first.id, first.root)
    assert backup_set.origin == "1122334455667788"


def test_what_cannot_be_read_in_a_folder_is_a_problem_and_no_end(tmp_path: Path) -> None:
    path = full(tmp_path)
    (tmp_path / "cut.tokar").write_bytes(path.read_bytes()[:-9])
    (tmp_path / "odd.receipt.json").write_text("{}")
    found = find_sets([tmp_path])
    assert len(found.sets) == 1
    assert [type(error) for error in found.problems] == [UnsealedError, InputError]
    assert all(error.path is not None for error in found.problems)


def test_a_receipt_of_a_failure_in_a_folder_is_in_nobodys_way(tmp_path: Path) -> None:
    failed = write_receipt(tmp_path / "b.tokar", Receipt("failed", Truncation.NOT_LICENSED))
    with pytest.raises(InputError, match="no archive there"):
        find_sets([tmp_path])
    full(tmp_path)
    found = find_sets([tmp_path])
    assert (len(found.sets), found.problems) == (1, ())
    with pytest.raises(InputError, match="made no archive"):
        find_sets([failed])


def test_what_is_named_must_be_readable(tmp_path: Path) -> None:
    path = full(tmp_path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UnsealedError):
        find_sets([path])
    with pytest.raises(StorageError):
        find_sets([tmp_path / "none"])
    path.write_bytes(b"x" * 100)
    with pytest.raises(BadMagicError):
        find_sets([path])


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no archive"):
        find_sets([tmp_path])


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.iterdir", refuse)
    with pytest.raises(StorageError, match="cannot read the folder"):
        find_sets([tmp_path])


def test_a_file_in_a_folder_that_cannot_be_opened_is_a_problem_and_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full(tmp_path)
    (tmp_path / "locked.tokar").write_bytes(b"x")
    plain = os.open

    def refuse(path: Any, *args: Any, **kwargs: Any) -> Any:
        if str(path).endswith("locked.tokar"):
            raise PermissionError(13, "Permission denied")
        return plain(path, *args, **kwargs)

    monkeypatch.setattr("os.open", refuse)
    found = find_sets([tmp_path])
    assert (len(found.sets), [type(error) for error in found.problems]) == (1, [StorageError])
