"""What a logs-only backup learns of the set before it: from its archive, from its receipt, or from a folder of sets."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from backup_files import STREAM, fill, log_file, log_name, moment

from tokar.errors import ArchiveError, BadMagicError, InputError, StorageError, UnsealedError
from tokar.server.contract import BackupKind
from tokar.server.prior import find_prior, load_prior
from tokar.server.run_backup import BackupOptions, run_backup
from tokar.sets.receipt import receipt_path
from tokar.testing.scripted_server import ScriptedServer

if TYPE_CHECKING:
    from pathlib import Path

FULL, INCREMENTAL, DIFFERENTIAL, COPY = BackupKind


def take(folder: Path, name: str, kind: BackupKind, low: int, high: int, *, after: str | None = None) -> Path:
    """Make an archive with logs from `low` to `high`."""
    folder.mkdir(exist_ok=True)
    out = folder / name
    prior = load_prior(folder / after) if after else None
    run_backup(fill(ScriptedServer(), low, high), out, kind, BackupOptions(prior=prior, threads=1))
    return out


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """A folder with a full, an incremental and a differential."""
    take(tmp_path, "b-full.tokar", FULL, 5, 7)
    take(tmp_path, "c-incremental.tokar", INCREMENTAL, 8, 9, after="b-full.tokar")
    take(tmp_path, "a-differential.tokar", DIFFERENTIAL, 10, 12, after="c-incremental.tokar")
    return tmp_path


def test_archive_and_receipt_tell_the_same(sets: Path) -> None:
    for path in sets.glob("*.tokar"):
        from_archive, from_receipt = load_prior(path), load_prior(receipt_path(path))
        assert from_archive == from_receipt
    full = load_prior(sets / "b-full.tokar")
    assert (full.generation_high, full.server) == (7, "SERVER1")
    assert full.log.signature == STREAM
    assert full.log.created == moment(7)


def test_logs_of_an_unknown_format_are_known_by_their_names(tmp_path: Path) -> None:
    server = ScriptedServer(databases={"a.edb": b"opaque"}, logs={"edb0000F.log": b"x", "edb00010.log": b"y"})
    run_backup(server, tmp_path / "a.tokar", COPY, BackupOptions(accept_damage=True, threads=1))
    prior = load_prior(tmp_path / "a.tokar")
    assert (prior.generation_high, prior.log.signature) == (0x10, None)


def test_a_set_without_logs_is_nothing_to_go_on_from(tmp_path: Path) -> None:
    server = ScriptedServer(databases={"a.edb": b"opaque"})
    run_backup(server, tmp_path / "a.tokar", COPY, BackupOptions(accept_damage=True, threads=1))
    with pytest.raises(InputError, match="no log to go on from"):
        load_prior(tmp_path / "a.tokar")
    with pytest.raises(InputError, match="no set with logs to go on from"):
        load_prior(receipt_path(tmp_path / "a.tokar"))


def test_a_receipt_beside_another_archive_is_refused(sets: Path) -> None:
    first, second = sorted(sets.glob("*.tokar"))[:2]
    shutil.copy(receipt_path(first), receipt_path(second))
    with pytest.raises(InputError, match="of another archive than the one beside it") as caught:
        load_prior(receipt_path(second))
    assert f"--after {second.name}" in str(caught.value.hint)
    second.unlink()
    assert load_prior(receipt_path(second)) == load_prior(first)


def test_the_receipt_of_a_backup_that_failed_is_refused(sets: Path) -> None:
    path = receipt_path(sets / "b-full.tokar")
    path.write_text(json.dumps({**json.loads(path.read_text()), "outcome": "failed"}))
    with pytest.raises(InputError, match="no set with logs to go on from"):
        load_prior(path)


@pytest.mark.parametrize(
    ("place", "key", "value"),
    [
        ("archive", "id", None),
        ("archive", "root", "not hexadecimal"),
        ("log", "generation", "high"),
        ("log", "generation", None),
    ],
)
def test_a_receipt_that_lacks_something_is_refused(sets: Path, place: str, key: str, value: Any) -> None:
    path = receipt_path(sets / "b-full.tokar")
    found = json.loads(path.read_text())
    row = found["backup"]["log"] if place == "log" else found[place]
    row.pop(key) if value is None else row.update({key: value})
    path.write_text(json.dumps(found))
    with pytest.raises(InputError, match=r"lacks what a prior set is known by|this is no receipt: backup: log: "):
        load_prior(path)


def test_what_is_neither_archive_nor_receipt_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tokar").write_bytes(b"nothing of the kind" * 10)
    with pytest.raises(BadMagicError):
        load_prior(tmp_path / "a.tokar")
    (tmp_path / "a.tokar.receipt.json").write_text("{}")
    with pytest.raises(InputError, match="no receipt"):
        load_prior(tmp_path / "a.tokar.receipt.json")
    for name in ("gone.tokar", "gone.tokar.receipt.json"):
        with pytest.raises(StorageError):
            load_prior(tmp_path / name)


def test_an_incremental_goes_on_from_the_set_with_the_highest_log(sets: Path) -> None:
    found = find_prior(sets, INCREMENTAL)
    assert found == load_prior(sets / "a-differential.tokar")
    (sets / "a-differential.tokar").unlink()
    assert find_prior(sets, INCREMENTAL) == load_prior(sets / "c-incremental.tokar")


def test_a_differential_goes_on_from_the_last_full(sets: Path) -> None:
    assert find_prior(sets, DIFFERENTIAL) == load_prior(sets / "b-full.tokar")
    take(sets, "z-copy.tokar", COPY, 11, 13)
    assert find_prior(sets, DIFFERENTIAL) == load_prior(sets / "z-copy.tokar")


def test_of_two_sets_that_end_with_one_log_the_later_counts(tmp_path: Path) -> None:
    take(tmp_path, "a.tokar", COPY, 5, 7)
    later = take(tmp_path, "b.tokar", COPY, 5, 7)
    first, second = load_prior(tmp_path / "a.tokar"), load_prior(later)
    assert first.archive_id != second.archive_id
    assert find_prior(tmp_path, INCREMENTAL) == second


@pytest.mark.parametrize("kind", [FULL, COPY])
def test_a_kind_that_begins_a_chain_follows_nothing(sets: Path, kind: BackupKind) -> None:
    assert find_prior(sets, kind) is None


def test_a_prior_that_was_found_licenses_truncation(sets: Path) -> None:
    server = fill(ScriptedServer(), 13, 14)
    options = BackupOptions(prior=find_prior(sets, INCREMENTAL), threads=1)
    run_backup(server, sets / "next.tokar", INCREMENTAL, options)
    assert server.truncated


def test_sets_of_other_servers_are_passed_over(sets: Path) -> None:
    prior = find_prior(sets, INCREMENTAL, server="server1")
    assert prior is not None
    assert prior.generation_high == 12
    with pytest.raises(InputError, match="no set to go on from") as caught:
        find_prior(sets, DIFFERENTIAL, server="CA1")
    assert caught.value.__notes__ == ["the sets there are of another server than CA1: SERVER1"]


@pytest.mark.parametrize("kind", [INCREMENTAL, DIFFERENTIAL])
def test_a_folder_without_sets_is_refused(tmp_path: Path, kind: BackupKind) -> None:
    with pytest.raises(InputError, match="no set to go on from") as caught:
        find_prior(tmp_path, kind)
    assert caught.value.hint is not None


def test_a_differential_finds_no_full_among_incrementals(sets: Path) -> None:
    (sets / "b-full.tokar").unlink()
    with pytest.raises(InputError, match="no set to go on from"):
        find_prior(sets, DIFFERENTIAL)


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-9])
    return path


def test_an_archive_that_the_chain_needs_and_that_cannot_be_read_is_an_error(sets: Path) -> None:
    cut(sets / "b-full.tokar")
    with pytest.raises(UnsealedError) as caught:
        find_prior(sets, INCREMENTAL)
    assert "b-full.tokar" in str(caught.value)


def test_an_archive_that_the_chain_does_not_need_and_that_cannot_be_read_is_reported(sets: Path) -> None:
    shutil.copy(sets / "c-incremental.tokar", sets / "twin.tokar")
    cut(sets / "twin.tokar")
    reported: list[ArchiveError] = []
    assert find_prior(sets, INCREMENTAL, report=reported.append) == load_prior(sets / "a-differential.tokar")
    assert ["twin.tokar" in str(error) for error in reported] == [True]


def test_an_archive_that_is_being_written_is_passed_over(sets: Path) -> None:
    (sets / ".next.tokar.0badcafe.part").write_bytes((sets / "b-full.tokar").read_bytes()[:2000])
    assert find_prior(sets, INCREMENTAL) == load_prior(sets / "a-differential.tokar")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError):
        find_prior(tmp_path / "nowhere", INCREMENTAL)


def test_archives_in_subfolders_are_not_looked_at(sets: Path) -> None:
    inner = sets / "old"
    inner.mkdir()
    shutil.move(sets / "a-differential.tokar", inner / "a-differential.tokar")
    assert find_prior(sets, INCREMENTAL) == load_prior(sets / "c-incremental.tokar")


def test_an_archive_of_another_name_is_one_all_the_same(sets: Path) -> None:
    renamed = (sets / "a-differential.tokar").rename(sets / "a-differential.bak")
    assert find_prior(sets, INCREMENTAL) == load_prior(renamed)


def test_the_highest_log_counts_whatever_the_order_of_the_list(tmp_path: Path) -> None:
    server = fill(ScriptedServer(), 5, 5)
    server.logs = {log_name(number): log_file(number) for number in (7, 5, 6)}
    run_backup(server, tmp_path / "a.tokar", COPY, BackupOptions(threads=1))
    assert load_prior(tmp_path / "a.tokar").generation_high == 7
