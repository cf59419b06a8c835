"""Recovery after a crash: exact contents, or the error that the real engine has for it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from engine_by_hand import back_up, new_story, outcome_of, place, server_of, target_for
from ese_files import database_bytes, header_for
from sweeps import sampled

from tokar.ese.checkpoint import Checkpoint
from tokar.ese.values import NO_TIME, LogPosition, LogTime, Signature
from tokar.lab.change_records import Put
from tokar.lab.database_file import DatabaseFile, write_checkpoint
from tokar.lab.engine import ERAS, Chance, Clock, EngineError
from tokar.lab.engine_recovery import soft_recovery
from tokar.lab.instance import Life
from tokar.lab.lab import open_lab
from tokar.lab.log_stream import closed_logs, current_log
from tokar.storage.bytesource import FileSource

if TYPE_CHECKING:
    from pathlib import Path

    from engine_by_hand import Story

PROFILES = sorted(ERAS)


def needed_logs(story: Story) -> list[Path]:
    """The closed logs that recovery will play."""
    place_ = story.lab.place
    with FileSource(place_.checkpoint) as source:
        start = Checkpoint.read(source).header.checkpoint.generation
    return [path for number, path in closed_logs(place_.logs, place_.base).items() if number >= start]


def crashed_story(folder: Path, profile: str, seed: int = 1) -> Story:
    """A crash that left several logs to be played."""
    story = new_story(folder, profile, seed=seed)
    story.lab.workload.write_late = lambda: None  # type: ignore[method-assign] # from here on pages and checkpoint lag
    story.lab.work(60)
    story.lab.crash()
    assert len(needed_logs(story)) > 2
    return story


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("seed", sampled(range(4), lambda seed: seed < 2))
def test_a_crash_loses_nothing_that_was_committed(tmp_path: Path, profile: str, seed: int) -> None:
    story = new_story(tmp_path, profile, seed=seed)
    for _ in range(3):
        story.lab.crash()
        recovered = story.lab.recover()
        assert not recovered.hard
        assert story.lab.contents() == story.expected()
        story.lab.work(15)
        assert story.lab.contents() == story.expected()


def test_recovery_undoes_what_was_never_committed(tmp_path: Path) -> None:
    story = new_story(tmp_path, "certadm", work=5)
    transactions = story.lab.instance.transactions
    number = transactions.begin()
    transactions.put(number, 1, b"never", b"committed")
    story.lab.instance.cache.flush_all()
    story.lab.crash()
    assert story.lab.recover().undone >= 1
    assert b"never" not in story.lab.contents()["Lab CA.edb"]


@pytest.mark.parametrize("profile", PROFILES)
def test_a_long_transaction_that_spans_generations_is_undone(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path, profile, work=0)
    instance = story.lab.instance
    number = instance.transactions.begin()
    first = instance.log.generation
    for index in range(700):
        instance.transactions.put(number, 1 + index % 2, b"span%05d" % index, bytes(200))
    instance.cache.flush_all()
    assert instance.log.generation > first + 2
    instance.write_checkpoint()
    story.lab.crash()
    assert story.lab.recover().low == first
    assert all(records == {} for records in story.lab.contents().values())


@pytest.mark.parametrize("profile", PROFILES)
def test_recovery_can_itself_be_cut_off_and_begun_again(
    tmp_path: Path, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = crashed_story(tmp_path, profile)
    original, cuts = DatabaseFile.write_raw, 0
    for after in range(1, 8, 2):
        left = [after]

        def write_or_die(file: DatabaseFile, number: int, data: bytes, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            original(file, number, data)

        with monkeypatch.context() as patched:
            patched.setattr(DatabaseFile, "write_raw", write_or_die)
            try:
                story.lab.recover()
            except KeyboardInterrupt:
                cuts += 1
    assert cuts > 1
    assert outcome_of(story.lab) == story.expected()


@pytest.mark.parametrize("profile", PROFILES)
def test_without_a_checkpoint_recovery_begins_with_the_lowest_log(tmp_path: Path, profile: str) -> None:
    story = crashed_story(tmp_path, profile)
    story.lab.place.checkpoint.unlink()
    assert outcome_of(story.lab) == story.expected()


def between_two_logs(folder: Path) -> tuple[Story, Path]:
    """A server that died between closing one log and beginning the next, and the one that was being prepared."""
    story = new_story(folder, "certadm")
    story.lab.instance.cache.flush_all()
    story.lab.instance.log.roll()
    story.lab.crash()
    place_ = story.lab.place
    for path in place_.databases.values():
        file = DatabaseFile(path, story.lab.era)
        high = file.header.required_high - 1
        file.change_header(required_high=high, committed_high=high, last_log_time=NO_TIME)
    current = current_log(place_.logs, place_.base)
    assert current is not None
    return story, current.rename(place_.logs / "edbtmp.log")


@pytest.mark.parametrize("content", ["as it was", "zeros"])
def test_without_a_current_log_the_next_one_is_enough_whatever_is_in_it(tmp_path: Path, content: str) -> None:
    story, prepared = between_two_logs(tmp_path)
    if content == "zeros":
        prepared.write_bytes(bytes(prepared.stat().st_size))
    assert outcome_of(story.lab) == story.expected()
    story.lab.work(5)


def test_without_a_current_log_and_the_next_one_recovery_does_not_begin(tmp_path: Path) -> None:
    story, prepared = between_two_logs(tmp_path)
    prepared.unlink()
    assert outcome_of(story.lab) == -528
    *_, highest = closed_logs(story.lab.place.logs, "edb").values()
    highest.rename(story.lab.place.logs / "edb.log")
    assert outcome_of(story.lab) == story.expected()


def test_logs_of_the_other_suffix_are_played_and_those_of_two_never_together(tmp_path: Path) -> None:
    story = crashed_story(tmp_path, "certadm")
    for path in story.lab.place.logs.glob("*.log"):
        path.rename(path.with_suffix(".jtx"))
    expected = story.expected()
    assert outcome_of(story.lab) == expected
    story.lab.work(40)
    story.lab.crash()
    middle = needed_logs(story)[1]
    middle.rename(middle.with_suffix(".log"))
    story.lab.place.checkpoint.unlink()
    assert outcome_of(story.lab) == -515


@pytest.mark.parametrize("profile", PROFILES)
def test_a_checkpoint_that_is_too_new_is_believed_and_loses_data_or_fails(tmp_path: Path, profile: str) -> None:
    results = []
    for seed in range(5):
        story = crashed_story(tmp_path / str(seed), profile, seed)
        lab = story.lab
        with FileSource(lab.place.checkpoint) as source:
            header = Checkpoint.read(source).header
        last = closed_logs(lab.place.logs, "edb")
        later = LogPosition(generation=max(last), sector=1, byte=0)
        write_checkpoint(lab.place.checkpoint, later, header.signature, lab.era)
        results.append(outcome_of(lab))
        assert results[-1] != story.expected()
    if ERAS[profile].checks_dbtime:
        assert -566 in results


@pytest.mark.parametrize("profile", PROFILES)
def test_a_checkpoint_of_another_stream_is_refused(tmp_path: Path, profile: str) -> None:
    story = crashed_story(tmp_path, profile)
    with FileSource(story.lab.place.checkpoint) as source:
        position = Checkpoint.read(source).header.checkpoint
    write_checkpoint(story.lab.place.checkpoint, position, Signature(random=1), story.lab.era)
    assert outcome_of(story.lab) == -532


def test_a_damaged_checkpoint_is_refused_and_one_good_copy_is_enough(tmp_path: Path) -> None:
    story = crashed_story(tmp_path, "edbbcli")
    path = story.lab.place.checkpoint
    good = path.read_bytes()
    path.write_bytes(bytes(8192))
    assert outcome_of(story.lab) == -533
    path.write_bytes(bytes(4096) + good[4096:])
    assert outcome_of(story.lab) == story.expected()


@pytest.mark.parametrize("profile", PROFILES)
def test_a_gap_in_the_logs_is_refused(tmp_path: Path, profile: str) -> None:
    story = crashed_story(tmp_path, profile)
    needed_logs(story)[1].unlink()
    # The current log is taken for the one that is missing.
    assert outcome_of(story.lab) == -515
    current = current_log(story.lab.place.logs, "edb")
    assert current is not None
    current.rename(current.with_name("edbtmp.log"))
    assert outcome_of(story.lab) == -528


@pytest.mark.parametrize("profile", PROFILES)
def test_the_log_of_the_checkpoint_missing_is_refused(tmp_path: Path, profile: str) -> None:
    story = crashed_story(tmp_path, profile)
    needed_logs(story)[0].unlink()
    assert outcome_of(story.lab) == -528


@pytest.mark.parametrize("profile", PROFILES)
def test_required_logs_missing_without_a_checkpoint_are_named(tmp_path: Path, profile: str) -> None:
    story = crashed_story(tmp_path, profile)
    first = needed_logs(story)[0]
    for path in closed_logs(story.lab.place.logs, "edb").values():
        if path.name <= first.name:
            path.unlink()
    story.lab.place.checkpoint.unlink()
    assert outcome_of(story.lab) == -543


def test_committed_logs_missing_at_the_end_are_named(tmp_path: Path) -> None:
    story = crashed_story(tmp_path, "certadm")
    current = current_log(story.lab.place.logs, "edb")
    assert current is not None
    current.rename(current.with_name("edbtmp.log"))
    for path in story.lab.place.databases.values():
        file = DatabaseFile(path, story.lab.era)
        file.change_header(required_high=file.header.required_high - 1)
    assert outcome_of(story.lab) == -582
    highest = max(closed_logs(story.lab.place.logs, "edb"))
    assert soft_recovery(life_of(story), ignore_lost=True).high == highest


@pytest.mark.parametrize(("how", "code"), [("swap", -582), ("damage", -586), ("cut", -541)])
def test_a_committed_log_that_is_no_good_is_given_up_only_when_asked(tmp_path: Path, how: str, code: int) -> None:
    story = crashed_story(tmp_path, "certadm")
    current, before = current_log(story.lab.place.logs, "edb"), needed_logs(story)[-1]
    assert current is not None
    data = bytearray(current.read_bytes() if how != "swap" else before.read_bytes())
    if how == "damage":
        data[4096 + 100 : 4096 + 120] = bytes(20)
    current.write_bytes(data[:20000] if how == "cut" else data)
    for path in story.lab.place.databases.values():
        file = DatabaseFile(path, story.lab.era)
        file.change_header(required_high=file.header.required_high - 1)
    assert outcome_of(story.lab) == code
    if how != "cut":
        assert soft_recovery(life_of(story), ignore_lost=True).databases == (1, 2)


def life_of(story: Story) -> Life:
    return Life(story.lab.place, story.lab.era, Clock(1, 50, utc=story.lab.era.utc), Chance(1, 50))


def test_the_log_of_the_moment_is_the_one_that_the_database_names(tmp_path: Path) -> None:
    story = crashed_story(tmp_path, "certadm")
    for path in story.lab.place.databases.values():
        file = DatabaseFile(path, story.lab.era)
        high = file.header.committed_high
        file.change_header(required_high=high, last_log_time=LogTime(year=99, month=1, day=1))
    assert outcome_of(story.lab) == -543


def test_a_torn_end_is_read_from_its_shadow_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    story = crashed_story(tmp_path, "certadm")
    current = current_log(story.lab.place.logs, "edb")
    assert current is not None
    data = bytearray(current.read_bytes())
    last = max(at for at in range(4096, len(data), 4096) if any(data[at : at + 4096])) - 4096
    assert data[last + 4096 : last + 8192] == data[last : last + 4096]
    data[last + 100 : last + 200] = bytes(100)
    current.write_bytes(data)
    expected = story.expected()
    shutil.copytree(tmp_path, tmp_path.with_name("damaged"))
    assert outcome_of(story.lab) == expected
    damaged = open_lab(tmp_path.with_name("damaged"))
    data[last + 4096 : last + 8192] = bytes(4096)
    (damaged.place.logs / "edb.log").write_bytes(data)
    assert outcome_of(damaged) == -586  # no page was written since
    for path in damaged.place.databases.values():
        file = DatabaseFile(path, damaged.era)
        file.change_header(required_high=file.header.committed_high)
    assert outcome_of(damaged) == -501


def test_a_busy_server_needs_the_logs_of_which_pages_were_written_and_loses_what_is_only_in_later_ones(
    tmp_path: Path,
) -> None:
    story = new_story(tmp_path, "certadm")
    story.lab.instance.cache.flush_all()
    needed = story.lab.instance.log.generation
    story.lab.workload.write_late = lambda: None  # type: ignore[method-assign]
    story.lab.work(60)
    story.lab.crash()
    place_ = story.lab.place
    (header,) = {DatabaseFile(path, story.lab.era).header.required_high for path in place_.databases.values()}
    assert header == needed < max(closed_logs(place_.logs, "edb"))
    for generation, path in closed_logs(place_.logs, "edb").items():
        if generation > needed:
            path.unlink()
    (place_.logs / "edb.log").rename(place_.logs / "edbtmp.log")
    assert outcome_of(story.lab) == -582
    assert soft_recovery(life_of(story), ignore_lost=True).high == needed
    assert story.lab.contents() == story.expected(needed)


def test_an_older_copy_of_a_database_that_was_shut_down_does_not_fit_later_logs(tmp_path: Path) -> None:
    story = new_story(tmp_path, "certadm")
    story.lab.stop()
    place_ = story.lab.place
    old = {path: path.read_bytes() for path in place_.databases.values()}
    for _ in range(2):
        story.lab.work(40)
        story.lab.stop()
    story.lab.work(10)
    story.lab.crash()
    for path, data in old.items():
        path.write_bytes(data)
    place_.checkpoint.unlink()
    closed = closed_logs(place_.logs, "edb")
    for generation, path in closed.items():
        if generation < max(closed) - 1:
            path.unlink()
    assert outcome_of(story.lab) == -551


@pytest.mark.parametrize("profile", PROFILES)
def test_a_log_of_another_history_in_between_is_refused(tmp_path: Path, profile: str) -> None:
    story = crashed_story(tmp_path / "a", profile)
    other = crashed_story(tmp_path / "b", profile, seed=2)
    victim = needed_logs(story)[1]
    shutil.copy(other.lab.place.logs / victim.name, victim)
    assert outcome_of(story.lab) == -530


def test_a_log_under_the_number_of_another_is_refused(tmp_path: Path) -> None:
    story = crashed_story(tmp_path, "edbbcli")
    first, second, *_ = needed_logs(story)
    shutil.copy(first, second)
    assert outcome_of(story.lab) == -515


def test_a_log_of_a_fork_is_refused(tmp_path: Path) -> None:
    """The same number and the same signature, but made in another life after the same beginning."""
    story = new_story(tmp_path / "a", "certadm", work=10)
    story.lab.stop()
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    fork = new_fork(story, tmp_path / "b")
    story.lab.work(60)
    story.lab.crash()
    victim = needed_logs(story)[-1]
    shutil.copy(fork / victim.name, victim)
    assert outcome_of(story.lab) == -515


def new_fork(story: Story, folder: Path) -> Path:
    """Let a copy of a lab go on by itself, in a later life; return its log folder."""
    lab = open_lab(folder)
    lab.start()
    lab.stop()
    lab.work(120)
    lab.crash()
    assert lab.config.lives > story.lab.config.lives
    return lab.place.logs


@pytest.mark.parametrize("profile", PROFILES)
def test_a_streaming_copy_is_refused(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path / "a", profile)
    taken = back_up(server_of(story))
    lab = target_for(story, tmp_path / "b")
    place(lab, [taken])
    assert outcome_of(lab) == -544
    with pytest.raises(EngineError) as caught:
        lab.start()
    assert caught.value.code == -544


def test_an_attached_database_that_is_missing_is_named(tmp_path: Path) -> None:
    story = crashed_story(tmp_path, "edbbcli")
    story.lab.place.databases[2].unlink()
    assert outcome_of(story.lab) == -1216


def test_a_database_of_another_server_is_refused(tmp_path: Path) -> None:
    story = crashed_story(tmp_path / "a", "edbbcli")
    other = crashed_story(tmp_path / "b", "edbbcli", seed=2)
    shutil.copy(other.lab.place.databases[2], story.lab.place.databases[2])
    assert outcome_of(story.lab) == -1216


@pytest.mark.parametrize("profile", PROFILES)
def test_a_quiescent_copy_needs_no_recovery(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path, profile)
    story.lab.stop()
    assert story.lab.contents() == story.expected()
    assert story.lab.start() is None


@pytest.mark.parametrize("profile", PROFILES)
def test_a_clean_database_rolls_forward_through_the_logs_since(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path, profile)
    story.lab.stop()
    kept = {dbid: path.read_bytes() for dbid, path in story.lab.place.databases.items()}
    story.lab.work(30)
    story.lab.crash()
    for dbid, data in kept.items():
        story.lab.place.databases[dbid].write_bytes(data)
    story.lab.place.checkpoint.unlink()
    assert outcome_of(story.lab) == story.expected()


def test_an_old_database_beside_a_newer_checkpoint_is_ruined(tmp_path: Path) -> None:
    story = new_story(tmp_path, "edbbcli")
    story.lab.stop()
    kept = {dbid: path.read_bytes() for dbid, path in story.lab.place.databases.items()}
    story.lab.work(60)
    story.lab.instance.cache.flush_all()
    story.lab.instance.write_checkpoint()
    story.lab.crash()
    for dbid, data in kept.items():
        story.lab.place.databases[dbid].write_bytes(data)
    assert outcome_of(story.lab) != story.expected()


def test_a_log_that_changes_a_page_far_behind_the_database_is_refused(tmp_path: Path) -> None:
    story = new_story(tmp_path, "certadm", work=5)
    log = story.lab.instance.log
    log.append(Put(1, 1, 1 << 31, 0, 1 << 30, b"k", b"v", None))
    log.flush()
    story.lab.crash()
    with pytest.raises(EngineError, match="which the database cannot have"):
        story.lab.recover()


def test_a_need_of_billions_of_logs_is_refused_at_once(tmp_path: Path) -> None:
    story = new_story(tmp_path, "certadm", work=5)
    story.lab.crash()
    path = next(iter(story.lab.place.databases.values()))
    DatabaseFile(path, story.lab.era).change_header(required_high=0x7FFF_FFFF)
    with pytest.raises(EngineError, match="is missing"):
        story.lab.recover()


def test_a_database_with_pages_of_another_size_is_refused(tmp_path: Path) -> None:
    story = new_story(tmp_path, "certadm", work=5)
    story.lab.stop()
    path = next(iter(story.lab.place.databases.values()))
    path.write_bytes(database_bytes(header_for(8192), 2))
    with pytest.raises(EngineError, match="pages have 8192 bytes"):
        story.lab.start()
