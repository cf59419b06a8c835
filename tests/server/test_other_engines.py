"""Sets of an engine other than ESE: kept and proven, truncated by the numbers of their logs, and never judged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from command_line import done, tokar

from tokar import tokens
from tokar.errors import ArchiveError, SetError
from tokar.server.contract import DIALECTS, BackupKind
from tokar.server.prior import find_prior, load_prior
from tokar.server.run_backup import BackupOptions, run_backup
from tokar.sets.outcome import Word
from tokar.sets.receipt import Truncation
from tokar.testing.scripted_server import ScriptedServer

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.server.backup_result import BackupResult

DIALECT = replace(DIALECTS["ese"], profile="other", title="another engine", log_numbers=r"log\.(\d+)")


def server(*logs: str, **options: Any) -> ScriptedServer:
    made = ScriptedServer(dialect=replace(DIALECT, **options))
    made.databases = {"/d/a.db": b"what is in it " * 999}
    made.logs = {f"/d/{name}": name.encode() * 999 for name in logs}
    return made


def full(folder: Path, *logs: str, **options: Any) -> BackupResult:
    return run_backup(server(*logs or ("log.001", "log.002"), **options), folder / "full.tokar", BackupKind.FULL)


def test_a_full_is_truncated_by_the_numbers_of_its_logs_and_not_proven(tmp_path: Path) -> None:
    result = full(tmp_path)
    assert (result.truncation, result.generations, result.damaged) == (Truncation.DONE, (1, 2), ())
    assert result.outcome is not None
    assert result.outcome.word is Word.NOT_PROVEN


@pytest.mark.parametrize("beside", [True, False])
def test_an_incremental_goes_on_from_an_archive_or_its_receipt(beside: bool, tmp_path: Path) -> None:
    first = full(tmp_path)
    prior = load_prior(first.receipt if beside else first.path)
    later = server("log.002", "log.003")
    result = run_backup(later, tmp_path / "1.tokar", BackupKind.INCREMENTAL, BackupOptions(prior=prior))
    assert (result.truncation, result.generations) == (Truncation.DONE, (2, 3))


@pytest.mark.parametrize(
    ("logs", "said"),
    [
        (("log.001", "log.003"), "a gap between generations"),
        (("log.001", "x.log"), "its generation cannot be told"),
        (("log.001", "a/log.1"), "two logs have generation"),
        ((), "no log"),
    ],
)
def test_without_an_unbroken_row_of_numbers_nothing_is_truncated(
    logs: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    source = server(*logs)
    with pytest.raises(ArchiveError, match=said):
        run_backup(source, tmp_path / "full.tokar", BackupKind.FULL)
    assert not source.truncated


@pytest.mark.parametrize("logs", [("log.004",), ("log.001",)])
def test_an_incremental_that_does_not_go_on_is_not_truncated(logs: tuple[str, ...], tmp_path: Path) -> None:
    prior = load_prior(full(tmp_path).path)
    source = server(*logs)
    with pytest.raises(SetError):
        run_backup(source, tmp_path / "1.tokar", BackupKind.INCREMENTAL, BackupOptions(prior=prior))
    assert not source.truncated


def test_a_dialect_that_numbers_no_logs_gets_no_licence(tmp_path: Path) -> None:
    source = server("log.001", log_numbers="")
    with pytest.raises(SetError, match="generation cannot be told"):
        run_backup(source, tmp_path / "full.tokar", BackupKind.FULL)
    assert not source.truncated


def test_numbers_are_nothing_to_ese_whose_logs_say_more(tmp_path: Path) -> None:
    source = server("log.001", profile="ese")
    with pytest.raises(SetError, match="damage"):
        run_backup(source, tmp_path / "full.tokar", BackupKind.FULL)
    assert not source.truncated


def test_check_and_chain_say_that_nobody_here_can_judge_it(tmp_path: Path) -> None:
    path = full(tmp_path).path
    for command in (("check", path), ("chain", tmp_path)):
        result = tokar(*command)
        assert result.exit_code == 9
        assert result.stdout.splitlines()[-1] == "NOT PROVEN: its files are of an engine that is not known here"


def test_a_restore_places_its_files_and_names_no_tool_of_ese(tmp_path: Path) -> None:
    path = full(tmp_path).path
    result = done("restore", path, "--to", f"0x44={tmp_path}/db/", "--to", f"0x82={tmp_path}/logs/")
    assert (tmp_path / "db" / "a.db").is_file()
    assert (tmp_path / "logs" / "log.002").is_file()
    assert "esentutl" not in result.stdout
    assert result.stdout.splitlines()[-1].startswith("NOT PROVEN: ")


def test_a_profile_that_was_lost_is_one_of_ese(tmp_path: Path) -> None:
    source = server("log.001", profile=tokens.LOST_PROFILE)
    with pytest.raises(SetError, match="damage"):
        run_backup(source, tmp_path / "full.tokar", BackupKind.FULL)


def test_the_set_before_is_found_in_a_folder_too(tmp_path: Path) -> None:
    first = full(tmp_path)
    prior = find_prior(tmp_path, BackupKind.INCREMENTAL)
    assert prior is not None
    assert (prior.archive_id, prior.generation_high) == (first.sealed.id, 2)
    later = server("log.002", "log.003")
    run_backup(later, tmp_path / "1.tokar", BackupKind.INCREMENTAL, BackupOptions(prior=prior))
    found = find_prior(tmp_path, BackupKind.INCREMENTAL)
    assert found is not None
    assert found.generation_high == 3
    result = tokar("chain", tmp_path)
    assert "0x2-0x3" in result.stdout
    assert result.stdout.splitlines()[-1] == "NOT PROVEN: its files are of an engine that is not known here"


def test_a_restore_of_several_says_that_they_go_one_after_the_other(tmp_path: Path) -> None:
    first = full(tmp_path)
    options = BackupOptions(prior=load_prior(first.path))
    second = run_backup(server("log.003"), tmp_path / "1.tokar", BackupKind.INCREMENTAL, options)
    result = tokar("restore", first.path, second.path, "--into", tmp_path / "new")
    assert result.exit_code == 6
    assert "one after the other" in result.hint
