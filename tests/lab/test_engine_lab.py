"""A lab in its folder: made, opened, set, stopped, wiped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from engine_by_hand import new_story, wipe

from tokar import lab as engine
from tokar.errors import InputError
from tokar.lab.engine import ERAS, Chance, Clock, EngineError, era_of
from tokar.lab.lab import create_lab, open_lab
from tokar.lab.log_formats import read_log
from tokar.lab.log_stream import closed_logs

PROFILES = sorted(ERAS)


def test_the_engine_judges_restores_without_knowing_how_they_are_made() -> None:
    paths = [path for path in Path(engine.__file__).parent.glob("*.py") if path.name != "demo.py"]
    assert len(paths) > 12
    seen = {
        found
        for path in paths
        for found in re.findall(r"(?:from|import) tokar\.(\w+(?:\.\w+)?)", path.read_text(encoding="utf-8"))
    }
    assert not {
        found
        for found in seen
        if found.partition(".")[0] in {"restore", "sets", "salvage", "collect", "check", "format"}
    }
    assert {found for found in seen if found.startswith("server")} == {"server.contract"}


def test_exchange_has_a_private_and_a_public_database_by_default(tmp_path: Path) -> None:
    assert list(create_lab(tmp_path / "a").contents()) == ["PRIV.EDB", "PUB.EDB"]
    assert list(create_lab(tmp_path / "b", "certadm").contents()) == ["Lab CA.edb"]
    assert list(create_lab(tmp_path / "c", "ntdsbcli").contents()) == ["ntds.dit"]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("databases", [1, 3, 12])
def test_a_lab_has_as_many_databases_as_were_asked_for(tmp_path: Path, profile: str, databases: int) -> None:
    story = new_story(tmp_path, profile, databases=databases, work=10)
    assert len(story.lab.contents()) == databases
    story.lab.crash()
    story.lab.recover()
    assert story.lab.contents() == story.expected()


@pytest.mark.parametrize("databases", [-1, 13])
def test_a_number_of_databases_that_makes_no_sense_is_refused(tmp_path: Path, databases: int) -> None:
    with pytest.raises(InputError, match="databases"):
        create_lab(tmp_path, "certadm", databases)


@pytest.mark.parametrize("profile", ["ese", "nonsense"])
def test_a_profile_without_a_server_is_refused(tmp_path: Path, profile: str) -> None:
    with pytest.raises(InputError, match="profile"):
        create_lab(tmp_path, profile)
    with pytest.raises(InputError):
        era_of(profile)


def test_a_lab_is_not_made_over_another(tmp_path: Path) -> None:
    create_lab(tmp_path)
    with pytest.raises(InputError, match="there is a lab already"):
        create_lab(tmp_path)


def test_a_lab_is_not_made_over_files_of_anybody_else(tmp_path: Path) -> None:
    (tmp_path / "PRIV.EDB").write_bytes(b"a database")
    with pytest.raises(InputError, match="new or empty folder"):
        create_lab(tmp_path)
    with pytest.raises(InputError, match="new or empty folder"):
        create_lab(tmp_path / "PRIV.EDB")
    assert [path.name for path in tmp_path.iterdir()] == ["PRIV.EDB"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "this is no lab"),
        ("", "lab.json of this lab was changed: it is not JSON"),
        ("{}", "lab.json of this lab was changed: profile is missing"),
        ('{"profile": 1, "databases": []}', "lab.json of this lab was changed: profile: not what belongs there: 1"),
    ],
)
def test_a_folder_that_is_no_lab_is_refused(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "lab.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        open_lab(tmp_path)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_lab_goes_on_where_another_process_left_it(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path, profile)
    story.lab.set_circular(True)
    story.lab.crash()  # as good as killed
    lab = open_lab(tmp_path, story.account)
    assert lab.config.circular
    recovered = lab.start()
    assert recovered is not None
    lab.work(10)
    assert lab.contents() == story.expected()


def test_circular_logging_keeps_the_logs_few(tmp_path: Path) -> None:
    story = new_story(tmp_path, "certadm", work=0)
    story.lab.set_circular(True)
    story.lab.work(150)
    story.lab.instance.cache.flush_all()
    story.lab.instance.write_checkpoint()
    story.lab.work(30)
    log = story.lab.instance.log
    assert log.generation > 8
    assert len(log.closed()) < log.generation // 2
    assert read_log(log.closed()[max(log.closed())]).header.circular_logging


def test_recovering_a_lab_that_never_ran_does_nothing(tmp_path: Path) -> None:
    lab = create_lab(tmp_path)
    recovered = lab.recover()
    assert (recovered.hard, recovered.databases) == (False, ())


def test_starting_twice_changes_nothing(tmp_path: Path) -> None:
    story = new_story(tmp_path)
    instance = story.lab.instance
    assert story.lab.start() is None
    assert story.lab.instance is instance


@pytest.mark.parametrize("profile", PROFILES)
def test_defragmentation_keeps_the_records_and_changes_the_signature(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path, profile, work=60)
    before = story.lab.instance.files[1].header
    name = story.lab.config.databases[0].name
    story.lab.defragment(name.lower())
    after = story.lab.instance.files[1].header
    assert before.signature != after.signature
    assert after.log_signature == before.log_signature
    assert story.lab.contents() == story.expected()
    story.lab.work(10)
    story.lab.crash()
    story.lab.recover()
    assert story.lab.contents() == story.expected()


def test_defragmenting_an_unknown_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no database"):
        create_lab(tmp_path).defragment("NONE.EDB")


def test_a_stopped_lab_stays_stopped_when_it_is_defragmented(tmp_path: Path) -> None:
    story = new_story(tmp_path)
    story.lab.stop()
    story.lab.defragment("PRIV.EDB")
    assert not story.lab.is_running
    assert story.lab.contents() == story.expected()


def test_a_wiped_lab_has_nothing_left_to_start_from(tmp_path: Path) -> None:
    story = new_story(tmp_path)
    wipe(story.lab)
    assert list(story.lab.place.logs.iterdir()) == []
    with pytest.raises(EngineError) as caught:
        story.lab.start()
    assert caught.value.code == -1811


def test_an_empty_lab_is_a_server_to_restore_to(tmp_path: Path) -> None:
    lab = create_lab(tmp_path, empty=True)
    assert all(location.path.is_dir() for location in lab.locations())
    assert closed_logs(lab.place.logs, "edb") == {}


def test_a_record_that_no_page_can_hold_is_refused(tmp_path: Path) -> None:
    transactions = new_story(tmp_path, work=0).lab.instance.transactions
    with pytest.raises(EngineError) as caught:
        transactions.put(transactions.begin(), 1, b"key", bytes(4000))
    assert caught.value.code == -1003


def test_two_transactions_cannot_change_one_record(tmp_path: Path) -> None:
    transactions = new_story(tmp_path, work=0).lab.instance.transactions
    first, second = transactions.begin(), transactions.begin()
    transactions.put(first, 1, b"key", b"one")
    with pytest.raises(EngineError) as caught:
        transactions.put(second, 1, b"key", b"two")
    assert caught.value.code == -1102
    transactions.rollback(first)
    transactions.put(second, 1, b"key", b"two")


def test_times_and_chances_follow_from_seed_and_life() -> None:
    assert Clock(3, 1, utc=True).now() == Clock(3, 1, utc=True).now()
    moments = {str(Clock(3, life, utc=utc).now()) for life in range(5) for utc in (True, False)}
    assert len(moments) == 10
    assert Chance(1, 2).some_bytes(8) == Chance(1, 2).some_bytes(8) != Chance(1, 3).some_bytes(8)
