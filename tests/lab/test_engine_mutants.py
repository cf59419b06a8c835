"""Mutants of the engine: each mechanism taken away must cost data or an error.

Each trial is a sweep over seeds; the sound engine passes every one, each mutant fails at least one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from engine_by_hand import back_up, new_story, outcome_of, restore, server_of
from sweeps import sampled

from tokar.lab import database_file
from tokar.lab.backup import Backup, DatabaseCopy
from tokar.lab.engine import EngineError
from tokar.lab.engine_recovery import Redo
from tokar.lab.log_stream import LogStream
from tokar.lab.tables import Cache, Transactions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tokar.lab.instance import Instance


Patch = pytest.MonkeyPatch
SEEDS = tuple(dict.fromkeys((0, 2, 12, 21, *range(30))))  # first those at which each mutant has been caught


def survives_crashes(folder: Path, profile: str, seed: int) -> bool:
    story = new_story(folder, profile, seed=seed, work=20)
    for turn in range(4):
        for _ in range(seed % 5):
            story.lab.workload.step()
        if turn % 2:
            story.lab.instance.cache.flush_all()  # everything on disk but the checkpoint
        story.lab.crash()
        if outcome_of(story.lab) != story.expected():
            return False
        story.lab.work(15)
    return True


def survives_restore(folder: Path, profile: str, seed: int) -> bool:
    story = new_story(folder / "a", profile, seed=seed, work=50)
    taken = back_up(server_of(story, busy=12))
    return outcome_of(restore(story, folder / "b", taken)) == story.expected(taken.high)


def holds(trial: Callable[[Path, str, int], bool], folder: Path, profile: str, seeds: Iterable[int]) -> bool:
    for seed in seeds:
        try:
            if not trial(folder / str(seed), profile, seed):
                return False
        except (EngineError, AssertionError, KeyError):
            return False
    return True


def write_pages_before_the_log(patch: Patch) -> None:
    def without_log(self: Cache, files: Any, _flush_log: object) -> None:
        original(self, files, lambda: None)

    original = Cache.__init__
    patch.setattr(Cache, "__init__", without_log)


def commit_without_writing(patch: Patch) -> None:
    def commit(self: Transactions, number: int) -> None:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(LogStream, "flush", lambda _self: None)
            original(self, number)

    original = Transactions.commit
    patch.setattr(Transactions, "commit", commit)


def let_the_checkpoint_pass_open_transactions(patch: Patch) -> None:
    patch.setattr(Transactions, "oldest", lambda _self: None)


def let_the_checkpoint_pass_dirty_pages(patch: Patch) -> None:
    patch.setattr(Cache, "oldest_change", lambda _self: None)


def undo_nothing(patch: Patch) -> None:
    def forget(self: Transactions, number: int) -> None:
        del self.open[number]

    patch.setattr(Transactions, "rollback", forget)


def redo_everything_again(patch: Patch) -> None:
    def page(self: Redo, dbid: int, number: int) -> Any:
        found = original(self, dbid, number)
        found.dbtime = 0
        return found

    original = Redo._page
    patch.setattr(Redo, "_page", page)


def redo_nothing(patch: Patch) -> None:
    patch.setattr(Redo, "_play", lambda *_: None)


def write_split_pages_in_any_order(patch: Patch) -> None:
    patch.setattr(Cache, "must_follow", lambda *_: None)


def collect_no_pages_in_the_patch_file(patch: Patch) -> None:
    patch.setattr(DatabaseCopy, "page_written", lambda *_: None)


def collect_only_pages_beyond_the_copy(patch: Patch) -> None:
    def page_written(self: DatabaseCopy, page: Any) -> None:
        if page.number > self.page_count:
            original(self, page)

    original = DatabaseCopy.page_written
    patch.setattr(DatabaseCopy, "page_written", page_written)


def list_no_more_than_the_closed_logs(patch: Patch) -> None:
    def list_logs(self: Backup) -> Any:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(LogStream, "roll", lambda log: log.generation - 1)
            return original(self)

    original = Backup.list_logs
    patch.setattr(Backup, "list_logs", list_logs)


def note_the_lowest_log_too_late(patch: Patch) -> None:
    def start(self: Backup, instance: Instance, *, full: bool) -> None:
        original(self, instance, full=full)
        instance.cache.flush_all()
        self.generation_low = instance.checkpoint_now().generation + 1
        self.info = replace(self.info, generation_low=self.generation_low)

    original = Backup.__init__
    patch.setattr(Backup, "__init__", start)


def log_no_freed_pages(patch: Patch) -> None:
    patch.setattr(database_file, "apply_free_to_previous", lambda *_: None)


CRASH_MUTANTS = [
    write_pages_before_the_log,
    commit_without_writing,
    let_the_checkpoint_pass_open_transactions,
    let_the_checkpoint_pass_dirty_pages,
    undo_nothing,
    redo_everything_again,
    redo_nothing,
    write_split_pages_in_any_order,
    log_no_freed_pages,
]
RESTORE_MUTANTS = [
    collect_no_pages_in_the_patch_file,
    collect_only_pages_beyond_the_copy,
    list_no_more_than_the_closed_logs,
    note_the_lowest_log_too_late,
    redo_nothing,
    undo_nothing,
]


@pytest.mark.parametrize("profile", ["edbbcli", "certadm"])
@pytest.mark.parametrize("seed", sampled(range(3), lambda seed: seed == 2))
def test_the_sound_engine_survives_every_trial(tmp_path: Path, profile: str, seed: int) -> None:
    assert holds(survives_crashes, tmp_path / "crashes", profile, [seed])
    assert holds(survives_restore, tmp_path / "restores", profile, [seed])


@pytest.mark.parametrize("mutate", CRASH_MUTANTS)
def test_an_engine_without_a_mechanism_does_not_survive_crashes(
    tmp_path: Path, monkeypatch: Patch, mutate: Callable[[Patch], None]
) -> None:
    mutate(monkeypatch)
    assert not holds(survives_crashes, tmp_path, "edbbcli", SEEDS)


@pytest.mark.parametrize("mutate", RESTORE_MUTANTS)
def test_an_engine_without_a_mechanism_cannot_be_backed_up(
    tmp_path: Path, monkeypatch: Patch, mutate: Callable[[Patch], None]
) -> None:
    mutate(monkeypatch)
    assert not holds(survives_restore, tmp_path, "edbbcli", SEEDS)


@pytest.mark.parametrize("seed", sampled(range(3), lambda seed: seed == 2))
def test_full_logging_of_splits_makes_order_and_patch_file_needless(
    tmp_path: Path, monkeypatch: Patch, seed: int
) -> None:
    write_split_pages_in_any_order(monkeypatch)
    collect_no_pages_in_the_patch_file(monkeypatch)
    assert holds(survives_crashes, tmp_path / "crashes", "certadm", [seed])
    assert holds(survives_restore, tmp_path / "restores", "certadm", [seed])
