"""`tokar lab`: a simulated server made, worked, set, broken and recovered from the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from command_line import done, tokar

from tokar.cli.lab import contents_digest
from tokar.lab.config import load_config
from tokar.lab.lab import open_lab
from tokar.words import range_text

if TYPE_CHECKING:
    from pathlib import Path

PROFILES = {"edbbcli": 2, "ntdsbcli": 1, "certadm": 1}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    done("lab", "new", tmp_path / "lab", "--profile", "certadm")
    return tmp_path / "lab"


def shown(folder: Path) -> Any:
    return done("lab", "show", folder, "--json").json()


@pytest.mark.parametrize("profile", list(PROFILES))
def test_a_new_server_of_each_profile_works(profile: str, tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    facts = done("lab", "new", folder, "--profile", profile, "--json").json()
    assert (facts["profile"], len(facts["databases"])) == (profile, PROFILES[profile])
    assert {one["token"] for one in facts["locations"]} >= {0x82, 0x83}
    after = done("lab", "work", folder, "--transactions", "20", "--json").json()
    contents = open_lab(folder).contents()
    assert after["databases"] == {
        name: {"clean": True, "records": len(records), "digest": contents_digest(records)}
        for name, records in contents.items()
    }
    assert sum(map(len, contents.values())) > 0


def test_text_tells_contents_logs_and_where_files_belong(folder: Path) -> None:
    done("lab", "work", folder, "-n", "30")
    text = done("lab", "show", folder).stdout
    facts = shown(folder)
    assert f"{folder}: simulated server CA1.lab.example, certadm" in text
    assert facts["databases"]["Lab CA.edb"]["digest"] in text
    assert f"{range_text(facts['logs']['low'], facts['logs']['high'])}, circular logging off" in text
    assert "0x44" in text


def test_as_many_databases_as_asked_for(tmp_path: Path) -> None:
    facts = done("lab", "new", tmp_path / "lab", "--databases", "3", "--json").json()
    assert list(facts["databases"]) == ["PRIV.EDB", "PUB.EDB", "DIR.EDB"]


def test_the_seed_decides_what_happens(tmp_path: Path) -> None:
    digests = []
    for name, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        done("lab", "new", tmp_path / name, "--seed", seed)
        facts = done("lab", "work", tmp_path / name, "-n", "20", "--json").json()
        digests.append([one["digest"] for one in facts["databases"].values()])
    assert digests[0] == digests[1] != digests[2]


def test_an_empty_server_has_lost_its_files(tmp_path: Path) -> None:
    facts = done("lab", "new", tmp_path / "lab", "--empty", "--json").json()
    assert (facts["databases"], facts["logs"]["count"]) == ({}, 0)
    assert "closed logs   none" in done("lab", "show", tmp_path / "lab").stdout


@pytest.mark.parametrize(
    "arguments",
    [("--profile", "oracle"), ("--databases", "0"), ("--databases", "13"), ("--seed", "x")],
    ids=["unknown profile", "no database", "too many", "no number"],
)
def test_a_server_that_makes_no_sense_is_not_made(arguments: tuple[str, ...], tmp_path: Path) -> None:
    result = tokar("lab", "new", tmp_path / "lab", *arguments)
    assert result.exit_code == 2
    assert not (tmp_path / "lab" / "lab.json").exists()


def test_a_lab_that_is_there_is_not_made_again(folder: Path) -> None:
    before = (folder / "lab.json").read_bytes()
    result = tokar("lab", "new", folder, "--json")
    assert result.exit_code == 2
    assert "a lab already" in result.json()["error"]["message"]
    assert (folder / "lab.json").read_bytes() == before


@pytest.mark.parametrize(
    "command",
    [("work",), ("recover",), ("show",), ("set", "circular=on"), ("defragment",)],
    ids=lambda command: command[0],
)
def test_a_folder_that_is_no_lab_is_refused(command: tuple[str, ...], tmp_path: Path) -> None:
    verb, *rest = command
    result = tokar("lab", verb, tmp_path, *rest)
    assert result.exit_code == 2
    assert "no lab" in result.error
    assert "tokar lab new" in result.hint
    assert list(tmp_path.iterdir()) == []


def test_a_lab_whose_settings_are_damaged_is_refused(folder: Path) -> None:
    (folder / "lab.json").write_text(json.dumps({"profile": "certadm"}))
    assert tokar("lab", "show", folder).exit_code == 2


def test_a_crash_leaves_a_server_that_soft_recovery_brings_back(folder: Path) -> None:
    result = done("lab", "work", folder, "-n", "30", "--crash")
    assert f"to be recovered first: tokar lab recover {folder}" in result.stdout
    assert shown(folder)["databases"] == {"Lab CA.edb": {"clean": False, "digest": None, "records": None}}
    result = done("lab", "recover", folder)
    assert result.stdout.startswith("soft recovery: logs 0x")
    found = done("lab", "recover", folder, "--json").json()
    assert found["recovery"]["hard"] is False
    assert found["databases"] == shown(folder)["databases"]


def test_work_needs_a_number_of_transactions(folder: Path) -> None:
    before = shown(folder)
    for number in ("0", "-1", "many"):
        assert tokar("lab", "work", folder, "-n", number).exit_code == 2
    assert shown(folder) == before


def test_settings_are_kept(folder: Path) -> None:
    result = done("lab", "set", folder, "circular=on", "incremental=off")
    assert result.stdout == "circular is on\nincremental is off\n"
    config = load_config(folder)
    assert (config.circular, config.incremental_disabled) == (True, True)
    done("lab", "set", folder, "circular=off", "incremental=on")
    config = load_config(folder)
    assert (config.circular, config.incremental_disabled) == (False, False)


@pytest.mark.parametrize("setting", ["circular", "circular=yes", "colour=on", "=on", "circular="])
def test_what_is_no_setting_is_refused(setting: str, folder: Path) -> None:
    result = tokar("lab", "set", folder, setting)
    assert result.exit_code == 2
    assert "not a setting" in result.error
    assert "circular=on|off" in result.hint


def test_settings_are_checked_before_any_is_changed(folder: Path) -> None:
    assert tokar("lab", "set", folder, "circular=on", "colour=red").exit_code == 2
    assert load_config(folder).circular is False


@pytest.mark.parametrize(
    ("settings", "code"), [("circular=on", "hrCircularLogging"), ("incremental=off", "hrIncrementalBackupDisabled")]
)
def test_a_setting_shows_in_the_next_backup(settings: str, code: str, folder: Path, tmp_path: Path) -> None:
    done("lab", "set", folder, settings)
    result = tokar("backup", f"lab:{folder}", tmp_path / "a.tokar", "--type", "differential")
    assert result.exit_code == 7
    assert code in result.error


def test_compacting_changes_files_and_no_contents(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    done("lab", "new", folder)
    done("lab", "work", folder, "-n", "40")
    before = shown(folder)["databases"]
    result = done("lab", "defragment", folder)
    assert result.stdout.count("compacted; take a full backup, its chain has ended") == 2
    assert shown(folder)["databases"] == before
    assert "PUB.EDB" not in done("lab", "defragment", folder, "--database", "priv.edb").stdout


def test_a_database_that_is_not_there_is_not_compacted(folder: Path) -> None:
    result = tokar("lab", "defragment", folder, "--database", "other.edb")
    assert result.exit_code == 2
    assert "Lab CA.edb" in result.hint


def test_recovery_that_fails_is_the_engines_error(folder: Path) -> None:
    done("lab", "work", folder, "-n", "40", "--crash")
    for path in open_lab(folder).place.logs.glob("edb*.log"):
        path.unlink()
    result = tokar("lab", "recover", folder, "--json")
    assert result.exit_code == 1
    assert "JET_err" in result.json()["error"]["message"]


def test_a_restore_that_was_not_completed_bars_the_service(folder: Path) -> None:
    registration = {
        "low_log": 1,
        "high_log": 2,
        "restore_map": [],
        "log_path": None,
        "backup_log_path": None,
        "checkpoint_path": None,
        "status": None,
    }
    (folder / "restore-in-progress.json").write_text(json.dumps(registration))
    for command in (("recover",), ("work", "-n", "1")):
        result = tokar("lab", command[0], folder, *command[1:])
        assert result.exit_code == 1
        assert "-506" in result.error


def test_equal_contents_have_equal_digests_and_others_have_not() -> None:
    one = {b"a": b"1", b"b": b"2"}
    assert contents_digest(one) == contents_digest(dict(reversed(one.items())))
    others = [{}, {b"a": b"1"}, {b"a": b"1", b"b": b"3"}, {b"a": b"1b", b"": b"2"}, {b"ab": b"", b"1": b"2"}]
    assert len({contents_digest(each) for each in (one, *others)}) == 6


def test_lab_alone_shows_its_commands() -> None:
    result = tokar("lab", "--help")
    assert result.exit_code == 0
    for name in ("new", "work", "set", "defragment", "recover", "show"):
        assert name in result.stdout
